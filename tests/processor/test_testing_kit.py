"""What authors test with is itself what it says: valid images, planted patients, a cut network, a faithful log."""

import socket
from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from pydicom.encaps import generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, HTJ2KLossless, JPEG2000Lossless

from rayline.dicom.validation import screen
from rayline.plugin import Instance
from rayline.testing import (
    SOP_CLASSES,
    TRANSFER_SYNTAXES,
    ImageSpec,
    InMemoryContext,
    image_content,
    image_instance,
)
from rayline.testing.cases import drawn
from rayline.testing.dicom import ImageKind
from rayline.testing.phi import IDENTIFYING_VALUES, found_in_instance, found_in_text
from rayline.testing.probe import offline, probe
from rayline.testing.strategies import image_specs, instances

OF_EVENTS = {"the event's key", "the event's findings"}


@pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("kind", sorted(SOP_CLASSES))
def test_an_image_of_each_kind_and_syntax_passes_the_intake_with_its_pixels(
    kind: ImageKind, transfer_syntax: str
) -> None:
    frames = 3 if kind == "US" else 1
    spec = ImageSpec(kind=kind, transfer_syntax=transfer_syntax, frames=frames, rows=9, columns=7, pixel=201)
    instance = image_instance(spec)
    assert screen(instance) is None
    dataset = pydicom.dcmread(BytesIO(instance.content))
    assert dataset.SOPClassUID == SOP_CLASSES[kind]
    if transfer_syntax in (JPEG2000Lossless, HTJ2KLossless):
        encoded = list(generate_frames(dataset.PixelData, number_of_frames=frames))
        decode = imagecodecs.htj2k_decode if transfer_syntax == HTJ2KLossless else imagecodecs.jpeg2k_decode
        pixels = np.stack([decode(frame) for frame in encoded])
    else:
        pixels = dataset.pixel_array.reshape(frames, 9, 7)
    assert pixels.shape == (frames, 9, 7)
    assert (pixels == 201).all()


@given(instances)
def test_whatever_is_drawn_passes_the_intake(instance: Instance) -> None:
    assert screen(instance) is None


@pytest.mark.parametrize("transfer_syntax", TRANSFER_SYNTAXES)
def test_a_planted_patient_is_found_everywhere_and_nobody_else_is(transfer_syntax: str) -> None:
    planted = image_instance(ImageSpec(transfer_syntax=transfer_syntax, identified=True))
    assert set(found_in_instance(planted)) == set(IDENTIFYING_VALUES.values()) - OF_EVENTS
    assert found_in_instance(image_instance(ImageSpec(transfer_syntax=transfer_syntax))) == []


def test_a_deflated_file_is_searched_as_it_was_before() -> None:
    planted = image_content(ImageSpec(transfer_syntax=DeflatedExplicitVRLittleEndian, identified=True))
    assert b"qzname" not in planted
    assert "PatientName" in found_in_instance(Instance(planted))


def test_text_is_searched_without_regard_to_case() -> None:
    assert found_in_text("QZName was born 19510617") == ["PatientName", "PatientBirthDate"]
    assert found_in_text("a quiet line") == []


def test_the_cases_are_the_same_in_every_run() -> None:
    once, again = drawn(image_specs), drawn(image_specs)
    assert once == again
    assert len(once) == 12
    assert len({spec.kind for spec in once} | {spec.transfer_syntax for spec in once}) > 4


@pytest.mark.parametrize("wrong", [{"frames": 2}, {"transfer_syntax": "1.2.840.10008.1.2.4.50"}])
def test_an_image_that_cannot_be_built_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"has one frame|no builder"):
        ImageSpec(**wrong)  # type: ignore[arg-type]


def test_nothing_gets_out_while_offline_and_all_does_after() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with offline() as outer, offline() as inner:
            for call in (
                lambda: socket.create_connection(server.getsockname()),
                lambda: socket.getaddrinfo("example.org", 443),
            ):
                with pytest.raises(OSError, match="lets nothing out"):
                    call()
        assert len(inner) >= 2
        assert outer == []
        socket.create_connection(server.getsockname()).close()


def test_a_probe_tells_answer_error_and_what_was_said() -> None:
    assert probe(lambda: 7, package="p", patience_seconds=60).value == 7

    def speaks() -> None:
        print("hello")
        raise SystemExit(3)

    seen = probe(speaks, package="p", patience_seconds=60)
    assert isinstance(seen.error, SystemExit)
    assert "hello\n" in seen.told


def test_the_log_keeps_what_structlog_would_show() -> None:
    context = InMemoryContext()
    log = context.log.bind(stage="screen", kind="uploaded").unbind("kind")
    log.warning("%s of %d", "three", 4, reason="WHY")
    (record,) = context.logged
    assert (record.level, record.event) == ("warning", "three of 4")
    assert record.fields == {"stage": "screen", "reason": "WHY"}
