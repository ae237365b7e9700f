"""Budgets and whom they tell."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tolerate
from rayline_local.provisioner.clients import Clients

GONE = ("NotFoundException",)


class BudgetAdapter:
    """``aws:budgets/budget:Budget``; its id is account and name."""

    replaced_by = frozenset({"name"})

    def __init__(self, clients: Clients) -> None:
        self._budgets = clients.get("budgets")
        self._account = clients.account_id

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        self.delete(name, inputs)  # a budget holds no data, and notifications have no update of their own
        self._budgets.create_budget(
            AccountId=self._account,
            Budget=_budget(inputs),
            NotificationsWithSubscribers=[_notification(each) for each in inputs.get("notifications") or ()],
        )
        return Made(f"{self._account}:{name}", {"arn": f"arn:aws:budgets::{self._account}:budget/{name}"})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        name = inputs["name"]
        found = tolerate(
            GONE, lambda: self._budgets.describe_budget(AccountId=self._account, BudgetName=name)
        )
        return found is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        name = inputs["name"]
        tolerate(GONE, lambda: self._budgets.delete_budget(AccountId=self._account, BudgetName=name))


def _budget(inputs: Inputs) -> dict[str, Any]:
    filters = {each["name"]: list(each["values"]) for each in inputs.get("costFilters") or ()}
    return {
        "BudgetName": inputs["name"],
        "BudgetType": inputs["budgetType"],
        "TimeUnit": inputs["timeUnit"],
        "BudgetLimit": {"Amount": str(inputs["limitAmount"]), "Unit": inputs["limitUnit"]},
        **({"CostFilters": filters} if filters else {}),
    }


def _notification(notification: Inputs) -> dict[str, Any]:
    subscribers = {
        "EMAIL": notification.get("subscriberEmailAddresses") or (),
        "SNS": notification.get("subscriberSnsTopicArns") or (),
    }
    return {
        "Notification": {
            "NotificationType": notification["notificationType"],
            "ComparisonOperator": notification["comparisonOperator"],
            "Threshold": float(notification["threshold"]),
            "ThresholdType": notification["thresholdType"],
        },
        "Subscribers": [
            {"SubscriptionType": kind, "Address": address}
            for kind, addresses in subscribers.items()
            for address in addresses
        ],
    }
