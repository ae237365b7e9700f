"""One run of ``rayline deid run``: from its options to its report."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import typer

from rayline.plugin import ConfigurationError, environment_secret
from rayline_deid import report as reports
from rayline_deid.batch import Batch, Layout
from rayline_deid.inputs import Input, find_inputs
from rayline_deid.journal import Journal
from rayline_deid.naming import IdentifyingRules
from rayline_deid.outputs import Outputs
from rayline_deid.processes import Stop
from rayline_deid.profile import Profile, default_profile
from rayline_deid.pseudonyms import Pseudonyms
from rayline_deid.report import Result, Run

if TYPE_CHECKING:
    from rayline_deid.crosswalk import CrosswalkWriter

_SHOWN_REFUSALS: Final = 20
#: Exit status after Ctrl-C, as shells have it.
INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Options:
    """What the command line says of a run; each field is explained by ``rayline deid run --help``."""

    files: Sequence[str]
    output: Path
    profile: str = "default"
    secret_file: Path | None = None
    site: str = "local"
    processes: int | None = None
    layout: Layout = "uid"
    resume: bool = False
    dry_run: bool = False
    report: Path | None = None
    as_json: bool = False
    crosswalk: Path | None = None
    crosswalk_key_file: Path | None = None
    quiet: bool = False


def de_identify(options: Options) -> int:
    """Do what the options say and tell of it; returns the exit status.

    Raises:
        ConfigurationError: an option is wrong; nothing has been written.
    """
    started, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    _check_paths(options)
    secret, origin = _secret(options)
    inputs = find_inputs(options.files, str(options.output))
    if not inputs:
        raise ConfigurationError("there are no files in what is named")
    profile = _profile(options.profile)
    pseudonyms = Pseudonyms(secret, options.site)
    processes = options.processes or len(os.sched_getaffinity(0))
    run = Run(
        profile=options.profile,
        profile_digest=profile.digest,
        edition=profile.edition,
        key_id=pseudonyms.key_id,
        secret=origin,
        site=options.site,
        layout=options.layout,
        processes=processes,
        dry_run=options.dry_run,
        output=str(options.output),
    )
    batch = Batch(
        inputs=inputs,
        rules=IdentifyingRules(profile, pseudonyms),
        layout=options.layout,
        outputs=None if options.dry_run else _outputs(options.output),
        journal=_journal(options, secret, run) if options.resume else None,
        crosswalk=None if options.dry_run else _crosswalk(options, secret),
    )
    if origin == "random":
        typer.echo(
            "no secret is given, so a random one is used for this run alone: other runs will give the same patients "
            "other pseudonyms; see --secret-file",
            err=True,
        )
    stop = Stop()
    with _progress(len(inputs), shown=not options.quiet) as progress, stop.on_signals():
        results = batch.run(processes, progress, stop)
    seconds = time.monotonic() - started
    if options.report is not None or options.as_json:
        document = reports.document(run, inputs, results, started_at=started_at, seconds=seconds)
        if options.report is not None:
            _write_report(options.report, document)
        if options.as_json:
            typer.echo(json.dumps(document, indent=2))
    if not options.quiet and not options.as_json:
        _summarise(run, inputs, results, seconds)
    interrupted = bool(stop) and not any(result.ends for result in results)
    return INTERRUPTED if interrupted else reports.exit_code(results)


def _check_paths(options: Options) -> None:
    if options.output.exists() and not options.output.is_dir():
        raise ConfigurationError(f"the output {options.output} is a file; name a folder")
    inside = options.output.resolve()
    for name, path in (("report", options.report), ("crosswalk", options.crosswalk)):
        if path is not None and inside in path.resolve().parents:
            raise ConfigurationError(
                f"the {name} says who the patients are, so it may not lie in the output folder"
            )
    if (options.crosswalk is None) != (options.crosswalk_key_file is None):
        raise ConfigurationError("--crosswalk and --crosswalk-key-file belong together; give both or none")


def _secret(options: Options) -> tuple[bytes, Literal["file", "environment", "random"]]:
    if options.secret_file is not None:
        return _key_of(options.secret_file, "secret"), "file"
    from_environment = environment_secret("deid")
    if from_environment is not None:
        return from_environment, "environment"
    if options.resume:
        raise ConfigurationError("--resume needs the secret of the run before; give --secret-file")
    return os.urandom(32), "random"


def _profile(name: str) -> Profile:
    if name == "default":
        return default_profile()
    # Imported late: most runs have the default profile.
    from rayline_deid.explanation import profile_named

    return profile_named(name)


def _key_of(path: Path, what: str) -> bytes:
    """What a file of a key says, without the line's end."""
    try:
        return path.read_bytes().strip()
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise ConfigurationError(f"the {what} file {path} cannot be read: {reason}") from None


def _outputs(folder: Path) -> Outputs:
    try:
        return Outputs(str(folder))
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise ConfigurationError(f"the output folder {folder} cannot be made: {reason}") from None


def _journal(options: Options, secret: bytes, run: Run) -> Journal:
    journal = Journal(str(options.output), secret, run.profile_digest, run.key_id, run.site, run.layout)
    journal.load()
    return journal


def _crosswalk(options: Options, secret: bytes) -> "CrosswalkWriter | None":
    if options.crosswalk is None or options.crosswalk_key_file is None:
        return None
    from rayline_deid.crosswalk import CrosswalkKey, CrosswalkWriter

    key = _key_of(options.crosswalk_key_file, "crosswalk's key")
    if key == secret:
        raise ConfigurationError(
            "the crosswalk needs a key of its own, other than the secret of the pseudonyms"
        )
    try:
        return CrosswalkWriter(options.crosswalk, CrosswalkKey(key))
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise ConfigurationError(f"the crosswalk {options.crosswalk} cannot be written: {reason}") from None


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("de-identifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    drawn = time.monotonic()
    waiting = 0
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as bar:
        task = bar.add_task("", total=total)

        def advance(count: int) -> None:
            nonlocal drawn, waiting
            waiting += count
            # Drawing costs as much as de-identifying a few files.
            if time.monotonic() - drawn > 0.1:
                bar.update(task, advance=waiting, refresh=True)
                drawn, waiting = time.monotonic(), 0

        yield advance
        bar.update(task, advance=waiting, refresh=True)


def _write_report(path: Path, document: dict[str, object]) -> None:
    """Write the report as a whole, for its owner's eyes only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = os.strerror(error.errno or 0).lower()
        raise ConfigurationError(f"the report {path} cannot be written: {reason}") from None


def _summarise(run: Run, inputs: Sequence[Input], results: Sequence[Result], seconds: float) -> None:
    """Tell people what was done, and what was not and why."""
    troubled = [result for result in results if result.outcome in ("refused", "failed")]
    for result in troubled[:_SHOWN_REFUSALS]:
        typer.echo(
            f"{result.outcome}: {inputs[result.number].path}: {result.reason}: {result.explanation}", err=True
        )
    if len(troubled) > _SHOWN_REFUSALS:
        typer.echo(f"... and {len(troubled) - _SHOWN_REFUSALS} more; --report FILE names them all", err=True)
    beside = sum(result.reason == reports.OTHER_CONTENT for result in results)
    if beside:
        typer.echo(
            f"{beside} outputs share a name with another content; see OTHER_CONTENT in the report", err=True
        )
    totals = reports.totals(results)
    told = [f"{totals['deidentified']:,} of {totals['files']:,} files de-identified"]
    told += [
        f"{totals[outcome]:,} {outcome.replace('_', ' ')}"
        for outcome in reports.OUTCOMES
        if outcome != "deidentified" and totals[outcome]
    ]
    where = "nothing written (dry run)" if run.dry_run else f"in {run.output}"
    rate = len(results) / seconds if seconds else 0.0
    typer.echo(f"{', '.join(told)}; {where}; {seconds:.1f} s, {rate:,.{0 if rate >= 10 else 1}f} files/s")
    typer.echo(f"profile {run.profile} {run.profile_digest[:16]} ({run.edition}), key {run.key_id}")
