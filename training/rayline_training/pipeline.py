"""The SageMaker pipeline's definition as JSON, with no network call and the same bytes every time.

The SDK takes five seconds to import and reads its region from the environment, so it runs in a process of
its own (``python -m rayline_training.pipeline``); its answer is cached by the content that it depends on.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from rayline.errors import ConfigurationError
from rayline.names import EstateNames

PREPROCESS_STEP: Final = "Preprocess"
EVALUATE_STEP: Final = "Evaluate"
CHECK_STEP: Final = "CheckAccuracy"
REGISTER_STEP: Final = "Register"
BELOW_THRESHOLD_STEP: Final = "BelowThreshold"

BUILD_TIMEOUT_SECONDS: Final = 300.0
DEFINITION_BYTES_LIMIT: Final = 1_048_576
"""PipelineDefinition's limit, ``API_CreatePipeline``; the SDK moves definitions of 100 kB or more to S3."""


@dataclass(frozen=True)
class PipelineSettings:
    """What a stack may choose about the pipeline; numbers are the defaults of the pipeline's parameters.

    Attributes:
        image_tag: tag of the training image in ``EstateNames.repository("training")``.
        image_size: side of the square images that the network sees, in pixels.
        accuracy_threshold: least accuracy on the test images that registers a model.
        test_fraction: least share of images on the test side; patients never cross.
        spot: whether training runs on spare instances that can be taken away; it goes on from its checkpoint.
        kms_key_id: key id, ARN or alias of the de-identified zone, for volumes and outputs.
        subnet_ids, security_group_ids: network of the jobs; both or neither.
        training_limit_seconds, processing_limit_seconds: when SageMaker stops a job.
        spot_wait_seconds: how long a training waits for a spare instance, beside its own time.
    """

    image_tag: str = "0.1.0"
    image_size: int = 512
    epochs: int = 50
    batch_size: int = 32
    learning_rate: float = 0.001
    accuracy_threshold: float = 0.85
    test_fraction: float = 0.2
    seed: int = 20_240_501
    processing_instance_type: str = "ml.m5.xlarge"
    training_instance_type: str = "ml.g5.xlarge"
    evaluation_instance_type: str = "ml.m5.xlarge"
    inference_instance_type: str = "ml.m5.large"
    spot: bool = False
    kms_key_id: str | None = None
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    training_limit_seconds: int = 12 * 3600
    processing_limit_seconds: int = 2 * 3600
    spot_wait_seconds: int = 12 * 3600

    def __post_init__(self) -> None:
        """Refuse a half-given network.

        Raises:
            ConfigurationError: subnets without security groups, or the reverse.
        """
        if bool(self.subnet_ids) != bool(self.security_group_ids):
            raise ConfigurationError("give the pipeline both subnet_ids and security_group_ids, or neither")


def default_cache_folder() -> Path:
    """Where built definitions are kept between runs; deleting it only costs time."""
    return Path.home() / ".cache" / "rayline" / "pipeline"


def definition_json(
    names: EstateNames, settings: PipelineSettings | None = None, *, cache_folder: Path | None = None
) -> str:
    """Build the pipeline definition, or read it from the cache.

    Args:
        names: the stack's names; buckets, roles and the image come from it.
        settings: the stack's choices.
        cache_folder: where built definitions are kept, default ``default_cache_folder()``.

    Returns:
        The ``PipelineDefinition`` JSON of ``CreatePipeline``, byte-identical for equal arguments.

    Raises:
        ConfigurationError: the SageMaker SDK is missing or refused the definition.
    """
    request = _request_json(names, settings or PipelineSettings())
    folder = cache_folder or default_cache_folder()
    cached = folder / f"{_cache_key(request)}.json"
    if cached.is_file():
        return cached.read_text()
    definition = _build_in_process_of_its_own(request)
    _store(cached, definition)
    return definition


def _request_json(names: EstateNames, settings: PipelineSettings) -> str:
    return json.dumps({"names": asdict(names), "settings": asdict(settings)}, sort_keys=True)


def _cache_key(request: str) -> str:
    digest = hashlib.sha256(request.encode())
    here = Path(__file__).parent
    for source in (here / "pipeline.py", here / "sdk_definition.py", here / "metrics_log.py"):
        digest.update(source.read_bytes())
    try:
        digest.update(version("sagemaker").encode())
    except PackageNotFoundError:
        digest.update(b"no sdk")
    return digest.hexdigest()


def _build_in_process_of_its_own(request: str) -> str:
    region = json.loads(request)["names"]["region"]
    with tempfile.TemporaryDirectory(prefix="rayline-pipeline-") as home:
        # A closed environment: no ambient profile, proxy or credential can change the bytes, and the SDK
        # neither simulates the role's policies nor asks the instance metadata service for a region.
        environment = {
            "PATH": os.defpath,
            "HOME": home,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": "unused",
            "AWS_SECRET_ACCESS_KEY": "unused",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAGEMAKER_VALIDATE_ROLE": "false",
        }
        finished = subprocess.run(
            [sys.executable, "-m", "rayline_training.pipeline"],
            input=request,
            capture_output=True,
            text=True,
            env=environment,
            cwd=home,
            timeout=BUILD_TIMEOUT_SECONDS,
            check=False,
        )
    if finished.returncode != 0:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigurationError(
            f"the pipeline definition could not be built: {last}; install rayline-training[definition]"
        )
    definition = finished.stdout
    if len(definition.encode()) > DEFINITION_BYTES_LIMIT:
        raise ConfigurationError(
            "the pipeline definition is over SageMaker's 1 MiB; drop steps or parameters"
        )
    return definition


def _store(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, suffix=".part") as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError:
        # A read-only home costs the next build ten seconds, and nothing else.
        return


def _main() -> None:
    from rayline_training.sdk_definition import build_definition

    request: dict[str, dict[str, Any]] = json.load(sys.stdin)
    chosen = dict(request["settings"])
    for field in ("subnet_ids", "security_group_ids"):
        chosen[field] = tuple(chosen.get(field, ()))
    sys.stdout.write(build_definition(EstateNames(**request["names"]), PipelineSettings(**chosen)))


if __name__ == "__main__":
    _main()
