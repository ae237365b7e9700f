"""Objects in S3: read by ranges, and written in parts that S3 copies where it can."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st
from support.in_memory_cloud.calls import Call, Steps, aws_error
from support.in_memory_cloud.cloud import InMemoryCloud

from rayline import objects
from rayline.dicom.content import Content, InMemory, LocalFile, Piece, Spliced, Stretch
from rayline.errors import ConfigurationError, RejectedEvent, RetryableError
from rayline.objects import PartLimits, StoredObject, plan_parts, put_content, stored_object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = PartLimits(least_bytes=5, most_parts=10_000, sent_bytes=10, copied_bytes=20)
PUT_WHOLE_BYTES = 8


class Watching(Steps):
    """Notes each call, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.fail: Callable[[Call], Exception | None] = lambda _: None

    def take(self, call: Call, act: Callable[[], Any]) -> Any:
        self.calls.append(call)
        if error := self.fail(call):
            raise error
        return act()

    def named(self, operation: str) -> list[Call]:
        """Calls of one operation."""
        return [call for call in self.calls if call.operation == operation]


class Bucket:
    """A versioned bucket in memory, whose parts may be small, seen through one client."""

    def __init__(self) -> None:
        self.cloud = InMemoryCloud(lambda: NOW)
        self.cloud.s3.least_part_bytes = SMALL.least_bytes
        self.steps = Watching()
        self.s3 = self.cloud.client("s3", self.steps)
        self.cloud.s3.create_bucket(Bucket="b")
        self.cloud.s3.put_bucket_versioning(Bucket="b", VersioningConfiguration={"Status": "Enabled"})

    def store(self, content: bytes, key: str = "source") -> StoredObject:
        """An object, with a later version over it, so that only a read of its version finds it."""
        answer = self.cloud.s3.put_object(Bucket="b", Key=key, Body=content)
        self.cloud.s3.put_object(Bucket="b", Key=key, Body=b"something later")
        return stored_object(
            self.s3, {"ContentLength": len(content), "ETag": answer["ETag"]}, "b", key, answer["VersionId"]
        )

    def put(self, content: Content) -> bytes:
        """Write a content. Returns what the bucket then holds."""
        put_content(self.s3, "b", "written", content, limits=SMALL, whole_bytes=PUT_WHOLE_BYTES)
        return self.cloud.s3.objects("b")["written"]

    def unfinished(self) -> Any:
        """Uploads that were neither completed nor aborted."""
        return self.cloud.s3.list_multipart_uploads(Bucket="b").get("Uploads")


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


# -- reading


@given(
    st.integers(0, 400),
    st.lists(st.tuples(st.integers(0, 450), st.integers(0, 450)), max_size=12),
    st.booleans(),
)
def test_any_stretch_is_read_as_it_lies_in_the_object(
    size: int, reads: list[tuple[int, int]], small_blocks: bool
) -> None:
    content = bytes(index % 251 for index in range(size))
    with pytest.MonkeyPatch.context() as patch:
        if small_blocks:
            # So that reads lie in one block, in several, between them and behind them.
            for name, value in (("FIRST", 16), ("SMALLEST", 4), ("LARGEST", 64)):
                patch.setattr(objects, f"_{name}_BLOCK", value)
            patch.setattr(objects, "_NEAR", 20)
        stored = Bucket().store(content)
        for start, length in reads:
            assert stored.read(start, length) == content[start : start + length]
        assert stored.whole() == content


MIB = 1024 * 1024


def moved(bucket: Bucket) -> int:
    """Bytes that ranges asked for."""
    spans = [
        call.request["Range"].removeprefix("bytes=").split("-") for call in bucket.steps.named("get_object")
    ]
    return sum(int(last) - int(first) + 1 for first, last in spans)


def test_a_header_is_read_in_few_requests_and_no_byte_twice(bucket: Bucket) -> None:
    content = bytes(3 * MIB)
    stored = bucket.store(content)
    for start in range(0, len(content), 300):
        stored.read(start, 300)
    assert len(bucket.steps.named("get_object")) <= 4
    assert moved(bucket) == len(content)


def test_small_reads_far_from_one_another_move_little(bucket: Bucket) -> None:
    stored = bucket.store(bytes(30 * MIB))
    for start in range(0, 30 * MIB, 3 * MIB):
        stored.read(start, 8)
    assert moved(bucket) <= MIB


def test_small_reads_close_to_one_another_take_few_requests(bucket: Bucket) -> None:
    stored = bucket.store(bytes(30 * MIB))
    for start in range(0, 30 * MIB, 20_000):
        stored.read(start, 8)
    assert len(bucket.steps.named("get_object")) <= 12


def test_what_was_deleted_while_it_is_read_is_refused_as_gone(bucket: Bucket) -> None:
    stored = bucket.store(b"content")
    bucket.cloud.s3.delete_object(Bucket="b", Key="source", VersionId=stored.version_id)
    with pytest.raises(RejectedEvent) as refused:
        stored.read(0, 3)
    assert refused.value.reason == "OBJECT_GONE"
    with pytest.raises(RejectedEvent) as refused:
        bucket.put(Spliced([b"x" * 20, Stretch(StoredObject(bucket.s3, "b", "gone", "", 50, '"e"'), 0, 50)]))
    assert refused.value.reason == "OBJECT_GONE"
    assert bucket.unfinished() is None


def test_an_object_without_versions_is_read_only_as_it_was(bucket: Bucket) -> None:
    bucket.cloud.s3.create_bucket(Bucket="plain")
    etag = bucket.cloud.s3.put_object(Bucket="plain", Key="k", Body=b"first")["ETag"]
    stored = StoredObject(bucket.s3, "plain", "k", "", 5, etag)
    assert stored.read(1, 3) == b"irs"
    bucket.cloud.s3.put_object(Bucket="plain", Key="k", Body=b"other")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        StoredObject(bucket.s3, "plain", "k", "", 5, etag).read(0, 5)


def test_fewer_bytes_than_were_asked_for_are_no_content(bucket: Bucket) -> None:
    stored = bucket.store(b"content")
    longer = StoredObject(bucket.s3, "b", "source", stored.version_id, stored.size + 1, stored.etag)
    with pytest.raises(RetryableError):
        longer.read(0, 8)


# -- the plan

SOURCE_BYTES = 5_000
STORED = [StoredObject(None, "b", str(number), "v", SOURCE_BYTES, '"e"') for number in range(2)]  # type: ignore[arg-type]


@st.composite
def stretches(draw: st.DrawFn) -> Stretch:
    content = draw(st.sampled_from([*STORED, InMemory(bytes(SOURCE_BYTES))]))
    start = draw(st.integers(0, SOURCE_BYTES - 1))
    # Short ones next to the limits, and long ones.
    length = draw(st.integers(1, 12) | st.integers(1, SOURCE_BYTES))
    return Stretch(content, start, min(length, SOURCE_BYTES - start))


PIECES = st.lists(stretches() | st.binary(max_size=30), max_size=12)
LIMITS = st.builds(
    lambda least, parts, sent, copied: PartLimits(least, parts, 2 * least + sent, 2 * least + copied),
    st.integers(1, 50),
    st.integers(2, 40) | st.just(10_000),
    st.integers(0, 40),
    st.integers(0, 400),
)


@given(PIECES, LIMITS)
@example([b"a", Stretch(STORED[0], 0, 9)], SMALL)
@example([Stretch(STORED[0], 0, 5), Stretch(STORED[0], 5, 5), Stretch(STORED[1], 10, 5)], SMALL)
def test_a_plan_covers_the_content_in_order_within_the_limits(
    pieces: list[Piece], limits: PartLimits
) -> None:
    content = Spliced(pieces)
    parts = plan_parts(content, limits)
    raised = limits.of(content.size)
    assert sum(part.length for part in parts) == content.size
    at = 0
    for part in parts:
        assert part.start == at
        assert 1 <= part.length <= (raised.copied_bytes if part.source else raised.sent_bytes)
        at += part.length
    assert len(parts) <= limits.most_parts
    assert all(part.length >= limits.least_bytes for part in parts[:-1])
    for part in parts:
        if part.source is not None:
            # What S3 copies is what lies there: the same stretch of the same object.
            (lying,) = joined(content.pieces(part.start, part.length))
            assert lying == part.source


def joined(pieces: Any) -> list[Piece]:
    """Stretches that follow one another in one object, as one."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else None
        if (
            isinstance(piece, Stretch)
            and isinstance(last, Stretch)
            and last.content is piece.content
            and last.start + last.length == piece.start
        ):
            found[-1] = Stretch(last.content, last.start, last.length + piece.length)
        else:
            found.append(piece)
    return found


@given(st.integers(0, 300), st.integers(0, 3_000), st.integers(0, 300))
def test_all_of_a_large_stretch_is_copied_but_what_its_neighbours_lack(
    before: int, length: int, after: int
) -> None:
    content = Spliced([bytes(before), Stretch(STORED[0], 100, length), bytes(after)])
    parts = plan_parts(content, SMALL)
    copied = sum(part.length for part in parts if part.source)
    assert copied >= length - 2 * SMALL.least_bytes


def test_a_gigabyte_with_a_new_header_sends_five_mebibytes() -> None:
    source = StoredObject(None, "b", "k", "v", 1_000_000_000, '"e"')  # type: ignore[arg-type]
    changed = Spliced([b"header" * 500, Stretch(source, 4_000, source.size - 4_000)])
    parts = plan_parts(changed)
    assert [part.length for part in parts if not part.source] == [5 * MIB]
    assert len(parts) == 9
    assert all(part.source for part in plan_parts(source))


def test_what_no_object_can_hold_is_refused() -> None:
    source = StoredObject(None, "b", "k", "v", 50 * 1024**4, '"e"')  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        plan_parts(source)


# -- writing


@given(st.data())
def test_whatever_is_spliced_is_what_the_bucket_then_holds(data: st.DataObject) -> None:
    bucket = Bucket()
    sizes = data.draw(st.lists(st.integers(6, 200), min_size=1, max_size=3))
    sources: list[Content] = [
        bucket.store(bytes((index * 7 + number) % 251 for index in range(size)), f"source {number}")
        for number, size in enumerate(sizes)
    ]
    sources.append(InMemory(bytes(range(100))))
    pieces: list[Piece] = []
    for source in data.draw(st.lists(st.sampled_from(sources), max_size=6)):
        pieces.append(data.draw(st.binary(max_size=12)))
        start = data.draw(st.integers(0, source.size - 1))
        pieces.append(Stretch(source, start, data.draw(st.integers(0, source.size - start))))
    content = Spliced(pieces)
    expected = content.whole()
    assert bucket.put(content) == expected
    assert bucket.unfinished() is None


def test_a_small_content_takes_one_request(bucket: Bucket) -> None:
    assert bucket.put(InMemory(b"12345678")) == b"12345678"
    assert bucket.put(InMemory(b"")) == b""
    assert [call.operation for call in bucket.steps.calls] == ["put_object"] * 2


def test_a_file_is_sent_in_parts(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(77)))
    assert bucket.put(LocalFile(path)) == bytes(range(77))
    assert max(len(call.request["Body"]) for call in bucket.steps.named("upload_part")) <= SMALL.sent_bytes


def test_an_object_is_copied_without_reading_it(bucket: Bucket) -> None:
    stored = bucket.store(bytes(range(100)))
    assert bucket.put(stored) == bytes(range(100))
    assert {call.operation for call in bucket.steps.calls} == {
        "create_multipart_upload",
        "upload_part_copy",
        "complete_multipart_upload",
    }
    copies = bucket.steps.named("upload_part_copy")
    assert all(call.request["CopySourceIfMatch"] == stored.etag for call in copies)
    assert all(f"versionId={stored.version_id}" in call.request["CopySource"] for call in copies)


@pytest.mark.parametrize(
    ("operation", "number"),
    [("upload_part", 1), ("upload_part_copy", 1), ("upload_part_copy", 3), ("complete_multipart_upload", 1)],
)
def test_an_upload_that_fails_is_aborted(bucket: Bucket, operation: str, number: int) -> None:
    stored = bucket.store(bytes(range(100)))
    seen: list[Call] = []

    def fail(call: Call) -> Exception | None:
        if call.operation == operation:
            seen.append(call)
            if len(seen) == number:
                return aws_error("InternalError", operation=operation)
        return None

    bucket.steps.fail = fail
    with pytest.raises(ClientError, match="InternalError"):
        bucket.put(Spliced([b"header", Stretch(stored, 3, 97)]))
    assert bucket.unfinished() is None
    assert "written" not in bucket.cloud.s3.objects("b")


def test_the_failure_is_told_even_where_aborting_fails_too(bucket: Bucket) -> None:
    stored = bucket.store(bytes(range(100)))

    def fail(call: Call) -> Exception | None:
        failing = call.operation in ("upload_part_copy", "abort_multipart_upload")
        return aws_error("SlowDown", operation=call.operation) if failing else None

    bucket.steps.fail = fail
    with pytest.raises(ClientError, match=r"SlowDown.*upload_part_copy"):
        bucket.put(stored)


def test_parts_are_put_side_by_side_but_only_a_few(bucket: Bucket) -> None:
    """As many reads of a slow content are under way as there are threads, and no more."""
    gauge = Gauge(bytes(400))
    assert bucket.put(gauge) == bytes(400)
    assert gauge.most == 4


class Gauge(Content):
    """A content that notes how many read it at once."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)
        self._lock = threading.Lock()
        self._all = threading.Barrier(4)
        self._now = self.most = 0

    def read(self, start: int, length: int) -> bytes:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._all.wait(30)  # each waits for three others, so fewer would break it
        with self._lock:
            self._now -= 1
        return self._content[start : start + length]
