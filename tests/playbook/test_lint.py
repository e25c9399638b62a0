"""What lint says, and that it is silent about what is well meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from smr.playbook import load_library
from smr.playbook.lint import lint
from smr.settings import Settings

ROOT = Path(__file__).parents[2]


def warnings(
    tmp_path: Path, text: str, config: Settings | None = None, catalog: str = ""
) -> list[tuple[str, str]]:
    """Path and code of each warning about one playbook."""
    (tmp_path / "a.yaml").write_text(f"name: a\nstatus: live\n{text}\n", encoding="utf-8")
    (tmp_path / "catalog.yaml").write_text(
        catalog or "cycles: {categories: {洁面: {lasts: 45d}}}\n", encoding="utf-8"
    )
    chosen = config or Settings()
    found = lint(load_library(tmp_path, chosen), chosen)
    assert all(fault.warning and fault.line for fault in found)
    return [(fault.path, fault.code) for fault in found]


def steps(*lines: str) -> str:
    return "steps:\n" + "".join(f"  - {{message: hi, {line}}}\n" for line in lines)


REFILL = "trigger: {runs_out: {category: 洁面}}\n"


def test_a_sound_playbook_is_left_alone(tmp_path: Path) -> None:
    text = REFILL + steps("name: a, send: 5d before due", "name: b, send: 3d after due, useful_for: 5d")
    assert warnings(tmp_path, text) == []


@pytest.mark.parametrize("field", ["birthday", "first_purchase"])
def test_a_step_before_a_known_day_is_sound(tmp_path: Path, field: str) -> None:
    assert (
        warnings(
            tmp_path, f"trigger: {{date: {{field: {field}}}}}\n" + steps("name: a, send: 5d before date")
        )
        == []
    )


def test_a_step_before_what_is_only_known_when_it_happens_is_told(tmp_path: Path) -> None:
    early = "name: a, send: 5d before due"
    assert warnings(tmp_path, "trigger: {purchase: {}}\n" + steps(early)) == [
        ("steps[1] → send", "never_reached")
    ]
    late = "name: a, send: 5d before due, useful_for: 9d"
    assert warnings(tmp_path, "trigger: {purchase: {}}\n" + steps(late)) == [
        ("steps[1] → send", "before_trigger")
    ]
    assert warnings(tmp_path, REFILL + steps("name: a, send: 1d before purchase")) == [
        ("steps[1] → send", "before_trigger")
    ]
    once = "trigger: {date: {field: first_purchase, every: once}}\n"
    assert warnings(tmp_path, once + steps("name: a, send: 1d before date")) == [
        ("steps[1] → send", "before_trigger")
    ]


def test_a_step_that_counts_from_one_that_is_never_sent_is_never_sent(tmp_path: Path) -> None:
    text = "who: {tag: a}\n" + REFILL
    text += steps(
        "name: a, send: on due, when: {not: {tag: a}}", "name: b, send: 2d after a", "name: c, send: on due"
    )
    assert warnings(tmp_path, text) == [
        ("steps[1] → when", "never_reached"),
        ("steps[2] → send", "never_reached"),
    ]


def test_a_category_nobody_stated_the_cycle_of_is_told(tmp_path: Path) -> None:
    text = "trigger: {runs_out: {category: [洁面, 猫粮]}}\n" + steps("name: a, send: on due")
    assert warnings(tmp_path, text) == [("trigger → runs_out → category", "not_in_catalog")]
    default = "cycles: {default: {lasts: 30d}, categories: {洁面: {lasts: 45d}}}\n"
    assert warnings(tmp_path, text, catalog=default) == [("trigger → runs_out → category", "not_in_catalog")]


def test_a_line_that_is_not_followed_is_told(tmp_path: Path) -> None:
    text = "trigger: {runs_out: {product: SKU-1}}\n" + steps("name: a, send: on due")
    assert warnings(tmp_path, text) == [("trigger → runs_out → product", "not_tracked")]
    assert warnings(tmp_path, text, catalog="track: both\n") == []


FINAL = "cycles: {categories: {洁面: {lasts: 45d, learn: false}, 猫粮: {lasts: 12d}}%s}\n"
LIKELY = "trigger: {runs_out: {%s}, likely: 40%%}\n" + steps("name: a, send: on due")
AT_SHARE = REFILL + steps("name: a, send: on due at 75%")


def test_a_chance_asked_of_a_line_that_may_not_be_learned_is_told(tmp_path: Path) -> None:
    final = FINAL % ""
    assert warnings(tmp_path, LIKELY % "category: 洁面", catalog=final) == [
        ("trigger → likely", "not_learned")
    ]
    assert warnings(tmp_path, LIKELY % "category: [洁面, 猫粮]", catalog=final) == [
        ("trigger → likely", "not_learned")
    ]
    assert warnings(tmp_path, LIKELY % "category: 猫粮", catalog=final) == []
    assert warnings(tmp_path, LIKELY % "", catalog=final) == []
    all_final = (
        "cycles: {default: {lasts: 9d, learn: false}, categories: {洁面: {lasts: 45d, learn: false}}}\n"
    )
    assert warnings(tmp_path, LIKELY % "", catalog=all_final) == [("trigger → likely", "not_learned")]


def test_a_share_asked_of_a_line_that_may_not_be_learned_is_told(tmp_path: Path) -> None:
    assert warnings(tmp_path, AT_SHARE, catalog=FINAL % "") == [("steps[1] → send", "not_learned")]
    assert warnings(tmp_path, AT_SHARE) == []
    # Half of those alike have bought again by the run-out: that is what it says.
    assert warnings(tmp_path, AT_SHARE.replace("75", "50"), catalog=FINAL % "") == []


def test_a_product_that_may_be_learned_speaks_for_its_category(tmp_path: Path) -> None:
    for entry, told in (
        ("P1: {lasts: 20d}", []),
        ("P1: {lasts: 20d, category: 洁面}", []),
        ("P1: {lasts: 20d, category: 猫粮}", [("trigger → likely", "not_learned")]),
        ("P1: {lasts: 20d, learn: false}", [("trigger → likely", "not_learned")]),
        ("P1: {units: 2}", [("trigger → likely", "not_learned")]),
    ):
        catalog = FINAL % f", products: {{{entry}}}"
        assert warnings(tmp_path, LIKELY % "category: 洁面", catalog=catalog) == told, entry


def test_a_product_is_learned_where_its_entry_or_else_its_category_says_so(tmp_path: Path) -> None:
    for entry, told in (
        ("P1: {lasts: 20d}", []),
        ("P1: {units: 2, category: 猫粮}", []),
        ("P1: {units: 2}", []),
        ("P1: {learn: false}", [("trigger → likely", "not_learned")]),
        ("P1: {units: 2, category: 洁面}", [("trigger → likely", "not_learned")]),
    ):
        catalog = "track: both\n" + FINAL % f", products: {{{entry}}}"
        assert warnings(tmp_path, LIKELY % "product: P1", catalog=catalog) == told, entry


def test_a_goal_nearly_in_the_catalog_is_a_slip_and_another_is_not(tmp_path: Path) -> None:
    text = REFILL + steps("name: a, send: on due")
    assert warnings(tmp_path, text + "goal: {purchase: {category: 洁面乳}}") == [
        ("goal → purchase → category", "not_in_catalog")
    ]
    assert warnings(tmp_path, text + "goal: {purchase: {category: 面霜}}") == []


def test_a_tag_nearly_given_by_a_topic_or_a_rule_is_a_slip_and_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "segments.yaml").write_text(
        "tags: [{tag: 爱喝咖啡, when: {orders: {at_least: 3}}}]\n", encoding="utf-8"
    )
    text = REFILL + steps("name: a, send: on due")
    for tag, told in (
        ("投诉", True),
        ("爱喝咖非", True),
        ("爱喝咖啡", False),
        ("投诉中", False),
        ("VIP", False),
    ):
        found = warnings(tmp_path, text + f"who: {{not: {{tag: [老客, {tag}]}}}}")
        assert found == ([("who → not → tag[2]", "tag_unknown")] if told else []), tag


def test_useful_for_is_compared_with_days_and_quiet_hours(tmp_path: Path) -> None:
    quiet = Settings.model_validate({"policy": {"quiet_hours": {"from": "21:00", "to": "09:00"}}})
    short = REFILL + steps("name: a, send: on due, useful_for: 12h")
    assert warnings(tmp_path, short, quiet) == [
        ("steps[1] → useful_for", "useful_for_quiet"),
        ("steps[1] → useful_for", "useful_for_short"),
    ]
    hours = "trigger: {purchase: {}}\n" + steps("name: a, send: 2h after purchase, useful_for: 13h")
    assert warnings(tmp_path, hours, quiet) == []


def test_what_may_expire_while_it_waits_for_the_gap_is_told(tmp_path: Path) -> None:
    spaced = Settings.model_validate({"policy": {"gap": "2d"}})
    short = REFILL + steps(
        "name: a, send: on due, useful_for: 1d", "name: b, send: 1d after due, useful_for: 2d"
    )
    assert warnings(tmp_path, short, spaced) == [("steps[1] → useful_for", "useful_for_gap")]


def test_a_personal_text_on_a_channel_for_many_costs_a_tap_per_wording(tmp_path: Path) -> None:
    text = REFILL + "steps:\n  - {name: a, send: on due, via: wecom_moments, message: '%s'}\n"
    assert warnings(tmp_path, text % "{{ shop.name }} 上新了") == []
    assert warnings(tmp_path, text % '{{ customer.name | default("亲") }}') == [
        ("steps[1] → message", "one_tap_per_wording")
    ]
    personal = Settings.model_validate({"channels": {"wecom_moments": {"personal": "true"}}})
    assert warnings(tmp_path, text % '{{ customer.name | default("亲") }}', personal) == []


def test_many_conditions_are_told_to_cost_time(tmp_path: Path) -> None:
    who = "who: {any: [" + ", ".join(f"{{tag: t{n}}}" for n in range(60)) + "]}\n"
    assert warnings(tmp_path, who + REFILL + steps("name: a, send: on due")) == [("who", "expensive")]


def test_the_playbooks_of_this_repository_hold_no_surprise() -> None:
    found = lint(load_library(ROOT / "playbooks", Settings()), Settings())
    assert {fault.code for fault in found} <= {"not_live"}


def test_a_festival_that_smr_does_not_know_is_asked_about(tmp_path: Path) -> None:
    text = "trigger: {festival: [中秋, 店庆]}\n" + steps("name: a, send: 3d before due")
    assert warnings(tmp_path, text) == [("trigger → festival", "festival_unknown")]


def test_workdays_without_a_calendar_of_holidays_are_told(tmp_path: Path) -> None:
    text = "trigger: {schedule: {every: day, at: 10:00, only: workdays}}\n" + steps("name: a, send: on due")
    london = Settings.model_validate({"shop": {"zone": "Europe/London"}})
    assert warnings(tmp_path, text) == []
    assert warnings(tmp_path, text, london) == [("trigger → schedule → only", "no_calendar")]
