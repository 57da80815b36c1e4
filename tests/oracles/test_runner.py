"""The runner itself, and the shared case files where they are present."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import counters, p95
from tests.oracles.__main__ import main
from tests.oracles.protocol import Outcome, Status, Suite
from tests.oracles.runner import run_document

ROOT = Path(__file__).resolve().parents[2]
P95 = Suite("p95", p95.run, p95.cases)
NO_NUMBERS = "a statement without numbers of its own; the rank table and the real series check it"
COUNTERS = Suite("counters", counters.run)


def outcome_of(suite: Suite, document: Any, data: Path | None = None) -> tuple[dict[Status, int], list[str]]:
    said: list[str] = []
    return run_document(suite, document, data, said.append), said


@pytest.mark.data
@pytest.mark.parametrize(
    ("suite", "file", "passed", "skipped"),
    [
        ("p95", "p95/p95_conventions.json", 21, 4),
        ("p95", "p95/p95_real_series_reference.shared.json", 4, 0),
        ("counters", "p95/counter_wrap_reset_rrdtool.json", 6, 0),
    ],
)
def test_shared_cases_pass(
    cases: Path, capsys: pytest.CaptureFixture[str], suite: str, file: str, passed: int, skipped: int
) -> None:
    assert main([suite, str(cases / file), "--data", str(cases)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{passed} passed, 0 failed, {skipped} skipped"


def test_the_command_prints_the_failing_case_and_exits_with_1(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    good = {"case": "a month", "n": 8640, "rank_asc_librenms": 8208, "remark": "unknown keys do no harm"}
    bad = {"case": "wrong month", "n": 8640, "rank_asc_librenms": 8207}
    file.write_text(json.dumps({"rank_table": [good, bad], "published": [{"statement": "words"}]}))
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracles", "p95", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "FAILED rank_table 2 (wrong month)",
        "  expected {'rank_asc_librenms': 8207}",
        "  got      {'rank_asc_librenms': 8208}",
        f"SKIPPED published 1 (case 1): {NO_NUMBERS}",
        "1 passed, 1 failed, 1 skipped",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1, column 2: not valid JSON"),
        ('{"about": 1}', 'expected a list of cases, or an object with a list "cases"'),
    ],
)
def test_a_file_that_is_none_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    file = tmp_path / "cases.json"
    file.write_text(text)
    assert main(["counters", str(file)]) == 2
    assert message in capsys.readouterr().err
    assert main(["counters", str(tmp_path / "none.json")]) == 2
    assert main(["counters", str(file), "--data", str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ([1], "expected an object, got list"),
        ({}, "expected a file, ranks"),
        ({"n": 0, "rank_asc_librenms": 1}, "field 'n' is 0: expected a whole number of at least 1"),
        ({"n": "many", "rank_asc_librenms": 1}, "field 'n' is 'many'"),
        ({"n": 5, "rank_asc_librenms": 4.5}, "field 'rank_asc_librenms' is 4.5"),
        ({"n": 5, "rank_asc": 5, "p": 101}, "field 'p' is 101"),
        ({"values": [1, "two"], "expected": 1}, "values[1] is 'two': expected a number"),
        ({"values": [1, 2]}, "field 'expected' is None"),
    ],
)
def test_malformed_p95_cases_fail_alone(case: Any, message: str) -> None:
    counts, said = outcome_of(P95, [case, {"n": 20, "rank_asc": 19, "discard": 1}])
    assert (counts[Status.FAILED], counts[Status.PASSED]) == (1, 1)
    assert "malformed case" in said[0]
    assert message in said[0]


@pytest.mark.parametrize(
    ("window", "message"),
    [(["2005-06-08"], "expected two instants"), (["yesterday", "today"], "Invalid isoformat"), (None, "window_utc")],
)
def test_malformed_windows_fail(tmp_path: Path, window: Any, message: str) -> None:
    (tmp_path / "s.csv").write_text("time,value\n2026-01-01 00:00:00,5\n")
    counts, said = outcome_of(P95, [{"file": "s.csv", "window_utc": window}], tmp_path)
    assert counts[Status.FAILED] == 1
    assert message in said[0]


def test_a_series_of_ones_own_in_the_same_format(tmp_path: Path) -> None:
    """Another file, other decimals, a missing slot: sums, coverage and percentiles as reckoned here by hand."""
    (tmp_path / "traffic").mkdir()
    lines = [f"2026-01-01 00:{5 * i:02}:02,{i}.5" for i in range(12) if i != 4]
    (tmp_path / "traffic" / "own.csv").write_text("when,how much\n" + "\n".join(lines) + "\n")
    case = {
        "id": "own",
        "file": "own.csv",
        "window_utc": ["2026-01-01T00:00:00", "2026-01-01T01:00:00+00:00"],
        "expected_slots": 12,
        "present": 11,
        "missing": 1,
        "sum": 66 - 4 + 5.5,
        "conventions": {"n": 11, "discard_floor": 11.5, "a rule nobody knows": 3, "linear_interp": 11.0},
        "rrdtool_9": {"full_resolution": {"PERCENT95": "10.5", "PERCENTNAN50": "7.5", "LAST": "1"}},
    }
    counts, said = outcome_of(P95, [case], tmp_path)
    assert (counts[Status.PASSED], said) == (1, ["1 passed, 0 failed, 0 skipped"])
    assert outcome_of(P95, [case])[1][0] == "SKIPPED own: needs the series: give --data DIR"
    case["sum"] = 1
    assert outcome_of(P95, [case], tmp_path)[1][:3] == [
        "FAILED own",
        "  expected {'sum': '1'}",
        "  got      {'sum': '67.5'}",
    ]


def test_other_columns_and_stamps(tmp_path: Path) -> None:
    lines = ["Stamp;a;b [KB/s]", "1767225601; 1; 2.123456789012345678", "1767225902; 3; 4"]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    case = {"file": "own.csv", "window_utc": ["2026-01-01", "2026-01-01T00:10"], "column": "b [KB/s]"}
    case |= {"sum": 6.123456789012, "conventions": {"cacti_1_2_20": 4}}
    assert outcome_of(P95, [case], tmp_path)[1] == ["1 passed, 0 failed, 0 skipped"]
    case["column"] = "c"
    assert "own.csv has no column 'c': it has Stamp, a, b [KB/s]" in outcome_of(P95, [case], tmp_path)[1][0]
    (tmp_path / "bad.csv").write_text("t,v\n2026-01-01,x\n")
    case = {"file": "bad.csv", "window_utc": ["2026-01-01", "2026-01-02"], "sum": 1}
    assert "bad.csv, line 2: expected time and value" in outcome_of(P95, [case], tmp_path)[1][0]


def counter_case(readings: list[Any], true: list[int], **more: Any) -> dict[str, Any]:
    samples = [{"t": 300 * i, "counter": r} for i, r in enumerate(readings) if r is not ...]
    return {"id": "c", "samples": samples, "true_bytes_per_slot": true, **more}


def test_counter_cases_of_ones_own() -> None:
    wrap = counter_case(["4294967000", 4294967290, 4, "U", 50], [290, 10, 23, 23])
    rates = {"COUNTER": ["9.6666666667e-01", "3.0000000000e-02", None, "-nan"], "GAUGE": []}
    wrap["rrdtool_1"] = rates
    wrap["heard_of"] = "nothing"
    counts, said = outcome_of(COUNTERS, {"cases": [wrap]})
    # The gap lasts 600 s, which a heartbeat of 600 s still accepts: rrdtool would know these two slots.
    assert counts[Status.FAILED] == 1
    assert "COUNTER slot 2" in said[1]
    rates["COUNTER"][2:] = ["7.6666666667e-02"] * 2
    assert outcome_of(COUNTERS, {"cases": [wrap]})[0][Status.PASSED] == 1
    wrong = counter_case([0, 100, 200], [100, 90])
    assert outcome_of(COUNTERS, [wrong])[1][1:3] == [
        "  expected {'slot 1': 90}",
        "  got      {'slot 1': '100 (plain)'}",
    ]
    assert outcome_of(COUNTERS, [{"samples": []}])[0][Status.SKIPPED] == 1


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"true_bytes_per_slot": []}, "no field 'samples'"),
        (counter_case([], [1]), "no readings"),
        (counter_case([1, "x"], [1]), "samples[1].counter is 'x': expected a number"),
        (counter_case([1, 2**64], [1]), "expected a whole number below 2^64"),
        (counter_case([1, -1], [1]), "expected a whole number below 2^64"),
        (counter_case([1, 2, 3], [1]), "readings are not on the 1 slots"),
        (counter_case([1, 2], [1], bits=48), "field 'bits' is 48"),
        (counter_case([1, 2], [1], step=0), "field 'step' is 0"),
        ({"samples": [{"t": 0, "counter": 1}, {"t": 0, "counter": 1}]}, "expected an instant after 0"),
        ({"samples": [{"t": "noon", "counter": 1}]}, "epoch seconds (samples[0])"),
        ({"samples": [{"t": 1}]}, "samples[0] has no field 'counter'"),
        (counter_case([1, 2], [1], rrdtool_2=5), "expected rates by data source type"),
    ],
)
def test_malformed_counter_cases_fail_alone(case: dict[str, Any], message: str) -> None:
    counts, said = outcome_of(COUNTERS, [case])
    assert counts[Status.FAILED] == 1
    assert message in said[0]


def test_what_a_suite_raises_fails_that_case_alone() -> None:
    def run(case: dict[str, Any], data: Path | None) -> Outcome:
        return Outcome.compare(1, 1 // case["by"])

    counts, said = outcome_of(Suite("s", run), [{"by": 0}, {"by": 1}, {}])
    assert (counts[Status.FAILED], counts[Status.PASSED]) == (2, 1)
    assert said[0].startswith("FAILED case 1: raised ZeroDivisionError")
    assert said[1] == "FAILED case 3: malformed case: no field 'by'"
