"""Every stack's graph: nothing missing, nothing dangling, no name twice, and no difference but the settings'."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.graph_proofs import (
    Elsewhere,
    dangling_references,
    dangling_urns,
    differences,
    missing_required_inputs,
    missing_values,
    shared_names,
    unused_exceptions,
)

from rayline_infra.planning import plan
from rayline_infra.planning.program import read_configuration
from rayline_infra.policies.graph import Graph, Resource

ROOT = Path(__file__).parents[2]
ACCOUNTS = {"local": "123456789012", "dev": "111111111111", "prod": "222222222222"}
#: In a pipeline's definition SageMaker's SDK writes "None" for no compression and for "do not skip", and nulls.
WORDS = frozenset(
    {
        *("S3CompressionType", "SkipModelValidation", "PipelineExperimentConfig", "MlflowConfig"),
        # Cost Explorer answers every member of an expression.
        *(f"monitorSpecification.{each}" for each in ("And", "CostCategories", "Dimensions", "Not", "Or")),
        "monitorSpecification.Tags.MatchOptions",
    }
)

ELSEWHERE = (
    Elsewhere(r"arn:aws:iam::{account}:root", "the account itself, whose administrators key policies name"),
    Elsewhere(
        r"arn:aws:iam::{account}:role/(aws-reserved/sso\.amazonaws\.com/.*|rayline-gateway-\*|rayline-deploy\*)",
        "roles of the site's own, by which its people and modalities come in",
    ),
    Elsewhere(r"arn:aws:events:[a-z0-9-]+:{account}:event-bus/default", "AWS makes the default bus"),
    Elsewhere(r"arn:aws:events:[a-z0-9-]+:{account}:replay/rayline-{stack}-\*", "people start replays"),
    Elsewhere(r"arn:aws:ec2:[a-z0-9-]+:{account}:network-interface/\*", "services make them in our subnets"),
    Elsewhere(
        r"arn:aws:logs:[a-z0-9-]+:{account}:log-group:/aws/sagemaker/.*", "SageMaker makes its log groups"
    ),
    Elsewhere(
        r"arn:aws:sagemaker:[a-z0-9-]+:{account}:(processing|training)-job/pipelines-\*",
        "executions of the pipeline make jobs",
    ),
    Elsewhere(
        r"arn:aws:sagemaker:[a-z0-9-]+:{account}:model-package/rayline-{stack}-.*",
        "versions are registered by the pipeline",
    ),
    Elsewhere(
        r"arn:aws:sagemaker:[a-z0-9-]+:{account}:(model|endpoint-config|endpoint)/rayline-{stack}(-\*)?",
        "what an endpoint would be called: the perimeter is the same with and without one",
    ),
    Elsewhere(
        r"arn:aws:s3:::prod-[a-z0-9-]+-starport-layer-bucket/\*", "ECR keeps layers in AWS's own bucket"
    ),
    Elsewhere(r"pl-3b927c52", "CloudFront's own prefix list"),
)


@pytest.fixture(params=ACCOUNTS)
def account_and_graph(request: pytest.FixtureRequest, graph_of: Callable[[str], Graph]) -> tuple[str, Graph]:
    return ACCOUNTS[request.param], graph_of(request.param)


def test_no_input_is_missing_or_unknown(graph: Graph) -> None:
    assert missing_values(graph, WORDS) == []


def test_every_type_has_its_required_inputs(graph: Graph) -> None:
    assert missing_required_inputs(graph) == []


def test_no_two_resources_share_a_physical_name(graph: Graph) -> None:
    assert shared_names(graph) == []


def test_parents_and_dependencies_are_in_the_graph(graph: Graph) -> None:
    assert dangling_urns(graph) == []


def test_every_reference_resolves(account_and_graph: tuple[str, Graph]) -> None:
    account, graph = account_and_graph
    assert dangling_references(graph, account, ELSEWHERE) == []


def test_no_exception_outlives_its_reason(graph_of: Callable[[str], Graph]) -> None:
    assert unused_exceptions([(graph_of(stack), each) for stack, each in ACCOUNTS.items()], ELSEWHERE) == []


#: The stack's name, its account, and the digests of contents that hold these: what may differ between stacks.
SAME = {
    r"(?<![A-Za-z0-9])(dev|prod)(?![A-Za-z0-9])": "STACK",
    "111111111111|222222222222": "ACCOUNT",
    r"(?<=-)[0-9a-f]{8}(?![A-Za-z0-9-])": "DIGEST",
}


def test_prod_differs_from_dev_exactly_as_its_settings_say(graph_of: Callable[[str], Graph]) -> None:
    # The account stays prod's own, also where other settings name it.
    overrides = {
        key: value.replace(ACCOUNTS["dev"], ACCOUNTS["prod"])
        for key, value in read_configuration(ROOT, "dev").items()
    }
    assert differences(plan("prod", overrides=overrides), graph_of("dev"), SAME) == []


def test_prod_with_its_own_settings_is_not_dev(graph_of: Callable[[str], Graph]) -> None:
    assert differences(graph_of("prod"), graph_of("dev"), SAME)


def changed(graph: Graph, type_token: str, **inputs: Any) -> Graph:
    """The graph with other inputs in its first resource of a type; None removes one."""
    target = graph.of_type(type_token)[0]
    kept = {name: value for name, value in {**target.inputs, **inputs}.items() if value is not REMOVED}
    mutated = replace(target, inputs=kept)
    return replace(graph, resources=tuple(mutated if each is target else each for each in graph.resources))


REMOVED = object()
TARGET = "aws:cloudwatch/eventTarget:EventTarget"
BUCKET = "aws:s3/bucket:Bucket"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "Output<T>: calling __str__ on an Output",
        "arn:aws:sqs:us-east-1:None:events",
        '{"Resource": "None"}',
        '{"Resource": null}',
        "unplanned-queue",
        "TODO",
    ],
)
def test_a_missing_value_is_found(graph_of: Callable[[str], Graph], value: str | None) -> None:
    assert missing_values(changed(graph_of("dev"), TARGET, arn=value), WORDS)


def test_a_missing_required_input_is_found(graph_of: Callable[[str], Graph]) -> None:
    found = missing_required_inputs(changed(graph_of("dev"), TARGET, arn=REMOVED))
    assert [each.rpartition(" ")[2] for each in found] == ["arn"]


def test_a_shared_name_is_found(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("dev")
    twin = replace(graph.of_type(BUCKET)[0], name="twin", urn="urn:twin")
    (found,) = shared_names(Graph(graph.stack, (*graph.resources, twin), {}))
    assert "twin" in found


def test_the_same_name_in_two_places_is_allowed() -> None:
    rule = Resource(
        "urn:1", "aws:cloudwatch/eventRule:EventRule", "one", True,
        {"name": "verified", "eventBusName": "default"}, id="default/verified",
    )  # fmt: skip
    other = replace(rule, urn="urn:2", name="two", inputs={"name": "verified", "eventBusName": "own"})
    same = replace(rule, urn="urn:3", name="three")
    assert shared_names(Graph("dev", (rule, other), {})) == []
    assert shared_names(Graph("dev", (rule, same), {}))


@pytest.mark.parametrize(
    "reference",
    [
        "arn:aws:sqs:us-east-1:111111111111:rayline-dev-event",
        "arn:aws:s3:::rayline-dev-uploads/*",
        "arn:aws:s3:::somebody-elses-bucket",
        "arn:aws:iam::111111111111:role/rayline-dev-nobody",
        "arn:aws:kms:us-east-1:111111111111:key/00000000-0000-0000-0000-000000000000",
        "arn:aws:logs:us-east-1:111111111111:log-group:/rayline/dev/nobody:*",
        "https://sqs.us-east-1.amazonaws.com/111111111111/rayline-dev-lost",
        "rayline-dev-uploads-999999999999",
        "/rayline/dev/nobody",
        "rayline/dev/nothing",
        "subnet-0123456789abcdef0",
        '{"awslogs-group": "/rayline/dev/nobody"}',
        '{"Statement": [{"Resource": ["arn:aws:dynamodb:us-east-1:111111111111:table/rayline-dev-lost"]}]}',
    ],
)
def test_a_dangling_reference_is_found(graph_of: Callable[[str], Graph], reference: str) -> None:
    graph = changed(graph_of("dev"), TARGET, input=reference)
    (found,) = dangling_references(graph, ACCOUNTS["dev"], ELSEWHERE)
    assert ".input" in found


@pytest.mark.parametrize(
    "reference",
    [
        "arn:aws:sqs:us-east-1:111111111111:rayline-dev-events",
        "arn:aws:s3:::rayline-dev-uploads-111111111111/upload/*",
        "arn:aws:s3:::rayline-dev-*-111111111111/*",
        "arn:aws:dynamodb:us-east-1:111111111111:table/rayline-dev-effects/index/*",
        "https://sqs.us-east-1.amazonaws.com/111111111111/rayline-dev-events",
        "arn:aws:sqs:us-east-1:999999999999:anothers",
        "/rayline/dev/processor",
    ],
)
def test_a_part_or_a_pattern_of_what_exists_is_no_dangling_reference(
    graph_of: Callable[[str], Graph], reference: str
) -> None:
    graph = changed(graph_of("dev"), TARGET, input=reference)
    assert dangling_references(graph, ACCOUNTS["dev"], ELSEWHERE) == []


def test_an_exception_that_nothing_needs_is_found(graph_of: Callable[[str], Graph]) -> None:
    idle = Elsewhere(r"arn:aws:nothing:.*", "nobody needs this")
    assert unused_exceptions([(graph_of("dev"), ACCOUNTS["dev"])], (idle,)) == [idle.pattern]


def test_a_dangling_parent_is_found(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("dev")
    lost = replace(graph.of_type(BUCKET)[0], parent="urn:nobody", dependencies=("urn:none",))
    assert len(dangling_urns(replace(graph, resources=(*graph.resources, lost)))) == 2


def test_a_difference_is_found(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("dev")
    assert differences(graph, graph, {}) == []
    (found,) = differences(changed(graph, TARGET, input="other"), graph, {})
    assert found.startswith(TARGET)
    fewer = replace(graph, resources=tuple(each for each in graph.resources if each.type != TARGET))
    assert len(differences(fewer, graph, {})) == len(graph.of_type(TARGET))
