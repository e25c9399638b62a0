"""The configuration and the playbooks as they are now: the last good version of each.

In: the files. Out: a `Version` at any moment; faults of files that could not be taken up. A duty keeps the
version it began with, so a reload changes nothing under its hands.
Trap: editors write files in pieces; a change is taken up once the files have stood still for a turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smr import logs
from smr.errors import Fault, FaultsError, OperatorError
from smr.events import Event
from smr.messages.check import check_library
from smr.playbook import load_library
from smr.playbook.lint import lint
from smr.playbook.model import Library
from smr.settings import CONFIG, Settings, load_settings

Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Version:
    """Settings, and the playbooks read with them."""

    settings: Settings
    library: Library


class Current:
    """The last good version of the files; `faults` are those of newer files, if they have any."""

    def __init__(self, config: Path | None) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._version = _checked(config)
        self._seen = self._fingerprint()
        self._waiting: Fingerprint | None = None
        self.faults: tuple[Fault, ...] = ()

    @property
    def version(self) -> Version:
        """Settings and playbooks that belong together."""
        return self._version

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self._version.settings

    @property
    def library(self) -> Library:
        """The playbooks."""
        return self._version.library

    def look(self, *, at_once: bool = False) -> bool:
        """Take up changed files once they stand still, or whatever there is `at_once`; whether it tried."""
        with self._lock:
            found = self._fingerprint()
            if not at_once:
                changed, self._waiting = found != self._seen, found if found != self._waiting else None
                if not changed or self._waiting is not None:
                    return False
            self._seen, self._waiting = found, None
            self._load()
            return True

    def _load(self) -> None:
        try:
            found = _checked(self._config)
        except OperatorError as error:
            self.faults = faults_of(error)
            places = [f"{fault.file}:{fault.line} {fault.code}" for fault in self.faults[:20]]
            logs.tell(Event.CONFIGURATION_REFUSED, places=places, faults=len(self.faults))
            return
        had_faults, self.faults = bool(self.faults), ()
        kept, library = self._kept(found.settings), found.library
        if had_faults or kept != self.settings or library.version != self.library.version:
            logs.tell(Event.CONFIGURATION_LOADED, version=library.version, playbooks=len(library.playbooks))
        self._version = Version(kept, library)

    def _kept(self, settings: Settings) -> Settings:
        """The new settings, but for those that hold for as long as the process lives."""
        now = self.settings
        changed = {}
        if settings.database != now.database:
            changed["database.url"] = "database"
        if settings.daemon.listen != now.daemon.listen:
            changed["daemon.listen"] = "daemon"
        if changed:
            logs.tell(Event.CONFIGURATION_NEEDS_RESTART, settings=sorted(changed))
        daemon = settings.daemon.model_copy(update={"listen": now.daemon.listen})
        return settings.model_copy(update={"database": now.database, "daemon": daemon})

    def _fingerprint(self) -> Fingerprint:
        """Name, time and size of every file that matters."""
        return tuple(sorted(_stat(path) for path in self._files()))

    def _files(self) -> Iterator[Path]:
        yield self._config or CONFIG
        yield from self._version.settings.playbooks.rglob("*")


def _checked(config: Path | None) -> Version:
    """The files as `smr check` finds nothing wrong with them; raises OperatorError where it does."""
    settings = load_settings(config)
    library = load_library(settings.playbooks, settings)
    doubtful = [*lint(library, settings), *check_library(library, settings)]
    faults = [fault for fault in dict.fromkeys(doubtful) if not fault.warning]
    if faults:
        raise FaultsError(faults)
    return Version(settings, library)


def faults_of(error: OperatorError) -> tuple[Fault, ...]:
    """What is wrong with the files."""
    if isinstance(error, FaultsError):
        return error.faults
    return (Fault("playbooks", 0, 0, "", "not_loaded", str(error)),)


def _stat(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size
