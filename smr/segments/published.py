"""What definitions look up: the parts that products play, and the cuts of RFM scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.conditions import NOW, Who
from smr.conditions import model as m
from smr.conditions.scores import BEST, MEASURES, measure
from smr.currency import decimals
from smr.playbook.model import Catalog, Library
from smr.segments.instants import definitions, leaves
from smr.settings import Settings
from smr.tables import buyers, cuts, roles


def publish_roles(connection: Connection, catalog: Catalog) -> bool:
    """Make `roles` say what the catalog says; whether that changed anything."""
    wanted = sorted(
        (name, kind, line)
        for name, role in catalog.roles.items()
        for kind, lines in (("product", role.product), ("category", role.category))
        for line in lines or ()
    )
    present = sorted(tuple(row) for row in connection.execute(sa.select(*roles.c)))
    if present == wanted:
        return False
    connection.execute(sa.delete(roles))
    if wanted:
        connection.execute(sa.insert(roles), [dict(zip(roles.c.keys(), row, strict=True)) for row in wanted])
    return True


def known_cuts(connection: Connection) -> dict[tuple[str, int], int]:
    """The lower bound of each score of each measure."""
    return {(row.measure, row.score): row.value for row in connection.execute(sa.select(cuts))}


def uses_scores(library: Library) -> bool:
    """Whether any definition, or a playbook by itself, asks for a score."""
    asked = (*definitions(library), *_of_playbooks(library))
    return any(isinstance(leaf, m.Rfm) for condition in asked for leaf in leaves(condition))


def _of_playbooks(library: Library) -> Iterator[m.Part]:
    """The conditions that stand in playbooks themselves."""
    for playbook in library.playbooks:
        stops = (getattr(stop, "where", None) for stop in playbook.stop_when)
        rules = (rule.when for rule in playbook.hand_over)
        said = (playbook.who, *(step.when for step in playbook.steps), *stops, *rules)
        yield from (condition for condition in said if condition is not None)


def cut_now(connection: Connection, library: Library, settings: Settings, *, now: int) -> bool:
    """Bring the cuts up to now: those stated, and fifths that are due to be cut anew; whether any changed.

    Fifths are cut from all buyers at once, seldom (`recut`), and hold until the next time.
    """
    if not uses_scores(library):
        return False
    present = {(row.measure, row.score): row for row in connection.execute(sa.select(cuts))}
    wanted: list[dict[str, Any]] = []
    for name in MEASURES:
        stated = _stated(library, name, settings)
        if stated is not None:
            wanted += _rows(name, stated, now, 0)
        elif _is_old(present, name, now - library.rfm.recut, now):
            wanted += _fifths(connection, name, settings, now)
    fresh = [row for row in wanted if _differs(present.get((row["measure"], row["score"])), row)]
    measures = {row["measure"] for row in fresh}
    if not measures:
        return False
    connection.execute(sa.delete(cuts).where(cuts.c.measure.in_(sorted(measures))))
    connection.execute(sa.insert(cuts), [row for row in wanted if row["measure"] in measures])
    return True


def _stated(library: Library, name: str, settings: Settings) -> list[int] | None:
    stated = getattr(library.rfm, name)
    if stated is None:
        return None
    factor = 10 ** decimals(settings.shop.currency) if name == "money" else 1
    return [int(-(-value * factor // 1)) for value in stated]


def _rows(name: str, values: list[int], now: int, customers: int) -> list[dict[str, Any]]:
    return [
        {"measure": name, "score": score, "value": value, "cut_at": now, "customers": customers}
        for score, value in enumerate(values, 2)
    ]


def _is_old(present: Mapping[tuple[str, int], Any], name: str, before: int, now: int) -> bool:
    known = present.get((name, BEST))
    if known is None or not known.customers:
        return True
    return not before < int(known.cut_at.timestamp()) <= now


def _differs(known: Any, row: Mapping[str, Any]) -> bool:
    if known is None:
        return True
    stated = not row["customers"]
    return bool(known.value != row["value"] or known.customers != row["customers"]) or (
        not stated and int(known.cut_at.timestamp()) != row["cut_at"]
    )


def _fifths(connection: Connection, name: str, settings: Settings, now: int) -> list[dict[str, Any]]:
    """Cuts so that each score has a fifth of the buyers, or as nearly as equal measures allow."""
    bound = {"now": now}
    known = sa.select(sa.func.count()).select_from(buyers).where(buyers.c.last_purchased_at <= NOW)
    count = int(connection.execute(known, bound).scalar_one())
    if not count:
        return []
    values = [_at(connection, name, settings, count * part // BEST, bound) for part in range(1, BEST)]
    if name == "recency":
        values = [now - value + 1 for value in values]
    return _rows(name, values, now, count)


def _at(connection: Connection, name: str, settings: Settings, place: int, bound: dict[str, int]) -> int:
    """The measure of the buyer in that place, the lowest first."""
    found = sa.type_coerce(measure(name, Who.of(buyers), settings), sa.BigInteger)
    if name == "recency":
        found = sa.type_coerce(buyers.c.last_purchased_at, sa.BigInteger)
    measured = found.label("measured")
    ordered = sa.select(measured).where(buyers.c.last_purchased_at <= NOW)
    ordered = ordered.order_by(measured).offset(place).limit(1)
    return int(connection.execute(ordered, bound).scalar_one())


def score_counts(connection: Connection) -> Iterator[Any]:
    """The cuts, for people."""
    yield from connection.execute(sa.select(cuts).order_by(cuts.c.measure, cuts.c.score))
