"""What the stack may cost."""

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
