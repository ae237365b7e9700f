"""Sends a made-up study as a modality would, follows it hop by hop, and takes it away again."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from botocore.exceptions import BotoCoreError, ClientError

from rayline.instances import Stage
from rayline.names import UPLOAD_PREFIX
from rayline_infra.validation.account import Account
from rayline_infra.validation.cleanup import CleanUp
from rayline_infra.validation.report import ProbeReport
from rayline_infra.validation.study import MARK, SLICES, ProbeStudy
from rayline_infra.validation.trace import Trace

POLL_SECONDS = 0.5

SENT = "sent to the uploads bucket"
TAKEN_IN = "taken in by the processor"
JOB_STARTED = "import job started"
JOB_ENDED = "import job completed"
INGESTED = "import recorded by the processor"
VIEWABLE = "viewable"
HINTS = {
    SENT: "who validates takes the uploader role, so rayline:deployerPrincipalPattern must match; or see --no-probe",
    TAKEN_IN: "is the rule `uploaded` enabled, may it deliver to the queue, and does the processor run?",
    JOB_STARTED: "a batch is sealed when it falls quiet (batchQuietSeconds); the processor's log says why it is not",
    JOB_ENDED: "HealthImaging is still at work, or its import role may not read the batch",
    INGESTED: "is the rule `ingested` enabled, and may it deliver to the queue?",
    VIEWABLE: "HealthImaging has the image sets and serves no pixels of them; is the de-identified key enabled?",
}


class Refused(Exception):
    """A hop cannot be taken any more; the message says why."""


class Probe:
    """One study, from upload to pixels, and its clean-up.

    Args:
        deadline_seconds: how long the whole way may take.
        tell: receives a line for each hop.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        account: Account,
        *,
        deadline_seconds: float,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._account = account
        self._deadline_seconds = deadline_seconds
        self._tell = tell
        self._clock = clock
        self._pause = pause
        self._study = ProbeStudy.make()
        folder = f"{UPLOAD_PREFIX}{MARK.lower()}/{self._study.id}"
        self._keys = {f"{folder}/{each.name}": each for each in self._study.slices}

    def run(self) -> ProbeReport:
        """Send the study, follow it, and remove it, however far it came and whoever gives up waiting."""
        outputs = self._account.graph.outputs
        trace = Trace(self._account, self._study, datetime.now(UTC))
        clean_up = CleanUp(self._account, str(outputs["uploads_bucket"]), list(self._keys))
        reached: dict[str, float] = {}
        try:
            stopped_at, hint = self._follow(trace, reached)
        finally:
            removed = clean_up.run(trace)
        return ProbeReport(reached, stopped_at, hint, removed, clean_up.stays)

    def _follow(self, trace: Trace, reached: dict[str, float]) -> tuple[str, str]:
        """Note each hop that is taken; answer the one that is not and what may be wrong, or twice nothing."""
        started = self._clock()
        for hop, taken in self._hops(trace):
            try:
                self._wait(taken, started + self._deadline_seconds)
            except TimeoutError:
                return hop, HINTS[hop]
            except Refused as refused:
                return hop, str(refused)
            except (BotoCoreError, ClientError) as error:
                return hop, f"{error}; {HINTS[hop]}"
            reached[hop] = round(self._clock() - started, 1)
            self._tell(f"{reached[hop]:6.1f} s  {hop}")
        return "", ""

    def _send(self) -> bool:
        """Upload the slices under the uploader role."""
        outputs = self._account.graph.outputs
        uploader = self._account.as_role(str(outputs["uploader_role_arn"])).client("s3")
        for key, each in self._keys.items():
            uploader.put_object(Bucket=outputs["uploads_bucket"], Key=key, Body=each.content)
        return True

    def _hops(self, trace: Trace) -> Iterator[tuple[str, Callable[[], bool]]]:
        yield SENT, self._send
        yield TAKEN_IN, lambda: self._taken_in(trace)
        yield JOB_STARTED, lambda: self._jobs_started(trace)
        yield JOB_ENDED, lambda: self._jobs_ended(trace)
        yield INGESTED, lambda: self._ingested(trace)
        yield VIEWABLE, lambda: trace.frames() >= {each.checksum for each in self._study.slices}

    def _taken_in(self, trace: Trace) -> bool:
        seen = trace.look()
        if seen.refused:
            raise Refused(f"the made-up slices went to quarantine: {', '.join(seen.refused)}")
        return len(seen.instances) == SLICES

    def _jobs_started(self, trace: Trace) -> bool:
        trace.look()
        states = trace.job_states()
        return bool(states) and "NONE" not in states

    def _jobs_ended(self, trace: Trace) -> bool:
        states = set(trace.job_states())
        if "FAILED" in states:
            raise Refused("HealthImaging could not import the batch; its job FAILED")
        return states == {"COMPLETED"}

    def _ingested(self, trace: Trace) -> bool:
        seen = trace.look()
        if seen.refused:
            raise Refused(f"HealthImaging refused the made-up slices: {', '.join(seen.refused)}")
        return all(each["stage"] == Stage.IMPORTED for each in seen.instances.values())

    def _wait(self, taken: Callable[[], bool], deadline: float) -> None:
        while not taken():
            if self._clock() > deadline:
                raise TimeoutError
            self._pause(POLL_SECONDS)
