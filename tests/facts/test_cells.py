"""Reading cells agrees with the slow and plain way, whatever was read before."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smr.facts.cells import (
    CellError,
    Column,
    MomentColumn,
    Numeral,
    Refused,
    TextColumn,
    Truth,
    minor_units,
    read_quantity,
)
from smr.facts.shapes import place_of
from smr.notation import parse_moment
from smr.tables import bucket_of, dice_of

ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"]
moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 12, 30))  # noqa: DTZ001
shapes = st.sampled_from(
    ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S+05:30", "%Y-%m-%dT%H:%MZ"]
)


@given(st.sampled_from(ZONES), st.lists(st.tuples(moments, shapes), min_size=1, max_size=20))
def test_times_are_those_of_the_notation(zone: str, told: list[tuple[datetime, str]]) -> None:
    texts = [at.strftime(shape) for at, shape in told]
    column = MomentColumn("at", ZoneInfo(zone))
    plain = [int(parse_moment(text, ZoneInfo(zone)).timestamp()) for text in texts]

    assert column.read(texts) == plain
    assert [second for text in texts for second in column.read([text])] == plain


@pytest.mark.parametrize("zone", ZONES)
def test_days_on_which_the_clocks_change_are_not_sums(zone: str) -> None:
    column = MomentColumn("at", ZoneInfo(zone))
    start = datetime.combine(date(2024, 1, 1), time())
    for hours in range(0, 366 * 24, 3):
        text = (start + timedelta(hours=hours)).isoformat(sep=" ")
        assert column.read([text]) == [int(parse_moment(text, ZoneInfo(zone)).timestamp())]


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.encode(errors="ignore").decode() == text))
def test_bucket_and_dice_are_those_of_the_tables(customer_id: str) -> None:
    assert place_of(customer_id) == (bucket_of(customer_id), dice_of(customer_id))


def test_a_remembered_number_is_not_taken_for_a_truth() -> None:
    column = Column("quantity", read_quantity)

    one, truth, again = column.read(["1", Truth("true"), Numeral("1")])

    assert (one, again) == (1.0, 1.0)
    assert isinstance(truth, Refused)


def test_what_was_refused_once_is_refused_again() -> None:
    column = Column("quantity", read_quantity)

    for _ in range(2):
        (refused,) = column.read(["NaN"])
        assert isinstance(refused, Refused)
        assert column.refused
    column.read(["2"])
    assert not column.refused


def test_a_column_of_texts_is_the_same_read_at_once_or_one_by_one() -> None:
    column = TextColumn("name", longest=10)
    texts = ["Ana", " Ben ", "", "小 林", "　Cleo　", "nb\u00a0sp"]

    at_once = [cell for text in texts for cell in column.read([text])]

    assert column.read(texts) == at_once == ["Ana", "Ben", None, "小 林", "Cleo", "nb\u00a0sp"]


@pytest.mark.parametrize(
    ("money", "currency", "minor"),
    [("0.005", "CNY", 1), ("0.0049", "CNY", 0), ("1", "JPY", 1), ("1.5", "JPY", 2), ("1.2345", "KWD", 1235)],
)
def test_money_in_minor_units_rounds_halves_up(money: str, currency: str, minor: int) -> None:
    assert minor_units(Decimal(money), currency) == minor


def test_money_has_an_end() -> None:
    with pytest.raises(CellError, match="more than can be right"):
        minor_units(Decimal(10) ** 16, "CNY")
