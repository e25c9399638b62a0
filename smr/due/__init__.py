"""What is due: when each supply runs out, and which step of which playbook that makes due for whom.

In: facts, the catalog, playbooks, the clock. Out: `buyers` and `supplies` (derived), and `candidates`, beside
which is written what the pipeline has judged of them. Works on a slice of buckets; judges nothing itself.
"""

from smr.due.catalog import publish_catalog, publish_substitutes
from smr.due.customer_rhythm import AskedDay, Rhythm, rhythms_of_customer
from smr.due.find import Judge, Search, Tally, Write, find, search
from smr.due.forecasts import with_chance
from smr.due.found import CANDIDATE_COLUMNS
from smr.due.run_outs import early
from smr.due.supplies import mark_everyone, mark_later_than, refresh, stated_supplies, take_all
from smr.due.triggers import anything_given, candidates_of
from smr.due.week import applied, begin_week, learn_lines, project

__all__ = [
    "CANDIDATE_COLUMNS",
    "AskedDay",
    "Judge",
    "Rhythm",
    "Search",
    "Tally",
    "Write",
    "anything_given",
    "applied",
    "begin_week",
    "candidates_of",
    "early",
    "find",
    "learn_lines",
    "mark_everyone",
    "mark_later_than",
    "project",
    "publish_catalog",
    "publish_substitutes",
    "refresh",
    "rhythms_of_customer",
    "search",
    "stated_supplies",
    "take_all",
    "with_chance",
]
