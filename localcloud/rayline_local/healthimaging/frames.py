"""Pixel data to stored image frames: decode, check, encode to HTJ2K lossless (RPCL, tile-part per
resolution).

Source: AWS HealthImaging developer guide, "Supported transfer syntaxes" and "Pixel data verification".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

Frame = NDArray[Any]

#: stored as received; everything else is transcoded to HTJ2K lossless RPCL
RETAINED = frozenset((JPEGBaseline8Bit, JPEG2000, JPEG2000MC, HTJ2KLosslessRPCL, HTJ2K))
_JPEG = frozenset((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1))
_JPEG_LS = frozenset((JPEGLSLossless, JPEGLSNearLossless))
_JPEG_2000 = frozenset((JPEG2000, JPEG2000Lossless, JPEG2000MC, JPEG2000MCLossless))
_HTJ2K = frozenset((HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL))


class UnsupportedPixels(Exception):
    """The pixel data cannot be stored; the message says why, without values."""


@dataclass(frozen=True)
class StoredFrame:
    """One image frame as it is stored: its bytes and what the metadata says of the decoded frame."""

    content: bytes
    width: int
    height: int
    checksum: int
    """Unsigned CRC-32 of the decoded full-resolution frame, little endian."""
    min_value: int
    max_value: int
    decoded_bytes: int


def encode_htj2k(frame: Frame) -> bytes:
    """Lossless HTJ2K whose prefixes decode to each resolution: RPCL, TLM marker, one tile-part per
    resolution.
    """
    encoded = imagecodecs.htj2k_encode(frame, tlm=True, tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS)
    return bytes(encoded)


def stored_frames(dataset: Dataset, transfer_syntax: UID) -> tuple[str, list[StoredFrame]]:
    """The stored transfer syntax UID and frames of one instance.

    Raises UnsupportedPixels for pixel data that is missing bytes, of a kind not supported, or not decodable.
    """
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise UnsupportedPixels("float pixel data is not supported")
    allocated = int(dataset.get("BitsAllocated") or 0)
    if allocated not in (1, 8, 16, 32):
        raise UnsupportedPixels("BitsAllocated must be 1, 8, 16 or 32")
    if not dataset.get("Rows") or not dataset.get("Columns"):
        raise UnsupportedPixels("Rows and Columns must be positive")
    try:
        if allocated == 1:
            return str(ExplicitVRLittleEndian), [
                _binary(frame) for frame in _native(dataset, transfer_syntax)
            ]
        if transfer_syntax in RETAINED:
            pairs = zip(_encapsulated(dataset), _decoded(dataset, transfer_syntax), strict=True)
            return str(transfer_syntax), [_describe(bytes(content), frame) for content, frame in pairs]
        frames = [_describe(encode_htj2k(frame), frame) for frame in _decoded(dataset, transfer_syntax)]
        return str(HTJ2KLosslessRPCL), frames
    except UnsupportedPixels:
        raise
    except Exception as error:
        # The decoders raise a dozen kinds of exception; whatever they say, these pixels cannot be stored.
        raise UnsupportedPixels(f"pixel data cannot be decoded ({type(error).__name__})") from error


def _describe(content: bytes, frame: Frame) -> StoredFrame:
    little = np.ascontiguousarray(frame.astype(frame.dtype.newbyteorder("<"), copy=False))
    return StoredFrame(
        content=content,
        width=int(frame.shape[1]),
        height=int(frame.shape[0]),
        checksum=zlib.crc32(little.tobytes()),
        min_value=int(frame.min()),
        max_value=int(frame.max()),
        decoded_bytes=int(frame.nbytes),
    )


def _binary(frame: Frame) -> StoredFrame:
    packed = np.packbits(frame.reshape(-1), bitorder="little").tobytes()
    return StoredFrame(
        content=packed,
        width=int(frame.shape[1]),
        height=int(frame.shape[0]),
        checksum=zlib.crc32(packed),
        min_value=int(frame.min()),
        max_value=int(frame.max()),
        decoded_bytes=len(packed),
    )


def _native(dataset: Dataset, transfer_syntax: UID) -> Iterator[Frame]:
    decoder = get_decoder(transfer_syntax)
    for frame, _ in decoder.iter_array(dataset, raw=True):
        yield np.asarray(frame)


def _encapsulated(dataset: Dataset) -> Iterator[bytes]:
    count = int(dataset.get("NumberOfFrames") or 1)
    return generate_frames(dataset.PixelData, number_of_frames=count)


def _decoded(dataset: Dataset, transfer_syntax: UID) -> Iterator[Frame]:
    if not transfer_syntax.is_compressed or transfer_syntax == RLELossless:
        yield from _native(dataset, transfer_syntax)
        return
    for content in _encapsulated(dataset):
        yield _typed(dataset, _decode_one(bytes(content), transfer_syntax))


def _decode_one(content: bytes, transfer_syntax: UID) -> Frame:
    decoded: Any
    if transfer_syntax in _JPEG:
        decoded = imagecodecs.jpeg8_decode(content)
    elif transfer_syntax in _JPEG_LS:
        decoded = imagecodecs.jpegls_decode(content)
    elif transfer_syntax in _JPEG_2000:
        decoded = imagecodecs.jpeg2k_decode(content)
    elif transfer_syntax in _HTJ2K:
        decoded = imagecodecs.htj2k_decode(content)
    else:
        raise UnsupportedPixels(f"transfer syntax {transfer_syntax} is not supported")
    return np.asarray(decoded)


def _typed(dataset: Dataset, frame: Frame) -> Frame:
    """The frame in the type that the attributes describe: codecs do not know PixelRepresentation."""
    if frame.shape[:2] != (int(dataset.Rows), int(dataset.Columns)):
        raise UnsupportedPixels("the encoded frame's size differs from Rows and Columns")
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    target = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
    if signed and frame.dtype.kind == "u" and stored < allocated:
        shift = allocated - stored
        widened = frame.astype(f"u{allocated // 8}") << shift
        return np.asarray(widened.view(target) >> shift)
    return np.asarray(frame.astype(target, copy=False))
