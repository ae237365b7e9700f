"""For plugin authors: events to test with, DICOM to test on, a context in memory, and a conformance check.

::

    from rayline.testing import ImageSpec, InMemoryContext, image_instance

    def test_keeps_localizers_out() -> None:
        instance = image_instance(ImageSpec(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")))
        assert plugin.screen_instance(instance, InMemoryContext()).reason == "LOCALIZER"
"""

from rayline.testing.conformance import check_plugin
from rayline.testing.context import InMemoryContext
from rayline.testing.dicom import ImageSpec, image_content, image_instance

__all__ = ["ImageSpec", "InMemoryContext", "check_plugin", "image_content", "image_instance"]
