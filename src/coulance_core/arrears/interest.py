"""Interest for being late, night by night, explained.

The day a debt is due doesn't count, the day it is paid does: interest runs over the nights in between, each at the
rate and on the principal of the day it begins. A year has 365 days, also when it has 366. Rounded once, at the end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction

from coulance_core.arrears.facts import Paid
from coulance_core.arrears.packs import InterestRule, LawPack, Lock, Rate
from coulance_core.kernel import Explanation, Money, Rounding, currency


@dataclass(frozen=True, slots=True)
class Stretch:
    """Nights [start, end) at one rate (percent a year) on one principal (major units, with what was added yearly).

    `rest`: interest rests, by our own delay.
    """

    start: date
    end: date
    percent: Fraction
    principal: Fraction
    rest: bool = False

    @property
    def days(self) -> int:
        """How many nights."""
        return (self.end - self.start).days

    @property
    def interest(self) -> Fraction:
        """Exact, in major units."""
        return Fraction(0) if self.rest else self.principal * self.percent * self.days / 36500


@dataclass(frozen=True, slots=True)
class Interest:
    """What has run up: exact, in whole cents, and by stretch. `unknown_from`: from then on no rate is known, so that
    nothing is counted."""

    amount: Money
    exact: Fraction
    stretches: tuple[Stretch, ...]
    explanation: Explanation
    unknown_from: date | None = None


@dataclass(frozen=True, slots=True)
class _Span:
    start: date
    end: date
    percent: Fraction


def accrue(
    pack: LawPack,
    rule: InterestRule,
    principal: Money,
    *,
    due: date,
    until: date,
    since: date | None = None,
    paid: Iterable[Paid] = (),
    rests: Iterable[tuple[date, date | None]] = (),
    name: str = "",
) -> Interest:
    """Interest on a debt of `principal`, due on `due`, up to and with the day `until`.

    `paid`: parts that were paid, each from the night of its day on. `since`: only the nights from that day on (what
    was before was charged). `rests`: days [from, until) on which interest rests.
    """
    spans, unknown = _rates(pack, rule, due, until)
    parts = sorted((p.on, p.amount.amount) for p in paid)
    pauses = [(start, end if end is not None else until) for start, end in rests]
    cuts = {when for when, _ in parts} | {day for pause in pauses for day in pause}
    if since is not None:
        cuts.add(since)
    stretches: list[Stretch] = []
    left, added, year = principal.amount, Fraction(0), Fraction(0)
    birthday = _year_after(due, 1)
    years = 1
    for span in spans:
        day = span.start
        while day < span.end:
            for paid_part in [p for p in parts if p[0] <= day]:
                left -= paid_part[1]
                parts.remove(paid_part)
            if rule.yearly and day == birthday:
                added, year, years = added + year, Fraction(0), years + 1
                birthday = _year_after(due, years)
            marks = [*cuts, span.end, *([birthday] if rule.yearly else [])]
            end = min(mark for mark in marks if mark > day)
            resting = any(a <= day < b for a, b in pauses)
            base = max(left, Fraction(0)) + (added if left > 0 else Fraction(0))
            stretch = Stretch(day, end, span.percent, base, resting)
            year += stretch.interest
            stretches.append(stretch)
            day = end
    counted = [s for s in stretches if since is None or s.start >= since]
    return _told(pack, rule, principal, name, _joined(counted), unknown)


def _year_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return date(day.year + years, 3, 1)


def _rates(pack: LawPack, rule: InterestRule, due: date, until: date) -> tuple[list[_Span], date | None]:
    """The nights from `due` to `until`, by rate; and from which day on no rate is known."""
    if until <= due:
        return [], None
    if not rule.series:
        return [_Span(due, until, max(rule.points, rule.floor))], None
    rates = pack.series(rule.series)
    known = pack.until(rule.series)
    starts = {due}
    if rule.lock is Lock.HALF_YEAR:
        starts |= {date(y, m, 1) for y in range(due.year, until.year + 1) for m in (1, 7) if due < date(y, m, 1)}
    elif rule.lock is Lock.BY_DAY:
        starts |= {rate.valid_from for rate in rates if due < rate.valid_from}
    days = sorted(day for day in starts if day < until)
    spans: list[_Span] = []
    for start, end in zip(days, [*days[1:], until], strict=True):
        # A rate that is locked is that of the day on which interest starts to run: the one after the day it was due.
        asked = _fixing(rule.lock, start + timedelta(days=1) if rule.lock is Lock.AT_START else start)
        if known is not None and rule.lock is Lock.BY_DAY and start < known < end:
            end = known
        rate = _rate_on(rates, asked)
        if rate is None or (known is not None and asked >= known):
            return spans, start
        percent = _rounded(rate.percent + rule.points, rule.round_up_to)
        spans.append(_Span(start, end, max(percent, rule.floor)))
        if end == known:
            return spans, known
    return spans, None


def _fixing(lock: Lock, day: date) -> date:
    """The day whose reference rate holds for a stretch that begins on `day`."""
    if lock is Lock.BY_DAY:
        return day
    first = date(day.year, 7 if day.month > 6 else 1, 1)
    return first if lock is Lock.HALF_YEAR else date.fromordinal(first.toordinal() - 1)


def _rate_on(rates: Sequence[Rate], day: date) -> Rate | None:
    return max((r for r in rates if r.valid_from <= day), key=lambda r: r.valid_from, default=None)


def _rounded(percent: Fraction, multiple: Fraction) -> Fraction:
    return percent if not multiple else -(-percent // multiple) * multiple


def _joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Neighbours that differ in nothing, as one."""
    out: list[Stretch] = []
    for one in stretches:
        last = out[-1] if out else None
        if last is not None and last.end == one.start and replace(last, start=one.start, end=one.end) == one:
            out[-1] = replace(last, end=one.end)
        else:
            out.append(one)
    return tuple(out)


def _told(
    pack: LawPack,
    rule: InterestRule,
    principal: Money,
    name: str,
    stretches: tuple[Stretch, ...],
    unknown: date | None,
) -> Interest:
    code = principal.currency
    e = Explanation.build("arrears.interest", terms=pack.version)
    e.fact("owed at first", principal.amount, code, name)
    parts: list[str] = []
    for n, one in enumerate(stretches, 1):
        said = f"{one.start.isoformat()} to {one.end.isoformat()}"
        if one.rest:
            e.note(f"{said}: interest rests, the delay was ours")
            continue
        e.fact(f"principal {n}", one.principal, code, said).fact(f"rate {n}", one.percent, "% a year")
        e.fact(f"days {n}", one.days)
        e.step(f"product {n}", "multiply", f"principal {n}", f"rate {n}", f"days {n}")
        e.step(f"interest {n}", "divide", f"product {n}", 36500, unit=code)
        parts.append(f"interest {n}")
    e.step("exact", "add", *parts, unit=code)
    e.step("interest", "round", "exact", str(currency(code).exponent), Rounding.HALF_UP.value, unit=code)
    e.convention("act/365: the day it is due doesn't count, the day it is paid does; rounded once")
    if rule.cites:
        e.convention(rule.cites)
    if unknown is not None:
        e.note(f"no rate is known from {unknown.isoformat()} on: nothing is counted from then")
    checked = pack.series(rule.series)
    if any(r.verify and any(r.valid_from < s.end for s in stretches) for r in checked):
        e.note("one of the rates has a single source: verify it")
    exact = e.number("exact")
    return Interest(Money.of(e.number("interest"), code), exact, stretches, e.freeze(), unknown)
