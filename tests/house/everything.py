"""A shop that uses everything the language knows: each trigger, each condition, each guard and limit.

For proofs about the engine as a whole: what statements it executes, whether shards agree with the whole.
`within_customers` leaves out what looks across customers (limits, and what a shop learns of its lines), which
no shard can know.
"""

from __future__ import annotations

from smr.playbook.model import Library
from smr.settings import Settings
from tests.library import library, read

CATALOG = """
track: both
cycles:
  default: {lasts: 30d}
  categories:
    洁面: {lasts: 45d}
    猫粮: {lasts: 12d, unit: kg}
  products:
    P2: {lasts: 20d, learn: false}
roles:
  引流: {product: [P1], category: 猫粮}
"""

CUTS = "rfm: {recency: [200d, 90d, 40d, 10d], money: [100, 200, 300, 600]}"
"""Where scores begin; without it they are cut into fifths across customers."""

SEGMENTS = """
segments:
  reachable: {where: {reachable: [wecom, sms]}}
  loyal: {where: {all: [{orders: {within: 180d, at_least: 3}}, {spend: {at_least: 100}}]}}
  quiet: {where: {not: {messaged: {within: 30d, at_least: 1}}}}
  clicks: {where: {did: {what: click, channel: wecom, within: 30d}}}
  careful: {where: {any: [{tag: vip}, {refunded: {within: 90d}}, {quantity: {at_least: 5}}]}}
  inside: {where: {all: [{segment: reachable}, {not: {segment: loyal}}]}}
  skin: {where: {any: [{chat: {topic: 皮肤问题, within: 90d}}, {segment: clicks}]}}
  best: {where: {all: [{rfm: {recency: {at_least: 3}, money: {at_least: 2}}}, {bought: {role: 引流}}]}}
ladders:
  lifecycle:
    - {stage: lost, where: {last_purchase: {more_than: 180d}}}
    - {stage: regular, where: {orders: {within: 180d, at_least: 3}}}
    - {stage: growing, where: {bought: {within: 90d}}}
    - {stage: new}
  grade:
    - {stage: gold, where: {spend: {at_least: 500}}}
    - {stage: silver, where: {spend: {at_least: 200}}}
ready: {tier: {}}
%(rfm)s
tags:
  - {tag: 常客, when: {orders: {at_least: 3}}}
  - {tag: 刚买过, when: {bought: {within: 3d}}, for: 5d}
"""

REFILL = """
name: refill
status: live
priority: 60
trigger: {runs_out: {category: [洁面, 猫粮]}}
who: {all: [{segment: reachable}, {not: {tag: 投诉中}}]}
steps:
  - {name: heads_up, send: 5d before due, via: [wecom, sms], message: "{{ due.date | day }}"}
  - name: again
    send: 3d after heads_up
    via: [sms]
    when: {stage: {lifecycle: [regular, growing]}}
    message: "{{ customer.name }}"
    useful_for: 4d
stop_when: [{purchase: {category: 洁面}}, {refund: anchor}, {where: {tag: vip}}]
limits: {per_customer: 1 per 20d%(per_run)s}
holdout: 10%%
goal: {purchase: {category: 洁面}, within: 14d}
backfill: 30d
"""

PRODUCT = """
name: product
status: live
trigger: {runs_out: {product: [P1, P3]}}
who:
  any:
    - {supply: {runs_out_within: 10d, category: 洁面}}
    - {supply: {ran_out_for: 1d, category: 猫粮}}
    - {staff: 小林}
steps:
  - name: one
    send: on due
    via: [wecom_moments, wecom]
    message: "新品上架 {{ offer.name }}{% for other in bundle %}、{{ other.product.name }}{% endfor %}"
stop_when: [{refund: any}]
bundle: {within: 5d, at_most: 3, lead: dearest, prefer: 引流}
hand_over: [{price_from: 90, when: {tag: vip}}]
"""

THANKS = """
name: thanks
status: live
trigger: {purchase: {product: [P1, P2, P4]}}
who: {all: [{first_purchase: {less_than: 300d}}, {not: {store: S9}}, {consent: {channel: sms}}]}
steps:
  - {name: soon, send: 2h after purchase, via: [sms], message: "谢谢 {{ purchase.quantity }}"}
  - {name: later, send: 7d after purchase, via: [wecom, sms], message: "还好吗 {{ customer.name }}"}
stop_when: [{refund: anchor}, {purchase: {}}]
"""

BIRTHDAY = """
name: birthday
status: live
trigger: {date: {field: birthday, every: year}}
who: {customer: {field: gender, any_of: [f, m]}}
steps: [{name: day, send: on due, via: [wecom], message: "生日快乐 {{ customer.name }}"}]
"""

ANNIVERSARY = """
name: anniversary
status: live
trigger: {date: {field: first_purchase, every: year}}
who: {customer: {field: attributes.size, at_least: 2}}
steps: [{name: day, send: 3d before due, via: [wecom, sms], message: "{{ customer.name }}"}]
"""

MONDAY = """
name: monday
status: live
priority: 10
trigger: {schedule: {every: [mon], at: "09:00"}}
who: {all: [{orders: {at_least: 1}}, {segment: quiet}]}
steps: [{name: note, send: on due, via: [sms, wecom], message: "周一 {{ customer.name }}"}]
holdout: 20%
"""

EVENT = """
name: %(name)s
status: live
priority: 20
trigger: %(trigger)s
steps:
  - {name: one, send: 1h after due, via: [wecom, sms], message: "你好 {{ customer.name }}", useful_for: 9d}
"""
EVENTS = tuple(
    EVENT % {"name": name, "trigger": trigger}
    for name, trigger in {
        "came": "{segment: {entered: [loyal, quiet]}}",
        "went": "{segment: {left: reachable}}",
        "stage": "{stage: {ladder: lifecycle, to: [lost, growing], from: new}}",
        "tagged": "{tag: [常客, vip]}",
        "clicked": "{interaction: {what: [click, friend_added], channel: wecom}}",
        "asked": "{interaction: {topic: [询价, 皮肤问题]}}",
        "silent": "{silence: {for: 30d}}",
        "returned": "{refund: {category: 洁面}}",
        "lunar": "{date: {field: birthday, calendar: lunar}}",
        "own": "{date: {field: birthday, calendar: own}}",
        "moons": "{date: {field: first_purchase, calendar: lunar}}",
        "festival": "{festival: [感恩节, 小雪, 黑五]}",
        "workdays": '{schedule: {every: day, at: "08:00", only: workdays}}',
    }.items()
)

LIKELY = """
name: likely
status: live
trigger: {runs_out: {category: 猫粮}, likely: 20%, quiet: 3d}
steps:
  - {name: soon, send: 1d before due, via: [wecom, sms], message: "{{ due.in_words }}"}
  - {name: late, send: due at 75%, via: [sms], message: "{{ due.date | day }}"}
"""

PLAYBOOKS = (PRODUCT, THANKS, BIRTHDAY, ANNIVERSARY, MONDAY, *EVENTS)

POLICY = """
policy:
  caps: [1 per 1d, 3 per 30d]
  quiet_hours: {from: "21:00", to: "09:00"}
  %(blast)s
channels:
  sms: {cap: 2 per 30d, max_length: 70}
  wecom_moments: {address: customer_id, consent: opt_out}
"""


def everything() -> tuple[Library, Settings]:
    """The whole, with the limits across customers."""
    refill = REFILL % {"per_run": ", per_run: 2"}
    settings = Settings.model_validate(read(POLICY % {"blast": "blast_limit: 95%"}))
    playbooks = (refill, LIKELY, *PLAYBOOKS)
    return library(*playbooks, catalog=CATALOG, segments=SEGMENTS % {"rfm": ""}), settings


def within_customers() -> tuple[Library, Settings]:
    """The whole without the limits across customers."""
    refill = REFILL % {"per_run": ""}
    settings = Settings.model_validate(read(POLICY % {"blast": "useful_for: 3d"}))
    final = CATALOG.replace("lasts: 30d", "lasts: 30d, learn: false")
    final = final.replace("lasts: 45d", "lasts: 45d, learn: false")
    final = final.replace("lasts: 12d", "lasts: 12d, learn: false")
    return library(refill, *PLAYBOOKS, catalog=final, segments=SEGMENTS % {"rfm": CUTS}), settings
