"""Endpoints, gateways, links, load balancers, the edge and sign-in."""

from collections.abc import Iterator

from rayline_infra.costing.lines import Line, Month, Pricers
from rayline_infra.costing.usage import BYTES_PER_GIB, HOURS_PER_MONTH, MIB_PER_GIB
from rayline_infra.policies.graph import Resource

VPC = "VPC"
# "There is no additional cost for the usage of the VPC endpoint" (GuardDuty guide, "Creating an Amazon VPC endpoint").
FREE_SERVICES = ("guardduty-data",)
WAF_LOG_BYTES = 1500  # of a request in a log of a web ACL


def endpoint(resource: Resource, month: Month) -> Iterator[Line]:
    """An interface endpoint by the hour in each zone, and what passes through it; some endpoints are free."""
    name = str(resource.inputs["serviceName"]).split(".", 3)[3]
    if resource.inputs["vpcEndpointType"] != "Interface" or name in FREE_SERVICES:
        return
    zones = len(resource.inputs["subnetIds"])
    yield month.line(VPC, "interface endpoints", resource, "vpc.endpoint", zones * HOURS_PER_MONTH)
    usage = month.usage
    if name == "runtime-medical-imaging":
        yield month.line(
            VPC, "frames through endpoints", resource, "vpc.endpoint_data", usage.viewed_gib, "scan"
        )
        trained = usage.trainings_per_month * usage.images_per_training
        gib = trained * usage.mib_per_image * usage.stored_ratio / MIB_PER_GIB
        yield month.line(VPC, "frames through endpoints", resource, "vpc.endpoint_data", gib, "training")
    elif name == "logs":
        gib = usage.images * usage.log_bytes_per_image / BYTES_PER_GIB
        yield month.line(VPC, "logs through endpoints", resource, "vpc.endpoint_data", gib, "scan")


def nat(resource: Resource, month: Month) -> Iterator[Line]:
    """A NAT gateway by the hour; what signing in sends through it is too little to count."""
    yield month.line(VPC, "NAT gateways", resource, "vpc.nat", HOURS_PER_MONTH)


def address(resource: Resource, month: Month) -> Iterator[Line]:
    """A public IPv4 address by the hour."""
    yield month.line(VPC, "public addresses", resource, "vpc.public_ipv4", HOURS_PER_MONTH)


def transit_attachment(resource: Resource, month: Month) -> Iterator[Line]:
    """The attachment by the hour, and the scans that come through it."""
    yield month.line(VPC, "transit gateway", resource, "vpc.transit_attachment", HOURS_PER_MONTH)
    yield month.line(
        VPC, "scans through the transit gateway", resource, "vpc.transit_data", month.usage.raw_gib, "scan"
    )


def vpn(resource: Resource, month: Month) -> Iterator[Line]:
    """The connection by the hour; what comes in is free."""
    yield month.line(VPC, "VPN", resource, "vpc.vpn", HOURS_PER_MONTH)


def flow_log(resource: Resource, month: Month) -> Iterator[Line]:
    """Flow log records, by the network interfaces that the graph has; their storage is their log group's."""
    yield month.line(
        "CloudWatch", "flow logs taken in", resource, "logs.ingested", flow_log_gib(month), "fixed"
    )


def flow_log_gib(month: Month) -> float:
    """Flow logs of a month."""
    interfaces = 0.0
    for each in month.graph.of_type("aws:ec2/vpcEndpoint:VpcEndpoint"):
        interfaces += len(each.inputs.get("subnetIds") or ())
    for each in month.graph.of_type("aws:ecs/service:Service"):
        interfaces += float(each.inputs.get("desiredCount") or 0)
    for each in month.graph.of_type("aws:lb/loadBalancer:LoadBalancer"):
        interfaces += len(each.inputs.get("subnets") or each.inputs.get("subnetMappings") or ())
    usage = month.usage
    records = interfaces * usage.flow_records_per_interface_minute * HOURS_PER_MONTH * 60
    return records * usage.flow_record_bytes / BYTES_PER_GIB


def load_balancer(resource: Resource, month: Month) -> Iterator[Line]:
    """A load balancer by the hour, and its capacity units, of which 1 GB is one hour's."""
    kind = "network" if resource.inputs.get("loadBalancerType") == "network" else "application"
    service = "Load balancers"
    yield month.line(service, f"{kind} load balancers", resource, f"lb.{kind}", HOURS_PER_MONTH)
    gib = month.usage.raw_gib if kind == "network" else month.usage.viewed_gib
    yield month.line(service, f"{kind} load balancers' traffic", resource, f"lb.{kind}_unit", gib, "scan")


def web_acl(resource: Resource, month: Month) -> Iterator[Line]:
    """A web ACL, its rules and the requests that it looks at."""
    yield month.line("WAF", "web ACLs", resource, "waf.acl", 1)
    rules = len(resource.inputs.get("rules") or ())
    if rules:
        yield month.line("WAF", "rules", resource, "waf.rule", rules)
    if "sign-in" in str(resource.inputs["name"]):
        asked = month.usage.users * month.usage.sign_in_requests
        yield month.line("WAF", "requests", resource, "waf.requests", asked)
    else:
        yield month.line("WAF", "requests", resource, "waf.requests", requests(month), "scan")


def web_acl_log(resource: Resource, month: Month) -> Iterator[Line]:
    """The requests in a web ACL's log."""
    # Signing in is asked for too rarely to count.
    if "sign-in" not in resource.name:
        gib = requests(month) * WAF_LOG_BYTES / BYTES_PER_GIB
        yield month.line("CloudWatch", "web ACL logs taken in", resource, "logs.ingested", gib, "scan")


def requests(month: Month) -> float:
    """HTTP requests of viewers."""
    usage = month.usage
    views = usage.scans_per_month * usage.views_per_scan
    return views * (usage.frames_per_view + usage.api_requests_per_view)


def distribution(resource: Resource, month: Month) -> Iterator[Line]:
    """What CloudFront sends to browsers: the viewer's code, and frames and answers of the API."""
    usage = month.usage
    code = usage.scans_per_month * usage.views_per_scan * usage.viewer_mib_per_view / MIB_PER_GIB
    yield month.line("CloudFront", "data", resource, "cloudfront.data", code + usage.viewed_gib, "scan")
    yield month.line("CloudFront", "requests", resource, "cloudfront.requests", requests(month), "scan")


def user_pool(resource: Resource, month: Month) -> Iterator[Line]:
    """People who sign in during a month, in the tier that the pool asks for."""
    tier = str(resource.inputs.get("userPoolTier") or "ESSENTIALS").lower()
    yield month.line("Cognito", f"users ({tier})", resource, f"cognito.{tier}", month.usage.users)


def zone(resource: Resource, month: Month) -> Iterator[Line]:
    """A hosted zone."""
    yield month.line("Route 53", "zones", resource, "route53.zone", 1)


PRICERS: Pricers = {
    "aws:cloudfront/distribution:Distribution": distribution,
    "aws:cognito/userPool:UserPool": user_pool,
    "aws:ec2/eip:Eip": address,
    "aws:ec2/flowLog:FlowLog": flow_log,
    "aws:ec2/natGateway:NatGateway": nat,
    "aws:ec2/vpcEndpoint:VpcEndpoint": endpoint,
    "aws:ec2/vpnConnection:VpnConnection": vpn,
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment": transit_attachment,
    "aws:lb/loadBalancer:LoadBalancer": load_balancer,
    "aws:route53/zone:Zone": zone,
    "aws:wafv2/webAcl:WebAcl": web_acl,
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": web_acl_log,
}
