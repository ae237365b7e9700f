"""Least privilege: what the estate's roles are granted, held against what their calls have used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rayline_infra.policies.controls.wiring_keys import NEEDED
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import holdings
from rayline_infra.policies.patterns import matches, overlaps
from rayline_infra.policies.unobserved import UNOBSERVED, Unobserved
from rayline_local.estate_environment import ESTATE_FILE
from rayline_local.front.observed_grants import Grant, ObservedGrants
from rayline_local.front.services import GRANTS_FILE
from rayline_local.provisioner.state import EstateState, Provisioned

ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"


@dataclass(frozen=True, order=True)
class Cell:
    """One cell of a policy, by the kind of its role; runs give a cell the same name, if not the same ARN."""

    role: str
    sid: str
    action: str
    position: int


@dataclass(frozen=True)
class Run:
    """One local cloud's estate, and the grants that its calls have used."""

    estate: Graph
    observed: Sequence[Grant]

    @classmethod
    def load(cls, folder: Path) -> Run:
        """The run of a state folder."""
        path = folder / ESTATE_FILE
        state = EstateState.load(path, json.loads(path.read_text())["stack"])
        resources = tuple(_resource(each) for each in state.resources.values())
        return cls(Graph(state.stack, resources, state.outputs), ObservedGrants(folder / GRANTS_FILE).all())


@dataclass(frozen=True)
class Review:
    """What became of every grant.

    Attributes:
        granted: the resource pattern of every cell.
        explained: cells that no call used, and why they stay.
        unexplained: cells that no call used, and nobody says why.
        stale: reasons for cells that are used, or not granted.
    """

    granted: Mapping[Cell, str]
    used: frozenset[Cell]
    explained: Mapping[Cell, str]
    unexplained: Sequence[Cell]
    stale: Sequence[Unobserved]


def review(runs: Sequence[Run]) -> Review:
    """Hold the grants of the same estate against what was used in any of its runs."""
    allowed: dict[Cell, str] = {}
    worked: set[Cell] = set()
    for run in runs:
        allowed.update(granted(run.estate))
        worked |= used(run)
    idle = sorted(set(allowed) - worked)
    reasons = {
        cell: each for cell in idle for each in UNOBSERVED if each.covers(cell.role, cell.sid, cell.action)
    }
    return Review(
        granted=allowed,
        used=frozenset(worked),
        explained={cell: reasons[cell].reason for cell in idle if cell in reasons},
        unexplained=[cell for cell in idle if cell not in reasons],
        stale=[each for each in UNOBSERVED if each not in reasons.values()],
    )


def granted(estate: Graph) -> dict[Cell, str]:
    """Every cell that the roles' policies allow, and the resource pattern that it stands for."""
    return {
        Cell(_kind(str(policy.inputs["role"]), estate), statement["Sid"], action, position): resource
        for policy in estate.of_type(ROLE_POLICY)
        for statement in json.loads(policy.inputs["policy"])["Statement"]
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
        for position, resource in enumerate(statement["Resource"])
    }


def used(run: Run) -> set[Cell]:
    """The cells that allowed a call, and those that the services which were called need of KMS.

    The local cloud's services ask nothing of KMS; AWS's ask it in their caller's name.
    """
    held = [each for each in holdings(run.estate) if each.key_arn]
    seen = {(_kind(each.role, run.estate), each.sid, each.action, each.resource) for each in run.observed}
    needed = {
        (role, action, each.key_arn)
        for role, _, called, resource in seen
        for action in NEEDED.get(called, ())
        for each in held
        if any(overlaps(arn, resource) for arn in each.arns)
    }
    return {
        cell
        for cell, resource in granted(run.estate).items()
        if (cell.role, cell.sid, cell.action, resource) in seen
        or any(
            (cell.role, resource) == (role, key) and matches(cell.action, action)
            for role, action, key in needed
        )
    }


def _kind(role: str, estate: Graph) -> str:
    return role.removeprefix(f"rayline-{estate.stack}-")


def _resource(each: Provisioned) -> Resource:
    return Resource(
        urn=each.urn,
        type=each.type,
        name=each.name,
        custom=True,
        inputs=each.inputs,
        outputs={**each.inputs, **each.outputs},
        parent=each.parent,
        dependencies=each.dependencies,
        protect=each.protect,
        retain_on_delete=each.retain_on_delete,
    )
