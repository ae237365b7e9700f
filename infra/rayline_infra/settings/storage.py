"""How long data stay, where they go with age, and what is copied elsewhere."""

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rayline_infra.settings.section import Flag, Section, Texts, setting

# CloudWatch Logs API, "PutRetentionPolicy".
LOG_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
TAKES_DAYS = f"CloudWatch Logs takes {', '.join(str(days) for days in LOG_DAYS)}"
PLUGIN_SECRET = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class StorageSettings(Section):
    """Retention, tiering and copies."""

    upload_days: Annotated[int, Field(ge=1, le=36_500)] = setting(
        "uploadRetentionDays",
        "Days that an uploaded original stays once HealthImaging has its image; one that was never imported stays.",
        365,
        default=365,
    )
    quarantine_days: Annotated[int, Field(ge=1, le=36_500)] = setting(
        "quarantineRetentionDays", "Days that refused input stays.", 365, default=365
    )
    batch_days: Annotated[int, Field(ge=1, le=3650)] = setting(
        "batchRetentionDays", "Days that finished import batches and training images stay.", 30, default=30
    )
    log_days: Annotated[int, Field(ge=1, le=3653)] = setting(
        "logRetentionDays", "Days that logs stay; CloudWatch Logs takes certain numbers only.", 30, default=30
    )
    secret_recovery_days: Annotated[int, Field(ge=0, le=30)] = setting(
        "secretRecoveryDays",
        "Days that a deleted secret can be restored: 0, or 7 to 30.",
        30,
        default=30,
    )
    key_deletion_days: Annotated[int, Field(ge=7, le=30)] = setting(
        "keyDeletionDays",
        "Days until a key that was deleted is gone, and with it all that it encrypts.",
        30,
        default=30,
    )
    intelligent_tiering_days: Annotated[int, Field(ge=30, le=3650)] = setting(
        "intelligentTieringDays",
        "Age in days at which kept objects move to Intelligent-Tiering.",
        90,
        default=90,
    )
    glacier_days: Annotated[int, Field(ge=90, le=3650)] = setting(
        "glacierDays", "Age in days at which kept objects move to Glacier.", 180, default=180
    )
    original_archive: Flag = setting(
        "originalArchive",
        "Keeps the originals in an archive bucket of the identified zone.",
        False,
        default=False,
    )
    replica_region: str = setting(
        "replicaRegion",
        "Region that models, reports and the archive are copied to; empty copies nothing.",
        "us-west-2",
        default="",
        pattern=r"^([a-z]{2}(-[a-z]+)+-\d)?$",
    )
    plugin_secrets: Texts = setting(
        "pluginSecrets",
        "Secrets of the site's plugins; each is the variable RAYLINE_SECRET_<NAME> in the processor.",
        ["pacs-tls"],
        default=(),
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.log_days not in LOG_DAYS:
            yield "logRetentionDays", TAKES_DAYS
        if 0 < self.secret_recovery_days < 7:
            yield "secretRecoveryDays", "Secrets Manager takes 0, or 7 to 30"
        if self.glacier_days <= self.intelligent_tiering_days:
            yield "glacierDays", "it must be above intelligentTieringDays"
        for name in self.plugin_secrets:
            if not PLUGIN_SECRET.fullmatch(name):
                yield "pluginSecrets", f"{name!r} is not lower-case letters, digits and single hyphens"
            elif name in ("tracking", "deid"):
                yield "pluginSecrets", f"{name!r} is a secret of the estate's own"
        if len(set(self.plugin_secrets)) < len(self.plugin_secrets):
            yield "pluginSecrets", "a name stands twice"
