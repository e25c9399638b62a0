"""Private databases for scenarios: the schema made once, the file copied for each.

In: nothing. Out: an empty SQLite database with all tables, and a folder for what is sent; both are gone
when the scenario is over. No real database and no real channel is ever touched.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from smr.database import Database, open_database
from smr.database.migrate import mark_current
from smr.settings import ChannelSettings, FilesSettings, PolicySettings, Settings
from smr.tables import metadata


@dataclass(frozen=True)
class Stage:
    """Where scenarios are played, one after the other: an empty database to copy, and the one in use.

    All of them use one engine, so that a statement is compiled once and not once per scenario.
    """

    folder: Path
    opened: Database

    @contextmanager
    def database(self) -> Iterator[tuple[Database, Path]]:
        """The database, empty again, and an empty folder to send into."""
        used = _used(self.folder)
        for rest in ("-wal", "-shm"):  # of a file that was not closed: they would be taken for the copy's
            used.with_name(used.name + rest).unlink(missing_ok=True)
        shutil.copyfile(_empty(self.folder), used)
        with TemporaryDirectory(prefix="outbox-", dir=self.folder) as outbox:
            try:
                yield self.opened, Path(outbox)
            finally:
                self.opened.close()


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage that is cleared away at the end."""
    with TemporaryDirectory(prefix="smr-test-") as name:
        folder = Path(name)
        empty = open_database(f"sqlite:///{_empty(folder)}")
        with empty.write() as connection:
            metadata.create_all(connection)
            mark_current(connection)
        empty.close()
        yield Stage(folder, _open(_used(folder)))


def _empty(folder: Path) -> Path:
    return folder / "empty.db"


def _used(folder: Path) -> Path:
    return folder / "shop.db"


def _open(path: Path) -> Database:
    opened = open_database(f"sqlite:///{path}")
    opened.engine.update_execution_options(compiled_cache={})
    return opened


def harmless(settings: Settings, outbox: Path, policy: PolicySettings | None) -> Settings:
    """The shop's settings with each channel writing into a folder, and a policy laid over the shop's."""
    channels = {
        name: settings.channel(name).model_copy(update={"kind": ChannelSettings().kind})
        for name in settings.channel_names
    }
    said = {name: getattr(policy, name) for name in policy.model_fields_set} if policy else {}
    changes = {
        "channels": channels,
        "files": FilesSettings(folder=outbox),
        "policy": settings.policy.model_copy(update=said),
    }
    return settings.model_copy(update=changes)
