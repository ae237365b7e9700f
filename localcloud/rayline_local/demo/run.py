"""Runs the main job, stage by stage, on a local cloud of its own."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from rayline.cli.estate import open_estate
from rayline.dicom.reasons import ReasonCode
from rayline.errors import RaylineError
from rayline.names import EstateNames, RuleKind
from rayline.settings import use_environment_file
from rayline_local import running
from rayline_local.commands import bring_down, bring_up
from rayline_local.demo.display import Display
from rayline_local.demo.leak_check import deidentified_blobs
from rayline_local.demo.observe import EstateView, Tally, instance_count
from rayline_local.demo.processor import ProcessorProcess
from rayline_local.demo.summary import Summary, TrainingSummary
from rayline_local.demo.truth import labels_by_frame, verifications
from rayline_local.demo.waiting import StageWait, wait_for
from rayline_local.leaks import Leak, LeakSearch
from rayline_local.samples import Sample, SampleSet
from rayline_local.tasks import process_environment, root_client

LEAST_TEST_IMAGES = 60
USUAL_TEST_FRACTION = 0.2

_EPOCH = re.compile(r"^epoch=(\d+/\d+);", re.MULTILINE)


class ModelRefused(RaylineError):
    """The pipeline ended without a registered model."""


@dataclass(frozen=True)
class DemoOptions:
    """How a run differs from the usual one.

    Attributes:
        patience_seconds: a stage without progress for so long stops the run.
        settings: stack settings that replace those of ``Pulumi.local.yaml``.
        disabled_rules: EventBridge rules to switch off first, to see how the run reports it.
        last_stage: stop after ``imported`` or ``verified``; the whole way where None.
    """

    patience_seconds: float = 120.0
    settings: tuple[tuple[str, str], ...] = ()
    disabled_rules: tuple[RuleKind, ...] = ()
    last_stage: str | None = None


@dataclass
class _Progress:
    """What has been found out so far."""

    uploaded: int = 0
    verified: int = 0
    training: TrainingSummary | None = None
    model: dict[str, Any] | None = None


class Demo:
    """One run; everything that it writes lies below ``build_dir``."""

    def __init__(self, build_dir: Path, samples: SampleSet, console: Console, options: DemoOptions) -> None:
        self._build_dir = build_dir.resolve()
        self._samples = samples
        self._console = console
        self._options = options
        self._progress = _Progress()
        self._state_dir = self._build_dir / "cloud"
        self._log_path = self._build_dir / "processor.log"

    # -- the run -----------------------------------------------------------------------------------------------

    def run(self) -> Summary:
        """Run every stage and write ``summary.json``.

        Raises:
            StageStalled: a stage made no progress.
            ModelRefused: the model did not meet the threshold.
            NumbersDisagree: counts do not add up.
        """
        started = time.monotonic()
        self._start_afresh()
        labels = labels_by_frame(self._samples.samples)
        settings = {**_settings_for(len(labels)), **dict(self._options.settings)}
        outputs = bring_up(self._state_dir, port=0, overrides=settings)
        front = running.require_running(self._state_dir)
        try:
            use_environment_file(self._state_dir / "env")
            self._front = front
            self._view = EstateView(open_estate())
            for rule in self._options.disabled_rules:
                self._disable(rule)
            self._processor = ProcessorProcess(
                front, outputs["processor_task_definition_arn"], self._log_path
            )
            self._processor.start()
            try:
                refusal = self._stages(labels)
            finally:
                self._processor.stop()
            summary = self._summarise(outputs["datastore_id"], started)
        finally:
            bring_down(self._state_dir)
        summary.check()
        if refusal is not None:
            raise refusal
        return summary

    def _start_afresh(self) -> None:
        if running.find_running(self._state_dir) is not None:
            bring_down(self._state_dir)
        shutil.rmtree(self._build_dir, ignore_errors=True)
        self._build_dir.mkdir(parents=True)

    def _stages(self, labels: dict[int, Any]) -> ModelRefused | None:
        with Display(self._console) as display:
            self._send_and_screen(display)
            self._await_import(display)
            if self._options.last_stage == "imported":
                return None
            self._verify(display, labels)
            if self._options.last_stage == "verified":
                return None
            return self._await_model(display)

    # -- stages ------------------------------------------------------------------------------------------------

    def _send_and_screen(self, display: Display) -> None:
        """Send every file and wait until it is screened.

        Files that are to collide with a known UID go last: of two objects in flight, either may come first.
        """
        samples = self._samples.samples
        display.begin("uploaded", len(samples))
        display.begin("screened", len(samples))
        for late in (False, True):
            wave = [each for each in samples if (each.refused_for == ReasonCode.UID_CONFLICT) is late]
            self._upload(wave, self._build_dir / "input" / ("late" if late else "first"), display)
            self._await_screening(display)

    def _upload(self, samples: Sequence[Sample], folder: Path, display: Display) -> None:
        """Send files as the uploader, with the verb that a sender would use."""
        for sample in samples:
            path = folder / sample.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.content)
        environment = process_environment(
            {"RAYLINE_ENV_FILE": str(self._state_dir / "env"), **self._front.role_environment("uploader")}
        )
        command = [
            sys.executable,
            "-m",
            "rayline.cli",
            "upload",
            "--json",
            *map(str, sorted(folder.iterdir())),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self._progress.uploaded += 1 if json.loads(line)["version_id"] else 0
                display.advance("uploaded", self._progress.uploaded)
        if process.returncode != 0:
            raise RaylineError(f"the upload ended with status {process.returncode}")

    def _await_screening(self, display: Display) -> None:
        def screened() -> tuple[Any, Tally | None]:
            self._processor.check()
            tally = self._view.tally()
            display.advance("screened", tally.settled)
            return tally, tally if tally.settled >= self._progress.uploaded else None

        self._wait("screened", "uploaded", screened)

    def _await_import(self, display: Display) -> None:
        """Wait until every batch is accounted for."""
        tally = self._view.tally()
        display.begin("imported", tally.validated)

        def imported() -> tuple[Any, Tally | None]:
            self._processor.check()
            tally = self._view.tally()
            display.advance("imported", tally.instances.get("imported", 0))
            return tally, tally if tally.open_batches == 0 else None

        self._wait("imported", "ingested", imported)

    def _verify(self, display: Display, labels: dict[int, Any]) -> None:
        """Label every image set whose truth is known, as a radiologist who looks at its pixels."""
        found = verifications(self._view.image_sets(), labels)
        display.begin("verified", len(found))
        estate = open_estate()
        for start in range(0, len(found), 20):
            estate.verifier.verify(found[start : start + 20], "dr-demo")

        def pinned() -> tuple[Any, int | None]:
            self._processor.check()
            verified = self._view.tally().verified
            display.advance("verified", verified)
            return verified, verified if verified >= len(found) else None

        self._progress.verified = self._wait("verified", "verified", pinned)

    def _await_model(self, display: Display) -> ModelRefused | None:
        """Follow the pipeline to its end and the processor to its decision."""

        def triggered() -> tuple[Any, str | None]:
            self._processor.check()
            executions = self._view.tally().executions
            return executions, executions[0] if executions else None

        arn = self._wait("triggered", "verified", triggered)
        started = time.monotonic()
        display.begin("trained", 1)

        def trained() -> tuple[Any, str | None]:
            self._processor.check()
            steps = self._view.steps(arn)
            display.say("trained", self._standing(steps))
            # The step itself has ended: from here on only its event is awaited.
            ended = any(name == "Train" and status not in ("Executing", "Starting") for name, status in steps)
            recorded = self._view.tally().trained.get(arn)
            execution = self._view.execution(arn)[0]
            return (ended, execution, recorded, None if ended else time.monotonic()), recorded

        self._wait("trained", "trained", trained)
        display.advance("trained", 1)
        display.begin("evaluated", 1)

        def evaluated() -> tuple[Any, dict[str, Any] | None]:
            self._processor.check()
            display.say("evaluated", self._standing(self._view.steps(arn)))
            status, _ = self._view.execution(arn)
            item = self._view.evaluation(arn)
            return (status, None if status != "Executing" else time.monotonic()), item

        evaluation = self._wait("evaluated", "evaluated", evaluated)
        display.advance("evaluated", 1)
        return self._record_model(evaluation, arn, time.monotonic() - started)

    def _standing(self, steps: Sequence[tuple[str, str]]) -> str:
        """The step that the pipeline is in, and its epoch while it trains."""
        if not steps:
            return ""
        name, status = steps[-1]
        logs = sorted(self._state_dir.glob("sagemaker/logs/*-Train-*.log"))
        epochs = _EPOCH.findall(logs[-1].read_text(errors="replace")) if name == "Train" and logs else []
        return f"{name} {status}" + (f", epoch {epochs[-1]}" if epochs else "")

    def _record_model(self, evaluation: dict[str, Any], arn: str, seconds: float) -> ModelRefused | None:
        metrics = evaluation.get("metrics")
        if metrics is not None:
            (self._build_dir / "report.html").write_bytes(self._view.report(arn))
            self._progress.training = TrainingSummary(
                images=evaluation["images"]["train"],
                test_images=evaluation["images"]["test"],
                accuracy=metrics["accuracy"],
                roc_auc=metrics["roc_auc"],
                seconds=round(seconds, 1),
            )
        package_arn = evaluation.get("model_package_arn")
        if package_arn is None:
            _, reason = self._view.execution(arn)
            return ModelRefused(f"no model was registered: {reason or evaluation['status']}")
        self._progress.model = self._view.model_package(package_arn)
        return None

    def _wait(self, stage: str, rule: RuleKind, look: Callable[[], tuple[Any, Any]]) -> Any:
        return wait_for(self._front, StageWait(stage, rule, self._options.patience_seconds), look)

    def _disable(self, kind: RuleKind) -> None:
        names = EstateNames(self._front.stack, self._front.account_id, self._front.region)
        bus = names.event_bus if kind == "verified" else "default"
        root_client(self._front, "events").disable_rule(Name=names.rule(kind), EventBusName=bus)

    # -- the end -----------------------------------------------------------------------------------------------

    def _summarise(self, datastore_id: str, started: float) -> Summary:
        with self._console.status("searching for identifying values outside the identified zone"):
            leaks = self._search(datastore_id)
        tally = self._view.tally()
        documents = self._view.image_sets()
        quarantined = self._view.quarantined_uploads()
        summary = Summary(
            uploaded=self._progress.uploaded,
            validated=tally.validated,
            quarantined=len(quarantined),
            imported=instance_count(documents),
            image_sets=len(documents),
            verified=self._progress.verified,
            phi_leaks=len(leaks),
            training=self._progress.training,
            model=self._progress.model,
            seconds=round(time.monotonic() - started, 1),
        )
        summary.write(self._build_dir / "summary.json")
        self._write_leaks(leaks)
        summary.show(self._console, dict(Counter(quarantined.values())))
        self._say_where_to_look()
        return summary

    def _search(self, datastore_id: str) -> list[Leak]:
        search = LeakSearch(self._samples.identifying_values())
        logs = [
            self._log_path,
            *sorted(self._state_dir.glob("log/*")),
            *sorted(self._state_dir.glob("sagemaker/**/*.log")),
        ]
        found: list[Leak] = []
        for place, blob in deidentified_blobs(self._front, datastore_id, logs):
            found += search.scan(place, blob)
        return found

    def _write_leaks(self, leaks: Sequence[Leak]) -> None:
        """Say where, never what: the values themselves are PHI."""
        places = Counter(leak.place for leak in leaks)
        (self._build_dir / "leaks.json").write_text(json.dumps(places, indent=2, sort_keys=True) + "\n")

    def _say_where_to_look(self) -> None:
        environment = (
            self._state_dir.relative_to(Path.cwd())
            if self._state_dir.is_relative_to(Path.cwd())
            else self._state_dir
        )
        report = self._build_dir / "report.html"
        self._console.print(
            f"summary: {self._build_dir / 'summary.json'}\n"
            + (f"evaluation report: {report}\n" if report.exists() else "")
            + f"look again: rayline local up --state-dir {environment} --port 0, then\n"
            f"  rayline --env-file {environment}/env status | quarantine list | plugins trace\n"
            f"processor's log: {self._log_path}",
            highlight=False,
            soft_wrap=True,
        )


def _settings_for(labelled: int) -> dict[str, str]:
    """Stack settings for a number of labelled images: one training, tested on a fifth, but on 60 at least."""
    fraction = min(0.5, max(USUAL_TEST_FRACTION, LEAST_TEST_IMAGES / max(labelled, 1)))
    return {"rayline:verifiedPerTraining": str(max(labelled, 1)), "rayline:testFraction": f"{fraction:.6f}"}
