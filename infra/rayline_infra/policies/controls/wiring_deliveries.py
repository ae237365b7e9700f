"""Every service that delivers is let in: by the policy at the door, and by the key's."""

import json
from collections.abc import Iterator, Mapping

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.controls.retention import ARCHIVE, LOG_GROUP, TRAIL
from rayline_infra.policies.deliveries import EVENTS, TARGET, deliveries
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import CLUSTER, QUEUE, door_clauses, key_clauses, key_named, key_of
from rayline_infra.policies.identities import at
from rayline_infra.policies.statements import Request, decided

BUS = "aws:cloudwatch/eventBus:EventBus"
# What a service needs of the key of the place that it delivers to.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sns:Publish": ("kms:GenerateDataKey", "kms:Decrypt"),
    "s3:PutObject": ("kms:GenerateDataKey",),
    "s3:GetObject": ("kms:Decrypt",),
}
# What services that encrypt in their own name need of the key that a resource gives them.
OWN_NEEDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    # CloudWatch Logs user guide, "Encrypt log data"
    LOG_GROUP: (
        "logs.{region}.amazonaws.com",
        ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:DescribeKey"),
    ),
    # EventBridge user guide, "Encrypting event buses" and "Encrypting archives"
    BUS: (EVENTS, ("kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")),
    ARCHIVE: (EVENTS, ("kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")),
    # ECS developer guide, "Customer managed keys for Fargate ephemeral storage"
    CLUSTER: ("fargate.amazonaws.com", ("kms:GenerateDataKeyWithoutPlaintext", "kms:CreateGrant")),
    # CloudTrail user guide, "Configure KMS key policies"
    TRAIL: ("cloudtrail.amazonaws.com", ("kms:GenerateDataKey", "kms:DescribeKey")),
}


def doors_let_services_in(graph: Graph) -> Iterator[Observation]:
    """The bucket, queue or topic lets in each service that a resource has deliver there."""
    for delivery in deliveries(graph):
        principal = ("Service", delivery.service)
        request = Request(delivery.action, delivery.arn, principal, delivery.context)
        fine = decided(door_clauses(graph, delivery.to), request)
        verdict = "is let in" if fine else "is not let in"
        setting = f"{delivery.service} {verdict} for {delivery.action} by the policy of {delivery.to.name}"
        yield judged(delivery.by, fine, setting)


def keys_let_services_in(graph: Graph) -> Iterator[Observation]:
    """The key of each place lets in the services that deliver there, or that encrypt in their own name."""
    for delivery in deliveries(graph):
        key = key_of(graph, delivery.to)
        if key and delivery.action in NEEDED:
            yield _granted(
                graph, delivery.by, key, delivery.service, NEEDED[delivery.action], delivery.context
            )
    for type_token, (service, actions) in OWN_NEEDS.items():
        for resource in graph.of_type(type_token):
            if key := key_of(graph, resource):
                region, account = key.split(":")[3:5]
                context = {"aws:sourceaccount": account, "aws:sourcearn": str(resource.outputs.get("arn"))}
                yield _granted(graph, resource, key, service.format(region=region), actions, context)


def _granted(
    graph: Graph,
    resource: Resource,
    key: str,
    service: str,
    actions: tuple[str, ...],
    context: Mapping[str, str],
) -> Observation:
    clauses = key_clauses(graph, key)
    refused = [
        action
        for action in actions
        if not decided(clauses, Request(action, key, ("Service", service), context))
    ]
    setting = f"{service} lacks {', '.join(refused)}" if refused else f"{service} may {', '.join(actions)}"
    named = key_named(graph, key)
    return judged(resource, not refused, f"{setting} on {named.name if named else key}")


def nothing_is_dropped(graph: Graph) -> Iterator[Observation]:
    """Whatever cannot be delivered or handled goes to a dead-letter queue of the graph."""
    queues = {str(queue.outputs["arn"]) for queue in graph.of_type(QUEUE)}
    for target in graph.of_type(TARGET):
        yield _dead_letters(target, at(target.inputs, "deadLetterConfig.arn"), queues)
    for bus in graph.of_type(BUS):
        yield _dead_letters(bus, at(bus.inputs, "deadLetterConfig.arn"), queues)
    for schedule in graph.of_type("aws:scheduler/schedule:Schedule"):
        yield _dead_letters(schedule, at(schedule.inputs, "target.deadLetterConfig.arn"), queues)
    for subscription in graph.of_type("aws:sns/topicSubscription:TopicSubscription"):
        # People are told by mail, SMS and pager, several ways at once; a program has its one way only.
        if subscription.inputs["protocol"] in ("sqs", "lambda", "firehose"):
            policy = json.loads(str(subscription.inputs.get("redrivePolicy") or "{}"))
            yield _dead_letters(subscription, policy.get("deadLetterTargetArn"), queues)
    for queue in graph.of_type(QUEUE):
        policy = json.loads(str(queue.inputs.get("redrivePolicy") or "{}"))
        if queue.inputs.get("redriveAllowPolicy") and not policy:
            yield judged(queue, True, "is a dead-letter queue itself")
        else:
            yield _dead_letters(queue, policy.get("deadLetterTargetArn"), queues)


def _dead_letters(resource: Resource, arn: object, queues: set[str]) -> Observation:
    return judged(resource, arn in queues, f"dead letters go to {str(arn or 'nowhere').rpartition(':')[2]}")


CONTROLS = (
    Control(
        "WIR-1",
        "Services are let in where they deliver",
        ("164.312(b)", "164.308(a)(6)(ii)"),
        "high",
        "policies of buckets, queues and topics, for every target, alarm, subscription, trail and log",
        doors_let_services_in,
    ),
    Control(
        "WIR-2",
        "Services may use the keys of what they deliver to",
        ("164.312(a)(2)(iv)", "164.312(b)"),
        "high",
        "key policies, for every target, alarm, subscription, trail, log group and archive",
        keys_let_services_in,
    ),
    Control(
        "WIR-3",
        "Nothing that fails is dropped",
        ("164.312(c)(1)", "164.308(a)(7)(ii)(B)"),
        "high",
        "dead-letter queues of targets, buses, schedules, subscriptions and queues",
        nothing_is_dropped,
    ),
)
