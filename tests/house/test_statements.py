"""The lint of statements catches every bad shape it is there for, and lets the good ones pass."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from smr.database import Database, insert_missing, insert_or_update
from smr.database.timing import database_now
from smr.tables import buyers, candidates, customers, messages, products, purchases, refunds, tags
from tests.house.statements import lint, recorded


def _same(one: Any, other: Any) -> Any:
    return sa.and_(one.c.bucket == other.c.bucket, one.c.customer_id == other.c.customer_id)


def _into_buyers(select: Any) -> Any:
    names = ["bucket", "customer_id", "first_purchased_at", "last_purchased_at"]
    return insert_missing("sqlite", buyers, columns=names, select=select)


def _bought() -> Any:
    times = (sa.func.count(), sa.func.min(purchases.c.purchased_at), sa.func.max(purchases.c.purchased_at))
    owner = (purchases.c.bucket, purchases.c.customer_id)
    return sa.select(*owner, *times).where(sa.true()).group_by(*owner)


def _tagged(where: Any) -> Any:
    return sa.select(sa.literal(1)).select_from(tags).where(where)


def _some_or_any(bucket: Any) -> Any:
    some = sa.bindparam("some", type_=ARRAY(sa.SmallInteger))
    return sa.or_(sa.bindparam("anywhere", type_=sa.Boolean()), bucket == sa.any_(some))


def _claim(inner: Any, outer: Any) -> Any:
    due = sa.select(messages.c.message_id).where(messages.c.state == "queued", inner)
    due = due.limit(10).with_for_update(skip_locked=True)
    return sa.update(messages).values(state="claimed").where(outer, messages.c.message_id.in_(due))


ranked = sa.select(
    purchases.c.bucket,
    purchases.c.customer_id,
    sa.func.row_number()
    .over(partition_by=[purchases.c.bucket, purchases.c.customer_id], order_by=purchases.c.line_no)
    .label("nth"),
).subquery()
others = purchases.alias("others")
either = sa.union_all(
    sa.select(purchases.c.bucket, purchases.c.customer_id), sa.select(refunds.c.bucket, refunds.c.customer_id)
).subquery()
given = sa.func.unnest(sa.literal([1]), sa.literal(["ana"]), sa.literal(["vip"])).table_valued(
    "bucket", "customer_id", "tag"
)
everything = sa.select(customers.c.bucket, customers.c.customer_id).cte("everything")

_products = sa.select(purchases.c.bucket, purchases.c.product_id).distinct().subquery()
_by_day = sa.select(
    candidates.c.bucket,
    candidates.c.customer_id,
    sa.func.rank().over(order_by=candidates.c.due_at).label("nth"),
).subquery()


def _blocked(source: Any, where: Any) -> Any:
    return sa.update(candidates).values(state="blocked").where(candidates.c.bucket == source.c.bucket, where)


def _of_one(one: Any, other: Any) -> Any:
    return one.c.customer_id == other.c.customer_id


def _owner(table: Any) -> Any:
    return sa.tuple_(table.c.bucket, table.c.customer_id)


GOOD = {
    "a join on both": sa.select(customers.c.name).join(purchases, _same(customers, purchases)),
    "a join on both with a reference table": sa.select(products.c.name)
    .join(purchases, purchases.c.product_id == products.c.product_id)
    .join(customers, _same(customers, purchases)),
    "a join in pairs": sa.select(customers.c.name).join(
        purchases,
        _owner(customers) == _owner(purchases),
    ),
    "an outer join": sa.select(customers.c.name).outerjoin(purchases, _same(customers, purchases)),
    "an alias": sa.select(purchases.c.quantity).join(others, _same(purchases, others)),
    "EXISTS": sa.select(customers.c.name).where(sa.exists(_tagged(_same(tags, customers)))),
    "NOT EXISTS inside OR": sa.select(customers.c.name).where(
        sa.or_(customers.c.name.is_(None), sa.not_(sa.exists(_tagged(_same(tags, customers)))))
    ),
    "a correlated maximum": sa.select(
        customers.c.name,
        sa.select(sa.func.max(purchases.c.purchased_at)).where(_same(purchases, customers)).scalar_subquery(),
    ),
    "a subquery joined on both": sa.select(customers.c.name).join(ranked, _same(customers, ranked)),
    "a UNION joined on both": sa.select(customers.c.name).join(either, _same(customers, either)),
    "IN in pairs": sa.select(customers.c.name).where(
        _owner(customers).in_(sa.select(tags.c.bucket, tags.c.customer_id))
    ),
    "INSERT…SELECT": _into_buyers(_bought()),
    "INSERT…SELECT of rows handed in": insert_missing(
        "postgresql",
        tags,
        columns=["bucket", "customer_id", "tag"],
        select=sa.select(given.c.bucket, given.c.customer_id, given.c.tag),
    ),
    "an update of one's own": sa.update(candidates)
    .values(state="blocked")
    .where(sa.exists(_tagged(_same(tags, candidates)))),
    "an update from a join": sa.update(candidates)
    .values(reason=customers.c.name)
    .where(_same(candidates, customers)),
    "a claim of one bucket": _claim(messages.c.bucket == 17, messages.c.bucket == 17),
    "a claim of some buckets": _claim(messages.c.bucket.in_([1, 2]), messages.c.bucket.in_([1, 2])),
    "a claim of some buckets, or of too many to name": _claim(*[_some_or_any(messages.c.bucket)] * 2),
    "a report": sa.select(messages.c.state, sa.func.count()).group_by(messages.c.state).limit(10),
    "what is meant for the whole shop": sa.update(candidates)
    .values(state="blocked")
    .where(candidates.c.anchor.in_(sa.select(candidates.alias().c.anchor).limit(5)))
    .execution_options(whole_shop="a campaign's cap"),
}

BAD = {
    "a join that forgets the bucket": (
        sa.select(customers.c.name).join(purchases, customers.c.customer_id == purchases.c.customer_id),
        "not joined on bucket",
    ),
    "a join that forgets the customer": (
        sa.select(customers.c.name).join(purchases, customers.c.bucket == purchases.c.bucket),
        "not joined on customer_id",
    ),
    "a join under OR": (
        sa.select(customers.c.name).join(
            purchases, sa.or_(_same(customers, purchases), customers.c.name == "x")
        ),
        "not joined on bucket",
    ),
    "a third table left loose": (
        sa.select(customers.c.name)
        .join(purchases, _same(customers, purchases))
        .join(refunds, refunds.c.order_id == purchases.c.order_id),
        "not joined on bucket",
    ),
    "a self-join on the product": (
        sa.select(purchases.c.quantity).join(others, others.c.product_id == purchases.c.product_id),
        "not joined on customer_id",
    ),
    "an expression round the bucket": (
        sa.select(customers.c.name).join(
            purchases,
            sa.and_(
                customers.c.bucket + 0 == purchases.c.bucket,
                customers.c.customer_id == purchases.c.customer_id,
            ),
        ),
        "not joined on bucket",
    ),
    "EXISTS that forgets the bucket": (
        sa.select(customers.c.name).where(sa.exists(_tagged(tags.c.customer_id == customers.c.customer_id))),
        "not joined on bucket",
    ),
    "EXISTS of anybody": (
        sa.select(customers.c.name).where(sa.exists(_tagged(tags.c.tag == "vip"))),
        "not joined on bucket",
    ),
    "an average over everybody": (
        sa.select(customers.c.name).where(
            customers.c.dice > sa.select(sa.func.avg(purchases.c.quantity)).scalar_subquery()
        ),
        "not joined on bucket",
    ),
    "IN by the customer alone": (
        sa.select(customers.c.name).where(customers.c.customer_id.in_(sa.select(tags.c.customer_id))),
        "not joined on bucket",
    ),
    "a nested subquery that forgets the bucket": (
        sa.select(customers.c.name).where(
            sa.exists(
                _tagged(_same(tags, customers)).where(
                    sa.exists(
                        sa.select(sa.literal(1))
                        .select_from(purchases)
                        .where(purchases.c.customer_id == customers.c.customer_id)
                    )
                )
            )
        ),
        "not joined on bucket",
    ),
    "a bucket that is worked on": (
        _into_buyers(
            _bought().with_only_columns(purchases.c.bucket + 0, *list(_bought().selected_columns)[1:])
        ),
        "does not project bucket plainly",
    ),
    "a SELECT without a bucket": (
        insert_missing("sqlite", tags, columns=["tag"], select=sa.select(products.c.name)),
        "gives no bucket",
    ),
    "INSERT…SELECT without ON CONFLICT": (
        sa.insert(buyers).from_select(["bucket", "customer_id"], _bought()),
        "has no ON CONFLICT",
    ),
    "WITH": (sa.select(everything.c.bucket), "WITH"),
    "WITH inside an INSERT": (
        insert_missing(
            "sqlite", tags, columns=["bucket", "customer_id"], select=sa.select(everything).where(sa.true())
        ),
        "WITH",
    ),
    "chance": (sa.select(customers.c.name).order_by(sa.func.random()), "random() is volatile"),
    "the present": (
        sa.select(customers.c.name).where(customers.c.first_seen_at < sa.func.now()),
        "now() is volatile",
    ),
    "the database's clock in a rule": (
        _into_buyers(_bought().where(purchases.c.purchased_at < database_now())),
        "database_now() is volatile",
    ),
    "GROUP BY the product": (
        _into_buyers(_bought().group_by(None).group_by(purchases.c.product_id)),
        "GROUP BY leaves out",
    ),
    "DISTINCT products": (_blocked(_products, _products.c.product_id == "P1"), "DISTINCT leaves out"),
    "a rank over everybody": (_blocked(_by_day, _by_day.c.nth > 100), "a window is not partitioned"),
    "a window by product": (
        _into_buyers(
            sa.select(
                purchases.c.bucket,
                purchases.c.customer_id,
                sa.func.count().over(partition_by=purchases.c.product_id),
                purchases.c.purchased_at,
                purchases.c.purchased_at,
            ).where(sa.true())
        ),
        "a window is not partitioned",
    ),
    "LIMIT over everybody": (_into_buyers(_bought().limit(1000)), "LIMIT over all customers"),
    "a claim of any bucket": (
        _claim(sa.true(), messages.c.bucket == 17),
        "FOR UPDATE does not name its bucket",
    ),
    "a claim pinned only inside": (
        _claim(messages.c.bucket == 17, sa.true()),
        "the statement round a FOR UPDATE does not name its bucket",
    ),
    "NOT IN": (
        sa.select(customers.c.name).where(
            _owner(customers).not_in(sa.select(tags.c.bucket, tags.c.customer_id))
        ),
        "NOT IN (SELECT",
    ),
    "a customer who moves": (sa.update(customers).values(bucket=1), "customers.bucket is changed"),
    "a customer who moves on conflict": (
        insert_or_update("sqlite", buyers, update=["customer_id"]).values(orders=1),
        "buyers.customer_id is changed",
    ),
    "an untyped NULL": (
        sa.select(sa.select(products.c.name, sa.null().label("nothing")).subquery().c.nothing),
        "a subquery projects NULL without a type",
    ),
    "ROLLUP": (
        sa.select(customers.c.gender).group_by(sa.func.rollup(customers.c.gender)),
        "rollup() is not for rules",
    ),
    "concat": (sa.select(sa.func.concat(customers.c.name, "!")), "concat() is not for rules"),
    "text": (sa.text("SELECT 1"), "raw text"),
}


@pytest.mark.parametrize("statement", GOOD.values(), ids=GOOD.keys())
def test_good_statements_pass(statement: Any) -> None:
    assert lint(statement) == []


@pytest.mark.parametrize(("statement", "fault"), BAD.values(), ids=BAD.keys())
def test_bad_statements_are_caught(statement: Any, fault: str) -> None:
    assert any(fault in found for found in lint(statement)), lint(statement)


def test_what_is_executed_is_recorded_once(sqlite_database: Database) -> None:
    with recorded(sqlite_database) as seen:
        for _ in range(2):
            with sqlite_database.read() as connection:
                connection.execute(sa.select(customers.c.name).where(customers.c.bucket == 3))
    assert len(seen) == 1
    assert isinstance(seen[0], sa.Select)
