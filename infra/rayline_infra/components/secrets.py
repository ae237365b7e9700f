"""Secrets Manager secrets: declared here, valued by whoever runs the estate."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, SecretKind

PURPOSES: dict[SecretKind, str] = {
    "tracking": "key of the hashes that stand for identifiers in logs, ledgers and events",
    "deid": "key of the de-identification's UID and date mapping",
}


@dataclass(frozen=True)
class SecretsArgs:
    """Names and key of the secrets."""

    names: EstateNames
    key_arn: pulumi.Input[str]
    recovery_days: int


class Secrets(pulumi.ComponentResource):
    """The secrets without their values, which never pass through Pulumi or its state."""

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:secrets:Secrets", name, None, opts)
        self._secrets = {
            kind: aws.secretsmanager.Secret(
                f"{kind}-secret",
                name=args.names.secret(kind),
                description=purpose,
                kms_key_id=args.key_arn,
                recovery_window_in_days=args.recovery_days,
                opts=pulumi.ResourceOptions(parent=self),
            )
            for kind, purpose in PURPOSES.items()
        }
        self.register_outputs({})

    def arn(self, kind: SecretKind) -> pulumi.Output[str]:
        """ARN of a secret, with the suffix that AWS gives it."""
        return self._secrets[kind].arn

    def arns(self) -> list[pulumi.Output[str]]:
        """ARNs of all secrets."""
        return [secret.arn for secret in self._secrets.values()]
