"""Plugins installed into a folder, as pip would leave them: a module and a dist-info with an entry point."""

from pathlib import Path
from textwrap import dedent


def install_plugin(
    folder: Path, name: str, source: str, *, module: str | None = None, version: str = "1.2.3"
) -> None:
    """Put a plugin where a `sys.path` entry will find it; `name` is the entry point's."""
    module = module or f"plugin_{name}"
    (folder / f"{module}.py").write_text(dedent(source))
    dist_info = folder / f"{module}-{version}.dist-info"
    dist_info.mkdir()
    (dist_info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
    (dist_info / "entry_points.txt").write_text(f"[rayline.plugins]\n{name} = {module}\n")
