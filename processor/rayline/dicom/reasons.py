"""Why an instance is refused: the codes that quarantine, metrics and tests share."""

from enum import StrEnum


class ReasonCode(StrEnum):
    """Machine-readable reasons of a refusal; each comment is what the code means."""

    # The object has no bytes.
    EMPTY_OBJECT = "EMPTY_OBJECT"
    # No Part 10 file: the prefix DICM is not at byte 128 (PS3.10 §7.1).
    NOT_DICOM = "NOT_DICOM"
    # An element, item or sequence ends after the last byte.
    TRUNCATED = "TRUNCATED"
    # The bytes do not follow PS3.5 §7, e.g. an unknown VR, an item outside a sequence, or
    # another transfer syntax than the file names.
    MALFORMED = "MALFORMED"
    # A larger object, more elements or values, deeper nesting or a larger inflated size than the intake allows.
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    # An attribute that this SOP class needs is absent or empty.
    MISSING_ATTRIBUTE = "MISSING_ATTRIBUTE"
    # An attribute has a value that its VR or the other attributes do not allow, e.g. text in Rows.
    INVALID_VALUE = "INVALID_VALUE"
    # A UID is not one (PS3.5 §9.1), or file meta and data set disagree on it.
    INVALID_UID = "INVALID_UID"
    # The SOP class is not one that this intake accepts, e.g. an encapsulated document.
    SOP_CLASS_NOT_ALLOWED = "SOP_CLASS_NOT_ALLOWED"
    # The modality is not one that this intake accepts, by default those of PS3.3 §C.7.3.1.1.1.
    MODALITY_NOT_ALLOWED = "MODALITY_NOT_ALLOWED"
    # HealthImaging does not import the transfer syntax.
    TRANSFER_SYNTAX_NOT_SUPPORTED = "TRANSFER_SYNTAX_NOT_SUPPORTED"
    # Native pixel data is shorter or longer than rows × columns × samples × frames, or there
    # are fewer fragments than frames.
    PIXEL_DATA_LENGTH_MISMATCH = "PIXEL_DATA_LENGTH_MISMATCH"
    # A media directory: it names patients, and has no use without its media.
    DICOMDIR_REFUSED = "DICOMDIR_REFUSED"
    # The image says that its pixels show text, which this intake cannot clean.
    BURNED_IN_ANNOTATION = "BURNED_IN_ANNOTATION"
    # The pixels may show text, and are stored in a way that this intake cannot clean.
    PIXELS_NOT_CLEANABLE = "PIXELS_NOT_CLEANABLE"
    # The image could show a face, and the site asks for images without.
    RECOGNIZABLE_VISUAL_FEATURES = "RECOGNIZABLE_VISUAL_FEATURES"
    # A known SOP Instance UID arrived with other content.
    UID_CONFLICT = "UID_CONFLICT"
    # No plugin left a de-identification receipt, and the site profile asks for one.
    NOT_DEIDENTIFIED = "NOT_DEIDENTIFIED"
    # A required plugin failed on the instance.
    PLUGIN_FAILED = "PLUGIN_FAILED"
    # HealthImaging refused the file in its import job.
    IMPORT_FAILED = "IMPORT_FAILED"
    # The object version was deleted before the intake read it.
    OBJECT_GONE = "OBJECT_GONE"
    # An import job ended without a word on the file.
    IMPORT_RESULT_MISSING = "IMPORT_RESULT_MISSING"
    # A verification names a version of an image set that is no longer the current one.
    STALE_VERIFICATION = "STALE_VERIFICATION"
    # A verification names an image set, or a version of one, that did not come within a week.
    IMAGE_SET_UNKNOWN = "IMAGE_SET_UNKNOWN"


def metric_label(reason: str) -> str:
    """A reason as metrics are published by it: a site's plugins may have any number of their own, all ``OTHER``."""
    return reason if reason in _CODES else "OTHER"


_CODES = frozenset(code.value for code in ReasonCode)
