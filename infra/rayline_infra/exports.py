"""What a stack tells the world about itself."""

from typing import get_args

import pulumi

from rayline.names import ServiceKind
from rayline_infra.components.registry import REPOSITORIES
from rayline_infra.estate import Estate
from rayline_infra.instructions import instructions


def exports(estate: Estate) -> dict[str, pulumi.Input[object]]:
    """The stack's outputs."""
    return {
        "region": estate.settings.site.region,
        "account_id": estate.settings.site.account_id,
        "stack": estate.settings.stack,
        "site": estate.settings.site.name,
        "queue_url": estate.routes.queue.url,
        "dlq_url": estate.routes.dead_letter_queue.url,
        "event_bus": estate.routes.bus.name,
        "uploads_bucket": estate.buckets.name("uploads"),
        "quarantine_bucket": estate.buckets.name("quarantine"),
        "imports_bucket": estate.buckets.name("imports"),
        "preprocessed_bucket": estate.buckets.name("preprocessed"),
        "models_bucket": estate.buckets.name("models"),
        "reports_bucket": estate.buckets.name("reports"),
        "logs_bucket": estate.buckets.name("logs"),
        "image_tracking_table": estate.tables.name("image-tracking"),
        "effects_table": estate.tables.name("effects"),
        "model_metrics_table": estate.tables.name("model-metrics"),
        "datastore_id": estate.datastore.datastore_id,
        "import_role_arn": estate.roles.arn("import"),
        "pipeline_name": estate.training.pipeline.pipeline_name,
        "model_package_group": estate.training.model_package_group.model_package_group_name,
        "processor_task_definition_arn": estate.processor.task_definition.arn,
        "processor_role_arn": estate.roles.arn("processor"),
        "training_role_arn": estate.roles.arn("training"),
        "operator_role_arn": estate.roles.arn("operator"),
        "reviewer_role_arn": estate.roles.arn("reviewer"),
        "uploader_role_arn": estate.roles.arn("uploader"),
        "tracking_secret_arn": estate.secrets.arn("tracking"),
        "deid_secret_arn": estate.secrets.arn("deid"),
        "operator_environment": estate.environment,
        "viewer_url": f"https://{estate.settings.api.domain_name}/",
        "api_url": f"https://{estate.settings.api.domain_name}/api/v1",
        "dimse_address": pulumi.Output.concat(
            estate.gateway.balancer.dns_name, f":{estate.settings.gateway.port}"
        ),
        "sign_in_url": estate.sign_in.page_url,
        "user_pool_id": estate.sign_in.pool.id,
        "user_pool_client_id": estate.sign_in.client.id,
        "cluster": estate.cluster.name,
        "services": {kind: estate.names.service(kind) for kind in get_args(ServiceKind)},
        "repositories": {kind: estate.registry.url(kind) for kind in REPOSITORIES},
        "commands": instructions(estate.names, estate.sign_in.pool.id),
    }
