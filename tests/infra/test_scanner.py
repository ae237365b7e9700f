"""The estate as an independent scanner sees it: rendered faithfully, judged, and nothing left without a reason."""

import dataclasses
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from support.small_graphs import (
    bucket,
    bucket_policy,
    edited,
    encryption,
    graph,
    key,
    key_arn,
    made,
    queue,
    without,
)
from typer.testing import CliRunner

from rayline.errors import ConfigurationError
from rayline_infra.commands import scan as verb
from rayline_infra.commands.scan import summary
from rayline_infra.policies.graph import Graph
from rayline_infra.scanning.checkov import SCANNER, Complaint, Scan, scan
from rayline_infra.scanning.exemptions import ScannerExemption, declared
from rayline_infra.scanning.terraform_names import attribute_name, singular, terraform_type
from rayline_infra.scanning.terraform_plan import terraform_plan

REPOSITORY = Path(__file__).parents[2]
CHECKOV = REPOSITORY / SCANNER
# The local stack is the dev stack in what the scanner looks at.
STACKS = ("prod", "dev")


# From the Terraform registry, hashicorp/aws.
@pytest.mark.parametrize(
    ("token", "terraform"),
    [
        ("aws:s3/bucket:Bucket", "aws_s3_bucket"),
        ("aws:s3/bucketReplicationConfig:BucketReplicationConfig", "aws_s3_bucket_replication_configuration"),
        ("aws:ec2/securityGroup:SecurityGroup", "aws_security_group"),
        ("aws:ec2/vpcEndpoint:VpcEndpoint", "aws_vpc_endpoint"),
        ("aws:ec2transitgateway/vpcAttachment:VpcAttachment", "aws_ec2_transit_gateway_vpc_attachment"),
        (
            "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
            "aws_vpc_security_group_ingress_rule",
        ),
        ("aws:lb/loadBalancer:LoadBalancer", "aws_lb"),
        ("aws:lb/listener:Listener", "aws_lb_listener"),
        ("aws:cloudwatch/eventRule:EventRule", "aws_cloudwatch_event_rule"),
        ("aws:cloudtrail/trail:Trail", "aws_cloudtrail"),
        ("aws:cfg/recorder:Recorder", "aws_config_configuration_recorder"),
        ("aws:dynamodb/table:Table", "aws_dynamodb_table"),
        ("aws:cloudcontrol/resource:Resource", "aws_cloudcontrolapi_resource"),
        ("aws:wafv2/webAcl:WebAcl", "aws_wafv2_web_acl"),
    ],
)
def test_types_are_terraforms(token: str, terraform: str) -> None:
    assert terraform_type(token) == terraform


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("rules", "rule"),
        ("orderedCacheBehaviors", "ordered_cache_behavior"),
        ("globalSecondaryIndexes", "global_secondary_index"),
        ("capacityProviderStrategies", "capacity_provider_strategy"),
        ("ingress", "ingress"),
    ],
)
def test_lists_of_blocks_are_singular(plural: str, one: str) -> None:
    assert attribute_name("aws_any", plural, block_list=True) == one
    assert singular(one) == one or one.endswith("s")


def test_lists_of_values_keep_their_name() -> None:
    assert attribute_name("aws_lb", "securityGroups", block_list=False) == "security_groups"


def rendered(found: Graph) -> tuple[dict[str, Any], dict[str, Any]]:
    plan = terraform_plan(found)
    values = {each["address"]: each["values"] for each in plan["planned_values"]["root_module"]["resources"]}
    references = {
        each["address"]: each["expressions"] for each in plan["configuration"]["root_module"]["resources"]
    }
    return values, references


def test_what_configures_a_bucket_refers_to_it_and_what_names_a_key_keeps_the_name_too() -> None:
    found = graph(
        key("identified"), bucket("uploads"), encryption("uploads", "identified"), bucket_policy("uploads")
    )
    values, references = rendered(found)
    child = "aws_s3_bucket_server_side_encryption_configuration.uploads-encryption"
    assert "bucket" not in values[child]
    assert "aws_s3_bucket.uploads" in references[child]["bucket"]["references"]
    assert (
        "aws_s3_bucket.uploads" in references["aws_s3_bucket_policy.uploads-policy"]["bucket"]["references"]
    )
    (rule,) = values[child]["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert default["kms_master_key_id"] == key_arn("identified")
    assert "aws_kms_key.identified-key" in references[child]["rule"]["references"]


def test_a_name_that_two_resources_bear_is_the_one_that_the_program_depends_on() -> None:
    cluster = made("aws:ecs/cluster:Cluster", "cluster", {"name": "rayline"})
    recorder = made("aws:cfg/recorder:Recorder", "recorder", {"name": "rayline"})
    status = made("aws:cfg/recorderStatus:RecorderStatus", "status", {"name": "rayline", "isEnabled": True})
    address = "aws_config_configuration_recorder_status.status"
    _, undecided = rendered(graph(cluster, recorder, status))
    assert "name" not in undecided[address]
    depending = type(status)(**{**status.__dict__, "dependencies": (recorder.urn,)})
    _, decided = rendered(graph(cluster, recorder, depending))
    assert "aws_config_configuration_recorder.recorder" in decided[address]["name"]["references"]


def test_numbers_are_whole_and_maps_of_the_programs_are_left_as_they_are() -> None:
    values, _ = rendered(graph(queue("events", tags={"Owner": "x"}, visibilityTimeoutSeconds=120.0)))
    assert values["aws_sqs_queue.events"]["visibility_timeout_seconds"] == 120
    assert values["aws_sqs_queue.events"]["tags"] == {"Owner": "x"}


def test_every_aws_resource_of_the_estate_is_rendered_under_an_address_of_its_own(graph: Graph) -> None:
    values, _ = rendered(graph)
    assert len(values) == sum(each.type.startswith("aws:") for each in graph.resources)
    assert json.dumps(values)


def test_a_scanner_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="make scan"):
        scan(graph(), (), tmp_path, tmp_path / "checkov")


@cache
def _scanned(stack: str, graph_of: Callable[[str], Graph], folder: Path) -> Scan:
    return scan(graph_of(stack), declared(stack), folder / stack, CHECKOV)


@pytest.fixture
def scanned(
    graph_of: Callable[[str], Graph], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Scan]:
    if not CHECKOV.exists() and os.environ.get("CI") != "true":
        pytest.skip("the scanner is not installed; `make tests` and `make scan` install it")
    folder = tmp_path_factory.getbasetemp() / "scan"
    return lambda stack: _scanned(stack, graph_of, folder)


@pytest.mark.parametrize("stack", STACKS)
def test_every_failed_check_is_mended_or_has_a_reason(scanned: Callable[[str], Scan], stack: str) -> None:
    found = scanned(stack)
    assert [f"{each.check} {each.resource}: {each.title}" for each in found.failed] == []
    assert found.unused == ()
    assert found.passed > 700
    # What the estate is mostly made of must be known to the scanner, or its silence means nothing.
    assert {
        "aws_s3_bucket", "aws_kms_key", "aws_sqs_queue", "aws_sns_topic", "aws_dynamodb_table", "aws_iam_role",
        "aws_iam_role_policy", "aws_ecs_service", "aws_ecs_task_definition", "aws_lb", "aws_lb_listener",
        "aws_security_group", "aws_cloudtrail", "aws_ecr_repository", "aws_secretsmanager_secret",
        "aws_cloudfront_distribution", "aws_wafv2_web_acl", "aws_cloudwatch_log_group",
    } <= found.checked  # fmt: skip
    assert f"{found.passed} checks passed, 0 failed, {len(found.skipped)} skipped" in summary(found)


def test_a_site_that_decides_otherwise_has_no_failed_check_either(
    otherwise: Graph, scanned: Callable[[str], Scan], tmp_path: Path
) -> None:
    exemptions = declared("prod")
    found = scan(otherwise, exemptions, tmp_path, CHECKOV)
    assert [f"{each.check} {each.resource}: {each.title}" for each in found.failed] == []
    needed = [*found.skipped, *(each for stack in STACKS for each in scanned(stack).skipped)]
    for exemption in {each for stack in STACKS for each in declared(stack)}:
        assert any(exemption.covers(each.check, each.resource) for each in needed), exemption
        assert len(exemption.reason) > 20, exemption


def test_the_scanner_sees_what_is_taken_away_and_an_exemption_that_nothing_needs(
    graph_of: Callable[[str], Graph], tmp_path: Path, scanned: Callable[[str], Scan]
) -> None:
    before = scanned("prod")
    broken = graph_of("prod")
    for type_token, name in (
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "models-public-access"),
        ("aws:s3/bucketVersioning:BucketVersioning", "models-versioning"),
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "models-encryption",
        ),
    ):
        broken = without(broken, type_token, name)
    broken = edited(broken, "aws:sqs/queue:Queue", "queue", lambda inputs: inputs.pop("kmsMasterKeyId"))
    idle = ScannerExemption("CKV_AWS_27", "dead-letter-queue", "nothing needs this one")
    found = scan(broken, (*declared("prod"), idle), tmp_path, CHECKOV)
    assert before.clean
    assert {(each.check, each.resource) for each in found.failed} == {
        ("CKV2_AWS_6", "models"),
        ("CKV_AWS_145", "models"),
        ("CKV_AWS_21", "models"),
        ("CKV_AWS_27", "queue"),
    }
    assert found.unused == (idle,)
    assert not found.clean


def test_the_verb_fails_where_a_check_does_and_says_what_was_not_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)
    complaint = Complaint("CKV_AWS_18", "Ensure access logging", "uploads", "aws_s3_bucket")
    idle = ScannerExemption("CKV_AWS_27", "queue", "nothing needs this one")
    found = Scan(
        "staging",
        7,
        (complaint,),
        {"aws_s3_bucket": 2, "aws_kms_alias": 1},
        frozenset({"aws_s3_bucket"}),
        (idle,),
    )
    monkeypatch.setattr(verb, "plan", lambda stack: graph(stack=stack))
    monkeypatch.setattr(verb, "scan", lambda *arguments: found)
    result = CliRunner().invoke(app, ["scan", "--stack", "staging", "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "aws_s3_bucket.uploads" in result.stdout
    assert "nothing needs the exemption of queue from CKV_AWS_27" in result.stdout
    assert "7 checks passed, 1 failed, 0 skipped" in result.stdout
    assert "2 of 3 resources" in result.stdout
    assert "1 aws_kms_alias" in result.stdout
    reasoned = dataclasses.replace(
        found, complaints=(dataclasses.replace(complaint, reason="on purpose"),), unused=()
    )
    monkeypatch.setattr(verb, "scan", lambda *arguments: reasoned)
    result = CliRunner().invoke(app, ["scan", "--stack", "staging", "--output", str(tmp_path)])
    assert result.exit_code == 0
    assert "on purpose" in result.stdout
