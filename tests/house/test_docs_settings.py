"""Every config.yaml of the documentation is taken as it stands, and every setting is shown in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from smr.channel_kinds import BUILT_IN, kind_of
from smr.settings import Settings, load_settings
from tests.house.shown import Key, models, said, shown
from tests.house.test_docs_yaml import SECRET

SHOWN = shown("config")
KINDS = [kind_of(name).settings for name in BUILT_IN]
VARIABLE = re.compile(r"\$\{(\w+)\}")


def _defined(key: Key) -> Key:
    """A key with the model that brings it in: what all channels have is shown on any of them."""
    model, name = key
    owner = next(one for one in reversed(model.__mro__) if name in getattr(one, "model_fields", {}))
    return owner, name


def _settings() -> set[Key]:
    """Every key that config.yaml may hold, those of all kinds of channels too."""
    parts: set[type[BaseModel]] = set().union(*(models(one) for one in [Settings, *KINDS]))
    return {_defined((part, name)) for part in parts for name in part.model_fields}


def _taken(text: str, folder: Path) -> Settings:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return load_settings(path, dict.fromkeys(VARIABLE.findall(text), SECRET))


@pytest.mark.parametrize("text", SHOWN)
def test_a_config_that_is_shown_is_taken_without_a_doubt(text: str, tmp_path: Path) -> None:
    assert _taken(text, tmp_path).warnings == ()


def test_every_setting_is_shown_in_an_example(tmp_path: Path) -> None:
    keys = {_defined(key) for text in SHOWN for key in said(_taken(text, tmp_path))}
    unshown = sorted(f"{model.__name__}.{name}" for model, name in _settings() - keys)
    assert unshown == []
