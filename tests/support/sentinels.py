"""Values that are found nowhere else, to be put into every attribute of PS3.15 table E.1-1 and searched for."""

import hashlib
import json
import struct
import zlib

from pydicom._dicom_dict import DicomDictionary
from support.part10 import DEFLATED
from support.shared_data import ROOT

_DOCUMENT = json.loads((ROOT / "plugins/deid/rayline_deid/table_e1_1.json").read_text())
#: Basic action by tag as eight digits, ``x`` for any digit of a repeating group.
TABLE: dict[str, str] = _DOCUMENT["actions"]
#: ``K`` (keep) or ``C`` (clean) by option, by tag.
OPTIONS: dict[str, dict[str, str]] = _DOCUMENT["options"]
TAGS = [int(tag, 16) for tag in TABLE if "x" not in tag]
# Group 0000 is of messages and 0004 of media directories; 0002 is of the file meta information.
DATA_SET_TAGS = [tag for tag in TAGS if tag >> 16 >= 0x0008]

# Clinical attributes that the basic profile keeps, with values as they stand in real files.
CLINICAL = [
    (0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL "),
    (0x00080060, "CS", b"CT"),
    (0x00080070, "LO", b"Philips "),
    (0x00081090, "LO", b"Brilliance 16P"),
    (0x00180015, "CS", b"CHEST "),
    (0x00180050, "DS", b"1.0 "),
    (0x00180060, "DS", b"120 "),
    (0x00181020, "LO", b"3.5.4 "),
    (0x00185100, "CS", b"FFS "),
    (0x00200013, "IS", b"0109"),
    (0x00200032, "DS", b"-201\\-59\\-513.800049 "),
    (0x00200037, "DS", b"1\\0\\0\\0\\1\\0 "),
    (0x00201041, "DS", b"-889.50 "),
    (0x00280030, "DS", b"0.78125\\0.78125 "),
    (0x00281050, "DS", b"-0450 "),
    (0x00281051, "DS", b"02000 "),
    (0x00281052, "DS", b"-1000 "),
    (0x00281053, "DS", b"1 "),
]


def vr_of(tag: int) -> str:
    # pydicom's dictionary lacks the newest tags; text is what an engine without it would keep.
    entry = DicomDictionary.get(tag)
    return entry[0][:2] if entry is not None and entry[0] else "LO"


class Sentinels:
    """Values that are found nowhere else, remembered as they are handed out."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def _new(self, value: bytes) -> bytes:
        self.values.append(value)
        return value

    def text(self) -> bytes:
        return self._new(f"SENTINEL{len(self.values):06}".encode())

    def uid(self) -> bytes:
        return self._new(f"1.2.777777.{len(self.values):06}1".encode())

    def valid(self, vr: str, order: str) -> bytes:
        """A value that its VR allows (PS3.5 table 6.2-1), so that no tool drops it for being odd."""
        number = len(self.values)
        days = f"17{53 + number // 336 % 40:02}{number // 28 % 12 + 1:02}{number % 28 + 1:02}"
        # A date alone repeats and may stand in a UID by accident, so several make up a sentinel.
        dates = f"{days}\\17{number % 100:02}0101\\16{number // 100 % 100:02}0101"
        texts = {
            "AE": f"SENT{number:06}",
            "AS": f"{number % 1000:03}Y\\{number // 1000:03}M\\777D",
            "CS": f"SENT_{number:06}",
            "DA": dates,
            "DS": f"777.{number:06}",
            "DT": f"{days}235958.{number:06}",
            "IS": f"777{number:06}",
            "TM": f"235958.{number:06}",
            "UI": f"1.2.777777.{number:06}2",
            "UR": f"urn:sentinel:{number:06}",
            "PN": f"Sentinel^{number:06}",
        }
        if vr in texts:
            return self._new(texts[vr].encode())
        if vr in ("FD", "FL", "OD", "OF"):
            code = "d" if vr.endswith("D") else "f"
            return self._new(struct.pack(f"{order}3{code}", 777.25, float(number), 777.75))
        if vr in ("AT", "SL", "UL", "OL", "SS", "US", "OW", "OV", "SV", "UV"):
            return self._new(struct.pack(f"{order}4L", 0x7ABC1234, number, 0x7DEF5678, number))
        return self._new(f"Sentinel {number:06}".encode())


def inflated(content: bytes) -> bytes:
    if DEFLATED.encode() not in content[:600]:
        return content
    start = 144 + struct.unpack_from("<L", content, 140)[0]
    return content[:start] + zlib.decompressobj(-15).decompress(content[start:])


def survivors(sentinels: Sentinels, before: bytes, after: bytes) -> list[bytes]:
    """Sentinels in an output, themselves or as the usual unkeyed hashes, after a look that all went in."""
    before, after = inflated(before), inflated(after)
    assert [value for value in sentinels.values if value not in before] == []
    found = [value for value in sentinels.values if value in after]
    for value in sentinels.values[:: max(1, len(sentinels.values) // 200)]:
        for name in ("md5", "sha1", "sha256"):
            digest = hashlib.new(name, value, usedforsecurity=False)
            number = str(int.from_bytes(digest.digest()[:16], "big")).encode()
            if digest.hexdigest().encode() in after.lower() or number in after:
                found.append(name.encode() + b" of " + value)
    return found
