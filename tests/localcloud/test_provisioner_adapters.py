"""Every adapter on a real local cloud: put, seen, put again, adopted, changed in place, deleted."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud

from rayline_infra.planning.outputs import Place, invent
from rayline_local.provisioner.adapters import ADAPTERS, RECIPES, adapter_for
from rayline_local.provisioner.adapters.adapter import Made
from rayline_local.provisioner.clients import Clients

Inputs = dict[str, Any]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
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
        return self.need("aws:iam/role:Role", {"name": "adapters-needed", "assumeRolePolicy": TRUST})

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


def vpn_connection(world: World) -> Inputs:
    return {
        "customerGatewayId": world.customer_gateway.id,
        "vpnGatewayId": world.vpn_gateway.id,
        "type": "ipsec.1",
        "staticRoutesOnly": True,
    }


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
METRIC = {
    "metricName": "Latency",
    "namespace": "Adapters",
    "period": 60,
    "stat": "p99",
    "dimensions": {"Site": "a"},
}
ALARM: Inputs = {
    "name": "adapters",
    "comparisonOperator": "GreaterThanThreshold",
    "evaluationPeriods": 3,
    "datapointsToAlarm": 2,
    "threshold": 1,
    "treatMissingData": "notBreaching",
    "metricQueries": [
        {"id": "latency", "metric": METRIC, "returnData": False},
        {"id": "slow", "expression": "latency * 1000", "label": "ms", "returnData": True},
    ],
}


def alarm(world: World, kind: str = "MetricAlarms", name: str = "adapters") -> Any:
    found = world.client("cloudwatch").describe_alarms(
        AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return found[kind][0]


def rules_of(world: World, resource_id: str, member: str) -> Any:
    return world.client("ec2").describe_security_groups(GroupIds=[resource_id])["SecurityGroups"][0][member]


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


def image_rules(count: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


def log_source(name: str) -> Inputs:
    distribution = f"arn:aws:cloudfront::{ACCOUNT_ID}:distribution/E1ADAPTERS"
    return {"name": name, "logType": "ACCESS_LOGS", "resourceArn": distribution}


def log_destination(world: World, name: str) -> Inputs:
    where = {"destinationResourceArn": world.bucket.outputs["arn"]}
    return {"name": name, "outputFormat": "json", "deliveryDestinationConfiguration": where}


HOUR = {"accessControlMaxAgeSec": 3600, "override": True}
CASES: Mapping[str, Case] = {
    "aws:acm/certificate:Certificate": Case(
        lambda world: {
            "domainName": "one.adapters.example",
            "subjectAlternativeNames": ["two.adapters.example"],
            "validationMethod": "DNS",
        }
    ),
    "aws:acm/certificateValidation:CertificateValidation": Case(
        lambda world: {"certificateArn": world.certificate.id}, permanent=True
    ),
    "aws:budgets/budget:Budget": Case(
        lambda world: {
            "name": "adapters",
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "100",
            "limitUnit": "USD",
            "costFilters": [{"name": "TagKeyValue", "values": ["user:stack$local"]}],
            "notifications": [
                {
                    "comparisonOperator": "GREATER_THAN",
                    "notificationType": "FORECASTED",
                    "threshold": 80,
                    "thresholdType": "PERCENTAGE",
                    "subscriberEmailAddresses": ["ops@example.org"],
                    "subscriberSnsTopicArns": [world.topic.id],
                }
            ],
        },
        {"limitAmount": "200"},
        lambda world, _: float(
            world.client("budgets").describe_budget(AccountId=ACCOUNT_ID, BudgetName="adapters")["Budget"][
                "BudgetLimit"
            ]["Amount"]
        ),
        200.0,
    ),
    "aws:cfg/deliveryChannel:DeliveryChannel": Case(
        lambda world: {"name": "adapters", "s3BucketName": "adapters-needed"},
        {"s3KeyPrefix": "config"},
        lambda world, _: world.client("config").describe_delivery_channels()["DeliveryChannels"][0]["s3KeyPrefix"],
        "config",
        permanent=True,
    ),
    "aws:cfg/recorder:Recorder": Case(
        lambda world: {
            "name": "adapters",
            "roleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{world.role.id}",
            "recordingGroup": {"allSupported": True, "includeGlobalResourceTypes": True},
        },
        permanent=True,
    ),
    "aws:cfg/recorderStatus:RecorderStatus": Case(
        lambda world: {
            "name": world.need(
                "aws:cfg/recorder:Recorder",
                {"name": "adapters", "roleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{world.role.id}"},
            ).id,
            "isEnabled": True,
        },
        {"isEnabled": False},
        lambda world, _: world.client("config").describe_configuration_recorder_status()[
            "ConfigurationRecordersStatus"
        ][0]["recording"],
        False,
        permanent=True,
    ),
    "aws:cfg/rule:Rule": Case(
        lambda world: {
            "name": "adapters",
            "source": {"owner": "AWS", "sourceIdentifier": "S3_BUCKET_VERSIONING_ENABLED"},
            "scope": {"complianceResourceTypes": ["AWS::S3::Bucket"]},
        },
        {"description": "buckets keep versions"},
        lambda world, _: world.client("config").describe_config_rules(ConfigRuleNames=["adapters"])["ConfigRules"][
            0
        ]["Description"],
        "buckets keep versions",
    ),
    "aws:cloudfront/distribution:Distribution": Case(
        distribution,
        {"priceClass": "PriceClass_200"},
        lambda world, resource_id: world.client("cloudfront").get_distribution_config(Id=resource_id)[
            "DistributionConfig"
        ]["PriceClass"],
        "PriceClass_200",
    ),
    "aws:cloudfront/function:Function": Case(
        lambda world: {
            "name": "adapters",
            "runtime": "cloudfront-js-2.0",
            "code": "function handler(event) { return event.request; }",
        },
        {"code": "function handler(event) { event.request.uri = '/'; return event.request; }"},
        lambda world, resource_id: world.client("cloudfront")
        .get_function(Name=resource_id, Stage="LIVE")["FunctionCode"]
        .read(),
        b"function handler(event) { event.request.uri = '/'; return event.request; }",
    ),
    "aws:cloudfront/originAccessControl:OriginAccessControl": Case(
        lambda world: {
            "name": "adapters",
            "originAccessControlOriginType": "s3",
            "signingBehavior": "always",
            "signingProtocol": "sigv4",
        },
        {"description": "signs"},
        lambda world, resource_id: world.client("cloudfront").get_origin_access_control(Id=resource_id)[
            "OriginAccessControl"
        ]["OriginAccessControlConfig"]["Description"],
        "signs",
    ),
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": Case(
        lambda world: {
            "name": "adapters",
            "securityHeadersConfig": {
                "contentTypeOptions": {"override": True},
                "strictTransportSecurity": {**HOUR, "includeSubdomains": True},
                "frameOptions": {"frameOption": "DENY", "override": True},
            },
            "corsConfig": {
                "accessControlAllowCredentials": False,
                "accessControlAllowHeaders": {"items": ["*"]},
                "accessControlAllowMethods": {"items": ["GET"]},
                "accessControlAllowOrigins": {"items": ["https://example.org"]},
                "originOverride": True,
            },
        },
        {"comment": "strict"},
        lambda world, resource_id: world.client("cloudfront").get_response_headers_policy(Id=resource_id)[
            "ResponseHeadersPolicy"
        ]["ResponseHeadersPolicyConfig"]["Comment"],
        "strict",
    ),
    "aws:cloudfront/vpcOrigin:VpcOrigin": Case(
        lambda world: {
            "vpcOriginEndpointConfig": {
                "name": "adapters",
                "arn": world.load_balancer.id,
                "httpPort": 80,
                "httpsPort": 443,
                "originProtocolPolicy": "https-only",
                "originSslProtocols": {"items": ["TLSv1.2"], "quantity": 1},
            }
        }
    ),
    "aws:cloudtrail/trail:Trail": Case(
        lambda world: {
            "name": "adapters",
            "s3BucketName": world.bucket.id,
            "enableLogFileValidation": True,
            "isMultiRegionTrail": True,
            "includeGlobalServiceEvents": True,
            "advancedEventSelectors": [
                {
                    "name": "objects",
                    "fieldSelectors": [
                        {"field": "eventCategory", "equals": ["Data"]},
                        {"field": "resources.type", "equals": ["AWS::S3::Object"]},
                        {"field": "resources.ARN", "startsWiths": ["arn:aws:s3:::adapters-needed/"]},
                    ],
                }
            ],
        },
        {"s3KeyPrefix": "trail"},
        lambda world, _: (
            world.client("cloudtrail").describe_trails()["trailList"][0]["S3KeyPrefix"],
            world.client("cloudtrail").get_trail_status(Name="adapters")["IsLogging"],
        ),
        ("trail", True),
    ),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": Case(
        lambda world: {
            "alarmName": "adapters-composite",
            "alarmRule": f'ALARM("{world.need("aws:cloudwatch/metricAlarm:MetricAlarm", {**ALARM, "name": "n"}).id}")',
            "alarmActions": [world.topic.id],
        },
        {"alarmDescription": "both"},
        lambda world, _: alarm(world, "CompositeAlarms", "adapters-composite")["AlarmDescription"],
        "both",
    ),
    "aws:cloudwatch/dashboard:Dashboard": Case(
        lambda world: {"dashboardName": "adapters", "dashboardBody": json.dumps({"widgets": []})},
        {"dashboardBody": json.dumps({"widgets": [{"type": "text"}]})},
        lambda world, _: json.loads(
            world.client("cloudwatch").get_dashboard(DashboardName="adapters")["DashboardBody"]
        ),
        {"widgets": [{"type": "text"}]},
    ),
    "aws:cloudwatch/logDelivery:LogDelivery": Case(
        lambda world: {
            "deliverySourceName": world.need(
                "aws:cloudwatch/logDeliverySource:LogDeliverySource", log_source("adapters-needed")
            ).id,
            "deliveryDestinationArn": world.need(
                "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination",
                log_destination(world, "adapters-needed"),
            ).outputs["arn"],
        }
    ),
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": Case(
        lambda world: log_destination(world, "adapters")
    ),
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": Case(lambda world: log_source("adapters")),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Case(
        lambda world: ALARM,
        {"threshold": 2, "okActions": ["arn:aws:sns:us-east-1:123456789012:adapters-needed"]},
        lambda world, _: (
            alarm(world)["Threshold"],
            alarm(world)["DatapointsToAlarm"],
            alarm(world)["OKActions"],
        ),
        (2.0, 2, ["arn:aws:sns:us-east-1:123456789012:adapters-needed"]),
    ),
    "aws:cognito/identityProvider:IdentityProvider": Case(
        lambda world: {
            "userPoolId": world.user_pool.id,
            "providerName": "hospital",
            "providerType": "SAML",
            "providerDetails": {"MetadataURL": "https://sso.example.org/metadata"},
            "attributeMapping": {"email": "email"},
        },
        {"providerDetails": {"MetadataURL": "https://sso.example.org/other"}},
        lambda world, _: world.client("cognito-idp").describe_identity_provider(
            UserPoolId=world.user_pool.id, ProviderName="hospital"
        )["IdentityProvider"]["ProviderDetails"]["MetadataURL"],
        "https://sso.example.org/other",
    ),
    "aws:cognito/userGroup:UserGroup": Case(
        lambda world: {"userPoolId": world.user_pool.id, "name": "readers", "description": "who read"}
    ),
    "aws:cognito/userPool:UserPool": Case(
        lambda world: {
            "name": "adapters",
            "mfaConfiguration": "ON",
            "softwareTokenMfaConfiguration": {"enabled": True},
            "passwordPolicy": {"minimumLength": 14, "requireNumbers": True},
            "adminCreateUserConfig": {"allowAdminCreateUserOnly": True},
            "accountRecoverySetting": {"recoveryMechanisms": [{"name": "verified_email", "priority": 1}]},
            "deletionProtection": "INACTIVE",
        },
        {"passwordPolicy": {"minimumLength": 16, "requireNumbers": True}},
        lambda world, resource_id: (
            world.client("cognito-idp").describe_user_pool(UserPoolId=resource_id)["UserPool"]["Policies"][
                "PasswordPolicy"
            ]["MinimumLength"],
            world.client("cognito-idp").get_user_pool_mfa_config(UserPoolId=resource_id)["MfaConfiguration"],
        ),
        (16, "ON"),
    ),
    "aws:cognito/userPoolClient:UserPoolClient": Case(
        lambda world: {
            "userPoolId": world.user_pool.id,
            "name": "viewer",
            "allowedOauthFlows": ["code"],
            "allowedOauthFlowsUserPoolClient": True,
            "allowedOauthScopes": ["openid"],
            "callbackUrls": ["https://viewer.example.org/"],
            "supportedIdentityProviders": ["COGNITO"],
            "accessTokenValidity": 60,
            "tokenValidityUnits": {"accessToken": "minutes"},
        },
        {"callbackUrls": ["https://viewer.example.org/back"]},
        lambda world, resource_id: world.client("cognito-idp").describe_user_pool_client(
            UserPoolId=world.user_pool.id, ClientId=resource_id
        )["UserPoolClient"]["CallbackURLs"],
        ["https://viewer.example.org/back"],
    ),
    "aws:cognito/userPoolDomain:UserPoolDomain": Case(
        lambda world: {"userPoolId": world.user_pool.id, "domain": "adapters"}
    ),
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
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Case(
        lambda world: {"repository": world.repository.id, "policy": image_rules(10)},
        {"policy": image_rules(20)},
        lambda world, _: json.loads(
            world.client("ecr").get_lifecycle_policy(repositoryName="adapters-needed")["lifecyclePolicyText"]
        ),
        json.loads(image_rules(20)),
    ),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": Case(
        lambda world: {"repository": world.repository.id, "policy": json.dumps(POLICY)}
    ),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": Case(
        lambda world: {
            "clusterName": world.cluster.id.rpartition("/")[2],
            "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategies": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        },
        {"defaultCapacityProviderStrategies": [{"capacityProvider": "FARGATE", "weight": 1}]},
        lambda world, _: world.client("ecs").describe_clusters(clusters=[world.cluster.id])["clusters"][0][
            "defaultCapacityProviderStrategy"
        ][0]["capacityProvider"],
        "FARGATE",
    ),
    "aws:ecs/service:Service": Case(
        lambda world: {
            "name": "adapters",
            "cluster": world.cluster.id,
            "taskDefinition": world.task.outputs["arn"],
            "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": {
                "subnets": [world.subnet.id],
                "securityGroups": [world.security_group.id],
                "assignPublicIp": False,
            },
            "loadBalancers": [
                {"targetGroupArn": world.target_group.id, "containerName": "main", "containerPort": 80}
            ],
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "deploymentMinimumHealthyPercent": 50,
        },
        {"deploymentMinimumHealthyPercent": 100},
        lambda world, resource_id: (
            service(world)["deploymentConfiguration"]["minimumHealthyPercent"],
            service(world)["deploymentConfiguration"]["deploymentCircuitBreaker"]["rollback"],
            service(world)["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"],
            service(world)["desiredCount"],
        ),
        (100, True, "DISABLED", 0),
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Case(
        lambda world: {"role": world.role.id, "policyArn": "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole"}
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
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Case(
        lambda world: {
            "bucket": world.bucket.id,
            "rules": [
                {
                    "id": "imported",
                    "status": "Enabled",
                    "filter": {"and": {"prefix": "upload/", "tags": {"imported": "true"}}},
                    "expiration": {"days": 7},
                    "transitions": [{"days": 90, "storageClass": "INTELLIGENT_TIERING"}],
                    "noncurrentVersionExpiration": {"noncurrentDays": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                }
            ],
        },
        {"rules": [{"id": "all", "status": "Enabled", "expiration": {"days": 1}}]},
        lambda world, _: [
            (each["ID"], each["Filter"])
            for each in world.client("s3").get_bucket_lifecycle_configuration(Bucket=world.bucket.id)["Rules"]
        ],
        [("all", {"Prefix": ""})],
    ),
    "aws:s3/bucketLogging:BucketLogging": Case(
        lambda world: {"bucket": world.bucket.id, "targetBucket": world.bucket.id, "targetPrefix": "a/"},
        {"targetPrefix": "b/"},
        lambda world, _: world.client("s3").get_bucket_logging(Bucket=world.bucket.id)["LoggingEnabled"][
            "TargetPrefix"
        ],
        "b/",
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": Case(
        lambda world: {
            "bucket": world.need(
                "aws:s3/bucket:Bucket", {"bucket": "adapters-locked", "objectLockEnabled": True}
            ).id,
            "rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 1}},
        },
        {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 2}}},
        lambda world, resource_id: world.client("s3").get_object_lock_configuration(Bucket=resource_id)[
            "ObjectLockConfiguration"
        ]["Rule"]["DefaultRetention"],
        {"Mode": "GOVERNANCE", "Days": 2},
        permanent=True,
    ),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": Case(
        lambda world: {
            "bucket": versioned(world, "adapters-source"),
            "role": world.role.outputs["arn"],
            "rules": [
                {
                    "id": "all",
                    "status": "Enabled",
                    "priority": 1,
                    "filter": {},
                    "deleteMarkerReplication": {"status": "Disabled"},
                    "destination": {
                        "bucket": f"arn:aws:s3:::{versioned(world, 'adapters-replica')}",
                        "encryptionConfiguration": {"replicaKmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1"},
                    },
                    "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
                }
            ],
        }
    ),
    "aws:secretsmanager/secretPolicy:SecretPolicy": Case(
        lambda world: {"secretArn": world.secret.id, "policy": json.dumps(POLICY)},
        {"policy": json.dumps({**POLICY, "Statement": []})},
        lambda world, resource_id: json.loads(
            world.client("secretsmanager").get_resource_policy(SecretId=resource_id)["ResourcePolicy"]
        )["Statement"],
        [],
    ),
    "aws:sns/topicSubscription:TopicSubscription": Case(
        lambda world: {"topic": world.topic.id, "protocol": "sqs", "endpoint": world.queue.outputs["arn"]},
        {"rawMessageDelivery": True},
        lambda world, resource_id: world.client("sns").get_subscription_attributes(SubscriptionArn=resource_id)[
            "Attributes"
        ]["RawMessageDelivery"],
        "true",
    ),
    "aws:ssm/parameter:Parameter": Case(
        lambda world: {"name": "/adapters/one", "type": "String", "value": "1"},
        {"value": "2"},
        lambda world, _: world.client("ssm").get_parameter(Name="/adapters/one")["Parameter"]["Value"],
        "2",
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
    "aws:wafv2/webAcl:WebAcl": Case(
        lambda world: WEB_ACL,
        {"defaultAction": {"block": {}}},
        lambda world, resource_id: web_acl(world, resource_id),
        ({"Block": {}}, "AWSManagedRulesCommonRuleSet"),
    ),
    "aws:wafv2/webAclAssociation:WebAclAssociation": Case(
        lambda world: {"webAclArn": world.web_acl.outputs["arn"], "resourceArn": world.load_balancer.id}
    ),
}  # fmt: skip


def acl_numbers(world: World, resource_id: str) -> list[tuple[bool, int]]:
    (acl,) = world.client("ec2").describe_network_acls(NetworkAclIds=[resource_id])["NetworkAcls"]
    return sorted(
        (each["Egress"], each["RuleNumber"]) for each in acl["Entries"] if each["RuleNumber"] < 32767
    )


def service(world: World) -> Any:
    return world.client("ecs").describe_services(cluster=world.cluster.id, services=["adapters"])["services"][
        0
    ]


def target_group(world: World, resource_id: str) -> Any:
    return world.client("elbv2").describe_target_groups(TargetGroupArns=[resource_id])["TargetGroups"][0]


def versioned(world: World, name: str) -> str:
    world.need("aws:s3/bucket:Bucket", {"bucket": name})
    return world.need(
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": name, "versioningConfiguration": {"status": "Enabled"}},
    ).id


def web_acl(world: World, resource_id: str) -> tuple[Any, str]:
    found = world.client("wafv2").get_web_acl(Name="adapters", Scope="REGIONAL", Id=resource_id)["WebACL"]
    return found["DefaultAction"], found["Rules"][0]["Statement"]["ManagedRuleGroupStatement"]["Name"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cloud = LocalCloud(tmp_path_factory.mktemp("adapters"))
    cloud.start()
    yield World(cloud)
    cloud.stop()


def test_every_type_that_follows_a_recipe_has_a_case() -> None:
    assert sorted({*RECIPES} - set(CASES)) == []
    assert sorted(set(CASES) - set(ADAPTERS)) == []


@pytest.mark.parametrize("token", sorted(CASES))
def test_an_adapter_puts_adopts_changes_and_deletes(world: World, token: str) -> None:
    case = CASES[token]
    adapter = adapter_for(token, world.clients)
    inputs = case.inputs(world)
    made = adapter.put(inputs, None)
    assert adapter.exists(made.id, inputs)
    promised = set(invent(token, "x", inputs, Place(ACCOUNT_ID, REGION))[1])
    assert promised <= set(made.outputs) | set(inputs), (
        "planning promises outputs that the adapter does not answer"
    )
    assert not [name for name, value in made.outputs.items() if value in (None, "")]

    assert adapter.put(inputs, made.id).id == made.id
    assert adapter.put(inputs, None).id == made.id, "what a broken run left is not adopted"

    assert not adapter.replaced_by & set(case.change)
    changed = {**inputs, **case.change}
    if case.change:
        assert adapter.put(changed, made.id).id == made.id
        assert case.seen(world, made.id) == case.expected

    adapter.delete(made.id, changed)
    assert adapter.exists(made.id, changed) == case.permanent
    adapter.delete(made.id, changed)
