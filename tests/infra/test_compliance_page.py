"""The compliance page: up to date, complete, and every test that it names exists."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from support.small_graphs import bucket, graph
from typer.testing import CliRunner

from rayline_infra.commands import compliance as verb
from rayline_infra.policies.compliance import MARK, page
from rayline_infra.policies.controls import CONTROLS
from rayline_infra.policies.controls.hipaa import RULES
from rayline_infra.policies.controls.proofs import OF_EVERY_CONTROL, PROOFS
from rayline_infra.policies.graph import Graph

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "compliance.md"


def test_the_page_is_up_to_date(graph_of: Callable[[str], Graph]) -> None:
    written = PAGE.read_text()
    assert page(graph_of("prod"), written) == written, (
        "run `rayline compliance --stack prod --output docs/compliance.md`"
    )


def test_the_page_names_every_rule_and_every_control() -> None:
    written = PAGE.read_text()
    assert [rule for rule in RULES if f"45 CFR {rule}]" not in written] == []
    assert [control.id for control in CONTROLS if f"**{control.id} {control.title}**" not in written] == []


@pytest.mark.parametrize("node", [*OF_EVERY_CONTROL, *(test for tests in PROOFS.values() for test in tests)])
def test_every_test_that_is_named_exists(node: str) -> None:
    path, _, name = node.partition("::")
    tree = ast.parse((REPOSITORY / path).read_text())
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_tests_are_named_for_controls_that_exist() -> None:
    assert set(PROOFS) <= {control.id for control in CONTROLS}


def test_what_a_person_wrote_is_kept_and_what_fails_is_said() -> None:
    text = page(graph(bucket("uploads")), f"# Ours\n\nby hand\n\n{MARK}\n\nstale evidence")
    assert text.startswith(f"# Ours\n\nby hand\n\n{MARK}\n")
    assert "stale evidence" not in text
    assert "| uploads | requests without TLS are taken | **fail** |" in text


def test_the_verb_writes_the_page_and_keeps_what_a_person_wrote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)
    monkeypatch.setattr(verb, "plan", lambda stack: graph(bucket("uploads"), stack=stack))
    output = tmp_path / "compliance.md"
    output.write_text(f"by hand\n\n{MARK}\n")
    result = CliRunner().invoke(app, ["compliance", "--stack", "staging", "--output", str(output)])
    assert result.exit_code == 0
    assert output.read_text().startswith(f"by hand\n\n{MARK}\n\n## Evidence of the stack `staging`")
    elsewhere = tmp_path / "evidence" / "2026" / "compliance.md"
    CliRunner().invoke(app, ["compliance", "--stack", "staging", "--output", str(elsewhere)])
    assert "## Evidence of the stack `staging`" in elsewhere.read_text()
    printed = CliRunner().invoke(app, ["compliance", "--stack", "staging"])
    assert "## Evidence of the stack `staging`" in printed.stdout
