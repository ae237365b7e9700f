"""TLS certificates of the API's and the viewer's host name, proved by a record in the site's own zone."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# CloudFront takes certificates, and WAF web ACLs for it, from this region only.
CLOUDFRONT_REGION = "us-east-1"


@dataclass(frozen=True)
class CertificatesArgs:
    """The host name, the Route 53 zone that it lies in, and the region of the load balancer."""

    domain_name: str
    hosted_zone_id: str
    region: str


class Certificates(pulumi.ComponentResource):
    """A certificate in the load balancer's region and one in CloudFront's, which may be the same."""

    def __init__(self, name: str, args: CertificatesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:certificates:Certificates", name, None, opts)
        regions = {args.region, CLOUDFRONT_REGION}
        made = {region: self._declare(args, region) for region in sorted(regions)}
        # ACM asks for the same record for one name in all regions of an account (ACM user guide, "DNS validation").
        proof = made[args.region].domain_validation_options[0]
        record = aws.route53.Record(
            "certificate-proof",
            zone_id=args.hosted_zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=300,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._validated = {
            region: aws.acm.CertificateValidation(
                f"certificate-{region}-validation",
                certificate_arn=certificate.arn,
                validation_record_fqdns=[record.fqdn],
                region=region,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for region, certificate in made.items()
        }
        self.arns: dict[str, pulumi.Output[str]] = {
            region: certificate.arn for region, certificate in made.items()
        }
        self._region = args.region
        self.register_outputs({})

    @property
    def balancer_arn(self) -> pulumi.Output[str]:
        """The certificate for the load balancer, once it is valid."""
        return self._validated[self._region].certificate_arn

    @property
    def cloudfront_arn(self) -> pulumi.Output[str]:
        """The certificate for CloudFront, once it is valid."""
        return self._validated[CLOUDFRONT_REGION].certificate_arn

    def _declare(self, args: CertificatesArgs, region: str) -> aws.acm.Certificate:
        return aws.acm.Certificate(
            f"certificate-{region}",
            domain_name=args.domain_name,
            validation_method="DNS",
            key_algorithm="EC_prime256v1",
            region=region,
            # Certificate Transparency logs are public, and browsers trust nothing else.
            options=aws.acm.CertificateOptionsArgs(certificate_transparency_logging_preference="ENABLED"),
            opts=pulumi.ResourceOptions(parent=self),
        )
