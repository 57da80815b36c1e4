"""The evidence behind a document: the very samples and terms, in one file that anybody can rate again offline.

A zip of plain files: the document as issued, the catalog's terms, who subscribed to what, and every sample that counts.
`replay` reads nothing else, needs no database, and rates with the functions that the closing used.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalogs
from coulance.flows.closing.controlled import frozen
from coulance.flows.closing.measuring import AROUND, lead_seconds
from coulance.flows.replay import FORMAT
from coulance.invoicing import queries as invoicing
from coulance.services import queries as services
from coulance.services.queries import ServiceForClose
from coulance.usage import queries as usage
from coulance_core.catalog.codec import to_json
from coulance_core.catalog.terms import Catalog
from coulance_core.kernel import Period

_TRAIL_S = AROUND

README = """What is in this file
--------------------
document.json   the document as it was issued, with an explanation of every line
terms.json      the terms it was rated by: meters, plan and pool versions, rounding, tax
services.json   which services subscribed to which plan when, and which series count for them
overage.json    consents, warnings, pauses and attacks that bound the overage (only where the customer's limit did)
samples.csv     every sample that counts: series, instant (seconds since 1970, UTC), in, out, as the meter stores them

To rate it again, offline and without our database, with a copy of Coulance (`make demo` installs one):

    coulance replay {name}

By hand: each line's explanation in document.json starts from the sums of these samples.
"""


class UnableToExportError(ValueError):
    """The document rests on no samples, or they are no longer kept."""


def export_samples(*, number: str, path: Path) -> int:
    """Write the evidence of a usage document to `path`; returns how many samples it holds.

    Raises `UnableToExportError` for a document that rests on no usage (a base invoice explains itself).
    """
    stored = invoicing.document(number=number)
    if stored.row.kind not in ("overage_invoice", "usage_statement"):
        raise UnableToExportError(
            f"{number} is a {stored.row.kind.replace('_', ' ')}: it rests on no samples; see coulance explain {number}"
        )
    (account,) = services.accounts_for_close([stored.row.account])
    catalog = catalogs.catalog()
    period = Period(
        datetime.fromisoformat(stored.snapshot["period"]["start"]),
        datetime.fromisoformat(stored.snapshot["period"]["end"]),
    )
    zone = ZoneInfo(account.account.zone)
    plans = {row.plan for service in account.services for row in service.subscriptions}
    tables = {
        "document.json": stored.snapshot,
        "terms.json": _terms(catalog, plans),
        "services.json": {
            "format": FORMAT,
            "account": account.account.external_id,
            "zone": zone.key,
            "period": {"start": period.start.isoformat(), "end": period.end.isoformat()},
            "services": [_service(service) for service in account.services],
        },
    }
    bounds = frozen(account, catalog, period, stored.row.period_name, zone)
    if bounds is not None:
        tables["overage.json"] = bounds
    rows = list(_samples(account.services, catalog, period))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["series", "at", "in", "out"])
    writer.writerows(rows)
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600)  # it says who used what, and when
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for name, value in tables.items():
            file.writestr(_entry(name), json.dumps(value, indent=1, ensure_ascii=False))
        file.writestr(_entry("samples.csv"), text.getvalue())
        file.writestr(_entry("README.txt"), README.format(name=path.name))
    part.replace(path)
    return len(rows)


def _entry(name: str) -> zipfile.ZipInfo:
    """A member with a fixed date, so that the same evidence is the same file."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _terms(catalog: Catalog, plans: Iterable[str]) -> dict[str, Any]:
    return {
        "provider": to_json(catalog.provider),
        "meters": [to_json(meter) for meter in catalog.meters.values()],
        "plans": [to_json(version) for key in sorted(plans) for version in catalog.plans.get(key, ())],
        "pools": [to_json(pool) for versions in catalog.pools.values() for pool in versions],
        "tax": [to_json(rate) for rate in catalog.tax.rates],
        "series": [to_json(series) for series in catalog.series.values()],
    }


def _service(service: ServiceForClose) -> dict[str, Any]:
    return {
        "id": service.external_id,
        "name": service.name,
        "pool": service.pool,
        "ended_on": service.ended_on.isoformat() if service.ended_on else None,
        "subscriptions": [
            [
                row.plan,
                row.quantity,
                row.valid_from.isoformat(),
                row.valid_until.isoformat() if row.valid_until else None,
            ]
            for row in service.subscriptions
        ],
        "series": [[series.key, series.meter] for series in service.series],
    }


def _samples(owned: Iterable[ServiceForClose], catalog: Catalog, period: Period) -> Iterable[tuple[str, int, int, int]]:
    by_meter: dict[str, dict[int, str]] = {}
    for service in owned:
        for series in service.series:
            by_meter.setdefault(series.meter, {})[series.id] = series.key
    for key, ids in sorted(by_meter.items()):
        meter = catalog.meter(key)
        lead = max((lead_seconds(meter, measure) for measure in _measures(catalog, key)), default=meter.interval_s)
        block = usage.series_samples(series=sorted(ids), period=period, lead_s=lead, trail_s=_TRAIL_S)
        samples = block.samples
        for i, series_id in enumerate(block.series.tolist()):
            low, high = int(samples.offsets[i]), int(samples.offsets[i + 1])
            yield from zip(
                [ids[series_id]] * (high - low),
                samples.at[low:high].tolist(),
                samples.v_in[low:high].tolist(),
                samples.v_out[low:high].tolist(),
                strict=True,
            )


def _measures(catalog: Catalog, meter: str) -> Iterable[Any]:
    for versions in catalog.plans.values():
        for version in versions:
            for charge in version.charges:
                if charge.measure.meter == meter:
                    yield charge.measure
