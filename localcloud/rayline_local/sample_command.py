"""The ``rayline sample`` verb: write a made-up sample set to a folder."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rayline_local import samples


def write_samples(found: samples.SampleSet, folder: Path) -> None:
    """Write each file of a set, and ``ground_truth.json`` beside them."""
    for sample in found.samples:
        target = folder / sample.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(sample.content)
    truth = {
        "labels": found.labels,
        "refused": found.refused,
        "identifying_values": sorted(found.identifying_values()),
    }
    (folder / "ground_truth.json").write_text(json.dumps(truth, indent=1) + "\n")


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def sample(
        output: Annotated[Path, typer.Option(help="folder to write to")] = Path("build/samples"),
        patients: Annotated[int, typer.Option(min=1, max=10_000, help="patients with chest X-rays")] = 200,
        slices: Annotated[int, typer.Option(min=1, max=1_000, help="slices of the CT series")] = 40,
        seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same files")] = 1,
    ) -> None:
        """Make up DICOM: a CT series, chest X-rays with and without pneumonia, and broken files."""
        found = samples.generate(seed, patients=patients, ct_slices=slices)
        write_samples(found, output)
        typer.echo(
            f"wrote {len(found.samples)} files to {output}: {len(found.labels)} labelled chest X-rays, "
            f"{len(found.refused)} that must be refused; the truth is in {output / 'ground_truth.json'}"
        )
