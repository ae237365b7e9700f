"""A backend that only plans: it answers the outputs that AWS would invent, so that no cloud is needed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rayline_infra.planning.outputs import Place, invent
from rayline_infra.policies.graph import Resource


class Planner:
    """Records every resource with its planned id and outputs."""

    def __init__(self, account_id: str, region: str) -> None:
        self.resources: list[Resource] = []
        self._place = Place(account_id, region)

    def register(self, resource: Resource, plain_inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Record a resource and answer its planned outputs.

        Raises:
            ProgramError: an output is made of an input that the program does not give.
        """
        identity, added = invent(resource.type, resource.name, plain_inputs, self._place)
        outputs = {**resource.inputs, **added}
        self.resources.append(replace(resource, id=identity, outputs=outputs))
        return identity, {**plain_inputs, **added}
