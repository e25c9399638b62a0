"""Words are heard however they are spelled, and only where they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from smr.chat import Heard, Listener, Topic, built_in, fold, topics_of
from smr.chat.fold import _simplified

LISTENER = Listener(topics_of({}))


def topics(text: str) -> list[str]:
    return [heard.topic for heard in LISTENER.hears(text)]


@pytest.mark.parametrize(
    "text",
    [
        "退订",
        "退訂",  # traditional
        "退 订",
        "退-订。",
        "退*订!!",
        "退\u200b订",  # a space that nobody sees
        "退\u0336订\u0336",  # struck through
        "【退订】",
        "ＵＮＳＵＢＳＣＲＩＢＥ",  # full width
        "unsubscribe please",
        "unѕubѕсribe",
        "ＴＤ",
        "ТD",
        "别再发了！",
        "別再發了",
        "别再给我发消息了",
        "请勿再发",
        "以后别给我推送了",
        "不想收到你们的广告",
        "再发就拉黑",
        "please stop sending",
    ],
)
def test_asking_to_stop_is_heard_however_it_is_spelled(text: str) -> None:
    assert topics(text) == ["退订"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("宝宝用了会过敏吗，多少钱", ["皮肤问题", "询价", "母婴"]),
        ("宝宝在吗，会不会过敏", ["皮肤问题"]),
        ("不过敏，很好用", []),
        ("不过敏的那支没货，这支用了过敏", ["皮肤问题"]),
        ("用过。敏感吗", []),  # words do not grow together across the end of a clause
        ("nonstop shopping", []),
        ("T恤有货吗", []),
        ("要投诉，叫人工客服来", ["投诉", "找人工"]),
        ("我想退订单，昨天那单", []),  # an order goes back; nobody asked to be left alone
        ("放心，我不会退订的", []),
        ("先别发了，我改个地址", []),
        ("这次别再发错了", []),
        ("纸箱有破损", ["投诉"]),
        ("包得很好，没有破损", []),
        ("臉上起紅疹，有点痒", ["皮肤问题"]),
        ("有没有人工", ["找人工"]),
        ("想送朋友，啥价", ["询价", "送礼"]),
        ("", []),
        ("😀😀", []),
    ],
)
def test_only_what_is_meant_is_heard(text: str, expected: list[str]) -> None:
    assert topics(text) == expected


def test_the_word_by_which_a_topic_is_told_is_the_operators_own_spelling() -> None:
    assert LISTENER.hears("這次過 敏 了") == (Heard("皮肤问题", "过敏"),)


@pytest.mark.parametrize("name", built_in())
def test_each_word_of_a_built_in_topic_is_heard(name: str) -> None:
    for word in (*built_in()[name].words, *(built_in()[name].exactly or ())):
        assert name in topics(word), word


def test_a_word_without_letters_is_refused() -> None:
    with pytest.raises(ValidationError, match="write a word"):
        Topic.model_validate({"any_of": ["。。"]})


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


TRADITIONAL = {simple: old for old, simple in _simplified().items()}


@given(st.lists(st.sampled_from(["", " ", "-", "·", "\u200d", "*"]), min_size=4, max_size=4), st.booleans())
def test_signs_between_characters_and_traditional_ones_change_nothing(signs: list[str], old: bool) -> None:
    word = "过敏红肿"
    spelled = "".join(
        (TRADITIONAL.get(c, c) if old else c) + sign for c, sign in zip(word, signs, strict=True)
    )
    assert fold(spelled) == word


@given(st.text(alphabet="过敏退订吗，。 ", max_size=30))
def test_what_is_heard_stands_in_the_text(text: str) -> None:
    for heard in LISTENER.hears(text):
        assert fold(heard.word) in fold(text)
