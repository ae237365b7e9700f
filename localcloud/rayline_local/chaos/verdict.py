"""Holds what was sent, what the receivers hold and what the ledgers say against each other."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from rayline.dicom.reasons import ReasonCode
from rayline_local.chaos.inputs import Upload
from rayline_local.chaos.killer import Kill
from rayline_local.chaos.ledger_view import Ledger
from rayline_local.chaos.receivers import Receivers

Trouble = Literal["lost", "duplicated", "unexplained"]

_CONFLICT: Final = ReasonCode.UID_CONFLICT.value
_IMPORT_FAILED: Final = ReasonCode.IMPORT_FAILED.value


@dataclass(frozen=True)
class SentUpload:
    """An upload that S3 acknowledged; ``at`` in epoch seconds."""

    upload: Upload = field(repr=False)
    at: float


@dataclass(frozen=True)
class Finding:
    """One thing that must not be.

    Attributes:
        subject: fingerprint, instance id or ARN; nothing that names a patient.
        after_kill: number of the last kill before it, 0 where none was.
    """

    trouble: Trouble
    subject: str
    what: str
    after_kill: int = 0


@dataclass(frozen=True)
class Verdict:
    """Counts, all of them the receivers', and what is wrong."""

    instances: int
    imported: int
    quarantined: int
    forwarded: int
    resent: int
    findings: Sequence[Finding]

    def count(self, trouble: Trouble) -> int:
        """How much of one trouble there is."""
        return sum(each.trouble == trouble for each in self.findings)

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, nothing unexplained."""
        return not self.findings


class Comparison:
    """One run's end: what was sent, what the receivers hold, what the ledgers say.

    A content counts as one instance however often it was sent; a second copy of an accepted one must cause no
    second import. Of two contents that contest one UID, one is imported and the other quarantined.
    """

    def __init__(
        self, sent: Sequence[SentUpload], receivers: Receivers, ledger: Ledger, kills: Sequence[Kill]
    ) -> None:
        self._sent = sent
        self._receivers = receivers
        self._ledger = ledger
        self._kills = kills
        self._by_fingerprint: dict[str, list[SentUpload]] = defaultdict(list)
        for each in sent:
            self._by_fingerprint[each.upload.fingerprint].append(each)
        self._stored = Counter(each.fingerprint for each in receivers.stored)
        self._reasons: dict[str, list[str]] = defaultdict(list)
        for entry in receivers.quarantined:
            for each_fingerprint in entry.fingerprints:
                self._reasons[each_fingerprint].append(entry.reason)

    def verdict(self) -> Verdict:
        """Compare everything."""
        known = self._by_fingerprint.keys()
        imported = {each for each in known if self._stored[each]}
        quarantined = {each for each in known if self._reasons.get(each)} - imported
        digests = {(each.sop_instance_uid, each.digest) for each in self._receivers.arrivals}
        checks: list[Callable[[], Iterator[Finding]]] = [
            self._outcomes,
            self._strangers,
            self._imports,
            self._quarantine,
            self._forwarding,
            self._training,
            self._ledger_of_instances,
            self._left_over,
        ]
        return Verdict(
            instances=len(known),
            imported=len(imported),
            quarantined=len(quarantined),
            forwarded=len(imported & {each.fingerprint for each in self._receivers.arrivals}),
            resent=len(self._receivers.arrivals) - len(digests),
            findings=[finding for check in checks for finding in check()],
        )

    # -- what was sent -----------------------------------------------------------------------------------------

    def _outcomes(self) -> Iterator[Finding]:
        """Each content is imported or in quarantine, for a reason that it gave."""
        for each, uploads in self._by_fingerprint.items():
            upload, reasons = uploads[0].upload, self._reasons.get(each, [])
            at = max(one.at for one in uploads)
            if not self._stored[each] and not reasons:
                yield self._finding("lost", each, "neither imported nor in quarantine", at)
            if self._stored[each] and upload.refused_for:
                yield self._finding(
                    "unexplained", each, f"imported, though it had to be refused: {upload.refused_for}", at
                )
            if len(reasons) + bool(self._stored[each]) > len(uploads):
                yield self._finding("duplicated", each, f"more outcomes than {len(uploads)} uploads", at)
            for reason in reasons:
                if not self._may_be_refused(upload, reason):
                    yield self._finding("unexplained", each, f"quarantined for {reason}", at)

    def _may_be_refused(self, upload: Upload, reason: str) -> bool:
        if upload.refused_for is not None:
            return reason == upload.refused_for
        if reason == _CONFLICT:
            return self._contested(upload)
        return reason == _IMPORT_FAILED and self._import_failed(upload)

    def _contested(self, upload: Upload) -> bool:
        rivals = {each.upload.contests for each in self._sent} | {upload.contests}
        return upload.contests is not None or upload.fingerprint in rivals

    def _import_failed(self, upload: Upload) -> bool:
        """Whether HealthImaging itself says that it refused one of the content's files."""
        entries = [each for each in self._receivers.quarantined if upload.fingerprint in each.fingerprints]
        return any(
            each.entry_id in self._receivers.failed_files or self._whole_job_failed(each.entry_id)
            for each in entries
        )

    def _whole_job_failed(self, instance_id: str) -> bool:
        """Whether HealthImaging took nothing of the batch that the ledger names for an instance."""
        instance = self._ledger.instances.get(instance_id)
        folder = f"/{instance.batch_id}/" if instance and instance.batch_id else None
        jobs = {each.job_id for each in self._receivers.jobs if folder and folder in each.prefix}
        return bool(jobs) and not jobs & {each.job_id for each in self._receivers.files}

    def _strangers(self) -> Iterator[Finding]:
        """Nobody holds what was never sent."""
        places: dict[str, Iterable[str]] = {
            "HealthImaging": self._stored,
            "quarantine": self._reasons,
            "the PACS": {each.fingerprint for each in self._receivers.arrivals},
        }
        for place, found in places.items():
            for each in found:
                if each not in self._by_fingerprint:
                    yield self._finding("unexplained", each, f"in {place}, and never sent")

    # -- receivers ---------------------------------------------------------------------------------------------

    def _imports(self) -> Iterator[Finding]:
        """Each object is imported once, and each prefix by one job."""
        files = defaultdict(list)
        for file in self._receivers.files:
            files[file.sop_instance_uid].append(file)
        for imports in files.values():
            if len(imports) > 1:
                at = max(_epoch(each.at) for each in imports)
                yield self._finding(
                    "duplicated", imports[-1].instance_id, f"imported {len(imports)} times", at
                )
        for each, count in self._stored.items():
            if count > 1:
                yield self._finding("duplicated", each, f"in {count} places of HealthImaging")
        jobs = Counter(each.prefix.rsplit("/", 2)[-2] for each in self._receivers.jobs)
        for batch_id, count in jobs.items():
            if count > 1:
                at = max(_epoch(each.at) for each in self._receivers.jobs if f"/{batch_id}/" in each.prefix)
                yield self._finding("duplicated", batch_id, f"{count} import jobs for one batch", at)

    def _quarantine(self) -> Iterator[Finding]:
        """An entry has one content and one reason, however often it was written."""
        for entry in self._receivers.quarantined:
            if len(entry.fingerprints) > 1 or len(entry.reasons) > 1:
                yield self._finding(
                    "duplicated", entry.entry_id, f"quarantined for {' and then '.join(entry.reasons)}"
                )
            if not entry.fingerprints or not entry.reasons:
                yield self._finding("unexplained", entry.entry_id, "an entry that is not whole")

    def _forwarding(self) -> Iterator[Finding]:
        """What is imported arrives at the PACS; an instance that comes again is the same to the byte."""
        arrived = {each.sop_instance_uid for each in self._receivers.arrivals}
        for image in self._receivers.stored:
            if image.sop_instance_uid not in arrived:
                yield self._finding("lost", image.fingerprint, "imported, and never forwarded to the PACS")
        digests: dict[str, set[str]] = defaultdict(set)
        stored = {each.sop_instance_uid for each in self._receivers.stored}
        for each in self._receivers.arrivals:
            digests[each.sop_instance_uid].add(each.digest)
            if each.sop_instance_uid not in stored:
                yield self._finding(
                    "unexplained", each.fingerprint, "at the PACS, and not in HealthImaging", each.at
                )
        for each in self._receivers.arrivals:
            if len(digests.pop(each.sop_instance_uid, ())) > 1:
                yield self._finding("duplicated", each.fingerprint, "at the PACS in two versions", each.at)

    def _training(self) -> Iterator[Finding]:
        """A data set is trained on once, a model is registered once, and the ledger knows each run."""
        runs = Counter(each.manifest_uri for each in self._receivers.executions)
        for execution in self._receivers.executions:
            at = _epoch(execution.at)
            if runs[execution.manifest_uri] > 1:
                runs[execution.manifest_uri] = 0
                yield self._finding("duplicated", execution.arn, "a second execution for one data set", at)
            if execution.arn not in self._ledger.trainings:
                yield self._finding("unexplained", execution.arn, "an execution without a training run", at)
            if execution.arn not in self._ledger.evaluated:
                yield self._finding(
                    "unexplained", execution.arn, "an execution whose end is not recorded", at
                )
        for arn in set(self._ledger.trainings) - {each.arn for each in self._receivers.executions}:
            yield self._finding("unexplained", arn, "a training run that SageMaker does not know")
        for execution_id, packages in self._receivers.packages.items():
            if len(packages) > 1:
                yield self._finding("duplicated", execution_id, f"{len(packages)} packages of one execution")

    # -- ledgers -----------------------------------------------------------------------------------------------

    def _ledger_of_instances(self) -> Iterator[Finding]:
        """The ledger says of each object version what the receivers say."""
        stored = {(each.sop_instance_uid, each.image_set_id) for each in self._receivers.stored}
        held = {each.entry_id: each.reason for each in self._receivers.quarantined}
        recorded = {
            (each.sop_instance_uid, each.image_set_id)
            for each in self._ledger.instances.values()
            if each.stage == "imported"
        }
        for image in self._receivers.stored:
            if (image.sop_instance_uid, image.image_set_id) not in recorded:
                yield self._finding("unexplained", image.fingerprint, "imported, and not so in the ledger")
        for entry_id, reason in held.items():
            instance = self._ledger.instances.get(entry_id)
            if instance is None or (instance.stage, instance.reason) != ("quarantined", reason):
                stage = instance.stage if instance else "unknown"
                yield self._finding(
                    "unexplained", entry_id, f"in quarantine for {reason}, and {stage} in the ledger"
                )
        for instance in self._ledger.instances.values():
            if instance.stage == "imported":
                outcome = (instance.sop_instance_uid, instance.image_set_id) in stored
            elif instance.stage == "quarantined":
                outcome = instance.instance_id in held
            else:
                outcome = instance.stage == "duplicate"
            if not outcome:
                yield self._finding(
                    "unexplained", instance.instance_id, f"{instance.stage} in the ledger, and nowhere else"
                )
        if len(self._ledger.instances) != len(self._sent):
            yield self._finding(
                "unexplained",
                "ledger",
                f"{len(self._sent)} uploads, and {len(self._ledger.instances)} received in the ledger",
            )

    def _left_over(self) -> Iterator[Finding]:
        """At the end nothing waits, and nothing was given up."""
        ledger = self._ledger
        left: Mapping[str, int] = {
            **{f"effects that have not ended: {name}": count for name, count in ledger.open_effects.items()},
            "import batches that are not accounted for": sum(
                state != "accounted" for state in ledger.batches.values()
            ),
            "events of ours that have not left": ledger.unsent,
            "messages in the queue": ledger.messages,
            "messages in the dead-letter queue": ledger.dead_letters,
        }
        for what, count in left.items():
            if count:
                yield self._finding("unexplained", "ledger", f"{count} {what}")

    def _finding(self, trouble: Trouble, subject: str, what: str, at: float | None = None) -> Finding:
        kills = [each.number for each in self._kills if at is None or each.at <= at]
        return Finding(trouble, subject, what, kills[-1] if kills else 0)


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
