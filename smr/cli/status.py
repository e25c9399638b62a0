"""`smr status`: how things stand, at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from smr import clock
from smr.cli.say import facts, give_json
from smr.cli.shop import ConfigOption, JsonOption, NowOption, Shop, open_shop
from smr.errors import FaultsError, OperatorError
from smr.events import Kind
from smr.playbook import load_library
from smr.settings import OFF, Settings
from smr.watch.alerts import WORDS
from smr.watch.status import Status, look

DUTIES = ("import", "run", "deliver", "rescue", "watch", "prune", "backup")


def status(config: ConfigOption = None, now: NowOption = None, as_json: JsonOption = False) -> None:
    """Show how things stand: what is wrong, daemons, last runs, what waits, what comes next.

    Reads only. Exit code 0 however things stand; --json is for programs.
    """
    shop = open_shop(config)
    at = shop.now(now)
    with shop.database.read() as connection:
        found = look(connection, now=at)
    faults = _faults(shop.settings)
    upcoming = next_firings(shop.settings, at)
    if as_json:
        give_json(_plain(found, faults, upcoming, at))
        return
    for part in (
        _wrong(shop, found, faults),
        _daemons(shop, found),
        _runs(shop, found),
        _backlog(found),
        _duties(shop, found, upcoming),
    ):
        facts.print(part)


def next_firings(settings: Settings, now: datetime) -> dict[str, datetime | None]:
    """When each duty of a daemon is due next; None where it is off."""
    found: dict[str, datetime | None] = {}
    for duty in DUTIES:
        cron = settings.daemon.cron(duty)
        found[duty] = cron.next_after(now, settings.daemon_tz) if cron else None
    return found


def _faults(settings: Settings) -> list[str]:
    """The faults of the playbooks as they lie there now."""
    try:
        load_library(settings.playbooks, settings)
    except FaultsError as error:
        return [str(fault) for fault in error.faults]
    except OperatorError as error:
        return [str(error)]
    return []


def _wrong(shop: Shop, found: Status, faults: list[str]) -> Text:
    words = WORDS[shop.settings.shop.language]
    lines = [
        f"{_local(shop, one.opened_at)}  {words[Kind(one.kind)]}"
        + (f" ({one.subject})" if one.subject else "")
        + f": {one.detail}"
        for one in found.incidents
    ]
    lines += [f"fault: {fault}" for fault in faults]
    lines += [f"{one.duty} of {_local(shop, one.slot_at)} failed: {one.detail}" for one in _failed(found)]
    if not lines:
        return Text("Nothing is known to be wrong.", style="green")
    return Text("\n".join(lines), style="red")


def _failed(found: Status) -> Iterator[Any]:
    return (one for one in found.firings if one.state == "failed")


def _daemons(shop: Shop, found: Status) -> Table | Text:
    alive = [one for one in found.daemons if one.alive]
    if not alive:
        return Text("\nNo daemon runs. `smr daemon` starts one; without it, cron may call the commands.")
    table = _table("daemon", "state", "since", "heard of", "playbooks")
    for one in alive:
        version = one.version + (f", {len(one.faults)} faults in newer files" if one.faults else "")
        _row(table, one.owner, one.state, _local(shop, one.started_at), f"{one.silent} s ago", version)
    return table


def _runs(shop: Shop, found: Status) -> Table | Text:
    if not found.runs:
        return Text("\nNothing has run yet. `smr run` decides who is to be reminded.")
    table = _table("run", "began", "took", "state", "due", "queued")
    for one in found.runs:
        state = one.state if one.blast is None else "stopped at policy.blast_limit"
        began = _local(shop, one.started_at)
        _row(table, one.slot, began, f"{one.seconds} s", state, f"{one.due:,}", f"{one.queued:,}")
    return table


def _age(seconds: int) -> str:
    """A time span in the unit in which people would say it."""
    if seconds < 2 * 3_600:
        return f"{seconds // 60} min"
    return f"{seconds // 3_600} h" if seconds < 2 * clock.DAY else f"{seconds // clock.DAY:,} days"


def _backlog(found: Status) -> Table | Text:
    if not found.backlog:
        return Text("\nNothing waits to be sent.")
    table = _table("channel", "waiting", "due", "oldest due", "unknown")
    for one in found.backlog:
        oldest = _age(one.oldest_seconds) if one.due else "-"
        _row(table, one.channel, f"{one.queued:,}", f"{one.due:,}", oldest, f"{one.unknown:,}")
    return table


def _duties(shop: Shop, found: Status, upcoming: dict[str, datetime | None]) -> Table:
    last = {one.duty: one for one in found.firings}
    table = _table("duty", "schedule", "last", "", "next")
    for duty, at in upcoming.items():
        fired = last.get(duty)
        stated = getattr(shop.settings.daemon, "import_" if duty == "import" else duty)
        before = _local(shop, fired.slot_at) if fired and fired.state != "watched" else ""
        state = fired.state if fired and fired.state != "watched" else ""
        _row(table, duty, stated, before, state, _local(shop, at) if at else OFF)
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, title_justify="left")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(cell) for cell in cells))


def _local(shop: Shop, at: datetime) -> str:
    return at.astimezone(shop.settings.shop.tz).strftime("%Y-%m-%d %H:%M")


def _plain(
    found: Status, faults: list[str], upcoming: dict[str, datetime | None], now: datetime
) -> dict[str, Any]:
    return {
        "now": now,
        "well": not (found.incidents or faults or list(_failed(found))),
        "incidents": [vars_of(one) for one in found.incidents],
        "faults": faults,
        "daemons": [{**vars_of(one), "alive": one.alive} for one in found.daemons],
        "runs": [vars_of(one) for one in found.runs],
        "backlog": [vars_of(one) for one in found.backlog],
        "unknown": found.unknown,
        "duties": {
            duty: {"next": at, "last": next((vars_of(f) for f in found.firings if f.duty == duty), None)}
            for duty, at in upcoming.items()
        },
    }


def vars_of(value: Any) -> dict[str, Any]:
    """A dataclass's fields as plain values."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
