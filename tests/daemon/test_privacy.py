"""Two hundred planted values: names, telephone numbers, addresses, ids, texts; none of them in any log."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest

from smr import clock
from tests.daemon.conftest import MakeShop
from tests.daemon.shop import running, until
from tests.worlds import World

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董潘袁于蒋蔡"
PEOPLE = 40
BODY = "您家的猫粮快见底啦"
PLAYBOOK = """
name: cats
status: live
trigger: {runs_out: {category: 猫粮}}
steps:
  - name: step
    send: on due
    via: [wecom]
    message: "{{ customer.name }} 您家的猫粮快见底啦 {{ customer.attributes.pet | default('猫') }}"
"""


def name(number: int) -> str:
    return f"{SURNAMES[number]}婉清{SURNAMES[-number - 1]}"


def phone(number: int) -> str:
    return f"138{71_000_000 + number * 13_577:08d}"


def email(number: int) -> str:
    return f"wanqing{number}@mail.example"


def planted() -> list[str]:
    """All values that no log may hold: five of each customer."""
    people = [
        value
        for number in range(PEOPLE)
        for value in (name(number), phone(number), email(number), f"咪咪{number}号", f"{BODY} 咪咪{number}号")
    ]
    return [*people, BODY]


def world() -> World:
    """Customers whose ids are telephone numbers, reached at e-mail addresses."""
    made = World(now=clock.now())
    made.product("fish", category="猫粮")
    for number in range(PEOPLE):
        made.customer(
            phone(number),
            name=name(number),
            addresses={"wecom": email(number)},
            consent=True,
            attributes={"pet": f"咪咪{number}号"},
        )
        made.purchase(phone(number), "fish", days_ago=13)
    return made


def source(folder: Path) -> Path:
    """The shop's own database, whose rows cannot be read: times and quantities that are names and texts."""
    path = folder / "orders.db"
    shop = sqlite3.connect(path)
    shop.execute("CREATE TABLE lines (id INTEGER, member TEXT, sku TEXT, qty TEXT, paid_at TEXT)")
    rows = [(number, phone(number), "fish", name(number), email(number)) for number in range(PEOPLE)]
    shop.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", rows)
    shop.commit()
    shop.close()
    return path


@pytest.mark.parametrize("how", ["refuses", "broken"])
def test_no_planted_value_is_in_any_log(make_shop: MakeShop, tmp_path: Path, how: str) -> None:
    select = "SELECT id, member, sku, qty, paid_at FROM lines"
    columns = "{customer_id: member, product_id: sku, quantity: qty, purchased_at: paid_at}"
    shop = make_shop(
        world=world(),
        playbook=PLAYBOOK,
        daemon="run: '0 * * * *', import: '0 * * * *'",
        more=(
            "alerts: {to: [{channel: sms, to: '13900000000'}]}\n"
            f"sources: {{orders: {{kind: purchases, url: 'sqlite:///{source(tmp_path)}', select: '{select}', "
            f"cursor: id, columns: {columns}}}}}"
        ),
    )
    assert len(planted()) > 200
    (shop.folder / "down").write_text(how)
    shop.missed("run", "watch", "import")
    with running(shop) as daemon:
        until(lambda: daemon.said("channel.failed"), "a channel that fails")
        until(lambda: daemon.said("duty.failed", duty="import"), "an import that fails")
        until(lambda: shop.alerts(), "an alert")
        shop.playbook.write_text(PLAYBOOK.replace("{{ customer.name }}", f"{{{{ {name(3)} + }}}}"))
        until(lambda: daemon.said("configuration.refused"), "a broken template")
        shop.ask(f"/health/{phone(1)}?name={quote(name(1))}")
        assert daemon.stop() == 0
    log = daemon.said_all
    told = log + "".join(shop.alerts())
    assert [value for value in planted() if value in told] == []


def test_the_values_would_be_seen(make_shop: MakeShop) -> None:
    """The test sees: the same values do reach the customers."""
    shop = make_shop(world=world(), playbook=PLAYBOOK, daemon="run: '0 * * * *'")
    shop.missed("run")
    with running(shop) as daemon:
        until(lambda: shop.states()["sent"] == PEOPLE, "sent")
        assert daemon.stop() == 0
    assert set(shop.received()) == {phone(number) for number in range(PEOPLE)}
