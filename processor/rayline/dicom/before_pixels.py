"""The header of a changed instance without another walk over its fragments.

To find where encapsulated pixel data ends, each fragment's header is read, which takes long where the object is in S3.
A changed instance's fragments are mostly the original's, and what the ledger wants stands before them.
"""

from rayline.dicom.content import Spliced, Stretch, piece_length
from rayline.dicom.header import Header, read_header
from rayline.dicom.instance import Instance
from rayline.dicom.structure import PIXEL_DATA

_LONG_ELEMENT_HEADER = 12  # encapsulated pixel data is OB or OW in explicit VR (PS3.5 §A.4)


def header_before_pixels(changed: Instance, original: Instance) -> Header:
    """The header of ``changed``; where it holds the encapsulated pixel data of ``original``, of what stands before.

    Raises:
        RejectedEvent: it cannot be read.
    """
    begin = _shared_fragments(changed, original)
    if begin is None:
        return changed.header
    return read_header(Spliced([Stretch(changed.source, 0, begin - _LONG_ELEMENT_HEADER)]), changed.limits)


def _shared_fragments(changed: Instance, original: Instance) -> int | None:
    """Where in the changed instance the value of the original's encapsulated pixel data begins, if it is there."""
    header, source = original.header, original.source
    if changed.source is source or not header.fragments or header.body is not source:
        return None
    wanted = next(source.pieces(header.elements[PIXEL_DATA].value, 1))
    if not isinstance(wanted, Stretch):
        return None
    position = 0
    for piece in changed.source.pieces(0, changed.source.size):
        if isinstance(piece, Stretch) and piece.content is wanted.content:
            offset = wanted.start - piece.start
            if 0 <= offset < piece.length:
                return position + offset
        position += piece_length(piece)
    return None
