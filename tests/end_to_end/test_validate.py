"""`rayline validate` on a whole local estate: content with a healthy one, and able to name what somebody broke."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support.own_estate import OwnEstate, rayline

HOPS = [
    "sent to the uploads bucket",
    "taken in by the processor",
    "import job started",
    "import job completed",
    "import recorded by the processor",
    "viewable",
]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEstate]:
    with OwnEstate(tmp_path_factory.mktemp("validated"), batchQuietSeconds="1") as estate:
        estate.processor.start()
        yield estate


def validate(estate: OwnEstate, *options: str) -> "subprocess.CompletedProcess[str]":
    """The verb as whoever deploys the local estate runs it."""
    command = (sys.executable, "-m", "rayline.cli", "validate", "--stack", "local", "--json", *options)
    state = ("--state-dir", str(estate.state_dir))
    return rayline("local", "exec", "--role", "root", *state, "--", *command, check=False)


def left_behind(estate: OwnEstate) -> dict[str, Any]:
    """All that the account holds of images, and of the ledger what stands for one."""
    account = estate.account
    kinds = ("instance", "uid", "study", "image_set")
    return {
        **{bucket: account.object_versions(bucket) for bucket in ("uploads", "imports", "quarantine")},
        "image sets": account.image_sets(),
        "items": [item["pk"] for item in account.items("image-tracking") if item.get("type") in kinds],
    }


def nothing(found: dict[str, Any]) -> bool:
    return not any(found.values())


def test_a_healthy_estate_lets_a_study_through_and_keeps_nothing_of_it(estate: OwnEstate) -> None:
    finished = validate(estate, "--deadline", "120")
    report = json.loads(finished.stdout)
    assert report["problems"] == []
    assert list(report["probe"]["reached"]) == HOPS
    assert (finished.returncode, report["ok"]) == (0, True)
    assert report["checked"] > 200
    # Whatever was not read is said to be so: by its type, or by the reason.
    assert not set(report["unread"]) & set(report["left_out"])
    assert report["probe"]["removed"]["image sets"] == 1
    assert nothing(left_behind(estate)), left_behind(estate)


def break_things(estate: OwnEstate) -> dict[str, str]:
    """Change by hand what a hand may change; what must be said of each, by what AWS calls it."""
    client, bucket = estate.account.client, estate.account.bucket
    client("events").disable_rule(Name="rayline-local-ingested")
    letters = client("sqs").get_queue_url(QueueName="rayline-local-events-dlq")["QueueUrl"]
    client("sqs").set_queue_attributes(QueueUrl=letters, Attributes={"Policy": ""})
    client("dynamodb").update_continuous_backups(
        TableName="rayline-local-effects",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
    )
    client("s3").put_bucket_versioning(
        Bucket=bucket("reports"), VersioningConfiguration={"Status": "Suspended"}
    )
    client("s3").delete_public_access_block(Bucket=bucket("models"))
    client("iam").delete_role_policy(RoleName="rayline-local-reviewer", PolicyName="work")
    client("cloudwatch").disable_alarm_actions(AlarmNames=["rayline-local-queue-age"])
    client("logs").put_retention_policy(logGroupName="/rayline/local/processor", retentionInDays=3653)
    return {
        "rayline-local-ingested": "is DISABLED and should be ENABLED",
        "rayline-local-events-dlq": "it has no policy, so that EventBridge cannot deliver to it",
        "rayline-local-effects": "its point-in-time recovery is DISABLED",
        bucket("reports"): "Status is 'Suspended' and should be 'Enabled'",
        bucket("models"): "is not there",
        "work": "is not there",
        "rayline-local-queue-age": "its actions are switched off",
        "/rayline/local/processor": "retentionInDays is 3653 and should be 7",
    }


def test_what_somebody_broke_is_named_and_the_study_that_stopped_there_is_removed(estate: OwnEstate) -> None:
    broken = break_things(estate)
    finished = validate(estate, "--deadline", "20")
    report = json.loads(finished.stdout)
    # A queue's URL differs from cloud to cloud.
    named = {
        each["physical_name"].removeprefix("https://sqs.us-east-1.amazonaws.com/123456789012/"): each["what"]
        for each in report["problems"]
    }
    assert named == broken
    assert report["probe"]["stopped_at"] == "import recorded by the processor"
    assert "`ingested`" in report["probe"]["hint"]
    assert (finished.returncode, report["ok"]) == (1, False)
    assert nothing(left_behind(estate)), left_behind(estate)
