"""What the conformance suite can find, and what to do about each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final


class FindingCode(StrEnum):
    """The suite's findings; each comment is what the code means."""

    # The site requires the plugin, and nothing offers it.
    NOT_INSTALLED = "NOT_INSTALLED"
    # The processor would not start with it: import, api, name, hooks, policies or settings are wrong.
    NOT_LOADABLE = "NOT_LOADABLE"
    # It took down the process that examined it; `rayline plugins check` goes on with the next.
    CRASHED = "CRASHED"
    # It imports something of Rayline beside rayline.plugin and rayline.testing.
    FOREIGN_IMPORT = "FOREIGN_IMPORT"
    # A policy that cannot be meant: a timeout beyond what a message can be held, PHI without need, a hook it lacks.
    POLICY_NOT_SENSIBLE = "POLICY_NOT_SENSIBLE"
    # A setting that neither its description nor the model's docstring explains.
    SETTING_NOT_DOCUMENTED = "SETTING_NOT_DOCUMENTED"
    # The settings model takes a setting that it does not have, so a misspelled one would be ignored.
    SETTINGS_TAKE_ANYTHING = "SETTINGS_TAKE_ANYTHING"
    # A hook asked for settings or secrets in every call, so nothing else was seen of it.
    NOT_EXERCISED = "NOT_EXERCISED"
    # A hook answered with something that its specification does not name.
    WRONG_ANSWER = "WRONG_ANSWER"
    # A refusal without a reason code such as LOCALIZER, or without an explanation.
    REASON_NOT_A_CODE = "REASON_NOT_A_CODE"
    # A hook raised what the contract does not know.
    UNEXPECTED_EXCEPTION = "UNEXPECTED_EXCEPTION"
    # A call took longer than its policy's timeout, or than 30 seconds on a small image.
    TOO_SLOW = "TOO_SLOW"
    # A hook changed the instance, evaluation or settings that it was given.
    CHANGED_ITS_INPUT = "CHANGED_ITS_INPUT"
    # The same input was answered differently, with a still clock.
    NOT_DETERMINISTIC = "NOT_DETERMINISTIC"
    # An answer depends on the calls before it.
    KEEPS_STATE = "KEEPS_STATE"
    # A decider, transformer or registrar opened a network connection.
    OPENS_CONNECTION = "OPENS_CONNECTION"
    # A transformer's output cannot be read, or the intake would refuse it.
    UNUSABLE_OUTPUT = "UNUSABLE_OUTPUT"
    # A transformer dropped an earlier receipt, or left one that names another plugin or no profile.
    WRONG_RECEIPT = "WRONG_RECEIPT"
    # A transformer left a receipt, and its output still holds a planted identifying value.
    PHI_IN_OUTPUT = "PHI_IN_OUTPUT"
    # A de-identified instance is changed again by a second pass, in more than its pseudonyms.
    NOT_IDEMPOTENT = "NOT_IDEMPOTENT"
    # A planted identifying value was logged or printed.
    PHI_IN_LOG = "PHI_IN_LOG"
    # A planted identifying value stands in an error, a refusal or a reason.
    PHI_IN_MESSAGE = "PHI_IN_MESSAGE"
    # A secret was logged, or stands in a message, a receipt or an output.
    SECRET_TOLD = "SECRET_TOLD"  # noqa: S105 - a code, no secret
    # A transformer left a receipt although the site has no secret: a default one stepped in.
    DEFAULT_SECRET = "DEFAULT_SECRET"  # noqa: S105 - a code, no secret


FIXES: Final[Mapping[FindingCode, str]] = {
    FindingCode.NOT_INSTALLED: "install it, or take it out of the site profile",
    FindingCode.NOT_LOADABLE: "mend what the explanation names; the processor refuses to start for the same reason",
    FindingCode.CRASHED: "never end the process; look at what native code it calls",
    FindingCode.FOREIGN_IMPORT: "import from rayline.plugin, and in tests from rayline.testing; nothing else is kept",
    FindingCode.POLICY_NOT_SENSIBLE: "correct the Policy in `policies`, or the site profile's override of it",
    FindingCode.SETTING_NOT_DOCUMENTED: "give it Field(description=...), or a line under Attributes: in the docstring",
    FindingCode.SETTINGS_TAKE_ANYTHING: 'set model_config = ConfigDict(extra="forbid", frozen=True)',
    FindingCode.NOT_EXERCISED: "pass settings to check_plugin, or give every setting a default that works",
    FindingCode.WRONG_ANSWER: "return what rayline.plugin names for this hook, or None where it may",
    FindingCode.REASON_NOT_A_CODE: "use a reason such as LOCALIZER, and one sentence to explain it",
    FindingCode.UNEXPECTED_EXCEPTION: (
        "expect absent, empty and multi-valued attributes; raise RejectedEvent, RetryableError or ConfigurationError"
    ),
    FindingCode.TOO_SLOW: "do less in one call, bound every wait, or declare a longer timeout_seconds",
    FindingCode.CHANGED_ITS_INPUT: "work on a copy: copy.deepcopy(instance.dataset), then instance.with_dataset(copy)",
    FindingCode.NOT_DETERMINISTIC: "derive values from the input and a secret, e.g. by HMAC; ask context.clock()",
    FindingCode.KEEPS_STATE: "keep nothing between calls: several processes run the plugin, and events come twice",
    FindingCode.OPENS_CONNECTION: "do it in an observer, which is retried; deciders and transformers only compute",
    FindingCode.UNUSABLE_OUTPUT: "keep what the intake needs, and write with instance.with_dataset(dataset)",
    FindingCode.WRONG_RECEIPT: (
        "return instance.with_content(...) or instance.with_dataset(...), with Receipt(name, profile_digest, key_id)"
    ),
    FindingCode.PHI_IN_OUTPUT: "remove it, in sequences, private attributes and the preamble too; or leave no receipt",
    FindingCode.NOT_IDEMPOTENT: "make a second pass leave alone what the first one wrote",
    FindingCode.PHI_IN_LOG: "log counts, reason codes and keyed hashes; never print",
    FindingCode.PHI_IN_MESSAGE: "say which attribute is wrong, not what it holds",
    FindingCode.SECRET_TOLD: "tell at most a fingerprint of the key, such as the receipt's key_id",
    FindingCode.DEFAULT_SECRET: "let ConfigurationError of context.secret(name) pass; have no default",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a plugin.

    Attributes:
        hook: the hook in which it was seen; empty where it is the plugin's as a whole.
        explanation: what was seen; a planted value is told by where it came from.
    """

    plugin: str
    hook: str
    code: FindingCode
    explanation: str

    @property
    def fix(self) -> str:
        """What to do about it."""
        return FIXES[self.code]

    def __str__(self) -> str:
        where = f"{self.plugin}: {self.hook}" if self.hook else self.plugin
        return f"{self.code} in {where}: {self.explanation}. Fix: {self.fix}"

    def as_json(self) -> dict[str, str]:
        """Every field, and the fix."""
        return {**asdict(self), "code": self.code.value, "fix": self.fix}
