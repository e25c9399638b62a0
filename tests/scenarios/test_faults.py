"""Each thing that can be wrong in a scenario file, and the words it is told in."""

from __future__ import annotations

import pytest

from tests.scenarios.shop import ScenarioShop

GOOD = """
scenarios:
  - name: ok
    given:
      customers:
        - {id: lin, consents: [wecom]}
      purchases:
        - {customer: lin, product: P1, category: 洁面, at: 2026-01-01 12:00, order: A1}
    expect:
      - at: 2026-02-10 10:00
        messages: [{customer: lin, step: heads_up}]
"""


def test_the_file_these_faults_are_made_in_has_none(shop: ScenarioShop) -> None:
    assert len(shop.play(shop.scenarios(GOOD))) == 1


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        (
            "name: ok",
            "name: ok\n    name: again",
            ":3:5 → scenarios[1] → name → the key 'name' stands here again; the first is in line 2 → "
            "keep one of them  [duplicate_key]",
        ),
        (
            "messages: [{customer: lin, step: heads_up}]",
            "messages:",
            ":10:9 → scenarios[1] → expect[1] → messages → nothing stands here → "
            "write a value, [] for an empty list, or take it out  [empty_value]",
        ),
        (
            "messages: [{customer: lin, step: heads_up}]",
            "blocked: []",
            ":9:9 → scenarios[1] → expect[1] → this expects nothing → "
            "say messages (messages: [] for none), waiting, blocked or held_out  [expects_nothing]",
        ),
        (
            "at: 2026-02-10 10:00",
            "at: 10.2.2026",
            ":9:13 → scenarios[1] → expect[1] → at → '10.2.2026' is not a time → "
            "write 2026-11-23 or 2026-11-23T09:00 (an offset may follow)  [time_invalid]",
        ),
        (
            "at: 2026-02-10 10:00",
            "at: 1826-02-10 10:00",
            ":9:13 → scenarios[1] → expect[1] → at → '1826-02-10 10:00' is out of range → "
            "write a time between the years 1970 and 2100  [time_range]",
        ),
        (
            "at: 2026-02-10 10:00",
            "at: 2026-02-10",
            ":9:13 → scenarios[1] → expect[1] → at → at what time of the day? → write such as "
            "2026-02-10 10:00, or say daily: 10:00 for the whole scenario  [time_of_day_missing]",
        ),
        (
            "{customer: lin, step: heads_up}",
            "{customer: lim, step: heads_up}",
            ":10:31 → scenarios[1] → expect[1] → messages[1] → customer → there is no customer 'lim' in this "
            "scenario → did you mean 'lin'?  [unknown_customer]",
        ),
        (
            "customer: lin, product",
            "customer: ana, product",
            ":7:22 → scenarios[1] → given → purchases[1] → customer → there is no customer 'ana' in this "
            "scenario → known here: lin  [unknown_customer]",
        ),
        (
            "step: heads_up",
            "step: headsup",
            ":10:42 → scenarios[1] → expect[1] → messages[1] → step → no live playbook has a step "
            "'headsup' → did you mean 'heads_up'?  [unknown_step]",
        ),
        (
            "step: heads_up",
            "step: news, playbook: refill",
            ":10:42 → scenarios[1] → expect[1] → messages[1] → step → the playbook 'refill' has no "
            "step 'news' → known here: again, heads_up, offer  [unknown_step]",
        ),
        (
            "step: heads_up",
            "step: hello, playbook: welcome",
            ":10:59 → scenarios[1] → expect[1] → messages[1] → playbook → the playbook 'welcome' is not "
            "live in this scenario → name it under playbooks: of the scenario  [not_live]",
        ),
        (
            "step: heads_up",
            "step: heads_up, playbook: refil",
            ":10:62 → scenarios[1] → expect[1] → messages[1] → playbook → there is no playbook 'refil' → "
            "did you mean 'refill'?  [unknown_playbook]",
        ),
        (
            "name: ok",
            "name: ok\n    playbooks: [refill, welcom]",
            ":3:25 → scenarios[1] → playbooks[2] → there is no playbook 'welcom' → "
            "did you mean 'welcome'?  [unknown_playbook]",
        ),
        (
            "step: heads_up",
            "step: heads_up, channel: wechat",
            ":10:61 → scenarios[1] → expect[1] → messages[1] → channel → there is no channel 'wechat' → "
            "known here: email, sms, staff, webhook, wecom, wecom_group, wecom_moments  [unknown_channel]",
        ),
        (
            "consents: [wecom]",
            "consents: {wecom: yes}",
            ":5:39 → scenarios[1] → given → customers[1] → consents → wecom → 'yes' is neither true nor "
            "false  [flag_invalid]",
        ),
        (
            "messages: [{customer: lin, step: heads_up}]",
            "blocked: [{customer: lin, step: heads_up, reason: refund}]",
            ":10:59 → scenarios[1] → expect[1] → blocked[1] → reason → 'refund' is no reason → "
            "did you mean 'refunded'?  [unknown_reason]",
        ),
        (
            "        - {id: lin, consents: [wecom]}",
            "        - {id: lin}\n        - {id: lin}",
            ":6:16 → scenarios[1] → given → customers[2] → id → 'lin' is listed twice → "
            "keep one of them  [duplicate_id]",
        ),
        (
            "    expect:",
            "      refunds: [{customer: lin, product: P2, at: 2026-01-02}]\n    expect:",
            ":8:42 → scenarios[1] → given → refunds[1] → product → lin bought no P2 in this scenario → "
            "list the purchase, too  [refund_of_nothing]",
        ),
        (
            "    expect:",
            "      refunds: [{customer: lin, product: P1, order: A2, at: 2026-01-02}]\n    expect:",
            ":8:53 → scenarios[1] → given → refunds[1] → order → lin bought no P1 in order 'A2' → "
            "known here: A1  [refund_of_nothing]",
        ),
        (
            "    expect:",
            "        - {customer: lin, product: P1, at: 2026-01-02}\n"
            "      refunds: [{customer: lin, product: P1, at: 2026-01-03}]\n    expect:",
            ":9:17 → scenarios[1] → given → refunds[1] → lin bought P1 more than once → "
            "say which order: of the purchase and here  [refund_unclear]",
        ),
        (
            "    expect:",
            "      tags: [{customer: lin, tag: a}, {customer: lin, tag: a}]\n    expect:",
            ":8:39 → scenarios[1] → given → tags[2] → lin has the tag 'a' already → "
            "keep one of them  [duplicate_tag]",
        ),
        (
            "    expect:",
            "      tags: [{customer: lin, tag: a, at: 2026-01-02, until: 2026-01-01}]\n    expect:",
            ":8:61 → scenarios[1] → given → tags[1] → until → the tag ends before it begins  [time_order]",
        ),
        (
            "    expect:\n",
            "    expect:\n      - {at: 2026-02-11 10:00, messages: []}\n",
            ":10:13 → scenarios[1] → expect[2] → at → this is not later than the expectation before it → "
            "list expectations by time, one for each moment  [time_order]",
        ),
        (
            "    expect:\n",
            "    daily: 09:00\n    expect:\n      - {at: 2024-02-11, messages: []}\n",
            ":8:12 → scenarios[1] → daily → a run on each of 731 days; at most 400 → "
            "shorten the story, or take daily out  [too_many_days]",
        ),
        (
            "name: ok",
            "name: ok\n    policy: {cap: [1 per 1d]}",
            ":3:14 → scenarios[1] → policy → cap → unknown key 'cap' → did you mean 'caps'?  [unknown_key]",
        ),
    ],
)
def test_a_fault_says_where_what_and_what_to_do(shop: ScenarioShop, good: str, bad: str, told: str) -> None:
    assert good in GOOD
    assert shop.faults(shop.scenarios(GOOD.replace(good, bad, 1))) == [told]


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ("scenarios:", "tests:", ":1:1 → tests → unknown key 'tests' → did you mean 'scenarios'?"),
        (
            "    expect:",
            "    then:",
            ":8:5 → scenarios[1] → then → unknown key 'then' → did you mean 'expect'?",
        ),
        (
            "customer: lin, product: P1",
            "customer_id: lin, product: P1",
            ":7:12 → scenarios[1] → given → purchases[1] → customer_id → unknown key 'customer_id' → "
            "did you mean 'customer'?",
        ),
    ],
)
def test_a_key_by_another_name_is_told_its_own(shop: ScenarioShop, good: str, bad: str, told: str) -> None:
    """The key that is missing then is told, too."""
    faults = shop.faults(shop.scenarios(GOOD.replace(good, bad, 1)))
    assert [fault.rpartition("[")[2] for fault in faults] == ["missing_key]", "unknown_key]"]
    assert faults[1] == told + "  [unknown_key]"


def test_a_second_scenario_of_the_same_name_is_refused(shop: ScenarioShop) -> None:
    twice = GOOD + GOOD.replace("\nscenarios:\n", "")
    assert shop.faults(shop.scenarios(twice)) == [
        ":11:11 → scenarios[2] → name → another scenario is called so: line 2 → "
        "give each its own name  [duplicate_name]"
    ]


def test_all_faults_of_a_file_are_told_at_once(shop: ScenarioShop) -> None:
    text = GOOD.replace("step: heads_up", "step: headsup").replace("[wecom]", "[weixin]")
    codes = [fault.rpartition("[")[2] for fault in shop.faults(shop.scenarios(text))]
    assert codes == ["unknown_channel]", "unknown_step]"]


def test_a_file_that_is_not_there_is_told(shop: ScenarioShop) -> None:
    (told,) = shop.faults(shop.folder / "none.scenarios.yaml")
    assert told == " → cannot be read: No such file or directory  [not_a_file]"
