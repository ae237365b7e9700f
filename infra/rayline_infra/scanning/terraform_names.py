"""Names of the Terraform provider that pulumi_aws is bridged from.

Types and attributes follow from Pulumi's by rule; the tables hold what does not.
Source: pulumi-aws, provider/resources.go; Terraform registry, hashicorp/aws.
"""

import re
from collections.abc import Mapping

# Pulumi's module where Terraform's name has another prefix.
_PREFIXES: Mapping[str, str] = {
    "ec2": "",
    "ec2transitgateway": "ec2_transit_gateway_",
    "cfg": "config_",
    "alb": "lb_",
}
_TYPES: Mapping[str, str] = {
    "aws:cfg/recorder:Recorder": "aws_config_configuration_recorder",
    "aws:cfg/recorderStatus:RecorderStatus": "aws_config_configuration_recorder_status",
    "aws:cfg/rule:Rule": "aws_config_config_rule",
    "aws:cloudcontrol/resource:Resource": "aws_cloudcontrolapi_resource",
    "aws:cloudtrail/trail:Trail": "aws_cloudtrail",
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": "aws_s3_bucket_replication_configuration",
    "aws:s3/bucketMetric:BucketMetric": "aws_s3_bucket_metric",
}
_ATTRIBUTES: Mapping[tuple[str, str], str] = {
    ("aws_cloudwatch_metric_alarm", "name"): "alarm_name",
    ("aws_sagemaker_endpoint_configuration", "productionVariants"): "production_variants",
    ("aws_sns_topic_subscription", "topic"): "topic_arn",
}
# Plural in both, or no plural at all.
_NOT_SINGULAR = frozenset({"ingress", "egress", "production_variants", "alias"})
# What the keys of these mean is the program's, not Terraform's.
FREE_MAPS = frozenset({"tags", "tags_all", "dimensions", "variables", "environment_variables"})


def terraform_type(type_token: str) -> str:
    """Terraform's type, e.g. ``aws_s3_bucket`` of ``aws:s3/bucket:Bucket``."""
    if type_token in _TYPES:
        return _TYPES[type_token]
    module, _, name = type_token.removeprefix("aws:").partition("/")
    return f"aws_{_PREFIXES.get(module, f'{module}_')}{snake_case(name.partition(':')[2])}"


def attribute_name(terraform: str, name: str, *, block_list: bool) -> str:
    """Terraform's attribute or block; Pulumi speaks of a list of blocks in the plural."""
    if (terraform, name) in _ATTRIBUTES:
        return _ATTRIBUTES[terraform, name]
    spelled = snake_case(name)
    return singular(spelled) if block_list else spelled


def snake_case(name: str) -> str:
    """``kmsMasterKeyId`` as ``kms_master_key_id``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def singular(name: str) -> str:
    """``ordered_cache_behaviors`` as ``ordered_cache_behavior``."""
    if name in _NOT_SINGULAR:
        return name
    for plural, one in (("ies", "y"), ("indexes", "index"), ("statuses", "status"), ("aliases", "alias")):
        if name.endswith(plural):
            return name.removesuffix(plural) + one
    return name.removesuffix("s") if not name.endswith("ss") else name
