"""An expectation held against what happened.

In: an expectation with its place, and a `Witness`. Out: `Failure` values: where it stands, what was
expected, what happened instead, and a diff where texts differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import ndiff
from enum import StrEnum
from typing import Any

from smr.events import Reason
from smr.scenarios.load import Story
from smr.scenarios.model import ExpectedMessage, ExpectedWait, Named, clock_of
from smr.scenarios.witness import Fate, Letter, Witness
from smr.strict_yaml import Steps


class Code(StrEnum):
    """How something did not come as expected (closed list)."""

    MISSING = "missing"
    """The message did not come."""
    UNEXPECTED = "unexpected"
    """A message came that is not listed."""
    CHANNEL = "channel"
    """It came, or waits, by another channel."""
    SUBJECT = "subject"
    """It has another subject."""
    TEXT = "text"
    """It has another text."""
    CONTAINS = "contains"
    """Words are missing in its text."""
    NOT_CONTAINS = "not_contains"
    """Words are in its text that must not be."""
    NOT_WAITING = "not_waiting"
    """It does not wait."""
    UNTIL = "until"
    """It waits until another time."""
    NOT_BLOCKED = "not_blocked"
    """The step is not blocked."""
    OTHER_REASON = "other_reason"
    """The step is blocked for another reason."""
    NOT_HELD_OUT = "not_held_out"
    """The customer is not held out."""


@dataclass(frozen=True)
class Failure:
    """One thing that did not come as expected.

    `instead` has at least one sentence. `diff` are lines that begin with - (expected), + (found) or a space.
    """

    file: str
    line: int
    column: int
    path: str
    at: str
    code: Code
    expected: str
    instead: tuple[str, ...]
    diff: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The failure as plain values."""
        return {**vars(self), "instead": list(self.instead), "diff": list(self.diff)}


@dataclass(frozen=True)
class _Problem:
    """What is wrong with a message that came."""

    code: Code
    expected: str
    instead: str
    diff: tuple[str, ...] = ()


def compare(story: Story, number: int, seen: Witness) -> Iterator[Failure]:
    """The failures of expectation `number` of a story."""
    comparing = _Comparing(story, ("expect", number), seen)
    yield from comparing.messages()
    yield from comparing.waiting()
    yield from comparing.blocked()
    yield from comparing.held_out()


class _Comparing:
    def __init__(self, story: Story, path: Steps, seen: Witness) -> None:
        self.story = story
        self.path = path
        self.seen = seen
        self.expectation = story.scenario.expect[int(path[1])]

    def failure(
        self, path: Steps, code: Code, expected: str, instead: Sequence[str], diff: tuple[str, ...] = ()
    ) -> Failure:
        found = self.story.document.fault((*self.story.path, *self.path, *path), str(code), "")
        place = (found.file, found.line, found.column, found.path)
        return Failure(*place, self.expectation.at, code, expected, tuple(instead), diff)

    def messages(self) -> Iterator[Failure]:
        if self.expectation.messages is None:
            return
        left = self.seen.sent
        for number, wanted in enumerate(self.expectation.messages):
            path: Steps = ("messages", number)
            found = [fate for fate in self.seen.of(wanted) if fate in left]
            if not found:
                yield self.failure(path, Code.MISSING, _message(wanted), self.seen.truth(wanted))
                continue
            best = min(found, key=lambda fate: len(list(_problems(wanted, _letter(fate)))))
            left.remove(best)
            for problem in _problems(wanted, _letter(best)):
                yield self.failure(path, problem.code, problem.expected, [problem.instead], problem.diff)
        for fate in left:
            yield self.failure(
                ("messages",), Code.UNEXPECTED, _no_other(self.expectation.messages), [_came(fate)]
            )

    def waiting(self) -> Iterator[Failure]:
        for number, wanted in enumerate(self.expectation.waiting):
            path: Steps = ("waiting", number)
            found = [fate for fate in self.seen.of(wanted) if fate.waiting]
            if not found:
                yield self.failure(
                    path, Code.NOT_WAITING, f"{_named(wanted)} to wait", self.seen.truth(wanted)
                )
            else:
                yield from self.wait(path, wanted, _letter(found[0]))

    def wait(self, path: Steps, wanted: ExpectedWait, letter: Letter) -> Iterator[Failure]:
        zone = self.seen.moment.settings.shop.tz
        if wanted.channel not in (None, letter.channel):
            expected = f"{_named(wanted)} to wait for {wanted.channel}"
            yield self.failure(path, Code.CHANNEL, expected, [f"it waits for {letter.channel}"])
        if wanted.until is not None and clock_of(wanted.until, zone) != letter.send_after:
            until = letter.send_after.astimezone(zone)
            expected = f"{_named(wanted)} to wait until {wanted.until}"
            yield self.failure(path, Code.UNTIL, expected, [f"it waits until {until:%Y-%m-%d %H:%M}"])

    def blocked(self) -> Iterator[Failure]:
        for number, wanted in enumerate(self.expectation.blocked):
            reasons = {fate.blocked for fate in self.seen.of(wanted)} or {Reason.NOT_DUE}
            if wanted.reason not in reasons:
                code = Code.OTHER_REASON if reasons - {None} else Code.NOT_BLOCKED
                expected = f"{_named(wanted)} to be blocked: {wanted.reason}"
                yield self.failure(("blocked", number), code, expected, self.seen.truth(wanted))

    def held_out(self) -> Iterator[Failure]:
        for number, wanted in enumerate(self.expectation.held_out):
            if not any(fate.held_out for fate in self.seen.of(wanted)):
                expected = f"{_named(wanted)} to be held out"
                yield self.failure(("held_out", number), Code.NOT_HELD_OUT, expected, self.seen.truth(wanted))


def _problems(wanted: ExpectedMessage, letter: Letter) -> Iterator[_Problem]:
    named = _named(wanted)
    if wanted.channel not in (None, letter.channel):
        yield _Problem(Code.CHANNEL, f"{named} by {wanted.channel}", f"it was sent by {letter.channel}")
    if wanted.subject is not None and wanted.subject != (letter.subject or ""):
        diff = _diff(wanted.subject, letter.subject or "")
        yield _Problem(Code.SUBJECT, f"another subject of {named}", "it was sent with this one", diff)
    text = letter.text.strip()
    if wanted.text is not None and wanted.text.strip() != text:
        diff = _diff(wanted.text.strip(), text)
        yield _Problem(Code.TEXT, f"another text of {named}", "it was sent with this one", diff)
    for part in wanted.contains:
        if part not in letter.text:
            yield _Problem(Code.CONTAINS, f"{part!r} in the text of {named}", "the text is", _plain(text))
    for part in wanted.not_contains:
        if part in letter.text:
            yield _Problem(
                Code.NOT_CONTAINS, f"no {part!r} in the text of {named}", "the text is", _plain(text)
            )


def _letter(fate: Fate) -> Letter:
    assert fate.message is not None  # noqa: S101
    return fate.message


def _diff(expected: str, found: str) -> tuple[str, ...]:
    lines = ndiff(expected.splitlines(), found.splitlines())
    return tuple(line.rstrip() for line in lines if not line.startswith("?"))


def _plain(text: str) -> tuple[str, ...]:
    return tuple(f"  {line}".rstrip() for line in text.splitlines())


def _named(wanted: Named) -> str:
    step = f"{wanted.playbook}/{wanted.step}" if wanted.playbook else wanted.step
    return f"{step} to {wanted.customer}"


def _message(wanted: ExpectedMessage) -> str:
    return _named(wanted) + (f" by {wanted.channel}" if wanted.channel else "")


def _no_other(wanted: Sequence[ExpectedMessage]) -> str:
    return "no other message" if wanted else "no message"


def _came(fate: Fate) -> str:
    letter = _letter(fate)
    first = letter.text.strip().partition("\n")[0]
    return f"{fate.playbook}/{fate.step} was sent to {fate.customer} by {letter.channel}: {first}"
