"""What the fuzzer holds every file to: an end inside the error tree, soon, without a leak, and twice as once."""

import time
import zlib
from functools import cache

from fuzz.elements import Place, data_set_at, places, transfer_syntax
from support.hostile_files import SENTINEL, UID_SENTINEL
from support.intake_chain import passage, transformed
from support.part10 import DEFLATED, EXPLICIT_LITTLE
from support.sentinels import TABLE

import rayline_deid
from rayline.dicom.content import InMemory
from rayline.dicom.header import read_header
from rayline.errors import RaylineError, RejectedEvent

CPU_SECONDS = 2.0
MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002


class Finding(Exception):
    """A promise of the intake that a file broke."""


PROFILES: tuple[dict[str, object], ...] = (
    {},
    {"options": {"clean_descriptors": True, "clean_structured_content": True, "clean_graphics": True}},
    {"options": {"retain_longitudinal_temporal_information": "modified", "clean_pixel_data": False}},
    {"options": {"retain_safe_private": True, "clean_structured_content": True}},
)


@cache
def _settings(number: int) -> rayline_deid.DeidSettings:
    return rayline_deid.DeidSettings.model_validate({"profile": PROFILES[number]})


def check(data: bytes) -> str:
    """Send a file through the intake; returns its reason code, empty where it passed.

    Raises:
        Finding: it leaked, took too long, or ended otherwise when sent again.
        Exception: whatever is not of the error tree.
    """
    began = time.process_time()
    try:
        header = read_header(InMemory(data))
        for tag in header.elements:
            header.text(tag)
            header.numbers(tag)
            header.items(tag)
    except RejectedEvent:
        pass
    # Which profile is used depends on the file, so that a finding can be repeated.
    settings = _settings(zlib.crc32(data[:4096]) % len(PROFILES))
    found = passage(data, settings)
    if found.reason and (not found.explanation or not found.explanation.isprintable()):
        raise Finding(f"explanation {found.explanation!r}")
    if found.stage == "screen":
        _check_alone(data, settings)
    if found.stage == "readback":
        raise Finding(f"the output is refused: {found.reason}: {found.explanation}")
    if found.output is not None:
        output = found.output.whole()
        leaks = leaked(output)
        if leaks:
            raise Finding(f"leak at {leaks[0]}")
        try:
            again = transformed(output, settings)
        except RaylineError as refused:
            raise Finding(f"the output cannot be de-identified again: {refused}") from refused
        # What is written anew goes to the place of its tag, which tags out of order (PS3.5 §7.1) do not have.
        if again != output and _in_order(output):
            raise Finding("de-identifying twice is not the same as once")
    seconds = time.process_time() - began
    if seconds > CPU_SECONDS:
        raise Finding(f"{seconds:.1f} s of CPU time")
    return found.reason


def _check_alone(data: bytes, settings: rayline_deid.DeidSettings) -> None:
    """De-identification also works alone, on files that nobody screened."""
    try:
        output = transformed(data, settings)
    except RaylineError:
        return
    leaks = leaked(output)
    if leaks:
        raise Finding(f"leak without screening at {leaks[0]}")


def leaked(output: bytes) -> list[str]:
    """Where sentinels stand that no attribute may hold; a mutation may have put one where a value stays."""
    start = data_set_at(output)
    syntax = transfer_syntax(output)
    meta = output[:start]
    for place in places(meta, 132, EXPLICIT_LITTLE):
        # A class UID says what kind of thing it is; a mutation may have put a sentinel there.
        if place.tag == MEDIA_STORAGE_SOP_CLASS_UID:
            meta = (
                meta[: place.value]
                + meta[place.value : place.end].replace(UID_SENTINEL, b"")
                + meta[place.end :]
            )
            break
    leaks = ["file meta information"] if _in(meta) else []
    body = output[start:]
    if syntax == DEFLATED:
        body = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body)
    if _in(body):
        found = places(body, 0, syntax)
        for sentinel in (SENTINEL, UID_SENTINEL):
            at = body.find(sentinel)
            while at >= 0:
                place = _innermost(found, at)
                if place is None or not _may_hold(place):
                    path = "" if place is None else "/".join(f"{tag:08X}" for tag in place.path)
                    leaks.append(f"{path or 'no element'}")
                at = body.find(sentinel, at + 1)
    return leaks


def _in_order(output: bytes) -> bool:
    syntax, start = transfer_syntax(output), data_set_at(output)
    body = (
        zlib.decompressobj(-zlib.MAX_WBITS).decompress(output[start:])
        if syntax == DEFLATED
        else output[start:]
    )
    tags = [place.tag for place in places(body, 0, syntax) if len(place.path) == 1]
    return tags == sorted(set(tags))


def _in(data: bytes) -> bool:
    return SENTINEL in data or UID_SENTINEL in data


def _innermost(found: list[Place], at: int) -> Place | None:
    holding = [place for place in found if place.value <= at < place.end]
    return holding[-1] if holding else None


def _may_hold(place: Place) -> bool:
    """Whether an attribute stays as it is by the table: it has no row, is not private, and has a number at all."""
    return not any(f"{tag:08X}" in TABLE or tag >> 16 & 1 or tag >> 16 < 8 for tag in place.path[-1:])
