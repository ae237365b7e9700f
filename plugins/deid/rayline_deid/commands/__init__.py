"""The verbs under ``rayline deid``; each module imports what its verb needs when the verb runs."""

import typer

from rayline_deid.commands import check, crosswalk, diff, explain, run

#: `rayline` need not set logs up for these verbs.
LOGS_NOTHING = True


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    verbs = typer.Typer(
        help="De-identify DICOM files after PS3.15 Annex E; needs neither an estate nor AWS.",
        no_args_is_help=True,
    )
    app.add_typer(verbs, name="deid")
    for module in (run, check, explain, diff, crosswalk):
        module.register(verbs)
