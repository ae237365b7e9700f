"""Profiles as sites write them: the schema, the errors, the examples, and what the verbs say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml
from pydantic import ValidationError
from support.shared_data import ROOT
from typer.testing import CliRunner

from rayline.plugin import ConfigurationError
from rayline_deid import DeidSettings
from rayline_deid.commands import check, diff, explain
from rayline_deid.document import DeidProfile, parse_profile, profile_schema, read_profile
from rayline_deid.options import METHODS, Option
from rayline_deid.profile import Outcome, Profile, basic_profile, default_profile, load_profile

FOLDER = ROOT / "config/deid"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
SCHEMA = json.loads((FOLDER / "profile.schema.json").read_text())


def profile(**document: Any) -> Profile:
    return Profile(parse_profile({"profile": 1, **document}, "site.yaml"))


def test_the_schema_is_that_of_the_model() -> None:
    assert profile_schema() == SCHEMA, (
        "renew it: rayline deid check --schema > config/deid/profile.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.name != "devices.yaml"], ids=lambda path: path.name
)
def test_every_example_is_valid_and_can_be_carried_out(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), SCHEMA)
    assert len(load_profile(path).digest) == 64


def test_the_default_of_the_file_is_the_default_of_the_plugin() -> None:
    written = read_profile(FOLDER / "default.yaml")
    assert written.model_copy(update={"description": ""}) == DeidProfile()
    assert (
        load_profile(FOLDER / "default.yaml").digest
        == default_profile().digest
        == DeidSettings().resolved.digest
    )
    assert load_profile(None) is default_profile()


@pytest.mark.parametrize(
    ("document", "field", "hint"),
    [
        ({"options": {"clean_pixel_dta": True}}, "options.clean_pixel_dta", "did you mean clean_pixel_data?"),
        (
            {"options": {"retain_longitudinal_temporal_information": "some"}},
            "retain_longitudinal",
            "'modified'",
        ),
        ({"uids": {"root": "2.25."}}, "uids.root", "e.g. 2.25"),
        ({"uids": {"root": "1.2." + "3" * 40}}, "uids.root", "at most 32"),
        ({"patients": {"prefix": "lower case"}}, "patients.prefix", "e.g. RL-"),
        ({"dates": {"first": 3, "last": 1}}, "dates", "must not be after"),
        ({"dates": {"first": 0, "last": 0}}, "dates", "another number than 0"),
        ({"attributes": {"PatientNam": "keep"}}, "attributes", "did you mean PatientName?"),
        ({"attributes": {"PatientName": "kep"}}, "attributes.PatientName.action", "'keep'"),
        ({"attributes": {"StudyID": {"action": "replace"}}}, "attributes.StudyID", "`value` belongs to"),
        (
            {"attributes": {"StudyID": {"action": "hash", "value": "1"}}},
            "attributes.StudyID",
            "`value` belongs",
        ),
        ({"attributes": {"StudyID": "hash", "(0020,0010)": "hash"}}, "attributes", "the same attribute"),
        ({"dummies": {"DA": "yesterday"}}, "dummies", "e.g. '19000101'"),
        ({"dummies": {"OB": "x"}}, "dummies", "takes no dummy"),
        (
            {"private": {"keep": [{"creator": "X", "elements": ["(0028,xx01)"]}]}},
            "private.keep.0",
            "an odd group",
        ),
        ({"descriptors": {"words": ["two words"]}}, "descriptors.words", "match pattern"),
        ({"pixels": {"on_uncleanable": "pass"}}, "pixels.on_uncleanable", "'reject'"),
        ({"profile": 2}, "profile", "1"),
    ],
)
def test_errors_name_the_field_and_what_to_write(document: dict[str, Any], field: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_profile({"profile": 1, **document}, "site.yaml")
    assert str(caught.value).startswith("site.yaml: ")
    assert field in str(caught.value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        ({"attributes": {"StationName": "keep"}}, "options.retain_device_identity"),
        ({"attributes": {"PatientBirthDate": "keep"}}, "{action: keep, unsafe: true}"),
        ({"attributes": {"StudyDate": "shift"}}, "{action: shift, unsafe: true}"),
        ({"attributes": {"StudyDescription": "clean"}}, "{action: clean, unsafe: true}"),
        ({"attributes": {"PatientIdentityRemoved": "remove"}}, "cannot be changed"),
        ({"attributes": {"SOPClassUID": "remove"}}, "cannot be changed"),
        ({"attributes": {"PixelData": "remove"}}, "cannot be changed"),
        ({"attributes": {"StudyInstanceUID": "remove"}}, "only uid and keep"),
        ({"attributes": {"PatientID": "remove"}}, "only pseudonym and keep"),
        ({"attributes": {"StudyID": "pseudonym"}}, "use hash"),
        ({"attributes": {"(0009,1001)": "keep"}}, "private.keep"),
        ({"attributes": {"(0008,FFF0)": "keep"}}, "always removed"),
        ({"attributes": {"StudyID": "shift"}}, "does not go with VR SH"),
        ({"attributes": {"RequestAttributesSequence": "dummy"}}, "does not go with VR SQ"),
        ({"attributes": {"StudyDate": {"action": "replace", "value": "1999"}}}, "none of VR DA"),
        (
            {"private": {"keep": [{"creator": "X", "elements": ["(0029,xx01)"]}]}},
            "options.retain_safe_private",
        ),
        ({"pixels": {"devices": "nowhere.yaml"}}, "cannot be read"),
        ({"pixels": {"devices": [{"name": "a rule without a machine"}]}}, "pixels.devices: 0: "),
        (
            {"pixels": {"devices": [{"name": "x", "manufacturer": "x", "boxs": []}]}},
            "pixels.devices: 0.boxs: ",
        ),
        (
            {
                "options": {"retain_longitudinal_temporal_information": "modified"},
                "attributes": {"PatientID": {"action": "keep", "unsafe": True}},
            },
            "dates move by patient",
        ),
    ],
)
def test_what_cannot_be_done_or_weakens_in_silence_is_refused(document: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        profile(**document)
    assert hint in str(caught.value)
    with pytest.raises(ValidationError):
        DeidSettings.model_validate({"secret": "deid", "profile": document})


@pytest.mark.parametrize(
    ("attribute", "override", "outcome"),
    [
        ("StationName", {"action": "keep", "unsafe": True}, Outcome.KEEP),
        ("AccessionNumber", "hash", Outcome.HASH),
        ("Manufacturer", "remove", Outcome.REMOVE),
        ("(0008,0070)", "empty", Outcome.EMPTY),
        ("ProtocolName", {"action": "clean", "unsafe": True}, Outcome.CLEAN),
        ("StudyDate", {"action": "shift", "unsafe": True}, Outcome.SHIFT),
        ("ClinicalTrialProtocolID", {"action": "replace", "value": "TRIAL-7"}, Outcome.REPLACE),
        ("RequestAttributesSequence", {"action": "keep", "unsafe": True}, Outcome.ITEMS),
        ("FrameOfReferenceUID", {"action": "keep", "unsafe": True}, Outcome.KEEP),
    ],
)
def test_an_attribute_can_be_treated_otherwise(attribute: str, override: Any, outcome: Outcome) -> None:
    chosen = profile(attributes={attribute: override})
    (tag,) = chosen.overrides()
    assert chosen.decide(tag).outcome is outcome
    assert chosen.digest != default_profile().digest


@pytest.mark.parametrize(
    ("document", "warning"),
    [
        ({"options": {"retain_uids": True}}, "finds the patient"),
        (
            {"options": {"retain_uids": True, "retain_longitudinal_temporal_information": "modified"}},
            "moving them hides nothing",
        ),
        ({"options": {"retain_longitudinal_temporal_information": "full"}}, "full dates"),
        ({"options": {"clean_pixel_data": False}}, "clean_pixel_data is off"),
        ({"dates": {"first": -10}}, "they move only with"),
        (
            {
                "options": {"retain_longitudinal_temporal_information": "modified"},
                "dates": {"first": -3, "last": -1},
            },
            "less than a month",
        ),
        ({"descriptors": {"words": ["mp2rage"]}}, "no text is cleaned"),
        ({"patients": {"oldest_years": 89}}, "ages are removed"),
        ({"pixels": {"text_detection": "never"}}, "text is found only where"),
        (
            {"attributes": {"StationName": {"action": "keep", "unsafe": True}}},
            "marked unsafe; keep in place of",
        ),
        ({"attributes": {"StationName": {"action": "remove", "unsafe": True}}}, "lets out no more"),
    ],
)
def test_what_is_allowed_and_should_be_known_is_warned_of(document: dict[str, Any], warning: str) -> None:
    assert [each for each in profile(**document).warnings() if warning in each]
    assert default_profile().warnings() == []


def test_a_digest_is_of_all_that_decides_and_of_nothing_else(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        *({"options": {option.value: True}} for option in Option if option.value in default_options()),
        {"options": {"retain_longitudinal_temporal_information": "modified"}},
        {"options": {"retain_longitudinal_temporal_information": "full"}},
        {"uids": {"root": "1.2.3"}},
        {"patients": {"prefix": "X"}},
        {"dates": {"first": -7}},
        {"dummies": {"LO": "REMOVED"}},
        {"descriptors": {"words": ["mp2rage"]}},
        {"attributes": {"AccessionNumber": "hash"}},
        {"pixels": {"text_detection": "always"}},
    ]
    digests = [profile(**change).digest for change in changes]
    assert len(set(digests)) == len(digests)
    assert profile(description="words for people").digest == default_profile().digest
    assert basic_profile().digest != default_profile().digest
    rule = "rules: [{{name: x, manufacturer: x, boxes: [[0, 0, {}, 1]]}}]"
    (tmp_path / "devices.yaml").write_text(rule.format(1))
    devices = parse_profile({"profile": 1, "pixels": {"devices": "devices.yaml"}}, "x")
    before = Profile(devices, directory=tmp_path).digest
    (tmp_path / "devices.yaml").write_text(rule.format(2))
    assert Profile(devices, directory=tmp_path).digest != before


def test_device_rules_of_a_site_reach_the_pixels(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("rules: [{name: x, manufacturer: ACME, boxes: [[0, 0, 9, 1]]}]")
    document = parse_profile(
        {"profile": 1, "pixels": {"devices": "devices.yaml", "text_detection": "always"}}, "x"
    )
    settings = Profile(document, directory=tmp_path).pixel_settings
    assert settings is not None
    assert [rule.manufacturer for rule in settings.device_rules] == ["ACME"]
    assert (settings.text_detection, settings.every_image) == (True, True)
    never = profile(pixels={"text_detection": "never"}).pixel_settings
    assert never is not None
    assert (never.text_detection, never.every_image, never.packaged_device_rules) == (False, False, True)
    assert basic_profile().pixel_settings is None
    for broken in ("rules: {}", "rules: [", "- 1"):
        (tmp_path / "devices.yaml").write_text(broken)
        with pytest.raises(ConfigurationError, match=r"pixels\.devices"):
            Profile(document, directory=tmp_path)


def default_options() -> set[str]:
    return {name for name, value in DeidProfile().options if value is False}


def test_every_option_has_its_code() -> None:
    assert set(METHODS) == set(Option)
    assert sorted(code for code, _ in METHODS.values()) == [str(code) for code in range(113101, 113113)]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"profile: [", "is no YAML at line"),
        (b"- a list", "begin it with `profile: 1`"),
        (b"options: {}", "which version"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(content: bytes, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=hint):
        read_profile(path)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_profile(tmp_path / "nowhere.yaml")


def app() -> typer.Typer:
    verbs = typer.Typer()
    for module in (check, explain, diff):
        module.register(verbs)
    return verbs


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app(), arguments)
    if isinstance(result.exception, ConfigurationError):
        return 2, str(result.exception)
    return result.exit_code, result.output


def test_check_says_whether_a_profile_can_be_carried_out(tmp_path: Path) -> None:
    status, output = run("check", str(FOLDER / "research.yaml"))
    assert status == 0
    assert "can be carried out" in output
    assert load_profile(FOLDER / "research.yaml").digest in output
    path = tmp_path / "weak.yaml"
    path.write_text("profile: 1\nattributes: {StationName: keep}\n")
    status, output = run("check", str(path))
    assert status == 2
    assert "weak.yaml: attributes.StationName" in output
    status, output = run("check", str(path), "--json")
    assert status == 2
    assert json.loads(output)["valid"] is False
    path.write_text("profile: 1\noptions: {retain_uids: true}\n")
    assert run("check", str(path))[0] == 0
    assert run("check", str(path), "--strict")[0] == 1
    document = json.loads(run("check", str(path), "--json")[1])
    assert document["valid"] is True
    assert len(document["warnings"]) == 1
    assert document["options"] == ["clean_pixel_data", "retain_uids"]
    assert json.loads(run("check", "--schema")[1]) == SCHEMA


def test_explain_names_row_option_and_edition() -> None:
    status, output = run("explain", str(FOLDER / "research.yaml"), "StudyDate", "(0008,0050)")
    assert status == 0
    for phrase in (
        "shift:",
        "retain_modified_dates",
        "basic profile Z",
        "2024b",
        "`attributes: AccessionNumber`",
    ):
        assert phrase in output
    (found,) = json.loads(run("explain", "(0010,0010)", "--json")[1])
    assert (found["keyword"], found["outcome"], found["row"]["basic"]) == ("PatientName", "pseudonym", "Z")
    (private,) = json.loads(
        run("explain", str(FOLDER / "research.yaml"), "(0019,xx0C)@SIEMENS MR HEADER", "--json")[1]
    )
    assert private["outcome"] == "keep"
    (unknown,) = json.loads(run("explain", "(0019,xx0C)@SIEMENS MR HEADER", "--json")[1])
    assert unknown["outcome"] == "remove"
    everything = json.loads(run("explain", "--all", "--json")[1])
    assert len(everything) == len(default_profile().table.rows) + 3
    assert all(each["meaning"] and each["because"] for each in everything)
    status, output = run("explain", "PatientNam")
    assert status == 2
    assert "did you mean PatientName?" in output
    assert run("explain")[0] == 2


def test_diff_names_what_is_treated_otherwise() -> None:
    assert run("diff", "default", str(FOLDER / "default.yaml")) == (0, "0 settings and 0 attributes differ\n")
    status, output = run("diff", "default", str(FOLDER / "research.yaml"))
    assert status == 1
    assert "(0008,0020) StudyDate: empty -> shift" in output
    assert "options.clean_descriptors: false -> true" in output
    document = json.loads(run("diff", "default", str(FOLDER / "research.yaml"), "--json")[1])
    assert document["settings"]["patients.oldest_years"] == [None, 89]
    changed = {each["keyword"]: (each["first"], each["second"]) for each in document["attributes"]}
    assert changed["AccessionNumber"] == ("empty", "hash")
    assert "PatientName" not in changed


@pytest.mark.parametrize("verb", ["check", "explain", "diff"])
def test_help_teaches_by_examples(verb: str) -> None:
    status, output = run(verb, "--help")
    assert status == 0
    assert "Examples:" in output
    assert f"rayline deid {verb}" in output
