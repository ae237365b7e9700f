"""The conformance suite: every hook of a plugin is called as the processor would, and worse.

One line of pytest runs it::

    def test_keeps_the_contract() -> None:
        check_plugin(my_plugin, settings={"refused": ["LOCALIZER"]})

It needs no AWS and no network. Observers, deciders and transformers get generated events and instances, several
times and in another order, with a still clock and with patients planted in all that they may see.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import typer
from pydantic import BaseModel

from rayline.dicom.validation import screen
from rayline.discovery import Implementation, LoadedPlugin, load_plugin
from rayline.errors import ConfigurationError, RejectedEvent
from rayline.hookspecs import DECIDERS, OBSERVERS, TRANSFORMERS
from rayline.plugin import Evaluation, Instance
from rayline.profile import PluginProfile
from rayline.testing import phi
from rayline.testing.answers import text_of, wrong_in_answer, wrong_in_error
from rayline.testing.context import InMemoryContext
from rayline.testing.declarations import (
    foreign_imports,
    policies_not_sensible,
    settings_problems,
    top_level_package,
)
from rayline.testing.dicom import ImageSpec, image_content
from rayline.testing.findings import Finding, FindingCode
from rayline.testing.probe import Probe, probe

_PATIENCE_SECONDS: Final = 30.0
_SECRET_MARK: Final = "qzsecret"  # noqa: S105 - a mark to look for


class ContractBroken(AssertionError):
    """A plugin does not keep the contract.

    Attributes:
        findings: everything that the suite found.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n" + "\n".join(f"- {finding}" for finding in findings))
        self.findings = tuple(findings)


def check_plugin(
    plugin: Any, settings: Mapping[str, Any] | None = None, *, profile: PluginProfile | None = None
) -> None:
    """Run the suite over a plugin's module, with ``settings`` as the site profile gives them.

    Raises:
        ContractBroken: what it found, each with its hook and fix.
    """
    findings = examine(plugin, settings, profile=profile)
    if findings:
        raise ContractBroken(findings)


def examine(
    plugin: Any, settings: Mapping[str, Any] | None = None, *, profile: PluginProfile | None = None
) -> list[Finding]:
    """Everything that the suite finds in a plugin.

    Args:
        settings: as in the site profile.
        profile: the plugin's entry in a site profile, settings and policies; instead of ``settings``.

    Raises:
        ConfigurationError: Hypothesis, which makes the cases, is not installed.
    """
    name = str(getattr(plugin, "name", top_level_package(plugin)))
    profile = profile or PluginProfile(name=name, settings=dict(settings or {}))
    report = _Report(name)
    package = top_level_package(plugin)
    started = probe(lambda: _start(plugin, profile), package=package, patience_seconds=_PATIENCE_SECONDS)
    if started.connections:
        report.add("", FindingCode.OPENS_CONNECTION, f"at start, to {started.connections[0]}")
    if started.overran:
        report.add("", FindingCode.TOO_SLOW, f"it did not start within {_PATIENCE_SECONDS:g} s")
        return report.findings
    if started.error is not None:
        if isinstance(started.error, ConfigurationError):
            report.add("", FindingCode.NOT_LOADABLE, str(started.error))
        else:
            report.add_all("settings_model", wrong_in_error(started.error, package))
        return report.findings
    loaded: LoadedPlugin = started.value
    for hook, code, explanation in (
        *foreign_imports(plugin),
        *policies_not_sensible(plugin, loaded),
        *settings_problems(loaded, profile.settings),
    ):
        report.add(hook, code, explanation)
    for implementation in loaded.implementations:
        if implementation.hook in OBSERVERS | DECIDERS | TRANSFORMERS and not report.hung:
            _Examination(implementation, package, report).run()
    return report.findings


def _start(plugin: Any, profile: PluginProfile) -> LoadedPlugin:
    """Load a plugin and run its registrars, as the start of the processor and of the command do."""
    loaded = load_plugin(plugin, version="checked", profile=profile)
    for implementation in loaded.implementations:
        if implementation.hook == "register_commands":
            app = typer.Typer()
            app.callback()(lambda: None)
            implementation.call({"app": app})
            typer.main.get_command(app)
    return loaded


@dataclass
class _Report:
    plugin: str
    findings: list[Finding] = field(default_factory=list)
    hung: bool = False

    def add(self, hook: str, code: FindingCode, explanation: str) -> None:
        """Note a finding; of one kind, the first case in a hook is enough, but each place outside of hooks counts."""
        known = {(each.hook, each.code) for each in self.findings if each.hook != "settings_model"}
        if not hook or (hook, code) not in known:
            self.findings.append(Finding(self.plugin, hook, code, explanation))

    def add_all(self, hook: str, wrong: Any, about: str = "") -> None:
        for code, explanation in wrong:
            self.add(hook, code, f"{explanation}{about and f', given {about}'}")


class _Secrets(dict[str, bytes]):
    """Has every secret, and remembers which were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> bytes:
        self.asked.add(name)
        return f"{_SECRET_MARK} {name} ".encode().ljust(48, b"x")


class _Examination:
    """One hook of one plugin."""

    def __init__(self, implementation: Implementation, package: str, report: _Report) -> None:
        self._implementation = implementation
        self._hook = implementation.hook
        self._pure = implementation.hook not in OBSERVERS
        self._package = package
        self._report = report
        self._secrets = _Secrets()
        self._steady = True
        self._stored = {
            f"1.2.826.0.1.3680043.8.498.1.1.{number}": image_content(ImageSpec(instance=number))
            for number in (1, 2)
        }

    def run(self) -> None:
        """Every case three times, the last time in reverse; then what transformers owe beside."""
        cases = _cases(self._hook, sees_phi=self._implementation.policy.sees_phi)
        rounds: list[list[Probe]] = []
        for order in (range(len(cases)), range(len(cases)), reversed(range(len(cases)))):
            seen = {}
            for number in order:
                seen[number] = self._call(cases[number])
                if self._report.hung:
                    return
            rounds.append([seen[number] for number in range(len(cases))])
        if all(isinstance(each.error, ConfigurationError) for each in rounds[0]):
            self._found(FindingCode.NOT_EXERCISED, f"every call ended in: {rounds[0][0].error}")
        elif self._pure:
            self._compare(cases, rounds)
        if self._hook in TRANSFORMERS:
            for case, seen_once in zip(cases, rounds[0], strict=True):
                self._examine_output(case, seen_once.value)
            self._try_without_secrets(cases[0])

    def _found(self, code: FindingCode, explanation: str) -> None:
        self._report.add(self._hook, code, explanation)

    # -- one call ----------------------------------------------------------------------------------------------

    def _call(self, case: Any) -> Probe:
        """Call the hook and judge the call by itself."""
        arguments = case.arguments()
        context = self._context(self._secrets)
        seen = self._probe(arguments, context)
        if seen.overran or seen.seconds > self._implementation.policy.timeout_seconds:
            took = "did not end" if seen.overran else f"took {seen.seconds:.2f} s"
            self._found(
                FindingCode.TOO_SLOW, f"a call {took} within {self._patience:g} s, given {case.label}"
            )
            self._report.hung = seen.overran
            return seen
        wrong = (
            wrong_in_answer(self._hook, seen.value)
            if seen.error is None
            else wrong_in_error(seen.error, self._package)
        )
        self._report.add_all(self._hook, wrong, case.label)
        if self._pure and seen.connections:
            self._found(FindingCode.OPENS_CONNECTION, f"it wanted {seen.connections[0]}, given {case.label}")
        self._look_for_leaks(seen, context, case.label)
        if changed := _changed(arguments, case.arguments()) or self._changed_settings(context):
            self._found(FindingCode.CHANGED_ITS_INPUT, f"it changed {changed}, given {case.label}")
        return seen

    @property
    def _patience(self) -> float:
        return min(_PATIENCE_SECONDS, self._implementation.policy.timeout_seconds)

    def _probe(self, arguments: Mapping[str, Any], context: InMemoryContext) -> Probe:
        return probe(
            lambda: self._implementation.call({**arguments, "context": context}),
            package=self._package,
            patience_seconds=self._patience,
        )

    def _context(self, secrets: Mapping[str, bytes]) -> InMemoryContext:
        settings = copy.deepcopy(self._implementation.settings)
        return InMemoryContext(settings=settings, secrets=secrets, contents=self._stored, answers=_peers())

    def _changed_settings(self, context: InMemoryContext) -> str:
        return "" if context.settings == self._implementation.settings else "its settings"

    def _look_for_leaks(self, seen: Probe, context: InMemoryContext, label: str) -> None:
        logged = "\n".join([*seen.told, *map(repr, context.logged)])
        message = text_of(seen.value, seen.error)
        if leaked := phi.found_in_text(logged):
            self._found(FindingCode.PHI_IN_LOG, f"it logged or printed {', '.join(leaked)}, given {label}")
        # The dispatcher drops the messages of foreign exceptions, and those are findings anyway.
        if leaked := phi.found_in_text(message):
            self._found(FindingCode.PHI_IN_MESSAGE, f"it quotes {', '.join(leaked)}, given {label}")
        handed_on = seen.value if isinstance(seen.value, Instance) else None
        receipts = repr(handed_on.receipts) if handed_on else ""
        mark = _SECRET_MARK.encode()
        if _SECRET_MARK in f"{logged}{message}{receipts}" or (handed_on and mark in handed_on.content):
            self._found(
                FindingCode.SECRET_TOLD, f"what {', '.join(sorted(self._secrets.asked))} holds came out"
            )

    # -- several calls -----------------------------------------------------------------------------------------

    def _compare(self, cases: Sequence[Any], rounds: Sequence[Sequence[Probe]]) -> None:
        for case, first, again, reverse in zip(cases, *rounds, strict=True):
            answers = [_answer_of(each) for each in (first, again, reverse)]
            if answers[0] == answers[1] == answers[2]:
                continue
            self._steady = False
            if answers[1] == answers[2] or answers[0] == answers[1]:
                # It settled, or minds the order: it remembers. What varies for ever is drawn, counted or timed.
                self._found(
                    FindingCode.KEEPS_STATE, f"it answered again, and differently, given {case.label}"
                )
            else:
                self._found(FindingCode.NOT_DETERMINISTIC, f"three calls, three answers, given {case.label}")

    # -- transformers ------------------------------------------------------------------------------------------

    def _examine_output(self, case: Any, output: Any) -> None:
        if not isinstance(output, Instance):
            return
        given: Instance = case.arguments()["instance"]
        refusal = _refusal_of(output)
        if refusal and not _refusal_of(given):
            self._found(FindingCode.UNUSABLE_OUTPUT, f"the intake refuses it: {refusal}, given {case.label}")
            return
        if output.receipts[: len(given.receipts)] != given.receipts:
            self._found(FindingCode.WRONG_RECEIPT, f"an earlier receipt is gone, given {case.label}")
            return
        left = output.receipts[len(given.receipts) :]
        for receipt in left:
            if receipt.plugin != self._implementation.plugin or not (
                receipt.profile_digest and receipt.key_id
            ):
                self._found(
                    FindingCode.WRONG_RECEIPT, "a receipt names its plugin, a profile digest and a key id"
                )
        if left:
            if leaked := phi.found_in_instance(output):
                self._found(FindingCode.PHI_IN_OUTPUT, f"left: {', '.join(leaked)}, given {case.label}")
            if self._steady:
                self._pass_again(case, output)

    def _pass_again(self, case: Any, output: Instance) -> None:
        seen = self._probe({"instance": output}, self._context(self._secrets))
        if not isinstance(seen.value, Instance):
            how = type(seen.error).__name__ if seen.error else "no instance"
            self._found(FindingCode.NOT_IDEMPOTENT, f"its own output ended in {how}, given {case.label}")
            return
        before, after = _lasting(output), _lasting(seen.value)
        if before != after:
            tags = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            self._found(FindingCode.NOT_IDEMPOTENT, f"a second pass changed {tags[0]}, given {case.label}")

    def _try_without_secrets(self, case: Any) -> None:
        if not self._secrets.asked:
            return
        seen = self._probe(case.arguments(), self._context({}))
        given = case.arguments()["instance"]
        if isinstance(seen.value, Instance) and len(seen.value.receipts) > len(given.receipts):
            self._found(FindingCode.DEFAULT_SECRET, "it left a receipt where the site has no secret at all")


def _cases(hook: str, *, sees_phi: bool) -> Sequence[Any]:
    try:
        from rayline.testing.cases import cases_of
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the conformance suite needs {error.name}; install rayline[testing], e.g. pip install 'rayline[testing]'"
        ) from None
    return cases_of(hook, sees_phi=sees_phi)


def _peers() -> list[Any]:
    from rayline.testing.cases import PEER

    return [PEER]


def _answer_of(seen: Probe) -> Any:
    return (type(seen.error), str(seen.error)) if seen.error is not None else seen.value


def _changed(used: Mapping[str, Any], fresh: Mapping[str, Any]) -> str:
    for name, value in used.items():
        if isinstance(value, Instance):
            untouched: Instance = fresh[name]
            if value.dataset != untouched.dataset or value.dataset.file_meta != untouched.dataset.file_meta:
                return "instance.dataset"
        elif isinstance(value, Evaluation):
            if repr(value) != repr(fresh[name]):
                return "evaluation.metrics"
        elif isinstance(value, BaseModel) and value != fresh[name]:
            return name
    return ""


def _refusal_of(instance: Instance) -> str:
    try:
        rejection = screen(instance)
    except RejectedEvent as refused:
        return refused.reason
    return rejection.reason if rejection else ""


def _lasting(instance: Instance) -> dict[str, str]:
    """What a second pass may not change: all but UIDs and the patient's group, which are pseudonyms."""
    found: dict[str, str] = {}

    def walk(dataset: Any, path: str) -> None:
        for element in dataset:
            here = f"{path}{element.tag}"
            if element.VR == "SQ":
                found[here] = f"{len(element.value)} items"
                for number, item in enumerate(element.value):
                    walk(item, f"{here}[{number}].")
            else:
                pseudonym = element.VR == "UI" or element.tag.group == 0x0010
                found[here] = "" if pseudonym else repr(element.value)

    walk(instance.dataset, "")
    return found
