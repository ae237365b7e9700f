"""Which model the endpoint serves, and the names that change with it."""

import hashlib
import json

from rayline.names import EstateNames
from rayline_infra.settings import TrainingSettings


def served_model(names: EstateNames, training: TrainingSettings) -> str:
    """Group and version of the model that the endpoint serves, empty where it serves none."""
    if not training.endpoint or not training.endpoint_model_version:
        return ""
    return f"{names.model_package_group}/{training.endpoint_model_version}"


def model_name(names: EstateNames, training: TrainingSettings) -> str:
    """Name of the served model; SageMaker cannot change a model under its name."""
    if not training.endpoint_model_version:
        return names.served(f"no-model-{_digest(training.image_tag)}")
    return names.served(f"model-{training.endpoint_model_version}")


def configuration_name(names: EstateNames, training: TrainingSettings) -> str:
    """Name of the endpoint configuration; one that an endpoint uses can be neither changed nor deleted."""
    chosen = [model_name(names, training), training.endpoint_instance_type, training.endpoint_least_instances]
    return names.served(f"endpoint-{_digest(*chosen)}")


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:8]
