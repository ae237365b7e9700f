"""``rayline demo``: the main job on one machine."""

import sys
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.console import Console

from rayline.errors import ConfigurationError
from rayline.names import RuleKind
from rayline.settings import data_root
from rayline_local.demo.run import Demo, DemoOptions
from rayline_local.samples import SampleSet, from_shared, generate


def _samples(console: Console, data: Path | None, made_up_patients: int | None) -> SampleSet:
    root = data or data_root()
    if made_up_patients is None and (root / "cxr224").is_dir():
        console.print(f"real images from {root}, under made-up names")
        return from_shared(root)
    if data is not None:
        raise ConfigurationError(f"no images at {data}; it needs cxr224/, ct_chest_lidc0314/ and cxr_dicom/")
    if made_up_patients is None:
        console.print(f"no real images at {root} (set RAYLINE_DATA); making samples up")
        return generate()
    return generate(patients=made_up_patients, ct_slices=min(40, made_up_patients))


def _rule(text: str) -> RuleKind:
    if text not in get_args(RuleKind):
        raise ConfigurationError(f"no rule {text!r}; one of {', '.join(get_args(RuleKind))}")
    return cast(RuleKind, text)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigurationError(f"--set wants KEY=VALUE, e.g. rayline:epochs=6, not {text!r}")
    return key, value


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def demo(
        build_dir: Annotated[Path, typer.Option(help="Folder for everything that the run writes.")] = Path(
            "build/demo"
        ),
        data: Annotated[
            Path | None, typer.Option(help="Folder of real images; default $RAYLINE_DATA.")
        ] = None,
        made_up: Annotated[
            int | None, typer.Option(help="Make up so many patients instead of using real images.", min=4)
        ] = None,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", help="KEY=VALUE that replaces a setting of the local stack."),
        ] = None,
        disable_rule: Annotated[
            list[str] | None, typer.Option(help="Switch an event's rule off first, to see the run report it.")
        ] = None,
        patience: Annotated[
            float, typer.Option(help="Seconds without progress that stop the run.", min=1)
        ] = 120,
        until: Annotated[
            str | None, typer.Option(help="Stop after this stage: imported or verified.")
        ] = None,
    ) -> None:
        """Run the main job on this machine: upload, de-identify, import, verify, train, register.

        Starts a local cloud of its own, runs the processor in it, and writes summary.json. Exits with 1 when a
        stage stalls, a count does not add up, PHI leaks, or no model is registered.
        """
        if until not in (None, "imported", "verified"):
            raise ConfigurationError(f"--until takes imported or verified, not {until!r}")
        console = Console()
        options = DemoOptions(
            patience_seconds=patience,
            settings=tuple(_pair(each) for each in settings or []),
            disabled_rules=tuple(_rule(each) for each in disable_rule or []),
            last_stage=until,
        )
        summary = Demo(build_dir, _samples(console, data, made_up), console, options).run()
        if summary.phi_leaks:
            console.print(
                f"[bold red]{summary.phi_leaks} identifying values leaked[/]; see {build_dir}/leaks.json"
            )
            sys.exit(1)
