"""Who and what an instance is, before and after, and the name that its output gets by that."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Final, NamedTuple

from rayline.plugin import KEEP, Content, Element, FileMeta, Plan, Replace
from rayline_deid.engine import DeidRules, deidentify_by
from rayline_deid.patient import PatientScope
from rayline_deid.profile import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Profile,
)
from rayline_deid.pseudonyms import Pseudonyms

# Whatever a profile retains comes from the input, so it may be no name for a file, e.g. `../..`.
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class Replaced(NamedTuple):
    """An identifier and what stands in its place; both may be empty, and equal where a profile retains it."""

    original: bytes
    replacement: bytes


class Identity(NamedTuple):
    """The identifiers of an instance on the four levels of PS3.3 §7."""

    patient_id: Replaced
    study_instance_uid: Replaced
    series_instance_uid: Replaced
    sop_instance_uid: Replaced

    def file_name(self) -> str:
        """Patient, study and series as folders, and the instance as a file."""
        return "/".join(
            (
                _as_file_name(self.patient_id.replacement, "patient"),
                _as_file_name(self.study_instance_uid.replacement, "study"),
                _as_file_name(self.series_instance_uid.replacement, "series"),
                _as_file_name(self.sop_instance_uid.replacement, "instance") + ".dcm",
            )
        )


def _as_file_name(value: bytes, level: str) -> str:
    text = value.decode("latin-1")
    if _FILE_NAME.fullmatch(text):
        return text
    return f"{level}-{hashlib.sha256(value).hexdigest()[:16]}" if value else f"no-{level}"


class IdentifyingRules(DeidRules):
    """The rules of a profile, which remember whom the last file was about."""

    def __init__(self, profile: Profile, pseudonyms: Pseudonyms) -> None:
        super().__init__(profile, pseudonyms)
        self.facts = self.facts | {SERIES_INSTANCE_UID}
        self.identity: Identity | None = None

    def begin(self, meta: FileMeta, facts: Mapping[int, bytes]) -> Plan[PatientScope]:
        """Plan as the profile says."""
        plan = super().begin(meta, facts)
        inserted = {each.tag: each.value for each in plan.insertions}

        def replaced(tag: int, vr: str) -> Replaced:
            value, written = facts.get(tag, b""), inserted.get(tag)
            after = written if isinstance(written, bytes) else None
            if after is None:
                treatment = plan.treatments.of[tag]
                if treatment is KEEP:
                    after = value
                elif isinstance(treatment, Replace):
                    after = treatment.function(Element(tag, vr, value, 0), plan.scope)
            return Replaced(value, (after or b"").strip(b"\0 "))

        self.identity = Identity(
            replaced(PATIENT_ID, "LO"),
            replaced(STUDY_INSTANCE_UID, "UI"),
            replaced(SERIES_INSTANCE_UID, "UI"),
            Replaced(facts.get(SOP_INSTANCE_UID) or meta.sop_instance_uid, plan.sop_instance_uid),
        )
        return plan


def deidentify_and_identify(source: Content, rules: IdentifyingRules) -> tuple[Content, Identity]:
    """An instance without what identifies its patient, and whom it is about.

    Raises:
        RejectedEvent: it cannot be de-identified, or cannot be read whole.
    """
    content = deidentify_by(rules, source)
    identity = rules.identity
    assert identity is not None
    return content, identity


def mirrored_name(relative: str) -> str:
    """The place of an input below the folder that was named, as a name for its output."""
    return "/".join(part for part in PurePath(relative).parts if part not in ("/", ".", ".."))
