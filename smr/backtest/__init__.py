"""The pipeline walked over the past, with only what was known each day.

In: the real database, which is only read; playbooks; days. Out: what would have been sent, and what came of it.
The due, guard and limit code is the pipeline's own.
"""

from smr.backtest.past import Past, past_of
from smr.backtest.walk import Day, Days, walk

__all__ = ["Day", "Days", "Past", "past_of", "walk"]
