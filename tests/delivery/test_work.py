"""How a round works through a channel: in order, in groups, side by side, at its rate, and to its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from smr.channels import Accepted, Outgoing, Refused, Result, UnknownPolicy
from smr.database import Database
from smr.errors import Refusal
from smr.notation import Rate
from smr.tables import channels
from tests.delivery.scripted import Scripted, ScriptedForMany, use
from tests.delivery.shop import deliver_all
from tests.outbox.rows import NOON, attempts, customers, queue, queue_for, row, states, the_message


def test_messages_go_by_priority_then_by_due_time(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Scripted(max_batch=7)
    use(monkeypatch, channel)
    rows = [
        (priority, minutes, f"{priority}-{minutes:02}") for priority in (10, 50, 90) for minutes in range(20)
    ]
    queue(
        database,
        *(
            row(name, priority=priority, due_at=NOON - timedelta(minutes=minutes))
            for priority, minutes, name in rows
        ),
    )
    deliver_all(database, tmp_path)
    assert channel.got == [name for _, _, name in sorted(rows, key=lambda one: (-one[0], -one[1]))]
    assert max(map(len, channel.calls)) == 7
    assert channel.closed == 1


def test_one_text_for_many_goes_in_one_call(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = ScriptedForMany(max_batch=100)
    use(monkeypatch, channel)
    people = customers(30)
    queue(database, *(row(one, body="甲乙丙"[number % 3]) for number, one in enumerate(people)))
    deliver_all(database, tmp_path)
    assert [len({message.text for message in call}) for call in channel.calls] == [1, 1, 1]
    assert Counter(channel.got) == Counter(people)


def test_calls_run_side_by_side_but_no_more_than_the_channel_takes(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flying: list[int] = []
    most = 0

    def slow(batch: Sequence[Outgoing]) -> list[Result]:
        nonlocal most
        flying.append(1)
        most = max(most, len(flying))
        time.sleep(0.02)
        flying.pop()
        return [Accepted() for _ in batch]

    channel = Scripted(slow, max_batch=1, parallel=4)
    use(monkeypatch, channel)
    queue_for(sqlite_database, customers(40))
    deliver_all(sqlite_database, tmp_path)
    assert sorted(channel.got) == sorted(customers(40))
    assert most == 4


def test_a_channel_that_stands_still_does_not_keep_the_others(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_is_done = Event()

    def patient(batch: Sequence[Outgoing]) -> list[Result]:
        return [Accepted() if quick_is_done.wait(20) else Refused(Refusal.UNAVAILABLE, False)]

    def quick(batch: Sequence[Outgoing]) -> list[Result]:
        quick_is_done.set()
        return [Accepted()]

    use(monkeypatch, Scripted(patient, name="a_slow_one"), Scripted(quick, name="wecom"))
    queue_for(sqlite_database, ["ana"], channel="a_slow_one")
    queue_for(sqlite_database, ["ben"])
    deliver_all(sqlite_database, tmp_path, settings=_with("a_slow_one", tmp_path))
    assert states(sqlite_database) == {"ana": "sent", "ben": "sent"}


def _with(name: str, folder: Path) -> Any:
    from tests.delivery.shop import settings_for

    return settings_for(folder, channels={name: {}})


def test_a_rate_is_kept_to(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[float] = []

    def noted(batch: Sequence[Outgoing]) -> list[Result]:
        began.append(time.monotonic())
        return [Accepted() for _ in batch]

    use(monkeypatch, Scripted(noted, max_batch=1, parallel=4, rate=Rate(20, 1)))
    queue_for(database, customers(21))
    deliver_all(database, tmp_path)
    assert len(began) == 21
    assert began[-1] - began[0] >= 0.8, "twenty intervals of a twentieth of a second, the first of them late"


def test_a_rate_that_gives_leave_only_in_hours_ends_the_round(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Scripted(rate=Rate(4, 86_400))
    use(monkeypatch, channel)
    queue_for(sqlite_database, ["ana", "ben"])
    report = deliver_all(sqlite_database, tmp_path)
    assert len(channel.got) == 1
    assert Counter(states(sqlite_database).values()) == {"sent": 1, "queued": 1}
    assert report.waits["wecom"] > 21_000
    assert report.troubles == {}


def test_the_circuit_opens_and_what_waits_is_not_spent_on_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = Scripted(lambda batch: [Refused(Refusal.UNAVAILABLE, False, "down")], max_batch=1)
    use(monkeypatch, down)
    queue_for(database, customers(40))
    report = deliver_all(database, tmp_path)
    assert len(down.got) == 5
    assert report.troubles == {"wecom": "down"}
    assert sum(1 for one in customers(40) if not attempts(database, one)) == 35
    assert deliver_all(database, tmp_path).messages == Counter()


def test_a_throttled_try_does_not_count_against_the_message(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = Scripted(lambda batch: [Refused(Refusal.THROTTLED, False, retry_after=30)])
    use(monkeypatch, busy)
    queue_for(sqlite_database, ["ana"], expires_at=NOON + timedelta(days=30))
    now = NOON
    for _ in range(20):
        deliver_all(sqlite_database, tmp_path, now=now)
        now = the_message(sqlite_database, "ana").send_after
        with sqlite_database.write() as connection:
            connection.execute(sa.delete(channels))
    assert len(busy.got) == 20
    assert states(sqlite_database) == {"ana": "queued"}
    assert {result for _, result in attempts(sqlite_database, "ana")} == {"put_off"}


def test_asked_to_stop_it_finishes_what_flies_and_gives_back_the_rest(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Event()

    def stopping(batch: Sequence[Outgoing]) -> list[Result]:
        asked.set()
        time.sleep(0.05)
        return [Accepted() for _ in batch]

    use(monkeypatch, Scripted(stopping, max_batch=2, parallel=2))
    queue_for(sqlite_database, customers(50))
    report = deliver_all(sqlite_database, tmp_path, stop=asked.is_set)
    assert report.more
    assert Counter(states(sqlite_database).values()) == {"sent": 4, "queued": 46}


def test_at_most_so_many_over_all_channels(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Scripted(max_batch=3), Scripted(name="sms", max_batch=3))
    queue_for(database, customers(20))
    queue_for(database, customers(20, "客"), channel="sms")
    assert deliver_all(database, tmp_path, limit=7).done == 7
    assert Counter(states(database).values()) == {"sent": 7, "queued": 33}


class Flaky:
    """A database that is away for the next few transactions: before their commit, or just after it."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = 0
        self.after_commit = False
        whole = database.write

        @contextmanager
        def write() -> Any:
            with whole() as connection:
                yield connection
                if self.away and not self.after_commit:
                    self.away -= 1
                    raise OperationalError("COMMIT", {}, Exception("gone"))
            if self.away:
                self.away -= 1
                raise OperationalError("COMMIT", {}, Exception("gone"))

        monkeypatch.setattr(database, "write", write)


@pytest.mark.parametrize("after_commit", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("when", ["sending", "settling"])
def test_a_commit_in_doubt_is_found_out_by_reading(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_commit: bool, when: str
) -> None:
    flaky = Flaky(database, monkeypatch)
    flaky.after_commit = after_commit

    def answer(batch: Sequence[Outgoing]) -> list[Result]:
        flaky.away = 2 if when == "settling" else 0
        return [Accepted() for _ in batch]

    def judge(*_: Any, **__: Any) -> dict[str, Any]:
        flaky.away = 1 if when == "sending" and not channel.calls and not flaky_once else 0
        flaky_once.append(1)
        return {}

    flaky_once: list[int] = []
    channel = Scripted(answer)
    use(monkeypatch, channel)
    queue_for(database, ["ana", "ben"])
    deliver_all(database, tmp_path, recheck=judge)
    assert sorted(channel.got) == ["ana", "ben"], "each was sent once"
    assert states(database) == {"ana": "sent", "ben": "sent"}
    assert attempts(database, "ana") == [(1, "sent")]


@pytest.mark.parametrize(("hours", "goes"), [(1, True), (25, False)])
def test_unknown_is_sent_again_only_while_the_provider_takes_its_id_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, goes: bool
) -> None:
    channel = Scripted(
        lambda batch: [Refused(Refusal.IN_DOUBT, False)],
        policy=UnknownPolicy.RESEND,
        dedupes=True,
        dedupes_for=86_400,
    )
    use(monkeypatch, channel)
    queue_for(database, ["ana"])
    deliver_all(database, tmp_path)
    channel.answer = lambda batch: [Accepted()]
    deliver_all(database, tmp_path, now=NOON + timedelta(hours=hours))
    assert attempts(database, "ana") == [(1, "unknown")] + [(2, "sent")] * goes
    assert states(database) == {"ana": "sent" if goes else "unknown"}
