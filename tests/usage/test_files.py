"""Files and the collector: CSV, Parquet, vnStat's real dumps; errors by line; repeated, nothing counts twice."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from coulance.cli import usage as cli
from coulance.integrations import collector
from coulance.integrations.files.blocks import Block, UnableToReadFileError
from coulance.integrations.files.tables import TableOptions, read_csv, read_parquet
from coulance.integrations.files.vnstat import read_vnstat
from coulance.usage import operations, queries
from tests.usage.support import NOW, T0, day_totals, faults, stored

UTC = ZoneInfo("UTC")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def take(block: Block) -> operations.BatchAnswer:
    return operations.ingest_batch(columns=block.columns, source="file", recorded_at=NOW)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


def test_csv_in_all_its_spellings(db: Any, series: Path, write: Callable[[str, str], Path]) -> None:
    path = write("a.csv", f"series,at,in,out,comment\nt0,{T0},5,7,x\nt0,2026-09-21T14:20:00Z,1,2,\nt1,{T0},3,4,y\n")
    (block,) = read_csv(path, TableOptions())
    assert take(block).accepted == 3
    assert take(block).resent
    assert day_totals("t0") == (2, 6, 9)
    path = write("b.csv", f"When;bytes sent;bytes got\n{T0};11;12\n")
    names = {"at": "When", "out": "bytes sent", "in": "bytes got"}
    (block,) = read_csv(path, TableOptions(names=names, series="t7", delimiter=";"))
    assert take(block).accepted == 1
    assert stored(["t7"]) == {("t7", T0): (12, 11)}


def test_civil_times_of_a_zone(db: Any, series: Path, write: Callable[[str, str], Path]) -> None:
    lines = ["2026-07-01 00:05:00,1", "2026-07-01T00:10,2", "2026-07-01 00:15:00+00:00,3", "2025-10-26 02:30:00,4"]
    path = write("a.csv", "at,value\n" + "\n".join(lines) + "\n2026-03-29 02:30:00,5\n")
    (block,) = read_csv(path, TableOptions(series="t0", zone=AMSTERDAM))
    answer = take(block)
    assert (answer.accepted, answer.rejected_rows) == (3, 2)
    assert [block.place(one.row) for one in answer.rejected] == ["a.csv:5", "a.csv:6"]
    assert "offset" in answer.rejected[0].reason
    first = int(datetime(2026, 7, 1, 0, 5, tzinfo=AMSTERDAM).timestamp())
    assert sorted(at for _, at in stored()) == [first, first + 300, first + 600 + 7200]


def test_errors_name_file_and_line(db: Any, series: Path, write: Callable[[str, str], Path]) -> None:
    text = f"series,at,value\nt0,{T0},1\nt0,{T0 + 300}\n\nt0,noon,2\nt0,{T0 + 600},x,y\nt0,{T0 + 900},4\nt0,{T0},-5\n"
    (block,) = read_csv(write("t.csv", text), TableOptions())
    answer = take(block)
    assert [lost.place for lost in block.lost] == ["t.csv:3", "t.csv:6"]
    assert answer.accepted == 2
    assert [(block.place(one.row), one.field) for one in answer.rejected] == [("t.csv:5", "at"), ("t.csv:8", "in")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "header"),
        ("a,b\n1,2\n", "none is there"),
        ("at,value\n1,2\n", "series"),
        ("series,at\nt0,1\n", "values"),
        ("series,at,in\nt0,1,1\n", "out"),
        ("series,at,value,value\nt0,1,1,1\n", "twice"),
    ],
)
def test_a_csv_that_cannot_be_one(series: Path, write: Callable[[str, str], Path], text: str, says: str) -> None:
    with pytest.raises(UnableToReadFileError, match=says):
        list(read_csv(write("x.csv", text), TableOptions()))


def test_parquet(db: Any, series: Path, tmp_path: Path) -> None:
    table = pa.table({"series": ["t0", "t1", None], "at": pa.array([T0] * 3), "in": [1, 2, 3], "out": [4, 5, 6]})
    pq.write_table(table, tmp_path / "a.parquet")
    (block,) = read_parquet(tmp_path / "a.parquet", TableOptions())
    answer = take(block)
    assert (answer.accepted, block.place(answer.rejected[0].row)) == (2, "a.parquet:row 3")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UnableToReadFileError, match="Parquet"):
        list(read_parquet(tmp_path / "b.parquet", TableOptions()))


def total(blocks: list[Block]) -> dict[str, tuple[int, int, int]]:
    return {
        b.columns.keys.names[0]: (len(b.columns), int(b.columns.v_in.sum()), int(b.columns.v_out.sum())) for b in blocks
    }


def test_the_real_vnstat_dumps(cases: Path) -> None:
    folder = cases / "traffic" / "vnstat"
    for path in sorted(folder.glob("*.json")):
        dump = json.loads(path.read_text())
        blocks = list(read_vnstat(path, zone=UTC))
        assert len(blocks) == len(dump["interfaces"])
        for block, interface in zip(blocks, dump["interfaces"], strict=True):
            factor = 1024 if dump["jsonversion"] == "1" else 1
            kinds = [entries for name, entries in interface["traffic"].items() if name != "total"]
            assert len(kinds) == 1  # each dump has one resolution, and its last entry is not over yet
            whole = kinds[0][:-1]
            assert len(block.columns) == len(whole)
            assert int(block.columns.v_in.sum()) == factor * sum(entry["rx"] for entry in whole)
            assert int(block.columns.v_out.sum()) == factor * sum(entry["tx"] for entry in whole)
            assert block.left_out == {"not over yet": 1}
            assert block.columns.faults == []


def vnstat(**traffic: list[tuple[Any, int]]) -> str:
    """A version 2 dump of one interface in UTC, updated at 2026-09-21 12:00; entries are (date parts, bytes)."""

    def entry(when: tuple[int, ...], value: int) -> dict[str, Any]:
        made: dict[str, Any] = {
            "date": dict(zip(("year", "month", "day"), when, strict=False)),
            "rx": value,
            "tx": value,
        }
        if len(when) > 3:
            made["time"] = {"hour": when[3], "minute": when[4]}
        return made

    return json.dumps(
        {
            "jsonversion": "2",
            "interfaces": [
                {
                    "name": "0",
                    "updated": {"date": {"year": 2026, "month": 9, "day": 21}, "time": {"hour": 12, "minute": 0}},
                    "traffic": {
                        name: [entry(when, value) for when, value in entries] for name, entries in traffic.items()
                    },
                }
            ],
        }
    )


def test_finest_intervals_win_and_nothing_counts_twice(
    db: Any, series: Path, write: Callable[[str, str], Path]
) -> None:
    hours = [((2026, 9, 20, h, 0), 10) for h in range(20, 24)] + [((2026, 9, 21, h, 0), 10) for h in range(12)]
    full = vnstat(
        hour=hours,
        day=[((2026, 9, 19), 500), ((2026, 9, 20), 300), ((2026, 9, 21), 120)],
        month=[((2026, 8), 9000), ((2026, 9), 5000)],
    )

    def read(name: str, text: str) -> Block:
        (block,) = read_vnstat(
            write(name, text),
            zone=UTC,
            prefix="t",
            stored=lambda key, after, until: queries.stored_instants(key=key, after=after, until=until),
        )
        return block

    block = read("one.json", full)
    take(block)
    # August; the 19th; what the 20th has beside its hours; sixteen hours. September is not over.
    assert day_totals("t0") == (19, 9000 + 500 + 300 + 120, 9000 + 500 + 300 + 120)
    assert take(read("again.json", full)).resent
    assert day_totals("t0")[0] == 19
    # vnStat has forgotten the hours of the 20th by now; the day's own figure must not come on top of them.
    later = vnstat(hour=hours[4:], day=[((2026, 9, 19), 500), ((2026, 9, 20), 300)], month=[((2026, 8), 9000)])
    block = read("later.json", later)
    assert block.left_out["stored from an earlier dump"] == 1
    take(block)
    assert day_totals("t0") == (19, 9920, 9920)
    assert faults() == []


def test_version_1_counts_kib_and_numbers_its_hours(write: Callable[[str, str], Path]) -> None:
    day = {"year": 2026, "month": 9, "day": 21}
    dump = {
        "jsonversion": "1",
        "interfaces": [
            {
                "id": "eth0",
                "updated": {"date": day, "time": {"hour": 12, "minutes": 0}},
                "traffic": {"hours": [{"id": 9, "date": day, "rx": 2, "tx": 3}], "days": []},
            }
        ],
    }
    (block,) = read_vnstat(write("v1.json", json.dumps(dump)), zone=AMSTERDAM)
    assert total([block]) == {"eth0": (1, 2048, 3072)}
    assert block.columns.at.tolist() == [int(datetime(2026, 9, 21, 10, tzinfo=AMSTERDAM).timestamp())]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "jsonversion"),
        ('{"jsonversion": "3"}', "jsonversion"),
        ('{"jsonversion": "2"}', "interfaces"),
        ('{"jsonversion": "2", "interfaces": [{"name": "e"}]}', "updated"),
        (vnstat(day=[((2026, 9, 19), -5)]), "whole number"),
        (vnstat(day=[((2026, 13, 19), 5)]), "month"),
    ],
)
def test_a_dump_that_cannot_be_one(write: Callable[[str, str], Path], text: str, says: str) -> None:
    with pytest.raises(UnableToReadFileError, match=says):
        list(read_vnstat(write("x.json", text), zone=UTC))


def test_the_command_says_what_it_did(committed_db: Any, series: Path, write: Callable[[str, str], Path]) -> None:
    good = write("good.csv", f"series,at,value\nt0,{T0},1\nsomebody,{T0},2\n")
    bad = write("bad.csv", f"series,at,value\nt0,{T0 + 300},1\nt0,{T0 + 600},-2\n")
    run = CliRunner().invoke(cli.import_usage, [str(good), str(bad), "--json"])
    first, second = json.loads(run.output)
    assert run.exit_code == 1
    assert (first["accepted"], first["quarantined"], second["accepted"]) == (1, 1, 1)
    assert second["faults"] == [{"place": "bad.csv:3", "reason": "in: negative; a correction is a new value"}]
    again = json.loads(CliRunner().invoke(cli.import_usage, [str(good), "--json"]).output)[0]
    assert (again["rows_seen_before"], again.get("accepted", 0), day_totals("t0")[0]) == (2, 0, 2)
    shown = CliRunner().invoke(cli.usage, ["quarantine", "list", "--json"])
    assert json.loads(shown.output)[0]["series"] == "somebody"
    assert "agree with all 2 samples" in CliRunner().invoke(cli.usage, ["verify"]).output
    assert "2 samples became 1 segments" in CliRunner().invoke(cli.usage, ["seal"]).output
    assert CliRunner().invoke(cli.usage, ["status"]).exit_code == 0
    victim = next(series.rglob("*.parquet"))
    victim.write_bytes(b"")
    broken = CliRunner().invoke(cli.usage, ["verify"])
    assert broken.exit_code == 1


def interface(root: Path, name: str, *parts: str) -> str:
    (root / name).mkdir()
    (root / name / "flags").write_text("0x1003")
    for part in parts:
        (root / name / part).mkdir()
    return name


def test_no_byte_is_collected_twice(tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    names = [
        interface(host, "eno1", "device", "master"),
        interface(host, "vmbr0", "bridge", "lower_eno1", "lower_tap100"),
        interface(host, "tap100", "master"),
        interface(host, "eno1.7", "lower_eno1"),
        interface(host, "lo"),
    ]
    assert collector.chosen(names, host) == ["eno1"]
    guest = tmp_path / "guest"
    guest.mkdir()
    names = [
        interface(guest, "eth0"),
        interface(guest, "docker0", "bridge", "lower_veth1"),
        interface(guest, "veth1", "master"),
    ]
    assert collector.chosen(names, guest) == ["eth0"]


def test_the_collector_reads_this_machine(db: Any, series: Path) -> None:
    columns = collector.collect(at=NOW, host="here")
    if not len(columns):
        pytest.skip("this machine has no interface but the loopback")
    assert all(key.startswith("here:") for key in columns.keys.names)
    assert columns.faults == []
    answer = operations.ingest_batch(columns=columns, source="collector", recorded_at=NOW)
    assert answer.quarantined == len(columns)
    with pytest.raises(LookupError, match="no interface 'nope'"):
        collector.readings(["nope"])
