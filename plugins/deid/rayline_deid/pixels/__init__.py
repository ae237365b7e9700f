"""Clean Pixel Data (PS3.15 §E.3.1): find burned-in text and blank it, in the encoding that it came in."""

import os

from rayline_deid.pixels.boxes import Box
from rayline_deid.pixels.cleaning import CleanedPixels, clean_pixels
from rayline_deid.pixels.devices import DeviceRule
from rayline_deid.pixels.settings import PixelSettings

__all__ = ["Box", "CleanedPixels", "DeviceRule", "PixelSettings", "clean_pixels"]

# From its import on, onnxruntime counts its use and reports it to its makers, unless the environment forbids it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
