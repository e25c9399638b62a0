from __future__ import annotations

import sqlalchemy as sa

from smr import clock
from smr.database import Database
from smr.database.each import insert_each, update_each
from smr.database.timing import database_now
from smr.tables import bucket_of, deliveries

KEY = ("bucket", "customer_id", "message_id", "attempt")
PEOPLE = ("ana", "ben", "小林")


def attempt(person: str, **more: object) -> dict[str, object]:
    key = {"bucket": bucket_of(person), "customer_id": person, "message_id": f"m-{person}", "attempt": 1}
    return {**key, **more}


def added(database: Database, *people: str) -> int:
    rows = [attempt(one, channel="wecom", started_at=clock.moment(60), result="sending") for one in people]
    with database.write() as connection:
        return insert_each(connection, deliveries, rows)


def test_each_row_gets_its_own_value_and_all_get_the_same(database: Database) -> None:
    added(database, *PEOPLE)
    rows = [attempt("ana", reason=None), attempt("小林", reason="it's busy, 'ok'")]
    with database.write() as connection:
        assert update_each(connection, deliveries, rows, key=KEY, same={"result": "refused"}) == 2
    d = deliveries.c
    with database.read() as connection:
        found = connection.execute(sa.select(d.customer_id, d.result, d.reason, d.started_at)).all()
    assert {tuple(row) for row in found} == {
        ("ana", "refused", None, clock.moment(60)),
        ("ben", "sending", None, clock.moment(60)),
        ("小林", "refused", "it's busy, 'ok'", clock.moment(60)),
    }


def test_texts_arrive_as_they_are_however_odd(database: Database) -> None:
    people = [
        'say "hi"',
        "back\\slash",
        '\\"',
        "{a,b}",
        "NULL",
        " ",
        "tab\tand\nline",
        "it's",
        "%s :x",
        "\u2028小林",
    ]
    added(database, *people)
    rows = [attempt(one, reason=one) for one in people] + [attempt("nobody", reason=None)]
    with database.write() as connection:
        assert update_each(connection, deliveries, rows, key=KEY) == len(people)
    with database.read() as connection:
        found = connection.execute(sa.select(deliveries.c.customer_id, deliveries.c.reason)).all()
    assert {tuple(row) for row in found} == {(one, one) for one in people}


def test_rows_that_are_there_are_not_added_again_and_not_counted(database: Database) -> None:
    assert added(database, "ana", "ben") == 2
    assert added(database, "ben", "小林") == 1


def test_a_condition_keeps_rows_as_they_are(database: Database) -> None:
    added(database, *PEOPLE)
    rows = [attempt(one, reason="late") for one in PEOPLE]
    only = deliveries.c.customer_id != "ben"
    with database.write() as connection:
        assert update_each(connection, deliveries, rows, key=KEY, where=[only]) == 2


def test_nothing_to_change_is_no_statement(database: Database) -> None:
    with database.write() as connection:
        assert update_each(connection, deliveries, [], key=KEY) == 0
        assert insert_each(connection, deliveries, []) == 0


def test_the_databases_clock_goes_with_ours(database: Database) -> None:
    before = clock.seconds(clock.now())
    with database.read() as connection:
        told = connection.execute(sa.select(database_now())).scalar_one()
    assert before - 2 <= told <= clock.seconds(clock.now()) + 2
