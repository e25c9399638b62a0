"""The ledger of the shop beside what the providers got."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from smr.tables import deliveries, messages
from tests.crash.shop import Shop
from tests.providers.start import Provider


@dataclass(frozen=True)
class Verdict:
    """What was found; all but `messages`, `again` and `unknown` must be nothing."""

    messages: int
    lost: int
    double_rows: int
    foreign: int
    unflagged: int
    again: int
    unknown: int

    @property
    def good(self) -> bool:
        return not (self.lost or self.double_rows or self.foreign or self.unflagged)


def compare(shop: Shop, provider: Provider) -> Verdict:
    """Hold every message of the shop against the provider's log and the files."""
    database = shop.database()
    with database.read() as connection:
        rows = connection.execute(sa.select(messages)).all()
        tries = connection.execute(sa.select(deliveries.c.message_id, deliveries.c.result)).all()
    database.close()
    flagged = {message_id for message_id, result in tries if result == "unknown"}
    got = _received(shop, provider)
    wanted = {given[5] for given in shop.rows}
    stored = Counter(row.message_id for row in rows)
    sent = {row.message_id for row in rows if row.state == "sent"}
    ended = {row.message_id for row in rows if row.state in ("sent", "unknown")}
    repeated = {message_id for message_id, times in got.items() if times > 1}
    return Verdict(
        messages=len(rows),
        lost=len(wanted - ended) + len(sent - got.keys()) + len(wanted - stored.keys()),
        double_rows=sum(times - 1 for times in stored.values()),
        foreign=len(got.keys() - stored.keys()),
        unflagged=len(repeated - flagged),
        again=len(repeated),
        unknown=len(ended - sent),
    )


def _received(shop: Shop, provider: Provider) -> Counter[str]:
    """How often each message arrived: the endpoint's own log, the files and the broker are the truth."""
    mine = {given[5] for given in shop.rows}
    got: Counter[str] = Counter(one["id"] for one in provider.log() if one["taken"] and one["id"] in mine)
    for path in (shop.folder / "files").glob("*/*.jsonl"):
        got.update(json.loads(line)["message_id"] for line in path.read_bytes().split(b"\n") if line)
    if shop.stream is not None:
        got.update(one.message_id for one in shop.stream.taken())
    return got
