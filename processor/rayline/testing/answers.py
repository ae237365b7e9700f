"""Which answers the hook specification allows, and what is wrong with one that it does not."""

import re
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final, get_args

from rayline.aws import is_service_trouble
from rayline.errors import ConfigurationError, RejectedEvent, RetryableError
from rayline.hookspecs import OBSERVERS
from rayline.plugin import Approval, Destination, Instance, Rejection
from rayline.testing.findings import FindingCode

_REASON: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_ANSWERS: Final[dict[str, tuple[type, ...]]] = {
    "screen_instance": (Rejection,),
    "accept_verification": (Rejection,),
    "approve_model": (Approval,),
    "destinations": (list,),
    "transform_instance": (Instance,),
}
_LONGEST_TOLD: Final = 160
_DECISIONS: Final = get_args(Approval.__annotations__["decision"])
_IDENTITIES: Final = get_args(Destination.__annotations__["identity"])

Wrong = Iterator[tuple[FindingCode, str]]


def wrong_in_answer(hook: str, answer: Any) -> Wrong:
    """What is wrong with a returned value."""
    if answer is None:
        return
    if hook in OBSERVERS:
        yield (
            FindingCode.WRONG_ANSWER,
            f"an observer returns nothing, but it returned {type(answer).__name__}",
        )
    elif not isinstance(answer, _ANSWERS[hook]):
        expected = " or ".join(each.__name__ for each in _ANSWERS[hook])
        yield FindingCode.WRONG_ANSWER, f"it returned {type(answer).__name__}, not {expected} or None"
    elif isinstance(answer, Rejection):
        yield from _wrong_reason(answer.reason, answer.explanation)
    elif isinstance(answer, Approval):
        if answer.decision not in _DECISIONS:
            yield FindingCode.WRONG_ANSWER, f"an Approval decides {' or '.join(_DECISIONS)}, nothing else"
        if not isinstance(answer.reason, str) or not answer.reason:
            yield FindingCode.WRONG_ANSWER, "an Approval without a reason, which the model's card shows"
    elif isinstance(answer, list):
        yield from _wrong_destinations(answer)


def _wrong_reason(reason: Any, explanation: Any) -> Wrong:
    if not (isinstance(reason, str) and _REASON.fullmatch(reason)):
        yield FindingCode.REASON_NOT_A_CODE, f"the reason is {reason!r}, no code of capitals and underscores"
    elif not (isinstance(explanation, str) and explanation.strip()):
        yield FindingCode.REASON_NOT_A_CODE, f"{reason} comes without an explanation"


def _wrong_destinations(answer: list[Any]) -> Wrong:
    for each in answer:
        if not isinstance(each, Destination):
            yield FindingCode.WRONG_ANSWER, f"the list holds {type(each).__name__}, not Destination"
        elif not 1 <= each.port <= 65_535:
            yield FindingCode.WRONG_ANSWER, f"port {each.port} of {each.name} is no TCP port"
        elif not 1 <= len(each.ae_title.strip()) <= 16:
            yield (
                FindingCode.WRONG_ANSWER,
                f"the AE title of {each.name} has not 1-16 characters (PS3.5 §6.2)",
            )
        elif each.identity not in _IDENTITIES:
            yield FindingCode.WRONG_ANSWER, f"identity of {each.name} is not {' or '.join(_IDENTITIES)}"


def wrong_in_error(error: BaseException, package: str) -> Wrong:
    """What is wrong with a raised exception; trouble of AWS is waited for, whoever meets it.

    Args:
        package: the plugin's, whose last line before the exception is told.
    """
    if isinstance(error, RejectedEvent):
        yield from _wrong_reason(error.reason, error.explanation)
    elif not isinstance(error, RetryableError | ConfigurationError) and not is_service_trouble(error):
        told = f"{type(error).__name__}: {error}"[:_LONGEST_TOLD].rstrip(": ")
        yield FindingCode.UNEXPECTED_EXCEPTION, f"it raised {told} ({_place(error, package)})"


def _place(error: BaseException, package: str) -> str:
    frames = [
        (frame.f_globals.get("__name__", ""), frame, line) for frame, line in walk_tb(error.__traceback__)
    ]
    own = [each for each in frames if each[0].partition(".")[0] == package]
    if not frames:
        return "at an unknown place"
    _, frame, line = (own or frames)[-1]
    return f"{Path(frame.f_code.co_filename).name}:{line}"


def text_of(answer: Any, error: BaseException | None) -> str:
    """What an answer or error would have the ledger, the quarantine or a person read."""
    parts = [str(error)] if error is not None else []
    if isinstance(answer, Rejection):
        parts += [str(answer.reason), str(answer.explanation)]
    elif isinstance(answer, Approval):
        parts.append(str(answer.reason))
    return " ".join(parts)
