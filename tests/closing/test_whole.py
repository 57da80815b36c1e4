"""What holds for every closing: a dry run equals the run, sums agree with the ledger, nothing happens twice."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.closing import chunk as chunk_flow
from coulance.flows.closing.close_period import CloseReport
from coulance.flows.closing.terms import Closing
from coulance.invoicing import queries as invoicing
from coulance.ledger.check import check_ledger
from coulance.services import queries as services
from coulance.usage import operations as usage
from coulance_core.invoicing import snapshot_of
from coulance_core.kernel import exact
from tests.closing.world import ZONE, World, check_explained, closing_instant, five_minutes
from tests.support.database import WorkerDatabase

MANY = """
    prices = "{prices}"
    carry_forward_below = "1.50 EUR"
"""


def fill(world: World, accounts: int = 6, prices: str = "net") -> World:
    """Accounts with services of every kind, each with numbers of its own."""
    world.provider(MANY.format(prices=prices))
    at = five_minutes("2026-10-01", "2026-10-03")
    for n in range(accounts):
        ref = f"a{n}"
        world.account(ref, kind="consumer" if n % 2 else "business", zone="UTC" if n % 3 == 2 else "Europe/Amsterdam")
        world.service(f"{ref}-vps", "vps", "2026-10-01", account=ref, meter="traffic")
        world.service(f"{ref}-n1", "node", "2026-09-10", account=ref, meter="traffic")
        world.service(f"{ref}-n2", "big-node", "2026-10-10", account=ref, meter="traffic")
        world.service(f"{ref}-b", "bounded", "2026-10-01", account=ref, meter="traffic")
        world.service(f"{ref}-p", "colo", "2026-10-01", account=ref, meter="port")
        world.service(f"{ref}-o", "objects", "2026-10-01", account=ref, meter="stored")
        world.use(f"{ref}-vps", {"2026-10-02": 90 + 7 * n, "2026-10-30": 3 * n})
        world.use(f"{ref}-n1", {"2026-10-03": 60 * n}).use(f"{ref}-n2", {"2026-10-15": 111 * n})
        world.use(f"{ref}-b", {"2026-10-03": 17 * n})
        world.send(f"{ref}-p", [(t, 10**8 * (n + 1)) for t in at])
        world.level(f"{ref}-o", {"2026-10-02": 5 * n, "2026-10-10": 90 * n})
    return world


def disturb(world: World, accounts: int = 6) -> World:
    """What happens between two closings: changes of plan, ends, late and corrected samples."""
    for n in range(accounts):
        ref = f"a{n}"
        world.use(f"{ref}-vps", {"2026-10-02": 120 - 20 * n, "2026-11-07": 100 + 9 * n})
        world.use(f"{ref}-n1", {"2026-10-20": 10 * n, "2026-11-09": 50 * n})
        if n % 2:
            world.change(f"{ref}-vps", "vps-xl", "2026-11-11").end(f"{ref}-p", "2026-11-21")
            world.use(f"{ref}-b", {"2026-10-03": 9 * n})
    return world


def drafts(month: str, at: Any) -> dict[str, list[Any]]:
    """What a closing would write, account by account, as snapshots."""
    year, number = (int(part) for part in month.split("-"))
    run = Closing(year, number, at, catalog.catalog(), usage.fence(), {})
    found, parked = chunk_flow.draft_chunk(run, customers.account_ids())
    assert not parked
    return {
        customers.accounts([one.account])[0].external_id: sorted(
            (snapshot_of(new.draft, usage=new.usage) for new in one.documents), key=_kind_and_period
        )
        for one in found
        if one.documents
    }


def _kind_and_period(snapshot: Any) -> tuple[str, str, str]:
    return snapshot["kind"], snapshot["references"]["period"], snapshot["references"].get("invoice", "")


def written(report: CloseReport) -> dict[str, list[Any]]:
    """What a closing wrote, in the same shape; the numbers taken off again."""
    run = invoicing.run(period=report.period)
    assert run is not None
    out: dict[str, list[Any]] = {}
    for row in invoicing.documents(run=run.id, limit=10_000):
        snapshot = invoicing.document_by_id(document=row.id).snapshot
        out.setdefault(row.buyer_ref, []).append({**snapshot, "number": None})
    return {ref: sorted(found, key=_kind_and_period) for ref, found in out.items()}


def check_everything(numbers_from: Iterable[str] = ("B", "V", "C")) -> int:
    """Lines = totals = ledger, for every issued document; explanations recompute; numbers have no gaps."""
    rows = invoicing.documents(state="issued", limit=100_000)
    by_series: dict[str, list[int]] = {}
    for row in rows:
        snapshot = invoicing.document_by_id(document=row.id).snapshot
        lines = sum((exact(line["net"]) for line in snapshot["lines"]), start=exact("0"))
        assert lines == exact(snapshot["totals"]["net"]) == row.net.amount
        assert row.gross == row.net + row.tax
        check_explained(snapshot)
        assert row.number is not None
        if row.kind != "usage_statement":
            by_series.setdefault(row.number[:5], []).append(int(row.number[6:]))
            assert (row.gross.minor < 0) == (row.kind == "credit_note")
    for series, numbers in by_series.items():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), series
        assert series[0] in numbers_from
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.number, d.gross, coalesce(sum(p.amount) FILTER (WHERE p.account LIKE 'receivable%%'), 0),"
            " coalesce(sum(p.amount), 0) FROM invoicing_document d"
            " LEFT JOIN ledger_entry e ON e.source = 'document/' || d.id"
            " LEFT JOIN ledger_posting p ON p.entry_id = e.id"
            " WHERE d.state = 'issued' GROUP BY 1, 2"
        )
        for number, gross, receivable, balance in cursor.fetchall():
            assert (gross, 0) == (receivable, balance), number
    return len(rows)


@pytest.mark.parametrize("prices", ["net", "gross"])
def test_a_dry_run_gives_the_documents_that_the_run_gives(world: World, prices: str) -> None:
    fill(world, 4, prices)
    world.close("2026-09")
    for month in ("2026-10", "2026-11", "2026-12"):
        dry = world.close(month, dry_run=True)
        expected = drafts(month, closing_instant(month))
        before = _rows()
        assert world.close(month, dry_run=True).totals == dry.totals
        assert _rows() == before  # a dry run writes nothing
        report = world.close(month)
        assert report.totals == dry.totals
        assert written(report) == expected
        assert check_everything()
        for _ in range(2):  # closing again does nothing
            again = world.close(month)
            assert (again.totals.documents, again.numbers) == ({}, {})
        assert written(report) == expected
        if month == "2026-10":
            disturb(world, 4)


def _rows() -> dict[str, int]:
    tables = ("document", "document_line", "run", "run_chunk", "settled_figure", "carried_line", "billed_span")
    with connection.cursor() as cursor:
        out = {}
        for table in tables:
            cursor.execute(f"SELECT count(*) FROM invoicing_{table}")
            out[table] = cursor.fetchone()[0]
    return out


def test_settled_figures_equal_the_statement(world: World) -> None:
    fill(world, 3)
    world.close("2026-10")
    for n in range(3):
        row = customers.account(f"a{n}")
        figures = invoicing.settled_figures(accounts=[row.id], period_name="2026-10")
        of_charges = sorted((f.quantity, f.unit, f.seen) for f in figures if f.service is not None)
        items = world.statement("2026-10", f"a{n}")
        assert of_charges == sorted((exact(i["used"]), i["unit"], i["coverage"]["seen"]) for i in items)
        assert {i["service"]["id"] for i in items} == {f"a{n}-{kind}" for kind in ("vps", "n1", "n2", "b", "p", "o")}
        (pool,) = (f for f in figures if f.service is None)
        assert {exact(i["pool_used"]) for i in items if i["pool"]} == {pool.quantity}


def test_duckdb_agrees_on_what_was_billed(lasting: World, store_here: Path) -> None:
    fill(lasting, 3)
    lasting.close("2026-10")
    usage.seal(now=datetime(2028, 1, 2, tzinfo=UTC))
    files = [str(path) for path in store_here.rglob("*.parquet")]
    assert files
    start, end = five_minutes("2026-10-01", "2026-11-01")[0] - 300, five_minutes("2026-10-01", "2026-11-01")[-1]
    names = {ref.id: key for key, ref in services.series_index().items()}
    with duckdb.connect() as db:
        sums = {
            names[series]: out
            for series, out in db.execute(
                "SELECT series, sum(v_out)::BIGINT FROM read_parquet($1) p"
                ' WHERE p."at" > $2 AND p."at" <= $3 GROUP BY 1',
                [files, start, end],
            ).fetchall()
        }
        # 8940 slots: what was not seen counts as the lowest. drop_floor of 95 % is the 8493rd from below.
        ports = {
            names[series]: rate
            for series, rate in db.execute(
                "WITH slot AS (SELECT unnest(generate_series($2 + 300, $3, 300)) AS ended),"
                " port AS (SELECT series FROM read_parquet($1) GROUP BY series HAVING count(*) > 500)"
                " SELECT p.series, quantile_disc(coalesce(s.v_out, 0), 8493.0 / 8940) * 8 / 300 / 1e6"
                " FROM port p CROSS JOIN slot LEFT JOIN read_parquet($1) s"
                ' ON s.series = p.series AND s."at" = slot.ended'
                " GROUP BY 1",
                [files, start, end],
            ).fetchall()
        }
    assert len(ports) == 3
    compared = 0
    for n in range(3):
        if n == 2:
            continue  # this one's days begin elsewhere
        for item in lasting.statement("2026-10", f"a{n}"):
            ref = item["service"]["id"]
            if ref in ports:
                assert float(exact(item["used"])) == pytest.approx(ports[ref], rel=1e-12)
            elif item["unit"] == "GB":
                assert exact(item["used"]) * 10**9 == sums[ref]
            else:
                continue
            compared += 1
    assert compared == 10


uses = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 400)), max_size=5)


@st.composite
def stories(draw: Any) -> list[tuple[Any, ...]]:
    """What happens over three months: services start, change, end; samples come, late and corrected; months close."""
    events: list[tuple[Any, ...]] = []
    for n in range(draw(st.integers(1, 3))):
        plan = draw(st.sampled_from(("vps", "vps-xl", "node", "big-node", "bounded")))
        events.append(("start", f"s{n}", plan, draw(st.integers(0, 40)), draw(st.integers(1, 3))))
    for month in ("2026-09", "2026-10", "2026-11", "2026-12"):
        for _ in range(draw(st.integers(0, 4))):
            service = f"s{draw(st.integers(0, 2))}"
            what = draw(st.sampled_from(("use", "use", "use", "change", "end")))
            if what == "use":
                events.append(("use", service, draw(uses)))
            elif what == "change":
                plan = draw(st.sampled_from(("vps", "vps-xl", "node", "bounded")))
                events.append(("change", service, plan, draw(st.integers(5, 80)), draw(st.integers(1, 3))))
            else:
                events.append(("end", service, draw(st.integers(20, 90))))
        events.append(("close", month))
    return events


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories(), st.sampled_from(("net", "gross")))
def test_random_small_worlds(committed_db: WorkerDatabase, store_here: Path, story: list[Any], prices: str) -> None:
    committed_db.empty_tables()
    world = World(store_here.parent)
    world.provider(MANY.format(prices=prices)).account()
    first = date(2026, 10, 1)

    def day(n: int) -> str:
        return (first + timedelta(days=n)).isoformat()

    began: set[str] = set()
    for kind, *rest in story:
        if kind == "start":
            ref, plan, start, units = rest
            world.service(ref, plan, day(start), meter="traffic", quantity=units)
            began.add(ref)
        elif kind == "close":
            dry = world.close(rest[0], dry_run=True)
            assert not dry.parked, dry.parked
            report = world.close(rest[0])
            assert (report.totals, report.parked) == (dry.totals, ())
        elif rest[0] in began:
            try:
                if kind == "use":
                    if rest[1]:
                        world.use(rest[0], {day(n): value for n, value in rest[1]})
                elif kind == "change":
                    world.change(rest[0], rest[1], day(rest[2]), rest[3])
                else:
                    world.end(rest[0], day(rest[1]))
            except ValueError:
                pass  # it had ended, or had not begun: the operation refuses, and nothing changed
    check_everything()
    faults = list(check_ledger())
    assert not faults, faults
    _check_settled(world)


def _check_settled(world: World) -> None:
    """What was billed less what was credited is what each month's figures say now, lines carried forward included."""
    row = customers.account("acme")
    settled: dict[Any, int] = {}
    for figure in invoicing.settled_figures(accounts=[row.id]):
        settled[figure.period_name] = settled.get(figure.period_name, 0) + figure.net.minor
    if catalog.catalog().provider.prices.value == "gross":
        return  # figures are prices with tax, lines are without
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_char(l.period_start AT TIME ZONE 'Europe/Amsterdam', 'YYYY-MM'), sum(l.net)"
            " FROM invoicing_document_line l JOIN invoicing_document d ON d.id = l.document_id"
            " LEFT JOIN invoicing_document i ON i.id = d.invoice_id"
            " WHERE d.kind = 'overage_invoice' OR i.kind = 'overage_invoice' GROUP BY 1"
        )
        billed = {month: int(net) for month, net in cursor.fetchall()}
    for one in invoicing.carried(accounts=[row.id]).get(row.id, ()):
        month = f"{one.line.period.start.astimezone(ZoneInfo(ZONE)):%Y-%m}"
        billed[month] = billed.get(month, 0) + one.line.amount.minor
    for month, net in settled.items():
        assert billed.get(month, 0) == net, (month, settled, billed, world.papers())
