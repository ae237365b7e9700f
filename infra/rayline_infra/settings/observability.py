"""Who is told, and when something counts as wrong."""

from typing import Annotated

from pydantic import Field

from rayline_infra.settings.section import Section, Texts, setting


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
    storage_budget_gib: Annotated[float, Field(gt=0)] = setting(
        "storageBudgetGib", "GiB of images above which the storage alarm fires.", 5000, default=5000
    )
    least_accuracy: Annotated[float, Field(ge=0, le=1)] = setting(
        "alarmLeastAccuracy",
        "Accuracy of a new model below which the accuracy alarm fires.",
        0.85,
        default=0.85,
    )
