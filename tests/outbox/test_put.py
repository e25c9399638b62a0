from __future__ import annotations

import sqlalchemy as sa

from smr import outbox
from smr.database import Database
from smr.tables import messages
from tests.outbox.rows import NOON, queue, row, the_message


def test_a_reminder_is_queued_once_however_often_it_is_put(database: Database) -> None:
    assert queue(database, row("ana"), row("ben")) == 2
    assert queue(database, row("ana"), row("ben"), row("小林")) == 1
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(messages)) == 3


def test_the_same_row_twice_in_one_batch_is_one_message(database: Database) -> None:
    assert queue(database, row("ana"), row("ana")) == 1


def test_two_batches_in_one_transaction_count_their_own(database: Database) -> None:
    with database.write() as connection:
        assert outbox.put(connection, [row("ana"), row("ben")]) == 2
        assert outbox.put(connection, [row("ben"), row("cleo")]) == 1
        assert outbox.put(connection, []) == 0


def test_on_postgresql_a_second_batch_finds_nothing_left_of_the_first_to_try_again(
    database: Database,
) -> None:
    if database.dialect == "postgresql":
        with database.write() as connection:
            outbox.put(connection, [row("ana"), row("ben")])
            staged = connection.exec_driver_sql("SELECT count(*) FROM messages_put").scalar_one()
        assert staged == 0


def test_another_anchor_of_the_same_customer_is_another_message(database: Database) -> None:
    assert queue(database, row("ana", anchor="o1/p1#1"), row("ana", anchor="o2/p1#1")) == 2


def test_what_was_put_is_read_back_as_it_was(database: Database) -> None:
    text = 'a "quote", a\ttab,\na line, a back\\slash, \\N and 表情😀'
    link = [{"link": {"title": "再来一支", "url": "https://shop.example/?a=1&b=2"}}]
    queue(database, row("小林", body=text, attachments=link))
    found = the_message(database, "小林")
    assert (found.body, found.attachments, found.subject) == (text, link, None)
    assert (found.state, found.attempts, found.send_after) == ("queued", 0, NOON)


def test_a_message_that_has_moved_on_is_not_touched_by_a_second_put(database: Database) -> None:
    queue(database, row("ana"))
    outbox.cancel(database, messages.c.customer_id == "ana", actor="ops", now=NOON)
    assert queue(database, row("ana", body="another text")) == 0
    assert (the_message(database, "ana").state, the_message(database, "ana").body) == (
        "cancelled",
        "该补货啦",
    )


def test_a_batch_is_rolled_back_whole(database: Database) -> None:
    try:
        with database.write() as connection:
            outbox.put(connection, [row("ana")])
            raise RuntimeError("the run dies here")
    except RuntimeError:
        pass
    assert queue(database, row("ana")) == 1
