"""`smr demo` on its real data, as a newcomer runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from smr.cli.app import app
from smr.cli.demo import DATA, set_up
from smr.cli.demo_places import program
from smr.database import open_database
from smr.database.migrate import ensure_current
from smr.errors import OperatorError
from smr.tables import messages
from tests.worlds import NOW, World, put

ROOT = Path(__file__).parents[2]


def demo(folder: Path, *options: str) -> str:
    found = CliRunner().invoke(app, ["demo", "--folder", str(folder), *options], catch_exceptions=False)
    assert found.exit_code == 0
    return found.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo was run once, with --json."""
    return tmp_path_factory.mktemp("once") / "demo"


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """What that first run told."""
    told: dict[str, Any] = json.loads(demo(folder, "--json"))
    return told


def test_the_demo_takes_in_all_its_data_and_ends_with_delivered_messages(
    folder: Path, report: dict[str, Any]
) -> None:
    assert report["customers"] == 2153
    assert report["purchases"] == 39_183
    assert report["imported"]["purchases"] == {"rows": 39_183, "new": 39_183}
    assert report["due"] == report["accepted"] + report["held_out"] + sum(report["blocked"].values())
    assert report["queued"] == report["accepted"] == report["delivered"] + report["waiting"] > 100
    written = (folder / "outbox").rglob("*.jsonl")
    assert sum(len(file.read_text().splitlines()) for file in written) == report["delivered"]


def test_the_demo_shows_blocks_of_many_kinds(report: dict[str, Any]) -> None:
    interesting = {"not_in_segment", "superseded", "bought_already", "no_consent", "opted_out", "unreachable"}
    assert interesting | {"complaint_open"} <= set(report["blocked"])


def test_a_second_demo_sends_nothing_new_and_says_why(folder: Path, report: dict[str, Any]) -> None:
    assert "Nothing new was sent" in demo(folder)
    with open_database(f"sqlite:///{folder}/smr.db").read() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(messages)).scalar_one()
    assert count == report["queued"]


def test_the_demo_prints_a_report_three_messages_and_what_to_try_next(tmp_path: Path) -> None:
    text = demo(tmp_path / "demo")
    for word in ("customers", "purchases", "due", "accepted", "blocked", "held out", "queued", "delivered"):
        assert f"\n   {word} " in text
    assert text.count(" by wecom") + text.count(" by email") + text.count(" by sms") == 3
    assert f"The messages lie in {tmp_path}/demo/outbox" in text
    assert f"--config {tmp_path}/demo/config.yaml" in text


def test_an_edited_playbook_survives_the_next_demo(tmp_path: Path) -> None:
    config = set_up(tmp_path)
    playbook = tmp_path / "playbooks" / "napkins.yaml"
    playbook.write_text("# 我的\n" + playbook.read_text(encoding="utf-8"), encoding="utf-8")
    assert set_up(tmp_path) == config
    assert playbook.read_text(encoding="utf-8").startswith("# 我的")


def test_the_demo_does_not_touch_the_folder_of_a_real_shop(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("shop: {name: 小林的店}\n", encoding="utf-8")
    with pytest.raises(OperatorError, match="is not the demo's"):
        set_up(tmp_path)


def test_the_demo_does_not_mix_with_a_real_shop_in_the_same_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(f"sqlite:///{tmp_path}/real.db")
    ensure_current(database)
    world = World(now=NOW)
    world.customer("ana")
    put(database, world)
    monkeypatch.setenv("SMR_DATABASE_URL", f"sqlite:///{tmp_path}/real.db")
    with pytest.raises(OperatorError, match="another shop's customers"):
        CliRunner().invoke(app, ["demo", "--folder", str(tmp_path / "demo")], catch_exceptions=False)


def test_invented_addresses_cannot_belong_to_anybody() -> None:
    rows = (DATA / "customers.csv").read_text(encoding="utf-8").splitlines()[1:]
    for row in rows:
        wecom, phone, email = row.split(",")[6:9]
        assert not wecom or wecom.startswith("wm_demo_")
        assert not phone or phone.startswith("+447700900")
        assert not email or email.endswith("@example.com")


def test_the_demo_data_is_small() -> None:
    assert sum(file.stat().st_size for file in DATA.iterdir()) < 1_500_000


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    printed = {line.rstrip() for line in demo(Path("demo")).splitlines()}
    for page in ("README.md", "README.zh-CN.md"):
        shown = (ROOT / page).read_text(encoding="utf-8").split("```\nReal purchases")[1].split("```")[0]
        assert [line for line in ("Real purchases" + shown).splitlines() if line not in printed] == [], page


def test_whoever_calls_the_module_is_given_commands_that_can_be_pasted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", [str(ROOT / "smr" / "__main__.py"), "demo"])
    assert program().endswith(" -m smr")
