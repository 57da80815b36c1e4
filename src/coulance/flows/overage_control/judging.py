"""Where each controlled allowance stands at an instant, and what follows: reads records, asks core, writes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from math import ceil

from coulance.customers.queries import AccountRow
from coulance.flows.closing.paper import buyer_of
from coulance.flows.overage_control.counted import Counted
from coulance.flows.overage_control.porting import with_terms
from coulance.flows.overage_control.samples import draws_of
from coulance.overage import queries as overage
from coulance.overage.meters import MeterRef
from coulance.overage.queries import Group
from coulance_core.catalog.terms import Action, Catalog, Control, MeterKind, Of, OverageTerms, PriceBasis, Threshold
from coulance_core.invoicing import BuyerKind, Seller
from coulance_core.invoicing.tax import decide_tax
from coulance_core.kernel import Dimension, Money, Period, Rounding
from coulance_core.kernel import unit as unit_of
from coulance_core.overage.bursts import Port
from coulance_core.overage.closing import cap_of
from coulance_core.overage.frozen import at_most_in
from coulance_core.overage.limit import UnableToLimitError, payable
from coulance_core.overage.ports import (
    PortDecision,
    PortStanding,
    arm_port,
    crossed_port,
    decide_port,
    held_to,
    in_unit,
)
from coulance_core.overage.settle import Attack, Meter
from coulance_core.overage.standing import Decision, Policy, Standing, StopPoint, arm, crossed, decide, share_of
from coulance_core.overage.terms import Facts, PriceTerms, Span
from coulance_core.overage.together import Taken, lowered, settle_together

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Capped:
    """A member of a pool with a limit of its own: how much of the pool's overage it may still draw, in its unit."""

    service: int
    external_id: str
    left: Fraction


@dataclass(frozen=True, slots=True)
class Judged:
    """A controlled allowance, where it stands, and what follows: warnings due, the decision, what to watch for next.

    `told` are the thresholds that were told of in this period, as recorded. `next_at` is the next position of use to
    look at, `ahead` the same as stored units that must still be counted. Of a port `port` has its burst, and `rate_bps`
    what it is held to when it must be; of a pool `capped` are its members with limits of their own. `budget_spent`:
    what was absorbed for the customer is past the budget, so it stops a reserve earlier. `problem` says why nothing
    could be judged. `sharers` allowances share its consents and so its limit, itself among them; `group` names them.
    """

    counted: Counted
    ref: MeterRef
    terms: PriceTerms
    facts: Facts
    standing: Standing
    told: frozenset[str]
    due: tuple[tuple[Threshold, Fraction], ...]
    decision: Decision | None
    next_at: Fraction | None
    problem: str = ""
    ahead: int | None = None
    port: PortStanding | None = None
    rate_bps: int | None = None
    capped: tuple[Capped, ...] = ()
    budget_spent: bool = False
    group: str = ""
    sharers: int = 1

    @property
    def cause(self) -> str:
        """How the register of restrictions names it: the period and the charge."""
        return f"{self.counted.period_name}/{self.counted.charge.key}"

    @property
    def cost_now(self) -> Money:
        """What is payable for what may be charged so far."""
        return cost(self.standing.billable, self.terms)

    @property
    def services(self) -> tuple[int, ...]:
        """Ids of the services that draw on it."""
        return self.ref.services


def cost(quantity: Fraction, terms: PriceTerms) -> Money:
    """What a quantity past the allowance costs, payable, in whole cents."""
    return Money.of(payable(terms.price, quantity, terms), terms.currency, Rounding.HALF_UP)


def meter_of(counted: Counted) -> MeterRef:
    """How consents, warnings and settlements name it."""
    if counted.pool is not None:
        return MeterRef.of_pool(counted.account.id, counted.pool.key, counted.group, counted.services)
    service = counted.service
    return MeterRef.of_service(counted.account.id, service.id, service.external_id, counted.charge.key)


def price_terms(counted: Counted, catalog: Catalog) -> PriceTerms:
    """What overage of an allowance costs its account, with the tax that a consumer's limit includes."""
    version, charge, account = counted.part.version, counted.charge, counted.account
    pool = counted.pool
    tax_class = account.tax_class or (version.tax_class_of(charge) if pool is None else pool.tax_class)
    rate = ZERO
    consumer = account.kind == BuyerKind.CONSUMER
    if consumer and catalog.provider.prices is PriceBasis.NET:
        rate = _tax_rate(account, tax_class, counted, catalog)
    if pool is not None:
        return PriceTerms(pool.version, pool.price, pool.currency, rate, consumer)
    return PriceTerms(version.version, charge.price, version.currency, rate, consumer, charge.maximum_spend)


def _tax_rate(account: AccountRow, tax_class: str, counted: Counted, catalog: Catalog) -> Fraction:
    found = decide_tax(
        seller=Seller.of(catalog.provider),
        buyer=buyer_of(account),
        tax_class=tax_class,
        tax_point=counted.period.start.astimezone(counted.zone).date(),
        table=catalog.tax,
    )
    return found.rate or ZERO


def judge(found: Sequence[Counted], *, catalog: Catalog, at: datetime) -> list[Judged]:
    """Judge allowances, in the order given. Consents that bind several of an account are one limit for all of them.

    Hand over everything of an account that may share a consent.
    """
    terms = catalog.overage
    out: dict[int, Judged] = {}
    told = _told(found)
    spent = _budgets_spent({one.account.id for one in found}, terms, at)
    by_period: dict[tuple[str, Period], list[int]] = {}
    for i, one in enumerate(found):
        by_period.setdefault((one.period_name, one.period), []).append(i)
    for (name, period), members in by_period.items():
        refs = {(found[i].account.id, meter_of(found[i]).key): i for i in members}
        groups = overage.groups_for(
            meters=[meter_of(found[i]) for i in members],
            period=period,
            period_name=name,
            units={meter_of(found[i]).key: found[i].unit for i in members},
            exposure=terms.exposure,
        )
        for group in groups:
            own = [refs[meter.account, meter.key] for meter in group.meters]
            judged = _Together([found[i] for i in own], group, catalog, at).judged(told, spent)
            out.update(zip(own, judged, strict=True))
    return [out[i] for i in range(len(found))]


def _told(found: Sequence[Counted]) -> Mapping[tuple[int, str, str], frozenset[str]]:
    out: dict[tuple[int, str, str], set[str]] = {}
    for period in {one.period_name for one in found}:
        accounts = {one.account.id for one in found if one.period_name == period}
        for account, meter, threshold in overage.told_of(accounts=accounts, period_name=period):
            out.setdefault((account, period, meter), set()).add(threshold)
    return {key: frozenset(keys) for key, keys in out.items()}


def _budgets_spent(accounts: Iterable[int], terms: OverageTerms, at: datetime) -> frozenset[int]:
    """The accounts for whom as much was absorbed in 12 months as the provider's budget allows."""
    if terms.budget is None:
        return frozenset()
    found = overage.budgets_spent(accounts=set(accounts), at=at)
    return frozenset(
        account for account, sum_ in found.items() if sum_.currency == terms.budget.currency and sum_ >= terms.budget
    )


@dataclass(frozen=True, slots=True)
class _Together:
    """Allowances that share their consents, and so their limits."""

    found: Sequence[Counted]
    group: Group
    catalog: Catalog
    at: datetime

    def judged(self, told: Mapping[tuple[int, str, str], frozenset[str]], spent: frozenset[int]) -> Iterable[Judged]:
        """Each of them, in order."""
        terms, at = self.catalog.overage, self.at
        prices = [price_terms(one, self.catalog) for one in self.found]
        exposure = terms.exposure
        if exposure is not None and any(p.currency != exposure.currency for p in prices):
            exposure = None
        refs = [meter_of(one) for one in self.found]
        facts = [replace(self.group.by_meter[ref.key], exposure=exposure) for ref in refs]
        tolerances = [one.included * terms.tolerance / 100 for one in self.found]
        billable = [ZERO] * len(self.found)
        drawn_by: dict[int, Mapping[str, Fraction]] = {}
        problem = ""
        if facts[0].consents and any(one.used > one.included for one in self.found):
            try:
                billable, drawn_by = self._billable(prices, tolerances, facts)
            except UnableToLimitError as error:
                problem = str(error)
        taken = [(billable[i], one.unit, prices[i]) for i, one in enumerate(self.found)]
        for i, one in enumerate(self.found):
            known = facts[i]
            consent = next((c for c in reversed(known.consents) if _holds(c.in_force, at)), None)
            if consent is not None and len(self.found) > 1:
                consent = lowered(consent, Taken.of([*taken[:i], *taken[i + 1 :]]), one.unit)
            standing = Standing(
                used=one.used,
                included=one.included,
                terms=prices[i],
                billable=billable[i],
                tolerance=tolerances[i],
                consent=consent,
                verified=consent is not None and any(_holds(span, at) for span in consent.verified),
                warned=any(_holds(span, at) for span in known.warned),
                acknowledged=any(instant <= at for instant in known.acknowledged),
                exposure=exposure,
                unit=one.unit,
            )
            said = told.get((one.account.id, one.period_name, refs[i].key), frozenset())
            past = one.account.id in spent
            judged = Judged(
                one, refs[i], prices[i], known, standing, said, (), None, None, problem, budget_spent=past,
                group=refs[0].key, sharers=len(self.found),
            )  # fmt: skip
            try:
                yield self._decided(judged, drawn_by.get(i, {}))
            except UnableToLimitError as error:
                yield replace(judged, problem=str(error))

    def _decided(self, judged: Judged, drawn_by: Mapping[str, Fraction]) -> Judged:
        """With warnings, decision and what to watch."""
        one, standing, said, terms = judged.counted, judged.standing, judged.told, self.catalog.overage
        rule = policy(terms, one, self.catalog, budget_spent=judged.budget_spent)
        if one.port is not None:
            return _port_decided(judged, one, terms, rule, self.catalog)
        decision = decide(standing, rule)
        next_at = arm(terms.warn_at, standing, told=said, policy=rule)
        if decision.left and (part := share_of(standing, judged.sharers)) is not None:
            next_at = part if next_at is None else min(next_at, part)
        capped = self._capped(judged, drawn_by) if one.pool is not None else ()
        top = standing.included + standing.tolerance
        if capped and one.used < top:  # where the members' own limits begin to count
            next_at = top if next_at is None else min(next_at, top)
        ahead = None if next_at is None else max(ceil((next_at - one.used) / one.factor), 1)
        if one.kind == "level":  # looked at by the hour; where others share its limit, with every reading
            ahead = 1 if decision.left and judged.sharers > 1 and standing.consent is not None else None
        return replace(
            judged,
            due=crossed(terms.warn_at, standing, told=said),
            decision=decision,
            next_at=next_at,
            ahead=ahead,
            capped=capped,
        )

    def _capped(self, judged: Judged, drawn_by: Mapping[str, Fraction]) -> tuple[Capped, ...]:
        names = {one.service.id: one.service.external_id for one in judged.counted.drawings}
        out = []
        for service, consents in sorted(self.group.caps.items()):
            held = [c for c in consents if _holds(c.in_force, self.at)]
            cap = cap_of(held, judged.terms)
            if cap is not None and service in names:
                out.append(Capped(service, names[service], max(cap - drawn_by.get(names[service], ZERO), ZERO)))
        return tuple(out)

    def _billable(
        self, prices: Sequence[PriceTerms], tolerances: Sequence[Fraction], facts: Sequence[Facts]
    ) -> tuple[list[Fraction], dict[int, Mapping[str, Fraction]]]:
        """What settling up to now says may be charged of each, from their samples, as the closing will; of a pool also
        by member."""
        found, at = self.found, self.at
        ids = {drawing.service.id: drawing.service.external_id for one in found for drawing in one.drawings}
        number_of = {name: number for number, name in ids.items()}
        rows = overage.attacks(services=list(ids), period=found[0].period)

        def attacks(named: str) -> list[Attack]:
            return [
                Attack(
                    ids[row.service], Span(row.start, row.until), row.evidence,
                    None if row.at_most is None else at_most_in(row.at_most, row.unit, named),
                )
                for row in rows
            ]  # fmt: skip

        meters: dict[int, tuple[Meter, Facts]] = {}
        ports: dict[int, tuple[Port, Facts]] = {}
        for i, one in enumerate(found):
            ranked = one.port or one.peak
            if ranked is not None:
                ports[i] = with_terms(ranked, prices[i], tolerances[i]), facts[i]
                continue
            draws = (one.drawn,) if one.drawn is not None else draws_of(one, self.catalog, at)
            if one.drawn is None:  # what is stored goes on being stored while a network is paused
                draws = tuple(replace(d, paused=self.group.paused.get(number_of[d.service], ())) for d in draws)
            if one.pool is not None:
                caps = self.group.caps
                draws = tuple(replace(d, cap=cap_of(caps.get(number_of[d.service], ()), prices[i])) for d in draws)
            key = meter_of(one).key
            meters[i] = Meter(key, one.unit, one.included, prices[i], draws, tolerances[i]), facts[i]
        settled, ranks = settle_together(list(meters.values()), list(ports.values()), attacks=attacks)
        billable = [ZERO] * len(found)
        by_member: dict[int, Mapping[str, Fraction]] = {}
        for i, sum_ in zip(meters, settled, strict=True):
            billable[i], by_member[i] = sum_.billable, sum_.by_service
        for i, rank in zip(ports, ranks, strict=True):
            billable[i] = rank.overage
        return billable, by_member


def _port_decided(judged: Judged, one: Counted, terms: OverageTerms, rule: Policy, catalog: Catalog) -> Judged:
    assert one.port is not None
    s = judged.standing
    meter = catalog.meter(one.charge.measure.meter)
    port = PortStanding(
        port=with_terms(one.port, judged.terms, s.tolerance),
        coming=one.coming,
        interval_s=meter.interval_s,
        consent=s.consent,
        verified=s.verified,
        acknowledged=s.acknowledged,
        exposure=s.exposure,
    )
    found = decide_port(port, rule, lag_s=terms.lag_s)
    act, rate = _held(found, one.unit)
    shared = judged.sharers > 1 and s.consent is not None
    ahead = arm_port(terms.warn_at, port, lag_s=terms.lag_s, told=judged.told, shared=shared)
    if ahead is not None and meter.kind is MeterKind.GAUGE:
        ahead = 1  # what a gauge's readings add up to bounds nothing
    point = None if found.point is None else StopPoint(found.point.rate, found.point.why)
    return replace(
        judged,
        due=crossed_port(terms.warn_at, port, told=judged.told),
        decision=Decision(act, point, None, found.observe, found.explanation),
        ahead=ahead,
        port=port,
        rate_bps=rate,
    )


def _held(found: PortDecision, unit_name: str) -> tuple[Action | None, int | None]:
    """What is done, and the rate of a throttle: where nothing would be left of it a pause, and of what is no rate
    nothing."""
    if found.act is not Action.THROTTLE or found.point is None:
        return found.act, None
    rate = held_to(found.point.rate, unit_name)
    if rate is not None:
        return Action.THROTTLE, rate
    return (Action.PAUSE if is_rate(unit_name) else Action.ABSORB), None


def is_rate(unit_name: str) -> bool:
    """Whether a unit is one of a line's speed."""
    return unit_of(unit_name).dimension is Dimension.RATE


def policy(terms: OverageTerms, one: Counted, catalog: Catalog, *, budget_spent: bool) -> Policy:
    """The provider's part of a decision, with the reserve of a line that nothing more is absorbed for."""
    action = terms.ports or terms.action if one.port is not None else terms.action
    if one.kind == "level":
        action = terms.levels
    return Policy(action, reserve(one, terms, catalog), budget_spent, terms.control is Control.OBSERVE)


def reserve(one: Counted, terms: OverageTerms, catalog: Catalog) -> Fraction:
    """What may still run through while a pause takes effect: line rate x lag; 0 where the meter names no line rate."""
    meter = catalog.meter(one.charge.measure.meter)
    if meter.max_rate is None or one.kind not in ("charge", "pool"):
        return ZERO
    whole: Fraction = meter.max_rate * 10**meter.scale * one.factor * terms.lag_s * max(len(one.services), 1)
    return whole


def _holds(span: Span, at: datetime) -> bool:
    return span.start <= at and (span.end is None or at < span.end)


def is_warning_that_counts(threshold: Threshold, included: Fraction, unit_name: str = "") -> bool:
    """Whether a threshold lies at or before the whole allowance: its message is the warning that overage needs."""
    match threshold.of:
        case Of.ALLOWANCE:
            return threshold.value <= 1
        case Of.QUANTITY:
            value = in_unit(threshold.value, threshold.unit if unit_name else "", unit_name)
            return value is not None and value <= included
        case Of.BURST:
            return True
    return False
