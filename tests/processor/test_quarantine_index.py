"""Quarantine is listed, filtered, grouped and paged from the index alone, which tells of nobody."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.crashing_clients import Crash, Fuse, crashing
from support.in_memory_cloud.calls import Call, Steps, aws_error
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate
from support.quarantined_site import HASH, QuarantinedSite

from rayline.quarantine import NotInQuarantine
from rayline.quarantining.entries import Entry, GroupBy, Selection, grouped
from rayline.quarantining.index import QuarantineIndex, entry_at, index_key
from rayline.quarantining.received import series_key, study_key
from rayline.testing import ImageSpec, image_content


@pytest.fixture
def site(estate: ProcessorEstate, clock: ManualClock) -> QuarantinedSite:
    return QuarantinedSite(estate, clock)


def ids(entries: list[Entry]) -> list[str]:
    """Entry ids."""
    return [each.entry_id for each in entries]


def test_what_the_intake_refuses_is_listed_with_hook_study_and_series(site: QuarantinedSite) -> None:
    truncated = image_content()[:-10]
    entry_id = site.send(truncated)
    (entry,) = site.listed()
    assert entry.entry_id == entry_id
    assert (entry.site, entry.stage, entry.hook, entry.reason) == (
        SITE, "uploaded", "screen_instance", "TRUNCATED"
    )  # fmt: skip
    assert entry.size_bytes == len(truncated)
    assert entry.explanation
    # The UIDs of rayline.testing's image, read out of a file that is cut short.
    assert entry.study == study_key("1.2.826.0.1.3680043.8.498.1", HASH)
    assert entry.series == series_key("1.2.826.0.1.3680043.8.498.1.1", HASH)
    assert len(entry.study) == 16
    assert site.quarantine.entry(entry_id) == entry


def test_no_key_of_the_index_and_none_of_its_objects_names_anybody(site: QuarantinedSite) -> None:
    site.send(image_content(ImageSpec(patient=7))[:-10], "DOE^JANE")
    bucket = site.estate.settings.quarantine_bucket
    keys = site.estate.keys(bucket, f"{SITE}/index/")
    assert len(keys) == 1
    told = keys[0].encode() + site.estate.s3.get_object(Bucket=bucket, Key=keys[0])["Body"].read()
    for identifying in (b"DOE", b"Testcase", b"PID000007", b"1.2.826"):
        assert identifying not in told


def test_messages_are_listed_too_and_belong_to_no_study(site: QuarantinedSite) -> None:
    site.handler.handle("not json", 1)
    (entry,) = site.listed()
    assert (entry.stage, entry.reason, entry.study) == ("message", "UNPARSABLE_MESSAGE", "")
    assert not entry.is_object
    assert site.triage.header(entry) is None


def test_the_newest_come_first_and_filters_hold(site: QuarantinedSite, clock: ManualClock) -> None:
    began = clock()
    for number in range(6):
        site.refuse(
            number,
            reason="NOT_DICOM" if number % 2 else "TRUNCATED",
            hook="screen_instance" if number < 4 else "",
            study=f"{number // 2:016x}",
            series=f"{number:016x}",
        )
        clock.pass_time(60)
    everything = [f"{number:032x}" for number in (5, 4, 3, 2, 1, 0)]
    assert ids(site.listed()) == everything
    assert ids(site.listed(reason="NOT_DICOM")) == [everything[0], everything[2], everything[4]]
    assert ids(site.listed(stage="screen_instance")) == everything[2:]
    assert ids(site.listed(stage="uploaded")) == everything
    assert ids(site.listed(study=f"{1:016x}")) == everything[2:4]
    assert ids(site.listed(study="0" * 15)) == everything
    assert ids(site.listed(series=f"{4:016x}")) == [everything[1]]
    assert ids(site.listed(since=began + timedelta(seconds=120))) == everything[:4]
    assert ids(site.listed(before=began + timedelta(seconds=120))) == everything[4:]
    span = {"since": began + timedelta(seconds=60), "before": began + timedelta(seconds=180)}
    assert ids(site.listed(**span)) == everything[3:5]
    assert site.listed(reason="NOT_DICOM", stage="message") == []


def test_groups_count_what_belongs_together_and_the_largest_comes_first(
    site: QuarantinedSite, clock: ManualClock
) -> None:
    for number in range(5):
        site.refuse(
            number,
            content=b"x" * (number + 1),
            reason="TRUNCATED" if number == 4 else "NOT_DICOM",
            hook="screen_instance" if number else "",
            study="a" * 16 if number < 3 else "",
        )
        clock.pass_time(60)
    (known, unknown) = site.triage.groups(Selection(), GroupBy.STUDY)
    assert (known.value, known.entries, known.size_bytes) == ("a" * 16, 3, 6)
    assert (unknown.value, unknown.entries, unknown.reasons) == ("", 2, {"NOT_DICOM": 1, "TRUNCATED": 1})
    assert known.oldest < known.newest < unknown.oldest
    stages = site.triage.groups(Selection(), GroupBy.STAGE)
    assert [(each.value, each.entries) for each in stages] == [("screen_instance", 4), ("uploaded", 1)]
    reasons = site.triage.groups(Selection(before=clock() - timedelta(seconds=120)), GroupBy.REASON)
    assert [(each.value, each.entries) for each in reasons] == [("NOT_DICOM", 3)]


def test_a_study_is_asked_for_by_its_uid_where_the_secret_is_at_hand(site: QuarantinedSite) -> None:
    site.send(image_content()[:-10])
    uid = "1.2.826.0.1.3680043.8.498.1"
    assert len(list(site.triage.entries(site.triage.selection(study=uid)))) == 1
    assert list(site.triage.entries(site.triage.selection(study=f"{uid}.9"))) == []


def test_pages_go_on_where_the_last_one_ended(site: QuarantinedSite, clock: ManualClock) -> None:
    for number in range(7):
        site.refuse(number, reason="NOT_DICOM" if number % 2 else "TRUNCATED")
        clock.pass_time(1)
    seen, after, pages = [], "", 0
    while True:
        page, after = site.quarantine.index.page(Selection(reason="TRUNCATED"), after, 2, 100)
        seen += ids(page)
        pages += 1
        if not after:
            break
    assert seen == [f"{number:032x}" for number in (6, 4, 2, 0)]
    # Few that are meant among many that are not: a page ends after so many, and says where to go on.
    page, after = site.quarantine.index.page(Selection(reason="NOT_DICOM"), "", 5, 1)
    assert (page, bool(after)) == ([], True)


def test_an_entry_that_comes_in_again_is_listed_once_as_it_is_now(
    site: QuarantinedSite, clock: ManualClock
) -> None:
    site.refuse(1)
    clock.pass_time(60)
    again = site.refuse(1, reason="TRUNCATED")
    assert site.listed() == [again]
    assert len(site.estate.keys(site.estate.settings.quarantine_bucket, f"{SITE}/index/")) == 1


def test_a_crash_anywhere_while_an_entry_comes_in_again_leaves_one_that_is_listed_once(
    site: QuarantinedSite, clock: ManualClock
) -> None:
    at_call = 0
    while True:
        at_call += 1
        fuse = Fuse(at_call)
        site.refuse(at_call)
        clock.pass_time(60)
        quarantine = site.open_triage(crashing(site.estate.clients, fuse)).quarantine
        kept: dict[str, Any] = {"stage": "uploaded", "reason": "TRUNCATED", "explanation": "x"}
        try:
            quarantine.keep(f"{at_call:032x}", b"other", **kept)
        except Crash:
            clock.pass_time(60)
            site.quarantine.keep(f"{at_call:032x}", b"other", **kept)
        mine = [each for each in site.listed() if each.entry_id == f"{at_call:032x}"]
        assert [each.reason for each in mine] == ["TRUNCATED"], f"after call {at_call}"
        assert mine == [site.quarantine.entry(mine[0].entry_id)]
        if not fuse.blown:
            break
    assert at_call > 4


def test_who_may_read_the_index_only_sees_entries_but_no_record_and_no_content(
    clock: ManualClock, tmp_path: Any
) -> None:
    cloud = InMemoryCloud(clock)
    site = QuarantinedSite(ProcessorEstate(cloud, tmp_path), clock)
    entry_id = site.send(image_content()[:-10])
    reviewer = QuarantinedSite.open_triage(site, cloud.clients(IndexOnly()))
    (entry,) = reviewer.entries(Selection())
    assert reviewer.quarantine.entry(entry_id) == entry
    header = reviewer.header(entry)
    assert header is not None
    assert any(each.keyword == "PatientName" and each.hidden for each in header.elements)
    with pytest.raises(Exception, match="AccessDenied"):
        reviewer.look(entry_id, "eve")


class IndexOnly(Steps):
    """A role that may list the quarantine bucket and read below ``index/``."""

    def take(self, call: Call, act: Any) -> Any:
        """Refuse all other objects."""
        if call.operation in ("get_object", "head_object") and "/index/" not in call.request["Key"]:
            raise aws_error("AccessDenied", operation=call.operation)
        return act()


class ManyKeys:
    """A bucket that holds nothing but keys, listed as S3 does, a thousand at a time."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = sorted(keys)
        self.requests = 0

    def get_paginator(self, operation: str) -> "ManyKeys":
        """Only one operation has pages here."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:
        """Page by page, each a request."""
        position = bisect_right(self._keys, StartAfter)
        while position < len(self._keys):
            self.requests += 1
            page = self._keys[position : position + 1_000]
            assert all(key.startswith(Prefix) for key in page)
            yield {"Contents": [{"Key": key} for key in page]}
            position += len(page)


def test_a_hundred_thousand_entries_are_grouped_by_a_hundred_requests() -> None:
    entries = (
        Entry(
            f"{number:032x}", SITE, "uploaded", "screen_instance", ("NOT_DICOM", "TRUNCATED")[number % 2],
            "x", f"{number // 100:016x}", f"{number // 10:016x}", f"2026-01-01T00:00:00.{number:06d}Z", 1,
        )
        for number in range(100_000)
    )  # fmt: skip
    bucket: Any = ManyKeys(map(index_key, entries))
    index = QuarantineIndex(bucket, "quarantine", site=SITE)
    groups = grouped(index.entries(), GroupBy.STUDY)
    assert (len(groups), {each.entries for each in groups}) == (1_000, {100})
    assert bucket.requests == 100
    bucket.requests = 0
    assert ids(list(islice(index.entries(), 100))) == [f"{99_999 - number:032x}" for number in range(100)]
    assert bucket.requests == 1
    bucket.requests = 0
    old = datetime(2026, 1, 1, 0, 0, 0, 500, tzinfo=UTC)
    assert len(list(index.entries(Selection(before=old)))) == 500
    assert bucket.requests == 1


@pytest.mark.parametrize(
    "clock_reads", ["0001-01-01T00:00:00+14:00", "1969-12-31", "2999-01-01", "9999-12-31T23:59:59-12:00"]
)
def test_moments_beyond_all_entries_ask_for_all_or_none(site: QuarantinedSite, clock_reads: str) -> None:
    entry = site.refuse(1)
    moment = datetime.fromisoformat(clock_reads)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = list(site.triage.entries(site.triage.selection(since=moment)))
    before = list(site.triage.entries(site.triage.selection(before=moment)))
    assert (since, before) == (([entry], []) if moment.year < 2000 else ([], [entry]))


def test_an_unknown_entry_is_not_in_quarantine(site: QuarantinedSite) -> None:
    with pytest.raises(NotInQuarantine, match="quarantine list"):
        site.quarantine.entry("0" * 32)


TEXT = st.text(max_size=300)
MOMENT = st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")


@given(
    TEXT, TEXT, TEXT, TEXT, st.text("0123456789abcdef", max_size=16), st.integers(0, 10**12),
    st.integers(0, 10**6),
)  # fmt: skip
def test_any_text_survives_a_key_as_far_as_it_fits(
    stage: str, hook: str, reason: str, explanation: str, study: str, size: int, seconds: int
) -> None:
    clock = ManualClock()
    clock.pass_time(seconds)
    entry = Entry(
        "0" * 32, SITE, stage, hook, reason, explanation, study, study,
        clock().isoformat(timespec="microseconds").replace("+00:00", "Z"), size,
    )  # fmt: skip
    key = index_key(entry)
    assert len(key.encode()) <= 1_024
    assert max(len(part) for part in key.split("/")) <= 255
    found = entry_at(key)
    assert found is not None
    assert (found.entry_id, found.study, found.quarantined_at, found.size_bytes) == (
        entry.entry_id, study, entry.quarantined_at, size
    )  # fmt: skip
    for said, read in ((stage, found.stage), (reason, found.reason), (explanation, found.explanation)):
        plain = said.encode("utf-8", "replace").decode("utf-8")
        assert plain.startswith(read) or said == "-" or "�" in read
        assert len(read) >= min(len(plain), 5) or said == "-" or "�" in read


@given(st.text(max_size=200))
def test_a_foreign_key_is_no_entry(text: str) -> None:
    found = entry_at(f"{SITE}/index/{text}")
    assert found is None or found.index_key.endswith(text)


def test_an_index_of_another_site_is_not_listed(site: QuarantinedSite) -> None:
    site.refuse(1)
    other = QuarantineIndex(site.estate.s3, site.estate.settings.quarantine_bucket, site="other")
    assert list(other.entries()) == []
