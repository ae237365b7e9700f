"""The HTTP API: tasks behind an internal load balancer, which only CloudFront and the hospital's network reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.http_api.groups import PEOPLE
from rayline.names import API_PORT, EstateNames
from rayline_infra.components.services import (
    Behind,
    Placement,
    ServiceArgs,
    declare_scaling,
    declare_service,
)
from rayline_infra.components.sign_in import SignIn
from rayline_infra.components.tasks import TaskArgs, TaskRoles, TaskSize, declare_task
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.settings import ApiSettings

# Its own certificate, since the network between load balancer and tasks carries what may name patients.
COMMAND = ("rayline", "api", "serve", "--host", "0.0.0.0", "--port", str(API_PORT), "--own-certificate")  # noqa: S104
HEALTH_PATH = "/api/v1/health"
# TLS 1.3, and 1.2 with forward secrecy for CloudFront (ELB user guide, "Security policies").
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
CPU_PERCENT = 60.0
REQUESTS_PER_TASK_AND_MINUTE = 1000.0
ACCESS_LOG_PREFIX = "load-balancer"
CONNECTION_LOG_PREFIX = "load-balancer-connections"

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_150",
        "api-balancer",
        "is destroyed and made again",
        stacks=("dev", "local"),
    ),
)


@dataclass(frozen=True)
class ApiArgs:
    """The tasks' size, roles, image and environment; the load balancer's place, certificate and logs.

    Attributes:
        reaches_the_internet: whether the load balancer can fetch the user pool's keys, and so refuses a token that
            does not hold before a task sees it.
    """

    names: EstateNames
    api: ApiSettings
    sign_in: SignIn
    placement: Placement
    vpc_id: pulumi.Input[str]
    balancer_security_group_id: pulumi.Input[str]
    certificate_arn: pulumi.Input[str]
    access_logs_bucket: pulumi.Input[str]
    roles: TaskRoles
    image: pulumi.Input[str]
    collector_image: pulumi.Input[str] | None
    logs_key_arn: pulumi.Input[str]
    log_days: int
    environment: Mapping[str, pulumi.Input[str]]
    deletion_protection: bool
    reaches_the_internet: bool


class Api(pulumi.ComponentResource):
    """`rayline api serve` as a service: nobody gets past it without a token of the estate's user pool."""

    def __init__(
        self,
        name: str,
        args: ApiArgs,
        opts: pulumi.ResourceOptions | None = None,
        depends_on: Sequence[pulumi.Resource] = (),
    ) -> None:
        super().__init__("rayline:services:Api", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.balancer = self._declare_balancer()
        self.target_group = self._declare_target_group()
        listener = self._declare_listener()
        self.task_definition = self._declare_task()
        self.service = declare_service(
            ServiceArgs(
                names=args.names,
                kind="api",
                placement=args.placement,
                task_definition_arn=self.task_definition.arn,
                tasks=args.api.least_tasks,
                behind=Behind(self.target_group.arn, API_PORT),
                scaled=True,
            ),
            self,
            # ECS refuses a target group that no listener sends to.
            [*depends_on, *self._declare_rules(listener)],
        )
        self._scale()
        self.register_outputs({})

    def _declare_balancer(self) -> aws.lb.LoadBalancer:
        args = self._args
        return aws.lb.LoadBalancer(
            "api-balancer",
            name=args.names.service("api"),
            internal=True,
            load_balancer_type="application",
            subnets=list(args.placement.subnet_ids),
            security_groups=[args.balancer_security_group_id],
            drop_invalid_header_fields=True,
            desync_mitigation_mode="strictest",
            enable_deletion_protection=args.deletion_protection,
            # A request that WAF cannot look at is refused.
            enable_waf_fail_open=False,
            access_logs=aws.lb.LoadBalancerAccessLogsArgs(
                bucket=args.access_logs_bucket, prefix=ACCESS_LOG_PREFIX, enabled=True
            ),
            connection_logs=aws.lb.LoadBalancerConnectionLogsArgs(
                bucket=args.access_logs_bucket, prefix=CONNECTION_LOG_PREFIX, enabled=True
            ),
            opts=self._child,
        )

    def _declare_target_group(self) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            "api-targets",
            name=self._args.names.service("api"),
            target_type="ip",
            vpc_id=self._args.vpc_id,
            port=API_PORT,
            # Tasks make a certificate of their own, which the load balancer does not check: encryption in transit.
            protocol="HTTPS",
            load_balancing_algorithm_type="least_outstanding_requests",
            deregistration_delay=30,
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                enabled=True,
                path=HEALTH_PATH,
                protocol="HTTPS",
                matcher="204",
                interval=15,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=3,
            ),
            opts=self._child,
        )

    def _declare_listener(self) -> aws.lb.Listener:
        return aws.lb.Listener(
            "api-listener",
            load_balancer_arn=self.balancer.arn,
            port=443,
            protocol="HTTPS",
            ssl_policy=TLS_POLICY,
            certificate_arn=self._args.certificate_arn,
            routing_http_response_server_enabled=False,
            # Whatever is not the API's is nobody's; there is no listener for HTTP at all.
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(
                    type="fixed-response",
                    fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
                        content_type="text/plain", message_body="not found", status_code="404"
                    ),
                )
            ],
            opts=self._child,
        )

    def _declare_rules(self, listener: aws.lb.Listener) -> list[pulumi.Resource]:
        condition = aws.lb.ListenerRuleConditionArgs
        api_paths = condition(path_pattern=aws.lb.ListenerRuleConditionPathPatternArgs(values=["/api/*"]))
        rules: list[pulumi.Resource] = []
        if self._args.api.cors_origins:
            # A browser asks before it sends a token along; CloudFront says in the answer which origins may.
            method = aws.lb.ListenerRuleConditionHttpRequestMethodArgs(values=["OPTIONS"])
            nothing = aws.lb.ListenerRuleActionFixedResponseArgs(
                content_type="text/plain", status_code="200", message_body=""
            )
            rules.append(
                aws.lb.ListenerRule(
                    "api-preflight-rule",
                    listener_arn=listener.arn,
                    priority=5,
                    conditions=[api_paths, condition(http_request_method=method)],
                    actions=[aws.lb.ListenerRuleActionArgs(type="fixed-response", fixed_response=nothing)],
                    opts=self._child,
                )
            )
        rules.append(
            aws.lb.ListenerRule(
                "api-rule",
                listener_arn=listener.arn,
                priority=10,
                conditions=[api_paths],
                actions=self._actions(),
                opts=self._child,
            )
        )
        return rules

    def _actions(self) -> list[aws.lb.ListenerRuleActionArgs]:
        action, sign_in = aws.lb.ListenerRuleActionArgs, self._args.sign_in
        forward = action(type="forward", order=2, target_group_arn=self.target_group.arn)
        if not self._args.reaches_the_internet:
            return [forward]
        claim = aws.lb.ListenerRuleActionJwtValidationAdditionalClaimArgs
        checked = aws.lb.ListenerRuleActionJwtValidationArgs(
            issuer=sign_in.issuer,
            jwks_endpoint=sign_in.keys_url,
            additional_claims=[
                claim(name="client_id", format="single-string", values=[sign_in.client.id]),
                claim(name="token_use", format="single-string", values=["access"]),
            ],
        )
        return [action(type="jwt-validation", order=1, jwt_validation=checked), forward]

    def _declare_task(self) -> aws.ecs.TaskDefinition:
        args = self._args
        return declare_task(
            TaskArgs(
                names=args.names,
                kind="api",
                size=TaskSize(args.api.cpu_units, args.api.memory_mib),
                roles=args.roles,
                image=args.image,
                command=COMMAND,
                logs_key_arn=args.logs_key_arn,
                log_days=args.log_days,
                environment={**args.environment, "RAYLINE_API_ACCESS_DOCUMENT": self._access()},
                secrets={"RAYLINE_API_SIGN_IN_KEYS": args.sign_in.keys.arn},
                ports=[API_PORT],
                health_command=["rayline", "api", "health", "--port", str(API_PORT)],
                collector_image=args.collector_image,
            ),
            self,
        )

    def _access(self) -> pulumi.Output[str]:
        """Who may use the API: the access file, as JSON."""
        sign_in = self._args.sign_in
        groups = {group: sorted(people.permissions) for group, people in PEOPLE.items()}
        return pulumi.Output.json_dumps(
            {
                "user_pool": {"issuer": sign_in.issuer, "client": sign_in.client.id, "groups": groups},
                "origins": list(self._args.api.cors_origins),
            },
            sort_keys=True,
        )

    def _scale(self) -> None:
        names, api = self._args.names, self._args.api
        target = declare_scaling(names, "api", self.service, api.least_tasks, api.most_tasks, self)
        label = pulumi.Output.concat(self.balancer.arn_suffix, "/", self.target_group.arn_suffix)
        followed: dict[str, tuple[str, float, pulumi.Input[str] | None]] = {
            "cpu": ("ECSServiceAverageCPUUtilization", CPU_PERCENT, None),
            "requests": ("ALBRequestCountPerTarget", REQUESTS_PER_TASK_AND_MINUTE, label),
        }
        metric = (
            aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs
        )
        for kind, (metric_type, value, resource_label) in followed.items():
            aws.appautoscaling.Policy(
                f"api-{kind}",
                name=f"{names.service('api')}-{kind}",
                policy_type="TargetTrackingScaling",
                service_namespace=target.service_namespace,
                scalable_dimension=target.scalable_dimension,
                resource_id=target.resource_id,
                target_tracking_scaling_policy_configuration=(
                    aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                        target_value=value,
                        scale_out_cooldown=60,
                        scale_in_cooldown=300,
                        predefined_metric_specification=metric(
                            predefined_metric_type=metric_type, resource_label=resource_label
                        ),
                    )
                ),
                opts=self._child,
            )
