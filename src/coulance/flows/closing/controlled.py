"""Overage in a close under the first law: for who passed an allowance, and for nobody else, what may be charged of it.

A period is under the control that was in force when it began, also when it is looked at again because samples came
late. With control by contract nothing here runs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from coulance.catalog import queries as catalogs
from coulance.customers.queries import AccountRow
from coulance.flows.closing.measuring import Request, drawn
from coulance.flows.closing.paper import buyer_of
from coulance.overage import queries as overage
from coulance.overage.operations import NewSettlement
from coulance.overage.queries import AttackRow, MeterRef
from coulance.services.queries import AccountForClose
from coulance_core.catalog.overage import Control, OverageTerms
from coulance_core.catalog.terms import Catalog, PriceBasis
from coulance_core.invoicing import BuyerKind, Seller
from coulance_core.invoicing.closing import PartUse, ServiceFacts
from coulance_core.invoicing.tax import decide_tax
from coulance_core.kernel import Period, show
from coulance_core.overage.closing import NOTHING, Ground, Overrun, Settling, overruns, settle_overruns
from coulance_core.overage.frozen import at_most_in, ground_json
from coulance_core.overage.settle import Attack
from coulance_core.overage.terms import Absorbed, Span

Uses = Mapping[str, Sequence[PartUse]]


@dataclass(frozen=True, slots=True)
class Controlled:
    """An account's overage as settled. `enforced`: it bounds the bill; else it is only on record."""

    settling: Settling
    grounds: tuple[Ground, ...]
    enforced: bool
    settlements: tuple[NewSettlement, ...] = ()

    def bound(self, uses: Uses) -> Uses:
        """The parts, each with what is allowed of it."""
        return self.settling.bound(uses) if self.enforced else uses

    @property
    def pools(self) -> Mapping[tuple[str, str], Any] | None:
        """What is allowed of pools."""
        return self.settling.pools if self.enforced else None

    @property
    def absorbed(self) -> "Marks":
        """What a statement shows beside each part and pool."""
        if not self.enforced:
            return NO_MARKS
        pools = {(o.overrun.pool, o.overrun.group): o.absorbed for o in self.settling.outcomes if o.overrun.pool}
        return Marks(dict(self.settling.by_part), pools)


@dataclass(frozen=True, slots=True)
class Marks:
    """What was absorbed, by reason: of a service's part (by its place among them), and of pools by key and group."""

    parts: Mapping[tuple[str, int], Mapping[Absorbed, Fraction]] = field(default_factory=dict)
    pools: Mapping[tuple[str, str], Mapping[Absorbed, Fraction]] = field(default_factory=dict)


NO_MARKS = Marks()
UNCONTROLLED = Controlled(NOTHING, (), enforced=False)


def terms_of(period: Period) -> OverageTerms:
    """The terms of overage that a period is under: those in force when it began."""
    return catalogs.overage_terms(period.start)


def control(
    catalog: Catalog,
    group: Sequence[AccountForClose],
    facts: Mapping[int, Sequence[ServiceFacts]],
    uses: Mapping[int, Uses],
    *,
    period: Period,
    period_name: str,
    zone: ZoneInfo,
) -> tuple[dict[int, Controlled], dict[int, Exception]]:
    """What may be charged of these accounts' overage, by account; and why it could not be said of some.

    Accounts that passed no allowance are not in it.
    """
    terms = terms_of(period)
    if terms.control is Control.CONTRACT:
        return {}, {}
    found: dict[int, tuple[Overrun, ...]] = {}
    for row in group:
        account = row.account.id
        if account in facts and account in uses:
            own = overruns(catalog, facts[account], uses[account], period=period, zone=zone)
            if own:
                found[account] = own
    if not found:
        return {}, {}
    rows = {row.account.id: row for row in group}
    series = {
        (service.external_id, one.meter): tuple(s.id for s in service.series if s.meter == one.meter)
        for account in found
        for service in rows[account].services
        for one in service.series
    }
    asked = [(account, part) for account, own in found.items() for one in own for part in one.parts]
    requests = [
        (Request(part.use.part, series.get((part.service, part.use.part.charge.measure.meter), ())), part.use.figure)
        for _, part in asked
    ]
    draws = {
        (account, part.service, part.index): got
        for (account, part), got in zip(asked, drawn(requests, catalog, zone), strict=True)
    }
    ids = {s.external_id: s.id for account in found for s in rows[account].services}
    names = {number: name for name, number in ids.items()}
    refs = {(account, one.key): _ref(account, one, ids) for account, own in found.items() for one in own}
    groups = overage.groups_for(
        meters=list(refs.values()),
        period=period,
        period_name=period_name,
        units={one.key: one.unit for own in found.values() for one in own},
        exposure=terms.exposure,
    )
    grounds: dict[int, list[Ground]] = {}
    for one in groups:
        caps = {names[number]: own for number, own in one.caps.items()}
        paused = {names[number]: own for number, own in one.paused.items()}
        ground = Ground(tuple(m.key for m in one.meters), one.by_meter, caps, paused)
        grounds.setdefault(one.meters[0].account, []).append(ground)
    attacked = _attacks(overage.attacks(services=list(ids.values()), period=period), names)
    out: dict[int, Controlled] = {}
    problems: dict[int, Exception] = {}
    for account, own in found.items():
        try:
            rate, included = tax_terms(catalog, rows[account].account, period, zone)
            settling = settle_overruns(
                catalog,
                own,
                _of(draws, account, own),
                grounds[account],
                period=period,
                zone=zone,
                tax_rate=rate,
                tax_included=included,
                tolerance=terms.tolerance,
                attacks=attacked,
            )
        except (ValueError, LookupError) as error:
            problems[account] = error
            continue
        enforced = terms.control is Control.ENFORCE
        out[account] = Controlled(
            settling,
            tuple(grounds[account]),
            enforced,
            tuple(_settlements(settling, refs, account, period_name, grounds[account], enforced)),
        )
    return out, problems


def _of(draws: Mapping[tuple[int, str, int], Any], account: int, own: Sequence[Overrun]) -> dict[tuple[str, int], Any]:
    return {(part.service, part.index): draws[account, part.service, part.index] for one in own for part in one.parts}


def tax_terms(
    catalog: Catalog, account: AccountRow, period: Period, zone: ZoneInfo
) -> tuple[Callable[[str], Fraction], bool]:
    """The percentage of each tax class that overage bears for a customer, and whether their limits include it.

    A consumer's limit is the amount payable. Prices that contain their tax bear none on top.
    """
    provider = catalog.provider
    if provider.prices is PriceBasis.GROSS:
        return lambda _: Fraction(0), True
    seller, buyer = Seller.of(provider), buyer_of(account)
    last_day = period.end.astimezone(zone).date() - timedelta(days=1)

    def rate(tax_class: str) -> Fraction:
        found = decide_tax(seller=seller, buyer=buyer, tax_class=tax_class, tax_point=last_day, table=catalog.tax)
        return found.rate

    return rate, buyer.kind is BuyerKind.CONSUMER


def _ref(account: int, one: Overrun, ids: Mapping[str, int]) -> MeterRef:
    if one.pool:
        members = tuple(dict.fromkeys(ids[part.service] for part in one.parts))
        return MeterRef.of_pool(account, one.pool, one.group, members)
    name = one.parts[0].service
    return MeterRef.of_service(account, ids[name], name, one.charge.key)


def _attacks(rows: Sequence[AttackRow], names: Mapping[int, str]) -> Callable[[str], Sequence[Attack]]:
    known: dict[str, tuple[Attack, ...]] = {}

    def attacks(wanted: str) -> Sequence[Attack]:
        if wanted not in known:
            known[wanted] = tuple(
                Attack(names[row.service], Span(row.start, row.until), row.evidence, _at_most(row, wanted))
                for row in rows
            )
        return known[wanted]

    return attacks


def _at_most(row: AttackRow, wanted: str) -> Fraction | None:
    if row.at_most is None:
        return None
    return at_most_in(row.at_most, row.unit, wanted)


def _settlements(
    settling: Settling,
    refs: Mapping[tuple[int, str], MeterRef],
    account: int,
    period_name: str,
    grounds: Sequence[Ground],
    enforced: bool,
) -> list[NewSettlement]:
    of = {key: ground for ground in grounds for key in ground.keys}
    return [
        NewSettlement(
            meter=refs[account, one.overrun.key],
            period_name=period_name,
            unit=one.unit,
            metered=one.metered,
            included=one.included,
            overage=one.overage,
            billable=one.billable,
            absorbed=one.absorbed,
            cost=one.cost,
            on_budget=one.on_budget,
            observed=not enforced,
            facts=ground_json(of[one.overrun.key]),
        )
        for one in settling.outcomes
    ]


def voided(
    rows: Sequence[AccountForClose], settled: Mapping[int, set[str]], *, since: str
) -> dict[str, dict[int, set[int]]]:
    """By period and account, the services whose settled overage stood on a warning that came back after the close.

    Settled again it comes to less, and the difference is credited by itself: a notice that is void makes nothing
    billable, whenever that becomes known.
    """
    found = overage.warning_voided(accounts=list(settled), since=since)
    out: dict[str, dict[int, set[int]]] = {}
    for row in rows:
        own = found.get(row.account.id, {})
        for name, meters in own.items():
            if name not in settled.get(row.account.id, ()):
                continue
            touched = {
                service.id
                for service in row.services
                if any(meter.startswith((f"{service.external_id}/", "pool:")) for meter in meters)
            }
            if touched:
                out.setdefault(name, {})[row.account.id] = touched
    return out


def frozen(
    row: AccountForClose, catalog: Catalog, period: Period, period_name: str, zone: ZoneInfo
) -> dict[str, Any] | None:
    """What a settled period of an account rests on besides samples and prices, as plain values; None: on nothing else.

    Consents, warnings and pauses are those that were on record when it was settled.
    """
    settled = [
        one
        for one in overage.settlements(account=row.account.id, period_name=period_name)
        if not one.observed and one.facts is not None
    ]
    if not settled:
        return None
    names = {service.id: service.external_id for service in row.services}
    rate, included = tax_terms(catalog, row.account, period, zone)
    classes = {
        version.tax_class_of(charge)
        for versions in catalog.plans.values()
        for version in versions
        for charge in version.charges
    } | {pool.tax_class for versions in catalog.pools.values() for pool in versions}
    rates = {}
    for one in sorted(classes):
        with suppress(LookupError, ValueError):  # of another country's plans: nothing of this account falls under it
            rates[one] = show(rate(one))
    grounds = {str(sorted(one.facts["keys"])): dict(one.facts) for one in settled if one.facts is not None}
    return {
        "tolerance": show(terms_of(period).tolerance),
        "tax_included": included,
        "tax_rates": rates,
        "attacks": [
            {
                "service": names[one.service],
                "start": one.start.isoformat(),
                "until": one.until.isoformat(),
                "evidence": one.evidence,
                "at_most": None if one.at_most is None else show(one.at_most),
                "unit": one.unit,
            }
            for one in overage.attacks(services=list(names), period=period)
        ],
        "grounds": [grounds[key] for key in sorted(grounds)],
    }
