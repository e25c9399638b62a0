"""Topics: what a shop listens for in chat, and what follows when it is said. Some are built in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import Field, model_validator

from smr.chat.fold import BREAK, fold
from smr.conditions.model import Name, Names, Part
from smr.notation import Flag, Span
from smr.strict_yaml import read_yaml


class Topic(Part):
    """What is listened for in chat, by literal words, and what follows; of a built-in one what is changed."""

    title: str | None = Field(None, description="shown to people 显示名称")
    any_of: Names | None = Field(
        None, description="words that tell it; for a built-in topic instead of its own 关键词,任意一个"
    )
    also: Names | None = Field(None, description="more words, beside those of a built-in topic 追加的关键词")
    exactly: Names | None = Field(None, description="texts that tell it alone, such as T 整句等于")
    none_of: Names | None = Field(
        None, description="phrases in which its words do not count, such as 不过敏 例外说法"
    )
    tag: Name | None = Field(None, description="the tag that whoever speaks of it gets 打上的标签")
    for_: Span | None = Field(
        None,
        alias="for",
        description="how long the tag stays after it was last said; for ever where not said 标签保留多久",
    )
    opt_out: Flag | None = Field(
        None, description="true: whoever says it is not written to any more 视为退订"
    )
    hand_over: Flag | None = Field(
        None, description="true: whoever says it is handed to staff, with the conversation 转人工"
    )
    sensitive: Flag | None = Field(
        None, description="true: never named where others may read along, such as SMS 敏感话题"
    )
    off: Flag = Field(False, description="true: a built-in topic that is not listened for 停用")

    @model_validator(mode="after")
    def _heard(self) -> Topic:
        for word in (*self.words, *(self.exactly or ()), *(self.none_of or ())):
            if not fold(word).strip(BREAK):
                raise ValueError(f"{word!r} has no letter and no character in it; write a word")
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """All words that tell it, wherever they stand."""
        return (*(self.any_of or ()), *(self.also or ()))


@cache
def built_in() -> Mapping[str, Topic]:
    """The topics smr knows by itself, in Chinese."""
    text = files("smr.chat").joinpath("topics.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = read_yaml(text, "topics.yaml").data
    return {name: Topic.model_validate(said) for name, said in data.items()}


def topics_of(stated: Mapping[str, Topic]) -> dict[str, Topic]:
    """The topics of a shop: the built-in ones as the operator changed them, then the operator's own."""
    found = {}
    for name, topic in built_in().items():
        said = stated.get(name)
        if said is None:
            found[name] = topic
        elif not said.off:
            kept = {key: getattr(said, key) for key in said.model_fields_set}
            found[name] = topic.model_copy(update=kept)
    own = {name: topic for name, topic in stated.items() if name not in built_in() and not topic.off}
    return {**found, **own}


TopicName = Annotated[str, Field(pattern=r"^[\w][\w-]{0,63}$")]
