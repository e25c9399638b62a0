"""The closed lists of names: states, reasons not to send, events of the log, kinds of incidents."""

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


class InteractionKind(StrEnum):
    """What a customer did other than buying."""

    CHAT = "chat"
    REPLY = "reply"
    MOMENTS_READ = "moments_read"
    MOMENTS_LIKE = "moments_like"
    MOMENTS_COMMENT = "moments_comment"
    CLICK = "click"
    GROUP_JOINED = "group_joined"
    GROUP_LEFT = "group_left"
    GROUP_MESSAGE = "group_message"
    VISIT = "visit"
    LIVE = "live"
    FRIEND_ADDED = "friend_added"
    FRIEND_DELETED = "friend_deleted"
    ANSWER = "answer"

    @classmethod
    def _missing_(cls, value: object) -> InteractionKind | None:
        """The kind of a Chinese name."""
        return KINDS_IN_CHINESE.get(str(value))


KINDS_IN_CHINESE = {
    "聊天": InteractionKind.CHAT,
    "私聊": InteractionKind.CHAT,
    "回复": InteractionKind.REPLY,
    "朋友圈阅读": InteractionKind.MOMENTS_READ,
    "朋友圈点赞": InteractionKind.MOMENTS_LIKE,
    "朋友圈评论": InteractionKind.MOMENTS_COMMENT,
    "点击": InteractionKind.CLICK,
    "入群": InteractionKind.GROUP_JOINED,
    "退群": InteractionKind.GROUP_LEFT,
    "群消息": InteractionKind.GROUP_MESSAGE,
    "小程序访问": InteractionKind.VISIT,
    "看直播": InteractionKind.LIVE,
    "加好友": InteractionKind.FRIEND_ADDED,
    "删好友": InteractionKind.FRIEND_DELETED,
    "导购回复": InteractionKind.ANSWER,
}
"""What files and playbooks may say as well."""

OTHER_SPELLINGS: dict[type, tuple[str, ...]] = {InteractionKind: tuple(KINDS_IN_CHINESE)}
"""What is understood beside the values themselves."""

SPOKEN = (
    InteractionKind.CHAT,
    InteractionKind.REPLY,
    InteractionKind.MOMENTS_COMMENT,
    InteractionKind.GROUP_MESSAGE,
)
"""Interactions in which the customer says something."""

NOT_THE_CUSTOMERS = (InteractionKind.ANSWER,)
"""What staff wrote to the customer: kept for the conversation, no doing of the customer's."""


class Reason(StrEnum):
    """Why a message is not sent: what is judged of one candidate, in that order, then what compares them."""

    PAUSED = "paused"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    BOUGHT_ALREADY = "bought_already"
    STOPPED = "stopped"
    NOT_DUE = "not_due"
    BEFORE_PUBLICATION = "before_publication"
    NOT_IN_SEGMENT = "not_in_segment"
    STEP_CONDITION = "step_condition"
    COMPLAINT_OPEN = "complaint_open"
    OUT_OF_STOCK = "out_of_stock"
    REFUND_OPEN = "refund_open"
    UNREACHABLE = "unreachable"
    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    QUIET_HOURS = "quiet_hours"
    TOO_SOON = "too_soon"
    FREQUENCY_CAP = "frequency_cap"
    FATIGUE = "fatigue"
    CONTENT_MIX = "content_mix"
    SUPERSEDED = "superseded"
    BUNDLED = "bundled"
    BUNDLE_CHANGED = "bundle_changed"
    PER_RUN_LIMIT = "per_run_limit"
    BLAST_LIMIT = "blast_limit"
    HOLDOUT = "holdout"
    HANDED_OVER = "handed_over"
    TEMPLATE = "template"
    SENSITIVE = "sensitive"
    DELETED = "deleted"
    OPERATOR = "operator"


POLICY = (
    Reason.COMPLAINT_OPEN,
    Reason.REFUND_OPEN,
    Reason.QUIET_HOURS,
    Reason.TOO_SOON,
    Reason.FREQUENCY_CAP,
    Reason.FATIGUE,
    Reason.CONTENT_MIX,
    Reason.SUPERSEDED,
    Reason.BLAST_LIMIT,
)
"""Reasons that are rules of the contact policy."""


class Event(StrEnum):
    """What the log tells, one name each: what it is about, and what happened to it."""

    DAEMON_STARTED = "daemon.started"
    DAEMON_WAITING = "daemon.waiting"
    DAEMON_DRAINING = "daemon.draining"
    DAEMON_STOPPED = "daemon.stopped"
    DAEMON_STOPPED_HARD = "daemon.stopped_hard"
    DUTY_STARTED = "duty.started"
    DUTY_FINISHED = "duty.finished"
    DUTY_STOPPED = "duty.stopped"
    DUTY_FAILED = "duty.failed"
    RUN_FINISHED = "run.finished"
    RUN_SHARED = "run.shared"
    IMPORT_FINISHED = "import.finished"
    DELIVERY_FINISHED = "delivery.finished"
    CHANNEL_FAILED = "channel.failed"
    MESSAGES_RESCUED = "messages.rescued"
    CONFIGURATION_LOADED = "configuration.loaded"
    CONFIGURATION_REFUSED = "configuration.refused"
    CONFIGURATION_NEEDS_RESTART = "configuration.needs_restart"
    DATABASE_LOST = "database.lost"
    DATABASE_BACK = "database.back"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_CLOSED = "incident.closed"
    ALERT_SENT = "alert.sent"
    ALERT_FAILED = "alert.failed"
    REQUEST_FAILED = "request.failed"
    LIBRARY_SAID = "library.said"


FIELDS: dict[Event, tuple[str, ...]] = {
    Event.DAEMON_STARTED: ("owner", "version", "playbooks", "listen"),
    Event.DAEMON_WAITING: ("error", "why"),
    Event.DAEMON_DRAINING: ("owner", "grace", "active"),
    Event.DAEMON_STOPPED: ("owner", "seconds"),
    Event.DAEMON_STOPPED_HARD: ("owner", "active"),
    Event.DUTY_STARTED: ("duty", "slot", "attempt"),
    Event.DUTY_FINISHED: ("duty", "slot", "seconds"),
    Event.DUTY_STOPPED: ("duty", "slot"),
    Event.DUTY_FAILED: ("duty", "slot", "error", "why", "trace"),
    Event.RUN_FINISHED: ("slot", "due", "accepted", "held_out", "queued", "failed", "blast"),
    Event.RUN_SHARED: ("slot",),
    Event.IMPORT_FINISHED: ("source", "rows", "new", "refused"),
    Event.DELIVERY_FINISHED: ("channel", "sent", "stopped", "failed", "unknown", "again"),
    Event.CHANNEL_FAILED: ("channel",),
    Event.MESSAGES_RESCUED: ("queued", "unknown", "expired"),
    Event.CONFIGURATION_LOADED: ("version", "playbooks"),
    Event.CONFIGURATION_REFUSED: ("places", "faults", "error"),
    Event.CONFIGURATION_NEEDS_RESTART: ("settings",),
    Event.DATABASE_LOST: ("error", "why", "trace"),
    Event.DATABASE_BACK: ("seconds",),
    Event.INCIDENT_OPENED: ("incident", "kind", "subject"),
    Event.INCIDENT_CLOSED: ("incident", "kind", "subject"),
    Event.ALERT_SENT: ("incident", "kind", "subject", "channel", "news"),
    Event.ALERT_FAILED: ("incident", "kind", "subject", "channel", "news", "error"),
    Event.REQUEST_FAILED: ("method", "endpoint", "error", "trace"),
    Event.LIBRARY_SAID: ("logger", "where", "said", "error", "trace"),
}
"""What each event tells beside its time and level: never a name, an address or a text of a customer."""

GRAVE = frozenset(
    {
        Event.DAEMON_STOPPED_HARD,
        Event.DUTY_FAILED,
        Event.CHANNEL_FAILED,
        Event.CONFIGURATION_REFUSED,
        Event.DATABASE_LOST,
        Event.INCIDENT_OPENED,
        Event.ALERT_FAILED,
        Event.REQUEST_FAILED,
        Event.DAEMON_WAITING,
        Event.CONFIGURATION_NEEDS_RESTART,
    }
)
"""Events that are logged as warnings."""


class Kind(StrEnum):
    """What an incident is about."""

    DATABASE_DOWN = "database_down"
    CONFIGURATION = "configuration"
    DUTY_FAILED = "duty_failed"
    CHANNEL_DOWN = "channel_down"
    ERROR_SHARE = "error_share"
    LATE_MESSAGES = "late_messages"
    UNKNOWN_MESSAGES = "unknown_messages"
    RUN_SENDS_NOTHING = "run_sends_nothing"
    RUN_SENDS_TOO_MUCH = "run_sends_too_much"
    RUN_STOPPED = "run_stopped"
