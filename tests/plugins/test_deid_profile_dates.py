"""Dates move by whole days: order and intervals stay within a patient, and patients move apart."""

from datetime import date, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rayline_deid.dates import shifted
from rayline_deid.pseudonyms import Pseudonyms

PSEUDONYMS = Pseudonyms(b"0123456789abcdef0123456789abcdef", "north")
DATES = st.dates(min_value=date(1700, 1, 1), max_value=date(2300, 12, 31))
DAYS = st.integers(-36_500, 36_500)


def written(day: date) -> bytes:
    return day.strftime("%Y%m%d").encode().rjust(8, b"0")


def read(value: bytes | None) -> date:
    assert value is not None
    return date(int(value[:4]), int(value[4:6]), int(value[6:8]))


@given(DATES, DATES, DAYS)
@example(date(2024, 2, 28), date(2024, 3, 1), -1)
@example(date(1900, 2, 28), date(1900, 3, 1), 365)
def test_intervals_and_order_stay(one: date, other: date, days: int) -> None:
    first, second = read(shifted(written(one), "DA", days)), read(shifted(written(other), "DA", days))
    assert second - first == other - one
    assert first - one == timedelta(days)


@given(DATES, st.times(), DAYS)
def test_a_datetime_moves_as_its_date_and_keeps_the_rest(day: date, time: object, days: int) -> None:
    rest = f"{time:%H%M%S}.{time:%f}-0330".encode()
    moved = shifted(written(day) + rest, "DT", days)
    assert moved is not None
    assert moved == shifted(written(day), "DA", days) + rest  # type: ignore[operator]


@given(DATES, DATES, DAYS, st.sampled_from([4, 6]))
def test_coarse_datetimes_keep_their_precision_and_order(
    one: date, other: date, days: int, digits: int
) -> None:
    values = sorted(written(day)[:digits] for day in (one, other))
    moved = [shifted(value, "DT", days) for value in values]
    assert all(value is not None and len(value) == digits for value in moved)
    assert moved == sorted(moved)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("value", "vr", "days", "expected"),
    [
        # Leap days, and the ends of years and centuries.
        (b"20240229", "DA", 366, b"20250301"),
        (b"20240228", "DA", 1, b"20240229"),
        (b"19000228", "DA", 1, b"19000301"),
        (b"20000101", "DA", -1, b"19991231"),
        # Several values, padding, ranges (PS3.4 §C.2.2.2.5), and the form before DICOM.
        (b"20240301\\20240302 ", "DA", -1, b"20240229\\20240301"),
        (b"20240301-20240302", "DA", -1, b"20240229-20240301"),
        (b"-20240301", "DA", -1, b"-20240229"),
        (b"20240301-", "DA", -1, b"20240229-"),
        (b"2024.03.01", "DA", -1, b"2024.02.29"),
        (b"", "DA", -1, b""),
        # A datetime without day or month moves from the middle of what it means.
        (b"2024", "DT", -200, b"2023"),
        (b"2024", "DT", -100, b"2024"),
        (b"202403", "DT", -14, b"202403"),
        (b"202403", "DT", -15, b"202402"),
        (b"2024030110", "DT", -1, b"2024022910"),
        (b"20240301101112.5+0530", "DT", -1, b"20240229101112.5+0530"),
        (b"20240301-0500-20240302-0500", "DT", -1, b"20240229-0500-20240301-0500"),
        (b"20240301-20240302", "DT", -1, b"20240229-20240301"),
        (b"20240301235960", "DT", 1, b"20240302235960"),
        # Times stay.
        (b"101112.123456", "TM", -1, b"101112.123456"),
        (b"10", "TM", -1, b"10"),
        (b"10:11:12", "TM", -1, b"10:11:12"),
        (b"1011-1213", "TM", -1, b"1011-1213"),
        (b"+0100", "SH", -1, b"+0100"),
    ],
)
def test_every_form_of_the_standard(value: bytes, vr: str, days: int, expected: bytes) -> None:
    assert shifted(value, vr, days) == expected


@pytest.mark.parametrize(
    ("value", "vr"),
    [
        (b"20230229", "DA"),
        (b"20241301", "DA"),
        (b"Jane Doe", "DA"),
        (b"20240301\\Jane", "DA"),
        (b"2024030", "DA"),
        (b"2024-03-01", "DA"),
        (b"-", "DA"),
        (b"\xff\xfe", "DA"),
        (b"20240301Jane", "DT"),
        (b"2024030125", "DT"),
        (b"20240301+9900", "DT"),
        (b"2561", "TM"),
        (b"Jane", "TM"),
        (b"Jane", "SH"),
        (b"0100", "SH"),
        (b"20240301", "LO"),
    ],
)
def test_what_is_no_date_is_none(value: bytes, vr: str) -> None:
    assert shifted(value, vr, -1) is None


@pytest.mark.parametrize(("value", "days"), [(b"00010102", -5), (b"99991230", 5), (b"00000101", 1)])
def test_what_leaves_the_calendar_is_none(value: bytes, days: int) -> None:
    assert shifted(value, "DA", days) is None


@given(st.binary(max_size=40), st.sampled_from(["DA", "DT", "TM", "SH", "LO"]), DAYS)
@example(b"-" * 40, "DT", 1)
def test_any_bytes_are_a_date_or_none(value: bytes, vr: str, days: int) -> None:
    moved = shifted(value, vr, days)
    if moved is not None:
        assert shifted(moved, vr, -days) is not None or vr == "DT"
        assert set(moved) <= set(b"0123456789.:+-\\")


WINDOWS = (
    st.tuples(st.integers(-2000, 2000), st.integers(-2000, 2000)).map(sorted).filter(lambda w: w != [0, 0])
)


@given(st.binary(min_size=1, max_size=30), WINDOWS)
def test_a_shift_is_in_the_window_never_none_and_the_same_again(patient: bytes, window: list[int]) -> None:
    days = PSEUDONYMS.shift_days(patient, *window)
    assert window[0] <= days <= window[1]
    assert days != 0
    assert days == PSEUDONYMS.shift_days(patient, *window)


def test_every_day_of_a_window_is_somebodys() -> None:
    for window in ((-3, 2), (0, 3), (-2, 0), (5, 7)):
        drawn = {PSEUDONYMS.shift_days(b"%d" % patient, *window) for patient in range(300)}
        assert drawn == set(range(window[0], window[1] + 1)) - {0}


def test_patients_sites_and_secrets_move_apart() -> None:
    south = Pseudonyms(b"0123456789abcdef0123456789abcdef", "south")
    other = Pseudonyms(b"another secret of enough bytes..", "north")
    for number in range(20):
        patient = b"%d" % number
        days = {each.shift_days(patient, -36_500, -1) for each in (PSEUDONYMS, south, other)}
        assert len(days) == 3
    assert len({PSEUDONYMS.shift_days(b"%d" % number, -36_500, -1) for number in range(100)}) > 95
