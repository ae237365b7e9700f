"""Runbooks can be followed: verbs, options, saved queries, settings, alarms and links are real."""

import re
import subprocess
from pathlib import Path
from typing import get_args

import botocore
import botocore.session
import pytest
from support.verbs import every_verb

from rayline.names import AlarmKind, CompositeKind, ObjectiveKind, QueryKind
from rayline_infra.settings import SECTIONS

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
PAGES = sorted(RUNBOOKS.glob("*.md"))
# What somebody types who deploys, and who is in trouble.
GUIDES = [
    RUNBOOKS.parent / f"{name}.md"
    for name in ("account-preparation", "deployment", "operations", "troubleshooting")
]
# Pages that are no alarm's own.
OTHERS = {"README", "incident", "losing-a-region"}
SETTINGS = {name.partition(":")[2] for section in SECTIONS for name in section.settings()}

# What the AWS CLI adds to the services' operations.
OF_THE_CLI_ALONE = {
    ("s3", "cp"),
    ("s3", "ls"),
    ("s3", "sync"),
    ("logs", "tail"),
    ("cloudtrail", "validate-logs"),
    ("configure", "sso"),
    ("sso", "login"),
}
CLI_NAMES = {"s3api": "s3"}
GLOBAL_OPTIONS = {"query", "output", "region", "max-items"}


def code(page: Path) -> list[str]:
    """What stands in code blocks, line by line with continuations joined, and in backticks."""
    text = page.read_text()
    blocks = re.findall(r"```(?:console|bash)\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [*lines, *re.findall(r"`([^`\n]+)`", rest)]


@pytest.mark.parametrize("page", [*PAGES, *GUIDES], ids=lambda page: page.stem)
def test_verbs_and_options_are_the_commands_own(page: Path) -> None:
    root = every_verb()
    for line in code(page):
        for call in re.findall(
            r"(?:^|[\s$(])rayline ((?:[a-z-]+ ?)+(?:--?[a-z-]+[ =]?\S* ?)*)", line.partition(" # ")[0]
        ):
            # What follows a lone -- is another command's.
            command, words = root, call.partition(" -- ")[0].split()
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            assert command is not root, f"no verb in: rayline {call}"
            options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
            for word in words:
                if word.startswith("-"):
                    assert word.partition("=")[0] in options, f"rayline {call} has no {word}"


@pytest.mark.parametrize("page", [*PAGES, *GUIDES], ids=lambda page: page.stem)
def test_calls_of_aws_are_its_operations_and_options(page: Path) -> None:
    session = botocore.session.get_session()
    for line in code(page):
        for service, operation, rest in re.findall(r"\baws ([a-z0-9-]+) ([a-z0-9-]+)([^|;]*)", line):
            if (service, operation) in OF_THE_CLI_ALONE:
                continue
            model = session.get_service_model(CLI_NAMES.get(service, service))
            operations = {_kebab(name): name for name in model.operation_names}
            assert operation in operations, f"{page.name}: aws {service} {operation}"
            shape = model.operation_model(operations[operation]).input_shape
            options = {_kebab(name) for name in shape.members} if shape else set()
            # Options of a call within the call are its own.
            own = re.sub(r"\$\(.*", "", rest)
            for option in re.findall(r"--([a-z][a-z-]+)", own):
                assert option in options | GLOBAL_OPTIONS, (
                    f"{page.name}: aws {service} {operation} --{option}"
                )


def _kebab(name: str) -> str:
    return str(botocore.xform_name(name, "-"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pulumi_is_told_the_stack_and_never_deploys_the_tags_of_the_file(page: Path) -> None:
    for line in code(page):
        for call in re.findall(r"\bpulumi ((?:config |stack )?[a-z]+)", line):
            assert call != "up" or (page.stem == "README" and line == "pulumi up"), f"{page.name}: {line}"
            assert call in ("up", "login", "stack init") or "--stack" in line, f"{page.name}: {line}"
        if "make deploy" in line:
            assert "IMAGE_TAG=" in line, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{page.name} links {link}"
        if anchor:
            headings = {
                re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            }
            assert anchor in headings, f"{page.name} links {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_saved_queries_and_settings_exist(page: Path) -> None:
    for line in code(page):
        for query in re.findall(r"(?:^|\s)saved ([a-z-]+)", line):
            assert query in get_args(QueryKind), f"{page.name} asks for the query {query}"
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for name in re.findall(r"`([a-z]+(?:[A-Z][a-z]+)+)`", text):
        assert name in SETTINGS, f"{page.name} names {name}, which is no setting"


@pytest.mark.parametrize(
    "page", [each for each in PAGES if each.stem not in OTHERS], ids=lambda page: page.stem
)
def test_an_alarms_page_says_how_to_see_it_and_when_to_call_somebody(page: Path) -> None:
    assert page.stem in (*get_args(AlarmKind), *get_args(CompositeKind), *get_args(ObjectiveKind))
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert "**Escalate**" in text
    assert (
        "**Mend**" in text
        or "**First five minutes**" in text
        or "**See and mend**" in text
        or "| rings |" in text
    )
    # Somebody reads it at three in the morning.
    assert len(text.splitlines()) <= 45


def test_shell_functions_of_the_readme_are_shell() -> None:
    (block,) = re.findall(r"```console\n(.*?)```", (RUNBOOKS / "README.md").read_text(), re.DOTALL)
    script = re.sub(r"^\$ ", "", block, flags=re.MULTILINE)
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "saved() {" in script
    for function in re.findall(r"`(redeploy|restore)`", "".join(page.read_text() for page in PAGES)):
        assert f"{function}() {{" in script


def test_an_incident_is_isolated_exported_notified_and_reported() -> None:
    text = (RUNBOOKS / "incident.md").read_text()
    headings = re.findall(r"^## \d\. (\w+)", text, re.MULTILINE)
    assert headings == ["Isolate", "Export", "Notify", "Recover", "Report"]
    assert "24 hours" in text
    for rule in ("164.402", "164.404", "164.406", "164.408", "164.410", "164.412", "164.414"):
        assert rule in text, rule


def test_operations_lead_to_the_runbooks() -> None:
    text = (RUNBOOKS.parent / "operations.md").read_text()
    for page in OTHERS:
        assert f"(runbooks/{page}.md)" in text
