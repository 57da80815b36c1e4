"""Rate an evidence file again: nothing but the file and the pure core, so that anybody can, anywhere."""

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from coulance_core.catalog.codec import from_json
from coulance_core.catalog.terms import (
    Catalog,
    Meter,
    NumberSeries,
    PlanVersion,
    Pool,
    ProviderTerms,
    TaxRate,
    TaxTable,
)
from coulance_core.invoicing import ServiceRef
from coulance_core.invoicing.closing import PartUse, ServiceFacts, rate_usage, wanted
from coulance_core.kernel import Money, Period, show
from coulance_core.overage.closing import OverPart
from coulance_core.overage.frozen import settle_frozen
from coulance_core.rating.segments import SubscriptionSpan
from coulance_core.usage.aggregate import figure
from coulance_core.usage.draws import Drawn, draws_many
from coulance_core.usage.samples import Samples

FORMAT = "coulance.evidence/1"
MEMBERS = ("document.json", "terms.json", "services.json", "samples.csv")
BOUNDS = "overage.json"
"""There only where the customer's limit bounded the overage."""
LARGEST = 2 * 1024**3
"""Bytes that the members may have together: files come from outside, and a small zip can hold any number."""


class UnableToReplayError(ValueError):
    """The file is not one of ours, or part of it is missing or broken; the message says which."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One line or figure rated again: what was billed or stated, and what it comes to now."""

    what: str
    stated: str
    again: str

    @property
    def equal(self) -> bool:
        """Whether both are the same."""
        return self.stated == self.again


def replay(path: Path) -> list[Replayed]:
    """Rate the usage in an evidence file again, and set it beside what its document says.

    Raises `UnableToReplayError` when the file is not one that `export_samples` wrote.
    """
    document, catalog, about, columns, bounds = _read(path)
    try:
        return _rated_again(document, catalog, about, columns, bounds)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UnableToReplayError(
            f"{path} cannot be rated: something in it is not as it was exported ({what})"
        ) from error


def _rated_again(
    document: Mapping[str, Any],
    catalog: Catalog,
    about: Mapping[str, Any],
    columns: Mapping[str, Any],
    bounds: Mapping[str, Any] | None,
) -> list[Replayed]:
    zone = ZoneInfo(about["zone"])
    period = Period(datetime.fromisoformat(about["period"]["start"]), datetime.fromisoformat(about["period"]["end"]))
    facts: list[ServiceFacts] = []
    uses: dict[str, list[PartUse]] = {}
    counted: dict[int, Samples] = {}
    for service in about["services"]:
        fact = _facts(service)
        facts.append(fact)
        for part in wanted(catalog, fact, period, zone):
            measure = part.charge.measure
            keys = [key for key, meter in service["series"] if meter == measure.meter]
            samples = _joined([columns[key] for key in keys if key in columns], len(keys))
            got = figure(measure, catalog.meter(measure.meter), samples, part.active, zone)
            uses.setdefault(service["id"], []).append(PartUse(part, got))
            counted[id(got)] = samples
    pools = None
    if bounds is not None:

        def drawn(part: OverPart) -> Drawn:
            what, figure_of = part.use.part.charge.measure, part.use.figure
            samples = counted[id(figure_of)]
            owners = np.zeros(samples.series, np.int64)
            return draws_many(
                what, catalog.meter(what.meter), samples, part.use.part.active, zone, owners=owners, figures=[figure_of]
            )[0]

        settling = settle_frozen(catalog, facts, uses, drawn, bounds, period=period, zone=zone)
        uses, pools = settling.bound(uses), settling.pools
    used, _, lines = rate_usage(catalog, facts, uses, period=period, zone=zone, allowed=pools)
    if document["kind"] == "usage_statement":
        again = [part for service in used for part in service.parts]
        return [
            Replayed(f"{item['service']['id']}, {item['charge']}", f"{item['used']} {item['unit']}", _figure(part))
            for item, part in zip(document["usage"], again, strict=True)
        ]
    sums: dict[tuple[str, str, str], Money] = {}
    for line in lines:
        key = (line.service.external_id if line.service else "", line.pool, line.charge)
        sums[key] = sums.get(key, Money(0, line.amount.currency)) + line.amount
    out: list[Replayed] = []
    stated: dict[tuple[str, str, str], Money] = {}
    gross = catalog.provider.prices.value == "gross"
    for line in document["lines"]:
        start = datetime.fromisoformat(line["period"]["start"])
        if line["kind"] in ("carried", "late_usage", "credit") or start not in period:
            continue  # of another period: its own evidence is with that period's statement
        key = (line["service"]["id"] if line["service"] else "", line.get("pool", ""), line["charge"])
        net = _with_tax(line) if gross else Money.of(line["net"], document["currency"])
        stated[key] = stated.get(key, Money(0, document["currency"])) + net
    for key, net in stated.items():
        what = ", ".join(part for part in (key[0] or f"pool {key[1]}", key[2]) if part)
        out.append(Replayed(what, str(net), str(sums.get(key, Money(0, document["currency"])))))
    return out


def _with_tax(line: Mapping[str, Any]) -> Money:
    """A line of a catalog whose prices include tax, as it was priced."""
    facts = {name: (value, unit) for name, value, unit, _ in line["explanation"]["facts"]}
    value, code = facts["price with tax"]
    return Money.of(Fraction(value), code)


def _figure(part: Any) -> str:
    return f"{show(part.rated.used)} {part.rated.unit}"


def _facts(service: Mapping[str, Any]) -> ServiceFacts:
    ended = date.fromisoformat(service["ended_on"]) if service["ended_on"] else None
    spans = []
    for plan, units, start, end in service["subscriptions"]:
        until = min((day for day in (date.fromisoformat(end) if end else None, ended) if day), default=None)
        if until is None or until > date.fromisoformat(start):
            spans.append(SubscriptionSpan(plan, units, date.fromisoformat(start), until))
    return ServiceFacts(ServiceRef(service["id"], service["name"]), tuple(spans), (), service["pool"])


def _joined(parts: list[Any], count: int) -> Samples:
    """The samples of a service's series as one block."""
    empty = np.zeros(0, np.int64)
    rows = [(part[0], part[1], part[2]) for part in parts] + [(empty, empty, empty)] * (count - len(parts))
    offsets = np.concatenate(([0], np.cumsum([row[0].size for row in rows]))).astype(np.int64)
    at, v_in, v_out = (np.concatenate([row[i] for row in rows] or [empty]) for i in range(3))
    return Samples(at, v_in, v_out, offsets)


def _read(path: Path) -> tuple[dict[str, Any], Catalog, dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    try:
        with zipfile.ZipFile(path) as file:
            wanted = [*MEMBERS, *({BOUNDS} & set(file.namelist()))]
            size = sum(file.getinfo(name).file_size for name in wanted)
            if size > LARGEST:
                raise UnableToReplayError(
                    f"{path} unpacks to {size:,} bytes, and evidence has at most {LARGEST:,} bytes"
                )
            texts = {name: file.read(name).decode() for name in wanted}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, UnicodeDecodeError, RuntimeError) as error:
        raise UnableToReplayError(f"{path} is not a whole evidence file: {error}") from error
    try:
        document, terms, about = (json.loads(texts[name]) for name in ("document.json", "terms.json", "services.json"))
        if about.get("format") != FORMAT:
            raise UnableToReplayError(f"{path}: services.json has format {about.get('format')!r}, expected {FORMAT!r}")
        bounds = json.loads(texts[BOUNDS]) if BOUNDS in texts else None
        return document, _catalog(terms), about, _columns(texts["samples.csv"]), bounds
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, UnableToReplayError):
            raise
        raise UnableToReplayError(f"{path} cannot be read: {error}") from error


def _catalog(terms: Mapping[str, Any]) -> Catalog:
    plans: dict[str, list[PlanVersion]] = {}
    for data in terms["plans"]:
        version = from_json(PlanVersion, data)
        plans.setdefault(version.plan, []).append(version)
    pools: dict[str, list[Pool]] = {}
    for data in terms["pools"]:
        pool = from_json(Pool, data)
        pools.setdefault(pool.key, []).append(pool)
    meters = [from_json(Meter, data) for data in terms["meters"]]
    series = [from_json(NumberSeries, data) for data in terms["series"]]
    return Catalog(
        provider=from_json(ProviderTerms, terms["provider"]),
        meters={meter.key: meter for meter in meters},
        plans={key: tuple(versions) for key, versions in plans.items()},
        pools={key: tuple(versions) for key, versions in pools.items()},
        tax=TaxTable(tuple(from_json(TaxRate, data) for data in terms["tax"])),
        series={one.key: one for one in series},
    )


def _columns(text: str) -> dict[str, Any]:
    rows: dict[str, list[tuple[int, int, int]]] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), 2):
        try:
            rows.setdefault(row["series"], []).append((int(row["at"]), int(row["in"]), int(row["out"])))
        except (KeyError, ValueError, TypeError) as error:
            raise UnableToReplayError(
                f"samples.csv line {number}: expected series,at,in,out in whole numbers"
            ) from error
    return {key: tuple(np.array(column, np.int64) for column in zip(*own, strict=True)) for key, own in rows.items()}
