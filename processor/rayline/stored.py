"""Finding the de-identified instances that an *ingested* event is about."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from rayline.events import Ingested
from rayline.healthimaging.job_results import read_job_results
from rayline.imports import file_key, instance_id_of
from rayline.instances import InstanceLedger
from rayline.plugin import StoredInstance

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ImportedInstances:
    """Instances as they lie in the import batches, de-identified."""

    def __init__(self, s3: "S3Client", ledger: InstanceLedger, imports_bucket: str) -> None:
        self._s3 = s3
        self._ledger = ledger
        self._imports_bucket = imports_bucket

    def for_event(self, event: Ingested) -> Iterator[StoredInstance]:
        """What the event's job imported, or what its image set holds as far as the ledger knows."""
        if event.subject == "import_job":
            if event.output_s3_uri is None:
                return
            results = read_job_results(self._s3, event.output_s3_uri)
            for key in sorted(results.image_set_of):
                item = self._ledger.instance(instance_id_of(key))
                if item is not None:
                    yield self._stored(item["sop_instance_uid"], key)
        elif event.image_set_id is not None:
            for item in self._ledger.instances_of(event.image_set_id):
                yield self._stored(item["sop_instance_uid"], file_key(item["batch_id"], item["instance_id"]))

    def _stored(self, sop_instance_uid: str, key: str) -> StoredInstance:
        return StoredInstance(sop_instance_uid, partial(self._read, key))

    def _read(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self._imports_bucket, Key=key)["Body"].read()
