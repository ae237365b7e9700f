"""Dates and times moved by whole days, in every form that PS3.5 §6.2 gives them.

Only days are moved: times of the day, fractions and offsets from UTC stay, and with them all intervals within a
patient.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

from rayline_deid.values import is_too_long

_TIME: Final = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
_DA: Final = re.compile(r"(\d{4})(\.?)(\d{2})\2(\d{2})")  # with dots before DICOM (PS3.5 §6.2, note to DA)
_TM: Final = re.compile(rf"{_TIME}|(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d{{1,6}})?)?")
_DT: Final = re.compile(rf"(\d{{4}})(?:(\d{{2}})(?:(\d{{2}})({_TIME})?)?)?([+-](?:0\d|1[0-4])[0-5]\d)?")
_OFFSET: Final = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d")


def shifted(value: bytes, vr: str, days: int) -> bytes | None:
    """A value with all its dates moved; None where one of them is none.

    Values of VR DA, DT and TM may be several, and each a range (PS3.4 §C.2.2.2.5). A date without day or month
    moves from the middle of what it means, and stays as coarse. SH is taken for an offset from UTC.
    """
    one = _BY_VR.get(vr)
    if one is None or is_too_long(value):
        return None
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        return None
    parts = [_range(part.strip(" \0"), one, days) for part in text.split("\\")]
    if any(part is None for part in parts):
        return None
    return "\\".join(part or "" for part in parts).encode("ascii")


def _range(part: str, one: Callable[[str, int], str | None], days: int) -> str | None:
    if not part:
        return ""
    found = one(part, days)
    if found is not None:
        return found
    for first, last in _ends(part):
        moved = [one(end, days) if end else "" for end in (first, last)]
        if None not in moved and (first or last):
            return "-".join(end or "" for end in moved)
    return None


def _ends(part: str) -> Iterator[tuple[str, str]]:
    """Where a range may divide: a hyphen of an offset from UTC does not."""
    for place, character in enumerate(part):
        if character == "-":
            yield part[:place].strip(), part[place + 1 :].strip()


def _moved(year: int, month: int, day: int, days: int) -> date | None:
    try:
        return date(year, month, day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None


def _date(text: str, days: int) -> str | None:
    found = _DA.fullmatch(text)
    moved = _moved(int(found[1]), int(found[3]), int(found[4]), days) if found else None
    if found is None or moved is None:
        return None
    return f"{moved.year:04}{found[2]}{moved.month:02}{found[2]}{moved.day:02}"


def _datetime(text: str, days: int) -> str | None:
    found = _DT.fullmatch(text)
    if found is None:
        return None
    year, month, day, time, offset = found.groups()
    moved = _moved(int(year), int(month or 7), int(day or (15 if month else 1)), days)
    if moved is None:
        return None
    written = f"{moved.year:04}" + (f"{moved.month:02}" if month else "") + (f"{moved.day:02}" if day else "")
    return written + (time or "") + (offset or "")


def _time(text: str, days: int) -> str | None:
    return text if _TM.fullmatch(text) else None


def _offset(text: str, days: int) -> str | None:
    return text if _OFFSET.fullmatch(text) else None


_BY_VR: Final[dict[str, Callable[[str, int], str | None]]] = {
    "DA": _date,
    "DT": _datetime,
    "TM": _time,
    "SH": _offset,
}
