"""Security groups and their rules."""

from collections.abc import Callable
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.network import ARN, set_tags
from rayline_local.provisioner.adapters.recipe import Finder, Found, Recipe
from rayline_local.provisioner.adapters.requests import request_for

PROTOCOLS = {"-1": "-1", "all": "-1", "6": "tcp", "17": "udp", "1": "icmp"}


def _groups(ec2: Any, vpc_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc_id]}]
    )["SecurityGroups"]
    return found


def _group(name: str | None) -> Finder:
    """The group of a VPC with a name; by default the one that the inputs give."""

    def find(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
        for each in _groups(ec2, inputs["vpcId"]):
            same = each["GroupName"] == (name or inputs["name"])
            if each["GroupId"] == resource_id or (resource_id is None and same):
                return each
        return None

    return find


def _permissions(group: Found, inputs: Inputs, direction: str) -> tuple[list[Any], list[Any]]:
    member = {"ingress": "IpPermissions", "egress": "IpPermissionsEgress"}[direction]
    return list(group.get(member, ())), [_permission(each) for each in inputs.get(direction) or ()]


def _permission(rule: Inputs) -> dict[str, Any]:
    """An inline rule as EC2 takes it."""
    protocol = str(rule["protocol"])
    permission: dict[str, Any] = {"IpProtocol": PROTOCOLS.get(protocol, protocol)}
    if permission["IpProtocol"] != "-1":
        permission.update(FromPort=int(rule["fromPort"]), ToPort=int(rule["toPort"]))
    if ranges := rule.get("cidrBlocks"):
        permission["IpRanges"] = [{"CidrIp": cidr} for cidr in ranges]
    if groups := rule.get("securityGroups"):
        permission["UserIdGroupPairs"] = [{"GroupId": group} for group in groups]
    if lists := rule.get("prefixListIds"):
        permission["PrefixListIds"] = [{"PrefixListId": each} for each in lists]
    return permission


def _settle_group(only_inline: bool) -> Callable[[Any, Found, Inputs], None]:
    def settle(ec2: Any, group: Found, inputs: Inputs) -> None:
        set_tags("GroupId")(ec2, group, inputs)
        for direction in ("ingress", "egress"):
            there, wanted = _permissions(group, inputs, direction)
            if direction in inputs or only_inline:
                _replace(ec2, group["GroupId"], direction, there, wanted)

    return settle


def _replace(ec2: Any, group_id: str, direction: str, there: list[Any], wanted: list[Any]) -> None:
    if there:
        getattr(ec2, f"revoke_security_group_{direction}")(GroupId=group_id, IpPermissions=there)
    if wanted:
        getattr(ec2, f"authorize_security_group_{direction}")(GroupId=group_id, IpPermissions=wanted)


def _create_group(ec2: Any, inputs: Inputs) -> Any:
    made = ec2.create_security_group(**request_for(ec2, "CreateSecurityGroup", inputs, {"GroupName": "name"}))
    (group,) = ec2.describe_security_groups(GroupIds=[made["GroupId"]])["SecurityGroups"]
    # A new group lets everything out; AWS's provider takes that rule away, and so must its stand-in.
    _replace(ec2, made["GroupId"], "egress", group["IpPermissionsEgress"], [])
    return made


SECURITY_GROUP = Recipe(
    service="ec2",
    find=_group(None),
    identity="GroupId",
    create=_create_group,
    delete=("DeleteSecurityGroup", "GroupId"),
    settle=_settle_group(only_inline=False),
    outputs={"arn": ARN + "security-group/{id}"},
    replaced_by=frozenset({"name", "vpcId", "description"}),
)

DEFAULT_SECURITY_GROUP = Recipe(
    service="ec2",
    find=_group("default"),
    identity="GroupId",
    create="",
    delete=lambda ec2, group_id, inputs: None,  # EC2 made it with the VPC, and deletes it with that
    settle=_settle_group(only_inline=True),
    outputs={"arn": ARN + "security-group/{id}"},
    replaced_by=frozenset({"vpcId"}),
)


def _rule(egress: bool) -> Finder:
    def find(ec2: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
        group_id = inputs["securityGroupId"]
        of_group = [{"Name": "group-id", "Values": [group_id]}]
        for each in ec2.describe_security_group_rules(Filters=of_group)["SecurityGroupRules"]:
            if each["GroupId"] != group_id or each["IsEgress"] != egress:
                continue
            if each["SecurityGroupRuleId"] == resource_id or (resource_id is None and _same(each, inputs)):
                return dict(each)
        return None

    return find


def _same(rule: Found, inputs: Inputs) -> bool:
    protocol = str(inputs["ipProtocol"])
    return (
        rule["IpProtocol"] == PROTOCOLS.get(protocol, protocol)
        and (protocol == "-1" or (rule["FromPort"], rule["ToPort"]) == (inputs["fromPort"], inputs["toPort"]))
        and rule.get("CidrIpv4") == inputs.get("cidrIpv4")
        and rule.get("PrefixListId") == inputs.get("prefixListId")
        and (rule.get("ReferencedGroupInfo") or {}).get("GroupId") == inputs.get("referencedSecurityGroupId")
    )


def _authorize(direction: str) -> Callable[[Any, Inputs], Any]:
    def create(ec2: Any, inputs: Inputs) -> Any:
        protocol = str(inputs["ipProtocol"])
        permission: dict[str, Any] = {"IpProtocol": PROTOCOLS.get(protocol, protocol)}
        if protocol != "-1":
            permission.update(FromPort=int(inputs["fromPort"]), ToPort=int(inputs["toPort"]))
        described = {"Description": inputs["description"]} if inputs.get("description") else {}
        if cidr := inputs.get("cidrIpv4"):
            permission["IpRanges"] = [{"CidrIp": cidr, **described}]
        if group := inputs.get("referencedSecurityGroupId"):
            permission["UserIdGroupPairs"] = [{"GroupId": group, **described}]
        if prefixes := inputs.get("prefixListId"):
            permission["PrefixListIds"] = [{"PrefixListId": prefixes, **described}]
        authorize = getattr(ec2, f"authorize_security_group_{direction}")
        return authorize(GroupId=inputs["securityGroupId"], IpPermissions=[permission])

    return create


def _revoke(direction: str) -> Callable[[Any, str, Inputs], None]:
    def delete(ec2: Any, rule_id: str, inputs: Inputs) -> None:
        revoke = getattr(ec2, f"revoke_security_group_{direction}")
        revoke(GroupId=inputs["securityGroupId"], SecurityGroupRuleIds=[rule_id])

    return delete


def _rule_recipe(direction: str) -> Recipe:
    return Recipe(
        service="ec2",
        find=_rule(direction == "egress"),
        identity="SecurityGroupRuleId",
        create=_authorize(direction),
        delete=_revoke(direction),
        settle=set_tags("SecurityGroupRuleId"),
        outputs={"arn": ARN + "security-group-rule/{id}", "securityGroupRuleId": "{id}"},
        replaced_by=frozenset(
            {
                "securityGroupId",
                "ipProtocol",
                "fromPort",
                "toPort",
                "cidrIpv4",
                "referencedSecurityGroupId",
                "prefixListId",
                "description",
            }
        ),
    )


INGRESS_RULE = _rule_recipe("ingress")
EGRESS_RULE = _rule_recipe("egress")
