"""Which Pulumi types the local cloud knows, and which it leaves out on purpose."""

from collections.abc import Mapping

from rayline_local.provisioner.adapters.adapter import Adapter, AdapterFactory
from rayline_local.provisioner.adapters.budgets import BudgetAdapter
from rayline_local.provisioner.adapters.dynamodb import TableAdapter
from rayline_local.provisioner.adapters.ecr import RepositoryAdapter
from rayline_local.provisioner.adapters.ecs import ClusterAdapter, TaskDefinitionAdapter
from rayline_local.provisioner.adapters.eventbridge import (
    EventArchiveAdapter,
    EventBusAdapter,
    EventRuleAdapter,
    EventTargetAdapter,
)
from rayline_local.provisioner.adapters.healthimaging import CloudControlAdapter
from rayline_local.provisioner.adapters.iam import RoleAdapter, RolePolicyAdapter
from rayline_local.provisioner.adapters.kms import AliasAdapter, KeyAdapter
from rayline_local.provisioner.adapters.logs import LogGroupAdapter
from rayline_local.provisioner.adapters.not_emulated import NOT_EMULATED
from rayline_local.provisioner.adapters.recipes import RECIPES
from rayline_local.provisioner.adapters.s3 import (
    BucketAdapter,
    BucketPolicyAdapter,
    EncryptionAdapter,
    NotificationAdapter,
    OwnershipAdapter,
    PublicAccessAdapter,
    VersioningAdapter,
)
from rayline_local.provisioner.adapters.sagemaker import ModelPackageGroupAdapter, PipelineAdapter
from rayline_local.provisioner.adapters.secretsmanager import SecretAdapter
from rayline_local.provisioner.adapters.sns import TopicAdapter, TopicPolicyAdapter
from rayline_local.provisioner.adapters.sqs import QueueAdapter, QueuePolicyAdapter
from rayline_local.provisioner.clients import Clients
from rayline_local.provisioner.errors import ProvisionError

__all__ = ["ADAPTERS", "NOT_EMULATED", "RECIPES", "Adapter", "adapter_for", "require_known"]

BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
ADAPTERS: Mapping[str, AdapterFactory] = {
    **{token: recipe.adapter() for token, recipe in RECIPES.items()},
    "aws:budgets/budget:Budget": BudgetAdapter,
    "aws:cloudcontrol/resource:Resource": CloudControlAdapter,
    "aws:cloudwatch/eventArchive:EventArchive": EventArchiveAdapter,
    "aws:cloudwatch/eventBus:EventBus": EventBusAdapter,
    "aws:cloudwatch/eventRule:EventRule": EventRuleAdapter,
    "aws:cloudwatch/eventTarget:EventTarget": EventTargetAdapter,
    "aws:cloudwatch/logGroup:LogGroup": LogGroupAdapter,
    "aws:dynamodb/table:Table": TableAdapter,
    "aws:ecr/repository:Repository": RepositoryAdapter,
    "aws:ecs/cluster:Cluster": ClusterAdapter,
    "aws:ecs/taskDefinition:TaskDefinition": TaskDefinitionAdapter,
    "aws:iam/role:Role": RoleAdapter,
    "aws:iam/rolePolicy:RolePolicy": RolePolicyAdapter,
    "aws:kms/alias:Alias": AliasAdapter,
    "aws:kms/key:Key": KeyAdapter,
    "aws:s3/bucket:Bucket": BucketAdapter,
    "aws:s3/bucketNotification:BucketNotification": NotificationAdapter,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": OwnershipAdapter,
    "aws:s3/bucketPolicy:BucketPolicy": BucketPolicyAdapter,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": PublicAccessAdapter,
    BUCKET_ENCRYPTION: EncryptionAdapter,
    "aws:s3/bucketVersioning:BucketVersioning": VersioningAdapter,
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": ModelPackageGroupAdapter,
    "aws:sagemaker/pipeline:Pipeline": PipelineAdapter,
    "aws:secretsmanager/secret:Secret": SecretAdapter,
    "aws:sns/topic:Topic": TopicAdapter,
    "aws:sns/topicPolicy:TopicPolicy": TopicPolicyAdapter,
    "aws:sqs/queue:Queue": QueueAdapter,
    "aws:sqs/queuePolicy:QueuePolicy": QueuePolicyAdapter,
}


def require_known(type_token: str) -> None:
    """Refuse a type that is neither applied nor left out on purpose.

    Raises:
        ProvisionError: names the type and where to add it.
    """
    if type_token not in ADAPTERS and type_token not in NOT_EMULATED:
        raise ProvisionError(
            f"the local cloud does not know the resource type {type_token}; write its adapter in "
            "rayline_local/provisioner/adapters, or list it in NOT_EMULATED with the reason"
        )


def adapter_for(type_token: str, clients: Clients) -> Adapter:
    """The adapter of a type.

    Raises:
        ProvisionError: the type is unknown.
    """
    require_known(type_token)
    return ADAPTERS[type_token](clients)
