"""Load balancers, target groups, listeners and rules."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, tag_list
from rayline_local.provisioner.adapters.recipe import Found, Recipe, first
from rayline_local.provisioner.adapters.requests import request_for

# Pulumi says as an input of its own what AWS keeps as an attribute (API_LoadBalancerAttribute).
BALANCER_ATTRIBUTES = {
    "enableDeletionProtection": "deletion_protection.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableHttp2": "routing.http2.enabled",
    "desyncMitigationMode": "routing.http.desync_mitigation_mode",
    "enableCrossZoneLoadBalancing": "load_balancing.cross_zone.enabled",
    "preserveHostHeader": "routing.http.preserve_host_header.enabled",
}
TARGET_GROUP_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "connectionTermination": "deregistration_delay.connection_termination.enabled",
    "preserveClientIp": "preserve_client_ip.enabled",
    "proxyProtocolV2": "proxy_protocol_v2.enabled",
    "slowStart": "slow_start.duration_seconds",
}
HEALTH = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


def _attributes(inputs: Inputs, known: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"Key": key, "Value": str(inputs[name]).lower()}
        for name, key in known.items()
        if inputs.get(name) is not None
    ]


def _balancer(elb: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return first(elb.describe_load_balancers(Names=[inputs["name"]])["LoadBalancers"])


def _create_balancer(elb: Any, inputs: Inputs) -> Any:
    renamed = {"Type": "loadBalancerType"}
    request = request_for(elb, "CreateLoadBalancer", inputs, renamed)
    request["Scheme"] = "internal" if inputs.get("internal") else "internet-facing"
    return elb.create_load_balancer(**request)


def _settle_balancer(elb: Any, balancer: Found, inputs: Inputs) -> None:
    arn = balancer["LoadBalancerArn"]
    if attributes := [*_attributes(inputs, BALANCER_ATTRIBUTES), *_access_logs(inputs)]:
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    if groups := inputs.get("securityGroups"):
        elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=list(groups))
    if subnets := inputs.get("subnets"):
        elb.set_subnets(LoadBalancerArn=arn, Subnets=list(subnets))
    if tags := tag_list(inputs):
        elb.add_tags(ResourceArns=[arn], Tags=tags)


def _access_logs(inputs: Inputs) -> list[dict[str, str]]:
    logs = inputs.get("accessLogs")
    if not logs:
        return []
    named = {"enabled": str(logs.get("enabled", False)).lower(), "bucket": logs["bucket"]}
    if logs.get("prefix"):
        named["prefix"] = logs["prefix"]
    return [{"Key": f"access_logs.s3.{name}", "Value": value} for name, value in named.items()]


def _delete_balancer(elb: Any, arn: str, inputs: Inputs) -> None:
    if inputs.get("enableDeletionProtection"):
        raise RuntimeError("deletion protection is on; switch it off in one run, remove in the next")
    elb.delete_load_balancer(LoadBalancerArn=arn)


LOAD_BALANCER = Recipe(
    service="elbv2",
    find=_balancer,
    identity="LoadBalancerArn",
    create=_create_balancer,
    delete=_delete_balancer,
    settle=_settle_balancer,
    outputs={"arn": "{id}", "dnsName": "{DNSName}", "zoneId": "{CanonicalHostedZoneId}"},
    more_outputs=lambda elb, found: {"arnSuffix": found["LoadBalancerArn"].partition(":loadbalancer/")[2]},
    replaced_by=frozenset({"name", "loadBalancerType", "internal"}),
)


def _target_group(elb: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return first(elb.describe_target_groups(Names=[inputs["name"]])["TargetGroups"])


def _health(inputs: Inputs) -> dict[str, Any]:
    check = inputs.get("healthCheck") or {}
    known = {theirs: check[ours] for ours, theirs in HEALTH.items() if check.get(ours) is not None}
    if check.get("matcher"):
        known["Matcher"] = {"HttpCode": str(check["matcher"])}
    return known


def _create_target_group(elb: Any, inputs: Inputs) -> Any:
    named = {name: value for name, value in inputs.items() if name != "healthCheck"}
    request = request_for(elb, "CreateTargetGroup", {**named, **_health(inputs)})
    return elb.create_target_group(**request)


def _settle_target_group(elb: Any, group: Found, inputs: Inputs) -> None:
    arn = group["TargetGroupArn"]
    if health := request_for(elb, "ModifyTargetGroup", _health(inputs)):
        elb.modify_target_group(TargetGroupArn=arn, **health)
    if attributes := _attributes(inputs, TARGET_GROUP_ATTRIBUTES):
        elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)


TARGET_GROUP = Recipe(
    service="elbv2",
    find=_target_group,
    identity="TargetGroupArn",
    create=_create_target_group,
    delete=("DeleteTargetGroup", "TargetGroupArn"),
    settle=_settle_target_group,
    outputs={"arn": "{id}"},
    more_outputs=lambda elb, found: {"arnSuffix": found["TargetGroupArn"].rpartition(":")[2]},
    replaced_by=frozenset({"name", "port", "protocol", "protocolVersion", "targetType", "vpcId"}),
)


def _actions(elb: Any, operation: str, member: str, inputs: Inputs) -> list[Any]:
    """Actions as AWS takes them; Pulumi names a fixed response and the like in the same way."""
    given = [
        {f"{name}Config" if name in CONFIGURED else name: value for name, value in each.items()}
        for each in inputs[member]
    ]
    made = request_for(elb, operation, {"actions": given, "defaultActions": given})
    actions: list[Any] = made.get("DefaultActions") or made["Actions"]
    return actions


CONFIGURED = ("authenticateCognito", "authenticateOidc", "fixedResponse", "forward", "redirect")


def _listener(elb: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    for each in elb.describe_listeners(LoadBalancerArn=inputs["loadBalancerArn"])["Listeners"]:
        if each["ListenerArn"] == resource_id or (
            resource_id is None and each["Port"] == int(inputs["port"])
        ):
            return dict(each)
    return None


def _listener_request(elb: Any, operation: str, inputs: Inputs) -> dict[str, Any]:
    named = {
        name: value for name, value in inputs.items() if name not in ("defaultActions", "certificateArn")
    }
    request = request_for(elb, operation, named)
    if certificate := inputs.get("certificateArn"):
        request["Certificates"] = [{"CertificateArn": certificate}]
    return {**request, "DefaultActions": _actions(elb, operation, "defaultActions", inputs)}


def _settle_listener(elb: Any, listener: Found, inputs: Inputs) -> None:
    request = _listener_request(elb, "ModifyListener", inputs)
    elb.modify_listener(**{**request, "ListenerArn": listener["ListenerArn"]})


LISTENER = Recipe(
    service="elbv2",
    find=_listener,
    identity="ListenerArn",
    create=lambda elb, inputs: elb.create_listener(**_listener_request(elb, "CreateListener", inputs)),
    delete=("DeleteListener", "ListenerArn"),
    update=_settle_listener,
    outputs={"arn": "{id}"},
    replaced_by=frozenset({"loadBalancerArn", "port"}),
)


def _rule(elb: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    for each in elb.describe_rules(ListenerArn=inputs["listenerArn"])["Rules"]:
        same = each["Priority"] == str(inputs["priority"])
        if each["RuleArn"] == resource_id or (resource_id is None and same):
            return dict(each)
    return None


def _conditions(inputs: Inputs) -> list[dict[str, Any]]:
    known = {
        "hostHeader": ("host-header", "HostHeaderConfig"),
        "pathPattern": ("path-pattern", "PathPatternConfig"),
        "httpRequestMethod": ("http-request-method", "HttpRequestMethodConfig"),
        "sourceIp": ("source-ip", "SourceIpConfig"),
    }
    conditions: list[dict[str, Any]] = []
    for each in inputs["conditions"]:
        for name, (field, member) in known.items():
            if name in each:
                conditions.append({"Field": field, member: {"Values": list(each[name]["values"])}})
        if header := each.get("httpHeader"):
            configuration = {
                "HttpHeaderName": header["httpHeaderName"],
                "Values": list(header["values"]),
            }
            conditions.append({"Field": "http-header", "HttpHeaderConfig": configuration})
    return conditions


def _create_rule(elb: Any, inputs: Inputs) -> Any:
    return elb.create_rule(
        ListenerArn=inputs["listenerArn"],
        Priority=int(inputs["priority"]),
        Conditions=_conditions(inputs),
        Actions=_actions(elb, "CreateRule", "actions", inputs),
    )


def _settle_rule(elb: Any, rule: Found, inputs: Inputs) -> None:
    elb.modify_rule(
        RuleArn=rule["RuleArn"],
        Conditions=_conditions(inputs),
        Actions=_actions(elb, "ModifyRule", "actions", inputs),
    )


LISTENER_RULE = Recipe(
    service="elbv2",
    find=_rule,
    identity="RuleArn",
    create=_create_rule,
    delete=("DeleteRule", "RuleArn"),
    update=_settle_rule,
    outputs={"arn": "{id}"},
    replaced_by=frozenset({"listenerArn", "priority"}),
)
