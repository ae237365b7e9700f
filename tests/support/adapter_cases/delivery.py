"""CloudFront, its firewall and its certificates."""

from collections.abc import Mapping
from typing import Any

from support.adapter_cases.case import WEB_ACL, Case, World, distribution

HOUR = {"accessControlMaxAgeSec": 3600, "override": True}


def web_acl(world: World, resource_id: str) -> tuple[Any, str]:
    found = world.client("wafv2").get_web_acl(Name="adapters", Scope="REGIONAL", Id=resource_id)["WebACL"]
    return found["DefaultAction"], found["Rules"][0]["Statement"]["ManagedRuleGroupStatement"]["Name"]


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
