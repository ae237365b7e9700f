"""What a case of an adapter says, and the cloud that it is tried on."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from support.healthimaging_account import trust
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud

from rayline_local.provisioner.adapters import adapter_for
from rayline_local.provisioner.adapters.adapter import Made
from rayline_local.provisioner.clients import Clients

Inputs = dict[str, Any]


POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::adapters/*"}],
}


class World:
    """The local cloud, and in it what a case's resource needs, made once by the adapters themselves."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.clients = Clients(cloud.endpoint_url, ACCOUNT_ID, REGION)
        self._made: dict[str, Made] = {}

    def client(self, service: str) -> Any:
        return self.clients.get(service)

    def need(self, token: str, inputs: Inputs) -> Made:
        key = token + json.dumps(inputs, sort_keys=True)
        if key not in self._made:
            self._made[key] = adapter_for(token, self.clients).put(inputs, None)
        return self._made[key]

    @property
    def vpc(self) -> Made:
        return self.need("aws:ec2/vpc:Vpc", {"cidrBlock": "10.99.0.0/16", "tags": {"Name": "needed"}})

    @property
    def subnet(self) -> Made:
        return self.need(
            "aws:ec2/subnet:Subnet",
            {"vpcId": self.vpc.id, "cidrBlock": "10.99.1.0/24", "availabilityZone": "us-east-1a"},
        )

    @property
    def other_subnet(self) -> Made:
        return self.need(
            "aws:ec2/subnet:Subnet",
            {"vpcId": self.vpc.id, "cidrBlock": "10.99.2.0/24", "availabilityZone": "us-east-1b"},
        )

    @property
    def route_table(self) -> Made:
        return self.need("aws:ec2/routeTable:RouteTable", {"vpcId": self.vpc.id, "tags": {"Name": "needed"}})

    @property
    def gateway(self) -> Made:
        return self.need(
            "aws:ec2/internetGateway:InternetGateway", {"vpcId": self.vpc.id, "tags": {"Name": "needed"}}
        )

    @property
    def security_group(self) -> Made:
        return self.need(
            "aws:ec2/securityGroup:SecurityGroup",
            {"vpcId": self.vpc.id, "name": "needed", "description": "needed by others"},
        )

    @property
    def role(self) -> Made:
        return self.need(
            "aws:iam/role:Role",
            {"name": "adapters-needed", "assumeRolePolicy": trust("ecs-tasks.amazonaws.com")},
        )

    @property
    def bucket(self) -> Made:
        return self.need("aws:s3/bucket:Bucket", {"bucket": "adapters-needed"})

    @property
    def topic(self) -> Made:
        return self.need("aws:sns/topic:Topic", {"name": "adapters-needed"})

    @property
    def queue(self) -> Made:
        return self.need("aws:sqs/queue:Queue", {"name": "adapters-needed"})

    @property
    def log_group(self) -> Made:
        return self.need("aws:cloudwatch/logGroup:LogGroup", {"name": "/adapters/needed"})

    @property
    def cluster(self) -> Made:
        return self.need("aws:ecs/cluster:Cluster", {"name": "adapters-needed"})

    @property
    def task(self) -> Made:
        container = {
            "name": "main",
            "image": "none",
            "essential": True,
            "portMappings": [{"containerPort": 80}],
        }
        return self.need(
            "aws:ecs/taskDefinition:TaskDefinition",
            {
                "family": "adapters-needed",
                "containerDefinitions": json.dumps([container]),
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"],
                "cpu": "256",
                "memory": "512",
            },
        )

    @property
    def load_balancer(self) -> Made:
        return self.need(
            "aws:lb/loadBalancer:LoadBalancer",
            {
                "name": "adapters-needed",
                "loadBalancerType": "application",
                "internal": True,
                "subnets": [self.subnet.id, self.other_subnet.id],
            },
        )

    @property
    def target_group(self) -> Made:
        return self.need(
            "aws:lb/targetGroup:TargetGroup",
            {
                "name": "adapters-needed",
                "port": 80,
                "protocol": "HTTP",
                "targetType": "ip",
                "vpcId": self.vpc.id,
            },
        )

    @property
    def listener(self) -> Made:
        return self.need(
            "aws:lb/listener:Listener",
            {
                "loadBalancerArn": self.load_balancer.id,
                "port": 8181,
                "protocol": "HTTP",
                "defaultActions": [{"type": "forward", "targetGroupArn": self.target_group.id}],
            },
        )

    @property
    def user_pool(self) -> Made:
        return self.need("aws:cognito/userPool:UserPool", {"name": "adapters-needed"})

    @property
    def certificate(self) -> Made:
        return self.need(
            "aws:acm/certificate:Certificate",
            {"domainName": "needed.adapters.example", "validationMethod": "DNS"},
        )

    @property
    def web_acl(self) -> Made:
        return self.need("aws:wafv2/webAcl:WebAcl", {**WEB_ACL, "name": "adapters-needed"})

    @property
    def customer_gateway(self) -> Made:
        return self.need(
            "aws:ec2/customerGateway:CustomerGateway",
            {"bgpAsn": "65000", "ipAddress": "203.0.113.7", "type": "ipsec.1"},
        )

    @property
    def vpn_gateway(self) -> Made:
        return self.need("aws:ec2/vpnGateway:VpnGateway", {"vpcId": self.vpc.id, "tags": {"Name": "needed"}})

    @property
    def vpn_connection(self) -> Made:
        return self.need("aws:ec2/vpnConnection:VpnConnection", vpn_connection(self))

    @property
    def secret(self) -> Made:
        return self.need("aws:secretsmanager/secret:Secret", {"name": "adapters-needed"})

    @property
    def repository(self) -> Made:
        return self.need("aws:ecr/repository:Repository", {"name": "adapters-needed"})


@dataclass(frozen=True)
class Case:
    """A type's inputs, a change that it takes in place, and how the cloud shows the change."""

    inputs: Callable[[World], Inputs]
    change: Inputs = field(default_factory=dict)
    seen: Callable[[World, str], Any] = lambda world, resource_id: None
    expected: Any = None
    permanent: bool = False
    """Whether it stays after it was deleted: what AWS made itself, or MiniStack cannot delete."""


WEB_ACL: Inputs = {
    "name": "adapters",
    "scope": "REGIONAL",
    "defaultAction": {"allow": {}},
    "visibilityConfig": {
        "cloudwatchMetricsEnabled": True,
        "metricName": "acl",
        "sampledRequestsEnabled": False,
    },
    "rules": [
        {
            "name": "common",
            "priority": 1,
            "overrideAction": {"none": {}},
            "statement": {
                "managedRuleGroupStatement": {"vendorName": "AWS", "name": "AWSManagedRulesCommonRuleSet"}
            },
            "visibilityConfig": {
                "cloudwatchMetricsEnabled": True,
                "metricName": "common",
                "sampledRequestsEnabled": False,
            },
        }
    ],
}


def distribution(world: World) -> Inputs:
    return {
        "comment": "adapters",
        "enabled": True,
        "origins": [
            {
                "domainName": "adapters-needed.s3.us-east-1.amazonaws.com",
                "originId": "assets",
                "originAccessControlId": "E1ADAPTERS",
            }
        ],
        "defaultCacheBehavior": {
            "targetOriginId": "assets",
            "viewerProtocolPolicy": "redirect-to-https",
            "allowedMethods": ["GET", "HEAD"],
            "cachedMethods": ["GET", "HEAD"],
            "cachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
            "compress": True,
        },
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "viewerCertificate": {"cloudfrontDefaultCertificate": True},
        "customErrorResponses": [{"errorCode": 404, "responseCode": 200, "responsePagePath": "/index.html"}],
        "priceClass": "PriceClass_100",
    }


def vpn_connection(world: World) -> Inputs:
    return {
        "customerGatewayId": world.customer_gateway.id,
        "vpnGatewayId": world.vpn_gateway.id,
        "type": "ipsec.1",
        "staticRoutesOnly": True,
    }
