"""Counts over the whole ledger: how far everything has come."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rayline.dynamodb import Item


@dataclass(frozen=True)
class LedgerCounts:
    """What the tracking table holds, by kind and state."""

    instances: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    image_sets: int = 0
    verified: int = 0
    trainings: list[str] = field(default_factory=list)
    outbox: int = 0


def count_ledger(items: Iterable[Item]) -> LedgerCounts:
    """Count a scan of the tracking table."""
    instances: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    batches: Counter[str] = Counter()
    image_sets = verified = outbox = 0
    trainings = []
    for item in items:
        outbox += "outbox_shard" in item
        match item.get("type"):
            case "instance":
                instances[item["stage"]] += 1
                if item["stage"] == "quarantined":
                    reasons[item["reason"]] += 1
            case "batch":
                batches[item["state"]] += 1
            case "image_set":
                image_sets += 1 if item.get("viewable") else 0
                verified += 1 if item.get("verified_site") else 0
            case "training":
                trainings.append(item["execution_arn"])
    return LedgerCounts(
        dict(instances), dict(reasons), dict(batches), image_sets, verified, trainings, outbox
    )
