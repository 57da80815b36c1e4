"""What a new catalog would change, and what it must not: published versions are never edited, removed or back-dated.

`coulance plan` shows the changes; any fault stops `coulance apply`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from coulance_core.catalog.book import Catalog
from coulance_core.catalog.codec import to_json
from coulance_core.catalog.faults import Fault
from coulance_core.catalog.plans import PlanVersion, Pool

_FIXED_OF_METERS = ("kind", "unit", "scale", "counter_bits")
"""What stored samples are read by: a published meter keeps it."""


class ChangeKind(StrEnum):
    """What happens to a part of the catalog."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: its path inside its object, and its values as the canonical JSON has them (none: not there)."""

    path: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.old if self.old is not None else '-'} -> {self.new if self.new is not None else '-'}"
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One part of the catalog that differs. `services`: how many are on it (for a plan, on any of its versions)."""

    kind: ChangeKind
    what: str
    name: str
    fields: tuple[FieldChange, ...] = ()
    services: int = 0
    since: date | None = None

    def __str__(self) -> str:
        who = f", {self.services} service{'s' if self.services != 1 else ''}" if self.services else ""
        when = f" from {self.since.isoformat()}" if self.since else ""
        return f"{self.what} {self.name}: {self.kind}{when}{who}"


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that differs, and every fault that forbids applying it."""

    changes: tuple[Change, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether it may be applied."""
        return not self.faults

    @property
    def nothing(self) -> bool:
        """Whether the two catalogs say the same."""
        return not self.changes and not self.faults


@dataclass(slots=True)
class _Comparison:
    in_use: Mapping[str, int]
    closed_until: date | None
    changes: list[Change] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def compare(
    old: Catalog | None, new: Catalog, *, in_use: Mapping[str, int] | None = None, closed_until: date | None = None
) -> Changes:
    """What applying `new` over `old` would change, and what forbids it.

    `in_use`: services by plan key and by pool key (`pool:transfer`); `closed_until`: the first day that no closed
    period covers (none: nothing was closed yet). With no `old` catalog everything is new and nothing is forbidden.
    """
    if old is None:
        added = [Change(ChangeKind.ADDED, "plan", version.version) for vs in new.plans.values() for version in vs]
        added += [Change(ChangeKind.ADDED, "pool", pool.version) for pools in new.pools.values() for pool in pools]
        added += [Change(ChangeKind.ADDED, "meter", key) for key in new.meters]
        return Changes(tuple(added))
    state = _Comparison(in_use or {}, closed_until)
    provider = _differences(old.provider, new.provider)
    if provider:
        state.changes.append(Change(ChangeKind.CHANGED, "provider", new.provider.name, provider))
    if old.provider.currency != new.provider.currency and closed_until is not None:
        state.faults.append(Fault("provider.currency", "periods were closed in it: it cannot change"))
    _meters(state, old, new)
    for key in dict.fromkeys((*old.plans, *new.plans)):
        _versions(state, "plan", key, old.plans.get(key, ()), new.plans.get(key, ()), state.in_use.get(key, 0))
    for key in dict.fromkeys((*old.pools, *new.pools)):
        services = state.in_use.get(f"pool:{key}", 0)
        _versions(state, "pool", key, old.pools.get(key, ()), new.pools.get(key, ()), services)
    _tax(state, old, new)
    _by_key(state, "number series", old.series, new.series)
    _by_key(state, "collector", old.collectors, new.collectors)
    _by_key(state, "driver", old.drivers, new.drivers)
    sending = _differences(old.sending, new.sending)
    if sending:
        state.changes.append(Change(ChangeKind.CHANGED, "sending", new.provider.name, sending))
    overage = _differences(old.overage, new.overage)
    if overage:
        state.changes.append(Change(ChangeKind.CHANGED, "overage", new.provider.name, overage))
    for what in ("advice", "goodwill", "payments"):
        found = _differences(getattr(old, what), getattr(new, what))
        if found:
            state.changes.append(Change(ChangeKind.CHANGED, what, new.provider.name, found))
    return Changes(tuple(state.changes), tuple(state.faults))


def _versions(
    state: _Comparison,
    what: str,
    key: str,
    old: tuple[PlanVersion, ...] | tuple[Pool, ...],
    new: tuple[PlanVersion, ...] | tuple[Pool, ...],
    services: int,
) -> None:
    before = {version.valid_from: version for version in old}
    after = {version.valid_from: version for version in new}
    for day in sorted({*before, *after}):
        path = f"{what}s.{key}@{day.isoformat()}"
        if day not in after:
            gone = before[day]
            state.changes.append(Change(ChangeKind.REMOVED, what, gone.version, (), services, day))
            if services:
                state.faults.append(
                    Fault(path, f"{gone.version} is published and {_services(services)} on {key!r}: put it back")
                )
            elif state.closed_until is not None and day < state.closed_until:
                state.faults.append(Fault(path, f"{gone.version} priced periods that are closed: put it back"))
        elif day not in before:
            added = after[day]
            state.changes.append(Change(ChangeKind.ADDED, what, added.version, (), services, day))
            if state.closed_until is not None and day < state.closed_until and services:
                state.faults.append(
                    Fault(
                        path,
                        f"{added.version} would begin within periods that are closed (up to "
                        f"{state.closed_until.isoformat()}): expected valid_from on that day or later",
                    )
                )
        elif differences := _differences(before[day], after[day]):
            version = before[day].version
            state.changes.append(Change(ChangeKind.CHANGED, what, version, differences, services, day))
            priced = [one for one in differences if one.path not in ("name", "description")]
            if priced:
                said = ", ".join(one.path for one in priced[:3]) + (", ..." if len(priced) > 3 else "")
                state.faults.append(
                    Fault(
                        path,
                        f"{version} is published and cannot be edited ({said}): put it back, and add a new version "
                        f"of {key!r} with its own valid_from",
                    )
                )


def _services(number: int) -> str:
    return f"{number} service{' is' if number == 1 else 's are'}"


def _meters(state: _Comparison, old: Catalog, new: Catalog) -> None:
    _by_key(state, "meter", old.meters, new.meters)
    for key, meter in old.meters.items():
        other = new.meters.get(key)
        if other is None:
            continue
        for name in _FIXED_OF_METERS:
            if getattr(meter, name) != getattr(other, name):
                state.faults.append(
                    Fault(f"meters.{key}.{name}", "its samples are read by it: add a meter with another key instead")
                )


def _by_key(state: _Comparison, what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for key in dict.fromkeys((*old, *new)):
        if key not in new:
            state.changes.append(Change(ChangeKind.REMOVED, what, key))
        elif key not in old:
            state.changes.append(Change(ChangeKind.ADDED, what, key))
        elif differences := _differences(old[key], new[key]):
            state.changes.append(Change(ChangeKind.CHANGED, what, key, differences))


def _tax(state: _Comparison, old: Catalog, new: Catalog) -> None:
    def key(rate: Any) -> tuple[str, str, str, date]:
        return rate.code, rate.country, rate.tax_class, rate.valid_from

    before, after = ({key(rate): rate for rate in book.tax.rates} for book in (old, new))
    for one in dict.fromkeys((*before, *after)):
        code, country, tax_class, since = one
        name = f"{code} ({country} {tax_class} from {since.isoformat()})"
        path, closed = f"tax.{code}", state.closed_until is not None and since < state.closed_until
        if one not in after:
            state.changes.append(Change(ChangeKind.REMOVED, "tax rate", name, (), 0, since))
            if closed:
                state.faults.append(Fault(path, f"{name} holds in closed periods: end it with valid_until instead"))
        elif one not in before:
            state.changes.append(Change(ChangeKind.ADDED, "tax rate", name, (), 0, since))
            if closed:
                state.faults.append(Fault(path, f"{name} would begin within closed periods"))
        elif differences := _differences(before[one], after[one]):
            state.changes.append(Change(ChangeKind.CHANGED, "tax rate", name, differences, 0, since))
            ends_later = all(
                change.path == "valid_until" and _after(change.new, state.closed_until) for change in differences
            )
            if closed and not ends_later:
                state.faults.append(Fault(path, f"{name} was charged in closed periods: add a new rate from a date"))


def _after(day: str | None, closed_until: date | None) -> bool:
    return day is None or closed_until is None or date.fromisoformat(day) >= closed_until


def _differences(old: Any, new: Any) -> tuple[FieldChange, ...]:
    """The fields of two terms of one type that differ, by path."""
    if old == new:
        return ()
    before, after = (dict(_flat(to_json(terms, defaults=True))) for terms in (old, new))
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in dict.fromkeys((*before, *after))
        if before.get(path) != after.get(path)
    )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf with its path. A list's items go by their key where they have one, so that order hides nothing."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            name = item["key"] if isinstance(item, Mapping) and "key" in item else str(i)
            yield from _flat(item, f"{path}[{name}]")
    elif value is not None:
        yield path, str(value)
