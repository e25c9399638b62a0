"""Makes `smr/demo_data/`: a slice of real purchases, and invented customers around them.

In: a Parquet file of UCI Online Retail II (customer_id, product_id, category, quantity, unit_price,
purchased_at, order_id) and one of its product descriptions. Out: purchases.parquet and products.csv,
which hold facts of the source exactly as they are, and customers.csv, consents.csv and refunds.csv,
which are invented. Nothing is random: every invented value is drawn from the hash of a key, so the
same source gives the same files, byte for byte.

    python scripts/make_demo_data.py SOURCE.parquet PRODUCTS.parquet
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).parent.parent / "smr" / "demo_data"

# Categories whose products are used up, with words that tell the ones that are not.
LINES: dict[str, tuple[str, ...]] = {
    "napkin": ("RING", "CHARM", "COTTON"),
    "candle": ("STICK", "SPIKE", "HOLDER", "HLDR", "LANTERN", "PLATE"),
    "tlight": ("HLDR", "HOLD", "HANGING", "GLASS", "METAL", "SETTING"),
    "tissue": (),
    "wrap": (),
    "ribbon": (),
    "doilie": (),
    "straw": (),
    "incense": ("HOLDER",),
    "sticker": ("HEIGHT CHART", "WALL"),
    "tape": ("MEASUR", "DISPENSER", "CORDON"),
    "card": ("PLAYING", "WALLET", "SNAP", "KIT", "SINGING"),
    "plate": (),
    "cup": (),
}
ONLY_PAPER = {"plate", "cup"}

FAMILY_ZH = "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林 何 郭 马 罗"
GIVEN_ZH = (
    "芳 秀英 敏 静 丽 强 磊 洋 艳 勇 杰 娟 涛 明 超 秀兰 霞 平 刚 桂英 "
    "子涵 雨桐 欣怡 浩然 思远 梦琪 若溪 一鸣 嘉怡 晓彤"
)
GIVEN_EN = (
    "Ana Ben Cleo Dan Eve Finn Grace Hugo Isla Jack Kit Lena Max Nora Owen Poppy Quinn Rosa Sam Tess Uma "
    "Vera Will Yara Zoe Ivy Leo Mia Noah Ruth"
)
FAMILY_EN = (
    "Archer Bell Carter Dale Ellis Ford Gray Hart Irwin Jones King Lane Marsh Nash Owens Price "
    "Reed Shaw Todd Webb"
)
COLUMNS = {"wecom": "wecom", "sms": "phone", "email": "email"}
STAFF = "s01 s02 s03 s04 s05 s06"


def draw(key: str, what: str, sides: int) -> int:
    """A stable number from 0 to sides - 1 for a key, another one for each `what`."""
    return int.from_bytes(sha256(f"{what}\0{key}".encode()).digest()[:6]) % sides


def is_used_up(category: str, description: str) -> bool:
    """Whether a product is of the kind that a household uses up."""
    if category not in LINES or any(word in description for word in LINES[category]):
        return False
    return category not in ONLY_PAPER or "PAPER" in description


def customer(key: str, number: int) -> dict[str, Any]:
    """One invented customer; `number` gives the telephone number, of the range kept free for fiction."""
    chinese = draw(key, "locale", 2) == 0
    reach = draw(key, "reach", 100)
    return {
        "customer_id": key,
        "name": _name(key, chinese),
        "birthday": _birthday(key),
        "zone": _zone(key, chinese),
        "locale": "zh" if chinese else "en",
        "staff_id": _pick(key, "staff", STAFF),
        "wecom": f"wm_demo_{sha256(key.encode()).hexdigest()[:12]}" if reach < 78 else "",
        "phone": f"+447700900{number:03d}" if 60 <= reach < 94 and number < 1000 else "",
        "email": f"{key}@example.com" if draw(key, "email", 3) else "",
        "tags": "complaint" if draw(key, "complaint", 60) == 0 else "",
    }


def consents(key: str, first: datetime, channels: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What an invented customer said about being written to: mostly yes, some never asked, some no later."""
    for channel in channels:
        said = draw(key, f"consent {channel}", 100)
        if said >= 91:  # never asked
            continue
        yield _consent(key, channel, first, granted=True, source="checkout form (invented)")
        if said < 6:
            later = first + timedelta(days=1 + draw(key, f"refusal {channel}", 200))
            yield _consent(key, channel, later, granted=False, source="reply TD (invented)")


def refund(row: dict[str, Any]) -> dict[str, Any] | None:
    """An invented refund of a real line, 2 to 7 days later: one order in 40, one line in 100 by half."""
    key = f"{row['customer_id']} {row['order_id']}"
    whole = draw(key, "refund order", 40) == 0
    if not whole and (draw(f"{key} {row['product_id']}", "refund line", 100) or row["quantity"] < 2):
        return None
    at = datetime.fromisoformat(row["purchased_at"]) + timedelta(days=2 + draw(key, "refund day", 6))
    return {
        "refund_id": f"R-{row['order_id']}-{row['product_id']}",
        "customer_id": row["customer_id"],
        "order_id": row["order_id"],
        "product_id": row["product_id"],
        "refunded_at": at.isoformat(),
        "quantity": "" if whole else row["quantity"] // 2,
    }


def _pick(key: str, what: str, names: str) -> str:
    known = names.split(" ")
    return known[draw(key, what, len(known))]


def _name(key: str, chinese: bool) -> str:
    if draw(key, "nameless", 20) == 0:
        return ""
    if chinese:
        return _pick(key, "family", FAMILY_ZH) + _pick(key, "given", GIVEN_ZH)
    return f"{_pick(key, 'given', GIVEN_EN)} {_pick(key, 'family', FAMILY_EN)}"


def _birthday(key: str) -> str:
    if draw(key, "birthday known", 3) == 0:
        return ""
    day = datetime(1958, 1, 1) + timedelta(days=draw(key, "birthday", 40 * 365))  # noqa: DTZ001  a calendar day
    return day.date().isoformat()


def _zone(key: str, chinese: bool) -> str:
    if draw(key, "abroad", 12) == 0:
        return "Asia/Shanghai" if chinese else "America/New_York"
    return ""


def _consent(key: str, channel: str, at: datetime, *, granted: bool, source: str) -> dict[str, Any]:
    return {
        "customer_id": key,
        "channel": channel,
        "purpose": "marketing",
        "decided_at": at.isoformat(),
        "granted": "true" if granted else "false",
        "source": source,
    }


def _people(lines: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    first: dict[str, datetime] = {}
    for row in lines:
        at = datetime.fromisoformat(row["purchased_at"])
        first[row["customer_id"]] = min(at, first.get(row["customer_id"], at))
    by_hash = sorted(first, key=lambda key: sha256(key.encode()).digest())
    with_phone = [key for key in by_hash if 60 <= draw(key, "reach", 100) < 94]
    numbers = {key: number for number, key in enumerate(with_phone)}
    customers = [customer(key, numbers.get(key, 1000)) for key in sorted(first)]
    said = [
        consent
        for person in customers
        for consent in consents(
            person["customer_id"],
            first[person["customer_id"]],
            [channel for channel, column in COLUMNS.items() if person[column]],
        )
    ]
    return customers, said


def _write_csv(name: str, rows: list[dict[str, Any]]) -> None:
    with (TARGET / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(source: Path, descriptions: Path) -> None:
    """Write all files of the demo data."""
    products = {row["product_id"]: row for row in pq.read_table(descriptions).to_pylist()}
    table = pq.read_table(source).replace_schema_metadata(None)
    kept = [
        row["product_id"] in products
        and is_used_up(row["category"], products[row["product_id"]]["description"])
        for row in table.select(["product_id", "category"]).to_pylist()
    ]
    sliced = table.filter(pa.array(kept))
    lines = sliced.to_pylist()
    TARGET.mkdir(exist_ok=True)
    pq.write_table(sliced, TARGET / "purchases.parquet", compression="zstd", compression_level=19)
    sold = sorted({row["product_id"] for row in lines})
    _write_csv(
        "products.csv",
        [
            {
                "product_id": product,
                "name": products[product]["description"].strip(),
                "category": products[product]["category"],
            }
            for product in sold
        ],
    )
    customers, said = _people(lines)
    _write_csv("customers.csv", customers)
    _write_csv("consents.csv", said)
    _write_csv("refunds.csv", list(_refunds(lines)))


def _refunds(lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    seen = set()
    for row in lines:
        found = refund(row)
        if found and found["refund_id"] not in seen:
            seen.add(found["refund_id"])
            yield found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
