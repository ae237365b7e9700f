"""``rayline quarantine``: look at what was refused, send it again, or delete it."""

import getpass
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rayline.cli.estate import Estate, open_estate
from rayline.cli.reconcile import moment_since
from rayline.quarantining.dump import HeaderDump, dump_lines
from rayline.quarantining.dump_values import printable
from rayline.quarantining.entries import Entry, Group, GroupBy, Selection, grouped
from rayline.runtime import utc_now

_LISTED = 100
_WIDE = 150  # columns of a terminal on which each fact has a column of its own
_REASONS_SHOWN = 4

Stage = Annotated[str | None, typer.Option(help="Only this stage or hook, e.g. screen_instance.")]
Reason = Annotated[str | None, typer.Option(help="Only this reason code.")]
Study = Annotated[
    str | None,
    typer.Option(
        help="Only this study: its key or the beginning of it; its UID with RAYLINE_SECRET_TRACKING set."
    ),
]
Series = Annotated[str | None, typer.Option(help="Only this series, likewise.")]
Since = Annotated[str | None, typer.Option(help="Only what came since: 90m, 12h, 7d, or a date.")]
OlderThan = Annotated[str | None, typer.Option(help="Only what is older: 90m, 12h, 7d, or a date.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it; without, only show what would be done.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(
        help="Look at what was refused and why, send it again, or delete it.", no_args_is_help=True
    )
    app.add_typer(verbs, name="quarantine")
    verbs.command("list")(_list)
    verbs.command("show")(_show)
    verbs.command("release")(_release)
    verbs.command("requeue")(_requeue)
    verbs.command("purge")(_purge)


def _list(
    stage: Stage = None,
    reason: Reason = None,
    study: Study = None,
    series: Series = None,
    since: Since = None,
    older_than: OlderThan = None,
    group_by: Annotated[GroupBy | None, typer.Option(help="Count by this instead of listing.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="List at most so many; 0 lists all.")] = _LISTED,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object an entry, or a group.")
    ] = False,
) -> None:
    """List entries, the newest first: when, stage, reason code, explanation, study, size, id; or count them."""
    estate = open_estate()
    selection = _selection(estate, stage, reason, study, series, since, older_than)
    if group_by is not None:
        groups = estate.triage.groups(selection, group_by)
        if as_json:
            _print_json(asdict(each) for each in groups)
        else:
            Console().print(_group_table(groups, group_by.value))
        return
    found = estate.triage.entries(selection)
    entries = list(islice(found, limit or None))
    if as_json:
        _print_json(each.as_json() for each in entries)
        return
    more = bool(limit) and next(found, None) is not None
    console = Console()
    console.print(_entry_table(entries, console.width, more=more))
    if more:
        typer.echo("there are more: --limit 0 lists all, --group-by reason counts them", err=True)


def _show(
    entry_id: Annotated[str, typer.Argument(help="The id that `quarantine list` shows.")],
    phi: Annotated[
        bool,
        typer.Option(
            help="Show the sender's key and all values too, which name the patient; that you looked is recorded."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one entry with its header, element by element as far as it can be read.

    Without --phi, values are hidden but for those that say nothing of a person, e.g. Modality and Rows.
    """
    estate = open_estate()
    told: dict[str, Any]
    if phi:
        record, header = estate.triage.look(entry_id, _who(estate))
        told = asdict(record) if header else {**asdict(record), "text": estate.triage.text(record)}
    else:
        entry = estate.triage.quarantine.entry(entry_id)
        header = estate.triage.header(entry)
        told = entry.as_json()
    if as_json:
        typer.echo(json.dumps({**told, "header": header.as_json() if header else None}, sort_keys=True))
        return
    for name, value in told.items():
        if value != "":
            typer.echo(f"{name.replace('_', ' '):<18} {printable(str(value))}")
    if "text" not in told:
        for line in _header_lines(header):
            typer.echo(line)


def _release(
    entry_id: Annotated[str, typer.Argument(help="The id that `quarantine list` shows.")],
) -> None:
    """Send an entry again, e.g. once the site profile was mended; it is screened anew.

    A file that HealthImaging refused goes into an import batch again.
    """
    estate = open_estate()
    estate.triage.emptying.release(entry_id, _who(estate))
    typer.echo(f"{entry_id} was sent again")


def _requeue(
    stage: Stage = None,
    reason: Reason = None,
    study: Study = None,
    series: Series = None,
    since: Since = None,
    older_than: OlderThan = None,
    limit: Annotated[int, typer.Option(min=0, help="Send at most so many; 0 sends all.")] = 0,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send all entries of a selection again, e.g. once the site profile was mended; a dry run without --yes.

    It may be stopped and repeated: what was sent has left quarantine.
    """
    estate = open_estate()
    selection = _selection(estate, stage, reason, study, series, since, older_than)
    with Console(stderr=True).status("reading the index …"):
        entries = list(islice(estate.triage.entries(selection), limit or None))
    if not yes:
        _dry_run(entries, "would be sent again", as_json)
        return
    with _progress("sending again", len(entries)) as progress:
        done = estate.triage.emptying.requeue(entries, selection, _who(estate), progress)
    if as_json:
        typer.echo(json.dumps({"dry_run": False, **asdict(done)}, sort_keys=True))
        return
    typer.echo(f"{done.sent} sent again")
    for why, count in sorted(done.left.items()):
        typer.echo(f"{count} left there: {why}")
    if any("event" in why for why in done.left):
        typer.echo("`rayline replay --from quarantine` has refused events tried again")
    if done.gone:
        typer.echo(f"{done.gone} had left quarantine already")


def _purge(
    older_than: Annotated[str, typer.Option(help="Only what is older: 30d, 12h, or a date.")],
    stage: Stage = None,
    reason: Reason = None,
    study: Study = None,
    series: Series = None,
    every_version: Annotated[
        bool,
        typer.Option(
            help="Delete all versions at once; takes s3:DeleteObjectVersion, which no role of the estate has."
        ),
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete old entries with their contents; a dry run without --yes.

    It may be stopped and repeated. The ledger keeps that they were purged, and the audit trail who did it.
    """
    estate = open_estate()
    selection = _selection(estate, stage, reason, study, series, None, older_than)
    with Console(stderr=True).status("reading the index …"):
        entries = list(estate.triage.entries(selection))
    if not yes:
        _dry_run(entries, "would be deleted", as_json)
        return
    with _progress("deleting", len(entries)) as progress:
        done = estate.triage.emptying.purge(
            entries, selection, _who(estate), every_version=every_version, progress=progress
        )
    days = estate.triage.noncurrent_days() if done.kept_versions else None
    if as_json:
        typer.echo(json.dumps({"dry_run": False, **asdict(done), "noncurrent_days": days}, sort_keys=True))
        return
    typer.echo(f"{done.entries} deleted, {_size(done.size_bytes)}")
    if done.kept_versions:
        until = f"for {days} more days" if days is not None else "until the bucket's lifecycle ends them"
        typer.echo(f"S3 keeps what was deleted as noncurrent versions {until}")


# -- what is asked for -----------------------------------------------------------------------------------------


def _selection(
    estate: Estate,
    stage: str | None,
    reason: str | None,
    study: str | None,
    series: str | None,
    since: str | None,
    older_than: str | None,
) -> Selection:
    now = utc_now()
    return estate.triage.selection(
        stage=stage,
        reason=reason,
        study=study,
        series=series,
        since=None if since is None else moment_since(since, now),
        before=None if older_than is None else moment_since(older_than, now, "--older-than"),
    )


def _who(estate: Estate) -> str:
    """Who acts, as the machine and AWS know them."""
    return f"{getpass.getuser()} as {estate.clients.sts.get_caller_identity()['Arn']}"


# -- what is shown ---------------------------------------------------------------------------------------------


def _print_json(documents: Iterable[dict[str, Any]]) -> None:
    for document in documents:
        typer.echo(json.dumps(document, sort_keys=True))


def _entry_table(entries: Sequence[Entry], width: int, *, more: bool) -> Table:
    title = f"the newest {len(entries)} in quarantine" if more else f"{len(entries)} in quarantine"
    table = Table(title=title, show_lines=width < _WIDE)
    # The id is what the other verbs want, so it is never cut.
    table.add_column("id", no_wrap=True)
    if width < _WIDE:
        table.add_column("reason", overflow="fold")
        for each in entries:
            study = f"study {each.study}" if each.study else ""
            when = f"{_moment(each.quarantined_at)}, {_size(each.size_bytes)}"
            table.add_row(
                "\n".join(filter(None, (each.entry_id, when, study))),
                f"{_plain(each.reason)} ({_plain(each.hook or each.stage)})\n{_plain(each.explanation)}",
            )
        return table
    table.add_column("quarantined", no_wrap=True)
    for column in ("stage", "reason", "explanation", "study"):
        table.add_column(column, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    for each in entries:
        table.add_row(
            each.entry_id,
            _moment(each.quarantined_at),
            _plain(each.hook or each.stage),
            _plain(each.reason),
            _plain(each.explanation),
            each.study,
            _size(each.size_bytes),
        )
    return table


def _group_table(groups: Sequence[Group], by: str) -> Table:
    table = Table(title=f"{sum(each.entries for each in groups)} in quarantine, by {by}")
    table.add_column(by, no_wrap=True)
    table.add_column("entries", justify="right")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("oldest", no_wrap=True)
    last = "newest" if by == GroupBy.REASON else "reasons"
    table.add_column(last, overflow="fold")
    for each in groups:
        table.add_row(
            _plain(each.value) or "not known",
            str(each.entries),
            _size(each.size_bytes),
            _moment(each.oldest),
            _moment(each.newest) if by == GroupBy.REASON else _reasons(each),
        )
    return table


def _reasons(group: Group) -> str:
    """The most frequent reasons, a line each."""
    reasons = sorted(group.reasons.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"{count} {_plain(reason)}" for reason, count in reasons[:_REASONS_SHOWN]]
    rest = sum(count for _, count in reasons[_REASONS_SHOWN:])
    return "\n".join([*lines, f"{rest} for others"] if rest else lines)


def _dry_run(entries: Sequence[Entry], what: str, as_json: bool) -> None:
    groups = grouped(entries, GroupBy.REASON)
    if as_json:
        document = {"dry_run": True, "found": len(entries), "reasons": {g.value: g.entries for g in groups}}
        typer.echo(json.dumps(document, sort_keys=True))
        return
    if groups:
        Console().print(_group_table(groups, GroupBy.REASON))
    typer.echo(f"{len(entries)} {what}" + ("; --yes does it" if entries else ""))


@contextmanager
def _progress(what: str, total: int) -> Iterator[Any]:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


def _header_lines(header: HeaderDump | None) -> Iterator[str]:
    if header is None:
        yield "no header: it is a message or an event, whose text --phi shows"
        return
    yield ""
    yield from dump_lines(header)


def _plain(text: str) -> str:
    """Text of plugins and senders, which neither the table nor the terminal obeys."""
    return escape(printable(text))


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
