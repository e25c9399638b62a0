"""What providers tell after they took a message: settled messages, opt-outs, dead addresses.

In: receipts of one channel. Out: each is stored once, whatever it is about; a message moves only forward:
what was delivered stays delivered. An opt-out is stored as the customer's word in the same transaction, so
that no `sending` written after it can miss it. A receipt about a message that nobody here knows yet is kept,
and tried again in the rounds of the next day: it may have come before the provider's answer to the call was
recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr import clock, guards, outbox
from smr.channels import Receipt, ReceiptKind
from smr.database import Database, insert_missing
from smr.database.turns import store_facts
from smr.events import MessageState as S
from smr.outbox.states import check_arrow
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import NEVER, addresses, changed_customers, consents, deliveries, messages, receipts

EVERY = "*"
KEPT_FOR = timedelta(days=1)
AT_A_TIME = 500
APPLIED, NOTHING_NEW, UNKNOWN_MESSAGE = "applied", "nothing_new", "unknown_message"
REFUSALS = frozenset({ReceiptKind.OPTED_OUT, ReceiptKind.COMPLAINED})

MOVES: dict[ReceiptKind, tuple[S, frozenset[S]]] = {
    ReceiptKind.SENT: (S.SENT, frozenset({S.WITH_STAFF, S.UNKNOWN})),
    ReceiptKind.DELIVERED: (S.DELIVERED, frozenset({S.SENT, S.UNKNOWN, S.WITH_STAFF})),
    ReceiptKind.UNDELIVERED: (S.UNDELIVERED, frozenset({S.SENT, S.UNKNOWN, S.WITH_STAFF})),
    ReceiptKind.NOT_SENT: (S.CANCELLED, frozenset({S.WITH_STAFF})),
}
"""What each kind makes of a message, and from which states."""
m = messages.c
_SHOWN = (m.bucket, m.customer_id, m.message_id, m.channel, m.address, m.state, m.attempts, m.purpose)


def take(
    database: Database,
    library: Library,
    settings: Settings,
    channel: str,
    told: Sequence[Receipt],
    *,
    now: datetime,
) -> Counter[str]:
    """Store these receipts and what follows from them; counts by outcome. What was told before changes
    nothing."""
    outcomes: Counter[str] = Counter()
    for start in range(0, len(told), AT_A_TIME):
        with database.write() as connection:
            store_facts(connection)
            for receipt in told[start : start + AT_A_TIME]:
                if _is_new(connection, channel, receipt, now):
                    outcome = _apply(connection, library, settings, channel, receipt, now)
                    _note(connection, channel, receipt.receipt_id, outcome)
                    outcomes[outcome] += 1
                else:
                    outcomes["told_before"] += 1
    return outcomes


def try_again(database: Database, library: Library, settings: Settings, *, now: datetime) -> int:
    """Apply the receipts of the last day whose message was not known; returns how many now are.

    Older ones stay without the address they named.
    """
    c = receipts.c
    waiting = (
        sa.select(receipts)
        .where(c.outcome == sa.literal(UNKNOWN_MESSAGE, literal_execute=True), c.received_at > now - KEPT_FOR)
        .order_by(c.received_at)
        .limit(AT_A_TIME)
    )
    given_up = (c.outcome == UNKNOWN_MESSAGE, c.received_at <= now - KEPT_FOR, c.address.is_not(None))
    with database.read() as connection:
        found = connection.execute(waiting).all()
        forget = connection.scalar(sa.select(sa.literal(1)).select_from(receipts).where(*given_up).limit(1))
    if forget:
        with database.write() as connection:
            connection.execute(sa.update(receipts).where(*given_up).values(address=None, dead_address=None))
    applied = 0
    for row in found:
        receipt = Receipt(
            row.receipt_id,
            ReceiptKind(row.kind),
            row.happened_at,
            row.message_id,
            row.provider_id,
            row.address,
            dead_address=bool(row.dead_address),
            detail=row.detail or "",
        )
        with database.write() as connection:
            store_facts(connection)
            outcome = _apply(connection, library, settings, row.channel, receipt, now)
            if outcome != UNKNOWN_MESSAGE:
                _note(connection, row.channel, row.receipt_id, outcome)
                applied += 1
    return applied


def _is_new(connection: Connection, channel: str, receipt: Receipt, now: datetime) -> bool:
    row = {
        "channel": channel,
        "receipt_id": receipt.receipt_id[:200],
        "kind": receipt.kind.value,
        "message_id": receipt.message_id,
        "provider_id": receipt.provider_id,
        "happened_at": receipt.at,
        "received_at": now,
        "outcome": UNKNOWN_MESSAGE,
        "detail": receipt.detail[:500],
        "address": receipt.address,
        "dead_address": receipt.dead_address or None,
    }
    put = insert_missing(connection.dialect.name, receipts)
    return connection.execute(put, row, execution_options={"preserve_rowcount": True}).rowcount == 1


def _note(connection: Connection, channel: str, receipt_id: str, outcome: str) -> None:
    """Write what became of a receipt; the address it named is kept only as long as the receipt waits."""
    c = receipts.c
    same = (c.channel == channel, c.receipt_id == receipt_id[:200])
    values: dict[str, Any] = {"outcome": outcome}
    if outcome != UNKNOWN_MESSAGE:
        values |= {"address": None, "dead_address": None}
    connection.execute(sa.update(receipts).where(*same).values(values))


def _apply(
    connection: Connection,
    library: Library,
    settings: Settings,
    channel: str,
    receipt: Receipt,
    now: datetime,
) -> str:
    """What the receipt changes. Returns its outcome."""
    message = _message(connection, channel, receipt)
    people = _people(connection, channel, receipt, message)
    if receipt.dead_address:
        gone = receipt.address if message is None else message.address
        _bury(connection, channel, people, gone, now)
    if receipt.kind in REFUSALS:
        _refuse(connection, channel, people, receipt, now)
        return APPLIED if people else UNKNOWN_MESSAGE
    if message is None or message.state in (S.CLAIMED, S.SENDING):
        return UNKNOWN_MESSAGE
    target, sources = MOVES[receipt.kind]
    if message.state not in sources or message.channel != channel:
        return NOTHING_NEW
    _move(connection, message, target, receipt, now)
    if target in (S.UNDELIVERED, S.CANCELLED):
        _go_on(connection, library, settings, message, target, now)
    return APPLIED


def _message(connection: Connection, channel: str, receipt: Receipt) -> Any:
    """The message a receipt is about, locked; None where it names none that is known."""
    if receipt.message_id is not None:
        bucket = _bucket(receipt.message_id)
        if bucket is None:
            return None
        where = (m.bucket == bucket, m.message_id == receipt.message_id)
        return connection.execute(sa.select(*_SHOWN).where(*where).with_for_update()).first()
    if receipt.provider_id is None:
        return None
    called = (m.provider_id == receipt.provider_id, m.provider_id.is_not(None), m.channel == channel)
    found = connection.execute(sa.select(*_SHOWN).where(*called).limit(1)).first()
    if found is None:
        return None
    where = (m.bucket == found.bucket, m.message_id == found.message_id)
    return connection.execute(sa.select(*_SHOWN).where(*where).with_for_update()).first()


def _bucket(message_id: str) -> int | None:
    try:
        return int(message_id[:3], 16)
    except ValueError:
        return None


def _people(connection: Connection, channel: str, receipt: Receipt, message: Any) -> list[tuple[int, str]]:
    """Whom a receipt is about: the message's customer, or those who have the address."""
    if message is not None:
        return [(message.bucket, message.customer_id)]
    if receipt.address is None:
        return []
    a = addresses.c
    owners = sa.select(a.bucket, a.customer_id).where(a.channel == channel, a.address == receipt.address)
    return [(row.bucket, row.customer_id) for row in connection.execute(owners)]


def _bury(
    connection: Connection,
    channel: str,
    people: Sequence[tuple[int, str]],
    address: str | None,
    now: datetime,
) -> None:
    """Nothing arrives at this address any more; one that the customer has taken meanwhile is not meant."""
    a = addresses.c
    for bucket, customer_id in people:
        where = (a.bucket == bucket, a.customer_id == customer_id, a.channel == channel, a.address == address)
        buried = sa.update(addresses).where(*where).values(undeliverable_since=now)
        if connection.execute(buried).rowcount:
            _mark(connection, bucket, customer_id, now)


def _refuse(
    connection: Connection,
    channel: str,
    people: Sequence[tuple[int, str]],
    receipt: Receipt,
    now: datetime,
) -> None:
    """The customer's word, from this instant on."""
    dialect = connection.dialect.name
    for bucket, customer_id in people:
        owner = {"bucket": bucket, "customer_id": customer_id}
        word = {
            **owner,
            "channel": channel,
            "purpose": EVERY,
            "decided_at": now,
            "granted": False,
            "source": f"{channel}: {receipt.kind.value}",
        }
        connection.execute(insert_missing(dialect, consents), word)
        _mark(connection, bucket, customer_id, now)


def _mark(connection: Connection, bucket: int, customer_id: str, now: datetime) -> None:
    """This customer is to be judged again: segments and guards may ask for what a receipt has changed."""
    owner = {"bucket": bucket, "customer_id": customer_id}
    mark = {**owner, "import_id": -clock.seconds(now), "bought_since": NEVER}
    connection.execute(insert_missing(connection.dialect.name, changed_customers), mark)


def _move(connection: Connection, message: Any, target: S, receipt: Receipt, now: datetime) -> None:
    check_arrow(S(message.state), target)
    values: dict[str, Any] = {
        "state": target.value,
        "settled_at": now,
        "token": None,
        "lease_until": None,
        "reason": receipt.kind.value if target in (S.UNDELIVERED, S.CANCELLED) else None,
    }
    if target in (S.SENT, S.DELIVERED, S.UNDELIVERED) and message.state != S.SENT:
        values["sent_at"] = receipt.at
    where = (m.bucket == message.bucket, m.message_id == message.message_id)
    connection.execute(sa.update(messages).where(*where).values(values))
    if message.state == S.UNKNOWN:
        d = deliveries.c
        attempt = (
            d.bucket == message.bucket,
            d.customer_id == message.customer_id,
            d.message_id == message.message_id,
            d.attempt == message.attempts,
        )
        told = {"result": "sent", "finished_at": now, "reason": "a receipt came"}
        connection.execute(sa.update(deliveries).where(*attempt).values(told))


def _go_on(
    connection: Connection, library: Library, settings: Settings, message: Any, source: S, now: datetime
) -> None:
    """What did not arrive waits for the step's next channel, where there is one."""
    rungs = guards.next_rungs(connection, library, settings, now=now, message_ids=[message.message_id])
    rung = rungs.get(message.message_id)
    if rung is not None:
        outbox.go_on(connection, message.bucket, message.message_id, rung, source=source, now=now)
