"""Collects what is measured, and publishes it every few seconds; to measure costs a microsecond or two.

Nothing that handles an event waits for a log: a thread of its own writes, and a log that cannot be written to
loses its metrics and nothing else.
"""

import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, TextIO, TypeVar

import structlog

from rayline.observability.logs import failure_fields
from rayline.observability.metrics import VALUES_A_LINE, Dimension, Metric, Statistic, publish

PUBLISH_SECONDS: Final = 10.0
OTHER: Final = "OTHER"
"""What stands for a label that is none: one of more than 64 characters, or of others than letters, digits, ``_.-``."""

_METRICS_A_LINE: Final = 12  # a line of less than 4 KB is written at once, and never torn (pipe(7), PIPE_BUF)
_MOST_SAMPLES: Final = 10_000  # of one series between two lines; who never publishes does not fill the memory
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_log = structlog.get_logger()

_T = TypeVar("_T")
_Series = tuple[Metric, tuple[str, ...]]
_Labels = tuple[tuple[Dimension, str], ...]


class Meter:
    """What one process measures of one site; safe to use from several threads.

    Args:
        stream: where the task's log is read; default standard error, unless that is a terminal.
    """

    def __init__(
        self,
        site: str,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        stream: TextIO | None = None,
    ) -> None:
        self._site = site
        self._clock = clock
        self._stream = stream
        self._lock = threading.Lock()
        self._numbers: dict[_Series, float] = {}
        self._samples: dict[_Series, list[float]] = {}
        self._levels: list[tuple[Metric, Callable[[], float]]] = []

    def record(self, metric: Metric, value: float = 1.0, *labels: str) -> None:
        """Take in one value.

        Args:
            labels: one for each dimension in ``metric.by``, from a small and closed set of words.

        Raises:
            ValueError: there are more labels than dimensions, or fewer.
        """
        if len(labels) != len(metric.by):
            raise ValueError(f"{metric.name} is published by {', '.join(metric.by) or 'the site alone'}")
        series = (metric, labels)
        with self._lock:
            if metric.statistic is Statistic.SUM:
                self._numbers[series] = self._numbers.get(series, 0.0) + value
            elif metric.statistic is Statistic.LEVEL:
                self._numbers[series] = value
            else:
                samples = self._samples.setdefault(series, [])
                if len(samples) < _MOST_SAMPLES:
                    samples.append(value)

    def watch(self, metric: Metric, level: Callable[[], float]) -> None:
        """Read a level whenever the metrics are published."""
        self._levels.append((metric, level))

    def flush(self) -> None:
        """Publish what was taken in since the last time."""
        for metric, level in self._levels:
            self.record(metric, level())
        with self._lock:
            numbers, self._numbers = self._numbers, {}
            samples, self._samples = self._samples, {}
        now = self._clock()
        try:
            stream = self._stream or sys.stderr
            if self._stream is None and stream.isatty():
                return
            for labels, values in _lines(numbers, samples):
                publish(values, site=self._site, at=now, labels=dict(labels), stream=stream)
        except (OSError, ValueError):
            # The log is closed or full: nobody reads these numbers, and the work goes on.
            return

    @contextmanager
    def publishing(self, every_seconds: float = PUBLISH_SECONDS) -> Iterator[None]:
        """Publish every few seconds while the context lasts, and once more at its end."""
        ended = threading.Event()

        def keep_publishing() -> None:
            while not ended.wait(every_seconds):
                self.flush()

        thread = threading.Thread(target=keep_publishing, name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            # A log that takes nothing must not hold up the end of the process.
            thread.join(timeout=1.0)
            if not thread.is_alive():
                self.flush()


@contextmanager
def measuring() -> Iterator[None]:
    """What is only measured may fail, and nothing else fails with it."""
    try:
        yield
    except Exception as error:
        _log.warning("not_measured", **failure_fields(error))


def _lines(
    numbers: dict[_Series, float], samples: dict[_Series, list[float]]
) -> Iterator[tuple[_Labels, dict[Metric, float | list[float]]]]:
    together: dict[_Labels, list[tuple[Metric, float]]] = {}
    for (metric, labels), value in numbers.items():
        together.setdefault(_labels(metric, labels), []).append((metric, value))
    for group, each in together.items():
        for some in _parts(each, _METRICS_A_LINE):
            yield group, dict(some)
    for (metric, labels), values in samples.items():
        for chunk in _parts(values, VALUES_A_LINE):
            yield _labels(metric, labels), {metric: [float(f"{value:.6g}") for value in chunk]}


def _parts(values: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    return (values[start : start + most] for start in range(0, len(values), most))


def _labels(metric: Metric, labels: tuple[str, ...]) -> _Labels:
    named = zip(metric.by, labels, strict=True)
    return tuple((by, label if _LABEL.fullmatch(label) else OTHER) for by, label in named)
