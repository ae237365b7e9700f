"""What a second process gains on this machine where nothing is shared: cores may be two threads of one, or lent."""

import subprocess
import sys

_LOOP = """
import time
started, total = time.perf_counter(), 0
for number in range({additions}):
    total += number
print(time.perf_counter() - started)
"""
_ADDITIONS = 20_000_000  # about a second


def two_over_one() -> float:
    """Additions a second of two processes of plain Python, over those of one."""
    (one,) = _seconds(1)
    return 2 * one / max(_seconds(2))


def _seconds(processes: int) -> list[float]:
    command = [sys.executable, "-c", _LOOP.format(additions=_ADDITIONS)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return [float(each.communicate()[0]) for each in started]
