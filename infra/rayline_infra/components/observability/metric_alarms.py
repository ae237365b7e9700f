"""Declares the tables of alarms and of objectives as CloudWatch alarms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, TopicKind
from rayline_infra.components.observability.alarm import Alarm, Composite, description
from rayline_infra.components.observability.alarms import alarms
from rayline_infra.components.observability.composites import composites
from rayline_infra.components.observability.objectives import burn_alarms, burn_composites
from rayline_infra.components.observability.places import Places
from rayline_infra.components.observability.series import Math, Series
from rayline_infra.settings import ObservabilitySettings

PLAIN_STATISTICS = frozenset({"SampleCount", "Average", "Sum", "Minimum", "Maximum"})
WATCHED = "watched"
Query = aws.cloudwatch.MetricAlarmMetricQueryArgs


@dataclass(frozen=True)
class AlarmsArgs:
    """Thresholds, the resources that there are, and who is told.

    Attributes:
        reconcile_seconds: how often the reconciler runs.
        places: a stack without an endpoint or a trail of its own leaves those out, and has no alarms on them.
    """

    names: EstateNames
    settings: ObservabilitySettings
    reconcile_seconds: int
    places: Places
    topics: Mapping[TopicKind, pulumi.Output[str]]


class Alarms(pulumi.ComponentResource):
    """Metric alarms, then the composite alarms over them."""

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:observability:Alarms", name, None, opts)
        self._args = args
        self._declared: dict[str, pulumi.Resource] = {}
        for alarm in (*alarms(args.settings, args.reconcile_seconds), *burn_alarms()):
            if alarm.places <= set(args.places):
                self._declared[alarm.name] = self._metric_alarm(alarm)
        for composite in (*composites(), *burn_composites()):
            self._composite_alarm(composite)
        self.register_outputs({})

    @property
    def pages(self) -> Mapping[str, str]:
        """The runbook of each alarm that the stack has, by the alarm's name after the stack's prefix."""
        every: tuple[Alarm | Composite, ...] = (
            *alarms(self._args.settings, self._args.reconcile_seconds),
            *burn_alarms(),
            *composites(),
            *burn_composites(),
        )
        return {each.name: each.page for each in every if each.name in self._declared}

    def _metric_alarm(self, alarm: Alarm) -> aws.cloudwatch.MetricAlarm:
        actions = self._actions(alarm.topic)
        watch, places = alarm.watch, self._args.places
        single = isinstance(watch, Series)
        plain = isinstance(watch, Series) and watch.statistic in PLAIN_STATISTICS
        return aws.cloudwatch.MetricAlarm(
            f"{alarm.name}-alarm",
            name=self._args.names.alarm(alarm.name),
            alarm_description=description(alarm.meaning, alarm.page, self._args.settings.runbook_url),
            namespace=watch.namespace if isinstance(watch, Series) else None,
            metric_name=watch.metric.name if isinstance(watch, Series) else None,
            dimensions=watch.planned(places) if isinstance(watch, Series) else None,
            statistic=watch.statistic if isinstance(watch, Series) and plain else None,
            extended_statistic=watch.statistic if isinstance(watch, Series) and not plain else None,
            period=alarm.period_seconds if single else None,
            metric_queries=list(_queries(watch, alarm, places)) if isinstance(watch, Math) else None,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.breaching,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            treat_missing_data=alarm.missing,
            alarm_actions=actions,
            # A pager closes what is over; a notice needs no second message.
            ok_actions=actions if alarm.topic == "alarms" else [],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _composite_alarm(self, composite: Composite) -> None:
        rule = composite.rule(self._args.names.prefix, frozenset(self._declared))
        if not rule:
            return
        actions = self._actions(composite.topic)
        members = (*composite.either, *composite.together, *composite.unless)
        self._declared[composite.name] = aws.cloudwatch.CompositeAlarm(
            f"{composite.name}-alarm",
            alarm_name=self._args.names.alarm(composite.name),
            alarm_description=description(composite.meaning, composite.page, self._args.settings.runbook_url),
            alarm_rule=rule,
            alarm_actions=actions,
            ok_actions=actions if composite.topic == "alarms" else [],
            # CloudWatch refuses a rule that names an alarm which does not exist yet.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[self._declared[each] for each in members if each in self._declared]
            ),
        )

    def _actions(self, topic: TopicKind | None) -> list[pulumi.Output[str]]:
        return [] if topic is None else [self._args.topics[topic]]


def _queries(math: Math, alarm: Alarm, places: Places) -> Iterable[Query]:
    yield Query(id=WATCHED, expression=math.expression, label=math.label or alarm.name, return_data=True)
    for identity, series in math.series.items():
        yield Query(
            id=identity,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=series.namespace,
                metric_name=series.metric.name,
                dimensions=series.planned(places),
                stat=series.statistic,
                period=alarm.period_seconds,
            ),
            return_data=False,
        )
