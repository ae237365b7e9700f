"""What pipeline definitions and their expressions come to, against values worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from rayline_local.sagemaker.definition import (
    InvalidDefinition,
    UnresolvedExpression,
    evaluate_conditions,
    parse_definition,
    resolve,
)


class KnownFacts:
    """Facts given beforehand."""

    parameters: Mapping[str, Any] = {"Epochs": 20, "Threshold": 0.85, "Name": "chest"}
    execution: Mapping[str, Any] = {"PipelineExecutionId": "abc123def456"}

    def step_properties(self, name: str) -> Mapping[str, Any]:
        if name != "Train":
            raise UnresolvedExpression(name)
        return {
            "ModelArtifacts": {"S3ModelArtifacts": "s3://models/model.tar.gz"},
            "Outputs": {"train": {"S3Uri": "s3://x/train"}},
            "FinalMetricDataList": [{"Value": 1.5}, {"Value": 2.5}],
        }

    def property_file(self, step: str, name: str) -> Any:
        assert (step, name) == ("Evaluate", "Evaluation")
        return {"metrics": {"accuracy": 0.9}, "list": [{"x": 7}], "a b": {"c": 1}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Get": "Parameters.Epochs"}, 20),
        ({"Get": "Execution.PipelineExecutionId"}, "abc123def456"),
        ({"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}, "s3://models/model.tar.gz"),
        ({"Get": "Steps.Train.Outputs['train'].S3Uri"}, "s3://x/train"),
        ({"Get": "Steps.Train.FinalMetricDataList[1].Value"}, 2.5),
        ({"Std:Join": {"On": "/", "Values": ["s3://b", {"Get": "Parameters.Name"}, 3]}}, "s3://b/chest/3"),
        (
            {"Std:Join": {"On": "-", "Values": [{"Std:Join": {"On": "", "Values": ["a", "b"]}}, "c"]}},
            "ab-c",
        ),
        (
            {
                "Std:JsonGet": {
                    "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"},
                    "Path": "metrics.accuracy",
                }
            },
            0.9,
        ),
        (
            {
                "Std:JsonGet": {
                    "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"},
                    "Path": "list[0]['x']",
                }
            },
            7,
        ),
        ({"A": [{"Get": "Parameters.Epochs"}, "b"], "C": None}, {"A": [20, "b"], "C": None}),
        ({"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Threshold"}]}}, "0.85"),
    ],
)
def test_expressions_come_to_their_values(expression: Any, value: Any) -> None:
    assert resolve(expression, KnownFacts()) == value


@pytest.mark.parametrize(
    "expression",
    [
        {"Get": "Steps.Evaluate.ModelArtifacts"},
        {"Get": "Steps.Train.ModelArtifacts.Nothing"},
        {"Get": "Steps.Train.FinalMetricDataList[2].Value"},
        {"Std:JsonGet": {"S3Uri": "s3://x", "Path": "a"}},
    ],
)
def test_an_expression_that_names_nothing_is_an_error(expression: Any) -> None:
    with pytest.raises(UnresolvedExpression):
        resolve(expression, KnownFacts())


def compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (compare("Equals", {"Get": "Parameters.Name"}, "chest"), True),
        (compare("Equals", {"Get": "Parameters.Name"}, "hand"), False),
        (compare("GreaterThan", 0.85, {"Get": "Parameters.Threshold"}), False),
        (compare("GreaterThanOrEqualTo", 0.85, {"Get": "Parameters.Threshold"}), True),
        (compare("GreaterThanOrEqualTo", 0.8499, {"Get": "Parameters.Threshold"}), False),
        (compare("LessThan", 0.85, {"Get": "Parameters.Threshold"}), False),
        (compare("LessThanOrEqualTo", 0.85, {"Get": "Parameters.Threshold"}), True),
        ({"Type": "In", "QueryValue": {"Get": "Parameters.Epochs"}, "Values": [10, 20]}, True),
        ({"Type": "In", "QueryValue": {"Get": "Parameters.Epochs"}, "Values": [10]}, False),
        ({"Type": "Not", "Expression": compare("Equals", 1, 1)}, False),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2), compare("Equals", 1, 1)]}, True),
        ({"Type": "Or", "Conditions": [compare("Equals", 1, 2)]}, False),
    ],
)
def test_conditions_decide_as_their_names_say(condition: dict[str, Any], holds: bool) -> None:
    assert evaluate_conditions([condition], KnownFacts()) is holds


def test_a_list_of_conditions_holds_when_all_do() -> None:
    true, false = compare("Equals", 1, 1), compare("Equals", 1, 2)
    assert evaluate_conditions([true, true], KnownFacts())
    assert not evaluate_conditions([true, false], KnownFacts())


def fail_step(name: str, message: Any = "no", **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}, **more}


def document(*steps: dict[str, Any], parameters: tuple[dict[str, Any], ...] = ()) -> str:
    return json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})


def test_steps_wait_for_what_they_name_wherever_they_stand() -> None:
    parsed = parse_definition(
        document(
            fail_step("Last", {"Get": "Steps.Middle.Arn"}),
            fail_step("Middle", DependsOn=[{"Step": "First", "Trigger": "COMPLETE"}]),
            fail_step("First"),
        )
    )
    assert [step.name for step in parsed.steps] == ["First", "Middle", "Last"]


def test_both_branches_wait_for_their_condition() -> None:
    condition = {
        "Name": "Check",
        "Type": "Condition",
        "Arguments": {"Conditions": [], "IfSteps": [fail_step("Yes")], "ElseSteps": [fail_step("No")]},
    }
    steps = {step.name: step for step in parse_definition(document(condition)).steps}
    assert (steps["Yes"].chosen_by, steps["No"].chosen_by) == (("Check", True), ("Check", False))
    assert steps["Yes"].needs == {"Check"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "Version"),
        (json.dumps({"Version": "2019-01-01"}), "Version"),
        (document({"Name": "Tune", "Type": "Tuning", "Arguments": {}}), "type Tuning"),
        (document(fail_step("A"), fail_step("A")), "used twice"),
        (document(fail_step("A", {"Get": "Parameters.Nothing"})), "undeclared parameter"),
        (document(fail_step("A", {"Get": "Steps.B.Arn"})), "depends on"),
        (document(fail_step("A", DependsOn=["B"]), fail_step("B", DependsOn=["A"])), "wait for each other"),
    ],
)
def test_a_broken_definition_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(InvalidDefinition, match=reason):
        parse_definition(text)


PARAMETERS = (
    {"Name": "Uri", "Type": "String"},
    {"Name": "Epochs", "Type": "Integer", "DefaultValue": 5},
    {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Mode", "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b"]},
    {"Name": "On", "Type": "Boolean", "DefaultValue": True},
)


def test_parameters_take_their_types_and_defaults() -> None:
    parsed = parse_definition(document(fail_step("A"), parameters=PARAMETERS))
    values = parsed.parameter_values({"Uri": "s3://x", "Rate": "2", "On": "false"})
    assert values == {"Uri": "s3://x", "Epochs": 5, "Rate": 2.0, "Mode": "a", "On": False}
    assert isinstance(values["Rate"], float)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "Uri"),
        ({"Uri": "x", "Epochs": "2.5"}, "Epochs must be of type Integer"),
        ({"Uri": "x", "Mode": "c"}, "Mode must be one of"),
        ({"Uri": "x", "On": "perhaps"}, "On must be of type Boolean"),
        ({"Uri": "x", "Other": "1"}, "not declared"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, str], reason: str) -> None:
    parsed = parse_definition(document(fail_step("A"), parameters=PARAMETERS))
    with pytest.raises(InvalidDefinition, match=reason):
        parsed.parameter_values(given)
