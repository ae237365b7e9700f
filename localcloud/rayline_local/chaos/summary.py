"""What a chaos run found: the numbers for machines and the words for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from rayline_local.chaos.verdict import Finding, Verdict

SUMMARY_FILE: Final = "summary.json"
DETAILS_FILE: Final = "details.json"
_SHOWN: Final = 40


@dataclass(frozen=True)
class Summary:
    """One run; every count is the receivers', none is the ledgers' own.

    Attributes:
        instances: different contents sent; a second copy of one is not another.
        kills: SIGKILLs while effects were unfinished.
        lost: neither imported nor in quarantine, or imported and not forwarded.
        duplicated_effects: second changes of an outcome at a receiver.
        resent: second sends of identical objects to the PACS.
        quarantined: in quarantine, and not imported.
        unexplained: receivers and ledgers disagree, a wrong reason, or something left over.
    """

    instances: int
    kills: int
    lost: int
    duplicated_effects: int
    resent: int
    quarantined: int
    imported: int
    forwarded: int
    unexplained: int
    seconds: float
    seed: int

    @classmethod
    def of(cls, verdict: Verdict, *, kills: int, seconds: float, seed: int) -> "Summary":
        """The numbers of a verdict."""
        return cls(
            instances=verdict.instances,
            kills=kills,
            lost=verdict.count("lost"),
            duplicated_effects=verdict.count("duplicated"),
            resent=verdict.resent,
            quarantined=verdict.quarantined,
            imported=verdict.imported,
            forwarded=verdict.forwarded,
            unexplained=verdict.count("unexplained"),
            seconds=round(seconds, 1),
            seed=seed,
        )

    @property
    def good(self) -> bool:
        """Nothing lost, nothing twice, nothing unexplained, and the counts add up."""
        whole = self.instances == self.imported + self.quarantined and self.forwarded == self.imported
        return whole and not (self.lost or self.duplicated_effects or self.unexplained)

    def write(self, folder: Path, details: Mapping[str, Any]) -> None:
        """Write the summary, and beside it what it was made of."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, document in ((SUMMARY_FILE, asdict(self)), (DETAILS_FILE, details)):
            (folder / name).write_text(json.dumps(document, indent=2, default=str) + "\n")

    def show(self, console: Console, findings: Sequence[Finding]) -> None:
        """Print the numbers, and what is wrong."""
        table = Table(title=f"what came out of chaos, seed {self.seed}", show_header=False)
        table.add_row("instances", str(self.instances), "different contents that S3 acknowledged")
        table.add_row("imported", str(self.imported), "in HealthImaging's image sets")
        table.add_row("quarantined", str(self.quarantined), "in the quarantine bucket, with a reason")
        table.add_row("forwarded", str(self.forwarded), "at the PACS")
        table.add_row("resent", str(self.resent), "identical second sends to the PACS")
        table.add_row("kills", str(self.kills), "by SIGKILL, while effects were unfinished")
        table.add_row("lost", str(self.lost), "")
        table.add_row("duplicated", str(self.duplicated_effects), "second outcomes at a receiver")
        table.add_row("unexplained", str(self.unexplained), "the ledgers and the receivers disagree")
        table.add_row("time", f"{self.seconds:.0f} s", "")
        console.print(table)
        for each in findings[:_SHOWN]:
            after = f" (after kill {each.after_kill})" if each.after_kill else ""
            console.print(f"{each.trouble}: {each.subject}: {each.what}{after}", highlight=False)
        if len(findings) > _SHOWN:
            console.print(f"… and {len(findings) - _SHOWN} more")
