"""The compliance page: rule, control, and the evidence that a stack's resource graph gives."""

from collections.abc import Iterable, Iterator, Mapping

from rayline_infra.policies.controls import CONTROLS, Control, Finding, check
from rayline_infra.policies.controls.hipaa import RULES, address
from rayline_infra.policies.controls.proofs import OF_EVERY_CONTROL, PROOFS
from rayline_infra.policies.graph import Graph

MARK = "<!-- What follows is written by `rayline compliance`; what stands above is kept. -->"
MOST_NAMES = 12


def page(graph: Graph, written: str = "") -> str:
    """The page for a stack as Markdown.

    Args:
        written: the page as it stands; what a person wrote above the mark is kept.
    """
    head = written.partition(MARK)[0] if MARK in written else "# Compliance\n\n"
    return head + MARK + "\n\n" + "\n".join(_evidence(graph)) + "\n"


def _evidence(graph: Graph) -> Iterator[str]:
    found: dict[str, list[Finding]] = {control.id: [] for control in CONTROLS}
    for finding in check(graph):
        found[finding.control].append(finding)
    findings = [each for those in found.values() for each in those]
    failed = sum(not each.accepted for each in findings)
    yield f"## Evidence of the stack `{graph.stack}`"
    yield ""
    yield (
        f"{len(CONTROLS)} controls looked at {len({each.urn for each in findings})} resources of "
        f"{sum(each.custom for each in graph.resources)}: {sum(each.passed for each in findings)} findings pass, "
        f"{sum(bool(each.exemption) for each in findings)} are exempt, {failed} fail. "
        f"`rayline check --stack {graph.stack} --json` lists each of them. Each control is proven by"
    )
    yield ""
    for test in OF_EVERY_CONTROL:
        yield f"- `{test}`"
    yield ""
    yield "and by the tests that stand with it."
    for citation, (title, kind) in sorted(RULES.items()):
        yield from _rule(citation, title, kind, found)


def _rule(citation: str, title: str, kind: str, found: Mapping[str, list[Finding]]) -> Iterator[str]:
    yield ""
    yield f"### [45 CFR {citation}]({address(citation)}) {title} ({kind})"
    serving = [control for control in CONTROLS if citation in control.rules]
    for control in serving:
        if control.rules[0] == citation:
            yield from _control(control, found[control.id])
    others = [f"{control.id} {control.title}" for control in serving if control.rules[0] != citation]
    if others:
        yield ""
        yield f"Also served by: {'; '.join(others)}."


def _control(control: Control, findings: Iterable[Finding]) -> Iterator[str]:
    yield ""
    yield f"**{control.id} {control.title}** ({control.severity}): {control.looks_at}"
    yield ""
    grouped: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        verdict = (
            "pass" if finding.passed else f"exempt: {finding.exemption}" if finding.exemption else "**fail**"
        )
        names = grouped.setdefault((finding.setting, verdict), [])
        if finding.resource not in names:
            names.append(finding.resource)
    if grouped:
        yield "| resource | setting | result |"
        yield "|---|---|---|"
    else:
        yield "The stack has nothing of the kind."
    # In order of names: the program registers what does not depend on each other in any order.
    for (setting, verdict), names in sorted(
        grouped.items(), key=lambda row: (row[0][1], sorted(row[1]), row[0])
    ):
        yield f"| {_named(sorted(names))} | {_cell(setting)} | {verdict} |"
    for test in PROOFS.get(control.id, ()):
        yield f"\nProven by `{test}`."


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    left = len(names) - MOST_NAMES
    return f"{shown} and {left} more" if left > 0 else shown


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
