"""Derive ``rayline_deid/table_e1_1.json`` from a machine-readable PS3.15 table E.1-1.

Usage: ``python derive_table.py TABLE_2024B.json ADDED_2026C.json``. The first is a list of rows with ``id``,
``name``, ``basicProfile`` and one key per option (innolitics/dicom-standard), the second maps ``(gggg,eeee)`` to
the basic action.
"""

import json
import sys
from pathlib import Path

EDITION = "PS3.15 2024b table E.1-1 with the 35 attributes added up to 2026c"

#: The option columns of table E.1-1 in their order, and what a profile calls them.
COLUMNS = {
    "rtnSafePrivOpt": "retain_safe_private",
    "rtnUIDsOpt": "retain_uids",
    "rtnDevIdOpt": "retain_device_identity",
    "rtnInstIdOpt": "retain_institution_identity",
    "rtnPatCharsOpt": "retain_patient_characteristics",
    "rtnLongFullDatesOpt": "retain_full_dates",
    "rtnLongModifDatesOpt": "retain_modified_dates",
    "cleanDescOpt": "clean_descriptors",
    "cleanStructContOpt": "clean_structured_content",
    "cleanGraphOpt": "clean_graphics",
}

_DATES = {"retain_full_dates": "K", "retain_modified_dates": "C"}
_DESCRIPTOR = {"clean_descriptors": "C"}
_CHARACTERISTIC = {"retain_patient_characteristics": "K"}
_DEVICE = {"retain_device_identity": "K"}

#: Names and option columns of the rows that 2026c has beyond 2024b; the machine-readable additions lack them.
ADDED: dict[str, tuple[str, dict[str, str]]] = {
    "00081301": ("Principal Diagnosis Code Sequence", _DESCRIPTOR),
    "00081302": ("Primary Diagnosis Code Sequence", _DESCRIPTOR),
    "00081303": ("Secondary Diagnoses Code Sequence", _DESCRIPTOR),
    "00081304": ("Histological Diagnoses Code Sequence", _DESCRIPTOR),
    "00100011": ("Person Names to Use Sequence", {}),
    "00100012": ("Name to Use", {}),
    "00100013": ("Name to Use Comment", {}),
    "00100014": ("Third Person Pronouns Sequence", {}),
    "00100015": ("Pronoun Code Sequence", {}),
    "00100016": ("Pronoun Comment", _DESCRIPTOR),
    "00100041": ("Gender Identity Sequence", {}),
    "00100042": (
        "Sex Parameters for Clinical Use Category Comment",
        {"retain_patient_characteristics": "C", "clean_descriptors": "C"},
    ),
    "00100043": ("Sex Parameters for Clinical Use Category Sequence", _CHARACTERISTIC),
    "00100044": ("Gender Identity Code Sequence", {}),
    "00100045": ("Gender Identity Comment", _DESCRIPTOR),
    "00100046": ("Sex Parameters for Clinical Use Category Code Sequence", _CHARACTERISTIC),
    "00100047": ("Sex Parameters for Clinical Use Category Reference", _CHARACTERISTIC),
    "00102161": ("Ethnic Group Code Sequence", _CHARACTERISTIC),
    "00102162": ("Ethnic Groups", _CHARACTERISTIC),
    "00181010": ("Secondary Capture Device ID", _DEVICE),
    "00181011": ("Hardcopy Creation Device ID", _DEVICE),
    "003A0020": ("Multiplex Group Label", _DESCRIPTOR),
    "003A0203": ("Channel Label", _DESCRIPTOR),
    "003A020C": ("Channel Derivation Description", _DESCRIPTOR),
    "00400556": ("Acquisition Context Description", _DESCRIPTOR),
    "0040A034": ("Effective Start DateTime", _DATES),
    "0040A035": ("Effective Stop DateTime", _DATES),
    "0040B020": ("Waveform Annotation Sequence", {"clean_structured_content": "C"}),
    "0040B034": ("Annotation DateTime", _DATES),
    "0040B036": ("Segment Definition DateTime", _DATES),
    "0040B03B": ("Montage Name", _DESCRIPTOR),
    "0040B03F": ("Montage Channel Label", _DESCRIPTOR),
    "0040E012": ("Display URI", {}),
    "00700006": ("Unformatted Text Value", _DESCRIPTOR),
    "300A0054": ("Table Top Position Alignment UID", {"retain_uids": "K"}),
}


def derive(table: Path, added: Path) -> dict[str, object]:
    """The table as the plugin reads it.

    Rows are keyed ``GGGGEEEE``; ``x`` stands for any digit of a repeating group. ``actions`` has the raw code of
    the basic profile, ``options`` those of the options, and ``private`` both of all private attributes.
    """
    actions: dict[str, str] = {}
    names: dict[str, str] = {}
    options: dict[str, dict[str, str]] = {}
    private: dict[str, object] = {}
    for row in json.loads(table.read_text()):
        codes = {name: row[column] for column, name in COLUMNS.items() if column in row}
        if "gggg" in row["id"]:
            private = {"action": row["basicProfile"], "options": codes}
            continue
        tag = row["id"].upper().replace("X", "x")
        actions[tag], names[tag], options[tag] = row["basicProfile"], row["name"], codes
    basic = {
        tag.strip("()").replace(",", "").upper(): code for tag, code in json.loads(added.read_text()).items()
    }
    if basic.keys() != ADDED.keys():
        raise SystemExit(f"no option columns known for {sorted(basic.keys() ^ ADDED.keys())}; extend ADDED")
    for tag, code in basic.items():
        actions[tag] = code.replace("_", "/")
        names[tag], options[tag] = ADDED[tag]
    return {
        "edition": EDITION,
        "actions": dict(sorted(actions.items())),
        "options": {tag: codes for tag, codes in sorted(options.items()) if codes},
        "private": private,
        "names": dict(sorted(names.items())),
    }


if __name__ == "__main__":
    derived = derive(Path(sys.argv[1]), Path(sys.argv[2]))
    target = Path(__file__).parent / "rayline_deid" / "table_e1_1.json"
    target.write_text(json.dumps(derived, indent=0, ensure_ascii=False) + "\n")
