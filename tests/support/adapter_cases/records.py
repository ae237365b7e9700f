"""What records, measures, notifies and warns."""

import json
from collections.abc import Mapping
from typing import Any

from support.adapter_cases.case import Case, Inputs, World
from support.local_cloud import ACCOUNT_ID

METRIC = {
    "metricName": "Latency",
    "namespace": "Adapters",
    "period": 60,
    "stat": "p99",
    "dimensions": {"Site": "a"},
}


ALARM: Inputs = {
    "name": "adapters",
    "comparisonOperator": "GreaterThanThreshold",
    "evaluationPeriods": 3,
    "datapointsToAlarm": 2,
    "threshold": 1,
    "treatMissingData": "notBreaching",
    "metricQueries": [
        {"id": "latency", "metric": METRIC, "returnData": False},
        {"id": "slow", "expression": "latency * 1000", "label": "ms", "returnData": True},
    ],
}


def alarm(world: World, kind: str = "MetricAlarms", name: str = "adapters") -> Any:
    found = world.client("cloudwatch").describe_alarms(
        AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return found[kind][0]


def log_source(name: str) -> Inputs:
    distribution = f"arn:aws:cloudfront::{ACCOUNT_ID}:distribution/E1ADAPTERS"
    return {"name": name, "logType": "ACCESS_LOGS", "resourceArn": distribution}


def log_destination(world: World, name: str) -> Inputs:
    where = {"destinationResourceArn": world.bucket.outputs["arn"]}
    return {"name": name, "outputFormat": "json", "deliveryDestinationConfiguration": where}


CASES: Mapping[str, Case] = {
    "aws:budgets/budget:Budget": Case(
        lambda world: {
            "name": "adapters",
            "budgetType": "COST",
            "timeUnit": "MONTHLY",
            "limitAmount": "100",
            "limitUnit": "USD",
            "costFilters": [{"name": "TagKeyValue", "values": ["user:stack$local"]}],
            "notifications": [
                {
                    "comparisonOperator": "GREATER_THAN",
                    "notificationType": "FORECASTED",
                    "threshold": 80,
                    "thresholdType": "PERCENTAGE",
                    "subscriberEmailAddresses": ["ops@example.org"],
                    "subscriberSnsTopicArns": [world.topic.id],
                }
            ],
        },
        {"limitAmount": "200"},
        lambda world, _: float(
            world.client("budgets").describe_budget(AccountId=ACCOUNT_ID, BudgetName="adapters")["Budget"][
                "BudgetLimit"
            ]["Amount"]
        ),
        200.0,
    ),
    "aws:cfg/deliveryChannel:DeliveryChannel": Case(
        lambda world: {"name": "adapters", "s3BucketName": "adapters-needed"},
        {"s3KeyPrefix": "config"},
        lambda world, _: world.client("config").describe_delivery_channels()["DeliveryChannels"][0]["s3KeyPrefix"],
        "config",
        permanent=True,
    ),
    "aws:cfg/recorder:Recorder": Case(
        lambda world: {
            "name": "adapters",
            "roleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{world.role.id}",
            "recordingGroup": {"allSupported": True, "includeGlobalResourceTypes": True},
        },
        permanent=True,
    ),
    "aws:cfg/recorderStatus:RecorderStatus": Case(
        lambda world: {
            "name": world.need(
                "aws:cfg/recorder:Recorder",
                {"name": "adapters", "roleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/{world.role.id}"},
            ).id,
            "isEnabled": True,
        },
        {"isEnabled": False},
        lambda world, _: world.client("config").describe_configuration_recorder_status()[
            "ConfigurationRecordersStatus"
        ][0]["recording"],
        False,
        permanent=True,
    ),
    "aws:cfg/rule:Rule": Case(
        lambda world: {
            "name": "adapters",
            "source": {"owner": "AWS", "sourceIdentifier": "S3_BUCKET_VERSIONING_ENABLED"},
            "scope": {"complianceResourceTypes": ["AWS::S3::Bucket"]},
        },
        {"description": "buckets keep versions"},
        lambda world, _: world.client("config").describe_config_rules(ConfigRuleNames=["adapters"])["ConfigRules"][
            0
        ]["Description"],
        "buckets keep versions",
    ),
    "aws:cloudtrail/trail:Trail": Case(
        lambda world: {
            "name": "adapters",
            "s3BucketName": world.bucket.id,
            "enableLogFileValidation": True,
            "isMultiRegionTrail": True,
            "includeGlobalServiceEvents": True,
            "advancedEventSelectors": [
                {
                    "name": "objects",
                    "fieldSelectors": [
                        {"field": "eventCategory", "equals": ["Data"]},
                        {"field": "resources.type", "equals": ["AWS::S3::Object"]},
                        {"field": "resources.ARN", "startsWiths": ["arn:aws:s3:::adapters-needed/"]},
                    ],
                }
            ],
        },
        {"s3KeyPrefix": "trail"},
        lambda world, _: (
            world.client("cloudtrail").describe_trails()["trailList"][0]["S3KeyPrefix"],
            world.client("cloudtrail").get_trail_status(Name="adapters")["IsLogging"],
        ),
        ("trail", True),
    ),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": Case(
        lambda world: {
            "alarmName": "adapters-composite",
            "alarmRule": f'ALARM("{world.need("aws:cloudwatch/metricAlarm:MetricAlarm", {**ALARM, "name": "n"}).id}")',
            "alarmActions": [world.topic.id],
        },
        {"alarmDescription": "both"},
        lambda world, _: alarm(world, "CompositeAlarms", "adapters-composite")["AlarmDescription"],
        "both",
    ),
    "aws:cloudwatch/dashboard:Dashboard": Case(
        lambda world: {"dashboardName": "adapters", "dashboardBody": json.dumps({"widgets": []})},
        {"dashboardBody": json.dumps({"widgets": [{"type": "text"}]})},
        lambda world, _: json.loads(
            world.client("cloudwatch").get_dashboard(DashboardName="adapters")["DashboardBody"]
        ),
        {"widgets": [{"type": "text"}]},
    ),
    "aws:cloudwatch/logDelivery:LogDelivery": Case(
        lambda world: {
            "deliverySourceName": world.need(
                "aws:cloudwatch/logDeliverySource:LogDeliverySource", log_source("adapters-needed")
            ).id,
            "deliveryDestinationArn": world.need(
                "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination",
                log_destination(world, "adapters-needed"),
            ).outputs["arn"],
        }
    ),
    "aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination": Case(
        lambda world: log_destination(world, "adapters")
    ),
    "aws:cloudwatch/logDeliverySource:LogDeliverySource": Case(lambda world: log_source("adapters")),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Case(
        lambda world: ALARM,
        {"threshold": 2, "okActions": ["arn:aws:sns:us-east-1:123456789012:adapters-needed"]},
        lambda world, _: (
            alarm(world)["Threshold"],
            alarm(world)["DatapointsToAlarm"],
            alarm(world)["OKActions"],
        ),
        (2.0, 2, ["arn:aws:sns:us-east-1:123456789012:adapters-needed"]),
    ),
    "aws:sns/topicSubscription:TopicSubscription": Case(
        lambda world: {"topic": world.topic.id, "protocol": "sqs", "endpoint": world.queue.outputs["arn"]},
        {"rawMessageDelivery": True},
        lambda world, resource_id: world.client("sns").get_subscription_attributes(SubscriptionArn=resource_id)[
            "Attributes"
        ]["RawMessageDelivery"],
        "true",
    ),
}  # fmt: skip
