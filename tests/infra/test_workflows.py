"""The GitHub workflows: no key to lose, no more rights than needed, nothing that moves, targets that exist."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rayline_infra.deploying.images import MADE_FROM, TAG_SETTINGS

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))
# GitHub's own, from the same place as the runner itself; its tags are moved for security fixes.
MOVING = {"github/codeql-action/init@v3", "github/codeql-action/analyze@v3"}
DEPLOYMENTS = {"deploy-dev.yml": "development", "deploy-prod.yml": "production"}


def read(path: Path) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(path.read_text())
    return document


def triggers(path: Path) -> Any:
    # YAML 1.1 takes the key `on` for true.
    return read(path)[True]


def steps(path: Path) -> list[dict[str, Any]]:
    document = read(path)
    jobs = document["jobs"].values() if "jobs" in document else [document["runs"]]
    return [step for job in jobs for step in job["steps"]]


def test_there_is_a_workflow_for_each_need() -> None:
    assert {each.stem for each in WORKFLOWS} == {"test", "security", "preview", "deploy-dev", "deploy-prod"}


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + "/" + path.name)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step and not step["uses"].startswith("./")]
    moving = [each for each in used if not re.search(r"@[0-9a-f]{40}$", each)]
    assert set(moving) <= MOVING


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_starts_with_the_right_to_read_and_holds_no_secret(path: Path) -> None:
    allowed = {"contents": "read", "id-token": "write"}
    assert read(path)["permissions"].items() <= allowed.items()
    assert "secrets." not in path.read_text()
    assert "pull_request_target" not in path.read_text()
    for job in read(path)["jobs"].values():
        assert "timeout-minutes" in job


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_what_needs_an_account_asks_for_a_role(path: Path) -> None:
    takes_role = any("configure-aws-credentials" in step.get("uses", "") for step in steps(path))
    assert takes_role == (read(path)["permissions"].get("id-token") == "write")
    assert takes_role == (path.name in {*DEPLOYMENTS, "preview.yml"})


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_waits_for_its_environment_and_is_alone(name: str) -> None:
    document = read(ROOT / ".github/workflows" / name)
    assert document["jobs"]["deploy"]["environment"] == DEPLOYMENTS[name]
    assert document["concurrency"]["cancel-in-progress"] is False


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_role_of_a_deployment_lasts_as_long_as_its_job(name: str) -> None:
    job = read(ROOT / ".github/workflows" / name)["jobs"]["deploy"]
    (taking,) = (step["with"] for step in job["steps"] if "role-to-assume" in step.get("with", {}))
    assert taking["role-duration-seconds"] >= 60 * job["timeout-minutes"]
    # The role has to allow that.
    prepared = (ROOT / "docs/account-preparation.md").read_text()
    assert f"--max-session-duration {taking['role-duration-seconds']}" in prepared


def test_development_waits_for_the_tests_of_the_commit_that_it_deploys() -> None:
    path = ROOT / ".github/workflows/deploy-dev.yml"
    tests = read(ROOT / ".github/workflows/test.yml")["name"]
    # A push, or a hand, would deploy what no test has seen.
    assert triggers(path) == {
        "workflow_run": {"workflows": [tests], "branches": ["main"], "types": ["completed"]}
    }
    job = read(path)["jobs"]["deploy"]
    assert "workflow_run.conclusion == 'success'" in job["if"]
    assert "workflow_run.event == 'push'" in job["if"]
    assert " || " not in job["if"]
    # Otherwise it would be main as it is by then.
    (checkout,) = (step for step in job["steps"] if "actions/checkout" in step.get("uses", ""))
    assert checkout["with"]["ref"] == "${{ github.event.workflow_run.head_sha }}"
    deploying = job["steps"][-1]
    assert 'IMAGE_TAG="$COMMIT"' in deploying["run"]
    assert deploying["env"] == {"COMMIT": checkout["with"]["ref"]}


def test_production_waits_for_the_tests_of_the_commit_that_it_deploys() -> None:
    jobs = read(ROOT / ".github/workflows/deploy-prod.yml")["jobs"]
    assert jobs["deploy"]["needs"] == "tested"
    assert jobs["tested"]["permissions"] == {"actions": "read"}
    (asking,) = jobs["tested"]["steps"]
    assert asking["env"]["RUNS"].endswith("/actions/workflows/test.yml/runs")
    for wanted in ('head_sha="$GITHUB_SHA"', "status=success", "event=push", "branch=main"):
        assert wanted in asking["run"]
    assert 'IMAGE_TAG="$GITHUB_SHA"' in jobs["deploy"]["steps"][-1]["run"]


@pytest.mark.parametrize(("answer", "passes"), [("0", False), ("1", True), ("", False)])
def test_production_stops_where_no_test_of_its_commit_has_passed(
    tmp_path: Path, answer: str, passes: bool
) -> None:
    (asking,) = read(ROOT / ".github/workflows/deploy-prod.yml")["jobs"]["tested"]["steps"]
    program = tmp_path / "gh"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{answer}'\n")
    program.chmod(0o755)
    # As GitHub runs it: bash -e.
    finished = subprocess.run(
        ["bash", "-e", "-c", asking["run"]],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUNS": "runs", "GITHUB_SHA": "0" * 40},
        check=False,
    )
    assert (finished.returncode == 0) is passes


def test_production_is_never_deployed_by_a_push() -> None:
    assert set(triggers(ROOT / ".github/workflows/deploy-prod.yml")) == {"workflow_dispatch", "release"}


def test_a_preview_comes_with_a_pull_request_and_gives_no_role_to_a_fork() -> None:
    path = ROOT / ".github/workflows/preview.yml"
    assert set(triggers(path)) == {"pull_request"}
    assert "head.repo.full_name == github.repository" in read(path)["jobs"]["preview"]["if"]


def test_a_preview_shows_the_images_that_a_deployment_would_set() -> None:
    (job,) = read(ROOT / ".github/workflows/preview.yml")["jobs"].values()
    previewing = job["steps"][-1]
    assert set(re.findall(r'--config (\S+)="\$COMMIT"', previewing["run"])) == set(TAG_SETTINGS)


def test_a_preview_comes_with_whatever_the_program_is_made_of() -> None:
    paths = triggers(ROOT / ".github/workflows/preview.yml")["pull_request"]["paths"]
    packages = {
        match[1]
        for path in (ROOT / "infra/rayline_infra").rglob("*.py")
        for match in re.finditer(r"^(?:from|import) (rayline\w*)", path.read_text(), re.M)
    }
    assert packages == {"rayline", "rayline_infra", "rayline_training"}
    assert {"infra/**", "training/**", "processor/rayline/**"} <= set(paths)


def test_every_image_of_ours_is_scanned() -> None:
    (images,) = (
        job for name, job in read(ROOT / ".github/workflows/security.yml")["jobs"].items() if name == "images"
    )
    scanned = {
        each["name"]: tuple(each["options"].split()) for each in images["strategy"]["matrix"]["include"]
    }
    assert scanned == {kind: tuple(recipe) for kind, recipe in MADE_FROM.items() if recipe[0] != "copy"}


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name + "/" + path.name)
def test_every_make_target_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    wanted = {word for step in steps(path) for word in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))}
    assert wanted <= targets
