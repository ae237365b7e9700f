"""Every action of every policy is one of AWS's, and fits the resources and conditions of its statement."""

from collections.abc import Callable

import pytest

from rayline_infra.policies.actions import NEW_ACTIONS, actions_of
from rayline_infra.policies.controls import CONTROLS
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.identities import identities, identity_policies

FITTING = next(control for control in CONTROLS if control.id == "IAM-3")
OBJECT = "arn:aws:s3:::rayline-prod-uploads-222222222222/upload/*"
BUCKET = "arn:aws:s3:::rayline-prod-uploads-222222222222"


def test_every_statement_of_every_policy_fits(graph: Graph) -> None:
    found = list(FITTING.findings(graph))
    types = {each.type.rpartition(":")[2] for each in found}
    assert {"RolePolicy", "Role", "Key", "Bucket", "Queue", "Topic", "VpcEndpoint"} <= types
    assert [f"{each.resource}: {each.setting}" for each in found if not each.passed] == []


def test_the_statements_that_are_looked_at_are_those_of_all_roles(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("prod")
    actions = {
        action for _, clauses in identity_policies(graph) for clause in clauses for action in clause.actions
    }
    assert len(actions) > 80
    assert len(identities(graph)) == len(graph.of_type("aws:iam/role:Role"))


# From AWS's Service Authorization Reference.
@pytest.mark.parametrize(
    ("action", "resource", "takes"),
    [
        ("s3:GetObject", OBJECT, True),
        ("s3:GetObject", BUCKET, False),
        ("s3:ListBucket", BUCKET, True),
        ("s3:ListBucket", OBJECT, False),
        ("ecr:GetAuthorizationToken", "*", True),
        ("ecr:GetAuthorizationToken", "arn:aws:ecr:us-east-1:222222222222:repository/x", False),
        ("cloudwatch:PutMetricData", "*", True),
        ("logs:DescribeLogGroups", "*", True),
        ("s3:GetObject", "*", False),
        ("dynamodb:Query", "arn:aws:dynamodb:us-east-1:222222222222:table/x/index/y", True),
        ("dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:222222222222:table/x/index/y", False),
        ("medical-imaging:GetImageFrame", "arn:aws:medical-imaging:us-east-1:2:datastore/d/imageset/*", True),
        ("medical-imaging:StartDICOMImportJob", "arn:aws:medical-imaging:us-east-1:2:datastore/d", True),
        ("kms:Decrypt", "arn:aws:kms:us-east-1:222222222222:key/k", True),
        ("kms:Decrypt", "arn:aws:kms:us-east-1:222222222222:alias/k", False),
    ],
)
def test_an_action_takes_resources_of_its_own_kind(action: str, resource: str, takes: bool) -> None:
    (found,) = actions_of(action)
    assert found.takes(resource) is takes


@pytest.mark.parametrize(
    ("action", "key", "known"),
    [
        ("kms:Decrypt", "kms:ViaService", True),
        ("kms:Decrypt", "kms:EncryptionContext:aws:s3:arn", True),
        ("kms:DescribeKey", "kms:EncryptionContext:aws:s3:arn", False),
        ("iam:PassRole", "iam:PassedToService", True),
        ("s3:GetObject", "iam:PassedToService", False),
        ("s3:GetObject", "aws:SourceVpce", True),
        ("cloudwatch:PutMetricData", "cloudwatch:namespace", True),
    ],
)
def test_an_action_knows_its_condition_keys_and_the_global_ones(action: str, key: str, known: bool) -> None:
    (found,) = actions_of(action)
    assert found.knows_key(key) is known


def test_a_pattern_stands_for_several_actions_and_a_misspelling_for_none() -> None:
    assert {each.name for each in actions_of("kms:ReEncrypt*")} == {"kms:ReEncryptFrom", "kms:ReEncryptTo"}
    assert actions_of("s3:GetObjects") == ()
    assert actions_of("s4:GetObject") == ()


def test_an_action_that_the_package_learnt_is_taken_off_the_list_of_new_ones() -> None:
    for name, (formats, _, page) in NEW_ACTIONS.items():
        assert page.startswith("https://docs.aws.amazon.com/")
        (found,) = actions_of(name)
        assert found.required == formats, f"{name} is in the package now: take it off NEW_ACTIONS"
