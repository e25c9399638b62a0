"""What is due: when each supply runs out, and which step of which playbook that makes due for whom.

In: facts, the catalog, playbooks, the clock. Out: `buyers` and `supplies` (derived), and `candidates` in
state `due`. Works on a slice of buckets; judges nothing.
"""

from smr.due.catalog import publish_catalog
from smr.due.find import Search, Tally, find, search
from smr.due.supplies import mark_everyone, mark_later_than, refresh
from smr.due.triggers import CANDIDATE_COLUMNS, candidates_of

__all__ = [
    "CANDIDATE_COLUMNS",
    "Search",
    "Tally",
    "candidates_of",
    "find",
    "mark_everyone",
    "mark_later_than",
    "publish_catalog",
    "refresh",
    "search",
]
