"""When a base fee stops: after one suspended period, a service that we keep suspended costs nothing more."""

from collections.abc import Iterable

from coulance_core.kernel import Period


def chargeable_spans(period: Period, before: Period, suspended: Iterable[Period]) -> tuple[Period, ...]:
    """The parts of a billing period for which its base fee is charged.

    `before` is the period before it. Where the service was suspended by arrears all through that, what is still
    suspended of this one isn't charged; from the lift on it is again.

    >>> from datetime import UTC, datetime
    >>> month = lambda m: Period(datetime(2026, m, 1, tzinfo=UTC), datetime(2026, m + 1, 1, tzinfo=UTC))
    >>> held = [Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 4, 20, tzinfo=UTC))]
    >>> len(chargeable_spans(month(2), month(1), held)), len(chargeable_spans(month(3), month(2), held))
    (1, 0)
    >>> [(str(p.start.date()), str(p.end.date())) for p in chargeable_spans(month(4), month(3), held)]
    [('2026-04-20', '2026-05-01')]
    """
    spans = _joined(suspended)
    held = next((span for span in spans if span.start <= before.start and span.end >= before.end), None)
    if held is None or held.end <= period.start:
        return (period,)
    return (Period(held.end, period.end),) if held.end < period.end else ()


def _joined(spans: Iterable[Period]) -> list[Period]:
    """Spans that touch or overlap, as one."""
    out: list[Period] = []
    for span in sorted(spans):
        if out and span.start <= out[-1].end:
            out[-1] = Period(out[-1].start, max(out[-1].end, span.end))
        else:
            out.append(span)
    return out
