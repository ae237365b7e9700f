"""Tags uploaded originals of which HealthImaging has the image, so that the bucket's lifecycle may end them.

Only here do an upload's key and what became of it meet: the ledger keeps no key that a sender chose. An original
that nobody tags stays, so a tag that is late or lost costs storage and no image. Source: Amazon S3 user guide,
"Examples of S3 Lifecycle configurations", filter by tags.
"""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rayline.events import Uploaded
from rayline.names import UPLOAD_IMPORTED, UPLOAD_STATE_TAG
from rayline.objects import is_gone

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PARALLEL = 8


class Originals:
    """The uploaded versions of one site."""

    def __init__(self, s3: "S3Client") -> None:
        self._s3 = s3

    def tag_imported(self, uploads: Collection[Uploaded]) -> None:
        """Tag versions that are not tagged yet; safe to repeat.

        What somebody deleted meanwhile needs no tag. Reading a tag costs a twelfth of writing it, and each write is
        copied to the archive, so that a tag is written once.

        Raises:
            ClientError: S3 refused for another reason.
        """
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="tag") as executor:
            for _ in executor.map(self._tag, uploads):
                pass

    def _tag(self, upload: Uploaded) -> None:
        version: Any = {"Bucket": upload.bucket, "Key": upload.key, "VersionId": upload.version_id}
        wanted: Any = {"Key": UPLOAD_STATE_TAG, "Value": UPLOAD_IMPORTED}
        try:
            tags = self._s3.get_object_tagging(**version)["TagSet"]
            if wanted not in tags:
                others = [tag for tag in tags if tag["Key"] != UPLOAD_STATE_TAG]
                self._s3.put_object_tagging(**version, Tagging={"TagSet": [*others, wanted]})
        except ClientError as error:
            if not is_gone(error):
                raise
