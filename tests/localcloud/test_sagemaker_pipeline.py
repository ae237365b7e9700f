"""The local SageMaker through unmodified boto3 clients, on a running front, with steps of a few milliseconds."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud

IMAGE = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/rayline-local-training:0.1.0"
ROLE_NAME = "rayline-local-training"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/{ROLE_NAME}"
BUCKET = "sagemaker-test"
WAIT_SECONDS = 60.0

PREPARE = """
import pathlib, os, json, sys
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
config = json.loads((base / "config/processingjobconfig.json").read_text())
text = (base / "processing/input/manifest/manifest.json").read_text()
assert "AWS_SECRET_ACCESS_KEY" not in os.environ, "a job must not inherit the front's root keys"
(base / "processing/output/train/numbers.json").write_text(text)
print("prepared", config["ProcessingJobName"], sys.argv[1:])
"""
TRAIN = """
import pathlib, os, json
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
given = json.loads((base / "input/config/hyperparameters.json").read_text())
numbers = json.loads((base / "input/data/train/numbers.json").read_text())
print("train_loss=0.75;")
print("train_loss=0.25;")
(base / "model/model.json").write_text(json.dumps({"epochs": given["epochs"], "numbers": numbers}))
"""
EVALUATE = """
import pathlib, os, json, tarfile
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
with tarfile.open(base / "processing/input/model/model.tar.gz") as packed:
    model = json.load(packed.extractfile("model.json"))
accuracy = model["numbers"]["accuracy"]
out = base / "processing/output/evaluation"
(out / "evaluation.json").write_text(json.dumps({"metrics": {"accuracy": accuracy}, "model": model}))
"""


def processing(
    name: str, script: str, inputs: dict[str, Any], outputs: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
            },
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python", "-c", script],
                "ContainerArguments": ["--epochs", {"Get": "Parameters.Epochs"}],
            },
            "RoleArn": ROLE_ARN,
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/input/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for key, uri in inputs.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": key,
                        "S3Output": {
                            "S3Uri": uri,
                            "LocalPath": f"/opt/ml/processing/output/{key}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for key, uri in outputs.items()
                ]
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": more.pop("limit_seconds", 60)},
        },
        **more,
    }


def in_execution(prefix: str) -> dict[str, Any]:
    return {
        "Std:Join": {
            "On": "/",
            "Values": [f"s3://{BUCKET}/{prefix}", {"Get": "Execution.PipelineExecutionId"}],
        }
    }


def accuracy() -> dict[str, Any]:
    return {
        "Std:JsonGet": {
            "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Evaluation"},
            "Path": "metrics.accuracy",
        }
    }


def definition(**scripts: str) -> dict[str, Any]:
    train = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingInputMode": "File",
                "TrainingImage": IMAGE,
                "ContainerEntrypoint": ["python", "-c", scripts.get("train", TRAIN)],
                "MetricDefinitions": [{"Name": "train:loss", "Regex": "train_loss=([0-9.]+);"}],
            },
            "HyperParameters": {"epochs": {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Epochs"}]}}},
            "InputDataConfig": [
                {
                    "ChannelName": "train",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": {
                                "Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"
                            },
                        }
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": in_execution("models")},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "RoleArn": ROLE_ARN,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    }
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": {"Get": "Parameters.Group"},
            "ModelApprovalStatus": "PendingManualApproval",
            "ModelMetrics": {"Bias": {}},
            "InferenceSpecification": {
                "Containers": [
                    {"Image": IMAGE, "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}
                ],
                "SupportedContentTypes": ["application/dicom"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        },
    }
    fail = {
        "Name": "BelowThreshold",
        "Type": "Fail",
        "Arguments": {
            "ErrorMessage": {
                "Std:Join": {
                    "On": " ",
                    "Values": ["accuracy", accuracy(), "is below", {"Get": "Parameters.Threshold"}],
                }
            }
        },
    }
    return {
        "Version": "2020-12-01",
        "Parameters": [
            {"Name": "ManifestUri", "Type": "String"},
            {"Name": "Group", "Type": "String", "DefaultValue": "unused"},
            {"Name": "Epochs", "Type": "Integer", "DefaultValue": 3},
            {"Name": "Threshold", "Type": "Float", "DefaultValue": 0.85},
        ],
        "Steps": [
            processing(
                "Prepare",
                scripts.get("prepare", PREPARE),
                {"manifest": {"Get": "Parameters.ManifestUri"}},
                {"train": in_execution("prepared")},
                limit_seconds=scripts.get("limit_seconds", 60),
            ),
            train,
            processing(
                "Evaluate",
                EVALUATE,
                {"model": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}},
                {"evaluation": in_execution("evaluations")},
                PropertyFiles=[
                    {
                        "PropertyFileName": "Evaluation",
                        "OutputName": "evaluation",
                        "FilePath": "evaluation.json",
                    }
                ],
            ),
            {
                "Name": "CheckAccuracy",
                "Type": "Condition",
                "Arguments": {
                    "Conditions": [
                        {
                            "Type": "GreaterThanOrEqualTo",
                            "LeftValue": accuracy(),
                            "RightValue": {"Get": "Parameters.Threshold"},
                        }
                    ],
                    "IfSteps": [register],
                    "ElseSteps": [fail],
                },
            },
        ],
    }


class Estate:
    """What a pipeline needs around it, on one front."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.sagemaker = cloud.client("sagemaker")
        self.s3 = cloud.client("s3")
        iam = cloud.client("iam")
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sagemaker.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        allowed = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
                    "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
                },
                {"Effect": "Allow", "Action": "sagemaker:CreateModelPackage", "Resource": "*"},
            ],
        }
        iam.create_role(RoleName=ROLE_NAME, AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName=ROLE_NAME, PolicyName="work", PolicyDocument=json.dumps(allowed))
        if BUCKET not in {one["Name"] for one in self.s3.list_buckets()["Buckets"]}:
            self.s3.create_bucket(Bucket=BUCKET)
        self._queue()

    def _queue(self) -> None:
        sqs, events = self.cloud.client("sqs"), self.cloud.client("events")
        self.queue_url = sqs.create_queue(QueueName="sagemaker-events")["QueueUrl"]
        events.put_rule(Name="sagemaker", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:sagemaker-events"
        events.put_targets(Rule="sagemaker", Targets=[{"Id": "queue", "Arn": arn}])

    def pipeline(self, **scripts: Any) -> str:
        name = f"pipeline-{uuid.uuid4().hex[:8]}"
        self.sagemaker.create_model_package_group(ModelPackageGroupName=f"{name}-models")
        self.sagemaker.create_pipeline(
            PipelineName=name,
            PipelineDefinition=json.dumps(definition(**scripts)),
            ClientRequestToken=uuid.uuid4().hex,
            RoleArn=ROLE_ARN,
        )
        return name

    def start(self, pipeline: str, token: str | None = None, measured: float = 0.9, **parameters: str) -> str:
        key = f"datasets/{pipeline}/manifest.json"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps({"accuracy": measured}))
        given = {"ManifestUri": f"s3://{BUCKET}/{key}", "Group": f"{pipeline}-models", **parameters}
        arn: str = self.sagemaker.start_pipeline_execution(
            PipelineName=pipeline,
            PipelineParameters=[{"Name": name, "Value": value} for name, value in given.items()],
            ClientRequestToken=token or uuid.uuid4().hex,
        )["PipelineExecutionArn"]
        return arn

    def wait(self, arn: str, *statuses: str) -> dict[str, Any]:
        wanted = statuses or ("Succeeded", "Failed", "Stopped")
        return until(
            lambda: self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn),
            lambda execution: execution["PipelineExecutionStatus"] in wanted,
        )

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        pages = self.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=arn, PaginationConfig={"PageSize": 2}
        )
        return {step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]}

    def events(self, arn: str, last: str) -> list[dict[str, Any]]:
        """Events of one execution until its own with the last status."""
        sqs = self.cloud.client("sqs")
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            answer = sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", ()):
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            mine = [one for one in found if one["detail"].get("pipelineExecutionArn") == arn]
            if any(one["detail"].get("currentPipelineExecutionStatus") == last for one in mine):
                return mine
        raise AssertionError(f"no event of {last}; found {[one['detail-type'] for one in found]}")

    def log(self, pattern: str) -> str:
        (path,) = (self.cloud.state_dir / "sagemaker" / "logs").glob(pattern)
        return path.read_text()


def until(ask: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    answer = ask()
    while not enough(answer):
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS} s; last answer {answer}"
        time.sleep(0.05)
        answer = ask()
    return answer


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    cloud = LocalCloud(tmp_path_factory.mktemp("sagemaker"))
    cloud.start()
    yield Estate(cloud)
    cloud.stop()


@pytest.fixture
def own_estate(own_local_cloud: LocalCloud) -> Estate:
    return Estate(own_local_cloud)


def test_a_model_above_the_threshold_is_registered_for_approval(estate: Estate) -> None:
    pipeline = estate.pipeline()
    arn = estate.start(pipeline, measured=0.9, Epochs="7")
    execution = estate.wait(arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded", execution.get("FailureReason")
    steps = estate.steps(arn)
    assert {name: step["StepStatus"] for name, step in steps.items()} == {
        "Prepare": "Succeeded",
        "Train": "Succeeded",
        "Evaluate": "Succeeded",
        "CheckAccuracy": "Succeeded",
        "Register": "Succeeded",
    }
    assert steps["CheckAccuracy"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    package = estate.sagemaker.describe_model_package(
        ModelPackageName=steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert (package["ModelPackageVersion"], package["ModelApprovalStatus"]) == (1, "PendingManualApproval")
    job = estate.sagemaker.describe_training_job(
        TrainingJobName=steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[-1]
    )
    artifacts = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert artifacts == job["ModelArtifacts"]["S3ModelArtifacts"]
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert {one["MetricName"]: one["Value"] for one in job["FinalMetricDataList"]} == {"train:loss": 0.25}
    execution_id = arn.rsplit("/", 1)[-1]
    written = estate.s3.get_object(Bucket=BUCKET, Key=f"evaluations/{execution_id}/evaluation.json")
    assert json.load(written["Body"])["model"] == {"epochs": "7", "numbers": {"accuracy": 0.9}}
    log = estate.log(f"pipelines-{execution_id}-Prepare-*.log")
    assert "prepared" in log
    assert "['--epochs', '7']" in log


def test_a_model_below_the_threshold_fails_with_both_numbers_and_registers_nothing(estate: Estate) -> None:
    pipeline = estate.pipeline()
    arn = estate.start(pipeline, measured=0.625)
    execution = estate.wait(arn)
    assert execution["PipelineExecutionStatus"] == "Failed"
    steps = estate.steps(arn)
    assert "Register" not in steps
    assert steps["CheckAccuracy"]["Metadata"] == {"Condition": {"Outcome": "False"}}
    assert steps["BelowThreshold"]["StepStatus"] == "Failed"
    assert steps["BelowThreshold"]["FailureReason"] == "accuracy 0.625 is below 0.85"
    assert steps["BelowThreshold"]["Metadata"] == {"Fail": {"ErrorMessage": "accuracy 0.625 is below 0.85"}}
    assert "accuracy 0.625 is below 0.85" in execution["FailureReason"]
    packages = estate.sagemaker.list_model_packages(ModelPackageGroupName=f"{pipeline}-models")
    assert packages["ModelPackageSummaryList"] == []


def test_every_change_of_state_is_announced_in_order(estate: Estate) -> None:
    arn = estate.start(estate.pipeline(), measured=0.9)
    events = estate.events(arn, "Succeeded")
    step_type = "SageMaker Model Building Pipeline Execution Step Status Change"
    train = [one for one in events if one["detail"].get("stepName") == "Train"]
    assert [one["detail"]["currentStepStatus"] for one in train] == ["Starting", "Executing", "Succeeded"]
    assert {one["detail-type"] for one in train} == {step_type}
    assert train[-1]["detail"]["previousStepStatus"] == "Executing"
    assert train[-1]["detail"]["stepType"] == "Training"
    assert ":training-job/" in train[-1]["detail"]["metadata"]["trainingJob"]["arn"]
    assert train[-1]["source"] == "aws.sagemaker"
    whole = [one for one in events if "currentPipelineExecutionStatus" in one["detail"]]
    assert {one["detail-type"] for one in whole} == {
        "SageMaker Model Building Pipeline Execution Status Change"
    }
    assert [one["detail"]["currentPipelineExecutionStatus"] for one in whole] == ["Executing", "Succeeded"]
    assert whole[-1]["detail"]["executionEndTime"] >= whole[-1]["detail"]["executionStartTime"]


def test_an_equal_token_starts_one_execution(estate: Estate) -> None:
    pipeline = estate.pipeline()
    token = uuid.uuid4().hex
    first = estate.start(pipeline, token)
    again = estate.start(pipeline, token)
    other = estate.start(pipeline)
    assert first == again != other
    listed = estate.sagemaker.list_pipeline_executions(PipelineName=pipeline)["PipelineExecutionSummaries"]
    assert [one["PipelineExecutionArn"] for one in listed] == [other, first]
    estate.wait(first)
    estate.wait(other)


def test_accepted_starts_are_on_record_and_jobs_can_be_made_to_fail(estate: Estate) -> None:
    pipeline, token = estate.pipeline(), uuid.uuid4().hex
    assert estate.cloud.control("PUT", "faults", {"sagemaker": {"fail_jobs": 1}})[0] == 200
    first = estate.start(pipeline, token)
    assert estate.start(pipeline, token) == first
    assert "internal server error" in estate.wait(first)["FailureReason"]
    second = estate.start(pipeline)
    assert estate.wait(second)["PipelineExecutionStatus"] == "Succeeded"
    (package,) = estate.sagemaker.list_model_packages(ModelPackageGroupName=f"{pipeline}-models")[
        "ModelPackageSummaryList"
    ]
    _, log = estate.cloud.control("GET", "requests/accepted")
    starts = [
        (each["client_token"] == token, each["repeated"], each["execution_arn"])
        for each in log
        if each["operation"] == "StartPipelineExecution" and pipeline in each["execution_arn"]
    ]
    assert starts == [(True, False, first), (True, True, first), (False, False, second)]
    packages = [
        each["package_arn"]
        for each in log
        if each["operation"] == "CreateModelPackage" and pipeline in each["package_arn"]
    ]
    assert packages == [package["ModelPackageArn"]]


def test_a_failing_job_gives_its_own_reason(estate: Estate) -> None:
    script = (
        "import pathlib, os, sys\n"
        "base = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n"
        "(base / 'output/failure').write_text('no image is labelled NORMAL')\n"
        "sys.exit(3)"
    )
    arn = estate.start(estate.pipeline(train=script))
    assert estate.wait(arn)["PipelineExecutionStatus"] == "Failed"
    step = estate.steps(arn)["Train"]
    assert step["FailureReason"] == "AlgorithmError: no image is labelled NORMAL, exit code: 3"
    job = estate.sagemaker.describe_training_job(
        TrainingJobName=step["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[-1]
    )
    assert job["TrainingJobStatus"] == "Failed"


def test_a_job_past_its_limit_is_ended(estate: Estate) -> None:
    arn = estate.start(estate.pipeline(prepare="import time; time.sleep(600)", limit_seconds=1))
    assert estate.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert "limit of 1 seconds" in estate.steps(arn)["Prepare"]["FailureReason"]


def test_a_missing_input_fails_its_step(estate: Estate) -> None:
    arn = estate.start(estate.pipeline(), ManifestUri=f"s3://{BUCKET}/datasets/absent.json")
    assert estate.wait(arn)["PipelineExecutionStatus"] == "Failed"
    reason = estate.steps(arn)["Prepare"]["FailureReason"]
    assert reason == f"ClientError: no S3 object lies under s3://{BUCKET}/datasets/absent.json"


def test_an_image_without_a_stand_in_fails_its_step(estate: Estate) -> None:
    pipeline = estate.pipeline()
    other = json.dumps(definition()).replace("rayline-local-training", "somebody-elses-image", 1)
    estate.sagemaker.update_pipeline(PipelineName=pipeline, PipelineDefinition=other)
    arn = estate.start(pipeline)
    assert estate.wait(arn)["PipelineExecutionStatus"] == "Failed"
    assert "no stand-in for the image somebody-elses-image" in estate.steps(arn)["Prepare"]["FailureReason"]


def test_stopping_kills_the_job_and_all_that_it_started(estate: Estate, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = (
        "import os, pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)"
    )
    arn = estate.start(estate.pipeline(prepare=script))
    running = until(
        lambda: [int(one) for one in pids.read_text().split()] if pids.exists() else [],
        lambda found: len(found) == 2,
    )
    estate.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=uuid.uuid4().hex)
    assert estate.wait(arn)["PipelineExecutionStatus"] == "Stopped"
    assert estate.steps(arn)["Prepare"]["StepStatus"] == "Stopped"
    until(lambda: [pid for pid in running if alive(pid)], lambda left: not left)


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_an_execution_outlives_the_front_and_its_job_does_not(
    own_estate: Estate, tmp_path: Path, ending: str
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    prepare = (
        f"import pathlib, os\n(pathlib.Path({str(marks)!r}) / f'prepare-{{os.getpid()}}').touch()\n{PREPARE}"
    )
    train = (
        "import os, pathlib, time\n"
        f"marks = pathlib.Path({str(marks)!r})\n"
        "base = pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'])\n"
        "first = not (base / 'checkpoints/step').exists()\n"
        "(base / 'checkpoints/step').write_text('1')\n"
        "if first:\n"
        "    (marks / 'pid').write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        f"{TRAIN}"
    )
    arn = own_estate.start(own_estate.pipeline(prepare=prepare, train=train))
    pid = until(
        lambda: int((marks / "pid").read_text() or 0) if (marks / "pid").exists() else 0,
        lambda found: found > 0,
    )
    if ending == "stop":
        own_estate.cloud.stop()
    else:
        own_estate.cloud.kill()
    until(lambda: alive(pid), lambda still: not still)
    own_estate.cloud.start()
    if ending == "kill":
        # The emulator keeps all but objects in memory, so set-up runs again after a crash.
        own_estate = Estate(own_estate.cloud)
    execution = own_estate.wait(arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded", execution.get("FailureReason")
    assert own_estate.steps(arn)["Train"]["AttemptCount"] == 2
    assert len(list(marks.glob("prepare-*"))) == 1, "a step that had succeeded ran again"


def test_parameters_are_checked_when_an_execution_starts(estate: Estate) -> None:
    pipeline = estate.pipeline()
    with pytest.raises(ClientError, match="do not have default values") as missing:
        estate.sagemaker.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken=uuid.uuid4().hex)
    assert missing.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="Epochs must be of type Integer"):
        estate.start(pipeline, Epochs="many")
    with pytest.raises(ClientError, match="not declared"):
        estate.start(pipeline, Colour="blue")


def test_a_definition_that_does_not_hold_together_is_refused(estate: Estate) -> None:
    broken = definition()
    broken["Steps"][2]["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"] = {"Get": "Steps.Trian.Arn"}
    with pytest.raises(ClientError, match="Trian"):
        estate.sagemaker.create_pipeline(
            PipelineName="broken",
            PipelineDefinition=json.dumps(broken),
            ClientRequestToken=uuid.uuid4().hex,
            RoleArn=ROLE_ARN,
        )


def test_the_registry_numbers_versions_and_announces_approval(estate: Estate) -> None:
    group = f"group-{uuid.uuid4().hex[:8]}"
    estate.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    specification = {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}],
        "SupportedContentTypes": ["application/dicom"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    arns = [
        estate.sagemaker.create_model_package(
            ModelPackageGroupName=group, InferenceSpecification=specification, ClientToken=token
        )["ModelPackageArn"]
        for token in ("one", "two", "two")
    ]
    assert arns == [f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:model-package/{group}/{n}" for n in (1, 2, 2)]
    estate.sagemaker.update_model_package(
        ModelPackageArn=arns[1], ModelApprovalStatus="Approved", ApprovalDescription="metrics met"
    )
    package = estate.sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == ("Approved", "metrics met")
    approved = estate.sagemaker.list_model_packages(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved", SortOrder="Descending"
    )["ModelPackageSummaryList"]
    assert [one["ModelPackageVersion"] for one in approved] == [2]
    with pytest.raises(ClientError) as held:
        estate.sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    assert held.value.response["Error"]["Code"] == "ConflictException"


def test_a_role_without_the_permission_is_denied(estate: Estate) -> None:
    iam = estate.cloud.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))
    allowed = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sagemaker:Describe*", "Resource": "*"}],
    }
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=json.dumps(allowed))
    pipeline = estate.pipeline()
    reader = estate.cloud.client("sagemaker", "reader")
    assert reader.describe_pipeline(PipelineName=pipeline)["PipelineStatus"] == "Active"
    with pytest.raises(ClientError) as denied:
        reader.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken=uuid.uuid4().hex)
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed grandchild whose parent is gone may wait, as a zombie, for an init that never reaps.
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[-1].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()
