"""Values by VR (PS3.5 §6.2): what is valid, and a dummy that is valid and says nothing."""

import re
from collections.abc import Mapping
from typing import Final

_CODE = r"[A-Z0-9 _]{0,16}"
_UID = r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+"

#: What one value of a VR of characters has to match, padding stripped; lengths are in characters.
_PATTERNS: Final[dict[str, re.Pattern[str]]] = {
    "AE": re.compile(r"[ -\[\]-~]{1,16}"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(_CODE),
    "DA": re.compile(r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"),
    "DS": re.compile(r"(?=.{1,16}$) *[+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]?\d+)? *"),
    "DT": re.compile(r"\d{4}(?:\d{2}){0,5}(?:\.\d{1,6})?(?:[+-]\d{4})?"),
    "IS": re.compile(r"(?=.{1,12}$) *[+-]?\d+ *"),
    "LO": re.compile(r"[^\\\x00-\x1f]{0,64}"),
    "LT": re.compile(r"[^\x00-\x08\x0b\x0e-\x1a]{0,10240}"),
    "PN": re.compile(r"[^\\\x00-\x1f]{0,64}(?:=[^\\\x00-\x1f]{0,64}){0,2}"),
    "SH": re.compile(r"[^\\\x00-\x1f]{0,16}"),
    "ST": re.compile(r"[^\x00-\x08\x0b\x0e-\x1a]{0,1024}"),
    "TM": re.compile(r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?"),
    "UC": re.compile(r"[^\\\x00-\x1f]*"),
    "UI": re.compile(rf"(?=.{{1,64}}$){_UID}"),
    "UR": re.compile(r"[!-\[\]-~]+"),
    "UT": re.compile(r"[^\x00-\x08\x0b\x0e-\x1a]*"),
}
#: A longer text, and one of more values, is not looked at: it goes (PS3.5 §6.2 allows 10,240 characters but to UC,
#: UR and UT).
LONGEST_TEXT: Final = 1024 * 1024
MOST_VALUES: Final = 10_000

#: VRs that hold words; a backslash divides the values of the first, and is a character of the others.
WORDS: Final = frozenset({"LO", "SH", "UC"})
PROSE: Final = frozenset({"LT", "ST", "UT"})

DUMMIES: Final[Mapping[str, bytes]] = {
    "AE": b"ANONYMIZED",
    "AS": b"000Y",
    "CS": b"ANONYMIZED",
    "DA": b"19000101",
    "DS": b"0 ",
    "DT": b"19000101000000",
    "IS": b"0 ",
    "LO": b"ANONYMIZED",
    "LT": b"ANONYMIZED",
    "PN": b"ANONYMIZED",
    "SH": b"ANONYMIZED",
    "ST": b"ANONYMIZED",
    "TM": b"000000",
    "UC": b"ANONYMIZED",
    "UR": b"urn:anonymized",
    "UT": b"ANONYMIZED",
    "AT": bytes(4),
    "FL": bytes(4),
    "OF": bytes(4),
    "OL": bytes(4),
    "SL": bytes(4),
    "UL": bytes(4),
    "FD": bytes(8),
    "OD": bytes(8),
    "OV": bytes(8),
    "SV": bytes(8),
    "UV": bytes(8),
}


def dummy_value(vr: str, dummies: Mapping[str, bytes] = DUMMIES) -> bytes:
    """A value of even length that is valid for a VR and says nothing; that of UI has to be mapped instead."""
    return dummies.get(vr, b"\0\0")


def is_valid(vr: str, value: str) -> bool:
    """Whether each of the values in a string is one of a VR of characters."""
    pattern = _PATTERNS.get(vr)
    if pattern is None:
        return False
    values = [value] if vr in PROSE or vr == "UR" else value.split("\\")
    return all(pattern.fullmatch(each.strip(" \0") if vr != "UR" else each) for each in values)


def is_too_long(value: bytes) -> bool:
    """Whether a value has more characters or values than are looked at."""
    return len(value) > LONGEST_TEXT or value.count(b"\\") >= MOST_VALUES


def is_number_or_date(value: bytes, vr: str) -> bool:
    """Whether a value of AS, DA, DS, DT, IS, TM or UI is what its VR says; an empty one is."""
    if is_too_long(value):
        return False
    text = value.decode("latin-1").strip(" \0")
    return not text or all(
        not each.strip(" \0") or _PATTERNS[vr].fullmatch(each.strip(" \0")) for each in text.split("\\")
    )


#: VRs whose values can be told from words.
CHECKED: Final = frozenset({"AS", "DA", "DS", "DT", "IS", "TM", "UI"})
