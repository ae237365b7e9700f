"""The SageMaker pipeline and the model package group."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.policies.resources import model_package_group_policy
from rayline_infra.settings import TrainingSettings
from rayline_training.pipeline import PipelineSettings, definition_json

# Stand for what is known late and differs between two local clouds, while the definition is built, which takes
# seconds and is cached by what goes in. SageMaker takes no alias for volumes.
KEY_PLACEHOLDER = "deidentified-key-arn"
SECURITY_GROUP_PLACEHOLDER = "training-security-group-id"


@dataclass(frozen=True)
class PipelineArgs:
    """The pipeline's role, key, network and default parameters."""

    names: EstateNames
    training: TrainingSettings
    role_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    subnet_ids: Sequence[pulumi.Output[str]]
    security_group_id: pulumi.Output[str]


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
        aws.sagemaker.ModelPackageGroupPolicy(
            "model-package-group-policy",
            model_package_group_name=self.model_package_group.model_package_group_name,
            resource_policy=model_package_group_policy(args.names),
            opts=child,
        )
        self.pipeline = aws.sagemaker.Pipeline(
            "pipeline",
            pipeline_name=args.names.pipeline,
            pipeline_display_name=args.names.pipeline,
            pipeline_description="preprocess, train, evaluate, and register what meets the threshold",
            role_arn=args.role_arn,
            pipeline_definition=_definition(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.model_package_group]),
        )
        self.register_outputs({})


def pipeline_settings(training: TrainingSettings, subnets: int) -> PipelineSettings:
    """The stack's defaults of the pipeline's parameters, with a placeholder for each of its subnets."""
    return PipelineSettings(
        image_tag=training.image_tag,
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
        inference_instance_type=training.endpoint_instance_type,
        spot=training.spot,
        kms_key_id=KEY_PLACEHOLDER,
        subnet_ids=tuple(map(_subnet_placeholder, range(subnets))),
        security_group_ids=(SECURITY_GROUP_PLACEHOLDER,),
    )


def _subnet_placeholder(number: int) -> str:
    return f"private-subnet-id-{number}"


def _definition(args: PipelineArgs) -> pulumi.Output[str]:
    built = definition_json(args.names, pipeline_settings(args.training, len(args.subnet_ids)))
    placeholders = [
        KEY_PLACEHOLDER,
        SECURITY_GROUP_PLACEHOLDER,
        *map(_subnet_placeholder, range(len(args.subnet_ids))),
    ]

    def fill(values: list[str]) -> str:
        definition = built
        for placeholder, value in zip(placeholders, values, strict=True):
            definition = definition.replace(placeholder, value)
        return definition

    return pulumi.Output.all(args.key_arn, args.security_group_id, *args.subnet_ids).apply(fill)
