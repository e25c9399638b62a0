"""A channel that answers as a test says."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock

import pytest

from smr.channel_kinds import Kind
from smr.channels import Accepted, Outgoing, Result, Traits, UnknownPolicy, file
from smr.notation import Rate


def accept(batch: Sequence[Outgoing]) -> list[Result]:
    return [Accepted() for _ in batch]


@dataclass
class Scripted:
    """Answers by a function; remembers its calls."""

    answer: Callable[[Sequence[Outgoing]], list[Result]] = accept
    name: str = "wecom"
    place: str = "nowhere"
    max_batch: int = 10
    parallel: int = 1
    rate: Rate | None = None
    policy: UnknownPolicy = UnknownPolicy.HOLD
    dedupes: bool = False
    dedupes_for: int | None = None
    staff: bool = False
    calls: list[list[Outgoing]] = field(default_factory=list)
    closed: int = 0
    lock: Lock = field(default_factory=Lock)

    @property
    def traits(self) -> Traits:
        return Traits(
            personal=True,
            dedupes=self.dedupes,
            can_ask=False,
            staff_confirms=self.staff,
            max_batch=self.max_batch,
            max_length=None,
            unknown_policy=self.policy,
            dedupes_for=self.dedupes_for,
            parallel=self.parallel,
            call_seconds=5,
            rate=self.rate,
        )

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        with self.lock:
            self.calls.append(list(batch))
        return self.answer(batch)

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        return {}

    def close(self) -> None:
        self.closed += 1

    @property
    def got(self) -> list[str]:
        """The customers of all calls, in order."""
        return [message.customer_id for call in self.calls for message in call]


class ScriptedForMany(Scripted):
    """One call carries one text."""

    def together(self, message: Outgoing) -> Hashable:
        return message.text


def use(monkeypatch: pytest.MonkeyPatch, *channels: Scripted) -> None:
    """Have these channels stand in place of the file channels of their names."""
    by_name = {channel.name: channel for channel in channels}
    kind = Kind(file.FileSettings, lambda name, settings: by_name[name], polls=True)
    monkeypatch.setattr(file, "KIND", kind)
