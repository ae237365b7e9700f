"""The uploaded chain as it is: CT slices through upload, de-identification, import and accounting, writes counted."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.dispatch.estate import Estate, Processes
from benchmarks.dispatch.write_counter import WriteCounter
from rayline_local import samples

_SLICES_A_SERIES = 40
_SETTLE_SECONDS = 300.0


@dataclass(frozen=True)
class ChainFigures:
    """What the chain took.

    Attributes:
        writes: every item that the processor wrote to DynamoDB, or tried to, by table.
        condition_checks: items that transactions only looked at, which count as no write.
    """

    instances: int
    writes: dict[str, int]
    refused_writes: int
    condition_checks: int
    seconds_to_batched: float
    seconds_to_imported: float

    @property
    def writes_per_instance(self) -> float:
        """Writes of the whole chain, shared out over its instances."""
        return sum(self.writes.values()) / self.instances


def measure(estate: Estate, instances: int, progress: Callable[[int], None]) -> ChainFigures:
    """Upload CT series before the processor starts, then follow them until every batch is accounted for."""
    contents = [
        sample.content
        for series in range(instances // _SLICES_A_SERIES)
        for sample in samples.ct_series(1_000 + series, _SLICES_A_SERIES)
    ]
    for number, content in enumerate(contents):
        estate.s3.put_object(Bucket=estate.uploads_bucket, Key=f"upload/bench/{number:06d}.dcm", Body=content)
    counter = WriteCounter(estate.front.endpoint_url)
    with (
        counter.serving(),
        estate.running(
            "chain",
            [["-m", "rayline.cli", "process"]],
            {"AWS_ENDPOINT_URL_DYNAMODB": counter.endpoint_url},
        ) as processes,
    ):
        batched, imported = _follow(estate, processes, len(contents), progress)
    return ChainFigures(
        len(contents),
        dict(counter.writes.by_table),
        counter.writes.refused,
        counter.writes.condition_checks,
        batched,
        imported,
    )


def _follow(
    estate: Estate, processes: Processes, expected: int, progress: Callable[[int], None]
) -> tuple[float, float]:
    """Seconds until every instance lay in a batch, and until the queue was empty with all of them imported."""
    started = time.monotonic()
    batched_after = 0.0
    seen = 0
    while time.monotonic() - started < _SETTLE_SECONDS:
        processes.check()
        items = list(estate.items(estate.tracking_table))
        stages = Counter(item["stage"] for item in items if item.get("type") == "instance")
        progress(stages["imported"] - seen)
        seen = stages["imported"]
        if stages.total() == expected and not batched_after:
            batched_after = time.monotonic() - started
        batches = {item["state"] for item in items if item.get("type") == "batch"}
        if stages["imported"] == expected and batches == {"accounted"} and estate.queue_is_empty():
            return batched_after, time.monotonic() - started
        time.sleep(0.25)
    raise RuntimeError(f"the chain did not end: {dict(stages)} of {expected}, batches {batches}")
