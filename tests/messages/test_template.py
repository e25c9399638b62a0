"""Templates compile once, render plain values, and fail for one customer with the line."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from smr.messages import TemplateError, compile_template

LIN: dict[str, Any] = {
    "customer": {"name": "小林", "nick": None, "tags": ["敏感肌", "会员"], "attributes": {"肤质": "干性"}},
    "due": {"date": date(2026, 11, 26), "days": 3},
    "today": date(2026, 11, 23),
    "language": "zh",
}


def rendered(source: str, context: dict[str, Any] = LIN) -> str:
    return compile_template(source).render(context)


def test_a_text_is_filled_in_with_the_customers_values() -> None:
    source = '{{ customer.name | default("亲") }},{{ due.date | day }}({{ due.date | in_words }})见'
    assert rendered(source) == "小林,11月26日(3天后)见"


def test_a_value_that_is_not_there_needs_a_default() -> None:
    assert rendered('{{ customer.nick | default("亲") }}') == "亲"
    with pytest.raises(TemplateError, match=r"template:2 → customer.nick has no value → add \| default"):
        rendered("您好\n{{ customer.nick }}")


def test_a_misspelt_name_is_an_error_that_says_which_was_meant() -> None:
    with pytest.raises(TemplateError, match=r"there is no .nmae. here .did you mean .name.\?"):
        rendered("{{ customer.nmae }}")


def test_attributes_are_items_never_what_python_has() -> None:
    assert rendered("{{ order.items }}", {"order": {"items": 3}}) == "3"
    with pytest.raises(TemplateError, match="there is no 'keys' here"):
        rendered("{{ customer.keys }}")


def test_loops_conditions_and_set_work_with_lists_and_numbers() -> None:
    source = (
        "{% set left = due.days + 1 %}{% if left > 3 %}{{ left }}:{% endif %}"
        "{% for tag in customer.tags %}{{ loop.index }}{{ tag }}"
        "{% if not loop.last %}、{% endif %}{% endfor %}"
    )
    assert rendered(source) == "4:1敏感肌、2会员"


def test_the_names_a_template_uses_are_told_and_whether_it_varies() -> None:
    source = "{{ customer.name }}{{ customer['attributes']['肤质'] }}{% if today %}{{ shop.name }}{% endif %}"
    template = compile_template(source)
    assert template.names == {"customer.name", "customer.attributes.肤质", "today", "shop.name"}
    assert template.varies
    assert not compile_template("{{ shop.name }}:{{ today | day }}").varies


def test_names_of_loops_and_sets_are_the_templates_own() -> None:
    template = compile_template(
        "{% set a = due.days %}{% for b in customer.tags %}{{ a }}{{ b }}{% endfor %}"
    )
    assert template.names == {"due.days", "customer.tags"}
