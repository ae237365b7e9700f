"""What must hold before a stack is touched; every problem is found before the first step, each with its mending."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from rayline.errors import ConfigurationError
from rayline_infra.deploying.account import Account
from rayline_infra.deploying.programs import Programs
from rayline_infra.policies.controls import check
from rayline_infra.policies.graph import Graph

NEEDED = {
    "pulumi": "https://www.pulumi.com/docs/install/",
    "docker": "https://docs.docker.com/engine/install/ (with buildx)",
}
# What the repository's own stack files stand for until a site writes its own.
EXAMPLE_ACCOUNTS = ("111111111111", "222222222222", "123456789012")
REMOTE = ("s3://", "https://")
ENCRYPTED = ("awskms://",)


@dataclass(frozen=True)
class Outcome:
    """One thing that was looked at: ``mending`` is empty where it is well."""

    subject: str
    found: str
    mending: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing has to be mended."""
        return not self.mending


def preflight(graph: Graph, project: Path, account: Account, programs: Programs) -> list[Outcome]:
    """Look at everything that a deployment needs; changes nothing."""
    outcomes = [*_programs(programs), _account(graph, account), _controls(graph)]
    if programs.has("pulumi"):
        outcomes.append(_state(programs))
    return [*outcomes, _secrets_provider(graph.stack, project), _profile(graph, project), _tree(programs)]


def _programs(programs: Programs) -> Iterator[Outcome]:
    for name, source in NEEDED.items():
        present = programs.has(name)
        yield Outcome(
            name, "installed" if present else "not on the path", "" if present else f"install it: {source}"
        )


def _account(graph: Graph, account: Account) -> Outcome:
    wanted = str(graph.outputs["account_id"])
    if wanted in EXAMPLE_ACCOUNTS:
        return Outcome(
            "account", f"{wanted} is the example's", f"set rayline:accountId in Pulumi.{graph.stack}.yaml"
        )
    try:
        found = account.account_id()
    except ConfigurationError as error:
        return Outcome("account", "no credentials", str(error))
    mending = "" if found == wanted else f"sign in to account {wanted}, or set rayline:accountId to {found}"
    return Outcome("account", f"signed in to {found}, the stack wants {wanted}", mending)


def _controls(graph: Graph) -> Outcome:
    failed = sorted({each.control for each in check(graph) if not each.accepted})
    mending = f"see `rayline check --stack {graph.stack} --failures`" if failed else ""
    return Outcome("controls", f"failing: {', '.join(failed)}" if failed else "all kept", mending)


def _state(programs: Programs) -> Outcome:
    try:
        url = str(json.loads(programs.read(["pulumi", "whoami", "--verbose", "--json"])).get("url", ""))
    except (ConfigurationError, ValueError):
        return Outcome(
            "state", "not logged in", "pulumi login s3://<state bucket> (docs/account-preparation.md)"
        )
    mending = (
        ""
        if url.startswith(REMOTE)
        else "keep it where others see and lock it: pulumi login s3://<state bucket>"
    )
    return Outcome("state", f"in {url}", mending)


def _secrets_provider(stack: str, project: Path) -> Outcome:
    document = yaml.safe_load((project / f"Pulumi.{stack}.yaml").read_text()) or {}
    provider = str(document.get("secretsprovider", ""))
    mending = (
        ""
        if provider.startswith(ENCRYPTED)
        else f"pulumi stack change-secrets-provider --stack {stack} 'awskms://alias/<key>?region=<region>'"
    )
    return Outcome("state's secrets", provider or "no secrets provider", mending)


def _profile(graph: Graph, project: Path) -> Outcome:
    """The processor's image takes the profile from this checkout, and starts with no other."""
    path = str(graph.outputs["operator_environment"]["RAYLINE_SITE_PROFILE"])
    present = (project / path).is_file()
    mending = "" if present else f"write it, or set rayline:siteProfile in Pulumi.{graph.stack}.yaml"
    return Outcome("site profile", path if present else f"no {path} in this checkout", mending)


def _tree(programs: Programs) -> Outcome:
    try:
        changed = programs.read(["git", "status", "--porcelain"]).splitlines()
    except ConfigurationError:
        return Outcome(
            "working tree", "no repository", "deploy from a checkout, so that images can be traced"
        )
    mending = "commit or put away what changed: an image's tag stands for a commit" if changed else ""
    return Outcome("working tree", f"{len(changed)} changed files" if changed else "clean", mending)
