"""The estate on a local cloud of a test's own, used as its users do, and asked through nothing but AWS's APIs."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import pydicom
from boto3.dynamodb.types import TypeDeserializer

from rayline_local import running
from rayline_local.demo.processor import ProcessorProcess
from rayline_local.estate_environment import ESTATE_FILE
from rayline_local.front.services import GRANTS_FILE
from rayline_local.running import RunningFront
from rayline_local.samples import Sample
from rayline_local.tasks import process_environment, root_client

ROOT = Path(__file__).resolve().parents[2]
GRANTS = ROOT / "build" / "grants"
ACCOUNT_ID = "123456789012"
COMMAND_SECONDS = 300.0

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, *, seconds: float = 90.0, every: float = 0.05) -> T:
    """What ``look`` gives once it is true, looked at until then, for at most half of the time."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        seen = look()
        if seen:
            return seen
        now = time.monotonic()
        assert now < deadline, f"{what}: not within {seconds:g} s; last seen: {seen!r}"
        time.sleep(max(every, now - began))


def rayline(
    *arguments: str | Path,
    check: bool = True,
    cwd: Path = ROOT,
    environment: dict[str, str] | None = None,
    seconds: float = COMMAND_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, with no AWS or Rayline setting of the caller's."""
    finished = subprocess.run(
        [sys.executable, "-m", "rayline.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=cwd,
        env=process_environment({"COLUMNS": "200", **(environment or {})}),
        check=False,
    )
    if check:
        assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


def json_lines(text: str) -> list[dict[str, Any]]:
    """One document a line."""
    return [json.loads(line) for line in text.splitlines()]


def frame_checksum(content: bytes) -> int:
    """CRC-32 of the only frame of an uncompressed file, as HealthImaging states it of the decoded frame."""
    dataset = pydicom.dcmread(BytesIO(content))
    size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    return zlib.crc32(dataset.PixelData[:size])


@dataclass(frozen=True)
class ImageSet:
    """One image set as HealthImaging answers it."""

    image_set_id: str
    version: str
    metadata: dict[str, Any]

    @property
    def instances(self) -> dict[str, dict[str, Any]]:
        """Instances by SOP Instance UID."""
        found: dict[str, dict[str, Any]] = {}
        for series in self.metadata["Study"]["Series"].values():
            assert not found.keys() & series["Instances"].keys()
            found.update(series["Instances"])
        return found

    @property
    def checksums(self) -> list[int]:
        """CRC-32 of each frame."""
        return [
            frame["PixelDataChecksumFromBaseToFullResolution"][-1]["Checksum"]
            for instance in self.instances.values()
            for frame in instance["ImageFrames"]
        ]


class Account:
    """What a local account holds, read with its root key: no code of the processor's lies in between."""

    def __init__(self, front: RunningFront) -> None:
        self._front = front
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A client of the account's root."""
        if service not in self._clients:
            self._clients[service] = root_client(self._front, service)
        return self._clients[service]

    def bucket(self, kind: str) -> str:
        """A bucket's name."""
        return f"rayline-local-{kind}-{ACCOUNT_ID}"

    def object_versions(self, kind: str) -> list[tuple[str, str]]:
        """Key and version id of every object version."""
        pages = self.client("s3").get_paginator("list_object_versions").paginate(Bucket=self.bucket(kind))
        return [(each["Key"], each["VersionId"]) for page in pages for each in page.get("Versions", [])]

    def objects(self, kind: str, prefix: str = "") -> dict[str, bytes]:
        """Every object by key; what is deleted while it is listed is left out."""
        s3 = self.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket(kind), Prefix=prefix)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        found = {}
        for key in keys:
            with contextlib.suppress(s3.exceptions.NoSuchKey):
                found[key] = s3.get_object(Bucket=self.bucket(kind), Key=key)["Body"].read()
        return found

    def quarantine(self) -> dict[str, dict[str, Any]]:
        """Each entry's record by entry id; a record without its object fails.

        The record is written last, so an object alone is an entry that is just being made.
        """
        held = {key: body for key, body in self.objects("quarantine").items() if "/parked/" not in key}
        records = {key: json.loads(held[key]) for key in held if key.endswith("/reason.json")}
        for key in records:
            assert key.replace("/reason.json", "/object") in held, f"{key} has no object beside it"
        return {key.split("/")[1]: record for key, record in records.items()}

    def items(self, table: str, kind: str | None = None, *attributes: str) -> list[dict[str, Any]]:
        """Every item of a table, or those of one type; with these attributes alone where any are named."""
        read = TypeDeserializer().deserialize
        names = {
            f"#{number}": name for number, name in enumerate((*attributes, "type") if attributes else ())
        }
        projection = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        scan = self.client("dynamodb").get_paginator("scan")
        pages = scan.paginate(TableName=f"rayline-local-{table}", **(projection if names else {}))
        items = [{name: read(v) for name, v in item.items()} for page in pages for item in page["Items"]]
        return [item for item in items if kind in (None, item.get("type"))]

    def stages(self) -> Counter[str]:
        """Instances of the ledger by stage."""
        return Counter(item["stage"] for item in self.items("image-tracking", "instance", "stage"))

    def batches(self) -> dict[str, str]:
        """State by batch id."""
        items = self.items("image-tracking", "batch", "batch_id", "state")
        return {item["batch_id"]: item["state"] for item in items}

    @property
    def datastore_id(self) -> str:
        """The only data store."""
        (store,) = self.client("medical-imaging").list_datastores()["datastoreSummaries"]
        return str(store["datastoreId"])

    def image_sets(self) -> list[ImageSet]:
        """Every image set with its metadata document."""
        client, store = self.client("medical-imaging"), self.datastore_id
        found = []
        for page in client.get_paginator("search_image_sets").paginate(datastoreId=store):
            for summary in page["imageSetsMetadataSummaries"]:
                image_set_id = summary["imageSetId"]
                blob = client.get_image_set_metadata(datastoreId=store, imageSetId=image_set_id)
                metadata = json.loads(gzip.decompress(blob["imageSetMetadataBlob"].read()))
                found.append(ImageSet(image_set_id, str(summary["version"]), metadata))
        return found

    def import_successes(self) -> Counter[str]:
        """How often each file was imported, after the manifests of all jobs."""
        return Counter(
            line["inputFile"].rsplit("/", 1)[-1].removesuffix(".dcm")
            for key, body in self.objects("imports", "import-results/").items()
            if key.endswith("/SUCCESS/success.ndjson")
            for line in json_lines(body.decode())
        )

    def executions(self) -> list[dict[str, Any]]:
        """Every pipeline execution."""
        answer = self.client("sagemaker").list_pipeline_executions(PipelineName="rayline-local-training")
        return list(answer["PipelineExecutionSummaries"])

    def model_packages(self) -> list[dict[str, Any]]:
        """Every registered model."""
        answer = self.client("sagemaker").list_model_packages(ModelPackageGroupName="rayline-local-pneumonia")
        return list(answer["ModelPackageSummaryList"])


class OwnEstate:
    """A local cloud in a folder, the estate in it, and the processor that works in it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.state_dir = folder / "cloud"
        self.log_path = folder / "processor.log"
        self._settings = settings

    def up(self) -> None:
        """Start the cloud and apply the estate, as a person does."""
        settings = [f"--set=rayline:{name}={value}" for name, value in self._settings.items()]
        rayline("local", "up", "--port", "0", "--state-dir", self.state_dir, *settings)
        self.front = running.require_running(self.state_dir)
        self.account = Account(self.front)
        self.processor = ProcessorProcess(self.front, "rayline-local-processor", self.log_path)

    def down(self) -> None:
        """Stop the cloud; its state stays."""
        rayline("local", "down", "--state-dir", self.state_dir)

    def __enter__(self) -> OwnEstate:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.processor.kill()
        self.down()
        self._keep_grants()

    def _keep_grants(self) -> None:
        """Keep what the roles were granted and what they used, for the proof of least privilege."""
        kept = GRANTS / uuid.uuid4().hex
        kept.mkdir(parents=True)
        for name in (ESTATE_FILE, GRANTS_FILE):
            shutil.copy(self.state_dir / name, kept / name)

    def operator(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a verb as an operator."""
        return rayline("--env-file", self.state_dir / "env", *arguments, check=check)

    def upload(self, samples: Iterable[Sample]) -> int:
        """Send files as their sender, with `rayline upload`; returns how many S3 acknowledged."""
        folder = self.folder / "input"
        paths: list[Path] = []
        for sample in samples:
            path = folder / sample.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.content)
            paths.append(path)
        environment = {
            "RAYLINE_ENV_FILE": str(self.state_dir / "env"),
            **self.front.role_environment("uploader"),
        }
        sent = json_lines(rayline("upload", "--json", *paths, environment=environment).stdout)
        return sum(1 for each in sent if each["version_id"])

    def faults(self, **switches: object) -> None:
        """Set HealthImaging's fault switches, all others off."""
        body = json.dumps({"healthimaging": switches}).encode()
        request = urllib.request.Request(
            f"{self.front.endpoint_url}/_rayline/faults", data=body, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 200

    def send_message(self, body: str) -> None:
        """Put a message straight into the event queue."""
        sqs = self.account.client("sqs")
        url = sqs.get_queue_url(QueueName="rayline-local-events")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def queue_is_empty(self) -> bool:
        """Whether no message is visible, in flight or delayed."""
        sqs = self.account.client("sqs")
        url = sqs.get_queue_url(QueueName="rayline-local-events")["QueueUrl"]
        names = [f"ApproximateNumberOfMessages{suffix}" for suffix in ("", "NotVisible", "Delayed")]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return all(int(answer[name]) == 0 for name in names)

    def everything_settled(self, uploaded: int) -> bool:
        """Whether every upload was screened and every batch is accounted for."""
        self.processor.check()
        return self.account.stages().total() >= uploaded and set(self.account.batches().values()) <= {
            "accounted"
        }

    def verify(self, labels: dict[str, str]) -> None:
        """Verify image sets by id as a radiologist who has a list."""
        lines = ["image_set_id,label", *(f"{key},{label}" for key, label in labels.items())]
        path = self.folder / "verified.csv"
        path.write_text("\n".join(lines) + "\n")
        self.operator("verify", "--from", path)


def accepted(samples: Sequence[Sample]) -> list[Sample]:
    """The files that must be imported."""
    return [each for each in samples if each.refused_for is None]
