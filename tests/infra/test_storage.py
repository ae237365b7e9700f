"""Buckets: what guards each, how long objects stay, where they go with age, and what is copied."""

import json
from typing import Any

import pytest

from rayline_infra.components.lifecycles import lifecycle
from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph
from rayline_infra.settings import AuditSettings, StorageSettings

BUCKET = "aws:s3/bucket:Bucket"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
REPLICATION = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
IDENTIFIED = {"uploads", "quarantine", "archive"}
DEIDENTIFIED = {"imports", "preprocessed", "models", "reports"}
ABROAD = {"archive-replica", "models-replica", "reports-replica"}
ALL = IDENTIFIED | DEIDENTIFIED | ABROAD | {"viewer", "logs", "access-logs"}


def part(graph: Graph, type_name: str, bucket: str) -> dict[str, Any]:
    """The one resource of a type that configures a bucket."""
    name = graph.named(BUCKET, bucket).inputs["bucket"]
    token = f"aws:s3/{type_name[:1].lower()}{type_name[1:]}:{type_name}"
    (found,) = [each for each in graph.of_type(token) if each.inputs["bucket"] == name]
    return dict(found.inputs)


def rules(graph: Graph, bucket: str) -> list[dict[str, Any]]:
    found = part(graph, "BucketLifecycleConfiguration", bucket)["rules"]
    assert all(rule["status"] == "Enabled" for rule in found)
    return list(found)


def expirations(graph: Graph, bucket: str) -> list[tuple[object, int]]:
    """What a bucket lets expire: each rule's filter and days."""
    return [
        (rule["filter"], rule["expiration"]["days"])
        for rule in rules(graph, bucket)
        if "days" in rule.get("expiration", {})
    ]


def statement(graph: Graph, bucket: str, sid: str) -> dict[str, Any]:
    policy = json.loads(graph.named(POLICY, f"{bucket}-policy").inputs["policy"])
    (found,) = [each for each in policy["Statement"] if each["Sid"] == sid]
    return dict(found)


def setting(graph: Graph, name: str) -> int:
    return {"prod": {"uploads": 2555}}.get(graph.stack, {}).get(name, 0)


def test_the_estate_has_these_buckets(graph: Graph) -> None:
    assert {bucket.name for bucket in graph.of_type(BUCKET)} == ALL


@pytest.mark.parametrize("bucket", sorted(ALL))
def test_every_bucket_is_guarded(graph: Graph, bucket: str) -> None:
    assert part(graph, "BucketVersioning", bucket)["versioningConfiguration"] == {"status": "Enabled"}
    assert part(graph, "BucketOwnershipControls", bucket)["rule"] == {
        "objectOwnership": "BucketOwnerEnforced"
    }
    blocked = part(graph, "BucketPublicAccessBlock", bucket)
    assert [blocked[flag] for flag in (
        "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"
    )] == [True] * 4  # fmt: skip
    tls = statement(graph, bucket, "TlsOnly")
    name = graph.named(BUCKET, bucket).inputs["bucket"]
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", ["s3:*"])
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert tls["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]


@pytest.mark.parametrize("bucket", sorted(IDENTIFIED | DEIDENTIFIED | ABROAD))
def test_nothing_is_stored_under_another_key(graph: Graph, bucket: str) -> None:
    (rule,) = part(graph, "BucketServerSideEncryptionConfiguration", bucket)["rules"]
    default = rule["applyServerSideEncryptionByDefault"]
    assert default["sseAlgorithm"] == "aws:kms"
    other = statement(graph, bucket, "OnlyTheZonesKey")
    header = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    # Without the Null operator it would refuse whoever names no key, which is everybody (IAM user guide).
    assert other["Condition"] == {
        "Null": {header: "false"},
        "StringNotEquals": {header: default["kmsMasterKeyId"]},
    }
    assert (other["Effect"], other["Principal"], other["Action"]) == ("Deny", "*", ["s3:PutObject"])
    plain = statement(graph, bucket, "OnlyKms")["Condition"]
    assert plain["StringNotEquals"] == {"s3:x-amz-server-side-encryption": "aws:kms"}


def test_calls_of_every_bucket_at_home_are_logged_to_the_unlocked_one(graph: Graph) -> None:
    logged = {
        each.name.removesuffix("-logging"): (each.inputs["targetBucket"], each.inputs["targetPrefix"])
        for each in graph.of_type("aws:s3/bucketLogging:BucketLogging")
    }
    target = graph.named(BUCKET, "access-logs").inputs["bucket"]
    # A bucket of another region cannot be the target (Amazon S3 user guide, "Server access logging").
    assert logged == {bucket: (target, f"s3/{bucket}/") for bucket in ALL - ABROAD - {"access-logs"}}
    grant = statement(graph, "access-logs", "S3Writes")
    assert grant["Principal"] == {"Service": ["logging.s3.amazonaws.com"]}
    assert grant["Resource"] == [f"arn:aws:s3:::{target}/s3/*"]
    assert grant["Condition"]["StringEquals"] == {"aws:SourceAccount": graph.outputs["account_id"]}
    locked = {each.inputs["bucket"] for each in graph.of_type(
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
    )}  # fmt: skip
    assert target not in locked


def test_only_a_tagged_original_expires(graph: Graph) -> None:
    tag = {"tag": {"key": "rayline-state", "value": "imported"}}
    assert expirations(graph, "uploads") == [
        (tag, setting(graph, "uploads") or expirations(graph, "uploads")[0][1])
    ]
    for rule in rules(graph, "uploads"):
        if rule["filter"] != tag:
            assert "noncurrentVersionExpiration" not in rule
            assert set(rule.get("expiration", {})) <= {"expiredObjectDeleteMarker"}


def test_the_archive_keeps_every_version_for_ever(graph: Graph) -> None:
    for bucket in ("archive", "archive-replica"):
        assert expirations(graph, bucket) == []
        assert not [rule for rule in rules(graph, bucket) if "noncurrentVersionExpiration" in rule]


@pytest.mark.parametrize(
    ("bucket", "glacier"),
    [
        ("archive", "GLACIER"),
        ("archive-replica", "GLACIER"),
        ("logs", "GLACIER"),
        ("access-logs", "GLACIER"),
        # Read again at any time, by an endpoint that grows or a person who compares, so never frozen for hours.
        ("models", "GLACIER_IR"),
        ("models-replica", "GLACIER_IR"),
        ("reports", "GLACIER_IR"),
        ("reports-replica", "GLACIER_IR"),
    ],
)
def test_what_is_kept_gets_cheaper_with_age(graph: Graph, bucket: str, glacier: str) -> None:
    moves = [
        (move["days"], move["storageClass"])
        for rule in rules(graph, bucket)
        for move in rule.get("transitions", [])
    ]
    assert moves == [(90, "INTELLIGENT_TIERING"), (180, glacier)]


@pytest.mark.parametrize("bucket", ["quarantine", "imports", "preprocessed", "viewer"])
def test_what_expires_or_is_small_is_not_moved(graph: Graph, bucket: str) -> None:
    assert not [rule for rule in rules(graph, bucket) if rule.get("transitions")]


def test_an_original_that_expires_soon_is_not_moved_to_what_is_billed_for_longer() -> None:
    storage = StorageSettings.model_validate({"uploadRetentionDays": "200"})
    (rule,) = [
        each for each in lifecycle("uploads", storage, AuditSettings()) if each.id == "expire-imported"
    ]
    assert isinstance(rule.transitions, list)
    assert [(move.days, move.storage_class) for move in rule.transitions] == [(90, "INTELLIGENT_TIERING")]


def test_prod_keeps_originals_for_seven_years(graph: Graph) -> None:
    if graph.stack == "prod":
        assert expirations(graph, "uploads")[0][1] == 7 * 365


def test_logs_outlive_their_lock(graph: Graph) -> None:
    for bucket in ("logs", "access-logs"):
        ((where, days),) = expirations(graph, bucket)
        assert where == {"prefix": ""}
        # Two leap days at most in seven years; one in a single year.
        assert days >= (7 * 365 + 2 if graph.stack == "prod" else 366)


def test_copies_are_made_as_the_stack_says(graph: Graph) -> None:
    copied = {
        (each.name.removesuffix("-replication"), rule["filter"]["prefix"], rule["destination"]["bucket"])
        for each in graph.of_type(REPLICATION)
        for rule in each.inputs["rules"]
    }
    prefix, account = f"arn:aws:s3:::rayline-{graph.stack}", graph.outputs["account_id"]
    # S3 copies no copy on, so both archives are fed from the uploads.
    assert copied == {
        ("uploads", "upload/", f"{prefix}-archive-{account}"),
        ("uploads", "upload/", f"{prefix}-archive-replica-{account}"),
        ("models", "", f"{prefix}-models-replica-{account}"),
        ("reports", "", f"{prefix}-reports-replica-{account}"),
    }


def test_a_copy_is_encrypted_by_its_own_bucket_s_key_and_outlives_its_original(graph: Graph) -> None:
    keys = {
        f"arn:aws:s3:::{bucket.inputs['bucket']}": part(
            graph, "BucketServerSideEncryptionConfiguration", bucket.name
        )["rules"][0]["applyServerSideEncryptionByDefault"].get("kmsMasterKeyId")
        for bucket in graph.of_type(BUCKET)
    }
    for each in graph.of_type(REPLICATION):
        priorities = [rule["priority"] for rule in each.inputs["rules"]]
        assert len(set(priorities)) == len(priorities)
        for rule in each.inputs["rules"]:
            destination = rule["destination"]
            assert destination["encryptionConfiguration"]["replicaKmsKeyId"] == keys[destination["bucket"]]
            # Without it S3 passes encrypted objects over (Amazon S3 user guide, "Replicating encrypted objects").
            assert rule["sourceSelectionCriteria"] == {"sseKmsEncryptedObjects": {"status": "Enabled"}}
            assert rule["deleteMarkerReplication"] == {"status": "Disabled"}
            assert destination["metrics"]["status"] == "Enabled"


def test_each_copying_role_stays_in_its_zone(graph: Graph) -> None:
    reached = {}
    for zone in ("identified", "deidentified"):
        policy = graph.named("aws:iam/rolePolicy:RolePolicy", f"replication-{zone}-policy").inputs["policy"]
        found = {
            resource.removeprefix(f"arn:aws:s3:::rayline-{graph.stack}-").split("/")[0].rsplit("-", 1)[0]
            for each in json.loads(policy)["Statement"]
            for resource in each["Resource"]
            if resource.startswith("arn:aws:s3:::")
        }
        actions = {action for each in json.loads(policy)["Statement"] for action in each["Action"]}
        assert not {"s3:ReplicateDelete", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} & actions
        reached[zone] = found
    assert reached == {
        "identified": {"uploads", "archive", "archive-replica"},
        "deidentified": {"models", "models-replica", "reports", "reports-replica"},
    }


def test_copies_abroad_stand_in_the_other_region(graph: Graph) -> None:
    regions = {bucket.name: bucket.inputs["region"] for bucket in graph.of_type(BUCKET)}
    assert regions == {**dict.fromkeys(ALL, "us-east-1"), **dict.fromkeys(ABROAD, "us-west-2")}


def test_buckets_and_their_roles_are_versioned_and_granted_before_anything_is_copied(graph: Graph) -> None:
    order = [(each.type, each.name) for each in graph.resources]
    for source, zone in (("uploads", "identified"), ("models", "deidentified"), ("reports", "deidentified")):
        copying = order.index((REPLICATION, f"{source}-replication"))
        for bucket in (source, f"{'archive' if source == 'uploads' else source}-replica"):
            assert order.index(("aws:s3/bucketVersioning:BucketVersioning", f"{bucket}-versioning")) < copying
        assert order.index(("aws:iam/rolePolicy:RolePolicy", f"replication-{zone}-policy")) < copying


def test_without_copies_there_is_no_bucket_role_or_key_for_them() -> None:
    without = plan("dev", overrides={"rayline:originalArchive": "false", "rayline:replicaRegion": ""})
    assert not [each.name for each in without.resources if each.custom and "replica" in each.name]
    assert {bucket.name for bucket in without.of_type(BUCKET)} == ALL - ABROAD - {"archive"}
    keys = json.dumps([key.inputs["policy"] for key in without.of_type("aws:kms/key:Key")])
    assert "replication" not in keys


def test_an_archive_alone_stays_in_its_region() -> None:
    graph = plan("dev", overrides={"rayline:replicaRegion": ""})
    (config,) = graph.of_type(REPLICATION)
    assert [rule["id"] for rule in config.inputs["rules"]] == ["archive"]


def test_only_a_stack_that_may_be_destroyed_empties_its_buckets(graph: Graph) -> None:
    for bucket in graph.of_type(BUCKET):
        assert bucket.protect is (graph.stack == "prod"), bucket.name
        assert bucket.inputs["forceDestroy"] is (graph.stack != "prod"), bucket.name


def test_cloudfront_reads_the_viewer_s_pages_and_nothing_else(graph: Graph) -> None:
    account = graph.outputs["account_id"]
    admitted = [
        (policy.name, each["Action"])
        for policy in graph.of_type(POLICY)
        for each in json.loads(policy.inputs["policy"])["Statement"]
        if each["Effect"] == "Allow" and "cloudfront.amazonaws.com" in each["Principal"].get("Service", [])
    ]
    assert admitted == [("viewer-policy", ["s3:GetObject"])]
    assert f"arn:aws:cloudfront::{account}:distribution/" in json.dumps(
        statement(graph, "viewer", "CloudFrontReads")["Condition"]
    )


@pytest.mark.parametrize("name", ["glacierDays", "secretRecoveryDays"])
def test_wrong_settings_are_told(name: str) -> None:
    settings = StorageSettings.model_validate({"glacierDays": "90", "secretRecoveryDays": "3"})
    assert name in dict(settings.problems())
