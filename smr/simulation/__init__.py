"""The simulated clock walked forward on a copy: what would go out each day, and whether a day leaves that.

In: the real database, playbooks, the present. Out: an `Outlook` day by day, kept in `expected_messages`; and
for a real run, the days that were out of the ordinary.
"""

from smr.simulation.expected import Alarm, alarms, keep
from smr.simulation.outlook import Expected, Outlook, simulate
from smr.simulation.page import page

__all__ = ["Alarm", "Expected", "Outlook", "alarms", "keep", "page", "simulate"]
