"""Days on which a service has no base fee, as arrears kept it suspended all through the period before."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from coulance.arrears import queries as arrears
from coulance_core.arrears import chargeable_spans
from coulance_core.kernel import Period, anchored_date, civil_midnight
from coulance_core.kernel.period import add_months

Days = tuple[tuple[date, date], ...]


def still_days(services: Iterable[int], *, through: Period, billing_day: int, zone: ZoneInfo) -> Mapping[int, Days]:
    """By service (row id): days [start, end) that no base fee is charged for, up to the period after `through`.

    Services that arrears never suspended are left out.
    """
    return {
        service: _still(spans, through, billing_day, zone)
        for service, spans in arrears.suspended_spans(services).items()
    }


def _still(spans: Sequence[Period], through: Period, billing_day: int, zone: ZoneInfo) -> Days:
    out: list[tuple[date, date]] = []
    first = min(span.start for span in spans).astimezone(zone).date()
    last = through.end.astimezone(zone).date()
    month = add_months(first.year, first.month, -1)
    before = _period(month, billing_day, zone)
    while before.end.astimezone(zone).date() <= last:
        month = add_months(*month, 1)
        period = _period(month, billing_day, zone)
        charged = chargeable_spans(period, before, spans)
        until = charged[0].start if charged else period.end
        if until > period.start:
            # The day on which it is lifted is charged: it was there for a part of it.
            out.append((period.start.astimezone(zone).date(), until.astimezone(zone).date()))
        before = period
    return tuple((start, end) for start, end in out if end > start)


def _period(month: tuple[int, int], billing_day: int, zone: ZoneInfo) -> Period:
    return Period(
        civil_midnight(anchored_date(*month, billing_day), zone),
        civil_midnight(anchored_date(*add_months(*month, 1), billing_day), zone),
    )
