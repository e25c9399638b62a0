"""The states of a message and the arrows between them.

    queued ──▶ claimed ──▶ sending ──▶ sent ──▶ delivered | undelivered
      ▲  │        │           │ ├────▶ with_staff ──▶ sent | cancelled | expired
      │  │        │           │ ├────▶ failed              the channel refused for good
      │  │        │           │ └────▶ unknown             nobody can say whether it went out
      │  └────────┴─▶ cancelled | expired
      └── claimed: released, lease ran out, or a guard says later
      └── queued ──▶ sending: claimed and recorded as being sent in one transaction
      └── sending: surely not sent, tried again later
      └── unknown: asked, and the channel does not have it; or an operator's word
      └── failed, cancelled: an operator's word
      └── undelivered, declined by staff, or taken back from them: the step's next channel

    unknown ──▶ sent (the channel has it) | delivered | undelivered (a late receipt)

In: nothing. Out: `ARROWS`, and `check_arrow`, which every statement that changes a state passes when it
is built.
Trap: `sending` is written and committed before the channel is called; whatever is found in it with a
dead lease may have gone out.
"""

from __future__ import annotations

from smr.events import MessageState as S

ARROWS: dict[S, frozenset[S]] = {
    S.QUEUED: frozenset({S.CLAIMED, S.SENDING, S.QUEUED, S.CANCELLED, S.EXPIRED}),
    S.CLAIMED: frozenset({S.SENDING, S.QUEUED, S.CANCELLED, S.EXPIRED}),
    S.SENDING: frozenset({S.SENT, S.WITH_STAFF, S.FAILED, S.UNKNOWN, S.QUEUED}),
    S.WITH_STAFF: frozenset({S.SENT, S.DELIVERED, S.UNDELIVERED, S.CANCELLED, S.EXPIRED}),
    S.SENT: frozenset({S.DELIVERED, S.UNDELIVERED}),
    S.UNKNOWN: frozenset({S.SENT, S.QUEUED, S.DELIVERED, S.UNDELIVERED}),
    S.FAILED: frozenset({S.QUEUED}),
    S.CANCELLED: frozenset({S.QUEUED}),
    S.EXPIRED: frozenset(),
    S.DELIVERED: frozenset(),
    S.UNDELIVERED: frozenset({S.QUEUED}),
}
"""From each state, the states a message may go to."""

AGAIN = (S.FAILED, S.UNKNOWN, S.CANCELLED)
"""States from which an operator may have a message sent again."""

STOPPABLE = (S.QUEUED, S.CLAIMED)
"""States in which a message surely has not gone out and may be cancelled."""


def check_arrow(source: S, target: S) -> None:
    """Raise ValueError where no arrow leads from `source` to `target`."""
    if target not in ARROWS[source]:
        raise ValueError(f"a message never goes from {source} to {target}")
