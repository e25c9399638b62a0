"""Hostile purchase rows, for CSV and for JSON lines.

The CSV columns are customer_id, product_id, quantity, unit_price, purchased_at, order_id, currency, kind.
"""

from __future__ import annotations

HEADER = b"customer_id,product_id,quantity,unit_price,purchased_at,order_id,currency,kind"
GOOD = b"ana,coffee,1,9.90,2026-03-01T09:30:00,G-%d,CNY,"


def row(
    customer_id: str = "ben",
    product_id: str = "tea",
    quantity: str = "1",
    unit_price: str = "5",
    purchased_at: str = "2026-03-01",
    order_id: str = "H-1",
    currency: str = "",
    kind: str = "",
) -> bytes:
    """A CSV row that is good but for what is said."""
    cells = (customer_id, product_id, quantity, unit_price, purchased_at, order_id, currency, kind)
    return ",".join(cells).encode()


CSV: list[tuple[str, bytes]] = [
    # what must be there
    ("missing", row(customer_id="")),
    ("missing", row(customer_id="   ")),
    ("missing", row(customer_id="\u3000")),
    ("missing", row(product_id="")),
    ("missing", row(purchased_at="")),
    ("missing", row(quantity="")),
    # numbers Python takes and a shop does not mean
    ("number", row(quantity="two")),
    ("number", row(quantity="NaN")),
    ("number", row(quantity="sNaN")),
    ("number", row(quantity="Infinity")),
    ("number", row(quantity="-inf")),
    ("number", row(quantity="1e3")),
    ("number", row(quantity="1e999")),
    ("number", row(quantity="1E+999999")),
    ("number", row(quantity="1_000")),
    ("number", row(quantity="0x10")),
    ("number", row(quantity="１２")),
    ("number", row(quantity="٣")),
    ("number", row(quantity="²")),
    ("number", row(quantity="十")),
    ("number", row(quantity="+1")),
    ("number", row(quantity="1.")),
    ("number", row(quantity=".5")),
    ("number", row(quantity="1 2")),
    ("number", row(quantity='"1,5"')),
    ("number", row(quantity="true")),
    ("number", row(quantity="9" * 4400)),
    ("number", row(quantity="2 pcs")),
    ("number", row(quantity="--1")),
    ("number", row(quantity="null")),
    ("quantity_range", row(quantity="0")),
    ("quantity_range", row(quantity="0.0")),
    ("quantity_range", row(quantity="-1")),
    ("quantity_range", row(quantity="1000001")),
    ("quantity_range", row(quantity="999999999999999")),
    # money
    ("money", row(unit_price="¥12.00")),
    ("money", row(unit_price="12,50".replace(",", "'"))),
    ("money", row(unit_price='"1,250.00"')),
    ("money", row(unit_price="-3")),
    ("money", row(unit_price="NaN")),
    ("money", row(unit_price="1e999")),
    ("money", row(unit_price="free")),
    ("money", row(unit_price="999999999999999", quantity="1000")),
    ("currency", row(currency="cny")),
    ("currency", row(currency="¥")),
    ("currency", row(currency="CNYX")),
    ("kind", row(kind="smaple")),
    # times
    ("time", row(purchased_at="yesterday")),
    ("time", row(purchased_at="20240301")),
    ("time", row(purchased_at="2024-W09-5")),
    ("time", row(purchased_at="2024-061")),
    ("time", row(purchased_at="2024-02-30")),
    ("time", row(purchased_at="2023-02-29")),
    ("time", row(purchased_at="2024-13-01")),
    ("time", row(purchased_at="01/03/2024")),
    ("time", row(purchased_at="2024/03/01")),
    ("time", row(purchased_at="2024-3-1")),
    ("time", row(purchased_at="1709251200")),
    ("time", row(purchased_at="45352")),
    ("time", row(purchased_at="2024-03-01T25:00")),
    ("time", row(purchased_at="2024-03-01T24:00")),
    ("time", row(purchased_at="2024-03-01T23:59:60")),
    ("time", row(purchased_at="2024-03-01T09:30+99:00")),
    ("time", row(purchased_at="2024-03-01T09")),
    ("time", row(purchased_at="2024-03-01T09:30:00 PM")),
    ("time", row(purchased_at="0001-01-01T00:00+14:00")),
    ("time", row(purchased_at="9999-12-31T23:59-12:00")),
    ("time", row(purchased_at="0000-00-00")),
    ("time", row(purchased_at="1969-12-31")),
    ("time", row(purchased_at="２０２４-03-01")),
    ("time", row(purchased_at="2024-03-01Z")),
    # text no database or reader should meet
    ("bad_text", row(customer_id="be\x00n")),
    ("bad_text", row(customer_id="be\x1bn")),
    ("bad_text", row(customer_id="be\x7fn")),
    ("bad_text", row(product_id="te\x85a")),
    ("bad_text", row(product_id="te\u2028a")),
    ("bad_text", row(order_id="H\t1")),
    ("bad_text", row(order_id='"H\n1"')),
    ("bad_text", row(customer_id="be\rn")),
    ("too_long", row(customer_id="b" * 201)),
    ("too_long", row(product_id="茶" * 201)),
    ("too_long", row(customer_id="b" * 140_000)),
    ("too_long", row(customer_id="b" * 1_200_000)),
    # bytes
    ("encoding", b"\xff" + row()),
    ("encoding", row(customer_id="小林").decode().encode("gb18030")),
    ("encoding", b"be\xc3(n" + row()[3:]),
    ("encoding", b"be\xed\xa0\x80n" + row()[3:]),
    # the shape of the row
    ("too_few_fields", b"ben"),
    ("too_few_fields", b"ben,tea,1,5,2026-03-01,H-1,"),
    ("too_many_fields", row() + b",extra"),
    ("too_many_fields", row() + b"," * 500),
    ("too_many_fields", row(unit_price="12,50")),
    ("unclosed_quote", row(customer_id='"ben')),
    ("unclosed_quote", row(kind='"')),
    ("quote", row(customer_id='"be"n')),
    ("quote", row(customer_id='"ben"x"')),
    ("unclosed_quote", row(order_id='"H-1') + b"\x01"),
]
"""Code and row."""

JSONL_GOOD = (
    b'{"customer_id": "ana", "product_id": "coffee", "quantity": 1, '
    b'"purchased_at": "2026-03-01", "order_id": "G-%d"}'
)


def line(**changed: str) -> bytes:
    """A JSON line that is good but for the members given as JSON text."""
    members = {
        "customer_id": '"ben"',
        "product_id": '"tea"',
        "quantity": "1",
        "purchased_at": '"2026-03-01"',
    } | changed
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}").encode()


JSONL: list[tuple[str, bytes]] = [
    ("json", b"not json"),
    ("json", b"{"),
    ("json", b"{'customer_id': 'ben'}"),
    ("json", b'{"customer_id": "ben",}'),
    ("json", line() + b" " + line()),
    ("json", b"[]"),
    ("json", b"null"),
    ("json", b"3"),
    ("json", b'"text"'),
    ("json", b"[" * 60_000),
    ("json", b'{"a":' * 60_000),
    ("json", line(quantity="01")),
    ("json", line(customer_id='"be\x00n"')),
    ("duplicate_json_key", b'{"customer_id": "ben", "customer_id": "eve", "product_id": "tea"}'),
    ("duplicate_json_key", line(attributes='{"a": 1, "a": 2}')),
    ("number", line(quantity="NaN")),
    ("number", line(quantity="Infinity")),
    ("number", line(quantity="-Infinity")),
    ("number", line(quantity="1e999")),
    ("number", line(quantity="true")),
    ("number", line(quantity="[1]")),
    ("number", line(quantity='{"n": 1}')),
    ("number", line(quantity="9" * 4400)),
    ("number", line(quantity='"１"')),
    ("quantity_range", line(quantity="-2")),
    ("quantity_range", line(quantity="0.0")),
    ("missing", line(quantity="null")),
    ("missing", b'{"product_id": "tea", "quantity": 1, "purchased_at": "2026-03-01"}'),
    ("missing", b"{}"),
    ("text", line(customer_id="true")),
    ("text", line(customer_id='["ben"]')),
    ("text", line(customer_id='{"id": "ben"}')),
    ("text", line(customer_id="1.5")),
    ("text", line(customer_id="NaN")),
    ("time", line(purchased_at="1709251200")),
    ("time", line(purchased_at="true")),
    ("bad_text", line(customer_id='"be\\u0000n"')),
    ("bad_text", line(customer_id='"\\ud800"')),
    ("bad_text", line(customer_id='"be\\u001bn"')),
    ("too_long", line(customer_id='"' + "b" * 201 + '"')),
    ("too_long", line(customer_id='"' + "b" * 1_200_000 + '"')),
    ("encoding", line(customer_id='"').replace(b'""', b'"\xff"') + b"\xff"),
]
"""Code and line."""
