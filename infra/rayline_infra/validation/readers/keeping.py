"""Readers of what holds data: tables, the data store, the registry of models and of images."""

import json
from collections.abc import Iterable

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Absent, Account, differing, present


def table(account: Account, resource: Resource) -> Iterable[str]:
    dynamodb, inputs, name = account.client("dynamodb"), resource.inputs, resource.inputs["name"]
    found = present(lambda: dynamodb.describe_table(TableName=name))["Table"]
    yield from differing(found, TableStatus="ACTIVE")
    yield from differing(found.get("BillingModeSummary", {}), BillingMode=inputs["billingMode"])
    if bool(found.get("DeletionProtectionEnabled")) != inputs["deletionProtectionEnabled"]:
        yield "its deletion protection is not as declared"
    indexes = {each["IndexName"] for each in found.get("GlobalSecondaryIndexes", ())}
    if missing := sorted({each["name"] for each in inputs.get("globalSecondaryIndexes", ())} - indexes):
        yield f"it has no index {', '.join(missing)}"
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus", "DISABLED")
    if inputs["pointInTimeRecovery"]["enabled"] and recovery != "ENABLED":
        yield f"its point-in-time recovery is {recovery}"
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if "ttl" in inputs and expiry.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        yield "its items do not expire"
    key = found.get("SSEDescription", {}).get("KMSMasterKeyArn")
    if key != account.expected(inputs["serverSideEncryption"]["kmsKeyArn"]):
        yield f"it is encrypted with {key or 'no key of ours'}"


def datastore(account: Account, resource: Resource) -> Iterable[str]:
    if resource.inputs["typeName"] != "AWS::HealthImaging::Datastore":
        yield "no reader knows this type of Cloud Control"
        return
    name = json.loads(resource.inputs["desiredState"])["DatastoreName"]
    found = find_datastore(account, name)
    yield from differing(found, datastoreStatus="ACTIVE")


def find_datastore(account: Account, name: str) -> dict[str, str]:
    """The data store of a name.

    Raises:
        Absent: there is none.
    """
    pages = account.client("medical-imaging").get_paginator("list_datastores").paginate()
    for page in pages:
        for summary in page["datastoreSummaries"]:
            if summary["datastoreName"] == name and summary["datastoreStatus"] != "DELETED":
                return dict(summary)
    raise Absent


def repository(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    found = present(lambda: account.client("ecr").describe_repositories(repositoryNames=[inputs["name"]]))
    yield from differing(found["repositories"][0], imageTagMutability=inputs["imageTagMutability"])


def pipeline(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: account.client("sagemaker").describe_pipeline(PipelineName=resource.inputs["pipelineName"]),
        "ValidationException",
    )
    yield from differing(found, PipelineStatus="Active", RoleArn=resource.inputs["roleArn"])
    if not account.same_document(resource.inputs["pipelineDefinition"], found["PipelineDefinition"]):
        yield "its definition is not the declared one"


def model_package_group(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: account.client("sagemaker").describe_model_package_group(
            ModelPackageGroupName=resource.inputs["modelPackageGroupName"]
        ),
        "ValidationException",
    )
    return differing(found, ModelPackageGroupStatus="Completed")


def endpoint(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: account.client("sagemaker").describe_endpoint(EndpointName=resource.inputs["name"]),
        "ValidationException",
    )
    return differing(
        found, EndpointStatus="InService", EndpointConfigName=resource.inputs["endpointConfigName"]
    )


def endpoint_configuration(account: Account, resource: Resource) -> Iterable[str]:
    name = resource.inputs["name"]
    found = present(
        lambda: account.client("sagemaker").describe_endpoint_config(EndpointConfigName=name),
        "ValidationException",
    )
    if not found.get("DataCaptureConfig", {}).get("EnableCapture"):
        yield "its answers are not kept"


def model(account: Account, resource: Resource) -> Iterable[str]:
    found = present(
        lambda: account.client("sagemaker").describe_model(ModelName=resource.inputs["name"]),
        "ValidationException",
    )
    return differing(found, EnableNetworkIsolation=resource.inputs["enableNetworkIsolation"])


READERS = {
    "aws:dynamodb/table:Table": table,
    "aws:cloudcontrol/resource:Resource": datastore,
    "aws:ecr/repository:Repository": repository,
    "aws:sagemaker/pipeline:Pipeline": pipeline,
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": model_package_group,
    "aws:sagemaker/endpoint:Endpoint": endpoint,
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": endpoint_configuration,
    "aws:sagemaker/model:Model": model,
}
