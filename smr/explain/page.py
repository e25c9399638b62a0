"""An explanation as one HTML page for operators: no other file, light and dark, English or Chinese.

In: an explanation. Out: the page's text. The sentences are those of `tell`; beside what is learned of a
supply stands a picture of it: the chance of a purchase within a week, by days since the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import escape
from zoneinfo import ZoneInfo

from smr import charts, clock
from smr.due import AskedDay, Rhythm
from smr.explain.ask import Explanation, PlaybookView, StepView, SupplyView
from smr.explain.leaves import Leaf
from smr.explain.tell import Teller
from smr.pages import whole_page

WORDS: dict[str, tuple[str, str]] = {
    "title": ("{who}: why written to, and why not", "{who}：为什么发，为什么不发"),
    "as_of": ("As of {at}.", "截至 {at}。"),
    "orders": ("orders", "订单"),
    "segments": ("segments", "人群"),
    "stages": ("stages", "阶段"),
    "tags": ("tags", "标签"),
    "caps": ("written to so far", "近期已触达"),
    "supplies": ("When supplies run out", "什么时候用完"),
    "curve": (
        "The pictures: of 100 customers like this who have not bought by that day, how many buy within the "
        "next week.",
        "图中曲线：到那一天还没回购的 100 位同类客户中，有多少位会在接下来一周内购买。",
    ),
    "stated": (
        "Nothing is learned of this line: the days of the catalog hold.",
        "这条线没有学到节奏，按商品目录写的天数算。",
    ),
    "days": ("days since it began to be used", "开始使用后的天数"),
    "chance": ("buy within a week", "一周内购买的概率"),
    "today": ("today, day {day}: {chance}", "今天，第 {day} 天：{chance}"),
    "runs_out": ("runs out: day {day}", "用完：第 {day} 天"),
    "asked_on": ("{written}: day {day}", "{written}：第 {day} 天"),
    "never": ("{written}: never", "{written}：达不到"),
    "quiet": ("quiet {days} d", "静默 {days} 天"),
    "decided": ("What is decided, and why", "怎么决定的，为什么"),
    "idle": ("Nothing makes them due ({count})", "目前没有触发的剧本（{count}）"),
    "sent": ("made", "已生成"),
    "stopped": ("stopped", "不发送"),
    "due": ("due", "到期"),
    "ahead": ("to come", "未到期"),
    "waiting": ("idle", "未触发"),
    "made": (
        "The same rules as a real run, asked about one customer; nothing was changed.",
        "与真实运行同一套规则，只问这一位客户，没有改动任何数据。",
    ),
}
"""Each text in English and in Chinese."""

STYLE = """
.known{display:flex;flex-wrap:wrap;gap:6px 26px;margin:14px 0}.known div{min-width:0;overflow-wrap:anywhere}
.known span{color:var(--faint);font-size:13px;margin-right:6px}
.next{border-left:3px solid var(--c1);padding-left:10px;color:var(--ink)}
.card{background:var(--card);border-radius:10px;padding:14px 16px;margin:12px 0;overflow-wrap:anywhere}
.card h3{margin:0 0 4px;font-size:16px}.card h3 small{font-weight:400;color:var(--faint);margin-left:8px}
.supply{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,440px);gap:8px 24px;align-items:center}
.supply .method{color:var(--ink);font-size:16px;margin:8px 0}.supply svg{max-width:480px;margin:0 auto}
@media (max-width:760px){.supply{grid-template-columns:minmax(0,1fr)}}
.step{border-top:1px solid var(--line);padding:8px 0 2px;margin-top:8px}.step p{padding-left:2px}
.step .head{color:var(--ink)}.badge{display:inline-block;border-radius:99px;padding:0 9px;margin-right:8px;
font-size:12px;line-height:20px;border:1px solid var(--line);color:var(--faint);white-space:nowrap}
.badge.sent,.badge.due{background:var(--c1);border-color:var(--c1);color:var(--ground)}
.badge.stopped{border-color:var(--c2);color:var(--c2)}
.conditions{margin:6px 0;font-size:13px;color:var(--faint)}
.conditions div{padding-left:calc(var(--deep)*1.2em)}
.conditions code{font:12px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.no{color:var(--c2)}details summary{cursor:pointer;color:var(--faint);margin:14px 0 4px}
"""


def page(explanation: Explanation, zone: ZoneInfo, language: str, shop: str) -> str:
    """The page; `language` is `en` or `zh`, `shop` its name or empty, times are those of the zone."""
    return _Page(explanation, Teller(zone, language), language, shop).text()


class _Page:
    def __init__(self, explanation: Explanation, teller: Teller, language: str, shop: str) -> None:
        self._told = explanation
        self._teller = teller
        self._language = language
        self._place = 1 if language == "zh" else 0
        self._shop = shop

    def _word(self, word: str, **values: object) -> str:
        return WORDS[word][self._place].format(**values)

    def _say(self, word: str, **values: object) -> str:
        return escape(self._word(word, **values))

    def text(self) -> str:
        told = self._told
        who = f"{told.name} ({told.customer_id})" if told.name else told.customer_id
        heading = self._say("title", who=who)
        heading = f"{escape(self._shop)} · {heading}" if self._shop else heading
        return whole_page(
            self._language,
            heading,
            f"<p>{self._say('as_of', at=self._teller.minute(told.now))}</p>"
            + self._known()
            + f'<p class="next">{escape(self._teller.next_at(told))}</p>'
            + self._supplies()
            + self._playbooks()
            + f"<p>{self._say('made')}</p>",
            STYLE,
        )

    def _known(self) -> str:
        told = self._told
        values = {
            "orders": f"{told.orders:,}",
            "segments": ", ".join(told.segments),
            "stages": ", ".join(f"{ladder} {stage}" for ladder, stage in told.stages.items()),
            "tags": ", ".join(told.tags),
            "caps": self._teller.caps(told),
        }
        parts = (
            f"<div><span>{self._say(word)}</span>{escape(value)}</div>"
            for word, value in values.items()
            if value
        )
        return f'<div class="known">{"".join(parts)}</div>'

    def _supplies(self) -> str:
        supplies = self._told.supplies
        if not supplies:
            return f"<h2>{self._say('supplies')}</h2><p>{escape(self._teller.words['no_supply'])}</p>"
        explained = f"<p>{self._say('curve')}</p>" if any(one.rhythm for one in supplies) else ""
        return f"<h2>{self._say('supplies')}</h2>{explained}" + "".join(self._supply(one) for one in supplies)

    def _supply(self, supply: SupplyView) -> str:
        stated = f"<p>{escape(self._teller.supply(supply))}</p>"
        if supply.rhythm is None:
            return (
                f'<div class="card"><h3>{escape(supply.line)}</h3>{stated}<p>{self._say("stated")}</p></div>'
            )
        asked = "".join(f"<p>{escape(self._teller.asked(one))}</p>" for one in supply.rhythm.asked)
        return (
            f'<div class="card supply"><div><h3>{escape(supply.line)}</h3>'
            f'<p class="method">{escape(self._teller.rhythm(supply.rhythm))}</p>{asked}{stated}</div>'
            f"<div>{self._curve(supply, supply.rhythm)}</div></div>"
        )

    def _curve(self, supply: SupplyView, rhythm: Rhythm) -> str:
        marks = [self._runs_out(supply, rhythm), *map(self._asked, rhythm.asked), self._today(rhythm)]
        quiet = min((one.quiet_days for one in rhythm.asked if one.way == "likely"), default=0)
        last = rhythm.curve[-1][0]
        return charts.curve(
            rhythm.curve,
            charts.Axis(self._word("days")),
            charts.Axis(self._word("chance"), percent=True),
            marks=[_within(last, mark) for mark in marks],
            shaded=(quiet, self._word("quiet", days=quiet)) if quiet else None,
        )

    def _runs_out(self, supply: SupplyView, rhythm: Rhythm) -> charts.Mark:
        zone = self._teller.zone
        ahead = clock.local_day(supply.runs_out_at, zone) - clock.local_day(self._told.now, zone)
        day = rhythm.days_ago + ahead.days
        return charts.Mark(self._word("runs_out", day=day), x=day, colour="--faint")

    def _asked(self, asked: AskedDay) -> charts.Mark:
        level = asked.share if asked.way == "likely" else None
        if asked.day is None:
            return charts.Mark(self._word("never", written=asked.written), level=level)
        label = self._word("asked_on", written=asked.written, day=asked.day)
        return charts.Mark(label, x=asked.day, level=level)

    def _today(self, rhythm: Rhythm) -> charts.Mark:
        label = self._word("today", day=rhythm.days_ago, chance=f"{rhythm.within_week:.0%}")
        return charts.Mark(label, x=rhythm.days_ago, dot=rhythm.within_week, colour="--c2")

    def _playbooks(self) -> str:
        told = self._told.playbooks
        idle = [book for book in told if all(view.anchor is None for view in book.steps)]
        parts = [self._playbook(book) for book in told if book not in idle]
        if idle:
            inside = "".join(self._playbook(book) for book in idle)
            summary = self._say("idle", count=len(idle))
            parts.append(f"<details><summary>{summary}</summary>{inside}</details>")
        return f"<h2>{self._say('decided')}</h2>{''.join(parts)}"

    def _playbook(self, book: PlaybookView) -> str:
        parts = [f"<h3>{escape(book.title)}<small>{escape(book.name)} · {escape(book.status)}</small></h3>"]
        parts += self._conditions(self._teller.words["who"], book.who)
        for step, leaves in book.when.items():
            parts += self._conditions(self._teller.say("when", step=step), leaves)
        parts += [self._step(view) for view in book.steps]
        return f'<div class="card">{"".join(parts)}</div>'

    def _conditions(self, title: str, leaves: tuple[Leaf, ...]) -> Iterator[str]:
        if not leaves:
            return
        lines = []
        for leaf in leaves:
            value = "" if leaf.value is None else f" ({self._teller.say('value', value=leaf.value)})"
            sign = "<span>✓</span>" if leaf.holds else '<span class="no">✗</span>'
            text = f"{sign} <code>{escape(leaf.text)}</code>{escape(value)}"
            lines.append(f'<div style="--deep:{leaf.depth}">{text}</div>')
        yield f'<div class="conditions">{escape(title)}{"".join(lines)}</div>'

    def _step(self, view: StepView) -> str:
        badge = _standing(view)
        outcome = "".join(
            f"<p{' class=no' if line.startswith('✗') else ''}>{escape(line)}</p>"
            for line in self._teller.outcome(view)
        )
        return (
            f'<div class="step"><p class="head"><span class="badge {badge}">{self._say(badge)}</span>'
            f"{escape(self._teller.head(view))}</p>{outcome}</div>"
        )


def _within(last: int, mark: charts.Mark) -> charts.Mark:
    """The mark, at the right edge where its day lies beyond it."""
    if mark.x is None or mark.x <= last:
        return mark
    return replace(mark, x=last, label=f"{mark.label} →")


def _standing(view: StepView) -> str:
    """How a step stands, by the name of its word."""
    if view.message is not None:
        return "sent"
    if view.anchor is None:
        return "waiting"
    if view.blocks or view.held_out:
        return "stopped"
    return "due" if view.is_due else "ahead"
