"""The real program on a real local cloud: applied once, applied again, and used under its own roles."""

import json
from collections.abc import Iterator

import pytest
from support.applied_estate import AppliedEstate, refused
from support.local_cloud import ACCOUNT_ID, LocalCloud

from rayline.envelopes import parse_message
from rayline.reminders import ReconcileDue, RetriesDue
from rayline_infra.planning import plan
from rayline_local.provisioner import NOT_EMULATED

RECEIVE_SECONDS = 5


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppliedEstate]:
    folder = tmp_path_factory.mktemp("estate")
    cloud = LocalCloud(folder / "cloud")
    cloud.start()
    try:
        yield AppliedEstate(cloud, folder / "estate.json")
    finally:
        cloud.stop()


def test_the_estate_is_applied_whole(estate: AppliedEstate) -> None:
    state = json.loads(estate.state_path.read_text())
    types = {each["type"] for each in state["resources"]}
    declared = {each.type for each in plan("local").resources if each.custom}
    assert types == declared - set(NOT_EMULATED)
    assert types > {"aws:cloudcontrol/resource:Resource", "aws:ec2/vpc:Vpc", "aws:ecs/service:Service"}
    assert estate.outputs["account_id"] == ACCOUNT_ID
    datastore = estate.client("medical-imaging").get_datastore(datastoreId=estate.outputs["datastore_id"])
    assert datastore["datastoreProperties"]["datastoreStatus"] == "ACTIVE"
    pipeline = estate.client("sagemaker").describe_pipeline(PipelineName=estate.outputs["pipeline_name"])
    assert json.loads(pipeline["PipelineDefinition"])["Steps"]


def test_applying_the_estate_again_changes_nothing(estate: AppliedEstate) -> None:
    before = json.loads(estate.state_path.read_text())
    assert estate.apply() == estate.outputs
    assert estate.lines == [f"{len(before['resources'])} unchanged"]


def test_secrets_got_values_once_and_keep_them(estate: AppliedEstate) -> None:
    def values() -> list[str]:
        client = estate.client("secretsmanager")
        return [
            client.get_secret_value(SecretId=estate.outputs[f"{kind}_secret_arn"])["SecretString"]
            for kind in ("tracking", "deid")
        ]

    drawn = values()
    assert len(set(drawn)) == 2
    assert all(len(bytes.fromhex(value)) == 32 for value in drawn)
    estate.apply()
    assert values() == drawn
    shown = estate.state_path.read_text() + "\n".join(estate.lines)
    assert not [value for value in drawn if value in shown]


def test_an_upload_reaches_the_processor_and_nobody_else(estate: AppliedEstate) -> None:
    where = {"Bucket": estate.outputs["uploads_bucket"], "Key": "upload/hospital-a/image.dcm"}
    estate.client("s3", "uploader").put_object(**where, Body=b"image")
    (event,) = estate.received()
    assert event["detail-type"] == "Object Created"
    assert event["detail"]["object"]["key"] == where["Key"]
    version = {**where, "VersionId": event["detail"]["object"]["version-id"]}
    assert estate.client("s3", "processor").get_object(**version)["Body"].read() == b"image"
    for role in ("uploader", "training", "import", "operator", "execution"):
        assert refused(lambda role=role: estate.client("s3", role).get_object(**where)), role  # type: ignore[misc]
    elsewhere = {**where, "Key": "elsewhere/image.dcm"}
    assert refused(lambda: estate.client("s3", "uploader").put_object(**elsewhere, Body=b"image"))


def test_a_verification_reaches_the_processor_through_the_custom_bus(estate: AppliedEstate) -> None:
    entry = {
        "Source": "rayline.api",
        "DetailType": "Image Verified",
        "Detail": json.dumps({"schemaVersion": 1}),
    }
    bus = estate.outputs["event_bus"]
    answer = estate.client("events", "operator").put_events(Entries=[{**entry, "EventBusName": bus}])
    assert answer["FailedEntryCount"] == 0
    assert [event["detail-type"] for event in estate.received()] == ["Image Verified"]
    assert refused(
        lambda: estate.client("events", "training").put_events(Entries=[{**entry, "EventBusName": bus}])
    )


def test_the_ledgers_are_the_processors(estate: AppliedEstate) -> None:
    item = {"pk": {"S": "instance#1"}, "outbox_shard": {"S": "0"}, "created_at": {"S": "2026-01-01"}}
    table = estate.outputs["image_tracking_table"]
    processor = estate.client("dynamodb", "processor")
    processor.put_item(TableName=table, Item=item)
    found = processor.query(
        TableName=table,
        IndexName="by_outbox",
        KeyConditionExpression="outbox_shard = :shard",
        ExpressionAttributeValues={":shard": {"S": "0"}},
    )["Items"]
    assert found == [item]
    effects = estate.outputs["effects_table"]
    for role in ("operator", "training", "uploader", "import"):
        client = estate.client("dynamodb", role)
        assert refused(lambda client=client: client.put_item(TableName=effects, Item=item)), role  # type: ignore[misc]


def test_only_the_execution_role_reads_secrets(estate: AppliedEstate) -> None:
    arn = estate.outputs["deid_secret_arn"]
    assert not refused(lambda: estate.client("secretsmanager", "execution").get_secret_value(SecretId=arn))
    for role in ("processor", "operator", "training", "uploader"):
        client = estate.client("secretsmanager", role)
        assert refused(lambda client=client: client.get_secret_value(SecretId=arn)), role  # type: ignore[misc]


@pytest.mark.parametrize(
    ("source", "detail_type", "detail", "rule"),
    [
        ("aws.medical-imaging", "Import Job Completed", {"datastoreId": "DATASTORE"}, "ingested"),
        ("aws.medical-imaging", "Import Job Completed", {"datastoreId": "0" * 32}, None),
        (
            "aws.sagemaker",
            "SageMaker Model Building Pipeline Execution Step Status Change",
            {"pipelineArn": "PIPELINE", "stepName": "Train", "currentStepStatus": "Succeeded"},
            "trained",
        ),
        (
            "aws.sagemaker",
            "SageMaker Model Building Pipeline Execution Step Status Change",
            {"pipelineArn": "PIPELINE", "stepName": "Evaluate", "currentStepStatus": "Succeeded"},
            None,
        ),
        (
            "aws.sagemaker",
            "SageMaker Model Building Pipeline Execution Status Change",
            {"pipelineArn": "PIPELINE", "currentPipelineExecutionStatus": "Failed"},
            "evaluated",
        ),
        (
            "aws.sagemaker",
            "SageMaker Model Building Pipeline Execution Status Change",
            {"pipelineArn": "PIPELINE", "currentPipelineExecutionStatus": "Executing"},
            None,
        ),
    ],
)
def test_rules_match_the_events_that_services_send(
    estate: AppliedEstate, source: str, detail_type: str, detail: dict[str, str], rule: str | None
) -> None:
    pipeline = f"arn:aws:sagemaker:us-east-1:{ACCOUNT_ID}:pipeline/{estate.outputs['pipeline_name']}"
    real = {"DATASTORE": estate.outputs["datastore_id"], "PIPELINE": pipeline}
    event = {
        "id": "1", "account": ACCOUNT_ID, "source": source, "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1", "resources": [], "detail-type": detail_type,
        "detail": {name: real.get(value, value) for name, value in detail.items()},
    }  # fmt: skip
    events = estate.client("events")
    matching = set()
    for found in events.list_rules(NamePrefix="rayline-local-")["Rules"]:
        if "EventPattern" not in found:
            continue
        targets = events.list_targets_by_rule(Rule=found["Name"])["Targets"]
        to_queue = any(target["Arn"].endswith(":rayline-local-events") for target in targets)
        if (
            to_queue
            and events.test_event_pattern(EventPattern=found["EventPattern"], Event=json.dumps(event))[
                "Result"
            ]
        ):
            matching.add(found["Name"])
    assert matching == ({f"rayline-local-{rule}"} if rule else set())


def test_schedules_remind_and_the_alarm_stands(estate: AppliedEstate) -> None:
    events = estate.client("events")
    inputs = {}
    for kind in ("retries-due", "reconcile-due"):
        rule = events.describe_rule(Name=f"rayline-local-{kind}")
        assert rule["State"] == "ENABLED"
        (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        assert target["Arn"].endswith(":rayline-local-events")
        inputs[rule["ScheduleExpression"]] = parse_message(target["Input"], estate.outputs["site"])
    site = estate.outputs["site"]
    assert inputs == {"rate(1 minute)": RetriesDue(site=site), "rate(15 minutes)": ReconcileDue(site=site)}
    cloudwatch = estate.client("cloudwatch")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["rayline-local-reconciler-gaps"])["MetricAlarms"]
    assert alarm["TreatMissingData"] == "breaching"
    # MiniStack forgets the metrics of an alarm over several, so another one shows that metrics arrive.
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["rayline-local-connection-errors"])["MetricAlarms"]
    assert alarm["MetricName"] == "ConnectionErrors"
    assert alarm["Dimensions"] == [{"Name": "Site", "Value": site}]


def test_only_the_processor_lists_what_was_uploaded(estate: AppliedEstate) -> None:
    bucket = estate.outputs["uploads_bucket"]
    assert not refused(lambda: estate.client("s3", "processor").list_object_versions(Bucket=bucket))
    for role in ("operator", "uploader", "training", "import"):
        client = estate.client("s3", role)
        assert refused(lambda client=client: client.list_object_versions(Bucket=bucket)), role  # type: ignore[misc]


def test_the_estate_survives_a_killed_cloud(estate: AppliedEstate) -> None:
    datastore = estate.outputs["datastore_id"]
    estate.cloud.kill()
    estate.cloud.start()
    outputs = estate.apply()
    assert outputs["queue_url"] == estate.outputs["queue_url"]
    assert outputs["datastore_id"] == datastore
    estate.outputs = outputs
    where = {"Bucket": outputs["uploads_bucket"], "Key": "upload/hospital-a/after.dcm"}
    estate.client("s3", "uploader").put_object(**where, Body=b"image")
    assert [event["detail"]["object"]["key"] for event in estate.received()] == [where["Key"]]
    estate.apply()
    assert estate.lines[-1].endswith(" unchanged")
    assert "restored" not in estate.lines[-1]
