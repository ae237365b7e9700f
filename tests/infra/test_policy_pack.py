"""The Pulumi policy pack: the controls as policies, over what the engine would hand them."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi_policy
import pytest
import yaml
from google.protobuf import struct_pb2
from pulumi.runtime.proto import analyzer_pb2
from pulumi.runtime.rpc import UNKNOWN
from pulumi_policy import PolicyCustomTimeouts, PolicyResource, PolicyResourceOptions, StackValidationArgs
from pulumi_policy.policy import _PolicyAnalyzerServicer
from support.control_case import Case
from support.control_cases import data_at_rest
from support.small_graphs import bucket, edited, graph, without

from rayline_infra.policies.controls import CONTROLS
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.pack import NOT_TOLD, graph_of, stack_policies

PACK = Path(__file__).parents[2] / "infra" / "policy_pack"
POLICIES = {policy.display_name.split()[0]: policy for policy in stack_policies()}


def told(graph: Graph) -> StackValidationArgs:
    """What the engine would hand to a stack policy after an update."""
    return StackValidationArgs(
        [
            PolicyResource(
                each.type,
                {**each.inputs, **each.outputs, **({"id": each.id} if each.id else {})},
                each.urn,
                each.name,
                PolicyResourceOptions(each.protect, [], None, [], PolicyCustomTimeouts(0, 0, 0), []),
                None,
                None,
                [],
                {},
            )
            for each in graph.resources
        ]
    )


def violations(control: str, graph: Graph) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    POLICIES[control].validate(told(graph), lambda message, urn=None: found.append((message, urn)))
    return found


def test_every_control_is_a_policy_but_those_that_the_engine_says_nothing_of() -> None:
    assert set(POLICIES) == {control.id for control in CONTROLS} - set(NOT_TOLD)
    for control in CONTROLS:
        if control.id in POLICIES:
            assert control.rules[0] in POLICIES[control.id].description


TOLD_CASES = [case for case in data_at_rest.cases() if case.control not in NOT_TOLD]


@pytest.mark.parametrize("case", TOLD_CASES, ids=str)
def test_a_policy_reports_what_breaks_its_control_and_nothing_else(case: Case) -> None:
    assert violations(case.control, case.good) == []
    assert violations(case.control, case.bad)[0][0].startswith(f"{case.broken}: ")


def test_the_stack_is_told_by_its_resources(graph_of_stack: Graph) -> None:
    assert graph_of(told(graph_of_stack)).stack == "prod"


def test_production_passes_and_a_bucket_without_a_policy_does_not(graph_of_stack: Graph) -> None:
    assert violations("TLS-1", graph_of_stack) == []
    lacking = without(graph_of_stack, "aws:s3/bucketPolicy:BucketPolicy", "models-policy")
    bucket = graph_of_stack.named("aws:s3/bucket:Bucket", "models")
    assert violations("TLS-1", lacking) == [("models: requests without TLS are taken", bucket.urn)]


def test_what_the_engine_adds_to_a_resource_of_its_own_is_no_breach(graph_of_stack: Graph) -> None:
    # In its state lists that nobody gave are null, a role tells of a policy that is empty, a table of its routes.
    def with_nulls(inputs: dict[str, Any]) -> None:
        for selector in inputs["advancedEventSelectors"]:
            for each in selector["fieldSelectors"]:
                each.update({name: each.get(name) for name in ("equals", "startsWiths", "notEquals")})

    found = edited(graph_of_stack, "aws:cloudtrail/trail:Trail", "data-trail", with_nulls)
    empty = {"inlinePolicies": [{"name": "", "policy": ""}], "managedPolicyArns": []}
    found = edited(found, "aws:iam/role:Role", "training-role", lambda inputs: inputs.update(empty))
    within = {"routes": [{"cidrBlock": "10.1.0.0/16", "gatewayId": "", "transitGatewayId": "tgw-1"}]}
    table = found.of_type("aws:ec2/routeTable:RouteTable")[0].name
    found = edited(found, "aws:ec2/routeTable:RouteTable", table, lambda inputs: inputs.update(within))
    for control in ("LOG-1", "LOG-2", "IAM-1", "IAM-2", "IAM-3", "ZON-2", "NET-3", "NET-5"):
        assert violations(control, found) == []


@pytest.fixture
def graph_of_stack(graph_of: Callable[[str], Graph]) -> Graph:
    return graph_of("prod")


def asked(graph: Graph) -> list[tuple[str, str, str]]:
    """What the pack answers when the engine asks it over its protocol: policy, resource, message."""
    servicer = _PolicyAnalyzerServicer(
        "rayline-hipaa", "0.1.0", list(POLICIES.values()), pulumi_policy.EnforcementLevel.MANDATORY
    )
    resources = []
    for each in graph.resources:
        properties = struct_pb2.Struct()
        properties.update({**each.inputs, **each.outputs, "id": each.id})
        options = analyzer_pb2.AnalyzerResourceOptions(protect=each.protect)
        resources.append(
            analyzer_pb2.AnalyzerResource(
                type=each.type,
                properties=properties,
                urn=each.urn,
                name=each.name,
                options=options,
                parent=each.parent,
            )
        )
    answer = servicer.AnalyzeStack(analyzer_pb2.AnalyzeStackRequest(resources=resources), None)
    return [(each.policyName, each.urn, each.message) for each in answer.diagnostics]


def test_the_engine_gets_the_same_answers_over_its_protocol(graph_of_stack: Graph) -> None:
    assert asked(graph_of_stack) == []
    lacking = without(graph_of_stack, "aws:kms/alias:Alias", "logs-key-alias")
    assert asked(lacking) == []
    unprotected = edited(
        graph_of_stack, "aws:dynamodb/table:Table", "effects-table", lambda i: i.pop("pointInTimeRecovery")
    )
    ((policy, urn, message),) = asked(unprotected)
    assert policy.startswith("bak-1-")
    assert urn == graph_of_stack.named("aws:dynamodb/table:Table", "effects-table").urn
    assert "pointInTimeRecovery.enabled = False" in message


def test_what_is_not_known_before_a_first_update_is_said_to_be_not_known() -> None:
    bucket_of_tomorrow = bucket("uploads", bucket=UNKNOWN)
    answers = asked(graph(bucket_of_tomorrow))
    assert len(answers) == len(POLICIES)
    assert all("can't run policy" in message and "during preview" in message for _, _, message in answers)


def test_the_pack_that_pulumi_runs_holds_these_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    monkeypatch.setattr(
        pulumi_policy, "PolicyPack", lambda name, **options: made.update({"name": name, **options})
    )
    runpy.run_path(str(PACK / "__main__.py"), run_name="__main__")
    settings = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    assert made["name"] == settings["name"]
    assert settings["runtime"] == "python"
    assert {policy.name for policy in made["policies"]} == {policy.name for policy in POLICIES.values()}
    assert made["enforcement_level"] == pulumi_policy.EnforcementLevel.MANDATORY
