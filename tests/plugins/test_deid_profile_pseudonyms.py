"""Keyed UIDs, pseudonyms and hashes: valid, repeatable, apart, and themselves when mapped again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import RAISE
from pydicom.valuerep import validate_value

from rayline.plugin import ConfigurationError
from rayline_deid.pseudonyms import LONGEST_UID_ROOT, Pseudonyms

SECRET = b"0123456789abcdef0123456789abcdef"
PSEUDONYMS = Pseudonyms(SECRET, "north")
ROOTS = ["2.25", "1.2.826.0.1.3680043.8.498", "1.3.6.1.4.1.9590.100.1.2.3456"]
UIDS = st.from_regex(rb"\A[0-2](\.(0|[1-9][0-9]{0,8})){1,6}\Z")


@pytest.mark.parametrize("root", ROOTS)
@given(uid=UIDS)
def test_a_uid_is_valid_under_its_root_and_stays_when_mapped_again(root: str, uid: bytes) -> None:
    under = PSEUDONYMS.under(root, "RL-")
    mapped = under.uid(uid)
    assert mapped.startswith(root.encode() + b".")
    assert len(mapped) <= 64
    validate_value("UI", mapped.decode(), RAISE)
    assert under.uid(mapped) == mapped
    assert under.is_uid(mapped)
    assert not under.is_uid(uid)
    assert mapped == Pseudonyms(SECRET, "south").under(root, "RL-").uid(uid)


def test_the_longest_root_leaves_room() -> None:
    root = ("1.2.826.0.1.3680043." + "1" * 20)[:LONGEST_UID_ROOT]
    under = PSEUDONYMS.under(root, "")
    mapped = {under.uid(b"1.2.%d" % number) for number in range(5_000)}
    assert len(mapped) == 5_000
    assert max(map(len, mapped)) <= 64


def test_well_known_and_empty_uids_stay() -> None:
    for uid in (b"1.2.840.10008.1.2", b"1.2.840.10008.5.1.4.1.1.2", b""):
        assert PSEUDONYMS.uid(uid) == uid


def test_a_uid_of_another_maker_or_secret_is_mapped() -> None:
    other = Pseudonyms(SECRET[::-1], "north")
    for number in range(200):
        foreign = b"2.25.%d" % (1 << 127 | number * 7919**9 % (1 << 120))
        assert PSEUDONYMS.uid(foreign) != foreign
        theirs = other.uid(b"1.2.%d" % number)
        assert PSEUDONYMS.uid(theirs) != theirs
    for broken in (b"2.25.", b"2.25.0", b"2.25.01", b"2.25." + b"9" * 39, b"2.25.x", b"2.25.1.2"):
        assert not PSEUDONYMS.is_uid(broken)


@given(st.binary(min_size=1, max_size=64))
def test_a_patients_pseudonym_is_valid_and_stays(identifier: bytes) -> None:
    pseudonym = PSEUDONYMS.patient(identifier)
    assert pseudonym.startswith(b"RL-")
    assert len(pseudonym) == 23
    for vr in ("LO", "PN", "CS"):
        if vr != "CS":
            validate_value(vr, pseudonym.decode(), RAISE)
    assert PSEUDONYMS.patient(pseudonym) == pseudonym
    assert PSEUDONYMS.is_patient(pseudonym)
    assert not PSEUDONYMS.is_patient(identifier)
    assert Pseudonyms(SECRET, "south").patient(identifier) != pseudonym


def test_the_prefix_of_a_site_stands_before_its_pseudonyms() -> None:
    trial = PSEUDONYMS.under("2.25", "TRIAL7-")
    pseudonym = trial.patient(b"MRN17")
    assert pseudonym == b"TRIAL7-" + PSEUDONYMS.patient(b"MRN17")[3:]
    # Both are the same patient's, so neither is mapped again under the other prefix.
    assert PSEUDONYMS.patient(pseudonym) == pseudonym


@given(st.binary(min_size=1, max_size=64))
def test_a_hash_fits_every_text_and_stays(identifier: bytes) -> None:
    hashed = PSEUDONYMS.hash(identifier)
    for vr in ("AE", "CS", "LO", "SH", "PN", "ST", "UT"):
        validate_value(vr, hashed.decode(), RAISE)
    assert PSEUDONYMS.hash(hashed) == hashed
    assert Pseudonyms(SECRET, "south").hash(identifier) != hashed
    assert Pseudonyms(SECRET[::-1], "north").hash(identifier) != hashed


def test_no_two_of_many_fall_together() -> None:
    many = [b"MRN%07d" % number for number in range(20_000)]
    assert len({PSEUDONYMS.patient(each) for each in many}) == len(many)
    assert len({PSEUDONYMS.hash(each) for each in many}) == len(many)


def test_a_short_secret_is_none() -> None:
    with pytest.raises(ConfigurationError, match="shorter than 16 bytes"):
        Pseudonyms(b"short", "north")
