"""A settled period, rated again because samples came late: the difference, under the period's own terms.

More is a line on the next invoice, less is a credit; what is too old to be billed is absorbed, and said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from coulance_core.kernel import Explanation, Money, Period, anchored_date
from coulance_core.kernel.period import add_months
from coulance_core.rating.charges import RatedCharge
from coulance_core.rating.lines import LineKind, PricedLine
from coulance_core.rating.sheet import Sheet


@dataclass(frozen=True, slots=True)
class Settled:
    """What has been billed of a charge for a period so far, corrections included: its figure and its net."""

    used: Fraction
    net: Money


@dataclass(frozen=True, slots=True)
class LateResult:
    """The outcome: a line (none when nothing changes or all is absorbed), what was absorbed, and why."""

    line: PricedLine | None
    absorbed: Money
    explanation: Explanation


def rate_late(
    billed: Settled,
    again: RatedCharge | Sequence[RatedCharge],
    *,
    charge: str,
    name: str,
    period: Period,
    found_on: date,
    cap_months: int,
    zone: ZoneInfo,
    tax_class: str,
    terms: str,
    service: str = "",
    pool: str | None = None,
) -> LateResult:
    """The difference between a period rated again (`again`: the charge's parts) and what was billed for it.

    An increase found later than `cap_months` after the period's end is absorbed; a decrease is credited however old.
    `used` in `billed` is only told, the money decides: price(new) - price(old), both under the period's own terms.
    """
    parts = (again,) if isinstance(again, RatedCharge) else tuple(again)
    code = billed.net.currency
    now = sum((part.net(code).minor for part in parts), 0)
    used = sum((part.used for part in parts), Fraction(0))
    unit = parts[0].unit if parts else ""
    sheet = Sheet()
    sheet.children.extend(part.explanation for part in parts)
    sheet.fact("used as billed", billed.used, unit)
    sheet.fact("used as known now", used, unit, "with late and corrected samples")
    sheet.fact("billed", billed.net.amount, code, "for the same period, corrections included")
    due = sheet.fact("due", Money(now, code).amount, code, "rated again under the period's own terms")
    difference = Money(now, code) - billed.net
    nothing = Money(0, code)
    if not difference.minor:
        sheet.step("amount", "subtract", ("due", "billed"), due - billed.net.amount, code)
        return LateResult(None, nothing, sheet.freeze("rating.late", terms))
    last_day = back_billing_end(period, cap_months, zone)
    if difference.minor > 0 and found_on >= last_day:
        sheet.step("absorbed", "subtract", ("due", "billed"), difference.amount, code)
        sheet.notes.append(
            f"found on {found_on.isoformat()}: use is billed only if found before {last_day.isoformat()}, "
            f"{cap_months} months after its period; it is absorbed"
        )
        return LateResult(None, difference, sheet.freeze("rating.late.absorbed", terms))
    sheet.step("amount", "subtract", ("due", "billed"), difference.amount, code)
    sheet.step("net", "add", ("amount",), difference.amount, code)
    more = difference.minor > 0
    rule = "rating.late.increase" if more else "rating.late.decrease"
    explanation = sheet.freeze(rule, terms)
    first, after = period.dates(zone)
    what = "late usage" if more else "less usage than billed" if used != billed.used else "less to charge than billed"
    words = f"{name}, {what} in {first.isoformat()} to {after.isoformat()}"
    line = PricedLine(
        LineKind.LATE_USAGE if more else LineKind.CREDIT,
        charge,
        service,
        words,
        period,
        used - billed.used,
        unit,
        None,
        difference.amount,
        difference,
        tax_class,
        terms,
        explanation,
        pool,
    )
    return LateResult(line, nothing, explanation)


def back_billing_end(period: Period, cap_months: int, zone: ZoneInfo) -> date:
    """The first day on which more use of a period can no longer be billed.

    >>> from coulance_core.kernel import anchored_period
    >>> utc = ZoneInfo("UTC")
    >>> back_billing_end(anchored_period(2026, 1, 1, utc), 6, utc)
    datetime.date(2026, 8, 1)
    """
    end = period.end.astimezone(zone).date()
    return anchored_date(*add_months(end.year, end.month, cap_months), end.day)
