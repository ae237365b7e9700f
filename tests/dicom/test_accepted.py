"""A site says which SOP classes, modalities and sizes it takes; what is wrong in its profile is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.part10 import DEFLATED, IMPLICIT_LITTLE, Element, Writer, changed, minimal_image

from rayline.dicom.coercion import CoercionRule
from rayline.dicom.instance import Instance
from rayline.dicom.reasons import ReasonCode
from rayline.dicom.sop_classes import ALLOWED_MODALITIES, ALLOWED_SOP_CLASSES, Accepted
from rayline.dicom.structure import DEFAULT_LIMITS, Limits
from rayline.errors import ConfigurationError
from rayline.profile import IntakeProfile, load_profile
from rayline.stages.screen import ScreenStage
from rayline.testing import InMemoryContext

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
WRITER = Writer()


def file(sop_class: str = CT, modality: bytes = b"CT", *others: Element, writer: Writer = WRITER) -> bytes:
    elements = changed(
        minimal_image(writer), Element(0x00080060, "CS", modality), *others, sop_class=sop_class
    )
    return writer.file(elements, sop_class=sop_class)


def intake(tmp_path: Path, **section: Any) -> IntakeProfile:
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump({"intake": section} if section else {}))
    return load_profile(path).intake


def screened(profile: IntakeProfile, content: bytes) -> str | None:
    rejection = ScreenStage(profile.accepted()).screen_instance(
        Instance(content, limits=profile.limits.limits()), InMemoryContext()
    )
    return rejection.reason if rejection else None


def test_without_a_word_the_built_in_lists_hold_and_nothing_is_mended(tmp_path: Path) -> None:
    profile = intake(tmp_path)
    assert profile.accepted() == Accepted(ALLOWED_SOP_CLASSES, ALLOWED_MODALITIES)
    assert profile.limits.limits() == DEFAULT_LIMITS
    assert profile.coercion == frozenset()
    assert screened(profile, file()) is None


def test_a_site_takes_the_classes_and_modalities_of_its_own_lists(tmp_path: Path) -> None:
    profile = intake(tmp_path, allowed_sop_classes=[MR, ECG], allowed_modalities=["MR", "ECG"])
    assert screened(profile, file()) == ReasonCode.SOP_CLASS_NOT_ALLOWED
    assert screened(profile, file(MR)) == ReasonCode.MODALITY_NOT_ALLOWED
    assert screened(profile, file(MR, b"MR")) is None
    # A class that the built-in list leaves out, with what every instance has.
    assert screened(profile, file(ECG, b"ECG")) is None
    assert screened(intake(tmp_path), file(ECG, b"CT")) == ReasonCode.SOP_CLASS_NOT_ALLOWED


def test_a_media_directory_is_refused_whatever_the_lists_say(tmp_path: Path) -> None:
    directory = "1.2.840.10008.1.3.10"
    assert screened(intake(tmp_path, allowed_sop_classes=[directory]), file(directory)) == (
        ReasonCode.DICOMDIR_REFUSED
    )


NESTED = Element(0x00081140, "SQ", [[Element(0x00081140, "SQ", [[Element(0x00081155, "UI", b"1.2.3")]])]])


@pytest.mark.parametrize(
    ("limit", "content", "of"),
    [
        ("object_bytes", file(), len),
        ("elements", file(CT, b"CT", NESTED), lambda content: Instance(content).header.count),
        ("depth", file(CT, b"CT", NESTED), lambda content: 2),
        (
            "inflated_bytes",
            file(writer=Writer(DEFLATED)),
            lambda content: Instance(content).header.body.size,
        ),
        (
            "values",
            file(
                CT, b"CT", Element(0x00281052, "DS", b"1\\" * 39_999 + b"1"), writer=Writer(IMPLICIT_LITTLE)
            ),
            lambda content: 40_000,
        ),
        (
            "values",
            file(CT, b"CT", Element(0x00283006, "US", bytes(80_000)), writer=Writer(IMPLICIT_LITTLE)),
            lambda content: 40_000,
        ),
    ],
)
def test_a_limit_is_what_may_be_reached_and_not_passed(
    limit: str, content: bytes, of: Callable[[bytes], int], tmp_path: Path
) -> None:
    reached = of(content)
    assert screened(intake(tmp_path, limits={limit: reached}), content) is None
    assert screened(intake(tmp_path, limits={limit: reached - 1}), content) == ReasonCode.LIMIT_EXCEEDED


def test_limits_go_with_the_instance() -> None:
    strict = Limits(elements=3)
    instance = Instance(file(), limits=strict).with_content(file())
    assert instance.limits == strict
    with pytest.raises(Exception, match="more than 3 elements"):
        _ = instance.dataset


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"allowed_sop_classes": []}, "allowed_sop_classes"),
        ({"allowed_sop_classes": ["CT"]}, "allowed_sop_classes"),
        ({"allowed_modalities": ["ct"]}, "allowed_modalities"),
        ({"limits": {"depth": 65}}, "limits.depth"),
        ({"limits": {"elements": 0}}, "limits.elements"),
        ({"limits": {"items": 1}}, "limits.items"),
        ({"coercion": ["everything"]}, "coercion"),
        ({"allowed_classes": [CT]}, "allowed_classes"),
    ],
)
def test_a_wrong_field_is_named(section: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"intake.{named}"):
        intake(tmp_path, **section)


def test_every_rule_can_be_asked_for(tmp_path: Path) -> None:
    assert intake(tmp_path, coercion=[rule.value for rule in CoercionRule]).coercion == frozenset(
        CoercionRule
    )
