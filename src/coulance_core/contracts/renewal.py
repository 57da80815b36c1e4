"""Renewal, indexation, notice and early termination, by the contract's own rules, on civil dates."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction

from coulance_core.contracts.terms import ContractError
from coulance_core.kernel import Explanation, Money, Rounding, anchored_date, currency


class Renews(StrEnum):
    """What happens at the end of a term."""

    ENDS = "ends"
    TERM = "term"
    """It goes on for another whole term."""
    MONTHLY = "monthly"
    """It goes on by the month. (For consumers the law may ask for this: NL BW 6:236 j.)"""


@dataclass(frozen=True, slots=True)
class Renewal:
    """How long a contract runs and how it goes on: `months` of a term, `notice_days` before its end, `renews`.

    `fee_share` of what is left of the term is due on early termination; None: it can't be ended early.
    """

    months: int
    notice_days: int
    renews: Renews
    fee_share: Fraction | None = None

    def __post_init__(self) -> None:
        if self.months < 1 or self.notice_days < 0:
            raise ContractError("a term wants at least a month, and a notice of zero days or more")
        if self.fee_share is not None and not 0 <= self.fee_share <= 1:
            raise ContractError(f"an early-termination share of {self.fee_share}: expected between 0 and 1")


@dataclass(frozen=True, slots=True)
class Term:
    """The term that runs on a day: [start, end), and the last day on which notice still ends it at `end`."""

    start: date
    end: date
    notice_by: date
    number: int


def months_later(start: date, months: int) -> date:
    """The same day so many months on, or the month's last day where it has none; the anchor day isn't lost.

    >>> months_later(date(2026, 1, 31), 1), months_later(date(2026, 1, 31), 2)
    (datetime.date(2026, 2, 28), datetime.date(2026, 3, 31))
    """
    month = start.year * 12 + start.month - 1 + months
    return anchored_date(month // 12, month % 12 + 1, start.day)


def term_on(start: date, renewal: Renewal, day: date) -> Term | None:
    """The term of a contract begun on `start` that runs on `day`; None before it began or after it ended.

    >>> found = term_on(date(2025, 1, 31), Renewal(12, 30, Renews.MONTHLY), date(2026, 3, 5))
    >>> found.number, [d.isoformat() for d in (found.start, found.end, found.notice_by)]
    (3, ['2026-02-28', '2026-03-31', '2026-03-01'])
    """
    if day < start:
        return None
    number, done = 1, 0
    while True:
        length = 1 if number > 1 and renewal.renews is Renews.MONTHLY else renewal.months
        end = months_later(start, done + length)
        if day < end:
            return Term(months_later(start, done), end, end - timedelta(days=renewal.notice_days), number)
        if renewal.renews is Renews.ENDS:
            return None
        number, done = number + 1, done + length


def ends_by_notice(start: date, renewal: Renewal, given: date) -> date | None:
    """When a contract ends by a notice that was received on `given`: with the first term that it is in time for.

    >>> ends_by_notice(date(2025, 1, 1), Renewal(12, 30, Renews.TERM), date(2025, 12, 15))
    datetime.date(2027, 1, 1)
    >>> ends_by_notice(date(2025, 1, 1), Renewal(12, 90, Renews.MONTHLY), date(2025, 12, 15))
    datetime.date(2026, 4, 1)
    """
    term = term_on(start, renewal, given)
    while term is not None and given > term.notice_by:
        following = term_on(start, renewal, term.end)
        if following is None:
            break
        term = following
    return None if term is None else term.end


@dataclass(frozen=True, slots=True)
class Indexation:
    """A yearly change of price by a published index: at least `floor`, at most `cap` (shares; None: unbounded)."""

    floor: Fraction | None = Fraction(0)
    cap: Fraction | None = None
    rounding: Rounding = Rounding.HALF_UP

    def __post_init__(self) -> None:
        if self.floor is not None and self.cap is not None and self.floor > self.cap:
            raise ContractError(f"indexation of at least {self.floor}, at most {self.cap}: the bounds cross")


@dataclass(frozen=True, slots=True)
class Indexed:
    """A price after indexation, and why."""

    price: Money
    change: Fraction
    explanation: Explanation


def index(price: Money, before: Fraction, now: Fraction, rule: Indexation) -> Indexed:
    """The price by how an index moved from `before` to `now`, within the rule's bounds.

    >>> index(Money(10_000, "EUR"), Fraction(125), Fraction(130), Indexation(cap=Fraction(3, 100))).price
    Money(minor=10300, currency='EUR')
    """
    if before <= 0 or now <= 0:
        raise ContractError("an index stands above zero")
    e = Explanation.build("contracts.indexation").fact("price", price.decimal(), price.currency)
    e.fact("index before", before).fact("index now", now).step("ratio", "divide", "index now", "index before")
    e.step("moved", "subtract", "ratio", "1")
    name = "moved"
    if rule.floor is not None:
        e.fact("floor", rule.floor).step("at least", "max", name, "floor")
        name = "at least"
    if rule.cap is not None:
        e.fact("cap", rule.cap).step("at most", "min", name, "cap")
        name = "at most"
    e.step("factor", "add", "1", name).step("exact", "multiply", "price", "factor", unit=price.currency)
    e.step("new price", "round", "exact", currency(price.currency).exponent, rule.rounding.value, unit=price.currency)
    return Indexed(Money.of(e.number("new price"), price.currency), e.number(name), e.freeze())


def early_fee(term: Term, renewal: Renewal, price: Money, months: int, leaves: date) -> Money:
    """What leaving on `leaves`, before the term's end, costs: the share of the fees of the days left, rounded down.

    `price` is paid each `months` months. Raises `ContractError` where the contract can't be ended early.

    >>> term = term_on(date(2026, 1, 1), Renewal(12, 30, Renews.TERM, Fraction(1, 2)), date(2026, 5, 1))
    >>> early_fee(term, Renewal(12, 30, Renews.TERM, Fraction(1, 2)), Money(10_000, "EUR"), 1, date(2026, 7, 2))
    Money(minor=30082, currency='EUR')
    """
    if renewal.fee_share is None:
        raise ContractError("this contract can't be ended before its term does")
    if not term.start <= leaves <= term.end:
        raise ContractError(f"{leaves.isoformat()} is not within the term {term.start} to {term.end}")
    length = (term.end.year - term.start.year) * 12 + term.end.month - term.start.month
    whole = price.amount * length / months
    left = Fraction((term.end - leaves).days, (term.end - term.start).days)
    return Money.of(whole * left * renewal.fee_share, price.currency, Rounding.DOWN)
