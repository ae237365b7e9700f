"""De-identifiers of others, in an environment of their own beside the results."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = ("dicognito", "dicom-anonymizer", "deid")


@dataclass(frozen=True)
class OtherTools:
    """What could be installed.

    Attributes:
        folder: the virtual environment.
        versions: by the name of the package; empty where nothing could be installed.
    """

    folder: Path
    versions: dict[str, str]

    def command(self, package: str, source: Path, target: Path) -> list[str]:
        """How a tool is told to de-identify a folder into another one, which exists."""
        python = str(self.folder / "bin/python")
        match package:
            case "dicognito":
                return [python, "-m", "dicognito", "--quiet", "--output-directory", str(target), str(source)]
            case "dicom-anonymizer":
                return [str(self.folder / "bin/dicom-anonymizer"), str(source), str(target)]
            case "deid":
                return [python, str(Path(__file__).with_name("deid_recipe.py")), str(source), str(target)]
        raise ValueError(package)


def install(folder: Path) -> OtherTools:
    """Install what is not there yet; without a package index there is nothing to compare with."""
    python = folder / "bin/python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
        if not set(PACKAGES) <= _versions(python).keys():
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
                check=True,
                capture_output=True,
            )
        versions = _versions(python)
    except (OSError, subprocess.CalledProcessError):
        return OtherTools(folder, {})
    return OtherTools(folder, {package: versions[package] for package in PACKAGES})


def _versions(python: Path) -> dict[str, str]:
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        package["name"].lower().replace("_", "-"): package["version"] for package in json.loads(listed.stdout)
    }
