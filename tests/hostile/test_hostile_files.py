"""No file breaks the intake: each ends soon and small, inside the error tree, for its true reason, without a leak."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from support.fresh_process import in_fresh_process
from support.hostile_files import HOSTILE, SENTINEL
from support.shared_data import ROOT

# The intake's promise, of the kernel's count and not of the clock on the wall.
CPU_SECONDS = 2.0
PEAK_MB = 300


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """How each hostile file ended, in processes of its own."""
    # More threads would only wait for each other, and their stacks count as memory.
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "support.measured_intake", str(tmp_path_factory.mktemp("hostile"))],
        input="\n".join(HOSTILE),
        capture_output=True,
        text=True,
        env=environment,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert sorted(each["name"] for each in found) == sorted(HOSTILE)
    worst = {key: max(found, key=lambda each: each[key]) for key in ("cpu_seconds", "peak_mb")}
    print(
        f"{len(found)} hostile files; "
        f"most CPU {worst['cpu_seconds']['cpu_seconds']:.2f} s ({worst['cpu_seconds']['name']}), "
        f"most memory {worst['peak_mb']['peak_mb']:.0f} MB ({worst['peak_mb']['name']})"
    )
    return found


def test_each_ends_inside_the_error_tree(results: list[dict[str, Any]]) -> None:
    assert [each for each in results if "error" in each or each["signal"]] == []


def test_each_ends_soon(results: list[dict[str, Any]]) -> None:
    assert {each["name"]: each["cpu_seconds"] for each in results if each["cpu_seconds"] >= CPU_SECONDS} == {}


def test_each_stays_small(results: list[dict[str, Any]]) -> None:
    assert {each["name"]: each["peak_mb"] for each in results if each["peak_mb"] >= PEAK_MB} == {}


def test_each_ends_for_a_true_reason(results: list[dict[str, Any]]) -> None:
    wrong = {
        each["name"]: (each["reason"], each["explanation"], sorted(HOSTILE[each["name"]].outcomes))
        for each in results
        if "reason" in each
        and HOSTILE[each["name"]].outcomes
        and each["reason"] not in HOSTILE[each["name"]].outcomes
    }
    assert wrong == {}


def test_what_leaves_names_nobody_and_passes_again(results: list[dict[str, Any]]) -> None:
    assert [each["name"] for each in results if each.get("leaks")] == []
    assert [each for each in results if each.get("stage") == "readback"] == []
    assert sum(each.get("reason") == "" for each in results) > 100


def test_no_explanation_quotes_what_was_sent(results: list[dict[str, Any]]) -> None:
    refused = [each for each in results if each.get("reason")]
    assert len(refused) > 200
    for each in refused:
        assert each["explanation"]
        assert each["explanation"].isprintable()
        assert each["explanation"].isascii()
        assert len(each["explanation"]) < 300
        assert SENTINEL.decode() not in each["explanation"]


def hungry() -> tuple[int, float, float]:
    """Exit status, peak in MiB and CPU seconds of a process that uses much memory and time."""
    from support.measured_intake import _forked

    child = _forked(lambda: sum(bytearray(400 << 20)[:: 1 << 12]) + sum(range(20_000_000)))
    _, status, usage = os.wait4(child, 0)
    return status, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def test_the_measuring_would_notice() -> None:
    status, peak_mb, cpu_seconds = in_fresh_process(hungry)
    assert status == 0
    assert peak_mb > PEAK_MB
    assert cpu_seconds > 0.05
