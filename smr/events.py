"""The closed lists of names: states, and reasons why a message is not sent."""

from __future__ import annotations

from enum import StrEnum


class CandidateState(StrEnum):
    """What became of a candidate."""

    DUE = "due"
    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    HELD_OUT = "held_out"
    EXPIRED = "expired"


class MessageState(StrEnum):
    """Where a message stands."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    WITH_STAFF = "with_staff"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    UNKNOWN = "unknown"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


COUNTED = (
    MessageState.QUEUED,
    MessageState.CLAIMED,
    MessageState.SENDING,
    MessageState.WITH_STAFF,
    MessageState.SENT,
    MessageState.DELIVERED,
    MessageState.UNKNOWN,
)
"""States in which a message counts as a contact: it has reached the customer, may have, or still will."""


class Reason(StrEnum):
    """Why a message is not sent, in the order in which guards are judged."""

    PAUSED = "paused"
    EXPIRED = "expired"
    BEFORE_PUBLICATION = "before_publication"
    NOT_DUE = "not_due"
    REFUNDED = "refunded"
    BOUGHT_ALREADY = "bought_already"
    STOPPED = "stopped"
    NOT_IN_SEGMENT = "not_in_segment"
    STEP_CONDITION = "step_condition"
    COMPLAINT_OPEN = "complaint_open"
    UNREACHABLE = "unreachable"
    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    QUIET_HOURS = "quiet_hours"
    FREQUENCY_CAP = "frequency_cap"
    SUPERSEDED = "superseded"
    PER_RUN_LIMIT = "per_run_limit"
    BLAST_LIMIT = "blast_limit"
    HOLDOUT = "holdout"
    TEMPLATE = "template"
    DELETED = "deleted"
    OPERATOR = "operator"
