"""What a SELECT asks does not depend on the day, or says that it does: so statements may be kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from smr.due.found import Found
from smr.due.triggers import candidates_of, given_of
from smr.settings import Settings
from tests.library import library
from tests.worlds import NOW

STATED = "\nwho: {orders: {within: 180d, at_least: 2}}"
TRIGGERS = (
    "{runs_out: {}}",
    "{runs_out: {category: 洁面}}" + STATED,
    "{runs_out: {product: [P1, P3]}}",
    "{runs_out: {category: 洁面}, likely: 20%, quiet: 12d}",
    "{purchase: {category: 洁面}}",
    "{refund: {}}",
    "{schedule: {every: day, at: 10:00}}" + STATED,
    "{schedule: {every: [1, 15], at: 10:00}}",
    "{date: {field: birthday}}",
    "{date: {field: birthday, calendar: lunar}}",
    "{date: {field: first_purchase}}",
    "{date: {field: attributes.six_months_on, every: once}}",
    "{festival: [端午, 中秋, 春节, 元旦]}" + STATED,
    "{interaction: {what: friend_added}}",
    "{segment: {entered: vip}}",
    "{stage: {ladder: lifecycle, to: 流失期, from: 休眠期}}",
    "{tag: 敏感肌}",
    "{silence: {for: 60d}}",
    "{product: {what: back_in_stock, within: 60d}}",
    "{product: {what: price_drop, by: 10%}}",
)
STEPS = """
steps:
  - {name: first, send: "%s", via: sms, message: "{{ product.name }}"}
  - {name: second, send: 2d after first, via: sms, message: "{{ product.name }}"}
"""
LISTS = """
segments: {vip: {where: {orders: {at_least: 3}}}}
ready: {lifecycle: {}}
"""
SHOP = Settings()
BEGUN = ("first", True, 0)


def found_on(trigger: str, now: datetime) -> Iterator[tuple[tuple[Any, ...], Found]]:
    """What is asked for on a day, each by its place: as at first, and as after a run of the day before."""
    send = "5d before due" if "runs_out" in trigger else "on anchor"
    books = library(f"name: some\nstatus: live\ntrigger: {trigger}{STEPS % send}", segments=LISTS)
    book = books.playbooks[0]
    for step in book.steps:
        for before in (None, now - timedelta(days=1)):
            shop = (book, step, books, SHOP, now)
            for place, found in enumerate(candidates_of(*shop, before=before)):
                yield (step.name, before is None, place), found
                for number, news in enumerate(found.news or ()):
                    yield (step.name, place, number), news
        yield (step.name, "given"), given_of(*shop)


def asked(found: Found) -> tuple[str, dict[str, Any]]:
    """Its SQL, and the values that stand in it."""
    compiled = found.select.compile()
    return str(compiled), dict(compiled.params)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_only_what_is_bound_changes_from_day_to_day(trigger: str) -> None:
    said = {place: asked(found) for place, found in found_on(trigger, NOW) if found.timeless}
    compared = 0
    for days in (1, 30, 61, 200, 366):
        for place, found in found_on(trigger, NOW + timedelta(days=days, hours=7)):
            if found.timeless and place in said:
                assert asked(found) == said[place]
                compared += 1
    assert compared


def test_a_birthday_is_asked_for_by_its_day() -> None:
    [today] = [
        one for place, one in found_on("{date: {field: birthday}}", NOW) if place == ("first", True, 0)
    ]
    assert not today.timeless
