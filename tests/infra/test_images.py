"""The container files: pinned, without root or secrets, and made of what is in the repository."""

import fnmatch
import json
import re
from pathlib import Path

import pytest
from support.dockerfile import Instruction, Stage, read_dockerfile

from rayline.names import API_PORT
from rayline_infra.components.api import COMMAND
from rayline_infra.policies.graph import Graph

ROOT = Path(__file__).parents[2]
FILES = ("processor/Dockerfile", "training/Dockerfile")
TARGETS = {
    "processor": ("processor/Dockerfile", ["rayline", "process"]),
    "api": ("processor/Dockerfile", list(COMMAND)),
    "gateway": ("processor/Dockerfile", ["rayline", "dimse", "serve"]),
}


def stages(file: str) -> dict[str, Stage]:
    return {stage.name: stage for stage in read_dockerfile((ROOT / file).read_text())}


def lineage(file: str, target: str) -> list[Instruction]:
    """All instructions that a stage inherits, its own last."""
    found = stages(file)
    stage = found[target]
    inherited = lineage(file, stage.base) if stage.base in found else []
    return [*inherited, *stage.instructions]


def last(instructions: list[Instruction], keyword: str) -> str:
    return [each.value for each in instructions if each.keyword == keyword][-1]


@pytest.mark.parametrize("file", FILES)
def test_the_base_is_pinned_by_digest_and_nothing_else_is_pulled(file: str) -> None:
    found = stages(file)
    text = (ROOT / file).read_text()
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", text, re.MULTILINE)
    assert re.fullmatch(
        r"public\.ecr\.aws/docker/library/python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", image
    )
    assert {stage.base for stage in found.values()} <= {"${PYTHON_IMAGE}", *found}


def test_both_files_stand_on_the_same_base() -> None:
    bases = {
        re.findall(r"^ARG PYTHON_IMAGE=(.+)$", (ROOT / file).read_text(), re.MULTILINE)[0] for file in FILES
    }
    assert len(bases) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_a_service_is_not_root_and_installs_nothing_where_it_runs(target: str) -> None:
    file, _ = TARGETS[target]
    instructions = lineage(file, target)
    assert last(instructions, "USER") == "10001:10001"
    for each in instructions:
        if each.keyword == "RUN":
            assert " install" not in each.value.replace("uninstall", ""), each.value
    copied = [each.value for each in instructions if each.keyword == "COPY"]
    assert f"--from={target}-environment /opt/venv /opt/venv" in copied


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_what_its_task_definition_runs(
    target: str, graph_of: object, request: pytest.FixtureRequest
) -> None:
    file, command = TARGETS[target]
    graph: Graph = request.getfixturevalue("graph_of")("prod")
    task = graph.named("aws:ecs/taskDefinition:TaskDefinition", f"{target}-task")
    (container,) = [
        each for each in json.loads(task.inputs["containerDefinitions"]) if each["name"] == target
    ]
    assert json.loads(last(lineage(file, target), "CMD")) == command == container["command"]
    health = last(lineage(file, target), "HEALTHCHECK").partition("CMD ")[2]
    assert ["CMD", *json.loads(health)] == container["healthCheck"]["command"]
    volumes = {
        path for each in lineage(file, target) if each.keyword == "VOLUME" for path in json.loads(each.value)
    }
    assert volumes == {each["containerPath"] for each in container["mountPoints"]}
    exposed = {each.value for each in lineage(file, target) if each.keyword == "EXPOSE"}
    assert exposed == {str(each["containerPort"]) for each in container.get("portMappings", [])}


def test_the_apis_port_is_the_one_that_its_security_group_opens() -> None:
    assert last(lineage(*("processor/Dockerfile", "api")), "EXPOSE") == str(API_PORT)


def test_training_starts_as_sagemaker_asks() -> None:
    instructions = lineage("training/Dockerfile", "training")
    assert json.loads(last(instructions, "ENTRYPOINT")) == ["python", "-m", "rayline_training"]
    assert json.loads(last(instructions, "CMD")) == ["train"]


@pytest.mark.parametrize("file", FILES)
def test_what_is_copied_exists_and_is_let_into_the_build(file: str) -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    for stage in stages(file).values():
        for each in stage.instructions:
            if each.keyword == "COPY" and not each.value.startswith("--from="):
                *sources, _ = each.value.split()
                for source in sources:
                    assert (ROOT / source).exists(), source
                    assert any(fnmatch.fnmatch(source, pattern) for pattern in let_in), source


@pytest.mark.parametrize("file", FILES)
def test_every_installation_is_bound_to_the_constraints_and_checked(file: str) -> None:
    installs = [
        each.value
        for stage in stages(file).values()
        for each in stage.instructions
        if each.keyword == "RUN" and "/opt/venv/bin/pip install" in each.value
    ]
    assert installs
    for command in installs:
        assert "--constraint constraints.txt" in command
        assert "--only-binary=:all:" in command
        assert "/opt/venv/bin/pip check" in command
    # Our own projects are installed from their wheels: PyPI may hold another package by such a name.
    assert not any(re.search(r"\s\.?/?(rayline|processor|plugins)\S*\s", command) for command in installs)


@pytest.mark.parametrize("file", FILES)
def test_no_secret_and_no_state_is_in_an_image(file: str) -> None:
    for stage in stages(file).values():
        for each in stage.instructions:
            if each.keyword in ("ENV", "ARG"):
                assert not re.search(r"SECRET|TOKEN|PASSWORD|CREDENTIAL|_KEY", each.value, re.IGNORECASE), (
                    each.value
                )
            assert each.keyword != "ADD"


def test_a_dockerfile_is_read_as_docker_reads_it() -> None:
    text = "ARG A=1\nFROM base AS one\n# a comment\nRUN first \\\n    # between\n    && second\n"
    text += "FROM one AS two\nUSER 1\n"
    one, two = read_dockerfile(text)
    assert (one.name, one.base) == ("one", "base")
    assert one.instructions == (Instruction("RUN", "first && second"),)
    assert (two.base, two.instructions) == ("one", (Instruction("USER", "1"),))
