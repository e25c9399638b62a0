"""Checking a library's templates: every fault with its place, its code and the fix."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from smr.errors import Fault
from smr.messages import check_library
from smr.messages.context import NAMES, hint, sample
from smr.messages.length import longest, shortest
from smr.messages.template import compile_template
from smr.playbook import load_library
from smr.settings import ChannelSettings, Settings, ShopSettings

SHOP = Settings(
    shop=ShopSettings(name="小店", language="zh", reorder_url="https://shop.example/{product_id}")
)


def faults(tmp_path: Path, playbook: str, settings: Settings = SHOP, **files: str) -> list[Fault]:
    (tmp_path / "refill.yaml").write_text(dedent(playbook), encoding="utf-8")
    for name, text in files.items():
        (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return check_library(load_library(tmp_path, settings), settings)


def of_message(tmp_path: Path, message: str, settings: Settings = SHOP, **said: Any) -> list[Fault]:
    trigger = said.get("trigger", "{runs_out: {category: 洁面}}")
    via = said.get("via", "[wecom]")
    playbook = f"""\
        name: refill
        trigger: {trigger}
        steps:
          - name: heads_up
            send: on {said.get("base", "due")}
            via: {via}
            message: |
              {message}
        """
    return faults(tmp_path, playbook, settings)


def test_a_good_template_has_no_fault(tmp_path: Path) -> None:
    text = '{{ customer.name | default("亲") }},{{ product.name }}{{ due.in_words }}用完:{{ reorder.url }}'
    assert of_message(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "code", "what", "fix"),
    [
        ("{{ customer.nmae }}", "template_variable", "there is no customer.nmae", "'customer.name'"),
        ("{{ custmer.name }}", "template_variable", "there is no custmer.name", "'customer.name'"),
        ("{{ name }}", "template_variable", "there is no name", "'customer.name'"),
        (
            "{{ customer }}",
            "template_variable",
            "there is no customer in",
            "name one of its parts: customer.id",
        ),
        ("{{ customer.stage.lifecicle }}", "template_variable", "there is no ladder 'lifecicle'", ""),
        ("{{ product.name", "template_syntax", "unexpected", "close it"),
        ("{{ product.name | uper }}", "template_not_allowed", "no filter 'uper'", "'upper'"),
        ("{% include 'x' %}", "template_not_allowed", "include", "if, for, set"),
        ("{{ product.name() }}", "template_not_allowed", "nothing can be called", "filters"),
        ("{{ product.name | money }}", "template_failed", "money needs a number, found a text", ""),
        ("{{ 'x' ~ customer.tags }}", "template_failed", "a list cannot be printed", "join"),
        ("{{ 1" + " + 1" * 61 + " }}", "template_too_large", "more than 60 names and operators", "split it"),
    ],
)
def test_a_fault_says_what_it_is_and_what_to_do(
    tmp_path: Path, text: str, code: str, what: str, fix: str
) -> None:
    (found,) = of_message(tmp_path, text)
    assert found.code == code
    assert what in found.what
    assert fix in found.fix
    assert not found.warning


def test_a_fault_in_the_playbook_stands_where_its_text_stands(tmp_path: Path) -> None:
    (found,) = faults(
        tmp_path,
        """\
        name: refill
        trigger: {runs_out: {category: 洁面}}
        steps:
          - name: heads_up
            send: on due
            message: |
              您好
              {{ customer.nmae }}
        """,
    )
    assert found.file.endswith("refill.yaml")
    assert (found.line, found.path) == (6, "steps[1] → message")
    assert found.what.startswith("line 2 of the text: ")


def test_a_fault_in_a_template_file_stands_at_its_line_and_column(tmp_path: Path) -> None:
    (found,) = faults(
        tmp_path,
        """\
        name: refill
        trigger: {runs_out: {category: 洁面}}
        steps:
          - {name: heads_up, send: on due, template: offer.txt}
        """,
        offer_txt="您好\n\n欢迎 {{ customer.nmae }}\n",
    )
    assert found.file.endswith("offer.txt")
    assert (found.line, found.column, found.path) == (3, 7, "refill → heads_up")


def test_every_text_of_a_step_is_checked_and_all_faults_are_told_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """\
        name: refill
        trigger: {runs_out: {category: 洁面}}
        steps:
          - name: one
            send: on due
            subject: "{{ a }}"
            message: "{{ b }}"
            html: "<p title={{ shop.name }}>"
            attach: [{link: {title: "{{ c }}", url: "{{ d }}"}}]
          - {name: two, send: 1d after due, message: "{{ e }}"}
        """,
    )
    places = [(fault.path, fault.code) for fault in found]
    assert places == [
        ("steps[1] → subject", "template_variable"),
        ("steps[1] → message", "template_variable"),
        ("steps[1] → html", "template_not_allowed"),
        ("steps[1] → attach[1] → link → title", "template_variable"),
        ("steps[1] → attach[1] → link → url", "template_variable"),
        ("steps[2] → message", "template_variable"),
    ]


@pytest.mark.parametrize(
    ("trigger", "base", "text"),
    [
        ("{schedule: {every: day, at: 10:00}}", "slot", "{{ product.name }}"),
        ("{schedule: {every: day, at: 10:00}}", "slot", "{{ due.date }}"),
        ("{date: {field: birthday}}", "date", "{{ purchase.date }}"),
        ("{purchase: {category: 洁面}}", "purchase", "{{ due.in_words }}"),
    ],
)
def test_a_name_that_the_trigger_does_not_have_is_a_fault(
    tmp_path: Path, trigger: str, base: str, text: str
) -> None:
    (found,) = of_message(tmp_path, text, trigger=trigger, base=base)
    assert found.code == "template_variable"
    assert "does not exist for the trigger" in found.what


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("{{ customer.name }}", True),
        ("{{ customer.name | upper }}", True),
        ("{{ 'x' ~ customer.name }}", True),
        ("{{ customer.attributes.skin }}", True),
        ('{{ customer.name | default("亲") }}', False),
        ('{{ customer.name | default("亲") | upper }}', False),
        ('{{ customer.name or "亲" }}', False),
        ("{% if customer.name %}{{ customer.name }}{% endif %}", False),
        ('{{ customer.name if customer.name else "亲" }}', False),
        ("{{ customer.id }}{{ product.name }}", False),
    ],
)
def test_a_name_that_some_customers_lack_is_warned_of_where_it_has_no_default(
    tmp_path: Path, text: str, warned: bool
) -> None:
    found = of_message(tmp_path, text)
    assert [fault.warning for fault in found] == [True] * warned
    assert all("some customers have no customer." in fault.what for fault in found)


def test_a_link_that_is_not_configured_is_warned_of(tmp_path: Path) -> None:
    (found,) = of_message(tmp_path, "{{ reorder.url | default('') }}", Settings())
    assert found.warning
    assert found.fix == "set shop.reorder_url in config.yaml"


def test_a_text_that_is_always_too_long_is_a_fault_and_one_that_may_be_a_warning(tmp_path: Path) -> None:
    short = SHOP.model_copy(update={"channels": {"sms": ChannelSettings(max_length=20)}})
    (always,) = of_message(tmp_path, "一二三四五六七八九十一二三四五六七八九十一", short, via="[sms, email]")
    assert (always.code, always.warning) == ("message_too_long", False)
    assert "at least 21 characters; sms takes 20" in always.what
    (may_be,) = of_message(tmp_path, "您好{{ product.name }}", short, via="[sms]")
    assert may_be.warning
    assert "up to 62 characters; sms takes 20" in may_be.what
    assert of_message(tmp_path, "您好{{ product.name | truncate(18) }}", short, via="[sms]") == []


def test_wecom_counts_bytes_so_that_a_third_as_many_chinese_characters_fit(tmp_path: Path) -> None:
    assert of_message(tmp_path, "亲" * 1_333) == []
    (found,) = of_message(tmp_path, "亲" * 1_334)
    assert "4,002 bytes; wecom takes 4,000" in found.what


@pytest.mark.parametrize(
    ("source", "least", "most"),
    [
        ("abc", 3, 3),
        ("a{{ customer.name }}", 1, 21),
        ("{% if today %}long{% else %}no{% endif %}", 2, 4),
        ("{% if today %}long{% endif %}", 0, 4),
        ("{% for x in customer.tags %}ab{% endfor %}", 0, 20),
        ("{{ product.name | truncate(5) }}", 0, 5),
        ("{{ customer.name | default('someone whose name we do not know') }}", 0, 33),
        ("{{ product.price | money }}", 0, 16),
        ("{{ 'ab' ~ customer.name }}", 0, 22),
        ("{{ 'ab' if today else 'c' }}", 0, 2),
    ],
)
def test_the_least_and_the_most_a_text_can_have(source: str, least: int, most: int) -> None:
    body = compile_template(source).tree.body
    assert (shortest(body).characters, longest(body).characters) == (least, most)


def test_every_name_has_an_example_that_can_be_rendered() -> None:
    for name in NAMES:
        path = name.path.replace("<any>", "肤质").replace("<ladder>", "lifecycle")
        shown = compile_template(f"{{% if {path} %}}x{{% endif %}}").render(sample([path]))
        assert shown == "x", path


def test_a_hint_finds_names_and_ladders() -> None:
    assert hint("customer.stage.lifecicle", ["lifecycle"]) == "did you mean 'customer.stage.lifecycle'?"
    assert hint("due").startswith("name one of its parts: due.date")


@pytest.mark.parametrize("text", ["｛｛ customer.name ｝｝，您好", "｛% if language == 'zh' %｝您好"])
def test_braces_of_a_chinese_keyboard_are_told_since_customers_would_read_them(
    tmp_path: Path, text: str
) -> None:
    (fault,) = of_message(tmp_path, text)
    assert (fault.code, fault.warning) == ("full_width_braces", True)
    assert "is text, and is sent as it stands" in fault.what
    assert of_message(tmp_path, "今天上新｛限量｝") == []
