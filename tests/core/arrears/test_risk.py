"""The score beats "late last time" where it had not looked, explains itself, and only ever picks what is gentler."""

import csv
from collections import defaultdict
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coulance_core.arrears.risk import (
    DEFAULT_LOSS,
    Gentler,
    Paid,
    days_sales_outstanding,
    expected_loss,
    gentler,
    known,
    lately,
    remind_days,
    score,
    usual,
)
from coulance_core.kernel import Money

SPLIT = date(2013, 1, 1)


def test_it_beats_late_last_time_on_the_time_after_it_was_made(cases: Path) -> None:
    """Everything is known at the start of a bill's own day alone; the habit of everybody, at the split."""
    bills = defaultdict(list)
    text = (cases / "receivables" / "WA_Fn-UseC_-Accounts-Receivable.csv").read_text("utf-8-sig")
    for row in csv.DictReader(text.splitlines()):
        issued, due, paid = (
            datetime.strptime(row[name], "%m/%d/%Y").date() for name in ("InvoiceDate", "DueDate", "SettledDate")
        )
        bills[row["customerID"]].append((issued, Paid(due, paid)))
    everybody = usual(([one for _, one in of] for of in bills.values()), SPLIT)
    trained: dict[bool, list[bool]] = {True: [], False: []}
    scored, last_time, truth = [], [], []
    for of in bills.values():
        for issued, bill in of:
            assert bill.paid_on is not None
            before = [one for when, one in of if when < issued]
            late = known(before, issued)
            was = bill.paid_on > bill.due_on
            if issued < SPLIT:
                if late and bill.paid_on < SPLIT:
                    trained[late[-1] > 0].append(was)
                continue
            truth.append(was)
            scored.append(float(score(before, issued, everybody).chance))
            last_time.append((late[-1] > 0) if late else None)
    # The rival at its best: not yes or no, but how often each was followed by a late one before the split.
    share = {last: sum(of) / len(of) for last, of in trained.items()} | {None: float(everybody)}
    y = np.array(truth, float)
    ours = float(((np.array(scored) - y) ** 2).mean())
    rival = float(((np.array([share[one] for one in last_time]) - y) ** 2).mean())
    print(f"Brier, {len(y)} bills after {SPLIT}: score {ours:.4f}, late last time {rival:.4f}")
    assert len(y) > 1000
    assert ours < rival - 0.02


_bill = st.tuples(st.integers(0, 600), st.integers(-20, 90) | st.none()).map(
    lambda of: Paid(
        date.fromordinal(735_000 + of[0]), None if of[1] is None else date.fromordinal(735_000 + of[0] + of[1])
    )
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_bill, max_size=12), st.fractions(0, 1), st.booleans())
def test_a_score_recomputes_and_what_it_picks_is_gentler(bills: list[Paid], everybody: Fraction, means: bool) -> None:
    on = date.fromordinal(735_500)
    found = score(bills, on, everybody)
    assert found.explanation.recompute()["chance"] == found.chance
    assert 0 < found.chance < 1
    picked = gentler(found, bills, on, has_means=means)
    assert set(picked) <= set(Gentler)
    assert not picked or found.probably_late
    assert not (means and Gentler.INVITE_AUTO_PAY in picked)
    assert remind_days(bills, on) in (0, 3, 7)
    # What became known later changes nothing.
    assert score([*bills, Paid(on, None)], on, everybody).chance == found.chance


def test_one_bill_is_no_habit_and_two_late_ones_are() -> None:
    now = date(2026, 6, 1)
    late = [Paid(date(2026, m, 1), date(2026, m, 25)) for m in (1, 2)]
    assert not score(late[:1], now, Fraction(1, 2)).probably_late
    assert score(late, now, Fraction(1, 2)).probably_late
    assert gentler(score(late, now, Fraction(1, 2)), late, now, has_means=True) == (
        Gentler.REMIND_EARLIER, Gentler.OFFER_PLAN
    )  # fmt: skip
    assert lately([Paid(date(2020, 1, 1), None), *late], now) == late


def test_open_money_by_age_and_days_of_sales() -> None:
    euros = [Money(n * 1000, "EUR") for n in (100, 50, 20, 10, 4)]
    found = expected_loss(euros)
    assert found.loss.minor == sum(e.minor * share for e, share in zip(euros, DEFAULT_LOSS, strict=True)) // 1000
    months = [(date(2026, m, 1), 30_000) for m in range(1, 7)]
    on = date(2026, 6, 30)
    assert days_sales_outstanding(months, 30_000, on) == (on - date(2026, 6, 1)).days
    assert days_sales_outstanding(months, 10**9, on) == (on - date(2026, 1, 1)).days
    assert days_sales_outstanding(months, 0, on) == 0
    assert days_sales_outstanding([], 5, on) is None
