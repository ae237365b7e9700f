"""What a chaos run sends: made-up instances, files that must be refused, and second copies of some."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from random import Random
from typing import Final

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from rayline.dicom.reasons import ReasonCode
from rayline.events import Label
from rayline_local.made_up import made_up_patient
from rayline_local.phantoms import chest_xray
from rayline_local.samples import Sample, broken_files, ct_series, wrap

_XRAY_SIZE: Final = 64
_CT_SHARE: Final = 0.3
_CT_SLICES: Final = 12
_REFUSED_SHARE: Final = 0.08


@dataclass(frozen=True)
class Upload:
    """One object to send.

    Attributes:
        name: key below the site's prefix.
        fingerprint: what tells the content apart wherever it turns up (see :func:`fingerprint`).
        refused_for: the reason code that the intake must give, None where it must accept the content.
        contests: the other content's fingerprint where two contents claim one SOP Instance UID; either may win.
        copy: the same bytes are sent elsewhere in the run too.
    """

    name: str
    content: bytes = field(repr=False)
    fingerprint: str
    label: Label | None = None
    refused_for: str | None = None
    contests: str | None = None
    copy: bool = False


def fingerprint(content: bytes) -> str:
    """CRC-32 of the only frame where there is one, which de-identification keeps; else of all bytes.

    HealthImaging states the same CRC-32 of each decoded frame.
    """
    try:
        dataset = pydicom.dcmread(BytesIO(content))
        size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
        pixels = bytes(dataset.PixelData)
    except (InvalidDicomError, AttributeError, EOFError, ValueError, TypeError):
        return _of_bytes(content)
    return of_frame(zlib.crc32(pixels[:size])) if len(pixels) >= size else _of_bytes(content)


def of_frame(checksum: int) -> str:
    """The fingerprint of a content whose frame has this CRC-32."""
    return f"frame-{checksum:08x}"


def _of_bytes(content: bytes) -> str:
    return f"bytes-{hashlib.sha256(content).hexdigest()[:16]}"


def made_up_inputs(seed: int, instances: int) -> list[Upload]:
    """So many different contents in the order of sending; the same seed gives the same bytes."""
    refused = max(2, round(instances * _REFUSED_SHARE))
    slices = round(instances * _CT_SHARE)
    images = [*_ct(seed, slices), *_xrays(seed, instances - refused - slices)]
    uploads = [_upload(each) for each in images]
    uploads += _refused(seed, refused, [each for each in images if each.label is not None])
    assert len({each.fingerprint for each in uploads}) == len(uploads) == instances
    Random(f"{seed}/order").shuffle(uploads)  # noqa: S311 - to be repeatable, not secret
    return uploads


def copies(seed: int, uploads: list[Upload], share: float) -> Iterator[tuple[int, Upload]]:
    """Second copies of some accepted contents, with the position of the first: under its key, or under another."""
    chance = Random(f"{seed}/copies")  # noqa: S311
    for position, each in enumerate(uploads):
        if each.refused_for is None and chance.random() < share:
            name = each.name if chance.random() < 0.5 else f"again/{each.name}"
            yield position, _copy(each, name)


def _copy(upload: Upload, name: str) -> Upload:
    return Upload(
        name,
        upload.content,
        upload.fingerprint,
        upload.label,
        upload.refused_for,
        upload.contests,
        copy=True,
    )


def _upload(sample: Sample, contests: str | None = None) -> Upload:
    refused_for = None if contests else sample.refused_for
    return Upload(
        sample.name, sample.content, fingerprint(sample.content), sample.label, refused_for, contests
    )


def _ct(seed: int, slices: int) -> Iterator[Sample]:
    for number, start in enumerate(range(0, slices, _CT_SLICES)):
        for sample in ct_series(seed * 1_000 + number, min(_CT_SLICES, slices - start)):
            yield Sample(f"ct-{number}/{sample.name}", sample.content, sample.sop_instance_uid)


def _xrays(seed: int, count: int) -> Iterator[Sample]:
    """Chest X-rays, two a patient, half of the patients with pneumonia."""
    for number in range(count):
        patient = made_up_patient(f"{seed}/chaos/{number // 2}")
        label: Label = "PNEUMONIA" if number // 2 % 2 else "NORMAL"
        pixels = chest_xray(np.random.default_rng([seed, 7, number]), label, _XRAY_SIZE)
        content, uid = wrap(
            pixels, patient, image_number=1 + number % 2, source=f"{seed}/chaos/{number // 2}"
        )
        yield Sample(f"cxr/{patient.file_name}-{number % 2}.dcm", content, uid, label)


def _refused(seed: int, count: int, known: list[Sample]) -> list[Upload]:
    """Files to refuse, each of its own content; those that reuse a UID contest it with its first holder."""
    found: dict[str, Upload] = {}
    for number in range(count):
        rival = known[number % len(known)]
        for sample in broken_files(seed * 1_000 + number, rival):
            conflict = sample.refused_for == ReasonCode.UID_CONFLICT
            each = _upload(
                Sample(f"{number}/{sample.name}", sample.content, None, None, refused_for=sample.refused_for),
                fingerprint(rival.content) if conflict else None,
            )
            found.setdefault(each.fingerprint, each)
            if len(found) == count:
                return list(found.values())
    raise AssertionError("too few files to refuse")
