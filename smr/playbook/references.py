"""What pieces of a library say of each other: steps, segments, ladders, stages, roles, channels, schedules.

In: the documents of a folder, as plain data with places. Out: faults, and the order in which segments and
ladders are to be worked out (each after those it uses).
Trap: the data need not be well formed, so that one wrong key does not hide what else is wrong; whatever has
another shape than expected is passed over here, since the models tell of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from smr.chat import built_in
from smr.cron import schedule_cron
from smr.errors import Fault, did_you_mean
from smr.notation import parse_send
from smr.playbook.model import Playbook, Scheduled
from smr.playbook.ready import STAGES
from smr.settings import Settings
from smr.strict_yaml import Document, Steps

BASES = ("due", "anchor", "purchase", "date", "slot")
"""What a step may count from, beside an earlier step."""
CONDITIONS = 500
"""Most conditions in one place."""

Node = tuple[str, str]


def refresh_order(segments: Document) -> tuple[Node, ...]:
    """("segment", …), ("ladder", …) and ("tag", …), each after those it uses; CycleError in a circle."""
    return tuple(TopologicalSorter(_uses(segments)).static_order())


def segment_faults(segments: Document, settings: Settings) -> Iterator[Fault]:
    """Faults between segments and ladders."""
    names = Names(settings, segments)
    for name in _mapping(segments, "segments"):
        yield from names.conditions(segments, ("segments", name, "where"))
    for name in _mapping(segments, "ladders"):
        for number in _numbers(segments, ("ladders", name)):
            yield from names.conditions(segments, ("ladders", name, number, "where"))
        yield from _stages_twice(segments, name)
        if name in _ready(segments):
            what = f"ready says that smr's own ladder {name!r} is used, and here stands another one"
            yield segments.fault(("ladders", name), "ladder_twice", what, "take one of them out", key=True)
    for number in _numbers(segments, ("tags",)):
        yield from names.conditions(segments, ("tags", number, "when"))
    yield from _tags_twice(segments)
    yield from _topics(segments)
    yield from _cycle(segments)


def playbook_faults(document: Document, names: Names) -> Iterator[Fault]:
    """Faults of one playbook's names: segments, stages, channels, steps."""
    yield from names.trigger(document)
    yield from names.conditions(document, ("who",))
    for number in _numbers(document, ("steps",)):
        via = ("steps", number, "via")
        yield from names.channels(document, via, document.value(via))
        yield from names.conditions(document, ("steps", number, "when"))
    for number in _numbers(document, ("stop_when",)):
        yield from names.conditions(document, ("stop_when", number, "where"))
    yield from names.conditions(document, ("hand_over", "when"))
    for number in _numbers(document, ("hand_over",)):
        yield from names.conditions(document, ("hand_over", number, "when"))
    yield from _steps(document)


def role_faults(document: Document, catalog: Document | None) -> Iterator[Fault]:
    """Roles that no product plays: what asks for one would never hold. Not judged without the catalog."""
    if catalog is None:
        return
    known = list(_mapping(catalog, "roles"))
    for path in document.values:
        is_role = path[-1:] == ("role",) and path[-2:-1] != ("stage",)
        if is_role or path == ("bundle", "prefer"):
            value = document.value(path)
            yield from _unknown(document, path, value, "role", known, "define it under roles in catalog.yaml")


def schedule_faults(document: Document, playbook: Playbook) -> Iterator[Fault]:
    """Faults of a schedule: no such days, no such field of a cron expression, an empty range."""
    if not isinstance(playbook.trigger, Scheduled):
        return
    schedule = playbook.trigger.schedule
    key = "cron" if schedule.cron is not None else "every"
    place: Steps = ("trigger", "schedule", key)
    if schedule.from_ is not None and schedule.until is not None and schedule.until < schedule.from_:
        what, fix = "until is before from", "put the earlier day first"
        yield document.fault((*place[:-1], "until"), "range_empty", what, fix)
    try:
        cron = schedule_cron(schedule)
    except ValueError as error:
        what, _, fix = str(error).partition("; ")
        yield document.fault(place, f"{key}_invalid", what, fix)
        return
    if not cron.fires_ever:
        yield document.fault(
            place, "cron_never_fires", "there is no such day in any year", "check day and month"
        )


class Names:
    """The names one may use in conditions and steps; finds those that nobody defined.

    Without the segments' document their names are not judged.
    """

    def __init__(self, settings: Settings, segments: Document | None) -> None:
        self._channels = list(settings.channel_names)
        self._segments = None if segments is None else list(_mapping(segments, "segments"))
        self._ladders = (
            None
            if segments is None
            else {
                **{name: list(STAGES[name]) for name in _ready(segments)},
                **{name: _stages(segments, name) for name in _mapping(segments, "ladders")},
            }
        )
        self._topics = None if segments is None else list({**built_in(), **_mapping(segments, "topics")})

    def conditions(self, document: Document, path: Steps) -> Iterator[Fault]:
        """Faults of a condition and all those inside it."""
        found = list(_conditions(document.value(path), path))
        if len(found) > CONDITIONS:
            what = f"{len(found):,} conditions, more than {CONDITIONS}"
            fix = "make a segment of some, or name many at once in a list"
            yield document.fault(path, "segment_too_large", what, fix, key=True)
        for place, kind, value in found:
            yield from self._condition(document, place, kind, value)

    def trigger(self, document: Document) -> Iterator[Fault]:
        """Faults of the names in a trigger."""
        place: Steps = ("trigger",)
        for kind, known, keys in (
            ("segment", self._segments, (("segment", "entered"), ("segment", "left"))),
            ("topic", self._topics, (("interaction", "topic"),)),
            ("channel", self._channels, (("interaction", "channel"),)),
        ):
            for key in keys:
                if known is not None:
                    yield from _unknown(document, (*place, *key), document.value((*place, *key)), kind, known)
        said = document.value(("trigger", "stage"))
        if self._ladders is not None and isinstance(said, dict) and isinstance(said.get("ladder"), str):
            for stated in ("to", "from"):
                yield from self._stage_of_trigger(document, said["ladder"], stated, said.get(stated))

    def _stage_of_trigger(self, document: Document, ladder: str, key: str, value: Any) -> Iterator[Fault]:
        known = (self._ladders or {}).get(ladder)
        place: Steps = ("trigger", "stage")
        if known is not None:
            yield from _unknown(document, (*place, key), value, "stage", known)
        elif key == "to":
            fix = did_you_mean(ladder, list(self._ladders or {})) or _DEFINE
            yield document.fault((*place, "ladder"), "unknown_ladder", f"there is no ladder {ladder!r}", fix)

    def channels(self, document: Document, path: Steps, value: Any) -> Iterator[Fault]:
        """Faults of a channel's name or a list of them."""
        yield from _unknown(document, path, value, "channel", self._channels)

    def _condition(self, document: Document, path: Steps, kind: str, value: Any) -> Iterator[Fault]:
        if kind == "segment" and self._segments is not None:
            yield from _unknown(document, path, value, "segment", self._segments)
        elif kind == "stage" and self._ladders is not None and isinstance(value, dict):
            yield from self._stage(document, path, value, self._ladders)
        elif kind == "chat" and self._topics is not None and isinstance(value, dict):
            yield from _unknown(document, (*path, "topic"), value.get("topic"), "topic", self._topics)
        elif kind == "reachable":
            yield from self.channels(document, path, value)
        elif (
            kind in ("consent", "messaged", "did") and isinstance(value, dict) and value.get("channel") != "*"
        ):
            yield from self.channels(document, (*path, "channel"), value.get("channel"))

    def _stage(
        self, document: Document, path: Steps, value: Mapping[str, Any], ladders: Mapping[str, list[str]]
    ) -> Iterator[Fault]:
        for ladder, stages in value.items():
            if ladder in ladders:
                yield from _unknown(document, (*path, ladder), stages, "stage", ladders[ladder])
            else:
                what, fix = f"there is no ladder {ladder!r}", did_you_mean(ladder, list(ladders))
                yield document.fault((*path, ladder), "unknown_ladder", what, fix or _DEFINE, key=True)


_DEFINE = "define it in segments.yaml"
_COMMA = "\uff0c"


def _unknown(
    document: Document, path: Steps, value: Any, kind: str, known: list[str], define: str = _DEFINE
) -> Iterator[Fault]:
    for place, name in _listed(value, path):
        if name in known or not name:
            continue
        fix = did_you_mean(name, known) or define
        if _COMMA in name:
            fix = f"between names write an ordinary , instead of the full-width {_COMMA}"
        code = "channel_unknown" if kind == "channel" else f"unknown_{kind}"
        yield document.fault(place, code, f"there is no {kind} {name!r}", fix)


def _listed(value: Any, path: Steps) -> Iterator[tuple[Steps, str]]:
    """A name, or each of a list of names, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        yield from (((*path, number), name) for number, name in enumerate(value) if isinstance(name, str))


def _conditions(condition: Any, path: Steps) -> Iterator[tuple[Steps, str, Any]]:
    """Each condition in one: its path, its key and what the key says."""
    if not isinstance(condition, dict):
        return
    for key, value in condition.items():
        here = (*path, key)
        yield here, key, value
        if key in ("all", "any") and isinstance(value, list):
            for number, part in enumerate(value):
                yield from _conditions(part, (*here, number))
        elif key == "not":
            yield from _conditions(value, here)


def _mapping(document: Document, key: str) -> dict[str, Any]:
    found = document.data.get(key)
    return found if isinstance(found, dict) else {}


def _numbers(document: Document, path: Steps) -> range:
    """The places in a list, if it is one."""
    found = document.value(path)
    return range(len(found)) if isinstance(found, list) else range(0)


def _stages(document: Document, ladder: str) -> list[str]:
    stated = (
        document.value(("ladders", ladder, number, "stage"))
        for number in _numbers(document, ("ladders", ladder))
    )
    return [stage for stage in stated if isinstance(stage, str)]


def _uses(segments: Document) -> dict[Node, list[Node]]:
    """What each segment and ladder uses."""
    graph: dict[Node, list[Node]] = {}
    for name in _mapping(segments, "segments"):
        graph[("segment", name)] = list(_used(segments, ("segments", name, "where")))
    for name in _mapping(segments, "ladders"):
        places = (("ladders", name, number, "where") for number in _numbers(segments, ("ladders", name)))
        graph[("ladder", name)] = [used for place in places for used in _used(segments, place)]
    graph |= {("ladder", name): [] for name in _ready(segments)}
    for number in _numbers(segments, ("tags",)):
        tag = segments.value(("tags", number, "tag"))
        if isinstance(tag, str):
            graph[("tag", tag)] = list(_used(segments, ("tags", number, "when")))
    return graph


def _used(segments: Document, path: Steps) -> Iterator[Node]:
    """The segments, ladders and tags by rule that a condition names."""
    for place, kind, value in _conditions(segments.value(path), path):
        if kind == "segment":
            known = _mapping(segments, "segments")
            yield from (("segment", name) for _, name in _listed(value, place) if name in known)
        elif kind == "stage" and isinstance(value, dict):
            known = {**_mapping(segments, "ladders"), **_ready(segments)}
            yield from (("ladder", name) for name in value if name in known)
        elif kind == "tag":
            rules = _rule_tags(segments)
            yield from (("tag", name) for _, name in _listed(value, place) if name in rules)


def _cycle(segments: Document) -> Iterator[Fault]:
    try:
        refresh_order(segments)
    except CycleError as error:
        circle: list[Node] = error.args[1]
        kind, name = circle[-1]
        shown = " → ".join(name for _, name in reversed(circle))
        what = f"these use each other in a circle: {shown}"
        place: Steps = (f"{kind}s", _rule_tags(segments).index(name) if kind == "tag" else name)
        yield segments.fault(place, "segment_cycle", what, "take one of them out", key=kind != "tag")


def _ready(segments: Document) -> dict[str, Any]:
    """The ladders of smr's own that are used."""
    return {name: said for name, said in _mapping(segments, "ready").items() if name in STAGES}


def _rule_tags(segments: Document) -> list[Any]:
    """The tags that have a rule, in their order."""
    return [segments.value(("tags", number, "tag")) for number in _numbers(segments, ("tags",))]


def _tags_twice(segments: Document) -> Iterator[Fault]:
    tags = _rule_tags(segments)
    for number, tag in enumerate(tags):
        if isinstance(tag, str) and tag in tags[:number]:
            line, _ = segments.place(("tags", tags.index(tag), "tag"))
            what = f"the tag {tag!r} has another rule already, in line {line}"
            fix = "keep one, and join their conditions with any:"
            yield segments.fault(("tags", number, "tag"), "duplicate_tag", what, fix)


def _topics(segments: Document) -> Iterator[Fault]:
    """A topic of the operator's own has words; how long a tag stays says nothing without a tag."""
    for name, said in _mapping(segments, "topics").items():
        if name in built_in() or not isinstance(said, dict):
            continue
        place: Steps = ("topics", name)
        if not any(said.get(key) for key in ("any_of", "also", "exactly")):
            what, fix = (
                f"the topic {name!r} has no words",
                "write any_of: [...]; built in are " + ", ".join(built_in()),
            )
            yield segments.fault(
                place, "topic_without_words", what, did_you_mean(name, list(built_in())) or fix, key=True
            )
        if "for" in said and "tag" not in said:
            what = "for says how long a tag stays, and this topic gives none"
            yield segments.fault(
                (*place, "for"), "topic_without_tag", what, "say which tag, or take for out", key=True
            )


def _stages_twice(segments: Document, ladder: str) -> Iterator[Fault]:
    stages = _stages(segments, ladder)
    for number, stage in enumerate(stages):
        if stage in stages[:number]:
            line, _ = segments.place(("ladders", ladder, stages.index(stage), "stage"))
            what = f"the stage {stage!r} stands here again; the first is in line {line}"
            fix = "keep one, and join their conditions with any:"
            yield segments.fault(("ladders", ladder, number, "stage"), "duplicate_stage", what, fix)


def _steps(document: Document) -> Iterator[Fault]:
    """Each step has its own name, and counts from the trigger or an earlier step."""
    names = [document.value(("steps", number, "name")) for number in _numbers(document, ("steps",))]
    for number, name in enumerate(names):
        place: Steps = ("steps", number, "name")
        if not isinstance(name, str):
            continue
        if name in names[:number]:
            line, _ = document.place(("steps", names.index(name), "name"))
            what = f"another step is called {name!r}; it stands in line {line}"
            yield document.fault(place, "duplicate_step", what, "give each its own name")
        if name in BASES:
            what = f"{name!r} cannot be a step's name: in send it means the trigger"
            yield document.fault(place, "bad_name", what, "choose another name")
    for number in range(len(names)):
        yield from _base(document, number, names)


def _base(document: Document, number: int, names: list[Any]) -> Iterator[Fault]:
    place: Steps = ("steps", number, "send")
    try:
        base = parse_send(document.value(place)).base
    except ValueError:
        return
    earlier = [name for name in names[:number] if isinstance(name, str)]
    if base in BASES or base in earlier:
        return
    fix = "count from due or from an earlier step"
    if base == names[number]:
        yield document.fault(place, "step_cycle", f"the step {base!r} counts from itself", fix)
    elif base in names:
        yield document.fault(
            place, "step_cycle", f"the step {base!r} stands further down", f"{fix}, or move it up"
        )
    else:
        fix = did_you_mean(base, [*BASES[:2], *earlier])
        yield document.fault(place, "step_unknown", f"there is no step {base!r}", fix)
