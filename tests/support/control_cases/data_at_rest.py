"""Cases of encryption, transport, public access, retention, backups and deletion."""

import json
from typing import Any

from support.control_case import Case
from support.small_graphs import (
    ACCOUNT,
    PLAIN_HTTP,
    allow,
    arn,
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
    queue,
    queue_policy,
    topic,
    topic_policy,
)

from rayline_infra.policies.graph import Graph

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
UPLOADS = "aws:s3/bucket:Bucket", "uploads"


def table(**inputs: Any) -> Any:
    protect = inputs.pop("protect", False)
    return made(
        "aws:dynamodb/table:Table",
        "ledger",
        {"name": "ledger", **inputs},
        outputs={"arn": arn("dynamodb", "table/ledger")},
        protect=protect,
    )


def cluster(storage: dict[str, str]) -> Any:
    return made(
        "aws:ecs/cluster:Cluster",
        "cluster",
        {"configuration": {"managedStorageConfiguration": storage}},
        outputs={"arn": arn("ecs", "cluster/c")},
    )


def block(**flags: bool) -> Any:
    return made(BLOCK, "uploads-block", {"bucket": "b-uploads", **dict.fromkeys(FLAGS, True), **flags})


def lifecycle(name: str, *rules: dict[str, Any]) -> Any:
    return made(LIFECYCLE, f"{name}-lifecycle", {"bucket": f"b-{name}", "rules": list(rules)})


def versioning(status: str) -> Any:
    return made(
        "aws:s3/bucketVersioning:BucketVersioning",
        "uploads-versioning",
        {"bucket": "b-uploads", "versioningConfiguration": {"status": status}},
    )


def trail() -> Any:
    return made(
        "aws:cloudtrail/trail:Trail",
        "trail",
        {"name": "trail", "s3BucketName": "b-logs"},
        outputs={"arn": arn("cloudtrail", "trail/trail")},
    )


def lock(mode: str, years: int) -> Any:
    return made(
        "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        "logs-lock",
        {"bucket": "b-logs", "rule": {"defaultRetention": {"mode": mode, "years": years}}},
    )


def expiring(days: float) -> dict[str, Any]:
    return {"id": "expire", "status": "Enabled", "expiration": {"days": days}}


def pipeline(*, volume: str | None, output: str | None) -> Graph:
    training = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "ResourceConfig": {"InstanceType": {"Get": "Parameters.Kind"}, "VolumeKmsKeyId": volume},
            "OutputDataConfig": {"KmsKeyId": output},
        },
    }
    definition = {
        "Parameters": [{"Name": "Kind", "DefaultValue": "ml.m5.large"}],
        "Steps": [{"Name": "Gate", "Type": "Condition", "Arguments": {"IfSteps": [training]}}],
    }
    return graph(
        made("aws:sagemaker/pipeline:Pipeline", "pipeline", {"pipelineDefinition": json.dumps(definition)})
    )


def used_by(principal: object, **when: Any) -> dict[str, Any]:
    return allow(["kms:Decrypt"], principal=principal, when=when or None)


FIVE_KEYS = [key(kind) for kind in ("identified", "deidentified", "tracking", "logs", "secrets")]
NAMED = {"AWS": [f"arn:aws:iam::{ACCOUNT}:role/processor"]}
LISTENER = "aws:lb/listener:Listener"


def plain_denied(resource: str) -> dict[str, Any]:
    return deny("s3:*", resource, principal="*", when=PLAIN_HTTP)


RULES = {"Principal": {"Service": "events.amazonaws.com"}}


def sent(whom: dict[str, Any]) -> Graph:
    return graph(queue("events"), queue_policy("events", {**allow("sqs:SendMessage"), **whom}))


def everyone(operator: str, account: str) -> dict[str, Any]:
    return {"Principal": "*", "Condition": {operator: {"aws:PrincipalAccount": account}}}


def listener(**inputs: Any) -> Graph:
    return graph(made(LISTENER, "https", inputs))


def distribution(**inputs: Any) -> Graph:
    settings = {
        "defaultCacheBehavior": {"viewerProtocolPolicy": "redirect-to-https"},
        "viewerCertificate": {"acmCertificateArn": "arn", "minimumProtocolVersion": "TLSv1.2_2021"},
        **inputs,
    }
    return graph(made("aws:cloudfront/distribution:Distribution", "viewer", settings))


REDIRECT = {"type": "redirect", "redirect": {"protocol": "HTTPS", "statusCode": "HTTP_301"}}
TLS_QUEUE = graph(queue("events"), queue_policy("events", deny("sqs:*", principal="*", when=PLAIN_HTTP)))
ENCRYPTED_UPLOADS = graph(key("identified"), bucket("uploads"), encryption("uploads", "identified"))
ENCRYPTED_QUEUE = graph(key("identified"), queue("events", kmsMasterKeyId=key_arn("identified")))
KEPT = graph(trail(), bucket("logs"), lifecycle("logs", expiring(2557.0)))
LOCKED = graph(trail(), bucket("logs", objectLockEnabled=True), lock("COMPLIANCE", 7))


def cases() -> list[Case]:
    """All of them."""
    return [
        Case(
            "ENC-1",
            "the queue names no key",
            ENCRYPTED_QUEUE,
            edited(
                ENCRYPTED_QUEUE, "aws:sqs/queue:Queue", "events", lambda inputs: inputs.pop("kmsMasterKeyId")
            ),
            "events",
        ),
        Case(
            "ENC-1",
            "what tasks spool is under no key",
            graph(key("identified"), cluster({"fargateEphemeralStorageKmsKeyId": key_arn("identified")})),
            graph(key("identified"), cluster({})),
            "cluster",
        ),
        Case(
            "ENC-1",
            "the bucket is encrypted with S3's own key",
            ENCRYPTED_UPLOADS,
            graph(key("identified"), bucket("uploads"), encryption("uploads", None)),
            "uploads",
        ),
        Case(
            "ENC-1",
            "the table names a key of nobody's",
            graph(key("tracking"), table(serverSideEncryption={"kmsKeyArn": key_arn("tracking")})),
            graph(key("tracking"), table(serverSideEncryption={"kmsKeyArn": key_arn("other")})),
            "ledger",
        ),
        Case(
            "ENC-2",
            "a key is not rotated",
            graph(key("logs")),
            graph(key("logs", enableKeyRotation=False)),
            "logs-key",
        ),
        Case(
            "ENC-3",
            "all of the account may use the key",
            graph(key("logs", used_by(NAMED))),
            graph(key("logs", used_by({"AWS": ROOT}))),
            "logs-key",
        ),
        Case(
            "ENC-3",
            "another account may use the key",
            graph(
                key(
                    "logs",
                    used_by({"AWS": ROOT}, StringEquals={"kms:ViaService": "s3.us-east-1.amazonaws.com"}),
                )
            ),
            graph(key("logs", used_by({"AWS": "arn:aws:iam::999999999999:role/x"}))),
            "logs-key",
        ),
        Case(
            "ENC-3",
            "everyone may use the key",
            graph(key("logs", used_by({"Service": "logs.amazonaws.com"}))),
            graph(key("logs", used_by("*"))),
            "logs-key",
        ),
        Case(
            "ENC-3",
            "all of the account may use the key but through one service",
            graph(key("logs", used_by(NAMED))),
            graph(
                key(
                    "logs",
                    used_by({"AWS": ROOT}, StringNotEquals={"kms:ViaService": "s3.us-east-1.amazonaws.com"}),
                )
            ),
            "logs-key",
        ),
        Case(
            "ENC-3",
            "everybody but one may use the key",
            graph(key("logs", used_by(NAMED))),
            graph(key("logs", {**allow("kms:Decrypt"), "NotPrincipal": NAMED})),
            "logs-key",
        ),
        Case(
            "ENC-4",
            "the volume of a job within a condition has no key",
            pipeline(volume="k", output="k"),
            pipeline(volume=None, output="k"),
            "pipeline",
        ),
        Case(
            "ENC-4",
            "the output of a job has no key",
            pipeline(volume="k", output="k"),
            pipeline(volume="k", output=None),
            "pipeline",
        ),
        Case("ENC-5", "two zones share a key", graph(*FIVE_KEYS), graph(*FIVE_KEYS[1:]), "identified-key"),
        Case("TLS-1", "the queue has no policy", TLS_QUEUE, graph(queue("events")), "events"),
        Case(
            "TLS-1",
            "the denial of the bucket is under a second condition",
            graph(bucket("uploads"), bucket_policy("uploads", deny("s3:*", principal="*", when=PLAIN_HTTP))),
            graph(
                bucket("uploads"),
                bucket_policy(
                    "uploads",
                    deny(
                        "s3:*", principal="*", when={**PLAIN_HTTP, "StringEquals": {"aws:SourceVpc": "vpc-1"}}
                    ),
                ),
            ),
            "uploads",
        ),
        Case(
            "TLS-1",
            "the denial names the bucket, and not its objects",
            graph(bucket("uploads"), bucket_policy("uploads", plain_denied("arn:aws:s3:::b-uploads*"))),
            graph(bucket("uploads"), bucket_policy("uploads", plain_denied("arn:aws:s3:::b-uploads"))),
            "uploads",
        ),
        Case(
            "TLS-1",
            "the denial forgets who reads",
            TLS_QUEUE,
            graph(
                queue("events"),
                queue_policy("events", deny("sqs:SendMessage", principal="*", when=PLAIN_HTTP)),
            ),
            "events",
        ),
        Case(
            "TLS-1",
            "the topic denies one principal only",
            graph(
                topic("alarms"), topic_policy("alarms", deny("sns:Publish", principal="*", when=PLAIN_HTTP))
            ),
            graph(
                topic("alarms"), topic_policy("alarms", deny("sns:Publish", principal=NAMED, when=PLAIN_HTTP))
            ),
            "alarms",
        ),
        Case(
            "TLS-2",
            "the listener takes TLS 1.0",
            listener(protocol="HTTPS", sslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06"),
            listener(protocol="HTTPS", sslPolicy="ELBSecurityPolicy-2016-08"),
            "https",
        ),
        Case(
            "TLS-2",
            "port 80 forwards",
            listener(protocol="HTTP", defaultActions=[REDIRECT]),
            listener(protocol="HTTP", defaultActions=[{"type": "forward"}]),
            "https",
        ),
        Case(
            "TLS-3",
            "the distribution takes plain HTTP",
            distribution(),
            distribution(defaultCacheBehavior={"viewerProtocolPolicy": "allow-all"}),
            "viewer",
        ),
        Case(
            "TLS-3",
            "the distribution takes TLS 1.0",
            distribution(),
            distribution(viewerCertificate={"acmCertificateArn": "arn", "minimumProtocolVersion": "TLSv1"}),
            "viewer",
        ),
        *(
            Case(
                "TLS-4",
                f"{name} speaks HTTP",
                graph(made(type_token, "origin", {path: good})),
                graph(made(type_token, "origin", {path: bad})),
                "origin",
            )
            for name, type_token, path, good, bad in (
                ("the load balancer", "aws:lb/targetGroup:TargetGroup", "protocol", "HTTPS", "HTTP"),
                (
                    "CloudFront",
                    "aws:cloudfront/vpcOrigin:VpcOrigin",
                    "vpcOriginEndpointConfig",
                    {"originProtocolPolicy": "https-only"},
                    {"originProtocolPolicy": "match-viewer"},
                ),
                (
                    "CloudFront to another site",
                    "aws:cloudfront/distribution:Distribution",
                    "origins",
                    [{"customOriginConfig": {"originProtocolPolicy": "https-only"}}],
                    [{"customOriginConfig": {"originProtocolPolicy": "http-only"}}],
                ),
            )
        ),
        *(
            Case(
                "PUB-1",
                f"{flag} is off",
                graph(bucket("uploads"), block()),
                graph(bucket("uploads"), block(**{flag: False})),
                "uploads",
            )
            for flag in FLAGS
        ),
        Case(
            "PUB-1",
            "there is no block",
            graph(bucket("uploads"), block()),
            graph(bucket("uploads")),
            "uploads",
        ),
        Case(
            "PUB-2",
            "objects may have access control lists",
            *(
                graph(
                    bucket("uploads"),
                    made(
                        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
                        "uploads-ownership",
                        {"bucket": "b-uploads", "rule": {"objectOwnership": owner}},
                    ),
                )
                for owner in ("BucketOwnerEnforced", "ObjectWriter")
            ),
            "uploads",
        ),
        Case(
            "PUB-3",
            "everyone may read the bucket",
            TLS_QUEUE,
            graph(bucket("uploads"), bucket_policy("uploads", allow("s3:GetObject", principal="*"))),
            "uploads",
        ),
        Case(
            "PUB-3",
            "everyone may send, however it is spelled",
            graph(
                queue("events"),
                queue_policy(
                    "events",
                    allow(
                        "sqs:SendMessage",
                        principal={"AWS": "*"},
                        when={"ArnEquals": {"aws:SourceArn": "arn"}},
                    ),
                ),
            ),
            graph(
                queue("events"), queue_policy("events", allow("sqs:SendMessage", principal={"AWS": ["*"]}))
            ),
            "events",
        ),
        *(
            Case("PUB-3", why, sent({"Principal": NAMED}), sent(statement), "events")
            for why, statement in (
                ("another account may send", {"Principal": {"AWS": "arn:aws:iam::999999999999:root"}}),
                ("everybody but one may send", {"NotPrincipal": NAMED}),
                ("everyone of another account may send", everyone("StringEquals", "999999999999")),
                ("everyone of all accounts but one may send", everyone("StringNotEquals", ACCOUNT)),
                ("everyone of any account may send", everyone("StringLike", "*")),
                ("a service may send for any account", RULES),
                (
                    "a service may send for another account",
                    {
                        **RULES,
                        "Condition": {
                            "ArnEquals": {"aws:SourceArn": "arn:aws:events:us-east-1:999999999999:rule/x"}
                        },
                    },
                ),
            )
        ),
        Case(
            "PUB-4",
            "the model reaches the internet",
            graph(made("aws:sagemaker/model:Model", "model", {"enableNetworkIsolation": True})),
            graph(made("aws:sagemaker/model:Model", "model", {})),
            "model",
        ),
        Case(
            "RET-1",
            "logs expire after a year",
            KEPT,
            graph(trail(), bucket("logs"), lifecycle("logs", expiring(2557.0), expiring(365.0))),
            "logs",
        ),
        Case("RET-1", "nothing writes a trail", KEPT, graph(bucket("logs")), "CloudTrail"),
        Case(
            "RET-2",
            "whoever may lift the lock may remove logs",
            LOCKED,
            graph(trail(), bucket("logs", objectLockEnabled=True), lock("GOVERNANCE", 7)),
            "logs",
        ),
        Case(
            "RET-2",
            "logs are locked for a year",
            LOCKED,
            graph(trail(), bucket("logs", objectLockEnabled=True), lock("COMPLIANCE", 1)),
            "logs",
        ),
        Case(
            "RET-3",
            "a log group keeps its lines for ever",
            graph(made("aws:cloudwatch/logGroup:LogGroup", "logs", {"retentionInDays": 30.0})),
            graph(made("aws:cloudwatch/logGroup:LogGroup", "logs", {})),
            "logs",
        ),
        Case(
            "RET-4",
            "the queue forgets after four days",
            graph(queue("events")),
            graph(queue("events", messageRetentionSeconds=345600.0)),
            "events",
        ),
        Case(
            "RET-4",
            "the archive keeps a week",
            *(
                graph(made("aws:cloudwatch/eventArchive:EventArchive", "archive", {"retentionDays": days}))
                for days in (30.0, 7.0)
            ),
            "archive",
        ),
        Case(
            "BAK-1",
            "the table cannot be restored",
            graph(table(pointInTimeRecovery={"enabled": True})),
            graph(table()),
            "ledger",
        ),
        Case(
            "BAK-2",
            "versioning is suspended",
            graph(bucket("uploads"), versioning("Enabled")),
            graph(bucket("uploads"), versioning("Suspended")),
            "uploads",
        ),
        Case(
            "BAK-3",
            "old versions go the next day",
            *(
                graph(
                    bucket("uploads"),
                    lifecycle(
                        "uploads", {"id": "x", "noncurrentVersionExpiration": {"noncurrentDays": days}}
                    ),
                )
                for days in (30.0, 1.0)
            ),
            "uploads",
        ),
        Case(
            "BAK-4",
            "a deleted secret is gone at once",
            *(
                graph(made("aws:secretsmanager/secret:Secret", "deid", {"recoveryWindowInDays": days}))
                for days in (30.0, 0.0)
            ),
            "deid",
        ),
        Case(
            "DEL-1",
            "the bucket is not protected",
            graph(bucket("uploads", protect=True)),
            graph(bucket("uploads")),
            "uploads",
        ),
        Case(
            "DEL-1",
            "the data store is not protected",
            graph(datastore()),
            graph(datastore(protect=False)),
            "datastore",
        ),
        Case(
            "DEL-2",
            "AWS would delete the table",
            graph(table(deletionProtectionEnabled=True)),
            graph(table()),
            "ledger",
        ),
        Case(
            "DEL-2",
            "AWS would delete the users",
            *(
                graph(made("aws:cognito/userPool:UserPool", "users", {"deletionProtection": state}))
                for state in ("ACTIVE", "INACTIVE")
            ),
            "users",
        ),
        Case(
            "DEL-3",
            "destroying the stack empties the bucket",
            graph(bucket("uploads")),
            edited(graph(bucket("uploads")), *UPLOADS, lambda i: i.update(forceDestroy=True)),
            "uploads",
        ),
        Case(
            "DEL-4",
            "a deleted key is gone within a week",
            graph(key("logs")),
            graph(key("logs", deletionWindowInDays=7.0)),
            "logs-key",
        ),
        Case(
            "DEL-5",
            "images go with the stack",
            graph(datastore()),
            graph(datastore(retain=False)),
            "datastore",
        ),
    ]
