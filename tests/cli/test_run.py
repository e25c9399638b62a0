"""What `smr run` prints of a pass."""

from __future__ import annotations

import pytest

from smr.cli.run import WINNERS_SHOWN, show_report
from smr.report import RunReport


def report_with(pairs: int) -> RunReport:
    """One accepted reminder, to which so many playbooks gave way, each more often than the one before."""
    report = RunReport()
    report.verdicts["coffee", "now", "accepted"] = 1
    for number in range(pairs):
        report.lost["coffee", "now", f"book-{number:02}", "now", "superseded"] = number + 1
    return report


def test_those_that_gave_way_are_all_listed_where_they_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    show_report(report_with(WINNERS_SHOWN), "en")
    printed = capsys.readouterr().out
    assert all(f"book-{number:02} / now" in printed for number in range(WINNERS_SHOWN))
    assert "more pairs" not in printed


def test_of_many_that_gave_way_the_most_frequent_are_listed_and_the_rest_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_report(report_with(WINNERS_SHOWN + 3), "en")
    printed = capsys.readouterr().out
    assert [f"book-{number:02}" in printed for number in (0, 1, 2, 3)] == [False, False, False, True]
    assert "and 3 more pairs" in printed
    assert printed.rstrip().endswith(" 6")
