"""What scenarios may expect, and what they are told where it comes otherwise."""

from __future__ import annotations

from textwrap import dedent

import pytest

from smr.settings import Settings
from tests.scenarios.shop import GIVEN, REFILL, ScenarioShop


def test_a_message_that_comes_as_expected_passes(shop: ScenarioShop) -> None:
    expect = """
        - at: 2026-02-10 09:00
          messages:
            - customer: lin
              playbook: refill
              step: heads_up
              channel: wecom
              subject: 洁面
              text: |
                小林,洁面乳快用完了。
                要给您留一支吗?
              contains: [小林, 留一支]
              not_contains: 王芳
    """
    assert shop.failures(expect) == []


def test_the_clock_jumps_and_what_was_sent_before_counts(shop: ScenarioShop) -> None:
    expect = """
        - at: 2026-02-09 10:00
          messages: []
        - at: 2026-02-12 10:00
          messages:
            - {customer: lin, step: heads_up}
            - {customer: wang, step: heads_up, channel: sms}
        - at: 2026-02-20 10:00
          messages: [{customer: wang, step: offer, channel: wecom}]
    """
    given = GIVEN.replace('addresses: {sms: "138"}, consents: {sms: true}', "consents: [wecom, sms]")
    told = shop.failures(expect, given)
    assert told == ["heads_up to wang by sms ⇒ it was sent by wecom"]


def test_a_step_after_a_step_counts_from_its_sending(shop: ScenarioShop) -> None:
    given = GIVEN.replace("consents: {sms: true}", "consents: [wecom]").replace('{sms: "138"}', "{wecom: w}")
    expect = """
        - at: 2026-02-21 10:00
          messages: [{customer: wang, step: offer}]
        - at: 2026-02-22 10:00
          messages: []
        - at: 2026-02-23 10:00
          messages: [{customer: wang, step: again}]
    """
    assert shop.failures(expect, given) == []


def test_an_expected_message_that_is_not_due_yet_is_told_its_day(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-02-09 10:00, messages: [{customer: lin, step: heads_up}]}"
    assert shop.failures(expect) == [
        "heads_up to lin ⇒ not due: 洁面 runs out 2026-02-15 12:00, heads_up is due 2026-02-10 12:00"
    ]


def test_an_expected_message_that_is_too_late_is_told_until_when_it_was_useful(shop: ScenarioShop) -> None:
    expect = """
        - at: 2026-02-14 18:00
          messages: [{customer: lin, step: heads_up}, {customer: wang, step: heads_up}]
    """
    assert shop.failures(expect) == [
        "heads_up to lin ⇒ no longer due: 洁面 runs out 2026-02-15 12:00, heads_up was due 2026-02-10 12:00, "
        "useful until 2026-02-14 12:00"
    ]


def test_an_expected_message_that_was_blocked_is_told_the_reason(shop: ScenarioShop) -> None:
    given = GIVEN.replace("name: 小林,", "name: 小林, tags: [投诉中],")
    expect = "- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up, channel: wecom}]}"
    assert shop.failures(expect, given) == [
        "heads_up to lin by wecom ⇒ it was blocked: complaint_open (has an open complaint)"
    ]


def test_an_expected_message_that_was_sent_before_is_told_when(shop: ScenarioShop) -> None:
    expect = """
        - {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}
        - {at: 2026-02-11 10:00, messages: [{customer: lin, step: heads_up}]}
    """
    assert shop.failures(expect) == ["heads_up to lin ⇒ it was sent by wecom on 2026-02-10 10:00 already"]


def test_an_expected_message_whose_template_fails_is_told_the_template_s_words(shop: ScenarioShop) -> None:
    given = GIVEN.replace("name: 洁面乳, ", "")
    expect = "- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}"
    (told,) = shop.failures(expect, given)
    assert told.startswith("heads_up to lin ⇒ it was blocked: template (")
    assert "product.name" in told


def test_a_step_that_follows_an_unsent_one_is_told_so(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-02-22 10:00, messages: [{customer: lin, step: again}]}"
    assert shop.failures(expect) == [
        "again to lin ⇒ not due: it counts from offer, which has not been sent to lin"
    ]


def test_a_customer_who_bought_nothing_is_told_so(shop: ScenarioShop) -> None:
    given = "customers: [{id: ana, consents: [wecom]}]"
    expect = "- {at: 2026-02-22 10:00, messages: [{customer: ana, step: heads_up}]}"
    assert shop.failures(expect, given) == [
        "heads_up to ana ⇒ not due: ana has no supply of 洁面: nothing of it was bought and kept by now, "
        "or the catalog says no cycle"
    ]


def test_one_message_more_than_listed_is_a_failure(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-02-12 10:00, messages: [{customer: wang, step: heads_up}]}"
    assert shop.failures(expect) == [
        "no other message ⇒ refill/heads_up was sent to lin by wecom: 小林,洁面乳快用完了。"
    ]


def test_no_messages_means_none(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-02-10 10:00, messages: []}"
    assert shop.failures(expect) == [
        "no message ⇒ refill/heads_up was sent to lin by wecom: 小林,洁面乳快用完了。"
    ]


def test_where_messages_are_not_said_they_are_not_compared(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-02-20 10:00, blocked: [{customer: lin, step: offer, reason: step_condition}]}"
    assert shop.failures(expect) == []


@pytest.mark.parametrize(
    ("wanted", "told", "diff"),
    [
        (
            "channel: sms",
            "heads_up to lin by sms ⇒ it was sent by wecom",
            (),
        ),
        (
            "subject: 面霜",
            "another subject of heads_up to lin ⇒ it was sent with this one",
            ("- 面霜", "+ 洁面"),
        ),
        (
            'text: "小林,洁面乳快用完了。\\n留吗?"',
            "another text of heads_up to lin ⇒ it was sent with this one",
            ("  小林,洁面乳快用完了。", "- 留吗?", "+ 要给您留一支吗?"),
        ),
        (
            "contains: [小林, 包邮]",
            "'包邮' in the text of heads_up to lin ⇒ the text is",
            ("  小林,洁面乳快用完了。", "  要给您留一支吗?"),
        ),
        (
            "not_contains: [小林]",
            "no '小林' in the text of heads_up to lin ⇒ the text is",
            ("  小林,洁面乳快用完了。", "  要给您留一支吗?"),
        ),
    ],
)
def test_what_differs_in_a_message_is_shown(
    shop: ScenarioShop, wanted: str, told: str, diff: tuple[str, ...]
) -> None:
    path = shop.story(f"- {{at: 2026-02-10 10:00, messages: [{{customer: lin, step: heads_up, {wanted}}}]}}")
    ((failure,),) = [verdict.failures for verdict in shop.play(path)]
    assert f"{failure.expected} ⇒ {failure.instead[0]}" == told
    assert failure.diff == diff


def test_a_block_with_its_reason_passes_and_another_reason_fails(shop: ScenarioShop) -> None:
    refunds = "refunds: [{customer: lin, product: P1, at: 2026-02-10 12:00}]"
    expect = """
        - at: 2026-02-20 10:00
          messages: []
          blocked:
            - {customer: lin, step: offer, reason: step_condition}
            - {customer: wang, step: offer, reason: step_condition}
    """
    told = shop.failures(expect)
    assert told == [
        "offer to wang to be blocked: step_condition ⇒ it was blocked: unreachable "
        "(has no address on the step's channels)"
    ]
    expect = "- {at: 2026-02-10 10:00, blocked: [{customer: lin, step: heads_up, reason: refunded}]}"
    assert shop.failures(expect, GIVEN + refunds) == [
        "heads_up to lin to be blocked: refunded ⇒ it was sent by wecom"
    ]


def test_what_is_not_due_at_all_may_be_expected_as_such(shop: ScenarioShop) -> None:
    expect = """
        - at: 2026-02-10 10:00
          blocked:
            - {customer: wang, step: heads_up, reason: not_due}
            - {customer: lin, step: heads_up, reason: not_due}
    """
    assert shop.failures(expect) == ["heads_up to lin to be blocked: not_due ⇒ it was sent by wecom"]


def test_a_message_stopped_on_its_way_out_counts_as_blocked(shop: ScenarioShop) -> None:
    """It waits for the morning, and the customer refuses in the night."""
    given = GIVEN + "consents: [{customer: lin, channel: wecom, granted: false, at: 2026-02-10 23:00}]"
    expect = """
        - {at: 2026-02-10 22:00, messages: [], waiting: [{customer: lin, step: heads_up}]}
        - {at: 2026-02-11 10:00, messages: [], blocked: [{customer: lin, step: heads_up, reason: opted_out}]}
    """
    assert shop.failures(expect, given, "policy: {quiet_hours: {from: 21:00, to: 09:00}}") == []
    expect = expect.replace("messages: [], blocked: [{", "messages: [{").replace(", reason: opted_out", "")
    told = shop.failures(expect, given, "policy: {quiet_hours: {from: 21:00, to: 09:00}}")
    assert told == ["heads_up to lin ⇒ it was queued and then cancelled: opted_out (has opted out)"]


def test_quiet_hours_make_a_message_wait_and_it_goes_out_at_their_end(shop: ScenarioShop) -> None:
    """The next moment is so late that the message, sent only then, would have expired."""
    quiet = "policy: {quiet_hours: {from: 21:00, to: 09:00}}"
    expect = """
        - at: 2026-02-10 22:00
          messages: []
          waiting: [{customer: lin, step: heads_up, channel: wecom, until: 2026-02-11 09:00}]
        - at: 2026-02-16 10:00
          messages: [{customer: lin, step: heads_up}, {customer: wang, step: heads_up}]
    """
    assert shop.failures(expect, more=quiet) == []


def test_a_wait_that_is_none_or_another_is_told(shop: ScenarioShop) -> None:
    quiet = "policy: {quiet_hours: {from: 21:00, to: 09:00}}"
    expect = """
        - at: 2026-02-10 22:00
          messages: [{customer: lin, step: heads_up}]
          waiting:
            - {customer: lin, step: heads_up, channel: sms, until: 2026-02-11 08:00}
            - {customer: wang, step: heads_up}
    """
    assert shop.failures(expect, more=quiet) == [
        "heads_up to lin ⇒ it waits for wecom until quiet hours end, on 2026-02-11 09:00",
        "heads_up to lin to wait for sms ⇒ it waits for wecom",
        "heads_up to lin to wait until 2026-02-11 08:00 ⇒ it waits until 2026-02-11 09:00",
        "heads_up to wang to wait ⇒ not due: 洁面 runs out 2026-02-17 12:00, "
        "heads_up is due 2026-02-12 12:00",
    ]


HALF = """
customers:
  - {id: c1, consents: [wecom], tags: [vip]}
  - {id: c2, consents: [wecom], tags: [vip]}
"""


def test_a_held_out_customer_may_be_expected_and_is_told_of(shop: ScenarioShop) -> None:
    """c2 falls into the half that is held out; ids decide, so this never changes."""
    expect = """
        - at: 2026-02-10 11:00
          messages: [{customer: c1, step: news}]
          held_out: [{customer: c2, step: news}]
    """
    assert shop.failures(expect, HALF) == []
    expect = """
        - at: 2026-02-10 11:00
          messages: [{customer: c1, step: news}, {customer: c2, step: news}]
          held_out: [{customer: c1, step: news}]
    """
    assert shop.failures(expect, HALF) == [
        "news to c2 ⇒ c2 is held out (50% of customers, drawn by their id): give the customer another id, "
        "or expect held_out",
        "news to c1 to be held out ⇒ it was sent by wecom",
    ]


def test_a_schedule_that_is_not_due_is_told_so(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-02-11 11:00, messages: [{customer: c1, step: news}]}"
    assert shop.failures(expect, HALF) == [
        "news to c1 ⇒ not due: the schedule has no slot that is due now, or c1 is not in the playbook's who"
    ]


def test_a_draft_runs_only_where_it_is_named(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-01-01 15:00, messages: [{customer: lin, step: hello}]}"
    assert shop.failures(expect, more="playbooks: [welcome]") == []
    assert shop.failures("- {at: 2026-01-01 15:00, messages: []}") == []


def test_only_the_named_playbooks_are_live(shop: ScenarioShop) -> None:
    assert shop.failures("- {at: 2026-02-10 10:00, messages: []}", more="playbooks: tuesday") == []


def test_a_policy_is_laid_over_the_shop_s(shop: ScenarioShop) -> None:
    expect = """
        - at: 2026-02-12 10:00
          messages: [{customer: lin, step: heads_up}, {customer: wang, step: heads_up}]
    """
    assert shop.failures(expect) == []
    expect = """
        - at: 2026-02-12 10:00
          messages: []
          blocked: [{customer: lin, step: heads_up, reason: complaint_open}]
    """
    tagged = GIVEN.replace("name: 小林,", "name: 小林, tags: 静默,").replace(
        "name: 王芳,", "name: 王芳, tags: 静默,"
    )
    assert shop.failures(expect, tagged, "policy: {complaint_tags: [静默]}") == []


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("gap: 10d", "too_soon"),
        ("caps: 1 per month", "frequency_cap"),
        ("fatigue: {after: 1, slow_to: 1 per 20d}", "fatigue"),
        ("mix: {selling_at_most: 40%}", "content_mix"),
    ],
)
def test_what_the_policy_holds_back_is_expected_by_its_reason(
    shop: ScenarioShop, policy: str, reason: str
) -> None:
    """王芳 gets her first reminder on the 12th; the second one, of the 20th, waits."""
    expect = f"""
        - at: 2026-02-12 10:00
          messages: [{{customer: lin, step: heads_up}}, {{customer: wang, step: heads_up}}]
        - at: 2026-02-20 10:00
          messages: []
          blocked: [{{customer: wang, step: offer, reason: {reason}}}]
    """
    reached = GIVEN.replace('addresses: {sms: "138"}, consents: {sms: true}', "consents: [wecom]")
    assert shop.failures(expect, reached, f"policy: {{{policy}}}") == []


def test_the_blast_limit_holds_only_where_a_scenario_sets_it(shop: ScenarioShop) -> None:
    shop.settings = shop.settings.model_copy(
        update={"policy": shop.settings.policy.model_copy(update={"blast_limit": 0.1})}
    )
    expect = "- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}"
    assert shop.failures(expect) == []
    expect = """
        - at: 2026-02-10 10:00
          messages: []
          blocked: [{customer: lin, step: heads_up, reason: blast_limit}]
    """
    assert shop.failures(expect, more="policy: {blast_limit: 10%}") == []


def test_daily_runs_send_what_falls_between_expectations(shop: ScenarioShop) -> None:
    expect = """
        - {at: 2026-02-09, messages: []}
        - {at: 2026-02-12, messages: [{customer: wang, step: heads_up}]}
    """
    assert shop.failures(expect, more="daily: 10:00") == []
    given_time = expect.replace("2026-02-09,", "2026-02-09 10:00,").replace(
        "2026-02-12,", "2026-02-12 10:00,"
    )
    assert shop.failures(given_time) == [
        "no other message ⇒ refill/heads_up was sent to lin by wecom: 小林,洁面乳快用完了。"
    ]


def test_a_day_of_an_expectation_has_one_run_at_its_own_time(shop: ScenarioShop) -> None:
    expect = """
        - {at: 2026-02-09, messages: []}
        - {at: 2026-02-10 18:00, messages: [{customer: lin, step: heads_up}]}
    """
    assert shop.failures(expect, more="daily: 10:00") == []


def test_facts_later_than_a_moment_are_not_known_to_it(shop: ScenarioShop) -> None:
    again = GIVEN + "  - {customer: lin, product: P1, at: 2026-02-11 12:00, order: A3}\n"
    expect = """
        - {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}
        - {at: 2026-02-20 10:00, messages: []}
    """
    assert shop.failures(expect, again) == []
    early = again.replace("2026-02-11", "2026-02-09")
    assert shop.failures(expect, early) == [
        "heads_up to lin ⇒ not due: 洁面 runs out 2026-04-01 12:00, heads_up is due 2026-03-27 12:00"
    ]


def test_playbooks_have_been_live_since_before_the_story_unless_it_says_so(shop: ScenarioShop) -> None:
    shop.write("refill.yaml", REFILL + "backfill: none\n")
    expect = "- {at: 2026-02-11 10:00, messages: [{customer: lin, step: heads_up}]}"
    assert shop.failures(expect) == []
    assert shop.failures(expect, more="live_since: 2026-02-11 08:00") == [
        "heads_up to lin ⇒ it was blocked: before_publication (was due before the playbook went live)"
    ]


def test_given_facts_may_be_short(shop: ScenarioShop) -> None:
    """Addresses from consents, orders and refunds without a number, tags and consents without a time."""
    given = """
        customers:
          - {id: ana, consents: {wecom: false, sms: true}}
          - {id: ben, consents: wecom}
          - {id: cleo, consents: [wecom]}
          - {id: dan, consents: [wecom]}
        products: [{id: P1, name: 洁面乳}]
        purchases:
          - {customer: ana, product: P1, category: 洁面, at: 2026-01-01 12:00}
          - {customer: ben, product: P1, category: 洁面, at: 2026-01-01 12:00}
          - {customer: cleo, product: P1, category: 洁面, at: 2026-01-01 12:00}
          - {customer: dan, product: P1, category: 洁面, at: 2026-01-01 12:00}
          - {customer: dan, product: P1, category: 洁面, at: 2026-01-05 12:00, kind: sample}
        refunds: [{customer: ben, product: P1, at: 2026-01-05}]
        tags: [{customer: cleo, tag: 员工, until: 2026-02-11}]
    """
    expect = """
        - at: 2026-02-10 10:00
          messages:
            - {customer: ana, step: heads_up, channel: sms}
            - {customer: dan, step: heads_up}
          blocked: [{customer: cleo, step: heads_up, reason: not_in_segment}]
        - at: 2026-02-11 10:00
          messages: [{customer: cleo, step: heads_up}]
    """
    assert shop.failures(expect, given) == []


def test_a_holiday_is_quiet_where_the_policy_says_so(shop: ScenarioShop) -> None:
    more = "policy: {quiet_hours: {from: 21:00, to: 09:00, holidays: true}}"
    expect = """
        - at: 2026-02-10 10:00
          messages: []
          waiting: [{customer: lin, step: heads_up, until: 2026-02-11 09:00}]
    """
    assert shop.failures(expect, GIVEN + "holidays: [2026-02-10]\n", more) == []


def test_names_of_staff_and_stores_and_attributes_reach_the_text(shop: ScenarioShop) -> None:
    shop.write(
        "refill.yaml",
        REFILL.replace("还在吗", "x").replace(
            "要给您留一支吗?", "{{ staff.name }}@{{ customer.store }}:{{ customer.attributes.skin }}"
        ),
    )
    given = GIVEN.replace("name: 小林,", "name: 小林, staff: s1, store: t1, attributes: {skin: 油性},")
    given += "staff: {s1: 小周}\nstores: {t1: 静安店}\n"
    expect = (
        "- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up, contains: 小周@静安店:油性}]}"
    )
    assert shop.failures(expect, given) == []


def test_scenarios_of_a_file_do_not_see_each_other(shop: ScenarioShop) -> None:
    first = shop.story("- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}").read_text()
    second = first.removeprefix("scenarios:\n").replace("一个故事", "同一个故事")
    verdicts = shop.play(shop.scenarios(first + second))
    assert [(verdict.story.line, verdict.passed) for verdict in verdicts] == [(2, True), (14, True)]


def test_the_same_scenario_gives_the_same_verdict_each_time(shop: ScenarioShop) -> None:
    path = shop.story("- {at: 2026-02-12 10:00, messages: [{customer: lin, step: heads_up, contains: 包邮}]}")
    first, again = ([one.as_json() for one in shop.play(path)] for _ in range(2))
    assert first == again
    assert first[0]["passed"] is False


def test_nothing_is_sent_but_into_a_private_folder(shop: ScenarioShop) -> None:
    shop.failures("- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}")
    assert {path.suffix for path in shop.folder.rglob("*") if path.is_file()} == {".yaml"}


def test_a_story_may_be_about_nobody(shop: ScenarioShop) -> None:
    expect = "- {at: 2026-02-10 10:00, messages: []}"
    assert shop.failures(expect, "customers: []") == []


def test_a_time_may_carry_its_own_offset(shop: ScenarioShop) -> None:
    """The shop is in Shanghai: its 10 February begins at 16:00 UTC of the 9th."""
    expect = """
        - {at: 2026-02-09T15:59:00Z, messages: []}
        - {at: 2026-02-09T16:00:00Z, messages: [{customer: lin, step: heads_up}]}
    """
    assert shop.failures(expect) == []


def test_a_message_that_its_channel_refuses_is_told_so(shop: ScenarioShop) -> None:
    short = {"wecom": {"max_length": "3"}}
    shop.settings = Settings.model_validate({"playbooks": shop.folder, "channels": short})
    expect = "- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}"
    (told,) = shop.failures(expect)
    assert told.startswith("heads_up to lin ⇒ it was ")


def test_what_is_out_of_stock_waits_until_it_is_back(shop: ScenarioShop) -> None:
    given = GIVEN + dedent(
        """
        changes:
          - {product: P1, at: 2026-02-01, in_stock: false}
          - {product: P1, at: 2026-02-11, in_stock: true, price: 59}
        """
    )
    expect = """
        - at: 2026-02-10 10:00
          blocked: [{customer: lin, step: heads_up, reason: out_of_stock}]
        - at: 2026-02-11 10:00
          messages: [{customer: lin, step: heads_up}]
    """
    assert shop.failures(expect, given) == []


def test_a_substitute_is_offered_where_the_text_names_it(shop: ScenarioShop) -> None:
    shop.write(
        "refill.yaml",
        REFILL.replace("{{ product.name }}快用完了。", "{{ product.name }}缺货,{{ offer.name }}也好。"),
    )
    gone = "category: 洁面, in_stock: false, substitutes: P2}\n  - {id: P2, name: 洁面啫喱}"
    given = GIVEN.replace("category: 洁面}", gone)
    expect = """
        - at: 2026-02-10 10:00
          messages: [{customer: lin, step: heads_up, contains: "洁面乳缺货,洁面啫喱也好"}]
    """
    assert shop.failures(expect, given) == []
