"""Base fees and commitments in advance: what is due follows from what a service subscribed to and what was billed.

Nothing is remembered but the spans that were billed. Each run compares the days a service is entitled to with the
days that billed spans cover: days not covered are charged, days covered but not entitled are credited. So the same
facts give the same answer, a second run finds nothing to do, and every active day is paid for exactly once.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import BaseFee, Catalog, PlanVersion, Proration
from coulance_core.kernel import Money, Period, Rounding, civil_midnight
from coulance_core.rating.cycles import CyclePart, Cycles
from coulance_core.rating.lines import LineKind, PricedLine, rounded
from coulance_core.rating.proration import IN_WORDS, share_of_dates
from coulance_core.rating.segments import AgreedPrice, Segment, SubscriptionSpan, segments
from coulance_core.rating.sheet import Sheet

ZERO = Fraction(0)
_midnight = lru_cache(maxsize=4096)(civil_midnight)
BASE = "base"
"""The key of a plan's base fee; a commitment's is `commit:` and its charge."""


class UnableToPriceError(ValueError):
    """A price was agreed for a service that its plan has no place for."""


@dataclass(frozen=True, slots=True)
class BilledSpan:
    """The days [start, end) of a cycle that were charged or credited: what a run leaves behind for the next.

    `fee` is for the whole cycle and all units, in major units; `net` what was invoiced, negative for a credit.
    `terms`, `name` and `tax_class` are those it was invoiced with: a credit takes them over.
    """

    key: str
    plan: str
    terms: str
    name: str
    tax_class: str
    fee: Fraction
    proration: Proration
    start: date
    end: date
    cycle_start: date
    cycle_end: date
    net: Money
    credit: bool = False


@dataclass(frozen=True, slots=True)
class DueSpan:
    """A line to invoice, and the span to record with it; the span also where the line comes to nothing."""

    line: PricedLine
    span: BilledSpan


class _Fee(NamedTuple):
    """Terms under which days are covered; spans of equal terms are interchangeable, whatever version they came from.

    The fee is (numerator, denominator): fees are keys here, and whole numbers hash many times faster than fractions.
    """

    key: str
    plan: str
    ratio: tuple[int, int]
    proration: Proration

    @property
    def fee(self) -> Fraction:
        return Fraction(*self.ratio)


class _Said(NamedTuple):
    """How a fee prints: the version it is from, its name, its tax class."""

    terms: str
    name: str
    tax_class: str


@dataclass(frozen=True, slots=True)
class _Entitled:
    fee: _Fee
    part: CyclePart
    said: _Said
    units: int
    each: Fraction
    agreed: bool = False


_Days = list[tuple[date, date]]
"""Disjoint half-open spans of days, in order."""


def _merge(spans: Iterable[tuple[date, date]]) -> _Days:
    out: _Days = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def _minus(these: _Days, those: _Days) -> _Days:
    out: _Days = []
    for start, end in these:
        for a, b in those:
            if b <= start or a >= end:
                continue
            if a > start:
                out.append((start, a))
            start = b
            if start >= end:
                break
        if start < end:
            out.append((start, end))
    return out


def _common(these: _Days, those: _Days) -> _Days:
    return _minus(these, _minus(these, those))


def at_price(version: PlanVersion, price: AgreedPrice) -> PlanVersion:
    """A plan's terms with the base fee that was agreed, named so: cycle, proration, tax class and charges stay.

    Raises `UnableToPriceError` where the plan has no base fee, or another currency.
    """
    if version.base is None:
        raise UnableToPriceError(f"plan {version.version} has no base fee, and {price.amount} is agreed in its place")
    if price.currency != version.currency:
        raise UnableToPriceError(f"plan {version.version} is in {version.currency}, and {price.currency} was agreed")
    name = f"{version.name} ({price.words})" if price.words else version.name
    return replace(version, name=name, base=replace(version.base, amount=price.amount, per_unit=False))


def base_due(
    catalog: Catalog,
    spans: Sequence[SubscriptionSpan],
    billed: Sequence[BilledSpan],
    *,
    billing_day: int,
    zone: ZoneInfo,
    since: date,
    through: date,
    rounding: Rounding = Rounding.HALF_UP,
    service: str = "",
) -> tuple[DueSpan, ...]:
    """What one service owes in advance on the day `through`, and what it is owed: charges first, in order of days.

    `spans`: its whole subscription history. `billed`: its spans, credits included, of every cycle that ends after
    `since`; older cycles are not looked at. `through`: cycles begun by then are due, the one begun on it included.
    """
    entitled = _entitled(catalog, spans, billing_day, since, through)
    by_fee: dict[_Fee, list[_Entitled]] = defaultdict(list)
    for one in entitled:
        by_fee[one.fee].append(one)
    covered: dict[_Fee, dict[tuple[date, date], list[BilledSpan]]] = defaultdict(lambda: defaultdict(list))
    for span in billed:
        if span.cycle_end > since:
            fee = _Fee(span.key, span.plan, span.fee.as_integer_ratio(), span.proration)
            covered[fee][span.cycle_start, span.cycle_end].append(span)
    due: list[DueSpan] = []
    for fee in dict.fromkeys((*by_fee, *covered)):
        currency = _currency(catalog, by_fee.get(fee, []), covered.get(fee, {}))
        account = _Settlement(fee, currency, zone, rounding, service)
        due.extend(account.settle(by_fee.get(fee, []), covered.get(fee, {})))
    return tuple(sorted(due, key=lambda one: (one.span.credit, one.span.start, one.span.key)))


def _entitled(
    catalog: Catalog, spans: Sequence[SubscriptionSpan], billing_day: int, since: date, through: date
) -> list[_Entitled]:
    if not spans:
        return []
    known, origin = _since_terms_began(catalog, spans, since)
    found = segments(catalog, known, date.min, date.max)
    out: list[_Entitled] = []
    for key in dict.fromkeys(key for segment in found for key, *_ in _fees(segment)):
        run_start: date | None = None
        before: tuple[date, int] | None = None
        for segment in found:
            terms = next((one for one in _fees(segment) if one[0] == key), None)
            if terms is None:
                continue
            _, fee, name, tax_class = terms
            agreed = key == BASE and segment.price is not None
            if run_start is None or before != (segment.start, fee.interval_months):
                run_start = origin.get(segment.start, segment.start)
            before = (segment.end, fee.interval_months)
            if segment.end <= since or not fee.amount:
                continue
            cycles = Cycles.aligned(run_start, billing_day, fee.interval_months, fee.alignment, fee.short_months)
            first = max(segment.start, cycles.begins(cycles.index(since))) if segment.start < since else segment.start
            units = segment.units if fee.per_unit else 1
            same = _Fee(key, segment.version.plan, (fee.amount * units).as_integer_ratio(), fee.proration)
            end = None if segment.end == date.max else segment.end
            said = _Said(segment.version.version, name, tax_class)
            out.extend(
                _Entitled(same, part, said, units, fee.amount, agreed)
                for part in cycles.parts(first, end, through)
                if part.cycle_end > since
            )
    return _joined(out)


def _since_terms_began(
    catalog: Catalog, spans: Sequence[SubscriptionSpan], since: date
) -> tuple[list[SubscriptionSpan], dict[date, date]]:
    """The spans without the days before `since` on which their plan had no version yet.

    A service may be older than the catalog: what was billed then was billed elsewhere. Its cycles stay aligned to its
    true start, which is returned for each day that took its place.
    """
    known: list[SubscriptionSpan] = []
    origin: dict[date, date] = {}
    for span in spans:
        first = catalog.plans[span.plan][0].valid_from if span.plan in catalog.plans else span.start
        if span.start < first <= since:
            if span.end is not None and span.end <= first:
                continue
            origin[first] = span.start
            span = replace(span, start=first)
        known.append(span)
    return known, origin


def _joined(entitled: Sequence[_Entitled]) -> list[_Entitled]:
    """Neighbours in one cycle at the same fee made one: a new version that leaves the fee alone cuts nothing."""
    out: list[_Entitled] = []
    for one in entitled:
        last = out[-1] if out else None
        if last is not None and (last.fee, last.part.cycle_start, last.part.cycle_end, last.part.end) == (
            one.fee,
            one.part.cycle_start,
            one.part.cycle_end,
            one.part.start,
        ):
            out[-1] = replace(last, part=replace(last.part, end=one.part.end))
        else:
            out.append(one)
    return out


def _currency(
    catalog: Catalog, entitled: Sequence[_Entitled], cycles: Mapping[tuple[date, date], Sequence[BilledSpan]]
) -> str:
    for spans in cycles.values():
        return spans[0].net.currency
    return catalog.version(entitled[0].said.terms).currency


def _fees(segment: Segment) -> list[tuple[str, BaseFee, str, str]]:
    """A segment's fees in advance: key, terms, name and tax class of each."""
    version = segment.version
    out: list[tuple[str, BaseFee, str, str]] = []
    if segment.price is not None:
        version = at_price(version, segment.price)
    if version.base is not None:
        out.append((BASE, version.base, version.name, version.tax_class))
    for charge in version.charges:
        if charge.commitment is not None:
            name = f"{version.name}, {charge.name}, commitment of {charge.commitment.quantity}"
            tax_class = version.tax_class_of(charge)
            out.append((f"commit:{charge.key}", charge.commitment.as_base(), name, tax_class))
    return out


def _covered_days(spans: Sequence[BilledSpan]) -> _Days:
    """The days that charges cover and credits have not given back."""
    steps: dict[date, int] = defaultdict(int)
    for span in spans:
        sign = -1 if span.credit else 1
        steps[span.start] += sign
        steps[span.end] -= sign
    out: _Days = []
    depth, since = 0, date.min
    for day in sorted(steps):
        if depth > 0 and since < day:
            out.append((since, day))
        depth, since = depth + steps[day], day
    return _merge(out)


class _Settlement:
    """The spans of one fee: what is covered, what should be, and the lines between the two.

    A cycle's net is always that of its covered days together, rounded once, so that a cycle that is changed twice
    costs to the cent what it would have cost at once.
    """

    def __init__(self, fee: _Fee, currency: str, zone: ZoneInfo, rounding: Rounding, service: str) -> None:
        self.fee, self.currency, self.zone, self.rounding, self.service = fee, currency, zone, rounding, service
        self.days: dict[tuple[date, date], _Days] = {}
        self.net: dict[tuple[date, date], Money] = {}

    def settle(
        self, entitled: Sequence[_Entitled], billed: Mapping[tuple[date, date], Sequence[BilledSpan]]
    ) -> Iterable[DueSpan]:
        target = _merge((one.part.start, one.part.end) for one in entitled)
        for cycle, spans in sorted(billed.items()):
            self.days[cycle] = _covered_days(spans)
            self.net[cycle] = Money(sum(span.net.minor for span in spans), self.currency)
            for start, end in _minus(self.days[cycle], target):
                yield self._credit(cycle, start, end, spans[-1])
        covered = _merge(span for days in self.days.values() for span in days)
        for one in entitled:
            for start, end in _minus([(one.part.start, one.part.end)], covered):
                yield self._charge(one, start, end)
                insort(covered, (start, end))

    def _share(self, days: _Days, cycle: tuple[date, date]) -> Fraction:
        if self.fee.proration is Proration.NONE:
            return Fraction(bool(days))
        return sum((share_of_dates(a, b, *cycle, self.fee.proration, self.zone) for a, b in days), ZERO)

    def _credit(self, cycle: tuple[date, date], start: date, end: date, was: BilledSpan) -> DueSpan:
        sheet = Sheet()
        amount = self._difference(sheet, cycle, _minus(self.days[cycle], [(start, end)]))
        said = _Said(was.terms, was.name, was.tax_class)
        net = Money.of(amount, self.currency)
        return self._line(sheet, LineKind.CREDIT, cycle, (start, end), amount, net, said)

    def _charge(self, one: _Entitled, start: date, end: date) -> DueSpan:
        cycle = one.part.cycle_start, one.part.cycle_end
        sheet, days = Sheet(), (start, end)
        kind = LineKind.BASE if self.fee.key == BASE else LineKind.COMMIT
        if self.days.get(cycle):
            amount = self._difference(sheet, cycle, _merge([*self.days[cycle], days]))
            net = Money.of(amount, self.currency)
            return self._line(sheet, kind, cycle, days, amount, net, one.said, one.units)
        source = "agreed for this service, for a whole cycle, all units" if one.agreed else "for a whole cycle"
        sheet.fact("fee", one.each, self.currency, source)
        operands, exact = ["fee"], one.each
        if one.units != 1:
            operands.append("units")
            exact *= sheet.fact("units", Fraction(one.units))
        ratio = self._stated_share(sheet, [days], cycle)
        if ratio != 1:
            operands.append("share")
            exact *= ratio
        sheet.step("amount", "multiply", tuple(operands), exact, self.currency)
        net = rounded(sheet, exact, self.currency, self.rounding)
        self.days[cycle], self.net[cycle] = [days], net
        price = one.each if ratio == 1 else None
        return self._line(sheet, kind, cycle, days, exact, net, one.said, one.units, price)

    def _stated_share(self, sheet: Sheet, days: _Days, cycle: tuple[date, date]) -> Fraction:
        ratio = self._share(days, cycle)
        if self.fee.proration is Proration.NONE or days == [cycle]:
            return ratio
        sheet.conventions.append(IN_WORDS[self.fee.proration])
        if self.fee.proration is Proration.CALENDAR_DAYS:
            counted = Fraction(sum((b - a).days for a, b in days))
            sheet.fact("days", counted)
            sheet.fact("days of the cycle", Fraction((cycle[1] - cycle[0]).days))
            return sheet.step("share", "divide", ("days", "days of the cycle"), ratio)
        return sheet.fact("share", ratio, source=f"of {cycle[0].isoformat()} to {cycle[1].isoformat()}")

    def _difference(self, sheet: Sheet, cycle: tuple[date, date], days: _Days) -> Fraction:
        """State what the cycle costs with these days covered, less what was invoiced for it; keep the new state."""
        before = self.net.get(cycle, Money(0, self.currency))
        sheet.fact("invoiced for the cycle", before.amount, self.currency, "credits included")
        if days:
            sheet.fact("fee", self.fee.fee, self.currency, "for a whole cycle, all units")
            ratio = self._stated_share(sheet, days, cycle)
            operands = ("fee",) if ratio == 1 else ("fee", "share")
            sheet.step("due exact", "multiply", operands, self.fee.fee * ratio, self.currency)
            due = rounded(sheet, self.fee.fee * ratio, self.currency, self.rounding, of="due exact", name="due")
        else:
            due = Money(0, self.currency)
            sheet.fact("due", ZERO, self.currency, "nothing of the cycle is used")
        amount = due.amount - before.amount
        sheet.step("amount", "subtract", ("due", "invoiced for the cycle"), amount, self.currency)
        sheet.step("net", "add", ("amount",), amount, self.currency)
        self.days[cycle], self.net[cycle] = days, due
        return amount

    def _line(
        self,
        sheet: Sheet,
        kind: LineKind,
        cycle: tuple[date, date],
        days: tuple[date, date],
        amount: Fraction,
        net: Money,
        said: _Said,
        units: int = 1,
        price: Fraction | None = None,
    ) -> DueSpan:
        fee, credit = self.fee, kind is LineKind.CREDIT
        start, end = _midnight(days[0], self.zone), _midnight(days[1], self.zone)
        line = PricedLine(
            kind,
            fee.key.removeprefix("commit:"),
            self.service,
            f"{said.name}, unused part" if credit else said.name,
            Period(start, end),
            Fraction(units),
            "1",
            price,
            amount,
            net,
            said.tax_class,
            said.terms,
            sheet.freeze(f"rating.base.{kind.value}", said.terms),
        )
        span = BilledSpan(fee.key, fee.plan, *said, fee.fee, fee.proration, *days, *cycle, net, credit)
        return DueSpan(line, span)
