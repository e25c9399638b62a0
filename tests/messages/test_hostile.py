"""Hostile templates by class, each with what must come of it; whatever a template is, only TemplateError."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from smr.messages import TemplateError, compile_template
from smr.messages.template import Kind
from smr.messages.values import money
from tests.examples import many

CASES = yaml.safe_load(Path(__file__).with_name("hostile.yaml").read_text(encoding="utf-8"))


def values() -> dict[str, Any]:
    """What hostile templates are given."""
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    return {
        "customer": {"name": "小林", "attributes": {"肤质": "干性"}},
        "order": {"items": 3, "keys": "k"},
        "tags": ["敏感肌", "会员"],
        "nothing": None,
        "empty": "",
        "price": money(2590, "CNY"),
        "markup": "<script>alert(1)</script>",
        "quoted": "a\"b'c>",
        "lines": "a<\nb",
        "script_url": "javascript:alert(1)",
        "url": "https://shop.example/a?b=1&c=2",
        "tricky": "{{ 7*7 }}{% if x %}",
        "nul": "a\x00b",
        "bell": "a\x07b",
        "escape_code": "\x1b[31mred",
        "right_to_left": "a\u202eb",
        "line_separator": "a\u2028b",
        "surrogate": "a\ud800b",
        "carriage": "a\rb",
        "big_number": 10**15,
        "long_text": "x" * 2_001,
        "long_list": list(range(201)),
        "hundred": list(range(100)),
        "cyclic": cyclic,
        "today": date(2026, 11, 23),
        "language": "zh",
        "half": Decimal("0.5"),
    }


def spelled_out(text: str) -> str:
    return re.sub(r"«(\d+)×(.*?)»", lambda found: found[2] * int(found[1]), text, flags=re.DOTALL)


def outcome(source: str, kind: Kind) -> str:
    try:
        return "=" + compile_template(source, kind).render(values())
    except TemplateError as error:
        return error.code


@pytest.mark.parametrize(
    ("source", "expected", "kind"),
    [
        pytest.param(case[0], case[1], case[2] if len(case) > 2 else "text", id=f"{name}-{number}")
        for name, cases in CASES.items()
        for number, case in enumerate(cases, 1)
    ],
)
def test_a_hostile_template_comes_to_what_stands_beside_it(source: str, expected: str, kind: Kind) -> None:
    assert outcome(spelled_out(source), kind) == spelled_out(expected)


def test_there_are_enough_of_them_and_each_class_is_there() -> None:
    assert sum(map(len, CASES.values())) >= 200
    assert len(CASES) == 16


PIECES = """
    {{ }} {% %} {# #} if for in endif endfor else elif set = ( ) [ ] { } , : 'a' " ' 1 0.5 99999 - () > \\ _
    customer .name .attributes ['肤质'] tags price nothing today loop .index x 亲 self __class__ <a&href='
    |upper |money |default('亲') |join |day('long') |truncate(3) |round(2) is&defined is&none
    == < and or not + - * / // % ~ **
"""
FRAGMENTS = st.sampled_from([f" {piece} ".replace("&", " ") for piece in PIECES.split()])
OPERANDS = st.sampled_from(
    [
        "1",
        "0",
        "0.5",
        "3.25",
        "'a'",
        "''",
        "price",
        "tags",
        "nothing",
        "customer.name",
        "today",
        "half",
        "hundred",
        "true",
    ]
)


def expressions() -> st.SearchStrategy[str]:
    """Expressions that can be read, of any kinds of values."""
    operators = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "~", "and", "or", "==", "!=", "<", ">=", "in"]
    )
    filters = st.sampled_from(
        ["upper", "round", "money", "default('x')", "length", "join('-')", "first", "mask", "day"]
    )

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(inner, operators, inner).map(lambda parts: f"({' '.join(parts)})"),
            st.tuples(inner, filters).map(lambda parts: f"({parts[0]} | {parts[1]})"),
            st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} if {parts[1]} else {parts[2]})"),
            inner.map(lambda part: f"{part}[:2]"),
            inner.map(lambda part: f"-{part}"),
            inner.map(lambda part: f"[{part}]"),
        )

    return st.recursive(OPERANDS, larger, max_leaves=6)


@settings(max_examples=many(400), deadline=1_000)
@given(st.lists(FRAGMENTS, max_size=40).map("".join), st.sampled_from(["text", "html", "line", "url"]))
def test_any_pile_of_template_pieces_gives_a_text_or_a_template_error(source: str, kind: Kind) -> None:
    first = outcome(source, kind)
    assert first == outcome(source, kind)


@settings(max_examples=many(400), deadline=1_000)
@given(expressions(), st.sampled_from(["text", "html"]))
def test_any_expression_gives_the_same_text_or_the_same_template_error_each_time(
    source: str, kind: Kind
) -> None:
    written = f"{{% if 1 %}}{{{{ {source} }}}}{{% endif %}}"
    first = outcome(written, kind)
    assert first == outcome(written, kind)
    assert not first.startswith("=") or len(first) <= 5_001


def test_rendering_changes_nothing_of_what_it_was_given() -> None:
    given_values = values()
    before = repr(given_values)
    compile_template(
        "{% set t = tags %}{% for x in t %}{{ x }}{% set y = x %}{% endfor %}{{ price }}"
    ).render(given_values)
    assert repr(given_values) == before
