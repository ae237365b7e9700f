"""Clean the pixels of one image: plan, search, blank."""

from typing import NamedTuple

from rayline.plugin import Content, Header, RejectedEvent
from rayline_deid.pixels.boxes import Box, simplified
from rayline_deid.pixels.plan import plan
from rayline_deid.pixels.settings import PixelSettings


class CleanedPixels(NamedTuple):
    """An image whose pixels show no text.

    Attributes:
        content: the file; the same object as before where nothing was to be blanked.
        cleaned: whether pixels changed.
        boxes: what is black in every frame now.
        examined: whether the pixels were searched for text, or cleaned; not so where the header rules text out.
    """

    content: Content
    cleaned: bool
    boxes: tuple[Box, ...]
    examined: bool


def clean_pixels(source: Content, header: Header, settings: PixelSettings) -> CleanedPixels:
    """Blank what text an image shows, in the transfer syntax that it has.

    Args:
        source: the Part 10 file.
        header: its header.
        settings: of the site's profile.

    Raises:
        RejectedEvent: it may show text and cannot be cleaned: ``BURNED_IN_ANNOTATION``, ``PIXELS_NOT_CLEANABLE``,
            ``LIMIT_EXCEEDED`` or ``PIXEL_DATA_LENGTH_MISMATCH``.
        ConfigurationError: the networks that find text are not installed.
    """
    needed = plan(header, settings)
    if needed.is_empty:
        return CleanedPixels(source, False, (), False)
    # What decodes pixels is imported where pixels have to be decoded: it takes time and memory.
    from rayline_deid.pixels.image import read_format

    image = read_format(header, settings.largest_frame)
    if image.rows * image.columns * image.samples * image.frames > settings.largest_image:
        raise RejectedEvent(
            "LIMIT_EXCEEDED",
            f"the image has more than {settings.largest_image} samples, the most that are cleaned",
        )
    boxes = simplified(needed.boxes, image.rows, image.columns)
    if needed.search:
        from rayline_deid.pixels.search import find_text

        boxes = find_text(header, image, boxes, settings)
    if needed.annotated and not boxes:
        raise RejectedEvent("BURNED_IN_ANNOTATION", "the image says that it shows text, and none was found")
    if not boxes and not needed.clear_unused:
        return CleanedPixels(source, False, (), True)
    from rayline_deid.pixels.redaction import redact

    redacted = redact(source, header, image, boxes, clear_unused=needed.clear_unused)
    return CleanedPixels(redacted.content, True, redacted.boxes, bool(needed.search or boxes))
