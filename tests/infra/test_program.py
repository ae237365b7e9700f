"""The whole program, for every stack, over the graph that it declares."""

import json
from typing import Any

import pytest

from rayline.settings import Settings, load_settings
from rayline.supervisor import DRAIN_SECONDS
from rayline_infra.components.tasks import environment_of
from rayline_infra.policies.graph import Graph
from rayline_local.provisioner import NOT_EMULATED
from rayline_local.provisioner.adapters import ADAPTERS

ACCOUNTS = {"local": "123456789012", "dev": "111111111111", "prod": "222222222222"}
OUTPUTS = {
    "region", "account_id", "stack", "site", "queue_url", "dlq_url", "event_bus", "uploads_bucket",
    "quarantine_bucket", "imports_bucket", "preprocessed_bucket", "models_bucket", "reports_bucket",
    "logs_bucket",
    "image_tracking_table", "effects_table", "model_metrics_table", "datastore_id", "import_role_arn",
    "pipeline_name", "model_package_group", "processor_task_definition_arn", "processor_role_arn",
    "training_role_arn", "operator_role_arn", "reviewer_role_arn", "uploader_role_arn",
    "tracking_secret_arn", "deid_secret_arn", "operator_environment",
    "viewer_url", "api_url", "dimse_address", "sign_in_url", "user_pool_id", "user_pool_client_id",
    "cluster", "services", "repositories", "commands",
}  # fmt: skip

# A killed local processor has its messages back at once; in AWS the heartbeat renews a calmer value.
VISIBILITY_SECONDS = {"local": 15, "dev": 120, "prod": 120}


def test_the_stack_answers_every_agreed_output(graph: Graph) -> None:
    assert set(graph.outputs) == OUTPUTS
    assert all(graph.outputs.values())


def test_every_type_is_applied_locally_or_listed_as_not_emulated(graph: Graph) -> None:
    types = {each.type for each in graph.resources if not each.type.startswith("rayline:")}
    assert len(types) > 25
    assert types <= set(ADAPTERS) | set(NOT_EMULATED)


def test_no_type_is_both_applied_and_not_emulated() -> None:
    assert not set(ADAPTERS) & set(NOT_EMULATED)


def test_every_resource_belongs_to_a_component_of_the_estate(graph: Graph) -> None:
    by_urn = {each.urn: each for each in graph.resources}
    for resource in graph.resources:
        if not resource.type.startswith("aws:"):
            continue
        parent = by_urn[resource.parent]
        assert parent.type != "rayline:estate:Estate", resource.name
        while parent.type != "rayline:estate:Estate":
            # A component may be made of components; what has no parent is the stack's, and none of ours.
            assert parent.type.startswith("rayline:"), resource.name
            parent = by_urn[parent.parent]


def test_the_provider_is_bound_to_the_stacks_account(graph: Graph) -> None:
    (provider,) = graph.of_type("pulumi:providers:aws")
    # Pulumi hands providers their structured settings as JSON text.
    assert json.loads(provider.inputs["allowedAccountIds"]) == [ACCOUNTS[graph.stack]]


def test_nothing_names_another_account(graph: Graph) -> None:
    text = json.dumps(graph.to_json())
    for stack, account in ACCOUNTS.items():
        assert (account in text) == (stack == graph.stack)


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("image-tracking", {"hashKey": "pk"}),
        ("effects", {"hashKey": "pk"}),
        ("model-metrics", {"hashKey": "model_version", "rangeKey": "evaluated_at"}),
    ],
)
def test_tables_have_their_keys_and_can_be_restored(graph: Graph, table: str, keys: dict[str, str]) -> None:
    inputs = graph.named("aws:dynamodb/table:Table", f"{table}-table").inputs
    assert {name: inputs[name] for name in ("hashKey", "rangeKey") if name in inputs} == keys
    assert inputs["name"] == f"rayline-{graph.stack}-{table}"
    assert inputs["billingMode"] == "PAY_PER_REQUEST"
    assert inputs["pointInTimeRecovery"]["enabled"] is True
    assert {each["type"] for each in inputs["attributes"]} == {"S"}
    assert inputs["serverSideEncryption"]["kmsKeyArn"] == key_arn(graph, "tracking")


@pytest.mark.parametrize(
    ("table", "indexes"),
    [
        (
            "image-tracking",
            {
                "by_received_uid": [("received_uid_hash", "HASH")],
                "by_stored_uid": [("sop_instance_uid", "HASH")],
                "by_image_set": [("image_set_id", "HASH")],
                "by_study": [("study_instance_uid", "HASH")],
                "by_verified": [("verified_site", "HASH"), ("verified_at", "RANGE")],
                "by_quarantined": [("quarantined_site", "HASH"), ("quarantined_at", "RANGE")],
                "by_outbox": [("outbox_shard", "HASH"), ("created_at", "RANGE")],
                "by_open_study": [("open_study_site", "HASH"), ("due_at", "RANGE")],
                "by_listing": [("listing", "HASH"), ("listed_at", "RANGE")],
            },
        ),
        ("effects", {"by_due": [("due_shard", "HASH"), ("due_at", "RANGE")]}),
    ],
)
def test_tables_have_exactly_the_agreed_indexes(
    graph: Graph, table: str, indexes: dict[str, list[tuple[str, str]]]
) -> None:
    inputs = graph.named("aws:dynamodb/table:Table", f"{table}-table").inputs
    found = {
        index["name"]: [(key["attributeName"], key["keyType"]) for key in index["keySchemas"]]
        for index in inputs["globalSecondaryIndexes"]
    }
    assert found == indexes
    assert {index["projectionType"] for index in inputs["globalSecondaryIndexes"]} == {"ALL"}
    # DynamoDB refuses a table that defines an attribute which no key uses.
    used = {"pk", *(name for keys in found.values() for name, _ in keys)}
    assert {each["name"] for each in inputs["attributes"]} == used


def test_metrics_never_expire(graph: Graph) -> None:
    expiring = {
        table.name: table.inputs["ttl"]["attributeName"]
        for table in graph.of_type("aws:dynamodb/table:Table")
        if "ttl" in table.inputs
    }
    assert expiring == {"effects-table": "expires_at", "image-tracking-table": "expires_at"}


def test_the_datastore_is_protected_and_its_tags_are_fixed(graph: Graph) -> None:
    datastore = graph.named("aws:cloudcontrol/resource:Resource", "datastore")
    assert datastore.protect
    assert datastore.retain_on_delete
    assert datastore.inputs["typeName"] == "AWS::HealthImaging::Datastore"
    assert json.loads(datastore.inputs["desiredState"]) == {
        "DatastoreName": f"rayline-{graph.stack}",
        "KmsKeyArn": key_arn(graph, "deidentified"),
        "Tags": {"application": "rayline", "zone": "deidentified"},
    }


def test_production_data_is_protected_from_deletion(graph: Graph) -> None:
    held = [*graph.of_type("aws:s3/bucket:Bucket"), *graph.of_type("aws:dynamodb/table:Table")]
    assert len(held) == 13 + 3
    assert {each.protect for each in held} == {graph.stack == "prod"}


def test_the_tasks_environment_is_what_the_processor_reads(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = processor_container(graph)
    environment = {each["name"]: each["value"] for each in container["environment"]}
    # The one that is no setting of ours: where OpenTelemetry finds the collector beside the processor.
    collector = environment.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
    assert (collector is not None) is (graph.stack != "local")
    assert set(environment) == {f"RAYLINE_{field.upper()}" for field in Settings.model_fields}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.stack == graph.stack
    assert settings.uploads_bucket == f"rayline-{graph.stack}-uploads-{ACCOUNTS[graph.stack]}"
    assert settings.visibility_seconds == VISIBILITY_SECONDS[graph.stack]
    assert environment == graph.outputs["operator_environment"]


def test_an_incomplete_environment_is_refused() -> None:
    complete = dict.fromkeys(Settings.model_fields, "x")
    assert len(environment_of(complete)) == len(Settings.model_fields)
    with pytest.raises(ValueError, match="queue_url"):
        environment_of({name: value for name, value in complete.items() if name != "queue_url"})
    with pytest.raises(ValueError, match="queue_uri"):
        environment_of({**complete, "queue_uri": "x"})


def test_secrets_are_injected_by_reference_only(graph: Graph) -> None:
    container = processor_container(graph)
    assert {each["name"]: each["valueFrom"] for each in container["secrets"]} == {
        "RAYLINE_SECRET_TRACKING": graph.outputs["tracking_secret_arn"],
        "RAYLINE_SECRET_DEID": graph.outputs["deid_secret_arn"],
    }
    assert not [each for each in graph.resources if "secretVersion" in each.type]


def test_the_processor_runs_unprivileged(graph: Graph) -> None:
    container = processor_container(graph)
    assert container["readonlyRootFilesystem"] is True
    assert int(container["user"].split(":")[0]) > 0
    assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    task = graph.named("aws:ecs/taskDefinition:TaskDefinition", "processor-task").inputs
    assert task["taskRoleArn"].endswith("-processor")
    assert task["executionRoleArn"].endswith("-execution")
    assert container["logConfiguration"]["options"]["awslogs-group"] == f"/rayline/{graph.stack}/processor"


def test_a_stalled_processor_is_replaced_and_drains_within_its_stop_timeout(graph: Graph) -> None:
    container = processor_container(graph)
    environment = {each["name"]: each["value"] for each in container["environment"]}
    if environment["RAYLINE_HEALTH_PORT"] == "0":
        assert "healthCheck" not in container
    else:
        assert container["healthCheck"]["command"] == ["CMD", "rayline", "health"]
    assert container["stopTimeout"] > DRAIN_SECONDS


def test_the_gate_is_the_same_in_every_stack(graph: Graph) -> None:
    pipeline = graph.named("aws:sagemaker/pipeline:Pipeline", "pipeline").inputs
    definition = json.loads(pipeline["pipelineDefinition"])
    defaults = {each["Name"]: each.get("DefaultValue") for each in definition["Parameters"]}
    assert defaults["AccuracyThreshold"] == 0.85
    assert {step["Name"] for step in definition["Steps"]} >= {"Preprocess", "Train", "Evaluate"}


def test_jobs_encrypt_with_the_deidentified_key(graph: Graph) -> None:
    text = graph.named("aws:sagemaker/pipeline:Pipeline", "pipeline").inputs["pipelineDefinition"]
    assert key_arn(graph, "deidentified") in text
    assert "deidentified-key-arn" not in text
    assert key_arn(graph, "identified") not in text


def processor_container(graph: Graph) -> dict[str, Any]:
    task = graph.named("aws:ecs/taskDefinition:TaskDefinition", "processor-task")
    containers = json.loads(task.inputs["containerDefinitions"])
    (container,) = [each for each in containers if each["name"] == "processor"]
    assert isinstance(container, dict)
    return container


def key_arn(graph: Graph, kind: str) -> str:
    return str(graph.named("aws:kms/key:Key", f"{kind}-key").outputs["arn"])
