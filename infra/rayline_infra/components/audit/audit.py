"""What of the audit this stack makes, and what it leaves to the account."""

from dataclasses import dataclass

import pulumi

from rayline.names import EstateNames
from rayline_infra.components.audit.guards import AccessAnalyzer, GuardDuty
from rayline_infra.components.audit.recorder import Recorder, RecorderArgs
from rayline_infra.components.audit.trails import Recorded, Trails, TrailsArgs
from rayline_infra.components.bucket import DeclaredBucket
from rayline_infra.settings import AuditSettings


@dataclass(frozen=True)
class AuditArgs:
    """Where the trail is kept, for how long it can be searched, and which data it is about.

    Attributes:
        logs: the bucket of the trail, locked in production.
        access_logs: the bucket of AWS Config, which delivers to no locked one.
        log_days: how long the management trail can be searched in CloudWatch Logs.
    """

    names: EstateNames
    settings: AuditSettings
    logs: DeclaredBucket
    access_logs: DeclaredBucket
    logs_key_arn: pulumi.Input[str]
    log_days: int
    recorded: Recorded


class Audit(pulumi.ComponentResource):
    """Trails, configuration history, threat detection and access analysis, each where the stack says ``create``.

    Attributes:
        trail_log_groups: log groups in which a trail of ours can be searched, and its silence be seen.
    """

    def __init__(self, name: str, args: AuditArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        settings = args.settings
        # On record, so that a policy can tell what the account has already from what was forgotten.
        ownership = {
            "cloudTrail": settings.trail,
            "config": settings.config,
            "guardDuty": settings.guard_duty,
            "accessAnalyzer": settings.access_analyzer,
        }
        super().__init__("rayline:audit:Audit", name, ownership, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.trail_log_groups: list[str] = []
        if settings.trail == "create":
            trails = TrailsArgs(args.names, args.logs, args.logs_key_arn, args.log_days, args.recorded)
            Trails("trails", trails, child)
            self.trail_log_groups.append(args.names.trail_log_group)
        if settings.config == "create":
            Recorder("recorder", RecorderArgs(args.names, args.access_logs), child)
        if settings.guard_duty == "create":
            GuardDuty("guard-duty", child)
        if settings.access_analyzer == "create":
            AccessAnalyzer("access-analyzer", args.names, child)
        self.register_outputs(ownership)
