"""Network ACLs, whose entries and subnets are inputs of their own."""

from collections.abc import Mapping
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.network import ARN, keep, named, set_tags
from rayline_local.provisioner.adapters.recipe import Found, Recipe, listed


def _entries(inputs: Inputs) -> Mapping[tuple[bool, int], dict[str, Any]]:
    """The entries that a network ACL is asked for, by direction (egress?) and number."""
    return {
        (egress, int(each["ruleNo"])): {
            "Protocol": {"tcp": "6", "udp": "17"}.get(each["protocol"], str(each["protocol"])),
            "RuleAction": each["action"],
            "CidrBlock": each["cidrBlock"],
            "PortRange": {"From": int(each["fromPort"]), "To": int(each["toPort"])},
        }
        for egress, name in ((False, "ingress"), (True, "egress"))
        for each in inputs.get(name) or ()
    }


def _settle(ec2: Any, acl: Found, inputs: Inputs) -> None:
    """Bring a network ACL's entries and subnets about; what nobody asked for goes."""
    acl_id = acl["NetworkAclId"]
    set_tags("NetworkAclId")(ec2, acl, inputs)
    wanted = _entries(inputs)
    # 32767 is the entry that denies the rest, which EC2 keeps itself.
    there = {(each["Egress"], each["RuleNumber"]) for each in acl["Entries"] if each["RuleNumber"] < 32767}
    for egress, number in there - set(wanted):
        ec2.delete_network_acl_entry(NetworkAclId=acl_id, RuleNumber=number, Egress=egress)
    for (egress, number), entry in wanted.items():
        act = ec2.replace_network_acl_entry if (egress, number) in there else ec2.create_network_acl_entry
        act(NetworkAclId=acl_id, RuleNumber=number, Egress=egress, **entry)
    for subnet_id in inputs.get("subnetIds") or ():
        _associate(ec2, acl_id, subnet_id)


def _associate(ec2: Any, acl_id: str, subnet_id: str) -> None:
    for other in ec2.describe_network_acls()["NetworkAcls"]:
        for each in other["Associations"]:
            if each["SubnetId"] == subnet_id and other["NetworkAclId"] != acl_id:
                ec2.replace_network_acl_association(
                    AssociationId=each["NetworkAclAssociationId"], NetworkAclId=acl_id
                )


NETWORK_ACL = Recipe(
    service="ec2",
    find=listed("DescribeNetworkAcls", "NetworkAcls", "NetworkAclId", lambda inputs: named(inputs, "vpcId")),
    identity="NetworkAclId",
    create="CreateNetworkAcl",
    delete=("DeleteNetworkAcl", "NetworkAclId"),
    settle=_settle,
    outputs={"arn": ARN + "network-acl/{id}"},
    replaced_by=frozenset({"vpcId"}),
)


DEFAULT_NETWORK_ACL = Recipe(
    service="ec2",
    find=listed(
        "DescribeNetworkAcls",
        "NetworkAcls",
        "NetworkAclId",
        lambda inputs: {"NetworkAclId": inputs["defaultNetworkAclId"]},
    ),
    identity="NetworkAclId",
    create="",
    delete=keep,
    settle=_settle,
    outputs={"arn": ARN + "network-acl/{id}"},
    replaced_by=frozenset({"defaultNetworkAclId"}),
)
