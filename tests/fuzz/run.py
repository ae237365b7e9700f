"""``make fuzz``: search for files that break the intake, for a while; says how many were tried and what was found.

What was tried and reached new code is kept in ``build/fuzz/corpus`` and is where the next run begins.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

from fuzz.seeds import seeds

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 64 * 1024
RSS_LIMIT_MB = 700


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    arguments = parser.parse_args()
    corpus, findings = arguments.folder / "corpus", arguments.folder / "findings"
    shutil.rmtree(findings, ignore_errors=True)
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for _, content in seeds():
        (corpus / f"seed-{zlib.crc32(content):08x}").write_bytes(content)
    executions, until = 0, time.monotonic() + arguments.seconds
    while (left := int(until - time.monotonic())) > 0:
        done, crashed = _run(corpus, findings, left)
        executions += done
        if not crashed:
            break
    return _report(executions, findings, corpus)


def _run(corpus: Path, findings: Path, seconds: int) -> tuple[int, bool]:
    """Run libFuzzer until the time is up, or until the process itself dies; how many files it tried."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "fuzz.fuzz_intake",
            str(findings),
            f"-max_total_time={seconds}",
            f"-max_len={MOST_BYTES}",
            f"-rss_limit_mb={RSS_LIMIT_MB}",
            "-timeout=10",
            "-print_final_stats=1",
            f"-artifact_prefix={findings}/",
            str(corpus),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    (findings.parent / "libfuzzer.log").write_text(process.stdout)
    counts = re.findall(r"stat::number_of_executed_units:\s*(\d+)", process.stdout)
    counts = counts or re.findall(r"^#(\d+)\t", process.stdout, re.MULTILINE)
    return (int(counts[-1]) if counts else 0), process.returncode != 0


def _report(executions: int, findings: Path, corpus: Path) -> int:
    kinds = sorted(findings.glob("*.txt"))
    # libFuzzer's own: the process was killed, hung, or grew too large.
    kinds += sorted(
        path for path in findings.iterdir() if path.name.startswith(("crash-", "timeout-", "oom-"))
    )
    print(f"{executions:,} files tried, {len(list(corpus.iterdir())):,} kept in {corpus}")
    if not executions:
        print(f"the fuzzer did not start; see {findings.parent / 'libfuzzer.log'}")
        return 2
    for path in kinds:
        said = path.read_text().splitlines()[0] if path.suffix == ".txt" else path.name
        print(f"  {said}\n    {path.with_suffix('.dcm') if path.suffix == '.txt' else path}")
    print(f"{len(kinds)} findings" if kinds else "no findings")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main())
