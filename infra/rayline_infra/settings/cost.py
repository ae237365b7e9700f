"""What the stack may cost."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rayline_infra.settings.section import Numbers, Section, setting


class CostSettings(Section):
    """The budget and when it alerts."""

    monthly_budget_usd: Annotated[float, Field(gt=0, le=10_000_000)] = setting(
        "monthlyBudgetUsd", "Budget of the stack for a month in US dollars.", 3000
    )
    budget_alert_percents: Numbers = setting(
        "budgetAlertPercents",
        "Shares of the budget in percent at which people are told, of what is spent and of the forecast.",
        [50, 80, 100],
        default=(50.0, 80.0, 100.0),
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        # Two notifications for each, of the ten that a budget may have (AWS Budgets API, "Notification").
        if not 0 < len(self.budget_alert_percents) <= 5:
            yield "budgetAlertPercents", "it must have one to five shares"
        if any(not 0 < percent <= 1000 for percent in self.budget_alert_percents):
            yield "budgetAlertPercents", "each share must be above 0 and at most 1000"
