"""``rayline quarantine``: look at what was refused, and send it again."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rayline.cli.estate import open_estate
from rayline.release import NotReleasable


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(help="Look at what was refused and why, and send it again.", no_args_is_help=True)
    app.add_typer(verbs, name="quarantine")

    @verbs.command("list")
    def list_entries(
        reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object an entry.")] = False,
    ) -> None:
        """List entries: id, reason code, explanation, size."""
        estate = open_estate()
        records = [each for each in estate.quarantine.records() if reason in (None, each.reason)]
        if as_json:
            for record in records:
                shown = {k: v for k, v in asdict(record).items() if not k.startswith("origin_")}
                typer.echo(json.dumps(shown, sort_keys=True))
            return
        table = Table(title=f"{len(records)} in quarantine")
        # The id is what the other verbs want, so it is never cut.
        table.add_column("id", no_wrap=True)
        for column in ("reason", "explanation", "bytes"):
            table.add_column(column, overflow="fold")
        for record in sorted(records, key=lambda each: each.quarantined_at):
            table.add_row(record.entry_id, record.reason, record.explanation, str(record.size_bytes))
        Console().print(table)

    @verbs.command()
    def show(
        entry_id: Annotated[str, typer.Argument(help="The id that `quarantine list` shows.")],
        origin: Annotated[
            bool, typer.Option(help="Show the sender's key too; it may name a patient.")
        ] = False,
    ) -> None:
        """Show one entry as JSON."""
        record = asdict(open_estate().quarantine.record(entry_id))
        typer.echo(
            json.dumps({k: v for k, v in record.items() if origin or not k.startswith("origin_")}, indent=2)
        )

    @verbs.command()
    def release(
        entry_id: Annotated[str, typer.Argument(help="The id that `quarantine list` shows.")],
    ) -> None:
        """Send an entry again, e.g. once the site profile was mended; it is screened anew."""
        estate = open_estate()
        record = estate.quarantine.record(entry_id)
        if record.entry_id.startswith("event-"):
            raise NotReleasable(
                f"{entry_id} is an event, whose refusal stands; `rayline replay --from quarantine` has it tried again"
            )
        estate.releaser.release(record)
        typer.echo(f"{entry_id} was sent again")
