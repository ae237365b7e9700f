"""``rayline replay``: send events again, after showing what would run and what is already done."""

import getpass
import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rayline.cli.estate import Estate, open_estate
from rayline.cli.reconcile import moment_since
from rayline.effects import EffectLedger
from rayline.errors import ConfigurationError
from rayline.events import EVENT_TYPES
from rayline.hashing import KeyedHash
from rayline.replay import ASK_ABOVE, Replay, ReplayReport
from rayline.replaying.archives import Archives, Progress
from rayline.replaying.candidates import REMINDER, UNREADABLE, Source
from rayline.replaying.dead_letters import DeadLetters
from rayline.replaying.quarantined import Quarantined
from rayline.runtime import utc_now
from rayline.settings import load_secrets

KINDS = (*(str(each.model_fields["kind"].default) for each in EVENT_TYPES), REMINDER, UNREADABLE)


class Origin(StrEnum):
    """Where events are replayed from."""

    DLQ = "dlq"
    QUARANTINE = "quarantine"
    ARCHIVE = "archive"


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def replay(
        origin: Annotated[Origin, typer.Option("--from", help="Where the events are.")],
        event: Annotated[str | None, typer.Option(help="Only this kind, e.g. uploaded.")] = None,
        plugin: Annotated[
            str | None, typer.Option(help="Run this plugin's hooks again, though they are done.")
        ] = None,
        since: Annotated[
            str, typer.Option(help="Of the archive, events since: 90m, 12h, 7d, or a date.")
        ] = "1d",
        until: Annotated[str | None, typer.Option(help="Of the archive, events until; default now.")] = None,
        dry_run: Annotated[
            bool, typer.Option(help="Only show what would run again; change nothing.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    ) -> None:
        """Send events again from the dead-letter queue, quarantine or the event archive.

        What is done stays done: only effects that have not ended run, those that quarantine was filled by, and the
        plugin's that --plugin names. With RAYLINE_SECRET_TRACKING set, states are shown of every message; without it,
        of those whose identity was recorded.
        """
        if event is not None and event not in KINDS:
            raise ConfigurationError(f"no event kind {event!r}; use one of {', '.join(KINDS)}")
        estate = open_estate()
        now = utc_now()
        end = now if until is None else moment_since(until, now)
        run = Replay(
            _source(estate, origin, moment_since(since, now), end, now),
            EffectLedger(
                estate.clients.dynamodb,
                estate.settings.effects_table,
                clock=utc_now,
                lease_seconds=estate.settings.lease_seconds,
                clock_skew_seconds=estate.settings.clock_skew_seconds,
            ),
            event=event,
            plugin=plugin,
        )
        candidates = run.look()
        report = run.preview(candidates)
        if not as_json:
            _show(report, origin)
        if dry_run or not (candidates or origin is Origin.ARCHIVE):
            run.leave()
        elif (
            len(candidates) > ASK_ABOVE
            and not yes
            and not typer.confirm(f"Replay {len(candidates)} events?", err=True)
        ):
            run.leave()
            raise typer.Exit(1)
        else:
            report = run.act(candidates, by=getpass.getuser())
        if as_json:
            typer.echo(json.dumps(report.as_json(), sort_keys=True))
        elif report.sent is not None:
            typer.echo(
                f"{report.sent} sent again, {report.reopened} effects reopened, {report.left} left there"
            )


def _source(estate: Estate, origin: Origin, since: datetime, until: datetime, now: datetime) -> Source:
    settings, clients = estate.settings, estate.clients
    secrets = load_secrets()
    keyed_hash = KeyedHash.from_secrets(secrets) if "tracking" in secrets else None
    match origin:
        case Origin.DLQ:
            return DeadLetters(
                clients.sqs,
                queue_url=settings.queue_url,
                dead_letter_queue_url=settings.dead_letter_queue_url,
                site=settings.site,
                keyed_hash=keyed_hash,
            )
        case Origin.QUARANTINE:
            return Quarantined(estate.quarantine, estate.releaser, settings, keyed_hash)
        case Origin.ARCHIVE:
            if since >= until:
                raise ConfigurationError("--since is not before --until; nothing lies between them")
            return Archives(clients, settings, since=since, until=until, started=now, tell=_tell)


def _tell(progress: Progress) -> None:
    reached = f", reached {progress.until:%Y-%m-%d %H:%M}" if progress.until else ""
    typer.echo(f"archive {progress.archive}: {progress.state.lower()}{reached}", err=True)


def _show(report: ReplayReport, origin: Origin) -> None:
    rows = [row for each in report.candidates for row in each.rows()]
    table = Table(title=f"{len(report.candidates)} in {origin.value}")
    for column in ("event", "identity", "hook", "plugin", "state", "would run", "reason"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row["event"],
            row["identity"] or row["entry"],
            row["hook"],
            row["plugin"],
            row["state"],
            "yes" if row["would_run"] else "no",
            row["reason"],
        )
    Console().print(table)
    if origin is Origin.ARCHIVE:
        typer.echo(
            "An archive cannot be listed: these are the events that the ledger knows of that time. "
            "Those that never reached it are replayed too."
        )
