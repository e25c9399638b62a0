"""The render stage: accepted candidates of a run become rows for the outbox, each customer by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr import clock
from smr.database import Database
from smr.messages import FailedMessage, RenderedMessage, message_id, render
from smr.outbox.put import COLUMNS
from smr.playbook.model import Catalog, Library, Playbook
from smr.settings import Settings, ShopSettings
from smr.tables import bucket_of, candidates
from tests.worlds import NOW, World, put

AT = clock.seconds(NOW)
SHOP = Settings(
    shop=ShopSettings(
        name="小店",
        language="zh",
        reorder_url="https://shop.example/{product_id}?c={customer_id}&m={message_id}",
    )
)


@dataclass
class Shop:
    """A database with people, and a way to ask what is rendered for them."""

    database: Database
    world: World

    def accept(self, customer_id: str, **values: Any) -> None:
        """Put an accepted candidate for this customer."""
        row: dict[str, Any] = {
            "bucket": bucket_of(customer_id),
            "customer_id": customer_id,
            "playbook": "refill",
            "step": "heads_up",
            "anchor": "O1/洁面",
            "anchor_at": NOW - timedelta(days=30),
            "order_id": "O1",
            "product_id": "P1",
            "quantity": 2.0,
            "runs_out_at": NOW + timedelta(days=3),
            "due_at": NOW,
            "expires_at": NOW + timedelta(days=3),
            "priority": 50,
            "state": "accepted",
            "channel": "wecom",
            "run_id": 7,
        }
        with self.database.write() as connection:
            connection.execute(sa.insert(candidates), [{**row, **values}])

    def rendered(
        self, message: str, settings: Settings = SHOP, catalog: Catalog | None = None, **step: Any
    ) -> list[RenderedMessage | FailedMessage]:
        """What the stage makes of one step with this text."""
        library = Library(
            folder=Path("playbooks"),
            catalog=catalog or Catalog(),
            playbooks=(refill(message, **step),),
            versions={"refill": "v1"},
        )
        with self.database.read() as connection:
            return list(render(connection, library, settings, now=NOW, run_id=7, low=0, high=4095))


def refill(message: str, **step: Any) -> Playbook:
    steps = [{"name": "heads_up", "send": "3d before due", "message": message, **step}]
    return Playbook.model_validate(
        {"name": "refill", "title": "到期补货", "trigger": {"runs_out": {"category": "洁面"}}, "steps": steps}
    )


def shop(database: Database) -> Shop:
    world = World(now=NOW)
    world.product("P1", category="洁面", name="氨基酸洁面")
    world.customer(
        "lin", name="小林", locale="zh-CN", addresses={"wecom": "wm-lin"}, attributes={"肤质": "干性"}
    )
    world.customer("ana", name="Ana", locale="en-GB", addresses={"wecom": "wm-ana"})
    world.customer("nameless", name=None, addresses={"wecom": "wm-x"})
    put(database, world)
    return Shop(database, world)


def bodies(found: Iterable[RenderedMessage | FailedMessage]) -> dict[str, str]:
    return {one.customer_id: one.body if isinstance(one, RenderedMessage) else one.detail for one in found}


def test_a_message_has_all_that_the_outbox_stores(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    (made,) = here.rendered(
        "{{ customer.name }},{{ product.name }}{{ due.in_words }}用完", subject="{{ shop.name }}"
    )
    assert made == RenderedMessage(
        bucket=bucket_of("lin"),
        customer_id="lin",
        playbook="refill",
        step="heads_up",
        anchor="O1/洁面",
        message_id=message_id("refill", "heads_up", bucket_of("lin"), "lin", "O1/洁面"),
        channel="wecom",
        address="wm-lin",
        purpose="marketing",
        subject="小店",
        body="小林,氨基酸洁面3 天后用完",
        html=None,
        attachments=None,
        priority=50,
        due_at=AT,
        send_after=AT,
        expires_at=AT + 3 * clock.DAY,
        run_id=7,
        version="v1",
        queued_at=AT,
    )
    assert RenderedMessage._fields == tuple(COLUMNS)


def test_one_customers_failure_stops_only_that_message(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    here.accept("nameless")
    found = here.rendered("您好\n{{ customer.name }}")
    assert bodies(found)["lin"] == "您好\n小林"
    failed = next(one for one in found if isinstance(one, FailedMessage))
    assert failed.key == (bucket_of("nameless"), "nameless", "refill", "heads_up", "O1/洁面")
    assert (failed.reason, failed.detail) == (
        "template",
        'steps.0.message:2 → there is no value here → add | default("…")  [template_failed]',
    )


def test_each_customer_reads_the_own_language(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    here.accept("ana")
    found = bodies(
        here.rendered("{{ due.date | day }} {{ due.in_words }} {{ language }} {{ purchase.date | day }}")
    )
    assert found == {"lin": "11月26日 3 天后 zh 10月24日", "ana": "2026-11-26 in 3 days en 2026-10-24"}


def test_only_what_this_run_accepted_and_has_not_queued_is_rendered(database: Database) -> None:
    here = shop(database)
    here.accept("lin", anchor="a", run_id=6)
    here.accept("lin", anchor="b", state="blocked", reason="refunded")
    here.accept("lin", anchor="c", queued_at=NOW)
    here.accept("lin", anchor="d", playbook="another")
    here.accept("lin", anchor="e", send_after=NOW + timedelta(hours=9))
    found = here.rendered("hi")
    assert [(one.anchor, one.send_after) for one in found if isinstance(one, RenderedMessage)] == [
        ("e", AT + 9 * 3600)
    ]
