"""KMS keys: one per zone and purpose."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.policies.keys import KEY_KINDS, KeyKind, key_policy

PURPOSES: dict[KeyKind, str] = {
    "identified": "uploads, quarantine, event queue and event archive: what may name a patient",
    "deidentified": "import batches, image sets, training data, models and reports",
    "tracking": "the ledgers",
    "logs": "logs and alarms",
    "secrets": "the processor's secrets",
}


@dataclass(frozen=True)
class KeysArgs:
    """What the keys need to know; key policies name roles, which must exist first."""

    names: EstateNames


class Keys(pulumi.ComponentResource):
    """The five keys, rotated yearly, each with an alias and a policy that names who may use it."""

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:keys:Keys", name, None, opts)
        self._keys: dict[KeyKind, aws.kms.Key] = {}
        for kind in KEY_KINDS:
            key = aws.kms.Key(
                f"{kind}-key",
                description=f"rayline {args.names.stack}: {PURPOSES[kind]}",
                policy=key_policy(kind, args.names),
                enable_key_rotation=True,
                deletion_window_in_days=30,
                tags={"Name": f"{args.names.prefix}-{kind}"},
                opts=pulumi.ResourceOptions(parent=self),
            )
            aws.kms.Alias(
                f"{kind}-key-alias",
                name=f"alias/{args.names.prefix}-{kind}",
                target_key_id=key.key_id,
                opts=pulumi.ResourceOptions(parent=self),
            )
            self._keys[kind] = key
        self.register_outputs({})

    def arn(self, kind: KeyKind) -> pulumi.Output[str]:
        """ARN of a key."""
        return self._keys[kind].arn

    def arns(self) -> pulumi.Output[dict[KeyKind, str]]:
        """ARNs of all keys by kind."""
        kinds = list(self._keys)
        return pulumi.Output.all(*(self._keys[kind].arn for kind in kinds)).apply(
            lambda arns: dict(zip(kinds, arns, strict=True))
        )
