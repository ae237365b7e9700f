"""Free text reduced to words that identify nobody (PS3.15 §E.3.5, Clean Descriptors Option).

What to leave out of free text cannot be listed; what may stay can. A word stays if it is in the vocabulary of
anatomy, technique and findings, or is a number of at most three digits with its unit, and is no part of an
identifier that the same header gives. Everything else goes, and so does any text that is not plain ASCII.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from rayline_deid.values import PROSE, is_too_long

_UNITS: Final = (
    "mm|cm|ml|cc|kv|kvp|ma|mas|ms|sec|secs|msec|min|mins|minutes|hr|hrs|hours|mgy|mbq|kbq|bq|hz|khz|mhz|t|tesla|deg"
    "|degrees|percent|fps|bpm|view|views|vw|vws|phase|phases|projections|slices|frames|images|series|levels"
)
_TOKEN: Final = re.compile(
    # Without these, "w/o contrast" and "r/o fracture" would say the contrary, and "C spine" less.
    r"(?P<phrase>(?<![A-Za-z0-9])(?:[wrhc]/o|s/p|[ctl][ -]spine)(?![A-Za-z0-9]))"
    rf"|(?P<number>\d{{1,3}}(?:\.\d{{1,3}})?)[ \t]?(?P<unit>{_UNITS}|%)(?![A-Za-z0-9.])"
    r"|(?P<word>[A-Za-z0-9]+(?:\.[0-9]+)*)",
    re.IGNORECASE,
)
# T1, L5, C2 and the like name vertebrae and weightings.
_LEVEL: Final = re.compile(r"[ctls](?:1[0-2]|[1-9])|th(?:1[0-2]|[1-9])|[234]d")
_PLAIN: Final = re.compile(rb"[\t\n\f\r -~]*")
_IDENTIFIER_PART: Final = re.compile(rb"[a-z]{2,}|[0-9]{2,}|[a-z0-9]{2,}")


@cache
def vocabulary() -> frozenset[str]:
    """The words that ship with the plugin, in lower case; its lines beginning with # say what they are of."""
    lines = files("rayline_deid").joinpath("vocabulary.txt").read_text(encoding="ascii").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def identifier_parts(values: Iterable[bytes]) -> frozenset[str]:
    """Words and numbers that identify, from the values of identifying attributes, in lower case."""
    return frozenset(
        part.decode("ascii") for value in values for part in _IDENTIFIER_PART.findall(value.lower())
    )


def cleaned(value: bytes, vr: str, words: frozenset[str], identifiers: frozenset[str]) -> bytes:
    """The part of a text that may stay, empty where nothing may; never longer than the text.

    Values of LO, SH and UC are cleaned one by one.
    """
    if is_too_long(value) or not _PLAIN.fullmatch(value.rstrip(b"\0")):
        return b""
    text = value.decode("ascii").rstrip("\0")
    parts = [text.replace("\\", " ")] if vr in PROSE else text.split("\\")
    kept = [" ".join(_kept(part, words, identifiers)) for part in parts]
    return "\\".join(kept).encode("ascii") if any(kept) else b""


def _kept(text: str, words: frozenset[str], identifiers: frozenset[str]) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        token = found[0]
        if found["number"]:
            parts = {found["number"], *found["number"].split("."), token.lower()}
            if parts.isdisjoint(identifiers) and not _continues(text, found.start()):
                yield f"{found['number']}{found['unit']}"
            continue
        lower = token.lower()
        is_phrase = found["phrase"] and identifiers.isdisjoint(re.split(r"[ /-]", lower))
        is_word = (lower in words or _LEVEL.fullmatch(lower)) and lower not in identifiers
        if is_phrase or is_word:
            yield token


def _continues(text: str, start: int) -> bool:
    """Whether a number is the end of a longer one, as in a date or a telephone number."""
    before = text[max(0, start - 2) : start]
    return bool(re.search(r"[A-Za-z0-9][-./:+]?$|\d[ -./:]$", before))


def holds_identifier(value: bytes, identifiers: frozenset[str]) -> bool:
    """Whether a text contains a part of an identifier that the header gives, or cannot be looked at."""
    if is_too_long(value) or not _PLAIN.fullmatch(value.rstrip(b"\0")):
        return True
    return not identifiers.isdisjoint(identifier_parts([value]))
