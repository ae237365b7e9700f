"""Runs one command and ends it, with all that it started, when the process that asked for it is gone.

The asker keeps this process's standard input open and writes nothing; end of file means that it died, even
by SIGKILL. Imports the standard library only, so that it starts in milliseconds:
``python -I guardian.py COMMAND…``.
"""

import os
import signal
import subprocess
import sys
import threading

NICENESS = 5


def main(command: list[str]) -> int:
    """Run the command in this process's group; its exit status, or 128 + the signal that ended it."""
    # The front answers the processor while a job computes, so the job yields.
    os.nice(NICENESS)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def watch() -> None:
        # Unbuffered: a thread that waits in a buffered read aborts the interpreter's shutdown.
        while os.read(0, 1):
            pass
        os.killpg(os.getpgid(0), signal.SIGKILL)

    def forward(number: int, _frame: object) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
