"""What the parts of a scenario say of each other and of the library: customers, orders, playbooks, times.

In: a file that is well formed. Out: faults with their places. A scenario is held to be a closed little
world: whoever and whatever is mentioned must be there, so that a slip of the pen cannot make a test pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from smr import clock
from smr.errors import Fault, did_you_mean
from smr.playbook.model import Library, Playbook
from smr.scenarios.model import Expectation, GivenRefund, Named, Scenario, ScenarioFile, clock_of, is_day
from smr.settings import Settings
from smr.strict_yaml import Document, Steps

EVERY = "*"
MOST_DAYS = 400
"""Most days a `daily` scenario spans."""


def scenario_faults(
    document: Document, read: ScenarioFile, library: Library, settings: Settings
) -> Iterator[Fault]:
    """All faults of the references in a file."""
    first: dict[str, int] = {}
    for number, scenario in enumerate(read.scenarios):
        if scenario.name in first:
            line, _ = document.place(("scenarios", first[scenario.name]))
            what = f"another scenario is called so: line {line}"
            yield document.fault(
                ("scenarios", number, "name"), "duplicate_name", what, "give each its own name"
            )
        first.setdefault(scenario.name, number)
        yield from _Checked(document, ("scenarios", number), scenario, library, settings).faults()


class _Checked:
    """One scenario under the check."""

    def __init__(
        self, document: Document, path: Steps, scenario: Scenario, library: Library, settings: Settings
    ) -> None:
        self.document = document
        self.path = path
        self.scenario = scenario
        self.given = scenario.given
        self.library = library
        self.settings = settings
        self.customers = [customer.id for customer in self.given.customers]

    def faults(self) -> Iterator[Fault]:
        yield from self.unique("customers", self.customers)
        yield from self.unique("products", [product.id for product in self.given.products])
        yield from self.playbooks()
        yield from self.channels()
        yield from self.facts()
        yield from self.refunds()
        yield from self.tags()
        yield from self.times()
        for number, expectation in enumerate(self.scenario.expect):
            yield from self.expectation(("expect", number), expectation)

    def fault(self, path: Steps, code: str, what: str, fix: str = "") -> Fault:
        return self.document.fault((*self.path, *path), code, what, fix)

    def unique(self, kind: str, ids: Sequence[str]) -> Iterator[Fault]:
        for number, name in enumerate(ids):
            if name in ids[:number]:
                path = ("given", kind, number, "id")
                yield self.fault(path, "duplicate_id", f"{name!r} is listed twice", "keep one of them")

    def playbooks(self) -> Iterator[Fault]:
        known = [playbook.name for playbook in self.library.playbooks]
        for number, name in enumerate(self.scenario.playbooks or ()):
            if name not in known:
                stated: Steps = ("playbooks",)
                several = isinstance(self.document.value((*self.path, *stated)), list)
                path = (*stated, number) if several else stated
                yield self.fault(
                    path, "unknown_playbook", f"there is no playbook {name!r}", did_you_mean(name, known)
                )

    def channels(self) -> Iterator[Fault]:
        for number, customer in enumerate(self.given.customers):
            here = ("given", "customers", number)
            yield from self.channel((*here, "addresses"), customer.addresses or ())
            yield from self.channel(
                (*here, "consents"), [name for name in customer.consents if name != EVERY]
            )
        for number, consent in enumerate(self.given.consents):
            if consent.channel != EVERY:
                yield from self.channel(("given", "consents", number, "channel"), [consent.channel])

    def channel(self, path: Steps, names: Iterable[str]) -> Iterator[Fault]:
        for name in names:
            if not self.settings.is_channel(name):
                what = f"there is no channel {name!r}"
                yield self.fault(
                    path, "unknown_channel", what, did_you_mean(name, self.settings.channel_names)
                )

    def facts(self) -> Iterator[Fault]:
        for kind in ("purchases", "refunds", "consents", "tags", "interactions"):
            for number, fact in enumerate(getattr(self.given, kind)):
                yield from self.customer(("given", kind, number, "customer"), fact.customer)

        listed = [product.id for product in self.given.products]
        for number, change in enumerate(self.given.changes):
            if change.product not in listed:
                what = f"there is no product {change.product!r} in this scenario"
                fix = did_you_mean(change.product, listed) or "list it under given: products"
                yield self.fault(("given", "changes", number, "product"), "unknown_product", what, fix)

    def customer(self, path: Steps, name: str) -> Iterator[Fault]:
        if name not in self.customers:
            fix = did_you_mean(name, self.customers) or "list it under given: customers"
            yield self.fault(path, "unknown_customer", f"there is no customer {name!r} in this scenario", fix)

    def refunds(self) -> Iterator[Fault]:
        for number, refund in enumerate(self.given.refunds):
            orders = {
                purchase.order
                for purchase in self.given.purchases
                if (purchase.customer, purchase.product) == (refund.customer, refund.product)
            }
            path: Steps = ("given", "refunds", number)
            if not orders:
                what = f"{refund.customer} bought no {refund.product} in this scenario"
                yield self.fault((*path, "product"), "refund_of_nothing", what, "list the purchase, too")
            elif refund.order is not None and refund.order not in orders:
                known = sorted(order for order in orders if order)
                what = f"{refund.customer} bought no {refund.product} in order {refund.order!r}"
                yield self.fault(
                    (*path, "order"), "refund_of_nothing", what, did_you_mean(refund.order, known)
                )
            elif refund.order is None and self.bought_often(refund):
                what = f"{refund.customer} bought {refund.product} more than once"
                yield self.fault(path, "refund_unclear", what, "say which order: of the purchase and here")

    def bought_often(self, refund: GivenRefund) -> bool:
        bought = [
            purchase
            for purchase in self.given.purchases
            if (purchase.customer, purchase.product) == (refund.customer, refund.product)
        ]
        return len(bought) > 1

    def tags(self) -> Iterator[Fault]:
        seen = {(customer.id, tag) for customer in self.given.customers for tag in customer.tags}
        for number, tag in enumerate(self.given.tags):
            path: Steps = ("given", "tags", number)
            if (tag.customer, tag.tag) in seen:
                what = f"{tag.customer} has the tag {tag.tag!r} already"
                yield self.fault(path, "duplicate_tag", what, "keep one of them")
            seen.add((tag.customer, tag.tag))
            if tag.at and tag.until and not self.instant(tag.at) < self.instant(tag.until):
                yield self.fault((*path, "until"), "time_order", "the tag ends before it begins")

    def instant(self, text: str) -> int:
        return clock.seconds(clock_of(text, self.settings.shop.tz))

    def times(self) -> Iterator[Fault]:
        before: int | None = None
        for number, expectation in enumerate(self.scenario.expect):
            path: Steps = ("expect", number, "at")
            if is_day(expectation.at) and self.scenario.daily is None:
                fix = f"write such as {expectation.at} 10:00, or say daily: 10:00 for the whole scenario"
                yield self.fault(path, "time_of_day_missing", "at what time of the day?", fix)
            at = clock.seconds(moment_of(expectation, self.scenario, self.settings))
            if before is not None and at <= before:
                what = "this is not later than the expectation before it"
                yield self.fault(path, "time_order", what, "list expectations by time, one for each moment")
            before = at
        if self.scenario.daily is not None and self.days() > MOST_DAYS:
            what = f"a run on each of {self.days()} days; at most {MOST_DAYS}"
            yield self.fault(("daily",), "too_many_days", what, "shorten the story, or take daily out")

    def days(self) -> int:
        ends = (self.scenario.expect[0], self.scenario.expect[-1])
        first, last = (
            clock.local_day(moment_of(end, self.scenario, self.settings), self.settings.shop.tz)
            for end in ends
        )
        return (last - first) // timedelta(days=1) + 1

    def expectation(self, here: Steps, expectation: Expectation) -> Iterator[Fault]:
        for kind in ("messages", "waiting", "blocked", "held_out"):
            for number, one in enumerate(getattr(expectation, kind) or ()):
                path = (*here, kind, number)
                yield from self.customer((*path, "customer"), one.customer)
                yield from self.step(path, one)
                channel = getattr(one, "channel", None)
                if channel is not None:
                    yield from self.channel((*path, "channel"), [channel])

    def step(self, path: Steps, one: Named) -> Iterator[Fault]:
        running = live_playbooks(self.scenario, self.library)
        named = [playbook for playbook in running if one.playbook in (None, playbook.name)]
        if not named:
            yield self.no_playbook((*path, "playbook"), str(one.playbook), running)
            return
        steps = sorted({step.name for playbook in named for step in playbook.steps})
        if one.step not in steps:
            whose = f"the playbook {one.playbook!r}" if one.playbook else "no live playbook"
            what = f"{whose} has {'no' if one.playbook else 'a'} step {one.step!r}"
            yield self.fault((*path, "step"), "unknown_step", what, did_you_mean(one.step, steps))

    def no_playbook(self, path: Steps, name: str, running: Sequence[Playbook]) -> Fault:
        every = [playbook.name for playbook in self.library.playbooks]
        if name in every:
            what = f"the playbook {name!r} is not live in this scenario"
            return self.fault(path, "not_live", what, "name it under playbooks: of the scenario")
        known = [playbook.name for playbook in running]
        return self.fault(
            path, "unknown_playbook", f"there is no playbook {name!r}", did_you_mean(name, known)
        )


def moment_of(expectation: Expectation, scenario: Scenario, settings: Settings) -> datetime:
    """The instant of an expectation; a day alone is the time of `daily` on it."""
    text = expectation.at
    if is_day(text) and scenario.daily is not None:
        text = f"{text} {scenario.daily:%H:%M}"
    return clock_of(text, settings.shop.tz)


def live_playbooks(scenario: Scenario, library: Library) -> tuple[Playbook, ...]:
    """The playbooks that are live in a scenario, as live ones; drafts only where they are named."""
    if scenario.playbooks is None:
        return tuple(playbook for playbook in library.playbooks if playbook.status == "live")
    return tuple(
        playbook.model_copy(update={"status": "live"})
        for playbook in library.playbooks
        if playbook.name in scenario.playbooks
    )
