"""Tables of other rooms: judged by their owner at the very line, kept as written with history, refused without one."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from coulance.catalog import operations, queries
from coulance.catalog.reader import read_provider_file
from coulance_core.catalog.faults import Fault
from tests.catalog import SMALL

AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
JUDGED = override_settings(PROVIDER_TABLES={"sla": "tests.catalog.test_foreign_tables.judge"})
SLA = """
[sla]
since = 2026-01-01

[[sla.terms]]
target = "99.9"

[[sla.terms]]
target = "bad"
"""


def judge(data: Mapping[str, Any]) -> Iterable[Fault]:
    for n, row in enumerate(data.get("terms", [])):
        if row["target"] == "bad":
            yield Fault(f"terms[{n}].target", "'bad' is no percentage: expected one such as 99.9")


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "provider.toml"
    file.write_text(SMALL + text)
    return file


@JUDGED
def test_a_fault_is_named_by_its_file_and_line(tmp_path: Path) -> None:
    read = read_provider_file(written(tmp_path, SLA))
    (fault,) = read.faults
    lines = (tmp_path / "provider.toml").read_text().splitlines()
    assert lines[fault.place.line - 1] == 'target = "bad"'
    assert (fault.key, fault.found) == ("sla.terms[1].target", "'bad' is no percentage: expected one such as 99.9")
    assert read.catalog is None


@JUDGED
def test_it_is_kept_as_plain_values_with_history(db: Any, tmp_path: Path) -> None:
    said = {"since": "2026-01-01", "terms": [{"target": "99.9"}, {"target": "99"}]}
    first = read_provider_file(written(tmp_path, SLA.replace('"bad"', '"99"')))
    assert first.catalog is not None
    assert first.catalog.tables == {"sla": said}
    operations.apply_catalog(file=first, actor="tests", at=AT)
    second = read_provider_file(written(tmp_path, SLA.replace('"bad"', '"98"')))
    told = operations.apply_catalog(file=second, actor="tests", at=AT + timedelta(days=1)).changes
    assert told == ("sla: terms[1].target: 99 -> 98",)
    assert queries.table("sla", AT) == said
    assert queries.table("sla")["terms"][1] == {"target": "98"}
    assert queries.table("contracts") == {}
    assert queries.catalog().tables == second.catalog.tables if second.catalog else False


@override_settings(PROVIDER_TABLES={})
def test_a_table_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    read = read_provider_file(written(tmp_path, "\n[sla]\nx = 1\n"))
    assert [str(f.found) for f in read.faults] == ["[sla]"]


@pytest.mark.parametrize("text", ["sla = 3", "sla = []"])
def test_no_table_at_all(tmp_path: Path, text: str) -> None:
    file = tmp_path / "provider.toml"
    file.write_text(f"{text}\n{SMALL}")
    assert "a table: [sla]" in str(read_provider_file(file).faults[0])
