"""``rayline check``: what it prints, and when it fails."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import typer
from support.small_graphs import bucket, edited, graph, without
from typer.testing import CliRunner

from rayline_infra.commands import check as verb
from rayline_infra.policies.controls import CONTROLS
from rayline_infra.policies.graph import Graph


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)

    def call(found: Graph, *arguments: str) -> Any:
        monkeypatch.setattr(verb, "plan", lambda stack, overrides: found)
        return CliRunner().invoke(app, ["check", "--stack", found.stack, *arguments])

    return call


def test_production_is_kept_and_every_finding_is_printed(
    run: Callable[..., Any], graph_of: Callable[[str], Graph]
) -> None:
    result = run(graph_of("prod"))
    assert result.exit_code == 0
    assert "0 broken" in result.stdout
    assert " fail " not in result.stdout
    for control in CONTROLS:
        if control.id in result.stdout:
            assert control.rules[0] in result.stdout


def test_a_breach_comes_first_and_fails(run: Callable[..., Any], graph_of: Callable[[str], Graph]) -> None:
    lacking = without(graph_of("prod"), "aws:s3/bucketVersioning:BucketVersioning", "models-versioning")
    result = run(lacking)
    assert result.exit_code == 1
    first = next(line for line in result.stdout.splitlines() if "BAK-2" in line)
    assert ("models" in first, "fail" in first, "164.308(a)(7)(ii)(A)" in first) == (True, True, True)
    assert "1 broken" in result.stdout


def test_as_json_each_finding_has_its_control_resource_and_setting(run: Callable[..., Any]) -> None:
    result = run(graph(bucket("uploads")), "--json", "--failures")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert {"control": "TLS-1", "resource": "uploads", "passed": False}.items() <= next(
        each.items() for each in found if each["control"] == "TLS-1"
    )
    assert not any(each["passed"] for each in found)


def test_an_exemption_is_printed_with_its_reason_and_does_not_fail(
    run: Callable[..., Any], graph_of: Callable[[str], Graph]
) -> None:
    result = run(graph_of("dev"))
    assert result.exit_code == 0
    assert "destroyed and made again" in result.stdout
    staging = Graph("staging", graph_of("dev").resources, {})
    assert run(staging).exit_code == 1


def test_a_setting_with_brackets_is_printed_as_it_is(
    run: Callable[..., Any], graph_of: Callable[[str], Graph]
) -> None:
    broken = edited(
        graph_of("prod"),
        "aws:ecs/taskDefinition:TaskDefinition",
        "processor-task",
        lambda inputs: inputs.update(
            containerDefinitions=inputs["containerDefinitions"].replace('"ALL"', '"KILL"')
        ),
    )
    assert "dropped = ['KILL']" in run(broken, "--failures").stdout
