"""The memory between a worker and its supervisor."""

import math
import multiprocessing
import os
import signal
from typing import Any

import pytest

from rayline.call_board import BOARD_BYTES, Call, CallBoard, Snapshot


def boards(now: float = 100.0) -> tuple[CallBoard, CallBoard]:
    """Both sides of one board."""
    memory = bytearray(BOARD_BYTES)
    return CallBoard(memory, lambda: now), CallBoard(memory, lambda: math.nan)


def test_a_new_board_says_that_nothing_has_begun() -> None:
    assert boards()[1].read().begun == 0
    assert boards()[1].read().calls == ()


def test_calls_nest_and_carry_their_deadlines() -> None:
    worker, supervisor = boards()
    worker.received()
    worker.begin(3)
    worker.enter("on_uploaded:intake", 900)
    worker.enter("screen_instance:größe", 5)
    assert supervisor.read() == Snapshot(
        changes=4,
        begun=1,
        position=3,
        calls=(Call("on_uploaded:intake", 1000.0), Call("screen_instance:größe", 105.0)),
    )
    worker.leave()
    assert supervisor.read().calls == (Call("on_uploaded:intake", 1000.0),)
    worker.leave()
    assert supervisor.read().calls == ()
    worker.begin(4)
    worker.received()
    assert (supervisor.read().begun, supervisor.read().position) == (2, -1)


def test_what_would_not_fit_is_refused_and_changes_nothing() -> None:
    worker, supervisor = boards()
    with pytest.raises(ValueError, match="shorter name"):
        worker.enter("x" * 1_001, 1)
    for _ in range(16):
        worker.enter("x" * 1_000, 1)
    with pytest.raises(ValueError, match="circles"):
        worker.enter("one too many", 1)
    assert supervisor.read().calls == (Call("x" * 1_000, 101.0),) * 16


def dies_in_a_call(memory: Any) -> None:
    """A worker's main function."""
    board = CallBoard(memory, lambda: 0.0)
    board.begin(0)
    board.enter("on_uploaded:deadly", 60)
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_board_outlives_its_worker() -> None:
    context = multiprocessing.get_context("fork")  # a spawned process could not import this module
    memory = CallBoard.share(context)
    process = context.Process(target=dies_in_a_call, args=(memory,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert CallBoard(memory, lambda: 0.0).read().calls == (Call("on_uploaded:deadly", 60.0),)
