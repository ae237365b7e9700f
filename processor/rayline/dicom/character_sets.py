"""The defined terms of Specific Character Set, and text in them (PS3.3 §C.12.1.1.2, PS3.5 §6.1)."""

from collections.abc import Sequence
from typing import Final

# Tables C.12-2 and C.12-5, without code extensions: Python's name of each. GBK is of table C.12-5 too.
_PLAIN: Final = {
    "": "latin_1",
    "ISO_IR 6": "latin_1",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "tis_620",
    "ISO_IR 192": "utf_8",
    "ISO_IR 203": "iso8859_15",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
# Tables C.12-3 and C.12-4, with code extensions.
_EXTENSIBLE: Final = frozenset(
    f"ISO 2022 IR {number}"
    for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166, 203)
)

CHARACTER_SETS: Final = frozenset(_PLAIN) | _EXTENSIBLE


def decode(raw: bytes, terms: Sequence[str]) -> str:
    """Text in the character sets that ``terms`` name; what cannot be decoded is replaced, never refused."""
    if not any(term in _EXTENSIBLE for term in terms):
        return raw.decode(_PLAIN.get(terms[0] if terms else "", "latin_1"), "replace")
    # Only code extensions need it, and importing it takes longer than reading many headers.
    from pydicom.charset import convert_encodings, decode_bytes, python_encoding

    known = [term for term in terms if term in python_encoding]
    try:
        return decode_bytes(raw, convert_encodings(known or [""]), set(b"\\^=\r\n\t\f"))
    except (LookupError, ValueError):
        return raw.decode("latin_1")
