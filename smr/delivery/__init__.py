"""Delivery: the half that talks to the world.

In: what waits in the outbox. Out: messages handed to their channels, and a record of every attempt.
Each batch goes: claim → guards once more and `sending`, in one transaction → the channel → what it answered.
"""

from smr.delivery.deliver import deliver
from smr.delivery.report import DeliveryReport

__all__ = ["DeliveryReport", "deliver"]
