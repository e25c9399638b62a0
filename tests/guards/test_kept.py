"""Statements that judge are built once for the same files, and anew where they depend on the time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from smr.events import Reason
from smr.guards import chain
from smr.guards.verdict import Bench, Guard
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates
from tests.library import REFILL, library
from tests.worlds import NOW

SHOP = Settings()


def judgement(books: Library, hours: float, quiet: dict[int, frozenset[str | None]] | None = None) -> Any:
    """The statement of a run so many hours after NOW."""
    book = books.playbooks[0]
    bench = Bench(book, book.steps[0], books, SHOP, NOW + timedelta(hours=hours), quiet or {})
    [statement] = chain.judgements([[bench]])
    return statement


def test_an_hour_later_it_is_the_same_and_after_an_edit_another() -> None:
    books = library(REFILL)
    first = judgement(books, 0)
    assert judgement(books, 1) is first
    assert judgement(library(REFILL), 1) is not first


def test_quiet_hours_make_another() -> None:
    books, end = library(REFILL), int(NOW.timestamp()) + 3_600
    quiet = judgement(books, 0, {end: frozenset({None})})
    assert judgement(books, 0) is not quiet
    assert judgement(books, 0, {end: frozenset({"America/New_York"})}) is not quiet
    assert 3_600 in quiet.compile().params.values()


def test_the_next_day_at_the_same_time_quiet_hours_end_as_far_ahead() -> None:
    books, end = library(REFILL), int(NOW.timestamp()) + 3_600
    today = judgement(books, 0, {end: frozenset({None})})
    assert judgement(books, 24, {end + 86_400: frozenset({None})}) is today
    assert judgement(books, 25, {end + 86_400: frozenset({None})}) is not today


def test_a_guard_that_asks_for_the_time_is_built_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def tired(_candidate: Any, bench: Bench) -> sa.ColumnElement[bool]:
        return sa.literal(int(bench.now.timestamp())) > 0

    monkeypatch.setattr(chain, "GUARDS", (Guard(Reason.STOPPED, tired),))
    books = library(REFILL)
    for hours in (0, 1):
        told = judgement(books, hours).compile().params.values()
        assert int((NOW + timedelta(hours=hours)).timestamp()) in told


def test_a_statement_with_a_verdict_is_kept_for_what_is_alike() -> None:
    books = library(REFILL)
    book = books.playbooks[0]

    def written(hours: int, alike: str | None) -> Any:
        bench = Bench(book, book.steps[0], books, SHOP, NOW + timedelta(hours=hours), {})
        return chain.with_verdict(bench, lambda verdict: sa.select(verdict(candidates)["reason"]), alike)

    first = written(0, "found")
    assert written(1, "found") is first
    assert written(1, "given") is not first
    assert written(0, None) is not first
