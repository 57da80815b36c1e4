"""The `[sla]` table of a provider's file: terms of uptime by version, composites, how credits are paid.

Pure: the caller opens the file. Every fault is named by its field, so that `coulance check` can say the line; a table
of tiers is proved, and a gap or overlap is named at the tier beside it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar

from coulance_core.catalog.faults import Fault
from coulance_core.catalog.reading import Table
from coulance_core.kernel import Money, Rounding
from coulance_core.sla.calendar_file import read_calendar
from coulance_core.sla.calendars import Calendar
from coulance_core.sla.composite import Composite
from coulance_core.sla.evidence import Bound, Quorum
from coulance_core.sla.paying import Pays
from coulance_core.sla.proof import TermsError, Tier, TierError, tiers_below
from coulance_core.sla.terms import (
    Caps,
    Charged,
    Claim,
    Credited,
    Denominator,
    ErrorTiers,
    FreeSlots,
    From,
    MaintenanceTerms,
    Model,
    Multiple,
    Started,
    Steps,
    Tiers,
    Together,
    UptimeTerms,
    Whole,
    YearOf,
)

SECOND = 1_000_000
_UNITS = {"s": 1, "min": 60, "h": 3600, "hour": 3600, "hours": 3600, "day": 86_400, "days": 86_400}
_T = TypeVar("_T")


class _Kind(StrEnum):
    TIERS = "tiers"
    ERROR_TIERS = "error_tiers"
    STEPS = "steps"
    MULTIPLE = "multiple"
    FREE_SLOTS = "free_slots"


class _Form(StrEnum):
    SERIES = "series"
    PARALLEL = "parallel"
    K_OF_N = "k_of_n"


@dataclass(frozen=True)
class Promise:
    """Terms with their name, their first day, how evidence makes an outage, and whom they are for.

    `plans`: plans that have them unless a service has its own agreement. `supplier`: not empty for terms of others
    with us (upstream); those are for nobody's services. `services`: services of ours that stand on that supplier.
    """

    name: str
    valid_from: date
    terms: UptimeTerms
    quorum: Quorum
    plans: tuple[str, ...] = ()
    supplier: str = ""
    services: tuple[str, ...] = ()
    fee: Money | None = None
    """What a supplier asks a month."""
    said: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The table as it was written: reading it again gives the same terms."""

    @property
    def version(self) -> str:
        """Name and first day: `gold@2026-01-01`."""
        return f"{self.name}@{self.valid_from.isoformat()}"


@dataclass(frozen=True)
class Sold:
    """A composite as it is sold: its parts, and what each promises (shares; terms are named, or a percentage)."""

    whole: Composite
    availability: Mapping[str, Fraction]


@dataclass(frozen=True)
class SlaTable:
    """All of `[sla]`. `pays`: the ways customers may choose from, the first unasked. `carry_below`: credits of an
    account wait until they come to this, one amount a currency."""

    promises: tuple[Promise, ...] = ()
    composites: Mapping[str, Sold] = field(default_factory=dict)
    pays: tuple[Pays, ...] = (Pays.INVOICE,)
    carry_below: tuple[Money, ...] = ()

    def promise(self, name: str, on: date) -> Promise | None:
        """The version of named terms in force on a day; none when there is no such, or it begins later."""
        found = [p for p in self.promises if p.name == name and p.valid_from <= on]
        return max(found, key=lambda p: p.valid_from, default=None)

    def of_plan(self, plan: str, on: date) -> Promise | None:
        """What a plan promises by itself on a day. `plan` may carry a version (`vps@2026-01-01`)."""
        bare = plan.partition("@")[0]
        names = sorted({p.name for p in self.promises})
        found = [p for name in names if (p := self.promise(name, on)) and bare in p.plans and not p.supplier]
        return found[0] if found else None

    def suppliers(self, on: date) -> list[Promise]:
        """The terms of suppliers in force on a day."""
        names = sorted({p.name for p in self.promises if p.supplier})
        return [p for name in names if (p := self.promise(name, on))]


def judge(data: Mapping[str, Any]) -> Iterable[Fault]:
    """What is wrong with the table: every fault with its field's path inside it."""
    return _read(data)[1]


def parse_sla(data: Mapping[str, Any]) -> SlaTable:
    """The table's terms. Raises `TermsError` (proof) with the first fault; a file is judged before it is applied."""
    found, faults = _read(data)
    if faults:
        raise TermsError(f"[sla] {faults[0]}")
    return found


def _read(data: Mapping[str, Any]) -> tuple[SlaTable, list[Fault]]:
    t = Table(data)
    promises = [one for row in t.tables("terms") if (one := read_promise(row)) is not None]
    _refuse_doubles(t, promises)
    pays = t.choices("pays", Pays, (Pays.INVOICE,)) or (Pays.INVOICE,)
    carry = t.amounts("carry_below")
    sold = {}
    for name, row in t.table("composite").items():
        composite = _sold(row, promises)
        if composite is not None:
            sold[name] = composite
    t.close()
    return SlaTable(tuple(promises), sold, pays, carry), t.faults


def _refuse_doubles(t: Table, promises: list[Promise]) -> None:
    seen: dict[str, int] = {}
    plans: dict[tuple[str, date], str] = {}
    for n, one in enumerate(promises):
        if one.version in seen:
            t.fault(f"terms[{n}].from", f"{one.version} is there twice: a change is a new day")
        seen[one.version] = n
        for plan in one.plans:
            other = plans.setdefault((plan, one.valid_from), one.name)
            if other != one.name:
                t.fault(f"terms[{n}].plans", f"{plan} has the terms {other!r} from that day: one terms a plan")


def read_promise(t: Table) -> Promise | None:
    """One `[[sla.terms]]`; None with faults in the table when it can't be."""
    before = len(t.faults)
    name, valid_from = t.text("name"), t.day("from")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,60}", name):
        t.fault("name", f"{name!r}: expected small letters, digits and dashes")
    models = tuple(m for row in t.tables("credit") if (m := _model(row)) is not None)
    fields: dict[str, Any] = {
        "target": t.number("target"),
        "bound": t.choice("bound", Bound, Bound.STEP),
        "shortest": span(t, "shortest", 0),
        "shortest_after": t.flag("shortest_after", False),
        "whole": t.choice("whole", Whole, Whole.EXACT),
        "denominator": t.choice("denominator", Denominator, Denominator.SCHEDULED),
        "hours": _calendar(t, "hours"),
        "counts_from": t.choice("counts_from", From, From.DETECTED),
        "beyond_target": t.flag("beyond_target", False),
        "excluded": frozenset(t.texts("excluded")),
        "unknown": t.flag("unknown", True),
        "together": t.choice("together", Together, Together.SUM),
        "rounding": t.choice("rounding", Rounding, Rounding.HALF_UP),
        "least": t.money("least"),
        "maintenance": _maintenance(t.table("maintenance")),
        "caps": _caps(t.table("caps")),
        "claim": Claim(t.whole("claim_days", None)),
        "charges": t.choice("charges", Charged, Charged.BASE),
        "credited": t.choice("credited", Credited, Credited.CLOSE),
        "settles": span(t, "settles", 3600 * SECOND),
    }
    quorum = _quorum(t.table("evidence"))
    plans, supplier, services = t.texts("plans"), t.text("supplier", ""), t.texts("services")
    fee = t.money("fee")
    if supplier and fee is None:
        t.fault("fee", 'what the supplier asks a month is needed, such as "250.00 EUR": credits are parts of it')
    if not supplier:
        if fields["counts_from"] is From.REPORTED:
            t.fault("counts_from", "only suppliers' terms count from a report: ours count from what was measured")
        if services:
            t.fault("services", "only for suppliers' terms: others name plans, or are agreed by service")
    elif plans:
        t.fault("plans", "a supplier's terms are not sold: name the services that stand on it")
    t.close()
    if len(t.faults) > before:
        return None
    terms = _sound(t, "", lambda: UptimeTerms(f"{name}@{valid_from.isoformat()}", models=models, **fields))
    if terms is None or quorum is None:
        return None
    return Promise(name, valid_from, terms, quorum, plans, supplier, services, fee, t.data)


def _sound(t: Table, name: str, make: Callable[[], _T]) -> _T | None:
    try:
        return make()
    except ValueError as error:
        t.fault(name, str(error))
        return None


def _quorum(t: Table) -> Quorum | None:
    whole = {name: t.whole(name, 1) for name in ("down", "fresh", "confirm")}
    ttl, shortest, share = span(t, "ttl", 180 * SECOND), span(t, "shortest", 0), percent(t, "share", Fraction(0))
    t.close()
    return _sound(t, "", lambda: Quorum(ttl, share=share, shortest=shortest, **whole))


def _maintenance(t: Table) -> MaintenanceTerms:
    quota = span(t, "quota", None)
    found = MaintenanceTerms(span(t, "notice", 0), _calendar(t, "window"), quota, t.flag("credited", False))
    t.close()
    return found


def _caps(t: Table) -> Caps:
    named = {name: percent(t, name, None) for name in ("incident", "year", "before")}
    period = percent(t, "period", Fraction(1))
    year_of = t.choice("year_of", YearOf, YearOf.MONTH)
    t.close()
    return _sound(t, "", lambda: Caps(period=period, year_of=year_of, **named)) or Caps()


def _calendar(t: Table, name: str) -> Calendar | None:
    row, there = t.table(name), t.has(name)
    return read_calendar(row) if there else None


def _model(t: Table) -> Model | None:
    kind = t.choice("kind", _Kind)
    make: Callable[[], Model | None]
    match kind:
        case _Kind.TIERS | _Kind.ERROR_TIERS:
            make = _tiers(t, errors=kind is _Kind.ERROR_TIERS)
        case _Kind.STEPS:
            step, grace = span(t, "step", 60 * SECOND), span(t, "grace", 0)
            in_days = t.has("days")
            credit = t.number("days") if in_days else percent(t, "credit", Fraction(0))
            count, each = t.choice("count", Started, Started.FULL), t.flag("per_outage", True)
            make = lambda: Steps(step, credit or Fraction(0), count, grace, each, in_days)  # noqa: E731
        case _Kind.MULTIPLE:
            times, affected = t.number("times", Fraction(1)), t.flag("by_affected", False)
            make = lambda: Multiple(times, affected)  # noqa: E731
        case _Kind.FREE_SLOTS:
            slot, over, times = span(t, "slot", 3600 * SECOND), span(t, "over", 0), t.number("times", Fraction(1))
            make = lambda: FreeSlots(slot, over, times)  # noqa: E731
    t.close()
    return _sound(t, "", make)


def _tiers(t: Table, *, errors: bool) -> Callable[[], Model | None]:
    rows = t.tables("tiers")
    read: list[Tier | tuple[Fraction, Fraction]] = []
    for row in rows:
        credit, below = percent(row, "credit", Fraction(0)) or Fraction(0), row.number("below", Fraction(100))
        read.append(Tier(row.number("from"), below, credit) if row.has("from") else (below, credit))
        row.close()

    def make() -> Model | None:
        spans = [one for one in read if isinstance(one, Tier)]
        steps = [one for one in read if not isinstance(one, Tier)]
        if spans and steps:
            t.fault("tiers", "either every tier says from where on, or none does")
            return None
        try:
            tiers = Tiers(tuple(spans) if spans else tiers_below(steps))
        except TierError as error:
            named = [n for n, one in enumerate(read) if _names(error.where, one)]
            t.fault(f"tiers[{named[-1]}]" if named else "tiers", str(error))
            return None
        return ErrorTiers(tiers) if errors else tiers

    return make


def _names(where: str, tier: "Tier | tuple[Fraction, Fraction]") -> bool:
    """Whether a fault's place names a tier."""
    if isinstance(tier, Tier):
        return re.search(rf"(?<![\d.]){re.escape(str(tier))}(?![\d.])", where) is not None
    return where.endswith(f"{float(tier[0]):g}")


def _sold(t: Table, promises: list[Promise]) -> Sold | None:
    """A composite: `parts` with their promise; `form`, or parts of parts by `of`."""
    before = len(t.faults)
    availability: dict[str, Fraction] = {}
    whole = _composite(t, promises, availability)
    return Sold(whole, availability) if whole is not None and len(t.faults) == before else None


def _composite(t: Table, promises: list[Promise], availability: dict[str, Fraction]) -> Composite | None:
    if t.has("part"):
        name = t.text("part")
        given = percent(t, "availability", None)
        if given is None:
            named = t.text("terms", name)
            newest = max((p for p in promises if p.name == named), key=lambda p: p.valid_from, default=None)
            if newest is None:
                t.fault("part", f'{named!r} is no terms of this file: give its availability, such as "99.9 %"')
            else:
                given = newest.terms.target / 100
        t.close()
        if given is not None and availability.setdefault(name, given) != given:
            t.fault("availability", f"part {name!r} has two availabilities")
        return Composite.part(name) if name else None
    form = t.choice("form", _Form, _Form.SERIES)
    k = t.whole("k", 0)
    parts = [one for row in t.tables("parts") if (one := _composite(row, promises, availability)) is not None]
    t.close()
    if not parts:
        t.fault("parts", "expected parts")
        return None
    if form is _Form.K_OF_N:
        return _sound(t, "k", lambda: Composite.k_of_n(k, *parts))
    return Composite.series(*parts) if form is _Form.SERIES else Composite.parallel(*parts)


def span(t: Table, name: str, default: Any) -> Any:
    """A length of time such as "5 min", in microseconds."""
    return t.value(name, default, read_span, 0)


def percent(t: Table, name: str, default: Any) -> Any:
    """A share such as "10 %"; a credit above 100 % is for the terms to refuse."""
    return t.value(name, default, read_percent, Fraction(0))


def read_span(value: Any) -> int:
    """A length of time, in microseconds. Raises `ValueError`.

    >>> read_span("5 min"), read_span("90 s")
    (300000000, 90000000)
    """
    found = re.fullmatch(r"(\d+) ?(s|min|h|hours?|days?)", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'expected a length of time, such as "5 min", "2 h" or "3 days", not {value!r}')
    return int(found[1]) * _UNITS[found[2]] * SECOND


def read_percent(value: Any) -> Fraction:
    """A percentage in quotes, as a share. Raises `ValueError`.

    >>> read_percent("12.5 %")
    Fraction(1, 8)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'expected a percentage, such as "10 %", not {value!r}')
    return Fraction(found[1]) / 100
