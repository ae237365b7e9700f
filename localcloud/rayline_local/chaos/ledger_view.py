"""What the processor's ledgers say, to be held against the receivers; and how much is left to do."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rayline.dynamodb import Item, scan
from rayline.effects import FINAL_STATES
from rayline.names import EstateNames
from rayline_local.chaos.plan import Target
from rayline_local.running import RunningFront
from rayline_local.tasks import root_client

_WAITING: Final = ("", "NotVisible", "Delayed")

_READ: Final = (
    *("type", "instance_id", "stage", "sop_instance_uid", "image_set_id", "reason", "batch_id", "state"),
    *("outbox_shard", "execution_arn", "verified_site"),
)


@dataclass(frozen=True)
class LedgerInstance:
    """The ledger's word on one received object version."""

    instance_id: str
    stage: str
    sop_instance_uid: str = ""
    image_set_id: str = ""
    reason: str = ""
    batch_id: str = ""


@dataclass(frozen=True)
class Ledger:
    """The ledgers at one moment.

    Attributes:
        open_effects: per effect name and state, those that have not ended.
        forwarded_jobs: import events whose forwarding is on record as done.
        messages: messages in the queue, visible or not; ``dead_letters`` those in the dead-letter queue.
    """

    instances: Mapping[str, LedgerInstance] = field(default_factory=dict)
    open_effects: Mapping[str, int] = field(default_factory=dict)
    effects: int = 0
    batches: Mapping[str, str] = field(default_factory=dict)
    unsent: int = 0
    trainings: Sequence[str] = ()
    evaluated: Sequence[str] = ()
    verified: int = 0
    messages: int = 0
    dead_letters: int = 0

    @property
    def unfinished(self) -> int:
        """Effects that have begun and not ended."""
        return sum(self.open_effects.values())

    @property
    def settled(self) -> int:
        """Received object versions on which the intake has decided."""
        return len(self.instances)

    def quiet(self) -> bool:
        """Whether nothing is left to do, as far as the ledgers and the queue know."""
        return (
            self.messages == 0
            and self.unfinished == 0
            and self.unsent == 0
            and set(self.batches.values()) <= {"accounted"}
        )

    def progress(self) -> tuple[Any, ...]:
        """What changes while work goes on."""
        return (
            self.settled,
            self.effects,
            tuple(sorted(self.open_effects.items())),
            tuple(sorted(self.batches.values())),
            self.unsent,
            self.messages,
            self.verified,
        )


class LedgerView:
    """Reads the tables and the queue with the account's root key."""

    def __init__(self, front: RunningFront) -> None:
        self._names = EstateNames(front.stack, front.account_id, front.region)
        self._dynamodb = root_client(front, "dynamodb")
        self._sqs = root_client(front, "sqs")
        self.queue_url: str = self._sqs.get_queue_url(QueueName=self._names.queue)["QueueUrl"]
        self._dead_letter_url: str = self._sqs.get_queue_url(QueueName=self._names.dead_letter_queue)[
            "QueueUrl"
        ]

    def unfinished(self, target: Target = "any") -> int:
        """Effects that have begun and not ended, or import batches that are sealed and not started."""
        if target == "sealed batch":
            items = scan(self._dynamodb, self._names.image_tracking_table, attributes=("type", "state"))
            return sum(item.get("type") == "batch" and item["state"] == "sealed" for item in items)
        effects, _ = self._open_effects()
        return sum(count for name, count in effects.items() if target == "any" or name.startswith(target))

    def read(self) -> Ledger:
        """Everything."""
        open_effects, effects = self._open_effects()
        items = list(scan(self._dynamodb, self._names.image_tracking_table, attributes=_READ))
        return Ledger(
            instances={
                item["instance_id"]: _instance(item) for item in items if item.get("type") == "instance"
            },
            open_effects=open_effects,
            effects=effects,
            batches={item["batch_id"]: item["state"] for item in items if item.get("type") == "batch"},
            unsent=sum("outbox_shard" in item for item in items),
            trainings=[item["execution_arn"] for item in items if item.get("type") == "training"],
            evaluated=[
                item["execution_arn"] for item in scan(self._dynamodb, self._names.table("model-metrics"))
            ],
            verified=sum("verified_site" in item for item in items if item.get("type") == "image_set"),
            messages=self._count(self.queue_url),
            dead_letters=self._count(self._dead_letter_url),
        )

    def _open_effects(self) -> tuple[dict[str, int], int]:
        return count_effects(scan(self._dynamodb, self._names.effects_table, ConsistentRead=True))

    def _count(self, url: str) -> int:
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in _WAITING]
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(answer[name]) for name in names)


def count_effects(items: Iterable[Item]) -> tuple[dict[str, int], int]:
    """Effects that have not ended, by name and state, and the number of all."""
    found: Counter[str] = Counter()
    count = 0
    for item in items:
        for name, effect in item.items():
            # Screening and transforming are no effects: a crash in them is marked, and never ended.
            if name.startswith("on_") and isinstance(effect, dict):
                count += 1
                if effect["state"] not in FINAL_STATES:
                    found[f"{name} {effect['state']}"] += 1
    return dict(found), count


def _instance(item: Item) -> LedgerInstance:
    return LedgerInstance(
        item["instance_id"],
        item["stage"],
        item.get("sop_instance_uid", ""),
        item.get("image_set_id", ""),
        item.get("reason", ""),
        item.get("batch_id", ""),
    )
