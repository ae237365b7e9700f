"""Stack settings: each one is required, checked, and named when it is missing or wrong."""

import re
import shutil
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from rayline.errors import ConfigurationError
from rayline_infra.settings import load_stack_settings
from rayline_local.provisioner import ProvisionError, plan

ROOT = Path(__file__).parents[2]


def configuration(stack: str) -> dict[str, str]:
    document: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in document.items()
    }


OURS = sorted(key for key in configuration("dev") if key.startswith("rayline:") or key == "aws:region")


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")


@pytest.mark.parametrize("name", ["dev", "prod", "local"])
def test_every_stack_sets_the_same_settings(name: str, stack: None) -> None:
    assert set(configuration(name)) == set(configuration("dev"))
    pulumi.runtime.set_all_config(configuration(name))
    assert load_stack_settings().training.accuracy_threshold == 0.85


@pytest.mark.parametrize("name", ["dev", "prod", "local"])
def test_the_site_profile_of_every_stack_is_there(name: str) -> None:
    assert (ROOT / configuration(name)["rayline:siteProfile"]).is_file()


@pytest.mark.parametrize("missing", OURS)
def test_a_missing_setting_is_named_with_an_example(missing: str, stack: None) -> None:
    assert len(OURS) > 25
    pulumi.runtime.set_all_config({k: v for k, v in configuration("dev").items() if k != missing})
    with pytest.raises(ConfigurationError, match=rf"{missing} is missing; .*pulumi config set {missing} \S+"):
        load_stack_settings()


@pytest.mark.parametrize("name", OURS)
def test_the_example_given_for_a_setting_is_accepted(name: str, stack: None) -> None:
    settings = configuration("dev")
    pulumi.runtime.set_all_config({k: v for k, v in settings.items() if k != name})
    with pytest.raises(ConfigurationError) as raised:
        load_stack_settings()
    example = re.search(rf"pulumi config set {name} (\S+)", str(raised.value))
    assert example is not None
    pulumi.runtime.set_all_config({**settings, name: example[1]})
    load_stack_settings()


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
        ("rayline:siteProfile", "/etc/passwd"),
        ("rayline:operatorPrincipalPattern", "*"),
        ("rayline:reviewerPrincipalPattern", "*"),
        ("aws:region", "europe"),
        ("rayline:processorCpuUnits", "1000"),
        ("rayline:processorMemoryMib", "1024"),
        ("rayline:processorMemoryMib", "4100"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, stack: None) -> None:
    pulumi.runtime.set_all_config({**configuration("dev"), name: value})
    with pytest.raises(ConfigurationError, match=f"{name} is wrong"):
        load_stack_settings()


def test_every_problem_is_reported_at_once(stack: None) -> None:
    pulumi.runtime.set_all_config({**configuration("dev"), "rayline:epochs": "0", "rayline:site": ""})
    with pytest.raises(ConfigurationError, match=r"rayline:site is missing.*rayline:epochs is wrong"):
        load_stack_settings()


def test_the_program_stops_before_it_declares_anything(tmp_path: Path) -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.yaml").write_text(yaml.safe_dump({**project, "main": str(ROOT / "infra")}))
    shutil.copy(ROOT / "Pulumi.dev.yaml", tmp_path)
    text = (tmp_path / "Pulumi.dev.yaml").read_text()
    (tmp_path / "Pulumi.dev.yaml").write_text(text.replace("rayline:site:", "rayline:cite:"))
    with pytest.raises(ProvisionError, match="rayline:site is missing"):
        plan("dev", project=tmp_path)
