"""The processor's own adapters answer alike on both clouds; their behaviour in depth is in tests/processor."""

from datetime import timedelta

import pytest
from support.manual_clock import ManualClock
from support.processor_estate import ProcessorEstate

from rayline.dicom.content import InMemory
from rayline.effects import CommitConflict, LeaseLost
from rayline.events import EventIdentity
from rayline.fingerprints import SHA_256, Fingerprint
from rayline.instances import Received, Stored
from rayline.outbox import OutboxEntry
from rayline.quarantine import NotInQuarantine
from rayline.runtime import Runtime

EVENT = EventIdentity("test-site#uploaded#1")
EFFECTS = [("on_uploaded:rayline.intake", "1"), ("on_uploaded:some.plugin", "2.0")]


@pytest.fixture
def runtime(estate: ProcessorEstate, clock: ManualClock) -> Runtime:
    return estate.runtime(clock)


def received(instance_id: str, uid: str, clock: ManualClock) -> Received:
    return Received(instance_id, uid, Fingerprint(SHA_256, f"sha of {instance_id}", 7), clock())


def stored(batch_id: str) -> Stored:
    return Stored(batch_id, "1.2.3", "1.2", "1", "1.2.840.10008.5.1.4.1.1.2", "CT", ())


class TestEffectLedger:
    def test_one_claims_and_ends_and_nobody_runs_it_again(self, runtime: Runtime) -> None:
        effects = runtime.effects
        claim = effects.claim(EVENT, EFFECTS)
        assert claim.granted == {name for name, _ in EFFECTS}
        assert effects.claim(EVENT, EFFECTS).granted == frozenset()
        for name, _ in EFFECTS:
            effects.finish(EVENT, name, claim.token, "done", result={"batch_id": "b"}, calls=["screen:x"])
        assert {state.state for state in effects.states(EVENT).values()} == {"done"}
        assert effects.claim(EVENT, EFFECTS).granted == frozenset()

    def test_a_lease_that_ran_out_passes_on_and_its_holder_records_nothing(
        self, runtime: Runtime, clock: ManualClock
    ) -> None:
        late = runtime.effects.claim(EVENT, EFFECTS)
        clock.pass_time(81)
        next_one = runtime.effects.claim(EVENT, EFFECTS)
        assert next_one.granted == late.granted
        with pytest.raises(LeaseLost):
            runtime.effects.finish(EVENT, EFFECTS[0][0], late.token, "done")
        with pytest.raises(LeaseLost):
            runtime.effects.renew(EVENT, [EFFECTS[0][0]], late.token)
        runtime.effects.finish(EVENT, EFFECTS[0][0], next_one.token, "done")

    def test_an_end_and_its_writes_are_one(
        self, runtime: Runtime, estate: ProcessorEstate, clock: ManualClock
    ) -> None:
        effects, ledger = runtime.effects, runtime.services.ledger
        claim = effects.claim(EVENT, EFFECTS)
        first = ledger.batched_writes(received("1", "uid", clock), stored("b"))
        effects.finish(EVENT, EFFECTS[0][0], claim.token, "done", writes=first)
        other = ledger.batched_writes(received("2", "uid", clock), stored("b"))
        with pytest.raises(CommitConflict) as conflict:
            effects.finish(EVENT, EFFECTS[1][0], claim.token, "done", writes=other)
        assert [code == "ConditionalCheckFailed" for code in conflict.value.codes] == [False, True]
        assert [item["instance_id"] for item in estate.tracked("instance")] == ["1"]
        assert effects.states(EVENT)[EFFECTS[1][0]].state == "in_progress"


def test_outbox_entries_leave_and_are_drained_when_old(
    runtime: Runtime, estate: ProcessorEstate, clock: ManualClock
) -> None:
    outbox = runtime.services.outbox
    entries = [OutboxEntry.new("rayline.processor", "ModelApproved", {"site": "x"}) for _ in range(12)]
    for entry in entries:
        estate.dynamodb.transact_write_items(TransactItems=[outbox.write(entry)])
    outbox.publish(entries[:3])
    assert sum("outbox_shard" in item for item in estate.tracked("outbox")) == 9
    outbox.drain(timedelta(seconds=30))
    assert sum("outbox_shard" in item for item in estate.tracked("outbox")) == 9
    clock.pass_time(31)
    outbox.drain(timedelta(seconds=30))
    assert sum("outbox_shard" in item for item in estate.tracked("outbox")) == 0


def test_a_batch_is_filled_sealed_started_once_and_drops_what_nobody_claims(
    runtime: Runtime, estate: ProcessorEstate, clock: ManualClock
) -> None:
    batches, ledger = runtime.services.batches, runtime.services.ledger
    batch_id = batches.store("1", InMemory(b"claimed"))
    assert batches.store("2", InMemory(b"not claimed")) == batch_id
    writes = [
        *ledger.batched_writes(received("1", "u", clock), stored(batch_id)),
        batches.still_open(batch_id),
    ]
    estate.dynamodb.transact_write_items(TransactItems=writes)
    clock.pass_time(10)
    batches.seal_if_due()
    assert estate.keys(estate.settings.imports_bucket, "imports/") == [f"imports/{batch_id}/1.dcm"]
    assert batches.look_after(batch_id) is None
    assert estate.health_imaging.starts == [batch_id]
    (item,) = estate.tracked("batch")
    assert (item["state"], item["file_count"]) == ("started", 1)


def test_quarantine_keeps_lists_and_removes(runtime: Runtime) -> None:
    quarantine = runtime.services.quarantine
    kept = [
        quarantine.keep(f"entry-{number}", b"whole", stage="uploaded", reason="NOT_DICOM", explanation="x")
        for number in range(3)
    ]
    assert list(quarantine.records()) == kept
    assert quarantine.content("entry-1") == b"whole"
    quarantine.remove("entry-1")
    with pytest.raises(NotInQuarantine):
        quarantine.record("entry-1")
    assert [record.entry_id for record in quarantine.records()] == ["entry-0", "entry-2"]
