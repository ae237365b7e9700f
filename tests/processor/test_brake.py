"""The brake stops a worker while nearly everything fails, and nothing else stops it."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayline.brake import Brake


@dataclass
class Seconds:
    """A clock that is moved by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def braked() -> tuple[Brake, Seconds]:
    """A brake that has just come on."""
    clock = Seconds()
    brake = Brake(clock)
    for _ in range(10):
        assert not brake.on
        brake.note(failed=True)
    assert brake.on
    return brake, clock


def test_it_comes_on_when_nine_in_ten_fail_and_not_before() -> None:
    brake = Brake(Seconds())
    for failed in [False, True] * 50:
        brake.note(failed=failed)
        assert not brake.on
    assert brake.most(10) == 10
    assert brake.wait_seconds() == 0


@given(st.lists(st.booleans(), max_size=9))
def test_a_few_failures_say_nothing(ends: list[bool]) -> None:
    brake = Brake(Seconds())
    for failed in ends:
        brake.note(failed=failed)
    assert not brake.on


@pytest.mark.parametrize("success_at", range(10))
def test_one_success_in_ten_hides_no_fault(success_at: int) -> None:
    brake = Brake(Seconds())
    for number in range(10):
        brake.note(failed=number != success_at)
    assert brake.on


def test_probes_go_through_one_by_one_ever_later_until_one_succeeds() -> None:
    brake, clock = braked()
    pauses = []
    for _ in range(6):
        pauses.append(brake.wait_seconds())
        assert brake.most(10) == 1
        clock.now += brake.wait_seconds()
        brake.note(failed=True)
    assert pauses == [5, 10, 20, 40, 60, 60]
    clock.now += brake.wait_seconds()
    brake.note(failed=False)
    assert not brake.on
    assert brake.most(10) == 10


def test_what_was_in_hand_when_it_came_on_is_no_probe() -> None:
    brake, _ = braked()
    for _ in range(9):
        brake.note(failed=True)
    assert brake.wait_seconds() == 5


def test_after_its_release_it_looks_anew() -> None:
    brake, clock = braked()
    clock.now += 5
    brake.note(failed=False)
    for _ in range(9):
        brake.note(failed=True)
    assert not brake.on
    brake.note(failed=True)
    assert brake.on
