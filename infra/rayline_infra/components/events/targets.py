"""What every rule's target has: a dead-letter queue, and a day of retries."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# The most that EventBridge takes, and what it does by default (user guide, "Event retry policy").
RETRY_SECONDS = 24 * 3600
RETRIES = 185


@dataclass(frozen=True)
class Target:
    """Where one rule delivers.

    Attributes:
        body: constant text that is delivered in place of the event.
        paths, template: text that is delivered in place of the event, made of some of its fields.
    """

    kind: str
    rule: aws.cloudwatch.EventRule
    arn: pulumi.Input[str]
    dead_letter_arn: pulumi.Input[str]
    body: str | None = None
    paths: tuple[tuple[str, str], ...] = ()
    template: str = ""

    def declare(self, parent: pulumi.Resource) -> None:
        """Declare the target under a component."""
        transformer = aws.cloudwatch.EventTargetInputTransformerArgs(
            input_paths=dict(self.paths), input_template=self.template
        )
        aws.cloudwatch.EventTarget(
            f"{self.kind}-target",
            rule=self.rule.name,
            event_bus_name=self.rule.event_bus_name,
            target_id=self.kind,
            arn=self.arn,
            input=self.body,
            input_transformer=transformer if self.template else None,
            dead_letter_config=aws.cloudwatch.EventTargetDeadLetterConfigArgs(arn=self.dead_letter_arn),
            retry_policy=aws.cloudwatch.EventTargetRetryPolicyArgs(
                maximum_event_age_in_seconds=RETRY_SECONDS, maximum_retry_attempts=RETRIES
            ),
            opts=pulumi.ResourceOptions(parent=parent),
        )
