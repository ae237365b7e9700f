"""What a changed setting, or a commitment, would save: the stack is planned and priced again with it."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rayline_infra.costing.estimate import Estimate, estimate
from rayline_infra.policies.graph import Graph

Replan = Callable[[Mapping[str, str]], Graph]
"""Plans the stack again with settings that replace its file's."""


@dataclass(frozen=True)
class Change:
    """A setting that would cost less, and what is given up for that."""

    title: str
    settings: Mapping[str, str]
    given_up: str


@dataclass(frozen=True)
class Saving:
    """What a change saves in a month; one that is ``taken`` already is worth what it would cost to leave it."""

    title: str
    usd: float
    given_up: str
    taken: bool = False


CHANGES: tuple[Change, ...] = (
    Change(
        "interface endpoints in one zone",
        {"rayline:endpointZones": "1"},
        "an outage of that zone cuts every task off from AWS",
    ),
    Change(
        "no SageMaker endpoint", {"rayline:endpoint": "false"}, "no predictions on request, no drift monitor"
    ),
    Change(
        "one endpoint instance",
        {"rayline:endpointLeastInstances": "1"},
        "predictions stop while its zone is down",
    ),
    Change(
        "one task of each service",
        {"rayline:processorLeastTasks": "1", "rayline:apiLeastTasks": "1", "rayline:gatewayTasks": "1"},
        "a service pauses while its task is replaced",
    ),
    Change(
        "a processor task of 1 vCPU and 4 GB",
        {"rayline:processorCpuUnits": "1024", "rayline:processorMemoryMib": "4096", "rayline:workers": "2"},
        "a study takes longer; scaling adds tasks",
    ),
    Change("training on Spot", {"rayline:trainingSpot": "true"}, "a training may be interrupted and resumed"),
    Change(
        "bursts on Fargate Spot",
        {"rayline:processorSpot": "true"},
        "a task may be interrupted; events survive",
    ),
    Change("logs for 7 days", {"rayline:logRetentionDays": "7"}, "older logs are only in the audit buckets"),
    Change("flow logs for 30 days", {"rayline:flowLogDays": "30"}, "older connections cannot be looked up"),
    Change(
        "no copy in another region",
        {"rayline:replicaRegion": ""},
        "models, reports and originals are in one region",
    ),
    Change(
        "no archive of the originals",
        {"rayline:originalArchive": "false"},
        "originals end with their retention",
    ),
    Change(
        "tiering after 30 days, Glacier after 90",
        {"rayline:intelligentTieringDays": "30", "rayline:glacierDays": "90"},
        "what lies in Glacier is read within hours",
    ),
)
# Settings that undo a change which a stack has taken, to say what it is worth.
UNDONE: Mapping[str, Mapping[str, str]] = {
    "training on Spot": {"rayline:trainingSpot": "false"},
    "bursts on Fargate Spot": {"rayline:processorSpot": "false"},
    "interface endpoints in one zone": {"rayline:endpointZones": "3"},
    "no SageMaker endpoint": {"rayline:endpoint": "true"},
}
COMMITMENTS: tuple[tuple[str, str], ...] = (
    ("fargate.", "fargate.savings_plan"),
    ("sagemaker.ml.", "sagemaker.savings_plan"),
)


def savings(current: Estimate, graph: Graph, configured: Mapping[str, str], replan: Replan) -> list[Saving]:
    """Every change that moves the total by a cent or more, the largest first; those already taken last.

    Args:
        configured: the stack's settings as its file says them.
        replan: plans the stack again; called from several threads.
    """
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = [
            *pool.map(lambda change: _changed(change, current, configured, replan), CHANGES),
            *(_committed(prefix, discount, current, graph) for prefix, discount in COMMITMENTS),
        ]
    return sorted(
        (each for each in found if each is not None and abs(each.usd) >= 0.01),
        key=lambda saving: (saving.taken, -saving.usd),
    )


def _changed(
    change: Change, current: Estimate, configured: Mapping[str, str], replan: Replan
) -> Saving | None:
    taken = all(configured.get(name) == value for name, value in change.settings.items())
    if taken and change.title not in UNDONE:
        return None
    settings = UNDONE[change.title] if taken else change.settings
    other = estimate(replan(settings), current.usage, current.prices).total
    usd = other - current.total if taken else current.total - other
    return Saving(change.title, usd, change.given_up, taken)


def _committed(prefix: str, discount: str, current: Estimate, graph: Graph) -> Saving:
    found = current.prices.discounts[discount]
    # Spot is not covered by a commitment, so only what is paid in full is taken off.
    reduced = estimate(graph, current.usage, current.prices.reduced(prefix, discount))
    spot = sum(line.usd for line in current.lines if "Spot" in line.what)
    spot_reduced = sum(line.usd for line in reduced.lines if "Spot" in line.what)
    usd = (current.total - spot) - (reduced.total - spot_reduced)
    return Saving(found.meaning, usd, "the commitment is paid whether it is used or not")


def largest(found: Sequence[Saving], count: int) -> list[Saving]:
    """The largest savings that are not taken yet."""
    return [each for each in found if not each.taken and each.usd > 0][:count]
