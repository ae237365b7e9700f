"""The conformance suite finds what is wrong with a plugin, names it, and leaves a good plugin alone."""

import importlib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from types import ModuleType

import pytest

from rayline.plugin import Policy
from rayline.testing import check_plugin
from rayline.testing.conformance import ContractBroken, examine
from rayline.testing.findings import FIXES, Finding, FindingCode

HEAD = """
import copy, hashlib, hmac, itertools, logging, random, socket, time
import structlog
from pydantic import BaseModel, ConfigDict, Field
from rayline.plugin import (
    Approval, ConfigurationError, Destination, Instance, Policy, Receipt, RejectedEvent, Rejection, RetryableError,
    hookimpl,
)

api = 1
name = "mutant"
"""

# Removes all that identifies, by keeping only what the intake needs; mutants break one thing at a time.
KEEPS = """
    KEPT = {
        "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SamplesPerPixel",
        "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
        "PixelRepresentation", "NumberOfFrames", "PixelData", "ImageType",
    }

    def cleaned(instance):
        dataset = copy.deepcopy(instance.dataset)
        for element in list(dataset):
            if element.keyword not in KEPT:
                del dataset[element.tag]
        dataset.preamble = bytes(128)
        return dataset

    def receipt(context):
        key = hashlib.sha256(context.secret("mutant")).hexdigest()
        return Receipt(name, "d" * 64, key[:16])
"""

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Load:
    """Import a plugin from its body, as a module of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def from_body(body: str) -> ModuleType:
        module = f"mutant_{abs(hash((request.node.nodeid, body)))}"
        (tmp_path / f"{module}.py").write_text(HEAD + dedent(body))
        importlib.invalidate_caches()
        return importlib.import_module(module)

    return from_body


def screening(body: str) -> str:
    return "\n    @hookimpl\n    def screen_instance(instance, context):\n" + indent(dedent(body), " " * 8)


def transforming(body: str) -> str:
    return (
        KEEPS
        + "\n    @hookimpl\n    def transform_instance(instance, context):\n"
        + indent(dedent(body), " " * 8)
    )


GOOD = {
    "screens": screening(
        """
        if "LOCALIZER" in (instance.dataset.get("ImageType") or []):
            return Rejection("LOCALIZER", "localizers are not imported at this site")
        """
    ),
    "de-identifies": transforming(
        """
        context.log.info("instance_cleaned", stage="clean")
        return instance.with_dataset(cleaned(instance), receipt(context))
        """
    ),
    "hands on": transforming("return None"),
    "asks a PACS": """
    @hookimpl
    def on_uploaded(event, context):
        try:
            socket.create_connection(("192.0.2.1", 104), timeout=1)
        except OSError:
            raise RetryableError("the PACS cannot be reached") from None
    """,
    "observes a refusal": """
    @hookimpl
    def on_rejected(event, rejection, context):
        context.log.info("refusal_seen", reason=rejection.reason)
    """,
    "decides on the rest": """
    class Settings(BaseModel):
        "Settings."
        model_config = ConfigDict(extra="forbid", frozen=True)
        port: int = Field(default=104, description="port of the PACS")

    @hookimpl
    def settings_model():
        return Settings

    @hookimpl
    def destinations(event, context):
        return [Destination("pacs", "PACS", "pacs.example.org", context.settings.port)]

    @hookimpl
    def approve_model(evaluation):
        return Approval("ask_human", "always")

    @hookimpl
    def accept_verification(event):
        return None

    @hookimpl
    def register_commands(app):
        @app.command()
        def greet():
            pass
    """,
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_a_good_plugin_passes(body: str, load: Load) -> None:
    plugin = load(body)
    assert examine(plugin) == []
    check_plugin(plugin)


LEAVES_RECEIPT = "return instance.with_dataset(cleaned(instance), receipt(context))"

# What is wrong, by a name; the codes that the suite must give, and in which hook; the plugin.
MUTANTS: list[tuple[str, FindingCode, str, str]] = [
    ("another api", FindingCode.NOT_LOADABLE, "", "api = 2"),
    ("a misspelled hook", FindingCode.NOT_LOADABLE, "", "\n@hookimpl\ndef on_uplaoded(event):\n    pass\n"),
    (
        "a wrapper",
        FindingCode.NOT_LOADABLE,
        "",
        "\n@hookimpl(wrapper=True)\ndef on_uploaded(event):\n    return (yield)\n",
    ),
    (
        "an import of our insides",
        FindingCode.FOREIGN_IMPORT,
        "",
        "from rayline.dicom.validation import screen",
    ),
    (
        "a hidden import",
        FindingCode.FOREIGN_IMPORT,
        "",
        "import importlib\nimportlib.import_module('rayline.aws')",
    ),
    ("an import of a name", FindingCode.FOREIGN_IMPORT, "", "from rayline import effects"),
    (
        "a timeout of a day",
        FindingCode.POLICY_NOT_SENSIBLE,
        "on_uploaded",
        """
        policies = {"on_uploaded": Policy(on_failure="retry", timeout_seconds=86_400)}
        @hookimpl
        def on_uploaded(event):
            pass
        """,
    ),
    (
        "a screening that outlasts its stage",
        FindingCode.POLICY_NOT_SENSIBLE,
        "screen_instance",
        'policies = {"screen_instance": Policy(on_failure="reject", timeout_seconds=901, sees_phi=True)}\n'
        + dedent(screening("return None")),
    ),
    (
        "a screening that fails open",
        FindingCode.POLICY_NOT_SENSIBLE,
        "screen_instance",
        'policies = {"screen_instance": Policy(on_failure="ignore", sees_phi=True)}\n'
        + dedent(screening("return None")),
    ),
    (
        "a policy without its hook",
        FindingCode.POLICY_NOT_SENSIBLE,
        "on_trained",
        'policies = {"on_trained": Policy(on_failure="retry")}',
    ),
    (
        "PHI without need",
        FindingCode.POLICY_NOT_SENSIBLE,
        "on_trained",
        """
        policies = {"on_trained": Policy(on_failure="retry", sees_phi=True)}
        @hookimpl
        def on_trained(event):
            pass
        """,
    ),
    (
        "a setting that nobody explains",
        FindingCode.SETTING_NOT_DOCUMENTED,
        "settings_model",
        """
        class Settings(BaseModel):
            "Settings of the plugin."
            model_config = ConfigDict(extra="forbid")
            limit: int = 3
        @hookimpl
        def settings_model():
            return Settings
        """,
    ),
    (
        "a setting within a setting that nobody explains",
        FindingCode.SETTING_NOT_DOCUMENTED,
        "settings_model",
        """
        class Inner(BaseModel):
            port: int = 104
        class Settings(BaseModel):
            model_config = ConfigDict(extra="forbid")
            peers: list[Inner] | None = Field(default=None, description="the peers")
        @hookimpl
        def settings_model():
            return Settings
        """,
    ),
    (
        "settings that take anything",
        FindingCode.SETTINGS_TAKE_ANYTHING,
        "settings_model",
        """
        class Settings(BaseModel):
            limit: int = Field(default=3, description="the limit")
        @hookimpl
        def settings_model():
            return Settings
        """,
    ),
    (
        "a hook that never gets as far as its work",
        FindingCode.NOT_EXERCISED,
        "screen_instance",
        screening('raise ConfigurationError("the limit is not set; set it")'),
    ),
    ("an answer of the wrong type", FindingCode.WRONG_ANSWER, "screen_instance", screening("return True")),
    (
        "an instance as bytes",
        FindingCode.WRONG_ANSWER,
        "transform_instance",
        transforming("return instance.content"),
    ),
    (
        "an observer that answers",
        FindingCode.WRONG_ANSWER,
        "on_uploaded",
        "\n@hookimpl\ndef on_uploaded(event):\n    return 1\n",
    ),
    (
        "an approval of another kind",
        FindingCode.WRONG_ANSWER,
        "approve_model",
        '\n@hookimpl\ndef approve_model(evaluation):\n    return Approval("approved", "good")\n',
    ),
    (
        "an approval without a reason",
        FindingCode.WRONG_ANSWER,
        "approve_model",
        '\n@hookimpl\ndef approve_model(evaluation):\n    return Approval("approve", "")\n',
    ),
    (
        "a destination as a tuple",
        FindingCode.WRONG_ANSWER,
        "destinations",
        '\n@hookimpl\ndef destinations(event):\n    return [("pacs", 104)]\n',
    ),
    (
        "a destination without a port",
        FindingCode.WRONG_ANSWER,
        "destinations",
        '\n@hookimpl\ndef destinations(event):\n    return [Destination("pacs", "PACS", "host", 0)]\n',
    ),
    (
        "a destination with a long AE title",
        FindingCode.WRONG_ANSWER,
        "destinations",
        '\n@hookimpl\ndef destinations(event):\n    return [Destination("pacs", "P" * 17, "host", 104)]\n',
    ),
    (
        "a destination for anybody",
        FindingCode.WRONG_ANSWER,
        "destinations",
        '\n@hookimpl\ndef destinations(event):\n    return [Destination("pacs", "P", "host", 104, "any")]\n',
    ),
    (
        "a sentence for a reason",
        FindingCode.REASON_NOT_A_CODE,
        "screen_instance",
        screening('return Rejection("not wanted here", "localizers are not imported")'),
    ),
    (
        "a refusal without a word",
        FindingCode.REASON_NOT_A_CODE,
        "screen_instance",
        screening('raise RejectedEvent("LOCALIZER", " ")'),
    ),
    (
        "an attribute taken for granted",
        FindingCode.UNEXPECTED_EXCEPTION,
        "screen_instance",
        screening('return None if instance.dataset.ImageType[2] == "AXIAL" else None'),
    ),
    (
        "an exception of its own",
        FindingCode.UNEXPECTED_EXCEPTION,
        "on_ingested",
        '\n@hookimpl\ndef on_ingested(event):\n    raise ValueError("no")\n',
    ),
    (
        "a PACS that is down",
        FindingCode.UNEXPECTED_EXCEPTION,
        "on_ingested",
        '\n@hookimpl\ndef on_ingested(event):\n    socket.create_connection(("192.0.2.1", 104))\n',
    ),
    (
        "a metric taken for granted",
        FindingCode.UNEXPECTED_EXCEPTION,
        "approve_model",
        '\n@hookimpl\ndef approve_model(evaluation):\n    return Approval("approve", str(evaluation.metrics["f1"]))\n',
    ),
    (
        "a call beyond its timeout",
        FindingCode.TOO_SLOW,
        "screen_instance",
        'policies = {"screen_instance": Policy(on_failure="reject", timeout_seconds=0.05, sees_phi=True)}\n'
        + dedent(screening("time.sleep(0.2)")),
    ),
    (
        "a data set changed in place",
        FindingCode.CHANGED_ITS_INPUT,
        "transform_instance",
        transforming('instance.dataset.PatientName = ""'),
    ),
    (
        "metrics changed in place",
        FindingCode.CHANGED_ITS_INPUT,
        "approve_model",
        "\n@hookimpl\ndef approve_model(evaluation):\n    evaluation.metrics.clear()\n",
    ),
    (
        "settings changed in place",
        FindingCode.CHANGED_ITS_INPUT,
        "screen_instance",
        """
        class Settings(BaseModel):
            model_config = ConfigDict(extra="forbid")
            seen: list[str] = Field(default=[], description="what was seen")
        @hookimpl
        def settings_model():
            return Settings
        @hookimpl
        def screen_instance(instance, context):
            context.settings.seen.append("one more")
        """,
    ),
    (
        "a random value",
        FindingCode.NOT_DETERMINISTIC,
        "transform_instance",
        transforming(
            """
            dataset = cleaned(instance)
            dataset.InstanceNumber = random.getrandbits(30)
            return instance.with_dataset(dataset, receipt(context))
            """
        ),
    ),
    (
        "a memory of what came before",
        FindingCode.KEEPS_STATE,
        "screen_instance",
        "\nseen = set()\n"
        + dedent(
            screening(
                """
                if instance.sha256 in seen:
                    return Rejection("SEEN_BEFORE", "the same content came before")
                seen.add(instance.sha256)
                """
            )
        ),
    ),
    (
        "a lookup over the network",
        FindingCode.OPENS_CONNECTION,
        "screen_instance",
        screening(
            """
            try:
                socket.create_connection(("192.0.2.1", 443), timeout=1)
            except OSError:
                pass
            """
        ),
    ),
    (
        "a name server asked at start",
        FindingCode.OPENS_CONNECTION,
        "",
        """
        @hookimpl
        def register_commands(app):
            try:
                socket.getaddrinfo("example.org", 443)
            except OSError:
                pass
        """,
    ),
    (
        "bytes that are no DICOM",
        FindingCode.UNUSABLE_OUTPUT,
        "transform_instance",
        transforming("return instance.with_content(instance.content[:200])"),
    ),
    (
        "an attribute too few",
        FindingCode.UNUSABLE_OUTPUT,
        "transform_instance",
        transforming(
            """
            dataset = cleaned(instance)
            del dataset.Modality
            return instance.with_dataset(dataset, receipt(context))
            """
        ),
    ),
    (
        "an earlier receipt lost",
        FindingCode.WRONG_RECEIPT,
        "transform_instance",
        transforming("return Instance(instance.content)"),
    ),
    (
        "a receipt in another's name",
        FindingCode.WRONG_RECEIPT,
        "transform_instance",
        transforming('return instance.with_dataset(cleaned(instance), Receipt("deid", "d" * 64, "k" * 16))'),
    ),
    (
        "a sequence forgotten",
        FindingCode.PHI_IN_OUTPUT,
        "transform_instance",
        transforming(f'KEPT.add("ContentSequence")\n{LEAVES_RECEIPT}'),
    ),
    (
        "a preamble forgotten",
        FindingCode.PHI_IN_OUTPUT,
        "transform_instance",
        transforming(
            """
            changed = instance.with_dataset(cleaned(instance), receipt(context))
            return instance.with_content(instance.content[:128] + changed.content[128:], receipt(context))
            """
        ),
    ),
    (
        "a growing text",
        FindingCode.NOT_IDEMPOTENT,
        "transform_instance",
        transforming(
            """
            KEPT.add("DeidentificationMethod")
            dataset = cleaned(instance)
            before = dataset.get("DeidentificationMethod", "")
            dataset.DeidentificationMethod = f"{before}mutant"
            return instance.with_dataset(dataset, receipt(context))
            """
        ),
    ),
    (
        "its own work refused",
        FindingCode.NOT_IDEMPOTENT,
        "transform_instance",
        transforming(
            f"""
            if "PatientName" not in instance.dataset and "Manufacturer" not in instance.dataset:
                raise RejectedEvent("NO_PATIENT", "an instance without a patient")
            {LEAVES_RECEIPT}
            """
        ),
    ),
    (
        "a key in the context's log",
        FindingCode.PHI_IN_LOG,
        "on_uploaded",
        """
        policies = {"on_uploaded": Policy(on_failure="retry", sees_phi=True)}
        @hookimpl
        def on_uploaded(event, context):
            context.log.bind(key=event.key).info("upload_seen")
        """,
    ),
    (
        "a name in a log of its own",
        FindingCode.PHI_IN_LOG,
        "screen_instance",
        screening('logging.getLogger(__name__).info("patient %s", instance.dataset.get("PatientName"))'),
    ),
    (
        "a name in structlog's log",
        FindingCode.PHI_IN_LOG,
        "screen_instance",
        screening('structlog.get_logger().info("seen", patient=str(instance.dataset.get("PatientID")))'),
    ),
    (
        "a print",
        FindingCode.PHI_IN_LOG,
        "screen_instance",
        screening('print(instance.dataset.get("PatientName"))'),
    ),
    (
        "a name in a refusal",
        FindingCode.PHI_IN_MESSAGE,
        "screen_instance",
        screening('return Rejection("UNWANTED", f"{instance.dataset.get(\'PatientName\')} is not wanted")'),
    ),
    (
        "a key in an error",
        FindingCode.PHI_IN_MESSAGE,
        "on_uploaded",
        """
        policies = {"on_uploaded": Policy(on_failure="retry", sees_phi=True)}
        @hookimpl
        def on_uploaded(event, context):
            raise RetryableError(f"{event.key} is not there yet")
        """,
    ),
    (
        "a secret in the log",
        FindingCode.SECRET_TOLD,
        "transform_instance",
        transforming(f'context.log.info("cleaning", kind=context.secret("mutant"))\n{LEAVES_RECEIPT}'),
    ),
    (
        "a secret in the receipt",
        FindingCode.SECRET_TOLD,
        "transform_instance",
        transforming(
            """
            key_id = context.secret("mutant")[:16].decode()
            return instance.with_dataset(cleaned(instance), Receipt(name, "d" * 64, key_id))
            """
        ),
    ),
    (
        "a default secret",
        FindingCode.DEFAULT_SECRET,
        "transform_instance",
        transforming(
            """
            try:
                context.secret("mutant")
            except ConfigurationError:
                pass
            return instance.with_dataset(cleaned(instance), Receipt(name, "d" * 64, "k" * 16))
            """
        ),
    ),
]


@pytest.mark.parametrize(
    ("code", "hook", "body"), [each[1:] for each in MUTANTS], ids=[each[0] for each in MUTANTS]
)
def test_each_finding_is_found_and_nothing_else(code: FindingCode, hook: str, body: str, load: Load) -> None:
    found = examine(load(body))
    assert {(each.code, each.hook) for each in found} == {(code, hook)}
    assert all(each.explanation and each.fix and each.plugin == "mutant" for each in found)


def test_every_finding_has_a_mutant_and_a_fix() -> None:
    # What is not installed has no module to examine, and a crash would be ours; the command's tests have those.
    of_the_command = {FindingCode.NOT_INSTALLED, FindingCode.CRASHED}
    assert {each[1] for each in MUTANTS} == set(FindingCode) - of_the_command
    assert set(FIXES) == set(FindingCode)


def test_one_line_of_pytest_tells_code_hook_explanation_and_fix(load: Load) -> None:
    with pytest.raises(ContractBroken) as caught:
        check_plugin(load(screening("return True")))
    (finding,) = caught.value.findings
    assert str(caught.value) == (
        "\n- WRONG_ANSWER in mutant: screen_instance: it returned bool, not Rejection or None, given "
        "a CT image in Explicit VR Little Endian, with a planted patient. "
        "Fix: return what rayline.plugin names for this hook, or None where it may"
    )
    assert finding == Finding("mutant", "screen_instance", FindingCode.WRONG_ANSWER, finding.explanation)


def test_an_observer_without_sight_of_phi_gets_none(load: Load) -> None:
    plugin = load(
        """
        @hookimpl
        def on_uploaded(event, context):
            context.log.info("upload_seen", key=event.key)
        """
    )
    assert examine(plugin) == []
    plugin.policies = {"on_uploaded": Policy(on_failure="retry", sees_phi=True)}  # type: ignore[attr-defined]
    assert {each.code for each in examine(plugin)} == {FindingCode.PHI_IN_LOG}


def test_a_hook_that_never_ends_is_left_behind(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayline.testing.conformance._PATIENCE_SECONDS", 0.1)
    plugin = load("\nimport threading\n" + dedent(screening("threading.Event().wait()")))
    (finding,) = examine(plugin)
    assert finding.code == FindingCode.TOO_SLOW
    assert "did not end" in finding.explanation
