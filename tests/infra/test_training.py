"""Training and the endpoint over the graph of each stack."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph

ENDPOINT_TYPES = {
    "aws:sagemaker/model:Model",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "aws:sagemaker/endpoint:Endpoint",
    "aws:appautoscaling/target:Target",
    "aws:appautoscaling/policy:Policy",
}
IDENTIFIED = ("uploads", "quarantine", "archive")


def definition(graph: Graph) -> dict[str, Any]:
    text = graph.named("aws:sagemaker/pipeline:Pipeline", "pipeline").inputs["pipelineDefinition"]
    found: dict[str, Any] = json.loads(text)
    return found


def steps(graph: Graph) -> dict[str, dict[str, Any]]:
    return {step["Name"]: step.get("Arguments", {}) for step in definition(graph)["Steps"]}


def key_arn(graph: Graph, kind: str) -> str:
    return str(graph.named("aws:kms/key:Key", f"{kind}-key").outputs["arn"])


def security_group(graph: Graph, kind: str) -> str:
    groups = graph.of_type("aws:ec2/securityGroup:SecurityGroup")
    (found,) = [each.id for each in groups if each.inputs["name"].endswith(f"-{kind}")]
    return found


def private_subnets(graph: Graph) -> set[str]:
    return {
        each.id
        for each in graph.of_type("aws:ec2/subnet:Subnet")
        if not each.inputs.get("mapPublicIpOnLaunch") and "private" in each.name
    }


def statements(graph: Graph, role: str) -> list[dict[str, Any]]:
    policy = graph.named("aws:iam/rolePolicy:RolePolicy", f"{role}-policy").inputs["policy"]
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found


def test_every_job_runs_in_the_private_subnets_behind_the_group_of_training(graph: Graph) -> None:
    subnets, group = private_subnets(graph), security_group(graph, "training")
    assert len(subnets) >= 2
    for name in ("Preprocess", "Evaluate"):
        network = steps(graph)[name]["NetworkConfig"]
        assert set(network["VpcConfig"]["Subnets"]) == subnets
        assert network["VpcConfig"]["SecurityGroupIds"] == [group]
        assert network["EnableInterContainerTrafficEncryption"] is True
    train = steps(graph)["Train"]
    assert set(train["VpcConfig"]["Subnets"]) == subnets
    assert train["VpcConfig"]["SecurityGroupIds"] == [group]
    assert train["EnableInterContainerTrafficEncryption"] is True


def test_no_placeholder_is_left_in_the_definition(graph: Graph) -> None:
    text = json.dumps(definition(graph))
    for placeholder in ("deidentified-key-arn", "training-security-group-id", "private-subnet-id-"):
        assert placeholder not in text


def test_training_goes_on_from_its_checkpoint_on_spare_instances(graph: Graph) -> None:
    train = steps(graph)["Train"]
    assert train["EnableManagedSpotTraining"] is True
    limits = train["StoppingCondition"]
    # API_StoppingCondition: the wait holds the training's own time.
    assert limits["MaxWaitTimeInSeconds"] >= limits["MaxRuntimeInSeconds"]
    uri = train["CheckpointConfig"]["S3Uri"]["Std:Join"]["Values"]
    assert uri == [
        f"s3://{graph.outputs['models_bucket']}/checkpoints",
        {"Get": "Execution.PipelineExecutionId"},
    ]


def test_without_spot_training_waits_for_nothing() -> None:
    train = steps(plan("dev", overrides={"rayline:trainingSpot": "false"}))["Train"]
    assert train["EnableManagedSpotTraining"] is False
    assert "MaxWaitTimeInSeconds" not in train["StoppingCondition"]


def test_volumes_and_outputs_are_encrypted_with_the_deidentified_key(graph: Graph) -> None:
    key = key_arn(graph, "deidentified")
    for name in ("Preprocess", "Evaluate"):
        step = steps(graph)[name]
        assert step["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == key
        assert step["ProcessingOutputConfig"]["KmsKeyId"] == key
    train = steps(graph)["Train"]
    assert train["OutputDataConfig"]["KmsKeyId"] == key
    # A g5 instance has local storage, encrypted in hardware; SageMaker refuses a key for it.
    instance = {each["Name"]: each.get("DefaultValue") for each in definition(graph)["Parameters"]}[
        "TrainingInstanceType"
    ]
    assert ("VolumeKmsKeyId" in train["ResourceConfig"]) == (".g5." not in instance)


@pytest.mark.parametrize("role", ["training", "endpoint"])
def test_training_and_serving_reach_no_identified_bucket_and_no_log_bucket(graph: Graph, role: str) -> None:
    account = graph.outputs["account_id"]
    for statement in statements(graph, role):
        for resource in statement.get("Resource", []):
            for kind in (*IDENTIFIED, "logs", "access-logs"):
                assert not resource.startswith(f"arn:aws:s3:::rayline-{graph.stack}-{kind}-{account}")
            assert resource != key_arn(graph, "identified")
            assert not resource.startswith("arn:aws:s3:::*")
        if "s3:GetObject" in statement["Action"]:
            assert all(
                resource.startswith(f"arn:aws:s3:::rayline-{graph.stack}-")
                for resource in statement["Resource"]
            )


@pytest.mark.parametrize("role", ["training", "endpoint"])
def test_sagemaker_may_attach_what_runs_to_the_network(graph: Graph, role: str) -> None:
    """SageMaker developer guide, "SageMaker AI Roles": what a role needs with VpcConfig."""
    granted = {action for statement in statements(graph, role) for action in statement["Action"]}
    assert granted >= {
        "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
        "ec2:DeleteNetworkInterfacePermission", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs",
        "ec2:DescribeDhcpOptions", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups",
    }  # fmt: skip


def test_models_stay_in_the_account(graph: Graph) -> None:
    policy = graph.named(
        "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy", "model-package-group-policy"
    ).inputs["resourcePolicy"]
    (deny,) = json.loads(policy)["Statement"]
    assert (deny["Effect"], deny["Principal"]) == ("Deny", "*")
    assert deny["Condition"]["StringNotEquals"] == {"aws:PrincipalAccount": graph.outputs["account_id"]}


def test_a_first_deployment_makes_an_endpoint_that_waits_for_its_model(serving: Graph) -> None:
    graph = serving
    model = graph.named("aws:sagemaker/model:Model", "served-model").inputs
    assert set(model["primaryContainer"]) == {"image"}
    assert model["primaryContainer"]["image"].endswith(f"/rayline-{graph.stack}-training:0.1.0")
    environment = graph.outputs["operator_environment"]
    assert environment["RAYLINE_ENDPOINT_MODEL"] == ""


def test_a_named_version_is_served_under_names_of_its_own(graph_of: Callable[[str], Graph]) -> None:
    before = graph_of("dev")
    after = plan("dev", overrides={"rayline:endpointModelVersion": "7"})
    model = after.named("aws:sagemaker/model:Model", "served-model")
    package = "arn:aws:sagemaker:us-east-1:111111111111:model-package/rayline-dev-pneumonia/7"
    assert model.inputs["primaryContainer"] == {"modelPackageName": package}
    assert after.outputs["operator_environment"]["RAYLINE_ENDPOINT_MODEL"] == "rayline-dev-pneumonia/7"
    for kind, name in (
        ("model:Model", "served-model"),
        ("endpointConfiguration:EndpointConfiguration", "endpoint-configuration"),
    ):
        token = f"aws:sagemaker/{kind}"
        assert before.named(token, name).inputs["name"] != after.named(token, name).inputs["name"]
    assert before.named("aws:sagemaker/endpoint:Endpoint", "endpoint").inputs["name"] == "rayline-dev"
    assert after.named("aws:sagemaker/endpoint:Endpoint", "endpoint").inputs["name"] == "rayline-dev"


def test_the_endpoint_is_isolated_encrypted_and_keeps_its_answers_only(serving: Graph) -> None:
    graph = serving
    model = graph.named("aws:sagemaker/model:Model", "served-model").inputs
    assert model["enableNetworkIsolation"] is True
    assert model["vpcConfig"]["securityGroupIds"] == [security_group(graph, "inference")]
    assert set(model["vpcConfig"]["subnets"]) == private_subnets(graph)
    assert model["executionRoleArn"].endswith(f":role/rayline-{graph.stack}-endpoint")
    configuration = graph.named(
        "aws:sagemaker/endpointConfiguration:EndpointConfiguration", "endpoint-configuration"
    ).inputs
    key = key_arn(graph, "deidentified")
    assert configuration["kmsKeyArn"] == key
    capture = configuration["dataCaptureConfig"]
    assert capture["destinationS3Uri"] == f"s3://{graph.outputs['reports_bucket']}/endpoint-capture"
    assert capture["kmsKeyId"] == key
    assert capture["captureOptions"] == [{"captureMode": "Output"}]


def test_the_endpoint_scales_between_its_bounds_by_requests(serving: Graph) -> None:
    graph = serving
    least, most = {"local": (1, 2), "dev": (1, 2), "prod": (2, 4)}[graph.stack]
    target = graph.named("aws:appautoscaling/target:Target", "endpoint-scaling").inputs
    assert (target["minCapacity"], target["maxCapacity"]) == (least, most)
    assert target["resourceId"] == f"endpoint/rayline-{graph.stack}/variant/AllTraffic"
    assert target["scalableDimension"] == "sagemaker:variant:DesiredInstanceCount"
    policy = graph.named("aws:appautoscaling/policy:Policy", "endpoint-scaling-policy").inputs
    tracking = policy["targetTrackingScalingPolicyConfiguration"]
    assert (
        tracking["predefinedMetricSpecification"]["predefinedMetricType"]
        == "SageMakerVariantInvocationsPerInstance"
    )
    assert tracking["targetValue"] == 100


def test_without_an_endpoint_there_is_none() -> None:
    graph = plan("dev", overrides={"rayline:endpoint": "false"})
    assert not [
        each.name for each in graph.resources if each.type in ENDPOINT_TYPES and "endpoint" in each.name
    ]
    assert graph.outputs["operator_environment"]["RAYLINE_ENDPOINT_MODEL"] == ""


@pytest.mark.parametrize(
    ("role", "sid", "group"),
    [
        ("training", "FindLogs", "ProcessingJobs"),
        ("training", "FindLogs", "TrainingJobs"),
        ("endpoint", "WriteLogs", "Endpoints/rayline-{stack}"),
    ],
)
def test_log_groups_are_granted_with_and_without_what_is_in_them(
    graph: Graph, role: str, sid: str, group: str
) -> None:
    (statement,) = [each for each in statements(graph, role) if each["Sid"] == sid]
    account = graph.outputs["account_id"]
    name = group.format(stack=graph.stack)
    arn = f"arn:aws:logs:us-east-1:{account}:log-group:/aws/sagemaker/{name}"
    assert {"logs:CreateLogGroup", "logs:DescribeLogStreams"} <= set(statement["Action"])
    # The Service Authorization Reference names a group without an end; CloudWatch Logs' own guide with ":*".
    assert {arn, f"{arn}:*"} <= set(statement["Resource"])


def test_models_are_registered_as_versions_and_in_their_group(graph: Graph) -> None:
    # Both are resource types of CreateModelPackage (Service Authorization Reference, "Amazon SageMaker").
    registered = {
        arn.split(":", 5)[5]
        for statement in statements(graph, "training")
        if "sagemaker:CreateModelPackage" in statement["Action"]
        for arn in statement["Resource"]
    }
    name = f"rayline-{graph.stack}-pneumonia"
    assert registered == {f"model-package/{name}/*", f"model-package-group/{name}"}
