"""The pipeline's definition: offline, byte-identical, and the gate as it was ordered."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rayline.errors import ConfigurationError
from rayline.names import EstateNames
from rayline_training.pipeline import PipelineSettings, definition_json

NAMES = EstateNames("dev", "111122223333", "eu-west-1")
SETTINGS = PipelineSettings(
    kms_key_id="arn:aws:kms:eu-west-1:111122223333:key/1",
    subnet_ids=("subnet-1", "subnet-2"),
    security_group_ids=("sg-1",),
)


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("definitions")


@pytest.fixture(scope="module")
def built(cache_folder: Path) -> str:
    return definition_json(NAMES, SETTINGS, cache_folder=cache_folder)


@pytest.fixture(scope="module")
def steps(built: str) -> dict[str, dict[str, Any]]:
    found = {step["Name"]: step for step in json.loads(built)["Steps"]}
    check = found["CheckAccuracy"]["Arguments"]
    return found | {step["Name"]: step for step in (*check["IfSteps"], *check["ElseSteps"])}


def test_a_second_build_without_network_gives_the_same_bytes(built: str, tmp_path: Path) -> None:
    # sitecustomize runs before anything else in the child that builds the definition.
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "def refuse(*arguments, **named):\n"
        "    raise SystemExit('the definition touched the network')\n"
        "socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse\n"
    )
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from rayline.names import EstateNames\n"
        "from rayline_training.pipeline import PipelineSettings, definition_json\n"
        f"names, settings = {NAMES!r}, {SETTINGS!r}\n"
        "sys.stdout.write(definition_json(names, settings, cache_folder=Path(sys.argv[1]) / 'cache'))\n"
    )
    # A misleading environment must not change the bytes either.
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-west-2", "AWS_PROFILE": "absent"}
    finished = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == built


def test_the_network_guard_of_the_test_above_bites(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        (tmp_path / "sitecustomize.py").write_text(
            "import socket\n"
            "def refuse(*arguments, **named):\n"
            "    raise SystemExit('touched')\n"
            "socket.socket.connect = refuse\n"
        )
        script = f"import socket; socket.socket().connect(('127.0.0.1', {listener.getsockname()[1]}))"
        finished = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(tmp_path)},
            timeout=60,
        )
    assert finished.returncode != 0
    assert "touched" in finished.stderr


def test_an_equal_request_is_read_from_the_cache(cache_folder: Path, built: str) -> None:
    (cached,) = cache_folder.iterdir()
    assert cached.read_text() == built
    cached.write_text("from the cache")
    assert definition_json(NAMES, SETTINGS, cache_folder=cache_folder) == "from the cache"


def test_parameters_have_the_defaults_of_the_field(built: str) -> None:
    parameters = {one["Name"]: one.get("DefaultValue") for one in json.loads(built)["Parameters"]}
    assert parameters.pop("Seed") is not None
    assert parameters.pop("TrainingInstanceType").startswith("ml.")
    assert parameters == {
        "DatasetManifestUri": None,
        "ImageSize": 512,
        "Epochs": 50,
        "BatchSize": 32,
        "LearningRate": 0.001,
        "AccuracyThreshold": 0.85,
        "TestFraction": 0.2,
        "ProcessingInstanceType": "ml.m5.xlarge",
        "EvaluationInstanceType": "ml.m5.xlarge",
    }


def test_the_gate_compares_the_measured_accuracy_with_the_parameter(
    steps: dict[str, dict[str, Any]],
) -> None:
    (condition,) = steps["CheckAccuracy"]["Arguments"]["Conditions"]
    assert condition == {
        "Type": "GreaterThanOrEqualTo",
        "LeftValue": {
            "Std:JsonGet": {
                "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"},
                "Path": "metrics.accuracy",
            }
        },
        "RightValue": {"Get": "Parameters.AccuracyThreshold"},
    }
    assert [one["Name"] for one in steps["CheckAccuracy"]["Arguments"]["IfSteps"]] == ["Register"]
    assert [one["Name"] for one in steps["CheckAccuracy"]["Arguments"]["ElseSteps"]] == ["BelowThreshold"]
    assert steps["Register"]["Arguments"]["ModelApprovalStatus"] == "PendingManualApproval"
    assert steps["Register"]["Arguments"]["ModelPackageGroupName"] == "rayline-dev-pneumonia"
    said = json.dumps(steps["BelowThreshold"]["Arguments"]["ErrorMessage"])
    assert "metrics.accuracy" in said
    assert "Parameters.AccuracyThreshold" in said


def test_every_job_runs_the_one_image_under_the_training_role_inside_the_network(
    steps: dict[str, dict[str, Any]],
) -> None:
    image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/rayline-dev-training:0.1.0"
    network = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}
    for name in ("Preprocess", "Evaluate"):
        arguments = steps[name]["Arguments"]
        assert arguments["AppSpecification"]["ImageUri"] == image
        assert arguments["NetworkConfig"]["VpcConfig"] == network
        assert arguments["ProcessingOutputConfig"]["KmsKeyId"] == SETTINGS.kms_key_id
        assert arguments["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == SETTINGS.kms_key_id
        assert arguments["RoleArn"] == "arn:aws:iam::111122223333:role/rayline-dev-training"
    arguments = steps["Train"]["Arguments"]
    assert arguments["AlgorithmSpecification"]["TrainingImage"] == image
    assert arguments["VpcConfig"] == network
    assert arguments["OutputDataConfig"]["KmsKeyId"] == SETTINGS.kms_key_id
    assert arguments["RoleArn"] == "arn:aws:iam::111122223333:role/rayline-dev-training"
    assert "uploads" not in json.dumps(steps)
    assert "quarantine" not in json.dumps(steps)


def test_outputs_lie_under_the_execution_in_the_deidentified_zone(steps: dict[str, dict[str, Any]]) -> None:
    (output,) = steps["Evaluate"]["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == {
        "Std:Join": {
            "On": "/",
            "Values": [
                "s3://rayline-dev-reports-111122223333/evaluations",
                {"Get": "Execution.PipelineExecutionId"},
            ],
        }
    }


def test_half_a_network_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="both subnet_ids and security_group_ids"):
        PipelineSettings(subnet_ids=("subnet-1",))
