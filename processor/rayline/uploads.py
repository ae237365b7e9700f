"""How a file gets into the uploads bucket, whoever sends it: acknowledged means that S3 keeps it."""

from typing import IO, TYPE_CHECKING

from rayline.names import UPLOAD_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def upload_key(site: str, name: str) -> str:
    """Key of an upload of a site."""
    return f"{UPLOAD_PREFIX}{site}/{name}"


def put_upload(s3: "S3Client", bucket: str, key: str, content: IO[bytes]) -> str:
    """Upload a file of up to 5 GB from its beginning, and return its version once S3 has acknowledged it.

    Raises:
        ClientError, BotoCoreError: S3 has not.
    """
    content.seek(0)
    response = s3.put_object(
        Bucket=bucket,
        Key=key,
        Body=content,
        ContentType="application/dicom",
        # S3 keeps it, so that the intake knows a large object again without reading it.
        ChecksumAlgorithm="SHA256",
    )
    return response["VersionId"]
