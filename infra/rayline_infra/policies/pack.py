"""The controls as policies of a Pulumi policy pack, over the graph that Pulumi's engine knows."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pulumi_policy import (
    PolicyComplianceFramework,
    PolicyResource,
    ReportViolation,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
)

from rayline_infra.policies.controls import CONTROLS, Control
from rayline_infra.policies.controls.exemptions import exempt
from rayline_infra.policies.graph import Graph, Resource

# What Pulumi does not tell a policy pack; `rayline check` asks these.
NOT_TOLD: Mapping[str, str] = {"DEL-5": "a policy pack learns of protect, and not of retainOnDelete"}


def stack_policies() -> tuple[StackValidationPolicy, ...]:
    """A mandatory policy for each control.

    Before a first deployment the engine knows no ARNs yet and says of each policy that it cannot be run; it runs
    them after the update. ``rayline check`` plans the ARNs and answers at once.
    """
    return tuple(_policy(control) for control in CONTROLS if control.id not in NOT_TOLD)


def graph_of(args: StackValidationArgs) -> Graph:
    """The graph of the resources that the engine hands to a stack policy."""
    resources = tuple(_resource(each) for each in args.resources)
    stack = resources[0].urn.split(":")[2] if resources else ""
    return Graph(stack, resources, {})


def _policy(control: Control) -> StackValidationPolicy:
    slug = re.sub(r"[^a-z0-9]+", "-", control.title.lower()).strip("-")
    return StackValidationPolicy(
        name=f"{control.id.lower()}-{slug}",
        description=f"{control.title} (45 CFR {', '.join(control.rules)})",
        validate=_validate(control),
        display_name=f"{control.id} {control.title}",
        severity=Severity(control.severity),
        framework=PolicyComplianceFramework(name="HIPAA", reference=", ".join(control.rules)),
    )


def _validate(control: Control) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report_violation: ReportViolation) -> None:
        graph = graph_of(args)
        for finding in exempt(control.findings(graph), graph.stack):
            if not finding.accepted:
                report_violation(f"{finding.resource}: {finding.setting}", finding.urn or None)

    return validate


def _resource(told: PolicyResource) -> Resource:
    properties: dict[str, Any] = _plain(told.props)
    return Resource(
        urn=told.urn,
        type=told.resource_type,
        name=told.name,
        custom=not told.resource_type.startswith("rayline:"),
        inputs=properties,
        outputs=properties,
        parent=told.parent.urn if told.parent else "",
        dependencies=tuple(each.urn for each in told.dependencies),
        protect=told.opts.protect,
        id=str(properties.get("id", "")),
    )


def _plain(value: Any) -> Any:
    """A copy without the engine's proxies, which raise where a value is not known yet."""
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
