"""What the catalog says of each product: its line, how long it lasts, whether purchases may say otherwise."""

from __future__ import annotations

import sqlalchemy as sa

from smr.conditions.purchases import category_of
from smr.due.catalog import EVERYTHING
from smr.playbook.model import Catalog
from smr.tables import cycles, products

KINDS = {"category": ("category",), "product": ("product",), "both": ("category", "product")}
"""Which kinds of line each `track` follows."""


def learns(catalog: Catalog) -> bool:
    """Whether purchases may say anything of any line."""
    stated = catalog.cycles
    levels = [stated.default, *stated.categories.values(), *stated.products.values()]
    return any(level is not None and level.lasts is not None and level.learn for level in levels)


def goods_of(kind: str) -> sa.Subquery:
    """Each product with its line, how long one unit and one piece of it last, who says so, and how firmly."""
    product = products.alias()
    entry, of_category, default = cycles.alias(), cycles.alias(), cycles.alias()
    category = category_of(product, entry)
    unit_lasts = sa.func.coalesce(entry.c.unit_lasts, of_category.c.unit_lasts, default.c.unit_lasts)
    basis = sa.case(
        (entry.c.unit_lasts.is_not(None), "product"),
        (of_category.c.unit_lasts.is_not(None), "category"),
        else_="default",
    )
    # Where nobody has the last word, purchases may say otherwise: the word is of whoever states the days.
    open_to_doubt = sa.and_(
        sa.func.coalesce(entry.c.learn, sa.true()),
        sa.case(
            (entry.c.unit_lasts.is_not(None), entry.c.learn),
            (of_category.c.unit_lasts.is_not(None), of_category.c.learn),
            else_=default.c.learn,
        ),
    )
    units = sa.func.coalesce(entry.c.units, product.c.units, 1.0)
    line = category if kind == "category" else product.c.product_id
    joined = (
        product.outerjoin(entry, sa.and_(entry.c.kind == "product", entry.c.line == product.c.product_id))
        .outerjoin(of_category, sa.and_(of_category.c.kind == "category", of_category.c.line == category))
        .outerjoin(default, sa.and_(default.c.kind == "default", default.c.line == EVERYTHING))
    )
    return (
        sa.select(
            product.c.product_id,
            line.label("line"),
            unit_lasts.label("unit_lasts"),
            (units * unit_lasts).label("piece_lasts"),
            basis.label("basis"),
            category.label("category"),
            open_to_doubt.label("learns"),
        )
        .select_from(joined)
        .where(unit_lasts.is_not(None), line.is_not(None))
        .subquery("goods")
    )
