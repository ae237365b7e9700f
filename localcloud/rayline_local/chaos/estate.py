"""A chaos run's own estate: short leases, a PACS as destination, and the processor's tasks in it."""

import json
import shutil
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import yaml

from rayline.names import UPLOAD_PREFIX, EstateNames
from rayline.settings import use_environment_file
from rayline_local import running
from rayline_local.chaos.inputs import Upload
from rayline_local.chaos.pacs import AE_TITLE, Pacs
from rayline_local.chaos.plan import Plan
from rayline_local.commands import bring_down, bring_up
from rayline_local.demo.processor import ProcessorProcess
from rayline_local.tasks import process_environment, role_client, root_client, task_environment

_PATIENCE_SECONDS: Final = 60.0
_PROFILE: Final = "config/site/chaos.yaml"
#: short leases, so that what a kill leaves behind is taken up again within seconds
_SETTINGS: Final = {
    "siteProfile": _PROFILE,
    "batchQuietSeconds": "1",
    "studyQuietSeconds": "2",
    "parkAfterSeconds": "5",
    "leaseSeconds": "3",
    "clockSkewSeconds": "1",
    "visibilitySeconds": "6",
    "imageSize": "32",
    "epochs": "6",
    # So that a model is registered more often than not: how good it is, another run proves.
    "accuracyThreshold": "0.5",
}


class ChaosEstate:
    """A local cloud in a folder, the estate in it, a PACS beside it, and the processor's tasks."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._state_dir = folder / "cloud"
        self.logs = folder / "logs"

    def __enter__(self) -> "ChaosEstate":
        self._start_afresh()
        self.pacs = Pacs(self._folder / "pacs", self.logs / "pacs.log")
        self._write_profile()
        settings = {
            **_SETTINGS,
            "workers": str(self._plan.workers),
            # The last verifications of a run start a training, while kills go on or right after.
            "verifiedPerTraining": str(max(2, self._plan.verified * 3 // 4)),
        }
        outputs = bring_up(
            self._state_dir,
            port=0,
            overrides={f"rayline:{name}": value for name, value in settings.items()},
        )
        self.front = running.require_running(self._state_dir)
        use_environment_file(self._state_dir / "env")
        self.datastore_id: str = outputs["datastore_id"]
        self.names = EstateNames(self.front.stack, self.front.account_id, self.front.region)
        self._uploader = role_client(self.front, "s3", self.names.role("uploader"))
        self._events = root_client(self.front, "events")
        self.task_environment = process_environment(
            task_environment(self.front, outputs["processor_task_definition_arn"])
        )
        self.tasks = [
            ProcessorProcess(
                self.front,
                outputs["processor_task_definition_arn"],
                self.logs / f"processor-{number}.log",
                self._folder,
            )
            for number in range(self._plan.tasks)
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self.tasks:
            task.kill()
        self.pacs.stop()
        bring_down(self._state_dir)

    def _start_afresh(self) -> None:
        if running.find_running(self._state_dir) is not None:
            bring_down(self._state_dir)
        shutil.rmtree(self._folder, ignore_errors=True)
        self.logs.mkdir(parents=True)

    def _write_profile(self) -> None:
        """The local stack's site profile with the PACS as its one destination."""
        profile = yaml.safe_load(Path("config/site/local.yaml").read_text())
        for plugin in profile["plugins"]:
            if plugin["name"] == "pacs_forward":
                plugin["settings"] = {
                    "destinations": [
                        {"name": "chaos", "ae_title": AE_TITLE, "host": "127.0.0.1", "port": self.pacs.port}
                    ],
                    "connect_seconds": 2,
                }
        path = self._folder / _PROFILE
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump(profile))

    def upload(self, upload: Upload, site: str) -> None:
        """Send one object as its sender; returns once S3 has acknowledged it."""
        self._uploader.put_object(
            Bucket=self.names.bucket("uploads"),
            Key=f"{UPLOAD_PREFIX}{site}/{upload.name}",
            Body=upload.content,
            ContentType="application/dicom",
        )

    def set_faults(self, document: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the stand-ins' fault switches."""
        request = urllib.request.Request(  # noqa: S310 - the front's own loopback address
            f"{self.front.endpoint_url}/_rayline/faults", data=json.dumps(document).encode(), method="PUT"
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS):  # noqa: S310
            pass

    def tell_of_uploads(self, enabled: bool) -> None:
        """Switch the rule of uploaded objects, whose events are lost while it is off."""
        rule = self.names.rule("uploaded")
        if enabled:
            self._events.enable_rule(Name=rule)
        else:
            self._events.disable_rule(Name=rule)

    def heal(self) -> None:
        """End every fault; what was broken off stays broken off."""
        self.set_faults({service: {} for service in self.front.ask("faults")})
        self.tell_of_uploads(True)
        self.pacs.be("up")

    def keep_logs(self) -> Sequence[Path]:
        """Copy the local cloud's own logs beside the processor's."""
        copied = []
        for path in (*self._state_dir.glob("log/*"), *self._state_dir.glob("sagemaker/logs/*")):
            copied.append(Path(shutil.copy(path, self.logs / f"cloud-{path.name}")))
        return copied
