"""EventBridge buses, rules, targets and archives."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.clients import Clients

GONE = ("ResourceNotFoundException",)
TAKEN = ("ResourceAlreadyExistsException",)


class EventBusAdapter:
    """``aws:cloudwatch/eventBus:EventBus``."""

    replaced_by = frozenset({"name"})

    def __init__(self, clients: Clients) -> None:
        self._events = clients.get("events")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        settings: dict[str, Any] = {"Description": inputs.get("description", "")}
        if "kmsKeyIdentifier" in inputs:
            settings["KmsKeyIdentifier"] = inputs["kmsKeyIdentifier"]
        if letter := inputs.get("deadLetterConfig"):
            settings["DeadLetterConfig"] = {"Arn": letter["arn"]}
        tolerate(TAKEN, lambda: self._events.create_event_bus(Name=name, Tags=tag_list(inputs)))
        self._events.update_event_bus(Name=name, **settings)
        return Made(name, {"arn": self._events.describe_event_bus(Name=name)["Arn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(GONE, lambda: self._events.describe_event_bus(Name=resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._events.delete_event_bus(Name=resource_id))


class EventRuleAdapter:
    """``aws:cloudwatch/eventRule:EventRule``."""

    replaced_by = frozenset({"name", "eventBusName"})

    def __init__(self, clients: Clients) -> None:
        self._events = clients.get("events")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        where = {"Name": inputs["name"], "EventBusName": inputs["eventBusName"]}
        optional = {
            "Description": inputs.get("description"),
            "EventPattern": inputs.get("eventPattern"),
            "ScheduleExpression": inputs.get("scheduleExpression"),
        }
        made = self._events.put_rule(
            **where,
            State=inputs.get("state", "ENABLED"),
            **{name: value for name, value in optional.items() if value is not None},
        )
        return Made(f"{inputs['eventBusName']}/{inputs['name']}", {"arn": made["RuleArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return self._describe(inputs) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        where = {"Name": inputs["name"], "EventBusName": inputs["eventBusName"]}
        tolerate(GONE, lambda: self._events.delete_rule(**where))

    def _describe(self, inputs: Inputs) -> Any:
        where = {"Name": inputs["name"], "EventBusName": inputs["eventBusName"]}
        return tolerate(GONE, lambda: self._events.describe_rule(**where))


class EventTargetAdapter:
    """``aws:cloudwatch/eventTarget:EventTarget``."""

    replaced_by = frozenset({"rule", "eventBusName", "targetId"})

    def __init__(self, clients: Clients) -> None:
        self._events = clients.get("events")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        target: dict[str, Any] = {"Id": inputs["targetId"], "Arn": inputs["arn"]}
        if inputs.get("input"):
            target["Input"] = inputs["input"]
        if transformer := inputs.get("inputTransformer"):
            target["InputTransformer"] = {
                "InputPathsMap": transformer.get("inputPaths", {}),
                "InputTemplate": transformer["inputTemplate"],
            }
        if letter := inputs.get("deadLetterConfig"):
            target["DeadLetterConfig"] = {"Arn": letter["arn"]}
        if retry := inputs.get("retryPolicy"):
            target["RetryPolicy"] = {
                "MaximumEventAgeInSeconds": int(retry["maximumEventAgeInSeconds"]),
                "MaximumRetryAttempts": int(retry["maximumRetryAttempts"]),
            }
        answer = self._events.put_targets(**_rule_of(inputs), Targets=[target])
        # PutTargets answers 200 with the entries that it refused.
        if answer.get("FailedEntryCount"):
            raise RuntimeError(f"target refused: {answer['FailedEntries'][0].get('ErrorMessage')}")
        return Made(f"{inputs['eventBusName']}/{inputs['rule']}/{inputs['targetId']}")

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = tolerate(GONE, lambda: self._events.list_targets_by_rule(**_rule_of(inputs)))
        return any(each["Id"] == inputs["targetId"] for each in (found or {}).get("Targets", []))

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        ids = [inputs["targetId"]]
        tolerate(GONE, lambda: self._events.remove_targets(**_rule_of(inputs), Ids=ids))


class EventArchiveAdapter:
    """``aws:cloudwatch/eventArchive:EventArchive``."""

    replaced_by = frozenset({"name", "eventSourceArn"})

    def __init__(self, clients: Clients) -> None:
        self._events = clients.get("events")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        settings: dict[str, Any] = {"RetentionDays": int(inputs.get("retentionDays", 0))}
        for ours, theirs in (
            ("description", "Description"),
            ("eventPattern", "EventPattern"),
            ("kmsKeyIdentifier", "KmsKeyIdentifier"),
        ):
            if ours in inputs:
                settings[theirs] = inputs[ours]
        if self.exists(name, inputs):
            self._events.update_archive(ArchiveName=name, **settings)
        else:
            self._events.create_archive(ArchiveName=name, EventSourceArn=inputs["eventSourceArn"], **settings)
        return Made(name, {"arn": self._events.describe_archive(ArchiveName=name)["ArchiveArn"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(GONE, lambda: self._events.describe_archive(ArchiveName=resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._events.delete_archive(ArchiveName=resource_id))


def _rule_of(inputs: Inputs) -> dict[str, str]:
    return {"Rule": inputs["rule"], "EventBusName": inputs["eventBusName"]}
