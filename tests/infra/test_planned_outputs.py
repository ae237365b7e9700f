"""The ids and outputs that planning invents: as AWS would give them, and the same in every run."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.graph_proofs import missing_values

from rayline_infra.planning import ProgramError, plan
from rayline_infra.planning.outputs import RULES, Place, invent
from rayline_infra.policies.graph import Graph

PLACE = Place("123456789012", "eu-central-1")
# AWS's own examples, in the service authorization reference and the APIs' pages, with our account and region.
EXAMPLES: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "aws:cloudwatch/eventRule:EventRule": (
        {"name": "verified", "eventBusName": "rayline"},
        r"rayline/verified",
        {"arn": r"arn:aws:events:eu-central-1:123456789012:rule/rayline/verified"},
    ),
    "aws:ec2/vpc:Vpc": (
        {"cidrBlock": "10.0.0.0/16"},
        r"vpc-[0-9a-f]{17}",
        {"defaultSecurityGroupId": r"sg-[0-9a-f]{17}", "mainRouteTableId": r"rtb-[0-9a-f]{17}"},
    ),
    "aws:ecs/service:Service": (
        {"name": "api", "cluster": "arn:aws:ecs:eu-central-1:123456789012:cluster/rayline"},
        r"arn:aws:ecs:eu-central-1:123456789012:service/rayline/api",
        {},
    ),
    "aws:kms/key:Key": (
        {},
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        {"arn": r"arn:aws:kms:eu-central-1:123456789012:key/[0-9a-f-]{36}"},
    ),
    "aws:lb/loadBalancer:LoadBalancer": (
        {"name": "dimse", "loadBalancerType": "network", "internal": True},
        r"arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/dimse/[0-9a-f]{16}",
        {
            "arnSuffix": r"net/dimse/[0-9a-f]{16}",
            "dnsName": r"dimse-[0-9a-f]{16}\.elb\.eu-central-1\.amazonaws\.com",
        },
    ),
    "aws:lb/listener:Listener": (
        {
            "loadBalancerArn": (
                "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/api/50dc6c495c0c9188"
            )
        },
        r"arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/api/50dc6c495c0c9188/[0-9a-f]{16}",
        {},
    ),
    "aws:s3/bucket:Bucket": (
        {"bucket": "uploads"},
        "uploads",
        {
            "arn": r"arn:aws:s3:::uploads",
            "bucketRegionalDomainName": r"uploads\.s3\.eu-central-1\.amazonaws\.com",
        },
    ),
    "aws:wafv2/webAcl:WebAcl": (
        {"name": "viewer", "scope": "CLOUDFRONT", "region": "us-east-1"},
        r"[0-9a-f-]{36}",
        {"arn": r"arn:aws:wafv2:us-east-1:123456789012:global/webacl/viewer/[0-9a-f-]{36}"},
    ),
}


@pytest.mark.parametrize("token", sorted(EXAMPLES))
def test_ids_and_outputs_look_like_awss_own(token: str) -> None:
    inputs, identity, outputs = EXAMPLES[token]
    found_id, found = invent(token, "one", inputs, PLACE)
    assert re.fullmatch(identity, found_id)
    assert {name for name, shape in outputs.items() if not re.fullmatch(shape, found[name])} == set()


def test_they_are_the_same_in_every_run_and_differ_between_resources() -> None:
    first, again = (invent("aws:ec2/subnet:Subnet", "a", {}, PLACE) for _ in range(2))
    assert first == again
    assert invent("aws:ec2/subnet:Subnet", "b", {}, PLACE) != first


def test_only_gateway_endpoints_have_a_prefix_list() -> None:
    inputs = {"serviceName": "com.amazonaws.eu-central-1.s3"}
    _, gateway = invent("aws:ec2/vpcEndpoint:VpcEndpoint", "s3", inputs, PLACE)
    _, interface = invent(
        "aws:ec2/vpcEndpoint:VpcEndpoint", "s3", {**inputs, "vpcEndpointType": "Interface"}, PLACE
    )
    assert gateway["prefixListId"].startswith("pl-")
    assert "prefixListId" not in interface


def test_a_name_that_the_program_leaves_out_is_asked_for() -> None:
    with pytest.raises(
        ProgramError, match=r"aws:sqs/queue:Queue events gives no name, which its id is made of"
    ):
        invent("aws:sqs/queue:Queue", "events", {}, PLACE)


def test_a_type_without_a_rule_has_an_id_that_the_proofs_refuse() -> None:
    assert invent("aws:redshift/cluster:Cluster", "c", {}, PLACE) == ("unplanned-c", {})


def test_every_declared_type_has_a_rule(graph: Graph) -> None:
    types = {each.type for each in graph.resources if each.custom} - {"pulumi:providers:aws"}
    assert sorted(types - set(RULES)) == []


def planned(folder: Path, body: str) -> Graph:
    (folder / "Pulumi.yaml").write_text("name: rayline-test\nruntime: python\nmain: .\n")
    settings = "config:\n  rayline:accountId: '123456789012'\n  aws:region: us-east-1\n"
    (folder / "Pulumi.test.yaml").write_text(settings)
    (folder / "__main__.py").write_text(f"import pulumi_aws as aws\n{body}")
    return plan("test", project=folder)


def test_an_output_that_no_rule_answers_stops_the_program(tmp_path: Path) -> None:
    with pytest.raises(
        ProgramError, match=r"Topic alarms answered no beginning_archive_time; give it a rule"
    ):
        planned(
            tmp_path,
            'topic = aws.sns.Topic("alarms", name="alarms")\n'
            'aws.sqs.Queue("events", name=topic.beginning_archive_time)\n',
        )


def test_a_reference_to_a_type_without_a_rule_is_found(tmp_path: Path) -> None:
    graph = planned(
        tmp_path,
        'cluster = aws.redshift.Cluster("c", cluster_identifier="c", node_type="x")\n'
        'aws.sqs.Queue("events", name=cluster.id)\n',
    )
    assert missing_values(graph) == ["events.name is 'unplanned-c'"]


def test_a_reference_holds_the_id_that_its_resource_has(tmp_path: Path) -> None:
    graph = planned(
        tmp_path,
        'vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")\n'
        'aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.1.0/24")\n',
    )
    vpc = graph.named("aws:ec2/vpc:Vpc", "vpc")
    subnet = graph.named("aws:ec2/subnet:Subnet", "subnet")
    assert subnet.inputs["vpcId"] == vpc.id
    assert subnet.dependencies == (vpc.urn,)
    assert vpc.outputs["arn"].endswith(f":vpc/{vpc.id}")
