"""Waiting for a stage to end, with a clear word on where it stands when it does not."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rayline.errors import RaylineError
from rayline.names import EstateNames, RuleKind
from rayline_local.running import RunningFront
from rayline_local.tasks import root_client

POLL_SECONDS = 0.5

T = TypeVar("T")


class StageStalled(RaylineError):
    """A stage made no progress for too long.

    Attributes:
        stage: the stage's name.
    """

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


@dataclass(frozen=True)
class StageWait:
    """How to wait for one stage.

    Attributes:
        stage: name, as people see it.
        rule: the EventBridge rule whose events drive the stage.
        patience_seconds: longest time without any change.
    """

    stage: str
    rule: RuleKind
    patience_seconds: float


def rule_state(front: RunningFront, kind: RuleKind) -> str:
    """ENABLED or DISABLED, as EventBridge says, or MISSING."""
    names = EstateNames(front.stack, front.account_id, front.region)
    events = root_client(front, "events")
    bus = names.event_bus if kind == "verified" else "default"
    try:
        return str(events.describe_rule(Name=names.rule(kind), EventBusName=bus)["State"])
    except events.exceptions.ResourceNotFoundException:
        return "MISSING"


def wait_for(
    front: RunningFront,
    wait: StageWait,
    look: Callable[[], tuple[Any, T | None]],
) -> T:
    """Look until there is an answer.

    Args:
        look: gives what is seen now, whose change counts as progress, and the answer or None.

    Raises:
        StageStalled: nothing changed for ``patience_seconds``; the message names the stage and its rule's state.
    """
    seen: Any = None
    changed_at = time.monotonic()
    while True:
        now_seen, answer = look()
        if answer is not None:
            return answer
        if now_seen != seen:
            seen, changed_at = now_seen, time.monotonic()
        if time.monotonic() - changed_at > wait.patience_seconds:
            state = rule_state(front, wait.rule)
            names = EstateNames(front.stack, front.account_id, front.region)
            raise StageStalled(
                wait.stage,
                f"stage '{wait.stage}' saw no progress for {wait.patience_seconds:g} s; its events come by the "
                f"rule {names.rule(wait.rule)}, which is {state}"
                + ("" if state == "ENABLED" else "; enable it, or apply the estate again"),
            )
        time.sleep(POLL_SECONDS)
