"""Which series there are, as arrays: what ingest needs to know of thousands of series at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coulance.catalog import queries as catalog
from coulance.services import queries as services
from coulance.usage.columns import Keys
from coulance_core.catalog.meters import Meter, MeterKind
from coulance_core.usage.counters import CounterPolicy

Int64s = NDArray[np.int64]

DELTA, COUNTER, GAUGE = 0, 1, 2
"""A meter's kind as a small number."""

KIND_CODES = {MeterKind.DELTA: DELTA, MeterKind.COUNTER: COUNTER, MeterKind.GAUGE: GAUGE}


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """Every series that can take samples, one position each; arrays run over positions.

    `keys` maps a sender's key to its position, `by_id` a series id. `meter` and `zone` index `meters` and `zones`.
    A series whose meter the catalog lacks is in `lost` (key to meter), not here: its samples wait in quarantine.
    """

    keys: Mapping[str, int]
    ids: Int64s
    kind: NDArray[np.int8]
    scale: NDArray[np.int8]
    meter: NDArray[np.int32]
    zone: NDArray[np.int32]
    meters: tuple[Meter, ...]
    zones: tuple[str, ...]
    lost: Mapping[str, str]
    policies: tuple[CounterPolicy | None, ...] = field(default=())

    def positions(self, keys: Keys) -> NDArray[np.int32]:
        """The position of each key, -1 where it is unknown. Kept with the keys while the table is the same."""
        placed = keys.placed
        if placed is None or placed[0] is not self:
            find = self.keys.get
            placed = (self, np.array([find(key, -1) for key in keys.names], np.int32))
            keys.placed = placed
        return placed[1]

    def positions_of(self, ids: Int64s) -> Int64s:
        """The position of each series id, -1 where it is unknown."""
        if not len(self.ids):
            return np.full(len(ids), -1, np.int64)
        order = np.argsort(self.ids)
        at = np.searchsorted(self.ids, ids, sorter=order)
        found = order[np.minimum(at, len(order) - 1)]
        return np.where(self.ids[found] == ids, found, -1)


def build(series: Mapping[str, tuple[int, str, str]], meters: Mapping[str, Meter]) -> SeriesTable:
    """The table of `series` (key -> id, meter key, zone) with the meters of the catalog."""
    names = sorted({meter for _, meter, _ in series.values()} & meters.keys())
    number = {name: i for i, name in enumerate(names)}
    zones = sorted({zone for _, _, zone in series.values()})
    zone_number = {zone: i for i, zone in enumerate(zones)}
    known = {key: entry for key, entry in series.items() if entry[1] in number}
    held = tuple(meters[name] for name in names)
    meter = np.array([number[m] for _, m, _ in known.values()], np.int32)
    return SeriesTable(
        keys={key: i for i, key in enumerate(known)},
        ids=np.array([i for i, _, _ in known.values()], np.int64),
        kind=np.array([KIND_CODES[m.kind] for m in held], np.int8)[meter] if held else np.empty(0, np.int8),
        scale=np.array([m.scale for m in held], np.int8)[meter] if held else np.empty(0, np.int8),
        meter=meter,
        zone=np.array([zone_number[z] for _, _, z in known.values()], np.int32),
        meters=held,
        zones=tuple(zones),
        lost={key: entry[1] for key, entry in series.items() if entry[1] not in number},
        policies=tuple(CounterPolicy.of(m) if m.kind is MeterKind.COUNTER else None for m in held),
    )


_cached: tuple[object, object, SeriesTable] | None = None


def current() -> SeriesTable:
    """The table as services and catalog are now; kept for as long as neither changes."""
    global _cached
    series = services.series_index()
    try:
        meters = catalog.catalog().meters
    except catalog.UnableToFindCatalogError:
        meters = {}
    if _cached is not None and _cached[0] is series and _cached[1] is meters:
        return _cached[2]
    table = build({key: (entry.id, entry.meter, entry.zone) for key, entry in series.items()}, meters)
    _cached = (series, meters, table)
    return table
