"""Applying a provider file: atomic, idempotent, one at a time; and nothing published changes."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.catalog import operations, queries
from coulance.catalog.reader import ProviderFile, read_provider_file
from tests.catalog import EXAMPLE, SMALL, copy_example

AT = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
EditFn = Callable[[str, str, str], ProviderFile]


@pytest.fixture
def edited(tmp_path: Path) -> EditFn:
    """Reads the example with one text replaced in one of its files, and again with the next."""
    root = copy_example(tmp_path)

    def edit(name: str, old: str, new: str) -> ProviderFile:
        path = root.parent / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))
        file = read_provider_file(root)
        assert file.faults == (), [str(f) for f in file.faults]
        return file

    return edit


def _apply(file: ProviderFile, **facts: Any) -> operations.Applied:
    return operations.apply_catalog(file=file, actor="tests", at=AT, **facts)


def test_nothing_is_applied_at_first(db: Any) -> None:
    assert queries.current_revision() is None
    with pytest.raises(queries.UnableToFindCatalogError, match="run coulance apply"):
        queries.catalog()


def test_what_is_applied_is_what_the_file_says(db: Any) -> None:
    file = read_provider_file(EXAMPLE)
    applied = _apply(file)
    assert applied.changed
    assert queries.catalog() == file.catalog
    assert queries.catalog() is queries.catalog(), "kept while the revision is the newest"
    revision = queries.current_revision()
    assert revision is not None
    assert (revision.digest, revision.actor, revision.applied_at) == (file.sources.digest, "tests", AT)
    assert queries.sources_of(revision.id) == file.sources
    assert "vps-s@2026-01-01: first version from 2026-01-01" in applied.changes


def test_the_same_file_again_changes_nothing(db: Any) -> None:
    first = _apply(read_provider_file(EXAMPLE))
    again = _apply(read_provider_file(EXAMPLE))
    assert (again.revision, again.changed, again.changes) == (first.revision, False, ())
    assert len(queries.revisions()) == 1


def test_a_new_version_is_a_change_for_the_services_of_its_plan(db: Any, edited: EditFn) -> None:
    _apply(read_provider_file(EXAMPLE))
    version = '[[plans.vps-s.versions]]\nfrom = 2027-01-01\nbase = "7.25 EUR/month"\n\n[plans.vps-m]\n'
    file = edited("plans/vps.toml", "[plans.vps-m]\n", version)
    proposal = operations.propose(file=file, closed_until=date(2026, 10, 1))
    assert proposal.faults == ()
    [change] = proposal.changes
    assert (change.plan, change.since) == ("vps-s", date(2027, 1, 1))
    assert "base.price: 6 -> 7.25" in str(change)
    assert "base +1.25 EUR a month for each unit" in str(change)
    assert _apply(file).changed
    assert [v.valid_from.year for v in queries.catalog().plans["vps-s"]] == [2026, 2027]


# file, text, and what it becomes; the facts; where the fault stands, and what it says
REFUSED = [
    pytest.param(
        "plans/vps.toml", '"6.00 EUR/month"', '"6.50 EUR/month"', {},
        "plans/vps.toml:13:8", "vps-s@2026-01-01 is published and cannot be edited (base.price: 6 -> 6.5)",
        id="a price edited in place",
    ),
    pytest.param(
        "plans/vps.toml", '"1000 GB"          # a part', '"900 GB"          # a part', {},
        "plans/vps.toml:19:12", "included.quantity: 1000 GB -> 900 GB", id="an allowance edited in place",
    ),
    pytest.param(
        "plans/vps.toml", 'price = "0.008 EUR/GB"\n\n[plans.fleet', 'price = "0.007 EUR/GB"\n\n[plans.fleet', {},
        "plans/vps.toml", "pool:fleet@2026-01-01 is published", id="a pool's price edited in place",
    ),
    pytest.param(
        "plans/vps.toml", "from = 2026-09-01", "from = 2026-09-02", {},
        "plans/vps.toml", "vps-m@2026-09-01 is published, and left out", id="a published day moved",
    ),
    pytest.param(
        "plans/vps.toml", "plans.vps-l", "plans.vps-xl", {"plans_in_use": {"vps-l": 3}},
        "provider.toml: plans: ", "'vps-l' is left out, and 3 services are on it", id="a plan in use taken out",
    ),
    pytest.param(
        "plans/vps.toml", "[plans.vps-m]\n", "[[plans.vps-s.versions]]\nfrom = 2026-09-15\n\n[plans.vps-m]\n",
        {"closed_until": date(2026, 10, 1)},
        "plans/vps.toml:26:8", "2026-09-15 lies in a period that is closed; expected a day from 2026-10-01 on",
        id="back-dated into a closed period",
    ),
    pytest.param(
        "provider.toml", 'kind = "gauge"\nunit = "mailbox"', 'kind = "gauge"\nunit = "user"', {},
        "provider.toml", "meter 'mailboxes' is in use, and its unit was mailbox", id="a meter in use changed",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "facts", "where", "what"), REFUSED)
def test_what_is_published_stays(
    db: Any, edited: EditFn, name: str, old: str, new: str, facts: dict[str, Any], where: str, what: str
) -> None:
    before = _apply(read_provider_file(EXAMPLE))
    file = edited(name, old, new)
    with pytest.raises(operations.UnableToApplyCatalogError) as refused:
        _apply(file, **facts)
    said = [str(fault) for fault in refused.value.faults]
    assert any(line.startswith(where) and what in line for line in said), said
    assert [r.id for r in queries.revisions()] == [before.revision]
    assert queries.catalog() == read_provider_file(EXAMPLE).catalog


def test_another_currency_is_refused(db: Any, tmp_path: Path) -> None:
    root = tmp_path / "p.toml"
    root.write_text(SMALL)
    _apply(read_provider_file(root))
    root.write_text(SMALL.replace("EUR", "USD"))
    with pytest.raises(
        operations.UnableToApplyCatalogError, match=r"p.toml:4:12: provider.currency: the currency was EUR"
    ):
        _apply(read_provider_file(root))


def test_texts_may_be_corrected_where_terms_may_not(db: Any, edited: EditFn) -> None:
    _apply(read_provider_file(EXAMPLE))
    applied = _apply(edited("plans/vps.toml", 'name = "VPS S"', 'name = "Server S"'))
    assert applied.changes == ("vps-s@2026-01-01: name: VPS S -> Server S",)
    assert queries.catalog().plans["vps-s"][0].name == "Server S"
    assert queries.load_catalog(queries.revisions()[-1].id).plans["vps-s"][0].name == "VPS S"


def test_a_plan_no_longer_sold_stays_published(db: Any, edited: EditFn) -> None:
    _apply(read_provider_file(EXAMPLE))
    applied = _apply(edited("plans/vps.toml", "plans.vps-l", "plans.vps-xl"))
    assert "plan vps-l is no longer sold; its versions stay published" in applied.changes
    assert "vps-l" in queries.catalog().plans
    assert "vps-l" not in queries.plans_sold()


def test_a_file_with_faults_changes_nothing(db: Any, tmp_path: Path) -> None:
    root = tmp_path / "p.toml"
    root.write_text(SMALL.replace('rate = "21 %"', "rate = 21.0"))
    with pytest.raises(operations.UnableToApplyCatalogError, match=r"p.toml:11:8: tax\[0\].rate"):
        _apply(read_provider_file(root))
    assert queries.current_revision() is None


def test_two_at_once_take_turns(committed_db: Any, tmp_path: Path) -> None:
    files = []
    for number in range(4):
        root = tmp_path / f"p{number % 2}.toml"
        root.write_text(SMALL.replace("payment_days = 14", f"payment_days = {14 + number % 2}"))
        files.append(read_provider_file(root))
    start = threading.Barrier(len(files))
    seen: list[operations.Applied] = []

    def run(file: ProviderFile) -> None:
        start.wait()
        try:
            seen.append(_apply(file))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = [applied.revision for applied in seen if applied.changed]
    assert len(seen) == 4
    assert sorted(made) == sorted(set(made)) == sorted(revision.id for revision in queries.revisions())
    days = [queries.load_catalog(revision).provider.payment_days for revision in sorted(made)]
    assert all(one != other for one, other in pairwise(days)), "no revision repeats the one before it"


@pytest.mark.parametrize("table", ["catalog_revision", "catalog_planversion", "catalog_poolversion"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET digest = repeat('0', 64)", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_the_database_keeps_what_is_published(db: Any, table: str, statement: str) -> None:
    _apply(read_provider_file(EXAMPLE))
    db.check_constraints()  # so that TRUNCATE isn't refused for the foreign keys' pending triggers
    with pytest.raises(DatabaseError, match="is published"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))
    assert queries.catalog() == read_provider_file(EXAMPLE).catalog
