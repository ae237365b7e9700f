"""Readers of what scales, of the rest of the network, and of the account's own guards."""

from collections.abc import Iterable
from typing import Any

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Absent, Account, differing, present


def scaling_target(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    found = account.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=inputs["serviceNamespace"], ResourceIds=[inputs["resourceId"]]
    )["ScalableTargets"]
    if not found:
        raise Absent
    return differing(found[0], MinCapacity=int(inputs["minCapacity"]), MaxCapacity=int(inputs["maxCapacity"]))


def scaling_policy(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    found = account.client("application-autoscaling").describe_scaling_policies(
        ServiceNamespace=inputs["serviceNamespace"], PolicyNames=[inputs["name"]]
    )["ScalingPolicies"]
    if not found:
        raise Absent
    return differing(found[0], ResourceId=inputs["resourceId"])


def repository_policy(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["repository"]
    found = present(lambda: account.client("ecr").get_repository_policy(repositoryName=name))
    if not account.same_document(resource.inputs["policy"], found["policyText"]):
        yield "its policy is not the declared one"


def repository_lifecycle(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["repository"]
    present(lambda: account.client("ecr").get_lifecycle_policy(repositoryName=name))
    return ()


def object_lock(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["bucket"]
    s3 = account.client("s3", resource.inputs.get("region"))
    found = present(lambda: s3.get_object_lock_configuration(Bucket=name))["ObjectLockConfiguration"]
    declared = resource.inputs["rule"]["defaultRetention"]
    yield from differing(
        found.get("Rule", {}).get("DefaultRetention", {}), Mode=declared["mode"], Years=int(declared["years"])
    )


def replication(account: Account, resource: Resource) -> Iterable[str]:
    s3 = account.client("s3", resource.inputs.get("region"))
    found = present(
        lambda: s3.get_bucket_replication(Bucket=resource.inputs["bucket"]), "ReplicationConfiguration"
    )["ReplicationConfiguration"]
    for rule in found["Rules"]:
        if rule["Status"] != "Enabled":
            yield f"its rule {rule.get('ID', '')} is {rule['Status']}"


def parameter(account: Account, resource: Resource) -> Iterable[str]:
    present(lambda: account.client("ssm").get_parameter(Name=resource.inputs["name"]))
    return ()


def model_group_policy(account: Account, resource: Resource) -> Iterable[str]:
    group = resource.inputs["modelPackageGroupName"]
    sagemaker = account.client("sagemaker")
    found = present(
        lambda: sagemaker.get_model_package_group_policy(ModelPackageGroupName=group), "ValidationException"
    )
    if not account.same_document(resource.inputs["resourcePolicy"], found["ResourcePolicy"]):
        yield "its policy is not the declared one"


def flow_log(account: Account, resource: Resource) -> Iterable[str]:
    found = _tagged(account, "describe_flow_logs", "FlowLogs", resource)
    return differing(found, FlowLogStatus="ACTIVE", TrafficType=resource.inputs["trafficType"])


def route_table(account: Account, resource: Resource) -> Iterable[str]:
    _tagged(account, "describe_route_tables", "RouteTables", resource)
    return ()


def network_acl(account: Account, resource: Resource) -> Iterable[str]:
    _tagged(account, "describe_network_acls", "NetworkAcls", resource)
    return ()


def security_group_rule(account: Account, resource: Resource) -> Iterable[str]:
    name, ec2 = resource.inputs["tags"]["Name"], account.client("ec2")
    group = _group_id(account, resource.inputs["securityGroupId"])
    for page in ec2.get_paginator("describe_security_group_rules").paginate():
        for each in page["SecurityGroupRules"]:
            if each["GroupId"] == group and {"Key": "Name", "Value": name} in each.get("Tags", ()):
                # A rule that named a group and names addresses now has them, and should have none.
                yield from differing(
                    each,
                    IpProtocol=resource.inputs["ipProtocol"],
                    CidrIpv4=resource.inputs.get("cidrIpv4"),
                    CidrIpv6=resource.inputs.get("cidrIpv6"),
                )
                if "fromPort" in resource.inputs:
                    yield from differing(
                        each, FromPort=int(resource.inputs["fromPort"]), ToPort=int(resource.inputs["toPort"])
                    )
                return
    raise Absent


def _group_id(account: Account, planned: str) -> str:
    """Id that AWS gave the security group that planning called so."""
    (name,) = [
        each.inputs["name"]
        for each in account.graph.of_type("aws:ec2/securityGroup:SecurityGroup")
        if each.id == planned
    ]
    groups = account.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [name]}]
    )["SecurityGroups"]
    if not groups:
        raise Absent
    return str(groups[0]["GroupId"])


def _tagged(account: Account, operation: str, member: str, resource: Resource) -> dict[str, Any]:
    """What EC2 has under the ``Name`` tag of a resource."""
    name = resource.inputs["tags"]["Name"]
    for page in account.client("ec2").get_paginator(operation).paginate():
        for each in page[member]:
            if {"Key": "Name", "Value": name} in each.get("Tags", ()):
                return dict(each)
    raise Absent


def detector(account: Account, resource: Resource) -> Iterable[str]:
    guard_duty = account.client("guardduty")
    detectors = guard_duty.list_detectors()["DetectorIds"]
    if not detectors:
        raise Absent
    return differing(guard_duty.get_detector(DetectorId=detectors[0]), Status="ENABLED")


def analyzer(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["analyzerName"]
    found = present(lambda: account.client("accessanalyzer").get_analyzer(analyzerName=name))["analyzer"]
    return differing(found, status="ACTIVE")


def config_recorder(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["name"]
    found = present(
        lambda: account.client("config").describe_configuration_recorder_status(
            ConfigurationRecorderNames=[name]
        )
    )["ConfigurationRecordersStatus"]
    if not found:
        raise Absent
    return differing(found[0], recording=True)


def config_rule(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["name"]
    found = present(lambda: account.client("config").describe_config_rules(ConfigRuleNames=[name]))[
        "ConfigRules"
    ]
    if not found:
        raise Absent
    return differing(found[0], ConfigRuleState="ACTIVE")


def budget(account: Account, resource: Resource) -> Iterable[str]:
    request = {"AccountId": str(account.graph.outputs["account_id"]), "BudgetName": resource.inputs["name"]}
    found = present(lambda: account.client("budgets").describe_budget(**request))["Budget"]
    if float(found["BudgetLimit"]["Amount"]) != float(resource.inputs["limitAmount"]):
        yield f"its limit is {found['BudgetLimit']['Amount']} and should be {resource.inputs['limitAmount']}"


READERS = {
    "aws:appautoscaling/target:Target": scaling_target,
    "aws:appautoscaling/policy:Policy": scaling_policy,
    "aws:ecr/repositoryPolicy:RepositoryPolicy": repository_policy,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": repository_lifecycle,
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": object_lock,
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": replication,
    "aws:ssm/parameter:Parameter": parameter,
    "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy": model_group_policy,
    "aws:ec2/flowLog:FlowLog": flow_log,
    "aws:ec2/routeTable:RouteTable": route_table,
    "aws:ec2/networkAcl:NetworkAcl": network_acl,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": security_group_rule,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": security_group_rule,
    "aws:guardduty/detector:Detector": detector,
    "aws:accessanalyzer/analyzer:Analyzer": analyzer,
    "aws:cfg/recorderStatus:RecorderStatus": config_recorder,
    "aws:cfg/rule:Rule": config_rule,
    "aws:budgets/budget:Budget": budget,
}
