"""Segments: who is a member of what, and at which stage of each ladder.

In: facts and `segments.yaml`. Out: `members` and `stages`, open rows for what holds now, closed ones kept.
Works on a slice of buckets; imports nothing of the other stages.
"""

from smr.segments.refresh import refresh

__all__ = ["refresh"]
