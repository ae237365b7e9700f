"""``rayline deid crosswalk``: who is behind a pseudonym, for those who hold the crosswalk's key."""

import csv
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rayline.plugin import ConfigurationError

if TYPE_CHECKING:
    from rayline_deid.crosswalk import Crosswalk, Entry

_CrosswalkArgument = Annotated[
    Path, typer.Option("--crosswalk", help="The file that `rayline deid run --crosswalk` wrote.")
]
_KeyOption = Annotated[Path, typer.Option(help="File with the crosswalk's key.")]
_ReasonOption = Annotated[
    str, typer.Option(help="Why, for the audit log, e.g. a ticket's number; never a patient's name.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(
        help="Find who is behind a pseudonym; every look-up is recorded beside the crosswalk.",
        no_args_is_help=True,
    )
    app.add_typer(verbs, name="crosswalk")

    @verbs.command()
    def find(
        pseudonyms: Annotated[
            list[str], typer.Argument(help="Patient pseudonyms or UIDs of de-identified instances.")
        ],
        crosswalk: _CrosswalkArgument,
        key_file: _KeyOption,
        reason: _ReasonOption = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
    ) -> None:
        """Show the original of each pseudonym; exit status 1 if one is not known.

        Who asked, when and for which pseudonyms is appended to CROSSWALK.audit.jsonl before anything is shown.
        """
        from rayline_deid.crosswalk import record_look_up

        found = _read(crosswalk, key_file)
        entries = [entry for entry in found.entries if entry.pseudonym in set(pseudonyms)]
        known = {entry.pseudonym for entry in entries}
        asked = [pseudonym for pseudonym in pseudonyms if pseudonym in known]
        record_look_up(crosswalk, datetime.now(UTC), "find", asked, len(entries), reason)
        if as_json:
            typer.echo(json.dumps([_readable(entry) for entry in entries], indent=2))
        else:
            for entry in entries:
                typer.echo("\t".join(_readable(entry).values()))
        missing = len(set(pseudonyms)) - len(known)
        if missing:
            typer.echo(f"{missing} of {len(set(pseudonyms))} are not in the crosswalk", err=True)
        raise typer.Exit(1 if missing else 0)

    @verbs.command()
    def export(
        crosswalk: _CrosswalkArgument,
        key_file: _KeyOption,
        output: Annotated[
            Path | None,
            typer.Option(help="CSV file to write, readable by you alone; default standard output."),
        ] = None,
        reason: _ReasonOption = "",
    ) -> None:
        """Write every entry as CSV: level, pseudonym, original. The result is as sensitive as the originals."""
        from rayline_deid.crosswalk import record_look_up

        found = _read(crosswalk, key_file)
        record_look_up(crosswalk, datetime.now(UTC), "export", (), len(found.entries), reason)
        if output is None:
            _write_csv(sys.stdout.fileno(), found.entries, closes=False)
        else:
            _write_csv(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), found.entries)
            typer.echo(f"{len(found.entries):,} entries in {output}", err=True)


def _read(path: Path, key_file: Path) -> "Crosswalk":
    from rayline_deid.crosswalk import CrosswalkKey, read_crosswalk

    try:
        key = CrosswalkKey(key_file.read_bytes().strip())
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise ConfigurationError(f"the crosswalk's key file {key_file} cannot be read: {reason}") from None
    found = read_crosswalk(path, key)
    if found.unreadable:
        typer.echo(f"{found.unreadable} records of the crosswalk are cut off or altered", err=True)
    return found


def _readable(entry: "Entry") -> dict[str, str]:
    return {
        "level": entry.level,
        "pseudonym": entry.pseudonym,
        "original": entry.original.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
    }


def _write_csv(descriptor: int, entries: Sequence["Entry"], *, closes: bool = True) -> None:
    with open(descriptor, "w", encoding="utf-8", newline="", closefd=closes) as file:
        writer = csv.DictWriter(file, ("level", "pseudonym", "original"))
        writer.writeheader()
        writer.writerows(_readable(entry) for entry in entries)
