"""Which service delivers what to which bucket, queue or topic, as the graph's own resources ask it to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rayline_infra.policies.graph import Graph, Resource, account_of
from rayline_infra.policies.holdings import BUCKET, QUEUE, TOPIC
from rayline_infra.policies.identities import at

TARGET = "aws:cloudwatch/eventTarget:EventTarget"
RULE = "aws:cloudwatch/eventRule:EventRule"
EVENTS = "events.amazonaws.com"


@dataclass(frozen=True)
class Delivery:
    """One service that writes to one place, or reads from it, because a resource says so.

    Attributes:
        by: the resource that asks for it.
        to: what is delivered to.
        arn: what the action names: the place, or an object pattern within it.
        context: condition keys that the service's request bears, in lower case.
    """

    by: Resource
    to: Resource
    service: str
    action: str
    arn: str
    context: Mapping[str, str] = field(default_factory=dict)


def deliveries(graph: Graph) -> Iterator[Delivery]:
    """Every delivery to a bucket, queue or topic of the graph."""
    account = account_of(graph)
    for delivery in (
        *_of_events(graph),
        *_of_alarms(graph),
        *_of_topics(graph),
        *_of_access_logs(graph),
        *_of_trails(graph),
        *_of_other_logs(graph),
        *_of_budgets(graph),
        *_of_distributions(graph),
        *_of_log_deliveries(graph),
    ):
        context = {"aws:sourceaccount": account, "aws:securetransport": "true", **delivery.context}
        yield Delivery(delivery.by, delivery.to, delivery.service, delivery.action, delivery.arn, context)


def _of_events(graph: Graph) -> Iterator[Delivery]:
    places = _by_arn(graph)
    rules = {
        (str(rule.inputs.get("eventBusName", "default")), str(rule.inputs["name"])): str(rule.outputs["arn"])
        for rule in graph.of_type(RULE)
    }
    for target in graph.of_type(TARGET):
        inputs = target.inputs
        rule = rules.get((str(inputs.get("eventBusName", "default")), str(inputs["rule"])), "")
        for arn in (str(inputs["arn"]), str(at(inputs, "deadLetterConfig.arn"))):
            place = places.get(arn)
            if place is not None:
                action = "sns:Publish" if place.type == TOPIC else "sqs:SendMessage"
                yield Delivery(target, place, EVENTS, action, arn, {"aws:sourcearn": rule})
    for bus in graph.of_type("aws:cloudwatch/eventBus:EventBus"):
        place = places.get(str(at(bus.inputs, "deadLetterConfig.arn")))
        if place is not None:
            arn = str(place.outputs["arn"])
            yield Delivery(
                bus, place, EVENTS, "sqs:SendMessage", arn, {"aws:sourcearn": str(bus.outputs["arn"])}
            )
    for schedule in graph.of_type("aws:scheduler/schedule:Schedule"):
        # A schedule assumes a role; that the role may send is what WIR-6 asks.
        letters = places.get(str(at(schedule.inputs, "target.deadLetterConfig.arn")))
        if letters is not None:
            arn = str(letters.outputs["arn"])
            yield Delivery(schedule, letters, "scheduler.amazonaws.com", "sqs:SendMessage", arn)


def _of_alarms(graph: Graph) -> Iterator[Delivery]:
    places = _by_arn(graph)
    for type_token in (
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
    ):
        for alarm in graph.of_type(type_token):
            told = {
                str(arn)
                for kind in ("alarmActions", "okActions", "insufficientDataActions")
                for arn in alarm.inputs.get(kind) or ()
            }
            for arn in sorted(told & set(places)):
                context = {"aws:sourcearn": str(alarm.outputs.get("arn", ""))}
                yield Delivery(alarm, places[arn], "cloudwatch.amazonaws.com", "sns:Publish", arn, context)


def _of_topics(graph: Graph) -> Iterator[Delivery]:
    places = _by_arn(graph)
    for subscription in graph.of_type("aws:sns/topicSubscription:TopicSubscription"):
        place = places.get(str(subscription.inputs["endpoint"]))
        if place is not None and place.type == QUEUE:
            context = {"aws:sourcearn": str(subscription.inputs["topic"])}
            arn = str(place.outputs["arn"])
            yield Delivery(subscription, place, "sns.amazonaws.com", "sqs:SendMessage", arn, context)


def _of_access_logs(graph: Graph) -> Iterator[Delivery]:
    buckets = _buckets(graph)
    for logging in graph.of_type("aws:s3/bucketLogging:BucketLogging"):
        target = buckets.get(str(logging.inputs["targetBucket"]))
        if target is not None:
            arn = f"arn:aws:s3:::{logging.inputs['targetBucket']}/{logging.inputs.get('targetPrefix', '')}*"
            context = {"aws:sourcearn": f"arn:aws:s3:::{logging.inputs['bucket']}"}
            yield Delivery(logging, target, "logging.s3.amazonaws.com", "s3:PutObject", arn, context)
    for balancer in graph.of_type("aws:lb/loadBalancer:LoadBalancer"):
        for kind in ("accessLogs", "connectionLogs"):
            logs = balancer.inputs.get(kind) or {}
            target = buckets.get(str(logs.get("bucket")))
            if target is not None and logs.get("enabled"):
                prefix = f"{logs['prefix']}/" if logs.get("prefix") else ""
                arn = f"arn:aws:s3:::{logs['bucket']}/{prefix}AWSLogs/{account_of(graph)}/*"
                service = "logdelivery.elasticloadbalancing.amazonaws.com"
                context = {"aws:sourcearn": str(balancer.outputs["arn"])}
                yield Delivery(balancer, target, service, "s3:PutObject", arn, context)


def _of_trails(graph: Graph) -> Iterator[Delivery]:
    buckets = _buckets(graph)
    for trail in graph.of_type("aws:cloudtrail/trail:Trail"):
        bucket = buckets.get(str(trail.inputs["s3BucketName"]))
        if bucket is not None:
            source = {"aws:sourcearn": str(trail.outputs["arn"])}
            yield from _written(
                trail, bucket, "cloudtrail.amazonaws.com", str(trail.inputs.get("s3KeyPrefix") or ""), source,
                account=account_of(graph), checks=("s3:GetBucketAcl",),
            )  # fmt: skip
    for channel in graph.of_type("aws:cfg/deliveryChannel:DeliveryChannel"):
        bucket = buckets.get(str(channel.inputs["s3BucketName"]))
        if bucket is not None:
            yield from _written(
                channel, bucket, "config.amazonaws.com", str(channel.inputs.get("s3KeyPrefix") or ""), {},
                account=account_of(graph), checks=("s3:GetBucketAcl", "s3:ListBucket"),
            )  # fmt: skip


def _of_other_logs(graph: Graph) -> Iterator[Delivery]:
    buckets = {str(each.outputs["arn"]): each for each in graph.of_type(BUCKET)}
    for log in graph.of_type("aws:ec2/flowLog:FlowLog"):
        arn = str(log.inputs.get("logDestination", ""))
        place = buckets.get(arn.partition("/")[0])
        if place is not None:
            prefix = arn.partition("/")[2]
            yield from _written(
                log, place, "delivery.logs.amazonaws.com", prefix, {},
                account=account_of(graph), checks=("s3:GetBucketAcl",),
            )  # fmt: skip


def _of_log_deliveries(graph: Graph) -> Iterator[Delivery]:
    """What CloudFront and others hand to CloudWatch Logs, for it to write into a bucket."""
    buckets = {str(each.outputs["arn"]): each for each in graph.of_type(BUCKET)}
    places = {
        str(each.outputs["arn"]): str(
            at(each.inputs, "deliveryDestinationConfiguration.destinationResourceArn")
        )
        for each in graph.of_type("aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination")
    }
    sources = {
        str(each.inputs["name"]): str(each.outputs["arn"])
        for each in graph.of_type("aws:cloudwatch/logDeliverySource:LogDeliverySource")
    }
    for delivery in graph.of_type("aws:cloudwatch/logDelivery:LogDelivery"):
        bucket_arn, _, prefix = places.get(str(delivery.inputs["deliveryDestinationArn"]), "").partition("/")
        if (bucket := buckets.get(bucket_arn)) is not None:
            source = {"aws:sourcearn": sources.get(str(delivery.inputs["deliverySourceName"]), "")}
            yield from _written(
                delivery, bucket, "delivery.logs.amazonaws.com", prefix, source,
                account=account_of(graph), checks=("s3:GetBucketAcl",),
            )  # fmt: skip


def _of_budgets(graph: Graph) -> Iterator[Delivery]:
    places = _by_arn(graph)
    for anomalies in graph.of_type("aws:costexplorer/anomalySubscription:AnomalySubscription"):
        for subscriber in anomalies.inputs.get("subscribers") or ():
            if (place := places.get(str(subscriber["address"]))) is not None:
                arn = str(subscriber["address"])
                yield Delivery(anomalies, place, "costalerts.amazonaws.com", "sns:Publish", arn)
    for budget in graph.of_type("aws:budgets/budget:Budget"):
        for notification in budget.inputs.get("notifications") or ():
            for arn in notification.get("subscriberSnsTopicArns") or ():
                if arn in places:
                    context = {"aws:sourcearn": str(budget.outputs.get("arn", ""))}
                    yield Delivery(budget, places[arn], "budgets.amazonaws.com", "sns:Publish", arn, context)


def _of_distributions(graph: Graph) -> Iterator[Delivery]:
    buckets = _buckets(graph)
    for distribution in graph.of_type("aws:cloudfront/distribution:Distribution"):
        for origin in distribution.inputs.get("origins") or ():
            bucket = buckets.get(str(origin["domainName"]).partition(".")[0])
            if bucket is not None and origin.get("originAccessControlId"):
                context = {"aws:sourcearn": str(distribution.outputs["arn"])}
                arn = f"{bucket.outputs['arn']}/*"
                yield Delivery(distribution, bucket, "cloudfront.amazonaws.com", "s3:GetObject", arn, context)


def _written(
    by: Resource,
    bucket: Resource,
    service: str,
    prefix: str,
    context: Mapping[str, str],
    *,
    account: str,
    checks: tuple[str, ...],
) -> Iterator[Delivery]:
    arn = str(bucket.outputs["arn"])
    for action in checks:
        yield Delivery(by, bucket, service, action, arn, context)
    folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    # All three ask for the bucket owner's control of what they write (their user guides' bucket policies).
    writing = {**context, "s3:x-amz-acl": "bucket-owner-full-control"}
    below = "Config/" if service == "config.amazonaws.com" else ""
    yield Delivery(by, bucket, service, "s3:PutObject", f"{arn}/{folder}AWSLogs/{account}/{below}*", writing)


def _by_arn(graph: Graph) -> dict[str, Resource]:
    return {
        str(each.outputs["arn"]): each for type_token in (QUEUE, TOPIC) for each in graph.of_type(type_token)
    }


def _buckets(graph: Graph) -> dict[str, Resource]:
    return {str(each.inputs["bucket"]): each for each in graph.of_type(BUCKET)}
