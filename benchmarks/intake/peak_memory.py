"""``python -m benchmarks.intake.peak_memory ARGUMENTS``: run ``rayline ARGUMENTS``, then print its peak memory in MB.

The kernel's figure for a process that has ended includes what its parent had when it was forked; this one does not.
"""

import sys
from pathlib import Path

from rayline.cli import main

if __name__ == "__main__":
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
    )
    sys.stdout.write(f"{int(line.split()[1]) / 1024:.1f}\n")
