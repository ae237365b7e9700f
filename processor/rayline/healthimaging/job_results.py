"""What an import job says of each file: its SUCCESS, FAILURE and WARNING manifests.

Source: AWS HealthImaging developer guide, "Understanding import jobs": the output folder holds
``job-output-manifest.json`` and newline-delimited JSON per outcome. A COMPLETED job can hold failed files.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class JobResults:
    """Outcomes by file key.

    Attributes:
        image_set_of: key of each imported file to its image set.
        failures: key of each refused file to HealthImaging's exception type.
    """

    image_set_of: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def read_job_results(s3: "S3Client", output_s3_uri: str) -> JobResults:
    """Read every line of a job's manifests; a manifest that is absent has no lines.

    Args:
        output_s3_uri: the job's own folder, as GetDICOMImportJob and the job's event give it.
    """
    bucket, prefix = split_s3_uri(output_s3_uri)
    prefix = prefix.rstrip("/") + "/"
    results = JobResults()
    for line in _lines(s3, bucket, f"{prefix}SUCCESS/success.ndjson"):
        results.image_set_of[_key(line)] = line["importResponse"]["imageSetId"]
    for line in _lines(s3, bucket, f"{prefix}FAILURE/failure.ndjson"):
        results.failures[_key(line)] = str(line.get("exception", {}).get("exceptionType", "unknown"))
    return results


def _key(line: dict[str, Any]) -> str:
    file = str(line["inputFile"])
    return split_s3_uri(file)[1] if file.startswith("s3://") else file


def _lines(s3: "S3Client", bucket: str, key: str) -> Iterator[dict[str, Any]]:
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            return
        raise
    for line in body.iter_lines():
        if line:
            yield json.loads(line)
