"""Who did what, kept for years, and what watches the account: each made here, or the account's own."""

from rayline_infra.components.audit.audit import Audit, AuditArgs
from rayline_infra.components.audit.trails import Recorded

__all__ = ["Audit", "AuditArgs", "Recorded"]
