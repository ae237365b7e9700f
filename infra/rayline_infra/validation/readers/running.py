"""Readers of what runs, of the network that it runs in, and of what watches it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Absent, Account, differing, present

RULES = (
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
)


def log_group(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["name"]
    groups = account.client("logs", resource.inputs.get("region")).describe_log_groups(
        logGroupNamePrefix=name
    )["logGroups"]
    found = next((each for each in groups if each["logGroupName"] == name), None)
    if found is None:
        raise Absent
    yield from differing(found, retentionInDays=int(resource.inputs["retentionInDays"]))
    yield from differing(found, kmsKeyId=account.expected(resource.inputs["kmsKeyId"]))


def cluster(account: Account, resource: Resource) -> Iterable[str]:
    found = account.client("ecs").describe_clusters(clusters=[resource.inputs["name"]])["clusters"]
    if not found:
        raise Absent
    return differing(found[0], status="ACTIVE")


def service(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    found = account.client("ecs").describe_services(cluster=inputs["cluster"], services=[inputs["name"]])[
        "services"
    ]
    if not found or found[0]["status"] == "INACTIVE":
        raise Absent
    wanted, running = found[0]["desiredCount"], found[0]["runningCount"]
    if running < wanted:
        yield f"runs {running} of {wanted} tasks"
    # What rolls back looks well a while later, on the images from before.
    runs, should = (
        _images(_definition(account, found[0]["taskDefinition"])),
        _declared_images(account, inputs),
    )
    if runs != should:
        yield f"runs {', '.join(sorted(runs))} and should run {', '.join(sorted(should))}: was it rolled back?"
    for deployment in found[0].get("deployments", ()):
        if deployment.get("rolloutState") in ("IN_PROGRESS", "FAILED"):
            yield f"a deployment is {deployment['rolloutState']}: {deployment.get('rolloutStateReason', '')}"


def task_definition(account: Account, resource: Resource) -> Iterable[str]:
    found = _definition(account, resource.inputs["family"])
    yield from differing(found, taskRoleArn=resource.inputs["taskRoleArn"])
    should = {each["image"] for each in json.loads(resource.inputs["containerDefinitions"])}
    if (runs := _images(found)) != should:
        yield f"names {', '.join(sorted(runs))} and should name {', '.join(sorted(should))}"


def _definition(account: Account, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = present(
        lambda: account.client("ecs").describe_task_definition(taskDefinition=name), "ClientException"
    )["taskDefinition"]
    return found


def _images(definition: Mapping[str, Any]) -> set[str]:
    return {each["image"] for each in definition["containerDefinitions"]}


def _declared_images(account: Account, service: Mapping[str, Any]) -> set[str]:
    (declared,) = (
        each
        for each in account.graph.of_type("aws:ecs/taskDefinition:TaskDefinition")
        if each.outputs["arn"] == service["taskDefinition"]
    )
    return {each["image"] for each in json.loads(declared.inputs["containerDefinitions"])}


def alarm(account: Account, resource: Resource) -> Iterable[str]:
    return _alarm(account, resource, "MetricAlarms", resource.inputs["name"])


def composite_alarm(account: Account, resource: Resource) -> Iterable[str]:
    return _alarm(account, resource, "CompositeAlarms", resource.inputs["alarmName"])


def _alarm(account: Account, resource: Resource, kind: str, name: str) -> Iterable[str]:
    found = account.client("cloudwatch", resource.inputs.get("region")).describe_alarms(
        AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )[kind]
    if not found:
        raise Absent
    if not found[0]["ActionsEnabled"]:
        yield "its actions are switched off"
    declared = set(account.expected(resource.inputs.get("alarmActions") or []))
    if declared != set(found[0].get("AlarmActions", ())):
        yield "it does not tell whom it should"


def dashboard(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["dashboardName"]
    present(lambda: account.client("cloudwatch").get_dashboard(DashboardName=name))
    return ()


def trail(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["name"]
    present(lambda: account.client("cloudtrail").get_trail(Name=name))
    if not account.client("cloudtrail").get_trail_status(Name=name)["IsLogging"]:
        yield "does not record"


def load_balancer(account: Account, resource: Resource) -> Iterable[str]:
    found = present(lambda: account.client("elbv2").describe_load_balancers(Names=[resource.inputs["name"]]))[
        "LoadBalancers"
    ][0]
    return differing(found["State"], Code="active")


def target_group(account: Account, resource: Resource) -> Iterable[str]:
    elb = account.client("elbv2")
    group = present(lambda: elb.describe_target_groups(Names=[resource.inputs["name"]]))["TargetGroups"][0]
    health = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    states = [each["TargetHealth"]["State"] for each in health]
    if not states:
        yield "it has no targets"
    elif "healthy" not in states:
        yield f"none of its targets is healthy: {', '.join(sorted(set(states)))}"


def _tagged(account: Account, operation: str, member: str, resource: Resource) -> dict[str, Any]:
    """What EC2 has under the ``Name`` tag of a resource."""
    name = resource.inputs["tags"]["Name"]
    call = getattr(account.client("ec2"), operation)
    found = call(Filters=[{"Name": "tag:Name", "Values": [name]}])[member]
    for each in found:
        if {"Key": "Name", "Value": name} in each.get("Tags", ()):
            return dict(each)
    raise Absent


def vpc(account: Account, resource: Resource) -> Iterable[str]:
    found = _tagged(account, "describe_vpcs", "Vpcs", resource)
    return differing(found, CidrBlock=resource.inputs["cidrBlock"], State="available")


def subnet(account: Account, resource: Resource) -> Iterable[str]:
    found = _tagged(account, "describe_subnets", "Subnets", resource)
    return differing(found, CidrBlock=resource.inputs["cidrBlock"], State="available")


def security_group(account: Account, resource: Resource) -> Iterable[str]:
    ec2 = account.client("ec2")
    groups = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [resource.inputs["name"]]}]
    )["SecurityGroups"]
    if not groups:
        raise Absent
    # What a hand adds is no resource of the program's, and opens a door all the same.
    declared = {
        each.inputs["tags"]["Name"]
        for each in account.graph.resources
        if each.type in RULES and each.inputs["securityGroupId"] == resource.id
    }
    of_group = [{"Name": "group-id", "Values": [groups[0]["GroupId"]]}]
    for page in ec2.get_paginator("describe_security_group_rules").paginate(Filters=of_group):
        for each in page["SecurityGroupRules"]:
            names = {tag["Value"] for tag in each.get("Tags", ()) if tag["Key"] == "Name"}
            if not names & declared:
                yield f"has the rule {each['SecurityGroupRuleId']}, which the program does not declare"


def vpc_endpoint(account: Account, resource: Resource) -> Iterable[str]:
    found = _tagged(account, "describe_vpc_endpoints", "VpcEndpoints", resource)
    yield from differing(found, ServiceName=resource.inputs["serviceName"])
    if str(found["State"]).lower() != "available":
        yield f"is {found['State']}"


READERS = {
    "aws:cloudwatch/logGroup:LogGroup": log_group,
    "aws:ecs/cluster:Cluster": cluster,
    "aws:ecs/service:Service": service,
    "aws:ecs/taskDefinition:TaskDefinition": task_definition,
    "aws:cloudwatch/metricAlarm:MetricAlarm": alarm,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": composite_alarm,
    "aws:cloudwatch/dashboard:Dashboard": dashboard,
    "aws:cloudtrail/trail:Trail": trail,
    "aws:lb/loadBalancer:LoadBalancer": load_balancer,
    "aws:lb/targetGroup:TargetGroup": target_group,
    "aws:ec2/vpc:Vpc": vpc,
    "aws:ec2/subnet:Subnet": subnet,
    "aws:ec2/securityGroup:SecurityGroup": security_group,
    "aws:ec2/vpcEndpoint:VpcEndpoint": vpc_endpoint,
}
