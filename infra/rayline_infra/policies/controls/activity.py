"""Who did what is on record, and somebody is told of what should not have happened."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rayline.names import IDENTIFIED_BUCKETS
from rayline_infra.policies.controls.control import Control, Observation, absent, judged
from rayline_infra.policies.controls.encryption import BALANCER, BUCKET_LOGGING, log_targets
from rayline_infra.policies.controls.retention import TRAIL, left_to_the_account
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import BUCKET, TOPIC, bucket_part, datastores
from rayline_infra.policies.identities import at
from rayline_infra.policies.patterns import covers
from rayline_infra.policies.task_containers import containers

S3_OBJECT = "AWS::S3::Object"
IMAGES = "AWS::MedicalImaging::Datastore"
# An alarm that a rule waits for; one that only silences it, by NOT, is told to nobody.
RINGING = re.compile(r"(?<!NOT )ALARM\(\"?([^\")]+)\"?\)")
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
RECORDER = "aws:cfg/recorder:Recorder"
# type: (the service, the setting that says whether the account has one already)
ACCOUNT_WIDE: Mapping[str, tuple[str, str]] = {
    "aws:guardduty/detector:Detector": ("GuardDuty", "guardDuty"),
    RECORDER: ("AWS Config", "config"),
    "aws:accessanalyzer/analyzer:Analyzer": ("IAM Access Analyzer", "accessAnalyzer"),
}


def buckets_are_logged(graph: Graph) -> Iterator[Observation]:
    """Every bucket writes access logs, but the one that they are written to; of a copy a trail may tell instead."""
    targets = log_targets(graph)
    trailed = _trailed(graph)
    for bucket in graph.of_type(BUCKET):
        logging = bucket_part(graph, BUCKET_LOGGING, bucket)
        if bucket.inputs["bucket"] in targets:
            # S3 user guide: a target that logs itself grows without end.
            yield judged(bucket, True, "receives the access logs")
        elif logging is not None:
            yield judged(bucket, True, f"access logs go to {logging.inputs['targetBucket']}")
        else:
            # S3 logs to a bucket of the same region only, and a region with copies has no other bucket.
            elsewhere = left_to_the_account(graph, "CloudTrail", "cloudTrail")
            if not graph.of_type(TRAIL) and elsewhere.passed:
                yield judged(bucket, True, elsewhere.setting)
                continue
            seen = any(covers(pattern, f"{bucket.outputs['arn']}/*") for pattern in trailed)
            yield judged(bucket, seen, f"no access logs; data events of a trail: {seen}")


def _trailed(graph: Graph, kind: str = S3_OBJECT) -> tuple[str, ...]:
    """Patterns of the objects, or others of a kind, of which a trail records every read and every write."""
    found: list[str] = []
    for trail in _live_trails(graph):
        for selector in trail.inputs.get("eventSelectors") or ():
            for each in selector.get("dataResources") or () if _reads_and_writes(selector) else ():
                if each.get("type") == kind:
                    # "arn:aws:s3" stands for every bucket of the account (CloudTrail, DataResource).
                    found += ["*" if value == "arn:aws:s3" else f"{value}*" for value in each["values"]]
        for fields in _advanced(trail):
            # Any other field leaves something out.
            if set(fields) - {"eventCategory", "resources.type", "resources.ARN"}:
                continue
            if kind in _equals(fields, "resources.type"):
                named = fields.get("resources.ARN")
                found += [f"{value}*" for value in named.get("startsWiths") or ()] if named else ["*"]
    return tuple(found)


def _live_trails(graph: Graph) -> list[Resource]:
    return [each for each in graph.of_type(TRAIL) if each.inputs.get("enableLogging") is not False]


def _reads_and_writes(selector: Mapping[str, Any]) -> bool:
    return bool(selector.get("readWriteType", "All") == "All")


def _advanced(trail: Resource) -> Iterator[dict[str, Mapping[str, Any]]]:
    for selector in trail.inputs.get("advancedEventSelectors") or ():
        yield {each["field"]: each for each in selector.get("fieldSelectors") or ()}


def _equals(fields: Mapping[str, Mapping[str, Any]], name: str) -> tuple[str, ...]:
    # In the engine's state a list that is not given is there, and null.
    return tuple((fields.get(name) or {}).get("equals") or ())


def _records_management(trail: Resource) -> bool:
    """Whether a trail records every call that manages resources, as one without selectors does."""
    if trail.inputs.get("advancedEventSelectors"):
        return any(
            set(fields) == {"eventCategory"} and "Management" in _equals(fields, "eventCategory")
            for fields in _advanced(trail)
        )
    selectors = trail.inputs.get("eventSelectors") or ()
    return not selectors or any(
        each.get("includeManagementEvents", True) and _reads_and_writes(each) for each in selectors
    )


def trails_are_complete(graph: Graph) -> Iterator[Observation]:
    """A trail of all regions records who read and wrote objects, and its files prove that nobody changed them."""
    trails = graph.of_type(TRAIL)
    if not trails:
        yield left_to_the_account(graph, "CloudTrail", "cloudTrail")
    for trail in trails:
        inputs = trail.inputs
        lacking = [
            name
            for name, there in {
                "enableLogging": inputs.get("enableLogging") is not False,
                "enableLogFileValidation": inputs.get("enableLogFileValidation") is True,
                "isMultiRegionTrail": inputs.get("isMultiRegionTrail") is True,
                "includeGlobalServiceEvents": inputs.get("includeGlobalServiceEvents", True) is True,
            }.items()
            if not there
        ]
        yield judged(
            trail, not lacking, f"lacks {', '.join(lacking)}" if lacking else "complete and validated"
        )
    managing = [each for each in _live_trails(graph) if _records_management(each)]
    if managing:
        yield judged(managing[0], True, "records every call that manages resources")
    elif trails:
        yield absent("trail of management", "no trail records every call that manages resources")
    identified = [bucket for bucket in graph.of_type(BUCKET) if bucket.name in IDENTIFIED_BUCKETS]
    trailed = _trailed(graph)
    for bucket in identified if trails else ():
        seen = any(covers(pattern, f"{bucket.outputs['arn']}/*") for pattern in trailed)
        yield judged(bucket, seen, f"reads and writes of its objects are recorded: {seen}")
    images = _trailed(graph, IMAGES)
    for store in datastores(graph) if trails else ():
        arn = str(json.loads(str(store.outputs["properties"]))["DatastoreArn"])
        seen = any(covers(pattern, arn) for pattern in images)
        yield judged(store, seen, f"reads and writes of its images are recorded: {seen}")


def networks_are_logged(graph: Graph) -> Iterator[Observation]:
    """Every VPC has flow logs of accepted and refused traffic."""
    logged = {str(each.inputs.get("vpcId")): each for each in graph.of_type("aws:ec2/flowLog:FlowLog")}
    for vpc in graph.of_type("aws:ec2/vpc:Vpc"):
        log = logged.get(vpc.id)
        traffic = log.inputs.get("trafficType") if log else None
        yield judged(vpc, traffic == "ALL", f"flow log of {traffic or 'nothing'}")


def doors_are_logged(graph: Graph) -> Iterator[Observation]:
    """Load balancers, CloudFront, the web firewall and the cluster write down who came."""
    for balancer in graph.of_type(BALANCER):
        if balancer.inputs.get("loadBalancerType", "application") == "network":
            # AWS writes access logs of an NLB for TLS listeners only (NLB user guide); flow logs have the rest.
            yield judged(balancer, True, "passes TCP through; the VPC's flow logs record it")
            continue
        on = at(balancer.inputs, "accessLogs.enabled") is True
        yield judged(balancer, on, f"accessLogs.enabled = {on}")
    for distribution in graph.of_type("aws:cloudfront/distribution:Distribution"):
        arn = str(distribution.outputs.get("arn"))
        delivered = any(
            each.inputs.get("resourceArn") == arn
            for each in graph.of_type("aws:cloudwatch/logDeliverySource:LogDeliverySource")
        )
        on = delivered or bool(distribution.inputs.get("loggingConfig"))
        yield judged(distribution, on, f"access logs: {on}")
    logged = {
        str(each.inputs["resourceArn"])
        for each in graph.of_type("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration")
    }
    for firewall in graph.of_type("aws:wafv2/webAcl:WebAcl"):
        on = str(firewall.outputs.get("arn")) in logged
        yield judged(firewall, on, f"requests are logged: {on}")
    for cluster in graph.of_type("aws:ecs/cluster:Cluster"):
        insights = {each["name"]: each["value"] for each in cluster.inputs.get("settings", [])}
        on = insights.get("containerInsights") in ("enabled", "enhanced")
        yield judged(cluster, on, f"containerInsights = {insights.get('containerInsights')}")


def containers_are_logged(graph: Graph) -> Iterator[Observation]:
    """Every container logs to a group of the estate."""
    groups = {str(each.inputs["name"]) for each in graph.of_type("aws:cloudwatch/logGroup:LogGroup")}
    for task, container in containers(graph):
        group = at(container, "logConfiguration.options.awslogs-group")
        yield judged(task, group in groups, f"{container['name']} logs to {group}")


def account_is_watched(graph: Graph) -> Iterator[Observation]:
    """Somebody looks: GuardDuty for threats, Config for changes, Access Analyzer for what became reachable."""
    for type_token, (name, setting) in ACCOUNT_WIDE.items():
        found = graph.of_type(type_token)
        if not found:
            yield left_to_the_account(graph, name, setting)
        for resource in found:
            on = resource.inputs.get("enable", True) is not False
            if resource.type == RECORDER:
                # A recorder records nothing before it is started, which is a resource of its own.
                states = graph.of_type("aws:cfg/recorderStatus:RecorderStatus")
                on = any(each.inputs.get("isEnabled") is True for each in states)
            yield judged(resource, on, f"{name} is on: {on}")


def alarms_reach_somebody(graph: Graph) -> Iterator[Observation]:
    """Every alarm tells a topic, by itself or through an alarm that is composed of it."""
    topics = {str(each.outputs["arn"]) for each in graph.of_type(TOPIC)}
    ringing = {
        name for each in graph.of_type(COMPOSITE) for name in RINGING.findall(str(each.inputs["alarmRule"]))
    }
    for alarm in (*graph.of_type(ALARM), *graph.of_type(COMPOSITE)):
        name = str(alarm.inputs.get("name") or alarm.inputs.get("alarmName"))
        told = [str(each) for each in alarm.inputs.get("alarmActions", [])]
        composed = name in ringing
        reaches = any(each in topics for each in told) or composed
        off = alarm.inputs.get("actionsEnabled", True) is False
        setting = f"alarmActions = {', '.join(told) or 'none'}" + (
            "; part of a composite" if composed else ""
        )
        yield judged(alarm, reaches and not off, setting)


def topics_have_readers(graph: Graph) -> Iterator[Observation]:
    """Each topic has somebody who reads it."""
    subscribed = {
        str(each.inputs["topic"]) for each in graph.of_type("aws:sns/topicSubscription:TopicSubscription")
    }
    for topic in graph.of_type(TOPIC):
        read = _topic_arn(topic) in subscribed
        yield judged(topic, read, "has subscriptions" if read else "nobody subscribes")


def _topic_arn(topic: Resource) -> str:
    return str(topic.outputs["arn"])


CONTROLS = (
    Control(
        "LOG-1",
        "Buckets write access logs",
        ("164.312(b)",),
        "high",
        "buckets",
        buckets_are_logged,
    ),
    Control(
        "LOG-2",
        "A trail records who read and wrote what",
        ("164.312(b)", "164.312(c)(2)"),
        "critical",
        "CloudTrail",
        trails_are_complete,
    ),
    Control(
        "LOG-3",
        "Networks write flow logs",
        ("164.312(b)", "164.308(a)(1)(ii)(D)"),
        "high",
        "VPCs",
        networks_are_logged,
    ),
    Control(
        "LOG-4",
        "Doors write down who came",
        ("164.312(b)",),
        "high",
        "load balancers, CloudFront, web firewalls, clusters",
        doors_are_logged,
    ),
    Control(
        "LOG-5",
        "Containers log to the estate",
        ("164.312(b)",),
        "high",
        "containers of task definitions",
        containers_are_logged,
    ),
    Control(
        "LOG-6",
        "The account is watched",
        ("164.308(a)(1)(ii)(D)", "164.308(a)(5)(ii)(B)", "164.312(b)"),
        "high",
        "GuardDuty, AWS Config, IAM Access Analyzer",
        account_is_watched,
    ),
    Control(
        "LOG-7",
        "Alarms tell somebody",
        ("164.308(a)(6)(ii)",),
        "high",
        "alarms and composite alarms",
        alarms_reach_somebody,
    ),
    Control(
        "LOG-8",
        "Somebody reads what alarms tell",
        ("164.308(a)(6)(ii)", "164.308(a)(1)(ii)(D)"),
        "medium",
        "topics",
        topics_have_readers,
    ),
)
