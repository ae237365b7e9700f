"""Matching of ARNs and actions with the wildcards of IAM: ``*`` for any characters, ``?`` for one."""

import re
from functools import lru_cache

# Stand for the wildcards of the narrower of two patterns; no ARN holds control characters.
ANY_LETTER, ANY_TEXT = "\x00", "\x01"


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": f"[^{ANY_TEXT}]"}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in pattern), re.DOTALL)


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """Whether a pattern matches a text that has no wildcards of its own."""
    if ignore_case:
        pattern, text = pattern.lower(), text.lower()
    return _expression(pattern).fullmatch(text) is not None


def covers(pattern: str, narrower: str) -> bool:
    """Whether a pattern matches whatever another pattern matches.

    A ``*`` of the narrower one is met by a ``*`` only, and a ``?`` by either wildcard.
    """
    return matches(pattern, narrower.replace("?", ANY_LETTER).replace("*", ANY_TEXT))


def overlaps(one: str, other: str) -> bool:
    """Whether some text matches both patterns."""
    prefix_of_one, prefix_of_other = _literal_prefix(one), _literal_prefix(other)
    shorter = min(len(prefix_of_one), len(prefix_of_other))
    if prefix_of_one[:shorter] != prefix_of_other[:shorter]:
        return False
    return _overlap(one, other)


@lru_cache(maxsize=65536)
def _overlap(one: str, other: str) -> bool:
    # reachable[j]: the read part of `one` and the first j letters of `other` can stand for one text
    reachable = [True] + [False] * len(other)
    for index, letter in enumerate(other, start=1):
        reachable[index] = reachable[index - 1] and letter == "*"
    for mine in one:
        row = [reachable[0] and mine == "*"]
        for index, theirs in enumerate(other, start=1):
            if mine == "*" or theirs == "*":
                row.append(reachable[index] or row[index - 1])
            else:
                row.append(reachable[index - 1] and (mine == theirs or "?" in (mine, theirs)))
        reachable = row
    return reachable[-1]


def _literal_prefix(pattern: str) -> str:
    return re.split(r"[*?]", pattern, maxsplit=1)[0]
