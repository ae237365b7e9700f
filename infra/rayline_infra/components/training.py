"""The SageMaker pipeline and the model package group."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.settings import TrainingSettings
from rayline_training.pipeline import PipelineSettings, definition_json

# Stands for the key while the definition is built, which takes seconds and is cached by what goes in:
# the key's ARN is known late and differs between two local clouds. SageMaker takes no alias for volumes.
KEY_PLACEHOLDER = "deidentified-key-arn"


@dataclass(frozen=True)
class PipelineArgs:
    """The pipeline's role, key and default parameters."""

    names: EstateNames
    training: TrainingSettings
    role_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]


class Pipeline(pulumi.ComponentResource):
    """The training pipeline as SageMaker runs it, and the group that its models are registered in."""

    def __init__(self, name: str, args: PipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:training:Pipeline", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.model_package_group = aws.sagemaker.ModelPackageGroup(
            "model-package-group",
            model_package_group_name=args.names.model_package_group,
            model_package_group_description="pneumonia classifiers that met the accuracy threshold",
            opts=child,
        )
        definition = definition_json(args.names, pipeline_settings(args.training))
        self.pipeline = aws.sagemaker.Pipeline(
            "pipeline",
            pipeline_name=args.names.pipeline,
            pipeline_display_name=args.names.pipeline,
            pipeline_description="preprocess, train, evaluate, and register what meets the threshold",
            role_arn=args.role_arn,
            pipeline_definition=args.key_arn.apply(lambda arn: definition.replace(KEY_PLACEHOLDER, arn)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.model_package_group]),
        )
        self.register_outputs({})


def served_model(names: EstateNames, training: TrainingSettings) -> str:
    """Group and version of the model that the endpoint serves, empty where it serves none."""
    if not training.endpoint or not training.endpoint_model_version:
        return ""
    return f"{names.model_package_group}/{training.endpoint_model_version}"


def pipeline_settings(training: TrainingSettings) -> PipelineSettings:
    """The stack's defaults of the pipeline's parameters."""
    return PipelineSettings(
        image_size=training.image_size,
        epochs=training.epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        accuracy_threshold=training.accuracy_threshold,
        test_fraction=training.test_fraction,
        seed=training.seed,
        processing_instance_type=training.processing_instance_type,
        training_instance_type=training.training_instance_type,
        evaluation_instance_type=training.evaluation_instance_type,
        kms_key_id=KEY_PLACEHOLDER,
    )
