"""Keys and secrets: who may use them, for how long they can be got back, and what plugins get."""

import json
from typing import Any

import pytest

from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph
from rayline_infra.settings import StorageSettings

KEY, SECRET, SECRET_POLICY = (
    "aws:kms/key:Key", "aws:secretsmanager/secret:Secret", "aws:secretsmanager/secretPolicy:SecretPolicy"
)  # fmt: skip
HOME = {"identified-key", "deidentified-key", "tracking-key", "logs-key", "secrets-key"}
ABROAD = {"identified-replica-key", "deidentified-replica-key"}
# What opens data (AWS KMS developer guide, "Permissions reference").
USES = {
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
    "kms:CreateGrant",
}


def statements(policy: object) -> list[dict[str, Any]]:
    found = json.loads(str(policy))["Statement"]
    assert found
    return list(found)


def test_five_keys_at_home_and_one_for_each_zone_that_is_copied(graph: Graph) -> None:
    regions = {key.name: key.inputs["region"] for key in graph.of_type(KEY)}
    assert regions == {**dict.fromkeys(HOME, "us-east-1"), **dict.fromkeys(ABROAD, "us-west-2")}


def test_keys_rotate_yearly_and_can_be_got_back_for_a_month(graph: Graph) -> None:
    for key in graph.of_type(KEY):
        assert key.inputs["enableKeyRotation"] is True
        assert key.inputs["rotationPeriodInDays"] == 365
        assert key.inputs["deletionWindowInDays"] == (
            30 if graph.stack == "prod" else key.inputs["deletionWindowInDays"]
        )
        assert 7 <= key.inputs["deletionWindowInDays"] <= 30


def test_no_key_can_be_used_by_everyone_another_account_or_all_of_this_one(graph: Graph) -> None:
    account = graph.outputs["account_id"]
    for key in graph.of_type(KEY):
        for statement in statements(key.inputs["policy"]):
            principal = statement["Principal"]
            assert isinstance(principal, dict), key.name
            for arn in principal.get("AWS", []):
                assert arn.startswith(f"arn:aws:iam::{account}:"), key.name
                if arn.endswith(":root") and USES & set(statement["Action"]):
                    assert "kms:ViaService" in statement["Condition"]["StringEquals"], key.name


def test_every_service_that_uses_a_key_is_bound_to_this_account_or_its_resources(graph: Graph) -> None:
    account = graph.outputs["account_id"]
    for key in graph.of_type(KEY):
        for statement in statements(key.inputs["policy"]):
            if "Service" not in statement["Principal"] or statement["Action"] == ["kms:DescribeKey"]:
                continue
            if statement["Sid"] == "NoticesReachTheTopic":
                continue  # EventBridge tells a topic's key nothing of its rule (EventBridge user guide)
            assert account in json.dumps(statement.get("Condition", {})), (key.name, statement["Sid"])


@pytest.mark.parametrize(
    ("key", "service"),
    [
        ("identified", "events.amazonaws.com"),
        ("logs", "cloudtrail.amazonaws.com"),
        ("logs", "logs.us-east-1.amazonaws.com"),
        ("logs", "cloudwatch.amazonaws.com"),
        ("logs", "budgets.amazonaws.com"),
        ("logs", "costalerts.amazonaws.com"),
        ("logs", "events.amazonaws.com"),
    ],
)
def test_services_that_deliver_may_encrypt(graph: Graph, key: str, service: str) -> None:
    allowed = {
        action
        for statement in statements(graph.named(KEY, f"{key}-key").inputs["policy"])
        if service in statement["Principal"].get("Service", [])
        for action in statement["Action"]
    }
    assert allowed & {"kms:GenerateDataKey", "kms:GenerateDataKey*"}


def test_whoever_deploys_may_make_the_grants_of_what_is_declared_and_no_others(graph: Graph) -> None:
    through = {}
    for key in sorted(HOME | ABROAD):
        through[key] = {
            service.removesuffix(".us-east-1.amazonaws.com")
            for statement in statements(graph.named(KEY, key).inputs["policy"])
            if any(each.endswith(":root") for each in statement["Principal"].get("AWS", []))
            and "kms:CreateGrant" in statement["Action"]
            for service in statement["Condition"]["StringEquals"]["kms:ViaService"]
        }
    assert through == {
        **{key: set() for key in HOME | ABROAD},
        "deidentified-key": {"medical-imaging", "ecr", "sagemaker"},
        "tracking-key": {"dynamodb"},
        "secrets-key": {"secretsmanager"},
    }


def test_a_data_store_can_be_made_and_called_under_the_key(graph: Graph) -> None:
    # HealthImaging developer guide, "Data encryption": what its maker needs, and what it asks of every caller.
    found = statements(graph.named(KEY, "deidentified-key").inputs["policy"])
    (maker,) = [each for each in found if "kms:CreateGrant" in each["Action"] and "RetireGrant" in str(each)]
    assert set(maker["Action"]) >= {
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKey*",
        "kms:ReEncrypt*",
        "kms:RetireGrant",
    }
    callers = {
        policy.inputs["role"]
        for policy in graph.of_type("aws:iam/rolePolicy:RolePolicy")
        if "medical-imaging:" in policy.inputs["policy"]
    }
    looking = {
        arn.rpartition("/")[2]
        for each in found
        if "kms:DescribeKey" in each["Action"] and "Condition" not in each
        for arn in each["Principal"].get("AWS", [])
    }
    assert callers
    assert callers <= looking


def test_copies_abroad_are_written_and_opened_by_nobody(graph: Graph) -> None:
    for name in ABROAD:
        zone = name.removesuffix("-replica-key")
        uses = {
            (principal.rpartition("/")[2], action)
            for statement in statements(graph.named(KEY, name).inputs["policy"])
            for principal in statement["Principal"].get("AWS", [])
            for action in statement["Action"]
            if action in USES
        }
        role = f"rayline-{graph.stack}-replication-{zone}"
        assert uses == {(role, "kms:Encrypt"), (role, "kms:GenerateDataKey")}


def test_a_secret_is_read_by_the_role_that_starts_tasks_only(graph: Graph) -> None:
    account = graph.outputs["account_id"]
    policies = {each.inputs["secretArn"]: each.inputs for each in graph.of_type(SECRET_POLICY)}
    for secret in graph.of_type(SECRET):
        guard = policies[secret.outputs["arn"]]
        assert guard["blockPublicPolicy"] is True
        (denial,) = [
            each for each in statements(guard["policy"]) if "secretsmanager:GetSecretValue" in each["Action"]
        ]
        assert (denial["Effect"], denial["Principal"]) == ("Deny", "*")
        assert denial["Condition"] == {
            "ArnNotEquals": {
                "aws:PrincipalArn": [f"arn:aws:iam::{account}:role/rayline-{graph.stack}-execution"]
            }
        }


def test_no_value_of_a_secret_is_in_the_program(graph: Graph) -> None:
    assert not [each for each in graph.resources if "secretVersion" in each.type]


def test_a_plugins_secret_reaches_the_processor_and_the_role_that_injects_it() -> None:
    graph = plan("dev", overrides={"rayline:pluginSecrets": '["pacs-tls"]'})
    secret = graph.named(SECRET, "plugin-pacs-tls-secret")
    assert secret.inputs["name"] == "rayline/dev/plugins/pacs-tls"
    task = graph.named("aws:ecs/taskDefinition:TaskDefinition", "processor-task")
    (container,) = [
        each for each in json.loads(task.inputs["containerDefinitions"]) if each["name"] == "processor"
    ]
    injected = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    assert injected["RAYLINE_SECRET_PACS_TLS"] == secret.outputs["arn"]
    policy = graph.named("aws:iam/rolePolicy:RolePolicy", "execution-policy").inputs["policy"]
    (grant,) = [each for each in statements(policy) if each["Action"] == ["secretsmanager:GetSecretValue"]]
    assert secret.outputs["arn"] in grant["Resource"]


@pytest.mark.parametrize("names", ['["PACS"]', '["tracking"]', '["a", "a"]', '["a_b"]', '["a--b"]'])
def test_a_plugins_secret_must_be_a_variable_of_its_own(names: str) -> None:
    settings = StorageSettings.model_validate({"pluginSecrets": names})
    assert "pluginSecrets" in dict(settings.problems())
