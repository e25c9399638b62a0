"""The pipeline walked over the past, with only what was known each day.

In: the real database, which is only read; playbooks; days. Out: what would have been sent, and what came of
it. The due, guard and limit code is the pipeline's own.
"""

from smr.backtest.backtest import WITHIN, backtest, days_to_walk
from smr.backtest.chosen import chosen
from smr.backtest.findings import Findings, PlaybookFindings, StepFindings, timing
from smr.backtest.other import other_version
from smr.backtest.page import page
from smr.backtest.past import Past, past_of, present_of
from smr.backtest.walk import Day, Days, walk

__all__ = [
    "WITHIN",
    "Day",
    "Days",
    "Findings",
    "Past",
    "PlaybookFindings",
    "StepFindings",
    "backtest",
    "chosen",
    "days_to_walk",
    "other_version",
    "page",
    "past_of",
    "present_of",
    "timing",
    "walk",
]
