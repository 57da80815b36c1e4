"""Settling a period: use as it went on, against consents and warnings as they were, becomes billable or absorbed.

The first law as arithmetic. Every unit that was metered ends in exactly one place: excluded (attack), included,
absorbed for a named reason, or billable. A unit is billable only if, during the whole of the sample that brought it, a
consent was in force with a verified contact behind it, this period's warning had arrived, we were not pausing the
service, and overage had not run past what must be acknowledged; and only as far as the limit reaches. A sample that
spans the instant from which use becomes billable is not billable; the limit cuts exactly, within a sample.

Draws go by the instant they are `used_at`: the end of their sample. Several meters, or several services of a pool, that
share a limit are settled together, so that whoever drew first has it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil, floor

import numpy as np

from coulance_core.kernel import Explanation, Money
from coulance_core.overage.limit import amount_for, most, reach
from coulance_core.overage.terms import Absorbed, Consent, Facts, PriceTerms, Span
from coulance_core.usage.samples import Ints, ints

ZERO = Fraction(0)
_FOREVER = 1 << 62


class SettleError(ValueError):
    """Draws that do not fit together, or a meter that two of them share."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What one service drew, sample by sample: rows (start, end], epoch seconds, and whole stored units.

    `factor` turns stored units into the measure's unit (bytes into GB: 1/10**9). Rows ascend by `end`. `cap` is the
    service's own share of the overage, where it draws on an allowance that others share. `paused` are the times in
    which this service was being paused or throttled, whatever became of others.
    """

    service: str
    start: Ints
    end: Ints
    amount: Ints
    factor: Fraction = Fraction(1)
    cap: Fraction | None = None
    paused: tuple[Span, ...] = ()

    @classmethod
    def of(
        cls,
        service: str,
        start: object,
        end: object,
        amount: object,
        factor: Fraction = Fraction(1),
        cap: Fraction | None = None,
    ) -> "Draws":
        """From any columns of whole numbers. Raises `SettleError` for lengths, order, or amounts that cannot be."""
        columns = [ints(start), ints(end), ints(amount)]
        if len({column.size for column in columns}) != 1:
            raise SettleError(f"{service}: start, end and amount have {[c.size for c in columns]} rows")
        if bool((np.diff(columns[1]) < 0).any()) or bool((columns[0] > columns[1]).any()):
            raise SettleError(f"{service}: samples ascend by their end, and end after they start")
        if bool((columns[2] < 0).any()):
            raise SettleError(f"{service}: use is 0 or more")
        return cls(service, columns[0], columns[1], columns[2], factor, cap)


@dataclass(frozen=True, slots=True)
class Attack:
    """Traffic that was done to a service, with its evidence: all use of samples that touch the span is excluded.

    `at_most` bounds it, in the measure's unit; the rest of the samples' use counts as ever.
    """

    service: str
    span: Span
    evidence: str
    at_most: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """One allowance and what draws on it: a charge of a service, or a pool with several draws.

    `included` and `tolerance` are in the measure's unit; the tolerance lies right above what is included.
    """

    key: str
    unit: str
    included: Fraction
    terms: PriceTerms
    draws: tuple[Draws, ...]
    tolerance: Fraction = ZERO


@dataclass(frozen=True, slots=True)
class Cut:
    """One entry of the trail: from when to when which quantity went where, on which consent."""

    service: str
    start: datetime
    end: datetime
    quantity: Fraction
    reason: Absorbed | None
    """None: billable."""
    consent: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one meter's period. All quantities in `unit`; they add up to what was metered.

    `overage` is what lies past the allowance. `billable` is what may be priced; `absorbed` the rest of it, with
    attacks, which lie outside the allowance. `trail` says when each part was used.
    """

    key: str
    unit: str
    metered: Fraction
    included: Fraction
    overage: Fraction
    billable: Fraction
    absorbed: Mapping[Absorbed, Fraction]
    by_service: Mapping[str, Fraction]
    trail: tuple[Cut, ...]
    explanation: Explanation

    @property
    def absorbed_total(self) -> Fraction:
        """Everything that is not charged, attacks too."""
        return sum(self.absorbed.values(), ZERO)


@dataclass(frozen=True, slots=True)
class Regime:
    """A stretch of time in which the same holds. `reason` when nothing is billable in it."""

    start: int
    reason: Absorbed | None
    consent: Consent | None
    acknowledged: bool


@dataclass(slots=True)
class _Running:
    """How far one meter has come."""

    meter: Meter
    regimes: Sequence[Regime]
    exposed_at: Fraction | None
    used: Fraction = ZERO
    included: Fraction = ZERO
    billable: Fraction = ZERO
    absorbed: dict[Absorbed, Fraction] = field(default_factory=dict)
    by_service: dict[str, Fraction] = field(default_factory=dict)
    trail: list[Cut] = field(default_factory=list)

    def absorb(self, reason: Absorbed, quantity: Fraction) -> None:
        if quantity:
            self.absorbed[reason] = self.absorbed.get(reason, ZERO) + quantity


Attacks = Sequence[Attack] | Callable[[str], Sequence[Attack]]
"""Attacks, with bounds in the one unit there is; or by unit, where meters of several are settled."""


def settle(meters: Sequence[Meter], facts: Facts | Sequence[Facts], *, attacks: Attacks = ()) -> tuple[Settled, ...]:
    """Settle the period of meters that share consents, in the order they were given.

    Their limits are one limit: an amount is shared by all of them in the order of use, a quantity by those of the same
    unit. `facts` are one for all, or each meter's own (its warnings, acknowledgements, and limits in its unit). Use
    that lies before or after the draws' own samples does not exist here: hand over the period's samples.
    """
    if len({meter.key for meter in meters}) != len(meters):
        raise SettleError("two meters of one key cannot be settled together")
    known = [facts] * len(meters) if isinstance(facts, Facts) else list(facts)
    running = []
    for meter, own in zip(meters, known, strict=True):
        # The last regime is that of a service that is paused by itself: no instant leads there.
        regimes = [*regimes_of(own), Regime(_FOREVER, Absorbed.PAUSED, None, acknowledged=False)]
        running.append(_Running(meter, regimes, _exposed_at(meter.terms, own.exposure)))
    excluded = [_without_attacks(meter, attacks(meter.unit) if callable(attacks) else attacks) for meter in meters]
    for run, (_, taken) in zip(running, excluded, strict=True):
        run.absorb(Absorbed.ATTACK, taken)
    for stretch in _stretches([draws for draws, _ in excluded], [run.regimes for run in running]):
        _draw(running, stretch)
    return tuple(_settled(run, own) for run, own in zip(running, known, strict=True))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Neighbouring samples of one service in one regime."""

    meter: int
    draw: int
    regime: int
    start: int
    end: int
    quantity: Fraction


def _exposed_at(terms: PriceTerms, exposure: Money | None) -> Fraction | None:
    if exposure is None:
        return None
    return reach(terms.price, exposure.amount)


def _begin(instant: datetime) -> int:
    return ceil(instant.timestamp())


def _cease(instant: datetime | None) -> int:
    return _FOREVER if instant is None else floor(instant.timestamp())


def regimes_of(facts: Facts) -> list[Regime]:
    """Time cut at every instant at which something begins or ends to hold; the first stretch has no beginning."""
    spans = [*facts.warned, *facts.paused]
    for consent in facts.consents:
        spans.extend((consent.in_force, *consent.verified))
    # What lets use be billed begins at the next whole second and ends at the last one; a pause the other way round.
    cuts = {-_FOREVER}
    for span in spans:
        cuts |= {_begin(span.start), floor(span.start.timestamp())}
        if span.end is not None:
            cuts |= {_cease(span.end), _begin(span.end)}
    cuts |= {_begin(instant) for instant in facts.acknowledged}
    return [_regime(start, facts) for start in sorted(cuts)]


def _regime(start: int, facts: Facts) -> Regime:
    consents = [c for c in facts.consents if _holds(c.in_force, start)]
    consent = consents[-1] if consents else None
    acknowledged = any(_begin(instant) <= start for instant in facts.acknowledged)
    if any(floor(p.start.timestamp()) <= start < _end_of_pause(p) for p in facts.paused):
        return Regime(start, Absorbed.PAUSED, consent, acknowledged)
    if consent is None:
        return Regime(start, Absorbed.NO_CONSENT, None, acknowledged)
    if not any(_holds(span, start) for span in consent.verified):
        return Regime(start, Absorbed.DORMANT, consent, acknowledged)
    if not any(_holds(span, start) for span in facts.warned):
        return Regime(start, Absorbed.NOT_WARNED, consent, acknowledged)
    return Regime(start, None, consent, acknowledged)


def _holds(span: Span, at: int) -> bool:
    return _begin(span.start) <= at < _cease(span.end)


def _end_of_pause(span: Span) -> int:
    return _FOREVER if span.end is None else _begin(span.end)


def _without_attacks(meter: Meter, attacks: Sequence[Attack]) -> tuple[tuple[Draws, ...], Fraction]:
    """The draws with the attacks' use taken out, and how much that was."""
    kept: list[Draws] = []
    taken_all = ZERO
    for draws in meter.draws:
        amount = draws.amount
        for attack in attacks:
            if attack.service != draws.service:
                continue
            first, last = floor(attack.span.start.timestamp()), _cease(attack.span.end)
            hit = (draws.end > first) & (draws.start < last) & (amount > 0)
            total = int(amount[hit].sum(dtype=object)) if hit.any() else 0
            if not total:
                continue
            at_most = total if attack.at_most is None else min(floor(attack.at_most / draws.factor), total)
            amount = amount.copy()
            if at_most == total:
                amount[hit] = 0
            else:
                rows = np.flatnonzero(hit)
                before = 0
                running = 0
                for row in rows.tolist():  # in proportion, the last row taking what is left: whole units throughout
                    running += int(amount[row])
                    upto = running * at_most // total
                    amount[row] -= upto - before
                    before = upto
            taken_all += at_most * draws.factor
        kept.append(replace(draws, amount=amount))
    return tuple(kept), taken_all


def _stretches(all_draws: Sequence[tuple[Draws, ...]], each: Sequence[Sequence[Regime]]) -> list[_Stretch]:
    """Every sample in the order of use, neighbours of one service and one regime together."""
    streams: list[tuple[int, int]] = []
    columns: list[tuple[Ints, Ints, Ints, Ints, Ints]] = []
    for m, (draws_of, regimes) in enumerate(zip(all_draws, each, strict=True)):
        starts = np.array([regime.start for regime in regimes], np.int64)
        for d, draws in enumerate(draws_of):
            used = draws.amount > 0
            start, end = draws.start[used], draws.end[used]
            regime = np.searchsorted(starts, start, side="right").astype(np.int64) - 1
            # A sample ends at `end`, so it lies in a regime that lasts until then.
            last = np.searchsorted(starts, end, side="left").astype(np.int64) - 1
            last = np.maximum(last, regime)
            for row in np.flatnonzero(last != regime).tolist():
                regime[row] = strictest(regimes, int(regime[row]), int(last[row]))
            for span in draws.paused:
                regime[(end > floor(span.start.timestamp())) & (start < _end_of_pause(span))] = len(regimes) - 1
            columns.append((np.full(end.size, len(streams), np.int64), start, end, draws.amount[used], regime))
            streams.append((m, d))
    if not columns:
        return []
    stream, start, end, amount, regime = (np.concatenate([c[i] for c in columns]) for i in range(5))
    if not end.size:
        return []
    order = np.lexsort((stream, end)) if len(streams) > 1 else np.arange(end.size)
    stream, start, end, amount, regime = stream[order], start[order], end[order], amount[order], regime[order]
    change = np.flatnonzero((np.diff(stream) != 0) | (np.diff(regime) != 0)) + 1
    first = np.concatenate(([0], change))
    after = np.concatenate((change, [end.size]))
    out: list[_Stretch] = []
    for a, b in zip(first.tolist(), after.tolist(), strict=True):
        m, d = streams[int(stream[a])]
        total = int(amount[a:b].sum(dtype=object)) if b - a > 1 else int(amount[a])
        factor = all_draws[m][d].factor
        out.append(_Stretch(m, d, int(regime[a]), int(start[a]), int(end[b - 1]), total * factor))
    return out


def strictest(regimes: Sequence[Regime], first: int, last: int) -> int:
    """Which regime judges a sample that touches several: the first that bills nothing, else the lower limit."""
    for i in range(first, last + 1):
        if regimes[i].reason is not None:
            return i
    best = first
    for i in range(first, last + 1):
        if _tighter(regimes[i], regimes[best]):
            best = i
    return best


def _tighter(one: Regime, other: Regime) -> bool:
    a, b = one.consent, other.consent
    if a is b or a is None or b is None:
        return not one.acknowledged and other.acknowledged
    if a.limit.amount is not None and b.limit.amount is not None and a.limit.amount != b.limit.amount:
        return a.limit.amount.minor < b.limit.amount.minor
    if a.limit.quantity is not None and b.limit.quantity is not None:
        return a.limit.quantity < b.limit.quantity
    return a.limit.quantity is not None and b.limit.quantity is None


def _draw(running: Sequence[_Running], stretch: _Stretch) -> None:
    """Take one stretch: first what is included, then the tolerance, then what the regime says."""
    run = running[stretch.meter]
    regime = run.regimes[stretch.regime]
    meter = run.meter
    before, after = run.used, run.used + stretch.quantity
    run.used = after
    run.included += _overlap(before, after, ZERO, meter.included)
    top = meter.included + meter.tolerance
    _absorb(run, stretch, Absorbed.TOLERANCE, _overlap(before, after, meter.included, top), regime)
    beyond = _overlap(before, after, top, None)
    if not beyond:
        return
    if regime.reason is not None or regime.consent is None:
        _absorb(run, stretch, regime.reason or Absorbed.NO_CONSENT, beyond, regime)
        return
    allowed = beyond
    exposed_at = _exposure(run, regime)
    if exposed_at is not None:
        # Exposure counts all use past the allowance, billable or not.
        allowed = _overlap(before, after, top, max(top, meter.included + exposed_at))
    left = _left(running, stretch, regime)
    billable = allowed if left is None else min(allowed, left)
    if billable:
        run.billable += billable
        service = meter.draws[stretch.draw].service
        run.by_service[service] = run.by_service.get(service, ZERO) + billable
        _note(run, stretch, billable, None, regime.consent.ref)
    _absorb(run, stretch, Absorbed.ABOVE_LIMIT, allowed - billable, regime)
    _absorb(run, stretch, Absorbed.NOT_ACKNOWLEDGED, beyond - allowed, regime)


def _exposure(run: _Running, regime: Regime) -> Fraction | None:
    """The overage up to which no acknowledgement is needed; None: none is."""
    if regime.acknowledged or run.exposed_at is None or regime.consent is None:
        return None
    given = regime.consent.pre_acknowledged
    if given is None:
        return run.exposed_at
    beforehand = reach(run.meter.terms.price, given.amount)
    return None if beforehand is None else max(run.exposed_at, beforehand)


def _left(running: Sequence[_Running], stretch: _Stretch, regime: Regime) -> Fraction | None:
    """How much more of this meter the limit allows, and the service's own cap; None: as much as there is."""
    run, consent = running[stretch.meter], regime.consent
    if consent is None:
        return ZERO
    terms = run.meter.terms
    others = [r for r in running if r is not run]
    spent: Money | None = None
    for other in others:
        if other.billable:
            due = amount_for(other.billable, other.meter.terms)
            spent = due if spent is None else spent + due
    taken = sum((r.billable for r in others if r.meter.unit == run.meter.unit), ZERO)
    limit = most(consent.limit, terms, consent.terms, spent=spent, taken=taken)
    left = [] if limit is None else [limit - run.billable]
    cap = run.meter.draws[stretch.draw].cap
    if cap is not None:
        left.append(cap - run.by_service.get(run.meter.draws[stretch.draw].service, ZERO))
    return max(min(left), ZERO) if left else None


def _overlap(low: Fraction, high: Fraction, start: Fraction, end: Fraction | None) -> Fraction:
    top = high if end is None else min(high, end)
    return max(top - max(low, start), ZERO)


def _absorb(run: _Running, stretch: _Stretch, reason: Absorbed, quantity: Fraction, regime: Regime) -> None:
    if quantity:
        run.absorb(reason, quantity)
        _note(run, stretch, quantity, reason, regime.consent.ref if regime.consent else "")


def _note(run: _Running, stretch: _Stretch, quantity: Fraction, reason: Absorbed | None, consent: str) -> None:
    service = run.meter.draws[stretch.draw].service
    start, end = _instant(stretch.start), _instant(stretch.end)
    last = run.trail[-1] if run.trail else None
    if last is not None and (last.service, last.reason, last.consent) == (service, reason, consent):
        run.trail[-1] = Cut(service, last.start, end, last.quantity + quantity, reason, consent)
    else:
        run.trail.append(Cut(service, start, end, quantity, reason, consent))


def _instant(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


_WORDS = {
    Absorbed.ATTACK: "attack traffic, excluded",
    Absorbed.TOLERANCE: "within the tolerance",
    Absorbed.PAUSED: "used while the service was being paused or throttled",
    Absorbed.NO_CONSENT: "used while no consent was in force",
    Absorbed.DORMANT: "used while no contact behind the consent was verified",
    Absorbed.NOT_WARNED: "used before this period's warning had arrived",
    Absorbed.NOT_ACKNOWLEDGED: "used past the exposure that must be acknowledged",
    Absorbed.ABOVE_LIMIT: "used above the limit",
}


def _settled(run: _Running, facts: Facts) -> Settled:
    meter, unit = run.meter, run.meter.unit
    metered = run.used + run.absorbed.get(Absorbed.ATTACK, ZERO)
    e = Explanation.build("overage.settled", terms=meter.terms.version)
    e.fact("metered", metered, unit)
    names = []
    for reason in Absorbed:
        if run.absorbed.get(reason):
            names.append(reason.value.replace("_", " "))
            e.fact(names[-1], run.absorbed[reason], unit, _WORDS[reason])
    e.fact("included", meter.included, unit, "allowance")
    if Absorbed.ATTACK in run.absorbed:
        e.step("counted", "subtract", "metered", "attack", unit=unit)
    else:
        e.step("counted", "add", "metered", unit=unit)
    e.step("above", "subtract", "counted", "included", unit=unit)
    e.step("overage", "max", "above", "0", unit=unit)
    absorbed = [name for name in names if name != "attack"]
    if absorbed:
        e.step("absorbed", "add", *absorbed, unit=unit)
        e.step("billable", "subtract", "overage", "absorbed", unit=unit)
    else:
        e.step("billable", "add", "overage", unit=unit)
    for consent in facts.consents:
        e.note(_consent_words(consent, meter.terms))
    if e.number("billable") != run.billable:
        raise SettleError(f"{meter.key}: {run.billable} billable does not follow from {e.number('billable')}")
    return Settled(
        meter.key,
        unit,
        metered,
        run.included,
        e.number("overage"),
        run.billable,
        dict(run.absorbed),
        dict(run.by_service),
        tuple(run.trail),
        e.freeze(),
    )


def _consent_words(consent: Consent, terms: PriceTerms) -> str:
    limit = consent.limit
    amount = "" if limit.amount is None else str(limit.amount)
    until = "" if consent.in_force.end is None else f" until {consent.in_force.end.isoformat()}"
    shown = f" ({amount})" if amount and limit.typed == "quantity" else ""
    typed = f"{limit.quantity} of quantity{shown}" if limit.typed == "quantity" else f"{amount} payable"
    changed = "" if consent.terms == terms.version else f", given under {consent.terms}: the tighter of both binds"
    return f"consent {consent.ref}: {typed}, from {consent.in_force.start.isoformat()}{until}{changed}"
