"""Liveness and readiness, as the container's health check asks for them."""

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from rayline.errors import ConfigurationError
from rayline.health import Health, serve_health


class Seconds:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def health(clock: Seconds) -> Health:
    return Health(2, clock)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(port: int, path: str) -> tuple[int, Any]:
    """Status and report."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_is_ready_once_every_worker_has_polled(health: Health) -> None:
    health.tick(consuming=0, braked=0)
    assert (health.report().live, health.report().ready) == (True, False)
    health.tick(consuming=1, braked=0)
    assert not health.report().ready
    health.tick(consuming=2, braked=0)
    assert health.report().ready


def test_a_worker_that_died_makes_it_unready_but_live(health: Health) -> None:
    health.tick(consuming=2, braked=0)
    health.tick(consuming=1, braked=0)
    assert (health.report().live, health.report().ready) == (True, False)


def test_a_supervisor_that_stalls_is_not_live(health: Health, clock: Seconds) -> None:
    health.tick(consuming=2, braked=0)
    clock.now += 29
    assert health.report().live
    clock.now += 2
    assert (health.report().live, health.report().ready) == (False, False)


def test_draining_is_live_and_not_ready(health: Health) -> None:
    health.tick(consuming=2, braked=0)
    health.drain()
    assert (health.report().live, health.report().ready, health.report().draining) == (True, False, True)


def test_both_are_served(health: Health, clock: Seconds) -> None:
    with serve_health(health, free_port()) as port:
        health.tick(consuming=1, braked=1)
        status, report = ask(port, "/live")
        assert status == 200
        assert (report["workers"], report["consuming"], report["braked"]) == (2, 1, 1)
        assert ask(port, "/ready")[0] == 503
        health.tick(consuming=2, braked=0)
        assert ask(port, "/ready")[0] == 200
        clock.now += 60
        assert ask(port, "/live")[0] == 503


def test_a_port_that_is_taken_is_told(health: Health) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with (
            pytest.raises(ConfigurationError, match="RAYLINE_HEALTH_PORT"),
            serve_health(health, listener.getsockname()[1]),
        ):
            pass


def test_port_0_serves_nothing(health: Health) -> None:
    with serve_health(health, 0) as port:
        assert port == 0
