"""smr preview: a template on its own, and a step as one customer would read it, within limits."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from smr import clock
from smr.cli.preview import preview
from smr.database import open_database
from smr.database.migrate import ensure_current
from smr.due import publish_catalog, refresh
from smr.errors import FaultsError, OperatorError
from smr.messages import TemplateError, bounded
from smr.messages.bounded import Text, render_apart
from smr.messages.preview import read_data
from smr.messages.values import money
from smr.playbook import load_library
from smr.settings import Settings
from tests.worlds import NOW, World, put

PLAYBOOK = """\
name: refill
title: 到期补货
trigger: {runs_out: {category: 洁面}}
steps:
  - name: heads_up
    send: 3d before due
    via: [sms, wecom]
    subject: "{{ shop.name }}"
    message: "{{ customer.name }},{{ purchase.date | day }}买的{{ product.name }}{{ due.in_words }}用完"
  - name: offer
    send: 2d after heads_up
    when: {stage: {lifecycle: [成长期]}}
    message: "{{ customer.attributes.skin }}"
    attach: [{link: {title: 再来一支, url: "https://shop.example/{{ product.id }}"}}]
"""
CONFIG = """\
database: {url: "sqlite:///shop.db"}
shop: {name: 小店, language: zh}
"""
LADDER = "ladders: {lifecycle: [{stage: 成长期}]}"
AT = "2026-11-23T09:00"


def smr(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from smr.cli.app import main; main()", "preview", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def shown(
    folder: Path, template: str, data: object = None, *arguments: str
) -> subprocess.CompletedProcess[str]:
    (folder / "t.txt").write_text(template, encoding="utf-8")
    (folder / "d.json").write_text(json.dumps(data or {}), encoding="utf-8")
    return smr(folder, "--template", "t.txt", "--with", "d.json", "--now", AT, *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A shop with its configuration, a playbook, and people: Lin bought cleanser, Ana nothing yet."""
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "refill.yaml").write_text(PLAYBOOK, encoding="utf-8")
    (tmp_path / "playbooks" / "catalog.yaml").write_text("cycles: {default: {lasts: 30d}}", encoding="utf-8")
    (tmp_path / "playbooks" / "segments.yaml").write_text(LADDER, encoding="utf-8")
    world = World(now=NOW)
    world.product("P1", category="洁面", name="氨基酸洁面")
    world.customer("lin", name="小林", locale="zh", addresses={"wecom": "wm"}, attributes={"skin": "干性"})
    world.customer("ana", name=None, locale="en")
    world.purchase("lin", "P1", days_ago=27, quantity=1.0)
    database = open_database(f"sqlite:///{tmp_path}/shop.db")
    ensure_current(database)
    put(database, world)
    library = load_library(tmp_path / "playbooks", Settings())
    with database.write() as connection:
        publish_catalog(connection, library.catalog)
        refresh(connection, library, now=clock.seconds(NOW), run_id=1, low=0, high=4095)
    database.close()
    return tmp_path


def test_a_template_on_its_own_is_shown_with_the_data(tmp_path: Path) -> None:
    done = shown(
        tmp_path,
        "{{ customer.name }}:{{ price | money }} {{ today }}",
        {"customer": {"name": "小林"}, "price": 25.9},
    )
    assert (done.returncode, done.stdout) == (0, "小林:¥25.90 2026-11-23\n")


def test_a_refused_template_exits_with_2_and_says_where_what_and_the_fix(tmp_path: Path) -> None:
    done = shown(tmp_path, "a\n{{ x() }}", {"x": 1})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: t.txt:2 → nothing can be called in a message → filters are written with a bar"
    )
    assert "Traceback" not in done.stderr


def test_a_name_that_the_data_lacks_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    done = shown(tmp_path, "{{ custmer.name }}", {"customer": {"name": "小林"}})
    assert done.returncode == 2
    assert (
        "t.txt:1 → there is no 'custmer' in the data → did you mean 'customer'?  [template_variable]"
        in done.stderr
    )


def test_html_is_escaped(tmp_path: Path) -> None:
    done = shown(tmp_path, "<p>{{ x }}</p>", {"x": "<b>"}, "--kind", "html")
    assert done.stdout == "<p>&lt;b&gt;</p>\n"


def test_as_json_there_is_the_text_or_the_fault(tmp_path: Path) -> None:
    assert json.loads(shown(tmp_path, "hi", {}, "--json").stdout) == {
        "text": "hi",
        "characters": 2,
        "fault": None,
    }
    refused = shown(tmp_path, "{{ 7 ** 9 }}", {}, "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["fault"]["code"] == "template_not_allowed"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no JSON"),
        ("[]", "no JSON object"),
        ("{", "no JSON"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": 1e999}', "out of all ordinary size"),
        ('{"a": 1E+999999}', "out of all ordinary size"),
        ('{"a": ' + "9" * 5_000 + "}", "too many digits"),
        ('{"a": 1, "a": 2}', "'a' is said twice"),
        ("[" * 60_000, "nested too deeply"),
        ('{"a": ' + "[" * 10 + "]" * 10 + "}", "levels deep"),
        ('{"a": "' + "x" * 2_001 + '"}', "2,001 characters"),
        ('{"a": [' + "1," * 200 + "1]}", "a list of 201"),
    ],
)
def test_data_that_no_message_could_hold_is_refused(text: str, what: str) -> None:
    with pytest.raises(FaultsError, match=what):
        read_data(text, "d.json")


def test_values_reach_the_child_as_they_are() -> None:
    context = {
        "m": money(2590, "GBP"), "n": Decimal("0.10"), "d": date(2026, 11, 26), "x": [{"mapping": [1]}, None],
        "today": date(2026, 11, 23), "language": "en", "t": True,
    }  # fmt: skip
    source = "{{ m|money }} {{ n }} {{ d|in_words }} {{ x[0].mapping[0] }}{% if t and not x[1] %}y{% endif %}"
    assert render_apart([Text(source, "text", "t")], context) == ["£25.90 0.10 in 3 days 1y"]


def test_each_text_has_its_own_answer() -> None:
    texts = [Text("{{ a }}", "text", "one"), Text("b", "line", "two")]
    fault, text = render_apart(texts, {})
    assert isinstance(fault, TemplateError)
    assert str(fault).startswith("one:1 → there is no 'a'")
    assert text == "b"


def test_a_child_that_does_not_come_back_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "SECONDS", 0.001)
    (fault,) = render_apart([Text("x", "text", "t")], {})
    assert isinstance(fault, TemplateError)
    assert "more time or memory" in fault.what


def test_each_step_is_shown_as_the_customer_would_read_it(folder: Path) -> None:
    done = smr(folder, "refill", "--customer", "lin", "--now", AT, "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["steps"]
    assert first["channel"] == "wecom"
    assert first["texts"] == {"subject": "小店", "message": "小林,10月27日买的氨基酸洁面3天后用完"}
    link = {"attach.1.link.title": "再来一支", "attach.1.link.url": "https://shop.example/P1"}
    assert (second["step"], second["texts"], second["notes"]) == ("offer", {"message": "干性", **link}, [])


def test_what_is_missing_for_a_customer_is_said(folder: Path) -> None:
    done = smr(folder, "refill", "--customer", "ana", "--step", "heads_up", "--now", AT)
    assert done.returncode == 2
    assert "note: ana has bought nothing that refill is about" in done.stderr
    assert "note: the customer has no address on sms, wecom" in done.stderr
    assert 'error: refill.heads_up:1 → customer.name has no value → add | default("…")' in done.stderr
    assert "[subject] 小店" in done.stdout


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"playbook": "refil", "customer": "lin"}, "there is no playbook 'refil'; did you mean 'refill'"),
        ({"playbook": "refill", "customer": "lim"}, "there is no customer 'lim'; did you mean 'lin'"),
        ({"playbook": "refill", "customer": "lin", "step": "ofer"}, "no step 'ofer'; did you mean 'offer'"),
        ({"playbook": "refill", "customer": "lin", "now": "yesterday"}, "--now: 'yesterday' is not a time"),
        ({"playbook": "refill", "customer": "lin", "data": Path("d.json")}, "--with goes with --template"),
        ({"playbook": "refill"}, "say what to show: smr preview PLAYBOOK --customer ID"),
        ({"playbook": "refill", "template": Path("t.txt")}, "leave out the playbook"),
        ({"template": Path("nowhere.txt")}, "nowhere.txt → cannot be read"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_hint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], what: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(OperatorError, match=what):
        preview(**asked)
