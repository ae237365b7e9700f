"""What each role may do: the least that its work needs, on this stack's resources only."""

from collections.abc import Callable, Mapping, Sequence

from rayline.names import EstateNames, RoleKind
from rayline_infra.policies.documents import Statement, document
from rayline_infra.policies.roles.delivery import flow_logs
from rayline_infra.policies.roles.execution import execution
from rayline_infra.policies.roles.importing import importing
from rayline_infra.policies.roles.people import operator, reviewer, uploader
from rayline_infra.policies.roles.pieces import Granted
from rayline_infra.policies.roles.processor import processor
from rayline_infra.policies.roles.services import api, gateway
from rayline_infra.policies.roles.serving import endpoint
from rayline_infra.policies.roles.training import training

__all__ = ["ROLE_KINDS", "Granted", "role_policy"]

_POLICIES: Mapping[RoleKind, Callable[[EstateNames, Granted], Sequence[Statement]]] = {
    "processor": processor,
    "api": api,
    "gateway": gateway,
    "execution": execution,
    "import": importing,
    "training": training,
    "endpoint": endpoint,
    "operator": operator,
    "reviewer": reviewer,
    "uploader": uploader,
    "flow-logs": flow_logs,
}
ROLE_KINDS: tuple[RoleKind, ...] = tuple(_POLICIES)


def role_policy(kind: RoleKind, names: EstateNames, granted: Granted) -> str:
    """The one policy of a role, as JSON."""
    return document(*_POLICIES[kind](names, granted))
