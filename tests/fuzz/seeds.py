"""Small files to begin from: each encoding, each kind of object, each codec, each with a patient who must not leave."""

from collections.abc import Iterator

from support.hostile_files import (
    CODESTREAMS,
    COMPREHENSIVE_SR,
    HOSTILE,
    KINDS,
    RLE,
    SENTINEL,
    UID_SENTINEL,
    ULTRASOUND,
    element,
    encapsulated,
    image,
    implicit,
    item,
    regions,
    run_length,
)
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    minimal_image,
)
from support.shared_data import DATA

_LARGEST = 16 * 1024


def seeds() -> Iterator[tuple[str, bytes]]:
    """Name and content of each."""
    for syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED):
        for undefined in (False, True):
            yield f"{syntax}-{undefined}", _varied(Writer(syntax, undefined))
    bytes_wide = {0x00280100: b"\x08\0", 0x00280101: b"\x08\0", 0x00280102: b"\x07\0"}
    for kind, (sop_class, modality) in KINDS.items():
        for name, (syntax, codestream) in CODESTREAMS.items():
            yield (
                f"{kind}-{name}",
                image(
                    syntax=syntax,
                    changes=dict(bytes_wide),
                    pixels=encapsulated(codestream()),
                    sop_class=sop_class,
                    modality=modality,
                ),
            )
        yield (
            f"{kind}-frames",
            image(
                element(0x00280008, "IS", b"3"),
                syntax=RLE,
                changes=dict(bytes_wide),
                pixels=encapsulated(*[run_length(1, b"\xf1\0")] * 3),
                sop_class=sop_class,
                modality=modality,
            ),
        )
    yield (
        "regions",
        image(regions((0, 0, 3, 3)), sop_class=ULTRASOUND, modality=b"US"),
    )
    yield (
        "report",
        image(
            element(0x0040A040, "CS", b"CONTAINER"),
            element(
                0x0040A730,
                "SQ",
                item(element(0x0040A040, "CS", b"TEXT") + element(0x0040A160, "UT", SENTINEL)),
            ),
            sop_class=COMPREHENSIVE_SR,
            modality=b"SR",
            pixels=b"",
        ),
    )
    yield (
        "unknown",
        image(
            element(
                0x00081140, "UN", item(implicit(0x00100010, SENTINEL) + implicit(0x00081155, UID_SENTINEL))
            ),
            element(0x00104000, "UN", SENTINEL),
        ),
    )
    for name, hostile in HOSTILE.items():
        if name.startswith(("lie:", "value:", "wrong syntax", "25 levels", "offset table", "PixelData")):
            content = hostile.build()
            if len(content) <= _LARGEST:
                yield name, content
    # The corpus that others made by mutation, where it is there.
    for path in sorted((DATA / "malformed" / "fuzz").glob("*")):
        if path.stat().st_size <= _LARGEST:
            yield path.name, path.read_bytes()


def _varied(writer: Writer) -> bytes:
    named = [[Element(0x00100010, "PN", SENTINEL), Element(0x00081155, "UI", UID_SENTINEL)]]
    return writer.file(
        [
            *minimal_image(writer, sop_instance=UID_SENTINEL.decode()),
            Element(0x00080005, "CS", b"ISO_IR 192"),
            Element(0x00080020, "DA", b"20240501"),
            Element(0x00081030, "LO", SENTINEL),
            Element(0x00081140, "SQ", named),
            Element(0x00090010, "LO", SENTINEL),
            Element(0x00091001, "SQ", named),
            Element(0x00100010, "PN", SENTINEL),
            Element(0x00100020, "LO", SENTINEL),
            Element(0x00101002, "SQ", named),
            Element(0x00180050, "DS", b"1.25"),
            Element(0x00280030, "DS", b"0.5\\0.5 "),
            Element(0x0040A730, "SQ", [[Element(0x0040A160, "UT", SENTINEL)]]),
            Element(0x52009229, "SQ", [[Element(0x00289110, "SQ", named)]]),
            Element(0x60003000, "OW", SENTINEL),
            Element(0xFFFCFFFC, "OB", SENTINEL),
        ],
        meta=[Element(0x00020016, "AE", SENTINEL)],
        preamble=(SENTINEL * 8)[:128],
        sop_instance=UID_SENTINEL.decode(),
    )
