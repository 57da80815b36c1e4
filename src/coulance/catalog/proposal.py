"""What applying a provider file would do to what is applied: the changes in words, and what is refused with its line.

Three things are refused: a published version that is edited or left out, terms in use that vanish, and a new version
whose day lies in a period that is closed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

from coulance.catalog.faults import Fault, Faults, Place
from coulance.catalog.reader import ProviderFile
from coulance.catalog.toml_tree import Node
from coulance_core.catalog import terms as core
from coulance_core.catalog.codec import digest
from coulance_core.kernel import Money, Quantity, Rounding, Unit, show

Version = core.PlanVersion | core.Pool


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `plan` is the plan whose services it touches (empty: none), from `since` on."""

    what: str
    details: tuple[str, ...] = ()
    plan: str = ""
    since: date | None = None

    def __str__(self) -> str:
        return self.what + (f" ({'; '.join(self.details)})" if self.details else "")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What applying a file would do. `versions` are the new ones; nothing may be applied while there are faults."""

    nothing_to_do: bool
    changes: tuple[Change, ...]
    faults: tuple[Fault, ...]
    versions: tuple[Version, ...]


def identity_digest(version: Version) -> str:
    """The digest of a version's terms, without the texts that may be corrected any time."""
    blank = {"name": ""} | ({"description": ""} if isinstance(version, core.PlanVersion) else {})
    plain = replace(version, **blank)  # type: ignore[arg-type]
    if isinstance(plain, core.PlanVersion):
        plain = replace(plain, charges=tuple(replace(charge, name="") for charge in plain.charges))
    return digest(plain)


def propose_changes(
    file: ProviderFile,
    *,
    applied: core.Catalog | None,
    sold: tuple[str, ...],
    published: Mapping[str, str],
    same_texts: bool,
    closed_until: date | None,
    plans_in_use: Mapping[str, int],
) -> Proposal:
    """Compare a file with what is applied. `published` maps each version's identity to its digest.

    `closed_until` is the first day that no closed period covers; `plans_in_use` counts services by plan.
    """
    if file.catalog is None:
        return Proposal(False, (), file.faults, ())
    if same_texts:
        return Proposal(True, (), (), ())
    comparing = _Comparing(file, file.catalog, applied, sold, published, closed_until, plans_in_use)
    comparing.compare()
    return Proposal(False, tuple(comparing.changes), comparing.faults.sorted(), tuple(comparing.versions))


def fee_change(before: Version | None, after: Version, units: int = 1) -> Money | None:
    """How much more so many units cost in base fees, a month; none where one of the two has no base fee."""
    if not (isinstance(before, core.PlanVersion) and isinstance(after, core.PlanVersion)):
        return None
    if before.base is None or after.base is None:
        return None
    each = after.base.amount / after.base.interval_months - before.base.amount / before.base.interval_months
    return Money.of(each * units, after.currency, Rounding.HALF_UP)


def signed(money: Money) -> str:
    """With its sign, whichever it is.

    >>> signed(Money(150, "EUR"))
    '+1.50 EUR'
    """
    return f"{'+' if money.minor > 0 else ''}{money}"


@dataclass(slots=True)
class _Comparing:
    file: ProviderFile
    new: core.Catalog
    old: core.Catalog | None
    sold: tuple[str, ...]
    published: Mapping[str, str]
    closed_until: date | None
    in_use: Mapping[str, int]
    changes: list[Change] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    def compare(self) -> None:
        self._settings()
        self._meters()
        for what, table in (("plan", self.new.plans), ("pool", self.new.pools)):
            for key, versions in table.items():
                self._versions(what, key, versions)
        self._left_out()
        if self.old is not None and not self.changes and not self.faults:
            self.changes.append(Change("only texts and comments of the files differ; no terms change"))

    def _settings(self) -> None:
        if self.old is None:
            self.changes.append(Change(f"the first provider file: {self.new.provider.name}"))
            return
        for line in difference(_full(self.old.provider), _full(self.new.provider)):
            self.changes.append(Change(f"provider: {line}"))
        if self.old.provider.currency != self.new.provider.currency:
            found = f"the currency was {self.old.provider.currency} when this was first applied"
            self._fault("provider", "currency", found, f"{self.old.provider.currency}: the books are kept in it")
        for key in sorted({*self.old.series, *self.new.series}):
            before, after = self.old.series.get(key), self.new.series.get(key)
            for line in difference(before and _full(before), after and _full(after)):
                self.changes.append(Change(f"series {key}: {line}"))
        for key in sorted({*self.old.collectors, *self.new.collectors}):
            self._collector(key, self.old.collectors.get(key), self.new.collectors.get(key))
        for key in sorted({*self.old.drivers, *self.new.drivers}):
            self._driver(key, self.old.drivers.get(key), self.new.drivers.get(key))
        for line in difference(_full(self.old.sending), _full(self.new.sending)):
            self.changes.append(Change(f"sending: {line}"))
        for line in difference(_full(self.old.overage), _full(self.new.overage)):
            self.changes.append(Change(f"overage: {line}"))
        for line in difference(_full(self.old.advice), _full(self.new.advice)):
            self.changes.append(Change(f"advice: {line}"))
        for line in difference(_full(self.old.goodwill), _full(self.new.goodwill)):
            self.changes.append(Change(f"goodwill: {line}"))
        for line in difference(_full(self.old.payments), _full(self.new.payments)):
            self.changes.append(Change(f"payments: {line}"))
        for name in sorted({*self.old.tables, *self.new.tables}):
            was_said, is_said = self.old.tables.get(name), self.new.tables.get(name)
            if was_said is None or is_said is None:
                self.changes.append(Change(f"{name}: the table is {'new' if was_said is None else 'taken out'}"))
            else:
                self.changes += (Change(f"{name}: {line}") for line in difference(was_said, is_said))
        before_rates = {_rate_key(rate): rate for rate in self.old.tax.rates}
        after_rates = {_rate_key(rate): rate for rate in self.new.tax.rates}
        for name in sorted({*before_rates, *after_rates}):
            was, will = before_rates.get(name), after_rates.get(name)
            if was is None:
                self.changes.append(Change(f"tax: new rate {name}"))
            elif will is None:
                self.changes.append(Change(f"tax: rate {name} is taken out; documents issued keep it"))
            else:
                for line in difference(_full(was), _full(will)):
                    self.changes.append(Change(f"tax: {name}: {line}; documents issued keep what they say"))

    def _collector(self, key: str, before: core.Collector | None, after: core.Collector | None) -> None:
        if before is None or after is None:
            said = "new collector" if after else "collector taken out"
            self.changes.append(Change(f"{said}: {key} ({(after or before).kind})"))  # type: ignore[union-attr]
            return
        for line in difference(_full(before), _full(after)):
            self.changes.append(Change(f"collector {key}: {line}"))

    def _driver(self, key: str, before: core.Driver | None, after: core.Driver | None) -> None:
        if before is None or after is None:
            said = "new driver" if after else "driver taken out"
            self.changes.append(Change(f"{said}: {key} ({(after or before).kind})"))  # type: ignore[union-attr]
            return
        for line in difference(_full(before), _full(after)):
            self.changes.append(Change(f"driver {key}: {line}"))

    def _meters(self) -> None:
        old = self.old.meters if self.old else {}
        used = {charge.measure.meter for _, charge in self._old_charges()} | {
            pool.measure.meter for pools in (self.old.pools.values() if self.old else ()) for pool in pools
        }
        for key, meter in self.new.meters.items():
            if key not in old:
                self.changes.append(Change(f"new meter {key} ({meter.kind} of {meter.unit.name})"))
                continue
            lines = list(difference(_full(old[key]), _full(meter)))
            for line in lines:
                self.changes.append(Change(f"meter {key}: {line}"))
            for name in ("kind", "unit", "scale"):
                was = getattr(old[key], name)
                if was != getattr(meter, name) and key in used:
                    shown = was.name if isinstance(was, Unit) else was
                    found = f"meter {key!r} is in use, and its {name} was {shown}: samples would read differently"
                    self._fault(f"meters.{key}", name, found, "a new meter under another name")
        for key in old:
            if key not in self.new.meters:
                if key in used:
                    found = f"meter {key!r} is left out, and published versions measure by it"
                    self._fault("meters", "", found, f"[meters.{key}] as it was")
                else:
                    self.changes.append(Change(f"meter {key} is taken out"))

    def _old_charges(self) -> Iterator[tuple[core.PlanVersion, core.UsageCharge]]:
        for versions in (self.old.plans if self.old else {}).values():
            for version in versions:
                for charge in version.charges:
                    yield version, charge

    def _versions(self, what: str, key: str, versions: tuple[Version, ...]) -> None:
        table: Mapping[str, tuple[Version, ...]] = {}
        if self.old is not None:
            table = self.old.plans if what == "plan" else self.old.pools
        known = table.get(key, ())
        if not known:
            self.changes.append(Change(f"new {what} {key}"))
        elif what == "plan" and key not in self.sold:
            self.changes.append(Change(f"plan {key} is sold again"))
        for version in versions:
            digest_before = self.published.get(version.version)
            if digest_before is None:
                self._new_version(what, key, version, known)
            elif digest_before != identity_digest(version):
                before = next(v for v in known if v.valid_from == version.valid_from)
                self._edited(version, before)
            else:
                before = next(v for v in known if v.valid_from == version.valid_from)
                for line in difference(_full(before), _full(version)):
                    self.changes.append(Change(f"{version.version}: {line}"))
        for version in known:
            if all(version.valid_from != other.valid_from for other in versions):
                found = f"{version.version} is published, and left out here"
                self._fault(f"{what}s.{key}", "versions", found, "the version as it was; a change is a later version")

    def _new_version(self, what: str, key: str, version: Version, known: tuple[Version, ...]) -> None:
        self.versions.append(version)
        earlier = [v for v in known if v.valid_from < version.valid_from]
        before = earlier[-1] if earlier else None
        details = tuple(difference(before and _bare(before), _bare(version))) if before else ()
        details += tuple(self._fee_change(before, version))
        self.changes.append(
            Change(
                f"{version.version}: {'new version' if known else 'first version'} from {version.valid_from}",
                details,
                key if what == "plan" and known else "",
                version.valid_from,
            )
        )
        if known and self.closed_until is not None and version.valid_from < self.closed_until:
            found = f"{version.valid_from} lies in a period that is closed"
            self._fault(version.version, "from", found, f"a day from {self.closed_until} on")

    def _fee_change(self, before: Version | None, after: Version) -> Iterator[str]:
        change = fee_change(before, after)
        if change is not None and change.minor:
            yield f"base {signed(change)} a month for each unit"

    def _edited(self, version: Version, before: Version) -> None:
        lines = list(difference(_bare(before), _bare(version)))
        found = f"{version.version} is published and cannot be edited ({'; '.join(lines) or 'its terms differ'})"
        self._fault(
            version.version,
            lines[0].split(": ")[0] if lines else "",
            found,
            "it as it was, and a new version from a later day",
        )

    def _left_out(self) -> None:
        if self.old is None:
            return
        for key in self.old.plans:
            if key in self.new.plans:
                continue
            if count := self.in_use.get(key, 0):
                found = f"plan {key!r} is left out, and {count} service{'s are' if count > 1 else ' is'} on it"
                self._fault("plans", "", found, f"[plans.{key}] as it was, until they have another plan")
            elif key in self.sold:
                self.changes.append(Change(f"plan {key} is no longer sold; its versions stay published"))
        members = {c.pool for v, c in self._old_charges() if c.pool and self.in_use.get(v.plan)}
        for key in self.old.pools:
            if key not in self.new.pools and key in members:
                self._fault(
                    "pools", "", f"pool {key!r} is left out, and services are in it", f"[pools.{key}] as it was"
                )

    def _fault(self, where: str, key: str, found: str, expected: str) -> None:
        node = self.file.places.get(where)
        if node is not None and key:
            node = node.at(key) or node
        place = _place(node) if node is not None else Place(self.file.sources.root)
        self.faults.add(place, node.path if node is not None else where, found, expected)


def _place(node: Node) -> Place:
    return node.place if node.place.line else node.key


def _rate_key(rate: core.TaxRate) -> str:
    kind = "" if rate.kind is core.TaxKind.STANDARD else f" {rate.kind}"
    return f"{rate.country} {rate.tax_class}{kind} from {rate.valid_from}"


# core's names for what the provider file calls otherwise
_OURS = {
    "amount": "price",
    "unit_price": "price",
    "allowance": "included",
    "round_step": "round_to",
    "round_rule": "rounding",
    "interval_months": "months",
    "interval_s": "interval",
    "free_units": "free",
}


def _full(terms: Any) -> Any:
    """Terms as plain values for comparison, defaults included, under the names of the provider file."""
    if is_dataclass(terms) and not isinstance(terms, Unit | Quantity | Money):
        out: dict[str, Any] = {}
        for each in fields(terms):
            value = getattr(terms, each.name)
            if each.name == "measure":
                out |= _full(value)
            elif value is not None:
                out[_OURS.get(each.name, each.name)] = _full(value)
        return out
    if isinstance(terms, tuple):
        return [_full(item) for item in terms]
    if isinstance(terms, Fraction):
        return show(terms)
    return terms.name if isinstance(terms, Unit) else str(terms)


def _bare(version: Version) -> dict[str, Any]:
    """A version's terms for comparison: charges by their key, no identity, no texts."""
    out: dict[str, Any] = _full(version)
    for key in ("plan", "key", "name", "description", "valid_from"):
        out.pop(key, None)
    if isinstance(version, core.PlanVersion):
        charges = {charge["key"]: charge for charge in out["charges"]}
        out["charges"] = {
            key: {name: value for name, value in charge.items() if name not in ("key", "name")}
            for key, charge in charges.items()
        }
    return out


def difference(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """What differs between two JSON values, one line a leaf.

    >>> list(difference({"base": {"amount": "6"}, "x": [1]}, {"base": {"amount": "7"}, "x": [1], "y": "z"}))
    ['base.amount: 6 -> 7', 'y: z (new)']
    """
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(k for k in after if k not in before)]:
            yield from difference(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from difference(one, other, f"{path}[{i}]")
    elif before is None:
        yield f"{path}: {_words(after)} (new)"
    elif after is None:
        yield f"{path}: {_words(before)} (taken out)"
    else:
        yield f"{path}: {_words(before)} -> {_words(after)}"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_words(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_words(v) for v in value) + "]"
    return str(value)
