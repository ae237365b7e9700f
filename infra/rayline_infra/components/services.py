"""Container registry, cluster and the processor's task definition."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, RepositoryKind
from rayline.settings import Settings
from rayline_infra.settings import ProcessorSettings

REPOSITORIES: tuple[RepositoryKind, ...] = ("processor", "training")
NON_ROOT_USER = "10001:10001"
# Fargate's limit; the processor finishes or returns what it holds in this time.
STOP_SECONDS = 120
SCRATCH = "scratch"


@dataclass(frozen=True)
class ServicesArgs:
    """The task's size, roles, environment and secrets."""

    names: EstateNames
    processor: ProcessorSettings
    task_role_arn: pulumi.Output[str]
    execution_role_arn: pulumi.Output[str]
    logs_key_arn: pulumi.Input[str]
    log_days: int
    environment: Mapping[str, pulumi.Input[str]]
    secrets: Mapping[str, pulumi.Input[str]]


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


class Services(pulumi.ComponentResource):
    """What runs the processor: repositories, cluster, log group and task definition."""

    def __init__(self, name: str, args: ServicesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:services:Services", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._repositories = {kind: self._declare_repository(kind, args.names) for kind in REPOSITORIES}
        aws.ecs.Cluster(
            "cluster",
            name=args.names.cluster,
            settings=[aws.ecs.ClusterSettingArgs(name="containerInsights", value="enabled")],
            opts=self._child,
        )
        self._log_group = aws.cloudwatch.LogGroup(
            "processor-logs",
            name=args.names.processor_log_group,
            retention_in_days=args.log_days,
            kms_key_id=args.logs_key_arn,
            opts=self._child,
        )
        self.task_definition = self._declare_task(args)
        self.register_outputs({})

    def _declare_repository(self, kind: RepositoryKind, names: EstateNames) -> aws.ecr.Repository:
        repository = aws.ecr.Repository(
            f"{kind}-repository",
            name=names.repository(kind),
            # A tag that can move would change what a task or a recorded model was built from.
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            encryption_configurations=[
                aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="AES256")
            ],
            opts=self._child,
        )
        return repository

    def _declare_task(self, args: ServicesArgs) -> aws.ecs.TaskDefinition:
        processor = args.processor
        image = self._repositories["processor"].repository_url.apply(
            lambda url: f"{url}:{processor.image_tag}"
        )
        container: dict[str, object] = {
            "name": "processor",
            "image": image,
            "command": ["rayline", "process"],
            "essential": True,
            "user": NON_ROOT_USER,
            "readonlyRootFilesystem": True,
            "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
            # The root file system is read-only; large instances are spooled here.
            "mountPoints": [{"sourceVolume": SCRATCH, "containerPath": "/tmp", "readOnly": False}],  # noqa: S108
            "stopTimeout": STOP_SECONDS,
            "environment": [{"name": key, "value": value} for key, value in args.environment.items()],
            "secrets": [{"name": key, "valueFrom": arn} for key, arn in sorted(args.secrets.items())],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": self._log_group.name,
                    "awslogs-region": args.names.region,
                    "awslogs-stream-prefix": "processor",
                    # Losing log lines is better than a processor that hangs on its logger.
                    "mode": "non-blocking",
                    "max-buffer-size": "25m",
                },
            },
        }
        if processor.health_port:
            # Liveness: ECS replaces a task whose supervisor stalled; one that waits for a service stays.
            container["healthCheck"] = {
                "command": ["CMD", "rayline", "health"],
                "interval": 30,
                "timeout": 15,
                "retries": 3,
                "startPeriod": 120,
            }
        return aws.ecs.TaskDefinition(
            "processor-task",
            family=args.names.processor_task,
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu=str(processor.cpu_units),
            memory=str(processor.memory_mib),
            task_role_arn=args.task_role_arn,
            execution_role_arn=args.execution_role_arn,
            runtime_platform=aws.ecs.TaskDefinitionRuntimePlatformArgs(
                operating_system_family="LINUX", cpu_architecture="X86_64"
            ),
            volumes=[aws.ecs.TaskDefinitionVolumeArgs(name=SCRATCH)],
            container_definitions=pulumi.Output.json_dumps([container], sort_keys=True),
            opts=self._child,
        )
