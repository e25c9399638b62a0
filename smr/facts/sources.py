"""SELECTs in the shop's own database → imports, each time as far as the source has grown."""

from __future__ import annotations

from datetime import datetime

from smr.database import Database
from smr.errors import OperatorError
from smr.facts.report import ImportReport, Progress, quiet
from smr.settings import Settings


def import_source(
    database: Database, settings: Settings, name: str, *, now: datetime, progress: Progress = quiet
) -> ImportReport:
    """Import what a source of the settings has more than the last time."""
    raise OperatorError("not yet")
