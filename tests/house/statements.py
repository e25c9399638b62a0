"""The lint of statements: whether a statement could run on a database spread over machines by bucket.

    with recorded(database) as seen:
        run(database, library, settings, now=NOW)
    assert faults_of(seen) == []

In: SQLAlchemy Core trees. Out: sentences, one per fault. A table counts as customer-owned when it has the
columns `bucket` and `customer_id`, scratch tables included; a subquery when it reads one.

The rules: joins, EXISTS and subqueries between customer-owned tables equate bucket and customer_id (or both
sides are pinned to buckets); INSERT…SELECT projects both plainly and carries ON CONFLICT; no WITH; nothing
volatile; windows, GROUP BY, DISTINCT and LIMIT of a writing statement stay within one customer; row locks
name their bucket; no NOT IN (SELECT); a row's bucket and customer are never changed.

A step over the whole shop that is meant so (a campaign's cap) says it: `.execution_options(whole_shop=WHY)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ClauseElement,
    ColumnElement,
    Grouping,
    Label,
    Null,
    Over,
    Tuple,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import (
    CTE,
    CompoundSelect,
    FromClause,
    Join,
    Lateral,
    Select,
    SelectBase,
    Subquery,
    TableValuedAlias,
)

from smr import tables
from smr.database import Database
from smr.database.given import GIVEN

OWNER = ("bucket", "customer_id")
VOLATILE = re.compile(
    "random|randomblob|gen_random_uuid|uuid.*|now|(current|local)_?(time|date|timestamp).*|clock_timestamp"
    "|statement_timestamp|timeofday|nextval|setval|last_insert_rowid|changes"
)
SPREADING = frozenset(("grouping_sets", "rollup", "cube", "concat"))
Node = int
"""A FROM element, by its identity."""
Edge = tuple[str, Node, Node]
"""An equation of a role (bucket, customer_id) between two FROM elements."""


@contextmanager
def recorded(database: Database) -> Iterator[list[ClauseElement]]:
    """All statements executed on the database while the block runs, as Core trees, each once."""
    seen: dict[Any, ClauseElement] = {}

    def note(_connection: Any, statement: Any, *_: Any) -> None:
        if isinstance(statement, ClauseElement):
            shape = statement._generate_cache_key()
            text = str(statement.compile(dialect=database.engine.dialect)) if shape is None else shape.key
            seen.setdefault(text, statement)

    statements: list[ClauseElement] = []
    sa.event.listen(database.engine, "before_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(database.engine, "before_execute", note)
        statements.extend(seen.values())


def faults_of(statements: Iterable[ClauseElement]) -> list[str]:
    """The faults of many statements, each with the statement it is in."""
    return [f"{fault}\n    in: {statement}" for statement in statements for fault in lint(statement)]


def lint(statement: Any) -> list[str]:
    """What is wrong with one statement; empty for a good one and for what is not a statement on rows."""
    if isinstance(statement, sa.TextClause):
        return ["a statement is raw text"]
    if not isinstance(statement, SelectBase | sa.Insert | sa.Update | sa.Delete):
        return []
    found = _Lint(whole_shop="whole_shop" in getattr(statement, "_execution_options", {}))
    found.statement(statement)
    return sorted(set(found.faults))


@dataclass
class Scope:
    """What a SELECT (or the statement round it) reads, and which equations hold between it."""

    sources: list[FromClause]
    edges: list[Edge] = field(default_factory=list)
    pinned: set[Node] = field(default_factory=set)
    parent: Scope | None = None

    def visible(self) -> list[FromClause]:
        """Its sources and those of the statements round it."""
        return self.sources + (self.parent.visible() if self.parent else [])

    def equations(self) -> list[Edge]:
        """Its equations and those of the statements round it."""
        return self.edges + (self.parent.equations() if self.parent else [])

    def owned(self) -> list[FromClause]:
        """Its sources that are customer-owned."""
        return [source for source in self.sources if _is_owned(source)]

    def is_pinned(self) -> bool:
        """Whether each of its customer-owned sources is held to named buckets."""
        return all(hash(source) in self.pinned for source in self.owned())


@dataclass
class _Lint:
    faults: list[str] = field(default_factory=list)
    writes: bool = False
    whole_shop: bool = False

    def statement(self, statement: Any) -> None:
        self._functions(statement)
        if isinstance(statement, sa.Insert):
            self._insert(statement)
        elif isinstance(statement, sa.Update | sa.Delete):
            self._change(statement)
        else:
            self._query(statement, None, inner=False)

    def _insert(self, statement: sa.Insert) -> None:
        target: Any = statement.table
        kept = target.metadata is tables.metadata
        conflict = statement._post_values_clause
        if conflict is not None:
            self._unmoved(target, dict(getattr(conflict, "update_values_to_set", None) or ()))
        if statement.select is None:
            return
        self.writes = kept and _is_owned(target)
        if kept and conflict is None:
            self.faults.append(f"INSERT INTO {target.name} SELECT has no ON CONFLICT")
        if self.writes:
            self._projection(statement)
        self._query(statement.select, None, inner=False)

    def _projection(self, statement: sa.Insert) -> None:
        into = f"INSERT INTO {_name(statement.table)} SELECT"
        names = [getattr(name, "name", name) for name in statement._select_names or ()]
        for select in _branches(statement.select):
            for name, column in zip(names, select.selected_columns, strict=False):
                if name in OWNER and _role(column) != name:
                    self.faults.append(f"{into} does not project {name} plainly")
        self.faults += [f"{into} gives no {name}" for name in OWNER if name not in names]

    def _change(self, statement: Any) -> None:
        target = statement.table
        self.writes = _is_owned(target) and target.metadata is tables.metadata
        expressions = [*statement._where_criteria]
        if isinstance(statement, sa.Update):
            values: dict[Any, Any] = dict(statement._values or {})
            self._unmoved(target, values)
            expressions += [value for value in values.values() if isinstance(value, ClauseElement)]
        sources = _distinct([target, *(one for each in expressions for one in _tables_in(each))])
        scope = Scope(sources)
        self._conditions(scope, statement._where_criteria)
        self._linked(scope, inner=False)
        self._from_subqueries(scope)
        self._subqueries(scope, expressions)

    def _unmoved(self, target: Any, columns: Iterable[Any]) -> None:
        for name in (getattr(column, "name", column) for column in columns):
            if _is_owned(target) and name in OWNER:
                self.faults.append(f"{target.name}.{name} is changed")

    def _query(self, query: Any, parent: Scope | None, *, inner: bool, edges: Iterable[Edge] = ()) -> None:
        for select in _branches(query):
            self._select(select, parent, inner=inner, edges=edges)

    def _select(self, select: Any, parent: Scope | None, *, inner: bool, edges: Iterable[Edge]) -> None:
        around = {hash(source) for source in (parent.visible() if parent else ())}
        joined = [join.onclause for join in _joins(_froms(select)) if join.onclause is not None]
        every = list(_sources(select))
        own = [leaf for leaf in every if hash(leaf) not in around]
        scope = Scope(own or every, list(edges), parent=parent)
        conditions = [*select._where_criteria, *joined]
        self._conditions(scope, conditions)
        linked = self._linked(scope, inner=inner)
        expressions = [*select._raw_columns, *conditions, *select._having_criteria, *select._order_by_clauses]
        expressions += [*select._group_by_clauses]
        if self.writes and not self.whole_shop and scope.owned() and not (inner and linked):
            self._within_one_customer(select, scope, expressions)
        self._locks(select, scope)
        self._from_subqueries(scope)
        self._subqueries(scope, [one for one in expressions if not isinstance(one, FromClause)])

    def _conditions(self, scope: Scope, conditions: Iterable[Any]) -> None:
        for condition in conditions:
            for part in _conjuncts(condition):
                scope.edges += _equations(part)
                scope.pinned |= _pins(part)

    def _linked(self, scope: Scope, *, inner: bool) -> bool:
        """Whether all customer-owned sources are one customer's; outer ones too, for an inner query."""
        owned = scope.owned()
        outer = _nearest_owned(scope.parent) if inner else None
        if outer is not None and scope.is_pinned() and outer.is_pinned():
            outer = None
        wanted = owned + (outer.owned()[:1] if outer else [])
        for name in OWNER:
            groups = _components([hash(one) for one in wanted], name, scope.equations())
            if len(groups) > 1 and not self.whole_shop:
                names = ", ".join(sorted({_name(one) for one in wanted}))
                self.faults.append(f"{names} are not joined on {name}")
        return outer is not None

    def _within_one_customer(self, select: Any, scope: Scope, expressions: list[Any]) -> None:
        if select._group_by_clauses and not _has_owner(select._group_by_clauses):
            self.faults.append("GROUP BY leaves out bucket or customer_id")
        if select._distinct and not _has_owner(select._distinct_on or list(select.selected_columns)):
            self.faults.append("DISTINCT leaves out bucket or customer_id")
        if select._limit_clause is not None and not scope.is_pinned():
            self.faults.append("LIMIT over all customers")
        for window in (one for each in expressions for one in _inside(each) if isinstance(one, Over)):
            if not _has_owner(list(window.partition_by) if window.partition_by is not None else []):
                self.faults.append("a window is not partitioned by bucket, customer_id")

    def _locks(self, select: Any, scope: Scope) -> None:
        if select._for_update_arg is None:
            return
        surrounding = scope.parent
        if not scope.is_pinned():
            self.faults.append("FOR UPDATE does not name its bucket")
        if surrounding is not None and not surrounding.is_pinned():
            self.faults.append("the statement round a FOR UPDATE does not name its bucket")

    def _from_subqueries(self, scope: Scope) -> None:
        for source in scope.sources:
            while not isinstance(source, Subquery) and isinstance(source, sa.Alias):
                source = source.element
            if isinstance(source, CTE):
                self.faults.append("WITH: a common table expression")
            elif isinstance(source, Lateral):
                self._query(source.element, scope, inner=True)
            elif isinstance(source, Subquery):
                self._typed(source)
                self._query(source.element, None, inner=False)

    def _typed(self, source: Subquery) -> None:
        for select in _branches(source.element):
            if any(isinstance(_plain(column), Null) for column in select.selected_columns):
                self.faults.append("a subquery projects NULL without a type")

    def _subqueries(self, scope: Scope, expressions: Iterable[Any]) -> None:
        for expression in expressions:
            for one in _inside(expression):
                if isinstance(one, SelectBase):
                    self._query(one, scope, inner=True, edges=_membership(expression, one))
                if isinstance(one, BinaryExpression) and one.operator is operators.not_in_op:
                    self._not_in(one)

    def _not_in(self, condition: BinaryExpression[Any]) -> None:
        if any(isinstance(one, SelectBase) for one in _inside(condition.right)):
            self.faults.append("NOT IN (SELECT …)")

    def _functions(self, statement: Any) -> None:
        for one in sa.sql.visitors.iterate(statement):
            if isinstance(one, CTE):
                self.faults.append("WITH: a common table expression")
            name = str(getattr(one, "name", "")).lower() if isinstance(one, FunctionElement) else ""
            if VOLATILE.fullmatch(name) or (name == "database_now" and _is_rule(statement)):
                self.faults.append(f"{name}() is volatile")
            if name in SPREADING:
                self.faults.append(f"{name}() is not for rules")


def _is_rule(statement: Any) -> bool:
    return isinstance(statement, sa.Insert) and statement.select is not None and _is_owned(statement.table)


def _branches(query: Any) -> Iterator[Any]:
    """The SELECTs of a query: itself, or the parts of a UNION."""
    if isinstance(query, CompoundSelect):
        for part in query.selects:
            yield from _branches(part)
    elif isinstance(query, Select):
        yield query
    elif hasattr(query, "element"):
        yield from _branches(query.element)


def _leaves(source: FromClause) -> Iterator[FromClause]:
    if isinstance(source, Join):
        yield from _leaves(source.left)
        yield from _leaves(source.right)
    else:
        yield source


def _joins(sources: Iterable[FromClause]) -> Iterator[Join]:
    for source in sources:
        if isinstance(source, Join):
            yield source
            yield from _joins((source.left, source.right))


def _inside(expression: Any) -> Iterator[Any]:
    """An expression and its parts, stopping at each SELECT in it."""
    yield expression
    if not isinstance(expression, SelectBase | FromClause):
        for child in expression.get_children():
            yield from _inside(child)


def _tables_in(expression: Any) -> Iterator[Any]:
    for one in _inside(expression):
        if isinstance(one, sa.ColumnClause) and one.table is not None and _name(one.table) != "excluded":
            yield one.table


def _distinct(sources: Iterable[Any]) -> list[Any]:
    return list({hash(source): source for source in sources}.values())


def _is_owned(source: Any) -> bool:
    """Whether rows of that source belong to customers."""
    if isinstance(source, sa.Table):
        return all(name in source.c for name in OWNER)
    if isinstance(source, Subquery | CTE):
        return any(_is_owned(leaf) for part in _branches(source.element) for leaf in _sources(part))
    if isinstance(source, sa.Alias):
        return _is_owned(source.element)
    return False


_known_froms: WeakKeyDictionary[Any, list[FromClause]] = WeakKeyDictionary()


def _froms(select: Any) -> list[FromClause]:
    """What a SELECT reads; SQLAlchemy finds that by compiling it, so each is asked once."""
    if select not in _known_froms:
        _known_froms[select] = list(select.get_final_froms())
    return _known_froms[select]


def _sources(select: Any) -> Iterator[FromClause]:
    for source in _froms(select):
        yield from _leaves(source)


def _plain(expression: Any) -> Any:
    while isinstance(expression, Label | Grouping):
        expression = expression.element
    return expression


def _role(expression: Any) -> str | None:
    """`bucket` or `customer_id` where the expression is that column of a customer-owned source, untouched.

    Rows that are handed in (VALUES, arrays, one text) carry their owner as well.
    """
    column = _plain(expression)
    if not isinstance(column, sa.ColumnClause) or column.table is None:
        return None
    source: Any = column.table
    if isinstance(source, TableValuedAlias | sa.Values):
        return column.name if column.name in OWNER else None
    if _is_one_text(source):
        return column.name if column.name in OWNER else None
    while isinstance(source, sa.Alias) and not isinstance(source, Subquery | CTE):
        source = source.element
    if isinstance(source, sa.Table):
        return column.name if column.name in OWNER and _is_owned(source) else None
    if isinstance(source, Subquery | CTE):
        roles = {_role(part.selected_columns.get(column.key)) for part in _branches(source.element)}
        return roles.pop() if len(roles) == 1 else None
    return None


def _has_owner(expressions: Iterable[Any]) -> bool:
    return {_role(one) for one in expressions} >= set(OWNER)


def _conjuncts(condition: Any) -> Iterator[Any]:
    """The parts that all must hold."""
    condition = _plain(condition)
    if isinstance(condition, BooleanClauseList) and condition.operator is operators.and_:
        for part in condition.clauses:
            yield from _conjuncts(part)
    else:
        yield condition


def _equations(part: Any) -> list[Edge]:
    if not isinstance(part, BinaryExpression) or part.operator is not operators.eq:
        return []
    return _paired(_columns(part.left), _columns(part.right))


def _columns(side: Any) -> list[Any]:
    side = _plain(side)
    return list(side.clauses) if isinstance(side, Tuple) else [side]


def _paired(left: Iterable[Any], right: Iterable[Any]) -> list[Edge]:
    return [
        (role, hash(_plain(one).table), hash(_plain(other).table))
        for one, other in zip(left, right, strict=False)
        if (role := _role(one)) is not None and role == _role(other)
    ]


def _membership(expression: Any, query: SelectBase) -> list[Edge]:
    """The equations that `(bucket, customer_id) IN (SELECT …)` stands for."""
    for one in _inside(expression):
        if isinstance(one, BinaryExpression) and one.operator is operators.in_op:
            for select in _branches(one.right):
                if any(select is branch for branch in _branches(query)):
                    return _paired(_columns(one.left), list(select.selected_columns))
    return []


def _pins(part: Any) -> set[Node]:
    """The sources that a condition holds to named buckets: `bucket = :b`, `IN (:b, …)`, `= ANY(:b)`; or
    `:anywhere OR bucket = ANY(:b)`, where all partitions have some of many.
    """
    if isinstance(part, BooleanClauseList) and part.operator is operators.or_:
        named = [one for one in part.clauses if not _is_given(one)]
        return _pins(_plain(named[0])) if len(named) == 1 else set()
    if not isinstance(part, BinaryExpression) or part.operator not in (operators.eq, operators.in_op):
        return set()
    for side, other in ((part.left, part.right), (part.right, part.left)):
        if _role(side) == "bucket" and (_is_given(other) or _is_one_text(getattr(other, "table", None))):
            return {hash(_plain(side).table)}
    return set()


def _is_one_text(source: Any) -> bool:
    """Whether these are rows handed in as one text, as they are on SQLite, which has no machines to name."""
    return isinstance(source, Subquery) and source.name == GIVEN


def _is_given(expression: Any) -> bool:
    inside = [one for one in _inside(expression) if isinstance(one, ColumnElement)]
    return any(isinstance(one, BindParameter) for one in inside) and not any(
        isinstance(one, sa.ColumnClause | SelectBase) for one in inside
    )


def _nearest_owned(scope: Scope | None) -> Scope | None:
    while scope is not None and not scope.owned():
        scope = scope.parent
    return scope


def _components(nodes: list[Node], role: str, edges: Iterable[Edge]) -> set[Node]:
    """How many groups the nodes fall into, by the equations of one role: one representative of each."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while parent.get(node, node) != node:
            node = parent[node]
        return node

    for name, one, other in edges:
        if name == role:
            parent[root(one)] = root(other)
    return {root(node) for node in nodes}


def _name(source: Any) -> str:
    return str(getattr(source, "name", None) or "a subquery")
