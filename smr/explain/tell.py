"""An explanation as sentences, in English or Chinese."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from smr import clock
from smr.conditions.contact import ANY
from smr.due import AskedDay, Rhythm
from smr.events import Reason
from smr.explain.ask import Explanation, PlaybookView, StepView, SupplyView
from smr.explain.because import Because
from smr.explain.leaves import Leaf
from smr.explain.rules import RuleView
from smr.words import reason_in

ENGLISH = {
    "customer": "{id}{name}: orders {orders}; segments: {segments}; stages: {stages}; tags: {tags}",
    "none": "none",
    "supply": "{line}: {quantity:g} × {product} bought on {bought} (purchases so far: {purchases}); "
    "one unit lasts {lasts:g} days ({basis}); runs out {runs_out}",
    "rhythm": "usually every {every} days ({purchases}, own rhythm weighs {weight} %), {ago} days ago; "
    "{chance} of 100 like this buy within a week",
    "purchases": "{count} purchases",
    "asked": "{written}, asked by {playbooks}: day {day} since then, {at}",
    "never": "{written}, asked by {playbooks}: never that likely, so never due",
    "no_supply": "No followed supply: nothing bought whose cycle the catalog knows.",
    "caps": "written to so far: {caps}",
    "and": ", ",
    "frequency_cap": "{used} of {rate}",
    "too_soon": "gap {gap} (last {last_at}, over {free_at})",
    "too_soon_never": "gap {gap} (nothing sent yet)",
    "fatigue": "{unanswered} without an answer (from {after}: {used} of {rate})",
    "content_mix": "{selling} of {all} within {within} sell (at most {share})",
    "refund_open": "gave something back: left in peace until {until}",
    "on_channel": "by {channel} {said}",
    "on_all": "in all {said}",
    "playbook": "{title} ({name}) [{status}]",
    "who": "who",
    "when": "when, step {step}",
    "value": "has {value}",
    "idle": "{step} ({send}): nothing makes it due{next}",
    "ahead": "{step} ({send}): not due yet; due on {due}{line}",
    "due": "{step} ({send}): due since {due}{line}",
    "line": ", as {line} bought {anchor} runs out {runs_out}",
    "bought": ", from order {order} of {anchor}",
    "sent": "message {state} on {channel}, {at}: it is not made a second time",
    "blocked": "✗ not sent: {reason} — {words}",
    "would_block": "✗ would not be sent as things stand: {reason} — {words}",
    "opted_out_since": "refused {what} on {since}{source}",
    "complaint_open_since": "tag {what} since {since}{until}{source}",
    "everywhere": "all channels",
    "until": " until {until}",
    "source": " ({source})",
    "rounds": "rounds of this playbook: {used} of {rate}",
    "also": "also: {reasons}",
    "passed": "passed: {reasons}",
    "held_out": "✗ not sent: held_out — {words}",
    "free": "✓ may be sent on {channel}",
    "offer": ", offering {offer} instead of what is out of stock",
    "waits": ", waiting for the end of quiet hours: {until}",
    "verdict": "last run ({at}): {state}{reason}",
    "beside": "named in {playbook}, step {step}{message}: it is not reminded of by itself",
    "winner": "in favour of {playbook}, step {step}{message}",
    "winner_message": ": message {id} ({state})",
    "next": "; next on {at}",
    "next_at": "Next thing that can happen: {at}",
    "nothing": "Nothing is to come as things stand.",
    "category": "of its category",
    "product": "of the product itself",
    "default": "the catalog's default",
}
CHINESE = {
    "customer": "{id}{name}：{orders} 个订单；人群：{segments}；阶段：{stages}；标签：{tags}",
    "none": "无",
    "supply": "{line}：{bought} 购买 {product} × {quantity:g}（共 {purchases} 次）；"
    "每单位可用 {lasts:g} 天（{basis}）；预计 {runs_out} 用完",
    "rhythm": "通常每 {every} 天买一次（{purchases}，自身节奏占 {weight}%），距今 {ago} 天；"
    "100 位这样的客户有 {chance} 位会在一周内购买",
    "purchases": "已购 {count} 次",
    "asked": "{playbooks} 要求 {written}：第 {day} 天，{at}",
    "never": "{playbooks} 要求 {written}：达不到这个概率，不会到期",
    "no_supply": "没有可跟踪的消耗：所购商品在商品目录中没有周期。",
    "caps": "近期已触达：{caps}",
    "and": "，",
    "frequency_cap": "{used} 次（上限 {rate}）",
    "too_soon": "间隔 {gap}（上一条 {last_at}，{free_at} 起可再发）",
    "too_soon_never": "间隔 {gap}（还没发过）",
    "fatigue": "连续 {unanswered} 条未回应（满 {after} 条后降为 {rate}，已用 {used} 次）",
    "content_mix": "{within} 内 {all} 条中 {selling} 条促销（最多 {share}）",
    "refund_open": "刚退过款，{until} 前不打扰",
    "on_channel": "{channel} {said}",
    "on_all": "合计 {said}",
    "playbook": "{title}（{name}）[{status}]",
    "who": "人群条件",
    "when": "步骤 {step} 的条件",
    "value": "实际值 {value}",
    "idle": "{step}（{send}）：目前没有触发{next}",
    "ahead": "{step}（{send}）：还没到期，将于 {due} 到期{line}",
    "due": "{step}（{send}）：{due} 起到期{line}",
    "line": "，因为 {anchor} 购买的{line}将于 {runs_out} 用完",
    "bought": "，来自 {anchor} 的订单 {order}",
    "sent": "{channel} 上的消息状态为 {state}（{at}），不会重复生成",
    "blocked": "✗ 不发送：{reason} — {words}",
    "would_block": "✗ 按目前情况不会发送：{reason} — {words}",
    "opted_out_since": "{since} 拒收{what}{source}",
    "complaint_open_since": "{since} 起带有标签 {what}{until}{source}",
    "everywhere": "所有渠道",
    "until": "，到 {until} 为止",
    "source": "（{source}）",
    "rounds": "本剧本近期已提醒 {used} 轮（上限 {rate}）",
    "also": "同时还有：{reasons}",
    "passed": "已通过：{reasons}",
    "held_out": "✗ 不发送：held_out — {words}",
    "free": "✓ 可以通过 {channel} 发送",
    "offer": "，缺货，改推 {offer}",
    "waits": "，等待免打扰时段结束：{until}",
    "verdict": "上次运行（{at}）：{state}{reason}",
    "beside": "已合并在 {playbook} 的 {step} 里{message}，不单独提醒",
    "winner": "让位于 {playbook} 的 {step}{message}",
    "winner_message": "：消息 {id}（{state}）",
    "next": "；下一次：{at}",
    "next_at": "下一个可能的触达时间：{at}",
    "nothing": "按目前情况，没有即将发生的触达。",
    "category": "按类目周期",
    "product": "按商品周期",
    "default": "按默认周期",
}


def tell(explanation: Explanation, zone: ZoneInfo, language: str) -> Iterator[str]:
    """The explanation line by line; indentation shows what belongs to what."""
    yield from Teller(zone, language).told(explanation)


class Teller:
    """Says each part of an explanation in one language, with times of the shop's zone."""

    def __init__(self, zone: ZoneInfo, language: str) -> None:
        self.zone = zone
        self.language = language
        self.words = CHINESE if language == "zh" else ENGLISH

    def say(self, key: str, **values: object) -> str:
        """One of the sentences, filled in."""
        return self.words[key].format(**values)

    def day(self, at: datetime | None) -> str:
        """The shop's day of an instant."""
        return "?" if at is None else clock.local_day(at, self.zone).isoformat()

    def minute(self, at: datetime | None) -> str:
        """Day and time of an instant."""
        return "?" if at is None else f"{at.astimezone(self.zone):%Y-%m-%d %H:%M}"

    def told(self, explanation: Explanation) -> Iterator[str]:
        """All of it."""
        yield self.customer(explanation)
        for supply in explanation.supplies:
            yield "  " + self.supply(supply)
            if supply.rhythm is not None:
                yield "    " + self.rhythm(supply.rhythm)
                yield from ("    " + self.asked(one) for one in supply.rhythm.asked)
        if not explanation.supplies:
            yield "  " + self.words["no_supply"]
        if explanation.rules or explanation.refunded_until is not None:
            yield "  " + self.say("caps", caps=self.caps(explanation))
        for playbook in explanation.playbooks:
            yield ""
            yield from self.playbook(playbook)
        yield ""
        yield self.next_at(explanation)

    def customer(self, explanation: Explanation) -> str:
        """Who it is, and what is known beside the supplies."""
        none = self.words["none"]
        return self.say(
            "customer",
            id=explanation.customer_id,
            name=f" {explanation.name}" if explanation.name else "",
            orders=explanation.orders,
            segments=", ".join(explanation.segments) or none,
            stages=", ".join(f"{ladder} {stage}" for ladder, stage in explanation.stages.items()) or none,
            tags=", ".join(explanation.tags) or none,
        )

    def caps(self, explanation: Explanation) -> str:
        """How much of each rule of the contact policy is used."""
        told = [self.rule(rule) for rule in explanation.rules]
        if explanation.refunded_until is not None:
            told.append(self.say("refund_open", until=self.minute(explanation.refunded_until)))
        return self.words["and"].join(told)

    def rule(self, rule: RuleView) -> str:
        """How much of one rule is used."""
        figures = {name: self.figure(value) for name, value in rule.figures.items()}
        never = rule.reason is Reason.TOO_SOON and rule.figures["last_at"] is None
        said = self.say(f"{rule.reason}_never" if never else str(rule.reason), **figures)
        if rule.channel is not None:
            return self.say("on_channel", channel=rule.channel, said=said)
        return self.say("on_all", said=said) if rule.reason is Reason.FREQUENCY_CAP else said

    def figure(self, value: object) -> str:
        """A figure of a rule; what never was is none."""
        if isinstance(value, datetime):
            return self.minute(value)
        return self.words["none"] if value is None else str(value)

    def next_at(self, explanation: Explanation) -> str:
        """When something may happen next."""
        ahead = explanation.next_at
        return self.say("next_at", at=self.day(ahead)) if ahead else self.words["nothing"]

    def supply(self, supply: SupplyView) -> str:
        """What was bought last, and until when it lasts."""
        return self.say(
            "supply",
            line=supply.line,
            quantity=supply.quantity,
            product=supply.product,
            bought=self.day(supply.last_purchased_at),
            purchases=supply.purchases,
            lasts=round(supply.unit_lasts / clock.DAY, 2),
            basis=self.words[supply.basis],
            runs_out=self.day(supply.runs_out_at),
        )

    def rhythm(self, rhythm: Rhythm) -> str:
        """The method in one sentence."""
        count = rhythm.purchases
        one = self.language != "zh" and count == 1
        return self.say(
            "rhythm",
            every=round(rhythm.every_days),
            purchases="1 purchase" if one else self.say("purchases", count=count),
            weight=round(100 * rhythm.own_weight),
            ago=rhythm.days_ago,
            chance=round(100 * rhythm.within_week),
        )

    def asked(self, asked: AskedDay) -> str:
        """What playbooks ask of the supply, and when that is."""
        return self.say(
            "never" if asked.day is None else "asked",
            written=asked.written,
            playbooks=", ".join(asked.playbooks),
            day=asked.day,
            at=self.day(asked.at),
        )

    def playbook(self, playbook: PlaybookView) -> Iterator[str]:
        """A playbook with its conditions and steps."""
        yield self.say("playbook", title=playbook.title, name=playbook.name, status=playbook.status)
        if playbook.who:
            yield "  " + self.words["who"]
            yield from self.leaves(playbook.who)
        for step, leaves in playbook.when.items():
            yield "  " + self.say("when", step=step)
            yield from self.leaves(leaves)
        for view in playbook.steps:
            yield from self.step(view)

    def leaves(self, leaves: tuple[Leaf, ...]) -> Iterator[str]:
        """Conditions, one a line."""
        for leaf in leaves:
            value = "" if leaf.value is None else f"  ({self.say('value', value=leaf.value)})"
            yield "  " * (leaf.depth + 2) + ("✓ " if leaf.holds else "✗ ") + leaf.text + value

    def step(self, view: StepView) -> Iterator[str]:
        """A step, and beneath it what came of it."""
        yield "  " + self.head(view)
        yield from ("      " + line for line in self.outcome(view))

    def head(self, view: StepView) -> str:
        """Whether it is due, since when, and because of what."""
        if view.anchor is None:
            ahead = self.say("next", at=self.day(view.next_at)) if view.next_at else ""
            return self.say("idle", step=view.step, send=view.send, next=ahead)
        head = "due" if view.is_due else "ahead"
        due = self.day(view.due_at)
        return self.say(head, step=view.step, send=view.send, due=due, line=self.cause(view))

    def outcome(self, view: StepView) -> Iterator[str]:
        """What came, or would come, of it."""
        said = view.last_verdict
        if view.message is not None:
            yield self.sent(view)
        elif said is not None and said["reason"] == "bundled" and said["queued_at"] is not None:
            yield self.winner(said, "beside")
        elif view.anchor is not None and (view.is_due or view.blocks):
            yield from self.verdict(view)

    def cause(self, view: StepView) -> str:
        """Which purchase makes it due."""
        anchor = self.day(view.anchor_at)
        if view.line is not None:
            return self.say("line", line=view.line, anchor=anchor, runs_out=self.day(view.runs_out_at))
        return self.say("bought", order=view.order_id, anchor=anchor) if view.order_id else ""

    def sent(self, view: StepView) -> str:
        """What became of its message."""
        message = view.message or {}
        at = message["sent_at"] or message["queued_at"]
        return self.say("sent", state=message["state"], channel=message["channel"], at=self.minute(at))

    def verdict(self, view: StepView) -> Iterator[str]:
        """Whether it may be sent, and why not."""
        if view.blocks:
            first, *others = view.blocks
            said = "blocked" if view.is_due else "would_block"
            yield self.say(said, reason=first, words=reason_in(self.language, first))
            if view.because is not None:
                yield self.because(view.because)
            if others:
                yield self.say("also", reasons=", ".join(others))
            if view.rounds is not None:
                yield self.say("rounds", **view.rounds)
        elif view.held_out:
            yield self.say("held_out", words=reason_in(self.language, "holdout"))
        else:
            waits = self.say("waits", until=self.minute(view.waits_until)) if view.waits_until else ""
            offer = self.say("offer", offer=view.offer) if view.offer else ""
            yield self.say("free", channel=view.channel) + offer + waits
        if view.passed:
            yield self.say("passed", reasons=", ".join(view.passed))
        if view.last_verdict is not None and view.last_verdict["judged_at"] is not None:
            reason = view.last_verdict["reason"]
            said = f" ({reason_in(self.language, reason)})" if reason else ""
            said += f": {view.last_verdict['detail']}" if view.last_verdict["detail"] else ""
            at = self.minute(view.last_verdict["judged_at"])
            yield self.say("verdict", at=at, state=view.last_verdict["state"], reason=said)
            if view.last_verdict["winner_playbook"] is not None:
                yield self.winner(view.last_verdict, "winner")

    def because(self, fact: Because) -> str:
        """The fact behind a reason."""
        return self.say(
            f"{fact.reason}_since",
            what=self.words["everywhere"] if fact.what == ANY else fact.what,
            since=self.minute(fact.since),
            until=self.say("until", until=self.minute(fact.until)) if fact.until else "",
            source=self.say("source", source=fact.source) if fact.source else "",
        )

    def winner(self, verdict: Mapping[str, Any], how: str) -> str:
        """Whom it gave way to, and what became of that one's message."""
        message = ""
        if verdict["winner_message"] is not None:
            shown = {"id": verdict["winner_message"], "state": verdict["winner_state"]}
            message = self.say("winner_message", **shown)
        playbook, step = verdict["winner_playbook"], verdict["winner_step"]
        return self.say(how, playbook=playbook, step=step, message=message)
