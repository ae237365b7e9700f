"""A deployment: looked at before it starts, done in an order that works, and gone on with where it broke off."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from typer.testing import CliRunner

from rayline.errors import ConfigurationError
from rayline_infra.commands import deploy as deploy_command
from rayline_infra.commands import validate as validate_command
from rayline_infra.deploying.account import AwsAccount, RegistryLogin
from rayline_infra.deploying.images import MADE_FROM, Image, build_command, tagged, wanted
from rayline_infra.deploying.preflight import preflight
from rayline_infra.deploying.programs import MachinePrograms
from rayline_infra.deploying.steps import deploy, destroy, engine_urn, update_options, with_needed
from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PASSWORD = "drawn-by-the-registry"


@dataclass
class FakeAccount:
    """An account that holds what it is given."""

    number: str = "999999999999"
    images: set[tuple[str, str]] = field(default_factory=set)
    valued: set[str] = field(default_factory=set)
    sign_in_keys: dict[str, str] = field(default_factory=dict)
    restarted: list[tuple[str, str]] = field(default_factory=list)
    models: dict[str, int] = field(default_factory=dict)

    def account_id(self) -> str:
        return self.number

    def has_image(self, repository: str, tag: str) -> bool:
        return (repository, tag) in self.images

    def registry_login(self) -> RegistryLogin:
        return RegistryLogin("registry.example", "AWS", PASSWORD)

    def give_key(self, secret_name: str) -> bool:
        if secret_name in self.valued:
            return False
        self.valued.add(secret_name)
        return True

    def give_sign_in_keys(self, user_pool: str, parameter: str) -> bool:
        changed = self.sign_in_keys.get(parameter) != user_pool
        self.sign_in_keys[parameter] = user_pool
        return changed

    def restart(self, cluster: str, service: str) -> None:
        self.restarted.append((cluster, service))

    def delete_models(self, group: str) -> int:
        return self.models.pop(group, 0)


@dataclass
class FakePrograms:
    """Programs that note what they are asked, push into an account, and break where they are told to."""

    account: FakeAccount
    missing: tuple[str, ...] = ()
    state: str = "s3://rayline-state"
    changed: str = ""
    breaking: str = ""
    commands: list[Sequence[str]] = field(default_factory=list)
    given: list[str | None] = field(default_factory=list)

    def has(self, name: str) -> bool:
        return name not in self.missing

    def read(self, command: Sequence[str]) -> str:
        if command[0] == "git":
            return self.changed
        return f'{{"user": "deployer", "url": "{self.state}"}}'

    def run(self, command: Sequence[str], *, given: str | None = None) -> None:
        if self.breaking and any(self.breaking in part for part in command):
            raise ConfigurationError(f"{command[0]} ended with status 1; see above")
        self.commands.append(command)
        self.given.append(given)
        if "--tag" in command:
            url, _, tag = command[command.index("--tag") + 1].rpartition(":")
            self.account.images.add((url.rsplit("/", 1)[-1], tag))


@pytest.fixture
def prod(graph_of: Callable[[str], Graph]) -> Graph:
    """Production as planned, for an account that is no example."""
    graph = graph_of("prod")
    return Graph(graph.stack, graph.resources, {**graph.outputs, "account_id": "999999999999"})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose production stack encrypts its state's secrets."""
    (tmp_path / "Pulumi.prod.yaml").write_text(
        "secretsprovider: awskms://alias/rayline-state?region=us-east-1\n"
    )
    profile = tmp_path / "config/site/hospital-a.yaml"
    profile.parent.mkdir(parents=True)
    profile.touch()
    return tmp_path


def failing(graph: Graph, project: Path, account: FakeAccount, programs: FakePrograms) -> set[str]:
    return {each.subject for each in preflight(graph, project, account, programs) if not each.passed}


def test_a_site_that_is_ready_passes(prod: Graph, project: Path) -> None:
    account = FakeAccount()
    assert failing(prod, project, account, FakePrograms(account)) == set()


@pytest.mark.parametrize(
    ("programs", "subject"),
    [
        ({"missing": ("docker",)}, "docker"),
        ({"missing": ("pulumi",)}, "pulumi"),
        ({"state": "file://~"}, "state"),
        ({"changed": " M infra/rayline_infra/estate.py\n"}, "working tree"),
    ],
)
def test_what_is_not_ready_is_named_with_its_mending(
    prod: Graph, project: Path, programs: dict[str, str], subject: str
) -> None:
    account = FakeAccount()
    assert failing(prod, project, account, FakePrograms(account, **programs)) == {subject}  # type: ignore[arg-type]


def test_another_account_is_not_deployed_to(prod: Graph, project: Path) -> None:
    account = FakeAccount(number="888888888888")
    assert failing(prod, project, account, FakePrograms(account)) == {"account"}


def test_the_example_account_is_not_deployed_to(graph_of: Callable[[str], Graph], project: Path) -> None:
    account = FakeAccount(number="222222222222")
    assert failing(graph_of("prod"), project, account, FakePrograms(account)) == {"account"}


def test_a_site_profile_that_no_image_will_hold_is_named(prod: Graph, project: Path) -> None:
    (project / "config/site/hospital-a.yaml").unlink()
    account = FakeAccount()
    assert failing(prod, project, account, FakePrograms(account)) == {"site profile"}


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    programs = MachinePrograms(tmp_path)
    for call in (programs.read, programs.run):
        with pytest.raises(ConfigurationError, match="no-such-program is not on the path"):
            call(["no-such-program", "destroy"])


def test_sagemaker_can_take_every_image_that_is_built() -> None:
    image = Image("rayline-prod-training", "registry/rayline-prod-training", COMMIT)
    command = build_command(image, "training", MADE_FROM)
    assert {"--provenance=false", "--sbom=false", "type=registry,oci-mediatypes=false"} <= set(command)


def test_a_state_whose_secrets_nobody_encrypts_is_refused(prod: Graph, project: Path) -> None:
    (project / "Pulumi.prod.yaml").write_text("config: {}\n")
    account = FakeAccount()
    assert failing(prod, project, account, FakePrograms(account)) == {"state's secrets"}


def test_images_and_keys_are_there_before_the_tasks_that_need_them(prod: Graph) -> None:
    account = FakeAccount()
    programs = FakePrograms(account)
    deploy(prod, account, programs, MADE_FROM, lambda _: None, confirmed=True)
    first, login, *builds, last = programs.commands
    assert first[:2] == ["pulumi", "up"]
    assert "--target" in first
    assert list(login[:2]) == ["docker", "login"]
    assert {command[0] for command in builds} == {"docker"}
    assert last == ["pulumi", "up", "--stack", "prod", "--yes"]
    assert account.images == {(each.repository, each.tag) for each in wanted(prod)}
    assert account.valued == {"rayline/prod/tracking", "rayline/prod/deid"}
    assert account.sign_in_keys == {"/rayline/prod/sign-in-keys": "rayline-prod"}
    assert account.restarted == [("rayline-prod", "rayline-prod-api")]
    # The password goes in by standard input: a command line is seen by every process of the machine.
    assert programs.given[1] == PASSWORD
    assert not any(PASSWORD in part for command in programs.commands for part in command)


@pytest.fixture(scope="module")
def of_a_commit() -> Graph:
    """Production as planned for the images of a commit."""
    return plan("prod", overrides=tagged(COMMIT))


def test_a_commit_brings_its_own_images(of_a_commit: Graph) -> None:
    account = FakeAccount()
    programs = FakePrograms(account)
    deploy(of_a_commit, account, programs, MADE_FROM, lambda _: None, confirmed=True)
    tags = {repository.removeprefix("rayline-prod-"): tag for repository, tag in account.images}
    collector = tags.pop("collector")
    assert tags == dict.fromkeys(("processor", "api", "gateway", "training"), COMMIT)
    assert collector == "v0.43.3"
    for task in ("processor-task", "api-task", "gateway-task"):
        containers = of_a_commit.named("aws:ecs/taskDefinition:TaskDefinition", task).inputs[
            "containerDefinitions"
        ]
        assert f":{COMMIT}" in containers, task


def test_a_commits_tag_reaches_every_update_and_changes_no_file_of_the_checkout(
    of_a_commit: Graph, project: Path
) -> None:
    before = (project / "Pulumi.prod.yaml").read_text()
    options = update_options(project, "prod", tagged(COMMIT))
    programs = FakePrograms(FakeAccount())
    deploy(
        of_a_commit, programs.account, programs, MADE_FROM, lambda _: None, confirmed=True, options=options
    )
    updates = [command for command in programs.commands if command[:2] == ["pulumi", "up"]]
    assert len(updates) == 2
    for update in updates:
        for kind in ("processor", "api", "gateway", "training"):
            assert f"rayline:{kind}ImageTag={COMMIT}" in update
        # Pulumi writes --config into the file that it reads.
        read = Path(update[update.index("--config-file") + 1])
        assert read != project / "Pulumi.prod.yaml"
        assert read.read_text() == before
    assert (project / "Pulumi.prod.yaml").read_text() == before


def test_without_a_tag_the_stacks_own_file_decides(project: Path) -> None:
    assert update_options(project, "prod", tagged(None)) == []
    assert not (project / "build").exists()


@pytest.mark.parametrize("verb", ["deploy", "validate"])
def test_a_verb_plans_with_the_tag_that_it_is_given(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    asked: list[Mapping[str, str]] = []

    def planned(stack: str, overrides: Mapping[str, str]) -> Graph:
        asked.append(overrides)
        raise ConfigurationError(f"{stack} is not planned here")

    # The one imports it when it runs, the other before.
    monkeypatch.setattr("rayline_infra.planning.plan", planned)
    monkeypatch.setattr("rayline_infra.commands.validate.plan", planned)
    app = typer.Typer()
    for module in (deploy_command, validate_command):
        module.register(app)
    result = CliRunner().invoke(app, [verb, "--stack", "dev", "--image-tag", COMMIT])
    assert "dev is not planned here" in str(result.exception)
    assert asked == [tagged(COMMIT)]


def test_every_image_that_a_task_or_job_names_has_a_recipe(graph: Graph) -> None:
    images = wanted(graph)
    kinds = {each.repository.removeprefix(f"rayline-{graph.stack}-") for each in images}
    assert {"processor", "api", "gateway", "training"} <= kinds
    assert kinds <= set(MADE_FROM)
    for recipe in MADE_FROM.values():
        if recipe[0] != "copy":
            assert (ROOT / recipe[recipe.index("--file") + 1]).is_file()


def test_what_comes_first_brings_all_that_it_needs_and_no_task(prod: Graph) -> None:
    account = FakeAccount()
    programs = FakePrograms(account)
    deploy(prod, account, programs, MADE_FROM, lambda _: None, confirmed=True)
    targets = [
        urn
        for flag, urn in zip(programs.commands[0], programs.commands[0][1:], strict=False)
        if flag == "--target"
    ]
    by_engine_urn = {engine_urn(prod, each.urn): each.urn for each in prod.resources}
    targets = [by_engine_urn[urn] for urn in targets]
    by_urn = {each.urn: each for each in prod.resources}
    for urn in targets:
        needed = {*by_urn[urn].dependencies, by_urn[urn].parent} & set(by_urn)
        assert needed <= set(targets), urn
    types = {by_urn[urn].type for urn in targets}
    assert {"aws:ecr/repository:Repository", "aws:kms/key:Key", "pulumi:providers:aws"} <= types
    assert not types & {"aws:ecs/service:Service", "aws:ecs/taskDefinition:TaskDefinition"}
    assert with_needed(prod, targets) == targets


@pytest.mark.parametrize(
    ("name", "qualified"),
    [
        # What `pulumi.create_urn` makes of each resource with its parent, level by level.
        ("aws", "pulumi:providers:aws"),
        ("registry", "rayline:estate:Estate$rayline:registry:Registry"),
        ("api-repository", "rayline:estate:Estate$rayline:registry:Registry$aws:ecr/repository:Repository"),
        (
            "tracking-secret",
            "rayline:estate:Estate$rayline:secrets:Secrets$aws:secretsmanager/secret:Secret",
        ),
    ],
)
def test_a_target_is_named_as_pulumis_engine_names_it(prod: Graph, name: str, qualified: str) -> None:
    (resource,) = (
        each for each in prod.resources if each.name == name and each.type == qualified.split("$")[-1]
    )
    expected = f"urn:pulumi:prod::rayline::{qualified}::{name}"
    assert engine_urn(prod, resource.urn) == expected
    programs = FakePrograms(FakeAccount())
    deploy(prod, programs.account, programs, MADE_FROM, lambda _: None, confirmed=True)
    assert expected in programs.commands[0]


def test_a_run_that_broke_off_goes_on_where_it_was(prod: Graph) -> None:
    account = FakeAccount()
    broken = FakePrograms(account, breaking="training/Dockerfile")
    with pytest.raises(ConfigurationError):
        deploy(prod, account, broken, MADE_FROM, lambda _: None, confirmed=True)
    done = set(account.images)
    assert done
    again = FakePrograms(account)
    deploy(prod, account, again, MADE_FROM, lambda _: None, confirmed=True)
    built = {command[command.index("--tag") + 1] for command in again.commands if "--tag" in command}
    assert built == {each.address for each in wanted(prod) if (each.repository, each.tag) not in done}


def test_an_update_is_asked_for_unless_it_was_confirmed(prod: Graph) -> None:
    account = FakeAccount()
    programs = FakePrograms(account)
    deploy(prod, account, programs, MADE_FROM, lambda _: None, confirmed=False)
    assert not any("--yes" in command for command in programs.commands)


def test_destroying_a_protected_stack_says_what_stays_and_deletes_no_model(prod: Graph) -> None:
    account = FakeAccount(models={prod.outputs["model_package_group"]: 2})
    programs = FakePrograms(account)
    lines: list[str] = []
    destroy(prod, account, programs, lines.append, confirmed=True)
    stays = set(lines[0].removeprefix("stays: ").split(", "))
    # Pulumi keeps what a protected resource depends on: the keys, and the roles that their policies name.
    assert {"datastore", "uploads", "image-tracking-table", "deidentified-key", "processor-role"} <= stays
    assert not {"processor-service", "vpc", "queue"} & stays
    assert len(account.models) == 1
    assert programs.commands == [["pulumi", "destroy", "--stack", "prod", "--exclude-protected", "--yes"]]


def test_a_stack_that_is_not_protected_goes_but_for_its_data_store(graph_of: Callable[[str], Graph]) -> None:
    dev = graph_of("dev")
    group = dev.outputs["model_package_group"]
    account = FakeAccount(number="111111111111", models={group: 2})
    lines: list[str] = []
    destroy(dev, account, FakePrograms(account), lines.append, confirmed=True)
    assert account.models == {}
    stays = set(lines[0].removeprefix("stays: ").split(", "))
    assert {each for each in stays if not each.endswith("-role")} == {"datastore", "deidentified-key"}
    # AWS deletes none of these while they hold something, or keeps the name, unless it is told to.
    assert all(each.inputs["forceDelete"] for each in dev.of_type("aws:ecr/repository:Repository"))
    secrets = dev.of_type("aws:secretsmanager/secret:Secret")
    assert {each.inputs["recoveryWindowInDays"] for each in secrets} == {0}


def test_production_deletes_no_image_or_secret_at_once(prod: Graph) -> None:
    assert not any(each.inputs["forceDelete"] for each in prod.of_type("aws:ecr/repository:Repository"))
    secrets = prod.of_type("aws:secretsmanager/secret:Secret")
    assert {each.inputs["recoveryWindowInDays"] for each in secrets} == {30}


def test_nothing_is_destroyed_with_another_accounts_credentials(graph_of: Callable[[str], Graph]) -> None:
    account = FakeAccount(number="888888888888")
    programs = FakePrograms(account)
    with pytest.raises(ConfigurationError, match="888888888888"):
        destroy(graph_of("dev"), account, programs, lambda _: None, confirmed=True)
    assert programs.commands == []


GROUP = "rayline-dev-models"
VERSIONS = [
    f"arn:aws:sagemaker:us-east-1:111111111111:model-package/{GROUP}/{number}" for number in range(1, 4)
]


@pytest.fixture
def sagemaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[AwsAccount, Stubber]]:
    """An account whose SageMaker answers what botocore's model of it allows, and nothing unasked."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    account = AwsAccount("us-east-1")
    client = account._client("sagemaker")
    monkeypatch.setattr(account, "_client", lambda _: client)
    with Stubber(client) as stubber:
        yield account, stubber
        stubber.assert_no_pending_responses()


def test_every_version_of_a_group_is_deleted_over_all_pages(sagemaker: tuple[AwsAccount, Stubber]) -> None:
    account, stubber = sagemaker
    for page, more in ((VERSIONS[:2], "more"), (VERSIONS[2:], None)):
        listed = [
            {
                "ModelPackageArn": arn,
                "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
                "ModelPackageStatus": "Completed",
            }
            for arn in page
        ]
        asked = {"ModelPackageGroupName": GROUP, **({} if more else {"NextToken": "more"})}
        answer = {"ModelPackageSummaryList": listed, **({"NextToken": more} if more else {})}
        stubber.add_response("list_model_packages", answer, asked)
    for arn in VERSIONS:
        stubber.add_response("delete_model_package", {}, {"ModelPackageName": arn})
    assert account.delete_models(GROUP) == 3


def test_a_group_that_is_gone_has_nothing_to_delete(sagemaker: tuple[AwsAccount, Stubber]) -> None:
    account, stubber = sagemaker
    stubber.add_client_error(
        "list_model_packages", "ValidationException", f"ModelPackageGroup {GROUP} does not exist."
    )
    assert account.delete_models(GROUP) == 0


def test_a_refusal_to_list_models_is_no_empty_group(sagemaker: tuple[AwsAccount, Stubber]) -> None:
    account, stubber = sagemaker
    stubber.add_client_error("list_model_packages", "AccessDeniedException", "not authorized")
    with pytest.raises(ClientError):
        account.delete_models(GROUP)
