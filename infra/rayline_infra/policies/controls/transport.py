"""Nothing travels without TLS."""

from collections.abc import Iterator, Mapping

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import BUCKET, QUEUE, TOPIC, door_clauses
from rayline_infra.policies.identities import at
from rayline_infra.policies.statements import EVERYONE, Clause

LISTENER = "aws:lb/listener:Listener"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
# What is asked of each, and of what below it.
TAKEN: Mapping[str, Mapping[str, str]] = {
    BUCKET: {"s3:GetObject": "/*", "s3:PutObject": "/*", "s3:ListBucket": ""},
    QUEUE: {"sqs:SendMessage": "", "sqs:ReceiveMessage": ""},
    TOPIC: {"sns:Publish": ""},
}
# TLS 1.2 and 1.3 only (ELB user guide, "Security policies"); the FIPS ones are of the same families.
SAFE_POLICIES = ("ELBSecurityPolicy-TLS13-1-2-", "ELBSecurityPolicy-TLS13-1-3-", "ELBSecurityPolicy-FS-1-2-")


def plain_http_is_denied(graph: Graph) -> Iterator[Observation]:
    """The policies of buckets, queues and topics deny whatever comes without TLS."""
    for resource in graph.resources:
        if resource.type in TAKEN:
            denied = _denied_plain(graph, resource)
            setting = "aws:SecureTransport = false is denied" if denied else "requests without TLS are taken"
            yield judged(resource, denied, setting)


def _denied_plain(graph: Graph, resource: Resource) -> bool:
    denials = [each for each in door_clauses(graph, resource) if _denies_plain_http(each)]
    return all(
        any(
            each.has_action(action) and each.has_resource(f"{resource.outputs['arn']}{below}")
            for each in denials
        )
        for action, below in TAKEN[resource.type].items()
    )


def _denies_plain_http(clause: Clause) -> bool:
    everyone = (EVERYONE, EVERYONE) in clause.principals or ("AWS", EVERYONE) in clause.principals
    conditions = {(operator, key, values) for operator, key, values in clause.conditions}
    return (
        not clause.allows
        and not clause.inverted
        and everyone
        and conditions == {("Bool", "aws:SecureTransport", ("false",))}
    )


def listeners_speak_tls(graph: Graph) -> Iterator[Observation]:
    """Application listeners are HTTPS with TLS 1.2 or newer; port 80 only redirects; TCP is passed through."""
    for listener in graph.of_type(LISTENER):
        protocol = str(listener.inputs.get("protocol", "HTTP"))
        if protocol in ("HTTPS", "TLS"):
            policy = str(listener.inputs.get("sslPolicy", ""))
            yield judged(listener, policy.startswith(SAFE_POLICIES), f"sslPolicy = {policy or 'the default'}")
        elif protocol == "TCP":
            # An NLB's TLS listener cannot ask for client certificates: the gateway behind it ends TLS itself.
            yield judged(listener, True, "protocol = TCP, passed through: the gateway ends TLS")
        else:
            redirects = _redirects(listener)
            yield judged(listener, redirects, f"protocol = {protocol}, redirects to HTTPS: {redirects}")


def _redirects(listener: Resource) -> bool:
    actions = listener.inputs.get("defaultActions", [])
    return bool(actions) and all(
        each.get("type") == "redirect" and at(each, "redirect.protocol") == "HTTPS" for each in actions
    )


def origins_speak_tls(graph: Graph) -> Iterator[Observation]:
    """What CloudFront and load balancers pass on is encrypted as well, or passed through as it came."""
    for group in graph.of_type("aws:lb/targetGroup:TargetGroup"):
        protocol = str(group.inputs.get("protocol", "HTTP"))
        yield judged(group, protocol in ("HTTPS", "TLS", "TCP"), f"protocol = {protocol}")
    for origin in graph.of_type("aws:cloudfront/vpcOrigin:VpcOrigin"):
        policy = at(origin.inputs, "vpcOriginEndpointConfig.originProtocolPolicy")
        yield judged(origin, policy == "https-only", f"originProtocolPolicy = {policy}")
    for distribution in graph.of_type(DISTRIBUTION):
        for origin in distribution.inputs.get("origins") or ():
            policy = at(origin, "customOriginConfig.originProtocolPolicy")
            if policy is not None:
                yield judged(distribution, policy == "https-only", f"originProtocolPolicy = {policy}")


def distributions_speak_tls(graph: Graph) -> Iterator[Observation]:
    """CloudFront takes HTTPS only, with TLS 1.2 or newer."""
    for distribution in graph.of_type(DISTRIBUTION):
        inputs = distribution.inputs
        behaviours = [inputs.get("defaultCacheBehavior", {}), *inputs.get("orderedCacheBehaviors", [])]
        policies = {str(each.get("viewerProtocolPolicy")) for each in behaviours}
        only_https = policies <= {"redirect-to-https", "https-only"}
        yield judged(distribution, only_https, f"viewerProtocolPolicy = {', '.join(sorted(policies))}")
        certificate = inputs.get("viewerCertificate") or {}
        version = str(certificate.get("minimumProtocolVersion", ""))
        modern = version.startswith(("TLSv1.2", "TLSv1.3"))
        own_name = not certificate.get("cloudfrontDefaultCertificate")
        # With CloudFront's own domain the version is CloudFront's to choose; its certificate allows no setting.
        setting = f"minimumProtocolVersion = {version or 'TLSv1 of the default certificate'}"
        yield judged(distribution, modern or not own_name, setting)


CONTROLS = (
    Control(
        "TLS-1",
        "Requests without TLS are denied",
        ("164.312(e)(1)", "164.312(e)(2)(ii)"),
        "critical",
        "policies of buckets, queues and topics",
        plain_http_is_denied,
    ),
    Control(
        "TLS-2",
        "Load balancers speak TLS 1.2 or newer",
        ("164.312(e)(2)(ii)",),
        "critical",
        "listeners",
        listeners_speak_tls,
    ),
    Control(
        "TLS-3",
        "The viewer's assets are delivered over TLS 1.2 or newer",
        ("164.312(e)(2)(ii)",),
        "high",
        "CloudFront distributions",
        distributions_speak_tls,
    ),
    Control(
        "TLS-4",
        "Behind the doors it is TLS too",
        ("164.312(e)(2)(ii)", "164.312(e)(1)"),
        "high",
        "target groups and origins",
        origins_speak_tls,
    ),
)
