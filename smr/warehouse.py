"""A playbook's due rule as one SELECT for history that lives elsewhere: in a lake, in a warehouse.

In: a playbook, an instant, a dialect. Out: SQL that reads tables `customers`, `products`, `purchases` and
`refunds`, with the columns that smr imports, and gives the candidates that `smr candidates import` takes.
It is the very statement a run executes: derived tables become subqueries over the facts (supplies by the
stated rule), the catalog becomes rows in the text, and sqlglot writes it as the other database wants it.
What follows from smr's own records (segments, messages sent, learned cycles) no warehouse can know: refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from smr import clock
from smr.due import candidates_of, stated_supplies
from smr.due.catalog import rows_of
from smr.due.forecasts import asked_by
from smr.due.goods import KINDS
from smr.errors import OperatorError, StateError
from smr.playbook.model import (
    Catalog,
    Cycle,
    Library,
    Playbook,
    ProductEntry,
    RunsOut,
    Step,
    Trigger,
)
from smr.settings import Settings
from smr.tables import candidates, cycles

GIVEN = (
    "playbook",
    "step",
    "customer_id",
    "anchor",
    "anchor_at",
    "kind",
    "line",
    "order_id",
    "product_id",
    "quantity",
    "runs_out_at",
    "due_at",
)
"""The columns of the result; times are whole seconds since 1970."""

DIALECTS = {"duckdb": "duckdb", "postgresql": "postgres", "spark": "spark"}
"""Our names of the databases, and sqlglot's."""

SECONDS = {
    "duckdb": "CAST(epoch({0}) AS BIGINT)",
    "postgresql": "CAST(extract(epoch FROM {0}) AS BIGINT)",
    "spark": "unix_timestamp({0})",
}
"""A timestamp as whole seconds since 1970."""

KEYS = frozenset({"customer_id", "product_id", "order_id", "refund_id", "category", "kind"})
"""Text that smr compares byte by byte."""
FACTS = {
    "customers": (
        *("customer_id", "name", "gender", "birthday", "zone", "locale", "staff_id", "store_id"),
        "attributes",
    ),
    "products": ("product_id", "category", "units"),
    "purchases": (
        *("customer_id", "order_id", "product_id", "line_no", "purchased_at", "delivered_at", "quantity"),
        *("kind", "amount", "currency"),
    ),
    "refunds": (
        *("customer_id", "order_id", "product_id", "line_no", "refunded_at", "refund_id", "quantity"),
        "amount",
    ),
}
"""The tables of a warehouse that a due rule may read, and their columns; those called …_at are times."""

OURS = "smr_"


@dataclass(frozen=True)
class Export:
    """What is exported: of which playbook, at what instant, for which dialect, from which schema's tables."""

    playbook: Playbook
    library: Library
    settings: Settings
    now: datetime
    dialect: str
    schema: str = ""
    stated: bool = False

    def sql(self) -> str:
        """The SELECT, with a comment on what it is. Raises OperatorError for what no warehouse can know."""
        sqlglot = _sqlglot()
        steps, left = _steps(self.playbook)
        if not steps:
            raise OperatorError(
                f"playbook {self.playbook.name}: all its steps count from messages; only smr knows those"
            )
        for step in steps:
            self._refuse_learned_days(step)
        found = list(self._selects(steps)) or [self._text(_nobody(), {})]
        tree = sqlglot.parse_one("\nUNION ALL\n".join(found), read="postgres")
        body = tree.transform(_folded).transform(_without_frame)
        text = self._with_tables(sqlglot, body)
        return "\n".join((*self._comment(left), text)) + "\n"

    def _selects(self, steps: list[Step]) -> Iterator[str]:
        """One SELECT after the other, each as text: their values have the same names."""
        for step in steps:
            for one in candidates_of(self.playbook, step, self.library, self.settings, self.now):
                found = one.select.subquery("found")
                yield self._text(sa.select(*(found.c[name] for name in GIVEN)), one.bound)

    def _text(self, statement: Any, bound: Mapping[str, Any]) -> str:
        """A statement as PostgreSQL reads it, with its values; collations are the tables' own affair."""
        known = statement.params(now=clock.seconds(self.now), run=0, low=0, high=0, **bound)
        dialect = PGDialect()  # type: ignore[no-untyped-call]
        text = str(known.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        return text.replace(' COLLATE "C"', "")

    def _refuse_learned_days(self, step: Step) -> None:
        if asked_by(self.playbook, step) is not None:
            raise OperatorError(
                f"playbook {self.playbook.name}, step {step.name}: `likely` and `due at` count on what smr "
                "learns of each line; a warehouse knows the stated days alone. Let the step count from due, "
                "or keep this playbook in smr"
            )

    def _refuse_learned_supplies(self) -> None:
        cycles_asked = _cycles(self.library.catalog, self.playbook.trigger)
        if not self.stated and any(cycle.learn for cycle in cycles_asked):
            raise OperatorError(
                f"playbook {self.playbook.name}: smr learns how long its lines last, and a warehouse cannot "
                "know that. Write learn: false in catalog.yaml, or export the stated days with --stated"
            )

    def _comment(self, left: list[Step]) -> list[str]:
        at = f"{self.now:%Y-%m-%dT%H:%M:%SZ}"
        lines = [
            f"-- {self.playbook.name}: who is due at {at}; take the result in with smr candidates import"
        ]
        return lines + [
            f"-- step {one.name} counts from {one.send.base}: smr finds it by itself" for one in left
        ]

    def _with_tables(self, sqlglot: ModuleType, body: Any) -> str:
        """The statement with its tables before it, each from the facts it needs."""
        made: dict[str, Any] = {}
        wanted = _tables(body)
        while wanted:
            name = wanted.pop()
            if name not in made:
                made[name] = None if name in FACTS else self._table(sqlglot, name)
                wanted |= set() if name in FACTS else _tables(made[name])
        derived = [body, *(tree for tree in made.values() if tree is not None)]
        columns = {one.name for tree in derived for one in tree.find_all(sqlglot.exp.Column)}
        order = [name for name in (*FACTS, "cycles", "buyers", "supplies") if name in made]
        for tree in derived:
            for table in tree.find_all(sqlglot.exp.Table):
                # The column is qualified by the table's name where it has no other.
                table.set("alias", table.args.get("alias") or sqlglot.exp.TableAlias(this=table.this.copy()))
                table.set("this", sqlglot.exp.to_identifier(OURS + table.name))
        for name in order:
            facts = made[name] is None
            source = (
                sqlglot.parse_one(self._facts(name, columns), read=DIALECTS[self.dialect]) if facts else None
            )
            body = body.with_(OURS + name, as_=source or made[name])
        text: str = body.sql(dialect=DIALECTS[self.dialect], pretty=True)
        return text

    def _table(self, sqlglot: ModuleType, name: str) -> Any:
        if name == "cycles":
            return sqlglot.parse_one(self._text(_catalog_rows(self.library.catalog), {}), read="postgres")
        if name == "supplies":
            self._refuse_learned_supplies()
            kinds = KINDS[self.library.catalog.track]
            text = self._text(sa.union_all(*map(stated_supplies, kinds)), {})
            found = sqlglot.parse_one(text, read="postgres")
            return found.transform(_folded).transform(_without_frame)
        if name == "buyers":
            return sqlglot.parse_one(_BUYERS.format(now=clock.seconds(self.now)), read="postgres")
        raise OperatorError(
            f"playbook {self.playbook.name} asks of {name}, which only smr knows: its rule cannot be given "
            "to a warehouse. Known there are customers, products, purchases and refunds"
        )

    def _facts(self, name: str, columns: Iterable[str]) -> str:
        """One table of facts as smr reads it: times in seconds, keys in the order of their bytes."""
        chosen = [f"{self._column(one)} AS {one}" for one in FACTS[name] if one in columns]
        source = f"{self.schema}.{name}" if self.schema else name
        if name != "purchases" or "kept" not in columns:
            return f"SELECT 0 AS bucket, {', '.join(chosen)} FROM {source} AS fact"  # noqa: S608 - checked names
        refunds = f"{self.schema}.refunds" if self.schema else "refunds"
        back = SECONDS[self.dialect].format("back.refunded_at")
        return _PURCHASES.format(
            columns=", ".join(chosen), source=source, refunds=refunds, back=back, now=clock.seconds(self.now)
        )

    def _column(self, name: str) -> str:
        if name.endswith("_at"):
            return SECONDS[self.dialect].format(f"fact.{name}")
        bytewise = ' COLLATE "C"' if self.dialect == "postgresql" and name in KEYS else ""
        return f"fact.{name}{bytewise}"


_PURCHASES = """
SELECT 0 AS bucket, {columns},
  CASE WHEN taken.quantity IS NULL AND taken.whole IS NULL THEN fact.quantity
       WHEN fact.quantity > COALESCE(taken.quantity, 0) + COALESCE(taken.whole, 0) * fact.quantity
       THEN fact.quantity - COALESCE(taken.quantity, 0) - COALESCE(taken.whole, 0) * fact.quantity
       ELSE 0 END AS kept
FROM {source} AS fact
LEFT JOIN (
  SELECT back.customer_id, back.order_id, back.product_id, back.line_no, SUM(back.quantity) AS quantity,
    SUM(CASE WHEN back.quantity IS NULL THEN 1 ELSE 0 END) AS whole
  FROM {refunds} AS back WHERE {back} <= {now}
  GROUP BY back.customer_id, back.order_id, back.product_id, back.line_no
) AS taken
ON taken.customer_id = fact.customer_id AND taken.order_id = fact.order_id
  AND taken.product_id = fact.product_id AND taken.line_no = fact.line_no
"""
"""Purchases with what the customer kept of each; a refund without a quantity takes the whole line back."""

_BUYERS = """
SELECT bought.bucket, bought.customer_id, MIN(bought.purchased_at) AS first_purchased_at,
  MAX(bought.purchased_at) AS last_purchased_at
FROM purchases AS bought
WHERE bought.purchased_at <= {now} AND bought.kept > 0 AND (bought.kind IS NULL OR bought.kind = 'sale')
GROUP BY bought.bucket, bought.customer_id
"""


def _sqlglot() -> ModuleType:
    try:
        import sqlglot
    except ImportError:
        raise StateError(
            "writing SQL for another database needs an extra package: pip install 'smr[warehouse]'"
        ) from None
    return sqlglot


def _steps(playbook: Playbook) -> tuple[list[Step], list[Step]]:
    """The steps that a warehouse can find, and those that count from a message of an earlier step."""
    of_trigger = [step for step in playbook.steps if step.send.base in ("due", "anchor")]
    return of_trigger, [step for step in playbook.steps if step not in of_trigger]


def _cycles(catalog: Catalog, trigger: Trigger) -> Iterator[Cycle | ProductEntry]:
    """What the catalog says of the lines that a trigger names; of all lines, where it names none."""
    stated, named = catalog.cycles, trigger.runs_out.category if isinstance(trigger, RunsOut) else None
    found: list[Cycle | ProductEntry | None] = [
        stated.categories.get(name, stated.default) for name in named or (*stated.categories, "")
    ]
    found += stated.products.values()
    yield from (cycle for cycle in found if cycle is not None and cycle.lasts is not None)


def _nobody() -> Any:
    """No row: at that time the playbook makes nobody due."""
    given = (sa.cast(sa.null(), candidates.c[name].type).label(name) for name in GIVEN)
    return sa.select(*given).where(sa.false())


def _catalog_rows(catalog: Catalog) -> Any:
    rows = [
        sa.select(
            *(
                sa.cast(sa.literal(row[column.name], column.type), column.type).label(column.name)
                for column in cycles.c
            )
        )
        for row in rows_of(catalog)
    ]
    return sa.union_all(*rows)


def _tables(tree: Any) -> set[str]:
    from sqlglot import exp

    return {table.name for table in tree.find_all(exp.Table)}


def _folded(node: Any) -> Any:
    """What a line's customer kept, read from the line instead of asked of the refunds for each."""
    from sqlglot import exp

    if isinstance(node, exp.Case):
        line = _line_without_refunds(node.args["ifs"][0].this)
        return node if line is None else exp.column("kept", table=line)
    if isinstance(node, exp.Or):
        line = _line_without_refunds(node.this)
        return (
            node
            if line is None
            else exp.GT(this=exp.column("kept", table=line), expression=exp.Literal.number(0))
        )
    return node


def _line_without_refunds(node: Any) -> str | None:
    """The line's name in `NOT EXISTS (… refunds AS any_back …)`."""
    from sqlglot import exp

    node = node.unnest()
    if not isinstance(node, exp.Not):
        return None
    asked = node.this.unnest()
    if not isinstance(asked, exp.Exists) or "any_back" not in {
        one.alias for one in asked.find_all(exp.Table)
    }:
        return None
    names = {column.table for column in asked.find_all(exp.Column)} - {"any_back"}
    return names.pop() if len(names) == 1 else None


def _without_frame(node: Any) -> Any:
    """`lead` looks past every frame; Spark refuses one."""
    from sqlglot import exp

    if isinstance(node, exp.Window) and isinstance(node.this, exp.Lead):
        node.set("spec", None)
    return node


def steps_of(library: Library) -> dict[str, tuple[str, ...]]:
    """By playbook: the steps that a warehouse can find."""
    return {playbook.name: tuple(step.name for step in _steps(playbook)[0]) for playbook in library.playbooks}
