"""The audit trail, the account's own guards, and the budget."""

import json
from typing import Any

import botocore.session
import pytest

from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph
from rayline_infra.settings import CostSettings

TRAIL = "aws:cloudtrail/trail:Trail"
BUCKET = "aws:s3/bucket:Bucket"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
RULE = "aws:cfg/rule:Rule"
# What each `create | existing` setting makes.
MADE = {
    "cloudTrail": (TRAIL,),
    "config": ("aws:cfg/recorder:Recorder", "aws:cfg/deliveryChannel:DeliveryChannel", RULE),
    "guardDuty": ("aws:guardduty/detector:Detector",),
    "accessAnalyzer": ("aws:accessanalyzer/analyzer:Analyzer",),
}
# What prod's file leaves to the account.
EXISTING = {"prod": {"config", "guardDuty", "accessAnalyzer"}}


def statements(graph: Graph, bucket: str, service: str) -> dict[str, dict[str, Any]]:
    policy = graph.named("aws:s3/bucketPolicy:BucketPolicy", f"{bucket}-policy").inputs["policy"]
    return {
        action: each
        for each in json.loads(policy)["Statement"]
        if service in each["Principal"]
        or (each["Principal"] != "*" and service in each["Principal"].get("Service", []))
        for action in each["Action"]
    }


def selectors(graph: Graph, trail: str) -> list[dict[str, dict[str, Any]]]:
    found = graph.named(TRAIL, f"{trail}-trail").inputs["advancedEventSelectors"]
    return [{field["field"]: field for field in each["fieldSelectors"]} for each in found]


def test_every_account_wide_service_is_made_or_left_as_the_stack_says(graph: Graph) -> None:
    for setting, types in MADE.items():
        for token in types:
            assert bool(graph.of_type(token)) is (setting not in EXISTING.get(graph.stack, set())), token


def test_trails_span_regions_are_encrypted_and_show_changes(graph: Graph) -> None:
    key = graph.named("aws:kms/key:Key", "logs-key").outputs["arn"]
    bucket = graph.named(BUCKET, "logs").inputs["bucket"]
    assert {trail.name for trail in graph.of_type(TRAIL)} == {"management-trail", "data-trail"}
    for trail in graph.of_type(TRAIL):
        assert trail.inputs["isMultiRegionTrail"] is True
        assert trail.inputs["enableLogFileValidation"] is True
        assert (trail.inputs["kmsKeyId"], trail.inputs["s3BucketName"]) == (key, bucket)
        assert trail.inputs.get("enableLogging", True) is True


def test_every_call_that_manages_is_recorded(graph: Graph) -> None:
    (selector,) = selectors(graph, "management")
    assert {name: field["equals"] for name, field in selector.items()} == {"eventCategory": ["Management"]}
    insights = graph.named(TRAIL, "management-trail").inputs["insightSelectors"]
    assert {each["insightType"] for each in insights} == {"ApiCallRateInsight", "ApiErrorRateInsight"}


def test_every_read_and_write_of_data_is_recorded(graph: Graph) -> None:
    recorded = {}
    for selector in selectors(graph, "data"):
        assert selector["eventCategory"]["equals"] == ["Data"]
        assert set(selector) == {"eventCategory", "resources.type", "resources.ARN"}  # reads too
        (resource_type,) = selector["resources.type"]["equals"]
        recorded[resource_type] = set(selector["resources.ARN"]["startsWiths"])
    prefix, account = f"rayline-{graph.stack}", graph.outputs["account_id"]
    buckets = (
        "uploads", "quarantine", "archive", "imports", "preprocessed", "models", "reports",
        "archive-replica", "models-replica", "reports-replica",
    )  # fmt: skip
    assert recorded == {
        "AWS::S3::Object": {f"arn:aws:s3:::{prefix}-{bucket}-{account}/" for bucket in buckets},
        "AWS::DynamoDB::Table": {
            f"arn:aws:dynamodb:us-east-1:{account}:table/{prefix}-{table}"
            for table in ("image-tracking", "effects", "model-metrics")
        },
        "AWS::MedicalImaging::Datastore": {
            f"arn:aws:medical-imaging:us-east-1:{account}:datastore/{graph.outputs['datastore_id']}"
        },
    }


def test_names_of_objects_never_reach_cloudwatch_logs(graph: Graph) -> None:
    # A sender's object key may name a patient, and data events hold it.
    assert "cloudWatchLogsGroupArn" not in graph.named(TRAIL, "data-trail").inputs
    management = graph.named(TRAIL, "management-trail").inputs
    group = graph.named("aws:cloudwatch/logGroup:LogGroup", "trail-logs")
    assert management["cloudWatchLogsGroupArn"] == f"{group.outputs['arn']}:*"
    assert group.inputs["name"] == f"/rayline/{graph.stack}/trail"
    assert group.inputs["kmsKeyId"] == graph.named("aws:kms/key:Key", "logs-key").outputs["arn"]


def test_cloudtrail_writes_its_log_group_and_nothing_else(graph: Graph) -> None:
    policy = json.loads(graph.named("aws:iam/rolePolicy:RolePolicy", "trail-policy").inputs["policy"])
    account = graph.outputs["account_id"]
    group = f"arn:aws:logs:us-east-1:{account}:log-group:/rayline/{graph.stack}/trail"
    (grant,) = policy["Statement"]
    assert grant["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert grant["Resource"] == [f"{group}:log-stream:{account}_CloudTrail_*"]


def test_the_bucket_admits_the_stacks_trails_and_no_other(graph: Graph) -> None:
    account, prefix = graph.outputs["account_id"], f"rayline-{graph.stack}"
    trails = [
        f"arn:aws:cloudtrail:us-east-1:{account}:trail/{prefix}-{kind}" for kind in ("management", "data")
    ]
    found = statements(graph, "logs", "cloudtrail.amazonaws.com")
    assert set(found) == {"s3:GetBucketAcl", "s3:PutObject"}
    for each in found.values():
        assert each["Condition"]["StringEquals"]["aws:SourceArn"] == trails
    assert found["s3:PutObject"]["Resource"] == [
        f"arn:aws:s3:::{prefix}-logs-{account}/trail/AWSLogs/{account}/*"
    ]
    for trail in graph.of_type(TRAIL):
        assert trail.inputs["s3KeyPrefix"] == "trail"


def test_digests_that_cloudtrail_encrypts_with_s3_s_own_key_are_refused_by_nothing(graph: Graph) -> None:
    # "… encrypts the log files but not the digest files" with SSE-KMS (CloudTrail user guide): nothing here may
    # ask how an object is encrypted, or there would be no digest to validate the log files by.
    policy = json.loads(graph.named("aws:s3/bucketPolicy:BucketPolicy", "logs-policy").inputs["policy"])
    denials = [each for each in policy["Statement"] if each["Effect"] == "Deny"]
    assert denials
    assert "server-side-encryption" not in json.dumps(denials)


def test_trails_are_locked_for_seven_years_in_prod_and_nowhere_else(graph: Graph) -> None:
    locks = graph.of_type(LOCK)
    if graph.stack != "prod":
        assert locks == ()
        return
    (lock,) = locks
    assert lock.inputs["bucket"] == graph.named(BUCKET, "logs").inputs["bucket"]
    assert lock.inputs["rule"]["defaultRetention"] == {"mode": "COMPLIANCE", "years": 7}
    assert graph.named(BUCKET, "logs").inputs["objectLockEnabled"] is True


def test_trails_begin_when_bucket_and_role_are_ready(graph: Graph) -> None:
    order = [(each.type, each.name) for each in graph.resources]
    trail = order.index((TRAIL, "management-trail"))
    assert order.index(("aws:s3/bucketPolicy:BucketPolicy", "logs-policy")) < trail
    assert order.index(("aws:iam/rolePolicy:RolePolicy", "trail-policy")) < trail


def test_config_records_everything_and_delivers_to_the_unlocked_bucket(graph_of: Any) -> None:
    graph = graph_of("dev")
    recorder = graph.named("aws:cfg/recorder:Recorder", "config-recorder").inputs
    assert recorder["recordingGroup"] == {"allSupported": True, "includeGlobalResourceTypes": True}
    assert (
        graph.named("aws:cfg/recorderStatus:RecorderStatus", "config-recording").inputs["isEnabled"] is True
    )
    channel = graph.named("aws:cfg/deliveryChannel:DeliveryChannel", "config-delivery").inputs
    # Config delivers to no bucket with a default retention (AWS Config developer guide, "Delivery channel").
    assert channel["s3BucketName"] == graph.named(BUCKET, "access-logs").inputs["bucket"]
    found = statements(graph, "access-logs", "config.amazonaws.com")
    account = graph.outputs["account_id"]
    assert found["s3:PutObject"]["Resource"] == [
        f"arn:aws:s3:::{channel['s3BucketName']}/{channel['s3KeyPrefix']}/AWSLogs/{account}/Config/*"
    ]
    for each in found.values():
        assert each["Condition"]["StringEquals"]["aws:SourceAccount"] == account


def test_config_may_deliver_under_its_own_role_before_the_channel_tries(graph_of: Any) -> None:
    # AWS_ConfigRole reads only (AWS Config developer guide, "Permissions for the IAM Role Assigned to AWS Config").
    graph = graph_of("dev")
    channel = graph.named("aws:cfg/deliveryChannel:DeliveryChannel", "config-delivery")
    delivered = graph.named("aws:iam/rolePolicy:RolePolicy", "config-policy")
    assert delivered.inputs["role"] == graph.named("aws:iam/role:Role", "config-role").inputs["name"]
    granted = {
        action: (each["Resource"], each.get("Condition"))
        for each in json.loads(delivered.inputs["policy"])["Statement"]
        for action in each["Action"]
    }
    bucket, prefix = f"arn:aws:s3:::{channel.inputs['s3BucketName']}", channel.inputs["s3KeyPrefix"]
    full_control = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    assert granted == {
        "s3:GetBucketAcl": ([bucket], None),
        "s3:PutObject": (
            [f"{bucket}/{prefix}/AWSLogs/{graph.outputs['account_id']}/Config/*"],
            full_control,
        ),
    }
    assert delivered.urn in channel.dependencies


@pytest.mark.parametrize(
    "identifier",
    [
        "S3_BUCKET_PUBLIC_READ_PROHIBITED",
        "S3_BUCKET_PUBLIC_WRITE_PROHIBITED",
        "S3_BUCKET_SERVER_SIDE_ENCRYPTION_ENABLED",
        "CLOUD_TRAIL_ENABLED",
        "ROOT_ACCOUNT_MFA_ENABLED",
        "IAM_PASSWORD_POLICY",
        "CMK_BACKING_KEY_ROTATION_ENABLED",
        "DYNAMODB_PITR_ENABLED",
        "VPC_FLOW_LOGS_ENABLED",
        "ECS_CONTAINERS_READONLY_ACCESS",
        "GUARDDUTY_ENABLED_CENTRALIZED",
    ],
)
def test_config_judges(graph_of: Any, identifier: str) -> None:
    sources = [rule.inputs["source"] for rule in graph_of("dev").of_type(RULE)]
    assert {"owner": "AWS", "sourceIdentifier": identifier} in sources


def test_guard_duty_watches_objects_and_containers(graph_of: Any) -> None:
    graph = graph_of("dev")
    detector = graph.named("aws:guardduty/detector:Detector", "detector")
    assert detector.inputs["enable"] is True
    features = {
        each.inputs["name"]: each.inputs
        for each in graph.of_type("aws:guardduty/detectorFeature:DetectorFeature")
    }
    assert {name: each["status"] for name, each in features.items()} == {
        "S3_DATA_EVENTS": "ENABLED",
        "RUNTIME_MONITORING": "ENABLED",
    }
    # All that GuardDuty answers with: a feature with fewer would be replaced by each update.
    model = botocore.session.get_session().get_service_model("guardduty")
    agents = {
        each["name"]: each["status"] for each in features["RUNTIME_MONITORING"]["additionalConfigurations"]
    }
    assert set(agents) == set(model.shape_for("FeatureAdditionalConfiguration").enum)
    assert [name for name, status in agents.items() if status == "ENABLED"] == [
        "ECS_FARGATE_AGENT_MANAGEMENT"
    ]
    assert {each["detectorId"] for each in features.values()} == {detector.id}


def test_guard_duty_s_agent_can_be_pulled_beside_each_task(graph: Graph) -> None:
    # GuardDuty user guide, "Prerequisites for AWS Fargate (Amazon ECS only) support".
    agent = "arn:aws:ecr:us-east-1:*:repository/aws-guardduty-agent-fargate"
    role = graph.named("aws:iam/rolePolicy:RolePolicy", "execution-policy").inputs["policy"]
    allowed = {
        action
        for each in json.loads(role)["Statement"]
        if agent in each["Resource"]
        for action in each["Action"]
    }
    assert allowed == {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    endpoints = [
        each.inputs["policy"]
        for each in graph.of_type("aws:ec2/vpcEndpoint:VpcEndpoint")
        if ".ecr." in each.inputs["serviceName"]
    ]
    assert len(endpoints) == 2
    assert all(agent in policy for policy in endpoints)


def test_prod_leaves_to_the_account_what_it_is_told_to() -> None:
    graph = plan("prod", overrides={"rayline:cloudTrail": "existing", "rayline:guardDuty": "create"})
    assert graph.of_type(TRAIL) == ()
    assert graph.of_type("aws:guardduty/detector:Detector")


def test_people_are_told_before_and_after_the_budget_is_spent(graph: Graph) -> None:
    (budget,) = graph.of_type("aws:budgets/budget:Budget")
    assert budget.inputs["costFilters"] == [{"name": "TagKeyValue", "values": [f"user:stack${graph.stack}"]}]
    topic = graph.named("aws:sns/topic:Topic", "notice-topic").outputs["arn"]
    told = {(each["notificationType"], each["threshold"]) for each in budget.inputs["notifications"]}
    assert told == {(kind, percent) for kind in ("ACTUAL", "FORECASTED") for percent in (50, 80, 100)}
    for each in budget.inputs["notifications"]:
        assert each["subscriberSnsTopicArns"] == [topic]
    policies = {
        each.inputs["arn"]: json.loads(each.inputs["policy"])
        for each in graph.of_type("aws:sns/topicPolicy:TopicPolicy")
    }
    publishers = {
        service
        for each in policies[topic]["Statement"]
        if each["Effect"] == "Allow"
        for service in each["Principal"].get("Service", [])
    }
    assert {"budgets.amazonaws.com", "costalerts.amazonaws.com"} <= publishers


def test_costs_that_are_unusual_are_told_of(graph: Graph) -> None:
    monitor = graph.named("aws:costexplorer/anomalyMonitor:AnomalyMonitor", "anomaly-monitor")
    # Each member as the provider reads it back (pulumi_aws, AnomalyMonitor's example): it would be replaced otherwise.
    assert json.loads(monitor.inputs["monitorSpecification"]) == {
        "And": None, "CostCategories": None, "Dimensions": None, "Not": None, "Or": None,
        "Tags": {"Key": "stack", "MatchOptions": None, "Values": [graph.stack]},
    }  # fmt: skip
    subscription = graph.named(
        "aws:costexplorer/anomalySubscription:AnomalySubscription", "anomaly-subscription"
    )
    assert subscription.inputs["monitorArnLists"] == [monitor.outputs["arn"]]
    assert subscription.inputs["frequency"] == "IMMEDIATE"


def test_costs_can_be_told_apart_by_tag(graph: Graph) -> None:
    (provider,) = graph.of_type("pulumi:providers:aws")
    tags = json.loads(provider.inputs["defaultTags"])["tags"]
    assert tags == {"application": "rayline", "stack": graph.stack, "site": graph.outputs["site"]}
    (datastore,) = [
        each for each in graph.of_type("aws:cloudcontrol/resource:Resource")
        if each.inputs["typeName"] == "AWS::HealthImaging::Datastore"
    ]  # fmt: skip
    # A changed tag would replace the data store, so they are the same in every stack.
    assert json.loads(datastore.inputs["desiredState"])["Tags"] == {
        "application": "rayline",
        "zone": "deidentified",
    }
    assert datastore.protect
    assert datastore.retain_on_delete


@pytest.mark.parametrize("percents", ["[]", "[10,20,30,40,50,60]", "[0]"])
def test_a_budget_has_at_most_ten_notifications(percents: str) -> None:
    settings = CostSettings.model_validate({"monthlyBudgetUsd": "100", "budgetAlertPercents": percents})
    assert "budgetAlertPercents" in dict(settings.problems())
