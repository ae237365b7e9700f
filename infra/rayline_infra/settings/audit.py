"""Who did what: trails, their retention, and the account's own guards."""

from typing import Annotated, Literal

from pydantic import Field

from rayline_infra.settings.section import Flag, Section, setting

Ownership = Literal["create", "existing"]
ACCOUNT_WIDE = "create makes it; existing leaves it to the account, which has one already"


class AuditSettings(Section):
    """The audit trail, and which account-wide services this stack makes."""

    audit_years: Annotated[int, Field(ge=1, le=20)] = setting(
        "auditRetentionYears", "Years that audit logs stay.", 7, default=7
    )
    object_lock: Flag = setting(
        "auditObjectLock",
        "Locks audit logs in compliance mode: nobody can delete them, and the stack cannot be destroyed.",
        True,
        default=True,
    )
    trail: Ownership = setting(
        "cloudTrail", f"CloudTrail with data events: {ACCOUNT_WIDE}.", "create", default="create"
    )
    config: Ownership = setting("config", f"AWS Config: {ACCOUNT_WIDE}.", "existing", default="create")
    guard_duty: Ownership = setting("guardDuty", f"GuardDuty: {ACCOUNT_WIDE}.", "existing", default="create")
    access_analyzer: Ownership = setting(
        "accessAnalyzer", f"IAM Access Analyzer: {ACCOUNT_WIDE}.", "existing", default="create"
    )
