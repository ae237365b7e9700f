"""The pipeline written with the SageMaker SDK v3; ``pipeline.py`` runs it in a closed process of its own."""

from typing import Any, Final

import boto3
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    CheckpointConfig,
    MetricDefinition,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.training.configs import (
    Compute,
    InputData,
    Networking,
    OutputDataConfig,
    StoppingCondition,
)
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train import ModelTrainer

from rayline.names import TRAIN_STEP, EstateNames
from rayline_training import pipeline as plan
from rayline_training.metrics_log import METRIC_EXPRESSIONS
from rayline_training.pipeline import PipelineSettings
from rayline_training.volumes import volume_key

ENTRYPOINT: Final = ["python", "-m", "rayline_training"]
PROCESSING: Final = "/opt/ml/processing"
TELEMETRY_OFF: Final = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


def build_definition(names: EstateNames, settings: PipelineSettings) -> str:
    """Write the definition: Preprocess, Train, Evaluate, CheckAccuracy, then Register or BelowThreshold.

    Needs ``AWS_DEFAULT_REGION`` and ``SAGEMAKER_VALIDATE_ROLE=false`` in the environment, which
    ``pipeline.definition_json`` sets; makes no network call.
    """
    return str(_PipelineBuilder(names, settings).pipeline().definition())


class _PipelineBuilder:
    """One method per step; what several steps share is made once here."""

    def __init__(self, names: EstateNames, settings: PipelineSettings) -> None:
        self.names = names
        self.settings = settings
        self.session = PipelineSession(
            boto_session=boto3.Session(region_name=names.region),
            default_bucket=names.bucket("preprocessed"),
            sagemaker_config=TELEMETRY_OFF,
        )
        # Without this the SDK asks STS and S3 whether its default bucket is there.
        self.session._default_bucket = names.bucket("preprocessed")
        self.role = names.role_arn("training")
        self.image = f"{names.repository_url('training')}:{settings.image_tag}"
        self.execution_id = ExecutionVariables.PIPELINE_EXECUTION_ID

        self.manifest_uri = ParameterString("DatasetManifestUri")
        self.image_size = ParameterInteger("ImageSize", default_value=settings.image_size)
        self.epochs = ParameterInteger("Epochs", default_value=settings.epochs)
        self.batch_size = ParameterInteger("BatchSize", default_value=settings.batch_size)
        self.learning_rate = ParameterFloat("LearningRate", default_value=settings.learning_rate)
        self.threshold = ParameterFloat("AccuracyThreshold", default_value=settings.accuracy_threshold)
        self.test_fraction = ParameterFloat("TestFraction", default_value=settings.test_fraction)
        self.seed = ParameterInteger("Seed", default_value=settings.seed)
        self.processing_type = ParameterString(
            "ProcessingInstanceType", default_value=settings.processing_instance_type
        )
        self.training_type = ParameterString(
            "TrainingInstanceType", default_value=settings.training_instance_type
        )
        self.evaluation_type = ParameterString(
            "EvaluationInstanceType", default_value=settings.evaluation_instance_type
        )

    def pipeline(self) -> Any:
        preprocess = self.preprocess()
        train = self.train(preprocess)
        evaluate, evaluation = self.evaluate(preprocess, train)
        accuracy = JsonGet(step_name=evaluate.name, property_file=evaluation, json_path="metrics.accuracy")
        check = ConditionStep(
            name=plan.CHECK_STEP,
            conditions=[ConditionGreaterThanOrEqualTo(left=accuracy, right=self.threshold)],
            if_steps=[self.register(train)],
            else_steps=[self.below_threshold(evaluate, evaluation, accuracy)],
        )
        return Pipeline(
            name=self.names.pipeline,
            parameters=[
                self.manifest_uri,
                self.image_size,
                self.epochs,
                self.batch_size,
                self.learning_rate,
                self.threshold,
                self.test_fraction,
                self.seed,
                self.processing_type,
                self.training_type,
                self.evaluation_type,
            ],
            # The default would create an experiment per pipeline, which the role may not.
            pipeline_experiment_config=None,
            steps=[preprocess, train, evaluate, check],
            sagemaker_session=self.session,
        )

    def preprocess(self) -> Any:
        arguments = [
            "preprocess",
            "--manifest-uri", self.manifest_uri,
            "--image-size", self.image_size.to_string(),
            "--test-fraction", self.test_fraction.to_string(),
            "--seed", self.seed.to_string(),
        ]  # fmt: skip
        step_args = self._processor(self.processing_type).run(
            inputs=[_processing_input("manifest", self.manifest_uri)],
            outputs=[
                _processing_output(side, self._uri("preprocessed", "preprocessed", side))
                for side in ("train", "test")
            ],
            arguments=arguments,
        )
        return ProcessingStep(plan.PREPROCESS_STEP, step_args=step_args, retry_policies=_retries())

    def train(self, preprocess: Any) -> Any:
        trainer = ModelTrainer(
            sagemaker_session=self.session,
            role=self.role,
            base_job_name=self.names.prefix,
            training_image=self.image,
            compute=Compute(
                instance_type=self.training_type,
                instance_count=1,
                volume_size_in_gb=50,
                volume_kms_key_id=volume_key(self.settings.training_instance_type, self.settings.kms_key_id),
                enable_managed_spot_training=self.settings.spot,
            ),
            networking=self._training_network(),
            stopping_condition=self._training_limits(),
            hyperparameters={
                "epochs": self.epochs.to_string(),
                "batch_size": self.batch_size.to_string(),
                "learning_rate": self.learning_rate.to_string(),
                "seed": self.seed.to_string(),
            },
            input_data_config=[
                InputData(channel_name="train", data_source=_output_uri(preprocess, "train")),
            ],
            output_data_config=OutputDataConfig(
                s3_output_path=self._uri("models", "models"), kms_key_id=self.settings.kms_key_id
            ),
            # Of this execution only: a restarted job resumes, another data set never does.
            checkpoint_config=CheckpointConfig(s3_uri=self._uri("models", "checkpoints")),
            environment={"AWS_DEFAULT_REGION": self.names.region},
        ).with_metric_definitions(
            [MetricDefinition(name=name, regex=regex) for name, regex in METRIC_EXPRESSIONS.items()]
        )
        return TrainingStep(TRAIN_STEP, step_args=trainer.train(), retry_policies=_retries())

    def evaluate(self, preprocess: Any, train: Any) -> tuple[Any, Any]:
        evaluation = PropertyFile(name="Evaluation", output_name="evaluation", path="evaluation.json")
        step_args = self._processor(self.evaluation_type).run(
            inputs=[
                _processing_input("model", train.properties.ModelArtifacts.S3ModelArtifacts),
                _processing_input("test", _output_uri(preprocess, "test")),
            ],
            outputs=[_processing_output("evaluation", self._uri("reports", "evaluations"))],
            arguments=["evaluate", "--threshold", self.threshold.to_string()],
        )
        step = ProcessingStep(
            plan.EVALUATE_STEP, step_args=step_args, property_files=[evaluation], retry_policies=_retries()
        )
        return step, evaluation

    def register(self, train: Any) -> Any:
        builder = ModelBuilder(
            image_uri=self.image,
            s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
            role_arn=self.role,
            sagemaker_session=self.session,
            # Else the builder asks the instance metadata for a role and guesses a type.
            instance_type=self.settings.inference_instance_type,
        )
        report = self._uri("reports", "evaluations")
        step_args = builder.register(
            model_package_group_name=self.names.model_package_group,
            content_types=["application/dicom", "application/x-npy"],
            response_types=["application/json"],
            inference_instances=[self.settings.inference_instance_type],
            transform_instances=[self.settings.inference_instance_type],
            approval_status="PendingManualApproval",
            model_metrics=ModelMetrics(
                model_statistics=MetricsSource(
                    content_type="application/json",
                    s3_uri=Join(on="/", values=[report, "evaluation.json"]),
                )
            ),
            customer_metadata_properties={
                "dataset_manifest_uri": self.manifest_uri,
                "pipeline_execution_id": self.execution_id,
                "report_uri": Join(on="/", values=[report, "report.html"]),
            },
        )
        return ModelStep(name=plan.REGISTER_STEP, step_args=step_args, retry_policies=_step_retries())

    def below_threshold(self, evaluate: Any, evaluation: Any, accuracy: Any) -> Any:
        test_images = JsonGet(step_name=evaluate.name, property_file=evaluation, json_path="images.test")
        return FailStep(
            name=plan.BELOW_THRESHOLD_STEP,
            error_message=Join(
                on="",
                values=[
                    "accuracy ",
                    accuracy,
                    " on ",
                    test_images,
                    " test images is below the threshold ",
                    self.threshold.to_string(),
                    "; the report is kept at ",
                    self._uri("reports", "evaluations"),
                    "/report.html",
                ],
            ),
        )

    def _processor(self, instance_type: Any) -> Any:
        settings = self.settings
        network = None
        if settings.subnet_ids:
            network = NetworkConfig(
                subnets=list(settings.subnet_ids),
                security_group_ids=list(settings.security_group_ids),
                encrypt_inter_container_traffic=True,
            )
        return Processor(
            role=self.role,
            image_uri=self.image,
            instance_count=1,
            instance_type=instance_type,
            entrypoint=ENTRYPOINT,
            volume_size_in_gb=50,
            volume_kms_key=volume_key(instance_type.default_value, settings.kms_key_id),
            output_kms_key=settings.kms_key_id,
            max_runtime_in_seconds=settings.processing_limit_seconds,
            sagemaker_session=self.session,
            env={"AWS_DEFAULT_REGION": self.names.region},
            network_config=network,
        )

    def _training_limits(self) -> Any:
        limit = self.settings.training_limit_seconds
        if not self.settings.spot:
            return StoppingCondition(max_runtime_in_seconds=limit)
        # The wait is for capacity and the training together (API_StoppingCondition).
        return StoppingCondition(
            max_runtime_in_seconds=limit, max_wait_time_in_seconds=limit + self.settings.spot_wait_seconds
        )

    def _training_network(self) -> Any:
        if not self.settings.subnet_ids:
            return None
        return Networking(
            subnets=list(self.settings.subnet_ids),
            security_group_ids=list(self.settings.security_group_ids),
            enable_inter_container_traffic_encryption=True,
        )

    def _uri(self, bucket: Any, prefix: str, *rest: str) -> Any:
        """``s3://{bucket}/{prefix}/{execution id}[/…]``, resolved when the execution runs."""
        return Join(on="/", values=[f"s3://{self.names.bucket(bucket)}/{prefix}", self.execution_id, *rest])


def _processing_input(name: str, uri: Any) -> Any:
    return ProcessingInput(
        input_name=name,
        s3_input=ProcessingS3Input(
            s3_uri=uri,
            local_path=f"{PROCESSING}/input/{name}",
            s3_data_type="S3Prefix",
            s3_input_mode="File",
            s3_data_distribution_type="FullyReplicated",
        ),
    )


def _processing_output(name: str, uri: Any) -> Any:
    return ProcessingOutput(
        output_name=name,
        s3_output=ProcessingS3Output(
            s3_uri=uri, local_path=f"{PROCESSING}/output/{name}", s3_upload_mode="EndOfJob"
        ),
    )


def _output_uri(step: Any, name: str) -> Any:
    return step.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri


def _step_retries() -> list[Any]:
    return [
        StepRetryPolicy(
            exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
            interval_seconds=10,
            backoff_rate=2.0,
            max_attempts=5,
        )
    ]


def _retries() -> list[Any]:
    # Only what AWS may cure by itself; a job that failed by its own doing fails the execution at once.
    return [
        *_step_retries(),
        SageMakerJobStepRetryPolicy(
            exception_types=[
                SageMakerJobExceptionTypeEnum.INTERNAL_ERROR,
                SageMakerJobExceptionTypeEnum.CAPACITY_ERROR,
            ],
            interval_seconds=60,
            backoff_rate=2.0,
            max_attempts=5,
        ),
    ]
