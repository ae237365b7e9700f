"""The VPC and what stands in it, and load balancers."""

import json
from collections.abc import Mapping
from typing import Any

from support.adapter_cases.case import POLICY, Case, World, vpn_connection


def rules_of(world: World, resource_id: str, member: str) -> Any:
    return world.client("ec2").describe_security_groups(GroupIds=[resource_id])["SecurityGroups"][0][member]


def acl_numbers(world: World, resource_id: str) -> list[tuple[bool, int]]:
    (acl,) = world.client("ec2").describe_network_acls(NetworkAclIds=[resource_id])["NetworkAcls"]
    return sorted(
        (each["Egress"], each["RuleNumber"]) for each in acl["Entries"] if each["RuleNumber"] < 32767
    )


def target_group(world: World, resource_id: str) -> Any:
    return world.client("elbv2").describe_target_groups(TargetGroupArns=[resource_id])["TargetGroups"][0]


CASES: Mapping[str, Case] = {
    "aws:ec2/customerGateway:CustomerGateway": Case(
        lambda world: {"bgpAsn": "65001", "ipAddress": "203.0.113.8", "type": "ipsec.1"}
    ),
    "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl": Case(
        lambda world: {
            "defaultNetworkAclId": world.vpc.outputs["defaultNetworkAclId"],
            "ingress": [],
            "egress": [],
        },
        {
            "ingress": [
                {"ruleNo": 100, "protocol": "tcp", "action": "allow", "cidrBlock": "10.0.0.0/8",
                 "fromPort": 443, "toPort": 443}
            ]
        },
        lambda world, resource_id: acl_numbers(world, resource_id),
        [(False, 100)],
        permanent=True,
    ),
    "aws:ec2/defaultRouteTable:DefaultRouteTable": Case(
        lambda world: {"defaultRouteTableId": world.vpc.outputs["defaultRouteTableId"], "routes": []},
        permanent=True,
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Case(
        lambda world: {"vpcId": world.vpc.id},
        {"tags": {"Name": "closed"}},
        lambda world, resource_id: [
            rules_of(world, resource_id, member) for member in ("IpPermissions", "IpPermissionsEgress")
        ],
        [[], []],
        permanent=True,
    ),
    "aws:ec2/eip:Eip": Case(lambda world: {"domain": "vpc", "tags": {"Name": "adapters"}}),
    "aws:ec2/flowLog:FlowLog": Case(
        lambda world: {
            "vpcId": world.vpc.id,
            "trafficType": "ALL",
            "logDestinationType": "cloud-watch-logs",
            "logDestination": world.log_group.outputs["arn"],
            "iamRoleArn": world.role.outputs["arn"],
            "maxAggregationInterval": 60,
        }
    ),
    "aws:ec2/internetGateway:InternetGateway": Case(
        lambda world: {
            "vpcId": world.need("aws:ec2/vpc:Vpc", {"cidrBlock": "10.98.0.0/16", "tags": {"Name": "other"}}).id,
            "tags": {"Name": "adapters"},
        }
    ),
    "aws:ec2/natGateway:NatGateway": Case(
        lambda world: {
            "subnetId": world.subnet.id,
            "connectivityType": "public",
            "allocationId": world.need(
                "aws:ec2/eip:Eip", {"domain": "vpc", "tags": {"Name": "needed"}}
            ).id,
            "tags": {"Name": "adapters"},
        }
    ),
    "aws:ec2/networkAcl:NetworkAcl": Case(
        lambda world: {
            "vpcId": world.vpc.id,
            "subnetIds": [world.subnet.id],
            "ingress": [
                {"ruleNo": 100, "protocol": "tcp", "action": "allow", "cidrBlock": "10.0.0.0/8",
                 "fromPort": 443, "toPort": 443}
            ],
            "egress": [
                {"ruleNo": 100, "protocol": "-1", "action": "allow", "cidrBlock": "0.0.0.0/0",
                 "fromPort": 0, "toPort": 0}
            ],
            "tags": {"Name": "adapters"},
        },
        {
            "ingress": [
                {"ruleNo": 110, "protocol": "tcp", "action": "allow", "cidrBlock": "10.0.0.0/8",
                 "fromPort": 443, "toPort": 443}
            ]
        },
        lambda world, resource_id: acl_numbers(world, resource_id),
        [(False, 110), (True, 100)],
    ),
    "aws:ec2/route:Route": Case(
        lambda world: {
            "routeTableId": world.route_table.id,
            "destinationCidrBlock": "0.0.0.0/0",
            "gatewayId": world.gateway.id,
        }
    ),
    "aws:ec2/routeTable:RouteTable": Case(
        lambda world: {"vpcId": world.vpc.id, "tags": {"Name": "adapters"}}
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Case(
        lambda world: {"subnetId": world.subnet.id, "routeTableId": world.route_table.id}
    ),
    "aws:ec2/securityGroup:SecurityGroup": Case(
        lambda world: {"vpcId": world.vpc.id, "name": "adapters", "description": "of the test"},
        {"tags": {"Name": "adapters"}},
        lambda world, resource_id: rules_of(world, resource_id, "IpPermissionsEgress"),
        [],
    ),
    "aws:ec2/subnet:Subnet": Case(
        lambda world: {
            "vpcId": world.vpc.id,
            "cidrBlock": "10.99.3.0/24",
            "availabilityZone": "us-east-1a",
            "tags": {"Name": "adapters"},
        },
        {"mapPublicIpOnLaunch": True},
        lambda world, resource_id: world.client("ec2").describe_subnets(SubnetIds=[resource_id])["Subnets"][0][
            "MapPublicIpOnLaunch"
        ],
        True,
    ),
    "aws:ec2/vpc:Vpc": Case(
        lambda world: {
            "cidrBlock": "10.97.0.0/16",
            "enableDnsSupport": True,
            "enableDnsHostnames": False,
            "tags": {"Name": "adapters"},
        },
        {"enableDnsHostnames": True},
        lambda world, resource_id: world.client("ec2").describe_vpc_attribute(
            VpcId=resource_id, Attribute="enableDnsHostnames"
        )["EnableDnsHostnames"]["Value"],
        True,
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Case(
        lambda world: {
            "vpcId": world.vpc.id,
            "serviceName": "com.amazonaws.us-east-1.sqs",
            "vpcEndpointType": "Interface",
            "subnetIds": [world.subnet.id],
            "securityGroupIds": [world.security_group.id],
            "privateDnsEnabled": True,
            "policy": json.dumps(POLICY),
        },
    ),
    "aws:ec2/vpnConnection:VpnConnection": Case(vpn_connection),
    "aws:ec2/vpnConnectionRoute:VpnConnectionRoute": Case(
        lambda world: {"vpnConnectionId": world.vpn_connection.id, "destinationCidrBlock": "172.16.0.0/12"}
    ),
    "aws:ec2/vpnGateway:VpnGateway": Case(
        lambda world: {
            "vpcId": world.need("aws:ec2/vpc:Vpc", {"cidrBlock": "10.96.0.0/16", "tags": {"Name": "vpn"}}).id
        }
    ),
    "aws:lb/listener:Listener": Case(
        lambda world: {
            "loadBalancerArn": world.load_balancer.id,
            "port": 8443,
            "protocol": "HTTPS",
            "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "certificateArn": world.certificate.id,
            "defaultActions": [
                {"type": "fixed-response", "fixedResponse": {"contentType": "text/plain", "statusCode": "404"}}
            ],
        },
        {"defaultActions": [{"type": "redirect", "redirect": {"statusCode": "HTTP_301", "protocol": "HTTPS"}}]},
        lambda world, resource_id: world.client("elbv2").describe_listeners(ListenerArns=[resource_id])[
            "Listeners"
        ][0]["DefaultActions"][0]["RedirectConfig"]["Protocol"],
        "HTTPS",
    ),
    "aws:lb/listenerRule:ListenerRule": Case(
        lambda world: {
            "listenerArn": world.listener.id,
            "priority": 10,
            "conditions": [{"pathPattern": {"values": ["/api/*"]}}],
            "actions": [{"type": "forward", "targetGroupArn": world.target_group.id}],
        },
        {"conditions": [{"pathPattern": {"values": ["/v2/*"]}}]},
        lambda world, resource_id: world.client("elbv2").describe_rules(RuleArns=[resource_id])["Rules"][0][
            "Conditions"
        ][0]["PathPatternConfig"]["Values"],
        ["/v2/*"],
    ),
    "aws:lb/loadBalancer:LoadBalancer": Case(
        lambda world: {
            "name": "adapters",
            "loadBalancerType": "network",
            "internal": True,
            "subnets": [world.subnet.id, world.other_subnet.id],
            "securityGroups": [world.security_group.id],
            "enableCrossZoneLoadBalancing": False,
        },
        {"enableCrossZoneLoadBalancing": True},
        lambda world, resource_id: {
            each["Key"]: each["Value"]
            for each in world.client("elbv2").describe_load_balancer_attributes(LoadBalancerArn=resource_id)[
                "Attributes"
            ]
        }["load_balancing.cross_zone.enabled"],
        "true",
    ),
    "aws:lb/targetGroup:TargetGroup": Case(
        lambda world: {
            "name": "adapters",
            "port": 80,
            "protocol": "HTTP",
            "targetType": "ip",
            "vpcId": world.vpc.id,
            "deregistrationDelay": 30,
            "healthCheck": {"path": "/live", "interval": 15, "matcher": "200", "healthyThreshold": 2},
        },
        {"healthCheck": {"path": "/ready", "interval": 15, "matcher": "200", "healthyThreshold": 2}},
        lambda world, resource_id: (
            target_group(world, resource_id)["HealthCheckPath"],
            target_group(world, resource_id)["HealthCheckIntervalSeconds"],
        ),
        ("/ready", 15),
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Case(
        lambda world: {
            "securityGroupId": world.security_group.id,
            "ipProtocol": "tcp",
            "fromPort": 443,
            "toPort": 443,
            "referencedSecurityGroupId": world.security_group.id,
            "description": "to its own",
        }
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Case(
        lambda world: {
            "securityGroupId": world.security_group.id,
            "ipProtocol": "tcp",
            "fromPort": 11112,
            "toPort": 11112,
            "cidrIpv4": "10.20.0.0/16",
            "description": "the hospital",
        }
    ),
}  # fmt: skip
