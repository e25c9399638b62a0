"""What a round of delivery did, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class DeliveryReport:
    """Counts of one round.

    `messages` counts messages by channel, the state they went to, and the reason (or ""). `rescued`
    counts those taken back from dead workers. `lost` counts messages that another worker had taken over
    meanwhile. `places` says where each channel's messages lie; `troubles` why a channel stopped. `more`: the
    round was stopped, or its time was over, before all was sent. `waits`: channels that may go on only in so
    many seconds.
    """

    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    rescued: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    lost: int = 0
    more: bool = False
    places: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many messages were moved by this round."""
        return self.messages.total()

    def count(self, state: str) -> int:
        """How many messages went to a state, on all channels and for all reasons."""
        return sum(number for (_, of_state, _), number in self.messages.items() if of_state == state)

    def add(self, other: DeliveryReport) -> None:
        """Count another report's messages as this one's, too."""
        self.messages.update(other.messages)
        self.rescued.update(other.rescued)
        self.expired += other.expired
        self.lost += other.lost
        self.more = self.more or other.more
        self.places |= other.places
        self.troubles |= other.troubles
        self.waits |= other.waits

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        rows = [
            {"channel": channel, "state": state, "reason": reason or None, "count": number}
            for (channel, state, reason), number in sorted(self.messages.items())
        ]
        return {
            "sent": self.count("sent"),
            "messages": rows,
            "rescued": dict(self.rescued),
            "expired": self.expired,
            "lost": self.lost,
            "more": self.more,
            "places": self.places,
            "troubles": self.troubles,
            "waits": self.waits,
        }
