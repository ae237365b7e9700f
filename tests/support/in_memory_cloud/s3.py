"""S3 in memory: buckets with and without versions, conditional puts, and lists in pages."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from botocore.response import StreamingBody
from support.in_memory_cloud.calls import aws_error

MAX_KEY_BYTES = 1024


@dataclass(frozen=True)
class Version:
    """One version of an object; ``content`` is None for a delete marker."""

    version_id: str
    content: bytes | None = field(repr=False)
    last_modified: datetime
    content_type: str

    @property
    def etag(self) -> str:
        """The ETag of a simple put."""
        return f'"{hashlib.md5(self.content or b"", usedforsecurity=False).hexdigest()}"'


@dataclass
class _Bucket:
    """Versions by key, newest last; an unversioned bucket keeps one."""

    versioned: bool = False
    keys: dict[str, list[Version]] = field(default_factory=dict)


class InMemoryS3:
    """The operations of the client that Rayline uses.

    Attributes:
        page_keys: keys a page of a list has at most, so that pages occur with few objects.
        changed: called with bucket, key and version after each put, as S3's events are.
    """

    def __init__(self, clock: Callable[[], datetime], page_keys: int = 1_000) -> None:
        self._clock = clock
        self.page_keys = page_keys
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
        version = self._version(bucket, content, request.get("ContentType", "binary/octet-stream"))
        if not bucket.versioned:
            versions.clear()
        versions.append(version)
        for changed in self.changed:
            changed(Bucket, Key, version.version_id, len(content))
        answer: dict[str, Any] = {"ETag": version.etag}
        return {**answer, "VersionId": version.version_id} if bucket.versioned else answer

    def _version(self, bucket: _Bucket, content: bytes | None, content_type: str = "") -> Version:
        version_id = f"{next(self._numbers):032x}" if bucket.versioned else "null"
        return Version(version_id, content, self._clock(), content_type)

    def get_object(self, **request: Any) -> dict[str, Any]:
        version = self._find(request, "GetObject")
        content = version.content or b""
        body = StreamingBody(io.BytesIO(content), len(content))
        return {"Body": body, **self._described(request, version)}

    def head_object(self, **request: Any) -> dict[str, Any]:
        try:
            return self._described(request, self._find(request, "HeadObject"))
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
            return found
        if not versions or versions[-1].content is None:
            raise aws_error("NoSuchKey", "The specified key does not exist.", operation)
        return versions[-1]

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
            marker = self._version(bucket, None)
            bucket.keys.setdefault(Key, []).append(marker)
            return {"DeleteMarker": True, "VersionId": marker.version_id}
        bucket.keys.pop(Key, None)
        return {}

    def delete_objects(self, *, Bucket: str, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:
        if len(Delete["Objects"]) > 1_000:
            raise aws_error("MalformedXML", "more than 1000 keys", "DeleteObjects")
        for each in Delete["Objects"]:
            self.delete_object(Bucket=Bucket, Key=each["Key"], VersionId=each.get("VersionId"))
        return (
            {} if Delete.get("Quiet") else {"Deleted": [{"Key": each["Key"]} for each in Delete["Objects"]]}
        )

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

    def copy_object(self, *, Bucket: str, Key: str, CopySource: Any, **_: Any) -> dict[str, Any]:
        source = CopySource if isinstance(CopySource, dict) else None
        if source is None:
            raise NotImplementedError("CopySource as text")
        found = self._find(source, "CopyObject")
        return self.put_object(Bucket=Bucket, Key=Key, Body=found.content, ContentType=found.content_type)
