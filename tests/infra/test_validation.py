"""What `rayline validate` compares, without an account: documents, readers and the made-up study."""

import json
import zlib
from io import BytesIO
from typing import Any

import boto3
import pydicom
import pytest
from botocore.stub import Stubber

from rayline.errors import ConfigurationError
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.validation.account import Account
from rayline_infra.validation.readers import READERS
from rayline_infra.validation.report import ProbeReport, Problem, Report
from rayline_infra.validation.resources import read
from rayline_infra.validation.settling import settle
from rayline_infra.validation.study import MARK, SLICES, ProbeStudy

# Types that stand and fall with one that is read, or that AWS offers no plain call for; each is printed as not read.
UNREAD = {
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:cfg/deliveryChannel:DeliveryChannel",
    "aws:cfg/recorder:Recorder",
    "aws:cloudfront/function:Function",
    "aws:cloudfront/originAccessControl:OriginAccessControl",
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy",
    "aws:cloudfront/vpcOrigin:VpcOrigin",
    "aws:cloudwatch/logDelivery:LogDelivery",
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination",
    "aws:cloudwatch/logDeliverySource:LogDeliverySource",
    "aws:cloudwatch/queryDefinition:QueryDefinition",
    "aws:cognito/logDeliveryConfiguration:LogDeliveryConfiguration",
    "aws:cognito/managedLoginBranding:ManagedLoginBranding",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
    "aws:costexplorer/anomalySubscription:AnomalySubscription",
    "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl",
    "aws:ec2/defaultRouteTable:DefaultRouteTable",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/internetGateway:InternetGateway",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders",
    "aws:guardduty/detectorFeature:DetectorFeature",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:lb/listenerRule:ListenerRule",
    "aws:route53/record:Record",
    "aws:wafv2/webAclAssociation:WebAclAssociation",
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
}


def account(**outputs: object) -> Account:
    """An account that nobody answers for."""
    graph = Graph("test", (), {"region": "us-east-1", "account_id": "123456789012", **outputs})
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    return Account(graph, session)


def resource(type_token: str, **inputs: Any) -> Resource:
    return Resource(urn="", type=type_token, name="it", custom=True, inputs=inputs)


def test_every_type_is_read_or_known_not_to_be(graph: Graph) -> None:
    declared = {each.type for each in graph.resources if each.custom} - {"pulumi:providers:aws"}
    assert declared - set(READERS) <= UNREAD
    assert not UNREAD & set(READERS)
    read_resources = sum(each.type in READERS for each in graph.resources)
    assert read_resources > 0.9 * sum(each.custom for each in graph.resources)


@pytest.mark.parametrize(
    ("declared", "found", "same"),
    [
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, True),
        ({"a": ["x"]}, {"a": "x"}, True),
        ({"a": "subnet-0123456789abcdef0"}, {"a": "subnet-0fedcba9876543210"}, True),
        ({"a": ["x"]}, {"a": ["x", "y"]}, False),
        ({"a": "subnet-0123456789abcdef0"}, {"a": "sg-0123456789abcdef0"}, False),
        ({"Effect": "Deny"}, {"Effect": "Allow"}, False),
    ],
)
def test_documents_are_the_same_whatever_aws_makes_of_their_form(
    declared: dict[str, Any], found: dict[str, Any], same: bool
) -> None:
    assert account().same_document(json.dumps(declared), json.dumps(found)) is same
    assert account().same_document(json.dumps(declared), found) is same


def test_no_document_is_not_the_declared_one() -> None:
    assert not account().same_document("{}", None)
    assert not account().same_document('{"a": 1}', "")


def test_what_planning_invented_is_compared_by_what_aws_called_it() -> None:
    known = account()
    known.learn("arn:aws:kms:us-east-1:1:key/planned", "arn:aws:kms:us-east-1:1:key/real")
    assert known.expected({"key": ["arn:aws:kms:us-east-1:1:key/planned"]}) == {
        "key": ["arn:aws:kms:us-east-1:1:key/real"]
    }


def test_another_account_is_refused_before_anything_is_read() -> None:
    other = account()
    with Stubber(other.client("sts")) as answers:
        answers.add_response(
            "get_caller_identity",
            {"Account": "999999999999", "UserId": "u", "Arn": "arn:aws:iam::999999999999:root"},
        )
        with pytest.raises(
            ConfigurationError, match="account 999999999999, and the stack is in 123456789012"
        ):
            other.require_own()


@pytest.mark.parametrize(
    ("state", "said"), [("ENABLED", []), ("DISABLED", ["is DISABLED and should be ENABLED"])]
)
def test_a_rule_that_is_off_is_named(state: str, said: list[str]) -> None:
    here = account()
    rule = resource(
        "aws:cloudwatch/eventRule:EventRule",
        name="rayline-test-uploaded",
        eventBusName="default",
        state="ENABLED",
        eventPattern='{"source": ["aws.s3"]}',
    )
    with Stubber(here.client("events")) as answers:
        answers.add_response("describe_rule", {"State": state, "EventPattern": '{"source":["aws.s3"]}'})
        found = read(here, rule)
    assert found == [Problem(rule.type, "it", "rayline-test-uploaded", each) for each in said]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ResourceNotFoundException", "is not there"),
        ("AccessDeniedException", "could not be read: An error occurred (AccessDeniedException)"),
    ],
)
def test_what_is_absent_or_not_allowed_is_a_problem_of_its_own(code: str, said: str) -> None:
    here = account()
    table = resource("aws:dynamodb/table:Table", name="rayline-test-effects")
    with Stubber(here.client("dynamodb")) as answers:
        answers.add_client_error("describe_table", code)
        (found,) = read(here, table)
    assert found.what.startswith(said)


def test_the_made_up_study_says_what_it_is_and_no_two_are_alike() -> None:
    study, other = ProbeStudy.make(), ProbeStudy.make()
    assert not study.sha256s & other.sha256s
    assert len(study.sha256s) == SLICES
    read_back = [pydicom.dcmread(BytesIO(each.content)) for each in study.slices]
    assert {str(each.PatientID) for each in read_back} == {f"{MARK}-{study.id}"}
    assert len({each.StudyInstanceUID for each in read_back}) == 1
    assert len({each.SOPInstanceUID for each in read_back}) == SLICES
    for one, dataset in zip(study.slices, read_back, strict=True):
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert zlib.crc32(dataset.PixelData) == one.checksum
        assert dataset.pixel_array.shape == (dataset.Rows, dataset.Columns)


def test_a_report_is_good_only_without_problems_and_with_the_whole_way() -> None:
    good = Report("test", 3, (), {}, {}, ProbeReport({"sent": 1.0}))
    assert good.ok
    assert good.to_json()["ok"] is True
    assert not Report("test", 3, (Problem("t", "n", "p", "w"),), {}, {}).ok
    assert not Report("test", 3, (), {}, {}, ProbeReport({}, "sent", "why")).ok


def deploying(*states: str) -> tuple[Account, Stubber]:
    """An account with one service, whose deployment is asked for so many times."""
    here = account()
    service = resource("aws:ecs/service:Service", name="rayline-test-api", cluster="rayline-test")
    here.graph = Graph("test", (service,), here.graph.outputs)
    answers = Stubber(here.client("ecs"))
    for state in states:
        answers.add_response("describe_services", {"services": [{"deployments": [{"rolloutState": state}]}]})
    return here, answers


def test_what_is_being_deployed_is_waited_for() -> None:
    here, answers = deploying("IN_PROGRESS", "IN_PROGRESS", "COMPLETED")
    told: list[str] = []
    with answers:
        settle(here, 60, tell=told.append, clock=lambda: 0.0, pause=lambda _: None)
        answers.assert_no_pending_responses()
    assert told == ["waiting for rayline-test-api"]


def test_nobody_waits_for_a_service_that_cannot_be_asked_about() -> None:
    here, answers = deploying()
    answers.add_client_error("describe_services", "ClusterNotFoundException")
    told: list[str] = []
    with answers:
        settle(here, 60, tell=told.append, clock=lambda: 0.0, pause=lambda _: None)
    assert told == []


@pytest.mark.parametrize("runs", ["new", "old"])
def test_a_service_that_was_rolled_back_runs_well_and_is_told_of(runs: str) -> None:
    here = account()
    definition = Resource(
        urn="",
        type="aws:ecs/taskDefinition:TaskDefinition",
        name="api-task",
        custom=True,
        inputs={"containerDefinitions": json.dumps([{"name": "api", "image": "registry/api:new"}])},
        outputs={"arn": "arn:task:1"},
    )
    service = resource(
        "aws:ecs/service:Service",
        name="rayline-test-api",
        cluster="rayline-test",
        taskDefinition="arn:task:1",
    )
    here.graph = Graph("test", (definition, service), here.graph.outputs)
    with Stubber(here.client("ecs")) as answers:
        there = {"status": "ACTIVE", "desiredCount": 1, "runningCount": 1, "taskDefinition": "arn:task:7"}
        settled = [{"rolloutState": "COMPLETED"}]
        answers.add_response("describe_services", {"services": [{**there, "deployments": settled}]})
        containers = [{"name": "api", "image": f"registry/api:{runs}"}]
        answers.add_response(
            "describe_task_definition",
            {"taskDefinition": {"containerDefinitions": containers}},
            {"taskDefinition": "arn:task:7"},
        )
        said = [each.what for each in read(here, service)]
    expected = "runs registry/api:old and should run registry/api:new: was it rolled back?"
    assert said == ([expected] if runs == "old" else [])


def planned_group() -> Resource:
    return Resource(
        urn="",
        type="aws:ec2/securityGroup:SecurityGroup",
        name="it",
        custom=True,
        inputs={"name": "g"},
        id="sg-planned",
    )


@pytest.mark.parametrize("added", [False, True])
def test_a_rule_that_a_hand_added_to_a_security_group_is_told_of(added: bool) -> None:
    here = account()
    group = planned_group()
    rule = resource(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        securityGroupId="sg-planned",
        tags={"Name": "api-from-balancer"},
    )
    here.graph = Graph("test", (group, rule), here.graph.outputs)
    ours = {"SecurityGroupRuleId": "sgr-1", "Tags": [{"Key": "Name", "Value": "api-from-balancer"}]}
    by_hand = {"SecurityGroupRuleId": "sgr-2", "CidrIpv4": "0.0.0.0/0"}
    with Stubber(here.client("ec2")) as answers:
        answers.add_response("describe_security_groups", {"SecurityGroups": [{"GroupId": "sg-real"}]})
        answers.add_response(
            "describe_security_group_rules",
            {"SecurityGroupRules": [ours, by_hand] if added else [ours]},
            {"Filters": [{"Name": "group-id", "Values": ["sg-real"]}]},
        )
        said = [each.what for each in read(here, group)]
    assert said == (["has the rule sgr-2, which the program does not declare"] if added else [])


@pytest.mark.parametrize("opened", [False, True])
def test_a_rule_that_names_addresses_and_should_not_is_told_of(opened: bool) -> None:
    here = account()
    group = planned_group()
    rule = resource(
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        securityGroupId="sg-planned",
        referencedSecurityGroupId="sg-other",
        ipProtocol="tcp",
        fromPort=443.0,
        toPort=443.0,
        tags={"Name": "api-from-balancer"},
    )
    here.graph = Graph("test", (group, rule), here.graph.outputs)
    found = {
        "GroupId": "sg-real",
        "IpProtocol": "tcp",
        "FromPort": 443,
        "ToPort": 443,
        "Tags": [{"Key": "Name", "Value": "api-from-balancer"}],
        **({"CidrIpv4": "0.0.0.0/0"} if opened else {}),
    }
    with Stubber(here.client("ec2")) as answers:
        answers.add_response("describe_security_groups", {"SecurityGroups": [{"GroupId": "sg-real"}]})
        answers.add_response("describe_security_group_rules", {"SecurityGroupRules": [found]})
        said = [each.what for each in read(here, rule)]
    assert said == (["CidrIpv4 is '0.0.0.0/0' and should be None"] if opened else [])


def test_a_certificate_is_asked_for_by_its_algorithm() -> None:
    # ACM API, "ListCertificates": by itself it lists RSA_1024 and RSA_2048 only.
    here = account()
    certificate = resource(
        "aws:acm/certificate:Certificate", domainName="rayline.example.org", keyAlgorithm="EC_prime256v1"
    )
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    with Stubber(here.client("acm")) as answers:
        summary = {"CertificateArn": arn, "DomainName": "rayline.example.org"}
        answers.add_response(
            "list_certificates",
            {"CertificateSummaryList": [summary]},
            {"Includes": {"keyTypes": ["EC_prime256v1"]}},
        )
        answers.add_response(
            "describe_certificate", {"Certificate": {"Status": "ISSUED"}}, {"CertificateArn": arn}
        )
        assert read(here, certificate) == []


def test_nobody_waits_for_ever() -> None:
    here, answers = deploying("IN_PROGRESS", "IN_PROGRESS")
    seconds = iter((0.0, 30.0, 61.0))
    with answers:
        settle(here, 60, tell=lambda _: None, clock=lambda: next(seconds), pause=lambda _: None)
        answers.assert_no_pending_responses()
