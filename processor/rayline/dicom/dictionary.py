"""The data dictionary of PS3.6, as pydicom ships it."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Final


def _pydicom_table(name: str) -> ModuleType:
    """One of pydicom's tables, without the half second that importing the rest of pydicom takes."""
    package = importlib.util.find_spec("pydicom")
    assert package is not None
    assert package.origin is not None
    found = importlib.util.spec_from_file_location(
        f"rayline.dicom.dictionary.{name}", Path(package.origin).with_name(f"{name}.py")
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


_TAGS: Final[dict[int, tuple[str, str, str, str, str]]] = _pydicom_table("_dicom_dict").DicomDictionary
#: UIDs that PS3.6 annex A registers: SOP classes, transfer syntaxes, frames of reference and the like.
REGISTERED_UIDS: Final[frozenset[str]] = frozenset(_pydicom_table("_uid_dict").UID_dictionary)

TAG_OF: Final[dict[str, int]] = {entry[4]: tag for tag, entry in _TAGS.items() if entry[4]}
SEQUENCE_TAGS: Final = frozenset(tag for tag, entry in _TAGS.items() if entry[0] == "SQ")


def known(tag: int) -> bool:
    """Whether PS3.6 has the tag; repeating groups are not looked up."""
    return tag in _TAGS


def vr_of(tag: int) -> str:
    """The VR that PS3.6 gives a tag, the first where it gives several, UN where it has none."""
    entry = _TAGS.get(tag)
    return entry[0][:2] if entry is not None and entry[0] else "UN"


def keyword_of(tag: int) -> str:
    """The keyword of a tag, empty where PS3.6 has none."""
    entry = _TAGS.get(tag)
    return entry[4] if entry is not None else ""


def name_of(tag: int) -> str:
    """The name of a tag, empty where PS3.6 has none."""
    entry = _TAGS.get(tag)
    return entry[2] if entry is not None else ""
