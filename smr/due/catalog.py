"""The operator's catalog as rows that SQL can join: the tables `cycles` and `substitutes`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.playbook.model import Catalog
from smr.tables import cycles, substitutes

EVERYTHING = "*"
"""The line of the default cycle."""
CATALOG = "catalog"


def publish_catalog(connection: Connection, catalog: Catalog) -> bool:
    """Make `cycles` say what the catalog says; True where that changed anything."""
    wanted = sorted(rows_of(catalog), key=_key)
    columns = [
        cycles.c.kind,
        cycles.c.line,
        cycles.c.unit_lasts,
        cycles.c.learn,
        cycles.c.category,
        cycles.c.units,
    ]
    present = [dict(row) for row in connection.execute(sa.select(*columns)).mappings()]
    if sorted(present, key=_key) == wanted:
        return False
    connection.execute(sa.delete(cycles))
    if wanted:
        connection.execute(sa.insert(cycles), wanted)
    return True


def publish_substitutes(connection: Connection, catalog: Catalog) -> None:
    """Make `substitutes` say what the catalog says; those imported stay."""
    named = (substitutes.c.product_id, substitutes.c.place, substitutes.c.substitute_id)
    mine = substitutes.c.source == CATALOG
    wanted = [
        (name, place, other)
        for name, entry in sorted(catalog.cycles.products.items())
        for place, other in enumerate(entry.substitutes or (), 1)
    ]
    if [tuple(row) for row in connection.execute(sa.select(*named).where(mine).order_by(*named))] == wanted:
        return
    connection.execute(sa.delete(substitutes).where(mine))
    if wanted:
        names = ("product_id", "place", "substitute_id")
        rows = [{**dict(zip(names, row, strict=True)), "source": CATALOG} for row in wanted]
        connection.execute(sa.insert(substitutes), rows)


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["kind"], row["line"]


def rows_of(catalog: Catalog) -> list[dict[str, Any]]:
    """What the catalog says, as rows of `cycles`."""
    stated = catalog.cycles
    rows = [_row("track", catalog.track, None, False)]
    if stated.default is not None:
        rows.append(_row("default", EVERYTHING, stated.default.lasts, stated.default.learn))
    for name, cycle in stated.categories.items():
        rows.append(_row("category", name, cycle.lasts, cycle.learn))
    for name, entry in stated.products.items():
        units = float(entry.units) if "units" in entry.model_fields_set else None
        rows.append(_row("product", name, entry.lasts, entry.learn, entry.category, units))
    return rows


def _row(
    kind: str,
    line: str,
    lasts: int | None,
    learn: bool,
    category: str | None = None,
    units: float | None = None,
) -> dict[str, Any]:
    return {
        "kind": kind,
        "line": line,
        "unit_lasts": lasts,
        "learn": learn,
        "category": category,
        "units": units,
    }
