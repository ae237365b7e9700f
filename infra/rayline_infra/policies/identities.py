"""The roles of a graph, what their policies say, and which service hands each on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.statements import Clause, Request, decided, read_policy

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
POLICY = "aws:iam/policy:Policy"
ATTACHMENT = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"


@dataclass(frozen=True)
class Identity:
    """A role with all that the graph's own policies allow it."""

    role: Resource
    clauses: tuple[Clause, ...]

    @property
    def arn(self) -> str:
        """ARN of the role."""
        return str(self.role.outputs["arn"])

    @property
    def trust(self) -> tuple[Clause, ...]:
        """Who may assume the role."""
        return read_policy(str(self.role.inputs["assumeRolePolicy"]))

    def may(self, action: str, resource: str, **context: str) -> bool:
        """Whether the role's own policies allow an action on a resource."""
        return decided(self.clauses, Request(action, resource, context=context))


def identities(graph: Graph) -> tuple[Identity, ...]:
    """Every role of the graph."""
    return tuple(Identity(role, tuple(_clauses(graph, role))) for role in graph.of_type(ROLE))


def identity_of(graph: Graph, arn: str) -> Identity | None:
    """The role with an ARN, if the graph declares it."""
    return next((each for each in identities(graph) if each.arn == arn), None)


def identity_policies(graph: Graph) -> Iterator[tuple[Resource, tuple[Clause, ...]]]:
    """Every resource that says what a role may do, with its clauses."""
    for type_token in (ROLE_POLICY, POLICY):
        for resource in graph.of_type(type_token):
            yield resource, read_policy(str(resource.inputs["policy"]))
    for role in graph.of_type(ROLE):
        for inline in _inline(role):
            yield role, read_policy(inline)


def _inline(role: Resource) -> Iterator[str]:
    # The engine's state may tell of one that is empty.
    for each in role.inputs.get("inlinePolicies") or ():
        if each.get("policy"):
            yield str(each["policy"])


def _clauses(graph: Graph, role: Resource) -> Iterator[Clause]:
    role_name = str(role.inputs.get("name"))
    for inline in _inline(role):
        yield from read_policy(inline)
    for policy in graph.of_type(ROLE_POLICY):
        if policy.inputs.get("role") == role_name:
            yield from read_policy(str(policy.inputs["policy"]))
    documents = {policy.outputs.get("arn"): str(policy.inputs["policy"]) for policy in graph.of_type(POLICY)}
    attached = [*(role.inputs.get("managedPolicyArns") or ())]
    for attachment in graph.of_type(ATTACHMENT):
        if attachment.inputs.get("role") == role_name:
            attached.append(attachment.inputs["policyArn"])
    for arn in attached:
        if arn in documents:
            yield from read_policy(documents[arn])


@dataclass(frozen=True)
class HandedOn:
    """A role that a resource names for a service to assume."""

    by: Resource
    role_arn: str
    service: str


# type: where it names a role (a dotted path), and the service that assumes it
_HANDED_ON: tuple[tuple[str, str, str], ...] = (
    ("aws:ecs/taskDefinition:TaskDefinition", "taskRoleArn", "ecs-tasks.amazonaws.com"),
    ("aws:ecs/taskDefinition:TaskDefinition", "executionRoleArn", "ecs-tasks.amazonaws.com"),
    ("aws:sagemaker/pipeline:Pipeline", "roleArn", "sagemaker.amazonaws.com"),
    ("aws:sagemaker/model:Model", "executionRoleArn", "sagemaker.amazonaws.com"),
    (
        "aws:sagemaker/monitoringSchedule:MonitoringSchedule",
        "monitoringScheduleConfig.monitoringJobDefinition.roleArn",
        "sagemaker.amazonaws.com",
    ),
    (
        "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
        "roleArn",
        "sagemaker.amazonaws.com",
    ),
    ("aws:ec2/flowLog:FlowLog", "iamRoleArn", "vpc-flow-logs.amazonaws.com"),
    ("aws:cloudtrail/trail:Trail", "cloudWatchLogsRoleArn", "cloudtrail.amazonaws.com"),
    ("aws:cfg/recorder:Recorder", "roleArn", "config.amazonaws.com"),
    ("aws:s3/bucketReplicationConfig:BucketReplicationConfig", "role", "s3.amazonaws.com"),
    ("aws:cloudwatch/eventTarget:EventTarget", "roleArn", "events.amazonaws.com"),
    ("aws:scheduler/schedule:Schedule", "target.roleArn", "scheduler.amazonaws.com"),
    ("aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream", "extendedS3Configuration.roleArn",
     "firehose.amazonaws.com"),
    ("aws:cloudwatch/metricStream:MetricStream", "roleArn", "streams.metrics.cloudwatch.amazonaws.com"),
    ("aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration", "iamRoleArn", "chatbot.amazonaws.com"),
    ("aws:cognito/userPool:UserPool", "smsConfiguration.snsCallerArn", "cognito-idp.amazonaws.com"),
    ("aws:cloudwatch/logSubscriptionFilter:LogSubscriptionFilter", "roleArn", "logs.amazonaws.com"),
)  # fmt: skip


def handed_on(graph: Graph) -> Iterator[HandedOn]:
    """Every role that a resource of the graph hands to a service: the deployment passes it."""
    for type_token, path, service in _HANDED_ON:
        for resource in graph.of_type(type_token):
            arn = at(resource.inputs, path)
            if isinstance(arn, str) and arn:
                yield HandedOn(resource, arn, service)


def at(inputs: object, path: str) -> object:
    """The value at a dotted path of nested mappings, or None."""
    for step in path.split("."):
        if not isinstance(inputs, dict):
            return None
        inputs = inputs.get(step)
    return inputs


def json_of(value: object) -> object:
    """A JSON text as values; anything else as it is."""
    return json.loads(value) if isinstance(value, str) else value
