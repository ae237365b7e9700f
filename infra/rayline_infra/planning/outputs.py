"""What AWS would answer for each type: ids and outputs that are invented, the same in every run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rayline_infra.planning.errors import ProgramError

Facts = Mapping[str, Any]
Rule = Mapping[str, object]
"""Output name → template, in order; ``id`` is the resource's id.

A template is text in which ``{x}`` stands for an input, an output above it, or one of ``account``, ``region``,
``uuid`` and the others of ``_drawn``; a function of these facts; a list or mapping of templates; or a plain value.
"""


@dataclass(frozen=True)
class Place:
    """The account and region that ARNs name."""

    account_id: str
    region: str


def invent(type_token: str, name: str, inputs: Facts, place: Place) -> tuple[str, dict[str, Any]]:
    """The planned id of a resource, and its outputs that are not inputs.

    A type without a rule has no outputs, and an id that the graph's proofs refuse wherever it is used.

    Raises:
        ProgramError: an output is made of an input that the program does not give.
    """
    facts = {**_drawn(type_token, name), "account": place.account_id, "region": place.region, **inputs}
    outputs: dict[str, Any] = {}
    for output, template in RULES.get(type_token, {}).items():
        try:
            outputs[output] = facts[output] = _filled(template, facts)
        except KeyError as missing:
            raise ProgramError(
                f"{type_token} {name} gives no {missing.args[0]}, which its {output} is made of; name it"
            ) from None
    identity = str(outputs.pop("id", f"unplanned-{name}"))
    return identity, {output: value for output, value in outputs.items() if value is not None}


def _filled(template: object, facts: Facts) -> Any:
    if isinstance(template, str):
        return template.format_map(facts)
    if callable(template):
        return template(facts)
    if isinstance(template, Mapping):
        return {key: _filled(value, facts) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, facts) for value in template]
    return template


def _drawn(type_token: str, name: str) -> dict[str, str]:
    digest = sha256(f"{type_token} {name}".encode()).hexdigest()
    return {
        "hex8": digest[:8],
        "hex16": digest[:16],
        "hex17": digest[:17],
        "hex32": digest[:32],
        "token26": digest[:26],
        "upper9": digest[:9].upper(),
        "upper13": digest[:13].upper(),
        "uuid": str(uuid5(NAMESPACE_URL, f"{type_token} {name}")),
    }


def _last(name: str) -> Callable[[Facts], str]:
    """The last part of an ARN among the facts."""
    return lambda facts: str(facts[name]).rpartition("/")[2]


def _bus_path(facts: Facts) -> str:
    bus = facts.get("eventBusName", "default")
    return "" if bus == "default" else f"{str(bus).rpartition('/')[2]}/"


def _balancer_kind(facts: Facts) -> str:
    return "net" if facts.get("loadBalancerType") == "network" else "app"


def _balancer_host(facts: Facts) -> str:
    # An NLB's name has another shape than an ALB's (Elastic Load Balancing, "DNS name").
    name, region = facts["name"], facts["region"]
    if facts.get("loadBalancerType") == "network":
        return f"{name}-{facts['hex16']}.elb.{region}.amazonaws.com"
    internal = "internal-" if facts.get("internal") else ""
    return f"{internal}{name}-{int(facts['hex8'], 16)}.{region}.elb.amazonaws.com"


def _listener_arn(facts: Facts) -> str:
    return f"{facts['loadBalancerArn'].replace(':loadbalancer/', ':listener/')}/{facts['hex16']}"


def _listener_rule_arn(facts: Facts) -> str:
    return f"{facts['listenerArn'].replace(':listener/', ':listener-rule/')}/{facts['hex16']}"


def _validation_records(facts: Facts) -> list[dict[str, str]]:
    domains = [facts["domainName"], *(facts.get("subjectAlternativeNames") or ())]
    return [
        {
            "domainName": domain,
            "resourceRecordName": f"_{sha256(domain.encode()).hexdigest()[:32]}.{domain.removeprefix('*.')}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{facts['hex32']}.acm-validations.aws.",
        }
        for domain in dict.fromkeys(domains)
    ]


def _waf_arn(kind: str) -> Callable[[Facts], str]:
    def arn(facts: Facts) -> str:
        scope = "global" if facts["scope"] == "CLOUDFRONT" else "regional"
        where = f"{facts['region']}:{facts['account']}"
        return f"arn:aws:wafv2:{where}:{scope}/{kind}/{facts['name']}/{facts['uuid']}"

    return arn


def _prefix_list(facts: Facts) -> str | None:
    # Only gateway endpoints have one (API_VpcEndpoint).
    return None if facts.get("vpcEndpointType") == "Interface" else f"pl-{facts['hex8']}"


def _record_host(facts: Facts) -> str:
    return str(facts["name"]).rstrip(".")


# What configures a bucket has the bucket's name for its id.
OF_A_BUCKET = (
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketLogging:BucketLogging",
    "aws:s3/bucketNotification:BucketNotification",
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
    "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
)
RULES: Mapping[str, Rule] = {
    # The names that AWS draws (ids, ARNs with random parts) follow from the logical name.
    "aws:accessanalyzer/analyzer:Analyzer": {
        "id": "{analyzerName}",
        "arn": "arn:aws:access-analyzer:{region}:{account}:analyzer/{analyzerName}",
    },
    "aws:acm/certificate:Certificate": {
        "id": "arn:aws:acm:{region}:{account}:certificate/{uuid}",
        "arn": "{id}",
        "domainValidationOptions": _validation_records,
    },
    "aws:acm/certificateValidation:CertificateValidation": {"id": "{certificateArn}"},
    "aws:appautoscaling/policy:Policy": {
        "id": "{name}",
        "arn": (
            "arn:aws:autoscaling:{region}:{account}:scalingPolicy:{uuid}:"
            "resource/{serviceNamespace}/{resourceId}:policyName/{name}"
        ),
    },
    "aws:appautoscaling/target:Target": {
        "id": "{resourceId}",
        "arn": "arn:aws:application-autoscaling:{region}:{account}:scalable-target/{hex32}",
    },
    "aws:budgets/budget:Budget": {
        "id": "{account}:{name}",
        "arn": "arn:aws:budgets::{account}:budget/{name}",
    },
    "aws:cfg/deliveryChannel:DeliveryChannel": {"id": "{name}"},
    "aws:cfg/recorder:Recorder": {"id": "{name}"},
    "aws:cfg/recorderStatus:RecorderStatus": {"id": "{name}"},
    "aws:cfg/rule:Rule": {
        "id": "{name}",
        "arn": "arn:aws:config:{region}:{account}:config-rule/config-rule-{hex8}",
        "ruleId": "config-rule-{hex8}",
    },
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": {
        "id": "arn:aws:chatbot::{account}:chat-configuration/slack-channel/{configurationName}",
        "chatConfigurationArn": "{id}",
    },
    "aws:cloudcontrol/resource:Resource": {
        "id": "{hex32}",
        "properties": lambda facts: (
            f'{{"DatastoreId": "{facts["hex32"]}", "DatastoreArn": "arn:aws:medical-imaging:'
            f'{facts["region"]}:{facts["account"]}:datastore/{facts["hex32"]}"}}'
        ),
    },
    "aws:cloudfront/distribution:Distribution": {
        "id": "E{upper13}",
        "arn": "arn:aws:cloudfront::{account}:distribution/{id}",
        "domainName": "d{hex8}.cloudfront.net",
        # The one zone of all distributions (Route 53, "AliasTarget").
        "hostedZoneId": "Z2FDTNDATAQYW2",
        "etag": "E{upper13}",
        "status": "Deployed",
    },
    "aws:cloudfront/function:Function": {
        "id": "{name}",
        "arn": "arn:aws:cloudfront::{account}:function/{name}",
        "etag": "E{upper13}",
    },
    "aws:cloudfront/originAccessControl:OriginAccessControl": {
        "id": "E{upper13}",
        "arn": "arn:aws:cloudfront::{account}:origin-access-control/{id}",
        "etag": "E{upper13}",
    },
    "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy": {
        "id": "{uuid}",
        "arn": "arn:aws:cloudfront::{account}:response-headers-policy/{id}",
        "etag": "E{upper13}",
    },
    "aws:cloudfront/vpcOrigin:VpcOrigin": {
        "id": "vo_{token26}",
        "arn": "arn:aws:cloudfront::{account}:vpcorigin/{id}",
        "etag": "E{upper13}",
    },
    "aws:cloudtrail/trail:Trail": {
        "id": "arn:aws:cloudtrail:{region}:{account}:trail/{name}",
        "arn": "{id}",
        "homeRegion": "{region}",
    },
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": {
        "id": "{alarmName}",
        "arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{alarmName}",
    },
    "aws:cloudwatch/dashboard:Dashboard": {
        "id": "{dashboardName}",
        "dashboardArn": "arn:aws:cloudwatch::{account}:dashboard/{dashboardName}",
    },
    "aws:cloudwatch/eventArchive:EventArchive": {
        "id": "{name}",
        "arn": "arn:aws:events:{region}:{account}:archive/{name}",
    },
    "aws:cloudwatch/eventBus:EventBus": {
        "id": "{name}",
        "arn": "arn:aws:events:{region}:{account}:event-bus/{name}",
    },
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": {"id": "{eventBusName}"},
    "aws:cloudwatch/eventRule:EventRule": {
        "id": lambda facts: f"{facts.get('eventBusName', 'default')}/{facts['name']}",
        "arn": lambda facts: (
            f"arn:aws:events:{facts['region']}:{facts['account']}:rule/{_bus_path(facts)}{facts['name']}"
        ),
    },
    "aws:cloudwatch/eventTarget:EventTarget": {"id": "{rule}-{targetId}"},
    "aws:cloudwatch/logDelivery:LogDelivery": {
        "id": "{token26}",
        "arn": "arn:aws:logs:{region}:{account}:delivery:{id}",
    },
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": {
        "id": "{name}",
        "arn": "arn:aws:logs:{region}:{account}:delivery-destination:{name}",
    },
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": {
        "id": "{name}",
        "arn": "arn:aws:logs:{region}:{account}:delivery-source:{name}",
    },
    "aws:cloudwatch/logGroup:LogGroup": {
        "id": "{name}",
        "arn": "arn:aws:logs:{region}:{account}:log-group:{name}",
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "id": "{name}",
        "arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}",
    },
    "aws:cloudwatch/queryDefinition:QueryDefinition": {"id": "{uuid}", "queryDefinitionId": "{uuid}"},
    "aws:cognito/identityProvider:IdentityProvider": {"id": "{userPoolId}:{providerName}"},
    "aws:cognito/logDeliveryConfiguration:LogDeliveryConfiguration": {"id": "{userPoolId}"},
    "aws:cognito/managedLoginBranding:ManagedLoginBranding": {
        "id": "{userPoolId},{uuid}",
        "managedLoginBrandingId": "{uuid}",
    },
    "aws:cognito/userGroup:UserGroup": {"id": "{userPoolId}/{name}"},
    "aws:cognito/userPool:UserPool": {
        "id": "{region}_{upper9}",
        "arn": "arn:aws:cognito-idp:{region}:{account}:userpool/{id}",
        "endpoint": "cognito-idp.{region}.amazonaws.com/{id}",
    },
    "aws:cognito/userPoolClient:UserPoolClient": {"id": "{token26}"},
    "aws:cognito/userPoolDomain:UserPoolDomain": {
        "id": "{domain}",
        "cloudfrontDistribution": "d{hex8}.cloudfront.net",
        "cloudfrontDistributionArn": "d{hex8}.cloudfront.net",
        "cloudfrontDistributionZoneId": "Z2FDTNDATAQYW2",
    },
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": {
        "id": "arn:aws:ce::{account}:anomalymonitor/{uuid}",
        "arn": "{id}",
    },
    "aws:costexplorer/anomalySubscription:AnomalySubscription": {
        "id": "arn:aws:ce::{account}:anomalysubscription/{uuid}",
        "arn": "{id}",
    },
    "aws:dynamodb/table:Table": {
        "id": "{name}",
        "arn": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    },
    "aws:ec2/customerGateway:CustomerGateway": {
        "id": "cgw-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:customer-gateway/{id}",
    },
    "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl": {"id": "{defaultNetworkAclId}"},
    "aws:ec2/defaultRouteTable:DefaultRouteTable": {"id": "{defaultRouteTableId}"},
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": {
        "id": "sg-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:security-group/{id}",
    },
    "aws:ec2/eip:Eip": {
        "id": "eipalloc-{hex17}",
        "allocationId": "{id}",
        "arn": "arn:aws:ec2:{region}:{account}:elastic-ip/{id}",
        # TEST-NET-3 (RFC 5737): an address that is nobody's.
        "publicIp": lambda facts: f"203.0.113.{int(facts['hex8'], 16) % 254 + 1}",
    },
    "aws:ec2/flowLog:FlowLog": {
        "id": "fl-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:vpc-flow-log/{id}",
    },
    "aws:ec2/internetGateway:InternetGateway": {
        "id": "igw-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:internet-gateway/{id}",
    },
    "aws:ec2/natGateway:NatGateway": {"id": "nat-{hex17}"},
    "aws:ec2/networkAcl:NetworkAcl": {
        "id": "acl-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:network-acl/{id}",
    },
    "aws:ec2/route:Route": {"id": "r-{routeTableId}{hex8}"},
    "aws:ec2/routeTable:RouteTable": {
        "id": "rtb-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:route-table/{id}",
    },
    "aws:ec2/routeTableAssociation:RouteTableAssociation": {"id": "rtbassoc-{hex17}"},
    "aws:ec2/securityGroup:SecurityGroup": {
        "id": "sg-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:security-group/{id}",
    },
    "aws:ec2/subnet:Subnet": {
        "id": "subnet-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:subnet/{id}",
    },
    "aws:ec2/vpc:Vpc": {
        "id": "vpc-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:vpc/{id}",
        "defaultNetworkAclId": "acl-{hex17}",
        "defaultRouteTableId": "rtb-{hex17}",
        "defaultSecurityGroupId": "sg-{hex17}",
        "mainRouteTableId": "rtb-{hex17}",
    },
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "id": "vpce-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:vpc-endpoint/{id}",
        "prefixListId": _prefix_list,
        "dnsEntries": [
            {"dnsName": "{id}-{hex8}.{serviceName}.vpce.amazonaws.com", "hostedZoneId": "Z{upper13}"}
        ],
    },
    "aws:ec2/vpnConnection:VpnConnection": {
        "id": "vpn-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:vpn-connection/{id}",
    },
    "aws:ec2/vpnConnectionRoute:VpnConnectionRoute": {"id": "{destinationCidrBlock}:{vpnConnectionId}"},
    "aws:ec2/vpnGateway:VpnGateway": {
        "id": "vgw-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:vpn-gateway/{id}",
    },
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment": {
        "id": "tgw-attach-{hex17}",
        "arn": "arn:aws:ec2:{region}:{account}:transit-gateway-attachment/{id}",
    },
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": {"id": "{repository}", "registryId": "{account}"},
    "aws:ecr/repository:Repository": {
        "id": "{name}",
        "arn": "arn:aws:ecr:{region}:{account}:repository/{name}",
        "repositoryUrl": "{account}.dkr.ecr.{region}.amazonaws.com/{name}",
    },
    "aws:ecr/repositoryPolicy:RepositoryPolicy": {"id": "{repository}", "registryId": "{account}"},
    "aws:ecs/cluster:Cluster": {"id": "arn:aws:ecs:{region}:{account}:cluster/{name}", "arn": "{id}"},
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": {"id": "{clusterName}"},
    "aws:ecs/service:Service": {
        "id": lambda facts: (
            f"arn:aws:ecs:{facts['region']}:{facts['account']}:service/{_last('cluster')(facts)}/{facts['name']}"
        ),
        "arn": "{id}",
    },
    "aws:ecs/taskDefinition:TaskDefinition": {
        "id": "{family}",
        "arn": "arn:aws:ecs:{region}:{account}:task-definition/{family}:1",
        "arnWithoutRevision": "arn:aws:ecs:{region}:{account}:task-definition/{family}",
        "revision": 1,
    },
    "aws:guardduty/detector:Detector": {
        "id": "{hex32}",
        "accountId": "{account}",
        "arn": "arn:aws:guardduty:{region}:{account}:detector/{id}",
    },
    "aws:guardduty/detectorFeature:DetectorFeature": {"id": "{detectorId}/{name}"},
    "aws:iam/role:Role": {
        "id": "{name}",
        "arn": "arn:aws:iam::{account}:role/{name}",
        "uniqueId": "AROA{upper13}",
    },
    "aws:iam/rolePolicy:RolePolicy": {"id": "{role}:{name}"},
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {"id": "{role}/{policyArn}"},
    "aws:kms/alias:Alias": {"id": "{name}", "arn": "arn:aws:kms:{region}:{account}:{name}"},
    "aws:kms/key:Key": {
        "id": "{uuid}",
        "keyId": "{uuid}",
        "arn": "arn:aws:kms:{region}:{account}:key/{uuid}",
    },
    # A replica has its primary's id in another region (KMS, "Multi-Region keys").
    "aws:lb/listener:Listener": {"id": _listener_arn, "arn": "{id}"},
    "aws:lb/listenerRule:ListenerRule": {"id": _listener_rule_arn, "arn": "{id}"},
    "aws:lb/loadBalancer:LoadBalancer": {
        "arnSuffix": lambda facts: f"{_balancer_kind(facts)}/{facts['name']}/{facts['hex16']}",
        "arn": "arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/{arnSuffix}",
        "id": "{arn}",
        "dnsName": _balancer_host,
        "zoneId": "Z{upper13}",
    },
    "aws:lb/targetGroup:TargetGroup": {
        "arnSuffix": "targetgroup/{name}/{hex16}",
        "arn": "arn:aws:elasticloadbalancing:{region}:{account}:{arnSuffix}",
        "id": "{arn}",
    },
    "aws:route53/record:Record": {
        "id": "{zoneId}_{name}_{type}",
        "fqdn": _record_host,
    },
    "aws:s3/bucket:Bucket": {
        "id": "{bucket}",
        "arn": "arn:aws:s3:::{bucket}",
        "bucketDomainName": "{bucket}.s3.amazonaws.com",
        "bucketRegionalDomainName": "{bucket}.s3.{region}.amazonaws.com",
    },
    "aws:sagemaker/endpoint:Endpoint": {
        "id": "{name}",
        "arn": "arn:aws:sagemaker:{region}:{account}:endpoint/{name}",
    },
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": {
        "id": "{name}",
        "arn": "arn:aws:sagemaker:{region}:{account}:endpoint-config/{name}",
    },
    "aws:sagemaker/model:Model": {"id": "{name}", "arn": "arn:aws:sagemaker:{region}:{account}:model/{name}"},
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": {
        "id": "{modelPackageGroupName}",
        "arn": "arn:aws:sagemaker:{region}:{account}:model-package-group/{modelPackageGroupName}",
    },
    "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy": {"id": "{modelPackageGroupName}"},
    "aws:sagemaker/pipeline:Pipeline": {
        "id": "{pipelineName}",
        "arn": "arn:aws:sagemaker:{region}:{account}:pipeline/{pipelineName}",
    },
    "aws:secretsmanager/secret:Secret": {
        # Secrets Manager appends six random characters to the name.
        "id": "arn:aws:secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
        "arn": "{id}",
    },
    "aws:secretsmanager/secretPolicy:SecretPolicy": {"id": "{secretArn}"},
    "aws:sns/topic:Topic": {"id": "arn:aws:sns:{region}:{account}:{name}", "arn": "{id}"},
    "aws:sns/topicPolicy:TopicPolicy": {"id": "{arn}"},
    "aws:sns/topicSubscription:TopicSubscription": {"id": "{topic}:{uuid}", "arn": "{id}"},
    "aws:sqs/queue:Queue": {
        "id": "https://sqs.{region}.amazonaws.com/{account}/{name}",
        "url": "{id}",
        "arn": "arn:aws:sqs:{region}:{account}:{name}",
    },
    "aws:sqs/queuePolicy:QueuePolicy": {"id": "{queueUrl}"},
    "aws:ssm/parameter:Parameter": {
        "id": "{name}",
        "arn": lambda facts: (
            f"arn:aws:ssm:{facts['region']}:{facts['account']}:parameter/{facts['name'].removeprefix('/')}"
        ),
        "version": 1,
    },
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {
        "id": "sgr-{hex17}",
        "securityGroupRuleId": "{id}",
        "arn": "arn:aws:ec2:{region}:{account}:security-group-rule/{id}",
    },
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
        "id": "sgr-{hex17}",
        "securityGroupRuleId": "{id}",
        "arn": "arn:aws:ec2:{region}:{account}:security-group-rule/{id}",
    },
    "aws:wafv2/webAcl:WebAcl": {
        "id": "{uuid}",
        "arn": _waf_arn("webacl"),
    },
    "aws:wafv2/webAclAssociation:WebAclAssociation": {"id": "{webAclArn},{resourceArn}"},
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": {"id": "{resourceArn}"},
    **{token: {"id": "{bucket}"} for token in OF_A_BUCKET},
}
