"""1,000,000 open invoices in the database: whom a night reads, and from there to every decision, on two cores.

250,000 accounts with a server each and four debts each, taken over from another system, spread over a year; most aren't
late, some are on their way up the ladder, and each was judged on the night before: that night's word of when to look
again is simulated by core, and what was done then isn't in the database. First the night picks (`picking.pick`: SQL to
columns to accounts), then every account that was picked is read from the database and judged in full, in two processes
(`facts.read`, `decide`). Doing what is decided isn't measured. Rivals: every account's debts as rows; and reading and
judging every account, as a nightly job does that knows no wake. Both are measured on a part, and counted up.
"""

import multiprocessing
import tempfile
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Result, best_of, peak_mib
from benchmarks.server import database
from coulance_core.arrears import Debt, DebtKind, Facts, Policy, Service, decide, parse_policies
from coulance_core.arrears.default_policy import DEFAULT_POLICY
from coulance_core.arrears.preview import suppose
from coulance_core.kernel import Money

INVOICES = 1_000_000
EACH = 4
AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
TODAY = date(2026, 11, 24)
ZONE = ZoneInfo("Europe/Amsterdam")
KINDS = 400
"""Different accounts; the rest are these again under other numbers."""
PART = 2_000
"""Accounts that the rivals are measured on."""
CHUNK = 200

PROVIDER = """
[provider]
name = "Bench Hosting"
country = "NL"
currency = "EUR"
zone = "Europe/Amsterdam"
vat_id = "NL004495445B01"
address = ["Kade 1", "0000 AA Nergenshuizen"]
[series]
base = { format = "B{year}-{number:06d}", resets = "yearly" }
overage = { format = "V{year}-{number:06d}", resets = "yearly" }
credit = { format = "C{year}-{number:06d}", resets = "yearly" }
[arrears]
mode = "enforce"
[plans.vps]
name = "VPS"
[[plans.vps.versions]]
from = 2025-01-01
base = "15.00 EUR/month"
[[tax]]
country = "NL"
class = "standard"
rate = "21 %"
from = 2012-10-01
code = "NL21"
"""


def policy() -> Policy:
    """The default one."""
    (found,) = parse_policies(tomllib.loads(DEFAULT_POLICY)["arrears"]["policy"])
    return found


def dues(count: int) -> NDArray[np.int64]:
    """Days from today on which invoices are due: 85 % not yet, the rest up to 90 days late."""
    chance = np.random.default_rng(2026)
    late = chance.random(count) < 0.15
    return np.where(late, -chance.integers(0, 90, count), chance.integers(1, 30, count)).astype(np.int64)


def wake_of(days: NDArray[np.int64], rules: Policy) -> datetime | None:
    """When an account must be looked at again that was judged nightly until yesterday, as core says."""
    debts = []
    for n, offset in enumerate(days):
        due = TODAY + timedelta(days=int(offset))
        issued = due - timedelta(days=14)
        money = Money(1500 + n, "EUR")
        debts.append(Debt(f"d{n}", f"I{n}", DebtKind.BASE, issued, due, money, money, ("vps",), issued))
    facts = Facts(1, ZONE, debts=tuple(debts), services=(Service("vps"),))
    wake: datetime | None = None
    day = min(min(due.due_on for due in debts) - timedelta(days=5), TODAY)
    while day < TODAY:
        when = datetime(day.year, day.month, day.day, 9, 30, tzinfo=UTC)
        decision = decide(rules, facts, when)
        while not decision.is_quiet:
            facts = suppose(facts, decision, when)
            decision = decide(rules, facts, when)
        wake = decision.wake
        # Until its wake nothing comes of it: the nights in between are skipped, as the columns skip them.
        ahead = (wake.date() - day).days if wake is not None and wake > when else 1
        day += timedelta(days=max(1, ahead))
    return wake


def build(count: int) -> None:
    """Accounts, services, debts, and the word of the night before: written by SQL, past the guards of daily work."""
    from django.db import connection, transaction

    from coulance.arrears import nights
    from coulance.catalog.operations import apply_catalog
    from coulance.catalog.reader import read_provider_file
    from coulance.flows.arrears import picking

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "provider.toml"
        path.write_text(PROVIDER)
        file = read_provider_file(path)
        if file.faults:
            raise RuntimeError("\n".join(map(str, file.faults)))
        apply_catalog(file=file, actor="benchmark", at=datetime(2025, 1, 1, tzinfo=UTC))
    rules = policy()
    kinds = min(KINDS, count)
    offsets = dues(kinds * EACH).reshape(kinds, EACH)
    wakes = [wake_of(offsets[n], rules) for n in range(kinds)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "INSERT INTO customers_account (id, external_id, name, kind, country, vat_id, address, currency, zone,"
            " language) SELECT n, 'a' || n, 'Account ' || n, 'business', 'NL', '', '{Kade 1}', 'EUR',"
            " 'Europe/Amsterdam', 'en' FROM generate_series(1, %s) AS n",
            [count],
        )
        cursor.execute(
            "INSERT INTO services_service (id, account_id, external_id, name, kind, started_on)"
            " SELECT n, n, 's' || n, 'Server', 'vps', '2025-01-01' FROM generate_series(1, %s) AS n",
            [count],
        )
        cursor.execute(
            "INSERT INTO services_subscription (service_id, plan, valid_from)"
            " SELECT n, 'vps', '2025-01-01' FROM generate_series(1, %s) AS n",
            [count],
        )
        cursor.execute("CREATE TEMPORARY TABLE kind (n bigint, i int, due date) ON COMMIT DROP")
        cursor.executemany(
            "INSERT INTO kind VALUES (%s, %s, %s)",
            [(n, i, TODAY + timedelta(days=int(offsets[n, i]))) for n in range(kinds) for i in range(EACH)],
        )
        cursor.execute(
            "INSERT INTO payments_opening_item (account_id, kind, number, issued_on, due_on, gross, open, currency,"
            " taken_on, source_key, reason, actor, recorded_at) SELECT a, 'base', 'I' || a || '-' || i, due - 14, due,"
            " 1500 + i, 1500 + i, 'EUR', due - 14, 'bench/' || a || '/' || i, 'bench', 'bench', '2025-01-01'"
            " FROM generate_series(1, %s) AS a JOIN kind ON kind.n = (a - 1) %% %s",
            [count, kinds],
        )
        # Who has nothing near was never judged, and says nothing of when to be.
        cursor.execute("CREATE TEMPORARY TABLE woken (n bigint, wake timestamptz) ON COMMIT DROP")
        cursor.executemany(
            "INSERT INTO woken VALUES (%s, %s)", [(n, wake) for n, wake in enumerate(wakes) if wake is not None]
        )
        cursor.execute(
            "INSERT INTO arrears_looked (account_id, judged_at, wake) SELECT a, %s, wake"
            " FROM generate_series(1, %s) AS a JOIN woken ON woken.n = (a - 1) %% %s",
            [AT - timedelta(days=1), count, kinds],
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    night = nights.begin_night(whole=True, digest=picking.digest_of_table(), at=AT - timedelta(days=1))
    nights.end_night(night=night, owing=count, judged=count, at=AT - timedelta(days=1))


def _judge(accounts: Sequence[int]) -> tuple[int, int, float]:
    """Read and judge these accounts, in a process of its own: how many have something to do, how many were judged."""
    from coulance.flows.arrears.facts import read, settings

    terms = settings()
    busy = judged = 0
    for start in range(0, len(accounts), CHUNK):
        for one in read(accounts[start : start + CHUNK], at=AT, terms=terms).values():
            busy += not decide(one.policy, one.facts, AT, law=one.law).is_quiet
            judged += 1
    return busy, judged, peak_mib()


def on_two(accounts: Sequence[int]) -> tuple[float, int, float]:
    """Seconds that two processes take to read and judge these accounts; how many of them have something to do; the
    most memory of one of them, in MiB."""
    from django.db import connections

    connections.close_all()  # no process may speak over another's connection
    halves = [accounts[0::2], accounts[1::2]]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        began = perf_counter()
        found = pool.map(_judge, halves, chunksize=1)
        took = perf_counter() - began
    assert sum(judged for _, judged, _ in found) == len(accounts)
    return took, sum(busy for busy, _, _ in found), max(peak for _, _, peak in found)


def run(invoices: int = INVOICES) -> list[Result]:
    """Pick, then read and judge."""
    with database():
        from coulance.flows.arrears import picking
        from coulance.flows.arrears.facts import settings
        from coulance.payments import queries as payments

        count = invoices // EACH
        build(count)
        terms = settings()
        assert terms is not None
        picked = picking.pick(terms, at=AT)
        picking_s = best_of(3, lambda: picking.pick(terms, at=AT))
        part = list(range(1, min(PART, count) + 1))

        def their_rows() -> set[int]:
            return {
                account
                for account, items in payments.open_items(accounts=part).items()
                if any(item.open.minor > 0 and item.due_on <= TODAY + timedelta(days=3) for item in items)
            }

        assert their_rows()
        by_rows = best_of(3, their_rows) * count / len(part)
        on_two(part[:CHUNK])
        took, busy, peak = on_two(picked.accounts)
        everybody, _, _ = on_two(part)
        every = everybody * count / len(part)
        return [
            Result(
                f"which accounts of {invoices:,} open invoices a night reads",
                invoices / picking_s,
                "invoices/s",
                "their rows",
                invoices / by_rows,
                goal=5,
                note=f"SQL to columns: {len(picked.accounts):,} of {count:,} accounts in {picking_s:.2f} s",
            ),
            Result(
                f"{invoices:,} open invoices, from the database to every decision, on 2 cores",
                picking_s + took,
                "s",
                "every account",
                every,
                goal=2,
                less_is_better=True,
                note=f"picked, read and judged in full: {busy:,} have something to do",
                peak_mib=max(peak, peak_mib()),
            ),
        ]
