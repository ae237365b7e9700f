"""Waits until what was just deployed runs: a service takes minutes to bring its new tasks up."""

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rayline_infra.validation.account import Account

POLL_SECONDS = 5.0


def settle(
    account: Account,
    seconds: float,
    *,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until no service of the stack is being deployed, at most so long; their readers say what became of it.

    Args:
        tell: receives one line where there is something to wait for.
    """
    deadline = clock() + seconds
    told = False
    while (busy := _being_deployed(account)) and clock() < deadline:
        if not told:
            tell(f"waiting for {', '.join(busy)}")
            told = True
        pause(POLL_SECONDS)


def _being_deployed(account: Account) -> list[str]:
    services = account.graph.of_type("aws:ecs/service:Service")
    return [each.inputs["name"] for each in services if _unsettled(account, each.inputs)]


def _unsettled(account: Account, inputs: Any) -> bool:
    ecs = account.client("ecs")
    try:
        found = ecs.describe_services(cluster=inputs["cluster"], services=[inputs["name"]])["services"]
    except (BotoCoreError, ClientError):
        # Its reader says what is wrong.
        return False
    deployments = found[0].get("deployments", ()) if found else ()
    return any(each.get("rolloutState") == "IN_PROGRESS" for each in deployments)
