"""The fuzzer's process: ``python -m fuzz.fuzz_intake FINDINGS CORPUS [libFuzzer options]``, started by ``fuzz.run``.

Findings do not stop it: each kind is written down once, with the file that shows it, and the search goes on.
"""

import sys
import traceback
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rayline", "rayline_deid"]):
    from fuzz import target

from fuzz.mutations import mutated

MOST_BYTES = 64 * 1024
# So many of all mutations know the structure; the others are libFuzzer's own, which learn from comparisons.
STRUCTURED = 8

_findings: Path


def _one(data: bytes) -> None:
    try:
        target.check(data)
    except Exception as error:
        _note(data, error)


def _note(data: bytes, error: Exception) -> None:
    frames = [
        f"{Path(frame.filename).name}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/rayline" in frame.filename or "/fuzz/" in frame.filename
    ]
    what = str(error) if isinstance(error, target.Finding) else ""
    kind = f"{type(error).__name__} {what[:60]} in {frames[-1] if frames else '?'}"
    name = _findings / f"{zlib.crc32(kind.encode()):08x}"
    if not name.with_suffix(".txt").exists():
        name.with_suffix(".dcm").write_bytes(data)
        name.with_suffix(".txt").write_text(kind + "\n\n" + "".join(traceback.format_exception(error)))


def _mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
    if seed % STRUCTURED:
        return mutated(data, most_bytes, seed)
    return atheris.Mutate(data, most_bytes)


def main() -> None:
    global _findings
    _findings = Path(sys.argv.pop(1))
    atheris.Setup(sys.argv, _one, custom_mutator=_mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
