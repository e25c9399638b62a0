"""What goes wrong is told to the operator: once when it begins, once when it is over, by one daemon."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa

from smr.clock import now
from smr.events import MessageState
from smr.outbox import look, retry
from smr.tables import messages
from tests.daemon.conftest import MakeShop
from tests.daemon.shop import Shop, running, until
from tests.delivery.shop import end_rests

ALERTS = "alerts: {to: [{channel: sms, to: '13900000000'}], error_share: 100%}"
NO_BACKOFF = "run: '0 * * * *'"


def again(shop: Shop) -> None:
    """As if the time had come to try again, and the channel had rested long enough."""
    end_rests(shop.database)
    with shop.database.write() as connection:
        waiting = sa.update(messages).where(messages.c.state == "queued")
        connection.execute(waiting.values(send_after=now()))


def test_two_daemons_tell_once_that_a_channel_is_down_and_once_that_it_is_back(make_shop: MakeShop) -> None:
    shop = make_shop(daemon=NO_BACKOFF, more=ALERTS)
    down = shop.folder / "down"
    down.touch()
    shop.missed("run", "watch")
    with running(shop) as one, running(shop, number=2) as two:
        until(lambda: shop.alerts(), "the alert")
        assert shop.alerts() == ["[smr] A channel does not send (wecom)"]
        down.unlink()
        again(shop)
        until(lambda: shop.states()["sent"] == 40, "sent after all")
        until(lambda: len(shop.alerts()) >= 2, "told that it is over")
        assert (one.stop(), two.stop()) == (0, 0)
    assert Counter(shop.alerts()) == {
        "[smr] A channel does not send (wecom)": 1,
        "[smr] A channel does not send (wecom): over": 1,
    }
    assert set(shop.received().values()) == {1}


def test_messages_of_unknown_fate_are_told_until_an_operator_settles_them(make_shop: MakeShop) -> None:
    shop = make_shop(daemon=NO_BACKOFF, more=ALERTS, people=5)
    down = shop.folder / "down"
    down.write_text("broken")
    shop.missed("run", "watch")
    with running(shop) as daemon:
        until(lambda: "[smr] Messages of unknown fate (wecom)" in shop.alerts(), "told")
        down.unlink()
        which: dict[str, Any] = {"actor": "operator ana", "now": now(), "states": (MessageState.UNKNOWN,)}
        assert retry(shop.database, *look.chosen(channel="wecom"), **which) == 5
        until(lambda: "[smr] Messages of unknown fate (wecom): over" in shop.alerts(), "over")
        assert daemon.stop() == 0
    assert shop.received() == Counter({f"c{number}": 1 for number in range(5)})
