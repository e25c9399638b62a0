"""Guards: one file per reason not to send.

In: candidates found due. Out: the same rows, accepted, blocked with a reason, held out or expired.
A guard is an SQL expression about one candidate, so the same code judges a million rows in a run, one
message before it is sent, and one customer when explaining. Guards that compare candidates with each
other (caps, priority, limits) work on all of a customer's candidates at once. Holdout is judged last.
"""

from smr.guards.bundle import Bundling, arrange, bundlings, queued, set_free
from smr.guards.chain import (
    GUARDS,
    any_open,
    arbitrate,
    arbitrations,
    judge,
    judged_alike,
    judgements,
    verdict,
    with_verdict,
)
from smr.guards.contacts import Moments
from smr.guards.held import note_held
from smr.guards.ladder import Rung, next_rungs
from smr.guards.limits import limit_run
from smr.guards.quiet_hours import quiet_now
from smr.guards.recheck import Written, recheck
from smr.guards.settling import Settling, settle
from smr.guards.standing import decide_anew, decided_at, note_decided, note_slice
from smr.guards.turns import take_turns
from smr.guards.verdict import Bench, Verdict

__all__ = [
    "GUARDS",
    "Bench",
    "Bundling",
    "Moments",
    "Rung",
    "Settling",
    "Verdict",
    "Written",
    "any_open",
    "arbitrate",
    "arbitrations",
    "arrange",
    "bundlings",
    "decide_anew",
    "decided_at",
    "judge",
    "judged_alike",
    "judgements",
    "limit_run",
    "next_rungs",
    "note_decided",
    "note_held",
    "note_slice",
    "queued",
    "quiet_now",
    "recheck",
    "set_free",
    "settle",
    "take_turns",
    "verdict",
    "with_verdict",
]
