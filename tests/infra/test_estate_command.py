"""`rayline estate`: the graph of a stack from the command line, without an account."""

import json
from collections.abc import Callable

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from rayline.errors import ConfigurationError
from rayline_infra.commands.estate import register, tree
from rayline_infra.planning import ProgramError
from rayline_infra.policies.graph import Graph, Resource


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    # A profile of whoever runs this must not be needed, nor used.
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return app


def test_the_json_is_the_whole_graph(app: typer.Typer, graph_of: Callable[[str], Graph]) -> None:
    result = CliRunner().invoke(app, ["estate", "--stack", "dev", "--json"], catch_exceptions=False)
    printed = Graph.from_json(json.loads(result.stdout))
    expected = graph_of("dev")
    assert printed.stack == "dev"
    assert {each.urn: each for each in printed.resources} == {each.urn: each for each in expected.resources}
    assert printed.outputs == expected.outputs


def test_a_setting_can_be_replaced(app: typer.Typer, graph_of: Callable[[str], Graph]) -> None:
    arguments = ["estate", "--stack", "dev", "--json", "--set", "rayline:site=hospital-z"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(result.stdout)["outputs"]["site"] == "hospital-z"
    assert graph_of("dev").outputs["site"] != "hospital-z"


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        (["--stack", "nowhere"], ProgramError, "no stack nowhere"),
        (["--stack", "dev", "--set", "rayline:epochs"], ConfigurationError, "wants KEY=VALUE"),
        (["--stack", "dev", "--set", "rayline:epoch=1"], ProgramError, "rayline:epoch is no setting"),
    ],
)
def test_what_is_wrong_is_named(
    app: typer.Typer, arguments: list[str], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        CliRunner().invoke(app, ["estate", *arguments], catch_exceptions=False)


def test_the_tree_has_a_line_for_each_resource_below_its_component() -> None:
    graph = Graph(
        "test",
        (
            Resource("urn:estate", "rayline:estate:Estate", "rayline", False, {}),
            Resource(
                "urn:bucket", "aws:s3/bucket:Bucket", "uploads", True, {"bucket": "up"},
                parent="urn:estate", protect=True, id="up",
            ),
            Resource("urn:key", "aws:kms/key:Key", "key", True, {}, retain_on_delete=True, id="0815"),
        ),
        {},
    )  # fmt: skip
    console = Console(width=200)
    with console.capture() as captured:
        console.print(tree(graph))
    assert [line.rstrip() for line in captured.get().splitlines()] == [
        "stack test: 2 resources of 2 types, 2 protected or retained",
        "├── kms Key key 0815 retained",
        "└── rayline rayline:estate:Estate, 1",
        "    └── s3 Bucket uploads up protected",
    ]


def test_every_resource_has_a_line(graph: Graph) -> None:
    console = Console(width=400)
    with console.capture() as captured:
        console.print(tree(graph))
    assert len(captured.get().splitlines()) == len(graph.resources) + 1
