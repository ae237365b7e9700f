"""De-identify a Part 10 file after a profile: the rules that :func:`rayline.plugin.rewrite` follows."""

from collections.abc import Mapping
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from rayline.plugin import (
    WHOLE_BYTES,
    Content,
    Element,
    FileMeta,
    Header,
    InMemory,
    Insertion,
    Instance,
    Plan,
    RejectedEvent,
    Replace,
    Treatment,
    rewrite,
)
from rayline_deid.document import Action
from rayline_deid.options import BASIC_METHOD, METHODS, Option
from rayline_deid.patient import IDENTITY, PatientScope, patient_facts, patient_scope
from rayline_deid.pixels.cleaning import clean_pixels
from rayline_deid.private import StatedSafe
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
from rayline_deid.treatments import treatments_of, with_stated
from rayline_deid.values import is_number_or_date
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


class Pixels(Enum):
    """What was done about text in the pixels before the header is rewritten."""

    #: Nothing: an image that says that it shows text is refused, and the output does not say that it was cleaned.
    LEFT = auto()
    #: The header rules text out, so the pixels were not looked at.
    RULED_OUT = auto()
    #: They were searched, and blanked where there was some.
    EXAMINED = auto()


def deidentify(
    source: Content, profile: Profile, pseudonyms: Pseudonyms, header: Header | None = None
) -> Content:
    """De-identify a Part 10 file after a profile, pixels and header, in its own transfer syntax where possible.

    Args:
        header: its header, where it was read before.

    Raises:
        RejectedEvent: ``DICOMDIR_REFUSED``, ``BURNED_IN_ANNOTATION``, ``PIXELS_NOT_CLEANABLE``,
            ``RECOGNIZABLE_VISUAL_FEATURES``, or the file cannot be read whole (``NOT_DICOM``, ``TRUNCATED``,
            ``MALFORMED``, ``LIMIT_EXCEEDED``).
    """
    return deidentify_by(DeidRules(profile, pseudonyms), source, header)


def deidentify_by(rules: "DeidRules", source: Content, header: Header | None = None) -> Content:
    """De-identify a Part 10 file as :func:`deidentify` does, by rules that are there already."""
    instance = Instance(InMemory(source.whole()) if source.size <= WHOLE_BYTES else source)
    if header is None:
        header = instance.header
    rules.pixels = Pixels.LEFT
    if (settings := rules.profile.pixel_settings) is not None:
        cleaned = clean_pixels(instance.source, header, settings)
        rules.pixels = Pixels.EXAMINED if cleaned.examined else Pixels.RULED_OUT
        if cleaned.cleaned:
            instance = Instance(cleaned.content)
            header = instance.header
    rules.header = header
    return rewrite(instance.source, rules, header)


class DeidRules:
    """The rules of a profile under one site's secret, for one file at a time.

    Attributes:
        profile: what is kept and what is not.
        pixels: what was done about the pixels of the file whose header comes next.
        header: that header, where it was read before.
        facts: tags of the top level that :meth:`begin` wants to know; those of a subclass are kept.
    """

    facts: frozenset[int] = _DECIDING

    def __init__(self, profile: Profile, pseudonyms: Pseudonyms, pixels: Pixels = Pixels.LEFT) -> None:
        self.profile = profile
        self.pixels = pixels
        self.header: Header | None = None
        self._pseudonyms = pseudonyms
        self.facts |= patient_facts(profile)

    @property
    def _applied(self) -> frozenset[Option]:
        options = self.profile.options
        return options - {Option.CLEAN_PIXEL_DATA} if self.pixels is Pixels.LEFT else options

    def begin(self, meta: FileMeta, facts: Mapping[int, bytes]) -> Plan[PatientScope]:
        """Find out who the patient is, and refuse what its header alone cannot make safe."""
        if meta.sop_class_uid == _MEDIA_STORAGE_DIRECTORY:
            raise RejectedEvent("DICOMDIR_REFUSED", "a media directory; send the instances that it lists")
        sop_class_uid = facts.get(SOP_CLASS_UID) or meta.sop_class_uid
        # Both are copied into the new file meta information, and a sender can write anything there.
        for uid in (sop_class_uid, meta.transfer_syntax_uid.encode("utf-8")):
            if not is_number_or_date(uid, "UI"):
                raise RejectedEvent(
                    "INVALID_UID", "the SOP class or the transfer syntax is not a UID (PS3.5 section 9.1)"
                )
        applied = self._applied
        pixels_cleaned = Option.CLEAN_PIXEL_DATA in applied
        if not pixels_cleaned and facts.get(BURNED_IN_ANNOTATION, b"").upper() == b"YES":
            raise RejectedEvent("BURNED_IN_ANNOTATION", "the pixels show text, and only headers are cleaned")
        if Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES in applied and could_show_a_face(facts):
            raise RejectedEvent(
                "RECOGNIZABLE_VISUAL_FEATURES",
                "the image could show a face, by its modality and body part; send it without, or do not select "
                "clean_recognizable_visual_features",
            )
        scope = patient_scope(self.profile, self._pseudonyms, facts)
        treatments = treatments_of(self.profile)
        if self.header is not None and self.profile.document.private.believe_sender:
            treatments = with_stated(treatments, self.profile, StatedSafe(self.header))
        instance = Element(SOP_INSTANCE_UID, "UI", facts.get(SOP_INSTANCE_UID) or meta.sop_instance_uid, 0)
        return Plan(
            treatments=treatments,
            scope=scope,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=_replaced(treatments.of[SOP_INSTANCE_UID], instance, scope),
            insertions=tuple(self._insertions(scope, facts, applied)),
        )

    def _insertions(
        self, scope: PatientScope, facts: Mapping[int, bytes], applied: frozenset[Option]
    ) -> list[Insertion]:
        """What says what was done (PS3.15 §E.1.1), and the pseudonym, by which it is known when done again."""
        written = list(_method_attributes(self.profile, applied))
        override = self.profile.overrides().get(PATIENT_ID)
        kept = override is not None and override[1].action is Action.KEEP
        if not kept and any(facts.get(tag) for tag in IDENTITY):
            written.append(Insertion(PATIENT_ID, "LO", scope.patient))
        if ROWS in facts and Option.CLEAN_PIXEL_DATA in applied and self.pixels is Pixels.EXAMINED:
            written.append(Insertion(BURNED_IN_ANNOTATION, "CS", b"NO"))
        if ROWS in facts and Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES in applied:
            written.append(Insertion(RECOGNIZABLE_VISUAL_FEATURES, "CS", b"NO"))
        return written


def _replaced(treatment: Treatment, element: Element, scope: PatientScope) -> bytes:
    """The value that the data set will have too."""
    after = treatment.function(element, scope) if isinstance(treatment, Replace) else element.value
    return (after or b"").strip(b"\0 ")


@lru_cache(maxsize=16)
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
