"""The simulated clock walked forward on a copy: what would go out each day, and whether a day leaves that.

In: the real database, playbooks, the present. Out: an `Outlook` day by day, kept in `expected_messages`, with
which `smr.alarms` compares what real runs do.
"""

from smr.simulation.expected import keep
from smr.simulation.outlook import Expected, Outlook, simulate
from smr.simulation.page import page

__all__ = ["Expected", "Outlook", "keep", "page", "simulate"]
