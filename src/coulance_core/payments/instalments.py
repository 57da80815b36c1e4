"""What of a payment plan is to be collected next: its instalments, never more, however much its debts are open for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from coulance_core.kernel import Money


@dataclass(frozen=True, slots=True)
class NextInstalment:
    """So much is wanted by a plan's instalment `no` (from 1), due on a day."""

    no: int
    due_on: date
    amount: Money


def next_instalment(
    instalments: Sequence[tuple[date, Money]], *, owed_then: Money, outstanding: Money, payable: Money, on: date
) -> NextInstalment | None:
    """What a plan wants next as of a day: all that is behind, or else its next instalment; none when all is met.

    `owed_then` is what was open of its debts when it was agreed (its instalments come to more where it bears interest),
    `outstanding` what is open of them now, `payable` what of that isn't contested. What was paid early or credited
    counts towards the next instalments; what came back is wanted again.

    >>> eur = lambda cents: Money(cents, "EUR")
    >>> plan = [(date(2026, 12, 1), eur(500)), (date(2027, 1, 1), eur(500)), (date(2027, 2, 1), eur(210))]
    >>> then = eur(1210)
    >>> one = next_instalment(plan, owed_then=then, outstanding=eur(1210), payable=eur(1210), on=date(2026, 11, 20))
    >>> one.no, one.amount.minor
    (1, 500)
    >>> one = next_instalment(plan, owed_then=then, outstanding=eur(510), payable=eur(510), on=date(2026, 11, 20))
    >>> one.no, one.amount.minor, one.due_on.isoformat()
    (2, 300, '2027-01-01')
    >>> one = next_instalment(plan, owed_then=then, outstanding=eur(1210), payable=eur(900), on=date(2027, 1, 5))
    >>> one.no, one.amount.minor
    (2, 900)
    """
    paid = owed_then - outstanding
    asked = Money(0, outstanding.currency)
    found: NextInstalment | None = None
    for no, (due_on, amount) in enumerate(sorted(instalments, key=lambda one: one[0]), 1):
        asked += amount
        wanted = min(asked - paid, payable)
        if wanted.minor <= 0:
            continue
        if found is not None and due_on > on:
            break
        found = NextInstalment(no, due_on, wanted)
    return found
