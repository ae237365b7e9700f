"""What a stack decides for itself, read from Pulumi config and checked before anything is built."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pulumi

from rayline.errors import ConfigurationError

T = TypeVar("T")

NAMESPACE = "rayline"


@dataclass(frozen=True)
class TrainingSettings:
    """Defaults of the training pipeline's parameters; one execution may override them."""

    accuracy_threshold: float
    image_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    test_fraction: float
    seed: int
    processing_instance_type: str
    training_instance_type: str
    evaluation_instance_type: str


@dataclass(frozen=True)
class ProcessorSettings:
    """Size of the processor's task and what its environment tells it."""

    cpu_units: int
    memory_mib: int
    image_tag: str
    site_profile: str
    verified_per_training: int
    batch_quiet_seconds: float
    lease_seconds: float
    clock_skew_seconds: float
    visibility_seconds: int
    study_quiet_seconds: float
    park_after_seconds: float
    workers: int
    health_port: int


@dataclass(frozen=True)
class RetentionSettings:
    """How long the estate keeps what it no longer works on, in days."""

    upload_days: int
    quarantine_days: int
    batch_days: int
    log_days: int
    secret_recovery_days: int


@dataclass(frozen=True)
class StackSettings:
    """Everything that one stack decides."""

    stack: str
    account_id: str
    region: str
    site: str
    deletion_protection: bool
    operator_principal_pattern: str
    reviewer_principal_pattern: str
    uploader_principal_pattern: str
    processor: ProcessorSettings
    training: TrainingSettings
    retention: RetentionSettings


class _Reader:
    """Reads settings one by one and keeps every problem, so that one run reports all of them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def _read(self, key: str, example: str, parse: Callable[[str], T], placeholder: T) -> T:
        namespace, _, name = key.rpartition(":")
        raw = pulumi.Config(namespace or NAMESPACE).get(name)
        full = f"{namespace or NAMESPACE}:{name}"
        if raw is None or raw == "":
            self.problems.append(f"{full} is missing; set it: pulumi config set {full} {example}")
            return placeholder
        try:
            return parse(raw)
        except ValueError as error:
            self.problems.append(f"{full} is wrong: {error}; for example: pulumi config set {full} {example}")
            return placeholder

    def text(self, key: str, example: str, pattern: str = r".+") -> str:
        def parse(raw: str) -> str:
            if not re.fullmatch(pattern, raw):
                raise ValueError(f"it must match {pattern}")
            return raw

        return self._read(key, example, parse, "")

    def integer(self, key: str, example: int, least: int, most: int) -> int:
        def parse(raw: str) -> int:
            try:
                value = int(raw)
            except ValueError:
                raise ValueError("it must be a whole number") from None
            if not least <= value <= most:
                raise ValueError(f"it must be from {least} to {most}")
            return value

        return self._read(key, str(example), parse, least)

    def number(self, key: str, example: float, least: float, most: float) -> float:
        def parse(raw: str) -> float:
            try:
                value = float(raw)
            except ValueError:
                raise ValueError("it must be a number") from None
            if not least <= value <= most:
                raise ValueError(f"it must be from {least:g} to {most:g}")
            return value

        return self._read(key, f"{example:g}", parse, least)

    def flag(self, key: str, example: bool) -> bool:
        def parse(raw: str) -> bool:
            if raw not in ("true", "false"):
                raise ValueError("it must be true or false")
            return raw == "true"

        return self._read(key, str(example).lower(), parse, False)


INSTANCE_TYPE = r"(ml\.[a-z0-9-]+\.[a-z0-9]+|local)"
PRINCIPAL = r"arn:aws:(iam|sts)::(\d{12}|\*):.+"


def load_stack_settings() -> StackSettings:
    """Read the settings of the stack that Pulumi is running.

    No setting has a default: what a stack does is written down in its ``Pulumi.<stack>.yaml``.

    Raises:
        ConfigurationError: settings are missing or wrong; the message names each one with an example.
    """
    reader = _Reader()
    settings = StackSettings(
        stack=pulumi.get_stack(),
        account_id=reader.text("accountId", "123456789012", r"\d{12}"),
        region=reader.text("aws:region", "us-east-1", r"[a-z]{2}(-[a-z]+)+-\d"),
        site=reader.text("site", "hospital-a", r"[a-z0-9][a-z0-9-]{0,31}"),
        deletion_protection=reader.flag("deletionProtection", True),
        operator_principal_pattern=reader.text(
            "operatorPrincipalPattern", "arn:aws:iam::123456789012:role/Operators", PRINCIPAL
        ),
        reviewer_principal_pattern=reader.text(
            "reviewerPrincipalPattern", "arn:aws:iam::123456789012:role/Reviewers", PRINCIPAL
        ),
        uploader_principal_pattern=reader.text(
            "uploaderPrincipalPattern", "arn:aws:iam::123456789012:role/Modalities", PRINCIPAL
        ),
        processor=_processor(reader),
        training=_training(reader),
        retention=_retention(reader),
    )
    if not any(
        "processorCpuUnits" in problem or "processorMemoryMib" in problem for problem in reader.problems
    ):
        reader.problems += _task_size_problems(settings.processor)
    if reader.problems:
        raise ConfigurationError("stack settings: " + "; ".join(reader.problems))
    return settings


# CPU units: (least MiB, most MiB, step), AWS Fargate user guide, "Task CPU and memory".
FARGATE_SIZES = {
    256: (512, 2048, 512),
    512: (1024, 4096, 1024),
    1024: (2048, 8192, 1024),
    2048: (4096, 16_384, 1024),
    4096: (8192, 30_720, 1024),
    8192: (16_384, 61_440, 4096),
    16_384: (32_768, 122_880, 8192),
}


def _task_size_problems(processor: ProcessorSettings) -> list[str]:
    cpu_units, memory_mib = processor.cpu_units, processor.memory_mib
    if cpu_units not in FARGATE_SIZES:
        sizes = ", ".join(str(size) for size in FARGATE_SIZES)
        return [
            f"rayline:processorCpuUnits is wrong: Fargate has {sizes}; "
            "for example: pulumi config set rayline:processorCpuUnits 2048"
        ]
    least, most, step = FARGATE_SIZES[cpu_units]
    if least <= memory_mib <= most and memory_mib % step == 0:
        return []
    return [
        f"rayline:processorMemoryMib is wrong: with {cpu_units} CPU units Fargate has {least} to {most} in "
        f"steps of {step}; for example: pulumi config set rayline:processorMemoryMib {least}"
    ]


def _processor(reader: _Reader) -> ProcessorSettings:
    return ProcessorSettings(
        cpu_units=reader.integer("processorCpuUnits", 2048, 256, 16_384),
        memory_mib=reader.integer("processorMemoryMib", 4096, 512, 122_880),
        image_tag=reader.text("processorImageTag", "0.1.0", r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"),
        site_profile=reader.text(
            "siteProfile", "config/site/hospital-a.yaml", r"config/site/[A-Za-z0-9._-]+\.yaml"
        ),
        verified_per_training=reader.integer("verifiedPerTraining", 500, 1, 1_000_000),
        batch_quiet_seconds=reader.number("batchQuietSeconds", 30, 0.1, 3600),
        lease_seconds=reader.number("leaseSeconds", 60, 1, 3600),
        clock_skew_seconds=reader.number("clockSkewSeconds", 60, 0, 600),
        # SQS allows at most 12 hours.
        visibility_seconds=reader.integer("visibilitySeconds", 120, 5, 43_200),
        study_quiet_seconds=reader.number("studyQuietSeconds", 120, 0.1, 86_400),
        # Below this, a waiting event goes round in the queue; SQS delays a message by 15 minutes at most.
        park_after_seconds=reader.number("parkAfterSeconds", 60, 1, 900),
        workers=reader.integer("workers", 2, 1, 64),
        health_port=reader.integer("healthPort", 8080, 0, 65_535),
    )


def _training(reader: _Reader) -> TrainingSettings:
    return TrainingSettings(
        accuracy_threshold=reader.number("accuracyThreshold", 0.85, 0.5, 1),
        image_size=reader.integer("imageSize", 512, 32, 4096),
        epochs=reader.integer("epochs", 50, 1, 1000),
        batch_size=reader.integer("batchSize", 32, 1, 1024),
        learning_rate=reader.number("learningRate", 0.001, 1e-7, 1),
        test_fraction=reader.number("testFraction", 0.2, 0.05, 0.5),
        seed=reader.integer("seed", 0, 0, 2**31 - 1),
        processing_instance_type=reader.text("processingInstanceType", "ml.m5.xlarge", INSTANCE_TYPE),
        training_instance_type=reader.text("trainingInstanceType", "ml.g5.xlarge", INSTANCE_TYPE),
        evaluation_instance_type=reader.text("evaluationInstanceType", "ml.m5.xlarge", INSTANCE_TYPE),
    )


def _retention(reader: _Reader) -> RetentionSettings:
    return RetentionSettings(
        upload_days=reader.integer("uploadRetentionDays", 365, 1, 36_500),
        quarantine_days=reader.integer("quarantineRetentionDays", 365, 1, 36_500),
        batch_days=reader.integer("batchRetentionDays", 30, 1, 3650),
        log_days=reader.integer("logRetentionDays", 365, 1, 3653),
        # Secrets Manager takes 0 (delete at once) or 7 to 30 days.
        secret_recovery_days=reader.integer("secretRecoveryDays", 30, 0, 30),
    )
