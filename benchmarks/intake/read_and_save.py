"""``python -m benchmarks.intake.read_and_save INPUT OUTPUT``: pydicom reads and writes each file, decoding nothing."""

import sys
from pathlib import Path

from pydicom import dcmread

if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    for path in sorted(source.iterdir()):
        dcmread(path).save_as(target / path.name)
