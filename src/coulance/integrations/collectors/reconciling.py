"""LibreNMS's closed bills beside our own figures of the same service and period: whoever changes over sees both.

A bill is of a service when its reference (`bill_ref`) is the service's id with us. Ours is worked out from our samples
by the terms LibreNMS uses: its rank of the percentile, the higher of in and out or both together as the bill says, and
the bytes of both directions.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalog
from coulance.integrations.collectors import librenms
from coulance.integrations.collectors.harvest import Now
from coulance.services import queries as services
from coulance.usage import queries as usage
from coulance_core.catalog.collectors import Collector
from coulance_core.catalog.terms import (
    Aggregation,
    Direction,
    Measure,
    Meter,
    MeterKind,
    PercentileTerms,
    RankConvention,
)
from coulance_core.kernel import Dimension, Period, unit
from coulance_core.usage.aggregate import figure

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Compared:
    """A period of a bill: theirs and ours (bits a second, bytes). `service` is empty when the bill is of none of ours.

    `apart` is how much more our total is than theirs, in per mille of theirs; `None` when one of the two is missing.
    `coverage` is how many of the samples we have, in per mille.
    """

    bill: str
    service: str
    start: datetime
    end: datetime
    their_95th: int | None
    our_95th: int | None
    their_total: int | None
    our_total: int | None
    coverage: int | None

    @property
    def apart(self) -> int | None:
        """Our total against theirs, in per mille of theirs."""
        if self.our_total is None or not self.their_total:
            return None
        return round(Fraction(1000 * (self.our_total - self.their_total), self.their_total))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat(), "apart": self.apart}


def compare(collector: Collector, now: Now, secrets: Mapping[str, str]) -> list[Compared]:
    """Every closed period of every bill with our figures. Raises `UnableToCollectError`."""
    theirs = librenms.bills(collector, now, secrets)
    known = services.services_by_external_id({one.reference for one in theirs if one.reference})
    series = services.series_of([row.id for row in known.values()])
    meters = catalog.catalog().meters
    out = []
    for bill in theirs:
        row = known.get(bill.reference)
        rate = total = coverage = None
        if row is not None and bill.end > bill.start:
            own = [
                (one.id, meters[one.meter])
                for one in series.get(row.id, ())
                if one.meter in meters and _counts_bytes(meters[one.meter])
            ]
            if own:
                rate, total, coverage = _ours(own, Period(bill.start, bill.end), bill.direction_95th)
        out.append(
            Compared(
                bill.name or bill.bill, row.external_id if row else "", bill.start, bill.end,
                bill.rate_95th, rate, bill.total, total, coverage,
            )
        )  # fmt: skip
    return out


def _counts_bytes(meter: Meter) -> bool:
    return meter.unit.dimension is Dimension.DATA and meter.kind in (MeterKind.COUNTER, MeterKind.DELTA)


def _ours(own: "list[tuple[int, Meter]]", period: Period, direction: str) -> tuple[int, int, int]:
    meter = own[0][1]
    ids = [number for number, other in own if other == meter]
    block = usage.series_samples(series=ids, period=period, lead_s=_DAY, trail_s=_DAY)
    both = Measure(meter.key, Aggregation.SUM, unit("B"), direction=Direction.BOTH)
    rate = Measure(
        meter.key,
        Aggregation.PERCENTILE,
        unit("bit/s"),
        direction=Direction.BOTH if direction == "agg" else Direction.GREATER,
        percentile=PercentileTerms(rank=RankConvention.LIBRENMS),
    )
    zone = ZoneInfo("UTC")
    used = figure(both, meter, block.samples, period, zone)
    peak = figure(rate, meter, block.samples, period, zone)
    return int(peak.quantity), int(used.quantity), used.seen * 1000 // used.expected if used.expected else 0
