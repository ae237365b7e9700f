"""WAF: what is known to be hostile, or asks too often, gets no further."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, WebAclKind
from rayline_infra.components.certificates import CLOUDFRONT_REGION
from rayline_infra.scanning.exemptions import ScannerExemption

Scope = Literal["REGIONAL", "CLOUDFRONT"]
# The user pool has one of its own: people come to it straight, and to the load balancer through CloudFront.
WEB_ACLS: Mapping[WebAclKind, Scope] = {"api": "REGIONAL", "sign-in": "REGIONAL", "viewer": "CLOUDFRONT"}
# AWS's own rules, in order: known sources of attacks, the OWASP list, requests that exploit a known flaw.
MANAGED = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesCommonRuleSet",
    "AWSManagedRulesKnownBadInputsRuleSet",
)
# Counted, not blocked: the API limits bodies itself, and WAF's 8 KB are too little for a selection of entries.
COUNTED = {"AWSManagedRulesCommonRuleSet": "SizeRestrictions_BODY"}
WINDOW_SECONDS = 300

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_338",
        "*-web-acl-logs",
        "what a log tells is needed for days; evidence that must stay for years is the audit trail, in a locked bucket",
    ),
)


@dataclass(frozen=True)
class FirewallArgs:
    """What stands behind it, and how often one address may ask.

    Attributes:
        behind_cloudfront: whether requests come from CloudFront, so that a header names their address.
    """

    names: EstateNames
    kind: WebAclKind
    scope: Scope
    requests_per_five_minutes: int
    logs_key_arn: pulumi.Input[str]
    log_days: int
    behind_cloudfront: bool = False


class Firewall(pulumi.ComponentResource):
    """A web ACL with AWS's managed rules, a rate limit, and a log without credentials and queries."""

    def __init__(self, name: str, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:firewall:Firewall", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        region = CLOUDFRONT_REGION if args.scope == "CLOUDFRONT" else args.names.region
        self.web_acl = aws.wafv2.WebAcl(
            f"{args.kind}-web-acl",
            name=args.names.web_acl(args.kind),
            scope=args.scope,
            region=region,
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            rules=list(_rules(args)),
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(
                cloudwatch_metrics_enabled=True,
                metric_name=args.names.web_acl(args.kind),
                # Samples keep whole requests, with their credentials.
                sampled_requests_enabled=False,
            ),
            opts=child,
        )
        log_group = aws.cloudwatch.LogGroup(
            f"{args.kind}-web-acl-logs",
            name=args.names.web_acl_log_group(args.kind),
            retention_in_days=args.log_days,
            # CloudWatch takes a key of its own region only.
            kms_key_id=args.logs_key_arn if region == args.names.region else None,
            region=region,
            opts=child,
        )
        redacted = aws.wafv2.WebAclLoggingConfigurationRedactedFieldArgs
        header = aws.wafv2.WebAclLoggingConfigurationRedactedFieldSingleHeaderArgs
        aws.wafv2.WebAclLoggingConfiguration(
            f"{args.kind}-web-acl-logging",
            resource_arn=self.web_acl.arn,
            log_destination_configs=[log_group.arn],
            redacted_fields=[
                redacted(single_header=header(name="authorization")),
                redacted(single_header=header(name="cookie")),
                # Whatever somebody typed into a search, and the sign-in's code.
                redacted(query_string=_query_string()),
            ],
            region=region,
            opts=child,
        )
        self.register_outputs({})

    def protect(self, name: str, resource_arn: pulumi.Input[str]) -> None:
        """Stand before a load balancer or a user pool; a distribution names its web ACL itself."""
        aws.wafv2.WebAclAssociation(
            f"{name}-web-acl-association",
            web_acl_arn=self.web_acl.arn,
            resource_arn=resource_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _rules(args: FirewallArgs) -> Iterator[aws.wafv2.WebAclRuleArgs]:
    yield aws.wafv2.WebAclRuleArgs(
        name="rate",
        priority=0,
        action=aws.wafv2.WebAclRuleActionArgs(block=aws.wafv2.WebAclRuleActionBlockArgs()),
        statement=aws.wafv2.WebAclRuleStatementArgs(rate_based_statement=_rate(args)),
        visibility_config=_visibility("rate"),
    )
    for priority, group in enumerate(MANAGED, start=1):
        yield aws.wafv2.WebAclRuleArgs(
            name=group,
            priority=priority,
            override_action=aws.wafv2.WebAclRuleOverrideActionArgs(none=_as_the_group_says()),
            statement=aws.wafv2.WebAclRuleStatementArgs(
                managed_rule_group_statement=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                    vendor_name="AWS", name=group, rule_action_overrides=_overrides(group)
                )
            ),
            visibility_config=_visibility(group),
        )


def _rate(args: FirewallArgs) -> aws.wafv2.WebAclRuleStatementRateBasedStatementArgs:
    limited = aws.wafv2.WebAclRuleStatementRateBasedStatementArgs
    if not args.behind_cloudfront:
        return limited(
            limit=args.requests_per_five_minutes,
            evaluation_window_sec=WINDOW_SECONDS,
            aggregate_key_type="IP",
        )
    return limited(
        limit=args.requests_per_five_minutes,
        evaluation_window_sec=WINDOW_SECONDS,
        aggregate_key_type="FORWARDED_IP",
        forwarded_ip_config=aws.wafv2.WebAclRuleStatementRateBasedStatementForwardedIpConfigArgs(
            header_name="X-Forwarded-For", fallback_behavior="MATCH"
        ),
    )


def _overrides(
    group: str,
) -> list[aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs] | None:
    if group not in COUNTED:
        return None
    use = aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseArgs
    count = aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideActionToUseCountArgs
    return [
        aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementRuleActionOverrideArgs(
            name=COUNTED[group], action_to_use=use(count=count())
        )
    ]


def _visibility(name: str) -> aws.wafv2.WebAclRuleVisibilityConfigArgs:
    return aws.wafv2.WebAclRuleVisibilityConfigArgs(
        cloudwatch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


def _query_string() -> aws.wafv2.WebAclLoggingConfigurationRedactedFieldQueryStringArgs:
    return aws.wafv2.WebAclLoggingConfigurationRedactedFieldQueryStringArgs()  # type: ignore[no-untyped-call]


def _as_the_group_says() -> aws.wafv2.WebAclRuleOverrideActionNoneArgs:
    return aws.wafv2.WebAclRuleOverrideActionNoneArgs()  # type: ignore[no-untyped-call]
