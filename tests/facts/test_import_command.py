"""`smr import` as an operator types it: real processes, their exit codes and what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.facts.test_purchases import ANA_BUYS, HEADER


def smr(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in that folder."""
    command = [sys.executable, "-c", "from smr.cli.app import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of purchases in it."""
    (tmp_path / "sales.csv").write_text(ANA_BUYS.replace("order_id", "order_id,till").replace("A-1", "A-1,7"))
    return tmp_path


def test_an_import_tells_what_it_did(folder: Path) -> None:
    first = smr(folder, "import", "purchases", "sales.csv")
    second = smr(folder, "import", "purchases", "sales.csv", "--json")

    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0].split() == [
        "purchases",
        "rows",
        "new",
        "completed",
        "unchanged",
        "refused",
    ]
    assert first.stdout.splitlines()[1].split() == ["sales.csv", "1", "1", "0", "0", "0"]
    assert first.stderr == (
        "There is no config.yaml here: times without an offset are read as Asia/Shanghai, money as CNY. "
        "Not yours? Write one first: smr init\n"
        "sales.csv: columns smr does not know are left out: till\n"
    )
    told = json.loads(second.stdout)
    assert (told["kind"], told["rows"], told["new"], told["unchanged"]) == ("purchases", 1, 0, 1)


def test_refused_rows_make_exit_code_3_and_a_file(folder: Path) -> None:
    good = "".join(f"ana,tea,drinks,1,1,2026-03-01,A-{at}\n" for at in range(8))
    (folder / "some.csv").write_text(HEADER + good + "ben,tea,drinks,none,1,2026-03-01,B-1\n")

    done = smr(folder, "import", "purchases", "some.csv")

    assert done.returncode == 3
    assert "refused: number 1" in done.stdout
    assert "rejects/purchases-000001-some.csv" in done.stdout
    kept = (folder / "rejects" / "purchases-000001-some.csv").read_text(encoding="utf-8").splitlines()
    assert kept[1].startswith('"10","number","quantity: ')


def test_a_file_refused_whole_keeps_none_of_the_others_out(folder: Path) -> None:
    (folder / "returns.csv").write_text(HEADER + "ben,tea,drinks,-1,1,2026-03-01,B-1\n")
    (folder / "wrong.csv").write_text("nothing,of,ours\n1,2,3\n")

    done = smr(folder, "import", "purchases", "returns.csv", "sales.csv", "wrong.csv")
    again = smr(folder, "import", "purchases", "returns.csv", "sales.csv", "--json")

    assert done.returncode == again.returncode == 2
    assert done.stdout.splitlines()[1].split() == ["sales.csv", "1", "1", "0", "0", "0"]
    assert "returns.csv: 1 of 1 rows are bad" in done.stderr
    assert "wrong.csv:1 → there is no column 'customer_id'" in done.stderr
    told = json.loads(again.stdout)
    assert told["unchanged"] == 1
    assert [why.split(":")[0] for why in told["refused_files"]] == ["returns.csv"]


def test_where_every_file_is_refused_nothing_is_reported_but_why(folder: Path) -> None:
    (folder / "returns.csv").write_text(HEADER + "ben,tea,drinks,-1,1,2026-03-01,B-1\n")

    done = smr(folder, "import", "purchases", "returns.csv", "returns.csv")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("returns.csv: 1 of 1 rows are bad") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("purchase", "sales.csv"), "did you mean 'purchases'?"),
        (("purchases",), "say what to import and from where"),
        (("purchases", "nothing.csv"), "there is no such file"),
        (("purchases", "-"), "say --format"),
        (("purchases", "-", "--format", "csv"), "the file is empty"),
        (("purchases", "sales.csv", "--format", "exe"), "there is no format 'exe'"),
        (("--source", "orders"), "there is no source 'orders'"),
        (("source", "orders"), "there is no source 'orders'"),
        (("--source", "orders", "purchases", "sales.csv"), "name no kind and no file"),
        (("products", "sales.csv", "--now", "2024-13-01"), "--now"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_to_do(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = smr(folder, "import", *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_standard_input(folder: Path) -> None:
    done = smr(folder, "import", "purchases", "-", "--format", "csv", stdin=ANA_BUYS)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:3] == ["stdin", "1", "1"]


def test_a_source_of_the_configuration(folder: Path) -> None:
    import sqlite3

    shop = sqlite3.connect(folder / "their.db")
    shop.execute("CREATE TABLE sold (id INTEGER, customer_id TEXT, product_id TEXT, purchased_at TEXT)")
    shop.execute("INSERT INTO sold VALUES (1, 'ana', 'tea', '2026-03-01')")
    shop.commit()
    shop.close()
    (folder / "config.yaml").write_text(
        "sources:\n  orders:\n    kind: purchases\n    url: sqlite:///their.db\n"
        '    select: "SELECT * FROM sold WHERE id > :cursor"\n    cursor: id\n'
    )

    done = smr(folder, "import", "--source", "orders")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[1:3] == ["1", "1"]
