"""The one public door: CloudFront, with the viewer's pages from a private bucket and the API from a private network."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.certificates import CLOUDFRONT_REGION
from rayline_infra.components.page_paths import declare_page_paths
from rayline_infra.components.sign_in import sign_in_page
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.settings import ApiSettings

# AWS's own policies have the same ids in every account (CloudFront developer guide, "Use managed cache policies").
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-2c7f-47e4-b989-5492eafa07d3"
PAGES, API = "pages", "api"
TLS = "TLSv1.2_2021"
TWO_YEARS_SECONDS = 2 * 365 * 24 * 3600

Cors = aws.cloudfront.ResponseHeadersPolicyCorsConfigArgs
SecurityHeaders = aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_310",
        "viewer-distribution",
        "pages and API have one region; losing it has a runbook",
    ),
    ScannerExemption(
        "CKV_AWS_374",
        "viewer-distribution",
        "radiologists read from wherever they are; who they are is proven by two factors",
    ),
    ScannerExemption(
        "CKV_AWS_86",
        "viewer-distribution",
        "its access logs go by CloudFront's newer way, a log delivery, which the check does not know",
    ),
    ScannerExemption(
        "CKV_AWS_259",
        "viewer-*-headers",
        "preload would bind the hospital's whole domain, for years; the rest of the check holds",
    ),
    ScannerExemption(
        "CKV2_AWS_47",
        "viewer-distribution",
        "bad inputs are blocked; a list of anonymous addresses would block the VPNs of radiologists",
    ),
)


@dataclass(frozen=True)
class ViewerDeliveryArgs:
    """Where pages and API come from, under which name, and who is kept out."""

    names: EstateNames
    api: ApiSettings
    balancer_arn: pulumi.Input[str]
    balancer_dns_name: pulumi.Input[str]
    certificate_arn: pulumi.Input[str]
    web_acl_arn: pulumi.Input[str]


class ViewerDelivery(pulumi.ComponentResource):
    """A distribution that caches the viewer's pages and nothing of the API, and the name that people type."""

    def __init__(
        self, name: str, args: ViewerDeliveryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("rayline:delivery:ViewerDelivery", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.distribution = self._declare_distribution()
        self._keep_access_logs()
        for record_type in ("A", "AAAA"):
            aws.route53.Record(
                f"viewer-{record_type.lower()}-record",
                zone_id=args.api.hosted_zone_id,
                name=args.api.domain_name,
                type=record_type,
                aliases=[
                    aws.route53.RecordAliasArgs(
                        name=self.distribution.domain_name,
                        zone_id=self.distribution.hosted_zone_id,
                        evaluate_target_health=False,
                    )
                ],
                opts=self._child,
            )
        self.register_outputs({})

    def _declare_distribution(self) -> aws.cloudfront.Distribution:
        args = self._args
        return aws.cloudfront.Distribution(
            "viewer-distribution",
            comment=f"rayline {args.names.stack}: viewer and API",
            enabled=True,
            aliases=[args.api.domain_name],
            default_root_object="index.html",
            http_version="http2and3",
            is_ipv6_enabled=True,
            price_class="PriceClass_100",
            origins=[self._pages_origin(), self._api_origin()],
            default_cache_behavior=aws.cloudfront.DistributionDefaultCacheBehaviorArgs(
                target_origin_id=PAGES,
                allowed_methods=["GET", "HEAD"],
                cached_methods=["GET", "HEAD"],
                compress=True,
                viewer_protocol_policy="redirect-to-https",
                cache_policy_id=CACHING_OPTIMIZED,
                response_headers_policy_id=self._declare_page_headers().id,
                # Of pages only: the API's paths are its own, and an error page for both would hide its 403 and 404.
                function_associations=[
                    aws.cloudfront.DistributionDefaultCacheBehaviorFunctionAssociationArgs(
                        event_type="viewer-request",
                        function_arn=declare_page_paths(args.names, self._child).arn,
                    )
                ],
            ),
            ordered_cache_behaviors=[
                aws.cloudfront.DistributionOrderedCacheBehaviorArgs(
                    path_pattern="/api/*",
                    target_origin_id=API,
                    allowed_methods=["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"],
                    cached_methods=["GET", "HEAD"],
                    # Compressed answers that hold a secret can be guessed at (BREACH).
                    compress=False,
                    viewer_protocol_policy="https-only",
                    cache_policy_id=CACHING_DISABLED,
                    # With the host that was asked for, whose certificate the load balancer has.
                    origin_request_policy_id=ALL_VIEWER,
                    response_headers_policy_id=self._declare_api_headers().id,
                )
            ],
            # The token decides, not the country: radiologists travel.
            restrictions=aws.cloudfront.DistributionRestrictionsArgs(
                geo_restriction=aws.cloudfront.DistributionRestrictionsGeoRestrictionArgs(
                    restriction_type="none", locations=[]
                )
            ),
            viewer_certificate=aws.cloudfront.DistributionViewerCertificateArgs(
                acm_certificate_arn=args.certificate_arn,
                ssl_support_method="sni-only",
                minimum_protocol_version=TLS,
            ),
            web_acl_id=args.web_acl_arn,
            opts=self._child,
        )

    def _pages_origin(self) -> aws.cloudfront.DistributionOriginArgs:
        names = self._args.names
        control = aws.cloudfront.OriginAccessControl(
            "viewer-origin-access",
            name=names.web_acl("viewer"),
            description="CloudFront signs what it asks the viewer's bucket for",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=self._child,
        )
        return aws.cloudfront.DistributionOriginArgs(
            origin_id=PAGES,
            domain_name=f"{names.bucket('viewer')}.s3.{names.region}.amazonaws.com",
            origin_access_control_id=control.id,
        )

    def _api_origin(self) -> aws.cloudfront.DistributionOriginArgs:
        args = self._args
        protocols = aws.cloudfront.VpcOriginVpcOriginEndpointConfigOriginSslProtocolsArgs
        origin = aws.cloudfront.VpcOrigin(
            "api-vpc-origin",
            vpc_origin_endpoint_config=aws.cloudfront.VpcOriginVpcOriginEndpointConfigArgs(
                name=args.names.service("api"),
                arn=args.balancer_arn,
                http_port=80,
                https_port=443,
                origin_protocol_policy="https-only",
                origin_ssl_protocols=protocols(items=["TLSv1.2"], quantity=1),
            ),
            opts=self._child,
        )
        return aws.cloudfront.DistributionOriginArgs(
            origin_id=API,
            domain_name=args.balancer_dns_name,
            vpc_origin_config=aws.cloudfront.DistributionOriginVpcOriginConfigArgs(vpc_origin_id=origin.id),
        )

    def _declare_page_headers(self) -> aws.cloudfront.ResponseHeadersPolicy:
        headers = aws.cloudfront.ResponseHeadersPolicyCustomHeadersConfigItemArgs
        security_policy = aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentSecurityPolicyArgs
        frame_options = aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigFrameOptionsArgs
        return aws.cloudfront.ResponseHeadersPolicy(
            "viewer-page-headers",
            name=f"{self._args.names.prefix}-pages",
            security_headers_config=_security_headers(
                content_security_policy=security_policy(
                    content_security_policy=content_security_policy(self._args.names), override=True
                ),
                frame_options=frame_options(frame_option="DENY", override=True),
            ),
            # Alone in its process, so that decoders may share memory between workers (HTML standard, COOP and COEP).
            custom_headers_config=aws.cloudfront.ResponseHeadersPolicyCustomHeadersConfigArgs(
                items=[
                    headers(header="cross-origin-opener-policy", value="same-origin", override=True),
                    headers(header="cross-origin-embedder-policy", value="require-corp", override=True),
                    headers(header="permissions-policy", value="camera=(), microphone=()", override=True),
                ]
            ),
            opts=self._child,
        )

    def _declare_api_headers(self) -> aws.cloudfront.ResponseHeadersPolicy:
        frame_options = aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigFrameOptionsArgs
        return aws.cloudfront.ResponseHeadersPolicy(
            "viewer-api-headers",
            name=f"{self._args.names.prefix}-api",
            # The API sends a content security policy of its own, for answers that are no page.
            security_headers_config=_security_headers(
                frame_options=frame_options(frame_option="DENY", override=True)
            ),
            cors_config=_cors(self._args.api.cors_origins) if self._args.api.cors_origins else None,
            opts=self._child,
        )

    def _keep_access_logs(self) -> None:
        """Deliver access logs to the bucket, as one without ACLs takes them (CloudFront, "Standard logging (v2)")."""
        name = f"{self._args.names.prefix}-viewer"
        source = aws.cloudwatch.LogDeliverySource(
            "viewer-access-log-source",
            name=name,
            log_type="ACCESS_LOGS",
            resource_arn=self.distribution.arn,
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )
        configuration = aws.cloudwatch.LogDeliveryDestinationDeliveryDestinationConfigurationArgs
        destination = aws.cloudwatch.LogDeliveryDestination(
            "viewer-access-log-destination",
            name=name,
            output_format="json",
            delivery_destination_configuration=configuration(
                destination_resource_arn=f"{self._args.names.bucket_arn('access-logs')}/cloudfront"
            ),
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )
        aws.cloudwatch.LogDelivery(
            "viewer-access-log-delivery",
            delivery_source_name=source.name,
            delivery_destination_arn=destination.arn,
            region=CLOUDFRONT_REGION,
            opts=self._child,
        )


def content_security_policy(names: EstateNames) -> str:
    """What the viewer's pages may load and whom they may call: themselves, and the sign-in."""
    directives = {
        "default-src": "'none'",
        # Decoders are WebAssembly.
        "script-src": "'self' 'wasm-unsafe-eval'",
        "worker-src": "'self'",
        "style-src": "'self'",
        "font-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": f"'self' {sign_in_page(names)}",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _security_headers(
    *,
    frame_options: aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigFrameOptionsArgs,
    content_security_policy: (
        aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentSecurityPolicyArgs | None
    ) = None,
) -> SecurityHeaders:
    return SecurityHeaders(
        strict_transport_security=(
            aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigStrictTransportSecurityArgs(
                access_control_max_age_sec=TWO_YEARS_SECONDS, include_subdomains=True, override=True
            )
        ),
        content_type_options=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentTypeOptionsArgs(
            override=True
        ),
        referrer_policy=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigReferrerPolicyArgs(
            referrer_policy="no-referrer", override=True
        ),
        frame_options=frame_options,
        content_security_policy=content_security_policy,
    )


def _cors(origins: tuple[str, ...]) -> Cors:
    return Cors(
        access_control_allow_origins=aws.cloudfront.ResponseHeadersPolicyCorsConfigAccessControlAllowOriginsArgs(
            items=list(origins)
        ),
        access_control_allow_methods=aws.cloudfront.ResponseHeadersPolicyCorsConfigAccessControlAllowMethodsArgs(
            items=["GET", "POST"]
        ),
        access_control_allow_headers=aws.cloudfront.ResponseHeadersPolicyCorsConfigAccessControlAllowHeadersArgs(
            items=["Authorization", "Content-Type"]
        ),
        # Tokens are sent by pages, not by browsers on their own.
        access_control_allow_credentials=False,
        access_control_max_age_sec=600,
        origin_override=True,
    )
