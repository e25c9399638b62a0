"""The log is a contract: every event and field is documented, and written only as documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smr.events import FIELDS, GRAVE, Event, Kind
from smr.watch.alerts import WORDS

ROOT = Path(__file__).parents[2]
EVENTS = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
WATCHING = (ROOT / "docs" / "how-to" / "watch-it.md").read_text(encoding="utf-8")
MODULES = sorted((ROOT / "smr").rglob("*.py"))
ROW = re.compile(r"^\| `([a-z_.]+)` \| (\S+|as given) \| (.*?) \| ", re.MULTILINE)
DOCUMENTED = {name: (level, re.findall(r"`(\w+)`", fields)) for name, level, fields in ROW.findall(EVENTS)}


def tellings() -> Iterator[tuple[str, Event, set[str]]]:
    """Every place that logs an event: where, which, with which fields."""
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("logs.tell", "tell") and node.args:
                name = ast.unparse(node.args[0])
                if name.startswith("Event."):
                    fields = {word.arg for word in node.keywords if word.arg is not None}
                    yield f"{module.relative_to(ROOT)}:{node.lineno}", Event[name[6:]], fields


def test_the_page_lists_the_events_there_are() -> None:
    assert set(DOCUMENTED) == {event.value for event in Event}


@pytest.mark.parametrize("event", list(Event))
def test_an_event_has_its_documented_level_and_fields(event: Event) -> None:
    level, fields = DOCUMENTED[event.value]
    assert tuple(fields) == FIELDS[event]
    if event is not Event.LIBRARY_SAID:
        assert level == ("warning" if event in GRAVE else "info")


def test_events_are_told_only_with_their_fields() -> None:
    wrong = [(place, fields - {*FIELDS[event]}) for place, event, fields in tellings()]
    assert [one for one in wrong if one[1]] == []


def test_every_event_is_told_somewhere() -> None:
    assert set(Event) - {event for _, event, _ in tellings()} - {Event.LIBRARY_SAID} == set()


def test_no_field_is_called_like_something_of_a_customer() -> None:
    private = {"name", "customer", "customer_id", "address", "phone", "email", "body", "text", "message"}
    assert {field for fields in FIELDS.values() for field in fields} & private == set()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_kind_of_incident_has_words_and_a_place_in_the_docs(kind: Kind) -> None:
    assert f"| `{kind.value}` |" in WATCHING
    assert all(words[kind] for words in WORDS.values())


def test_every_metric_is_documented() -> None:
    code = "".join(path.read_text() for path in MODULES if path.parent.name in ("console", "watch"))
    metrics = set(re.findall(r'"(smr_[a-z_]+)"', code))
    assert {metric for metric in metrics if f"`{metric}" not in WATCHING} == set()


def test_only_one_module_knows_apscheduler() -> None:
    importing = {
        path.name for path in MODULES if re.search(r"^\s*(from|import) apscheduler", path.read_text(), re.M)
    }
    assert importing == {"wakeups.py"}
