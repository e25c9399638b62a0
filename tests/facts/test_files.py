"""What a file may be: formats, encodings, headers; and what is refused whole, with its reason."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from smr.database import Database
from smr.errors import FaultsError, OperatorError
from smr.facts import import_files
from smr.facts.csv_file import CsvFile
from smr.settings import Settings
from smr.tables import imports, interactions, purchases, rejected_rows
from tests.facts.conftest import NOW, Take
from tests.facts.test_purchases import ANA_BUYS, HEADER, rows

COLUMNS = HEADER.strip().split(",")
LINES = [
    ("ana", "coffee", "drinks", 2, 12.5, "2026-03-01T09:30:00", "A-1"),
    ("小林", "洁面", "护肤", 1, 88.0, "2026-03-02", "B-1"),
    ("cleo", "tea", "drinks", 3, None, "2026-03-03 10:00", "C-1"),
]


def as_csv(delimiter: str = ",", ends: str = "\n") -> str:
    """The lines as CSV."""
    cells = [COLUMNS, *([("" if cell is None else str(cell)) for cell in line] for line in LINES)]
    return ends.join(delimiter.join(line) for line in cells) + ends


def as_jsonl() -> str:
    """The lines as JSON lines."""
    return "".join(
        json.dumps(dict(zip(COLUMNS, line, strict=True)), ensure_ascii=False) + "\n" for line in LINES
    )


def as_parquet() -> bytes:
    """The lines as Parquet."""
    columns = dict(zip(COLUMNS, map(list, zip(*LINES, strict=True)), strict=True))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


EXPECTED = [("ana", "A-1", 2.0, 2500), ("cleo", "C-1", 3.0, None), ("小林", "B-1", 1.0, 8800)]


def stored(database: Database) -> list[tuple[object, ...]]:
    """What of the lines is in the database."""
    return sorted(rows(database, purchases, "customer_id", "order_id", "quantity", "amount"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sales.csv", as_csv().encode()),
        ("sales.CSV", as_csv().encode()),
        ("with-mark.csv", b"\xef\xbb\xbf" + as_csv().encode()),
        ("windows.csv", as_csv(ends="\r\n").encode()),
        ("semicolon.csv", as_csv(";").encode()),
        ("tabs.tsv", as_csv("\t").encode()),
        ("no-last-newline.csv", as_csv().strip().encode()),
        ("blank-lines.csv", as_csv(ends="\n\n").encode()),
        ("quoted.csv", "".join(f'"{line}"\n' for line in as_csv('","').splitlines()).encode()),
        ("packed.csv.gz", gzip.compress(as_csv().encode())),
        ("packed-unsaid.csv", gzip.compress(as_csv().encode())),
        ("sales.jsonl", as_jsonl().encode()),
        ("sales.jsonl.gz", gzip.compress(as_jsonl().encode())),
        ("sales.parquet", as_parquet()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_format_gives_the_same_rows(
    sqlite_database: Database, settings: Settings, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    report = import_files(sqlite_database, settings, "purchases", [path], now=NOW)

    assert report.new == 3
    assert report.refused == {}
    assert stored(sqlite_database) == EXPECTED


@pytest.mark.parametrize(("form", "content"), [("csv", as_csv().encode()), ("parquet", as_parquet())])
def test_standard_input_is_read_with_a_stated_format(
    sqlite_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, form: str, content: bytes
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    report = import_files(sqlite_database, settings, "purchases", ["-"], now=NOW, format_=form)

    assert report.sources[0].source == "stdin"
    assert stored(sqlite_database) == EXPECTED


def test_a_gbk_file_is_read_where_the_settings_say_so(sqlite_database: Database, tmp_path: Path) -> None:
    chinese = Settings.model_validate(
        {
            "import": {
                "encoding": "gb18030",
                "rejects_folder": tmp_path,
                "columns": {
                    "purchases": {"customer_id": "会员号", "product_id": "货号", "purchased_at": "时间"}
                },
            }
        }
    )
    path = tmp_path / "导出.csv"
    path.write_bytes("会员号,货号,时间,备注\n小林,洁面,2026-03-01,好\n".encode("gb18030"))

    report = import_files(sqlite_database, chinese, "purchases", [path], now=NOW)

    assert stored(sqlite_database) == [("小林", "@1772294400", 1.0, None)]
    assert report.sources[0].ignored_columns == ("备注",)


def test_several_files_are_several_imports(
    sqlite_database: Database, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "1.csv").write_text(ANA_BUYS)
    (tmp_path / "2.csv").write_text(ANA_BUYS.replace("A-1", "A-2"))

    report = import_files(
        sqlite_database, settings, "purchases", [tmp_path / "1.csv", tmp_path / "2.csv"], now=NOW
    )

    assert report.new == 2
    assert (
        rows(sqlite_database, imports, "kind", "counts", "started_at")
        == [("purchases", {"rows": 1, "new": 1, "completed": 0, "unchanged": 0, "refused": {}}, NOW)] * 2
    )


WHOLE = [
    ("empty_file", "a.csv", b""),
    ("empty_file", "a.csv", b" \n\n"),
    ("empty_file", "a.jsonl", b""),
    ("duplicate_header", "a.csv", b"customer_id,product_id,customer_id,purchased_at\n"),
    ("missing_column", "a.csv", b"customer,product_id,purchased_at\nana,tea,2026-03-01\n"),
    (
        "missing_column",
        "a.jsonl",
        b'{"customer": "ana", "product_id": "tea", "purchased_at": "2026-03-01"}\n',
    ),
    ("json", "a.jsonl", b'[\n{"customer_id": "ana"},\n'),
    ("header", "a.csv", b'"customer_id,product_id\nana,tea\n'),
    ("line_ends", "a.csv", b"customer_id,product_id,purchased_at\rana,tea,2026-03-01\r"),
    ("encoding", "a.csv", as_csv().encode("utf-16")),
    ("encoding", "a.csv", b"\xff" + as_csv().encode()),
    ("encoding", "a.csv", as_parquet()),
    ("encoding", "a.csv", b"PK\x03\x04" + bytes(100)),
    ("gzip", "a.csv.gz", gzip.compress(as_csv().encode() * 99)[:-20]),
    ("parquet", "a.parquet", b"not parquet"),
    ("parquet", "a.parquet", as_parquet()[:-50]),
    ("format", "a.xlsx", b"PK"),
    ("format", "sales", as_csv().encode()),
]


@pytest.mark.parametrize(
    ("code", "name", "content"), WHOLE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_no_file_of_facts_is_refused_whole(
    sqlite_database: Database, settings: Settings, tmp_path: Path, code: str, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(FaultsError) as refused:
        import_files(sqlite_database, settings, "purchases", [path], now=NOW)

    (fault,) = refused.value.faults
    assert (fault.code, fault.file) == (code, str(path))
    assert rows(sqlite_database, purchases, "order_id") == []


def test_what_is_not_a_file_is_refused(sqlite_database: Database, settings: Settings, tmp_path: Path) -> None:
    for path, code in (
        (tmp_path, "not_a_file"),
        (Path("/dev/zero"), "not_a_file"),
        (tmp_path / "x.csv", "no_such_file"),
    ):
        with pytest.raises(FaultsError) as refused:
            import_files(sqlite_database, settings, "purchases", [path], now=NOW, format_="csv")
        assert refused.value.faults[0].code == code


def test_a_line_without_end_is_given_up(
    sqlite_database: Database, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "endless.csv"
    path.write_bytes(HEADER.encode() + b"x" * ((1 << 26) + (1 << 21)))

    with pytest.raises(FaultsError, match="does not end"):
        import_files(sqlite_database, settings, "purchases", [path], now=NOW)


def test_a_missing_column_is_named_with_what_was_meant_and_what_to_write(take: Take) -> None:
    with pytest.raises(FaultsError) as refused:
        take("purchases", "customer,product_id,purchased_at\n")

    assert "there is no column 'customer_id' → did you mean 'customer'?" in str(refused.value)
    assert "import: {columns: {purchases: {customer_id: YOUR COLUMN}}}" in str(refused.value)


def test_a_mapping_to_a_column_that_is_not_there_is_refused(
    sqlite_database: Database, tmp_path: Path
) -> None:
    mapped = Settings.model_validate({"import": {"columns": {"purchases": {"customer_id": "会员"}}}})
    path = tmp_path / "a.csv"
    path.write_text("会员号,product_id,purchased_at\n")

    with pytest.raises(FaultsError, match="there is no column '会员' → did you mean '会员号'"):
        import_files(sqlite_database, mapped, "purchases", [path], now=NOW)


DELIVERED = {"import": {"columns": {"purchases": {"delivered_at": "signed_on"}}}}


@pytest.mark.parametrize("late", [False, True], ids=["nowhere", "behind many others"])
def test_a_mapped_column_that_need_not_be_there_may_be_missing_from_json_lines(
    sqlite_database: Database, tmp_path: Path, late: bool
) -> None:
    line = {"customer_id": "ana", "product_id": "foam", "purchased_at": "2026-10-01", "order_id": "A-1"}
    lines = [line | {"order_id": f"A-{number}"} for number in range(10_000 if late else 1)]
    if late:
        lines.append(line | {"order_id": "B-1", "signed_on": "2026-10-03"})
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))

    report = import_files(sqlite_database, Settings.model_validate(DELIVERED), "purchases", [path], now=NOW)

    assert (report.new, report.refused) == (len(lines), {})
    delivered = {
        order: at for order, at in rows(sqlite_database, purchases, "order_id", "delivered_at") if at
    }
    assert list(delivered) == (["B-1"] if late else [])


def test_a_mapped_column_that_is_not_in_a_header_is_refused(
    sqlite_database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("customer_id,product_id,purchased_at,signed\nana,foam,2026-10-01,2026-10-03\n")

    with pytest.raises(FaultsError, match="there is no column 'signed_on' → did you mean 'signed'"):
        import_files(sqlite_database, Settings.model_validate(DELIVERED), "purchases", [path], now=NOW)


def test_a_misspelt_kind_or_format_is_named(sqlite_database: Database, settings: Settings) -> None:
    with pytest.raises(OperatorError, match="did you mean 'purchases'"):
        import_files(sqlite_database, settings, "purchase", ["a.csv"], now=NOW)
    with pytest.raises(OperatorError, match="did you mean 'jsonl'"):
        import_files(sqlite_database, settings, "purchases", ["a.csv"], now=NOW, format_="json")
    with pytest.raises(OperatorError, match="say --format"):
        import_files(sqlite_database, settings, "purchases", ["-"], now=NOW)


def test_a_file_with_too_many_bad_rows_leaves_nothing_but_its_record(database: Database, take: Take) -> None:
    bad = "ben,tea,drinks,none,1,2026-03-01,B-1\n"

    with pytest.raises(OperatorError, match=r"2 of 3 rows are bad \(number 2\), more than 50%") as refused:
        take("purchases", ANA_BUYS + bad + bad)

    assert rows(database, purchases, "order_id") == []
    assert rows(database, rejected_rows, "line") == []
    ((counts, finished),) = rows(database, imports, "counts", "finished_at")
    assert counts["refused_whole"] is True
    assert finished is not None
    rejects = Path(str(refused.value).split("stand in ")[1].split(".csv")[0] + ".csv")
    assert rejects.read_text(encoding="utf-8").count('"number"') == 2


def test_a_file_at_the_limit_is_taken(take: Take) -> None:
    report = take("purchases", ANA_BUYS + "ben,tea,drinks,none,1,2026-03-01,B-1\n")

    assert (report.rows, report.new, report.refused) == (2, 1, {"number": 1})


def test_a_header_alone_is_an_import_of_nothing(take: Take) -> None:
    assert take("purchases", HEADER).rows == 0


def test_the_rejects_file_runs_nothing_in_a_spreadsheet(take: Take) -> None:
    starts = ["=1+1", "+1", "-1", "@x", "＝1"]
    bad = "".join(f"{start},tea,drinks,none,1,2026-03-01,B-1\n" for start in starts)
    good = "".join(f"ana,tea,drinks,1,1,2026-03-01,A-{at}\n" for at in range(9))

    (path,) = take("purchases", HEADER + bad + good).rejects_files

    for start in starts:
        assert f"\"'{start},tea" in path.read_text(encoding="utf-8")


def test_a_refused_row_is_kept_cut_and_printable(
    sqlite_database: Database, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(ANA_BUYS + "ben,te\x1ba,drinks,1,1,2026-03-01," + "x" * 900 + "\n")

    import_files(sqlite_database, settings, "purchases", [path], now=NOW)

    ((source, line, content),) = rows(sqlite_database, rejected_rows, "source", "line", "content")
    assert (source, line, len(content)) == (str(path), 3, 500)
    assert content.startswith("ben,te\\u001ba,drinks")


def test_a_field_over_several_lines_is_one_row(take: Take, database: Database) -> None:
    said = '"用完了\n还要一支""大的"""'
    text = f"customer_id,happened_at,kind,content\nana,2026-03-01,chat,{said}\nben,2026-03-01,chat,hi\n"

    take("interactions", text)

    assert rows(database, interactions, "content") == [('用完了\n还要一支"大的"',), ("hi",)]


def test_rows_after_an_open_quote_far_away_are_not_swallowed(take: Take, database: Database) -> None:
    good = "".join(f"ana,tea,drinks,1,1,2026-03-01,A-{at}\n" for at in range(3_000))

    report = take(
        "purchases",
        HEADER + 'ben,"tea,drinks,1,1,2026-03-01,B-1\n' + good + 'eve,"tea,drinks,1,1,2026-03-01,E-1\n',
    )

    assert report.refused == {"unclosed_quote": 2}
    assert report.new == 3_000


def test_an_open_quote_holds_back_a_bounded_number_of_lines() -> None:
    lines = ["a,b", '"open,1', *(f"{at},2" for at in range(300_000))]
    reader = CsvFile("a.csv", io.BytesIO("\n".join(lines).encode()), "utf-8", None)

    chunks = list(reader.chunks(frozenset("ab")))

    assert [refused.line for chunk in chunks for refused in chunk.refused] == [2]
    assert sum(len(chunk.lines) for chunk in chunks) == 300_000
    assert max(len(chunk.lines) for chunk in chunks) < 200_000


def test_nobody_has_the_table_half_full_of_refused_files(database: Database, take: Take) -> None:
    with pytest.raises(FaultsError):
        take("purchases", "")
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(imports)) == 0
