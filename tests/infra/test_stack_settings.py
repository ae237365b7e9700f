"""Stack settings: typed, checked, and named with an example when one is missing, wrong or misspelled."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from rayline.errors import ConfigurationError
from rayline_infra.planning import ProgramError, plan
from rayline_infra.policies.graph import Graph
from rayline_infra.settings import SECTIONS, load_stack_settings

ROOT = Path(__file__).parents[2]
STACKS = ("dev", "prod", "local")
SETTINGS = {name: field for section in SECTIONS for name, field in section.settings().items()}
REQUIRED = sorted(name for name, field in SETTINGS.items() if field.is_required())


def configuration(stack: str) -> dict[str, str]:
    """A stack's settings as Pulumi hands them to the program: text, lists as JSON."""
    document: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in document.items()
        if not key.startswith("pulumi:")
    }


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")


@pytest.mark.parametrize("name", STACKS)
def test_every_stack_writes_down_every_setting_in_their_order(name: str, stack: None) -> None:
    assert list(configuration(name)) == list(SETTINGS)
    pulumi.runtime.set_all_config(configuration(name))
    assert load_stack_settings().training.accuracy_threshold == 0.85


@pytest.mark.parametrize("name", STACKS)
def test_every_setting_of_a_stack_is_commented_with_its_meaning(name: str) -> None:
    text = (ROOT / f"Pulumi.{name}.yaml").read_text()
    for setting, field in SETTINGS.items():
        assert f"  # {field.description}\n  {setting}: " in text


def test_pulumi_runs_the_program_in_the_environment_that_make_sets_up() -> None:
    # Pulumi takes the path from the project's file (pulumi/pulumi, pull request 6966), and makes an empty environment
    # where there is none.
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    (venv,) = re.findall(r"^VENV := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert (ROOT / project["runtime"]["options"]["virtualenv"]).resolve() == (ROOT / venv).resolve()


@pytest.mark.parametrize("name", STACKS)
def test_the_site_profile_of_every_stack_is_there(name: str) -> None:
    assert (ROOT / configuration(name)["rayline:siteProfile"]).is_file()


def test_a_further_stack_needs_only_what_the_site_alone_can_know(stack: None) -> None:
    settings = configuration("prod")
    pulumi.runtime.set_all_config({name: settings[name] for name in REQUIRED})
    assert load_stack_settings().audit.object_lock is True


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_setting_is_named_with_an_example(missing: str, stack: None) -> None:
    pulumi.runtime.set_all_config({k: v for k, v in configuration("dev").items() if k != missing})
    with pytest.raises(
        ConfigurationError, match=rf"{missing} is missing; .*pulumi config set {missing} .+ --stack dev"
    ):
        load_stack_settings()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_the_example_given_for_a_setting_is_accepted(name: str, stack: None) -> None:
    # No setting takes a control character: every message gives the example.
    pulumi.runtime.set_all_config({**configuration("dev"), name: "\x07"})
    with pytest.raises(ConfigurationError) as raised:
        load_stack_settings()
    command = re.search(rf"pulumi config set {name} .*", str(raised.value))
    assert command is not None
    example = shlex.split(command[0])[4]
    # Its account is the examples', as the account in every example of a principal is.
    account = SETTINGS["rayline:accountId"].examples[0]  # type: ignore[index]
    beside = {key: value.replace("111111111111", account) for key, value in configuration("dev").items()}
    pulumi.runtime.set_all_config({**beside, name: example})
    try:
        load_stack_settings()
    except ConfigurationError as error:
        # The example may want another setting beside it; of itself it is right.
        assert f"{name} is wrong" not in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rayline:accountId", "12345"),
        ("rayline:site", "Hospital A"),
        ("rayline:epochs", "many"),
        ("rayline:epochs", "0"),
        ("rayline:accuracyThreshold", "85"),
        ("rayline:learningRate", "fast"),
        ("rayline:visibilitySeconds", "43201"),
        ("rayline:deletionProtection", "yes"),
        ("rayline:trainingInstanceType", "m5.xlarge"),
        ("rayline:trainingInstanceType", "local"),
        ("rayline:logRetentionDays", "10"),
        ("rayline:flowLogDays", "366"),
        ("rayline:dimseAeTitle", " RAYLINE"),
        ("rayline:dimseCallingAeTitles", '["CT1", "A TITLE THAT IS TOO LONG"]'),
        ("rayline:dimseCallingAeTitles", '["CT1,MR1"]'),
        ("rayline:siteProfile", "/etc/passwd"),
        ("rayline:operatorPrincipalPattern", "*"),
        ("rayline:reviewerPrincipalPattern", "*"),
        ("aws:region", "europe"),
        ("rayline:processorCpuUnits", "1000"),
        ("rayline:processorMemoryMib", "1024"),
        ("rayline:processorMemoryMib", "4100"),
        ("rayline:secretRecoveryDays", "3"),
        ("rayline:availabilityZones", '["us-east-1a"]'),
        ("rayline:availabilityZones", "us-east-1a"),
        ("rayline:privateCidrs", '["10.0.10.0/24"]'),
        ("rayline:cloudTrail", "maybe"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, stack: None) -> None:
    pulumi.runtime.set_all_config({**configuration("dev"), name: value})
    with pytest.raises(ConfigurationError, match=f"{name} is wrong"):
        load_stack_settings()


@pytest.mark.parametrize(
    ("settings", "name", "reason"),
    [
        ({"rayline:accountId": "333333333333"}, "rayline:operatorPrincipalPattern", "it matches nobody"),
        ({"rayline:accountId": "333333333333"}, "rayline:deployerPrincipalPattern", "not 111111111111"),
        ({"aws:region": "eu-west-1"}, "rayline:availabilityZones", "us-east-1a is no zone of eu-west-1"),
        ({"rayline:replicaRegion": "us-east-1"}, "rayline:replicaRegion", "a key has no replica"),
        ({"rayline:dimsePort": "8080"}, "rayline:dimsePort", "healthPort is the same"),
    ],
)
def test_a_setting_that_is_wrong_beside_one_of_another_section_is_named(
    settings: dict[str, str], name: str, reason: str, stack: None
) -> None:
    pulumi.runtime.set_all_config({**configuration("dev"), **settings})
    with pytest.raises(ConfigurationError, match=f"{name} is wrong: [^;]*{reason}"):
        load_stack_settings()


def test_principals_of_any_account_are_those_of_the_stacks_own(stack: None) -> None:
    pattern = {"rayline:uploaderPrincipalPattern": "arn:aws:iam::*:role/Modalities"}
    pulumi.runtime.set_all_config({**configuration("dev"), **pattern})
    load_stack_settings()


@pytest.mark.parametrize("name", ["a", "dev", "hospital-a-prod2", "4-sites"])
def test_a_stack_whose_name_fits_into_names_of_load_balancers_is_accepted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: name)
    pulumi.runtime.set_all_config(configuration("dev"))
    assert load_stack_settings().stack == name


@pytest.mark.parametrize("name", ["hospital-a-prod-2", "Prod", "prod_2", "prod.2", "-prod", "prod-"])
def test_a_stack_whose_name_does_not_fit_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: name)
    pulumi.runtime.set_all_config(configuration("dev"))
    with pytest.raises(
        ConfigurationError, match=rf"the stack's name {name} is wrong: .*16 lower-case.*for example"
    ):
        load_stack_settings()


def test_names_of_load_balancers_have_room_for_the_longest_name_of_a_stack(graph: Graph) -> None:
    named = [
        each.inputs["name"]
        for kind in ("loadBalancer:LoadBalancer", "targetGroup:TargetGroup")
        for each in graph.of_type(f"aws:lb/{kind}")
    ]
    assert len(named) >= 4
    # ELB, CreateLoadBalancer and CreateTargetGroup: at most 32 characters, letters, digits and hyphens.
    assert max(len(name) - len(graph.stack) + 16 for name in named) <= 32


@pytest.mark.parametrize(("protected", "refused"), [("true", True), ("false", False)])
def test_a_protected_stack_links_runbooks_that_can_be_opened(
    protected: str, refused: bool, stack: None
) -> None:
    settings = {**configuration("dev"), "rayline:deletionProtection": protected}
    pulumi.runtime.set_all_config({**settings, "rayline:runbookUrl": "docs/runbooks"})
    if refused:
        with pytest.raises(ConfigurationError, match=r"rayline:runbookUrl is wrong: .*pulumi config set"):
            load_stack_settings()
        pulumi.runtime.set_all_config({**settings, "rayline:runbookUrl": "https://wiki.example.org/r"})
    load_stack_settings()


def test_every_problem_is_reported_at_once(stack: None) -> None:
    pulumi.runtime.set_all_config({**configuration("dev"), "rayline:epochs": "0", "rayline:site": ""})
    with pytest.raises(ConfigurationError, match=r"rayline:site is missing.*rayline:epochs is wrong"):
        load_stack_settings()


def test_a_misspelled_setting_is_refused_with_the_one_that_was_meant(stack: None) -> None:
    pulumi.runtime.set_all_config({**configuration("dev"), "rayline:natGateway": "1"})
    with pytest.raises(
        ConfigurationError, match=r"rayline:natGateway is no setting; did you mean rayline:natGateways\?"
    ):
        load_stack_settings()


def test_the_program_stops_before_it_declares_anything(tmp_path: Path) -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({**project, "main": str(ROOT / "infra")}))
    shutil.copy(ROOT / "Pulumi.dev.yaml", tmp_path)
    text = (tmp_path / "Pulumi.dev.yaml").read_text()
    (tmp_path / "Pulumi.dev.yaml").write_text(text.replace("rayline:site:", "rayline:cite:"))
    with pytest.raises(ProgramError, match="rayline:site is missing"):
        plan("dev", project=tmp_path)
