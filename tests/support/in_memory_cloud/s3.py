"""S3 in memory: buckets with and without versions, conditional puts, ranges, parts, and lists in pages."""

import base64
import hashlib
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any
from urllib.parse import unquote

from botocore.response import StreamingBody
from support.in_memory_cloud.calls import aws_error

MAX_KEY_BYTES = 1024
MAX_TAGS = 10
MAX_PARTS = 10_000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_COPIED_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


def _etag(content: bytes) -> str:
    """The ETag of a simple put or of a part."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _checksum(algorithm: str, content: bytes) -> str:
    match algorithm:
        case "CRC32":
            digest = zlib.crc32(content).to_bytes(4, "big")
        case "SHA256":
            digest = hashlib.sha256(content).digest()
        case _:
            raise NotImplementedError(f"ChecksumAlgorithm {algorithm}")
    return base64.b64encode(digest).decode()


def _location(copy_source: str) -> dict[str, str]:
    """Bucket, key and version of a copy's source, as botocore writes it."""
    path, _, query = copy_source.partition("?versionId=")
    bucket, _, key = unquote(path).partition("/")
    return {"Bucket": bucket, "Key": key, **({"VersionId": query} if query else {})}


@dataclass(frozen=True)
class Version:
    """One version of an object; ``content`` is None for a delete marker."""

    version_id: str
    content: bytes | None = field(repr=False)
    last_modified: datetime
    content_type: str
    etag: str
    checksum_algorithm: str = "CRC32"  # which boto3 sends where it is not told
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class _Upload:
    """A multipart upload that is under way; parts are content and ETag by number."""

    bucket: str
    key: str
    content_type: str
    checksum_algorithm: str
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


@dataclass
class _Bucket:
    """Versions by key, newest last; an unversioned bucket keeps one."""

    versioned: bool = False
    keys: dict[str, list[Version]] = field(default_factory=dict)


class InMemoryS3:
    """The operations of the client that Rayline uses.

    Attributes:
        page_keys: keys a page of a list has at most, so that pages occur with few objects.
        least_part_bytes: what a part has at least, but the last; what is not longer has no ranges to copy.
        changed: called with bucket, key and version after each put, as S3's events are.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        page_keys: int = 1_000,
        least_part_bytes: int = 5 * 1024 * 1024,
    ) -> None:
        self._clock = clock
        self.page_keys = page_keys
        self.least_part_bytes = least_part_bytes
        self._uploads: dict[str, _Upload] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._numbers = count(1)
        self.changed: list[Callable[[str, str, str, int], None]] = []

    def objects(self, bucket: str) -> dict[str, bytes]:
        """What a bucket holds now, for a test to look at."""
        found = self._buckets[bucket].keys
        return {
            key: versions[-1].content
            for key, versions in found.items()
            if versions and versions[-1].content is not None
        }

    def everything(self, bucket: str) -> list[bytes]:
        """The content of each version."""
        return [
            version.content
            for versions in self._buckets[bucket].keys.values()
            for version in versions
            if version.content is not None
        ]

    def _bucket(self, name: str, operation: str) -> _Bucket:
        if name not in self._buckets:
            raise aws_error("NoSuchBucket", "The specified bucket does not exist", operation)
        return self._buckets[name]

    # -- operations ----------------------------------------------------------------------------------------------

    def create_bucket(self, *, Bucket: str) -> dict[str, Any]:
        self._buckets[Bucket] = _Bucket()
        return {}

    def put_bucket_versioning(
        self, *, Bucket: str, VersioningConfiguration: dict[str, str]
    ) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "PutBucketVersioning")
        bucket.versioned = VersioningConfiguration["Status"] == "Enabled"
        return {}

    def put_object(self, *, Bucket: str, Key: str, Body: Any = b"", **request: Any) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "PutObject")
        if len(Key.encode()) > MAX_KEY_BYTES:
            raise aws_error("KeyTooLongError", "Your key is too long", "PutObject")
        content = Body if isinstance(Body, bytes) else Body.encode() if isinstance(Body, str) else Body.read()
        versions = bucket.keys.setdefault(Key, [])
        if "IfNoneMatch" in request:
            if request["IfNoneMatch"] != "*":
                raise NotImplementedError("IfNoneMatch of an ETag")
            if versions and versions[-1].content is not None:
                raise aws_error("PreconditionFailed", "a precondition did not hold", "PutObject")
        return self._write(
            Bucket,
            Key,
            content,
            content_type=request.get("ContentType", "binary/octet-stream"),
            etag=_etag(content),
            checksum_algorithm=request.get("ChecksumAlgorithm", "CRC32"),
        )

    def _write(self, bucket_name: str, key: str, content: bytes, **described: str) -> dict[str, Any]:
        bucket = self._buckets[bucket_name]
        version = Version(self._version_id(bucket), content, self._clock(), **described)
        versions = bucket.keys.setdefault(key, [])
        if not bucket.versioned:
            versions.clear()
        versions.append(version)
        for changed in self.changed:
            changed(bucket_name, key, version.version_id, len(content))
        answer: dict[str, Any] = {"ETag": version.etag}
        return {**answer, "VersionId": version.version_id} if bucket.versioned else answer

    def _version_id(self, bucket: _Bucket) -> str:
        return f"{next(self._numbers):032x}" if bucket.versioned else "null"

    def get_object(self, **request: Any) -> dict[str, Any]:
        version = self._find(request, "GetObject")
        answer = self._described(request, version)
        content = version.content or b""
        if found := _RANGE.fullmatch(request.get("Range", "")):
            first, last = int(found[1]), int(found[2] or len(content) - 1)
            if first >= len(content) or last < first:
                raise aws_error("InvalidRange", "The requested range is not satisfiable", "GetObject")
            answer["ContentRange"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            content = content[first : last + 1]
            answer["ContentLength"] = len(content)
        return {"Body": StreamingBody(io.BytesIO(content), len(content)), **answer}

    def head_object(self, **request: Any) -> dict[str, Any]:
        try:
            version = self._find(request, "HeadObject")
            answer = self._described(request, version)
            if request.get("ChecksumMode") == "ENABLED":
                algorithm = version.checksum_algorithm
                answer[f"Checksum{algorithm}"] = _checksum(algorithm, version.content or b"")
                answer["ChecksumType"] = "FULL_OBJECT"
            return answer
        except Exception as error:
            # An answer to HEAD has no body, so all that botocore knows is the status.
            status = getattr(error, "response", {})["ResponseMetadata"]["HTTPStatusCode"]
            raise aws_error(str(status), "Not Found", "HeadObject") from None

    def _described(self, request: dict[str, Any], version: Version) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "ContentLength": len(version.content or b""),
            "ContentType": version.content_type,
            "ETag": version.etag,
            "LastModified": version.last_modified,
        }
        if self._buckets[request["Bucket"]].versioned:
            answer["VersionId"] = version.version_id
        return answer

    def _find(self, request: dict[str, Any], operation: str) -> Version:
        bucket = self._bucket(request["Bucket"], operation)
        versions = bucket.keys.get(request["Key"], [])
        wanted = request.get("VersionId")
        if wanted is not None:
            found = next((each for each in versions if each.version_id == wanted), None)
            if found is None:
                raise aws_error("NoSuchVersion", "The specified version does not exist.", operation)
            if found.content is None:
                raise aws_error("MethodNotAllowed", "a delete marker", operation)
        elif not versions or versions[-1].content is None:
            raise aws_error("NoSuchKey", "The specified key does not exist.", operation)
        else:
            found = versions[-1]
        if request.get("IfMatch", found.etag) != found.etag:
            raise aws_error("PreconditionFailed", "the object has changed", operation)
        return found

    def get_object_tagging(self, **request: Any) -> dict[str, Any]:
        version = self._find(request, "GetObjectTagging")
        tags = [{"Key": key, "Value": value} for key, value in version.tags.items()]
        return {"TagSet": tags, "VersionId": version.version_id}

    def put_object_tagging(self, *, Tagging: dict[str, Any], **request: Any) -> dict[str, Any]:
        tags = {tag["Key"]: tag["Value"] for tag in Tagging["TagSet"]}
        if len(tags) > MAX_TAGS:
            raise aws_error("BadRequest", "Object tags cannot be greater than 10", "PutObjectTagging")
        version = self._find(request, "PutObjectTagging")
        version.tags.clear()
        version.tags.update(tags)
        return {"VersionId": version.version_id}

    # -- multipart uploads ---------------------------------------------------------------------------------------

    def create_multipart_upload(self, *, Bucket: str, Key: str, **request: Any) -> dict[str, Any]:
        self._bucket(Bucket, "CreateMultipartUpload")
        if request.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
            raise NotImplementedError(f"ChecksumType {request['ChecksumType']}")
        upload_id = f"upload-{next(self._numbers)}"
        self._uploads[upload_id] = _Upload(
            Bucket,
            Key,
            request.get("ContentType", "binary/octet-stream"),
            request.get("ChecksumAlgorithm", "CRC32"),
        )
        return {"Bucket": Bucket, "Key": Key, "UploadId": upload_id}

    def upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: Any = b"", **_: Any
    ) -> dict[str, Any]:
        upload = self._upload(Bucket, Key, UploadId, "UploadPart")
        return self._put_part(
            upload, PartNumber, Body if isinstance(Body, bytes) else Body.read(), "UploadPart"
        )

    def upload_part_copy(
        self,
        *,
        Bucket: str,
        Key: str,
        UploadId: str,
        PartNumber: int,
        CopySource: str,
        CopySourceRange: str | None = None,
        CopySourceIfMatch: str | None = None,
    ) -> dict[str, Any]:
        operation = "UploadPartCopy"
        upload = self._upload(Bucket, Key, UploadId, operation)
        source = self._find(_location(CopySource), operation)
        if CopySourceIfMatch is not None and source.etag != CopySourceIfMatch:
            raise aws_error("PreconditionFailed", "a precondition did not hold", operation)
        content = source.content or b""
        if CopySourceRange is not None:
            found = _COPIED_RANGE.fullmatch(CopySourceRange)
            if found is None or not int(found[1]) <= int(found[2]) < len(content):
                raise aws_error("InvalidArgument", "the range is not one of the source", operation)
            if len(content) <= self.least_part_bytes:
                raise aws_error("InvalidRequest", "the source is too small for a range of it", operation)
            content = content[int(found[1]) : int(found[2]) + 1]
        return {"CopyPartResult": self._put_part(upload, PartNumber, content, operation)}

    def _upload(self, bucket: str, key: str, upload_id: str, operation: str) -> _Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise aws_error("NoSuchUpload", "The specified multipart upload does not exist.", operation)
        return upload

    def _put_part(self, upload: _Upload, number: int, content: bytes, operation: str) -> dict[str, Any]:
        if not 1 <= number <= MAX_PARTS:
            raise aws_error("InvalidArgument", "part numbers are 1 to 10000", operation)
        upload.parts[number] = (content, _etag(content))
        return {
            "ETag": _etag(content),
            f"Checksum{upload.checksum_algorithm}": _checksum(upload.checksum_algorithm, content),
        }

    def complete_multipart_upload(
        self,
        *,
        Bucket: str,
        Key: str,
        UploadId: str,
        MultipartUpload: dict[str, Any],
        MpuObjectSize: int | None = None,
    ) -> dict[str, Any]:
        operation = "CompleteMultipartUpload"
        upload = self._upload(Bucket, Key, UploadId, operation)
        named = MultipartUpload.get("Parts", [])
        numbers = [each["PartNumber"] for each in named]
        if not named:
            raise aws_error("MalformedXML", "no parts", operation)
        if numbers != sorted(set(numbers)):
            raise aws_error("InvalidPartOrder", "the parts are not in ascending order", operation)
        for each in named:
            held = upload.parts.get(each["PartNumber"])
            if held is None or held[1].strip('"') != each["ETag"].strip('"'):
                raise aws_error("InvalidPart", "a part could not be found", operation)
        contents = [upload.parts[number][0] for number in numbers]
        if any(len(each) < self.least_part_bytes for each in contents[:-1]):
            raise aws_error("EntityTooSmall", "a part but the last is too small", operation)
        content = b"".join(contents)
        if MpuObjectSize is not None and MpuObjectSize != len(content):
            raise aws_error("InvalidRequest", "the parts have another size together", operation)
        del self._uploads[UploadId]
        digests = b"".join(hashlib.md5(each, usedforsecurity=False).digest() for each in contents)
        return self._write(
            Bucket,
            Key,
            content,
            content_type=upload.content_type,
            etag=f'{_etag(digests)[:-1]}-{len(contents)}"',
            checksum_algorithm=upload.checksum_algorithm,
        )

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:
        self._upload(Bucket, Key, UploadId, "AbortMultipartUpload")
        del self._uploads[UploadId]
        return {}

    def list_multipart_uploads(self, *, Bucket: str) -> dict[str, Any]:
        self._bucket(Bucket, "ListMultipartUploads")
        found = [
            {"Key": upload.key, "UploadId": upload_id}
            for upload_id, upload in self._uploads.items()
            if upload.bucket == Bucket
        ]
        return {"IsTruncated": False, **({"Uploads": found} if found else {})}

    def delete_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None, IfMatch: str | None = None, **_: Any
    ) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "DeleteObject")
        versions = bucket.keys.get(Key, [])
        if IfMatch is not None and self.head_object(Bucket=Bucket, Key=Key)["ETag"] != IfMatch:
            raise aws_error("PreconditionFailed", "the object has changed", "DeleteObject")
        if VersionId is not None:
            bucket.keys[Key] = [each for each in versions if each.version_id != VersionId]
            return {"VersionId": VersionId}
        if bucket.versioned:
            marker = Version(self._version_id(bucket), None, self._clock(), "", etag="")
            bucket.keys.setdefault(Key, []).append(marker)
            return {"DeleteMarker": True, "VersionId": marker.version_id}
        bucket.keys.pop(Key, None)
        return {}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:
        if len(Delete["Objects"]) > 1_000:
            raise aws_error("MalformedXML", "more than 1000 keys", "DeleteObjects")
        deleted = []
        for each in Delete["Objects"]:
            answer = self.delete_object(Bucket=Bucket, Key=each["Key"], VersionId=each.get("VersionId"))
            if answer.get("DeleteMarker"):
                answer = {"DeleteMarker": True, "DeleteMarkerVersionId": answer["VersionId"]}
            deleted.append({"Key": each["Key"], **answer})
        return {} if Delete.get("Quiet") else {"Deleted": deleted}

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", **request: Any) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "ListObjectsV2")
        if "Delimiter" in request:
            raise NotImplementedError("Delimiter")
        after = request.get("ContinuationToken") or request.get("StartAfter") or ""
        present = [
            (key, versions[-1])
            for key, versions in sorted(bucket.keys.items(), key=lambda each: each[0].encode())
            if versions and versions[-1].content is not None and key.startswith(Prefix)
        ]
        rest = [(key, version) for key, version in present if key.encode() > after.encode()]
        most = min(request.get("MaxKeys", self.page_keys), self.page_keys)
        page = rest[:most]
        answer: dict[str, Any] = {"KeyCount": len(page), "IsTruncated": len(rest) > most, "Prefix": Prefix}
        if page:
            answer["Contents"] = [
                {
                    "Key": key,
                    "Size": len(version.content or b""),
                    "ETag": version.etag,
                    "LastModified": version.last_modified,
                }
                for key, version in page
            ]
        if len(rest) > most:
            answer["NextContinuationToken"] = page[-1][0]
        return answer

    def list_object_versions(self, *, Bucket: str, Prefix: str = "", **request: Any) -> dict[str, Any]:
        bucket = self._bucket(Bucket, "ListObjectVersions")
        entries = [
            (key, version, version is versions[-1])
            for key, versions in sorted(bucket.keys.items(), key=lambda each: each[0].encode())
            if key.startswith(Prefix)
            for version in reversed(versions)
        ]
        begin = 0
        if "KeyMarker" in request:
            marker = (request["KeyMarker"], request.get("VersionIdMarker"))
            begin = 1 + next(
                index
                for index, (key, version, _) in enumerate(entries)
                if (key, version.version_id) == marker
            )
        most = min(request.get("MaxKeys", self.page_keys), self.page_keys)
        page = entries[begin : begin + most]
        described = [
            {
                "Key": key,
                "VersionId": version.version_id,
                "IsLatest": latest,
                "LastModified": version.last_modified,
                "Size": None if version.content is None else len(version.content),
            }
            for key, version, latest in page
        ]
        answer: dict[str, Any] = {
            "IsTruncated": begin + most < len(entries),
            "Versions": [each for each in described if each["Size"] is not None],
            "DeleteMarkers": [
                {name: value for name, value in each.items() if name != "Size"}
                for each in described
                if each["Size"] is None
            ],
        }
        answer = {name: value for name, value in answer.items() if value != []}
        if answer["IsTruncated"]:
            answer["NextKeyMarker"], answer["NextVersionIdMarker"] = page[-1][0], page[-1][1].version_id
        return answer

    def copy_object(self, *, Bucket: str, Key: str, CopySource: str, **_: Any) -> dict[str, Any]:
        found = self._find(_location(CopySource), "CopyObject")
        return self.put_object(Bucket=Bucket, Key=Key, Body=found.content, ContentType=found.content_type)
