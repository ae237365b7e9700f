"""Cases of roles, signing in, zones and keys."""

from typing import Any

from support.control_case import Case
from support.small_graphs import (
    ACCOUNT,
    allow,
    arn,
    assumed_by,
    bucket,
    bucket_policy,
    datastore,
    deny,
    edited,
    encryption,
    graph,
    key,
    key_arn,
    made,
    policy,
    queue,
    role,
    role_arn,
    role_policy,
)

from rayline_infra.policies.graph import Graph, Resource

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
UPLOADS = "arn:aws:s3:::b-uploads/*"


def policies(*statements: dict[str, Any]) -> Graph:
    return graph(role("processor"), role_policy("processor", *statements))


def trust(**changes: Any) -> Graph:
    statement = assumed_by("ecs-tasks.amazonaws.com")
    statement.update(changes)
    if statement["Condition"] is None:
        del statement["Condition"]
    return graph(role("processor", statement))


def people(pattern: str | None) -> Graph:
    return trust(
        Principal={"AWS": ROOT},
        Condition={"ArnLike": {"aws:PrincipalArn": pattern}} if pattern else None,
    )


def pool(**inputs: Any) -> Graph:
    settings = {
        "mfaConfiguration": "ON",
        "passwordPolicy": {"minimumLength": 14.0},
        "adminCreateUserConfig": {"allowAdminCreateUserOnly": True},
        **inputs,
    }
    return graph(made("aws:cognito/userPool:UserPool", "users", settings))


def client(**inputs: Any) -> Graph:
    settings = {
        "accessTokenValidity": 60.0,
        "refreshTokenValidity": 12.0,
        "tokenValidityUnits": {"accessToken": "minutes", "refreshToken": "hours"},
        "preventUserExistenceErrors": "ENABLED",
        "allowedOauthFlows": ["code"],
        **inputs,
    }
    return graph(made("aws:cognito/userPoolClient:UserPoolClient", "viewer-client", settings))


def zone(name: str, key_kind: str) -> Graph:
    return graph(key("identified"), key("deidentified"), bucket(name), encryption(name, key_kind))


def training(*statements: dict[str, Any], key_users: tuple[str, ...] = ()) -> Graph:
    users = [allow("kms:Decrypt", principal={"AWS": [role_arn(each)]}) for each in key_users]
    return graph(
        key("identified", *users),
        bucket("uploads"),
        queue("events"),
        role("training", assumed_by("sagemaker.amazonaws.com")),
        role_policy("training", *statements),
    )


def with_inline(found: Graph, document: str) -> Graph:
    """The graph with a policy within the role of training."""
    inline = [{"name": "more", "policy": document}]
    return edited(
        found, "aws:iam/role:Role", "training-role", lambda inputs: inputs.update(inlinePolicies=inline)
    )


DENIED = deny("s3:*", [UPLOADS], principal={"AWS": [role_arn("training"), role_arn("import")]})
ALL_DENIED = deny(
    "s3:*",
    [UPLOADS],
    principal="*",
    when={"ArnEquals": {"aws:PrincipalArn": [role_arn(each) for each in ("training", "import", "endpoint")]}},
)


def refusing(*statements: dict[str, Any]) -> Graph:
    return graph(role("training"), role("import"), bucket("uploads"), bucket_policy("uploads", *statements))


def reader(role_statements: list[dict[str, Any]], key_statements: list[dict[str, Any]]) -> Graph:
    return graph(
        key("identified", *key_statements),
        bucket("uploads"),
        encryption("uploads", "identified"),
        role("processor"),
        role_policy("processor", *role_statements),
    )


READ = allow("s3:GetObject", ["arn:aws:s3:::b-uploads/upload/*"])
WRITE = allow("s3:PutObject", ["arn:aws:s3:::b-uploads/upload/*"])
USE = allow(["kms:Decrypt"], [key_arn("identified")])
USED = allow(["kms:Decrypt"], principal={"AWS": [role_arn("processor")]})
THROUGH_S3 = allow(
    ["kms:Decrypt"],
    principal={"AWS": ROOT},
    when={"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}},
)
THROUGH_SQS = allow(
    ["kms:Decrypt"],
    principal={"AWS": ROOT},
    when={"StringEquals": {"kms:ViaService": "sqs.us-east-1.amazonaws.com"}},
)
BOTH = ["kms:Decrypt", "kms:GenerateDataKey*"]
DEPLOYED = "{}.us-east-1.amazonaws.com"
ENCRYPTED = {
    "dynamodb": made(
        "aws:dynamodb/table:Table", "ledger", {"serverSideEncryption": {"kmsKeyArn": key_arn("deidentified")}}
    ),
    "ecr": made(
        "aws:ecr/repository:Repository",
        "images",
        {"encryptionConfigurations": [{"encryptionType": "KMS", "kmsKey": key_arn("deidentified")}]},
    ),
    "sagemaker": made(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
        "endpoint-configuration",
        {"kmsKeyArn": key_arn("deidentified")},
    ),
    "secretsmanager": made(
        "aws:secretsmanager/secret:Secret", "secret", {"kmsKeyId": key_arn("deidentified")}
    ),
    "medical-imaging": datastore(key_kind="deidentified"),
}


def declared(resource: Resource, through: str, without_action: str = "") -> Graph:
    """A resource under a key that whoever deploys may use through a service."""
    actions = [
        "kms:CreateGrant", "kms:RetireGrant", "kms:DescribeKey", "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*",
        "kms:GenerateDataKey*",
    ]  # fmt: skip
    allowed = [each for each in actions if each != without_action]
    return graph(
        key(
            "deidentified",
            allow(allowed, principal={"AWS": ROOT}, when={"StringEquals": {"kms:ViaService": through}}),
        ),
        resource,
    )


def cases() -> list[Case]:
    """All of them."""
    named = policies(allow("s3:GetObject", [UPLOADS]))
    return [
        Case(
            "IAM-1",
            "every action of a service",
            named,
            policies(allow("s3:*", [UPLOADS])),
            "processor-policy",
        ),
        Case(
            "IAM-1",
            "every action of a service, spelled otherwise",
            named,
            policies(allow("s3:?*", [UPLOADS])),
            "processor-policy",
        ),
        Case("IAM-1", "every action", named, policies(allow("*", [UPLOADS])), "processor-policy"),
        Case("IAM-2", "every resource", named, policies(allow("s3:GetObject", "*")), "processor-policy"),
        Case(
            "IAM-2",
            "every resource beside a named one",
            policies(allow("ecr:GetAuthorizationToken", "*")),
            policies(allow("s3:GetObject", [UPLOADS, "*"])),
            "processor-policy",
        ),
        Case(
            "IAM-2",
            "every bucket",
            named,
            policies(allow("s3:GetObject", ["arn:aws:s3:::*"])),
            "processor-policy",
        ),
        Case(
            "IAM-2",
            "every table",
            policies(allow("dynamodb:Query", [arn("dynamodb", "table/ledger/index/*")])),
            policies(allow("dynamodb:Query", [arn("dynamodb", "table/*")])),
            "processor-policy",
        ),
        Case(
            "IAM-2",
            "all but one action",
            named,
            policies({"Sid": "Most", "Effect": "Allow", "NotAction": "iam:*", "Resource": [UPLOADS]}),
            "processor-policy",
        ),
        Case(
            "IAM-3", "no such action", named, policies(allow("s3:ReadObject", [UPLOADS])), "processor-policy"
        ),
        Case(
            "IAM-3",
            "an object for an action on buckets",
            named,
            policies(allow(["s3:GetObject", "s3:ListBucket"], [UPLOADS])),
            "processor-policy",
        ),
        Case(
            "IAM-3",
            "a table for an action on objects",
            named,
            policies(allow("s3:GetObject", [UPLOADS, arn("dynamodb", "table/x")])),
            "processor-policy",
        ),
        Case(
            "IAM-3",
            "a condition key of another service",
            policies(allow("s3:GetObject", [UPLOADS], when={"Bool": {"aws:SecureTransport": "true"}})),
            policies(allow("s3:GetObject", [UPLOADS], when={"StringEquals": {"kms:ViaService": "x"}})),
            "processor-policy",
        ),
        Case(
            "IAM-3",
            "a replay without its bus",
            policies(
                allow(
                    "events:StartReplay",
                    [arn("events", "archive/a"), arn("events", "event-bus/b"), arn("events", "replay/r")],
                )
            ),
            policies(allow("events:StartReplay", [arn("events", "archive/a"), arn("events", "replay/r")])),
            "processor-policy",
        ),
        Case(
            "IAM-3",
            "a key policy with a condition that the action does not know",
            graph(key("logs", allow("kms:Decrypt", when={"StringEquals": {"kms:EncryptionContext:a": "b"}}))),
            graph(
                key("logs", allow("kms:DescribeKey", when={"StringEquals": {"kms:EncryptionContext:a": "b"}}))
            ),
            "logs-key",
        ),
        Case("IAM-4", "a service for any account", trust(), trust(Condition=None), "processor-role"),
        Case(
            "IAM-4",
            "a service for another account",
            trust(),
            trust(Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}}),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "a service that AWS documents with a guard",
            trust(Principal={"Service": "s3.amazonaws.com"}, Condition=None),
            trust(Principal={"Service": "sagemaker.amazonaws.com"}, Condition=None),
            "processor-role",
        ),
        Case("IAM-4", "everyone", trust(), trust(Principal="*"), "processor-role"),
        Case(
            "IAM-4",
            "another account",
            trust(),
            trust(Principal={"AWS": "arn:aws:iam::999999999999:root"}),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "whoever is in the account",
            people("arn:aws:iam::1:role/radiology-*"),
            people(None),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "a pattern of everyone",
            people("arn:aws:iam::1:role/radiology-*"),
            people("*"),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "a service for every account but ours",
            trust(),
            trust(Condition={"StringNotEquals": {"aws:SourceAccount": ACCOUNT}}),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "whoever is in the account but one",
            people("arn:aws:iam::1:role/radiology-*"),
            trust(
                Principal={"AWS": ROOT},
                Condition={"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::1:role/radiology-*"}},
            ),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "the account by its number",
            people("arn:aws:iam::1:role/radiology-*"),
            trust(Principal={"AWS": ACCOUNT}, Condition=None),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "a pattern of every role",
            people("arn:aws:iam::1:role/radiology-*"),
            people(f"arn:aws:iam::{ACCOUNT}:role/*"),
            "processor-role",
        ),
        Case(
            "IAM-4",
            "any repository",
            trust(
                Principal={"Federated": "arn:aws:iam::1:oidc-provider/x"},
                Condition={"StringEquals": {"token.actions.githubusercontent.com:sub": "repo:a/b:*"}},
            ),
            trust(Principal={"Federated": "arn:aws:iam::1:oidc-provider/x"}, Condition=None),
            "processor-role",
        ),
        Case(
            "IAM-5",
            "AWS's policy of an administrator",
            graph(role("processor")),
            graph(role("processor", managedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"])),
            "processor-role",
        ),
        Case(
            "IAM-6",
            "a key that never expires",
            graph(role("processor")),
            graph(role("processor"), made("aws:iam/accessKey:AccessKey", "uploader-key")),
            "uploader-key",
        ),
        Case("AUT-1", "one factor", pool(), pool(mfaConfiguration="OPTIONAL"), "users"),
        Case("AUT-1", "short passwords", pool(), pool(passwordPolicy={"minimumLength": 8.0}), "users"),
        Case("AUT-2", "anyone signs up", pool(), pool(adminCreateUserConfig={}), "users"),
        Case("AUT-3", "a session of a day", client(), client(accessTokenValidity=1440.0), "viewer-client"),
        Case("AUT-3", "renewed for a month", client(), client(refreshTokenValidity=720.0), "viewer-client"),
        Case(
            "AUT-4",
            "a token in the address",
            client(),
            client(allowedOauthFlows=["implicit"]),
            "viewer-client",
        ),
        Case(
            "AUT-4",
            "tells who is a user",
            client(),
            client(preventUserExistenceErrors="LEGACY"),
            "viewer-client",
        ),
        Case(
            "ZON-1",
            "originals under the other key",
            zone("uploads", "identified"),
            zone("uploads", "deidentified"),
            "uploads",
        ),
        Case(
            "ZON-1",
            "models under the other key",
            zone("models", "deidentified"),
            zone("models", "identified"),
            "models",
        ),
        Case(
            "ZON-1",
            "images under the other key",
            graph(key("identified"), key("deidentified"), datastore()),
            graph(key("identified"), key("deidentified"), datastore(key_kind="identified")),
            "datastore",
        ),
        Case(
            "ZON-2",
            "training reads originals",
            training(),
            training(allow("s3:GetObject", [UPLOADS])),
            "training-role",
        ),
        Case(
            "ZON-2",
            "training reads whatever has a bucket's name",
            training(),
            training(allow("s3:GetObject", ["arn:aws:s3:::b-*/*"])),
            "training-role",
        ),
        Case(
            "ZON-2",
            "training reads originals by a policy within its role",
            training(),
            with_inline(training(), policy(allow("s3:GetObject", [UPLOADS]))),
            "training-role",
        ),
        Case(
            "ZON-2",
            "training reads events",
            training(),
            training(allow("sqs:ReceiveMessage", [arn("sqs", "events")])),
            "training-role",
        ),
        Case(
            "ZON-2",
            "the key lets training in",
            training(),
            training(key_users=("training",)),
            "training-role",
        ),
        Case(
            "ZON-3",
            "the bucket denies one of two",
            refusing(DENIED),
            refusing({**DENIED, "Principal": {"AWS": [role_arn("import")]}}),
            "uploads",
        ),
        Case(
            "ZON-3",
            "the bucket forgets who serves models",
            graph(role("endpoint"), *refusing(ALL_DENIED).resources),
            graph(role("endpoint"), *refusing(DENIED).resources),
            "uploads",
        ),
        Case(
            "ZON-3",
            "the bucket denies under a condition",
            refusing(DENIED),
            refusing({**DENIED, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
            "uploads",
        ),
        Case(
            "ZON-4",
            "training reads logs",
            training(),
            training(allow("logs:Get*", [arn("logs", "log-group:x")])),
            "training-role",
        ),
        *(
            Case(
                "KEY-2",
                f"{service} may make no grant for whoever deploys",
                declared(resource, DEPLOYED.format(service)),
                declared(resource, DEPLOYED.format("s3")),
                resource.name,
            )
            for service, resource in ENCRYPTED.items()
        ),
        Case(
            "KEY-2",
            "whoever deploys may encrypt with a table's key, and make no grant",
            declared(ENCRYPTED["dynamodb"], DEPLOYED.format("dynamodb")),
            declared(ENCRYPTED["dynamodb"], DEPLOYED.format("dynamodb"), without_action="kms:CreateGrant"),
            "ledger",
        ),
        Case(
            "KEY-1",
            "the role's policy lacks the key",
            reader([READ, USE], [USED]),
            reader([READ], [USED]),
            "processor-role",
        ),
        Case(
            "KEY-1",
            "the key's policy lacks the role",
            reader([READ, USE], [USED]),
            reader([READ, USE], []),
            "processor-role",
        ),
        Case(
            "KEY-1",
            "a writer may only decrypt",
            reader([WRITE, {**USE, "Action": BOTH}], [{**USED, "Action": BOTH}]),
            reader([WRITE, USE], [USED]),
            "processor-role",
        ),
        Case(
            "KEY-1",
            "the key is open through another service",
            reader([READ, USE], [THROUGH_S3]),
            reader([READ, USE], [THROUGH_SQS]),
            "processor-role",
        ),
    ]
