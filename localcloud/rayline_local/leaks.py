"""Find identifying values of DICOM inputs in whatever was written elsewhere.

Two halves: :func:`identifying_values` says what to look for in one input, :func:`search` looks for it in many
bytes, in every form in which such a value is usually written.

What is looked for, stated so that nobody trusts the search beyond it: values of the attributes of PS3.15
table E.1-1 and of private attributes, at every depth. Left out, because a find would prove nothing:

- times, ages, sexes, coded strings and numbers of measurement, which many patients share;
- names and identifiers under 6 characters, and numbers under 8 digits: they turn up by chance;
- descriptions and private text under 10 characters, unless they mix letters and digits in at least 6;
- descriptions and private text that the same input also has in an attribute that may stay (``CHEST``);
- UIDs that the standard registers, and placeholders such as ``ANONYMIZED``.
"""

import base64
import bz2
import contextlib
import gzip
import io
import json
import lzma
import re
import tarfile
import urllib.parse
import warnings
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pydicom
from pydicom._uid_dict import UID_dictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

_PLACEHOLDERS: Final = frozenset(
    {
        "anonymized",
        "anonymised",
        "anonymous",
        "removed",
        "deidentified",
        "unknown",
        "unspecified",
        "not specified",
    }
    | {"19000101", "19000101000000", "00010101", "urn:anonymized", "patient", "doctor", "hospital"}
)
_NAME_VRS: Final = frozenset({"PN"})
_TEXT_VRS: Final = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "AE", "UR", "UN"})
_DATE_VRS: Final = frozenset({"DA", "DT"})
# Identifiers of people, visits, orders and devices: short ones matter too.
_IDENTIFIERS: Final = frozenset(
    {
        "AccessionNumber",
        "AdmissionID",
        "ConsecutiveOrderNumber",
        "DetectorID",
        "DeviceSerialNumber",
        "FillerOrderNumberImagingServiceRequest",
        "IssuerOfPatientID",
        "MedicalRecordLocator",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientID",
        "PatientTelephoneNumbers",
        "PerformedProcedureStepID",
        "PlacerOrderNumberImagingServiceRequest",
        "ReferringPhysicianAddress",
        "ReferringPhysicianTelephoneNumbers",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "StationName",
        "StudyID",
    }
)
_SHORTEST_IDENTIFIER: Final = 6
_SHORTEST_NUMBER: Final = 8
_SHORTEST_TEXT: Final = 10


@cache
def _identifying_tags() -> tuple[frozenset[int], frozenset[int]]:
    """Tags of table E.1-1, and its repeating groups as their upper byte."""
    lines = files("rayline_local").joinpath("identifying_attributes.txt").read_text().split("\n")
    tags = [line for line in lines if line and not line.startswith("#")]
    return (
        frozenset(int(tag, 16) for tag in tags if "x" not in tag),
        frozenset(int(tag[:2], 16) for tag in tags if "x" in tag),
    )


def _is_identifying(tag: int) -> bool:
    tags, groups = _identifying_tags()
    return tag in tags or tag >> 24 in groups or bool(tag >> 16 & 1)


def _read_leniently(content: bytes) -> Dataset | None:
    """Whatever of a file can be read, since a sender's broken file names its patient too."""
    try:
        return pydicom.dcmread(io.BytesIO(content))
    except Exception:
        # Hostile bytes make pydicom raise nearly anything, and then there is nothing to look for.
        return None


def _elements(dataset: Dataset, inside_identifying: bool = False) -> Iterator[tuple[DataElement, bool]]:
    """Every element at every depth that can be decoded, and whether it may identify someone."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: S112 - an element that cannot be decoded has no value to look for
            continue
        identifying = inside_identifying or _is_identifying(int(tag))
        if element.VR == "SQ":
            for item in element.value or ():
                # Codes and measurements inside an identifying sequence are judged by their own tags.
                yield from _elements(item, bool(int(tag) >> 16 & 1))
        else:
            yield element, identifying


def _texts(element: DataElement) -> Iterator[str]:
    value: Any = element.value
    for each in value if isinstance(value, list | pydicom.multival.MultiValue) else [value]:
        if isinstance(each, bytes):
            if each and len(each) <= 1024 and all(32 <= byte < 127 for byte in each.strip(b"\0")):
                yield each.strip(b"\0 ").decode("ascii")
        elif each is not None:
            yield str(each).strip(" \0")


def _is_searchable_identifier(text: str) -> bool:
    if text.isdigit():
        return len(text) >= _SHORTEST_NUMBER and len(set(text)) > 1
    return len(text) >= _SHORTEST_IDENTIFIER


def _is_searchable_text(text: str) -> bool:
    if text.replace(".", "").replace("-", "").isdigit():
        return text.isdigit() and len(text) >= _SHORTEST_NUMBER and len(set(text)) > 1
    mixes = any(each.isdigit() for each in text) and any(each.isalpha() for each in text)
    return len(text) >= _SHORTEST_TEXT or (mixes and len(text) >= _SHORTEST_IDENTIFIER)


def identifying_values(source: Dataset | bytes) -> set[str]:
    """The searchable values of one input that identify its patient, staff, visit or site.

    Args:
        source: a data set, or the bytes of a file; bytes that are no DICOM have none.

    Returns:
        Values as text, whole, and for names each part too. The module's text says what is left out.
    """
    dataset = source if isinstance(source, Dataset) else _read_leniently(source)
    if dataset is None:
        return set()
    strong: set[str] = set()
    weak: set[str] = set()
    staying: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for element, identifying in _elements(dataset):
            tag, vr = int(element.tag), str(element.VR)
            if not identifying:
                if vr in _TEXT_VRS or vr == "CS":
                    staying += [text.casefold() for text in _texts(element)]
                continue
            if tag >> 16 & 1 and tag & 0xFFFF < 0x0100:
                continue  # a private creator names a vendor's scheme
            for text in _texts(element):
                if vr in _NAME_VRS:
                    parts = [text, *re.split(r"[\^=,\s]+", text)]
                    strong |= {part for part in parts if _is_searchable_identifier(part)}
                elif vr == "UI":
                    if text not in UID_dictionary and "." in text:
                        strong.add(text)
                elif vr in _DATE_VRS:
                    if re.match(r"^(19|20)\d{6}", text):
                        strong.add(text[:8])
                elif vr in _TEXT_VRS:
                    if element.keyword in _IDENTIFIERS and _is_searchable_identifier(text):
                        strong.add(text)
                    elif _is_searchable_text(text):
                        weak.add(text)
    stays = "\n".join(staying)
    found = strong | {text for text in weak if text.casefold() not in stays}
    return {text for text in found if text.casefold() not in _PLACEHOLDERS}


@dataclass(frozen=True)
class Leak:
    """A find.

    Attributes:
        place: name of the blob, with the path inside it where it was an archive.
        offset: where in the (inflated) bytes.
        form: how the value was written, e.g. ``utf-16-le``.
        value: the value; identifying, so it is left out of the representation.
    """

    place: str
    offset: int
    form: str
    value: str = field(repr=False)


def _forms(value: str) -> Iterator[tuple[str, bytes]]:
    """The ways in which a value is usually written, in lower case; the search folds ASCII case."""
    # Bytes are folded as ASCII only, so other letters are looked for in both cases.
    for text in dict.fromkeys((value, value.lower(), value.upper())):
        yield "utf-8", text.encode("utf-8")
        yield "utf-16-le", text.encode("utf-16-le")
        yield "utf-16-be", text.encode("utf-16-be")
        yield "json", json.dumps(text)[1:-1].encode("ascii")
        yield "url", urllib.parse.quote(text, safe="").encode("ascii")
        if not text.isascii():
            with contextlib.suppress(UnicodeEncodeError):
                yield "latin-1", text.encode("latin-1")
    # A value in base64 begins at one of three places; what surrounds it changes the outer characters only.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + value.encode("utf-8"))
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - 4]
        if len(inner) >= 2 * _SHORTEST_IDENTIFIER:
            yield "base64", inner


_GRAM: Final = 6
_MASK: Final = np.uint64((1 << 8 * _GRAM) - 1)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_TABLE_BITS: Final = 21
_CHUNK: Final = 4 * 1024 * 1024
_ALNUM: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")
_DIGITS: Final = frozenset(b"0123456789")


class LeakSearch:
    """Looks for many values in many bytes at once, ignoring ASCII case.

    One sequence of six bytes is picked from each pattern, the one that the fewest patterns share; all windows
    of six bytes are looked up in a table of those with numpy, and only the few that are in it are compared. So
    the time hardly depends on the number of values.
    """

    def __init__(self, values: Iterable[str]) -> None:
        patterns: dict[bytes, tuple[str, str]] = {}
        for value in sorted(values):
            for form, pattern in _forms(value):
                folded = pattern.lower()
                if len(folded) >= _GRAM:
                    patterns.setdefault(folded, (value, form))
        popularity = Counter(gram for pattern in patterns for gram in set(_grams(pattern)))
        self._by_gram: dict[int, list[tuple[int, bytes, str, str]]] = defaultdict(list)
        for pattern, (value, form) in patterns.items():
            grams = _grams(pattern)
            # A gram of one or two different bytes, such as zeros, is everywhere.
            offset = min(
                range(len(grams)), key=lambda at: (len(set(grams[at])) < 3, popularity[grams[at]], -at)
            )
            self._by_gram[int.from_bytes(grams[offset], "little")].append((offset, pattern, value, form))
        self._wanted = np.array(sorted(self._by_gram), dtype=np.uint64)
        self._table = np.zeros(1 << _TABLE_BITS, dtype=bool)
        self._table[self._slots(self._wanted)] = True
        self._longest = max((len(pattern) for pattern in patterns), default=_GRAM)

    @staticmethod
    def _slots(grams: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
        return (grams * _SPREAD) >> np.uint64(64 - _TABLE_BITS)

    def scan(self, place: str, blob: bytes) -> Iterator[Leak]:
        """Find values in a blob and in what it packs: gzip, bzip2, xz, zip, tar and deflated DICOM."""
        for path, content in _unpack(place, blob, depth=0):
            yield from self._scan_plain(path, content)

    def _scan_plain(self, place: str, blob: bytes) -> Iterator[Leak]:
        if not self._by_gram:
            return
        seen: set[tuple[int, str]] = set()
        for begin in range(0, len(blob), _CHUNK):
            # Each chunk reaches back so that a pattern across the border is seen whole.
            start = max(0, begin - self._longest)
            chunk = blob[start : begin + _CHUNK].lower()
            for position in self._candidates(chunk):
                gram = int.from_bytes(chunk[position : position + _GRAM], "little")
                for offset, pattern, value, form in self._by_gram[gram]:
                    first = position - offset
                    if first < 0 or not chunk.startswith(pattern, first):
                        continue
                    if not _stands_alone(chunk, first, pattern):
                        continue
                    if (start + first, value) not in seen:
                        seen.add((start + first, value))
                        yield Leak(place, start + first, form, value)

    def _candidates(self, chunk: bytes) -> list[int]:
        padded = chunk + b"\0" * 16
        found = []
        for shift in range(8):
            count = max(0, (len(chunk) - shift + 7) // 8)
            windows = np.frombuffer(padded, dtype="<u8", count=count, offset=shift) & _MASK
            hits = np.flatnonzero(self._table[self._slots(windows)])
            if hits.size:
                grams = windows[hits]
                places = np.searchsorted(self._wanted, grams)
                places[places == self._wanted.size] = 0
                exact = hits[self._wanted[places] == grams]
                found += [int(hit) * 8 + shift for hit in exact]
        return sorted(found)


def _grams(pattern: bytes) -> list[bytes]:
    return [pattern[at : at + _GRAM] for at in range(len(pattern) - _GRAM + 1)]


def _stands_alone(chunk: bytes, first: int, pattern: bytes) -> bool:
    """Whether digits are not part of a longer number, nor short words of a longer word."""
    if pattern.isdigit() or pattern.replace(b".", b"").isdigit():
        joined = _DIGITS
    elif len(pattern) < 8:
        joined = _ALNUM
    else:
        return True
    last = first + len(pattern)
    before = chunk[first - 1] if first else 0
    after = chunk[last] if last < len(chunk) else 0
    return before not in joined and after not in joined


_MAXIMUM_UNPACKED: Final = 2 * 1024 * 1024 * 1024
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"


def _unpack(place: str, blob: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    """The blob as it is, and what it packs."""
    yield place, blob
    if depth >= 4:
        return
    try:
        for name, content in _members(blob):
            yield from _unpack(f"{place}!{name}", content, depth + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile):
        # It only looked packed; its bytes were searched as they are.
        return


def _members(blob: bytes) -> Iterator[tuple[str, bytes]]:
    if blob[:2] == b"\x1f\x8b":
        yield "gzip", gzip.decompress(blob)
    elif blob[:3] == b"BZh":
        yield "bzip2", bz2.decompress(blob)
    elif blob[:6] == b"\xfd7zXZ\0":
        yield "xz", lzma.decompress(blob)
    elif blob[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            for entry in archive.infolist():
                if entry.file_size <= _MAXIMUM_UNPACKED:
                    yield entry.filename, archive.read(entry)
    elif blob[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield member.name, stream.read()
    elif blob[128:132] == b"DICM" and _DEFLATED in blob[132:1024]:
        end_of_meta = 144 + int.from_bytes(blob[140:144], "little")
        yield (
            "deflated",
            zlib.decompressobj(-zlib.MAX_WBITS).decompress(blob[end_of_meta:], _MAXIMUM_UNPACKED),
        )


def search(values: Iterable[str], blobs: Iterable[tuple[str, bytes]]) -> list[Leak]:
    """Look for values in named blobs.

    Args:
        values: what :func:`identifying_values` found in the inputs.
        blobs: name and bytes of each object, table, log or event.
    """
    looking = LeakSearch(values)
    return [leak for place, blob in blobs for leak in looking.scan(place, blob)]
