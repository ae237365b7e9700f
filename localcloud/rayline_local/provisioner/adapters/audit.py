"""What watches an account: CloudTrail, AWS Config, budgets and resource groups."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Found, Recipe, first
from rayline_local.provisioner.adapters.requests import request_for


def _trail(cloudtrail: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return first(cloudtrail.describe_trails(trailNameList=[inputs["name"]])["trailList"])


TRAIL_RENAMED = {
    "EnableLogFileValidation": "enableLogFileValidation",
    "CloudWatchLogsLogGroupArn": "cloudWatchLogsGroupArn",
}


def _settle_trail(cloudtrail: Any, trail: Found, inputs: Inputs) -> None:
    name = inputs["name"]
    for member in ("eventSelectors", "advancedEventSelectors"):
        if selectors := inputs.get(member):
            renamed = {"FieldSelectors": "fieldSelectors", "DataResources": "dataResources"}
            given = [{**each, "dataResources": each.get("dataResources") or []} for each in selectors]
            request = request_for(cloudtrail, "PutEventSelectors", {member: given}, renamed)
            cloudtrail.put_event_selectors(TrailName=name, **request)
    if inputs.get("enableLogging", True):
        cloudtrail.start_logging(Name=name)
    else:
        cloudtrail.stop_logging(Name=name)


TRAIL = Recipe(
    service="cloudtrail",
    find=_trail,
    identity="TrailARN",
    create="CreateTrail",
    update="UpdateTrail",
    renamed=TRAIL_RENAMED,
    delete=("DeleteTrail", "Name"),
    settle=_settle_trail,
    outputs={"arn": "{id}", "homeRegion": "{HomeRegion}"},
    replaced_by=frozenset({"name"}),
)


def _recorder(config: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = config.describe_configuration_recorders(ConfigurationRecorderNames=[inputs["name"]])
    return first(found["ConfigurationRecorders"])


def _put_recorder(config: Any, inputs: Inputs) -> Any:
    recorder = {
        "name": inputs["name"],
        "roleARN": inputs["roleArn"],
        "recordingGroup": inputs.get("recordingGroup"),
        "recordingMode": inputs.get("recordingMode"),
    }
    request = request_for(config, "PutConfigurationRecorder", {"configurationRecorder": recorder})
    return config.put_configuration_recorder(**request)


RECORDER = Recipe(
    service="config",
    find=_recorder,
    identity="name",
    create=_put_recorder,
    update=lambda config, found, inputs: _put_recorder(config, inputs),
    # MiniStack deletes no recorder; one that does not run records nothing.
    delete=lambda config, name, inputs: config.stop_configuration_recorder(ConfigurationRecorderName=name),
    replaced_by=frozenset({"name"}),
)


def _channel(config: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return first(config.describe_delivery_channels(DeliveryChannelNames=[inputs["name"]])["DeliveryChannels"])


def _put_channel(config: Any, inputs: Inputs) -> Any:
    channel = {
        "name": inputs["name"],
        "s3BucketName": inputs["s3BucketName"],
        "s3KeyPrefix": inputs.get("s3KeyPrefix"),
        "s3KmsKeyArn": inputs.get("s3KmsKeyArn"),
        "snsTopicARN": inputs.get("snsTopicArn"),
        "configSnapshotDeliveryProperties": inputs.get("snapshotDeliveryProperties"),
    }
    return config.put_delivery_channel(
        **request_for(config, "PutDeliveryChannel", {"deliveryChannel": channel})
    )


DELIVERY_CHANNEL = Recipe(
    service="config",
    find=_channel,
    identity="name",
    create=_put_channel,
    update=lambda config, found, inputs: _put_channel(config, inputs),
    delete=lambda config, name, inputs: None,  # MiniStack deletes no delivery channel
    replaced_by=frozenset({"name"}),
)


def _recorder_status(config: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = config.describe_configuration_recorder_status(ConfigurationRecorderNames=[inputs["name"]])
    return first(found["ConfigurationRecordersStatus"])


def _set_recorder_status(config: Any, inputs: Inputs) -> None:
    act = config.start_configuration_recorder if inputs["isEnabled"] else config.stop_configuration_recorder
    act(ConfigurationRecorderName=inputs["name"])


RECORDER_STATUS = Recipe(
    service="config",
    find=_recorder_status,
    identity="name",
    create="",
    settle=lambda config, found, inputs: _set_recorder_status(config, inputs),
    delete=lambda config, name, inputs: config.stop_configuration_recorder(ConfigurationRecorderName=name),
    replaced_by=frozenset({"name"}),
)


def _config_rule(config: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return first(config.describe_config_rules(ConfigRuleNames=[inputs["name"]])["ConfigRules"])


def _put_config_rule(config: Any, inputs: Inputs) -> Any:
    rule = {
        **{name: value for name, value in inputs.items() if name != "tags"},
        "configRuleName": inputs["name"],
    }
    return config.put_config_rule(**request_for(config, "PutConfigRule", {"configRule": rule}))


CONFIG_RULE = Recipe(
    service="config",
    find=_config_rule,
    identity="ConfigRuleName",
    create=_put_config_rule,
    update=lambda config, found, inputs: _put_config_rule(config, inputs),
    delete=("DeleteConfigRule", "ConfigRuleName"),
    outputs={"arn": "{ConfigRuleArn}", "ruleId": "{ConfigRuleId}"},
    replaced_by=frozenset({"name"}),
)
