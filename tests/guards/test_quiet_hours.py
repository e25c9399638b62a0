"""Nobody is written to in quiet hours, whatever the zone, the window and the season."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smr.guards.quiet_hours import quiet_end, quiet_zones
from smr.settings import QuietHours, Settings
from tests.examples import many

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = [
    "Asia/Shanghai",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Kathmandu",
]
NIGHT = QuietHours.model_validate({"from": "21:00", "to": "09:00"})

times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)


def is_quiet(moment: datetime, zone: ZoneInfo, quiet: QuietHours) -> bool:
    """The window, told plainly: on the customer's clock, from `from` until just before `to`."""
    at = moment.astimezone(zone).time()
    if quiet.from_ <= quiet.to:
        return quiet.from_ <= at < quiet.to
    return at >= quiet.from_ or at < quiet.to


def test_the_evening_waits_for_the_next_morning() -> None:
    evening = datetime(2026, 11, 23, 22, 30, tzinfo=SHANGHAI)
    assert quiet_end(evening, SHANGHAI, NIGHT) == datetime(2026, 11, 24, 9, 0, tzinfo=SHANGHAI)


def test_after_midnight_waits_for_the_same_morning() -> None:
    night = datetime(2026, 11, 23, 0, 30, tzinfo=SHANGHAI)
    assert quiet_end(night, SHANGHAI, NIGHT) == datetime(2026, 11, 23, 9, 0, tzinfo=SHANGHAI)


def test_by_day_nothing_waits() -> None:
    assert quiet_end(datetime(2026, 11, 23, 9, 0, tzinfo=SHANGHAI), SHANGHAI, NIGHT) is None


def test_on_a_holiday_all_day_is_quiet_where_the_policy_says_so() -> None:
    quiet = QuietHours.model_validate({"from": "21:00", "to": "09:00", "holidays": "true"})
    holidays = {date(2026, 10, 1), date(2026, 10, 2)}
    noon = datetime(2026, 10, 1, 12, 0, tzinfo=SHANGHAI)
    assert quiet_end(noon, SHANGHAI, quiet, holidays) == datetime(2026, 10, 3, 9, 0, tzinfo=SHANGHAI)
    assert quiet_end(noon, SHANGHAI, NIGHT, holidays) is None


def test_a_customer_of_an_unknown_zone_is_in_the_shops_zone() -> None:
    shop = Settings.model_validate({"policy": {"quiet_hours": {"from": "21:00", "to": "09:00"}}})
    evening = datetime(2026, 11, 23, 22, 30, tzinfo=SHANGHAI)
    zones = quiet_zones(evening, [None, "Mars/Olympus", "America/New_York"], shop, ())
    assert list(zones.values()) == [frozenset({None, "Mars/Olympus"})]


@settings(max_examples=many(2000), deadline=None)
@given(moment=moments, name=st.sampled_from(ZONES), begins=times, ends=times)
def test_what_waits_is_never_sent_inside_the_window(
    moment: datetime, name: str, begins: time, ends: time
) -> None:
    assume(begins != ends)
    zone, quiet = (
        ZoneInfo(name),
        QuietHours.model_validate({"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}),
    )
    end = quiet_end(moment, zone, quiet)
    if end is None:
        assert not is_quiet(moment, zone, quiet)
    else:
        assert is_quiet(moment, zone, quiet)
        assert not is_quiet(end, zone, quiet)
        # Where clocks leap over the one short time that is open, it is the next day's.
        assert timedelta(0) < end - moment < timedelta(hours=50)
