"""What an adapter does: it knows one Pulumi type and brings one such resource about through boto3."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from botocore.exceptions import ClientError

from rayline_local.provisioner.clients import Clients

T = TypeVar("T")
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """A resource that now exists: its id, and the outputs that its inputs do not hold."""

    id: str
    outputs: dict[str, Any] = field(default_factory=dict)


class Adapter(Protocol):
    """One Pulumi type on the local cloud; inputs and outputs have Pulumi's camelCase names."""

    replaced_by: frozenset[str]
    """Inputs whose change means another resource: the old one is deleted first."""

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        """Create the resource, or bring what exists to ``inputs``; adopts one of the same name."""
        ...

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        """Whether the cloud still has it (a killed local cloud forgets)."""
        ...

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        """Remove it; one that is gone already is no error."""
        ...


AdapterFactory = Callable[[Clients], Adapter]


def tolerate(codes: Collection[str], act: Callable[[], T]) -> T | None:
    """What ``act`` answers, or None where the service answers one of these error codes."""
    try:
        return act()
    except ClientError as error:
        if error.response["Error"]["Code"] in codes:
            return None
        raise


def tag_list(inputs: Inputs, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """The ``tags`` input as the list that most services take."""
    return [{key: name, value: text} for name, text in sorted((inputs.get("tags") or {}).items())]
