"""What became of each input, for people and for machines; no value of any data set is in it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from rayline_deid.inputs import Input

#: Grows when a field is removed or means something else.
REPORT_VERSION: Final = 1

Outcome = Literal["deidentified", "duplicate", "done_before", "refused", "failed", "not_done"]

#: Every outcome, and what it says of an input.
OUTCOMES: Final[dict[Outcome, str]] = {
    "deidentified": "written, under a name of its own",
    "duplicate": "the same output was there already, so nothing more was written",
    "done_before": "an earlier run with the same profile and key wrote it",
    "refused": "cannot be made safe, or is no DICOM; nothing of it was written",
    "failed": "could not be read or written",
    "not_done": "the run ended before its turn",
}

# Reason codes beside those that the engine gives.
OTHER_CONTENT: Final = "OTHER_CONTENT"
UNREADABLE: Final = "UNREADABLE"
NOT_A_FILE: Final = "NOT_A_FILE"
OUTPUT_FAILED: Final = "OUTPUT_FAILED"
RECORD_FAILED: Final = "RECORD_FAILED"
INTERNAL_ERROR: Final = "INTERNAL_ERROR"
PROCESS_DIED: Final = "PROCESS_DIED"


class Result(NamedTuple):
    """What became of one input.

    Attributes:
        number: its place among the inputs.
        output: name below the output folder, empty where there is none.
        name: the name that the output had wanted, which another content may have.
        reason: machine-readable code, empty where all is well.
        explanation: one sentence for a person, free of PHI.
        read_bytes: size of the input.
        written_bytes: size of the output.
        ends: nothing more can be written, so the run ends with this.
    """

    number: int
    outcome: Outcome
    output: str = ""
    name: str = ""
    reason: str = ""
    explanation: str = ""
    read_bytes: int = 0
    written_bytes: int = 0
    ends: bool = False


@dataclass(frozen=True)
class Run:
    """What was asked for, and with which profile and key."""

    profile: str
    profile_digest: str
    edition: str
    key_id: str
    secret: Literal["file", "environment", "random"]
    site: str
    layout: str
    processes: int
    dry_run: bool
    output: str


def totals(results: Sequence[Result]) -> dict[str, int]:
    """Inputs by outcome, and bytes."""
    counts = Counter(result.outcome for result in results)
    return {
        "files": len(results),
        **{outcome: counts[outcome] for outcome in OUTCOMES},
        "read_bytes": sum(result.read_bytes for result in results),
        "written_bytes": sum(result.written_bytes for result in results),
    }


def document(
    run: Run, inputs: Sequence[Input], results: Sequence[Result], *, started_at: str, seconds: float
) -> dict[str, Any]:
    """The report as JSON; it names inputs, whose paths may name patients, so it belongs with the originals."""
    reasons = Counter(result.reason for result in results if result.reason)
    return {
        "report_version": REPORT_VERSION,
        "profile": {"name": run.profile, "digest": run.profile_digest, "edition": run.edition},
        "key_id": run.key_id,
        "secret": run.secret,
        "site": run.site,
        "layout": run.layout,
        "processes": run.processes,
        "dry_run": run.dry_run,
        "output": run.output,
        "started_at": started_at,
        "seconds": round(seconds, 3),
        "totals": totals(results),
        "reasons": dict(sorted(reasons.items())),
        "files": [
            {
                "input": inputs[result.number].path,
                "output": result.output or None,
                "outcome": result.outcome,
                "reason": result.reason or None,
                "explanation": result.explanation or None,
            }
            for result in results
        ],
    }


def exit_code(results: Sequence[Result]) -> int:
    """0 where every input is de-identified, 1 where something failed, 3 where inputs were refused."""
    outcomes = {result.outcome for result in results}
    if outcomes & {"failed", "not_done"}:
        return 1
    return 3 if "refused" in outcomes else 0
