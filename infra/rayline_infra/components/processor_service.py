"""The event processor as a service that grows with its queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.services import Placement, ServiceArgs, declare_scaling, declare_service
from rayline_infra.components.tasks import TaskArgs, TaskRoles, TaskSize, declare_task
from rayline_infra.settings import ProcessorSettings

# A new task takes a minute to start; a backlog that is gone may come back with the next study.
GROW_SECONDS = 60
SHRINK_SECONDS = 300
# Without FILL: each number comes a minute or two late, and the newest would always be the filled one; of a backlog that
# reads 0 the alarm, three minutes out of three, would never hear (CloudWatch user guide, "Using metric math", FILL).
BACKLOG_PER_TASK = "waiting / IF(tasks > 0, tasks, 1)"


@dataclass(frozen=True)
class ProcessorServiceArgs:
    """The task's size, roles, environment and secrets, and where it runs."""

    names: EstateNames
    processor: ProcessorSettings
    placement: Placement
    roles: TaskRoles
    image: pulumi.Input[str]
    collector_image: pulumi.Input[str] | None
    logs_key_arn: pulumi.Input[str]
    log_days: int
    environment: Mapping[str, pulumi.Input[str]]
    secrets: Mapping[str, pulumi.Input[str]]


class ProcessorService(pulumi.ComponentResource):
    """Tasks that take events from the queue; as many run as keep the backlog of each within bounds."""

    def __init__(
        self,
        name: str,
        args: ProcessorServiceArgs,
        opts: pulumi.ResourceOptions | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> None:
        super().__init__("rayline:services:ProcessorService", name, None, opts)
        processor = args.processor
        self.task_definition = declare_task(
            TaskArgs(
                names=args.names,
                kind="processor",
                size=TaskSize(processor.cpu_units, processor.memory_mib),
                roles=args.roles,
                image=args.image,
                command=["rayline", "process"],
                logs_key_arn=args.logs_key_arn,
                log_days=args.log_days,
                environment=args.environment,
                secrets=args.secrets,
                health_command=["rayline", "health"] if processor.health_port else (),
                collector_image=args.collector_image,
            ),
            self,
        )
        self.service = declare_service(
            ServiceArgs(
                names=args.names,
                kind="processor",
                placement=args.placement,
                task_definition_arn=self.task_definition.arn,
                tasks=processor.least_tasks,
                on_demand=processor.least_tasks,
                spot=processor.spot,
                scaled=True,
            ),
            self,
            depends_on,
        )
        target = declare_scaling(
            args.names, "processor", self.service, processor.least_tasks, processor.most_tasks, self
        )
        self._follow_the_backlog(args, target)
        self.register_outputs({})

    def _follow_the_backlog(self, args: ProcessorServiceArgs, target: aws.appautoscaling.Target) -> None:
        names = args.names
        tasks = {"ClusterName": names.cluster, "ServiceName": names.service("processor")}
        aws.appautoscaling.Policy(
            "processor-backlog",
            name=f"{names.service('processor')}-backlog",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration={
                "target_value": float(args.processor.backlog_per_task),
                "scale_out_cooldown": GROW_SECONDS,
                "scale_in_cooldown": SHRINK_SECONDS,
                "customized_metric_specification": {
                    "metrics": [
                        {
                            "id": "waiting",
                            "return_data": False,
                            "metric_stat": {
                                "metric": {
                                    "namespace": "AWS/SQS",
                                    "metric_name": "ApproximateNumberOfMessagesVisible",
                                    "dimensions": [{"name": "QueueName", "value": names.queue}],
                                },
                                "stat": "Maximum",
                            },
                        },
                        {
                            "id": "tasks",
                            "return_data": False,
                            "metric_stat": {
                                "metric": {
                                    "namespace": "ECS/ContainerInsights",
                                    "metric_name": "RunningTaskCount",
                                    "dimensions": [
                                        {"name": key, "value": value} for key, value in tasks.items()
                                    ],
                                },
                                "stat": "Average",
                            },
                        },
                        {
                            "id": "backlog",
                            "label": "waiting messages per task",
                            "expression": BACKLOG_PER_TASK,
                            "return_data": True,
                        },
                    ]
                },
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
