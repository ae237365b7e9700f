"""Policies of VPC endpoints: the perimeter around what leaves the VPC.

They let this account's principals reach this stack's resources, whatever a role may do beyond that; which actions
a role has of a service is for the role's own policy to say. A copied key of another account, or one of ours aimed
at another account's bucket, gets no further than the endpoint.
"""

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from rayline.names import EstateNames
from rayline_infra.policies.documents import EVERYONE, Conditions, Statement, document
from rayline_infra.policies.roles import Granted

GatewayService = Literal["s3", "dynamodb"]
InterfaceService = Literal[
    "sagemaker.api",
    "sagemaker.runtime",
    "medical-imaging",
    "runtime-medical-imaging",
    "sqs",
    "sns",
    "events",
    "kms",
    "secretsmanager",
    "ssm",
    "ecr.api",
    "ecr.dkr",
    "logs",
    "sts",
    "monitoring",
    "xray",
    "guardduty-data",
]
GATEWAY_SERVICES: tuple[GatewayService, ...] = get_args(GatewayService)
INTERFACE_SERVICES: tuple[InterfaceService, ...] = get_args(InterfaceService)
ANY = ("*",)


def endpoint_policy(service: GatewayService | InterfaceService, names: EstateNames, granted: Granted) -> str:
    """The policy of the endpoint of one service, as JSON."""
    return document(*_POLICIES[service](names, granted))


def service_name(service: GatewayService | InterfaceService, names: EstateNames) -> str:
    """The service as PrivateLink calls it, e.g. ``com.amazonaws.us-east-1.sqs``."""
    return f"com.amazonaws.{names.region}.{service}"


def _ours(names: EstateNames) -> Conditions:
    return {"StringEquals": {"aws:PrincipalAccount": names.account_id}}


def _reach(names: EstateNames, action: str, *resources: str) -> Statement:
    return Statement(
        sid="OwnPrincipalsReachOwnResources",
        principals=EVERYONE,
        actions=(action,),
        resources=resources,
        conditions=_ours(names),
    )


def _without_resource(names: EstateNames, *actions: str) -> Statement:
    """Actions that AWS checks against no resource (Service Authorization Reference)."""
    return Statement(
        sid="OwnPrincipalsCallWhatHasNoResource",
        principals=EVERYONE,
        actions=actions,
        resources=ANY,
        conditions=_ours(names),
    )


def _arn(names: EstateNames, service: str, resource: str) -> str:
    return f"arn:aws:{service}:{names.region}:{names.account_id}:{resource}"


def _s3(names: EstateNames, granted: Granted) -> list[Statement]:
    buckets = f"arn:aws:s3:::{names.prefix}-*-{names.account_id}"
    return [
        _reach(names, "s3:*", buckets, f"{buckets}/*"),
        # ECR hands out image layers from a bucket of its own, under its own signature (ECR guide, "Create the
        # Amazon S3 gateway endpoint"), so no principal of ours can be asked for.
        Statement(
            sid="ImageLayers",
            principals=EVERYONE,
            actions=("s3:GetObject",),
            resources=(f"arn:aws:s3:::prod-{names.region}-starport-layer-bucket/*",),
        ),
    ]


def _dynamodb(names: EstateNames, granted: Granted) -> list[Statement]:
    return [_reach(names, "dynamodb:*", _arn(names, "dynamodb", f"table/{names.prefix}-*"))]


def _sagemaker(names: EstateNames, granted: Granted) -> list[Statement]:
    # A pipeline names its jobs pipelines-<execution>-<step>-<random>; what is ours otherwise has our prefix.
    kinds = ("pipeline", "model-package-group", "model-package", "model", "endpoint-config")
    jobs = ("processing-job", "training-job")
    return [
        _reach(
            names,
            "sagemaker:*",
            *(_arn(names, "sagemaker", f"{kind}/{names.prefix}-*") for kind in kinds),
            *(_arn(names, "sagemaker", f"{kind}/pipelines-*") for kind in jobs),
            _arn(names, "sagemaker", f"endpoint/{names.endpoint}"),
        ),
        _without_resource(names, "sagemaker:ListModelPackages", "sagemaker:ListPipelineExecutions"),
    ]


def _inference(names: EstateNames, granted: Granted) -> list[Statement]:
    endpoint = _arn(names, "sagemaker", f"endpoint/{names.endpoint}")
    return [_reach(names, "sagemaker:InvokeEndpoint", endpoint)]


def _medical_imaging(names: EstateNames, granted: Granted) -> list[Statement]:
    return [_reach(names, "medical-imaging:*", granted.datastore_arn, f"{granted.datastore_arn}/*")]


def _sqs(names: EstateNames, granted: Granted) -> list[Statement]:
    return [_reach(names, "sqs:*", _arn(names, "sqs", f"{names.prefix}-*"))]


def _sns(names: EstateNames, granted: Granted) -> list[Statement]:
    return [_reach(names, "sns:Publish", _arn(names, "sns", f"{names.prefix}-*"))]


def _events(names: EstateNames, granted: Granted) -> list[Statement]:
    return [_reach(names, "events:PutEvents", names.event_bus_arn)]


def _kms(names: EstateNames, granted: Granted) -> list[Statement]:
    return [_reach(names, "kms:*", *(granted.keys[kind] for kind in sorted(granted.keys)))]


def _secretsmanager(names: EstateNames, granted: Granted) -> list[Statement]:
    secrets = _arn(names, "secretsmanager", f"secret:rayline/{names.stack}/*")
    return [_reach(names, "secretsmanager:GetSecretValue", secrets)]


def _ssm(names: EstateNames, granted: Granted) -> list[Statement]:
    parameters = _arn(names, "ssm", f"parameter/rayline/{names.stack}/*")
    return [_reach(names, "ssm:GetParameter*", parameters)]


def _ecr(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        _reach(names, "ecr:*", _arn(names, "ecr", f"repository/{names.prefix}-*")),
        # AWS's own account holds it (GuardDuty user guide, "Prerequisites for AWS Fargate support").
        Statement(
            sid="GuardDutyAgent",
            principals=EVERYONE,
            actions=("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            resources=(names.guard_duty_agents,),
            conditions=_ours(names),
        ),
        _without_resource(names, "ecr:GetAuthorizationToken"),
    ]


def _logs(names: EstateNames, granted: Granted) -> list[Statement]:
    groups = (f"/rayline/{names.stack}/*", "/aws/sagemaker/*")
    return [_reach(names, "logs:*", *(_arn(names, "logs", f"log-group:{group}") for group in groups))]


def _sts(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        _reach(names, "sts:AssumeRole", f"arn:aws:iam::{names.account_id}:role/{names.prefix}-*"),
        _without_resource(names, "sts:GetCallerIdentity"),
    ]


def _monitoring(names: EstateNames, granted: Granted) -> list[Statement]:
    return [_without_resource(names, "cloudwatch:PutMetricData")]


def _xray(names: EstateNames, granted: Granted) -> list[Statement]:
    return [
        _without_resource(
            names,
            "xray:GetSamplingRules",
            "xray:GetSamplingStatisticSummaries",
            "xray:GetSamplingTargets",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        )
    ]


def _guard_duty(names: EstateNames, granted: Granted) -> list[Statement]:
    # GuardDuty's own policy for it allows everything and denies principals of other accounts, which is the same
    # (GuardDuty guide, "Prerequisite - Creating an Amazon VPC endpoint"); it takes telemetry and nothing else.
    return [_without_resource(names, "*")]


_POLICIES: Mapping[GatewayService | InterfaceService, Callable[[EstateNames, Granted], list[Statement]]] = {
    "s3": _s3,
    "dynamodb": _dynamodb,
    "sagemaker.api": _sagemaker,
    "sagemaker.runtime": _inference,
    "medical-imaging": _medical_imaging,
    "runtime-medical-imaging": _medical_imaging,
    "sqs": _sqs,
    "sns": _sns,
    "events": _events,
    "kms": _kms,
    "secretsmanager": _secretsmanager,
    "ssm": _ssm,
    "ecr.api": _ecr,
    "ecr.dkr": _ecr,
    "logs": _logs,
    "sts": _sts,
    "monitoring": _monitoring,
    "xray": _xray,
    "guardduty-data": _guard_duty,
}
