"""What the dashboards have in common: the text that says what to do, and the prices that costs are reckoned with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rayline.names import EstateNames, QueryKind
from rayline_infra.components.observability.widgets import Text


@dataclass(frozen=True)
class HourlyPrices:
    """List prices of the pipeline's instances in US dollars for an hour."""

    processing: float
    training: float
    evaluation: float


@dataclass(frozen=True)
class Guide:
    """Writes the text at the top of a dashboard.

    Attributes:
        runbooks: where runbooks are read.
        pages: the runbook of each alarm, by its name.
    """

    names: EstateNames
    runbooks: str
    pages: Mapping[str, str]

    def text(self, title: str, advice: str, alarms: Sequence[str], queries: Sequence[QueryKind]) -> Text:
        """What the dashboard answers, the runbooks of its alarms, and the saved queries that help."""
        pages = dict.fromkeys(self.pages[each] for each in alarms if each in self.pages)
        runbooks = " · ".join(self._link(page) for page in pages)
        saved = ", ".join(f"`{self.names.query(each)}`" for each in queries)
        return Text(
            f"# {title}: {self.names.prefix}\n{advice}\n\n**Runbooks** {runbooks}\n\n"
            f"**Saved queries** in [Logs Insights]({self._insights()}): {saved}",
            height=4,
        )

    def _link(self, page: str) -> str:
        address = f"{self.runbooks.rstrip('/')}/{page}"
        # A folder of the repository is no place that the console could link to.
        return f"[{page.removesuffix('.md')}]({address})" if "://" in address else f"`{address}`"

    def _insights(self) -> str:
        region = self.names.region
        return f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:logs-insights"
