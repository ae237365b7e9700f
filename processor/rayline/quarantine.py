"""Quarantine: what was refused stays whole, with a reason for machines and one for people."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from rayline.dynamodb import timestamp
from rayline.errors import RaylineError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class NotInQuarantine(RaylineError):
    """There is nothing in quarantine by that id."""


@dataclass(frozen=True)
class QuarantineRecord:
    """Why something was refused. The record lies in the identified zone and may name the sender's key.

    Attributes:
        origin_key: the key in the uploads bucket, empty for a message.
        origin_version_id: its version.
    """

    entry_id: str
    site: str
    stage: str
    reason: str
    explanation: str
    quarantined_at: str
    size_bytes: int
    origin_bucket: str = ""
    origin_key: str = ""
    origin_version_id: str = ""


class Quarantine:
    """Keeps refused objects and messages under ``{site}/{id}/`` of the quarantine bucket."""

    def __init__(self, s3: "S3Client", bucket: str, *, site: str, clock: Callable[[], datetime]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._site = site
        self._clock = clock

    def keep(
        self,
        entry_id: str,
        content: bytes,
        *,
        stage: str,
        reason: str,
        explanation: str,
        origin: tuple[str, str, str] = ("", "", ""),
    ) -> QuarantineRecord:
        """Store content and record; repeating it overwrites the same two objects with the same content."""
        bucket, key, version_id = origin
        record = QuarantineRecord(
            entry_id=entry_id,
            site=self._site,
            stage=stage,
            reason=reason,
            explanation=explanation,
            quarantined_at=timestamp(self._clock()),
            size_bytes=len(content),
            origin_bucket=bucket,
            origin_key=key,
            origin_version_id=version_id,
        )
        self._s3.put_object(Bucket=self._bucket, Key=f"{self._site}/{entry_id}/object", Body=content)
        # The record comes last: an entry with a record is whole.
        self._s3.put_object(
            Bucket=self._bucket,
            Key=f"{self._site}/{entry_id}/reason.json",
            Body=json.dumps(asdict(record), sort_keys=True).encode(),
            ContentType="application/json",
        )
        return record

    def record(self, entry_id: str) -> QuarantineRecord:
        """The record of one entry.

        Raises:
            NotInQuarantine: there is none.
        """
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=f"{self._site}/{entry_id}/reason.json")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                raise NotInQuarantine(
                    f"nothing in quarantine by the id {entry_id}; `rayline quarantine list` shows what there is"
                ) from None
            raise
        return QuarantineRecord(**json.loads(response["Body"].read()))

    def content(self, entry_id: str) -> bytes:
        """The refused bytes."""
        return self._s3.get_object(Bucket=self._bucket, Key=f"{self._site}/{entry_id}/object")["Body"].read()

    def records(self) -> Iterator[QuarantineRecord]:
        """Every record of the site."""
        for page in self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._site}/"
        ):
            for entry in page.get("Contents", []):
                if entry["Key"].endswith("/reason.json"):
                    yield self.record(entry["Key"].split("/")[1])

    def forget(self, record: QuarantineRecord) -> None:
        """Take an entry's record out, unless it came in again since ``record`` was read; its content may stay."""
        key = f"{self._site}/{record.entry_id}/reason.json"
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=key)
            if QuarantineRecord(**json.loads(response["Body"].read())) == record:
                self._s3.delete_object(Bucket=self._bucket, Key=key, IfMatch=response["ETag"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in (
                "NoSuchKey",
                "404",
                "PreconditionFailed",
                "412",
            ):
                raise

    def remove(self, entry_id: str) -> None:
        """Delete an entry; its versions stay until the bucket's lifecycle ends them."""
        for name in ("reason.json", "object"):
            self._s3.delete_object(Bucket=self._bucket, Key=f"{self._site}/{entry_id}/{name}")
