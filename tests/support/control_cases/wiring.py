"""Cases of deliveries and of roles that are handed on."""

import json
from typing import Any

from support.control_case import Case
from support.small_graphs import (
    ACCOUNT,
    allow,
    arn,
    assumed_by,
    bucket,
    bucket_policy,
    encryption,
    graph,
    key,
    key_arn,
    made,
    queue,
    queue_policy,
    role,
    role_arn,
    role_policy,
    task,
    topic,
    topic_policy,
)

from rayline_infra.policies.graph import Graph, Resource

RULE_ARN = arn("events", "rule/uploaded")
SEND = allow(
    "sqs:SendMessage", [arn("sqs", "events")], principal={"Service": "events.amazonaws.com"},
    when={"ArnEquals": {"aws:SourceArn": [RULE_ARN]}},
)  # fmt: skip
BOTH = ["kms:Decrypt", "kms:GenerateDataKey"]
TARGET = "aws:cloudwatch/eventTarget:EventTarget"


def routed(*statements: dict[str, Any]) -> Graph:
    return graph(
        queue("events"),
        queue_policy("events", *statements),
        made("aws:cloudwatch/eventRule:EventRule", "rule", {"name": "uploaded"}, outputs={"arn": RULE_ARN}),
        made(TARGET, "target", {"rule": "uploaded", "arn": arn("sqs", "events")}),
    )


def keyed(*statements: dict[str, Any]) -> Graph:
    resources = [each for each in routed(SEND).resources if each.name != "events"]
    return graph(
        key("identified", *statements), queue("events", kmsMasterKeyId=key_arn("identified")), *resources
    )


def used_by(service: str, actions: list[str] | None = None, **when: str) -> dict[str, Any]:
    conditions = {"StringEquals": when} if when else None
    return allow(actions or BOTH, principal={"Service": service}, when=conditions)


def alarmed(*statements: dict[str, Any]) -> Graph:
    return graph(
        topic("alarms"),
        topic_policy("alarms", *statements),
        made("aws:cloudwatch/metricAlarm:MetricAlarm", "alarm", {"alarmActions": [arn("sns", "alarms")]},
             outputs={"arn": arn("cloudwatch", "alarm:a")}),
    )  # fmt: skip


def publish(service: str, account: str = ACCOUNT) -> dict[str, Any]:
    return allow(
        "sns:Publish", [arn("sns", "alarms")], principal={"Service": service},
        when={"StringEquals": {"aws:SourceAccount": account}},
    )  # fmt: skip


def access_logged(prefix: str) -> Graph:
    delivered = allow(
        "s3:PutObject", [f"arn:aws:s3:::b-access-logs/{prefix}*"],
        principal={"Service": "logging.s3.amazonaws.com"},
        when={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    )  # fmt: skip
    logging = {"bucket": "b-uploads", "targetBucket": "b-access-logs", "targetPrefix": "uploads/"}
    return graph(
        role("processor"),
        bucket("uploads"),
        bucket("access-logs"),
        bucket_policy("access-logs", delivered),
        made("aws:s3/bucketLogging:BucketLogging", "uploads-logging", logging),
    )


def trail(*, acl: bool) -> Graph:
    writer = {"Service": "cloudtrail.amazonaws.com"}
    source = {"aws:SourceArn": arn("cloudtrail", "trail/trail")}
    statements = [
        allow(
            "s3:PutObject",
            [f"arn:aws:s3:::b-logs/AWSLogs/{ACCOUNT}/*"],
            principal=writer,
            when={"StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}},
        ),
    ]
    if acl:
        statements.append(
            allow("s3:GetBucketAcl", ["arn:aws:s3:::b-logs"], principal=writer, when={"StringEquals": source})
        )
    return graph(
        bucket("logs"),
        bucket_policy("logs", *statements),
        made("aws:cloudtrail/trail:Trail", "trail", {"s3BucketName": "b-logs"},
             outputs={"arn": arn("cloudtrail", "trail/trail")}),
    )  # fmt: skip


def cloudfront_logged(*, source: str) -> Graph:
    place, bearer = arn("logs", "delivery-destination:d"), {"Service": "delivery.logs.amazonaws.com"}
    when = {"ArnLike": {"aws:SourceArn": source}}
    return graph(
        role("processor"),
        bucket("access-logs"),
        bucket_policy(
            "access-logs",
            allow("s3:GetBucketAcl", ["arn:aws:s3:::b-access-logs"], principal=bearer, when=when),
            allow("s3:PutObject", ["arn:aws:s3:::b-access-logs/pages/*"], principal=bearer, when=when),
        ),
        made(
            "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination",
            "destination",
            {
                "deliveryDestinationConfiguration": {
                    "destinationResourceArn": "arn:aws:s3:::b-access-logs/pages"
                }
            },
            outputs={"arn": place},
        ),
        made(
            "aws:cloudwatch/logDeliverySource:LogDeliverySource",
            "source",
            {"name": "pages"},
            outputs={"arn": arn("logs", "delivery-source:pages")},
        ),
        made(
            "aws:cloudwatch/logDelivery:LogDelivery",
            "delivery",
            {"deliveryDestinationArn": place, "deliverySourceName": "pages"},
        ),
    )


def anomalies(*statements: dict[str, Any]) -> Graph:
    subscribers = [{"type": "SNS", "address": arn("sns", "alarms")}]
    return graph(
        topic("alarms"),
        topic_policy("alarms", *statements),
        made(
            "aws:costexplorer/anomalySubscription:AnomalySubscription",
            "anomalies",
            {"subscribers": subscribers},
        ),
    )


def log_group(*actions: str) -> Graph:
    statement = allow(
        list(actions), principal={"Service": "logs.us-east-1.amazonaws.com"},
        when={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": "x"}},
    )  # fmt: skip
    return graph(
        key("logs", statement),
        made("aws:cloudwatch/logGroup:LogGroup", "logs", {"name": "l", "kmsKeyId": key_arn("logs")},
             outputs={"arn": arn("logs", "log-group:l")}),
    )  # fmt: skip


def lettered(dead_letters: str | None) -> Graph:
    inputs: dict[str, Any] = {"rule": "r", "arn": arn("sqs", "events")}
    if dead_letters:
        inputs["deadLetterConfig"] = {"arn": arn("sqs", dead_letters)}
    return graph(letters(), made(TARGET, "target", inputs))


def letters() -> Resource:
    return queue("letters", redriveAllowPolicy=json.dumps({"redrivePermission": "byQueue"}))


def redriven(policy_text: str | None) -> Graph:
    inputs = {"redrivePolicy": policy_text} if policy_text else {}
    return graph(letters(), queue("events", **inputs))


START = allow("medical-imaging:StartDICOMImportJob", [arn("medical-imaging", "datastore/d1")])


def starting(*statements: dict[str, Any]) -> Graph:
    return graph(
        role("import", assumed_by("medical-imaging.amazonaws.com")),
        role("processor"),
        role_policy("processor", START, *statements),
    )


def passing(name: str, service: str | None) -> dict[str, Any]:
    when = {"StringEquals": {"iam:PassedToService": service}} if service else None
    return allow("iam:PassRole", [role_arn(name)], when=when)


HANDED = passing("import", "medical-imaging.amazonaws.com")


def passed_on(trusted: str) -> Graph:
    return graph(role("import", assumed_by(trusted)), role("processor"), role_policy("processor", HANDED))


def handed(service: str, role_name: str = "processor") -> Graph:
    return graph(role("processor", assumed_by(service)), task({}, taskRoleArn=role_arn(role_name)))


def started(*statements: dict[str, Any]) -> Graph:
    container = {
        "name": "processor",
        "image": "registry/processor:1",
        "secrets": [
            {"name": "RAYLINE_SECRET_DEID", "valueFrom": f"{arn('secretsmanager', 'secret:deid')}:key::"}
        ],
        "logConfiguration": {"options": {"awslogs-group": "/l"}},
    }
    return graph(
        role("execution"),
        role_policy("execution", *statements),
        made("aws:cloudwatch/logGroup:LogGroup", "logs", {"name": "/l"}, outputs={"arn": arn("logs", "log-group:/l")}),
        made("aws:ecr/repository:Repository", "images", {}, outputs={
            "repositoryUrl": "registry/processor", "arn": arn("ecr", "repository/processor"),
        }),
        task(container, executionRoleArn=role_arn("execution")),
    )  # fmt: skip


READ_SECRET = allow("secretsmanager:GetSecretValue", [arn("secretsmanager", "secret:deid")])
WRITE_LOGS = allow(["logs:CreateLogStream", "logs:PutLogEvents"], [arn("logs", "log-group:/l:*")])
PULL = allow(
    ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    [arn("ecr", "repository/processor")],
)
LOG_IN = allow("ecr:GetAuthorizationToken", "*")


def called(role_name: str | None) -> Graph:
    inputs = {"rule": "r", "arn": arn("sagemaker", "pipeline/p")}
    if role_name:
        inputs["roleArn"] = role_arn(role_name)
    return graph(
        role("caller"),
        role_policy("caller", allow("sagemaker:StartPipelineExecution", [arn("sagemaker", "pipeline/p")])),
        made(TARGET, "target", inputs),
    )


def flow_log(*actions: str) -> Graph:
    return graph(
        role("flow"),
        role_policy("flow", allow(list(actions), [arn("logs", "log-group:/flow:*")])),
        made("aws:ec2/flowLog:FlowLog", "flow-log",
             {"logDestination": arn("logs", "log-group:/flow"), "iamRoleArn": role_arn("flow")}),
    )  # fmt: skip


def replicated(*statements: dict[str, Any]) -> Graph:
    rule = {"destination": {"bucket": "arn:aws:s3:::b-models-replica"}}
    return graph(
        key("deidentified"),
        bucket("models"),
        encryption("models", "deidentified"),
        role("replication"),
        role_policy("replication", *statements),
        made("aws:s3/bucketReplicationConfig:BucketReplicationConfig", "copies",
             {"bucket": "b-models", "role": role_arn("replication"), "rules": [rule]}),
    )  # fmt: skip


COPY = [
    allow(["s3:GetReplicationConfiguration", "s3:ListBucket"], ["arn:aws:s3:::b-models"]),
    allow("s3:GetObjectVersionForReplication", ["arn:aws:s3:::b-models/*"]),
    allow("s3:ReplicateObject", ["arn:aws:s3:::b-models-replica/*"]),
    allow("kms:Decrypt", [key_arn("deidentified")],
          when={"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}),
]  # fmt: skip


def cases() -> list[Case]:
    """All of them."""
    events = used_by("events.amazonaws.com", **{"aws:SourceAccount": ACCOUNT})
    log_actions = ("kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*")
    redrive = json.dumps({"deadLetterTargetArn": arn("sqs", "letters"), "maxReceiveCount": 5})
    only_this_rule = {"ArnEquals": {"aws:SourceArn": arn("events", "rule/other")}}
    return [
        Case(
            "WIR-1",
            "the queue lets another rule in",
            routed(SEND),
            routed({**SEND, "Condition": only_this_rule}),
            "target",
        ),
        Case("WIR-1", "the queue has no statement for events", routed(SEND), routed(), "target"),
        Case("WIR-1", "the queue denies", routed(SEND), routed(SEND, {**SEND, "Effect": "Deny"}), "target"),
        Case(
            "WIR-1",
            "the topic lets rules in and no alarms",
            alarmed(publish("cloudwatch.amazonaws.com")),
            alarmed(publish("events.amazonaws.com")),
            "alarm",
        ),
        Case(
            "WIR-1",
            "the topic lets alarms of another account in",
            alarmed(publish("cloudwatch.amazonaws.com")),
            alarmed(publish("cloudwatch.amazonaws.com", "999999999999")),
            "alarm",
        ),
        Case(
            "WIR-1",
            "access logs go to another prefix",
            access_logged("uploads/"),
            access_logged("models/"),
            "uploads-logging",
        ),
        Case("WIR-1", "the trail cannot look at the bucket", trail(acl=True), trail(acl=False), "trail"),
        Case(
            "WIR-1",
            "CloudFront's logs come from another source",
            cloudfront_logged(source=arn("logs", "delivery-source:*")),
            cloudfront_logged(source=arn("logs", "delivery-source:other")),
            "delivery",
        ),
        Case(
            "WIR-1",
            "cost anomalies are not let in",
            anomalies(publish("costalerts.amazonaws.com")),
            anomalies(publish("budgets.amazonaws.com")),
            "anomalies",
        ),
        Case("WIR-2", "the key does not know events", keyed(events), keyed(), "target"),
        Case(
            "WIR-2",
            "events may decrypt only",
            keyed(events),
            keyed(used_by("events.amazonaws.com", ["kms:Decrypt"])),
            "target",
        ),
        Case("WIR-2", "logs may not encrypt", log_group(*log_actions), log_group("kms:Decrypt*"), "logs"),
        Case("WIR-3", "a target drops what fails", lettered("letters"), lettered(None), "target"),
        Case(
            "WIR-3",
            "a target's letters go to nobody's queue",
            lettered("letters"),
            lettered("other"),
            "target",
        ),
        Case("WIR-3", "the queue drops what crashes", redriven(redrive), redriven(None), "events"),
        Case("WIR-4", "the role may not be passed", starting(HANDED), starting(), "processor-role"),
        Case(
            "WIR-4",
            "the role may be passed to another service",
            starting(HANDED),
            starting(passing("import", "ecs-tasks.amazonaws.com")),
            "processor-role",
        ),
        Case(
            "WIR-4",
            "the role may be passed to anyone",
            starting(HANDED),
            starting(HANDED, passing("import", None)),
            "processor-role",
        ),
        Case(
            "WIR-4",
            "roles of nobody's may be passed",
            starting(HANDED),
            starting(HANDED, passing("*", "medical-imaging.amazonaws.com")),
            "processor-role",
        ),
        Case(
            "WIR-5",
            "the role trusts another service",
            handed("ecs-tasks.amazonaws.com"),
            handed("sagemaker.amazonaws.com"),
            "task",
        ),
        Case(
            "WIR-5",
            "there is no such role",
            handed("ecs-tasks.amazonaws.com"),
            handed("ecs-tasks.amazonaws.com", "gone"),
            "task",
        ),
        Case(
            "WIR-6",
            "the role that is passed trusts another service",
            passed_on("medical-imaging.amazonaws.com"),
            passed_on("ecs-tasks.amazonaws.com"),
            "processor-role",
        ),
        *(
            Case(
                "WIR-7",
                f"the execution role lacks {left_out}",
                started(READ_SECRET, WRITE_LOGS, PULL, LOG_IN),
                started(*(each for name, each in statements.items() if name != left_out)),
                "task",
            )
            for statements in (
                {"secrets": READ_SECRET, "logs": WRITE_LOGS, "images": PULL, "the registry": LOG_IN},
            )
            for left_out in statements
        ),
        Case("WIR-8", "a pipeline is called under no role", called("caller"), called(None), "target"),
        Case(
            "WIR-9",
            "the flow log may not write",
            flow_log("logs:CreateLogStream", "logs:PutLogEvents"),
            flow_log("logs:CreateLogStream"),
            "flow-log",
        ),
        *(
            Case(
                "WIR-10",
                f"copies lack statement {index}",
                replicated(*COPY),
                replicated(*COPY[:index], *COPY[index + 1 :]),
                "copies",
            )
            for index in range(len(COPY))
        ),
    ]
