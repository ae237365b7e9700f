"""``python -m benchmarks.intake.copy_files INPUT OUTPUT 0/2``: copy every second file, from the first on."""

import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:3])
    first, step = map(int, sys.argv[3].split("/"))
    for path in sorted(source.iterdir())[first::step]:
        shutil.copyfile(path, target / path.name)
