"""Text burned into real and made-up images is blank afterwards, and nothing else has changed."""

import json
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.pixels import pixel_array
from support.image_files import image, native_file
from support.shared_data import shared

from rayline.plugin import Content, InMemory, LocalFile, RejectedEvent, read_header
from rayline_deid.pixels import Box, CleanedPixels, PixelSettings, clean_pixels

SETTINGS = PixelSettings()


def cleaned(source: Content, settings: PixelSettings = SETTINGS) -> CleanedPixels:
    return clean_pixels(source, read_header(source), settings)


def frames(content: bytes) -> NDArray[Any]:
    dataset = dcmread(DicomBytesIO(content))
    shape = (int(dataset.get("NumberOfFrames", 1)), dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    return pixel_array(dataset, raw=True).reshape(shape)


def assert_blank(after: NDArray[Any], box: Box) -> None:
    part = after[:, box.top : box.bottom, box.left : box.right].reshape(-1, after.shape[3])
    assert len(part)
    assert (part == part[0]).all(), box


def assert_changed_inside_only(before: bytes, result: CleanedPixels) -> float:
    """Returns the part of the image that is blank."""
    old, new = frames(before), frames(result.content.whole())
    mask = np.zeros(old.shape[1:3], dtype=bool)
    for box in result.boxes:
        mask[box.top : box.bottom, box.left : box.right] = True
    assert (old[:, ~mask] == new[:, ~mask]).all()
    return float(mask.mean())


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["0_ORIGINAL_compressed.dcm", "2_ORIGINAL.dcm"])
def test_the_burned_in_names_of_a_radiograph_and_a_localizer(name: str) -> None:
    before = shared("deid", "presidio", name).read_bytes()
    result = cleaned(InMemory(before))
    after = frames(result.content.whole())
    truth = json.loads(shared("deid", "presidio", "ground_truth.json").read_text())
    boxes = truth["sample_data/" + name.replace("_compressed", "")]
    assert len(boxes) == 5
    for box in boxes:
        # The boxes were found in an image with a border of 25 pixels around it.
        assert_blank(after, Box(box["left"] - 25, box["top"] - 25, box["width"], box["height"]))
    assert assert_changed_inside_only(before, result) < 0.1


@pytest.mark.shared_data
def test_the_banner_and_annotations_of_an_ultrasound_image() -> None:
    before = shared("deid", "us", "RGB_IMAGE.dcm").read_bytes()
    result = cleaned(InMemory(before))
    after = frames(result.content.whole())
    assert_blank(after, Box(0, 0, 1024, 56))
    for box in (
        Box(928, 64, 92, 16),
        Box(950, 84, 72, 52),
        Box(955, 147, 66, 70),
        Box(920, 226, 102, 125),
        Box(516, 740, 180, 26),
        Box(797, 744, 50, 18),
    ):
        assert_blank(after, box)
    assert assert_changed_inside_only(before, result) < 0.25


@pytest.mark.shared_data
def test_an_ultrasound_cine_in_jpeg() -> None:
    source = LocalFile(shared("misc_pydicom", "examples_ybr_color.dcm"))
    result = cleaned(source)
    after = dcmread(DicomBytesIO(result.content.whole()))
    assert after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    shown = pixel_array(after)
    assert shown.shape == (30, 240, 320, 3)
    # Model, probe and mechanical index at the right; the banner above; the soft keys below.
    for part in (
        np.s_[:, 12:34, 300:318],
        np.s_[:, 60:96, 302:317],
        np.s_[:, 0:20, 0:40],
        np.s_[:, 226:240, 30:280],
    ):
        assert shown[part].max() <= 12
    # The heart is still there.
    assert shown[:, 80:150, 120:200].max() > 150


FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)


def background(rows: int, columns: int, seed: int) -> NDArray[np.uint8]:
    """Something like tissue: smooth shapes and speckle."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(20, 120, (rows // 32 + 2, columns // 32 + 2)).astype(np.float32)
    smooth = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth + generator.normal(0, 6, (rows, columns)), 0, 255), np.uint8)


def written(
    picture: NDArray[np.uint8], text: str, left: int, bottom: int, height: int, font: int, level: int
) -> Any:
    """The ink of a text that is written into a picture, with the pixels next to it, which are no ink."""
    before = picture.copy()
    scale = cv2.getFontScaleFromHeight(font, height)
    cv2.putText(picture, text, (left, bottom), font, scale, level, max(1, height // 12), cv2.LINE_AA)
    ink = (np.abs(picture.astype(int) - before) > 25).astype(np.uint8)
    return cv2.dilate(ink, np.ones((3, 3), np.uint8)) > 0


@pytest.mark.parametrize("height", [9, 12, 18, 28])
@pytest.mark.parametrize("level", [255, 0])
def test_written_text_is_covered(height: int, level: int) -> None:
    picture = background(480, 640, height)
    ink = np.zeros_like(picture, dtype=bool)
    for line, text in enumerate(("DOE^JANE 1961-03-12", "ID 00482913", "St. Mary Hospital")):
        place = 20 + 150 * line, 60 + 160 * line
        cv2.rectangle(picture, (place[0], place[1] - height - 4), (639, place[1] + 8), 128, -1)
        ink |= written(picture, text, place[0] + 4, place[1], height, FONTS[line], level)
    before = native_file(image(480, 640), picture)
    result = cleaned(InMemory(before))
    after = frames(result.content.whole())[0, :, :, 0]
    assert ink.sum() > 500
    assert (after[ink] == 0).all()
    assert assert_changed_inside_only(before, result) < 0.35


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
def test_text_that_the_window_hides(photometric: str, signed: bool) -> None:
    """A value beside the window shows nothing on a screen, and everything to whoever moves the window."""
    picture = background(300, 400, 1).astype(np.int16) * 4
    mask = np.zeros((300, 400), np.uint8)
    written(mask, "DOE^JANE 12.03.1961", 30, 150, 16, FONTS[0], 255)
    picture[mask > 128] += 1500
    dataset = image(
        300,
        400,
        allocated=16,
        stored=12,
        signed=signed,
        photometric=photometric,
        WindowCenter=-900,
        WindowWidth=100,
    )
    dataset.Modality, dataset.ImageType = "CT", ["DERIVED", "SECONDARY"]
    before = native_file(dataset, picture if signed else picture.astype(np.uint16))
    after = frames(cleaned(InMemory(before)).content.whole())[0, :, :, 0]
    assert np.ptp(after[mask > 128]) == 0


def test_an_image_without_text_is_handed_on_as_it_is() -> None:
    source = InMemory(native_file(image(200, 300), background(200, 300, 5)))
    result = cleaned(source)
    assert result.content is source
    assert result == CleanedPixels(source, False, (), True)


def test_an_image_that_says_yes_and_shows_nothing_is_refused() -> None:
    dataset = image(200, 300, BurnedInAnnotation="YES")
    with pytest.raises(RejectedEvent) as refusal:
        cleaned(InMemory(native_file(dataset, background(200, 300, 5))))
    assert refusal.value.reason == "BURNED_IN_ANNOTATION"


@pytest.mark.parametrize("level", [255, 0])
def test_text_in_one_of_many_frames(level: int) -> None:
    """Frame 33 of 40 is not among those that are looked at by themselves."""
    pictures = np.stack([background(128, 256, 7)] * 40)
    cv2.rectangle(pictures[33], (0, 40), (255, 80), 128, -1)
    ink = written(pictures[33], "DOE JANE 1961", 10, 70, 18, FONTS[0], level)
    before = native_file(image(128, 256, frames=40), pictures)
    result = cleaned(InMemory(before), PixelSettings(frames_examined=2))
    after = frames(result.content.whole())[..., 0]
    assert (after[:, ink] == 0).all()


def test_text_that_an_ultrasound_region_leaves_out_needs_no_search() -> None:
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 40
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 299, 199
    dataset = image(200, 300, SequenceOfUltrasoundRegions=[region])
    picture = background(200, 300, 5)
    written(picture, "DOE^JANE", 10, 30, 16, FONTS[0], 255)
    before = native_file(dataset, picture)
    result = cleaned(InMemory(before), PixelSettings(text_detection=False))
    assert result.boxes == (Box(0, 0, 300, 40),)
    assert_blank(frames(result.content.whole()), Box(0, 0, 300, 40))
    assert assert_changed_inside_only(before, result) == 0.2
