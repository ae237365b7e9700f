"""Archives of events, from which `rayline replay` brings them back."""

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.components.events.patterns import archive_pattern


@dataclass(frozen=True)
class ArchivesArgs:
    """What is kept, for how long, and under which key.

    Attributes:
        key_arn: of the identified zone: object keys chosen by senders may name patients.
    """

    names: EstateNames
    datastore_id: pulumi.Output[str]
    bus_arn: pulumi.Output[str]
    key_arn: pulumi.Input[str]
    days: int


class Archives(pulumi.ComponentResource):
    """One archive for each bus, of this stack's events."""

    def __init__(self, name: str, args: ArchivesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Archives", name, None, opts)
        names = args.names
        aws.cloudwatch.EventArchive(
            "aws-event-archive",
            name=names.archive("aws"),
            description=f"rayline {names.stack}: events of AWS services",
            event_source_arn=names.archived_bus_arn("aws"),
            event_pattern=args.datastore_id.apply(
                lambda datastore_id: json.dumps(archive_pattern(names, datastore_id), sort_keys=True)
            ),
            retention_days=args.days,
            kms_key_identifier=args.key_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.cloudwatch.EventArchive(
            "own-event-archive",
            name=names.archive("own"),
            description=f"rayline {names.stack}: our own events",
            event_source_arn=args.bus_arn,
            retention_days=args.days,
            kms_key_identifier=args.key_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
