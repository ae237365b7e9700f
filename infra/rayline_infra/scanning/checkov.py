"""Runs checkov over a rendered plan, offline, and sorts what it says."""

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rayline.errors import ConfigurationError
from rayline_infra.policies.graph import Graph
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.scanning.terraform_plan import terraform_plan

SCANNER = Path("build/checkov/bin/checkov")
PLAN_FILE = "plan.json"
# No policies of its maker's platform, no mapping of ids, no telemetry: it asks nobody.
OPTIONS = (
    "--framework", "terraform_plan", "--skip-download", "--compact", "--soft-fail",
    "--output", "json",
)  # fmt: skip
ENVIRONMENT = {
    "LOG_LEVEL": "ERROR",
    "BC_SKIP_MAPPING": "TRUE",
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
}


@dataclass(frozen=True)
class Complaint:
    """A check that a resource fails; with the reason where it is exempt."""

    check: str
    title: str
    resource: str
    type: str
    reason: str = ""


@dataclass(frozen=True)
class Scan:
    """What the scanner says of a stack.

    Attributes:
        types: number of resources by Terraform type.
        checked: the types that it has a check for.
        unused: exemptions whose resource is there and passes the check.
    """

    stack: str
    passed: int
    complaints: tuple[Complaint, ...]
    types: Mapping[str, int]
    checked: frozenset[str]
    unused: tuple[ScannerExemption, ...]

    @property
    def failed(self) -> tuple[Complaint, ...]:
        """Complaints without a reason."""
        return tuple(each for each in self.complaints if not each.reason)

    @property
    def skipped(self) -> tuple[Complaint, ...]:
        """Complaints with a reason."""
        return tuple(each for each in self.complaints if each.reason)

    @property
    def clean(self) -> bool:
        """Whether nobody needs to do anything."""
        return not self.failed and not self.unused


def scan(graph: Graph, exemptions: Sequence[ScannerExemption], folder: Path, scanner: Path = SCANNER) -> Scan:
    """Have the scanner judge a graph.

    Args:
        folder: where the plan is written.

    Raises:
        ConfigurationError: the scanner is not installed, or failed.
    """
    if not scanner.exists():
        raise ConfigurationError(f"there is no {scanner}: run `make scan`, which installs it")
    folder.mkdir(parents=True, exist_ok=True)
    plan = terraform_plan(graph)
    path = folder / PLAN_FILE
    path.write_text(json.dumps(plan, indent=1))
    answer = _run(scanner, path)
    return _sorted(graph.stack, plan, answer, exemptions)


def _run(scanner: Path, plan: Path) -> Mapping[str, Any]:
    done = subprocess.run(
        [str(scanner.absolute()), "--file", plan.name, *OPTIONS],
        cwd=plan.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: Mapping[str, Any] = json.loads(done.stdout)
        if answer["summary"]["parsing_errors"]:
            raise ConfigurationError(f"the scanner could not read {plan}")
        return answer
    except (ValueError, KeyError, TypeError) as unreadable:
        raise ConfigurationError(f"the scanner failed: {done.stderr[-2000:]}") from unreadable


def _sorted(
    stack: str, plan: Mapping[str, Any], answer: Mapping[str, Any], exemptions: Sequence[ScannerExemption]
) -> Scan:
    results = answer["results"]
    used: set[ScannerExemption] = set()
    complaints = []
    for each in results["failed_checks"]:
        terraform, _, name = each["resource"].partition(".")
        reasons = [exemption for exemption in exemptions if exemption.covers(each["check_id"], name)]
        used.update(reasons)
        reason = reasons[0].reason if reasons else ""
        complaints.append(Complaint(each["check_id"], each["check_name"], name, terraform, reason))
    judged = [*results["passed_checks"], *results["failed_checks"]]
    return Scan(
        stack=stack,
        passed=len(results["passed_checks"]),
        complaints=tuple(sorted(complaints, key=lambda each: (each.check, each.resource))),
        types=Counter(each["type"] for each in plan["planned_values"]["root_module"]["resources"]),
        checked=frozenset(each["resource"].partition(".")[0] for each in judged),
        unused=tuple(
            each for each in exemptions if each not in used and not each.when and _is_there(each, plan)
        ),
    )


def _is_there(exemption: ScannerExemption, plan: Mapping[str, Any]) -> bool:
    # A stack may leave a part out; that every exemption is needed by some stack is for the tests to say.
    names = (each["name"] for each in plan["planned_values"]["root_module"]["resources"])
    return any(fnmatchcase(name, exemption.resource) for name in names)
