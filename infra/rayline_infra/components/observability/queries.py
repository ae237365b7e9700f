"""Saved Logs Insights queries: what somebody asks first when an alarm rings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, QueryKind

Source = Literal["services", "trail"]
PLACEHOLDER = "PASTE-HERE"


@dataclass(frozen=True)
class SavedQuery:
    """One query.

    Attributes:
        source: the logs of our services, or the trail of the account.
    """

    text: str
    source: Source = "services"


# The fields are those that ``rayline.observability.logs`` lets through; the rest is redacted before it is logged.
QUERIES: Mapping[QueryKind, SavedQuery] = {
    "errors": SavedQuery(
        """fields @timestamp, event, plugin, hook, error_type, error_code, error_where
| filter level in ["error", "critical"]
| stats count(*) as failures, latest(@timestamp) as last by event, plugin, hook, error_type, error_where
| sort failures desc
| limit 50"""
    ),
    "one-instance": SavedQuery(
        f"""# An instance id, an event identity, an entry of quarantine or a study key, as `rayline` shows it.
fields @timestamp, event, plugin, hook, reason, job_id, batch_id, error_type, @logStream
| filter instance_id = "{PLACEHOLDER}" or identity = "{PLACEHOLDER}"
    or entry_id = "{PLACEHOLDER}" or study_key = "{PLACEHOLDER}"
| sort @timestamp asc
| limit 1000"""
    ),
    "rejections": SavedQuery(
        """fields @timestamp, reason, instance_id
| filter event = "instance_quarantined"
| stats count(*) as instances, latest(instance_id) as newest by reason
| sort instances desc"""
    ),
    "slowest-hooks": SavedQuery(
        """# Calls are logged where the processor runs with --verbose; overruns and failures always are.
fields @timestamp, plugin, hook, seconds
| filter event in ["hook_called", "hook_failed", "plugin_overrun", "plugin_memory_overrun"]
| stats count(*) as calls, avg(seconds) as average, max(seconds) as slowest by event, plugin, hook, effect
| sort slowest desc, calls desc
| limit 50"""
    ),
    "slow-requests": SavedQuery(
        """fields @timestamp, route, method, status, seconds
| filter event = "api_request"
| stats count(*) as requests, avg(seconds) as average, pct(seconds, 99) as p99,
    sum(status >= 500) as failed by route, method
| sort p99 desc
| limit 50"""
    ),
    "throttles": SavedQuery(
        """# Attempts that AWS services refused, as our own metric counts them.
fields @timestamp, Service, Throttles
| filter ispresent(Throttles)
| stats sum(Throttles) as refused by Service, bin(5m)
| sort refused desc"""
    ),
    "audit": SavedQuery(
        """# Who looked at a patient's data, released or purged; the same is kept in the tracking table for good.
fields @timestamp, by, action, entry_id, entries
| filter event = "audit"
| sort @timestamp desc
| limit 1000"""
    ),
    "account-audit": SavedQuery(
        """# Who called AWS, and from where; a role of ours is named by the session that took it.
fields @timestamp, userIdentity.arn, eventSource, eventName, sourceIPAddress, errorCode
| filter ispresent(userIdentity.arn)
| stats count(*) as calls, count(errorCode) as refused, latest(@timestamp) as last
    by userIdentity.arn, eventSource, eventName, sourceIPAddress
| sort refused desc, calls desc
| limit 200""",
        "trail",
    ),
}


@dataclass(frozen=True)
class SavedQueriesArgs:
    """Names of the log groups that are asked.

    Attributes:
        trail_log_groups: empty where the account has its own trail.
    """

    names: EstateNames
    service_log_groups: Sequence[str]
    trail_log_groups: Sequence[str]


class SavedQueries(pulumi.ComponentResource):
    """One query definition each."""

    def __init__(self, name: str, args: SavedQueriesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:observability:SavedQueries", name, None, opts)
        groups: Mapping[Source, Sequence[str]] = {
            "services": args.service_log_groups,
            "trail": args.trail_log_groups,
        }
        for kind, query in QUERIES.items():
            if not groups[query.source]:
                continue
            aws.cloudwatch.QueryDefinition(
                f"{kind}-query",
                name=args.names.query(kind),
                query_string=query.text,
                log_group_names=list(groups[query.source]),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})
