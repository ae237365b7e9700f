"""Coded entries that are known to be of a public terminology (PS3.16)."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

#: PS3.16 table 8-1: coding schemes of everybody. Those that begin with 99 are of one manufacturer or site.
PUBLIC_SCHEMES: Final = frozenset(
    [
        "ACR",
        "AS4",
        "ATC",
        "BI",
        "BARI",
        "C4",
        "CAS",
        "CD2",
        "DCM",
        "FMA",
        "HPC",
        "HPO",
        "I10",
        "I10P",
        "I9",
        "I9C",
        "ICDO3",
        "IBSI",
        "ITIS_TSN",
        "LN",
        "MA",
        "MDC",
        "MSH",
        "NCIt",
        "NDC",
        "NEU",
        "NICIP",
        "PUBCHEM_CID",
        "RADLEX",
        "RFC5646",
        "RXNORM",
        "SCT",
        "SNM3",
        "SRT",
        "UBERON",
        "UCUM",
        "UMLS",
        "UNS",
    ]
)

# How codes of the large public terminologies are written; none of these patterns takes a bare number.
_WRITTEN: Final = re.compile(
    r"[A-Z][0-9]?-[0-9A-F]{4,6}"  # SNOMED RT
    r"|RID\d{1,6}|RPID\d{1,6}"  # RadLex
    r"|[A-TV-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?"  # ICD-10
    r"|(?:ar|cs|da|de|el|en|eng|es|fi|fr|he|hi|hu|it|ja|ko|nb|nl|no|pl|pt|ro|ru|sv|tr|uk|zh)(?:-[A-Z]{2})?"  # RFC 5646
)
_LOINC: Final = re.compile(r"(\d{3,7})-(\d)")
_SCTID: Final = re.compile(r"\d{6,18}")
_VERSION: Final = re.compile(r"\d{1,8}|\d{1,3}(?:\.\d{1,3}){1,2}")


class _Concepts(NamedTuple):
    codes: frozenset[str]
    meanings: frozenset[str]


@cache
def _concepts() -> _Concepts:
    """The concepts of PS3.16's context groups, as pydicom ships them, without importing the rest of pydicom."""
    package = importlib.util.find_spec("pydicom")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).with_name("sr") / "_concepts_dict.py"
    found = importlib.util.spec_from_file_location("rayline_deid.concepts", source)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    entries = [
        (code, meaning)
        for scheme in module.concepts.values()
        for codes in scheme.values()
        for code, (meaning, *_) in codes.items()
    ]
    return _Concepts(frozenset(code for code, _ in entries), frozenset(m.lower() for _, m in entries))


def is_public_code(code: str) -> bool:
    """Whether a code value is one of PS3.16, or can only be one of SNOMED, LOINC, RadLex or ICD-10."""
    if not code:
        return False
    if code in _concepts().codes or _WRITTEN.fullmatch(code):
        return True
    loinc = _LOINC.fullmatch(code)
    if loinc:
        return _luhn(loinc[1]) == int(loinc[2])
    # The digits before a SNOMED CT concept's check digit are 00 or 10: a short number, or a namespace's.
    return bool(_SCTID.fullmatch(code)) and code[-3:-1] in ("00", "10") and _verhoeff(code)


def is_public_meaning(meaning: str) -> bool:
    """Whether a code meaning is one of PS3.16."""
    return meaning.lower() in _concepts().meanings


def is_version(version: str) -> bool:
    """Whether a coding scheme version is a number or a date."""
    return _VERSION.fullmatch(version) is not None


def _luhn(digits: str) -> int:
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits)))
    return -sum(number - 9 if number > 9 else number for number in doubled) % 10


_PERMUTED: Final = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def _verhoeff(digits: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _dihedral(check, int(_PERMUTED[place % 8][int(digit)]))
    return check == 0


def _dihedral(left: int, right: int) -> int:
    """The product in the dihedral group of order ten."""
    if left < 5:
        return (left + right) % 5 if right < 5 else 5 + (left + right) % 5
    return 5 + (left - right) % 5 if right < 5 else (left - right) % 5
