"""What is measured is published soon, as a log can take it, and holds nothing up."""

import io
import json
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.manual_clock import ManualClock

from rayline.observability.meter import Meter
from rayline.observability.metrics import (
    ACCURACY,
    CONSUMED_MESSAGES,
    EVENT_SECONDS,
    EVENTS_HANDLED,
    METRICS,
    OUTBOX_LAG,
    QUEUE_WAIT,
    STORED_BYTES,
    Statistic,
)


class Log(io.StringIO):
    """A log that a test reads."""

    def lines(self) -> list[dict[str, Any]]:
        """Each line, parsed."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def values(self, name: str) -> list[Any]:
        """All values of one metric."""
        return [line[name] for line in self.lines() if name in line]


def measured() -> tuple[Meter, Log]:
    log = Log()
    return Meter("test-site", clock=ManualClock(), stream=log), log


def test_counts_add_up_levels_are_the_last_and_measurements_stay_apart() -> None:
    meter, log = measured()
    for seconds in (1.0, 2.5):
        meter.record(CONSUMED_MESSAGES)
        meter.record(QUEUE_WAIT, seconds)
        meter.record(OUTBOX_LAG, seconds)
    meter.flush()
    assert log.values("ConsumedMessages") == [2]
    assert log.values("OutboxLag") == [2.5]
    assert log.values("QueueWait") == [[1.0, 2.5]]
    meter.flush()
    assert len(log.values("ConsumedMessages")) == 1, "what was published is not published again"


def test_each_combination_of_labels_has_a_line_with_its_dimensions() -> None:
    meter, log = measured()
    meter.record(EVENTS_HANDLED, 1, "uploaded", "done")
    meter.record(EVENTS_HANDLED, 1, "uploaded", "done")
    meter.record(EVENTS_HANDLED, 1, "ingested", "failed")
    meter.flush()
    assert [(line["Event"], line["Outcome"], line["EventsHandled"]) for line in log.lines()] == [
        ("uploaded", "done", 2),
        ("ingested", "failed", 1),
    ]
    directive = log.lines()[0]["_aws"]["CloudWatchMetrics"][0]
    # The site alone too, which alarms look at.
    assert directive["Dimensions"] == [["Site"], ["Site", "Event"], ["Site", "Outcome"]]


def test_no_line_has_more_values_than_the_format_allows_nor_is_too_long_for_one_write() -> None:
    meter, log = measured()
    for number in range(250):
        meter.record(EVENT_SECONDS, 1 / (number + 1), "uploaded")
    for metric in METRICS:
        meter.record(metric, 123_456_789_012, *(["a" * 64] * len(metric.by)))
    meter.flush()
    assert [len(values) for values in log.values("EventSeconds")][:2] == [100, 100]
    # The specification allows 100 values a metric; a write of up to 4,096 bytes into a pipe is not torn.
    assert max(len(values) for values in log.values("EventSeconds")) <= 100
    assert max(map(len, log.getvalue().splitlines())) < 4096


def test_a_label_that_is_no_word_is_not_published() -> None:
    meter, log = measured()
    for label in ("Doe^John", "x" * 65, "", "a b"):
        meter.record(ACCURACY, 0.9, label)
    meter.flush()
    assert {line["Model"] for line in log.lines()} == {"OTHER"}


def test_labels_that_do_not_fit_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="the site alone"):
        measured()[0].record(CONSUMED_MESSAGES, 1, "uploaded")


def test_a_closed_log_loses_metrics_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    meter = Meter("test-site")
    with meter.publishing(every_seconds=0.001):
        meter.record(CONSUMED_MESSAGES)
        meter.flush()
        meter.record(CONSUMED_MESSAGES)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_log_loses_metrics_and_nothing_else() -> None:
    flushed = False
    # What is left in the buffer cannot be written when it closes either.
    with suppress(OSError), Path("/dev/full").open("w", buffering=1) as full:
        meter = Meter("test-site", stream=full)
        meter.record(CONSUMED_MESSAGES)
        meter.flush()
        flushed = True
    assert flushed


class Stuck(io.StringIO):
    """A log whose reader has stopped reading."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        """Block, as a full pipe does."""
        self.entered.set()
        self.released.wait()
        return len(text)


def test_whoever_measures_does_not_wait_for_a_log_that_is_stuck() -> None:
    log = Stuck()
    meter = Meter("test-site", stream=log)
    meter.record(CONSUMED_MESSAGES)
    began = time.monotonic()
    with meter.publishing(every_seconds=0.001):
        assert log.entered.wait(10)
        for _ in range(1000):
            meter.record(CONSUMED_MESSAGES)
    assert time.monotonic() - began < 10, "the end waits for a second only"
    log.released.set()


def test_a_level_is_read_when_it_is_published() -> None:
    meter, log = measured()
    levels = iter([3.0, 5.0])
    meter.watch(STORED_BYTES, lambda: next(levels))
    meter.flush()
    meter.flush()
    assert log.values("StoredBytes") == [3.0, 5.0]


def test_what_was_measured_last_is_published_at_the_end() -> None:
    meter, log = measured()
    with meter.publishing(every_seconds=3600):
        meter.record(CONSUMED_MESSAGES)
    assert log.values("ConsumedMessages") == [1]


def test_a_terminal_is_not_filled_with_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Log()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    meter = Meter("test-site")
    meter.record(CONSUMED_MESSAGES)
    meter.flush()
    assert terminal.getvalue() == ""


def test_measuring_an_event_costs_less_than_fifty_microseconds() -> None:
    meter, _ = measured()
    started = time.thread_time()
    for _ in range(2_000):
        # As many as one uploaded event brings about, and more.
        meter.record(CONSUMED_MESSAGES)
        meter.record(EVENTS_HANDLED, 1, "uploaded", "done")
        meter.record(EVENT_SECONDS, 0.01, "uploaded")
        meter.record(QUEUE_WAIT, 0.5)
    assert (time.thread_time() - started) / 2_000 < 50e-6


def test_one_who_never_publishes_does_not_fill_the_memory() -> None:
    meter, log = measured()
    assert QUEUE_WAIT.statistic is Statistic.DISTRIBUTION
    for _ in range(20_000):
        meter.record(QUEUE_WAIT, 1.0)
    meter.flush()
    assert sum(map(len, log.values("QueueWait"))) == 10_000
