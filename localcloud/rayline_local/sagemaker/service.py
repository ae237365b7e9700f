"""SageMaker's API on one machine: pipelines, executions, jobs' descriptions and the model registry.

Errors and their texts follow the service where they are known. What is not here (endpoints, stand-alone jobs,
transforms) answers a ValidationException or UnknownOperationException that says so.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread
from botocore.exceptions import BotoCoreError, ClientError

from rayline.names import EstateNames
from rayline_local.front.faults import Count, Seconds, ServiceFaults
from rayline_local.front.rest import ModeledService, Permission, ServiceError, current_call
from rayline_local.front.services import Cloud
from rayline_local.sagemaker.definition import InvalidDefinition, parse_definition
from rayline_local.sagemaker.events import SOURCE, SageMakerEvents
from rayline_local.sagemaker.jobs import SERVICE_PRINCIPAL, JobRunner, LocalImage
from rayline_local.sagemaker.registry import ModelRegistry
from rayline_local.sagemaker.runner import ENDED, ExecutionRunner, random_suffix
from rayline_local.sagemaker.store import DocumentStore

FAULT_NAME = "sagemaker"
DEFAULT_PAGE = 10
EXECUTION_ID_LENGTH = 12
SHUTDOWN_SECONDS = 15.0
PASSED_TO = {"iam:PassedToService": SERVICE_PRINCIPAL}

Document = dict[str, Any]


class SageMakerFaults(ServiceFaults):
    """Fault switches of the local SageMaker."""

    job_delay_seconds: Seconds = 0
    """Each training and processing job waits for this long before it runs."""
    fail_jobs: Count = 0
    """The next n training and processing jobs fail."""


def default_images(cloud: Cloud) -> dict[str, LocalImage]:
    """The stack's training image, run by this Python."""
    names = EstateNames(cloud.stack, cloud.account_id, cloud.region)
    return {names.repository("training"): LocalImage((sys.executable, "-m", "rayline_training"))}


class SageMakerService(ModeledService):
    """The operations; each takes the model's members and returns the model's members."""

    service_name = "sagemaker"
    fault_name = FAULT_NAME

    def __init__(self, cloud: Cloud, images: Mapping[str, LocalImage] | None = None) -> None:
        super().__init__(cloud)
        self._cloud = cloud
        folder: Path = cloud.state_dir / "sagemaker"
        self._store = DocumentStore(folder / "state.sqlite")
        self._events = SageMakerEvents(cloud)
        self._registry = ModelRegistry(cloud, self._store, self._events)
        self.jobs = JobRunner(
            cloud,
            default_images(cloud) if images is None else images,
            folder,
            folder / "logs",
        )
        self._runner = ExecutionRunner(cloud, self._store, self.jobs, self._events)
        cloud.register_faults(FAULT_NAME, SOURCE, SageMakerFaults())

    async def startup(self) -> None:
        """Go on with the executions that the last stop interrupted."""
        await anyio.to_thread.run_sync(self.jobs.clean)
        self._runner.resume_all()

    async def shutdown(self) -> None:
        """End all jobs, so that none outlives the front; their executions go on at the next start."""
        await anyio.to_thread.run_sync(self._runner.interrupt_all, SHUTDOWN_SECONDS)
        self._store.close()

    def permissions(self, operation: str, members: Mapping[str, Any]) -> Sequence[Permission]:
        """The service authorization reference's resource of each operation."""
        checks = [Permission(f"sagemaker:{operation}", self._resource(operation, members))]
        if members.get("RoleArn"):
            checks.append(Permission("iam:PassRole", str(members["RoleArn"]), PASSED_TO))
        return checks

    def _resource(self, operation: str, members: Mapping[str, Any]) -> str:
        if arn := members.get("PipelineExecutionArn") or members.get("ResourceArn"):
            return str(arn)
        if "PipelineName" in members:
            return self._pipeline_arn(str(members["PipelineName"]))
        if operation == "UpdateModelPackage":
            return str(members.get("ModelPackageArn", "*"))
        if operation in ("DescribeModelPackage", "DeleteModelPackage"):
            return self._registry.package_arn(str(members.get("ModelPackageName", "*")))
        if operation == "CreateModelPackage":
            group = str(members.get("ModelPackageGroupName", "*")).rsplit("/", 1)[-1]
            return f"{self._arn('model-package')}/{group}/*"
        if "ModelPackageGroupName" in members:
            return self._registry.group_arn(str(members["ModelPackageGroupName"]))
        for kind in ("TrainingJob", "ProcessingJob"):
            if name := members.get(f"{kind}Name"):
                return f"{self._arn('training-job' if kind == 'TrainingJob' else 'processing-job')}/{name}"
        return "*"

    # --- pipelines ------------------------------------------------------------------------------------------

    async def op_create_pipeline(self, **request: Any) -> Document:
        name, token = request["PipelineName"], request["ClientRequestToken"]
        arn = self._pipeline_arn(name)
        if self._store.get("token", f"pipeline {name} {token}"):
            return {"PipelineArn": arn}
        if self._store.get("pipeline", name):
            raise ServiceError(
                "ValidationException",
                f"Pipeline names must be unique within an AWS account and region. Pipeline with name ({name}) "
                f"already exists.",
            )
        definition = await self._definition(request)
        now = self._now()
        self._store.put(
            "pipeline",
            name,
            {
                "PipelineArn": arn,
                "PipelineName": name,
                "PipelineDisplayName": request.get("PipelineDisplayName", name),
                "PipelineDescription": request.get("PipelineDescription"),
                "PipelineDefinition": definition,
                "RoleArn": request["RoleArn"],
                "PipelineStatus": "Active",
                "CreationTime": now,
                "LastModifiedTime": now,
                "ParallelismConfiguration": request.get("ParallelismConfiguration"),
                "CreatedBy": {},
                "LastModifiedBy": {},
            },
        )
        self._store.put("token", f"pipeline {name} {token}", {"arn": arn})
        self._put_tags(arn, request.get("Tags") or ())
        return {"PipelineArn": arn}

    async def op_update_pipeline(self, **request: Any) -> Document:
        name = request["PipelineName"]
        self._pipeline(name)
        changes: Document = {
            key: request[key]
            for key in ("PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration")
            if key in request
        }
        if "PipelineDefinition" in request or "PipelineDefinitionS3Location" in request:
            changes["PipelineDefinition"] = await self._definition(request)
        changes["LastModifiedTime"] = self._now()
        pipeline = self._store.update("pipeline", _bare(name), lambda document: document | changes)
        return {"PipelineArn": pipeline["PipelineArn"]}

    def op_describe_pipeline(self, **request: Any) -> Document:
        return self._pipeline(request["PipelineName"])

    def op_delete_pipeline(self, **request: Any) -> Document:
        pipeline = self._pipeline(request["PipelineName"])
        executions = self._store.list("execution", pipeline["PipelineName"])
        if any(execution["status"] not in ENDED for execution in executions):
            raise ServiceError(
                "ConflictException", "the pipeline has executions that have not ended; stop them first"
            )
        self._store.delete("pipeline", pipeline["PipelineName"])
        self._store.delete("tags", pipeline["PipelineArn"])
        return {"PipelineArn": pipeline["PipelineArn"]}

    def op_list_pipelines(self, **request: Any) -> Document:
        prefix = request.get("PipelineNamePrefix", "")
        found = [one for one in self._store.list("pipeline") if one["PipelineName"].startswith(prefix)]
        members = (
            "PipelineArn",
            "PipelineName",
            "PipelineDisplayName",
            "PipelineDescription",
            "RoleArn",
            "CreationTime",
            "LastModifiedTime",
        )
        key = "PipelineName" if request.get("SortBy") == "Name" else "CreationTime"
        ordered = _sorted(_created_within(found, request, "CreationTime"), key, request, "Descending")
        return _page("PipelineSummaries", [_only(one, members) for one in ordered], request)

    # --- executions -----------------------------------------------------------------------------------------

    def op_start_pipeline_execution(self, **request: Any) -> Document:
        pipeline = self._pipeline(request["PipelineName"])
        name = pipeline["PipelineName"]
        token = f"execution {name} {request['ClientRequestToken']}"
        if known := self._store.get("token", token):
            self._record_execution(request, known["arn"], repeated=True)
            return {"PipelineExecutionArn": known["arn"]}
        for unsupported in ("SelectiveExecutionConfig", "PipelineVersionId"):
            if unsupported in request:
                raise ServiceError("ValidationException", f"the local cloud does not support {unsupported}")
        given = {one["Name"]: one["Value"] for one in request.get("PipelineParameters") or ()}
        try:
            definition = parse_definition(pipeline["PipelineDefinition"])
            values = definition.parameter_values(given)
        except InvalidDefinition as error:
            raise ServiceError("ValidationException", str(error)) from None
        execution_id = random_suffix(EXECUTION_ID_LENGTH)
        arn = f"{pipeline['PipelineArn']}/execution/{execution_id}"
        now = self._now()
        execution = {
            "arn": arn,
            "pipeline_arn": pipeline["PipelineArn"],
            "pipeline_name": name,
            "display_name": request.get("PipelineExecutionDisplayName", f"execution-{round(now * 1000)}"),
            "description": request.get("PipelineExecutionDescription"),
            "definition": pipeline["PipelineDefinition"],
            "role_arn": pipeline["RoleArn"],
            "parameters": {key: str(value) for key, value in values.items()},
            "status": "Executing",
            "created": now,
            "modified": now,
            "caller": current_call().caller.arn,
        }
        self._store.put("execution", arn, execution, parent=name)
        self._store.put("token", token, {"arn": arn})
        self._record_execution(request, arn, repeated=False)
        self._events.execution_changed(execution, None)
        self._runner.start(arn)
        return {"PipelineExecutionArn": arn}

    def _record_execution(self, request: Mapping[str, Any], arn: str, *, repeated: bool) -> None:
        self._cloud.record_accepted(
            FAULT_NAME,
            "StartPipelineExecution",
            client_token=request["ClientRequestToken"],
            parameters={each["Name"]: each["Value"] for each in request.get("PipelineParameters") or ()},
            execution_arn=arn,
            repeated=repeated,
        )

    def op_describe_pipeline_execution(self, **request: Any) -> Document:
        execution = self._execution(request["PipelineExecutionArn"])
        return {
            "PipelineArn": execution["pipeline_arn"],
            "PipelineExecutionArn": execution["arn"],
            "PipelineExecutionDisplayName": execution["display_name"],
            "PipelineExecutionDescription": execution["description"],
            "PipelineExecutionStatus": execution["status"],
            "FailureReason": execution.get("failure_reason"),
            "CreationTime": execution["created"],
            "LastModifiedTime": execution["modified"],
            "CreatedBy": {"IamIdentity": {"Arn": execution["caller"]}},
            "LastModifiedBy": {},
        }

    def op_describe_pipeline_definition_for_execution(self, **request: Any) -> Document:
        execution = self._execution(request["PipelineExecutionArn"])
        return {"PipelineDefinition": execution["definition"], "CreationTime": execution["created"]}

    def op_list_pipeline_executions(self, **request: Any) -> Document:
        name = self._pipeline(request["PipelineName"])["PipelineName"]
        key = "arn" if request.get("SortBy") == "PipelineExecutionArn" else "created"
        found = _created_within(self._store.list("execution", name), request, "created")
        summaries = [
            {
                "PipelineExecutionArn": one["arn"],
                "StartTime": one["created"],
                "PipelineExecutionStatus": one["status"],
                "PipelineExecutionDescription": one["description"],
                "PipelineExecutionDisplayName": one["display_name"],
                "PipelineExecutionFailureReason": one.get("failure_reason"),
            }
            for one in _sorted(found, key, request, "Descending")
        ]
        return _page("PipelineExecutionSummaries", summaries, request)

    def op_list_pipeline_execution_steps(self, **request: Any) -> Document:
        if "PipelineExecutionArn" not in request:
            raise ServiceError("ValidationException", "PipelineExecutionArn is required")
        execution = self._execution(request["PipelineExecutionArn"])
        steps = [
            {
                "StepName": one["name"],
                "StepDisplayName": one["display_name"],
                "StepDescription": one["description"],
                "StartTime": one["started"],
                "EndTime": one.get("ended"),
                "StepStatus": one["status"] or "Starting",
                "FailureReason": one.get("failure_reason"),
                "AttemptCount": one["attempt"],
                "Metadata": one["metadata"],
            }
            for one in self._store.list("step", execution["arn"])
        ]
        if request.get("SortOrder", "Descending") == "Descending":
            steps.reverse()
        return _page("PipelineExecutionSteps", steps, request)

    def op_list_pipeline_parameters_for_execution(self, **request: Any) -> Document:
        execution = self._execution(request["PipelineExecutionArn"])
        values = [{"Name": name, "Value": value} for name, value in execution["parameters"].items()]
        return _page("PipelineParameters", values, request)

    def op_stop_pipeline_execution(self, **request: Any) -> Document:
        execution = self._execution(request["PipelineExecutionArn"])
        if execution["status"] in ENDED:
            raise ServiceError(
                "ValidationException", f"Pipeline execution with ARN {execution['arn']} has already ended."
            )
        self._runner.stop(execution["arn"])
        return {"PipelineExecutionArn": execution["arn"]}

    # --- jobs -----------------------------------------------------------------------------------------------

    def op_describe_training_job(self, **request: Any) -> Document:
        return {
            "ModelArtifacts": {"S3ModelArtifacts": ""},
            **self._job("training-job", "TrainingJob", request),
        }

    def op_describe_processing_job(self, **request: Any) -> Document:
        return self._job("processing-job", "ProcessingJob", request)

    def _job(self, kind: Any, prefix: str, request: Mapping[str, Any]) -> Document:
        name = request[f"{prefix}Name"]
        job = self._store.get(kind, name)
        if job is None:
            raise ServiceError("ValidationException", "Requested resource not found.")
        shape = self.model.operation_model(f"Describe{prefix}").output_shape
        return {key: value for key, value in job.items() if shape is not None and key in shape.members}

    # --- registry -------------------------------------------------------------------------------------------

    def op_create_model_package_group(self, **request: Any) -> Document:
        arn = self._registry.create_group(request)
        self._put_tags(arn, request.get("Tags") or ())
        return {"ModelPackageGroupArn": arn}

    def op_describe_model_package_group(self, **request: Any) -> Document:
        return self._registry.group(request["ModelPackageGroupName"])

    def op_delete_model_package_group(self, **request: Any) -> Document:
        self._registry.delete_group(request["ModelPackageGroupName"])
        return {}

    def op_list_model_package_groups(self, **request: Any) -> Document:
        wanted = request.get("NameContains", "")
        found = [one for one in self._store.list("group") if wanted in one["ModelPackageGroupName"]]
        key = "ModelPackageGroupName" if request.get("SortBy") == "Name" else "CreationTime"
        ordered = _sorted(_created_within(found, request, "CreationTime"), key, request, "Ascending")
        members = (
            "ModelPackageGroupName",
            "ModelPackageGroupArn",
            "ModelPackageGroupDescription",
            "CreationTime",
            "ModelPackageGroupStatus",
        )
        return _page("ModelPackageGroupSummaryList", [_only(one, members) for one in ordered], request)

    def op_create_model_package(self, **request: Any) -> Document:
        arn, repeated = self._registry.create_package(request)
        self._cloud.record_accepted(
            FAULT_NAME,
            "CreateModelPackage",
            client_token=request.get("ClientToken"),
            package_arn=arn,
            repeated=repeated,
        )
        self._put_tags(arn, request.get("Tags") or ())
        return {"ModelPackageArn": arn}

    def op_describe_model_package(self, **request: Any) -> Document:
        return self._registry.package(request["ModelPackageName"])

    def op_update_model_package(self, **request: Any) -> Document:
        return {"ModelPackageArn": self._registry.update_package(request)}

    def op_delete_model_package(self, **request: Any) -> Document:
        self._registry.delete_package(request["ModelPackageName"])
        return {}

    def op_list_model_packages(self, **request: Any) -> Document:
        found = self._registry.packages(request.get("ModelPackageGroupName"))
        if status := request.get("ModelApprovalStatus"):
            found = [one for one in found if one.get("ModelApprovalStatus") == status]
        if request.get("ModelPackageType") == "Unversioned":
            found = []
        key = "ModelPackageArn" if request.get("SortBy") == "Name" else "CreationTime"
        ordered = _sorted(_created_within(found, request, "CreationTime"), key, request, "Ascending")
        members = (
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "ModelPackageArn",
            "ModelPackageDescription",
            "CreationTime",
            "ModelPackageStatus",
            "ModelApprovalStatus",
        )
        return _page("ModelPackageSummaryList", [_only(one, members) for one in ordered], request)

    # --- tags -----------------------------------------------------------------------------------------------

    def op_add_tags(self, **request: Any) -> Document:
        return {"Tags": self._put_tags(request["ResourceArn"], request["Tags"])}

    def op_list_tags(self, **request: Any) -> Document:
        held = self._store.get("tags", request["ResourceArn"]) or {}
        return _page("Tags", [{"Key": key, "Value": value} for key, value in held.items()], request)

    def op_delete_tags(self, **request: Any) -> Document:
        held = self._store.get("tags", request["ResourceArn"]) or {}
        kept = {key: value for key, value in held.items() if key not in request["TagKeys"]}
        self._store.put("tags", request["ResourceArn"], kept)
        return {}

    def _put_tags(self, arn: str, tags: Sequence[Mapping[str, str]]) -> list[Document]:
        held = self._store.get("tags", arn) or {}
        held |= {tag["Key"]: tag["Value"] for tag in tags}
        self._store.put("tags", arn, held)
        return [{"Key": key, "Value": value} for key, value in held.items()]

    # --- what is refused ------------------------------------------------------------------------------------

    def op_create_endpoint(self, **request: Any) -> Document:
        raise _no_endpoints()

    def op_create_endpoint_config(self, **request: Any) -> Document:
        raise _no_endpoints()

    def op_create_model(self, **request: Any) -> Document:
        raise _no_endpoints()

    # --- shared ---------------------------------------------------------------------------------------------

    def _arn(self, kind: str) -> str:
        return f"arn:aws:sagemaker:{self._cloud.region}:{self._cloud.account_id}:{kind}"

    def _pipeline_arn(self, name: str) -> str:
        return f"{self._arn('pipeline')}/{_bare(name)}"

    def _now(self) -> float:
        return self._cloud.clock().timestamp()

    def _pipeline(self, name: str) -> Document:
        found = self._store.get("pipeline", _bare(name))
        if found is None:
            raise ServiceError("ResourceNotFound", f"Pipeline '{self._pipeline_arn(name)}' does not exist.")
        return found

    def _execution(self, arn: str) -> Document:
        found = self._store.get("execution", arn)
        if found is None:
            raise ServiceError("ResourceNotFound", f"Pipeline execution with ARN {arn} does not exist.")
        return found

    async def _definition(self, request: Mapping[str, Any]) -> str:
        if ("PipelineDefinition" in request) == ("PipelineDefinitionS3Location" in request):
            raise ServiceError(
                "ValidationException", "give either PipelineDefinition or PipelineDefinitionS3Location"
            )
        if "PipelineDefinition" in request:
            text = str(request["PipelineDefinition"])
        else:
            location = request["PipelineDefinitionS3Location"]
            text = await anyio.to_thread.run_sync(functools.partial(self._read_object, location))
        try:
            parse_definition(text)
        except InvalidDefinition as error:
            raise ServiceError(
                "ValidationException", f"Unable to parse pipeline definition: {error}"
            ) from None
        return text

    def _read_object(self, location: Mapping[str, str]) -> str:
        place = {"Bucket": location["Bucket"], "Key": location["ObjectKey"]}
        if "VersionId" in location:
            place["VersionId"] = location["VersionId"]
        try:
            content: bytes = self._cloud.client("s3").get_object(**place)["Body"].read()
        except (ClientError, BotoCoreError):
            raise ServiceError("ValidationException", "the definition's S3 object cannot be read") from None
        return content.decode()


def _no_endpoints() -> ServiceError:
    return ServiceError(
        "ValidationException",
        "the local cloud hosts no models; run `python -m rayline_training serve` on the model instead",
    )


def _bare(name: str) -> str:
    """A pipeline's name, from its name or its ARN."""
    return name.rsplit("/", 1)[-1]


def _only(document: Mapping[str, Any], members: Sequence[str]) -> Document:
    return {name: document.get(name) for name in members}


def _created_within(documents: Sequence[Document], request: Mapping[str, Any], key: str) -> list[Document]:
    after = request.get("CreatedAfter") or request.get("CreationTimeAfter")
    before = request.get("CreatedBefore") or request.get("CreationTimeBefore")
    return [
        document
        for document in documents
        if (after is None or document[key] > after.timestamp())
        and (before is None or document[key] < before.timestamp())
    ]


def _sorted(
    documents: Sequence[Document], key: str, request: Mapping[str, Any], default_order: str
) -> list[Document]:
    descending = request.get("SortOrder", default_order) == "Descending"
    ordered = sorted(documents, key=operator.itemgetter(key))
    return ordered[::-1] if descending else ordered


def _page(member: str, items: Sequence[Document], request: Mapping[str, Any]) -> Document:
    try:
        start = int(request.get("NextToken") or 0)
    except ValueError:
        raise ServiceError("ValidationException", "NextToken is not one that was given out") from None
    size = int(request.get("MaxResults") or DEFAULT_PAGE)
    page: Document = {member: list(items[start : start + size])}
    if start + size < len(items):
        page["NextToken"] = str(start + size)
    return page
