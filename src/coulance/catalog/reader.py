"""From the files to core's catalog: reads by the field tables, checks names, builds terms, maps faults to lines."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from coulance.catalog.building import rename, same_names
from coulance.catalog.collector_tables import collector
from coulance.catalog.driver_tables import driver
from coulance.catalog.faults import Fault, listed, nearest
from coulance.catalog.fields import Faulty, Reading, Record
from coulance.catalog.policy_building import PolicyBuilder
from coulance.catalog.provider_file import FOREIGN, ROOT
from coulance.catalog.sources import Sources, from_texts, load
from coulance.catalog.toml_tree import Node
from coulance_core.catalog import terms as core
from coulance_core.kernel import Dimension, Quantity, Unit, UnitPrice, unit

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ProviderFile:
    """A provider file as read: its texts, its faults, and the catalog when it has none."""

    sources: Sources
    faults: tuple[Fault, ...]
    catalog: core.Catalog | None
    places: dict[str, Node]
    """Where each plan version stands, by its identity (`vps-s@2026-01-01`), and `plans.KEY`, `meters.KEY`, ..."""


def read_provider_file(path: Path) -> ProviderFile:
    """Read a provider file and all it includes from disk; every fault at once."""
    reading = Reading()
    tree, sources = load(path, reading.faults)
    return _read(tree, sources, reading)


def read_sources(sources: Sources) -> ProviderFile:
    """Read texts that were kept."""
    reading = Reading()
    return _read(from_texts(sources, reading.faults), sources, reading)


def _read(tree: Node, sources: Sources, reading: Reading) -> ProviderFile:
    record = ROOT.read(tree, reading)
    assert isinstance(record, Record)
    builder = _Builder(record, reading)
    catalog = builder.catalog()
    faults = reading.faults.sorted()
    return ProviderFile(sources, faults, None if faults else catalog, builder.places)


class _Builder(PolicyBuilder):
    """Builds core's terms from records, table by table. A core fault becomes a fault at the line it came from."""

    def __init__(self, root: Record, reading: Reading) -> None:
        super().__init__(root, reading)
        self.unknown: set[str] = set()
        self.places: dict[str, Node] = {
            name: record.node for name, record in root.values.items() if isinstance(record, Record)
        }
        provider = root.get("provider")
        found = provider.get("currency") if isinstance(provider, Record) else None
        self.currency: str | None = found.code if found is not None else None

    def catalog(self) -> core.Catalog | None:
        self._check_names()
        provider = self.provider()
        meters = dict(self._each("meters", self._meter))
        pools: dict[str, tuple[core.Pool, ...]] = {}
        for key, record in self._tables("pools"):
            if shared := self._versions(key, record, self._pool):
                pools[key] = shared
        plans: dict[str, tuple[core.PlanVersion, ...]] = {}
        for key, record in self._tables("plans"):
            if sold := self._versions(key, record, self._plan):
                plans[key] = sold
        tax = self._tax()
        series = self._numbers()
        collectors = dict(self._each("collectors", partial(collector, self, meters)))
        drivers = dict(self._each("drivers", partial(driver, self)))
        sending = self.sending() or core.SendingTerms()
        overage = self.overage() or core.OverageTerms()
        advice = self.advice() or core.AdviceTerms()
        goodwill = self.goodwill() or core.GoodwillTerms()
        payments = self.payments() or core.PaymentTerms()
        if provider is None:
            return None
        try:
            return core.Catalog(
                provider,
                meters,
                plans,
                pools,
                tax,
                series,
                collectors,
                sending,
                overage,
                drivers,
                advice=advice,
                goodwill=goodwill,
                payments=payments,
                tables={one.name: found for one in FOREIGN if isinstance(found := self.root.get(one.name), dict)},
            )
        except core.TermsError as error:
            self._catalog_faults(error)
            return None

    # names

    def _check_names(self) -> None:
        known: dict[str, set[str]] = {
            table: set(node.value) if (node := self._node(table)) and isinstance(node.value, dict) else set()
            for table in ("meters", "pools", "plans")
        }
        known["tax class"] = {record["class"] for record in self.root.get("tax", ()) if "class" in record.values}
        for reference in self.reading.references:
            names = known[reference.table]
            # Where lines were taken out for their syntax, a name may have been there.
            if reference.name in names or (self.root.node.broken and not nearest(reference.name, names)):
                continue
            self.unknown.add(reference.name)
            one = reference.table.removesuffix("s") if reference.table != "tax class" else "tax class"
            self.reading.fault(
                reference.node,
                f"unknown {one} {reference.name!r}",
                f"{listed(sorted(names))}" if names else f"one of [{reference.table}.*], and there are none",
                nearest(reference.name, names),
            )

    def _node(self, table: str) -> Node | None:
        value = self.root.node.value
        return value.get(table) if isinstance(value, dict) else None

    def _tables(self, table: str) -> Iterator[tuple[str, Record]]:
        found = self.root.get(table, {})
        for key, record in found.items():
            self.places[f"{table}.{key}"] = record.node
            yield key, record

    def _each(self, table: str, build: Callable[[str, Record], "_T | None"]) -> Iterator[tuple[str, _T]]:
        for key, record in self._tables(table):
            if record.whole and (built := build(key, record)) is not None:
                yield key, built

    # building

    def _tax(self) -> core.TaxTable:
        rates: list[core.TaxRate] = []
        nodes: list[Node] = []
        renamed = {"tax_class": "class", "valid_from": "from", "valid_until": "until"}
        names = same_names(core.TaxRate, renamed)
        for record in self.root.get("tax", ()):
            rate = record.whole and self.made(record.node, renamed, partial(core.TaxRate, **record.some(**names)))
            if rate:
                rates.append(rate)
                nodes.append(record.node)
        seen: dict[tuple[object, ...], Node] = {}
        for rate, node in zip(rates, nodes, strict=True):
            key = (rate.country, rate.tax_class, rate.valid_from, rate.kind is core.TaxKind.REVERSE_CHARGE)
            if key in seen:
                what = f"{rate.country} {rate.tax_class!r} from {rate.valid_from}"
                found = f"{what} is already defined at {seen[key].place}"
                self.reading.fault(node.at("from") or node, found, "one rate for each country, class and day")
            seen.setdefault(key, node)
        return core.TaxTable(tuple(rates)) if len(seen) == len(rates) else core.TaxTable()

    def _numbers(self) -> dict[str, core.NumberSeries]:
        table = self.root.get("series")
        out: dict[str, core.NumberSeries] = {}
        formats: dict[str, Node] = {}
        if not isinstance(table, Record):
            return out
        for key, record in table.values.items():
            if not record.whole:
                continue
            made = self.made(record.node, {}, partial(core.NumberSeries, key, **record.values))
            if made is None:
                continue
            out[key] = made
            node = record.place("format")
            shape = re.sub(r"\{number[^}]*\}", "{number}", made.format)
            if shape in formats:
                found = f"{made.format!r} gives the same numbers as the series at {formats[shape].place}"
                self.reading.fault(node, found, "a format of its own")
            formats.setdefault(shape, node)
        return out

    def _meter(self, key: str, record: Record) -> core.Meter | None:
        values = dict(record.values)
        if "interval" in values:
            seconds = values.pop("interval").to(unit("s")).value
            if seconds.denominator != 1:
                self.reading.fault(record.place("interval"), f"{seconds} seconds", "whole seconds")
                return None
            values["interval_s"] = int(seconds)
        if "max_rate" in values and (rate := self._rate(record, values["unit"])) is not None:
            values["max_rate"] = rate
        elif "max_rate" in values:
            return None
        return self.made(record.node, {"interval_s": "interval"}, lambda: core.Meter(key=key, **values))

    def _rate(self, record: Record, of: Unit) -> Fraction | None:
        """A meter's greatest rate in its own unit a second: bits become bytes where bytes are counted."""
        quantity: Quantity = record["max_rate"]
        if of.dimension is Dimension.DATA and quantity.unit.dimension is Dimension.RATE:
            return quantity.value * quantity.unit.size / 8 / of.size
        if quantity.unit == of:
            return quantity.value
        expected = 'a rate, such as "10 Gbit/s"' if of.dimension is Dimension.DATA else f"so many {of.name} a second"
        self.reading.fault(record.place("max_rate"), str(quantity), expected)
        return None

    # versions of plans and pools

    def _versions(
        self, key: str, record: Record, build: Callable[[str, Record, Record], "_T | None"]
    ) -> tuple[_T, ...]:
        seen: dict[date, Node] = {}
        built: list[tuple[date, _T]] = []
        whole = True
        for version in record.get("versions", ()):
            since = version.get("from")
            if since is not None and since in seen:
                found = f"another version from {since}; the first is at {seen[since].place}"
                self.reading.fault(version.place("from"), found, "a day of its own for each version")
                whole = False
                continue
            if since is not None:
                seen[since] = version.place("from")
                prefix = "pool:" if record.node.path.startswith("pools.") else ""
                self.places[f"{prefix}{key}@{since.isoformat()}"] = version.node
            made = build(key, record, version)
            if made is None:
                whole = False
            else:
                built.append((since, made))
        return tuple(made for _, made in sorted(built, key=lambda pair: pair[0])) if whole else ()

    def _plan(self, key: str, plan: Record, version: Record) -> core.PlanVersion | None:
        code = self._code(version)
        if code is None:
            return None
        charges = [self._charge(k, charge, code) for k, charge in version.get("charges", {}).items()]
        base = self._base(version, code) if "base" in version.values else None
        if not (version.whole and "name" in plan.values) or None in charges or ("base" in version.values and not base):
            return None
        return self.made(
            version.node,
            {"valid_from": "from"},
            lambda: core.PlanVersion(
                plan=key,
                name=plan["name"],
                valid_from=version["from"],
                currency=code,
                base=base,
                charges=tuple(c for c in charges if c is not None),
                **plan.some(tax_class="tax_class", description="description"),
            ),
        )

    def _pool(self, key: str, pool: Record, version: Record) -> core.Pool | None:
        code = self._code(version)
        if code is None or not version.whole or "name" not in pool.values:
            return None
        measure = self._measure(version)
        if measure is None:
            return None
        price, spend = self.price(version, measure.unit, code), self._spend(version, code)
        if price is None or spend is None:
            return None
        return self.made(
            version.node,
            _MEASURE,
            lambda: core.Pool(
                key=key,
                name=pool["name"],
                valid_from=version["from"],
                currency=code,
                measure=measure,
                price=price,
                **spend,
                **version.some(proration="proration", tax_class="tax_class"),
            ),
        )

    def _code(self, version: Record) -> str | None:
        own = version.get("currency")
        return own.code if own is not None else self.currency

    def _base(self, version: Record, code: str) -> core.BaseFee | None:
        base = version["base"]
        node = version.place("base")
        record = base if isinstance(base, Record) else Record(node, {"price": base}, True)
        if not record.whole:
            return None
        amount, named, months = record["price"]
        if not self.same_currency(record.place("price"), named, code):
            return None
        names = same_names(core.BaseFee, {})
        return self.made(node, {"amount": "price"}, lambda: core.BaseFee(amount, months, **record.some(**names)))

    def _charge(self, key: str, record: Record, code: str) -> core.UsageCharge | None:
        if not record.whole:
            return None
        measure = self._measure(record)
        if measure is None:
            return None
        price: core.PriceModel | None
        if "price" in record.values:
            price = self.price(record, measure.unit, code)
        elif "pool" in record.values:
            price = core.PerUnit(Fraction(0))  # the pool's price applies; the member has none of its own
        else:
            self.reading.faults.add(
                record.node.key, record.node.path, "'price' is missing", 'a price, such as "0.10 EUR/GB", or a pool'
            )
            price = None
        allowance, commitment = self._allowance(record), self._commitment(record, code)
        spend = self._spend(record, code)
        if price is None or spend is None or isinstance(allowance, Faulty) or isinstance(commitment, Faulty):
            return None
        return self.made(
            record.node,
            _MEASURE | {"allowance": "included"},
            lambda: core.UsageCharge(
                key=key,
                name=record["name"],
                measure=measure,
                price=price,
                allowance=allowance,
                commitment=commitment,
                **spend,
                **record.some(proration="proration", on_change="on_change", pool="pool", tax_class="tax_class"),
            ),
        )

    def _measure(self, record: Record) -> core.Measure | None:
        in_unit = record.get("unit") or self._unit_of(record)
        percentile: core.PercentileTerms | None = None
        if (said := record.get("percentile")) is not None:
            percentile = self.made(said.node, {}, lambda: core.PercentileTerms(**said.values))
            if percentile is None:
                return None
        step: Fraction | None = None
        if "round_to" in record.values:
            converted = self.to(record, "round_to", record["round_to"], in_unit)
            if converted is None:
                return None
            step = converted
        return self.made(
            record.node,
            _MEASURE,
            lambda: core.Measure(
                meter=record["meter"],
                aggregation=record.get("aggregation", core.Aggregation.SUM),
                unit=in_unit,
                percentile=percentile,
                round_step=step,
                **record.some(direction="direction", round_rule="rounding"),
            ),
        )

    def _unit_of(self, record: Record) -> Unit:
        """The unit a charge is priced in when it does not say: its price's, else its quantities', else its meter's."""
        for quantity in _quantities(record):
            return quantity
        meter = self.root.get("meters", {}).get(record["meter"])
        return meter["unit"] if meter is not None and "unit" in meter.values else unit("1")

    def _allowance(self, record: Record) -> "core.Allowance | Faulty | None":
        said = record.get("included")
        if said is None:
            return None
        node = record.place("included")
        values = dict(said.values) if isinstance(said, Record) else {"quantity": said}
        return self.made(node, {}, lambda: core.Allowance(**values)) or Faulty()

    def _commitment(self, record: Record, code: str) -> "core.Commitment | Faulty | None":
        said = record.get("commitment")
        if said is None:
            return None
        amount, named, _ = said["fee"]
        if not self.same_currency(said.place("fee"), named, code):
            return Faulty()
        values = {**said.values, "fee": amount}
        return self.made(said.node, {}, lambda: core.Commitment(**values)) or Faulty()

    def _spend(self, record: Record, code: str) -> dict[str, Any] | None:
        out: dict[str, Any] = {}
        for key in ("minimum_spend", "maximum_spend"):
            if key in record.values:
                amount, named = record[key]
                if not self.same_currency(record.place(key), named, code):
                    return None
                out[key] = amount
        return out

    # between the parts

    def _catalog_faults(self, error: core.TermsError) -> None:
        """Faults between the parts. Names that were found unknown where they are written are not told once more."""
        for fault in error.faults:
            named = re.search(r"(?:unknown (?:meter|pool)|no tax rate has the class) '([^']*)'", fault.message)
            if named and named[1] in self.unknown:
                continue
            if fault.message.startswith("missing ") and self.reading.faults:
                continue  # a number series that was at fault itself
            found = re.match(r"(plans|pools)\.(?:(\S+?@[\d-]{10})\.?)?(?:charges\[(\d+)\]\.?)?(.*)$", fault.field)
            node = self.root.node
            if found and found[2]:
                prefix = "pool:" if found[1] == "pools" else ""
                node = self.places.get(prefix + found[2], node)
                if found[3] is not None and (charges := node.at("charges")) and isinstance(charges.value, dict):
                    node = list(charges.value.values())[int(found[3])]
                node = node.at(rename(found[4], _MEASURE)) or node
            self.reading.fault(node, fault.message)


_MEASURE = {"measure.": "", "measure": "", "valid_from": "from", "round_step": "round_to", "round_rule": "rounding"}


def _quantities(record: Record) -> Iterator[Unit]:
    """The units a charge names, the price's first."""
    price = record.get("price")
    if isinstance(price, UnitPrice):
        yield price.per
    elif isinstance(price, Record):
        # "0.10 EUR/GB" says what is priced; "4 TB" only where a tier ends
        yield from _units(price.values.values(), UnitPrice)
        yield from _units(price.values.values(), Quantity)
    for key in ("commitment", "included"):
        said = record.get(key)
        if isinstance(said, Quantity):
            yield said.unit
        elif isinstance(said, Record):
            yield from _units(said.values.values(), Quantity)


def _units(values: Iterable[Any], kind: type[UnitPrice] | type[Quantity]) -> Iterator[Unit]:
    for value in values:
        if isinstance(value, kind):
            yield value.per if isinstance(value, UnitPrice) else value.unit
        elif isinstance(value, Record):
            yield from _units(value.values.values(), kind)
        elif isinstance(value, list):
            yield from _units(value, kind)
