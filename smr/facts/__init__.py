"""Taking shop data in: customers, products, purchases, refunds, consents, interactions.

In: files (CSV, JSONL, Parquet, standard input) and SELECTs in the shop's own database. Out: rows of the
facts' tables, each once however often it is imported; refused rows with their line, code and reason; the
mark of every customer with something new. May import: playbook and everything beneath; no other stage room.

    report = import_files(database, settings, "purchases", [Path("sales.csv")], now=now)
"""

from smr.facts.files import import_files
from smr.facts.given import forget_given
from smr.facts.report import ImportReport, Progress, SourceReport, quiet
from smr.facts.sources import import_source

__all__ = [
    "ImportReport",
    "Progress",
    "SourceReport",
    "forget_given",
    "import_files",
    "import_source",
    "quiet",
]
