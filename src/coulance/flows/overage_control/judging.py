"""Where each controlled charge stands at an instant, and what follows: reads records, asks core, and writes nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

import numpy as np

from coulance.flows.closing.measuring import lead_seconds, trail_seconds
from coulance.flows.closing.paper import buyer_of
from coulance.flows.overage_control.counted import Counted
from coulance.overage import queries as overage
from coulance.overage.meters import MeterRef
from coulance.usage import queries as usage
from coulance_core.catalog.terms import Catalog, Control, Direction, Of, OverageTerms, PriceBasis, Threshold
from coulance_core.invoicing import BuyerKind, Seller
from coulance_core.invoicing.tax import decide_tax
from coulance_core.kernel import Money, Period, Rounding
from coulance_core.overage.limit import UnableToLimitError, payable
from coulance_core.overage.settle import Attack, Draws, Meter, settle
from coulance_core.overage.standing import Decision, Policy, Standing, arm, crossed, decide
from coulance_core.overage.terms import Consent, Facts, Limit, PriceTerms, Span
from coulance_core.usage.job import direction_of, read_deltas
from coulance_core.usage.samples import Ints, Samples

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Judged:
    """A controlled charge, where it stands, and what follows: warnings due, the decision, and what to watch for next.

    `told` are the thresholds that were told of in this period, as recorded. `problem` says why nothing could be judged.
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

    @property
    def cause(self) -> str:
        """How the register of restrictions names it: the period and the charge."""
        return f"{self.counted.period_name}/{self.counted.charge.key}"

    @property
    def cost_now(self) -> Money:
        """What is payable for what may be charged so far."""
        return cost(self.standing.billable, self.terms)


def cost(quantity: Fraction, terms: PriceTerms) -> Money:
    """What a quantity past the allowance costs, payable, in whole cents."""
    return Money.of(payable(terms.price, quantity, terms), terms.currency, Rounding.HALF_UP)


def meter_of(counted: Counted) -> MeterRef:
    """How consents, warnings and settlements name it."""
    service = counted.service
    return MeterRef.of_service(counted.account.id, service.id, service.external_id, counted.charge.key)


def price_terms(counted: Counted, catalog: Catalog) -> PriceTerms:
    """What overage of a charge costs its account, with the tax that a consumer's limit includes."""
    version, charge, account = counted.part.version, counted.charge, counted.account
    rate = ZERO
    consumer = account.kind == BuyerKind.CONSUMER
    if consumer and catalog.provider.prices is PriceBasis.NET:
        found = decide_tax(
            seller=Seller.of(catalog.provider),
            buyer=buyer_of(account),
            tax_class=account.tax_class or version.tax_class_of(charge),
            tax_point=counted.period.start.astimezone(counted.zone).date(),
            table=catalog.tax,
        )
        rate = found.rate or ZERO
    return PriceTerms(version.version, charge.price, version.currency, rate, consumer, charge.maximum_spend)


def judge(found: Sequence[Counted], *, catalog: Catalog, at: datetime) -> list[Judged]:
    """Judge charges, in the order given. Consents that bind several of an account are one limit for all of them here.

    Hand over all charges of an account that may share a consent.
    """
    terms = catalog.overage
    out: dict[int, Judged] = {}
    told = _told(found)
    by_period: dict[tuple[str, Period], list[int]] = {}
    for i, one in enumerate(found):
        by_period.setdefault((one.period_name, one.period), []).append(i)
    for (name, period), members in by_period.items():
        refs = {meter_of(found[i]).key: i for i in members}
        groups = overage.groups_for(
            meters=[meter_of(found[i]) for i in members],
            period=period,
            period_name=name,
            units={meter_of(found[i]).key: found[i].unit for i in members},
            exposure=terms.exposure,
        )
        for group in groups:
            own = [refs[meter.key] for meter in group.meters]
            judged = _group([found[i] for i in own], group.facts, catalog, at, told)
            out.update(zip(own, judged, strict=True))
    return [out[i] for i in range(len(found))]


def _told(found: Sequence[Counted]) -> Mapping[tuple[int, str, str], frozenset[str]]:
    out: dict[tuple[int, str, str], set[str]] = {}
    for period in {one.period_name for one in found}:
        accounts = {one.account.id for one in found if one.period_name == period}
        for account, meter, threshold in overage.told_of(accounts=accounts, period_name=period):
            out.setdefault((account, period, meter), set()).add(threshold)
    return {key: frozenset(keys) for key, keys in out.items()}


def _group(
    found: Sequence[Counted],
    facts: Facts,
    catalog: Catalog,
    at: datetime,
    told: Mapping[tuple[int, str, str], frozenset[str]],
) -> Iterable[Judged]:
    terms = catalog.overage
    prices = [price_terms(one, catalog) for one in found]
    consent = next((c for c in reversed(facts.consents) if _holds(c.in_force, at)), None)
    exposure = terms.exposure
    if exposure is not None and any(p.currency != exposure.currency for p in prices):
        exposure = None
    billable = [ZERO] * len(found)
    tolerances = [one.included * terms.tolerance / 100 for one in found]
    problem = ""
    if facts.consents and any(one.used > one.included for one in found):
        try:
            billable = _billable(found, prices, tolerances, replace(facts, exposure=exposure), catalog, at)
        except UnableToLimitError as error:
            problem = str(error)
    for i, one in enumerate(found):
        own = consent
        if consent is not None and len(found) > 1:
            others = [j for j in range(len(found)) if j != i]
            own = _less(consent, others, billable, prices, found, one.unit)
        standing = Standing(
            used=one.used,
            included=one.included,
            terms=prices[i],
            billable=billable[i],
            tolerance=tolerances[i],
            consent=own,
            verified=own is not None and any(_holds(span, at) for span in own.verified),
            warned=any(_holds(span, at) for span in facts.warned),
            acknowledged=any(instant <= at for instant in facts.acknowledged),
            exposure=exposure,
        )
        ref = meter_of(one)
        said = told.get((one.account.id, one.period_name, ref.key), frozenset())
        try:
            yield Judged(
                one, ref, prices[i], facts, standing, said, crossed(terms.warn_at, standing, told=said),
                decide(standing, policy(terms)), arm(terms.warn_at, standing, told=said), problem,
            )  # fmt: skip
        except UnableToLimitError as error:
            yield Judged(one, ref, prices[i], facts, standing, said, (), None, None, str(error))


def policy(terms: OverageTerms) -> Policy:
    """The provider's part of a decision."""
    return Policy(action=terms.action, observe=terms.control is Control.OBSERVE)


def _holds(span: Span, at: datetime) -> bool:
    return span.start <= at and (span.end is None or at < span.end)


def _less(
    consent: Consent,
    others: Sequence[int],
    billable: Sequence[Fraction],
    prices: Sequence[PriceTerms],
    found: Sequence[Counted],
    unit: str,
) -> Consent:
    """The consent, less what others that share its limit have taken of it."""
    limit = consent.limit
    amount, quantity = limit.amount, limit.quantity
    if amount is not None:
        for j in others:
            taken = cost(billable[j], prices[j])
            if taken.currency == amount.currency:
                amount = Money(max(amount.minor - taken.minor, 0), amount.currency)
    if quantity is not None:
        quantity = max(quantity - sum((billable[j] for j in others if found[j].unit == unit), ZERO), ZERO)
    return replace(consent, limit=Limit(amount, quantity, limit.typed))


def _billable(
    found: Sequence[Counted],
    prices: Sequence[PriceTerms],
    tolerances: Sequence[Fraction],
    facts: Facts,
    catalog: Catalog,
    at: datetime,
) -> list[Fraction]:
    """What settling up to now says may be charged of each: from their samples, as the closing will."""
    meters = [
        Meter(
            key=meter_of(one).key,
            unit=one.unit,
            included=one.included,
            terms=prices[i],
            draws=(draws_of(one, catalog, at),),
            tolerance=tolerances[i],
        )
        for i, one in enumerate(found)
    ]
    ids = {one.service.id: one.service.external_id for one in found}
    attacks = [
        Attack(ids[row.service], Span(row.start, row.until), row.evidence, row.at_most)
        for row in overage.attacks(services=list(ids), period=found[0].period)
    ]
    return [settled.billable for settled in settle(meters, facts, attacks=attacks)]


def draws_of(one: Counted, catalog: Catalog, at: datetime) -> Draws:
    """What a charge drew in the period up to an instant, sample by sample."""
    period = Period(one.part.active.start, min(one.part.active.end, at))
    start, end, value = samples_of(one, catalog, period)
    inside = (end > int(period.start.timestamp())) & (end <= int(one.part.active.end.timestamp()))
    order = np.argsort(end[inside], kind="stable")
    return Draws.of(one.service.external_id, start[inside][order], end[inside][order], value[inside][order], one.factor)


def samples_of(one: Counted, catalog: Catalog, period: Period) -> tuple[Ints, Ints, Ints]:
    """(start, end, amount) of every interval of a charge's series, in the direction that counts, in stored units."""
    return samples_together([one], catalog, period)[0]


def samples_together(found: Sequence[Counted], catalog: Catalog, period: Period) -> list[tuple[Ints, Ints, Ints]]:
    """The same of many, read at once for each meter."""
    by_meter: dict[str, list[int]] = {}
    for i, one in enumerate(found):
        by_meter.setdefault(one.charge.measure.meter, []).append(i)
    out: dict[int, tuple[Ints, Ints, Ints]] = {}
    for key, members in by_meter.items():
        meter = catalog.meter(key)
        series = sorted({series for i in members for series in found[i].series})
        place = {number: at for at, number in enumerate(series)}
        whole = usage.series_samples(
            series=series,
            period=period,
            lead_s=lead_seconds(meter, found[members[0]].charge.measure),
            trail_s=trail_seconds(meter) and 300,
        ).samples
        for i in members:
            out[i] = _directed(found[i], catalog, _part(whole, [place[number] for number in found[i].series]))
    return [out[i] for i in range(len(found))]


def _part(whole: Samples, places: Sequence[int]) -> Samples:
    """The samples of some of its series."""
    spans = [slice(int(whole.offsets[i]), int(whole.offsets[i + 1])) for i in places]
    offsets = np.cumsum([0, *(span.stop - span.start for span in spans)]).astype(np.int64)

    def column(values: Ints) -> Ints:
        return np.concatenate([values[span] for span in spans]) if spans else values[:0]

    d = whole.discontinuity
    return Samples(
        column(whole.at), column(whole.v_in), column(whole.v_out), offsets,
        discontinuity=None if d is None else column(d),
    )  # fmt: skip


def _directed(one: Counted, catalog: Catalog, block: Samples) -> tuple[Ints, Ints, Ints]:
    meter = catalog.meter(one.charge.measure.meter)
    into, out = read_deltas(meter, block, block.v_in), read_deltas(meter, block, block.v_out)
    match direction_of(one.charge.measure, meter):
        case Direction.IN:
            value = into.value
        case Direction.OUT:
            value = out.value
        case Direction.BOTH | Direction.SUM_OF_BOTH:
            value = into.value + out.value
        case Direction.GREATER:
            value = into.value if into.value.sum() > out.value.sum() else out.value
        case Direction.SAMPLE_MAX:
            value = np.maximum(into.value, out.value)
    return out.start, out.at, value


def is_warning_that_counts(threshold: Threshold, included: Fraction) -> bool:
    """Whether a threshold lies at or before the whole allowance: its message is the warning that overage needs."""
    if threshold.of is Of.ALLOWANCE:
        return threshold.value <= 1
    return threshold.of is Of.QUANTITY and threshold.value <= included


def chosen(found: Iterable[Judged], services: Collection[int]) -> list[Judged]:
    """Those of these services."""
    return [one for one in found if one.counted.service.id in services]
