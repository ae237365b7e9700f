"""The controls: the estate keeps each of them, and each speaks up when it is broken."""

import json
from collections.abc import Callable

import pytest
from support.control_case import Case
from support.control_cases import access, data_at_rest, network, running, wiring
from support.small_graphs import edited, without

from rayline_infra.policies.controls import CONTROLS, check
from rayline_infra.policies.controls.exemptions import EXEMPTIONS, unused
from rayline_infra.policies.controls.hipaa import RULES
from rayline_infra.policies.graph import Graph

BY_ID = {control.id: control for control in CONTROLS}
CASES = [case for module in (access, data_at_rest, network, running, wiring) for case in module.cases()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_control_passes_what_keeps_it_and_finds_what_breaks_it(case: Case) -> None:
    control = BY_ID[case.control]
    kept = list(control.findings(case.good))
    assert kept
    assert [each for each in kept if not each.passed] == []
    broken = [each.resource for each in control.findings(case.bad) if not each.passed]
    assert case.broken in broken
    assert set(broken) == {case.broken} or not case.bad.resources


def test_every_control_has_a_case() -> None:
    assert {case.control for case in CASES} == set(BY_ID)
    assert len(BY_ID) == len(CONTROLS)


def test_the_estate_keeps_every_control(graph: Graph) -> None:
    broken = [each for each in check(graph) if not each.accepted]
    assert [f"{each.control} {each.resource}: {each.setting}" for each in broken] == []


def test_a_site_that_decides_otherwise_keeps_every_control_too(otherwise: Graph) -> None:
    broken = [each for each in check(otherwise) if not each.accepted]
    assert [f"{each.control} {each.resource}: {each.setting}" for each in broken] == []


def test_every_control_finds_something_to_look_at_in_production(graph_of: Callable[[str], Graph]) -> None:
    # A control that looks at nothing would pass whatever is declared.
    looked_at = {each.control for each in check(graph_of("prod"))}
    assert set(BY_ID) - looked_at == set(NOTHING_TO_LOOK_AT)


NOTHING_TO_LOOK_AT = {
    "PUB-4": "production serves no model until something calls it",
    "WIR-8": "every event target is a queue or a topic",
}


def test_production_is_exempt_from_nothing() -> None:
    assert {each.stack for each in EXEMPTIONS} <= {"local", "dev"}
    assert all(each.control in BY_ID and len(each.reason) > 20 for each in EXEMPTIONS)


def test_every_exemption_is_needed(graph: Graph) -> None:
    findings = [finding for control in CONTROLS for finding in control.findings(graph)]
    assert unused(findings, graph.stack) == ()


def test_every_control_cites_a_rule_and_every_rule_is_served() -> None:
    assert {rule for control in CONTROLS for rule in control.rules} == set(RULES)


@pytest.mark.parametrize(
    ("type_token", "name", "control"),
    [
        ("aws:s3/bucketPolicy:BucketPolicy", "uploads-policy", "TLS-1"),
        ("aws:sqs/queuePolicy:QueuePolicy", "queue-policy", "WIR-1"),
        ("aws:sns/topicPolicy:TopicPolicy", "alarm-topic-policy", "WIR-1"),
        ("aws:iam/rolePolicy:RolePolicy", "execution-policy", "WIR-7"),
        ("aws:s3/bucketVersioning:BucketVersioning", "models-versioning", "BAK-2"),
    ],
)
def test_a_resource_that_goes_missing_is_found(
    graph_of: Callable[[str], Graph], type_token: str, name: str, control: str
) -> None:
    lacking = without(graph_of("prod"), type_token, name)
    assert [each for each in BY_ID[control].findings(lacking) if not each.passed]


@pytest.mark.parametrize("kind", ["identified", "deidentified", "tracking", "logs", "secrets"])
def test_a_key_that_forgets_its_users_is_found(graph_of: Callable[[str], Graph], kind: str) -> None:
    administration_only = edited(graph_of("prod"), "aws:kms/key:Key", f"{kind}-key", _forget)
    controls = [BY_ID["KEY-1"], BY_ID["WIR-2"]]
    assert [each for control in controls for each in control.findings(administration_only) if not each.passed]


def _forget(inputs: dict[str, str]) -> None:
    policy = json.loads(inputs["policy"])
    policy["Statement"] = policy["Statement"][:1]
    inputs["policy"] = json.dumps(policy)
