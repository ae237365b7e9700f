"""A changed instance's header, read without another walk over fragments that are the original's."""

from pathlib import Path
from typing import Any

import pytest

import rayline_deid
from benchmarks.intake.enhanced_ct import write_enhanced_ct
from rayline.dicom.before_pixels import header_before_pixels
from rayline.dicom.coercion import CoercionRule, coerce
from rayline.dicom.content import Content, InMemory, LocalFile
from rayline.dicom.identity import InstanceIdentity
from rayline.dicom.instance import Instance
from rayline.dicom.metadata import metadata_of
from rayline.testing import InMemoryContext

SIZE = 12_000_000  # too large to be read whole


class Counting(Content):
    """A content that counts what is read of it."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.size = content.size
        self.bytes_read = 0

    def read(self, start: int, length: int) -> bytes:
        found = self._content.read(start, length)
        self.bytes_read += len(found)
        return found


def image(tmp_path: Path, *, encapsulated: bool = True) -> Counting:
    path = tmp_path / "image.dcm"
    write_enhanced_ct(path, SIZE, encapsulated=encapsulated)
    return Counting(LocalFile(path))


def deidentified(instance: Instance) -> Instance:
    context: Any = InMemoryContext(
        settings=rayline_deid.settings_model()(), secrets={"deid": b"a secret of the tests, long enough"}
    )
    return rayline_deid.transform_instance(instance, context)


@pytest.mark.parametrize("encapsulated", [True, False], ids=["encapsulated", "native"])
@pytest.mark.parametrize("coerced", [False, True], ids=["as received", "coerced"])
def test_it_says_what_the_whole_header_says_and_reads_no_fragment_again(
    tmp_path: Path, encapsulated: bool, coerced: bool
) -> None:
    source = image(tmp_path, encapsulated=encapsulated)
    original = Instance(source)
    if coerced:
        # Its group length is right, so make it wrong: a mended file is spliced of the original's stretches.
        broken = bytearray(source.read(0, source.size))
        broken[140] ^= 1
        source = Counting(InMemory(bytes(broken)))
        original, fired = coerce(Instance(source), [CoercionRule.FILE_META_GROUP_LENGTH])
        assert fired == ("file_meta_group_length",)
    changed = deidentified(original)
    before = source.bytes_read
    header = header_before_pixels(changed, original)
    assert source.bytes_read - before < 600_000
    whole = deidentified(Instance(original.source.whole())).header
    assert InstanceIdentity.of(header) == InstanceIdentity.of(whole)
    assert metadata_of(header) == metadata_of(whole)


def test_a_header_is_read_to_its_end_where_the_pixels_are_others(tmp_path: Path) -> None:
    original = Instance(image(tmp_path))
    in_memory = Instance(original.source.whole())
    assert header_before_pixels(in_memory, original) is in_memory.header
    assert header_before_pixels(original, original) is original.header
