"""The training pipeline, and what becomes of its models."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rayline_infra.settings.processor import IMAGE_TAG
from rayline_infra.settings.section import Flag, Section, setting

INSTANCE_TYPE = r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"


class TrainingSettings(Section):
    """Defaults of the pipeline's parameters (one execution may override them), and the endpoint."""

    accuracy_threshold: Annotated[float, Field(ge=0.5, le=1)] = setting(
        "accuracyThreshold",
        "Least accuracy on patients never trained on; below it no model is registered.",
        0.85,
        default=0.85,
    )
    image_tag: str = setting(
        "trainingImageTag",
        "Immutable tag of the image that trains and serves.",
        "0.1.0",
        pattern=IMAGE_TAG,
    )
    image_size: Annotated[int, Field(ge=32, le=4096)] = setting(
        "imageSize", "Height and width of a training image in pixels.", 512, default=512
    )
    epochs: Annotated[int, Field(ge=1, le=1000)] = setting("epochs", "Epochs of a training.", 50, default=50)
    batch_size: Annotated[int, Field(ge=1, le=1024)] = setting(
        "batchSize", "Images in a training step.", 32, default=32
    )
    learning_rate: Annotated[float, Field(ge=1e-7, le=1)] = setting(
        "learningRate", "Initial learning rate.", 0.001, default=0.001
    )
    test_fraction: Annotated[float, Field(ge=0.05, le=0.5)] = setting(
        "testFraction", "Share of patients that models are tested on and never trained on.", 0.2, default=0.2
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = setting(
        "seed", "Seed of everything random in a training.", 20_240_501, default=20_240_501
    )
    processing_instance_type: str = setting(
        "processingInstanceType",
        "SageMaker instance that preprocesses.",
        "ml.m5.xlarge",
        default="ml.m5.2xlarge",
        pattern=INSTANCE_TYPE,
    )
    training_instance_type: str = setting(
        "trainingInstanceType",
        "SageMaker instance that trains.",
        "ml.g5.xlarge",
        default="ml.g5.2xlarge",
        pattern=INSTANCE_TYPE,
    )
    evaluation_instance_type: str = setting(
        "evaluationInstanceType",
        "SageMaker instance that evaluates.",
        "ml.m5.xlarge",
        default="ml.m5.2xlarge",
        pattern=INSTANCE_TYPE,
    )
    spot: Flag = setting(
        "trainingSpot", "Trains on Spot instances, with checkpoints to go on from.", True, default=True
    )
    endpoint: Flag = setting(
        "endpoint",
        "Serves the approved model behind an endpoint, with a monitor for drift.",
        False,
        default=False,
    )
    endpoint_model_version: Annotated[int, Field(ge=0)] = setting(
        "endpointModelVersion",
        "Approved version of the model package group that the endpoint serves; 0 serves none yet.",
        3,
        default=0,
    )
    endpoint_instance_type: str = setting(
        "endpointInstanceType",
        "SageMaker instance of the endpoint.",
        "ml.m5.large",
        default="ml.m5.large",
        pattern=INSTANCE_TYPE,
    )
    endpoint_least_instances: Annotated[int, Field(ge=1, le=20)] = setting(
        "endpointLeastInstances", "Endpoint instances that always run.", 1, default=1
    )
    endpoint_most_instances: Annotated[int, Field(ge=1, le=20)] = setting(
        "endpointMostInstances", "Endpoint instances that run under load.", 4, default=4
    )

    endpoint_invocations_per_instance: Annotated[float, Field(ge=1, le=100_000)] = setting(
        "endpointInvocationsPerInstance",
        "Requests a minute that one instance should get; above it another starts.",
        100,
        default=100,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.endpoint_most_instances < self.endpoint_least_instances:
            yield "endpointMostInstances", "it must not be below endpointLeastInstances"
