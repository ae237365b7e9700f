"""``rayline status``: how far everything has come."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rayline.cli.estate import open_estate
from rayline.progress import count_ledger


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def status(
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Show what the ledger holds: instances by stage, batches, image sets, verifications, training runs."""
        estate = open_estate()
        counts = count_ledger(estate.ledger.everything())
        queue = estate.clients.sqs.get_queue_attributes(
            QueueUrl=estate.settings.queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        )["Attributes"]
        messages = {name.removeprefix("ApproximateNumberOf"): int(value) for name, value in queue.items()}
        if as_json:
            typer.echo(json.dumps({**asdict(counts), "queue": messages}, sort_keys=True))
            return
        table = Table(title=f"site {estate.settings.site}, stack {estate.settings.stack}")
        table.add_column("what")
        table.add_column("state")
        table.add_column("count", justify="right")
        for what, states in (
            ("instances", counts.instances),
            ("quarantined by", counts.reasons),
            ("import batches", counts.batches),
            ("image sets", {"viewable": counts.image_sets, "verified": counts.verified}),
            ("queue", messages),
            ("outbox", {"waiting": counts.outbox}),
        ):
            for state, count in sorted(states.items()):
                table.add_row(what, state, str(count))
        for arn in counts.trainings:
            execution = estate.clients.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            table.add_row("training run", execution["PipelineExecutionStatus"], arn.rsplit("/", 1)[-1])
        Console().print(table)
