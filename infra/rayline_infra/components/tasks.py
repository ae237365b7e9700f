"""Task definitions: the one place where a container gets its rights, which are as few as it can work with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, ServiceKind
from rayline.settings import Settings
from rayline_infra.scanning.exemptions import ScannerExemption

NON_ROOT_USER = "10001:10001"
# Fargate's limit; the processor finishes or returns what it holds in this time.
STOP_SECONDS = 120
SCRATCH = "scratch"
COLLECTOR = "collector"
# Where OpenTelemetry sends traces by default: OTLP over HTTP, here to the container beside it.
TRACES_ENDPOINT = "http://127.0.0.1:4318"
COLLECTOR_MEMORY_MIB = 256
# The collector takes traces from its own task only, keeps few, and hands them to X-Ray.
COLLECTOR_CONFIG = """\
extensions:
  health_check: {endpoint: "127.0.0.1:13133"}
receivers:
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:4318"}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 180}
  batch: {}
exporters:
  awsxray: {}
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [awsxray]}
"""

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_338",
        "processor-logs",
        "what a log tells is needed for days; evidence that must stay for years is the audit trail, in a locked bucket",
    ),
    ScannerExemption(
        "CKV_AWS_338",
        "api-logs",
        "what a log tells is needed for days; evidence that must stay for years is the audit trail, in a locked bucket",
    ),
    ScannerExemption(
        "CKV_AWS_338",
        "gateway-logs",
        "what a log tells is needed for days; evidence that must stay for years is the audit trail, in a locked bucket",
    ),
)


def environment_of(fields: Mapping[str, pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    """Environment variables of a complete set of the processor's settings.

    Args:
        fields: a value for each field of ``rayline.settings.Settings``.

    Raises:
        ValueError: a field is missing, or one is given that the processor does not know.
    """
    known = set(Settings.model_fields)
    if missing := sorted(known - set(fields)):
        raise ValueError(f"no value for the processor's settings {', '.join(missing)}; add them in estate.py")
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"the processor has no settings {', '.join(unknown)}; remove them from estate.py")
    return {Settings.environment_name(field): value for field, value in sorted(fields.items())}


@dataclass(frozen=True)
class TaskRoles:
    """Whose rights a task has: the work's, and those of ECS while it starts the task."""

    task_arn: pulumi.Input[str]
    execution_arn: pulumi.Input[str]


@dataclass(frozen=True)
class TaskSize:
    """What Fargate gives a task: CPU units, and memory in MiB."""

    cpu_units: int
    memory_mib: int


@dataclass(frozen=True)
class TaskArgs:
    """One task: what runs in it, and what it is told.

    Attributes:
        health_command: what ECS runs in the container to see whether it is well; empty for no check.
        ports: TCP ports that something connects to.
        secrets: ARN of the secret or parameter that each variable's value comes from.
        collector_image: of the container that takes the traces; None where none are kept.
    """

    names: EstateNames
    kind: ServiceKind
    size: TaskSize
    roles: TaskRoles
    image: pulumi.Input[str]
    command: Sequence[str]
    logs_key_arn: pulumi.Input[str]
    log_days: int
    environment: Mapping[str, pulumi.Input[str]]
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    ports: Sequence[int] = ()
    health_command: Sequence[str] = ()
    collector_image: pulumi.Input[str] | None = None


def declare_task(args: TaskArgs, parent: pulumi.Resource) -> aws.ecs.TaskDefinition:
    """Declare a task definition and the log group of its containers."""
    child = pulumi.ResourceOptions(parent=parent)
    log_group = aws.cloudwatch.LogGroup(
        f"{args.kind}-logs",
        name=args.names.service_log_group(args.kind),
        retention_in_days=args.log_days,
        kms_key_id=args.logs_key_arn,
        opts=child,
    )
    containers = [_work(args, log_group)]
    if args.collector_image is not None:
        containers.append(_collector(args, args.collector_image, log_group))
    return aws.ecs.TaskDefinition(
        f"{args.kind}-task",
        family=args.names.service(args.kind),
        requires_compatibilities=["FARGATE"],
        network_mode="awsvpc",
        cpu=str(args.size.cpu_units),
        memory=str(args.size.memory_mib),
        task_role_arn=args.roles.task_arn,
        execution_role_arn=args.roles.execution_arn,
        runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(
            operating_system_family="LINUX", cpu_architecture="X86_64"
        ),
        volumes=[aws.ecs.TaskDefinitionVolumeArgs(name=SCRATCH)],
        container_definitions=pulumi.Output.json_dumps(containers, sort_keys=True),
        # ECS updates no service to a revision that was deregistered, and a failed deployment goes back to the last one.
        skip_destroy=True,
        opts=child,
    )


def _work(args: TaskArgs, log_group: aws.cloudwatch.LogGroup) -> dict[str, object]:
    environment = dict(args.environment)
    if args.collector_image is not None:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = TRACES_ENDPOINT
    container = {
        **_hardened(args.kind, args.image, args, log_group),
        "command": list(args.command),
        "essential": True,
        # The root file system is read-only; large instances are spooled here.
        "mountPoints": [{"sourceVolume": SCRATCH, "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
        "stopTimeout": STOP_SECONDS,
        "environment": [{"name": key, "value": value} for key, value in sorted(environment.items())],
        "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(args.secrets.items())],
    }
    if args.ports:
        container["portMappings"] = [{"containerPort": port, "protocol": "tcp"} for port in args.ports]
    if args.health_command:
        # Liveness: ECS replaces a task that stalled; one that waits for a service stays.
        container["healthCheck"] = {
            "command": ["CMD", *args.health_command],
            "interval": 30,
            "timeout": 15,
            "retries": 3,
            "startPeriod": 120,
        }
    return container


def _collector(
    args: TaskArgs, image: pulumi.Input[str], log_group: aws.cloudwatch.LogGroup
) -> dict[str, object]:
    return {
        **_hardened(COLLECTOR, image, args, log_group),
        # Work goes on without traces.
        "essential": False,
        # A hard limit: traces never take the memory of the work.
        "memory": COLLECTOR_MEMORY_MIB,
        "environment": [{"name": "AOT_CONFIG_CONTENT", "value": COLLECTOR_CONFIG}],
        "healthCheck": {
            "command": ["CMD", "/healthcheck"],
            "interval": 30,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 30,
        },
    }


def _hardened(
    name: str, image: pulumi.Input[str], args: TaskArgs, log_group: aws.cloudwatch.LogGroup
) -> dict[str, object]:
    return {
        "name": name,
        "image": image,
        "user": NON_ROOT_USER,
        "privileged": False,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group.name,
                "awslogs-region": args.names.region,
                "awslogs-stream-prefix": name,
                # Losing log lines is better than a processor that hangs on its logger.
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }
