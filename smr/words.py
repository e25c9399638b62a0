"""How reasons and states are said to people, in English and Chinese."""

from __future__ import annotations

from smr.events import Reason

REASONS: dict[Reason, tuple[str, str]] = {
    Reason.PAUSED: ("the playbook is not live", "剧本未上线或已暂停"),
    Reason.EXPIRED: ("too late to be useful", "已过有效期"),
    Reason.BEFORE_PUBLICATION: ("was due before the playbook went live", "到期日早于剧本上线"),
    Reason.NOT_DUE: (
        "no longer due: the day moved or its purchase is gone",
        "不再到期（日期变化或购买已撤销）",
    ),
    Reason.REFUNDED: ("the purchase was refunded", "该笔购买已退款"),
    Reason.BOUGHT_ALREADY: ("has bought again already", "已经复购"),
    Reason.STOPPED: ("a stop_when condition holds", "满足停止条件"),
    Reason.NOT_IN_SEGMENT: ("is not among those the playbook is for", "不在剧本人群内"),
    Reason.STEP_CONDITION: ("the step's own condition does not hold", "不满足该步骤条件"),
    Reason.COMPLAINT_OPEN: ("has an open complaint", "投诉处理中"),
    Reason.OUT_OF_STOCK: ("the product is out of stock", "商品缺货"),
    Reason.REFUND_OPEN: ("gave something back lately", "近期退过款，暂不打扰"),
    Reason.UNREACHABLE: ("has no address on the step's channels", "所选渠道没有联系方式"),
    Reason.OPTED_OUT: ("has opted out", "客户已退订"),
    Reason.NO_CONSENT: ("has given no consent", "没有客户同意记录"),
    Reason.QUIET_HOURS: ("quiet hours last longer than the message is useful", "免打扰时段内，且之后已失效"),
    Reason.TOO_SOON: ("was written to too short a while ago", "距上一条消息间隔太短"),
    Reason.FREQUENCY_CAP: ("has been written to often enough", "已达触达频次上限"),
    Reason.FATIGUE: (
        "does not answer, and is written to less often",
        "连续多条未回应，已降频",
    ),
    Reason.CONTENT_MIX: ("has been sent enough that sells, too little that is useful", "促销内容占比已满"),
    Reason.SUPERSEDED: ("another playbook's message won by priority", "让位于优先级更高的剧本"),
    Reason.BUNDLED: ("is named in another product's message", "合并在另一件商品的消息里"),
    Reason.BUNDLE_CHANGED: (
        "another product named in it was bought or returned meanwhile",
        "合并的其他商品已复购或退货，重新生成",
    ),
    Reason.PER_RUN_LIMIT: ("the playbook's limit for one run is reached", "已达单次运行上限"),
    Reason.BLAST_LIMIT: (
        "the run wanted to write to unusually many customers",
        "单次触达客户过多，已停下待确认",
    ),
    Reason.HOLDOUT: ("is held out to compare with", "对照组，不发送"),
    Reason.HANDED_OVER: ("is handed to a person, who writes instead", "已转人工跟进，机器人不发"),
    Reason.TEMPLATE: ("the text could not be rendered for this customer", "模板渲染失败"),
    Reason.SENSITIVE: (
        "the text names something sensitive where others may read along",
        "文案会在短信等渠道点名敏感商品或话题",
    ),
    Reason.DELETED: ("the playbook was deleted", "剧本已删除"),
    Reason.OPERATOR: ("stopped by an operator", "运营人员取消"),
}
"""Each reason in English and in Chinese."""

AFTERWARDS: dict[str, tuple[str, str]] = {
    "not_sent": ("staff declined to send it", "导购未发送"),
    "not_confirmed": ("staff did not send it in time, and it was taken back", "导购逾期未确认"),
    "undelivered": ("the provider said later that it did not arrive", "未送达"),
}
"""Reasons of messages that had left the outbox already."""


def reason_in(language: str, reason: str) -> str:
    """A reason as a short sentence; an unknown one as it is."""
    try:
        english, chinese = AFTERWARDS.get(reason) or REASONS[Reason(reason)]
    except ValueError:
        return reason
    return chinese if language == "zh" else english
