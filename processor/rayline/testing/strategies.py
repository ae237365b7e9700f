"""Hypothesis strategies for all that a hook may be given, and for the messages that announce it.

Events: ``uploaded``, ``import_jobs``, ``image_sets``, ``verified``, ``trained``, ``evaluated``; ``events`` is any of
them, and ``EVENTS_BY_HOOK`` those of an observer. ``envelopes()`` are EventBridge messages, with extra fields as AWS
adds them. Arguments of other hooks: ``image_specs`` and ``instances`` (several SOP classes and transfer syntaxes),
``evaluations``, ``rejections``, ``destinations``. Values are valid and hostile: Unicode, empty, multi-valued, long.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import strategies as st

from rayline.envelopes import envelope
from rayline.events import Evaluated, Event, Ingested, Trained, Uploaded, Verified
from rayline.plugin import Destination, Evaluation, Instance, Rejection
from rayline.testing.dicom import SOP_CLASSES, TRANSFER_SYNTAXES, ImageSpec, image_instance

SITE = "test-site"

_TIMES = st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
_ENDED = st.sampled_from(["Succeeded", "Failed", "Stopped"])
_ARNS = _IDS.map(
    lambda tail: f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/training/execution/{tail[:12]}"
)
_SHORT_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# S3 takes any key of up to 1,024 bytes of UTF-8; senders use folders, blanks, percent and plus signs.
_KEYS = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
    | st.sampled_from(
        ["a b+c%20d.dcm", "Müller^Jörg/1.dcm", "患者/画像.dcm", "a//b/../c", "x" * 1017, "é" * 508]
    )
).map(lambda tail: f"upload/{tail}")

uploaded = st.builds(
    Uploaded,
    site=st.just(SITE),
    occurred_at=_TIMES,
    bucket=st.just("uploads"),
    key=_KEYS,
    version_id=_IDS,
    size_bytes=st.integers(0, 2**40),
)
import_jobs = st.builds(
    Ingested,
    site=st.just(SITE),
    occurred_at=_TIMES,
    subject=st.just("import_job"),
    datastore_id=_IDS,
    job_id=_IDS,
    job_status=st.sampled_from(["COMPLETED", "FAILED"]),
    input_s3_uri=_IDS.map(lambda batch: f"s3://imports/imports/{batch}/"),
    output_s3_uri=_IDS.map(lambda job: f"s3://imports/import-results/{job}/"),
)
image_sets = st.builds(
    Ingested,
    site=st.just(SITE),
    occurred_at=_TIMES,
    subject=st.just("image_set"),
    datastore_id=_IDS,
    image_set_id=_IDS,
    image_set_version=st.integers(1, 99).map(str),
    image_set_workflow_status=st.sampled_from(["CREATED", "UPDATED"]),
    is_primary=st.none() | st.booleans(),
)
verified = st.builds(
    Verified,
    site=st.just(SITE),
    occurred_at=_TIMES,
    action=st.sampled_from(["verified", "revoked"]),
    verification_id=st.uuids().map(str),
    datastore_id=_IDS,
    image_set_id=_IDS,
    image_set_version=st.integers(1, 99).map(str),
    label=st.sampled_from(["NORMAL", "PNEUMONIA"]),
    findings=_SHORT_TEXT,
    verifier=_SHORT_TEXT,
)
trained = st.builds(
    Trained,
    site=st.just(SITE),
    occurred_at=_TIMES,
    pipeline_execution_arn=_ARNS,
    step_name=st.just("Train"),
    step_status=_ENDED,
    failure_reason=_SHORT_TEXT,
)
evaluated = st.builds(
    Evaluated, site=st.just(SITE), occurred_at=_TIMES, pipeline_execution_arn=_ARNS, status=_ENDED
)
events: st.SearchStrategy[Event] = st.one_of(uploaded, import_jobs, image_sets, verified, trained, evaluated)


EVENTS_BY_HOOK: Final[Mapping[str, st.SearchStrategy[Event]]] = {
    "on_uploaded": uploaded,
    "on_ingested": import_jobs | image_sets,
    "on_verified": verified,
    "on_trained": trained,
    "on_evaluated": evaluated,
    "on_rejected": events,
}

rejections = st.builds(
    Rejection,
    reason=st.sampled_from(
        ["NOT_DICOM", "BURNED_IN_ANNOTATION", "UID_CONFLICT", "PLUGIN_FAILED", "SITE_RULE_7"]
    ),
    explanation=st.sampled_from(["the bytes are not a Part 10 file", "a rule of the site", ""]),
)
_FRACTIONS = st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1)
evaluations = st.builds(
    Evaluation,
    model_package_arn=st.none()
    | _IDS.map(lambda tail: f"arn:aws:sagemaker:us-east-1:123456789012:model-package/models/{tail[:3]}"),
    # A test set of one class has no roc_auc, and an evaluation may lack a metric altogether.
    metrics=st.fixed_dictionaries(
        {"accuracy": _FRACTIONS},
        optional={
            "precision": _FRACTIONS,
            "recall": _FRACTIONS,
            "f1": _FRACTIONS,
            "roc_auc": _FRACTIONS | st.just(math.nan),
        },
    ),
    threshold=_FRACTIONS,
    test_images=st.integers(0, 10_000),
)
destinations = st.builds(
    Destination,
    name=st.sampled_from(["research", "archive", "röntgen-süd"]),
    ae_title=st.sampled_from(["A", "RESEARCH_PACS", "SIXTEEN_LETTERS_"]),
    host=st.sampled_from(["pacs.example.org", "10.0.3.7", "fd00::7"]),
    port=st.integers(1, 65_535),
    identity=st.just("deidentified"),
)

# Valid after PS3.5 §6.2 and seldom thought of: scripts, several values, empty, and absent (None).
_HOSTILE_ATTRIBUTES: Final[Mapping[str, list[Any]]] = {
    "PatientName": ["Müller^Jörg", "Yamada^Tarou=山田^太郎=やまだ^たろう", "", "O'Neil-Łuć^Ян^^Dr", None],
    "PatientID": ["0", "ÄÖ-7", "", None],
    "PatientSex": ["M", "", None],
    "PatientBirthDate": ["", None],
    "StudyDate": ["", None],
    "StudyDescription": ["Kopf / Hals; §9 <b>", ""],
    "SeriesDescription": ['100% +1 = "x"', ""],
    "ImageType": [["DERIVED", "SECONDARY"], ["ORIGINAL", "PRIMARY", "LOCALIZER"], "ORIGINAL", "", None],
    "Manufacturer": ["", None],
    "ProtocolName": ["Thorax nativ", ""],
    "OperatorsName": [["A^B", "Ç^D"], ""],
    "OtherPatientNames": [["Früher^Anna", "Später^Anna"], ""],
    "WindowCenter": [[40, 400], 40, ""],
    "WindowWidth": [[80, 2000], 80, ""],
    "SoftwareVersions": [["1.0", "2.0"], ""],
    "InstanceNumber": ["", None],
    "BurnedInAnnotation": ["NO", ""],
    "Laterality": ["L", ""],
    "ConversionType": ["WSD", ""],
}
_attributes = st.fixed_dictionaries(
    {}, optional={keyword: st.sampled_from(values) for keyword, values in _HOSTILE_ATTRIBUTES.items()}
).map(lambda drawn: {"SpecificCharacterSet": "ISO_IR 192", **drawn})


@st.composite
def _image_specs(draw: st.DrawFn) -> ImageSpec:
    kind = draw(st.sampled_from(sorted(SOP_CLASSES)))
    return ImageSpec(
        patient=draw(st.integers(1, 999)),
        series=draw(st.integers(1, 9)),
        instance=draw(st.integers(1, 999)),
        rows=draw(st.sampled_from([8, 13, 16])),
        columns=draw(st.sampled_from([8, 11, 16])),
        pixel=draw(st.integers(0, 255)),
        kind=kind,
        frames=draw(st.integers(1, 4)) if kind == "US" else 1,
        transfer_syntax=draw(st.sampled_from(TRANSFER_SYNTAXES)),
        attributes=draw(_attributes),
        private=draw(st.dictionaries(st.sampled_from(["note", "dose"]), st.just("7 mGy / §"), max_size=2)),
    )


image_specs: st.SearchStrategy[ImageSpec] = _image_specs()
instances: st.SearchStrategy[Instance] = image_specs.map(image_instance)


def envelope_of(event: Event) -> dict[str, Any]:
    """The EventBridge envelope that announces an event, with fields that we do not read."""
    announced = envelope(event)
    return {
        **announced,
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": [],
        "detail": {**announced["detail"], "a-field-that-aws-added-later": True},
    }


def envelopes() -> st.SearchStrategy[str]:
    """Message bodies that announce events."""
    return events.map(lambda event: json.dumps(envelope_of(event)))
