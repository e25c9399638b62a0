"""The outbox: where messages wait until they are sent.

In: rendered messages (`put`). Out: claimed messages for delivery, and each message's state. A message is one
row under the unique key of its reminder; it moves only along the arrows in `states`, and a worker may move
only what it holds by its token. No network here.
"""

from smr.outbox.claim import Claimed, Portion, channels_waiting, claim, portions
from smr.outbox.operators import cancel, retry
from smr.outbox.prune import prune
from smr.outbox.put import COLUMNS, put
from smr.outbox.rescue import Unknown, expire, rescue, settle_unknown, unknown_messages
from smr.outbox.send import Begun, Stopped, Verdict, begin_sending, fate, release, renew
from smr.outbox.settle import Settlement, settle

__all__ = [
    "COLUMNS",
    "Begun",
    "Claimed",
    "Portion",
    "Settlement",
    "Stopped",
    "Unknown",
    "Verdict",
    "begin_sending",
    "cancel",
    "channels_waiting",
    "claim",
    "expire",
    "fate",
    "portions",
    "prune",
    "put",
    "release",
    "renew",
    "rescue",
    "retry",
    "settle",
    "settle_unknown",
    "unknown_messages",
]
