"""How often the interpreter looks for garbage that reference counts leave behind.

By default it looks each time 700 more objects live, in vain where work is done by batches of thousands of
rows, all of which die by their counts.
"""

from __future__ import annotations

import gc

YOUNG = 50_000
"""Objects between two looks: some megabytes, should all of them be garbage."""


def look_rarely() -> None:
    """Look as rarely as suits a process of this program, and never again at what has been loaded by now."""
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
