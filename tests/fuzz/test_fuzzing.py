"""The fuzzer looks where it should and notices what it should; what it once found stays found."""

import random
from collections import Counter
from pathlib import Path

import pytest
from fuzz import target
from fuzz.elements import data_set_at, places, transfer_syntax
from fuzz.mutations import mutated
from fuzz.seeds import seeds
from support.hostile_files import SENTINEL, image
from support.intake_chain import Passage
from support.part10 import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Element,
    Writer,
    minimal_image,
)

from rayline.dicom.content import InMemory

REGRESSIONS = Path(__file__).with_name("regressions")
MOST_BYTES = 64 * 1024


@pytest.mark.parametrize("path", sorted(REGRESSIONS.glob("*.dcm")), ids=lambda path: path.stem)
def test_what_was_found_once_stays_found(path: Path) -> None:
    target.check(path.read_bytes())


def test_every_seed_keeps_the_promises() -> None:
    ends = Counter(target.check(content) for _, content in seeds())
    assert ends[""] > 40
    assert len(ends) > 5


def test_mutations_are_repeatable_bounded_and_pass_often_enough() -> None:
    whole = [content for _, content in seeds() if target.check(content) == ""]
    chance = random.Random(4)
    ends: Counter[str] = Counter()
    for seed in range(200):
        content = chance.choice(whole)
        once = mutated(content, MOST_BYTES, seed)
        assert once == mutated(content, MOST_BYTES, seed)
        assert len(once) <= MOST_BYTES
        ends[target.check(once)] += 1
    # A fuzzer whose files are all refused at the door tests the door only.
    assert ends[""] > 30
    assert len(ends) > 5


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_its_parser_finds_every_element(syntax: str, undefined: bool) -> None:
    writer = Writer(syntax, undefined)
    inner = Element(0x00081155, "UI", b"1.2.3.7")
    content = writer.file(
        [*minimal_image(writer), Element(0x00081140, "SQ", [[Element(0x00081140, "SQ", [[inner]])]])]
    )
    assert transfer_syntax(content) == syntax
    found = {place.path: place for place in places(content, data_set_at(content), syntax)}
    assert {(each.tag,) for each in minimal_image(writer)} <= set(found)
    deep = found[(0x00081140, 0x00081140, 0x00081155)]
    assert content[deep.value : deep.end] == b"1.2.3.7\0"


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED])
def test_a_leak_is_noticed_where_no_attribute_may_hold_it(syntax: str) -> None:
    writer = Writer(syntax)
    leaking = writer.file([*minimal_image(writer), Element(0x00100010, "PN", SENTINEL)])
    assert target.leaked(leaking) == ["00100010"]
    # A mutation may have put the sentinel where the profile keeps what it finds.
    kept = writer.file([*minimal_image(writer), Element(0x00080070, "LO", SENTINEL)])
    assert target.leaked(kept) == []
    assert target.leaked(writer.file([], meta=[Element(0x00020016, "AE", SENTINEL)])) == [
        "file meta information"
    ]


def test_each_broken_promise_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    leaking = image()

    def promise_broken(answer: Passage) -> str:
        monkeypatch.setattr(target, "passage", lambda data, settings: answer)
        with pytest.raises(target.Finding) as caught:
            target.check(leaking)
        return str(caught.value)

    assert "leak at" in promise_broken(Passage("", "", InMemory(leaking), ""))
    assert "refused" in promise_broken(Passage("MALFORMED", "why", InMemory(leaking), "readback"))
    assert "explanation" in promise_broken(Passage("MALFORMED", "\x1b[2J", None, "transform"))
    monkeypatch.setattr(target, "CPU_SECONDS", -1.0)
    assert "CPU time" in promise_broken(Passage("MALFORMED", "why", None, "transform"))
