"""The whole program, for every stack, over the graph that it declares."""

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from rayline.envelopes import parse_message
from rayline.observability.metrics import RECONCILER_GAPS, publish
from rayline.reminders import ReconcileDue, RetriesDue
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
    "image_tracking_table", "effects_table", "model_metrics_table", "datastore_id", "import_role_arn",
    "pipeline_name", "model_package_group", "processor_task_definition_arn", "processor_role_arn",
    "training_role_arn", "operator_role_arn", "reviewer_role_arn", "uploader_role_arn",
    "tracking_secret_arn", "deid_secret_arn", "operator_environment",
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
        assert parent.type.startswith("rayline:"), resource.name
        assert by_urn[parent.parent].type == "rayline:estate:Estate", resource.name


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


def test_rules_are_narrowed_to_the_stack(graph: Graph) -> None:
    account, prefix = ACCOUNTS[graph.stack], f"rayline-{graph.stack}"
    pipeline = f"arn:aws:sagemaker:us-east-1:{account}:pipeline/{prefix}-training"
    step = "SageMaker Model Building Pipeline Execution Step Status Change"
    execution = "SageMaker Model Building Pipeline Execution Status Change"
    expected: dict[str, tuple[str, dict[str, Any]]] = {
        "uploaded": ("default", {
            "source": ["aws.s3"], "detail-type": ["Object Created"],
            "detail": {
                "bucket": {"name": [f"{prefix}-uploads-{account}"]},
                "object": {"key": [{"prefix": "upload/"}]},
            },
        }),
        "ingested": ("default", {
            "source": ["aws.medical-imaging"],
            "detail-type": [
                "Import Job Completed", "Import Job Failed", "Image Set Created", "Image Set Updated",
            ],
            "detail": {"datastoreId": [graph.outputs["datastore_id"]]},
        }),
        "verified": (prefix, {
            "source": ["rayline.api"], "detail-type": ["Image Verified", "Verification Revoked"],
        }),
        "trained": ("default", {
            "source": ["aws.sagemaker"], "detail-type": [step],
            "detail": {
                "pipelineArn": [pipeline], "stepName": ["Train"],
                "currentStepStatus": ["Succeeded", "Failed", "Stopped"],
            },
        }),
        "evaluated": ("default", {
            "source": ["aws.sagemaker"], "detail-type": [execution],
            "detail": {
                "pipelineArn": [pipeline],
                "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
            },
        }),
        "pipeline-failed": ("default", {
            "source": ["aws.sagemaker"], "detail-type": [execution],
            "detail": {"pipelineArn": [pipeline], "currentPipelineExecutionStatus": ["Failed"]},
        }),
    }  # fmt: skip
    found = {
        rule.inputs["name"].removeprefix(f"{prefix}-"): (
            rule.inputs["eventBusName"],
            json.loads(rule.inputs["eventPattern"]),
        )
        for rule in graph.of_type("aws:cloudwatch/eventRule:EventRule")
        if "eventPattern" in rule.inputs
    }
    assert found == expected


def test_schedules_remind_the_processor_as_it_reads(graph: Graph) -> None:
    schedules = {
        rule.inputs["name"]: rule.inputs
        for rule in graph.of_type("aws:cloudwatch/eventRule:EventRule")
        if "scheduleExpression" in rule.inputs
    }
    prefix, site = f"rayline-{graph.stack}", graph.outputs["site"]
    assert {name: rule["scheduleExpression"] for name, rule in schedules.items()} == {
        f"{prefix}-retries-due": "rate(1 minute)",
        f"{prefix}-reconcile-due": "rate(15 minutes)",
    }
    assert {rule["eventBusName"] for rule in schedules.values()} == {"default"}
    reminders = {
        target.inputs["rule"]: parse_message(target.inputs["input"], site)
        for target in graph.of_type("aws:cloudwatch/eventTarget:EventTarget")
        if target.inputs.get("input")
    }
    assert reminders == {
        f"{prefix}-retries-due": RetriesDue(site=site),
        f"{prefix}-reconcile-due": ReconcileDue(site=site),
    }


def test_the_queues_take_messages_from_every_rule_and_schedule(graph: Graph) -> None:
    rules = {rule.inputs["name"] for rule in graph.of_type("aws:cloudwatch/eventRule:EventRule")}
    failures = f"rayline-{graph.stack}-pipeline-failed"
    for policy, left_out in (("queue-policy", {failures}), ("dead-letter-queue-policy", set())):
        document = json.loads(graph.named("aws:sqs/queuePolicy:QueuePolicy", policy).inputs["policy"])
        (delivery,) = [each for each in document["Statement"] if each["Sid"] == "RulesMayDeliver"]
        sources = delivery["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert {arn.rsplit("/", 1)[-1] for arn in sources} == rules - left_out


def test_a_gap_or_a_silent_reconciler_alarms(graph: Graph) -> None:
    (alarm,) = graph.of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    inputs = alarm.inputs
    assert inputs["alarmActions"] == [graph.named("aws:sns/topic:Topic", "alarm-topic").outputs["arn"]]
    published = StringIO()
    publish(
        {RECONCILER_GAPS: 1},
        site=graph.outputs["site"],
        at=datetime(2026, 1, 1, tzinfo=UTC),
        stream=published,
    )
    line = json.loads(published.getvalue())
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert inputs["namespace"] == directive["Namespace"]
    assert inputs["metricName"] in {each["Name"] for each in directive["Metrics"]}
    # CloudWatch takes a metric with other dimensions for another metric.
    assert inputs["dimensions"] == {name: line[name] for name in directive["Dimensions"][0]}
    assert (inputs["comparisonOperator"], inputs["threshold"]) == ("GreaterThanThreshold", 0)
    assert inputs["treatMissingData"] == "breaching"
    # In every period at least one run: twice the 15 minutes of its schedule.
    assert inputs["period"] * inputs["evaluationPeriods"] >= 2 * 15 * 60


def test_rules_and_schedules_reach_the_queue_and_failures_reach_the_topic(graph: Graph) -> None:
    queue = graph.named("aws:sqs/queue:Queue", "queue").outputs["arn"]
    letters = graph.named("aws:sqs/queue:Queue", "dead-letter-queue").outputs["arn"]
    topic = graph.named("aws:sns/topic:Topic", "alarm-topic").outputs["arn"]
    targets = {
        target.inputs["targetId"]: target.inputs
        for target in graph.of_type("aws:cloudwatch/eventTarget:EventTarget")
    }
    assert {name: target["arn"] for name, target in targets.items()} == {
        **dict.fromkeys(("uploaded", "ingested", "verified", "trained", "evaluated"), queue),
        **dict.fromkeys(("retries-due", "reconcile-due"), queue),
        "pipeline-failed": topic,
    }
    assert {target["deadLetterConfig"]["arn"] for target in targets.values()} == {letters}
    rules = {rule.inputs["name"]: rule.inputs["eventBusName"] for rule in graph.of_type(
        "aws:cloudwatch/eventRule:EventRule"
    )}  # fmt: skip
    assert all(rules[target["rule"]] == target["eventBusName"] for target in targets.values())


def test_the_queue_keeps_crashing_messages_apart(graph: Graph) -> None:
    queue = graph.named("aws:sqs/queue:Queue", "queue").inputs
    letters = graph.named("aws:sqs/queue:Queue", "dead-letter-queue")
    assert queue["visibilityTimeoutSeconds"] == VISIBILITY_SECONDS[graph.stack]
    assert queue["messageRetentionSeconds"] == letters.inputs["messageRetentionSeconds"] == 1_209_600
    assert json.loads(queue["redrivePolicy"]) == {
        "deadLetterTargetArn": letters.outputs["arn"],
        "maxReceiveCount": 5,
    }
    assert queue["kmsMasterKeyId"] == letters.inputs["kmsMasterKeyId"] == key_arn(graph, "identified")


def test_archives_keep_thirty_days_under_the_identified_key(graph: Graph) -> None:
    archives = graph.of_type("aws:cloudwatch/eventArchive:EventArchive")
    buses = {each.inputs["eventSourceArn"].rsplit("/", 1)[-1] for each in archives}
    assert buses == {"default", f"rayline-{graph.stack}"}
    assert {each.inputs["retentionDays"] for each in archives} == {30}
    assert {each.inputs["kmsKeyIdentifier"] for each in archives} == {key_arn(graph, "identified")}


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
    assert len(held) == 9
    assert {each.protect for each in held} == {graph.stack == "prod"}


def test_the_tasks_environment_is_what_the_processor_reads(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = processor_container(graph)
    environment = {each["name"]: each["value"] for each in container["environment"]}
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
    (container,) = json.loads(task.inputs["containerDefinitions"])
    assert isinstance(container, dict)
    return container


def key_arn(graph: Graph, kind: str) -> str:
    return str(graph.named("aws:kms/key:Key", f"{kind}-key").outputs["arn"])
