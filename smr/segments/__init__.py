"""Segments: who is a member of what, at which stage of each ladder, and which tags a rule gives.

In: facts and `segments.yaml`. Out: `members`, `stages` and the tags of rules; what ended is kept. Only those
are judged again whose facts changed, or about whom the clock alone may change an answer.
Works on a slice of buckets; imports nothing of the other stages.
"""

from smr.segments.marks import begin, note_changes, note_supplies, slices
from smr.segments.refresh import refresh

__all__ = ["begin", "note_changes", "note_supplies", "refresh", "slices"]
