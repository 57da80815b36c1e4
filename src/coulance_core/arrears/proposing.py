"""What a customer may propose: a payment plan within the provider's bounds, and a promise within the law's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from coulance_core.arrears.facts import Instalment
from coulance_core.arrears.terms import PLAN_RESTARTS, PROMISE_DAYS, PROMISES, PlanTerms
from coulance_core.kernel import Explanation, Money, Refusal


class NotPlanned(StrEnum):
    """Why a plan or promise isn't taken. In the order of precedence."""

    NOTHING_OWED = "nothing_owed"
    VETOES_USED = "vetoes_used"
    """The debt's promises, or its plan's restart, are used up. A person can still agree to anything."""
    WRONG_SUM = "wrong_sum"
    NOT_IN_ORDER = "not_in_order"
    TOO_MANY = "too_many"
    TOO_LONG = "too_long"
    FIRST_TOO_LATE = "first_too_late"
    FIRST_TOO_SMALL = "first_too_small"
    TOO_SMALL = "too_small"


@dataclass(frozen=True, slots=True)
class Proposed:
    """A plan within bounds. `needs_approval`: an operator has to agree; else it is in force as it is accepted."""

    instalments: tuple[Instalment, ...]
    needs_approval: bool
    explanation: Explanation


def in_parts(amount: Money, days: Sequence[date], *, first: Money | None = None) -> tuple[Instalment, ...]:
    """The amount in equal parts on these days, to the cent: leftover cents go to the earliest. `first` fixes the first.

    >>> days = [date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)]
    >>> [i.amount.minor for i in in_parts(Money(1000, "EUR"), days)]
    [334, 333, 333]
    """
    if not days:
        raise ValueError("a plan has at least one day")
    if first is not None:
        rest = in_parts(amount - first, days[1:]) if len(days) > 1 else ()
        return (Instalment(days[0], first), *rest)
    whole, left = divmod(amount.minor, len(days))
    return tuple(Instalment(day, Money(whole + (n < left), amount.currency)) for n, day in enumerate(days))


def propose(
    terms: PlanTerms, owed: Money, instalments: Sequence[Instalment], *, on: date, breaks: int = 0
) -> Proposed | Refusal:
    """Judge a proposed plan for `owed` (the undisputed amount) on a day. `breaks`: how often plans of the debt broke.

    >>> parts = in_parts(Money(9000, "EUR"), [date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1)])
    >>> propose(PlanTerms(auto_below=(Money(10_000, "EUR"),)), Money(9000, "EUR"), parts, on=date(2026, 11, 22)
    ...         ).needs_approval
    False
    """

    def no(code: NotPlanned, said: str) -> Refusal:
        return Refusal(code, said, e.freeze())

    e = Explanation.build("arrears.plan_proposed")
    e.fact("owed", owed.amount, owed.currency).fact("instalments", len(instalments))
    if owed.minor <= 0:
        return no(NotPlanned.NOTHING_OWED, "nothing is owed that isn't contested")
    if breaks > PLAN_RESTARTS:
        return no(NotPlanned.VETOES_USED, "a plan for this was not kept twice: somebody has to agree to another")
    if any(i.amount.currency != owed.currency for i in instalments):
        return no(NotPlanned.WRONG_SUM, f"every instalment is in {owed.currency}")
    total = sum(i.amount.minor for i in instalments)
    if total != owed.minor or any(i.amount.minor <= 0 for i in instalments):
        return no(NotPlanned.WRONG_SUM, f"the instalments come to {Money(total, owed.currency)}, not to {owed}")
    days = [i.due_on for i in instalments]
    if sorted(set(days)) != days or days[0] < on:
        return no(NotPlanned.NOT_IN_ORDER, "each instalment is later than the one before, and none is in the past")
    if len(days) > terms.instalments:
        return no(NotPlanned.TOO_MANY, f"at most {terms.instalments} instalments")
    if (days[-1] - on).days > terms.days:
        return no(NotPlanned.TOO_LONG, f"the last is within {terms.days} days")
    if (days[0] - on).days > terms.first_days:
        return no(NotPlanned.FIRST_TOO_LATE, f"the first is within {terms.first_days} days")
    if instalments[0].amount.minor * 100 < owed.minor * terms.first_percent:
        return no(NotPlanned.FIRST_TOO_SMALL, f"the first is at least {terms.first_percent} % of it")
    least = _of(terms.smallest, owed.currency)
    if least is not None and any(i.amount < least for i in instalments[:-1]):
        return no(NotPlanned.TOO_SMALL, f"each is at least {least}, but for the last")
    most = _of(terms.auto_below, owed.currency)
    return Proposed(tuple(instalments), most is None or owed > most, e.freeze())


def _of(amounts: Sequence[Money], code: str) -> Money | None:
    return next((money for money in amounts if money.currency == code), None)


def promise(pay_by: date, *, on: date, used: int) -> Refusal | None:
    """Judge a promise made on a day to pay by another; `used` promises were made for the debt before. None: taken.

    >>> promise(date(2026, 12, 1), on=date(2026, 11, 22), used=1) is None
    True
    >>> str(promise(date(2026, 12, 30), on=date(2026, 11, 22), used=0))
    'TOO_LONG: a promise is for 14 days at most: by 2026-12-06'
    """
    if used >= PROMISES:
        return Refusal(NotPlanned.VETOES_USED, f"{PROMISES} promises were made for this: a plan, or a talk")
    if pay_by < on:
        return Refusal(NotPlanned.NOT_IN_ORDER, "a promise is for today or later")
    last = on + timedelta(days=PROMISE_DAYS)
    if pay_by > last:
        said = f"a promise is for {PROMISE_DAYS} days at most: by {last.isoformat()}"
        return Refusal(NotPlanned.TOO_LONG, said)
    return None
