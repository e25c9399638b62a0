"""Reading a library for meaning: what is allowed, but surely not meant.

In: a library that loaded, the settings. Out: warnings with places. Each check is one function; a check speaks
only where it is certain. What templates say is checked where messages are rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from smr import clock
from smr.almanac import FESTIVALS, festival_named
from smr.conditions.model import All, AnyOf, Condition, Not
from smr.cron import schedule_cron
from smr.errors import Fault, did_you_mean
from smr.notation import Rate, span_text
from smr.playbook.logic import contradiction, implies
from smr.playbook.model import (
    Catalog,
    Cycle,
    GaveBack,
    HandOver,
    Interacted,
    Library,
    OnDate,
    OnFestival,
    OnProduct,
    Playbook,
    ProductEntry,
    Purchased,
    Rung,
    RunsOut,
    Scheduled,
    SegmentChanged,
    StageChanged,
    Step,
    TagAdded,
)
from smr.settings import QuietHours, Settings
from smr.strict_yaml import Document, Steps

EXPENSIVE = 50
"""Conditions in one place from which a run gets slow."""
OFTEN = 24
"""Times a day from which a schedule is surely a slip."""
MANY = 10
"""Messages a customer and day from which a cap protects nobody."""

_PER_CUSTOMER = re.compile(r"\{[{%][^}%]*\b((?:customer|purchase|due|reorder|offer)\.[\w.]+)")

EVENTS: dict[type, str] = {
    SegmentChanged: "coming into the segment or leaving it",
    StageChanged: "coming to the stage",
    TagAdded: "the tag",
    Interacted: "the interaction",
    GaveBack: "the refund",
    OnProduct: "the change",
}
"""What is known only when it happens, by the trigger that waits for it."""


NAMES = frozenset({"category", "product", "tag", "staff", "store", "substitutes"})
"""Keys under which names stand, one or a list."""
_COMMA = "\uff0c"


def lint(library: Library, settings: Settings) -> list[Fault]:
    """Warnings about a library, by file and place."""
    found = list(_of_settings(library, settings))
    found += _of_segments(library)
    given = _tags(library, settings)
    for document in library.documents.values():
        found += _commas(document)
        found += _misspelt(document, given)
    for playbook in library.playbooks:
        found += Lint(library, settings, playbook).warnings()
    return sorted(found)


class Lint:
    """The checks of one playbook."""

    def __init__(self, library: Library, settings: Settings, playbook: Playbook) -> None:
        self.library = library
        self.settings = settings
        self.playbook = playbook
        self.document = library.document(playbook.name)

    def warnings(self) -> Iterator[Fault]:
        """What is doubtful about it."""
        for check in (
            self.status,
            self.holdout,
            self.cap,
            self.backfill,
            self.often,
            self.calendar,
            self.lines,
            self.likely,
            self.conditions,
            self.of_products,
            self.bundled,
        ):
            yield from check()
        for number, step in enumerate(self.playbook.steps):
            place: Steps = ("steps", number)
            for look in (self.reached, self.at_share, self.in_time, self.too_early, self.one_text_to_many):
                yield from look(place, step)

    def warn(self, path: Steps, code: str, what: str, fix: str = "") -> Fault:
        """A warning at a place of the playbook."""
        return self.document.fault(path, code, what, fix, warning=True)

    def status(self) -> Iterator[Fault]:
        """Of playbooks that send nothing yet."""
        if self.playbook.status != "live":
            what = f"the status is {self.playbook.status}: nothing will be sent"
            yield self.warn(("status",), "not_live", what, "when it is ready, write status: live")

    def holdout(self) -> Iterator[Fault]:
        """Of a control group that leaves few to write to."""
        if self.playbook.holdout == 1:
            yield self.warn(
                ("holdout",),
                "holdout_all",
                "everybody is held out: nothing will be sent",
                "write such as 10%",
            )
        elif self.playbook.holdout > 0.5:
            what = "more are held out than written to"
            yield self.warn(("holdout",), "holdout_large", what, "10% is usual")

    def cap(self) -> Iterator[Fault]:
        """Of a playbook without any limit per customer."""
        if self.playbook.limits.per_customer is None and not self.settings.policy.caps:
            what = "nothing limits how often a customer is written to"
            fix = "write limits: {per_customer: 1 per 20d} here, or policy: {caps: [1 per 1d]} in config.yaml"
            yield self.warn(("limits",), "no_cap", what, fix)

    def backfill(self) -> Iterator[Fault]:
        """Of steps that expire before the stated backfill lets them be late."""
        stated = self.playbook.backfill
        if not stated:
            return
        longest = max(self.useful(step) for step in self.playbook.steps)
        if stated > longest:
            what = (
                f"steps may be {span_text(stated)} late, but each is useful for {span_text(longest)} at most"
            )
            yield self.warn(
                ("backfill",), "backfill_too_long", what, "lengthen useful_for, or shorten backfill"
            )

    def often(self) -> Iterator[Fault]:
        """Of a schedule that fires all day long."""
        if not isinstance(self.playbook.trigger, Scheduled):
            return
        times = len(schedule_cron(self.playbook.trigger.schedule).times)
        if times > OFTEN:
            what = f"this fires {times:,} times a day"
            yield self.warn(
                ("trigger", "schedule", "cron"), "cron_too_often", what, "write such as 0 10 * * *"
            )

    def calendar(self) -> Iterator[Fault]:
        """Of festivals that smr does not know, and of days that no calendar tells."""
        trigger = self.playbook.trigger
        if isinstance(trigger, OnFestival):
            known = [name for one in FESTIVALS for name in (one.name, *one.names)]
            for name in trigger.festival:
                if festival_named(name) is None:
                    what = f"{name!r} is no festival that smr knows: due is when the calendar says so"
                    fix = f"{did_you_mean(name, known)}; or import it: smr import calendar FILE"
                    yield self.warn(("trigger", "festival"), "festival_unknown", what, fix)
        if isinstance(trigger, Scheduled) and trigger.schedule.only and self.settings.shop.region == "none":
            what = f"only {trigger.schedule.only}: no public holidays are known but those the shop imports"
            fix = "write shop: {calendar: cn} in config.yaml, or smr import calendar FILE"
            yield self.warn(("trigger", "schedule", "only"), "no_calendar", what, fix)

    def lines(self) -> Iterator[Fault]:
        """Of categories and products the catalog does not have."""
        catalog = self.library.catalog
        trigger = self.playbook.trigger
        if isinstance(trigger, RunsOut):
            yield from self.never_out(trigger)
        elsewhere = [
            (("trigger", "purchase"), trigger.purchase if isinstance(trigger, Purchased) else None),
            (("trigger", "product"), trigger.product if isinstance(trigger, OnProduct) else None),
            (("goal", "purchase"), self.playbook.goal.purchase if self.playbook.goal else None),
        ]
        for place, goods in elsewhere:
            for name in (goods.category or ()) if goods else ():
                yield from self.slip((*place, "category"), name, catalog.cycles.categories)

    def never_out(self, trigger: RunsOut) -> Iterator[Fault]:
        """Of lines whose supply is not followed, or whose cycle nobody stated."""
        catalog, goods = self.library.catalog, trigger.runs_out
        for kind, names in (("category", goods.category), ("product", goods.product)):
            if names and catalog.track not in (kind, "both"):
                what = f"the catalog follows supplies by {catalog.track}: none of a {kind} ever runs out"
                fix = f"write track: {kind} or track: both in catalog.yaml, or name a {catalog.track}"
                yield self.warn(("trigger", "runs_out", kind), "not_tracked", what, fix)
        for name in goods.category or ():
            place: Steps = ("trigger", "runs_out", "category")
            if name in catalog.cycles.categories:
                continue
            slips = list(self.slip(place, name, catalog.cycles.categories))
            yield from slips or self.no_cycle(place, name)

    def no_cycle(self, place: Steps, name: str) -> Iterator[Fault]:
        """Of a category whose units last as long as the default says, or nobody knows how long."""
        default = self.library.catalog.cycles.default
        what = f"the catalog does not say how long one unit of {name} lasts"
        if default is None:
            what += ", and has no default: only products with a cycle of their own run out"
        else:
            what += f": the default of {span_text(default.lasts)} is taken"
        yield self.warn(place, "not_in_catalog", what, "add it under cycles → categories in catalog.yaml")

    def slip(self, place: Steps, name: str, known: Mapping[str, object]) -> Iterator[Fault]:
        """Of a name that is nearly one in the catalog."""
        near = get_close_matches(name, list(known), n=1, cutoff=0.6)
        if name not in known and near:
            what = f"{name!r} is not in the catalog"
            yield self.warn(place, "not_in_catalog", what, f"did you mean {near[0]!r}?")

    def likely(self) -> Iterator[Fault]:
        """Of a chance asked of supplies that nothing is learned of: none is known, so they are never due."""
        trigger = self.playbook.trigger
        if not isinstance(trigger, RunsOut) or trigger.likely is None:
            return
        final = self.final(trigger)
        if final:
            what = f"{final} is never due: learn: false in catalog.yaml leaves no chance to be known"
            fix = "write learn: true there, or take likely out: due is then the run-out of the catalog"
            yield self.warn(("trigger", "likely"), "not_learned", what, fix)

    def at_share(self, place: Steps, step: Step) -> Iterator[Fault]:
        """Of a share asked of such supplies: whatever the share, it is the run-out of the catalog."""
        trigger, share = self.playbook.trigger, step.send.share
        if not isinstance(trigger, RunsOut) or share is None or share == 0.5:
            return
        final = self.final(trigger)
        if final:
            what = f"for {final} this is the run-out, as is any other share: "
            what += "learn: false in catalog.yaml leaves no spread to be known"
            fix = "write learn: true there, or count days: 3d after due"
            yield self.warn((*place, "send"), "not_learned", what, fix)

    def final(self, trigger: RunsOut) -> str:
        """The followed lines asked for of which nothing is ever learned; empty where there is none."""
        catalog, goods = self.library.catalog, trigger.runs_out
        if goods.category is None and goods.product is None:
            levels = _levels(catalog)
            return "every line" if levels and not any(level.learn for level in levels) else ""
        kinds = {"category": (goods.category, _category_learns), "product": (goods.product, _product_learns)}
        found = [
            name
            for kind, (names, learns) in kinds.items()
            for name in (names or ())
            if catalog.track in (kind, "both") and not learns(catalog, name)
        ]
        return ", ".join(found)

    def conditions(self) -> Iterator[Fault]:
        """Of conditions that can never hold, or are many."""
        yield from _doubts(self.document, ("who",), self.playbook.who)
        for number, step in enumerate(self.playbook.steps):
            yield from _doubts(self.document, ("steps", number, "when"), step.when)
        for number, stop in enumerate(self.playbook.stop_when):
            yield from _doubts(self.document, ("stop_when", number, "where"), getattr(stop, "where", None))
        for place, rule in self.rules():
            yield from _doubts(self.document, (*place, "when"), rule.when)

    def rules(self) -> Iterator[tuple[Steps, HandOver]]:
        """The rules of hand_over with their places: one alone, or a list."""
        alone = isinstance(self.document.value(("hand_over",)), dict)
        for number, rule in enumerate(self.playbook.hand_over):
            yield ("hand_over",) if alone else ("hand_over", number), rule

    def bundled(self) -> Iterator[Fault]:
        """Of several products in one message that nobody names, or that are never several."""
        steps = self.playbook.steps
        speaking = [step for step in steps if self.library.speaks_of(step, "bundle")]
        if self.playbook.bundle is None:
            for step in speaking:
                what = "the text names a bundle, which is always empty here"
                place: Steps = ("steps", steps.index(step), "message" if step.message else "template")
                yield self.warn(place, "bundle_empty", what, "write bundle: true in the playbook")
        elif not isinstance(self.playbook.trigger, RunsOut):
            what = "only what runs out is bundled"
            yield self.warn(("bundle",), "bundle_nothing", what, "take it out, or use the trigger runs_out")
        elif not speaking:
            what = "no text names the other products, so nothing is bundled"
            fix = "write {% for other in bundle %}、{{ other.product.name }}{% endfor %} into a step's text"
            yield self.warn(("bundle",), "bundle_unnamed", what, fix)

    def of_products(self) -> Iterator[Fault]:
        """Of what asks for a product where the trigger has none."""
        if isinstance(self.playbook.trigger, RunsOut | Purchased):
            return
        fix = "it belongs to runs_out and purchase"
        for place, rule in self.rules():
            if rule.price_from is not None:
                what = "the trigger names no product: there is no price, and nothing is handed over for it"
                yield self.warn((*place, "price_from"), "no_product", what, fix)
        if self.playbook.out_of_stock == "hold":
            what = "the trigger names no product that could be out of stock"
            yield self.warn(("out_of_stock",), "no_product", what, fix)

    def reached(self, place: Steps, step: Step) -> Iterator[Fault]:
        """Of a step that is never sent: `who` and `when` exclude each other, or its base is never sent."""
        base = next((one for one in self.playbook.steps if one.name == step.send.base), None)
        if base is not None and self.never(base):
            what = f"it counts from {base.name!r}, which is never sent"
            yield self.warn((*place, "send"), "never_reached", what, "count from due, or mend that step")
        elif self.never(step) and not contradiction(step.when) and not contradiction(self.playbook.who):
            what = f"nobody is in both who and when: {contradiction(self.playbook.who, step.when)}"
            yield self.warn((*place, "when"), "never_reached", what, "loosen one of them")

    def never(self, step: Step) -> bool:
        """Whether a step's conditions can never hold."""
        return bool(contradiction(self.playbook.who, step.when))

    def in_time(self, place: Steps, step: Step) -> Iterator[Fault]:
        """Of a step that may expire before a run or the end of the quiet hours."""
        if step.useful_for is None:
            return
        spot = (*place, "useful_for")
        if step.send.by_day and step.useful_for < clock.DAY:
            what = (
                f"useful for {span_text(step.useful_for)} from its moment: a run once a day may come too late"
            )
            yield self.warn(spot, "useful_for_short", what, "write 1d or more, or run smr more often")
        quiet = self.settings.policy.quiet_hours
        if quiet is not None and step.useful_for <= _length(quiet):
            what = f"useful for {span_text(step.useful_for)}: it may expire within the quiet hours"
            yield self.warn(spot, "useful_for_quiet", what, f"write more than {span_text(_length(quiet))}")
        gap = self.settings.policy.gap
        if gap is not None and step.useful_for < gap:
            what = f"useful for {span_text(step.useful_for)}: it may expire in the gap after another message"
            yield self.warn(spot, "useful_for_gap", what, f"write {span_text(gap)} or more")

    def too_early(self, place: Steps, step: Step) -> Iterator[Fault]:
        """Of a step that lies before what it counts from is known."""
        if step.send.offset >= 0:
            return
        spot = (*place, "send")
        base = self.known_late(step)
        if not base:
            return
        early, stated = -step.send.offset, self.document.value(spot)
        if self.useful(step) <= early:
            what = f"{stated} has passed when {base} is known"
            what += f", and it is useful for {span_text(self.useful(step))} only"
            yield self.warn(spot, "never_reached", what, "write after instead of before")
        else:
            what = f"{stated} has passed when {base} is known: it is sent at once, {span_text(early)} late"
            yield self.warn(spot, "before_trigger", what, "write after instead of before")

    def known_late(self, step: Step) -> str:
        """What the step counts from, if that is known only when it happens; empty otherwise."""
        if step.send.base not in ("due", "anchor"):
            return f"the step {step.send.base}"
        if isinstance(self.playbook.trigger, Purchased):
            return "the purchase"
        event = EVENTS.get(type(self.playbook.trigger))
        if event is not None:
            return event
        if isinstance(self.playbook.trigger, RunsOut) and step.send.base == "anchor":
            return "the purchase"
        if isinstance(self.playbook.trigger, OnDate) and self.playbook.trigger.date.field == "first_purchase":
            return "the purchase" if self.playbook.trigger.date.every == "once" else ""
        return ""

    def one_text_to_many(self, place: Steps, step: Step) -> Iterator[Fault]:
        """Of a text that differs per customer where staff send one text to many."""
        channels = [channel for channel in step.via if not self.settings.is_personal(channel)]
        found = _PER_CUSTOMER.search(self.library.body(step))
        if channels and found:
            what = f"{found[1]} differs per customer, but {channels[0]} sends one text to many"
            fix = "it costs one staff tap per wording: take it out, or use a personal channel"
            yield self.warn(
                (*place, "message" if step.message else "template"), "one_tap_per_wording", what, fix
            )

    def useful(self, step: Step) -> int:
        """How long a step is useful, in seconds."""
        return step.useful_for or self.settings.policy.useful_for


def _levels(catalog: Catalog) -> list[Cycle | ProductEntry]:
    """All that states how long something lasts."""
    stated = catalog.cycles
    entries = [entry for entry in stated.products.values() if entry.lasts is not None]
    return [*([stated.default] if stated.default else []), *stated.categories.values(), *entries]


def _category_learns(catalog: Catalog, name: str) -> bool:
    """Whether something may be learned of a category, or of any product that may be in it."""
    cycle = catalog.cycles.categories.get(name) or catalog.cycles.default
    if cycle is None or cycle.learn:
        return True
    entries = catalog.cycles.products.values()
    return any(one.lasts is not None and one.learn and one.category in (None, name) for one in entries)


def _product_learns(catalog: Catalog, name: str) -> bool:
    """Whether something may be learned of a product; its category may be known to the shop's data only."""
    entry = catalog.cycles.products.get(name)
    if entry is not None and (entry.lasts is not None or not entry.learn):
        return entry.learn
    stated = catalog.cycles
    if entry is not None and entry.category is not None:
        cycle = stated.categories.get(entry.category) or stated.default
        return cycle is None or cycle.learn
    levels = [*stated.categories.values(), *([stated.default] if stated.default else [])]
    return not levels or any(level.learn for level in levels)


def _length(quiet: QuietHours) -> int:
    """How long the quiet hours last, in seconds."""
    begin, end = (at.hour * 3600 + at.minute * 60 for at in (quiet.from_, quiet.to))
    return (end - begin) % clock.DAY


def _of_settings(library: Library, settings: Settings) -> Iterator[Fault]:
    """Of caps that protect nobody, and a mix that nothing balances."""
    yield from _nothing_useful(library, settings)
    for number, cap in enumerate(settings.policy.caps):
        if _per_day(cap) > MANY:
            what = f"{cap} is {_per_day(cap):.0f} messages a day"
            fix = "1 per 1d, 8 per 30d are usual"
            yield Fault(
                "config.yaml", 0, 0, f"policy → caps[{number + 1}]", "cap_range", what, fix, warning=True
            )


def _nothing_useful(library: Library, settings: Settings) -> Iterator[Fault]:
    """Of a mix that nothing can ever balance."""
    live = [playbook for playbook in library.playbooks if playbook.status == "live"]
    steps = [(playbook, step) for playbook in live for step in playbook.steps]
    if settings.policy.mix is None or not steps:
        return
    if all(playbook.content_of(step) == "selling" for playbook, step in steps):
        within = span_text(settings.policy.mix.within)
        what = f"nothing live is useful: a customer gets one selling message in {within}, and no more"
        fix = "write content: useful in the playbooks or steps that are of use whether one buys or not"
        yield Fault("config.yaml", 0, 0, "policy → mix", "mix_nothing_useful", what, fix, warning=True)


def _per_day(rate: Rate) -> float:
    return rate.count * clock.DAY / rate.span


def _of_segments(library: Library) -> Iterator[Fault]:
    """Of segments nobody can be in, and stages nobody can reach."""
    names = (name for name in ("segments.yaml", "segments.yml") if name in library.documents)
    document = next((library.documents[name] for name in names), None)
    if document is None:
        return
    for name, segment in library.segments.items():
        yield from _doubts(document, ("segments", name, "where"), segment.where)
    for name, rungs in library.ladders.items():
        for number, rung in enumerate(rungs):
            yield from _doubts(document, ("ladders", name, number, "where"), rung.where)
            yield from _hidden(document, name, rungs, number)


def _commas(document: Document) -> Iterator[Fault]:
    """Of several names that a Chinese comma makes one of, which nothing and nobody is called."""
    for path in document.values:
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        said = document.value(path)
        if key in NAMES and isinstance(said, str) and _COMMA in said:
            what = f"{said!r} is one name with a full-width {_COMMA} in it"
            fix = "write a list with ordinary commas: [one, another]"
            yield document.fault(path, "full_width_comma", what, fix, warning=True)


def _tags(library: Library, settings: Settings) -> list[str]:
    """The tags that are given here: by rule, by topic, or as those of an open complaint."""
    by_topic = [topic.tag for topic in library.topics.values() if topic.tag is not None]
    return list(dict.fromkeys([*library.tags, *by_topic, *settings.policy.complaint_tags]))


def _misspelt(document: Document, given: list[str]) -> Iterator[Fault]:
    """Of a tag that nothing gives here, and that is nearly one that something does."""
    for path in document.values:
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        said = document.value(path)
        if key != "tag" or not isinstance(said, str) or path[0] == "topics":
            continue
        if said in given or _COMMA in said:
            continue
        near = get_close_matches(said, given, n=1, cutoff=0.6)
        if near:
            what = f"no topic and no rule gives the tag {said!r}"
            fix = f"did you mean {near[0]!r}? Staff and imports may give any tag"
            yield document.fault(path, "tag_unknown", what, fix, warning=True)


def _hidden(document: Document, ladder: str, rungs: tuple[Rung, ...], number: int) -> Iterator[Fault]:
    """Of a stage that an earlier one always takes."""
    for earlier in rungs[:number]:
        where = rungs[number].where
        if earlier.where is None or (where is not None and implies(where, earlier.where)):
            what = f"nobody reaches this stage: {earlier.stage!r} stands before it and takes them all"
            place: Steps = ("ladders", ladder, number, "stage")
            fix = "put the narrower stage first"
            yield document.fault(place, "stage_never", what, fix, warning=True)
            return


def _doubts(document: Document, path: Steps, condition: Condition | None) -> Iterator[Fault]:
    """Of a condition that can never hold, or that holds very many others."""
    if condition is None:
        return
    inside = list(_inside(condition, path))
    if len(inside) > EXPENSIVE:
        what = f"{len(inside)} conditions: each run works them out for every customer"
        fix = "name many at once in a list, or make segments of them"
        yield document.fault(path, "expensive", what, fix, key=True, warning=True)
    for place, part in inside:
        why = contradiction(part)
        if why:
            yield document.fault(
                place, "never_holds", f"this can never hold: {why}", "loosen one of them", warning=True
            )
            return


def _inside(condition: Condition, path: Steps) -> Iterator[tuple[Steps, Condition]]:
    """A condition and those in it, with their paths; the inner ones first."""
    if isinstance(condition, All | AnyOf):
        key = "all" if isinstance(condition, All) else "any"
        for number, part in enumerate(condition.all if isinstance(condition, All) else condition.any):
            yield from _inside(part, (*path, key, number))
    elif isinstance(condition, Not):
        yield from _inside(condition.not_, (*path, "not"))
    yield path, condition
