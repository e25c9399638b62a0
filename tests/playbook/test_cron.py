"""Cron expressions and schedules against the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smr import clock
from smr.cron import Cron, cron_of, last_slot, next_slot, parse_cron
from smr.playbook.model import ScheduleTimes

SHANGHAI = ZoneInfo("Asia/Shanghai")
LONDON = ZoneInfo("Europe/London")


def days(cron: Cron, first: date, count: int) -> list[date]:
    return [day for day in (first + timedelta(days=n) for n in range(count)) if cron.names(day)]


@pytest.mark.parametrize("text", ["0 9 * * 0", "0 9 * * 7", "0 9 * * sun", "0 9 * * SUN"])
def test_zero_and_seven_are_sunday(text: str) -> None:
    assert days(parse_cron(text), date(2026, 2, 1), 14) == [date(2026, 2, 1), date(2026, 2, 8)]


def test_a_range_may_end_on_the_other_sunday() -> None:
    assert [day.strftime("%a") for day in days(parse_cron("0 9 * * fri-7"), date(2026, 2, 2), 7)] == [
        "Fri",
        "Sat",
        "Sun",
    ]
    assert parse_cron("0 9 * * 0-2").weekdays == {0, 1, 2}


def test_a_day_of_the_month_or_a_weekday_will_do_when_both_are_named() -> None:
    assert days(parse_cron("0 9 13 * fri"), date(2026, 2, 1), 28) == [
        date(2026, 2, day) for day in (6, 13, 20, 27)
    ]
    assert days(parse_cron("0 9 15 * *"), date(2026, 2, 1), 28) == [date(2026, 2, 15)]


def test_lists_ranges_and_steps() -> None:
    cron = parse_cron("*/20 8-10,18 1-7/3 jan,7 *")
    assert cron.minutes == {0, 20, 40}
    assert cron.hours == {8, 9, 10, 18}
    assert cron.days == {1, 4, 7}
    assert cron.months == {1, 7}
    assert cron.times[:4] == (time(8, 0), time(8, 20), time(8, 40), time(9, 0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 9 * *", "4 of the five"),
        ("60 * * * *", "out of range"),
        ("* 24 * * *", "out of range"),
        ("0 9 0 * *", "out of range"),
        ("0 9 * * 8", "out of range"),
        ("0 9 * * fry", "weekday"),
        ("0 9 5-1 * *", "backwards"),
        ("*/0 9 * * *", "step of 0"),
        ("1,,2 * * * *", "minute"),
        ("@daily", "1 of the five"),
        ("²  9 * * *", "minute"),
    ],
)
def test_a_wrong_expression_is_told_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_cron(text)


def test_a_day_that_never_comes_never_fires() -> None:
    assert not parse_cron("0 0 31 2 *").fires_ever
    assert not parse_cron("0 0 31 4,6,9,11 *").fires_ever
    assert parse_cron("0 0 29 2 *").fires_ever
    assert parse_cron("0 0 31 2 mon").fires_ever
    assert parse_cron("0 0 31 2 *").next_after(datetime(2026, 1, 1, tzinfo=UTC), SHANGHAI) is None
    leap = parse_cron("0 0 29 2 *").next_after(datetime(2097, 1, 1, tzinfo=UTC), SHANGHAI)
    assert leap == datetime(2104, 2, 28, 16, tzinfo=UTC)


def test_days_by_name_and_by_number() -> None:
    assert cron_of(["day"], time(10)).names(date(2026, 2, 28))
    assert [day.day for day in days(cron_of(["tue", "Thu"], time(10)), date(2026, 2, 1), 7)] == [3, 5]
    assert [day.day for day in days(cron_of(["1", "15"], time(10)), date(2026, 2, 1), 28)] == [1, 15]
    for wrong in (["tue", "15"], ["32"], ["daily"], [""]):
        with pytest.raises(ValueError, match="names no days"):
            cron_of(wrong, time(10))


def test_the_last_and_the_next_slot_of_a_schedule() -> None:
    tuesdays = ScheduleTimes.model_validate(
        {"every": "tue", "at": "10:00", "from": "2026-02-10", "until": "2026-02-24"}
    )
    monday = clock.seconds(datetime(2026, 2, 16, 1, tzinfo=UTC))
    slot = last_slot(tuesdays, SHANGHAI, after=monday - 30 * clock.DAY, until=monday)
    assert slot == clock.seconds(datetime(2026, 2, 10, 2, tzinfo=UTC))
    assert next_slot(tuesdays, SHANGHAI, after=monday) == clock.seconds(datetime(2026, 2, 17, 2, tzinfo=UTC))
    assert last_slot(tuesdays, SHANGHAI, after=monday - 5 * clock.DAY, until=monday) is None
    assert next_slot(tuesdays, SHANGHAI, after=monday + 9 * clock.DAY) is None
    late = monday + 60 * clock.DAY
    assert last_slot(tuesdays, SHANGHAI, after=0, until=late) == clock.seconds(
        datetime(2026, 2, 24, 2, tzinfo=UTC)
    )


def test_a_slot_lies_after_the_beginning_and_up_to_the_end() -> None:
    nine = datetime(2026, 2, 10, 1, tzinfo=UTC)
    cron = parse_cron("0 9 * * *")
    assert list(cron.between(nine, nine + timedelta(days=1), SHANGHAI)) == [nine + timedelta(days=1)]
    assert cron.last_until(nine, SHANGHAI, since=nine - timedelta(days=1)) == nine
    assert cron.last_until(nine, SHANGHAI, since=nine) is None


def test_a_time_the_clock_skips_fires_when_it_jumps_and_a_repeated_one_fires_once() -> None:
    skipped = list(parse_cron("30 1 29 3 *").between(at(2026, 3, 28), at(2026, 3, 30), LONDON))
    assert skipped == [datetime(2026, 3, 29, 1, 0, tzinfo=UTC)]
    repeated = list(parse_cron("30 1 25 10 *").between(at(2026, 10, 24), at(2026, 10, 26), LONDON))
    assert repeated == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]


def at(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


fields = st.sampled_from(
    ["*", "1", "0", "5", "*/3", "1-4", "2,4", "mon", "jan", "7", "31", "x", "-1", "1-", "", "9-2"]
)


@given(st.lists(fields, min_size=5, max_size=5))
def test_what_parses_fires_only_at_times_it_names(parts: list[str]) -> None:
    try:
        cron = parse_cron(" ".join(parts))
    except ValueError:
        return
    found = cron.next_after(datetime(2026, 1, 1, tzinfo=UTC), SHANGHAI)
    if found is None:
        assert not cron.fires_ever
        return
    local = found.astimezone(SHANGHAI)
    assert local.minute in cron.minutes
    assert local.hour in cron.hours
    assert local.month in cron.months
    assert local.day in cron.days or (local.weekday() + 1) % 7 in cron.weekdays
