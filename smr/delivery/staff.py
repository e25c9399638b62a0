"""Messages that wait with staff for too long: taken back, and sent another way where there is one.

In: what a channel's staff have not confirmed. Out: cancelled where the guards say no by now, expired where
it is too late, and queued for the step's next channel where staff had it as long as `confirm_within` says.
Trap: a message is sent another way only once the provider has said that staff surely will not send it; where
that cannot be asked, it stays with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from smr import outbox
from smr.channels import Channel, Withdrawing
from smr.delivery.report import DeliveryReport
from smr.delivery.round import Round
from smr.errors import ChannelError
from smr.events import MessageState as S
from smr.outbox import WithStaff

AT_A_TIME = 100
UNCONFIRMED = "not_confirmed"


def take_back(this: Round, channel: Channel, given: Sequence[WithStaff], report: DeliveryReport) -> None:
    """See to what a channel's staff have not confirmed."""
    for start in range(0, len(given), AT_A_TIME):
        if this.stop():
            return
        some = given[start : start + AT_A_TIME]
        late = [one for one in some if one.expires_at <= this.now]
        _let_go(this, channel, late, S.EXPIRED, "expired", report, surely=False)
        timely = [one for one in some if one.expires_at > this.now]
        with this.database.read() as connection:
            found = this.recheck(connection, this.library, this.settings, now=this.now, written=timely)
        stops = {name: verdict.reason.value for name, verdict in found.items() if verdict.until is None}
        for reason in sorted(set(stops.values())):
            stopped = [one for one in timely if stops.get(one.message_id) == reason]
            _let_go(this, channel, stopped, S.CANCELLED, reason, report)
        waiting = [one for one in timely if one.message_id not in stops]
        _send_another_way(this, channel, waiting, report)


def _send_another_way(
    this: Round, channel: Channel, waiting: Sequence[WithStaff], report: DeliveryReport
) -> None:
    within = this.settings.channel(channel.name).confirm_within
    if within is None:
        return
    forgotten = [one for one in waiting if one.settled_at + timedelta(seconds=within) <= this.now]
    with this.database.read() as connection:
        rungs = this.next_rungs(connection, [one.message_id for one in forgotten])
    forgotten = [one for one in forgotten if one.message_id in rungs]
    taken = _let_go(this, channel, forgotten, S.CANCELLED, UNCONFIRMED, report)
    with this.database.write() as connection:
        for one in taken:
            rung = rungs[one.message_id]
            outbox.go_on(connection, one.bucket, one.message_id, rung, source=S.CANCELLED, now=this.now)


def _let_go(
    this: Round,
    channel: Channel,
    given: Sequence[WithStaff],
    state: S,
    reason: str,
    report: DeliveryReport,
    *,
    surely: bool = True,
) -> list[WithStaff]:
    """Withdraw these messages; with `surely`, only those are let go of that staff cannot send any more."""
    if not given:
        return []
    try:
        withdrawn = _withdrawn(channel, given)
    except ChannelError as error:
        report.troubles[channel.name] = str(error)
        return []
    gone = [one for one in given if not surely or one.provider_id in withdrawn]
    with this.database.write() as connection:
        return outbox.take_from_staff(connection, gone, state=state, reason=reason, now=this.now)


def _withdrawn(channel: Channel, given: Sequence[WithStaff]) -> set[str]:
    ids = sorted({one.provider_id for one in given if one.provider_id is not None})
    if not ids or not isinstance(channel, Withdrawing):
        return set()
    return {provider_id for provider_id, gone in channel.withdraw(ids).items() if gone}
