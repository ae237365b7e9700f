"""Whole processors, through anything that can happen to them, end with every instance accounted for exactly once.

The workers and the supervisor are the real ones (:mod:`support.simulated_processor`). Uploads, jobs, radiologists
and executions produce events; messages come late, twice, out of order; processes die between any two calls to AWS,
stall past their leases, run on skewed clocks; plugins fail in every way. Then everything heals, and nothing is lost.
"""

import hashlib
import json
import resource
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pydicom
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.local_cloud import LocalCloud
from support.machine_world import (
    LEASE_SECONDS,
    SKEW_SECONDS,
    VISIBILITY_SECONDS,
    MachineWorld,
    captured_logs,
    deterministic,
)
from support.processor_estate import SECRETS, SITE
from support.simulated_processor import Faults, ProcessDied, SupervisorProcess, WorkerProcess
from support.simulated_site import (
    SENTINEL,
    SENTINELS,
    Site,
    image_of,
    new_uid,
    profile_text,
)

from rayline.dynamodb import from_attributes
from rayline.effects import FINAL_STATES, EffectState, event_identity
from rayline.envelopes import parse_message
from rayline.events import Event, Uploaded, observer_hook
from rayline.hashing import KeyedHash
from rayline.instances import InstanceLedger
from rayline.outbox import Outbox
from rayline.reconciler import Reconciler
from rayline.reminders import BatchDue, ReconcileDue, Reminder, RetriesDue, reminder_body
from rayline.verification import UnknownImageSet, Verification, Verifier

HASH = KeyedHash.from_secrets(SECRETS)
STALL_SECONDS = LEASE_SECONDS + SKEW_SECONDS + 1
WORKERS = st.integers(0, 2)
CALLS = st.integers(1, 40) | st.sampled_from(
    [
        "dynamodb.transact_write_items",
        "dynamodb.update_item",
        "dynamodb.put_item",
        "s3.get_object",
        "s3.put_object",
        "s3.delete_objects",
        "sqs.send_message",
        "sqs.delete_message",
        "sqs.delete_message_batch",
        "sqs.change_message_visibility",
        "events.put_events",
        "medical-imaging.start_dicom_import_job",
        "medical-imaging.get_image_set_metadata",
        "sagemaker.start_pipeline_execution",
        "sagemaker.update_model_package",
    ]
)
DELIVERIES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1, 1, 1, 2])), max_size=4)
REFUSED_PIXEL = 13  # HealthImaging refuses images of this pixel value
KEYS = [
    "upload/{}.dcm",
    "upload/" + SENTINEL + " 100%/{}.dcm",
    "upload/%41+ü&日本/{}",
    "upload/" + "k" * 1000 + "/{}",
]
CONTENTS = {
    **{f"image {number}": image_of(number) for number in (1, 2, 3)},
    "image 1 with other pixels": image_of(1, pixel=8),
    "image 4 of another series": image_of(4, series=2),
    "image 5 that is refused": image_of(5, pixel=REFUSED_PIXEL),
    "no image": b"this is no image",
    "nothing": b"",
    "half an image": image_of(6)[:-100],
}
SCREENED = {"no image": "NOT_DICOM", "nothing": "EMPTY_OBJECT", "half an image": "TRUNCATED"}
OUTAGES = {"PLUGIN_FAILED", "PLUGIN_TIMEOUT", "PLUGIN_CRASHED", "NOT_DEIDENTIFIED", "SITE_SAYS_NO"}
MODES = {
    "deid": ["fail", "busy", "reject", "hang"],
    "forward": ["fail", "busy", "hang"],
    "auditor": ["fail", "busy", "reject", "hang"],
    "nosy": ["fail", "hang"],
    "strict": ["fail", "busy", "hang"],
}


def uid_of(name: str) -> str:
    """The UID that an image arrives with."""
    return str(pydicom.dcmread(BytesIO(CONTENTS[name])).SOPInstanceUID)


UIDS = {name: uid_of(name) for name in CONTENTS if name not in SCREENED}


@dataclass(frozen=True)
class Upload:
    """One received object version."""

    content: str
    key: int
    instance_id: str


@dataclass(frozen=True)
class Act:
    """One act of a radiologist, by the image set version that he saw."""

    image_set_id: str
    version: str
    label: str
    revoke: bool
    allowed: bool


class ProcessorMachine(RuleBasedStateMachine):
    """Several workers of one site on one account."""

    folder: ClassVar[Path]
    site: ClassVar[Site]
    logs: ClassVar[list[str]]
    local: ClassVar[LocalCloud | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.site.__init__()  # type: ignore[misc]
        self.logs.clear()
        self.uploads: list[Upload] = []
        self.acts: list[Act] = []
        self.delivered: dict[str, Event] = {}
        self.lost: list[str] = []
        self.outages: set[str] = set()
        self.failed_jobs: set[str] = set()
        self.names = 0
        self.ended: dict[tuple[str, str], str] = {}
        self.broken: list[str] = []
        self.leases: dict[tuple[str, str], float] = {}

    # -- the world -----------------------------------------------------------------------------------------------

    @initialize(
        deid_on_failure=st.sampled_from(["reject", "retry"]),
        skews=st.lists(st.sampled_from([0, -SKEW_SECONDS / 2, SKEW_SECONDS / 2]), min_size=2, max_size=3),
        first=st.lists(st.sampled_from(sorted(CONTENTS)), min_size=1, max_size=4),
        reached=st.sampled_from(["nothing", "batched", "importing", "imported", "imported"]),
    )
    def begin(
        self, deid_on_failure: str, skews: list[float], first: list[str], reached: str = "nothing"
    ) -> None:
        """A site with some workers, and the first uploads, which have come so far in peace."""
        self.profile = profile_text(deid_on_failure=deid_on_failure)
        self.forgetful = profile_text(deid_on_failure=deid_on_failure, with_deid=False)
        self.deid_on_failure = deid_on_failure
        self.world = MachineWorld(self.folder, self.site, self.profile, self.local)
        self.world.health_imaging.refuses = lambda content: (
            pydicom.dcmread(BytesIO(content)).PixelData[:2] == bytes([REFUSED_PIXEL, 0])
        )
        self.world.cloud.dynamodb.written.append(self.effects_written)
        self.supervisor = SupervisorProcess(self.world.processor)
        self.skews = skews
        self.workers = [self.new_worker(skew) for skew in skews]
        for content in first:
            self.upload(content, 0)
        if reached == "nothing":
            return
        self.deliver([(0, 1)] * len(first))
        self.workers[0].turn()
        if reached == "batched":
            return
        self.world.clock.pass_time(11)
        self.workers[0].turn()
        for job in self.world.running_jobs() if reached == "imported" else []:
            self.world.end_job(job, fails=False)
            self.deliver([(0, 1)] * len(self.world.wire))
            self.workers[0].turn()

    def new_worker(self, skew: float) -> WorkerProcess:
        """A worker process under a name of its own."""
        self.names += 1
        return WorkerProcess(f"worker-{self.names}", self.world.processor, timedelta(seconds=skew))

    def worker(self, index: int) -> WorkerProcess:
        """One of the workers that does not stand still; where all do, one goes on first."""
        if all(worker.suspended for worker in self.workers):
            self.workers[0].resume()
            self.replace_dead()
        free = [worker for worker in self.workers if not worker.suspended]
        return free[index % len(free)]

    def all_workers(self) -> list[WorkerProcess]:
        """Every worker, before and after the beginning."""
        return getattr(self, "workers", [])

    def replace_dead(self, *, reported: bool = True) -> None:
        """Each dead worker is buried, unless its supervisor died too, and a new one starts in its place."""
        for index, worker in enumerate(self.workers):
            if worker.dead and not worker.busy:
                if worker.hung:
                    self.outages.add("PLUGIN_TIMEOUT")
                    self.world.clock.pass_time(30)
                if reported:
                    self.supervisor.bury(worker)
                    if self.supervisor.faults.dead:
                        self.supervisor = SupervisorProcess(self.world.processor)
                self.workers[index] = self.new_worker(self.skews[index])

    # -- what happens --------------------------------------------------------------------------------------------

    @rule(content=st.sampled_from(sorted(CONTENTS)), key=st.integers(0, len(KEYS) - 1))
    def upload(self, content: str, key: int) -> None:
        """A modality sends an object."""
        name = KEYS[key].format(len(self.uploads))
        version = self.world.upload(name, CONTENTS[content])
        instance_id = HASH.of("instance", self.world.settings.uploads_bucket, name, version)
        self.uploads.append(Upload(content, key, instance_id))

    def deliver(self, deliveries: list[tuple[int, int]]) -> None:
        """EventBridge delivers some of what happened: late, out of order, some of it twice."""
        for index, copies in deliveries:
            if self.world.wire:
                body = self.world.wire.pop(index % len(self.world.wire))
                for _ in range(copies):
                    self.deliver_body(body)

    def deliver_body(self, body: str) -> None:
        """A message gets into the queue."""
        event = parse_message(body, SITE)
        assert not isinstance(event, Reminder)
        self.delivered[event_identity(event, HASH)] = event
        self.world.send(body)

    @precondition(lambda self: self.world.wire)
    @rule(index=st.integers(0, 9))
    def lose(self, index: int) -> None:
        """EventBridge, best effort, loses an event."""
        self.lost.append(self.world.wire.pop(index % len(self.world.wire)))

    @rule(index=WORKERS, deliveries=DELIVERIES)
    def turn(self, index: int, deliveries: list[tuple[int, int]]) -> None:
        """A worker receives and handles messages."""
        self.deliver(deliveries)
        self.worker(index).turn()
        self.replace_dead()
        self.world.route()

    @rule(
        index=WORKERS,
        deliveries=DELIVERIES,
        call=CALLS,
        kind=st.sampled_from(["crash before", "crash after", "answer lost", "sent twice"]),
        reported=st.booleans(),
        supervisor_dies_at=st.none() | st.integers(1, 5),
    )
    def turn_with_a_fault(
        self,
        index: int,
        deliveries: list[tuple[int, int]],
        call: int | str,
        kind: str,
        reported: bool,
        supervisor_dies_at: int | None,
    ) -> None:
        """A worker's turn in which one of its calls goes wrong, perhaps fatally, perhaps for its supervisor too."""
        self.deliver(deliveries)
        worker = self.worker(index)
        worker.faults.plan(call, kind)
        if supervisor_dies_at is not None:
            self.supervisor.faults.plan(supervisor_dies_at, "crash before")
        worker.turn()
        worker.faults.heal()
        self.replace_dead(reported=reported)
        self.supervisor.faults.heal()
        self.world.route()

    @rule(
        index=WORKERS,
        deliveries=DELIVERIES,
        call=CALLS,
        seconds=st.sampled_from([5, LEASE_SECONDS, STALL_SECONDS, VISIBILITY_SECONDS + 1]),
        beats=st.booleans(),
        others=st.sampled_from(["rest", "turn", "get the same messages"]),
        killed=st.booleans(),
    )
    def turn_with_a_stall(
        self,
        index: int,
        deliveries: list[tuple[int, int]],
        call: int | str,
        seconds: float,
        beats: bool,
        others: str,
        killed: bool,
    ) -> None:
        """A worker stalls between two of its calls, with or without its heartbeat, and others go on meanwhile."""
        self.deliver(deliveries)
        worker = self.worker(index)

        def meanwhile() -> None:
            for _ in range(3):
                self.world.clock.pass_time(seconds / 3)
                if beats:
                    worker.beat()
            if others == "get the same messages":
                for body in list(dict.fromkeys(self.world.queued())):
                    self.world.send(body)
            if others != "rest":
                for other in self.workers:
                    if other is not worker and not other.busy:
                        other.turn()
            if killed:
                worker.kill()

        worker.faults.plan(call, "meanwhile", meanwhile)
        worker.turn()
        worker.faults.heal()
        self.replace_dead()
        self.world.route()

    @rule(index=WORKERS, deliveries=DELIVERIES, call=CALLS, seconds=st.sampled_from([0, STALL_SECONDS]))
    def a_turn_stands_still(
        self, index: int, deliveries: list[tuple[int, int]], call: int | str, seconds: float
    ) -> None:
        """A worker stands still between two of its calls for some steps: another may do half of its turn meanwhile."""
        self.deliver(deliveries)
        self.worker(index).turn_until(call)
        self.world.clock.pass_time(seconds)
        self.replace_dead()
        self.world.route()

    @precondition(lambda self: any(worker.suspended for worker in self.all_workers()))
    @rule(index=WORKERS, killed=st.booleans())
    def a_turn_goes_on(self, index: int, killed: bool) -> None:
        """A worker that stood still goes on, or is found dead."""
        suspended = [worker for worker in self.all_workers() if worker.suspended]
        worker = suspended[index % len(suspended)]
        if killed:
            worker.kill()
        worker.resume()
        worker.faults.heal()
        self.replace_dead()
        self.world.route()

    @rule(index=WORKERS, deliveries=DELIVERIES, calls=st.integers(1, 15))
    def turn_while_throttled(self, index: int, deliveries: list[tuple[int, int]], calls: int) -> None:
        """AWS refuses a burst of a worker's calls."""
        self.deliver(deliveries)
        worker = self.worker(index)
        worker.faults.throttled = calls
        worker.turn()
        worker.faults.heal()
        self.replace_dead()
        self.world.route()

    @rule(
        index=WORKERS,
        how=st.sampled_from(["killed", "killed with its supervisor", "drained", "upgraded", "without deid"]),
        plugin=st.sampled_from(sorted(MODES)),
    )
    def a_worker_is_replaced(self, index: int, how: str, plugin: str) -> None:
        """A kill, a deployment, a deployment of another plugin version, or one that forgot de-identification."""
        match how:
            case "drained":
                self.drain(index)
            case "upgraded":
                self.site.versions[plugin] = "2.0"
                self.drain(index)
            case "without deid":
                self.forget_deid(index)
            case _:
                self.worker(index).kill()
                self.replace_dead(reported=how == "killed")

    def drain(self, index: int) -> None:
        """SIGTERM, drain, and a new worker."""
        self.worker(index).drain()
        self.replace_dead()

    @rule(
        seconds=st.sampled_from([1, 11, LEASE_SECONDS, STALL_SECONDS, VISIBILITY_SECONDS + 1, 400]),
        beats=st.booleans(),
    )
    def time_passes(self, seconds: float, beats: bool) -> None:
        """Nothing happens for a while."""
        self.world.clock.pass_time(seconds)
        if beats:
            for worker in self.workers:
                worker.beat()

    @rule(data=st.data())
    def trouble_starts_or_ends(self, data: st.DataObject) -> None:
        """A plugin misbehaves or is well again; so do the PACS and the indexes of DynamoDB."""
        what = data.draw(st.sampled_from([*sorted(MODES), "the PACS", "the indexes"]))
        if what == "the PACS":
            self.site.pacs.down = not self.site.pacs.down
        elif what == "the indexes":
            self.world.cloud.dynamodb.let_indexes_lag(data.draw(st.booleans()))
        else:
            mode = data.draw(st.sampled_from(["ok", *MODES[what]]))
            self.site.modes[what] = mode
            if what == "deid":
                self.outages |= {"fail": {"PLUGIN_FAILED"}, "reject": {"SITE_SAYS_NO"}}.get(mode, set())

    def forget_deid(self, index: int) -> None:
        """A worker starts where de-identification is not installed and a careless profile does not require it."""
        self.worker(index).drain()
        self.world.settings.site_profile.write_text(self.forgetful)
        self.site.missing.add("deid")
        self.outages.add("NOT_DEIDENTIFIED")
        try:
            self.replace_dead()
        except Exception as error:  # with no transformer at all the processor does not even start
            assert type(error).__name__ == "ConfigurationError"
        finally:
            self.world.settings.site_profile.write_text(self.profile)
            self.site.missing.clear()
        self.replace_dead()

    @precondition(lambda self: self.world.running_jobs())
    @rule(fails=st.sampled_from([False, False, False, True]), omit=st.sampled_from([0, 0, 0, 1]))
    def job_ends(self, fails: bool, omit: int) -> None:
        """An import job completes, with or without a word on each file, or fails as a whole."""
        job = self.world.running_jobs()[0]
        if fails or omit:
            self.failed_jobs.add(job.job_id)
        self.world.end_job(job, fails=fails, omit=omit)

    @precondition(lambda self: self.world.health_imaging.image_sets)
    @rule(
        index=st.integers(0, 4),
        label=st.sampled_from(["NORMAL", "PNEUMONIA"]),
        revoke=st.booleans(),
        allowed=st.sampled_from([True, True, False]),
        crash_at=st.none() | st.integers(1, 3),
    )
    def verify(self, index: int, label: Any, revoke: bool, allowed: bool, crash_at: int | None) -> None:
        """A radiologist verifies an image set, or takes that back; the API may die after the act is written."""
        faults = Faults()
        clients, world = self.world.processor.clients(faults), self.world
        table = world.settings.image_tracking_table
        ledger = InstanceLedger(clients.dynamodb, table, site=SITE, keyed_hash=HASH, clock=world.clock)
        verifier = Verifier(
            clients.dynamodb,
            ledger,
            Outbox(
                clients.dynamodb,
                clients.events,
                table=table,
                event_bus=world.settings.event_bus,
                clock=world.clock,
            ),
            site=SITE,
            datastore_id=world.settings.datastore_id,
            clock=world.clock,
        )
        image_sets = sorted(world.health_imaging.image_sets)
        image_set_id = image_sets[index % len(image_sets)]
        world.clock.pass_time(1)
        try:
            version = verifier.current_version(image_set_id)
        except UnknownImageSet:
            return
        if crash_at is not None:
            faults.plan(crash_at, "crash after")
        verification = Verification(image_set_id, version, label, f"findings of {SENTINEL}")
        with suppress(ProcessDied):  # at its earliest once the act is written
            verifier.verify([verification], "dr" if allowed else "nobody", revoke=revoke)
        self.acts.append(Act(image_set_id, version, label, revoke, allowed))
        world.route()

    @precondition(lambda self: self.world.running_executions())
    @rule(status=st.sampled_from(["Succeeded", "Failed", "Stopped"]))
    def execution_ends(self, status: str) -> None:
        """A pipeline execution ends."""
        self.world.end_execution(self.world.running_executions()[0], status)

    @rule(reminder=st.sampled_from([RetriesDue, ReconcileDue]))
    def schedule(self, reminder: Any) -> None:
        """A schedule lets waiting events be sent, or the ledgers be compared with the sources."""
        self.world.send(reminder_body(reminder(site=SITE)))

    # -- what must hold ------------------------------------------------------------------------------------------

    def effects_written(self, table: str, before: Any, after: Any) -> None:
        """Note what no write to the effect ledger may do; a handler would swallow an assertion in here."""
        if table != self.world.settings.effects_table or after is None:
            return
        identity = after["pk"]["S"]
        for name, value in after.items():
            if "M" not in value:
                continue
            old = EffectState.of(from_attributes(before[name]["M"])) if before and name in before else None
            new = EffectState.of(from_attributes(value["M"]))
            known = self.ended.get((identity, name))
            if known not in (None, new.state):
                self.broken.append(f"{name} ended as {known} and is now {new.state}")
            if new.state in FINAL_STATES and known is None:
                self.ended[identity, name] = new.state
            self.held(identity, name, old, new)

    def held(self, identity: str, name: str, old: EffectState | None, new: EffectState) -> None:
        """Note who holds an effect, and who takes it before its holder's lease is over, by whichever clock."""
        now = self.world.clock().timestamp()
        if new.state != "in_progress" or new.lease_until == 0:
            return
        if old is not None and old.state == "in_progress" and old.token != new.token and old.lease_until:
            since = self.leases[identity, name]
            if now < since + LEASE_SECONDS:
                self.broken.append(f"{name} was taken {now - since} s after its lease began")
        if old is None or (old.token, old.lease_until) != (new.token, new.lease_until):
            self.leases[identity, name] = now

    @invariant()
    def each_effect_has_one_holder_and_one_end(self) -> None:
        """Each effect is recorded as ended at most once, its end never changes, and it has one holder at a time."""
        if self.local is not None:  # seen from outside, from step to step
            for item in self.world.rows(self.world.settings.effects_table):
                for name, state in self.effects_of(item).items():
                    known = self.ended.get((item["pk"], name))
                    assert known in (None, state.state), f"{name} ended as {known} and is now {state.state}"
                    if state.state in FINAL_STATES:
                        self.ended[item["pk"], name] = state.state
        assert not self.broken, self.broken

    def states(self, identity: str) -> dict[str, EffectState]:
        """Every effect of an event."""
        item = self.world.cloud.dynamodb.get_item(
            TableName=self.world.settings.effects_table, Key={"pk": {"S": identity}}, ConsistentRead=True
        ).get("Item", {})
        return self.effects_of(from_attributes(item))

    @staticmethod
    def effects_of(item: dict[str, Any]) -> dict[str, EffectState]:
        """The effects in an item."""
        return {name: EffectState.of(value) for name, value in item.items() if isinstance(value, dict)}

    def unfinished(self, identity: str, event: Event) -> set[str]:
        """Effects that an event still has to have."""
        states = self.states(identity)
        registry = self.workers[0].runtime.registry
        hooks = [observer_hook(event)]
        if any(state.state == "rejected" for state in states.values()):
            hooks.append("on_rejected")
        wanted = {each.effect for hook in hooks for each in registry.implementations(hook)}
        return {each for each in wanted if each not in states or states[each].state not in FINAL_STATES}

    @invariant()
    def the_ledger_explains_the_queue(self) -> None:
        """Whatever is not finished has a message, a due time, or lies in the dead-letter queue."""
        if not hasattr(self, "world"):
            return
        self.note_what_others_sent()
        carried = Counter(self.identities(self.world.queued()))
        dead = set(self.identities(self.world.dead()))
        due = {item["pk"] for item in self.world.rows(self.world.settings.effects_table) if "due_at" in item}
        for identity, event in self.delivered.items():
            missing = self.unfinished(identity, event)
            if missing:
                assert identity in carried or identity in dead or identity in due, (
                    f"{sorted(missing)} of {event.kind} are unfinished, and nothing brings the event back"
                )

    def note_what_others_sent(self) -> None:
        """The reconciler sends events too, of which nobody else has told."""
        for body in self.world.queued():
            event = parse_message(body, SITE)
            if not isinstance(event, Reminder):
                self.delivered.setdefault(event_identity(event, HASH), event)

    def identities(self, bodies: list[str]) -> list[str]:
        """The events that messages carry."""
        found = []
        for body in bodies:
            message = parse_message(body, SITE)
            if not isinstance(message, Reminder):
                found.append(event_identity(message, HASH))
        return found

    @invariant()
    def each_unfinished_batch_has_a_reminder(self) -> None:
        """A batch that is open or sealed without a job is looked after, whoever dies."""
        if not hasattr(self, "world"):
            return
        due = {
            message.batch_id
            for message in (parse_message(body, SITE) for body in self.world.queued() + self.world.dead())
            if isinstance(message, BatchDue)
        }
        for item in self.world.rows(self.world.settings.image_tracking_table):
            if item.get("type") == "batch" and item["state"] in ("open", "sealed"):
                assert item["batch_id"] in due, f"a batch is {item['state']}, and nothing looks after it"

    @invariant()
    def each_external_act_is_idempotent(self) -> None:
        """No image is imported twice, no batch and no training is started twice, no package decided twice."""
        if not hasattr(self, "world"):
            return
        twice = {uid: times for uid, times in self.world.health_imaging.imported.items() if times > 1}
        assert not twice, f"imported more than once: {twice}"
        decided = Counter(arn for arn, _ in self.world.sagemaker.approvals)
        assert all(times == 1 for times in decided.values())
        numbers = [
            each.request["PipelineExecutionDisplayName"] for each in self.world.sagemaker.executions.values()
        ]
        assert len(set(numbers)) == len(numbers)
        assert all(len(contents) == 1 for contents in self.site.pacs.received.values()), (
            "one SOP Instance UID was forwarded with two contents"
        )

    @invariant()
    def no_phi_gets_past_deidentification(self) -> None:
        """No identifying value is in a de-identified bucket, a table, an event, a log, the PACS or a plugin's view."""
        if not hasattr(self, "world"):
            return
        assert not self.site.seen_phi, f"plugins that may not see PHI saw it in {self.site.seen_phi}"
        settings_ = self.world.settings
        for bucket in (settings_.imports_bucket, settings_.preprocessed_bucket, settings_.reports_bucket):
            for key, content in self.world.cloud.s3.objects(bucket).items():
                for sentinel in SENTINELS:
                    assert sentinel not in content, f"{bucket} holds PHI"
                    assert sentinel not in key.encode()
        for table in (settings_.image_tracking_table, settings_.effects_table, settings_.model_metrics_table):
            for item in self.world.cloud.dynamodb.items(table):
                if item.get("type") == {"S": "outbox"}:
                    continue  # it holds what the radiologist wrote until it has left for the API's own rule
                for sentinel in SENTINELS:
                    assert sentinel.decode() not in repr(item), f"{table} holds PHI"
        for text in [json.dumps(each) for each in self.world.told] + self.logs:
            for sentinel in SENTINELS:
                assert sentinel.decode() not in text, text

    # -- the end -------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everything heals and comes to rest; then every instance, effect and rejection is accounted for."""
        if sys.exc_info()[0] is not None:
            return  # a step failed: what it left says nothing
        self.heal()
        self.come_to_rest()
        self.reconcile()
        self.the_ledger_explains_the_queue()
        self.each_effect_has_one_holder_and_one_end()
        self.each_external_act_is_idempotent()
        self.no_phi_gets_past_deidentification()
        self.no_instance_is_lost()
        self.every_effect_ended()
        self.rejected_is_visible()
        self.the_pacs_has_what_was_imported()
        self.the_last_act_on_an_image_set_stands()
        self.the_final_state_does_not_depend_on_order()

    def heal(self) -> None:
        """Plugins, PACS, indexes and AWS are well."""
        self.site.modes.clear()
        self.site.pacs.down = False
        self.world.cloud.dynamodb.let_indexes_lag(False)
        for worker in self.workers:
            worker.faults.heal()
            if worker.suspended:
                worker.resume()
        self.replace_dead()
        # A deployment of the healthy site.
        for index in range(len(self.workers)):
            self.drain(index)
        self.world.redrive()

    def reconcile(self) -> None:
        """The schedule's reconciliation finds what EventBridge lost; the one after it finds nothing."""
        self.world.clock.pass_time(900)
        if self.lost:
            self.world.send(reminder_body(ReconcileDue(site=SITE)))
        self.come_to_rest()
        self.world.clock.pass_time(900)
        report = Reconciler(self.workers[0].runtime).run(repair=False)
        assert report.gaps == [], report.gaps

    def come_to_rest(self) -> None:
        """Time passes until there is nothing to do."""
        world = self.world
        for round_number in range(120):
            for body in world.wire:
                self.deliver_body(body)
            world.wire.clear()
            for job in world.running_jobs():
                world.end_job(job, fails=False)
            for execution in world.running_executions():
                world.end_execution(execution, "Succeeded")
            world.send(reminder_body(RetriesDue(site=SITE)))
            for worker in self.workers:
                for _ in range(3):
                    worker.turn()
                assert not worker.dead
                worker.beat()
            world.route()
            world.clock.pass_time(20)
            if round_number > 3 and not self.restless():
                return
        raise AssertionError(f"it never came to rest: {Counter(self.restless())}")

    def restless(self) -> list[str]:
        """What is still to be done."""
        world = self.world
        found = [*world.wire, *world.queued(), *world.dead()]
        found += [job.job_id for job in world.running_jobs()]
        found += [each.arn for each in world.running_executions()]
        for item in world.rows(world.settings.image_tracking_table):
            if item.get("type") == "batch" and item["state"] != "accounted" and not self.lost:
                found.append(f"batch {item['state']}")
            if item.get("type") == "study" and item["state"] != "complete":
                found.append("open study")
            if "outbox_shard" in item:
                found.append("outbox entry")
        found += [item["pk"] for item in world.rows(world.settings.effects_table) if "due_at" in item]
        return found

    def viewable(self) -> list[Any]:
        """Image sets that a radiologist can look at."""
        rows = self.world.rows(self.world.settings.image_tracking_table)
        return [item for item in rows if item.get("type") == "image_set" and item.get("viewable")]

    def instances(self) -> dict[str, Any]:
        """The instance ledger by id."""
        return {
            item["instance_id"]: item
            for item in self.world.rows(self.world.settings.image_tracking_table)
            if item.get("type") == "instance"
        }

    def no_instance_is_lost(self) -> None:
        """Each received object version is imported, a duplicate of one that is, or in quarantine with a reason."""
        instances = self.instances()
        imported = self.world.health_imaging.imported
        by_uid: dict[str, list[tuple[str, Any]]] = {}
        for upload in self.uploads:
            item = instances.get(upload.instance_id)
            assert item is not None, f"nothing is known of {upload}"
            stage, reason = item["stage"], item.get("reason", "")
            if upload.content in SCREENED:
                assert (stage, reason) == ("quarantined", SCREENED[upload.content])
                continue
            assert stage in ("imported", "duplicate", "quarantined"), f"{upload} is {stage}"
            if stage == "quarantined":
                assert reason in self.explained(upload), f"{upload} was refused for {reason}"
            by_uid.setdefault(UIDS[upload.content], []).append((upload.content, item))
        assert set(instances) == {upload.instance_id for upload in self.uploads}
        for uid, group in by_uid.items():
            stages = Counter(item["stage"] for _, item in group)
            holders = {item["instance_id"] for _, item in group if item["stage"] == "imported"}
            assert len(holders) == imported[new_uid(uid)] <= 1
            for _, item in group:
                if item["stage"] == "duplicate":
                    assert item["duplicate_of"] in {each["instance_id"] for _, each in group}
            if not self.outages and not self.failed_jobs and uid != UIDS["image 5 that is refused"]:
                # Whatever the order was: one of them is imported, equals are its duplicates, others conflict.
                assert stages["imported"] == 1
                (winner,) = (content for content, item in group if item["stage"] == "imported")
                for content, item in group:
                    expected = {"imported", "duplicate"} if content == winner else {"quarantined"}
                    assert item["stage"] in expected

    def explained(self, upload: Upload) -> set[str]:
        """Reasons for which an image may have been refused, after what happened."""
        reasons = set(self.outages)
        if reasons & OUTAGES:
            reasons |= {"PLUGIN_FAILED", "PLUGIN_TIMEOUT", "PLUGIN_CRASHED"}
        same = {each.content for each in self.uploads if UIDS.get(each.content) == UIDS[upload.content]}
        if len(same) > 1:
            reasons.add("UID_CONFLICT")
        if self.failed_jobs or upload.content == "image 5 that is refused":
            reasons |= {"IMPORT_FAILED", "IMPORT_RESULT_MISSING"}
        return reasons

    def every_effect_ended(self) -> None:
        """Each event has each of its effects, ended, exactly once: no plugin's failure kept its siblings from it."""
        for identity, event in self.delivered.items():
            assert not self.unfinished(identity, event)

    def rejected_is_visible(self) -> None:
        """Whatever was refused lies in quarantine, with a reason."""
        records = {record["entry_id"]: record for record in self.world.estate.quarantine_records()}
        for upload in self.uploads:
            item = self.instances()[upload.instance_id]
            if item["stage"] == "quarantined":
                assert records[upload.instance_id]["reason"] == item["reason"]
                assert item["quarantined_site"] == SITE
        for identity, event in self.delivered.items():
            rejected = {name for name, state in self.states(identity).items() if state.state == "rejected"}
            if not rejected:
                continue
            instance_id = (
                HASH.of("instance", event.bucket, event.key, event.version_id)
                if isinstance(event, Uploaded)
                else ""
            )
            entry = f"event-{HASH.of(*event.identity_parts())}"
            assert instance_id in records or entry in records, f"nobody sees that {event.kind} was refused"

    def the_pacs_has_what_was_imported(self) -> None:
        """Each imported instance was forwarded, whole and de-identified."""
        imported = {uid for uid, times in self.world.health_imaging.imported.items() if times}
        assert set(self.site.pacs.received) == imported
        bucket = self.world.cloud.s3.objects(self.world.settings.imports_bucket)
        digests = {hashlib.sha256(content).hexdigest() for content in bucket.values()}
        for contents in self.site.pacs.received.values():
            assert contents <= digests

    def the_last_act_on_an_image_set_stands(self) -> None:
        """A label follows from the radiologists' acts alone, in whatever order their events came."""
        labels = {
            item["image_set_id"]: item.get("label")
            for item in self.world.rows(self.world.settings.image_tracking_table)
            if item.get("type") == "image_set" and item.get("verified_version") == item["version"]
        }
        for image_set_id, image_set in self.world.health_imaging.image_sets.items():
            current = str(len(image_set.versions))
            acts = [each for each in self.acts if each.image_set_id == image_set_id and each.allowed]
            acts = [each for each in acts if each.version == current]
            expected = acts[-1].label if acts and not acts[-1].revoke else None
            assert labels.get(image_set_id) == expected

    def the_final_state_does_not_depend_on_order(self) -> None:
        """The same uploads, one after the other on a quiet day, end alike, unless an outage made the difference."""
        if self.outages or self.failed_jobs:
            return
        mine = self.final_state()
        if len(self.workers) == 1:
            return  # this is the quiet day
        calm = type(self)()  # from here on the site is the calm one
        calm.begin(self.deid_on_failure, [0.0], [])
        for upload in self.uploads:
            calm.upload(upload.content, upload.key)
            calm.deliver([(0, 1)])
        calm.come_to_rest()
        assert mine == calm.final_state()

    def final_state(self) -> dict[str, Any]:
        """What the account holds in the end, as far as nothing but the uploads decides it."""
        instances = self.instances()
        contents: dict[str, set[str]] = {}
        for upload in self.uploads:
            contents.setdefault(UIDS.get(upload.content, upload.content), set()).add(upload.content)
        ends: Counter[Any] = Counter()
        for upload in self.uploads:
            item = instances[upload.instance_id]
            uid = UIDS.get(upload.content, upload.content)
            # Of two contents under one UID the first to be handled stays; HealthImaging's refusal frees the UID.
            if len(contents[uid]) == 1 and upload.content != "image 5 that is refused":
                ends[upload.content, item["stage"], item.get("reason")] += 1
        return {
            "ends": ends,
            "imported": {uid for uid, times in self.world.health_imaging.imported.items() if times},
            "forwarded": set(self.site.pacs.received),
            "image sets": len(self.world.health_imaging.image_sets),
        }


NIGHTLY = not settings().derandomize
MACHINE = settings(
    max_examples=1_500 if NIGHTLY else 100,
    stateful_step_count=50 if NIGHTLY else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The machine on this test's own folder, with ids that follow Hypothesis's seed."""
    site = Site()
    # Turns that stand still leave the memory limits of their plugins' calls in another order than they came.
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with deterministic(monkeypatch, site), captured_logs() as logs:
        yield type("Machine", (ProcessorMachine,), {"folder": tmp_path, "site": site, "logs": logs})
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.timeout(1_200)
def test_the_same_holds_on_the_local_cloud(machine: Any, local_cloud: LocalCloud) -> None:
    machine.local = local_cloud
    few = settings(MACHINE, max_examples=100 if NIGHTLY else 5, stateful_step_count=12)
    run_state_machine_as_test(machine, settings=few)  # type: ignore[no-untyped-call]


def test_whatever_happens_every_instance_is_accounted_for_exactly_once(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=MACHINE)  # type: ignore[no-untyped-call]


# -- histories worth a name ------------------------------------------------------------------------------------


def started(machine: Any, *first: str, reached: str = "nothing", workers: int = 2) -> ProcessorMachine:
    """A machine at the start of a history."""
    made: ProcessorMachine = machine()
    made.begin("reject", [0.0] * workers, list(first), reached)
    return made


def ended(history: ProcessorMachine) -> None:
    """Hold the history to every invariant, then let it come to rest."""
    history.each_effect_has_one_holder_and_one_end()
    history.each_unfinished_batch_has_a_reminder()
    history.teardown()


def test_a_worker_that_stalls_before_it_records_finds_its_batch_gone(machine: Any) -> None:
    history = started(machine, "image 1")
    history.turn_with_a_stall(
        0, [(0, 1)], "dynamodb.transact_write_items", STALL_SECONDS, beats=False, others="turn", killed=False
    )
    ended(history)


@pytest.mark.parametrize("seconds", [5, LEASE_SECONDS, STALL_SECONDS])
def test_two_workers_get_the_same_message_at_once(machine: Any, seconds: int) -> None:
    history = started(machine, "image 1", "no image")
    others = "get the same messages"
    history.turn_with_a_stall(
        0, [(0, 1)] * 2, "dynamodb.transact_write_items", seconds, beats=False, others=others, killed=False
    )
    ended(history)


@pytest.mark.parametrize("first_to_go_on", [0, 1])
def test_a_worker_whose_effect_another_holds_by_now_records_nothing(
    machine: Any, first_to_go_on: int
) -> None:
    history = started(machine, "image 1", workers=3)
    body = history.world.wire[0]
    history.a_turn_stands_still(0, [(0, 1)], "dynamodb.transact_write_items", STALL_SECONDS)
    history.deliver_body(body)
    history.a_turn_stands_still(0, [], "dynamodb.transact_write_items", 0)
    assert [worker.suspended for worker in history.workers] == [True, True, False]
    history.a_turn_goes_on(first_to_go_on, killed=False)
    history.each_effect_has_one_holder_and_one_end()
    # The one that came late records nothing; what the holder had ended before it stood still stays.
    assert len(history.ended) == (1 if first_to_go_on == 0 else 4)
    history.a_turn_goes_on(0, killed=False)
    ended(history)


def ordinary_day(machine: Any, crash_after: int | None = None) -> int:
    """Uploads, a PACS that is down at first, verifications and a training. Returns how many calls a worker made."""
    day = started(machine, "image 1", "image 4 of another series", "no image", workers=1)
    worker, world = day.workers[0], day.world
    if crash_after is not None:
        worker.faults.plan(crash_after, "crash after")
    day.site.pacs.down = True
    verified = False
    for _ in range(14):
        day.deliver([(0, 1)] * len(world.wire))
        day.turn(0, [])
        for job in world.running_jobs():
            day.world.end_job(job, fails=False)
        for execution in world.running_executions():
            world.end_execution(execution, "Succeeded")
        if not verified and len(day.viewable()) == 2:
            verified = True
            for index in (0, 1):
                day.verify(index, "NORMAL", revoke=False, allowed=True, crash_at=None)
        day.site.pacs.down = not verified
        day.schedule(RetriesDue)
        day.the_ledger_explains_the_queue()
        world.clock.pass_time(11)
    calls = worker.faults.calls
    ended(day)
    assert len(world.sagemaker.executions) == (1 if verified else 0)
    return calls


def test_a_crash_after_any_call_of_an_ordinary_day_loses_nothing(machine: Any) -> None:
    calls = ordinary_day(machine)
    assert calls > 100
    every = 1 if NIGHTLY else 3
    for number in range(1, calls + 1, every):
        ordinary_day(machine, number)
