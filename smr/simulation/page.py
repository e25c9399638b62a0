"""The outlook as one HTML page: bars by day with their ranges, and a table by playbook and channel."""

from __future__ import annotations

from html import escape

from smr import charts
from smr.pages import whole_page
from smr.simulation.outlook import Outlook, totals

WORDS: dict[str, tuple[str, str]] = {
    "title": ("What will go out", "未来会发多少"),
    "made": ("Simulated at {made} from the facts of that moment.", "于 {made} 按当时的数据推演。"),
    "checked": (
        "The whiskers are the usual range, checked on the last {days} days of this shop.",
        "竖线为正常范围，按本店最近 {days} 天校准。",
    ),
    "guessed": (
        "The whiskers are the usual range; the shop's past is too short to check it.",
        "竖线为正常范围；历史太短，暂未校准。",
    ),
    "all": ("All playbooks", "全部剧本"),
    "messages": ("messages", "消息"),
    "day": ("day", "日期"),
    "playbook": ("playbook", "剧本"),
    "channel": ("channel", "渠道"),
    "counted": ("simulated", "推演条数"),
    "expected": ("expected", "预计"),
}
"""Each text in English and in Chinese."""


def page(outlook: Outlook, language: str, shop: str, made: str) -> str:
    """The page; `made` is the time of the simulation as people of the shop read it."""
    place = 1 if language == "zh" else 0

    def say(word: str, **values: object) -> str:
        return escape(WORDS[word][place].format(**values))

    heading = f"{escape(shop)} · {say('title')}" if shop else say("title")
    checked = say("checked", days=outlook.checked_on) if outlook.checked_on else say("guessed")
    x, y = charts.Axis(WORDS["day"][place]), charts.Axis(WORDS["messages"][place])
    drawn = [_chart(say("all"), outlook, None, x, y)]
    drawn += [
        _chart(escape(name), outlook, name, x, y) for name in sorted({row.playbook for row in outlook.rows})
    ]
    heads = "".join(f"<th>{say(word)}</th>" for word in ("playbook", "channel", "counted", "expected"))
    rows = "".join(
        f"<tr><td>{escape(playbook)}</td><td>{escape(channel)}</td><td>{counted:,}</td><td>{expected:,.0f}</td></tr>"
        for playbook, channel, counted, expected in totals(outlook.rows)
    )
    return whole_page(
        language,
        heading,
        f"<p>{say('made', made=made)} {checked}</p>"
        f'<div class="charts">{"".join(drawn)}</div>'
        f'<div class="wide"><table><tr>{heads}</tr>{rows}</table></div>',
    )


def _chart(title: str, outlook: Outlook, playbook: str | None, x: charts.Axis, y: charts.Axis) -> str:
    chosen = tuple(row for row in outlook.rows if playbook in (None, row.playbook))
    days = Outlook(outlook.made_at, outlook.days, chosen, outlook.checked_on).by_day()
    heights = [(f"{day:%m-%d}", expected) for day, (expected, _, _) in days.items()]
    ranges = [(low, high) for _, low, high in days.values()]
    return f'<div class="chart"><h3>{title}</h3>{charts.bars(heights, x, y, ghost=ranges)}</div>'
