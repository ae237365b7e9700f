"""Forked processes: a run ends whatever one of them does."""

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from support.fresh_process import in_fresh_process

from rayline_deid import processes


class NoWorkLeftError(Exception):
    """What ends the run in this test."""


def end_with_one_that_hangs(heeds_sigterm: bool) -> list[int]:
    """Two processes: one hangs, and the other one's result makes the run end; answers what is left of them."""
    processes._GRACE_SECONDS = 0.2  # type: ignore[misc]

    def work(chunk: processes.Chunk) -> Sequence[Any]:
        if 0 in chunk:
            if not heeds_sigterm:
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            signal.pause()
        return [os.getpid()]

    def collect(results: Sequence[Any]) -> None:
        raise NoWorkLeftError

    with pytest.raises(NoWorkLeftError):
        processes.run_forked(
            [range(0, 1), range(1, 2)], 2, work, collect, processes.Stop(), died=lambda chunk: None
        )
    left = []
    while True:
        try:
            left.append(os.waitpid(-1, os.WNOHANG)[0])
        except ChildProcessError:
            return left


@pytest.mark.parametrize("heeds_sigterm", [True, False])
def test_a_process_that_hangs_does_not_keep_the_run_from_ending(heeds_sigterm: bool) -> None:
    assert in_fresh_process(end_with_one_that_hangs, heeds_sigterm) == []
