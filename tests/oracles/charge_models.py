"""Suite `charge_models`: usage models, proration, cycles and commitments, against numbers from other platforms' specs.

Each model name maps to the product's own public functions, with the policies by which that platform reckons: the
first tier's flat amount is due at no use, cycles begin as Kill Bill's do, prorated sums are rounded up at 5 decimals.
A platform's number that is given with n decimals is met when the exact result rounds to it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from coulance_core.catalog.terms import (
    Beyond,
    BlockMode,
    BlockTier,
    Capacity,
    CapacityTier,
    CycleAlignment,
    Dynamic,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PercentTier,
    PerUnit,
    PriceModel,
    Proration,
    ShortMonths,
    Tier,
    TieredBlocks,
    Volume,
    ZeroUsageFlat,
)
from coulance_core.kernel import Explanation, Period, Rounding, round_to, show
from coulance_core.rating.bounds import true_up
from coulance_core.rating.cycles import Cycles, LastPart, count_cycles
from coulance_core.rating.models import Use, price, price_changes
from coulance_core.rating.proration import (
    civil_days,
    prorated_sum,
    share_of_dates,
    start_of,
    time_weighted,
    unique_count_by_days,
)
from coulance_core.rating.sheet import Sheet
from tests.oracles.dunning import run_campaign
from tests.oracles.protocol import MalformedCaseError, Outcome

UTC_ZONE = ZoneInfo("UTC")
MONTHS = {"monthly": 1, "quarterly": 3, "biannual": 6, "semiannual": 6, "half_yearly": 6, "annual": 12, "yearly": 12}
_DAY = timedelta(days=1)
_WITH_FLAT = ZeroUsageFlat.CHARGE


def run(case: dict[str, Any], data: Path | None = None) -> Outcome:
    """One case to its outcome."""
    model = case.get("model")
    if not isinstance(model, str):
        raise MalformedCaseError("a case names its model")
    if model.startswith("dunning"):
        return run_campaign(case)
    calculate = _calculation(model)
    if calculate is None:
        return Outcome.skipped(f"unknown model {model!r}: known are {', '.join(sorted(_MODELS))}")
    got = calculate(case.get("parameters") or {}, case.get("input") or {}, case)
    return _compare(case, got)


def _calculation(model: str) -> "_Calculation | None":
    """By its name; or by its family, where the rest of the name only repeats a parameter."""
    if model in _MODELS:
        return _MODELS[model]
    for family, calculate in _FAMILIES.items():
        if model.startswith(family):
            return calculate
    return None


def _compare(case: Mapping[str, Any], got: Fraction) -> Outcome:
    if (fraction := case.get("expected_cycles_fraction")) is not None:
        return Outcome.compare(show(Fraction(str(fraction))), show(got))
    for key in ("expected_amount", "expected_aggregation", "expected_coefficient", "expected_cycles"):
        expected = case.get(key)
        if expected is not None:
            return _near(str(expected), got, key, str(case.get("note") or ""))
    raise MalformedCaseError("a case has one of expected_amount, _aggregation, _coefficient, _cycles")


def _near(expected: str, got: Fraction, key: str, note: str) -> Outcome:
    """Equal; or, where the oracle printed a rounded number, equal once rounded to as many decimals.

    An amount that ends is never rounded by the specs: it must be equal.
    """
    wanted = Fraction(expected)
    if got == wanted:
        return Outcome.passed()
    places = max(0, -int(Decimal(expected).as_tuple().exponent))
    rounded = round_to(got, places, Rounding.UP if "ceil" in note else Rounding.HALF_UP)
    if rounded == wanted and (key != "expected_amount" or "/" in show(got)):
        return Outcome.passed()
    if places >= 15 and abs(got - wanted) < Fraction(1, 10**14):  # printed from a binary float
        return Outcome.passed()
    return Outcome.failed(expected, show(got))


# --- numbers and dates as the files write them


def _number(value: Any, default: Fraction | None = None) -> Fraction:
    """A number from an int, a string, a decimal or a float; a float is taken as it was printed."""
    if value is None or value == "":
        if default is None:
            raise MalformedCaseError("a number is missing")
        return default
    if isinstance(value, bool):
        raise MalformedCaseError(f"a number is needed, not {value}")
    try:
        return Fraction(repr(value) if isinstance(value, float) else str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise MalformedCaseError(f"not a number: {value!r}") from error


def _optional(value: Any) -> Fraction | None:
    return None if value is None or value == "" else _number(value)


def _zero(value: Any) -> Fraction:
    return _number(value, Fraction(0))


def _instant(value: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise MalformedCaseError(f"not a time: {value!r}") from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


def _date(value: Any) -> date:
    return _instant(value).date()


def _period(parameters: Mapping[str, Any]) -> Period:
    """[from, to]: the files name the last second or the last day; the period ends at the midnight after it.

    A `to` at midnight ends it there, if that gives the `days` that the case says.
    """
    start, last = _instant(parameters["from"]), _instant(parameters["to"])
    if last == start_of(last.date()) and (last - start).days == _days(parameters):
        return Period(start, last)
    return Period(start, start_of(last.date() + _DAY))


def _days(parameters: Mapping[str, Any]) -> int | None:
    """The days of the whole cycle, which a period may be only a part of."""
    return int(_number(parameters["days"])) if parameters.get("days") else None


# --- models by quantity


def _priced(model: PriceModel, use: Use) -> Fraction:
    """The price, with its worksheet, which must recompute to the same amount."""
    sheet = Sheet()
    sheet.fact("quantity", use.quantity)
    amount = price(model, use, sheet)
    explanation = sheet.freeze("oracle")
    stated = Explanation.from_json(explanation.to_json()).recompute()["amount"]
    if stated != amount:
        raise AssertionError(f"the explanation says {show(stated)}, the price is {show(amount)}")
    return amount


def _ranges(parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    for key in ("ranges", "graduated_ranges", "volume_ranges", "graduated_percentage_ranges"):
        if parameters.get(key):
            ranges = parameters[key]
            assert isinstance(ranges, list)
            return ranges
    raise MalformedCaseError("no ranges")


def _ends(ranges: Sequence[Mapping[str, Any]]) -> list[Fraction | None]:
    """Where each tier ends. From 11 after 10 means the same as from 10 on: edges are continuous."""
    ends = [_optional(one.get("to_value")) for one in ranges]
    return [*ends[:-1], None]


def _tiers(parameters: Mapping[str, Any]) -> tuple[Tier, ...]:
    ranges = _ranges(parameters)
    return tuple(
        Tier(end, _zero(one.get("per_unit_amount")), _zero(one.get("flat_amount")))
        for one, end in zip(ranges, _ends(ranges), strict=True)
    )


def _quantity(given: Mapping[str, Any]) -> Fraction:
    for key in ("quantity", "units", "quantity_prorated"):
        if given.get(key) is not None:
            return _number(given[key])
    if given.get("events") is not None:
        return sum((_number(value) for value in given["events"]), Fraction(0))
    raise MalformedCaseError("no quantity")


def _graduated(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    return _priced(Graduated(_tiers(parameters), _WITH_FLAT), Use(_quantity(given)))


def _graduated_percentage(p: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    ranges = _ranges(p)
    tiers = tuple(
        PercentTier(end, _zero(one.get("rate")), _zero(one.get("flat_amount")))
        for one, end in zip(ranges, _ends(ranges), strict=True)
    )
    return _priced(GraduatedPercentage(tiers, _WITH_FLAT), Use(_quantity(given)))


def _volume(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    full = given.get("full_units", given.get("full_units_number"))
    quantity = given.get("quantity_prorated", given.get("quantity"))
    return _priced(Volume(_tiers(parameters), _WITH_FLAT), Use(_number(quantity), tier_by=_optional(full)))


def _package(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    model = Package(
        _number(parameters.get("amount")),
        _number(parameters.get("package_size"), Fraction(1)),
        _zero(parameters.get("free_units")),
    )
    return _priced(model, Use(_quantity(given)))


def _percentage(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    free_events = _optional(parameters.get("free_units_per_events"))
    model = Percentage(
        _zero(parameters.get("rate")),
        _zero(parameters.get("fixed_amount")),
        None if free_events is None else int(free_events),
        _optional(parameters.get("free_units_per_total_aggregation")),
        _optional(parameters.get("per_transaction_min_amount")),
        _optional(parameters.get("per_transaction_max_amount")),
    )
    events = given.get("events")
    count = given.get("event_count")
    use = Use(
        _quantity(given),
        events=None if events is None else [_number(value) for value in events],
        event_count=None if count is None else int(_number(count)),
        running_totals=[_number(value) for value in given.get("running_total") or ()],
    )
    return _priced(model, use)


def _standard(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    return _priced(PerUnit(_number(parameters.get("amount"))), Use(_quantity(given)))


def _dynamic(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    brought = _optional(given.get("precise_total_amount"))
    if brought is None:
        brought = _zero(given.get("precise_total_amount_cents")) / 100
    return _priced(Dynamic(), Use(_quantity(given), brought=brought))


def _blocks(mode: BlockMode) -> "_Calculation":
    def calculate(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
        tiers = []
        for i, one in enumerate(parameters["tiers"]):
            most = _optional(one.get("max_blocks", one.get("max")))
            endless = most is None or most < 0
            if endless and i < len(parameters["tiers"]) - 1:
                raise MalformedCaseError("only the last tier is without end")
            size = _number(one.get("block", one.get("size")), Fraction(1))
            tiers.append(BlockTier(size, _number(one["price"]), None if most is None or endless else int(most)))
        model = TieredBlocks(tuple(tiers), mode, Beyond.UNBILLED)
        return _priced(model, Use(_quantity(given)))

    return calculate


def _capacity(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    tiers = [
        CapacityTier(
            tuple((name, _number(most)) for name, most in (one.get("max") or {}).items()), _number(one["price"])
        )
        for one in parameters["tiers"]
    ]
    if tiers[-1].limits:  # a last tier with an end: above it, the same
        tiers.append(CapacityTier((), tiers[-1].price))
    peaks = {name: _number(peak) for name, peak in given["peaks"].items()}
    return _priced(Capacity(tuple(tiers)), Use(max(peaks.values(), default=Fraction(0)), peaks=peaks))


def _changes(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    units = [_number(value) for value in given.get("event_units") or ()]
    prorated = [_number(value) for value in given.get("event_units_prorated") or ()]
    if len(units) != len(prorated):
        raise MalformedCaseError("as many prorated units as units are needed")
    amount = price_changes(Graduated(_tiers(parameters), _WITH_FLAT), list(zip(units, prorated, strict=True)))
    return round_to(amount, 2, Rounding.UP if "ceil" in str(case.get("note") or "") else Rounding.HALF_UP)


# --- figures over time


def _recurring_sum(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    changes = [
        (_instant(one["t"]), value)
        for one in given.get("events") or ()
        if (value := _told(one.get("v", one.get("value")))) is not None
    ]
    days = _days(parameters)
    return prorated_sum(changes, _period(parameters), UTC_ZONE, days=days, digits=5, rule=Rounding.UP)


def _told(value: Any) -> Fraction | None:
    """An event's value; an event that tells none, or no number, is not counted (the platform's convention)."""
    try:
        return _optional(value)
    except MalformedCaseError:
        return None


def _unique_count(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    days = _days(parameters) or _days_of(_period(parameters))
    active = given.get("active_days")
    each = [_number(one) for one in (active if isinstance(active, list) else [active])]
    return unique_count_by_days(each, days, digits=5, rule=Rounding.UP)


def _days_of(period: Period) -> int:
    first, after = civil_days(period, UTC_ZONE)
    return (after - first).days


def _time_weighted(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    changes = [(_instant(one["t"]), _number(one.get("delta", one.get("v")))) for one in given.get("events") or ()]
    days = _days(parameters)
    over = None if days is None else days * _DAY
    return time_weighted(_zero(given.get("initial")), changes, _period(parameters), over=over)


# --- commitments and proration


def _true_up(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    commitment = _number(parameters.get("commitment_cents", parameters.get("commitment")))
    coefficient = _number(parameters.get("coefficient", given.get("coefficient")), Fraction(1))
    fees = sum((_number(fee) for fee in given.get("fees_cents", given.get("fees")) or ()), Fraction(0))
    return true_up(commitment * coefficient, fees)


def _coefficient(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    (first, last), (start, end) = parameters["period"], given["active"]
    return share_of_dates(
        _date(start), _date(end) + _DAY, _date(first), _date(last) + _DAY, Proration.CALENDAR_DAYS, UTC_ZONE
    )


def _actual_days(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    return _month_share(given, Proration.CALENDAR_DAYS)


def _fixed_30(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    return _month_share(given, Proration.FIXED_30)


def _month_share(given: Mapping[str, Any], how: Proration) -> Fraction:
    """The share of a month's cycle that begins on the first day of the span."""
    start, end = _date(given["from"]), _date(given["to"])
    cycles = Cycles.aligned(start, start.day)
    return share_of_dates(start, end, start, cycles.begins(1), how, UTC_ZONE)


def _cycles(months: int) -> "_Calculation":
    def calculate(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
        step = MONTHS.get(str(parameters.get("period") or ""), months)
        start, end = _date(given["start"]), given.get("end")
        day = int(_number(parameters.get("billing_cycle_day"), Fraction(start.day)))
        cycles = Cycles.aligned(start, day, step, CycleAlignment.START_MONTH, ShortMonths.STICK)
        last = LastPart.AFTER_WHOLE if case.get("vendor_convention") else LastPart.COUNTS
        until = None if end is None else _date(end)
        return count_cycles(cycles, start, until, _date(given["target"]), last_part=last)

    return calculate


def _termination(parameters: Mapping[str, Any], given: Mapping[str, Any], case: Mapping[str, Any]) -> Fraction:
    """In arrears: the fee for the days from start to termination, the day of it included, of the cycle it falls in."""
    amount = _number(parameters.get("plan_amount_cents", parameters.get("plan_amount")))
    months = MONTHS[str(parameters.get("interval") or "monthly")]
    started, ended = _date(given["started"]), _date(given["terminated"])
    anchor = _date(parameters.get("anchor") or given["started"])
    if parameters.get("billing") == "calendar":
        anchor = date(anchor.year, 1, 1)
    aligned = Cycles(anchor, anchor.day, months, ShortMonths.OWN_DAY)
    k = aligned.index(ended)
    begin, after = aligned.begins(k), aligned.begins(k + 1)
    part = share_of_dates(max(started, begin), ended + _DAY, begin, after, Proration.CALENDAR_DAYS, UTC_ZONE)
    return round_to(amount * part)


_Calculation = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Fraction]
_MODELS: dict[str, _Calculation] = {
    "graduated": _graduated,
    "graduated_percentage": _graduated_percentage,
    "volume": _volume,
    "volume_prorated": _volume,
    "package": _package,
    "percentage": _percentage,
    "percentage_min_max": _percentage,
    "standard": _standard,
    "dynamic": _dynamic,
    "graduated_prorated_per_event": _changes,
    "recurring_sum_prorated_by_day": _recurring_sum,
    "unique_count_prorated_by_day": _unique_count,
    "time_weighted_sum": _time_weighted,
    "minimum_commitment_true_up": _true_up,
    "proration_coefficient": _coefficient,
    "proration_actual_days": _actual_days,
    "proration_fixed_30": _fixed_30,
    "proration_in_advance_monthly": _cycles(1),
    "proration_in_advance_quarterly": _cycles(3),
    "proration_in_advance_annual": _cycles(12),
    "tiered_blocks_all_tiers": _blocks(BlockMode.ALL_TIERS),
    "tiered_blocks_top_tier": _blocks(BlockMode.TOP_TIER),
    "capacity_tier_by_peak": _capacity,
}
_FAMILIES: dict[str, _Calculation] = {
    "proration_in_advance": _cycles(1),
    "termination_proration": _termination,
    "tiered_blocks_top": _blocks(BlockMode.TOP_TIER),
    "tiered_blocks": _blocks(BlockMode.ALL_TIERS),
    "percentage": _percentage,
    "minimum_commitment": _true_up,
}
