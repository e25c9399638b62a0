"""PostgreSQL takes the tables partitioned by bucket, and a claim touches its bucket's partition only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from smr import outbox, pipeline
from smr.database import Database
from smr.events import MessageState
from smr.tables import bucket_of, messages, metadata
from tests.fresh import fresh_postgresql
from tests.house.everything import everything
from tests.outbox.rows import NOON, begin, claim, customers, queue_for
from tests.tables.partitioned import PARTITIONS, make
from tests.worlds import NOW, World, put


@pytest.fixture
def partitioned(postgres_url: str) -> Iterator[Database]:
    """A PostgreSQL whose customer-owned tables have eight partitions."""
    with fresh_postgresql(postgres_url) as database:
        with database.write() as connection:
            make(connection)
        yield database


def _shop() -> World:
    world = World()
    world.product("P1", category="洁面")
    for number in range(40):
        name = f"c{number}"
        world.customer(name, addresses={"wecom": name, "sms": "138"}, consent=True)
        world.purchase(name, "P1", days_ago=41)
    return world


def _queued(database: Database) -> list[Any]:
    columns = [column for column in messages.c if column.name not in ("run_id",)]
    with database.read() as connection:
        return list(connection.execute(sa.select(*columns).order_by(messages.c.message_id)))


@contextmanager
def _executed(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """What was sent to the server about messages while the block ran, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, text: str, parameters: Any, *_: Any) -> None:
        if re.search(r"\b(FROM|UPDATE|INTO) messages\b", text) and "INSERT" not in text:
            sent.append((text, parameters))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(database.engine, "before_cursor_execute", note)


def _touched(database: Database, text: str, parameters: Any = None) -> set[str]:
    """The partitions of messages in the plan of a statement."""
    with database.trial() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN {text}", parameters).scalars()
        return set(re.findall(r"\bon (messages_\d+)\b", "\n".join(plan)))


def test_every_key_and_unique_index_holds_on_partitions(partitioned: Database) -> None:
    with partitioned.read() as connection:
        inspector = sa.inspect(connection)
        for table in metadata.tables.values():
            if table.info["owner"] == "customer":
                for index in table.indexes:
                    names = {found["name"]: found["unique"] for found in inspector.get_indexes(table.name)}
                    assert names[index.name] == index.unique
                key = [column.name for column in table.primary_key.columns]
                assert inspector.get_pk_constraint(f"{table.name}_0")["constrained_columns"] == key


def test_postgresql_refuses_a_unique_key_without_the_bucket(partitioned: Database) -> None:
    loose = "CREATE UNIQUE INDEX messages_loose ON messages (message_id)"
    refused = pytest.raises(sa.exc.DBAPIError, match="must include all partitioning columns")
    with refused, partitioned.trial() as connection:
        connection.exec_driver_sql(loose)


def test_runs_on_partitions_queue_the_same_messages(partitioned: Database, postgres_url: str) -> None:
    library, settings = everything()
    put(partitioned, _shop())
    pipeline.run(partitioned, library, settings, now=NOW)
    with fresh_postgresql(postgres_url) as plain:
        with plain.write() as connection:
            metadata.create_all(connection)
        put(plain, _shop())
        pipeline.run(plain, library, settings, now=NOW)
        assert len(_queued(plain)) > 0
        assert _queued(partitioned) == _queued(plain)


@pytest.mark.parametrize("customer", ["ana", "小林", "ben"])
def test_a_claim_of_one_bucket_touches_one_partition(partitioned: Database, customer: str) -> None:
    queue_for(partitioned, [customer, *customers(50)])
    wanted = _places(partitioned, customer)
    with _executed(partitioned) as sent:
        claimed = claim(partitioned, wanted=wanted)
    assert [message.customer_id for message in claimed] == [customer]
    assert len(sent) == 2
    assert [len(_touched(partitioned, *one)) for one in sent] == [1, 1]


def _places(database: Database, customer: str) -> list[outbox.Place]:
    with database.read() as connection:
        places = outbox.in_order(connection, "wecom", now=NOON, most=100)
    return [place for place in places if place.bucket == bucket_of(customer)]


def test_beginning_to_send_and_settling_touch_one_partition_too(partitioned: Database) -> None:
    queue_for(partitioned, ["ana", *customers(50)])
    claimed = claim(partitioned, wanted=_places(partitioned, "ana"))
    with _executed(partitioned) as sent:
        begun = begin(partitioned, claimed)
        with partitioned.write() as connection:
            done = [outbox.Settlement(message, MessageState.SENT) for message in begun.sending]
            outbox.settle(connection, done, now=NOON)
    assert len(sent) == 2
    assert {len(_touched(partitioned, *one)) for one in sent} == {1}


def test_a_statement_that_names_no_bucket_touches_all(partitioned: Database) -> None:
    everywhere = "SELECT message_id FROM messages WHERE channel = 'wecom' FOR UPDATE"
    assert len(_touched(partitioned, everywhere)) == PARTITIONS
