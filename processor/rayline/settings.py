"""Settings of the processor and its command, read once from the environment and then passed in."""

import os
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from rayline.environment import ENVIRONMENT_PREFIX, SECRET_PREFIX, load_environment_file
from rayline.errors import ConfigurationError


class Settings(BaseSettings):
    """What the processor needs to know of its estate; the task definition's environment carries each field.

    A field ``queue_url`` is read from ``RAYLINE_QUEUE_URL``. Secrets come as ``RAYLINE_SECRET_<NAME>``.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="ignore")

    site: str = Field(
        description="the hospital site that this processor serves", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$"
    )
    stack: str = Field(description="the Pulumi stack, e.g. dev")
    queue_url: str = Field(description="URL of the event queue")
    dead_letter_queue_url: str = Field(description="URL of the dead-letter queue")
    max_receive_count: int = Field(
        default=5, ge=1, description="receipts after which a message that fails is dead-lettered"
    )
    event_bus: str = Field(description="name of the custom event bus")
    uploads_bucket: str = Field(description="bucket that receives DICOM (identified)")
    quarantine_bucket: str = Field(description="bucket that keeps refused input (identified)")
    imports_bucket: str = Field(description="bucket of the import batches (de-identified)")
    preprocessed_bucket: str = Field(description="bucket of data sets (de-identified)")
    models_bucket: str = Field(description="bucket of model artifacts (de-identified)")
    reports_bucket: str = Field(description="bucket of evaluation reports (de-identified)")
    image_tracking_table: str = Field(description="the instance ledger's table")
    effects_table: str = Field(description="the effect ledger's table")
    model_metrics_table: str = Field(description="the model metrics' table")
    datastore_id: str = Field(description="id of the HealthImaging data store")
    import_role_arn: str = Field(description="role that HealthImaging assumes to read a batch")
    pipeline_name: str = Field(description="name of the SageMaker pipeline")
    model_package_group: str = Field(description="name of the model package group")
    endpoint_model: str = Field(
        default="", description="group and version of the model that the endpoint serves, empty where none"
    )
    site_profile: Path = Field(description="YAML file with the site's identity mode and plugins")
    verified_per_training: int = Field(
        default=100, ge=1, description="verified image sets that start a training"
    )
    batch_quiet_seconds: float = Field(
        default=30.0, gt=0, description="an import batch is sealed after this quiet"
    )
    study_quiet_seconds: float = Field(
        default=120.0, gt=0, description="a study is complete after this quiet"
    )
    park_after_seconds: float = Field(
        default=60.0,
        gt=0,
        description="an effect that waits this long or longer waits in the ledger, not in the queue",
    )
    lease_seconds: float = Field(default=60.0, gt=0, description="how long a claim holds without a heartbeat")
    clock_skew_seconds: float = Field(default=60.0, ge=0, description="clock difference that leases tolerate")
    visibility_seconds: int = Field(
        default=120, ge=5, le=43_200, description="SQS visibility of a message at work"
    )
    workers: int = Field(default=2, ge=1, le=64, description="worker processes")
    health_port: int = Field(
        default=0, ge=0, le=65_535, description="loopback port of the health check; 0 serves none"
    )

    @classmethod
    def environment_name(cls, field: str) -> str:
        """The environment variable that carries a field."""
        return ENVIRONMENT_PREFIX + field.upper()


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigurationError: a setting is missing or wrong; the message names the variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = ", ".join(
            f"{Settings.environment_name(str(problem['loc'][0]))} ({problem['msg'].lower()})"
            for problem in error.errors()
        )
        raise ConfigurationError(
            f"settings missing or wrong: {problems}; set them, or run `rayline local up` for a local estate"
        ) from None


def traces_endpoint() -> str | None:
    """Where an OpenTelemetry collector takes traces, if one does; OpenTelemetry's own variable."""
    return os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None


def load_secrets() -> dict[str, SecretStr]:
    """Secrets by lower-case name, as ECS injects them: ``RAYLINE_SECRET_DEID`` becomes ``deid``."""
    return {
        name.removeprefix(SECRET_PREFIX).lower(): SecretStr(value)
        for name, value in os.environ.items()
        if name.startswith(SECRET_PREFIX) and value
    }


def use_environment_file(path: Path) -> None:
    """Make a dotenv file all that the environment says of AWS and Rayline, whatever it said before.

    ``RAYLINE_DATA``, where the real images lie, stays.
    """
    for name in list(os.environ):
        if name.startswith(("AWS_", "RAYLINE_")) and name != "RAYLINE_DATA":
            del os.environ[name]
    load_environment_file(path)


def site_profile_path() -> Path | None:
    """The site profile that the environment names, if it does."""
    path = os.environ.get(Settings.environment_name("site_profile"))
    return Path(path) if path else None


def data_root() -> Path:
    """Folder of the real images, ``$RAYLINE_DATA`` or ``../shared/data``; it may be absent."""
    return Path(os.environ.get("RAYLINE_DATA", "../shared/data"))
