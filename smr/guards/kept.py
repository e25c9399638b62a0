"""Statements that judge, kept from one run to the next: the files say what they ask, hardly ever the time.

In: benches, and what builds a statement of them. Out: that statement, built once for the same playbooks,
settings and quiet zones (until when it is quiet is counted from the run's time). One of which a guard looks
at the bench's `now` is built anew each time; the guard need not say so. What else a statement is built of
must be told by `alike`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields
from typing import Any, NoReturn

from smr import clock
from smr.guards.verdict import Ahead, Bench

MOST = 256
"""Statements that are kept; those used longest ago are let go."""
_kept: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()


class _NeedsTheTimeError(Exception):
    """What is being built depends on the instant of the run."""


class _Timeless(Bench):
    """A bench that does not know the time."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _NeedsTheTimeError(name)


def built_once(group: list[Bench], build: Callable[[list[Bench]], Any], alike: Hashable = "judgement") -> Any:
    """What `build` makes of these benches, from an earlier run where it is the same."""

    def timeless() -> Any:
        try:
            return build([_timeless(bench) for bench in group])
        except _NeedsTheTimeError:
            return None

    made = _keep((alike, *(_said(bench) for bench in group)), group, timeless)
    return build(group) if made is None else made


def kept_for(what: tuple[Any, ...], build: Callable[[], Any]) -> Any:
    """What `build` makes, from an earlier time where all it is made of is the same."""
    return _keep(tuple(_told(one) for one in what), what, build)


def _keep(key: tuple[Any, ...], what: Any, build: Callable[[], Any]) -> Any:
    found = _kept.pop(key, None)
    if found is None:
        found = (what, build())  # with what it is made of: what is told by identity must live as long
    _kept[key] = found  # as the one used last
    while len(_kept) > MOST:
        _kept.popitem(last=False)
    return found[1]


def _timeless(bench: Bench) -> Bench:
    found = object.__new__(_Timeless)
    for name, value in _values(bench).items():
        object.__setattr__(found, name, value)
    return found


def _said(bench: Bench) -> tuple[Any, ...]:
    return tuple(map(_told, _values(bench).values()))


def _values(bench: Bench) -> dict[str, Any]:
    """What there is of a bench but for the time; the ends of quiet hours as seen from it."""
    values = {field.name: getattr(bench, field.name) for field in fields(bench) if field.name != "now"}
    now = clock.seconds(bench.now)
    return values | {"quiet_until": {Ahead(end - now): zones for end, zones in bench.quiet_until.items()}}


def _told(value: Any) -> Any:
    """Plain values by what they are, everything else by which it is."""
    if value is None or isinstance(value, bool | int | str):
        return value
    return frozenset(value.items()) if isinstance(value, Mapping) else id(value)
