"""``python deid_recipe.py INPUT OUTPUT``: what deid's own recipe makes of each file; runs where deid is installed."""

import sys
from pathlib import Path

from deid.config import DeidRecipe
from deid.dicom import replace_identifiers

if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    replace_identifiers(
        dicom_files=[str(path) for path in sorted(source.iterdir())],
        deid=DeidRecipe(),
        save=True,
        output_folder=str(target),
        overwrite=True,
    )
