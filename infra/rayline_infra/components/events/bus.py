"""The custom bus for our own events, and who may put some on it."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.policies.resources import event_bus_policy


@dataclass(frozen=True)
class BusArgs:
    """Name, key and dead-letter queue of the bus."""

    names: EstateNames
    key_arn: pulumi.Input[str]
    dead_letter_arn: pulumi.Input[str]


class Bus(pulumi.ComponentResource):
    """The bus and its policy; ``aws.*`` events stay on the default bus, where AWS puts them."""

    def __init__(self, name: str, args: BusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:events:Bus", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.bus = aws.cloudwatch.EventBus(
            "event-bus",
            name=args.names.event_bus,
            description="Rayline's own events; aws.* events stay on the default bus",
            # Findings of a radiologist are free text.
            kms_key_identifier=args.key_arn,
            # Takes events that could not be encrypted or decrypted (user guide, "DLQs for encrypted events").
            dead_letter_config=aws.cloudwatch.EventBusDeadLetterConfigArgs(arn=args.dead_letter_arn),
            opts=child,
        )
        aws.cloudwatch.EventBusPolicy(
            "event-bus-policy",
            event_bus_name=self.bus.name,
            policy=event_bus_policy(args.names),
            opts=child,
        )
        self.register_outputs({})
