"""Stories played and judged, one after the other.

In: stories, the library, the settings. Out: a `Verdict` each, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smr.playbook.model import Library
from smr.scenarios.compare import Failure, compare
from smr.scenarios.load import Story
from smr.scenarios.play import play
from smr.scenarios.stage import Stage, stage
from smr.scenarios.witness import witness
from smr.settings import Settings


@dataclass(frozen=True)
class Verdict:
    """A story, and what did not come as it expects; nothing where it passed."""

    story: Story
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain values."""
        return {
            "file": self.story.file,
            "line": self.story.line,
            "name": self.story.scenario.name,
            "passed": self.passed,
            "failures": [failure.as_json() for failure in self.failures],
        }


def judge(stories: Sequence[Story], library: Library, settings: Settings) -> Iterator[Verdict]:
    """Play each story in a private database, and compare."""
    with stage() as place:
        for story in stories:
            yield judge_on(place, story, library, settings)


def judge_on(place: Stage, story: Story, library: Library, settings: Settings) -> Verdict:
    """Play one story on a stage that stands already, and compare."""
    return Verdict(story, tuple(_failures(place, story, library, settings)))


def _failures(place: Stage, story: Story, library: Library, settings: Settings) -> Iterator[Failure]:
    for moment in play(place, story.scenario, library, settings):
        if moment.expectation is not None:
            yield from compare(story, moment.expectation, witness(moment))
