"""Who will probably pay late, by how they paid before; and what is open, how old, and what of it may never come.

The score is a sum of three parts that anybody can check, and looks at payment alone: not at who somebody is, where they
live, or whether they contested a bill (which is their right). It may only pick the gentler path and tell an operator;
no step, fee or restriction reads it (a decision about a person by a score alone is barred: GDPR article 22, C-634/21).

Its three numbers were chosen on two thirds of a year of real receivables and tried on the time after it; a test holds
it to beating "late last time" there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction

from coulance_core.kernel import Explanation, Money, Rounding

OWN = 2
"""How many bills of everybody's habit a new customer begins with: after two of their own, theirs counts as much."""
LATEST = 3
"""How many of the latest bills count apart."""
LATEST_WEIGHT = Fraction(1, 10)
"""How much those count beyond the others."""
LEAST, MOST = Fraction(2, 100), Fraction(98, 100)
PROBABLY = Fraction(1, 2)
"""From which chance somebody will probably be late."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A bill of the past: the day it was due, and the day it was paid; none: it isn't yet."""

    due_on: date
    paid_on: date | None

    def late_by(self, on: date) -> int | None:
        """Days it was paid after it was due (below zero: before), by what was known at the start of a day; none: not
        known yet. An open bill is late as long as it has been, so far.

        >>> Paid(date(2026, 3, 1), date(2026, 3, 5)).late_by(date(2026, 4, 1))
        4
        >>> Paid(date(2026, 3, 1), date(2026, 3, 5)).late_by(date(2026, 3, 1)) is None
        True
        """
        if self.paid_on is not None and self.paid_on < on:
            return (self.paid_on - self.due_on).days
        return (on - self.due_on).days if self.due_on < on else None


@dataclass(frozen=True, slots=True)
class Score:
    """The chance that the next bill is paid after it is due, and why. `bills`: how many of their own it rests on."""

    chance: Fraction
    bills: int
    explanation: Explanation

    @property
    def probably_late(self) -> bool:
        """Whether an operator is told. One bill is no habit: it takes two."""
        return self.bills > 1 and self.chance >= PROBABLY


def known(history: Iterable[Paid], on: date) -> list[int]:
    """Days late of each bill whose outcome was known at the start of a day, in the order they were due."""
    found = ((one.due_on, one.late_by(on)) for one in history)
    return [late for _due, late in sorted((due, late) for due, late in found if late is not None)]


def usual(histories: Iterable[Iterable[Paid]], on: date) -> Fraction:
    """The share of everybody's bills that were late, as known at the start of a day; with nothing known, a third."""
    all_of = [late > 0 for history in histories for late in known(history, on)]
    return Fraction(sum(all_of), len(all_of)) if all_of else Fraction(1, 3)


def score(history: Iterable[Paid], on: date, everybody: Fraction) -> Score:
    """How probably the next bill is late, told at the start of a day. `everybody` is `usual`.

    >>> bills = [Paid(date(2026, m, 1), date(2026, m, 20)) for m in (1, 2, 3, 4)]
    >>> found = score(bills, date(2026, 6, 1), Fraction(1, 4))
    >>> found.chance, found.probably_late
    (Fraction(3, 4), True)
    >>> score([], date(2026, 6, 1), Fraction(1, 4)).chance
    Fraction(1, 4)
    """
    late = known(history, on)
    n, bad = len(late), sum(days > 0 for days in late)
    e = Explanation.build("arrears.score")
    e.fact("everybody", everybody, source="share of all bills paid late")
    e.fact("bills", n).fact("late_before", bad).fact("weight_of_everybody", OWN)
    e.step("as_everybody", "multiply", "bills", "everybody")
    e.step("more_than_others", "subtract", "late_before", "as_everybody")
    e.step("weight", "add", "bills", "weight_of_everybody").step("own_habit", "divide", "more_than_others", "weight")
    e.step("habit", "add", "everybody", "own_habit")
    if n >= LATEST:
        newest = sum(days > 0 for days in late[-LATEST:])
        e.fact("late_of_latest", newest, source=f"of the latest {LATEST}").fact("latest_weight", LATEST_WEIGHT)
        e.step("of_latest", "divide", "late_of_latest", str(LATEST)).step("of_all", "divide", "late_before", "bills")
        e.step("turn", "subtract", "of_latest", "of_all").step("latest", "multiply", "turn", "latest_weight")
        e.step("sum", "add", "habit", "latest")
    else:
        e.step("sum", "add", "habit")
    e.fact("least", LEAST).fact("most", MOST)
    e.step("at_least", "max", "sum", "least").step("chance", "min", "at_least", "most")
    return Score(e.number("chance"), n, e.freeze())


class Gentler(StrEnum):
    """What a score, and a habit, may pick: each is kinder than what happens without it."""

    REMIND_EARLIER = "remind_earlier"
    """A reminder before the due day, where the policy has none that early."""
    INVITE_AUTO_PAY = "invite_auto_pay"
    """Offer to have it paid by itself on the due day."""
    OFFER_PLAN = "offer_plan"
    """Name the plan first in what is sent."""
    OTHER_DAY = "other_day"
    """Ask whether another day of the month suits them better."""


def gentler(found: Score, history: Iterable[Paid], on: date, *, has_means: bool) -> tuple[Gentler, ...]:
    """What to offer somebody beside the ordinary. `has_means`: whether something pays their bills by itself already.

    Late by a few days each time is a matter of the day; late by much, of money.

    >>> a_week = [Paid(date(2026, m, 1), date(2026, m, 6)) for m in (1, 2, 3, 4)]
    >>> now = date(2026, 6, 1)
    >>> [one.value for one in gentler(score(a_week, now, Fraction(1, 3)), a_week, now, has_means=False)]
    ['remind_earlier', 'invite_auto_pay', 'other_day']
    """
    if not found.probably_late:
        return ()
    late = sorted(days for days in known(history, on) if days > 0)
    middle = late[len(late) // 2] if late else 0
    out = [Gentler.REMIND_EARLIER]
    if not has_means:
        out.append(Gentler.INVITE_AUTO_PAY)
    out.append(Gentler.OTHER_DAY if middle <= 10 else Gentler.OFFER_PLAN)
    return tuple(out)


def remind_days(history: Iterable[Paid], on: date) -> int:
    """How many days before the due day a reminder helps this customer most: none for who pays before it comes.

    Who is late by a little is reminded when a transfer still arrives in time; who is late by much, a week ahead.

    >>> remind_days([Paid(date(2026, 1, 1), date(2025, 12, 28))], date(2026, 6, 1))
    0
    """
    late = sorted(known(history, on)[-6:])
    if not late or late[-1] <= 0:
        return 0
    return 3 if late[len(late) // 2] <= 7 else 7


DEFAULT_LOSS = (5, 10, 30, 100, 300)
"""Per mille of what is open that never comes, by age: not due yet, to 30 days, 60, 90, more. A rule of thumb until the
provider's own write-offs say more."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is open by age and what of it may never come, of one currency."""

    by_age: tuple[Money, ...]
    loss: Money
    explanation: Explanation


def expected_loss(by_age: Sequence[Money], per_mille: Sequence[int] = DEFAULT_LOSS) -> Expected:
    """What of the open money will probably never come, by its age.

    >>> found = expected_loss([Money(100_000, "EUR"), Money(0, "EUR"), Money(0, "EUR"), Money(0, "EUR"),
    ...                        Money(10_000, "EUR")])
    >>> str(found.loss)
    '35.00 EUR'
    """
    if len(by_age) != len(per_mille):
        raise ValueError(f"{len(by_age)} ages and {len(per_mille)} shares: there is one for each")
    code = by_age[0].currency
    e = Explanation.build("arrears.expected_loss")
    names = []
    for n, (money, share) in enumerate(zip(by_age, per_mille, strict=True)):
        e.fact(f"open_{n}", money.minor, "minor units").fact(f"per_mille_{n}", share)
        e.step(f"share_{n}", "multiply", f"open_{n}", f"per_mille_{n}")
        e.step(f"loss_{n}", "divide", f"share_{n}", "1000")
        names.append(f"loss_{n}")
    e.step("all", "add", *names).step("loss", "round", "all", "0", Rounding.HALF_UP.value)
    return Expected(tuple(by_age), Money(int(e.number("loss")), code), e.freeze())


def days_sales_outstanding(billed: Iterable[tuple[date, int]], open_minor: int, on: date) -> int | None:
    """How many days' sales are open: counted back through what was billed, newest first, until it is used up.

    The count-back method: unlike open / sales x days it isn't fooled by a large month. None where nothing was billed.

    >>> days_sales_outstanding([(date(2026, 5, 1), 100), (date(2026, 4, 1), 100)], 150, date(2026, 5, 31))
    45
    """
    rows = sorted(((day, minor) for day, minor in billed if day <= on and minor > 0), reverse=True)
    if not rows:
        return None
    left, until = open_minor, on
    for day, minor in rows:
        span = (until - day).days
        if left <= minor:
            return (on - until).days + (span * left + minor // 2) // minor
        left -= minor
        until = day
    return (on - until).days


def lately(history: Sequence[Paid], on: date, days: int = 730) -> list[Paid]:
    """The bills of the last two years: what is older says nothing of somebody any more."""
    return [one for one in history if one.due_on > on - timedelta(days=days)]
