"""What the demo found: the numbers for machines and the words for people."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rayline.errors import RaylineError


class NumbersDisagree(RaylineError):
    """Counts of two places that must agree do not."""


@dataclass(frozen=True)
class TrainingSummary:
    """Images trained on and tested on, and what was measured on the latter.

    Attributes:
        images: images that the model was trained on.
        test_images: images of patients never trained on.
        seconds: from the start of the pipeline execution to its end.
    """

    images: int
    test_images: int
    accuracy: float
    roc_auc: float
    seconds: float


@dataclass(frozen=True)
class Summary:
    """One run of the main job, in counts; a part that was not reached is None.

    Attributes:
        uploaded: objects that S3 acknowledged to the sender.
        validated: instances that passed screening and de-identification, from the ledger.
        quarantined: objects in quarantine, from the bucket.
        imported: instances in HealthImaging, from its own metadata.
        phi_leaks: finds of identifying values of the inputs outside the identified zone.
    """

    uploaded: int
    validated: int
    quarantined: int
    imported: int
    image_sets: int
    verified: int
    phi_leaks: int
    training: TrainingSummary | None
    model: dict[str, Any] | None
    seconds: float

    def check(self) -> None:
        """See that the counts add up.

        Raises:
            NumbersDisagree: they do not; the message says which.
        """
        if self.uploaded != self.validated + self.quarantined:
            raise NumbersDisagree(
                f"{self.uploaded} uploaded, but {self.validated} validated + {self.quarantined} quarantined"
            )
        if self.validated != self.imported:
            raise NumbersDisagree(f"{self.validated} validated, but HealthImaging holds {self.imported}")

    def write(self, path: Path) -> None:
        """Write the summary as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def show(self, console: Console, reasons: dict[str, int]) -> None:
        """Print the summary as a table.

        Args:
            reasons: quarantined objects by reason code.
        """
        table = Table(title="from upload to model", show_header=False)
        table.add_row("uploaded", str(self.uploaded), "acknowledged by S3")
        table.add_row("validated", str(self.validated), "screened and de-identified")
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        table.add_row("quarantined", str(self.quarantined), told)
        table.add_row("imported", str(self.imported), f"in {self.image_sets} image sets of HealthImaging")
        table.add_row("verified", str(self.verified), "as ground truth")
        if self.training is not None:
            training = self.training
            table.add_row("trained on", str(training.images), f"in {training.seconds:.0f} s, whole pipeline")
            table.add_row("tested on", str(training.test_images), "images of patients never trained on")
            table.add_row("accuracy", f"{training.accuracy:.3f}", f"ROC-AUC {training.roc_auc:.3f}")
        if self.model is not None:
            table.add_row("model", f"version {self.model['version']}", str(self.model["approval_status"]))
        table.add_row(
            "PHI leaks", str(self.phi_leaks), "identifying values found outside the identified zone"
        )
        table.add_row("time", f"{self.seconds:.0f} s", "")
        console.print(table)
