"""Who may reach which zone, computed from the declared policies with an evaluator of the tests' own."""

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from rayline_infra.policies.graph import Graph

BUCKETS = ("uploads", "quarantine", "archive", "imports", "preprocessed", "models", "reports")
ROLES = (
    "processor", "api", "gateway", "execution", "import", "training", "operator", "reviewer", "uploader",
    "replication-identified", "replication-deidentified", "endpoint",
)  # fmt: skip
# A key in each bucket that the role in question would want.
SAMPLE_KEYS = {
    "uploads": "upload/hospital-a/scan.dcm",
    "quarantine": "hospital-a/0f/object",
    "archive": "upload/hospital-a/scan.dcm",
    "imports": "imports/b1/i1.dcm",
    "preprocessed": "preprocessed/e1/train/part.npy",
    "models": "models/e1/model.tar.gz",
    "reports": "evaluations/e1/report.html",
}
MAY_READ: dict[str, set[str]] = {
    "endpoint": {"models"},
    "processor": {"uploads", "quarantine", "imports", "reports"},
    "api": {"quarantine"},
    "gateway": set(),
    "execution": set(),
    "import": {"imports"},
    "training": {"preprocessed", "models", "reports"},
    "operator": {"quarantine", "reports"},
    "reviewer": set(),
    "uploader": set(),
    "replication-identified": set(),
    "replication-deidentified": set(),
}
MAY_WRITE: dict[str, set[str]] = {
    "endpoint": set(),
    "processor": {"quarantine", "imports"},
    "api": set(),
    "gateway": {"uploads"},
    "execution": set(),
    "import": set(),
    "training": {"preprocessed", "models", "reports"},
    "operator": set(),
    "reviewer": set(),
    "uploader": {"uploads"},
    "replication-identified": set(),
    "replication-deidentified": set(),
}
MAY_DECRYPT = {
    "identified": {
        "processor",
        "api",
        "gateway",
        "operator",
        "reviewer",
        "uploader",
        "replication-identified",
    },
    "deidentified": {"processor", "import", "training", "endpoint", "operator", "replication-deidentified"},
    "tracking": {"processor", "api", "operator"},
    "logs": set(),
    "secrets": {"execution"},
}


def statements(policy: str) -> list[dict[str, Any]]:
    found = json.loads(policy)["Statement"]
    assert found
    return list(found)


def allows(policy: str, action: str, resource: str) -> bool:
    """Whether an identity policy allows; an explicit deny wins. Conditions are taken as met."""
    matching = [
        statement["Effect"]
        for statement in statements(policy)
        if any(fnmatchcase(action, pattern) for pattern in statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
    ]
    return "Allow" in matching and "Deny" not in matching


def role_policy(graph: Graph, role: str) -> str:
    return str(graph.named("aws:iam/rolePolicy:RolePolicy", f"{role}-policy").inputs["policy"])


def object_arn(graph: Graph, bucket: str, key: str | None = None) -> str:
    name = graph.named("aws:s3/bucket:Bucket", bucket).inputs["bucket"]
    return f"arn:aws:s3:::{name}/{key or SAMPLE_KEYS[bucket]}"


@pytest.mark.parametrize("role", ROLES)
def test_roles_read_only_their_buckets(graph: Graph, role: str) -> None:
    policy = role_policy(graph, role)
    newest = {each for each in BUCKETS if allows(policy, "s3:GetObject", object_arn(graph, each))}
    versions = {each for each in BUCKETS if allows(policy, "s3:GetObjectVersion", object_arn(graph, each))}
    assert newest | versions == MAY_READ[role]
    # Only who is told of a version asks for one.
    assert versions <= {"uploads", "quarantine"}


@pytest.mark.parametrize("role", ROLES)
def test_roles_write_only_their_buckets(graph: Graph, role: str) -> None:
    policy = role_policy(graph, role)
    writable = {each for each in BUCKETS if allows(policy, "s3:PutObject", object_arn(graph, each))}
    assert writable == MAY_WRITE[role]


def test_only_those_who_empty_quarantine_delete_objects_and_nobody_deletes_versions(graph: Graph) -> None:
    deletions = {
        (role, bucket)
        for role in ROLES
        for bucket in BUCKETS
        if allows(role_policy(graph, role), "s3:DeleteObject", object_arn(graph, bucket))
    }
    assert deletions == {
        ("processor", "quarantine"),
        ("processor", "imports"),
        ("operator", "quarantine"),
        ("api", "quarantine"),
    }
    for role in ROLES:
        for bucket in BUCKETS:
            assert not allows(role_policy(graph, role), "s3:DeleteObjectVersion", object_arn(graph, bucket))


@pytest.mark.parametrize(
    ("role", "bucket", "key", "allowed"),
    [
        ("uploader", "uploads", "elsewhere/scan.dcm", False),
        ("operator", "uploads", "upload/hospital-a/released/0f", True),
        ("operator", "uploads", "upload/hospital-a/scan.dcm", False),
        ("operator", "uploads", "released/0f", False),
        ("processor", "preprocessed", "datasets/t1/manifest.json", True),
        ("processor", "preprocessed", "preprocessed/e1/train/part.npy", False),
        ("processor", "imports", "import-results/job/SUCCESS/success.ndjson", False),
        ("import", "imports", "import-results/job/SUCCESS/success.ndjson", True),
        ("import", "imports", "imports/b1/i1.dcm", False),
    ],
)
def test_writes_stay_under_their_prefix(
    graph: Graph, role: str, bucket: str, key: str, allowed: bool
) -> None:
    assert allows(role_policy(graph, role), "s3:PutObject", object_arn(graph, bucket, key)) is allowed


@pytest.mark.parametrize(
    ("role", "source", "target", "key"),
    [
        ("processor", "uploads", "imports", None),
        ("processor", "uploads", "quarantine", None),
        ("operator", "quarantine", "uploads", "upload/hospital-a/released/0f"),
    ],
)
def test_whoever_has_s3_copy_large_objects_may_read_the_version_and_abort_the_upload(
    graph: Graph, role: str, source: str, target: str, key: str | None
) -> None:
    # UploadPartCopy of a version asks for both (S3 user guide, "Multipart upload API and permissions").
    policy = role_policy(graph, role)
    assert allows(policy, "s3:GetObjectVersion", object_arn(graph, source))
    for action in ("s3:PutObject", "s3:AbortMultipartUpload"):
        assert allows(policy, action, object_arn(graph, target, key))


def test_parts_that_a_crash_left_behind_end_by_themselves(graph: Graph) -> None:
    lifecycles = graph.of_type("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    assert len(lifecycles) == len(graph.of_type("aws:s3/bucket:Bucket"))
    for lifecycle in lifecycles:
        days = [
            rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"]
            for rule in lifecycle.inputs["rules"]
            if rule["status"] == "Enabled" and "abortIncompleteMultipartUpload" in rule
        ]
        assert days == [7]


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("hospital-a/index/8232726400000000/0f/uploaded/-/NOT_DICOM/-/-/8/x", True),
        ("hospital-a/0f/object", False),
        ("hospital-a/0f/reason.json", False),
        ("hospital-a/parked/uploaded-0f.json", False),
        ("index/0f", False),
    ],
)
def test_a_reviewer_sees_what_was_refused_and_why_and_no_patient(
    graph: Graph, key: str, allowed: bool
) -> None:
    policy = role_policy(graph, "reviewer")
    arn = object_arn(graph, "quarantine", key)
    assert allows(policy, "s3:GetObject", arn) is allowed
    assert allows(policy, "s3:ListBucket", arn.partition("/")[0])
    assert not any(
        allows(policy, action, arn)
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
    )
    assert {action for each in statements(policy) for action in each["Action"]} == {
        "s3:GetObject", "s3:ListBucket", "kms:Decrypt",
    }  # fmt: skip


@pytest.mark.parametrize("key", sorted(MAY_DECRYPT))
def test_a_key_opens_for_a_role_only_by_key_policy_and_role_policy(graph: Graph, key: str) -> None:
    resource = graph.named("aws:kms/key:Key", f"{key}-key")
    arn, policy = str(resource.outputs["arn"]), str(resource.inputs["policy"])
    named = {
        principal.rsplit(f"role/rayline-{graph.stack}-", 1)[-1]
        for statement in statements(policy)
        if "kms:Decrypt" in statement["Action"] and "AWS" in statement["Principal"]
        for principal in statement["Principal"]["AWS"]
        if ":role/" in principal
    }
    granted = {role for role in ROLES if allows(role_policy(graph, role), "kms:Decrypt", arn)}
    assert named == granted == MAY_DECRYPT[key]


def test_the_account_itself_cannot_decrypt_without_a_service_in_between(graph: Graph) -> None:
    for key in graph.of_type("aws:kms/key:Key"):
        for statement in statements(key.inputs["policy"]):
            principals = statement["Principal"].get("AWS", [])
            if any(each.endswith(":root") for each in principals) and "kms:Decrypt" in statement["Action"]:
                assert "kms:ViaService" in statement["Condition"]["StringEquals"], key.name
    identified = graph.named("aws:kms/key:Key", "identified-key").inputs["policy"]
    for statement in statements(identified):
        if "kms:Decrypt" in statement["Action"]:
            assert not any(each.endswith(":root") for each in statement["Principal"].get("AWS", []))


def test_roles_exist_before_the_keys_that_name_them(graph: Graph) -> None:
    order = [(each.type, each.name) for each in graph.resources]
    roles = [order.index(("aws:iam/role:Role", f"{role}-role")) for role in ROLES]
    keys = [order.index(("aws:kms/key:Key", f"{key}-key")) for key in MAY_DECRYPT]
    assert max(roles) < min(keys)


def test_role_policies_fit_iam(graph: Graph) -> None:
    # All inline policies of a role: 10,240 characters without white space (IAM quotas).
    for role in ROLES:
        assert 100 < len("".join(role_policy(graph, role).split())) <= 10_240


def test_buckets_use_their_zones_key(graph: Graph) -> None:
    type_token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    arn = {key.name.removesuffix("-key"): key.outputs["arn"] for key in graph.of_type("aws:kms/key:Key")}
    found = {
        each.name.removesuffix("-encryption"): each.inputs["rules"][0]["applyServerSideEncryptionByDefault"]
        for each in graph.of_type(type_token)
    }
    assert {bucket: rule.get("kmsMasterKeyId") for bucket, rule in found.items()} == {
        "uploads": arn["identified"],
        "quarantine": arn["identified"],
        "archive": arn["identified"],
        "imports": arn["deidentified"],
        "preprocessed": arn["deidentified"],
        "models": arn["deidentified"],
        "reports": arn["deidentified"],
        "archive-replica": arn["identified-replica"],
        "models-replica": arn["deidentified-replica"],
        "reports-replica": arn["deidentified-replica"],
        "logs": arn["logs"],
        "viewer": None,
        "access-logs": None,
    }


def test_identified_buckets_refuse_the_deidentified_zones_roles_outright(graph: Graph) -> None:
    denied = {}
    for bucket in BUCKETS:
        policy = graph.named("aws:s3/bucketPolicy:BucketPolicy", f"{bucket}-policy").inputs["policy"]
        denied[bucket] = {
            role.rpartition(f"role/rayline-{graph.stack}-")[2]
            for statement in statements(policy)
            if statement["Effect"] == "Deny" and statement["Principal"] == "*"
            for role in statement["Condition"].get("ArnEquals", {}).get("aws:PrincipalArn", [])
        }
    others = {"training", "import", "endpoint", "replication-deidentified"}
    assert denied == {
        "uploads": others,
        "quarantine": others,
        "archive": others,
        "imports": set(),
        "preprocessed": set(),
        "models": set(),
        "reports": set(),
    }


def test_buckets_of_both_zones_announce_their_objects_and_only_uploads_start_work(graph: Graph) -> None:
    announcing = {
        each.inputs["bucket"]: each.inputs["eventbridge"]
        for each in graph.of_type("aws:s3/bucketNotification:BucketNotification")
    }
    prefix, account = f"rayline-{graph.stack}", graph.outputs["account_id"]
    assert announcing == {f"{prefix}-{bucket}-{account}": True for bucket in BUCKETS}
    heard = [
        pattern["detail"]["bucket"]["name"]
        for rule in graph.of_type("aws:cloudwatch/eventRule:EventRule")
        if "aws.s3" in (pattern := json.loads(rule.inputs.get("eventPattern") or "{}")).get("source", [])
    ]
    assert heard == [[graph.outputs["uploads_bucket"]]]


@pytest.mark.parametrize(
    ("role", "trusted"),
    [
        ("processor", "ecs-tasks.amazonaws.com"),
        ("execution", "ecs-tasks.amazonaws.com"),
        ("import", "medical-imaging.amazonaws.com"),
        ("training", "sagemaker.amazonaws.com"),
    ],
)
def test_service_roles_trust_one_service_for_this_account(graph: Graph, role: str, trusted: str) -> None:
    trust = graph.named("aws:iam/role:Role", f"{role}-role").inputs["assumeRolePolicy"]
    (statement,) = statements(trust)
    assert statement["Principal"] == {"Service": [trusted]}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": graph.outputs["account_id"]}}


@pytest.mark.parametrize("role", ["operator", "reviewer", "uploader"])
def test_peoples_roles_trust_named_principals_of_this_account(graph: Graph, role: str) -> None:
    trust = graph.named("aws:iam/role:Role", f"{role}-role").inputs["assumeRolePolicy"]
    (statement,) = statements(trust)
    account = graph.outputs["account_id"]
    assert statement["Principal"] == {"AWS": [f"arn:aws:iam::{account}:root"]}
    patterns = statement["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert patterns
    assert all(pattern.startswith(f"arn:aws:iam::{account}:") for pattern in patterns)


def test_whoever_deploys_may_send_as_modalities_do_and_take_no_other_persons_role(
    graph_of: Callable[[str], Graph],
) -> None:
    graph = graph_of("prod")
    takers = {}
    for role in ("operator", "reviewer", "uploader"):
        trust = graph.named("aws:iam/role:Role", f"{role}-role").inputs["assumeRolePolicy"]
        (statement,) = statements(trust)
        takers[role] = statement["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert takers["uploader"] == [
        "arn:aws:iam::222222222222:role/rayline-gateway-*",
        "arn:aws:iam::222222222222:role/rayline-deploy*",
    ]
    assert not any("rayline-deploy" in each for each in (*takers["operator"], *takers["reviewer"]))


def test_roles_are_passed_only_to_the_service_that_assumes_them(graph: Graph) -> None:
    passed = {}
    for role in ROLES:
        for statement in statements(role_policy(graph, role)):
            if "iam:PassRole" in statement["Action"]:
                assert statement["Action"] == ["iam:PassRole"]
                (target,) = statement["Resource"]
                service = statement["Condition"]["StringEquals"]["iam:PassedToService"]
                passed[role] = (target.rsplit("-", 1)[-1], service)
    assert passed == {
        "processor": ("import", "medical-imaging.amazonaws.com"),
        "training": ("training", "sagemaker.amazonaws.com"),
    }


@pytest.mark.parametrize(
    ("role", "action", "below", "allowed"),
    [
        ("processor", "medical-imaging:StartDICOMImportJob", "", True),
        ("processor", "medical-imaging:DeleteImageSet", "/imageset/0f", False),
        ("training", "medical-imaging:GetImageFrame", "/imageset/0f", True),
        ("training", "medical-imaging:GetImageSetMetadata", "/imageset/0f", True),
        ("training", "medical-imaging:SearchImageSets", "", False),
        ("operator", "medical-imaging:SearchImageSets", "", True),
        ("operator", "medical-imaging:StartDICOMImportJob", "", False),
        ("uploader", "medical-imaging:SearchImageSets", "", False),
    ],
)
def test_image_sets_are_reached_as_agreed(
    graph: Graph, role: str, action: str, below: str, allowed: bool
) -> None:
    datastore = graph.outputs["datastore_id"]
    account = graph.outputs["account_id"]
    arn = f"arn:aws:medical-imaging:us-east-1:{account}:datastore/{datastore}{below}"
    policy = role_policy(graph, role)
    assert allows(policy, action, arn) is allowed
    assert not allows(policy, action, arn.replace(datastore, "0" * 32))


@pytest.mark.parametrize(
    ("role", "action", "table", "allowed"),
    [
        ("processor", "dynamodb:UpdateItem", "effects", True),
        ("processor", "dynamodb:PutItem", "model-metrics", True),
        ("operator", "dynamodb:UpdateItem", "image-tracking", True),
        ("operator", "dynamodb:UpdateItem", "effects", True),  # a replay reopens what has ended
        ("operator", "dynamodb:PutItem", "effects", False),
        ("operator", "dynamodb:DeleteItem", "effects", False),
        ("operator", "dynamodb:DeleteItem", "image-tracking", False),
        ("operator", "dynamodb:GetItem", "effects", True),
        ("training", "dynamodb:GetItem", "image-tracking", False),
        ("import", "dynamodb:GetItem", "image-tracking", False),
        ("uploader", "dynamodb:GetItem", "image-tracking", False),
    ],
)
def test_ledgers_are_reached_as_agreed(
    graph: Graph, role: str, action: str, table: str, allowed: bool
) -> None:
    account = graph.outputs["account_id"]
    arn = f"arn:aws:dynamodb:us-east-1:{account}:table/rayline-{graph.stack}-{table}"
    assert allows(role_policy(graph, role), action, arn) is allowed


@pytest.mark.parametrize(
    ("role", "action", "resource", "allowed"),
    [
        ("operator", "sqs:ReceiveMessage", "sqs:{events}-events-dlq", True),
        ("operator", "sqs:DeleteMessage", "sqs:{events}-events-dlq", True),
        ("operator", "sqs:SendMessage", "sqs:{events}-events-dlq", False),
        ("operator", "sqs:SendMessage", "sqs:{events}-events", True),
        ("operator", "sqs:ReceiveMessage", "sqs:{events}-events", False),
        ("operator", "sqs:DeleteMessage", "sqs:{events}-events", False),
        ("operator", "events:StartReplay", "events:archive/{events}-aws", True),
        ("operator", "events:StartReplay", "events:archive/{events}-own", True),
        ("operator", "events:StartReplay", "events:archive/somebody-elses", False),
        ("operator", "events:DescribeReplay", "events:replay/{events}-aws-20260101", True),
        ("operator", "events:DescribeReplay", "events:replay/somebody-elses", False),
        ("processor", "sqs:ReceiveMessage", "sqs:{events}-events-dlq", False),
        ("processor", "events:StartReplay", "events:archive/{events}-aws", False),
        ("uploader", "sqs:SendMessage", "sqs:{events}-events", False),
    ],
)
def test_only_operators_replay_and_only_what_is_the_stacks(
    graph: Graph, role: str, action: str, resource: str, allowed: bool
) -> None:
    service, _, name = resource.format(events=f"rayline-{graph.stack}").partition(":")
    arn = f"arn:aws:{service}:us-east-1:{graph.outputs['account_id']}:{name}"
    assert allows(role_policy(graph, role), action, arn) is allowed


def test_no_role_of_ours_reads_logs_or_secrets_but_the_one_that_injects_them(graph: Graph) -> None:
    for role in ROLES:
        for statement in statements(role_policy(graph, role)):
            for action in statement["Action"]:
                assert not action.startswith(("logs:Get", "logs:FilterLogEvents", "logs:StartQuery")), role
                assert not action.startswith("secretsmanager:") or role == "execution"
