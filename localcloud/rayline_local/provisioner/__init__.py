"""Applies the Pulumi program in ``infra/`` to the local cloud, without Pulumi's engine or an account."""

from rayline_local.provisioner.adapters import NOT_EMULATED
from rayline_local.provisioner.apply import apply
from rayline_local.provisioner.errors import ProvisionError

__all__ = ["NOT_EMULATED", "ProvisionError", "apply"]
