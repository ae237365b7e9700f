"""For plugin authors: events to test with, DICOM to test on, a context in memory, and a conformance suite.

::

    from rayline.testing import ImageSpec, InMemoryContext, check_plugin, image_instance

    def test_keeps_the_contract() -> None:
        check_plugin(plugin)

    def test_keeps_localizers_out() -> None:
        instance = image_instance(ImageSpec(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")))
        assert plugin.screen_instance(instance, InMemoryContext()).reason == "LOCALIZER"

``rayline.testing.strategies`` has Hypothesis strategies for every event, message and argument of a hook.
"""

from rayline.testing.conformance import check_plugin
from rayline.testing.context import InMemoryContext, LogRecord
from rayline.testing.dicom import SOP_CLASSES, TRANSFER_SYNTAXES, ImageSpec, image_content, image_instance

__all__ = [
    "SOP_CLASSES",
    "TRANSFER_SYNTAXES",
    "ImageSpec",
    "InMemoryContext",
    "LogRecord",
    "check_plugin",
    "image_content",
    "image_instance",
]
