"""Run hostile files through the intake, in fresh processes that are measured and bounded.

``python -m support.measured_intake FOLDER`` reads names of ``support.hostile_files.HOSTILE`` from its input, one a
line, and answers each with a line of JSON. Each process is forked from one that has imported everything, so that it
is fresh and does not pay for the imports; CPU time and peak memory are the kernel's count of that process.
Small files share a process, whose whole cost then counts for each; where it is too much they run again, one by one.
"""

import json
import os
import resource
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from support.intake_chain import SENTINEL, UID_SENTINEL, deidentified, passage

from rayline.dicom.content import WHOLE_BYTES, Content, LocalFile
from rayline.errors import RaylineError

# Hard bounds, so that a bomb that works ends the process and not the machine.
CPU_SECONDS = 8
EXTRA_ADDRESS_SPACE = 1 << 30
TOGETHER_CPU_SECONDS = 1.0
TOGETHER_PEAK_MB = 250
SMALL_BYTES = 256 << 10
SHARING = 24
BUILT_AT_ONCE = 24
PIECE = 1 << 20


def main() -> None:
    folder = Path(sys.argv[1])
    names = [line.rstrip("\n") for line in sys.stdin]
    for start in range(0, len(names), BUILT_AT_ONCE):
        batch = {
            name: folder / f"{start + index}.dcm" for index, name in enumerate(names[start:][:BUILT_AT_ONCE])
        }
        os.waitpid(_forked(lambda batch=batch: _build(batch)), 0)
        small = [name for name, path in batch.items() if path.stat().st_size <= SMALL_BYTES]
        groups = [small[first : first + SHARING] for first in range(0, len(small), SHARING)]
        groups += [[name] for name in batch if name not in small]
        while groups:
            group = groups.pop()
            found = _run([batch[name] for name in group], folder / "answer.json")
            if len(group) > 1 and (
                found[0]["cpu_seconds"] > TOGETHER_CPU_SECONDS or found[0]["peak_mb"] > TOGETHER_PEAK_MB
            ):
                groups += [[name] for name in group]
                continue
            for name, result in zip(group, found, strict=True):
                print(json.dumps({"name": name, "bytes": batch[name].stat().st_size, **result}), flush=True)
        for path in batch.values():
            path.unlink()


def _build(batch: dict[str, Path]) -> None:
    # Imported in this process alone: what is measured must not carry it.
    from support.hostile_files import HOSTILE

    for name, path in batch.items():
        path.write_bytes(HOSTILE[name].build())


def _run(paths: Sequence[Path], answer: Path) -> list[dict[str, float]]:
    answer.unlink(missing_ok=True)
    child = _forked(lambda: _measured(paths, answer))
    _, status, usage = os.wait4(child, 0)
    answers = answer.read_text().splitlines() if answer.exists() else []
    measured = {
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    missing = [json.dumps({"error": "the process ended before"})] * (len(paths) - len(answers))
    return [json.loads(line) | measured for line in [*answers, *missing]]


def _forked(job: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        job()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _measured(paths: Sequence[Path], answer: Path) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + EXTRA_ADDRESS_SPACE,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS,) * 2)
    with answer.open("a") as answers:
        for path in paths:
            try:
                found = _passed(path)
            except BaseException as error:
                found = {
                    "error": f"{type(error).__name__}: {str(error)[:200]}",
                    "trace": traceback.format_exc()[-2000:],
                }
            answers.write(json.dumps(found) + "\n")
            answers.flush()


def _passed(path: Path) -> dict[str, object]:
    # As the intake reads objects: small ones whole, large ones by stretches.
    source = LocalFile(path) if path.stat().st_size > WHOLE_BYTES else path.read_bytes()
    found = passage(source)
    output, alone = found.output, ""
    if found.stage == "screen":
        # De-identification also works alone, on files that nobody screened.
        try:
            output = deidentified(source)
        except RaylineError as refusal:
            alone = str(refusal)
    leaks = output is not None and _leaks(output)
    return {
        "reason": found.reason,
        "explanation": found.explanation,
        "stage": found.stage,
        "alone": alone,
        "leaks": leaks,
    }


def _leaks(output: Content) -> bool:
    tail = b""
    for start in range(0, output.size, PIECE):
        piece = tail + output.read(start, PIECE)
        if SENTINEL in piece or UID_SENTINEL in piece:
            return True
        tail = piece[-64:]
    return False


if __name__ == "__main__":
    main()
