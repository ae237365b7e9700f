"""Runs the main job while its processes are killed and everything around it misbehaves, and counts what comes out."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from rayline.cli.estate import open_estate
from rayline.imports import file_key
from rayline.reminders import RetriesDue, reminder_body
from rayline.verification import Verification
from rayline_local.chaos.disorder import DisorderlyQueue
from rayline_local.chaos.estate import ChaosEstate
from rayline_local.chaos.inputs import Upload, fingerprint
from rayline_local.chaos.killer import Killer
from rayline_local.chaos.ledger_view import Ledger, LedgerView
from rayline_local.chaos.plan import Phase, Plan, Round
from rayline_local.chaos.receivers import ReceiverView
from rayline_local.chaos.summary import Summary
from rayline_local.chaos.verdict import Comparison, SentUpload
from rayline_local.demo.display import Display
from rayline_local.tasks import root_client

_PARALLEL_UPLOADS: Final = 4
_COPIES: Final = 8
_POLL_SECONDS: Final = 0.5
_RECONCILE_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 3.0
#: without any change for so long, what is open waits for an event that was lost
_CALM_SECONDS: Final = 15.0
#: a schedule sends these each minute; a run need not wait so long
_SWEEP_SECONDS: Final = 5.0


@dataclass
class _Story:
    """What happened, for the details file."""

    sent: list[SentUpload] = field(default_factory=list)
    reconciled: list[dict[str, Any]] = field(default_factory=list)
    verified: set[str] = field(default_factory=set)


class Chaos:
    """One run; everything that it writes lies below ``build_dir``."""

    def __init__(
        self, build_dir: Path, plan: Plan, console: Console, *, patience_seconds: float = 120.0
    ) -> None:
        self._build_dir = build_dir.resolve()
        self._plan = plan
        self._console = console
        self._patience_seconds = patience_seconds
        self._story = _Story()

    def run(self) -> Summary:
        """Run the plan to its end, compare, and write ``summary.json`` and ``details.json``."""
        started = time.monotonic()
        with ChaosEstate(self._build_dir, self._plan) as estate:
            self._estate = estate
            self._ledger = LedgerView(estate.front)
            self._receivers = ReceiverView(estate.front, estate.datastore_id)
            self._operator = open_estate()
            self._sqs = root_client(estate.front, "sqs")
            self._s3 = root_client(estate.front, "s3")
            self._sagemaker = root_client(estate.front, "sagemaker")
            self._queue = DisorderlyQueue(self._sqs, self._ledger.queue_url, self._plan.seed)
            self._killer = Killer(estate.tasks, self._ledger.unfinished, self._send_copies)
            with Display(self._console) as display:
                for task in estate.tasks:
                    task.start()
                self._chaos(display)
                estate.heal()
                ledger = self._settle(display)
            for task in estate.tasks:
                task.stop()
            receivers = self._receivers.ask(estate.pacs.arrivals())
            struck = estate.front.ask("faults/struck")
            estate.keep_logs()
        verdict = Comparison(self._story.sent, receivers, ledger, self._killer.kills).verdict()
        summary = Summary.of(
            verdict,
            kills=len(self._killer.kills),
            seconds=time.monotonic() - started,
            seed=self._plan.seed,
        )
        summary.write(
            self._build_dir,
            {
                "findings": [asdict(each) for each in verdict.findings],
                "kills": [asdict(each) for each in self._killer.kills],
                "uploads": len(self._story.sent),
                "faults_struck": struck,
                "messages_moved": self._queue.moved,
                "messages_copied": self._queue.copies,
                "executions": [each.arn for each in receivers.executions],
                "packages": receivers.packages,
                "import_jobs": len(receivers.jobs),
                "reconciled": self._story.reconciled,
                "ledger": asdict(ledger),
                "rounds": [_described(one) for one in self._plan.rounds],
            },
        )
        summary.show(self._console, verdict.findings)
        self._console.print(f"logs: {estate.logs}", highlight=False, soft_wrap=True)
        return summary

    # -- chaos -------------------------------------------------------------------------------------------------

    def _chaos(self, display: Display) -> None:
        display.begin("sent", len(self._plan.uploads))
        display.begin("killed", len(self._plan.rounds))
        for one in self._plan.rounds:
            if one.trains and one.begins is not None:
                # Images first: what a radiologist is to verify must have arrived.
                self._estate.heal()
                self._reconcile_until_calm(display)
            if one.begins is not None:
                self._misbehave(one.begins)
            half = len(one.uploads) // 2
            self._send(one.uploads[:half])
            self._estate.tell_of_uploads(True)
            self._send(one.uploads[half:])
            display.advance("sent", len(self._story.sent))
            self._verify(one.verified)
            self._queue.stir(one.disorder)
            kill = self._killer.strike(one)
            display.advance("killed", kill.number)
            told = f"{kill.victim}, at work: {kill.target}, with {kill.unfinished} effects unfinished"
            display.say("killed", told)
            if not self._console.is_terminal:
                self._console.print(f"kill {kill.number}: {told}", highlight=False)

    def _misbehave(self, phase: Phase) -> None:
        self._estate.set_faults(phase.faults)
        self._estate.pacs.be(phase.pacs)
        self._estate.tell_of_uploads(not phase.events_lost)

    def _send(self, uploads: Sequence[Upload]) -> None:
        site = self._operator.settings.site

        def send(upload: Upload) -> SentUpload:
            self._estate.upload(upload, site)
            return SentUpload(upload, time.time())

        with ThreadPoolExecutor(_PARALLEL_UPLOADS) as senders:
            self._story.sent += senders.map(send, uploads)

    def _send_copies(self) -> None:
        """Make work: send some of what was sent before once more, which must change nothing."""
        sent = [each.upload for each in self._story.sent if each.upload.refused_for is None]
        self._send([replace(each, copy=True) for each in sent[-_COPIES:]])

    def _verify(self, count: int) -> int:
        """Verify so many more X-rays, where so many are viewable. Returns how many."""
        wanted = min(count, self._plan.verified - len(self._story.verified))
        found = list(islice(self._verifiable(), max(0, wanted)))
        self._operator.verifier.verify(found, "dr-chaos")
        self._story.verified |= {each.image_set_id for each in found}
        return len(found)

    def _verifiable(self) -> Iterator[Verification]:
        """X-rays that could be verified now, with the labels that a radiologist would give them."""
        labels = {each.fingerprint: each.label for each in self._plan.uploads}
        estate, items = self._operator, list(self._operator.ledger.everything())
        versions = {
            each["image_set_id"]: str(each["version"])
            for each in items
            if each.get("type") == "image_set" and each.get("viewable")
        }
        for item in items:
            image_set_id = str(item.get("image_set_id", ""))
            if item.get("type") != "instance" or image_set_id not in versions.keys() - self._story.verified:
                continue
            key = file_key(item["batch_id"], item["instance_id"])
            content = self._s3.get_object(Bucket=estate.settings.imports_bucket, Key=key)["Body"].read()
            label = labels.get(fingerprint(content))
            if label is not None:
                yield Verification(image_set_id, versions[image_set_id], label)

    # -- the end -----------------------------------------------------------------------------------------------

    def _settle(self, display: Display) -> Ledger:
        """Let everything end: verify what is left to verify, until there is nothing to do and no gap."""
        display.begin("settled", len(self._story.sent))
        while True:
            ledger = self._reconcile_until_calm(display)
            display.advance("settled", ledger.settled)
            if not self._verify(self._plan.verified):
                return ledger

    def _reconcile_until_calm(self, display: Display) -> Ledger:
        """Wait for calm and reconcile until no gap is found, or until that changes nothing any more."""
        seen: Any = None
        changed_at = time.monotonic()
        while True:
            ledger = self._await_calm(display)
            if not self._reconcile():
                # What came in meanwhile was too young for the reconciler.
                ledger = self._ledger.read()
                if ledger.quiet():
                    return ledger
            if ledger.progress() != seen:
                seen, changed_at = ledger.progress(), time.monotonic()
            if time.monotonic() - changed_at > self._patience_seconds:
                return ledger
            time.sleep(_PAUSE_SECONDS)

    def _await_calm(self, display: Display) -> Ledger:
        """Wait until nothing is left to do, or nothing changes any more: then something waits for an event."""
        seen: Any = None
        quiet_before = False
        changed_at = swept_at = time.monotonic()
        while True:
            for task in self._estate.tasks:
                task.check()
            # Executions first: one that ends after this look is told of in the queue by the next.
            running = self._running_executions()
            ledger = self._ledger.read()
            display.say("killed", f"{ledger.settled} of {len(self._story.sent)} settled")
            quiet = ledger.quiet() and not running
            if quiet and quiet_before:
                return ledger
            quiet_before = quiet
            now = time.monotonic()
            if ledger.progress() != seen or running:
                seen, changed_at = ledger.progress(), now
            if now - changed_at > _CALM_SECONDS:
                return ledger
            if now - swept_at > _SWEEP_SECONDS:
                swept_at = now
                body = reminder_body(RetriesDue(site=self._operator.settings.site))
                self._sqs.send_message(QueueUrl=self._ledger.queue_url, MessageBody=body)
            time.sleep(_POLL_SECONDS)

    def _running_executions(self) -> int:
        pages = self._sagemaker.list_pipeline_executions(PipelineName=self._operator.settings.pipeline_name)
        return sum(
            each["PipelineExecutionStatus"] in ("Executing", "Stopping")
            for each in pages["PipelineExecutionSummaries"]
        )

    def _reconcile(self) -> int:
        """Let the reconciler find and repair what no event told. Returns how many gaps it found."""
        number = len(self._story.reconciled) + 1
        with (self._estate.logs / f"reconcile-{number}.log").open("w") as log:
            finished = subprocess.run(
                [sys.executable, "-m", "rayline.cli", "reconcile", "--json", "--older-than", "5"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                timeout=_RECONCILE_SECONDS,
                # Like the processor, it needs the task's secrets.
                env=self._estate.task_environment,
                cwd=self._build_dir,
                check=False,
            )
        report: dict[str, Any] = json.loads(finished.stdout)
        self._story.reconciled.append(report)
        return len(report["gaps"])


def _described(one: Round) -> dict[str, Any]:
    """A round of the plan without what it sends."""
    described = {item.name: getattr(one, item.name) for item in fields(one) if item.name != "uploads"}
    return {**described, "uploads": len(one.uploads), "begins": asdict(one.begins) if one.begins else None}
