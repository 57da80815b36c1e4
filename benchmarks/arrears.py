"""1,000,000 open invoices: which accounts need judging tonight, and judging them, on two cores.

250,000 accounts, four invoices each, spread over a year; most aren't late, some are on their way up the ladder. First
the columns pick (`ageing.candidates`), then every account that was picked is judged in full, in two processes. Rivals:
judging every account, as a nightly job does that knows no wake; and the same work of picking in plain Python.
Accounts' facts are made beforehand, as the shell reads them; reading them isn't measured here.
"""

import multiprocessing
import tomllib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Result, timed
from coulance_core.arrears import Debt, DebtKind, Facts, Policy, Service, decide, parse_policies
from coulance_core.arrears.ageing import FAR, candidates, first_days, wake_of
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


def policy() -> Policy:
    """The default one."""
    (found,) = parse_policies(tomllib.loads(DEFAULT_POLICY)["arrears"]["policy"])
    return found


def dues(count: int) -> NDArray[np.int64]:
    """Days from today on which invoices are due: 85 % not yet, the rest up to 90 days late."""
    chance = np.random.default_rng(2026)
    late = chance.random(count) < 0.15
    return np.where(late, -chance.integers(0, 90, count), chance.integers(1, 30, count)).astype(np.int64)


def account(number: int, days: NDArray[np.int64], rules: Policy) -> tuple[Facts, datetime | None]:
    """An account as it stands tonight, and when it must be looked at again, judged nightly until yesterday."""
    debts = []
    for n, offset in enumerate(days):
        due = TODAY + timedelta(days=int(offset))
        issued = due - timedelta(days=14)
        money = Money(1500 + n, "EUR")
        debts.append(Debt(f"{number}-{n}", f"I{n}", DebtKind.BASE, issued, due, money, money, ("vps",), issued))
    facts = Facts(number, ZONE, debts=tuple(debts), services=(Service("vps"),))
    wake: datetime | None = None
    when = AT - timedelta(days=1)
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
    return facts, wake


_ACCOUNTS: list[Facts] = []
"""What both processes judge; they inherit it."""


def _judge(work: tuple[Policy, int, int]) -> int:
    rules, start, end = work
    return sum(not decide(rules, facts, AT).is_quiet for facts in _ACCOUNTS[start:end])


def run(invoices: int = INVOICES) -> list[Result]:
    """Pick, then judge."""
    rules = policy()
    count = invoices // EACH
    kinds = min(KINDS, count)
    offsets = dues(kinds * EACH).reshape(kinds, EACH)
    made = [account(n, offsets[n], rules) for n in range(kinds)]
    kind_of = np.arange(count, dtype=np.int64) % kinds
    owner = np.repeat(np.arange(count, dtype=np.int64), EACH)
    due_on = (np.datetime64(TODAY, "D") + offsets[kind_of].reshape(-1)).astype("datetime64[D]")
    open_minor = np.full(len(owner), 1500, np.int64)
    wakes = np.array([FAR if wake is None else wake_of(wake) for _, wake in made], "datetime64[s]")
    known = np.flatnonzero(wakes[kind_of] != FAR).astype(np.int64)
    first = first_days([rules])
    nobody = np.array([], np.int64)

    with timed() as picking:
        picked = candidates(
            owner, open_minor, due_on, judged=known, wake=wakes[kind_of][known], touched=nobody, at=AT, first=first
        )
    began = perf_counter()
    limit = AT.date() + timedelta(days=-first)
    rows = list(zip(owner[: 4 * 25_000].tolist(), due_on[: 4 * 25_000].tolist(), strict=True))
    assert {number for number, due in rows if due <= limit}
    by_rows = (perf_counter() - began) * len(owner) / len(rows)

    _ACCOUNTS[:] = [replace(made[kind_of[number]][0], account=int(number)) for number in picked]
    half = len(_ACCOUNTS) // 2
    with multiprocessing.get_context("fork").Pool(2) as pool, timed() as judging:
        busy = sum(pool.map(_judge, [(rules, 0, half), (rules, half, len(_ACCOUNTS))], chunksize=1))

    _ACCOUNTS[:] = [facts for facts, _ in made]
    began = perf_counter()
    _judge((rules, 0, kinds))
    every = (perf_counter() - began) / kinds * count / 2
    share = f"{len(picked):,} of {count:,} accounts, of which {busy:,} have something to do"
    return [
        Result(
            f"which of {len(owner):,} open invoices' accounts to judge",
            len(owner) / picking.seconds,
            "invoices/s",
            "row by row",
            len(owner) / by_rows,
            goal=5,
            note=share,
        ),
        Result(
            f"{len(owner):,} open invoices judged on 2 cores",
            picking.seconds + judging.seconds,
            "s",
            "every account in full",
            every,
            goal=2,
            less_is_better=True,
            at_most=60,
            note="picked by columns, then each in full; facts read beforehand",
        ),
    ]
