"""What a profile does with an attribute, put into words."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from rayline.plugin import ConfigurationError, dictionary
from rayline_deid.document import tag_of
from rayline_deid.profile import (
    Decision,
    Outcome,
    Profile,
    basic_profile,
    default_profile,
    load_profile,
)

MEANINGS: Final[dict[Outcome, str]] = {
    Outcome.KEEP: "it stays as it is",
    Outcome.KEEP_VALID: "it stays where it is a value of its VR",
    Outcome.REMOVE: "it is removed",
    Outcome.EMPTY: "it stays without a value",
    Outcome.DUMMY: "it gets a valid value that says nothing",
    Outcome.UID: "it gets a keyed UID, the same wherever the UID stands",
    Outcome.PSEUDONYM: "it gets the patient's keyed pseudonym",
    Outcome.HASH: "it gets 16 keyed characters, the same for the same value",
    Outcome.SHIFT: "its date moves by the patient's number of days",
    Outcome.CLEAN: "of its text stay the words that identify nobody",
    Outcome.REPLACE: "it gets the profile's value",
    Outcome.LIMIT_AGE: "it stays, and ages above the profile's limit become one year more than it",
    Outcome.ITEMS: "the sequence stays, and its items are treated like the data set",
    Outcome.CLEAN_ITEMS: "the sequence stays, with codes, numbers and the words that identify nobody",
    Outcome.SKELETON: "the sequence stays, with numbers and defined terms; all else becomes a dummy",
    Outcome.REGION_OVERLAY: "it stays where the overlay marks a region, with its text cleaned",
    Outcome.WRITTEN: "it is written anew and says what was done",
}

#: Names by which the profiles without a file are called.
NAMED: Final = {"basic": basic_profile, "default": default_profile}


class Explanation(NamedTuple):
    """What becomes of one attribute."""

    tag: str
    keyword: str
    vr: str
    name: str
    decision: Decision

    def as_json(self) -> dict[str, Any]:
        """For other programs; ``row`` and ``option`` are null where they had no part in it."""
        decision = self.decision
        return {
            "tag": self.tag,
            "keyword": self.keyword,
            "vr": self.vr,
            "name": self.name,
            "outcome": decision.outcome.value,
            "meaning": MEANINGS[decision.outcome],
            "otherwise": decision.otherwise.value if _can_fail(decision) else None,
            "because": decision.because,
            "option": decision.option.value if decision.option else None,
            "row": {"basic": decision.row.basic, "options": dict(decision.row.options)}
            if decision.row
            else None,
        }

    def lines(self, edition: str) -> Iterator[str]:
        """For people."""
        decision = self.decision
        yield f"{self.tag} {self.keyword or self.name} {self.vr}".rstrip()
        yield f"  {decision.outcome}: {MEANINGS[decision.outcome]}"
        if _can_fail(decision):
            yield f"  otherwise {decision.otherwise}: {MEANINGS[decision.otherwise]}"
        yield f"  because: {decision.because}" + (f" ({decision.option})" if decision.option else "")
        row = f"{decision.row.codes}; {edition}" if decision.row else "none that names it"
        yield f"  row of table E.1-1: {row}"


def _can_fail(decision: Decision) -> bool:
    return decision.outcome in (Outcome.KEEP_VALID, Outcome.SHIFT, Outcome.CLEAN, Outcome.LIMIT_AGE)


def profile_named(name: str) -> Profile:
    """The profile of a YAML file, or the one called ``basic`` or ``default``.

    Raises:
        ConfigurationError: there is no such file, or it holds no profile that can be carried out.
    """
    named = NAMED.get(name)
    return named() if named is not None else load_profile(Path(name))


def is_profile_name(name: str) -> bool:
    """Whether an argument means a profile, not an attribute."""
    return name in NAMED or name.endswith((".yaml", ".yml")) or Path(name).is_file()


def explain(profile: Profile, attribute: str) -> Explanation:
    """What a profile does with an attribute, given by keyword, ``(gggg,eeee)`` or, private, ``(gggg,xxee)@CREATOR``.

    Raises:
        ConfigurationError: PS3.6 has no such keyword.
    """
    element, _, creator = attribute.partition("@")
    try:
        tag = tag_of(element.replace("xx", "10").replace("XX", "10"))
    except ValueError as unknown:
        raise ConfigurationError(str(unknown)) from None
    if tag >> 16 & 1:
        decision, vr = profile.decide_private(tag, creator.encode("ascii", "replace"))
        return Explanation(
            _written(tag), "", vr, f"private, of {creator}" if creator else "private", decision
        )
    return explain_tag(profile, tag)


def explain_tag(profile: Profile, tag: int) -> Explanation:
    """What a profile does with a tag of an even group."""
    decision = profile.decide(tag)
    row = profile.table.row(tag)
    name = dictionary.name_of(tag) or (row.name if row else "")
    vr = profile.table.vr(tag)
    return Explanation(_written(tag), dictionary.keyword_of(tag), "" if vr == "UN" else vr, name, decision)


def _written(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def tags_of(profile: Profile) -> list[int]:
    """Tags that table E.1-1 or the profile names, one for each repeating group, in order."""
    repeating = (
        int(pattern.replace("xxxxxx", "003000").replace("xx", "00"), 16)
        for pattern in profile.table.repeating
    )
    return sorted({*profile.table.rows, *repeating, *profile.overrides()})


def summary(profile: Profile) -> dict[str, int]:
    """How many rows of the table end in each outcome, most first."""
    found = Counter(profile.decide(tag).outcome.value for tag in tags_of(profile))
    return dict(found.most_common())


def differences(first: Profile, second: Profile) -> list[tuple[Explanation, Explanation]]:
    """Attributes of PS3.6 and of the table that two profiles treat differently."""
    tags = {*dictionary.TAG_OF.values(), *tags_of(first), *tags_of(second)}
    pairs = ((explain_tag(first, tag), explain_tag(second, tag)) for tag in sorted(tags) if not tag >> 16 & 1)
    return [(one, other) for one, other in pairs if _effect(one.decision) != _effect(other.decision)]


def _effect(decision: Decision) -> tuple[Outcome, Outcome | None, bytes]:
    return decision.outcome, decision.otherwise if _can_fail(decision) else None, decision.value


def settings_that_differ(first: Profile, second: Profile) -> dict[str, tuple[Any, Any]]:
    """Settings with another value, by their place in the YAML, but for single attributes and descriptions."""
    one, other = (_flat(profile.document.model_dump(mode="json")) for profile in (first, second))
    return {
        place: (one.get(place), other.get(place))
        for place in sorted(one.keys() | other.keys())
        if one.get(place) != other.get(place) and place.partition(".")[0] not in ("attributes", "description")
    }


def _flat(document: dict[str, Any], place: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{place}{name}.")
        else:
            flat[f"{place}{name}"] = value
    return flat
