"""The reconciler: each kind of gap made for real, found, repaired, and gone on the second run."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.installed_plugin import install_plugin
from support.local_cloud import LocalCloud
from support.own_estate import eventually
from support.processor_estate import SITE, aws_error
from support.reconciled_site import EXECUTION, PATIENT, ReconciledSite

from rayline.cli.reconcile import moment_since, show
from rayline.envelopes import message_body, parse_message
from rayline.errors import ConfigurationError
from rayline.events import Evaluated, EventIdentity, Trained
from rayline.handler import DELETE
from rayline.imports import batch_key
from rayline.instances import image_set_key
from rayline.parking import body_key
from rayline.reconciling.report import EXPLANATIONS, Gap, GapCode, Report, WayStage
from rayline.reminders import ReconcileDue, reminder_body

DUE = reminder_body(ReconcileDue(site=SITE))


@pytest.fixture
def site(local_cloud: LocalCloud, tmp_path: Path) -> ReconciledSite:
    return ReconciledSite(local_cloud, tmp_path)


def train(site: ReconciledSite) -> tuple[Trained, Evaluated]:
    """An execution that has ended, whose messages did not come yet."""
    site.sagemaker.put(EXECUTION, "Failed", train="Failed", at=site.clock.now)
    common: dict[str, Any] = {
        "site": SITE,
        "occurred_at": site.clock.now,
        "pipeline_execution_arn": EXECUTION,
    }
    return Trained(**common, step_name="Train", step_status="Failed"), Evaluated(**common, status="Failed")


def repaired(site: ReconciledSite, *expected: tuple[str, str]) -> Report:
    """A dry run finds the gaps and changes nothing, a run repairs them, and the next one finds none."""
    before = site.everything()
    assert site.found() == list(expected)
    assert site.everything() == before
    report = site.reconcile(after=0)
    assert [(gap.stage.value, gap.what.value) for gap in report.gaps] == list(expected)
    assert all(gap.repaired for gap in report.gaps)
    assert (report.found, report.left) == (len(expected), 0)
    site.everything_arrives()
    assert site.found() == []
    return report


def left_to_a_person(site: ReconciledSite, *expected: tuple[str, str]) -> None:
    """A run finds the gaps, sends nothing, and says so."""
    before = site.everything()
    report = site.reconcile()
    assert [(gap.stage.value, gap.what.value) for gap in report.gaps] == list(expected)
    assert report.left == len(expected)
    assert site.everything() == before


# -- nothing wrong ---------------------------------------------------------------------------------------------


def test_a_healthy_site_has_no_gap(site: ReconciledSite) -> None:
    image_set_id = site.imported()
    site.handle(site.upload("no-image", b"no DICOM"))
    content = site.estate.s3.get_object(Bucket=site.estate.settings.uploads_bucket, Key="upload/image")
    site.handle(site.upload("again", content["Body"].read()))
    site.services.batches.seal_current()
    site.verify(image_set_id)
    site.services.outbox.drain(timedelta(0))
    (announced,) = site.estate.tracked("verification")
    assert announced["state"] == "announced"
    site.estate.messages()
    assert site.found() == [("verified", "EVENT_MISSED")]
    site.reconcile(after=0)
    site.everything_arrives()
    for event in train(site):
        site.handle(event)
    before = site.everything()
    for repair in (False, True):
        report = site.reconcile(repair=repair)
        assert report.gaps == []
        assert site.everything() == before
    looked = {stage.value: each.looked_at for stage, each in report.stages.items()}
    assert looked["received"] == 3
    assert looked["verified"] == looked["trained"] == 1
    assert looked["imported"] >= 2


def test_what_is_young_may_be_under_way(site: ReconciledSite) -> None:
    site.upload("on-its-way")
    site.handle(site.upload("in-an-open-batch"))
    train(site)
    assert site.found(after=30) == []


def test_what_happened_before_the_span_is_left_alone(site: ReconciledSite) -> None:
    site.upload("long-ago")
    assert site.found(since=datetime.now(UTC) + timedelta(minutes=1)) == []
    assert site.found(since=datetime.now(UTC) - timedelta(minutes=1)) == [("received", "EVENT_MISSED")]


def test_behind_a_backlog_what_is_missing_is_in_the_queue(site: ReconciledSite) -> None:
    site.upload("queued")
    for _ in range(10 * site.estate.settings.workers + 1):
        site.estate.sqs.send_message(QueueUrl=site.estate.settings.queue_url, MessageBody="{}")
    assert site.found() == []
    assert site.found(grace=timedelta(minutes=5)) == [("received", "EVENT_MISSED")]
    assert site.found(after=6 * 3600) == [("received", "EVENT_MISSED")]


def test_a_plugin_that_came_later_is_no_gap_of_earlier_events(
    local_cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = ReconciledSite(local_cloud, tmp_path)
    site.imported()
    install_forwarder(tmp_path, monkeypatch)
    site.estate.settings.site_profile.write_text("identity: original\nplugins:\n  - name: forwarder\n")
    site.start_worker()
    assert "on_ingested:forwarder" in {
        each.effect for each in site.runtime.registry.implementations("on_ingested")
    }
    assert site.found() == []


# -- received --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        f"{PATIENT} 1970-01-01.dcm", "plus+and space", "%E2%82%AC%2F..//", "ü\U0001f9e0\"'&<>", "tab\tnew\nline",
        "x" * 1017,
    ],
    ids=["name", "plus", "percent", "unicode", "control", "longest"],
)  # fmt: skip
def test_an_upload_without_a_message_is_sent_again(site: ReconciledSite, name: str) -> None:
    event = site.upload(name)
    report = repaired(site, ("received", "EVENT_MISSED"))
    (instance,) = site.estate.tracked("instance")
    instance_id = site.services.ledger.instance_id(event.bucket, event.key, event.version_id)
    assert report.gaps[0].subject_hash == instance["instance_id"] == instance_id
    assert "Doe" not in json.dumps(report.as_json())


def test_each_version_of_an_object_is_an_upload_of_its_own(site: ReconciledSite) -> None:
    handled, _ = site.upload("same"), site.upload("same")
    site.estate.s3.delete_object(Bucket=handled.bucket, Key=handled.key)
    site.handle(handled)
    site.services.batches.seal_current()
    (gap,) = [gap for gap in site.reconcile().gaps if gap.stage is WayStage.RECEIVED]
    assert gap.what is GapCode.EVENT_MISSED
    site.everything_arrives()
    assert len(site.estate.tracked("instance")) == 2


def test_a_worker_that_died_without_a_message_is_found(site: ReconciledSite) -> None:
    event = site.upload("claimed")
    site.runtime.effects.claim(site.identity(event), [("on_uploaded:rayline.intake", "1")])
    assert site.found(after=170) == []
    report = repaired(site, ("received", "EFFECT_ABANDONED"))
    assert report.gaps[0].effect == "on_uploaded:rayline.intake"


def test_a_wait_whose_message_was_lost_is_found(site: ReconciledSite) -> None:
    event = site.upload("waiting")
    with site.s3_in_trouble():
        assert site.handler.handle(message_body(event), 1).action == "postpone"
    repaired(site, ("received", "EFFECT_STALLED"))


def test_a_rejection_that_nobody_was_told_of_is_found(
    site: ReconciledSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = site.upload("refused", b"no DICOM")
    real = site.runtime.effects.claim

    def die_before_telling(identity: EventIdentity, effects: Any, *rest: Any, **more: Any) -> Any:
        if any(name.startswith("on_rejected:") for name, _ in effects):
            raise KeyboardInterrupt
        return real(identity, effects, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(site.runtime.effects, "claim", die_before_telling)
        with pytest.raises(KeyboardInterrupt):
            site.handler.handle(message_body(event), 1)
    report = repaired(site, ("received", "EFFECT_STALLED"))
    assert report.gaps[0].effect == "on_rejected"


def test_what_was_dead_lettered_is_told_of_and_not_sent_again(
    site: ReconciledSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(site.services.batches, "store", fail)
        body = message_body(site.upload("failing"))
        last = site.estate.settings.max_receive_count
        assert site.handler.handle(body, last).action == "dead_letter"
    left_to_a_person(site, ("received", "EFFECT_DEAD"))


def test_an_instance_that_vanished_is_told_of(site: ReconciledSite) -> None:
    site.imported()
    (instance,) = site.estate.tracked("instance")
    site.estate.dynamodb.delete_item(
        TableName=site.estate.settings.image_tracking_table, Key={"pk": {"S": instance["pk"]}}
    )
    left_to_a_person(site, ("received", "INSTANCE_MISSING"))


# -- imported --------------------------------------------------------------------------------------------------


def set_batch(site: ReconciledSite, batch_id: str, **fields: str) -> None:
    """Write into a batch's item as no code of ours does."""
    site.estate.dynamodb.update_item(
        TableName=site.estate.settings.image_tracking_table,
        Key={"pk": {"S": batch_key(batch_id)}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in fields),
        ExpressionAttributeNames={f"#{name}": name for name in fields},
        ExpressionAttributeValues={f":{name}": {"S": value} for name, value in fields.items()},
    )


def test_an_open_batch_without_an_owner_is_sealed_and_imported(site: ReconciledSite) -> None:
    site.handle(site.upload("image"))
    batch_id = site.batch()
    site.start_worker()
    site.estate.messages()  # the owner's own reminder is lost too
    report = repaired(site, ("imported", "BATCH_ABANDONED"))
    assert [gap.subject_hash for gap in report.gaps] == [batch_id]
    assert [each["stage"] for each in site.estate.tracked("instance")] == ["imported"]


def test_a_sealed_batch_without_a_job_gets_it(site: ReconciledSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.handle(site.upload("image"))

    def die(**_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(site.imaging, "start_dicom_import_job", die)
        with pytest.raises(KeyboardInterrupt):
            site.services.batches.seal_current()
    site.estate.messages()
    repaired(site, ("imported", "BATCH_NOT_STARTED"))


def test_a_job_whose_end_was_not_told_is_accounted_for(site: ReconciledSite) -> None:
    site.handle(site.upload("image"))
    event = site.seal()
    # Of its image set, too, nobody heard.
    report = repaired(site, ("imported", "IMAGE_SET_UNKNOWN"), ("imported", "EVENT_MISSED"))
    assert report.gaps[1].subject_hash == event.job_id
    assert [each["state"] for each in site.estate.tracked("batch")] == ["accounted"]
    assert [each["viewable"] for each in site.estate.tracked("image_set")] == [True]


def test_an_image_set_that_the_ledger_does_not_know_is_told_to_it(site: ReconciledSite) -> None:
    image_set_id = site.imported()
    key = image_set_key(site.estate.settings.datastore_id, image_set_id)
    site.estate.dynamodb.delete_item(
        TableName=site.estate.settings.image_tracking_table, Key={"pk": {"S": key}}
    )
    report = repaired(site, ("imported", "IMAGE_SET_UNKNOWN"))
    assert report.gaps[0].subject_hash == image_set_id


def test_an_image_set_that_changed_unheard_is_told_of(site: ReconciledSite) -> None:
    image_set_id = site.imported()
    site.imaging.update_image_set_metadata(
        datastoreId=site.estate.settings.datastore_id,
        imageSetId=image_set_id,
        latestVersionId="1",
        updateImageSetMetadataUpdates={
            "DICOMUpdates": {
                "updatableAttributes": json.dumps(
                    {"SchemaVersion": "1.1", "Study": {"DICOM": {"StudyDescription": "CHANGED"}}}
                ).encode()
            }
        },
    )
    eventually(
        lambda: (
            site.imaging.get_image_set(
                datastoreId=site.estate.settings.datastore_id, imageSetId=image_set_id
            )["imageSetState"]
            == "ACTIVE"
        ),
        "the image set is active",
    )
    repaired(site, ("imported", "IMAGE_SET_OUTDATED"))
    (item,) = site.estate.tracked("image_set")
    assert item["version"] == 2


def test_an_image_set_that_is_gone_is_told_of(site: ReconciledSite) -> None:
    image_set_id = site.imported()
    (instance,) = site.estate.tracked("instance")
    site.delete(image_set_id)
    report = site.reconcile()
    assert [(gap.what, gap.subject_hash) for gap in report.gaps] == [
        (GapCode.IMAGE_SET_MISSING, instance["instance_id"])
    ]
    assert report.left == 1


def test_an_original_is_tagged_once_its_image_is_imported_and_not_before(site: ReconciledSite) -> None:
    site.imported("image")
    site.handle(site.upload("waits for its import"))
    site.handle(site.upload("refused", b"no DICOM"))
    assert set(site.upload_tags().values()) == {""}
    site.found()  # a dry run writes nothing
    assert set(site.upload_tags().values()) == {""}
    site.reconcile()
    assert site.upload_tags() == {
        "upload/image": "imported",
        "upload/waits for its import": "",
        "upload/refused": "",
    }


def test_a_tag_that_is_there_is_not_written_again_and_other_tags_stay(site: ReconciledSite) -> None:
    site.imported("image")
    s3, bucket = site.estate.s3, site.estate.settings.uploads_bucket
    s3.put_object_tagging(
        Bucket=bucket, Key="upload/image", Tagging={"TagSet": [{"Key": "ward", "Value": "3"}]}
    )
    with site.counted("put_object_tagging") as written:
        site.reconcile()
        site.reconcile(after=0)
    assert len(written) == 1
    tags = s3.get_object_tagging(Bucket=bucket, Key="upload/image")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"ward": "3", "rayline-state": "imported"}


def test_an_original_whose_image_set_is_gone_is_not_tagged(site: ReconciledSite) -> None:
    site.delete(site.imported("image"))
    site.reconcile()
    assert site.upload_tags() == {"upload/image": ""}


def test_scheduled_runs_look_at_what_was_imported_since_the_last_one_and_an_hour_before(
    site: ReconciledSite,
) -> None:
    site.imported("image")
    with site.counted("get_object_tagging") as read:
        for minutes in (20, 15, 30, 40, 15):
            site.clock.pass_time(minutes * 60)
            assert site.handler.handle(DUE, 1) == DELETE
    # The runs begin 20, 35, 65, 105 and 120 minutes after the import; the fourth looks back to minute 5.
    assert len(read) == 3


def test_an_original_that_somebody_deleted_meanwhile_needs_no_tag(site: ReconciledSite) -> None:
    site.imported("image")
    s3, bucket = site.estate.clients.s3, site.estate.settings.uploads_bucket
    real = s3.get_object_tagging

    def deleted_first(**request: Any) -> Any:
        s3.delete_object(Bucket=bucket, Key=request["Key"], VersionId=request["VersionId"])
        return real(**request)

    s3.get_object_tagging = deleted_first  # type: ignore[method-assign]
    report = site.reconcile()
    assert [gap.what for gap in report.gaps] == []


def test_an_instance_whose_batch_was_accounted_for_without_it_is_told_of(site: ReconciledSite) -> None:
    site.handle(site.upload("image"))
    batch_id = site.batch()
    site.services.batches.mark_accounted(batch_id, {"imported": 0})
    left_to_a_person(site, ("imported", "INSTANCE_LEFT_BATCHED"))


def test_a_batch_whose_job_ended_without_an_account_is_told_of(site: ReconciledSite) -> None:
    site.handle(site.upload("image"))
    event = site.seal()
    batch_id = site.batch()
    site.handle(event)
    set_batch(site, batch_id, state="started", listing=f"{SITE}#batch")
    left_to_a_person(site, ("imported", "BATCH_NOT_ACCOUNTED"))


def test_a_job_that_healthimaging_does_not_know_is_told_of(site: ReconciledSite) -> None:
    site.handle(site.upload("image"))
    set_batch(site, site.batch(), state="started", job_id="f" * 32)
    left_to_a_person(site, ("imported", "JOB_MISSING"))


def test_a_job_of_ours_that_the_ledger_does_not_know_is_told_of(site: ReconciledSite) -> None:
    site.handle(site.upload("image"))
    event = site.seal()
    site.handle(event)
    (item,) = site.estate.tracked("batch")
    site.estate.dynamodb.delete_item(
        TableName=site.estate.settings.image_tracking_table, Key={"pk": {"S": item["pk"]}}
    )
    left_to_a_person(site, ("imported", "JOB_UNKNOWN"))


def test_a_job_that_runs_for_days_is_told_of(site: ReconciledSite) -> None:
    site.handle(site.upload("image"))
    set_batch(site, site.batch(), state="started", job_id="f" * 32)
    started = site.clock.now
    site.estate.clients.__dict__["medical_imaging"] = SlowJob(site.imaging, started)
    assert site.found() == []
    assert site.found(after=86_400) == [("imported", "JOB_STUCK")]


class SlowJob:
    """HealthImaging with one job that does not end."""

    def __init__(self, imaging: Any, submitted_at: datetime) -> None:
        self._imaging = imaging
        self._job = {"jobId": "f" * 32, "jobStatus": "IN_PROGRESS", "submittedAt": submitted_at}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._imaging, name)

    def get_dicom_import_job(self, **_: Any) -> Any:
        """It is still running."""
        return {"jobProperties": self._job}


# -- forwarded -------------------------------------------------------------------------------------------------

FORWARDER = """
    from pathlib import Path
    from rayline.plugin import Policy, RetryableError, hookimpl

    api = 1
    name = "forwarder"
    policies = {"on_ingested": Policy(on_failure="retry")}

    @hookimpl
    def on_ingested(event, context):
        if event.subject == "import_job" and not (Path(__file__).parent / "pacs_is_up").exists():
            raise RetryableError("the PACS is down")
"""


def install_forwarder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugin(folder, "forwarder", FORWARDER)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "plugin_forwarder", raising=False)  # another test's


@pytest.fixture
def forwarding(local_cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReconciledSite:
    """A site whose PACS is down until the file `pacs_is_up` is there."""
    install_forwarder(tmp_path, monkeypatch)
    profile = "identity: original\nplugins:\n  - name: forwarder\n"
    return ReconciledSite(local_cloud, tmp_path, profile=profile)


def test_a_forwarding_that_stalled_is_found_and_one_that_waits_in_the_ledger_is_not(
    forwarding: ReconciledSite, tmp_path: Path
) -> None:
    site = forwarding
    site.handle(site.upload("image"))
    event = site.seal()
    identity = site.identity(event)
    while site.handler.handle(message_body(event), 1) != DELETE:
        site.clock.pass_time(10)
    # Parked: it comes back by itself.
    assert "due_at" in effect_item(site, identity)
    assert site.found(after=60) == []
    assert site.found(after=3600) == [("forwarded", "PARKED_PAST_DUE")]
    site.reconcile(after=0)
    site.everything_arrives()
    assert site.found(after=60) == []
    # Its due time is lost, and with it all that would bring it back.
    site.estate.dynamodb.update_item(
        TableName=site.estate.settings.effects_table,
        Key={"pk": {"S": identity}},
        UpdateExpression="REMOVE due_shard, due_at",
    )
    assert site.found() == [("forwarded", "EFFECT_STALLED")]
    (tmp_path / "pacs_is_up").touch()
    report = repaired(site, ("forwarded", "EFFECT_STALLED"))
    assert report.gaps[0].effect == "on_ingested:forwarder"
    assert site.estate.keys(site.estate.settings.quarantine_bucket) == []


def effect_item(site: ReconciledSite, identity: str) -> dict[str, Any]:
    answer = site.estate.dynamodb.get_item(
        TableName=site.estate.settings.effects_table, Key={"pk": {"S": identity}}, ConsistentRead=True
    )
    return dict(answer["Item"])


# -- verified and trained --------------------------------------------------------------------------------------


def test_a_verification_whose_event_was_lost_is_recorded(site: ReconciledSite) -> None:
    verification_id = site.verify(site.imported())
    report = repaired(site, ("verified", "EVENT_MISSED"))
    assert report.gaps[0].subject_hash == verification_id
    (item,) = site.estate.tracked("verification")
    assert item["state"] == "recorded"
    assert PATIENT not in json.dumps(report.as_json())


def test_a_verification_that_has_not_left_leaves_with_all_that_was_written(
    site: ReconciledSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_set_id = site.imported()
    with monkeypatch.context() as patch:
        patch.setattr(site.services.outbox, "publish", lambda _: 0)
        site.verify(image_set_id)
    # The act is not sent without the radiologist's words: the outbox has them.
    assert site.found() == [("announced", "OUTBOX_NOT_DRAINED")]
    sent: list[dict[str, Any]] = []
    real = site.estate.clients.events.put_events
    with monkeypatch.context() as patch:
        patch.setattr(
            site.estate.clients.events,
            "put_events",
            lambda **request: sent.extend(request["Entries"]) or real(**request),
        )
        assert site.reconcile(after=0).left == 0
    assert [json.loads(entry["Detail"])["findings"] for entry in sent] == [f"of {PATIENT}"]


def test_an_execution_that_ended_unheard_is_recorded(site: ReconciledSite) -> None:
    train(site)
    repaired(site, ("trained", "EVENT_MISSED"), ("trained", "EVENT_MISSED"))
    (execution,) = site.estate.tracked("execution")
    assert execution["train_status"] == "Failed"


def test_an_execution_that_runs_is_no_gap_but_its_trained_step_is(site: ReconciledSite) -> None:
    site.sagemaker.put(EXECUTION, "Executing", train=None, at=site.clock.now)
    assert site.found() == []
    site.sagemaker.put(EXECUTION, "Executing", train="Succeeded", at=site.clock.now - timedelta(hours=1))
    repaired(site, ("trained", "EVENT_MISSED"))


# -- waiting ---------------------------------------------------------------------------------------------------


def parked(site: ReconciledSite, name: str = "parked") -> EventIdentity:
    """An upload that waits in the ledger."""
    event = site.upload(name)
    with site.s3_in_trouble():
        while site.handler.handle(message_body(event), 1) != DELETE:
            site.clock.pass_time(10)
    return site.identity(event)


def test_what_nobody_swept_is_sent(site: ReconciledSite) -> None:
    identity = parked(site)
    repaired(site, ("received", "PARKED_PAST_DUE"))
    assert "due_at" not in effect_item(site, identity)
    assert site.estate.keys(site.estate.settings.quarantine_bucket, f"{SITE}/parked/") == []


def test_a_parked_event_whose_source_is_gone_is_sent_from_where_it_is_parked(site: ReconciledSite) -> None:
    identity = parked(site)
    versions = site.estate.s3.list_object_versions(Bucket=site.estate.settings.uploads_bucket)["Versions"]
    for version in versions:
        site.estate.s3.delete_object(
            Bucket=site.estate.settings.uploads_bucket, Key=version["Key"], VersionId=version["VersionId"]
        )
    report = repaired(site, ("waiting", "PARKED_PAST_DUE"))
    assert report.gaps[0].subject_hash == identity.rsplit("#", 1)[-1]


def test_a_parked_event_without_message_and_source_is_told_of(site: ReconciledSite) -> None:
    identity = parked(site)
    site.estate.s3.delete_object(Bucket=site.estate.settings.quarantine_bucket, Key=body_key(identity))
    versions = site.estate.s3.list_object_versions(Bucket=site.estate.settings.uploads_bucket)["Versions"]
    for version in versions:
        site.estate.s3.delete_object(
            Bucket=site.estate.settings.uploads_bucket, Key=version["Key"], VersionId=version["VersionId"]
        )
    left_to_a_person(site, ("waiting", "PARKED_BODY_MISSING"))


def test_what_is_left_of_a_parked_event_that_ended_is_tidied(site: ReconciledSite) -> None:
    event = site.upload("ended")
    site.handle(event)
    site.handle(site.seal())
    key = body_key(site.identity(event))
    site.estate.s3.put_object(
        Bucket=site.estate.settings.quarantine_bucket, Key=key, Body=message_body(event).encode()
    )
    assert site.found() == []
    assert site.estate.keys(site.estate.settings.quarantine_bucket) == [key]
    assert site.reconcile().found == 0
    assert site.estate.keys(site.estate.settings.quarantine_bucket) == []


# -- trouble ---------------------------------------------------------------------------------------------------


def test_a_source_that_does_not_answer_is_a_gap_and_hides_no_other(site: ReconciledSite) -> None:
    site.upload("missed")
    site.sagemaker.fail_with = aws_error("ThrottlingException")
    report = site.reconcile()
    assert [(gap.stage.value, gap.what.value, gap.repaired) for gap in report.gaps] == [
        ("received", "EVENT_MISSED", True),
        ("trained", "SOURCE_NOT_READ", False),
    ]


def test_a_repair_that_fails_is_left_and_hides_no_other(
    site: ReconciledSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.upload("a-poison")
    site.upload("fine")
    real = site.estate.clients.sqs.send_message

    def refuse(**request: Any) -> Any:
        if "poison" in request["MessageBody"]:
            raise aws_error("InvalidMessageContents")
        return real(**request)

    with monkeypatch.context() as patch:
        patch.setattr(site.estate.clients.sqs, "send_message", refuse)
        report = site.reconcile()
    assert (report.found, report.repaired, report.left) == (2, 1, 1)


def test_a_scheduled_run_repairs_publishes_and_stands_for_all_that_were_due(
    site: ReconciledSite, capfd: pytest.CaptureFixture[str]
) -> None:
    site.upload("missed")
    site.clock.pass_time(3600)
    assert site.handler.handle(DUE, 1) == DELETE
    site.runtime.services.meter.flush()
    (line,) = [each for each in capfd.readouterr().err.splitlines() if each.startswith("{")]
    published = json.loads(line)
    assert (published["ReconcilerGaps"], published["ReconcilerGapsLeft"]) == (1, 0)
    assert published["Site"] == SITE
    (body,) = site.estate.messages()
    assert parse_message(body, SITE).model_dump()["kind"] == "uploaded"
    # A night's worth of reminders is one run.
    assert site.handler.handle(DUE, 1) == DELETE
    assert site.estate.messages() == []
    site.clock.pass_time(15 * 60)
    assert site.handler.handle(DUE, 1) == DELETE
    assert len(site.estate.messages()) == 1


# -- the report ------------------------------------------------------------------------------------------------


def a_report() -> Report:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Report(site=SITE, repairs=True, since=now - timedelta(days=7), before=now)


def test_every_gap_counts_though_not_all_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayline.reconciling.report.GAPS_LISTED", 2)
    report = a_report()
    for number in range(5):
        report.add(Gap(WayStage.RECEIVED, GapCode.EVENT_MISSED, str(number), "", number % 2 == 0, "sent"))
    assert [gap.subject_hash for gap in report.gaps] == ["0", "1"]
    document = json.loads(json.dumps(report.as_json()))
    assert (document["found"], document["repaired"], document["left"]) == (5, 3, 2)
    assert document["stages"]["received"] == {"looked_at": 0, "gaps": 5, "repaired": 3}


def test_the_table_shows_each_stage_and_each_gap(capsys: pytest.CaptureFixture[str]) -> None:
    report = a_report()
    report.looked_at(WayStage.RECEIVED, 7)
    subject = "0123456789abcdef" * 2
    report.add(Gap(WayStage.IMPORTED, GapCode.JOB_STUCK, subject, "", False, "nothing: this needs a person"))
    show(report)
    shown = capsys.readouterr().out
    assert all(stage.value in shown for stage in WayStage)
    assert subject in shown
    assert "JOB_STUCK" in shown


@pytest.mark.parametrize("code", list(GapCode))
def test_every_code_has_a_sentence_for_people(code: GapCode, repository: Path) -> None:
    assert EXPLANATIONS[code]
    assert f"| `{code.value}` |" in (repository / "docs/reference.md").read_text()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", datetime(2026, 1, 30, 22, 30, tzinfo=UTC)),
        ("12h", datetime(2026, 1, 30, 12, tzinfo=UTC)),
        ("7d", datetime(2026, 1, 24, tzinfo=UTC)),
        ("2026-01-30", datetime(2026, 1, 30, tzinfo=UTC)),
        ("2026-01-30T06:00+02:00", datetime(2026, 1, 30, 4, tzinfo=UTC)),
    ],
)
def test_since_is_a_span_or_a_moment(text: str, moment: datetime) -> None:
    assert moment_since(text, datetime(2026, 1, 31, tzinfo=UTC)) == moment


@pytest.mark.parametrize("text", ["", "7", "7w", "-7d", "0d", "yesterday", "999999d"])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write 90m"):
        moment_since(text, datetime(2026, 1, 31, tzinfo=UTC))
