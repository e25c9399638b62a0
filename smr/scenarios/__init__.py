"""Scenarios: playbooks tested by little stories with a simulated clock.

In: `*.scenarios.yaml` files, the library, the settings. Out: verdicts. Each story is played by the real
pipeline and the real delivery, in a private SQLite database and a private folder, both thrown away.
"""

from smr.scenarios.compare import Failure
from smr.scenarios.judge import Verdict, judge
from smr.scenarios.load import Story, load_stories, scenario_files, stories_of

__all__ = ["Failure", "Story", "Verdict", "judge", "load_stories", "scenario_files", "stories_of"]
