"""What purchases say of cycles, beside what the catalog says; and the change to the catalog that follows.

In: the real database (only read), the catalog and its file. Out: `Observed` lines, a new text of
`catalog.yaml` in which nothing else has moved, and what the change would have done to the reminders of the
past.
"""

from smr.learning.catalog_text import Change, changed_catalog, difference
from smr.learning.observe import YEARS, Observed, changes_of, observe

__all__ = ["YEARS", "Change", "Observed", "changed_catalog", "changes_of", "difference", "observe"]
