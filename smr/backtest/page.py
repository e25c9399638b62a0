"""A backtest as one HTML page that a manager can read: no other file, light and dark, English or Chinese.

In: the findings of one walk, or of two versions. Out: the page's text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

from smr import charts
from smr.backtest.findings import Findings, PlaybookFindings, StepFindings, middle, timing
from smr.pages import whole_page
from smr.words import reason_in

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Backtest: what would have been sent, and what followed", "回测：本来会发什么，之后发生了什么"),
    "span": ("{first} to {last}, a run each day at {at}", "{first} 至 {last}，每天 {at} 运行一次"),
    "sent": ("would have been sent", "会发送"),
    "hits": ("bought within {within} days", "{within} 天内购买"),
    "precision": ("hit rate", "命中率"),
    "per_hit": ("reminders per purchase", "每次命中所需提醒"),
    "coverage": ("of repurchases reminded of in time", "复购被及时提醒的比例"),
    "contacts": ("messages per customer", "每位客户消息数"),
    "most": ("most for one customer", "单个客户最多"),
    "taps": ("taps by staff", "导购点击次数"),
    "error": ("median error of the date, days", "日期误差中位数（天）"),
    "near": ("dates met within 7 days", "日期误差 7 天以内"),
    "playbook": ("playbook / step", "剧本 / 步骤"),
    "before": ("bought before the day", "到期前已购"),
    "stopped": ("not sent because", "未发送原因"),
    "open": ("not known yet", "结果未知"),
    "held_out": ("held out", "对照组"),
    "days_to": ("median days to the purchase", "到购买的天数（中位数）"),
    "curve": ("Fewer and surer, or more and less sure", "少而准，还是多而泛"),
    "curve_chance": (
        "From left to right: the surest reminders first. The ring is what the playbook sends now.",
        "从左到右：先取把握最大的提醒。圆圈为当前设置。",
    ),
    "curve_purchases": (
        "From left to right: reminders with most purchases behind them first. "
        "The ring is what the playbook sends now.",
        "从左到右：先取购买次数最多的客户。圆圈为当前设置。",
    ),
    "now": ("now", "当前"),
    "reminders": ("reminders", "提醒数"),
    "per_day": ("Messages per day", "每天消息数"),
    "messages": ("messages", "消息"),
    "day": ("day", "日期"),
    "when": ("How well the day was met", "日期准不准"),
    "when_more": (
        "Each repurchase: days from the predicted run-out to the purchase. "
        "Left of 0: bought earlier than predicted.",
        "每次复购：预测用完日到实际购买的天数。0 左边：比预测早买。",
    ),
    "days": ("days", "天"),
    "repurchases": ("repurchases", "复购"),
    "how_often": ("How often a customer would have been written to", "每位客户会收到多少条"),
    "customers": ("customers", "客户"),
    "note": (
        "A purchase after a reminder may have come without it, too. The hit rate measures whether the "
        "moment was right, not what the reminder earned; that is measured with a holdout.",
        "提醒之后的购买，不提醒也可能发生。命中率衡量时机是否合适，不等于提醒带来的增量；增量需用对照组衡量。",
    ),
    "made": (
        "smr walked each day with what was known on it, through the same rules as a real run. "
        "Texts were not rendered.",
        "smr 按天回放，只用当天已知的数据，规则与真实运行相同；未渲染消息文本。",
    ),
    "blast": (
        "On {days} the run stopped, because it would have written to more customers than "
        "policy.blast_limit allows.",
        "{days}：触达客户数超过 policy.blast_limit，当天停止发送。",
    ),
}
"""Each text in English and in Chinese."""


def page(versions: Sequence[Findings], language: str, shop: str) -> str:
    """The page of one walk, or of two versions side by side; `language` is `en` or `zh`."""
    return _Page(versions, language, shop).text()


class _Page:
    def __init__(self, versions: Sequence[Findings], language: str, shop: str) -> None:
        self._versions = versions
        self._one = versions[0]
        self._place = 1 if language == "zh" else 0
        self._language = language
        self._shop = shop

    def _say(self, word: str, **values: object) -> str:
        return escape(WORDS[word][self._place].format(**values))

    def text(self) -> str:
        days, title = self._one.days, self._say("title")
        heading = f"{escape(self._shop)} · {title}" if self._shop else title
        return whole_page(
            self._language,
            heading,
            f"<p>{self._say('span', first=days.first, last=days.last, at=f'{days.at:%H:%M}')}</p>"
            + self._keys()
            + "".join(f"<p><b>{escape(text)}</b></p>" for text in self._blasts())
            + self._tiles()
            + f'<div class="wide">{self._table()}</div>'
            + f"<p>{self._say('note')}</p>"
            + self._curves()
            + self._days()
            + f"<p>{self._say('made')}</p>",
        )

    def _keys(self) -> str:
        if len(self._versions) < 2:
            return ""
        keys = (
            f'<span><i class="key c{number}"></i>{escape(one.library)}</span>'
            for number, one in enumerate(self._versions, start=1)
        )
        return f'<div class="versions">{"".join(keys)}</div>'

    def _blasts(self) -> Iterator[str]:
        for one in self._versions:
            if one.blast_days:
                yield WORDS["blast"][self._place].format(days=", ".join(one.blast_days[:5]))

    def _tiles(self) -> str:
        totals = [_total(one) for one in self._versions]
        people = [sum(one.contacts.values()) for one in self._versions]
        shown = [
            ("sent", [f"{total.whole.sent:,}" for total in totals]),
            ("precision", [_percent(total.whole.precision) for total in totals]),
            ("per_hit", [_plain(total.whole.per_hit) for total in totals]),
            ("coverage", [_percent(total.coverage) for total in totals]),
            (
                "contacts",
                [_plain(t.whole.sent / n if n else None) for t, n in zip(totals, people, strict=True)],
            ),
            ("most", [str(max(one.contacts, default=0)) for one in self._versions]),
            ("taps", [f"{total.taps:,}" for total in totals]),
            ("error", [_plain(middle(_sizes(total.errors))) for total in totals]),
        ]
        return '<div class="tiles">' + "".join(self._tile(*one) for one in shown) + "</div>"

    def _tile(self, word: str, values: list[str]) -> str:
        other = f" <i>{values[1]}</i>" if len(values) > 1 else ""
        return f'<div class="tile"><b>{values[0]}{other}</b><span>{self._say(word)}</span></div>'

    def _table(self) -> str:
        names = (
            "playbook",
            "sent",
            "hits",
            "precision",
            "per_hit",
            "coverage",
            "before",
            "days_to",
            "open",
            "held_out",
        )
        heads = "".join(f"<th>{self._say(name, within=self._one.within)}</th>" for name in names)
        rows = []
        for number, version in enumerate(self._versions, start=1):
            key = f'<i class="key c{number}"></i>' if len(self._versions) > 1 else ""
            for book in version.playbooks:
                rows.append(self._row(book.whole, book, f"{key}{escape(book.playbook)}", "book"))
                if len(book.steps) > 1:
                    rows += [self._row(step, None, escape(step.step), "step") for step in book.steps]
        return f'<table><tr>{heads}<th class="why">{self._say("stopped")}</th></tr>{"".join(rows)}</table>'

    def _row(self, step: StepFindings, book: PlaybookFindings | None, name: str, kind: str) -> str:
        cells = [
            f"{step.sent:,}",
            f"{step.hits:,}",
            _percent(step.precision),
            _plain(step.per_hit),
            _percent(book.coverage) if book else "",
            f"{step.bought_before:,}",
            _plain(middle(step.days)),
            f"{step.open:,}" if step.open else "–",
            f"{step.held_out:,}" if step.held_out else "–",
        ]
        why = ", ".join(
            f"{reason_in(self._language, reason)} {count:,}" for reason, count in step.stopped.most_common(3)
        )
        inside = "".join(f"<td>{cell}</td>" for cell in cells)
        return f'<tr class="{kind}"><td>{name}</td>{inside}<td class="why">{escape(why)}</td></tr>'

    def _curves(self) -> str:
        drawn = []
        names = dict.fromkeys(book.playbook for one in self._versions for book in one.playbooks if book.curve)
        x, y = charts.Axis(self._word("reminders")), charts.Axis(self._word("precision"), percent=True)
        for name in names:
            series = [
                charts.Series(
                    one.library if len(self._versions) > 1 else name,
                    [(point.volume, point.precision) for point in book.curve],
                    len(book.curve) - 1,
                    self._word("now") if number == 0 else "",
                )
                for number, one in enumerate(self._versions)
                for book in one.playbooks
                if book.playbook == name and book.curve
            ]
            drawn.append(f'<div class="chart"><h3>{escape(name)}</h3>{charts.lines(series, x, y)}</div>')
        if not drawn:
            return ""
        explained = self._say(f"curve_{self._one.ranked_by}")
        return f'<h2>{self._say("curve")}</h2><p>{explained}</p><div class="charts">{"".join(drawn)}</div>'

    def _word(self, name: str) -> str:
        return WORDS[name][self._place]

    def _days(self) -> str:
        parts = []
        for number, one in enumerate(self._versions):
            mark = f" ({one.library})" if number else ""
            daily = [(day[5:], float(sum(counts.values()))) for day, counts in one.by_day.items()]
            if daily:
                parts.append(self._chart("per_day", mark, daily, "day", "messages"))
            errors = _total(one).errors
            if errors:
                middle_bar, histogram = _histogram(errors)
                chart = self._chart("when", mark, histogram, "days", "repurchases", zero=middle_bar)
                met = timing(errors)
                share = _percent(met["within_7_days"]) if met else "–"
                parts.append(
                    chart.replace(
                        "</h3>", f"</h3><p>{self._say('when_more')} {self._say('near')}: {share}.</p>"
                    )
                )
            if one.contacts:
                often = [(str(times), float(count)) for times, count in sorted(one.contacts.items())]
                parts.append(self._chart("how_often", mark, often, "messages", "customers"))
        return f'<h2>{self._say("when")}</h2><div class="charts">{"".join(parts)}</div>' if parts else ""

    def _chart(
        self,
        title: str,
        mark: str,
        heights: list[tuple[str, float]],
        x: str,
        y: str,
        *,
        zero: int | None = None,
    ) -> str:
        drawn = charts.bars(heights, charts.Axis(self._word(x)), charts.Axis(self._word(y)), zero=zero)
        return f'<div class="chart"><h3>{self._say(title)}{escape(mark)}</h3>{drawn}</div>'


def _total(findings: Findings) -> PlaybookFindings:
    """All playbooks together."""
    total = PlaybookFindings("")
    for book in findings.playbooks:
        total.steps += book.steps
        total.taps += book.taps
        total.errors += book.errors
        if book.repurchases is not None:
            total.repurchases = (total.repurchases or 0) + book.repurchases
            total.covered = (total.covered or 0) + (book.covered or 0)
    return total


def _sizes(errors: Counter[int]) -> Counter[int]:
    sizes: Counter[int] = Counter()
    for days, count in errors.items():
        sizes[abs(days)] += count
    return sizes


def _histogram(errors: Counter[int], reach: int = 40) -> tuple[int, list[tuple[str, float]]]:
    """The number of the bar of 0; and bars from -reach to reach days, what lies beyond in the outermost."""
    step = 4
    edges = list(range(-reach, reach + 1, step))
    counts: Counter[int] = Counter()
    for days, count in errors.items():
        nearest = round(max(-reach, min(reach, days)) / step) * step
        counts[nearest] += count
    labels = [f"≤{edge}" if edge == -reach else f"≥{edge}" if edge == reach else str(edge) for edge in edges]
    return edges.index(0), [(label, float(counts[edge])) for label, edge in zip(labels, edges, strict=True)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
