"""Refunds, consents, interactions, and the rarer columns of purchases."""

from __future__ import annotations

from datetime import UTC, datetime

from smr.database import Database
from smr.tables import changed_customers, consents, customers, interactions, products, purchases, refunds
from tests.facts.conftest import Take
from tests.facts.test_purchases import ANA_BUYS, HEADER, rows

MARCH = datetime(2026, 2, 28, 16, tzinfo=UTC)  # the first of March begins in Shanghai


def test_a_refund_points_at_its_line(database: Database, take: Take) -> None:
    text = "customer_id,order_id,product_id,refunded_at,quantity,amount\nana,A-1,coffee,2026-03-01,1,12.50\n"
    report = take("refunds", text)

    assert report.new == 1
    assert rows(database, refunds, *[column.name for column in refunds.columns][1:]) == [
        ("ana", f"A-1/coffee#1@{int(MARCH.timestamp())}", "A-1", "coffee", 1, MARCH, 1.0, 1250)
    ]
    assert take("refunds", text).unchanged == 1
    assert rows(database, changed_customers, "customer_id") == [("ana",)]


def test_a_refund_without_quantity_takes_the_line_back(database: Database, take: Take) -> None:
    take(
        "refunds",
        "customer_id,order_id,product_id,refunded_at,quantity,refund_id,line_no\nana,A-1,tea,2026-03-01,,R-1,2\n",
    )

    assert rows(database, refunds, "refund_id", "line_no", "quantity") == [("R-1", 2, None)]
    assert rows(database, products, "product_id") == []


def test_a_refund_of_a_purchase_without_order_names_its_time(database: Database, take: Take) -> None:
    take("purchases", ANA_BUYS.replace("A-1", ""))
    report = take(
        "refunds",
        "customer_id,product_id,refunded_at,order_id,purchased_at\n"
        "ana,coffee,2026-03-05,,2026-03-01T09:30:00\n"
        "ana,tea,2026-03-05,,\n",
    )

    assert report.refused == {"missing": 1}
    assert rows(database, refunds, "order_id") == rows(database, purchases, "order_id") == [("@1772328600",)]


def test_a_consent_is_kept_with_its_history(database: Database, take: Take) -> None:
    text = (
        "customer_id,channel,granted,decided_at,purpose,source\n"
        "ana,sms,true,2026-03-01,,form\n"
        "ana,*,false,2026-03-02,*,退订\n"
        "ana,smss,false,2026-03-02,,\n"
        "ben,sms,no,2026-03-02,,\n"
    )

    report = take("consents", text)

    assert report.refused == {"boolean": 1, "channel": 1}
    assert rows(database, consents, "channel", "purpose", "granted", "source") == [
        ("*", "*", False, "退订"),
        ("sms", "marketing", True, "form"),
    ]
    assert take("consents", text).unchanged == 2
    assert rows(database, customers, "first_seen_at") == [(MARCH,)]


def test_an_interaction_without_an_id_is_known_by_what_was_said(database: Database, take: Take) -> None:
    text = (
        "customer_id,happened_at,kind,channel,content,attributes.group\nana,2026-03-01,chat,wecom,过敏了,A\n"
    )

    take("interactions", text)
    again = take("interactions", text)

    assert again.unchanged == 1
    assert rows(database, interactions, "kind", "channel", "content", "attributes") == [
        ("chat", "wecom", "过敏了", {"group": "A"})
    ]


def test_samples_gifts_and_delivery_times(database: Database, take: Take) -> None:
    text = "customer_id,product_id,purchased_at,order_id,kind,delivered_at,amount,quantity,currency,line_no\n"
    take(
        "purchases",
        text + "ana,tea,2026-03-01,A-1,gift,2026-03-03,10,3,JPY,7\nana,tea,2026-03-01,A-2,sale,,,1,,1\n",
    )

    assert rows(database, purchases, "line_no", "kind", "delivered_at", "amount", "currency") == [
        (7, "gift", datetime(2026, 3, 2, 16, tzinfo=UTC), 10, "JPY"),
        (1, None, None, None, None),
    ]


def test_a_delivery_told_later_completes_the_line(database: Database, take: Take) -> None:
    take("purchases", ANA_BUYS)
    with database.write() as connection:
        connection.execute(changed_customers.delete())

    text = HEADER.strip() + ",delivered_at\n" + ANA_BUYS.removeprefix(HEADER).strip() + ",2026-03-04\n"
    report = take("purchases", text)
    again = take("purchases", ANA_BUYS)

    assert (report.new, report.completed, report.unchanged) == (0, 1, 0)
    assert (again.completed, again.unchanged, again.refused) == (0, 1, {})
    assert rows(database, purchases, "delivered_at") == [(datetime(2026, 3, 3, 16, tzinfo=UTC),)]
    assert rows(database, changed_customers, "customer_id") == [("ana",)]


def test_the_same_numbered_line_twice_in_a_file(database: Database, take: Take) -> None:
    text = (
        "customer_id,product_id,purchased_at,order_id,quantity,line_no\n" + "ana,tea,2026-03-01,A-1,1,1\n" * 2
    )

    report = take("purchases", text + "ana,tea,2026-03-01,A-1,5,1\n")

    assert (report.new, report.unchanged, report.refused) == (1, 1, {"differs": 1})
    assert rows(database, purchases, "quantity") == [(1.0,)]


def test_money_is_rounded_once_per_line(database: Database, take: Take) -> None:
    take("purchases", HEADER + "ana,tea,,3,0.335,2026-03-01,A-1\nana,tea,,1,2.675,2026-03-01,A-2\n")
    take("purchases", HEADER + "ana,tea,,2.5,0.33,2026-03-01,A-3\nana,tea,,3,0.10,2026-03-01,A-4\n")

    assert rows(database, purchases, "amount") == [(101,), (268,), (83,), (30,)]


def test_times_follow_the_offset_they_state_or_the_shop(database: Database, take: Take) -> None:
    told = {
        "2026-03-01": MARCH,
        "2026-03-01T00:00Z": datetime(2026, 3, 1, tzinfo=UTC),
        "2026-03-01 00:00:00.999": MARCH,
        "2026-03-01T00:00:00-05:00": datetime(2026, 3, 1, 5, tzinfo=UTC),
        "2026-03-01T00:00:00+0800": MARCH,
    }
    take("purchases", HEADER + "".join(f"ana,tea,,1,,{at},A-{n}\n" for n, at in enumerate(told)))

    assert [at for (at,) in rows(database, purchases, "purchased_at")] == list(told.values())
