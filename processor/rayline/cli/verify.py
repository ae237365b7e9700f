"""``rayline verify``: label an image set as ground truth."""

import csv
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from rayline.cli.estate import open_estate
from rayline.errors import ConfigurationError
from rayline.events import Label
from rayline.verification import Verification


def _label(text: str) -> Label:
    label = text.strip().upper()
    if label not in get_args(Label):
        raise ConfigurationError(f"no label {text!r}; use one of {', '.join(get_args(Label))}")
    return cast(Label, label)


def _rows(path: Path) -> list[tuple[str, str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            return [
                (row["image_set_id"], row["label"], row.get("findings") or "")
                for row in csv.DictReader(lines)
            ]
    except (OSError, KeyError, UnicodeError):
        raise ConfigurationError(
            f"{path} is no readable CSV file with the columns image_set_id and label"
        ) from None


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def verify(
        image_set_id: Annotated[str | None, typer.Argument(help="The image set that was looked at.")] = None,
        label: Annotated[str | None, typer.Option(help="NORMAL or PNEUMONIA.")] = None,
        from_file: Annotated[
            Path | None, typer.Option("--from", help="CSV file with a header: image_set_id,label[,findings].")
        ] = None,
        verifier: Annotated[str, typer.Option(help="Account name of the radiologist.")] = "radiologist",
        findings: Annotated[str, typer.Option(help="Free text; never logged.")] = "",
        revoke: Annotated[bool, typer.Option(help="Take the label back.")] = False,
    ) -> None:
        """Verify image sets as ground truth, or revoke a verification.

        The label holds for the version that is current now, and lapses when the images change.
        """
        estate = open_estate()
        if from_file is not None:
            rows = _rows(from_file)
        elif image_set_id is not None and label is not None:
            rows = [(image_set_id, label, findings)]
        else:
            raise ConfigurationError("name an image set and --label NORMAL|PNEUMONIA, or a file with --from")
        verifications = [
            Verification(identifier, estate.verifier.current_version(identifier), _label(text), notes)
            for identifier, text, notes in rows
        ]
        done = estate.verifier.verify(verifications, verifier, revoke=revoke)
        typer.echo(f"{len(done)} image sets {'revoked' if revoke else 'verified'}")
