"""The long-running process: wakes up, does its duties, drains when it is told to stop.

In: a configuration. Out: what `smr import`, `run`, `deliver` and `db backup` do, at the times that the
configuration names, by any number of daemons at once. Nothing is remembered in memory that a kill could
lose: which slots were done stands in `firings`, what waits stands in the outbox.
"""

from smr.daemon.process import serve

__all__ = ["serve"]
