"""One process that brings one large object into the imports bucket: bare, or as the intake does.

Prints what it took as JSON. Settings come as one JSON argument, AWS's environment is that of the processor's task.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from rayline.aws import Clients
from rayline.dicom.before_pixels import header_before_pixels
from rayline.dicom.identity import InstanceIdentity
from rayline.dicom.instance import Instance
from rayline.dicom.validation import screen
from rayline.fingerprints import fingerprint
from rayline.objects import put_content, stored_object

Side = Literal["bare", "rayline"]


@dataclass(frozen=True)
class Work:
    """What is to be done."""

    side: Side
    bucket: str
    key: str
    version_id: str
    target_bucket: str
    target_key: str


@dataclass(frozen=True)
class Took:
    """What it took; the process's start is not in the seconds.

    Attributes:
        peak_rss_mb: the most memory that the whole process had at once, imports included, in 10^6 bytes.
    """

    seconds: float
    peak_rss_mb: float


def bare(s3: Any, work: Work) -> None:
    """One UploadPartCopy of the whole object, and what S3 needs around it."""
    target = {"Bucket": work.target_bucket, "Key": work.target_key}
    upload_id = s3.create_multipart_upload(**target)["UploadId"]
    source = {"Bucket": work.bucket, "Key": work.key, "VersionId": work.version_id}
    part = s3.upload_part_copy(**target, UploadId=upload_id, PartNumber=1, CopySource=source)
    s3.complete_multipart_upload(
        **target,
        UploadId=upload_id,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]},
    )


class Intake:
    """The intake's path of an instance: look at it, screen, de-identify, store."""

    def __init__(self) -> None:
        import rayline_deid

        self._transform = rayline_deid.transform_instance
        settings = rayline_deid.settings_model()()
        self._context: Any = SimpleNamespace(
            site="bench",
            settings=settings,
            secret=lambda name: f"{name}: a secret of the benchmark".encode(),
        )

    def __call__(self, s3: Any, work: Work) -> None:
        """Bring the object in.

        Raises:
            RuntimeError: it was refused.
        """
        version = {"Bucket": work.bucket, "Key": work.key, "VersionId": work.version_id}
        head = s3.head_object(**version, ChecksumMode="ENABLED")
        stored = stored_object(s3, head, work.bucket, work.key, work.version_id)
        fingerprint(stored, head)
        instance = Instance(stored)
        rejection = screen(instance)
        if rejection is not None:
            raise RuntimeError(f"refused: {rejection}")
        changed = self._transform(instance, self._context)
        if not InstanceIdentity.of(header_before_pixels(changed, instance)).sop_instance_uid:
            raise RuntimeError("the de-identified object has no identity")
        put_content(s3, work.target_bucket, work.target_key, changed.source)


def peak_rss_bytes() -> int:
    """This process's own; getrusage's would begin with that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    """Do the work of the one argument."""
    work = Work(**json.loads(sys.argv[1]))
    s3: Any = Clients().s3
    act = bare if work.side == "bare" else Intake()
    s3.head_bucket(Bucket=work.target_bucket)  # credentials and connection, which a processor has
    started = time.perf_counter()
    act(s3, work)
    seconds = time.perf_counter() - started
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_rss_mb": peak_rss_bytes() / 1e6}))


if __name__ == "__main__":
    main()
