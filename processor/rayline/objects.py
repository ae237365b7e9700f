"""Objects in S3 as contents: read by ranges, and written so that S3 itself copies what it holds already.

A large content goes up in parts, each sent or copied. Source: Amazon S3 user guide, "Multipart upload limits"
(5 MiB to 5 GiB a part, the last may be smaller; 10,000 parts); API reference, "UploadPartCopy".
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from rayline.dicom.content import WHOLE_BYTES, Content, Stretch, piece_length
from rayline.dicom.reasons import ReasonCode
from rayline.errors import ConfigurationError, RejectedEvent, RetryableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Error codes of an object, or a version of one, that is not there.
GONE_CODES = frozenset({"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "405"})

_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3
_PARALLEL_PARTS = 4
_FIRST_BLOCK = 512 * _KIB
_SMALLEST_BLOCK = 16 * _KIB
_LARGEST_BLOCK = 4 * _MIB
_PARALLEL_BLOCKS = 4
_BLOCKS_KEPT = 2 * _PARALLEL_BLOCKS
_NEAR = _MIB  # to read past this many bytes takes no longer than another request


def is_gone(error: ClientError) -> bool:
    """Whether S3 says that there is no such object or version."""
    return error.response.get("Error", {}).get("Code", "") in GONE_CODES


class StoredObject(Content):
    """One version of an object in S3, read by ranges.

    Small reads are served from a few blocks, which grow while reads go on from one another and shrink after a jump.
    Threads may share it. What disappears while it is read is an event refused with ``OBJECT_GONE``.

    Args:
        version_id: empty for an object without versions.
        etag: as S3 tells it, with its quotes; a read of anything else fails.
    """

    def __init__(self, s3: "S3Client", bucket: str, key: str, version_id: str, size: int, etag: str) -> None:
        self._s3 = s3
        self.bucket = bucket
        self.key = key
        self.version_id = version_id
        self.size = size
        self.etag = etag
        self._lock = Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._read_ahead = _FIRST_BLOCK
        self._end = 0  # of the block that was read last

    @property
    def location(self) -> Any:
        """Bucket, key and version, as requests name them."""
        location = {"Bucket": self.bucket, "Key": self.key}
        return {**location, "VersionId": self.version_id} if self.version_id else location

    def read(self, start: int, length: int) -> bytes:
        length = max(0, min(length, self.size - start))
        if not length:
            return b""
        if length > _LARGEST_BLOCK:
            return self._range(start, length)
        found = []
        with self._lock:
            while length:
                piece = (self._held(start, length) or self._next_block(start, length))[:length]
                found.append(piece)
                start, length = start + len(piece), length - len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def _held(self, start: int, length: int) -> bytes:
        """As much of a stretch as the block that it begins in has; the rest may be in none."""
        for begin, block in reversed(self._blocks.items()):
            if begin <= start < begin + len(block):
                self._blocks.move_to_end(begin)
                return block[start - begin : start - begin + length]
        return b""

    def _next_block(self, start: int, length: int) -> bytes:
        if self._blocks:
            goes_on = 0 <= start - self._end <= _NEAR
            self._read_ahead = min(2 * self._read_ahead, _LARGEST_BLOCK) if goes_on else _SMALLEST_BLOCK
        # Whoever has read on for so long is likely to read to the end, e.g. from fragment to fragment.
        count = _PARALLEL_BLOCKS if self._read_ahead == _LARGEST_BLOCK else 1
        size = max(length, self._read_ahead)
        wanted = range(start, min(start + count * size, self.size), size)
        blocks = self._ranges([(begin, min(size, self.size - begin)) for begin in wanted])
        self._blocks |= dict(zip(wanted, blocks, strict=True))
        self._end = wanted[-1] + len(blocks[-1])
        while len(self._blocks) > _BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return blocks[0]

    def _ranges(self, wanted: list[tuple[int, int]]) -> list[bytes]:
        if len(wanted) == 1:
            return [self._range(*wanted[0])]
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="range") as executor:
            return list(executor.map(self._range, *zip(*wanted, strict=True)))

    def _range(self, start: int, length: int) -> bytes:
        wanted = f"bytes={start}-{start + length - 1}"
        try:
            response = self._s3.get_object(**self.location, IfMatch=self.etag, Range=wanted)
            found = response["Body"].read()
        except ClientError as error:
            if is_gone(error):
                raise _gone() from None
            raise
        if len(found) != length:
            raise RetryableError(f"S3 sent {len(found)} bytes where {length} were asked for")
        return found


def stored_object(s3: "S3Client", head: Any, bucket: str, key: str, version_id: str) -> StoredObject:
    """The object that an answer of HeadObject or GetObject describes."""
    return StoredObject(s3, bucket, key, version_id, head["ContentLength"], head["ETag"])


def _gone() -> RejectedEvent:
    return RejectedEvent(ReasonCode.OBJECT_GONE, "the object version was deleted while it was read")


# -- writing ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PartLimits:
    """How large parts are: S3's limits, and what this process sends or has copied at a time.

    Attributes:
        least_bytes: of every part but the last.
        most_parts: of one upload.
        sent_bytes: at most in a part that goes through memory; at least twice ``least_bytes``.
        copied_bytes: at most in a part that S3 copies, 5 GiB by its own limit; at least twice ``least_bytes``.
    """

    least_bytes: int = 5 * _MIB
    most_parts: int = 10_000
    sent_bytes: int = 10 * _MIB
    copied_bytes: int = 128 * _MIB

    def of(self, size: int) -> "PartLimits":
        """These limits, raised so that a content of ``size`` bytes fits into the parts that there may be.

        Raises:
            ConfigurationError: it is larger than S3 takes.
        """
        least = max(self.least_bytes, -(-size // (self.most_parts - 1)))
        copied = max(self.copied_bytes, 2 * least)
        if copied > 5 * _GIB:
            raise ConfigurationError(f"{size} bytes are more than one object in S3 can hold")
        return PartLimits(least, self.most_parts, max(self.sent_bytes, 2 * least), copied)


DEFAULT_PART_LIMITS = PartLimits()


class Part(NamedTuple):
    """``length`` bytes of a content from ``start``; S3 copies them from ``source`` where that is given."""

    start: int
    length: int
    source: Stretch | None = None


class _Run(NamedTuple):
    """A part in the making: what stands together is sent together, or copied from one object."""

    start: int
    length: int
    source: Stretch | None


def plan_parts(content: Content, limits: PartLimits = DEFAULT_PART_LIMITS) -> list[Part]:
    """How to write a content in parts: they cover it in order, and as much as possible is copied.

    Raises:
        ConfigurationError: it is larger than S3 takes.
    """
    limits = limits.of(content.size)
    parts: list[Part] = []
    sent_from = at = 0
    for run in _runs(content.pieces(0, content.size)):
        begin, end = run.start, run.start + run.length
        if run.source is not None:
            # What goes before is a part of its own, so it takes what it lacks from here.
            lacking = limits.least_bytes - (begin - sent_from) if begin > sent_from else 0
            begin += max(0, lacking)
            if end - begin >= limits.least_bytes:
                parts += _sent(sent_from, begin, limits)
                offset = run.source.start + (begin - run.start)
                parts += _copied(begin, Stretch(run.source.content, offset, end - begin), limits)
                sent_from = end
        at = end
    parts += _sent(sent_from, at, limits)
    return parts


def _runs(pieces: "Iterable[bytes | memoryview | Stretch]") -> Iterator[_Run]:
    """Pieces of the same kind joined, where they follow one another in the same object."""
    start, length = 0, 0
    source: Stretch | None = None
    for piece in pieces:
        size = piece_length(piece)
        if isinstance(piece, Stretch) and isinstance(piece.content, StoredObject):
            if (
                source is not None
                and source.content is piece.content
                and source.start + length == piece.start
            ):
                length += size
                continue
            found: Stretch | None = piece
        elif source is None:
            length += size
            continue
        else:
            found = None
        if length:
            yield _Run(start, length, source)
        start, length, source = start + length, size, found
    if length:
        yield _Run(start, length, source)


def _sent(begin: int, end: int, limits: PartLimits) -> Iterator[Part]:
    for start, length in _evenly(begin, end, limits.sent_bytes):
        yield Part(start, length)


def _copied(begin: int, source: Stretch, limits: PartLimits) -> Iterator[Part]:
    for start, length in _evenly(begin, begin + source.length, limits.copied_bytes):
        yield Part(start, length, Stretch(source.content, source.start + start - begin, length))


def _evenly(begin: int, end: int, most: int) -> Iterator[tuple[int, int]]:
    """Start and length of equal parts; each has at least half of ``most`` where there are several."""
    count = -(-(end - begin) // most)
    borders = [begin + (end - begin) * index // count for index in range(count + 1)] if count else []
    for start, after in pairwise(borders):
        yield start, after - start


def put_content(
    s3: "S3Client",
    bucket: str,
    key: str,
    content: Content,
    content_type: str = "application/dicom",
    limits: PartLimits = DEFAULT_PART_LIMITS,
    whole_bytes: int = WHOLE_BYTES,
) -> None:
    """Write a content as one object: at once where it is small, else in parts of which S3 copies what it holds.

    Memory stays flat, and an upload that fails is aborted. The bucket's own encryption applies.

    Args:
        whole_bytes: contents up to this size are written by one request.

    Raises:
        RejectedEvent: an object that it is made of has gone.
        ConfigurationError: it is larger than S3 takes.
    """
    parts = plan_parts(content, limits) if content.size > whole_bytes else []
    if len(parts) < 2 and not any(part.source for part in parts):
        s3.put_object(Bucket=bucket, Key=key, Body=content.whole(), ContentType=content_type)
        return
    upload_id = s3.create_multipart_upload(
        Bucket=bucket,
        Key=key,
        ContentType=content_type,
        # S3 joins the parts' CRCs to one of the whole, and makes those of copied parts itself.
        ChecksumAlgorithm="CRC32",
        ChecksumType="FULL_OBJECT",
    )["UploadId"]
    upload = _Upload(s3, {"Bucket": bucket, "Key": key, "UploadId": upload_id}, content)
    try:
        upload.put(parts)
    except BaseException:
        # What cannot be aborted, or was completed although its answer was lost, the bucket's lifecycle ends.
        with suppress(Exception):
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        raise


class _Upload:
    """One multipart upload."""

    def __init__(self, s3: "S3Client", identity: dict[str, str], content: Content) -> None:
        self._s3 = s3
        self._identity: Any = identity
        self._content = content

    def put(self, parts: list[Part]) -> None:
        """Put every part, a few side by side, and complete the upload once all are there."""
        with ThreadPoolExecutor(_PARALLEL_PARTS, thread_name_prefix="part") as executor:
            pending = [executor.submit(self._put, number, part) for number, part in enumerate(parts, 1)]
            try:
                wait(pending, return_when=FIRST_EXCEPTION)
            finally:
                # Parts still under way end before the upload is aborted, else S3 keeps them.
                executor.shutdown(cancel_futures=True)
        failed = next((each for each in pending if not each.cancelled() and each.exception()), None)
        if failed is not None:
            failed.result()
        self._s3.complete_multipart_upload(
            **self._identity,
            MultipartUpload={"Parts": [each.result() for each in pending]},
            MpuObjectSize=self._content.size,
        )

    def _put(self, number: int, part: Part) -> Any:
        answer: Any
        if part.source is None:
            content = self._content.read(part.start, part.length)
            answer = self._s3.upload_part(
                **self._identity, PartNumber=number, Body=content, ChecksumAlgorithm="CRC32"
            )
        else:
            answer = self._copy(number, part.source)
        told = {"PartNumber": number, "ETag": answer["ETag"]}
        return {**told, "ChecksumCRC32": answer["ChecksumCRC32"]} if "ChecksumCRC32" in answer else told

    def _copy(self, number: int, source: Stretch) -> Any:
        stored = source.content
        assert isinstance(stored, StoredObject)
        try:
            return self._s3.upload_part_copy(
                **self._identity,
                PartNumber=number,
                CopySource=stored.location,
                CopySourceIfMatch=stored.etag,
                CopySourceRange=f"bytes={source.start}-{source.start + source.length - 1}",
            )["CopyPartResult"]
        except ClientError as error:
            if is_gone(error):
                raise _gone() from None
            raise
