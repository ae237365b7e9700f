"""SageMaker pipelines and model package groups."""

import hashlib
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.clients import Clients

# SageMaker answers ValidationException for much that does not exist (API_DescribeModelPackageGroup).
GONE = ("ResourceNotFound", "ResourceNotFoundException", "ValidationException")


class PipelineAdapter:
    """``aws:sagemaker/pipeline:Pipeline``; its id is its name."""

    replaced_by = frozenset({"pipelineName"})

    def __init__(self, clients: Clients) -> None:
        self._sagemaker = clients.get("sagemaker")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["pipelineName"]
        request: dict[str, Any] = {
            "PipelineName": name,
            "PipelineDisplayName": inputs["pipelineDisplayName"],
            "PipelineDefinition": inputs["pipelineDefinition"],
            "PipelineDescription": inputs.get("pipelineDescription", ""),
            "RoleArn": inputs["roleArn"],
        }
        if self.exists(name, inputs):
            arn = self._sagemaker.update_pipeline(**request)["PipelineArn"]
        else:
            # The same definition is the same request, so that a retry makes no second pipeline.
            token = hashlib.sha256(f"{name}{inputs['pipelineDefinition']}".encode()).hexdigest()
            arn = self._sagemaker.create_pipeline(**request, ClientRequestToken=token, Tags=tag_list(inputs))[
                "PipelineArn"
            ]
        return Made(name, {"arn": arn})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(GONE, lambda: self._sagemaker.describe_pipeline(PipelineName=resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        token = hashlib.sha256(f"delete {resource_id}".encode()).hexdigest()
        tolerate(
            GONE,
            lambda: self._sagemaker.delete_pipeline(PipelineName=resource_id, ClientRequestToken=token),
        )


class ModelPackageGroupAdapter:
    """``aws:sagemaker/modelPackageGroup:ModelPackageGroup``; SageMaker cannot change one, only replace it."""

    replaced_by = frozenset({"modelPackageGroupName", "modelPackageGroupDescription"})

    def __init__(self, clients: Clients) -> None:
        self._sagemaker = clients.get("sagemaker")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["modelPackageGroupName"]
        found = self._describe(name)
        if found is None:
            self._sagemaker.create_model_package_group(
                ModelPackageGroupName=name,
                ModelPackageGroupDescription=inputs.get("modelPackageGroupDescription", ""),
                Tags=tag_list(inputs),
            )
            found = self._sagemaker.describe_model_package_group(ModelPackageGroupName=name)
        return Made(name, {"arn": found["ModelPackageGroupArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return self._describe(resource_id) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._sagemaker.delete_model_package_group(ModelPackageGroupName=resource_id))

    def _describe(self, name: str) -> Any:
        return tolerate(
            GONE, lambda: self._sagemaker.describe_model_package_group(ModelPackageGroupName=name)
        )
