"""Training: the pipeline, the group that its models are registered in, and the endpoint that serves one."""

from rayline_infra.components.training.endpoint import Endpoint, EndpointArgs
from rayline_infra.components.training.pipeline import Pipeline, PipelineArgs
from rayline_infra.components.training.serving import served_model

__all__ = ["Endpoint", "EndpointArgs", "Pipeline", "PipelineArgs", "served_model"]
