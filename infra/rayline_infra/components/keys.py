"""KMS keys: one per zone and purpose, and one per zone in the region that copies go to."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.policies.keys import KEY_KINDS, KeyKind, key_policy, replica_key_policy
from rayline_infra.policies.replication import Copies, Zone

PURPOSES: dict[KeyKind, str] = {
    "identified": "uploads, quarantine, originals, event queue and event archive: what may name a patient",
    "deidentified": "import batches, image sets, training data, models and reports",
    "tracking": "the ledgers",
    "logs": "logs, the audit trail and alarms",
    "secrets": "the secrets of the processor and of the site's plugins",
}
ROTATION_DAYS = 365


@dataclass(frozen=True)
class KeysArgs:
    """What the keys need to know; key policies name roles, which must exist first."""

    names: EstateNames
    copies: Copies
    deletion_days: int


class Keys(pulumi.ComponentResource):
    """The five keys, rotated yearly, each with an alias and a policy that names who may use it."""

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:keys:Keys", name, None, opts)
        self._args = args
        self._keys = {
            kind: self._declare(
                kind, PURPOSES[kind], key_policy(kind, args.names, args.copies), args.names.region
            )
            for kind in KEY_KINDS
        }
        # A key of its own, not a multi-Region one: what opens the copies opens nothing at home.
        self._replicas: dict[Zone, aws.kms.Key] = {
            zone: self._declare(
                f"{zone}-replica",
                f"copies of the {zone} zone",
                replica_key_policy(zone, args.names),
                args.copies.replica_region,
            )
            for zone in args.copies.zones_abroad
        }
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

    def replica_arn(self, zone: Zone) -> pulumi.Output[str]:
        """ARN of a zone's key in the other region; an empty text where nothing of it goes there."""
        return self._replicas[zone].arn if zone in self._replicas else pulumi.Output.from_input("")

    def _declare(self, name: str, purpose: str, policy: str, region: str) -> aws.kms.Key:
        names = self._args.names
        key = aws.kms.Key(
            f"{name}-key",
            region=region,
            description=f"rayline {names.stack}: {purpose}",
            policy=policy,
            enable_key_rotation=True,
            rotation_period_in_days=ROTATION_DAYS,
            deletion_window_in_days=self._args.deletion_days,
            tags={"Name": f"{names.prefix}-{name}"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.kms.Alias(
            f"{name}-key-alias",
            region=region,
            name=f"alias/{names.prefix}-{name}",
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return key
