"""Stored values to grey values, against the standard's own arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from rayline.errors import ConfigurationError
from rayline_training.display import to_display, to_square


def test_a_window_is_applied_as_the_standard_says() -> None:
    # PS3.3 C.11.2.1.2.1, c=2048, w=4096: black up to 0, white above 4095, else ((x-2047.5)/4095+0.5).
    frame = np.array([[-5, 0, 1], [2048, 4095, 5000]], dtype=np.int32)
    shown = to_display(frame, {"WindowCenter": "2048 ", "WindowWidth": "4096"})
    expected = [[0, 0, 1 / 4095], [2048 / 4095, 1, 1]]
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_rescale_comes_before_the_window_and_the_first_window_counts() -> None:
    frame = np.array([[0, 500, 1000]], dtype=np.uint16)
    shown = to_display(
        frame,
        {
            "RescaleSlope": "2",
            "RescaleIntercept": "-1000",
            "WindowCenter": ["0.5", "9"],
            "WindowWidth": ["2001", "1"],
        },
    )
    np.testing.assert_allclose(shown, [[0, 0.5, 1]], atol=1e-6)


def test_monochrome1_is_inverted() -> None:
    frame = np.linspace(0, 4000, 100, dtype=np.uint16).reshape(10, 10)
    dark = to_display(frame, {"PhotometricInterpretation": "MONOCHROME1"})
    light = to_display(frame, {"PhotometricInterpretation": "MONOCHROME2"})
    np.testing.assert_allclose(dark, 1 - light, atol=1e-6)
    assert dark[0, 0] > dark[-1, -1]


def test_without_a_window_a_few_burnt_pixels_do_not_darken_the_rest() -> None:
    frame = np.tile(np.arange(100, dtype=np.uint16), (100, 1))
    frame[0, :10] = 60_000
    shown = to_display(frame, {})
    assert shown[50, 90] > 0.8


def test_colour_becomes_luminance_and_other_interpretations_are_refused() -> None:
    green = np.zeros((4, 4, 3), dtype=np.uint8)
    green[:2, :, 1] = 200
    shown = to_display(green, {"PhotometricInterpretation": "RGB"})
    assert shown.shape == (4, 4)
    assert shown[0, 0] > shown[3, 3]
    with pytest.raises(ConfigurationError, match="PALETTE COLOR"):
        to_display(green[..., 0], {"PhotometricInterpretation": "PALETTE COLOR"})
    with pytest.raises(ConfigurationError, match="not an image"):
        to_display(np.zeros((2, 4, 4, 3)), {})


def test_a_flat_image_stays_finite() -> None:
    assert np.isfinite(to_display(np.full((8, 8), 7, dtype=np.uint8), {})).all()


def test_a_tall_image_keeps_its_proportions_on_black() -> None:
    square = to_square(np.ones((200, 100), dtype=np.float32), 64)
    assert square.shape == (64, 64)
    assert square.dtype == np.uint8
    assert (square[:, 16:48] == 255).all()
    assert (square[:, :16] == 0).all()
    assert (square[:, 48:] == 0).all()
