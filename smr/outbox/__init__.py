"""The outbox: where messages wait until they are sent.

In: rendered messages (`put`). Out: claimed messages for delivery, and each message's state. A message is one
row under the unique key of its reminder; it moves only along the arrows in `states`, and a worker may move
only what it holds by its token. No network here.
"""

from smr.outbox.claim import (
    Claimed,
    Place,
    channels_waiting,
    claim,
    in_order,
    new_token,
    others_at_it,
    recorded,
    take,
)
from smr.outbox.operators import cancel, retry
from smr.outbox.prune import prune
from smr.outbox.put import COLUMNS, put
from smr.outbox.rescue import Unknown, expire, rescue, send_again, settle_unknown, unknown_messages
from smr.outbox.send import Begun, Stopped, Verdict, begin_sending, fate, release, renew
from smr.outbox.settle import Onward, Settlement, go_on, settle
from smr.outbox.staff import WithStaff, take_from_staff, with_staff

__all__ = [
    "COLUMNS",
    "Begun",
    "Claimed",
    "Onward",
    "Place",
    "Settlement",
    "Stopped",
    "Unknown",
    "Verdict",
    "WithStaff",
    "begin_sending",
    "cancel",
    "channels_waiting",
    "claim",
    "expire",
    "fate",
    "go_on",
    "in_order",
    "new_token",
    "others_at_it",
    "prune",
    "put",
    "recorded",
    "release",
    "renew",
    "rescue",
    "retry",
    "send_again",
    "settle",
    "settle_unknown",
    "take",
    "take_from_staff",
    "unknown_messages",
    "with_staff",
]
