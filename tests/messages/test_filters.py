"""What filters make of values, in Chinese and in English."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from smr.messages import TemplateError, compile_template
from smr.messages.filters import FILTERS, HTML_FILTERS
from smr.messages.values import money

TODAY = date(2026, 11, 23)


def made(expression: str, language: str = "zh", **values: Any) -> str:
    given = {"today": TODAY, "language": language, "currency": "CNY", **values}
    return compile_template(f"{{{{ {expression} }}}}").render(given)


@pytest.mark.parametrize(
    ("day", "chinese", "english"),
    [
        (date(2026, 11, 23), "今天", "today"),
        (date(2026, 11, 24), "明天", "tomorrow"),
        (date(2026, 11, 22), "昨天", "yesterday"),
        (date(2026, 11, 26), "3天后", "in 3 days"),
        (date(2026, 11, 18), "5天前", "5 days ago"),
        (date(2027, 11, 23), "365天后", "in 365 days"),
    ],
)
def test_in_words_says_how_far_a_day_is(day: date, chinese: str, english: str) -> None:
    assert made("d | in_words", d=day) == chinese
    assert made("d | in_words", "en", d=day) == english


@pytest.mark.parametrize(
    ("expression", "chinese", "english"),
    [
        ("d | day", "11月3日", "2026-11-03"),
        ("d | day('long')", "2026年11月3日", "November 3, 2026"),
        ("d | day('short')", "11月3日", "3 Nov"),
        ("d | day('iso')", "2026-11-03", "2026-11-03"),
        ("d | weekday", "星期二", "Tuesday"),
        ("d | year", "2026", "2026"),
        ("d | month", "11", "11"),
        ("'2026-11-03' | day", "11月3日", "2026-11-03"),
        ("d", "2026-11-03", "2026-11-03"),
    ],
)
def test_a_day_is_written_as_people_of_that_language_write_it(
    expression: str, chinese: str, english: str
) -> None:
    assert made(expression, d=date(2026, 11, 3)) == chinese
    assert made(expression, "en", d=date(2026, 11, 3)) == english


def test_a_locale_such_as_zh_tw_reads_chinese() -> None:
    assert made("today | in_words", "zh-TW") == "今天"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (money(2590, "CNY"), "¥25.90"),
        (money(255, "GBP"), "£2.55"),
        (money(120_000, "USD"), "$1,200.00"),
        (money(1980, "JPY"), "JP¥1,980"),
        (money(800, "CHF"), "CHF 8.00"),
        (money(-2590, "CNY"), "-¥25.90"),
        (money(12_345, "KWD"), "KWD 12.345"),
        (money(0, "CNY"), "¥0.00"),
        ({"amount": 2590, "currency": "EUR"}, "€25.90"),
        (Decimal("25.905"), "¥25.91"),
        (26, "¥26.00"),
    ],
)
def test_money_is_shown_with_the_sign_of_its_currency(value: Any, shown: str) -> None:
    assert made("m | money", m=value) == shown


def test_money_keeps_its_currency_through_sums() -> None:
    assert made("(m * 2 + m) | money", m=money(255, "GBP")) == "£7.65"
    assert made("(m / 2) | round(1) | money", m=money(255, "GBP")) == "£1.30"
    assert made("m / n", m=money(500, "GBP"), n=money(250, "GBP")) == "2"
    with pytest.raises(TemplateError, match="GBP and CNY together"):
        made("m + n", m=money(255, "GBP"), n=money(255, "CNY"))


def test_a_plain_number_takes_the_stated_currency_or_the_shops() -> None:
    assert made("5 | money('USD')") == "$5.00"
    assert made("5 | money", currency="GBP") == "£5.00"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("13812341234", "138****1234"),
        ("+447700900407", "+44****0407"),
        ("张伟", "张*"),
        ("欧阳娜娜", "欧***"),
        ("张", "张*"),
        ("Ana Maria Lopez", "A***"),
        ("ana@example.com", "a***@example.com"),
        ("", ""),
    ],
)
def test_mask_hides_the_middle_of_names_and_numbers(value: str, shown: str) -> None:
    assert made("v | mask", v=value) == shown


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("nothing | default('亲')", "亲"),
        ("unknown | default('亲')", "亲"),
        ("'' | default('亲')", "亲"),
        ("0 | default('亲')", "0"),
        ("name | default('亲')", "小林"),
        ("'hEllo World' | title", "Hello World"),
        ("'Abc' | upper ~ 'Abc' | lower", "ABCabc"),
        ("'  a ' | trim", "a"),
        ("'12元' | replace('元', ' yuan')", "12 yuan"),
        ("'氨基酸洁面乳' | truncate(4)", "氨基酸…"),
        ("'洁面' | truncate(4)", "洁面"),
        ("'abcdef' | truncate(4, '')", "abcd"),
        ("'abcdef' | truncate(1)", "…"),
        ("2.345 | round(2)", "2.35"),
        ("1234567 | number", "1,234,567"),
        ("0.126 | percent", "13%"),
        ("0.126 | percent(1)", "12.6%"),
        ("'42.9' | int + 1", "43"),
        ("-3 | abs", "3"),
        ("tags | length", "3"),
        ("'小林' | length", "2"),
        ("tags | first ~ tags | last", "ac"),
        ("'小林' | first", "小"),
        ("tags | join('、')", "a、b、c"),
        ("tags[:2] | join", "ab"),
        ("tags[-1]", "c"),
        ("name[0]", "小"),
        ("'<b>' | escape", "&lt;b&gt;"),
        ("'a' if name is defined else 'b'", "a"),
        ("'a' if nothing is defined else 'b'", "b"),
        ("'a' if unknown is none else 'b'", "a"),
        ("'a' if 3 is odd and 4 is even else 'b'", "a"),
        ("'a' if 'b' in tags and 'z' not in tags else 'c'", "a"),
        ("'a' if name == '小林' and name != 'x' else 'b'", "a"),
        ("'a' if not nothing else 'b'", "a"),
        ("name or 'x'", "小林"),
        ("nothing or 'x'", "x"),
        ("7 // 2 ~ '/' ~ 7 % 4 ~ '/' ~ 1.5 * 2", "3/3/3.0"),
    ],
)
def test_filters_tests_and_operators(expression: str, shown: str) -> None:
    assert made(expression, name="小林", nothing=None, tags=["a", "b", "c"]) == shown


def test_a_moment_is_shown_to_the_minute() -> None:
    assert made("m", m=datetime(2026, 11, 23, 9, 5, tzinfo=UTC)) == "2026-11-23 09:05"
    assert made("m | day", m=datetime(2026, 11, 23, 9, 5, tzinfo=UTC)) == "11月23日"


def test_nl2br_is_for_html_and_escapes() -> None:
    template = compile_template("<p>{{ text | nl2br }}</p>", "html")
    assert template.render({"text": "1 < 2\nyes"}) == "<p>1 &lt; 2<br>\nyes</p>"


def test_every_filter_says_what_it_does() -> None:
    assert all(one.says and one.least <= one.most for one in {**FILTERS, **HTML_FILTERS}.values())
