"""The render stage: accepted candidates of a run become rows for the outbox, each customer by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr import clock
from smr.database import Database
from smr.messages import FailedMessage, RenderedMessage, message_id, render
from smr.messages.context import NAMES
from smr.outbox.put import COLUMNS
from smr.playbook.model import Catalog, Library, Playbook
from smr.settings import ChannelSettings, Settings, ShopSettings
from smr.tables import bucket_of, candidates, staff, stages, stores
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
        body="小林,氨基酸洁面3天后用完",
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
        'steps.0.message:2 → customer.name has no value → add | default("…")  [template_failed]',
    )


def test_each_customer_reads_the_own_language(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    here.accept("ana")
    found = bodies(
        here.rendered("{{ due.date | day }} {{ due.in_words }} {{ language }} {{ purchase.date | day }}")
    )
    assert found == {"lin": "11月26日 3天后 zh 10月24日", "ana": "2026-11-26 in 3 days en 2026-10-24"}


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


def test_every_name_there_is_can_be_rendered(database: Database) -> None:
    here = shop(database)
    with here.database.write() as connection:
        connection.execute(sa.insert(staff).values(staff_id="s1", name="王店长"))
        connection.execute(sa.insert(stores).values(store_id="n1", name="南京西路店"))
        of_eva = {"bucket": bucket_of("eva"), "customer_id": "eva"}
        rung = {**of_eva, "ladder": "lifecycle", "entered_at": NOW}
        connection.execute(sa.insert(stages).values(**rung, stage="成熟期"))
    world = World(now=NOW)
    world.product("P2", name="面霜", price=12900, currency="CNY", category="面霜")
    world.customer(
        "eva", name="Eva", gender="female", birthday="1992-05-01", zone="Asia/Tokyo", locale="zh",
        lunar_birthday="1992-03-29", staff_id="s1", store_id="n1", attributes={"a": {"b": [1.5]}},
        addresses={"wecom": "wm-eva"},
    )  # fmt: skip
    world.tag("eva", "会员")
    world.purchase("eva", "P2", days_ago=30, order_id="O9", quantity=2.0, amount=25800, currency="CNY")
    put(database, world)
    here.accept("eva", anchor="O9/面霜", order_id="O9", product_id="P2")
    expected = {
        "customer.id": "eva",
        "customer.name": "Eva",
        "customer.gender": "female",
        "customer.birthday": "1992-05-01",
        "customer.lunar_birthday": "三月廿九",
        "customer.locale": "zh",
        "customer.zone": "Asia/Tokyo",
        "customer.staff": "王店长",
        "customer.store": "南京西路店",
        "customer.tags | join": "会员",
        "customer.attributes.a.b[0]": "1.5",
        "customer.stage.lifecycle": "成熟期",
        "product.id": "P2",
        "product.name": "面霜",
        "product.category": "面霜",
        "product.price | money": "¥129.00",
        "offer.id": "P2",
        "offer.name": "面霜",
        "offer.price | money": "¥129.00",
        "bundle | length": "0",
        "purchase.date": "2026-10-24",
        "purchase.quantity": "2",
        "purchase.price | money": "¥129.00",
        "purchase.amount | money": "¥258.00",
        "purchase.order_id": "O9",
        "purchase.products[0].name ~ purchase.products[0].quantity": "面霜2",
        "due.date": "2026-11-26",
        "due.days": "3",
        "due.in_words": "3天后",
        "reorder.url": "https://shop.example/P2?c=eva&m=" + message_id(*KEY_OF_EVA),
        "shop.name": "小店",
        "staff.name": "王店长",
        "playbook.title": "到期补货",
        "playbook.name": "refill",
        "step.name": "heads_up",
        "message.id": message_id(*KEY_OF_EVA),
        "language": "zh",
        "today": "2026-11-23",
    }
    (made,) = here.rendered("\n".join(f"{{{{ {name} }}}}" for name in expected))
    assert isinstance(made, RenderedMessage), made
    assert dict(zip(expected, made.body.split("\n"), strict=True)) == expected
    here_too = [name.path for name in NAMES if "runs_out" in name.triggers]
    stated = {path.replace("<any>", "a").replace("<ladder>", "lifecycle") for path in here_too}
    printed = {name for name in stated if any(one.startswith(name) for one in expected)}
    assert stated == printed | {"offer.is_substitute"}, "yes/no is not printed"


KEY_OF_EVA = ("refill", "heads_up", bucket_of("eva"), "eva", "O9/面霜")


def test_what_is_not_known_is_empty_and_takes_its_default(database: Database) -> None:
    here = shop(database)
    here.accept("nameless", product_id=None, order_id=None, quantity=None, runs_out_at=None)
    names = [name.path for name in NAMES if name.missing and "<" not in name.path]
    names += ["customer.attributes.x", "customer.stage.lifecycle", "product.name", "due.date", "due.in_words"]
    text = "".join(f"{{{{ {name} | default('-') }}}}" for name in names)
    assert bodies(here.rendered(text)) == {"nameless": "-" * len(names)}


def test_the_catalogs_word_on_a_product_comes_before_the_imported_one(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    entry = {"name": "山茶花洁面", "category": "护肤"}
    catalog = Catalog.model_validate({"cycles": {"products": {"P1": entry}}})
    assert bodies(here.rendered("{{ product.name }}/{{ product.category }}")) == {"lin": "氨基酸洁面/洁面"}
    assert bodies(here.rendered("{{ product.name }}/{{ product.category }}", catalog=catalog)) == {
        "lin": "山茶花洁面/护肤"
    }


def test_a_list_of_what_was_in_the_order_leaves_out_what_went_back(database: Database) -> None:
    here = shop(database)
    world = World(now=NOW)
    world.product("P3", name="面霜")
    kept_line = world.purchase("lin", "P1", days_ago=30, order_id="O1", quantity=3.0)
    world.refund(kept_line, days_ago=20, quantity=1.0)
    world.refund(world.purchase("lin", "P3", days_ago=30, order_id="O1"), days_ago=20)
    world.purchase("lin", "P3", days_ago=3, order_id="O2")
    put(database, world)
    here.accept("lin")
    text = "{% for one in purchase.products %}[{{ one.name }}{{ one.quantity }}]{% endfor %}"
    assert bodies(here.rendered(text)) == {"lin": "[氨基酸洁面2]"}


def test_tags_that_have_lapsed_are_not_listed(database: Database) -> None:
    here = shop(database)
    world = World(now=NOW)
    world.tag("lin", "会员", days_ago=9)
    world.tag("lin", "敏感肌", days_ago=9, expires_at=NOW - timedelta(days=1))
    put(database, world)
    here.accept("lin")
    here.accept("ana")
    found = bodies(here.rendered("{{ customer.tags | join('、') }}."))
    assert found == {"lin": "会员.", "ana": "."}


def test_links_are_filled_in_with_everything_percent_encoded(database: Database) -> None:
    here = shop(database)
    here.accept("lin", product_id="洁面/1 号")
    (made,) = here.rendered("{{ reorder.url }}")
    assert isinstance(made, RenderedMessage)
    assert made.body.startswith("https://shop.example/%E6%B4%81%E9%9D%A2%2F1%20%E5%8F%B7?c=lin&m=")
    assert made.body.endswith(made.message_id)


def test_html_and_attachments_are_rendered_too(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    attach = [{"link": {"title": "{{ product.name }}", "url": "{{ reorder.url }}"}}]
    (made,) = here.rendered("hi", html="<p>{{ customer.name }} &amp; {{ shop.name }}</p>", attach=attach)
    assert isinstance(made, RenderedMessage)
    assert made.html == "<p>小林 &amp; 小店</p>"
    url = f"https://shop.example/P1?c=lin&m={made.message_id}"
    assert json.loads(made.attachments or "") == [{"link": {"title": "氨基酸洁面", "url": url}}]


def test_a_customers_markup_stays_text_in_html(database: Database) -> None:
    here = shop(database)
    world = World(now=NOW)
    world.customer("mallory", name="<script>alert(1)</script>", addresses={"wecom": "wm-m"})
    put(database, world)
    here.accept("mallory")
    (made,) = here.rendered("hi", html="<p>{{ customer.name }}</p>")
    assert isinstance(made, RenderedMessage)
    assert made.html == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"


def test_a_customers_text_is_never_read_as_a_template(database: Database) -> None:
    here = shop(database)
    world = World(now=NOW)
    world.customer("mallory", name="{{ shop.name }}", addresses={"wecom": "wm-m"})
    put(database, world)
    here.accept("mallory")
    assert bodies(here.rendered("{{ customer.name }}")) == {"mallory": "{{ shop.name }}"}


def test_a_channel_may_take_the_customers_id_for_an_address(database: Database) -> None:
    here = shop(database)
    here.accept("lin", channel="wecom_moments")
    here.accept("ana", channel="wecom")
    by_id = SHOP.model_copy(update={"channels": {"wecom_moments": ChannelSettings(address="customer_id")}})
    found = here.rendered("hi", settings=by_id, via=["wecom_moments", "wecom"])
    addresses = {one.customer_id: one.address for one in found if isinstance(one, RenderedMessage)}
    assert addresses == {"lin": "lin", "ana": "wm-ana"}


def test_an_address_that_is_gone_stops_the_message(database: Database) -> None:
    here = shop(database)
    here.accept("lin", channel="sms")
    (failed,) = here.rendered("hi", via=["sms"])
    assert isinstance(failed, FailedMessage)
    assert (failed.reason, failed.detail) == ("unreachable", "no address on sms")


def test_an_empty_or_too_long_text_or_one_with_control_characters_is_not_sent(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    short = SHOP.model_copy(update={"channels": {"wecom": ChannelSettings(max_length=8)}})
    assert "the text is empty" in bodies(here.rendered("{% if false %}x{% endif %} \n"))["lin"]
    assert "9 characters; wecom takes 8" in bodies(here.rendered("123456789", settings=short))["lin"]
    assert bodies(here.rendered("12345678", settings=short)) == {"lin": "12345678"}
    assert "4,002 bytes; wecom takes 4,000" in bodies(here.rendered("亲" * 1_334))["lin"]
    world = World(now=NOW)
    world.customer("bell", name="a\x07b", addresses={"wecom": "wm-b"})
    put(database, world)
    here.accept("bell")
    assert "control character (U+0007)" in bodies(here.rendered("{{ customer.name }}"))["bell"]


def test_a_fact_that_cannot_be_read_stops_only_its_customer(sqlite_database: Database) -> None:
    here = shop(sqlite_database)
    here.accept("lin", runs_out_at=10**18)
    here.accept("ana")
    found = bodies(here.rendered("{{ due.date }}"))
    assert found["ana"] == "2026-11-26"
    assert "a value of this customer cannot be read" in found["lin"]


def test_a_template_that_cannot_be_used_fails_every_message_of_its_step(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    here.accept("ana")
    found = bodies(here.rendered("{{ lipsum() }}"))
    assert set(found) == {"lin", "ana"}
    assert all("nothing can be called" in detail for detail in found.values())


def test_the_same_candidates_give_the_same_bytes(database: Database) -> None:
    here = shop(database)
    here.accept("lin")
    here.accept("ana")
    here.accept("nameless")
    text = "{{ customer.name }} {{ due.in_words }} {{ reorder.url }}"
    assert here.rendered(text) == here.rendered(text)


def test_slices_together_are_the_whole_and_a_limit_takes_the_first(database: Database) -> None:
    here = shop(database)
    world = World(now=NOW)
    people = [f"p{number}" for number in range(40)]
    for one in people:
        world.customer(one, addresses={"wecom": f"wm-{one}"})
    put(database, world)
    for one in people:
        here.accept(one)
    whole = here.rendered("{{ customer.name }}")
    library = Library(
        folder=Path("playbooks"), playbooks=(refill("{{ customer.name }}"),), versions={"refill": "v1"}
    )

    def part(low: int, high: int, limit: int | None = None) -> list[RenderedMessage | FailedMessage]:
        with here.database.read() as connection:
            return list(render(connection, library, SHOP, now=NOW, run_id=7, low=low, high=high, limit=limit))

    assert part(0, 1_999) + part(2_000, 4_095) == whole
    assert part(0, 4_095, limit=7) == whole[:7]
    assert [one.bucket for one in whole] == sorted(bucket_of(one) for one in people)


def test_a_later_day_of_the_run_is_another_today(sqlite_database: Database) -> None:
    here = shop(sqlite_database)
    here.accept("lin")
    library = Library(folder=Path("playbooks"), playbooks=(refill("{{ today }} {{ due.in_words }}"),))
    with here.database.read() as connection:
        later = NOW + timedelta(days=2)
        (first,) = render(connection, library, SHOP, now=NOW, run_id=7, low=0, high=4095)
        (second,) = render(connection, library, SHOP, now=later, run_id=7, low=0, high=4095)
    assert bodies([first]) == {"lin": "2026-11-23 3天后"}
    assert bodies([second]) == {"lin": "2026-11-25 明天"}
