"""The reference names every verb, every setting and every reason code."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.verbs import every_verb

from rayline.dicom.coercion import CoercionRule
from rayline.dicom.reasons import ReasonCode
from rayline.http_api import problems
from rayline.http_api.access import Permission
from rayline.http_api.access_file import AccessFile
from rayline.http_api.app import openapi_document
from rayline.http_api.problems import ProblemCode
from rayline.profile import IntakeLimits, IntakeProfile
from rayline.settings import Settings
from rayline_local.front.faults import ServiceFaults
from rayline_local.healthimaging.service import HealthImagingFaults
from rayline_local.sagemaker.service import SageMakerFaults


@pytest.fixture(scope="module")
def reference(repository: Path) -> str:
    return (repository / "docs/reference.md").read_text()


def _verbs(command: Any, name: str) -> Iterator[str]:
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _verbs(child, f"{name} {child_name}")
    if not hasattr(command, "commands"):
        yield name


def test_every_verb_is_documented(reference: str) -> None:
    verbs = list(_verbs(every_verb(), "rayline"))
    assert {"rayline process", "rayline local up", "rayline demo"} <= set(verbs)
    assert [verb for verb in verbs if f"| `{verb}` |" not in reference] == []


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_is_documented_with_its_default(field: str, reference: str) -> None:
    setting = Settings.model_fields[field]
    default = "required" if setting.is_required() else setting.default
    assert f"| `{Settings.environment_name(field)}` | {setting.description} | {default} |" in reference


@pytest.mark.parametrize("code", list(ReasonCode))
def test_every_reason_code_is_documented(code: ReasonCode, reference: str) -> None:
    assert f"| `{code.value}` |" in reference


@pytest.mark.parametrize("code", list(ProblemCode))
def test_every_problem_of_the_api_is_documented_as_the_code_explains_it(
    code: ProblemCode, reference: str
) -> None:
    (meaning,) = re.findall(rf"    # ([^\n]+)\n    {code.name} = ", inspect.getsource(problems))
    assert f"| `{code.value}` | {meaning} |" in reference


def test_every_operation_and_permission_of_the_api_is_documented(reference: str) -> None:
    for path, operations in openapi_document()["paths"].items():
        for method in operations:
            assert f"| `{method.upper()} {path.removeprefix('/api/v1')}" in reference
    assert [each for each in Permission if f"`{each}`" not in reference] == []


def test_the_access_file_that_is_shown_is_one(reference: str) -> None:
    section = reference.partition("## HTTP API\n")[2].partition("\n## ")[0]
    known = AccessFile.model_validate(yaml.safe_load(section.partition("```yaml\n")[2].partition("```")[0]))
    assert known.load_balancer is not None
    assert len(known.tokens) == 1


@pytest.mark.parametrize("rule", list(CoercionRule))
def test_every_coercion_rule_is_documented(rule: CoercionRule, reference: str) -> None:
    assert f"| `{rule.value}` |" in reference


def test_every_field_of_the_intake_is_documented_with_its_default(reference: str) -> None:
    assert [
        name for name in IntakeProfile.model_fields if name != "limits" and f"| `{name}` |" not in reference
    ] == []
    for name, field in IntakeLimits.model_fields.items():
        (row,) = (line for line in reference.splitlines() if line.startswith(f"| `limits.{name}` |"))
        assert row.endswith(f"| {field.default} |")


@pytest.mark.parametrize("switches", [HealthImagingFaults, SageMakerFaults])
def test_every_fault_switch_is_documented(switches: type[ServiceFaults], reference: str) -> None:
    assert [name for name in switches.model_fields if f"| `{name}` |" not in reference] == []
