"""The endpoint that serves an approved model: scaled by requests, and with its answers kept to see them drift.

The model is a setting, so that what answers is what somebody reviewed. Before there is one, the image serves without:
it is healthy and refuses every request, so that a first deployment makes all of the estate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import CAPTURE_PREFIX, ENDPOINT_VARIANT, EstateNames
from rayline_infra.components.training.serving import configuration_name, model_name
from rayline_infra.settings import TrainingSettings
from rayline_training.volumes import volume_key_allowed

# Old instances stay this long after an update, so that a fault of the new ones can be turned back at once.
KEEP_OLD_SECONDS = 300
SCALE_IN_SECONDS = 600
SCALE_OUT_SECONDS = 60


@dataclass(frozen=True)
class EndpointArgs:
    """The endpoint's role, key, network and image."""

    names: EstateNames
    training: TrainingSettings
    role_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    subnet_ids: Sequence[pulumi.Output[str]]
    security_group_id: pulumi.Output[str]


class Endpoint(pulumi.ComponentResource):
    """Model, configuration, endpoint and its scaling."""

    def __init__(self, name: str, args: EndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:training:Endpoint", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.endpoint = aws.sagemaker.Endpoint(
            "endpoint",
            name=args.names.endpoint,
            endpoint_config_name=self._configuration(self._model()).name,
            deployment_config=aws.sagemaker.EndpointDeploymentConfigArgs(
                blue_green_update_policy=aws.sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyArgs(
                    traffic_routing_configuration=aws.sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyTrafficRoutingConfigurationArgs(
                        type="ALL_AT_ONCE", wait_interval_in_seconds=KEEP_OLD_SECONDS
                    ),
                    termination_wait_in_seconds=KEEP_OLD_SECONDS,
                )
            ),
            opts=self._child,
        )
        self._scale()
        self.register_outputs({})

    def _model(self) -> aws.sagemaker.Model:
        args, version = self._args, self._args.training.endpoint_model_version
        if version:
            container = aws.sagemaker.ModelPrimaryContainerArgs(
                model_package_name=args.names.model_package_arn(version)
            )
        else:
            image = f"{args.names.repository_url('training')}:{args.training.image_tag}"
            container = aws.sagemaker.ModelPrimaryContainerArgs(image=image)
        return aws.sagemaker.Model(
            "served-model",
            name=model_name(args.names, args.training),
            execution_role_arn=args.role_arn,
            primary_container=container,
            vpc_config=aws.sagemaker.ModelVpcConfigArgs(
                subnets=args.subnet_ids, security_group_ids=[args.security_group_id]
            ),
            # A model answers from what it is given: its container reaches nothing.
            enable_network_isolation=True,
            # Its name is its version's: another network takes the same name. A running endpoint needs no model.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _configuration(self, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        args, training = self._args, self._args.training
        reports = args.names.bucket("reports")
        return aws.sagemaker.EndpointConfiguration(
            "endpoint-configuration",
            name=configuration_name(args.names, training),
            kms_key_arn=args.key_arn if volume_key_allowed(training.endpoint_instance_type) else None,
            production_variants=[
                aws.sagemaker.EndpointConfigurationProductionVariantArgs(
                    variant_name=ENDPOINT_VARIANT,
                    model_name=model.name,
                    instance_type=training.endpoint_instance_type,
                    initial_instance_count=training.endpoint_least_instances,
                )
            ],
            data_capture_config=aws.sagemaker.EndpointConfigurationDataCaptureConfigArgs(
                enable_capture=True,
                initial_sampling_percentage=100,
                destination_s3_uri=f"s3://{reports}/{CAPTURE_PREFIX.rstrip('/')}",
                kms_key_id=args.key_arn,
                # Answers only: images lie in HealthImaging, where their retention and access are decided.
                capture_options=[
                    aws.sagemaker.EndpointConfigurationDataCaptureConfigCaptureOptionArgs(
                        capture_mode="Output"
                    )
                ],
                capture_content_type_header=aws.sagemaker.EndpointConfigurationDataCaptureConfigCaptureContentTypeHeaderArgs(
                    json_content_types=["application/json"]
                ),
            ),
            opts=self._child,
        )

    def _scale(self) -> None:
        args, training = self._args, self._args.training
        target = aws.appautoscaling.Target(
            "endpoint-scaling",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=self.endpoint.name.apply(lambda name: f"endpoint/{name}/variant/{ENDPOINT_VARIANT}"),
            min_capacity=training.endpoint_least_instances,
            max_capacity=training.endpoint_most_instances,
            opts=self._child,
        )
        aws.appautoscaling.Policy(
            "endpoint-scaling-policy",
            name=f"{args.names.endpoint}-invocations",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                target_value=training.endpoint_invocations_per_instance,
                predefined_metric_specification=aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                    predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                ),
                scale_in_cooldown=SCALE_IN_SECONDS,
                scale_out_cooldown=SCALE_OUT_SECONDS,
            ),
            opts=self._child,
        )
