"""Who is told, and when something counts as wrong."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rayline_infra.settings.section import Section, Texts, setting

MAIL = re.compile(r"[^@\s<>,;]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
PHONE = re.compile(r"\+[1-9]\d{6,14}")
HTTPS = re.compile(r"https://[^\s@/]+(/\S*)?")


class ObservabilitySettings(Section):
    """Receivers of alarms, and thresholds that a site may want otherwise."""

    alert_emails: Texts = setting(
        "alertEmails", "Addresses that get alarms by mail.", ["rayline-oncall@hospital-a.org"], default=()
    )
    alert_phones: Texts = setting(
        "alertPhones", "Numbers that get urgent alarms by SMS, in E.164.", ["+15555550100"], default=()
    )
    alert_pager_urls: Texts = setting(
        "alertPagerUrls",
        "HTTPS endpoints of a pager service that get urgent alarms.",
        ["https://events.pagerduty.com/integration/0123456789abcdef/enqueue"],
        default=(),
    )
    slack_workspace_id: str = setting(
        "slackWorkspaceId",
        "Slack workspace that gets alarms, with slackChannelId.",
        "T0123ABCD",
        default="",
        pattern=r"^(T[A-Z0-9]{6,20})?$",
    )
    slack_channel_id: str = setting(
        "slackChannelId",
        "Slack channel that gets alarms.",
        "C0123ABCD",
        default="",
        pattern=r"^(C[A-Z0-9]{6,20})?$",
    )
    runbook_url: str = setting(
        "runbookUrl",
        "Where people read the runbooks that alarms link: an address, or the folder in the repository.",
        "https://github.com/hospital-a/rayline/blob/main/docs/runbooks",
        default="https://github.com/rayline/rayline/blob/main/docs/runbooks",
        pattern=r"^(https://\S+|docs/runbooks)$",
    )
    storage_budget_gib: Annotated[float, Field(gt=0)] = setting(
        "storageBudgetGib", "GiB of images above which the storage alarm fires.", 5000, default=5000
    )
    least_accuracy: Annotated[float, Field(ge=0, le=1)] = setting(
        "alarmLeastAccuracy",
        "Accuracy of a new model below which the accuracy alarm fires.",
        0.85,
        default=0.85,
    )
    retrieval_latency_ms: Annotated[float, Field(gt=0, le=60_000)] = setting(
        "alarmRetrievalLatencyMs",
        "Milliseconds that reads from HealthImaging may take on average before the latency alarm fires.",
        1000,
        default=1000,
    )
    connection_errors_a_minute: Annotated[float, Field(ge=0)] = setting(
        "alarmConnectionErrorsPerMinute",
        "Attempts a minute without an answer above which the connection alarm fires.",
        5,
        default=5,
    )
    consumer_error_percent: Annotated[float, Field(ge=0, lt=100)] = setting(
        "alarmConsumerErrorPercent",
        "Share of messages in percent whose handling failed above which the consumer alarm fires.",
        1,
        default=1,
    )
    oldest_message_seconds: Annotated[int, Field(ge=60, le=14 * 24 * 3600)] = setting(
        "alarmOldestMessageSeconds",
        "Seconds that the oldest event may wait in the queue before its alarm fires.",
        900,
        default=900,
    )
    audit_lag_minutes: Annotated[int, Field(ge=3, le=1440, multiple_of=3)] = setting(
        "alarmAuditLagMinutes",
        "Minutes without an entry of the audit trail after which its alarm fires; a multiple of 3.",
        15,
        default=15,
    )
    certificate_days: Annotated[int, Field(ge=1, le=60)] = setting(
        "alarmCertificateDays",
        "Days before the certificate expires at which its alarm fires; ACM renews 60 days before.",
        30,
        default=30,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        for name, addresses, shape, what in (
            ("alertEmails", self.alert_emails, MAIL, "mail address"),
            ("alertPhones", self.alert_phones, PHONE, "number in E.164"),
            ("alertPagerUrls", self.alert_pager_urls, HTTPS, "https address without a password"),
        ):
            for address in addresses:
                if not shape.fullmatch(address):
                    yield name, f"{address} is no {what}"
        if self.slack_workspace_id and not self.slack_channel_id:
            yield "slackChannelId", "slackWorkspaceId is set"
        if self.slack_channel_id and not self.slack_workspace_id:
            yield "slackWorkspaceId", "slackChannelId is set"
