"""Where settings come from, what a path in them means, and that no secret is ever shown."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smr.errors import FaultsError
from smr.notation import Rate
from smr.settings import Settings, load_settings
from tests.examples import many


def put(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def faults(path: Path | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(FaultsError) as caught:
        load_settings(path, environ or {})
    return str(caught.value)


def test_without_a_file_everything_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}) == Settings()


def test_the_file_of_this_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "shop: {name: 小林的店, language: zh}\npolicy: {quiet_hours: {from: 22:00, to: 08:00}}\n")
    monkeypatch.chdir(tmp_path)
    found = load_settings(None, {})
    assert found.shop.name == "小林的店"
    assert found.policy.quiet_hours is not None
    assert found.policy.quiet_hours.from_ == time(22)
    assert found.policy.caps == (Rate(1, 86_400), Rate(8, 30 * 86_400))
    assert found.playbooks == Path("playbooks")


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    assert "config_missing" in faults(tmp_path / "other.yaml")
    assert "not_a_file" in faults(tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "channels:\n#  sms: {}\nimport:\n"])
def test_a_file_that_says_nothing_is_a_working_shop(tmp_path: Path, text: str) -> None:
    assert load_settings(put(tmp_path, text), {}).channels == {}


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    text = "playbooks: rules\nfiles: {folder: /var/out}\nimport: {rejects_folder: bad}\ndatabase: {url: sqlite:///a.db}\n"
    found = load_settings(put(tmp_path, text), {})
    assert found.playbooks == tmp_path / "rules"
    assert found.files.folder == Path("/var/out")
    assert found.imports.rejects_folder == tmp_path / "bad"
    assert found.database.url == f"sqlite:///{tmp_path}/a.db"


@pytest.mark.parametrize(
    "url", ["sqlite:////var/a.db", "sqlite:///:memory:", "sqlite://", "postgresql://db/shop"]
)
def test_other_database_urls_stay_as_they_are(tmp_path: Path, url: str) -> None:
    assert load_settings(put(tmp_path, f"database: {{url: '{url}'}}\n"), {}).database.url == url


def test_the_environment_has_the_last_word(tmp_path: Path) -> None:
    file = put(tmp_path, "database: {url: sqlite:///a.db}\nplaybooks: rules\n")
    found = load_settings(file, {"SMR_DATABASE_URL": "sqlite:///b.db", "SMR_PLAYBOOKS": "mine"})
    assert found.database.url == "sqlite:///b.db"
    assert found.playbooks == Path("mine")
    assert load_settings(file, {"SMR_DATABASE_URL": ""}).database.url == f"sqlite:///{tmp_path}/a.db"


def test_a_variable_is_put_in_after_the_yaml_is_parsed(tmp_path: Path) -> None:
    file = put(tmp_path, "database: {url: 'postgresql://smr:${PW}@${HOST}/shop'}\nshop: {name: '${NAME}'}\n")
    hostile = {"PW": "a: {b}\n- c", "HOST": "db", "NAME": "# no comment"}
    found = load_settings(file, hostile)
    assert found.database.url == "postgresql://smr:a: {b}\n- c@db/shop"
    assert found.shop.name == "# no comment"


def test_a_missing_or_empty_variable_is_named(tmp_path: Path) -> None:
    said = faults(put(tmp_path, "shop: {name: '${A}${B}'}\n"), {"A": ""})
    assert "variable A is empty" in said
    assert "variable B is not set" in said
    assert "1:14" in said


SECRET = "s3cr3t-w0rd"  # noqa: S105


@pytest.mark.parametrize(
    "text",
    [
        "shop: {language: '${PW}'}",
        "shop: {zone: '${PW}'}",
        "shop: {currency: '${PW}'}",
        "policy: {caps: ['${PW}'], blast_limit: '${PW}', useful_for: '${PW}'}",
        "policy: {quiet_hours: {from: '${PW}', to: '${PW}', holidays: '${PW}'}}",
        "channels: {sms: {kind: '${PW}', max_length: '${PW}', cap: '${PW}'}}",
        "import: {encoding: '${PW}', reject_limit: '${PW}'}",
        "database: {url: '${PW}'}",
        "database: {url: 'mysql://smr:${PW}@db/shop'}",
        "database: {url: 'postgresql://smr:${PW}@x@db:port/shop'}",
        f"database: {{url: 'mysql://smr:{SECRET}@db/shop'}}",
        f"database: {{url: 'postgresql://smr:{SECRET}@x@db/shop'}}",
        f"database: {{url: ['postgresql://smr:{SECRET}@db/shop']}}",
        f"database: {{url: 'postgresql://smr:{SECRET}@db/shop', pool: 5}}",
        f"database: postgresql://smr:{SECRET}@db/shop",
        f"databse: {{url: 'postgresql://smr:{SECRET}@db/shop'}}",
        f"sources: {{x: {{url: 'mysql://smr:{SECRET}@db/shop', kind: nothing}}}}",
    ],
)
def test_a_secret_is_never_shown(tmp_path: Path, text: str) -> None:
    assert SECRET not in faults(put(tmp_path, text + "\n"), {"PW": SECRET})


def test_a_wrong_url_in_the_environment_is_named_without_its_password(tmp_path: Path) -> None:
    said = faults(put(tmp_path, ""), {"SMR_DATABASE_URL": f"oracle://smr:{SECRET}@db/shop"})
    assert said.startswith("SMR_DATABASE_URL → oracle://smr:***@db/shop")


def test_a_password_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    text = f"database: {{url: postgresql://smr:{SECRET}@db/shop}}\n"
    (warning,) = load_settings(put(tmp_path, text, 0o644), {}).warnings
    assert (warning.code, warning.warning, SECRET in str(warning)) == ("config_readable", True, False)
    assert load_settings(put(tmp_path, text, 0o600), {}).warnings == ()
    named = "database: {url: 'postgresql://smr:${PW}@db/shop'}\n"
    assert load_settings(put(tmp_path, named, 0o644), {"PW": SECRET}).warnings == ()


parts = st.sampled_from(
    [
        "shop",
        "zone",
        "database",
        "url",
        "policy",
        "caps",
        "{",
        "}",
        ": ",
        "\n",
        "  ",
        "[",
        "]",
        "${A}",
        "'",
        "1 per 1d",
        "-",
    ]
)


@settings(max_examples=many(400), deadline=None)
@given(st.lists(parts, max_size=14).map("".join))
def test_no_config_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "mutated.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        load_settings(file, {"A": SECRET})
    except FaultsError as error:
        assert SECRET not in str(error)
