"""De-identify a Part 10 file after a profile: the rules that :func:`rayline.plugin.rewrite` follows."""

from collections.abc import Mapping
from typing import Final

from rayline.plugin import (
    Content,
    Element,
    FileMeta,
    Insertion,
    Plan,
    RejectedEvent,
    Replace,
    Treatment,
    rewrite,
)
from rayline_deid.document import Action
from rayline_deid.options import BASIC_METHOD, METHODS, Option
from rayline_deid.patient import IDENTITY, PatientScope, patient_facts, patient_scope
from rayline_deid.profile import (
    BODY_PART_EXAMINED,
    BURNED_IN_ANNOTATION,
    ENGINE_VERSION,
    METHOD,
    METHOD_CODE_SEQUENCE,
    MODALITY,
    PATIENT_ID,
    PATIENT_IDENTITY_REMOVED,
    RECOGNIZABLE_VISUAL_FEATURES,
    ROWS,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    TEMPORAL_INFORMATION_MODIFIED,
    Profile,
)
from rayline_deid.pseudonyms import Pseudonyms
from rayline_deid.treatments import treatments_of
from rayline_deid.visual_features import could_show_a_face

_MEDIA_STORAGE_DIRECTORY: Final = b"1.2.840.10008.1.3.10"
_DECIDING: Final = frozenset(
    {
        SOP_CLASS_UID,
        SOP_INSTANCE_UID,
        MODALITY,
        BODY_PART_EXAMINED,
        ROWS,
        BURNED_IN_ANNOTATION,
        RECOGNIZABLE_VISUAL_FEATURES,
    }
)


def deidentify(
    source: Content, profile: Profile, pseudonyms: Pseudonyms, *, pixels_clean: bool = False
) -> Content:
    """Rewrite a Part 10 file after a profile, in its own transfer syntax.

    Args:
        pixels_clean: text in the pixels was looked for and blanked before. Otherwise an image that says it has
            some is refused, and the output does not say that its pixels were cleaned.

    Raises:
        RejectedEvent: ``DICOMDIR_REFUSED``, ``BURNED_IN_ANNOTATION``, ``RECOGNIZABLE_VISUAL_FEATURES``, or the file
            cannot be read whole (``NOT_DICOM``, ``TRUNCATED``, ``MALFORMED``, ``LIMIT_EXCEEDED``).
    """
    return rewrite(source, DeidRules(profile, pseudonyms, pixels_clean=pixels_clean))


class DeidRules:
    """The rules of a profile under one site's secret.

    Attributes:
        facts: tags of the top level that :meth:`begin` wants to know; those of a subclass are kept.
    """

    facts: frozenset[int] = _DECIDING

    def __init__(self, profile: Profile, pseudonyms: Pseudonyms, *, pixels_clean: bool = False) -> None:
        self._profile = profile
        self._pseudonyms = pseudonyms
        self._applied = profile.options if pixels_clean else profile.options - {Option.CLEAN_PIXEL_DATA}
        self._pixels_clean = pixels_clean and Option.CLEAN_PIXEL_DATA in profile.options
        self.facts |= patient_facts(profile)

    def begin(self, meta: FileMeta, facts: Mapping[int, bytes]) -> Plan[PatientScope]:
        """Find out who the patient is, and refuse what its header alone cannot make safe."""
        if meta.sop_class_uid == _MEDIA_STORAGE_DIRECTORY:
            raise RejectedEvent("DICOMDIR_REFUSED", "a media directory; send the instances that it lists")
        if not self._pixels_clean and facts.get(BURNED_IN_ANNOTATION, b"").upper() == b"YES":
            raise RejectedEvent("BURNED_IN_ANNOTATION", "the pixels show text, and only headers are cleaned")
        if Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES in self._applied and could_show_a_face(facts):
            raise RejectedEvent(
                "RECOGNIZABLE_VISUAL_FEATURES",
                "the image could show a face, by its modality and body part; send it without, or do not select "
                "clean_recognizable_visual_features",
            )
        scope = patient_scope(self._profile, self._pseudonyms, facts)
        treatments = treatments_of(self._profile)
        instance = Element(SOP_INSTANCE_UID, "UI", facts.get(SOP_INSTANCE_UID) or meta.sop_instance_uid, 0)
        return Plan(
            treatments=treatments,
            scope=scope,
            sop_class_uid=facts.get(SOP_CLASS_UID) or meta.sop_class_uid,
            sop_instance_uid=_replaced(treatments.of[SOP_INSTANCE_UID], instance, scope),
            insertions=tuple(self._insertions(scope, facts)),
        )

    def _insertions(self, scope: PatientScope, facts: Mapping[int, bytes]) -> list[Insertion]:
        """What says what was done (PS3.15 §E.1.1), and the pseudonym, by which it is known when done again."""
        written = list(_method_attributes(self._profile, self._applied))
        override = self._profile.overrides().get(PATIENT_ID)
        kept = override is not None and override[1].action is Action.KEEP
        if not kept and any(facts.get(tag) for tag in IDENTITY):
            written.append(Insertion(PATIENT_ID, "LO", scope.patient))
        if ROWS in facts and self._pixels_clean:
            written.append(Insertion(BURNED_IN_ANNOTATION, "CS", b"NO"))
        if ROWS in facts and Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES in self._applied:
            written.append(Insertion(RECOGNIZABLE_VISUAL_FEATURES, "CS", b"NO"))
        return written


def _replaced(treatment: Treatment, element: Element, scope: PatientScope) -> bytes:
    """The value that the data set will have too."""
    after = treatment.function(element, scope) if isinstance(treatment, Replace) else element.value
    return (after or b"").strip(b"\0 ")


def _method_attributes(profile: Profile, applied: frozenset[Option]) -> tuple[Insertion, ...]:
    methods = [BASIC_METHOD, *(METHODS[option] for option in Option if option in applied)]
    temporal = "REMOVED"
    if Option.RETAIN_FULL_DATES in applied:
        temporal = "UNMODIFIED"
    elif Option.RETAIN_MODIFIED_DATES in applied:
        temporal = "MODIFIED"
    described = f"rayline_deid {ENGINE_VERSION}\\PS3.15 2026c\\profile {profile.digest[:16]}"
    return (
        Insertion(PATIENT_IDENTITY_REMOVED, "CS", b"YES"),
        Insertion(METHOD, "LO", described.encode("ascii")),
        Insertion(METHOD_CODE_SEQUENCE, "SQ", tuple(_code_item(*method) for method in sorted(methods))),
        Insertion(TEMPORAL_INFORMATION_MODIFIED, "CS", temporal.encode("ascii")),
    )


def _code_item(value: str, meaning: str) -> tuple[Insertion, ...]:
    return (
        Insertion(0x00080100, "SH", value.encode("ascii")),
        Insertion(0x00080102, "SH", b"DCM"),
        Insertion(0x00080104, "LO", meaning.encode("ascii")),
    )
