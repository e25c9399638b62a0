"""A little shop with three playbooks, and scenarios written into its folder."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from smr.errors import FaultsError
from smr.playbook import load_library
from smr.scenarios import Verdict, load_stories
from smr.scenarios.judge import judge_on
from smr.scenarios.stage import Stage
from smr.settings import Settings

CATALOG = """
cycles:
  categories:
    洁面: {lasts: 45d, learn: false}
"""
REFILL = """
name: refill
status: live
priority: 60
trigger: {runs_out: {category: 洁面}}
who: {not: {tag: 员工}}
steps:
  - name: heads_up
    send: 5d before due
    via: [wecom, sms]
    subject: 洁面
    message: |
      {{ customer.name | default("亲") }},{{ product.name }}快用完了。
      要给您留一支吗?
    useful_for: 4d
  - name: offer
    send: 3d after due
    when: {customer: {field: gender, is: f}}
    message: "{{ customer.name }},包邮。"
    useful_for: 4d
  - {name: again, send: 2d after offer, message: 还在吗, useful_for: 4d}
stop_when: [{purchase: {category: 洁面}}, {refund: anchor}]
"""
WELCOME = """
name: welcome
status: draft
trigger: {purchase: {}}
steps:
  - {name: hello, send: 2h after purchase, message: 欢迎, useful_for: 1d}
"""
TUESDAY = """
name: tuesday
status: live
priority: 10
trigger: {schedule: {every: tue, at: 10:00}}
who: {tag: vip}
steps:
  - {name: news, send: on due, message: 上新, useful_for: 1d}
holdout: 50%
"""
GIVEN = """
customers:
  - {id: lin, name: 小林, consents: [wecom]}
  - {id: wang, name: 王芳, gender: f, addresses: {sms: "138"}, consents: {sms: true}}
products:
  - {id: P1, name: 洁面乳, category: 洁面}
purchases:
  - {customer: lin, product: P1, at: 2026-01-01 12:00, order: A1}
  - {customer: wang, product: P1, at: 2026-01-03 12:00, order: A2}
"""
"""小林's cleanser runs out on 15 February (heads_up on the 10th), 王芳's two days later."""


class ScenarioShop:
    """A folder of playbooks, its settings, and what its scenarios come to."""

    def __init__(self, folder: Path, place: Stage | None = None) -> None:
        self.folder = folder
        self.place = place
        self.settings = Settings.model_validate({"playbooks": folder})
        for name, text in {
            "catalog": CATALOG,
            "refill": REFILL,
            "welcome": WELCOME,
            "tuesday": TUESDAY,
        }.items():
            self.write(f"{name}.yaml", text)

    def write(self, name: str, text: str) -> Path:
        """A file of the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def scenarios(self, text: str, name: str = "refill.scenarios.yaml") -> Path:
        """A scenario file."""
        return self.write(name, dedent(text).lstrip("\n"))

    def story(self, expect: str, given: str = GIVEN, more: str = "") -> Path:
        """A file with one scenario: what is given, what is expected, and further keys."""
        text = "scenarios:\n  - name: 一个故事\n"
        text += indent(dedent(more).strip(), "    ") + "\n" if more else ""
        text += "    given:\n" + indent(dedent(given).strip(), "      ") + "\n"
        text += "    expect:\n" + indent(dedent(expect).strip(), "      ") + "\n"
        return self.scenarios(text)

    def play(self, path: Path) -> list[Verdict]:
        """The verdicts of a file."""
        assert self.place is not None
        library = load_library(self.folder, self.settings)
        stories = load_stories([path], library, self.settings)
        return [judge_on(self.place, story, library, self.settings) for story in stories]

    def failures(self, expect: str, given: str = GIVEN, more: str = "") -> list[str]:
        """What did not come as expected, as `expected … ⇒ instead`; empty where all did."""
        (verdict,) = self.play(self.story(expect, given, more))
        assert verdict.passed == (not verdict.failures)
        return [f"{one.expected} ⇒ {' | '.join(one.instead)}" for one in verdict.failures]

    def faults(self, path: Path) -> list[str]:
        """The faults of a file, without its name."""
        library = load_library(self.folder, self.settings)
        with pytest.raises(FaultsError) as found:
            load_stories([path], library, self.settings)
        return [str(fault).replace(str(path), "") for fault in found.value.faults]
