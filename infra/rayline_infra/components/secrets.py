"""Secrets Manager secrets: declared here, valued by whoever runs the estate."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.environment import SECRET_PREFIX
from rayline.names import EstateNames, SecretKind
from rayline_infra.policies.secrets import secret_policy
from rayline_infra.scanning.exemptions import ScannerExemption

PURPOSES: dict[SecretKind, str] = {
    "tracking": "key of the hashes that stand for identifiers in logs, ledgers and events",
    "deid": "key of the de-identification's UID and date mapping",
    "dimse-certificate": "private key and certificates of the DIMSE gateway, as PEM",
    "dimse-client-ca": "authorities whose certificates modalities show to the DIMSE gateway, as PEM",
}
ALWAYS: tuple[SecretKind, ...] = ("tracking", "deid")
DIMSE_TLS: tuple[SecretKind, ...] = ("dimse-certificate", "dimse-client-ca")

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV2_AWS_57",
        "tracking-secret",
        "hashes in ledgers and logs would no longer match: it is replaced by hand, with a new ledger",
    ),
    ScannerExemption(
        "CKV2_AWS_57",
        "deid-secret",
        "the same patient would become another one: it is replaced by hand, for a new data set",
    ),
    ScannerExemption(
        "CKV2_AWS_57",
        "dimse-*-secret",
        "the hospital's own authority issues and renews certificates",
        when="dimseTls",
    ),
    ScannerExemption(
        "CKV2_AWS_57",
        "plugin-*-secret",
        "is what the other side issued, e.g. the key for a PACS, and is replaced when they issue another",
        when="pluginSecrets",
    ),
)


@dataclass(frozen=True)
class SecretsArgs:
    """Names and key of the secrets, and the plugins that have one."""

    names: EstateNames
    key_arn: pulumi.Input[str]
    recovery_days: int
    plugins: Sequence[str]
    dimse_tls: bool = False


class Secrets(pulumi.ComponentResource):
    """The secrets without their values, which never pass through Pulumi or its state.

    A value is put, and rotated, by ``aws secretsmanager put-secret-value``; new tasks get the new one. The tracking
    and de-identification secrets must not change: what was hashed and mapped with them would no longer match.
    """

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:secrets:Secrets", name, None, opts)
        self._args = args
        self._secrets = {
            kind: self._declare(kind, args.names.secret(kind), PURPOSES[kind])
            for kind in (*ALWAYS, *(DIMSE_TLS if args.dimse_tls else ()))
        }
        self._plugins = {
            plugin: self._declare(
                f"plugin-{plugin}", args.names.plugin_secret(plugin), "of one of the site's plugins"
            )
            for plugin in args.plugins
        }
        self.register_outputs({})

    def arn(self, kind: SecretKind) -> pulumi.Output[str]:
        """ARN of a secret, with the suffix that AWS gives it."""
        return self._secrets[kind].arn

    def arns(self) -> list[pulumi.Output[str]]:
        """ARNs of all secrets."""
        return [secret.arn for secret in (*self._secrets.values(), *self._plugins.values())]

    def of_plugins(self) -> dict[str, pulumi.Output[str]]:
        """ARNs of the plugins' secrets, by the variable that the processor gets each as."""
        return {variable_of(plugin): secret.arn for plugin, secret in self._plugins.items()}

    def of_dimse(self) -> dict[str, pulumi.Output[str]]:
        """ARNs of the gateway's secrets, by the variable that it gets each as; none without TLS."""
        return {variable_of(kind): self._secrets[kind].arn for kind in DIMSE_TLS if kind in self._secrets}

    def _declare(self, name: str, full_name: str, purpose: str) -> aws.secretsmanager.Secret:
        secret = aws.secretsmanager.Secret(
            f"{name}-secret",
            name=full_name,
            description=purpose,
            kms_key_id=self._args.key_arn,
            recovery_window_in_days=self._args.recovery_days,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.secretsmanager.SecretPolicy(
            f"{name}-secret-policy",
            secret_arn=secret.arn,
            policy=secret_policy(self._args.names),
            block_public_policy=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return secret


def variable_of(secret: str) -> str:
    """The environment variable of a secret: ``RAYLINE_SECRET_PACS_TLS`` of ``pacs-tls``."""
    return f"{SECRET_PREFIX}{secret.upper().replace('-', '_')}"
