"""JSON Schemas of what operators write, for editors: completion, checks while typing, help on hover.

In: the kind of file. Out: a JSON Schema (draft 2020-12) as plain data.
Trap: the loader keeps scalars as text, but an editor reads YAML's own types: 22:00 and 10 are numbers to it,
NO is false. So where a name or text may look like a number, the schema allows a number, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from smr.events import KINDS_IN_CHINESE, InteractionKind
from smr.notation import span_text
from smr.playbook.model import Catalog, Playbook, SegmentsFile
from smr.settings import Settings

FILES: dict[str, type[BaseModel]] = {
    "playbook": Playbook,
    "catalog": Catalog,
    "segments": SegmentsFile,
    "config": Settings,
}
"""Each kind of file and its model."""

_HAN = re.compile("[\u4e00-\u9fff]{2}")
CHINESE = {
    "Playbook": "一个剧本:给谁、何时、说什么、何时停。",
    "Catalog": "商品知识:一个单位能用多久。",
    "SegmentsFile": "人群与阶段。",
    "Settings": "config.yaml 的全部设置。",
    "Step": "剧本的一步:一条消息。",
    "All": "同时满足。",
    "AnyOf": "满足任意一条。",
    "Not": "不满足。",
    "Everyone": "所有客户。",
    "InSegment": "属于人群。",
    "AtStage": "处于某阶段。",
    "HasTag": "带有标签。",
    "Orders": "订单数。",
    "Spend": "消费金额(已扣退款)。",
    "Quantity": "购买件数(已扣退货)。",
    "Bought": "买过。",
    "FirstPurchase": "首次购买距今多久。",
    "LastPurchase": "最近一次购买距今多久。",
    "Refunded": "退过款。",
    "CustomerIs": "客户资料。",
    "OfStaff": "所属导购。",
    "OfStore": "所属门店。",
    "Consent": "已同意接收。",
    "Reachable": "这些渠道至少一个能联系到。",
    "Messaged": "已发消息数。",
    "Supply": "存货何时用完。",
    "Chat": "聊到过某个话题。",
    "Did": "做过某种互动:点赞、点击、进群等。",
    "Rfm": "RFM 得分。",
    "Topic": "聊天里要听的话题:关键词,以及听到后做什么。",
    "TagRule": "自动标签。",
    "RfmCuts": "RFM 的分档线。",
    "Ready": "现成的阶梯。",
    "ReadyLifecycle": "五个生命周期阶段。",
    "ReadyTiers": "五个客户层级。",
    "Role": "商品角色。",
    "Sensitive": "敏感商品:短信等渠道里不点名。",
    "RunsOut": "快用完时触发;写了 likely,则在足够可能购买的第一天到期。",
    "Purchased": "购买后触发。",
    "Scheduled": "定时触发。",
    "OnDate": "在客户的某个日子触发,如生日。",
    "OnFestival": "在节日触发,如中秋、双十一,或店铺日历里的节日。",
    "SegmentChanged": "进入或离开人群时触发。",
    "StageChanged": "阶段变化时触发。",
    "TagAdded": "打上标签时触发。",
    "Interacted": "有互动时触发,如加好友、点击、点赞。",
    "Silent": "多久没有购买和互动时触发。",
    "GaveBack": "退款时触发。",
    "OnProduct": "买过、看过、问过的商品到货或降价时触发。",
    "ProductNews": "商品的消息:到货、降价。",
    "Limits": "发送上限。",
    "Goal": "怎样算成功。",
    "Bundle": "多件商品合成一条。",
    "HandOver": "一条转人工的规则。",
    "Cycle": "一个单位用多久。",
    "Cycles": "各类目、商品的周期。",
    "ProductEntry": "单个商品。",
    "Segment": "一个人群。",
    "Rung": "一个阶段。",
}
"""What each part is, in Chinese."""
KEYS_IN_CHINESE = {
    "name": "名称",
    "title": "显示名称",
    "description": "说明",
    "requires": "需要的 smr 版本",
    "status": "状态:draft 草稿、live 上线、paused 暂停",
    "priority": "优先级,大的先发",
    "trigger": "触发条件",
    "who": "给谁发",
    "steps": "步骤",
    "send": "何时发:5d before due 到期前 5 天、on due 到期当天、3d after due 到期后 3 天",
    "via": "渠道,按顺序取第一个可用的",
    "when": "满足条件才发这一步",
    "subject": "标题",
    "message": "正文模板",
    "template": "正文模板文件",
    "html": "HTML 正文",
    "html_template": "HTML 正文文件",
    "attach": "附件",
    "useful_for": "过了多久就不再发",
    "stop_when": "满足任一条就停止",
    "limits": "发送上限",
    "per_customer": "每位客户多久内最多几轮",
    "per_run": "每次运行最多几条",
    "holdout": "对照组比例,不发送",
    "goal": "目标",
    "backfill": "上线时补发多久以内的",
    "within": "多久以内",
    "segments": "人群",
    "ladders": "阶段",
    "stage": "阶段",
    "where": "条件",
    "topics": "话题",
    "tags": "自动标签",
    "rfm": "RFM 分档",
    "ready": "现成的阶梯",
    "tag": "标签",
    "roles": "商品角色",
    "track": "按什么跟踪存货:类目、商品或两者",
    "cycles": "周期",
    "default": "默认周期",
    "categories": "各类目",
    "products": "各商品",
    "learn": "是否允许学习",
    "cron": "分 时 日 月 星期",
    "every": "哪些天",
    "at": "几点",
    "from": "从",
    "until": "到哪天为止",
    "calendar": "按哪个历法或哪国的法定节假日",
    "festival": "节日",
    "database": "数据库",
    "playbooks": "剧本文件夹",
    "shop": "店铺",
    "zone": "时区",
    "currency": "币种",
    "language": "语言",
    "reorder_url": "复购链接",
    "policy": "触达规则",
    "caps": "频次上限",
    "gap": "两条消息至少间隔多久",
    "fatigue": "连续不回应就降频",
    "after": "连续多少条没有回应",
    "slow_to": "降到多久最多几条",
    "mix": "内容配比",
    "selling_at_most": "促销内容最多占比",
    "content": "内容类型:selling 促销、useful 有用(不买也有帮助)",
    "after_refund": "退款后多久不打扰",
    "quiet_hours": "免打扰时段",
    "blast_limit": "单次触达客户比例上限",
    "complaint_tags": "投诉标签",
    "channels": "渠道",
    "consent": "同意方式",
    "address": "联系方式",
    "cap": "该渠道频次上限",
    "max_length": "最长字数",
    "files": "文件渠道",
    "daemon": "守护进程：什么时候做什么",
    "alerts": "出问题时告诉谁",
    "folder": "文件夹",
    "import": "导入",
    "columns": "列名对应",
    "encoding": "编码",
    "reject_limit": "坏行比例上限",
    "rejects_folder": "坏行存放处",
    "sources": "店铺自己的数据库",
    "holdout_seed": "改动它会重新抽取对照组",
}
"""What keys mean, in Chinese, where their own description does not say."""
NAME_LENGTH = 200
"""By which a list of names is told from other lists."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file: playbook, catalog, segments or config."""
    made = TypeAdapter(FILES[kind]).json_schema(by_alias=True, mode="validation")
    _walk(made, _shape)
    for name, part in made.get("$defs", {}).items():
        _in_chinese(name, part)
    if InteractionKind.__name__ in made.get("$defs", {}):
        made["$defs"][InteractionKind.__name__]["enum"] += KINDS_IN_CHINESE
    _in_chinese(FILES[kind].__name__, made)
    return {"$schema": DIALECT, "title": f"smr {kind}", **made}


def _in_chinese(name: str, part: dict[str, Any]) -> None:
    """Add what a mapping is called in Chinese, and its keys that say nothing in Chinese themselves."""
    if name in CHINESE:
        part["description"] = f"{part.get('description', '')} {CHINESE[name]}".strip()
    for key, described in part.get("properties", {}).items():
        words = KEYS_IN_CHINESE.get(key)
        if words and not _HAN.search(str(described.get("description", ""))):
            described["description"] = f"{described.get('description', '')} {words}".strip()


def _walk(node: Any, change: Callable[[dict[str, Any]], None]) -> None:
    """Change each mapping, the inner ones first."""
    if isinstance(node, dict):
        for part in node.values():
            _walk(part, change)
        change(node)
    elif isinstance(node, list):
        for part in node:
            _walk(part, change)


def _shape(node: dict[str, Any]) -> None:
    """Say it as an editor understands it best."""
    if isinstance(node.get("title"), str):
        del node["title"]
    node.pop("discriminator", None)
    _without_null(node)
    _bounds(node)
    _pattern(node)
    _defaults(node)
    _lists_of_names(node)
    if node.get("type") == "string" and "enum" not in node and "const" not in node:
        node["type"] = ["string", "number"]


def _without_null(node: dict[str, Any]) -> None:
    """A key is left out rather than set to null."""
    if "anyOf" not in node:
        return
    choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
    if len(choices) == 1:
        del node["anyOf"]
        node.update(choices[0])
    else:
        node["anyOf"] = choices


def _bounds(node: dict[str, Any]) -> None:
    """Bounds under the names that JSON Schema has for them."""
    for ours, name in (
        ("ge", "minimum"),
        ("gt", "exclusiveMinimum"),
        ("le", "maximum"),
        ("lt", "exclusiveMaximum"),
    ):
        if ours in node and node.get("type") in ("number", "integer"):
            node[name] = float(node.pop(ours))
    for ours, name in (("minLength", "minItems"), ("maxLength", "maxItems")):
        if ours in node and node.get("type") == "array":
            node[name] = node.pop(ours)


def _pattern(node: dict[str, Any]) -> None:
    r"""Editors read patterns as JavaScript does, where \w knows no Chinese."""
    if isinstance(node.get("pattern"), str):
        node["pattern"] = re.sub(r"\[\\w-?\]", r"\\S", node["pattern"])


def _defaults(node: dict[str, Any]) -> None:
    """Defaults as an operator would write them; the others tell nothing."""
    default = node.get("default", "")
    if default is None or isinstance(default, dict | float) or default == []:
        node.pop("default", None)
    elif "pattern" in node and isinstance(default, int):
        node["default"] = span_text(default)


def _lists_of_names(node: dict[str, Any]) -> None:
    """One name may stand alone where a list of names may."""
    items = node.get("items")
    if node.get("type") == "array" and isinstance(items, dict) and items.get("maxLength") == NAME_LENGTH:
        described: dict[str, Any] = {key: node.pop(key) for key in ("description", "default") if key in node}
        several = dict(node)
        node.clear()
        node.update(described, anyOf=[dict(items), several])
