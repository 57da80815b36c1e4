"""The whole catalog at one revision: every version of every plan and pool, found by key and day."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any, TypeVar

from coulance_core.catalog.collectors import Collector
from coulance_core.catalog.drivers import Driver
from coulance_core.catalog.fairness import AdviceTerms, GoodwillTerms
from coulance_core.catalog.faults import Fault, refuse
from coulance_core.catalog.meters import Measure, Meter
from coulance_core.catalog.overage import OverageTerms
from coulance_core.catalog.paying import PaymentTerms
from coulance_core.catalog.plans import PlanVersion, Pool, UsageCharge
from coulance_core.catalog.provider import NumberSeries, ProviderTerms, TaxTable
from coulance_core.catalog.sending import SendingTerms

SERIES_KEYS = ("base", "overage", "credit")
"""The number series that billing needs."""

_Versioned = TypeVar("_Versioned", PlanVersion, Pool)


class NotInCatalogError(LookupError):
    """No such plan, pool, meter or charge, or none in force on that day. The message names what there is."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything the provider's file says, history included; versions sorted by `valid_from`."""

    provider: ProviderTerms
    meters: Mapping[str, Meter] = field(default_factory=dict)
    plans: Mapping[str, tuple[PlanVersion, ...]] = field(default_factory=dict)
    pools: Mapping[str, tuple[Pool, ...]] = field(default_factory=dict)
    tax: TaxTable = field(default_factory=TaxTable)
    series: Mapping[str, NumberSeries] = field(default_factory=dict)
    collectors: Mapping[str, Collector] = field(default_factory=dict)
    sending: SendingTerms = field(default_factory=SendingTerms)
    overage: OverageTerms = field(default_factory=OverageTerms)
    drivers: Mapping[str, Driver] = field(default_factory=dict)
    advice: AdviceTerms = field(default_factory=AdviceTerms)
    goodwill: GoodwillTerms = field(default_factory=GoodwillTerms)
    payments: PaymentTerms = field(default_factory=PaymentTerms)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tables of rooms above this one, as plain values that their owners read: arrears, sla, contracts."""

    def __post_init__(self) -> None:
        refuse("catalog", self.faults())

    def plan_version(self, key: str, on: date) -> PlanVersion:
        """The version of a plan in force on a day. Raises `NotInCatalogError`."""
        return _in_force("plan", key, self.plans, on)

    def plan_versions_between(self, key: str, start: date, end: date) -> tuple[PlanVersion, ...]:
        """Every version of a plan in force at some day of [start, end), oldest first."""
        versions = self.plans.get(key)
        if versions is None:
            raise NotInCatalogError(_unknown("plan", key, self.plans))
        return tuple(
            version
            for version, following in zip(versions, [*versions[1:], None], strict=True)
            if version.valid_from < end and (following is None or following.valid_from > start)
        )

    def version(self, identity: str) -> PlanVersion:
        """The plan version of that identity (`vps-s@2026-01-01`). Raises `NotInCatalogError`."""
        key = identity.rpartition("@")[0]
        for version in self.plans.get(key, ()):
            if version.version == identity:
                return version
        raise NotInCatalogError(f"no plan version {identity!r}")

    def pool(self, key: str, on: date) -> Pool:
        """The version of a pool in force on a day. Raises `NotInCatalogError`."""
        return _in_force("pool", key, self.pools, on)

    def meter(self, key: str) -> Meter:
        """The meter of that key. Raises `NotInCatalogError`."""
        try:
            return self.meters[key]
        except KeyError:
            raise NotInCatalogError(_unknown("meter", key, self.meters)) from None

    def faults(self) -> Iterator[Fault]:
        """Everything wrong between its parts."""
        for key, meter in self.meters.items():
            if key != meter.key:
                yield Fault(f"meters.{key}", f"holds the meter {meter.key!r}")
        for key in SERIES_KEYS:
            if key not in self.series:
                yield Fault("series", f"missing {key!r}: billing numbers {', '.join(SERIES_KEYS)}")
        for key, versions in self.plans.items():
            yield from _order_faults(f"plans.{key}", key, [v.plan for v in versions], [v.valid_from for v in versions])
            for version in versions:
                for i, charge in enumerate(version.charges):
                    for fault in self._charge_faults(version, charge):
                        yield fault.under(f"plans.{version.version}.charges[{i}]")
                yield from self._class_faults(f"plans.{version.version}.tax_class", version.tax_class)
        for key, pools in self.pools.items():
            yield from _order_faults(f"pools.{key}", key, [p.key for p in pools], [p.valid_from for p in pools])
            for pool in pools:
                for fault in self._measure_faults(pool.measure):
                    yield fault.under(f"pools.{key}@{pool.valid_from}.measure")
                yield from self._class_faults(f"pools.{key}@{pool.valid_from}.tax_class", pool.tax_class)

        for key, collector in self.collectors.items():
            for fault in collector.meter_faults(self.meters):
                yield fault.under(f"collectors.{key}")
            for i, rule in enumerate(collector.rules):
                if rule.meter not in self.meters:
                    yield Fault(f"collectors.{key}.rules[{i}].meter", _unknown("meter", rule.meter, self.meters))

    def _class_faults(self, path: str, tax_class: str) -> Iterator[Fault]:
        known = self.tax.classes()
        if known and tax_class not in known:
            yield Fault(path, f"no tax rate has the class {tax_class!r}: expected one of {', '.join(known)}")

    def _measure_faults(self, measure: Measure) -> Iterator[Fault]:
        meter = self.meters.get(measure.meter)
        if meter is None:
            yield Fault("meter", _unknown("meter", measure.meter, self.meters))
        else:
            yield from measure.faults_with(meter)

    def _charge_faults(self, version: PlanVersion, charge: UsageCharge) -> Iterator[Fault]:
        for fault in self._measure_faults(charge.measure):
            yield fault.under("measure")
        if charge.tax_class:
            yield from self._class_faults("tax_class", charge.tax_class)
        if charge.pool is None:
            return
        pools = self.pools.get(charge.pool)
        if pools is None:
            yield Fault("pool", _unknown("pool", charge.pool, self.pools))
            return
        if pools[0].valid_from > version.valid_from:
            yield Fault("pool", f"pool {charge.pool!r} begins {pools[0].valid_from}, after {version.version}")
        for pool in pools:
            if pool.currency != version.currency:
                yield Fault("pool", f"pool {charge.pool!r} is in {pool.currency}, the plan in {version.currency}")
            ours, theirs = charge.measure, pool.measure
            if (ours.meter, ours.direction) != (theirs.meter, theirs.direction):
                yield Fault(
                    "measure",
                    f"pool {charge.pool!r} measures {theirs.meter} {theirs.direction}, "
                    f"this charge {ours.meter} {ours.direction}",
                )


def _unknown(what: str, key: str, known: Mapping[str, object]) -> str:
    return f"unknown {what} {key!r}: expected one of {', '.join(sorted(known)) or '(there are none)'}"


def _in_force(what: str, key: str, table: Mapping[str, tuple[_Versioned, ...]], on: date) -> _Versioned:
    versions = table.get(key)
    if versions is None:
        raise NotInCatalogError(_unknown(what, key, table))
    for version in reversed(versions):
        if version.valid_from <= on:
            return version
    first = versions[0].valid_from.isoformat() if versions else "never"
    raise NotInCatalogError(f"{what} {key!r} begins {first}: nothing is in force on {on.isoformat()}")


def _order_faults(path: str, key: str, keys: Sequence[str], dates: Sequence[date]) -> Iterator[Fault]:
    if not keys:
        yield Fault(path, "expected at least one version")
    for own in keys:
        if own != key:
            yield Fault(path, f"holds a version of {own!r}")
    for earlier, later in pairwise(dates):
        if earlier >= later:
            yield Fault(path, f"versions are sorted by valid_from, one a day: {earlier} is before {later}")
