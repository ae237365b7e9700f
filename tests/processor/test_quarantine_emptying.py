"""Quarantine is emptied in bulk, a dead operator's work is taken up where it ended, and nothing else is touched."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from support.crashing_clients import Crash, Fuse, crashing
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate, aws_error
from support.quarantined_site import QuarantinedSite

from rayline.dicom.content import WHOLE_BYTES
from rayline.quarantine import NotInQuarantine
from rayline.quarantining.emptying import NotDeleted
from rayline.quarantining.entries import Entry, Selection
from rayline.release import NotReleasable
from rayline.testing import ImageSpec, image_content

DAY = 86_400.0
EVERYTHING = Selection()


@pytest.fixture
def site(estate: ProcessorEstate, clock: ManualClock) -> QuarantinedSite:
    return QuarantinedSite(estate, clock)


def refused(site: QuarantinedSite, count: int) -> list[str]:
    """Files that the intake has refused, a day after one another. Returns their ids, the oldest first."""
    found = []
    for number in range(count):
        found.append(site.send(image_content(ImageSpec(instance=number))[:-10], f"DOE^JANE{number}"))
        site.clock.pass_time(DAY)
    return found


def bucket_keys(site: QuarantinedSite) -> list[str]:
    """What lies in the quarantine bucket now."""
    return site.estate.keys(site.estate.settings.quarantine_bucket)


def audited(site: QuarantinedSite) -> list[tuple[Any, ...]]:
    """The audit trail: action, who, entries."""
    trail = sorted(site.triage.audit.everything(), key=lambda item: str(item["listed_at"]))
    return [(item["action"], item["by"], item["entries"]) for item in trail]


# -- sending again


def test_what_is_requeued_becomes_new_uploads_the_oldest_first(site: QuarantinedSite) -> None:
    ids = refused(site, 3)
    progress: list[int] = []
    done = site.triage.emptying.requeue(site.listed(), EVERYTHING, "anna", progress.append)
    assert (done.sent, done.left, done.gone, sum(progress)) == (3, {}, 0, 3)
    assert site.listed() == []
    assert bucket_keys(site) == []
    assert {site.stage_of(each) for each in ids} == {"released"}
    uploads = site.estate.keys(site.estate.settings.uploads_bucket, f"upload/{SITE}/released/")
    assert uploads == sorted(f"upload/{SITE}/released/{each}" for each in ids)
    assert audited(site) == [("quarantine_released", "anna", 3)]


def test_only_what_is_meant_is_requeued(site: QuarantinedSite) -> None:
    refused(site, 2)
    site.handler.handle("not json", 1)
    selection = Selection(reason="UNPARSABLE_MESSAGE")
    done = site.triage.emptying.requeue(list(site.triage.entries(selection)), selection, "anna")
    assert done.sent == 1
    assert site.estate.messages() == ["not json"]
    assert {each.reason for each in site.listed()} == {"TRUNCATED"}


def test_what_cannot_be_sent_is_told_of_and_keeps_none_of_the_others(site: QuarantinedSite) -> None:
    kept = {"stage": "message", "reason": "UNPARSABLE_MESSAGE", "explanation": "x"}
    site.quarantine.keep("message-" + "1" * 32, b"a \x01 b", **kept)
    site.quarantine.keep("event-" + "2" * 32, b"{}", **{**kept, "stage": "verified"})
    refused(site, 1)
    done = site.triage.emptying.requeue(site.listed(), EVERYTHING, "anna")
    assert done.sent == 1
    assert done.left == {
        "an event, whose refusal stands": 1, "the message holds characters that SQS does not take": 1
    }  # fmt: skip
    assert len(site.listed()) == 2


def test_what_the_intake_has_not_recorded_yet_waits_for_it(site: QuarantinedSite) -> None:
    entry = site.refuse(1)
    refused(site, 1)
    done = site.triage.emptying.requeue(site.listed(), EVERYTHING, "anna")
    assert done.sent == 1
    assert done.left == {"the intake has not recorded it yet; try again in a minute": 1}
    assert site.listed() == [entry]
    assert len(site.estate.keys(site.estate.settings.uploads_bucket, f"upload/{SITE}/released/")) == 1


def test_a_mention_that_outlived_its_entry_is_taken_out_and_not_sent(site: QuarantinedSite) -> None:
    (entry_id,) = refused(site, 1)
    entries = site.listed()
    bucket = site.estate.settings.quarantine_bucket
    site.estate.s3.delete_object(Bucket=bucket, Key=f"{SITE}/{entry_id}/reason.json")
    done = site.triage.emptying.requeue(entries, EVERYTHING, "anna")
    assert (done.sent, done.gone) == (0, 1)
    assert site.listed() == []


def test_one_is_released_on_record_and_an_event_is_not(site: QuarantinedSite) -> None:
    (entry_id,) = refused(site, 1)
    site.triage.emptying.release(entry_id, "anna")
    assert site.listed() == []
    assert audited(site) == [("quarantine_released", "anna", 1)]
    with pytest.raises(NotInQuarantine):
        site.triage.emptying.release(entry_id, "anna")
    with pytest.raises(NotReleasable, match="replay --from quarantine"):
        site.triage.emptying.release("event-" + "2" * 32, "anna")


def test_a_large_object_is_kept_and_released_without_passing_through_here(
    site: QuarantinedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"no image" * (WHOLE_BYTES // 8 + 1_000_000)
    (entry_id, stored) = (site.send(content), site.estate.clients.s3)
    held = site.estate.s3.get_object(
        Bucket=site.estate.settings.quarantine_bucket, Key=f"{SITE}/{entry_id}/object"
    )
    assert held["Body"].read() == content
    sent = Counter[str]()
    for name in ("put_object", "upload_part", "upload_part_copy"):
        real = getattr(stored, name)

        def noting(_name: str = name, _real: Any = real, **request: Any) -> Any:
            sent[_name] += len(request.get("Body", b""))
            return _real(**request)

        monkeypatch.setattr(stored, name, noting)
    site.triage.emptying.release(entry_id, "anna")
    key = f"upload/{SITE}/released/{entry_id}"
    again = site.estate.s3.get_object(Bucket=site.estate.settings.uploads_bucket, Key=key)
    assert again["Body"].read() == content
    assert sent.total() == 0
    assert "upload_part_copy" in sent


# -- deleting


def test_a_purge_deletes_what_is_old_and_marks_the_ledger(site: QuarantinedSite, clock: ManualClock) -> None:
    ids = refused(site, 4)
    site.handler.handle("not json", 1)
    selection = Selection(before=clock() - timedelta(days=2))
    done = site.triage.emptying.purge(site.triage.entries(selection), selection, "anna")
    assert (done.entries, done.kept_versions) == (2, False)
    assert done.size_bytes == 2 * (len(image_content()) - 10)
    assert [site.stage_of(each) for each in ids] == ["purged", "purged", "quarantined", "quarantined"]
    left = [each.entry_id for each in site.listed()]
    assert left[1:] == [ids[3], ids[2]]
    assert left[0].startswith("message-")
    assert not any(ids[0] in key or ids[1] in key for key in bucket_keys(site))
    assert len(bucket_keys(site)) == 9
    assert audited(site) == [("quarantine_purged", "anna", 2)]
    (item,) = site.triage.audit.everything()
    assert item["selection"] == {"before": "2026-01-03T00:00:00.000000Z"}
    # The index of the ledger forgets them too.
    assert {each["instance_id"] for each in site.runtime.services.ledger.quarantined()} == set(ids[2:])


def test_a_purge_of_messages_deletes_their_content(site: QuarantinedSite, clock: ManualClock) -> None:
    site.handler.handle("not json", 1)
    clock.pass_time(DAY)
    site.triage.emptying.purge(site.listed(), EVERYTHING, "anna")
    assert bucket_keys(site) == []


def test_versions_stay_until_the_lifecycle_ends_them_unless_all_are_asked_for(
    site: QuarantinedSite, clock: ManualClock
) -> None:
    bucket = site.estate.settings.quarantine_bucket
    site.estate.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = refused(site, 1)
    assert site.triage.emptying.purge(site.listed(), EVERYTHING, "anna").kept_versions
    kept = site.estate.s3.list_object_versions(Bucket=bucket)
    assert len(kept["Versions"]) == len(kept["DeleteMarkers"]) == 3
    (second,) = refused(site, 1)
    assert second != first[0]
    done = site.triage.emptying.purge(site.listed(), EVERYTHING, "anna", every_version=True)
    assert not done.kept_versions
    kept = site.estate.s3.list_object_versions(Bucket=bucket)
    assert not any(second in each["Key"] for each in (*kept["Versions"], *kept["DeleteMarkers"]))
    assert bucket_keys(site) == []


def test_what_came_in_again_meanwhile_is_not_purged(site: QuarantinedSite, clock: ManualClock) -> None:
    site.handler.handle("not json", 1)
    old = site.listed()
    clock.pass_time(DAY)
    site.handler.handle("not json", 1)
    new = site.listed()
    assert [each.entry_id for each in new] == [each.entry_id for each in old]
    done = site.triage.emptying.purge(old, EVERYTHING, "anna")
    assert done.entries == 0
    assert site.listed() == new
    assert site.quarantine.content(new[0].entry_id) == b"not json"


def test_s3_that_leaves_something_is_told_of(site: QuarantinedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(site, 1)
    failed = {"Errors": [{"Key": "k", "Code": "InternalError"}]}
    with monkeypatch.context() as patch:
        patch.setattr(site.estate.clients.s3, "delete_objects", lambda **_: failed)
        with pytest.raises(NotDeleted, match="InternalError"):
            site.triage.emptying.purge(site.listed(), EVERYTHING, "anna")
    assert len(site.listed()) == 1
    assert site.triage.emptying.purge(site.listed(), EVERYTHING, "anna").entries == 1


def test_nothing_is_done_of_which_there_is_no_record(
    site: QuarantinedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry_id,) = refused(site, 1)
    before = bucket_keys(site)

    def refusing(**_: Any) -> None:
        raise aws_error("AccessDeniedException")

    monkeypatch.setattr(site.estate.clients.dynamodb, "put_item", refusing)
    for act in (
        lambda: site.triage.emptying.purge(site.listed(), EVERYTHING, "eve"),
        lambda: site.triage.emptying.requeue(site.listed(), EVERYTHING, "eve"),
        lambda: site.triage.emptying.release(entry_id, "eve"),
        lambda: site.triage.look(entry_id, "eve"),
        lambda: site.triage.values(entry_id, "eve"),
        lambda: site.triage.record(entry_id, "eve"),
    ):
        with pytest.raises(Exception, match="AccessDenied"):
            act()
    assert bucket_keys(site) == before
    assert site.estate.messages() == []


@pytest.mark.parametrize("verb", ["purge", "requeue"])
def test_a_crash_anywhere_is_mended_by_doing_it_again(site: QuarantinedSite, verb: str) -> None:
    at_call = 0
    while True:
        at_call += 1
        ids = [
            site.send(image_content(ImageSpec(instance=number))[:-10], f"{at_call}-{number}") for number in range(2)
        ]  # fmt: skip
        site.handler.handle(f"not json {at_call}", 1)
        fuse = Fuse(at_call)

        def act(fuse: Fuse | None) -> None:
            clients = site.estate.clients if fuse is None else crashing(site.estate.clients, fuse)
            triage = site.open_triage(clients)
            entries: list[Entry] = list(triage.entries(EVERYTHING))
            getattr(triage.emptying, verb)(entries, EVERYTHING, "anna")

        try:
            act(fuse)
        except Crash:
            act(None)
        assert site.listed() == [], f"after call {at_call}"
        left = [key for key in bucket_keys(site) if "message-" not in key or key.endswith("reason.json")]
        assert left == [], f"after call {at_call}"
        expected = "purged" if verb == "purge" else "released"
        assert {site.stage_of(each) for each in ids} == {expected}, f"after call {at_call}"
        if not fuse.blown:
            break
    assert at_call > 8
    if verb == "requeue":
        sent = Counter(site.estate.messages())
        assert set(sent) == {f"not json {number}" for number in range(1, at_call + 1)}
        released = site.estate.keys(site.estate.settings.uploads_bucket, f"upload/{SITE}/released/")
        assert len(released) == 2 * at_call
