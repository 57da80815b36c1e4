"""The facts by which meters' periods are settled: consents, when verified, when warned, when acknowledged, when paused.

Meters that a consent binds together are one group, as its limit is one limit. Of consents at several distances the
nearest counts, for the whole period: a service that has its own word on overage is not under the account's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from coulance.enforcement import queries as enforcement
from coulance.notices import queries as notices
from coulance.overage.meters import MeterRef
from coulance.overage.models import Acknowledgement, Consent, Warned
from coulance.overage.reading import ConsentRow, consent_row
from coulance_core.kernel import Money, Period
from coulance_core.overage.closing import limit_in
from coulance_core.overage.terms import Consent as CoreConsent
from coulance_core.overage.terms import Facts, Span

_Spell = tuple[datetime, datetime | None]


@dataclass(frozen=True, slots=True)
class Group:
    """Meters that are settled together, and the facts of their period.

    `by_meter` has each one's own, by its key: the consents that all share, with limits in its unit, and its own
    warnings and acknowledgements. `caps` are the members' own consents within a pool, by service id: sub-caps of the
    pool's limit. `paused`: when each service was being paused or throttled, by its id; `by_meter` leaves that to it.
    """

    meters: tuple[MeterRef, ...]
    by_meter: dict[str, Facts]
    caps: dict[int, tuple[CoreConsent, ...]]
    paused: dict[int, tuple[Span, ...]]


def facts_for(
    *, meter: MeterRef, period: Period, period_name: str, exposure: Money | None = None, unit_name: str = ""
) -> Facts:
    """The facts of a meter, with the times in which any of its services was paused.

    `unit_name` is the unit in which limits in quantity are given.
    """
    (found,) = groups_for(
        meters=[meter], period=period, period_name=period_name, exposure=exposure, units={meter.key: unit_name}
    )
    every = _merged([(one.start, one.end) for own in found.paused.values() for one in own])
    return replace(found.by_meter[meter.key], paused=tuple(Span(*spell) for spell in every))


def accounts_that_share(*, accounts: Iterable[int], at: datetime) -> set[int]:
    """The accounts with a consent in force that binds several meters: one of the account, or of a whole service."""
    wide = Consent.objects.filter(account__in=list(accounts), charge="").exclude(scope="pool")
    return {row.account for row in map(consent_row, wide.filter(given_at__lte=at)) if row.in_force_at(at)}


def groups_for(
    *,
    meters: Sequence[MeterRef],
    period: Period,
    period_name: str,
    units: dict[str, str],
    exposure: Money | None = None,
) -> list[Group]:
    """All of these meters, grouped by the consents that bind them, each group with its facts. A few queries in all.

    `units` is the unit of each meter, by key.
    """
    if not meters:
        return []
    accounts = {meter.account for meter in meters}
    rows = [
        row
        for row in map(
            consent_row,
            Consent.objects.filter(account__in=accounts, given_at__lt=period.end, period_name__in=["", period_name]),
        )
        if (span := row.span) is not None and span.start < period.end and (span.end is None or span.end > period.start)
    ]
    by_account: dict[int, list[ConsentRow]] = {}
    for row in rows:
        by_account.setdefault(row.account, []).append(row)
    groups: dict[tuple[object, ...], tuple[list[MeterRef], list[ConsentRow]]] = {}
    for meter in meters:
        own = [row for row in by_account.get(meter.account, ()) if row.governs(meter)]
        near = max((row.nearness for row in own), default=-1)
        nearest = [row for row in own if row.nearness == near]
        key: tuple[object, ...] = (meter.account, meter.key) if near < 0 or near == 2 else _scope(nearest[0])
        members, consents = groups.setdefault(key, ([], []))
        members.append(meter)
        consents.extend(row for row in nearest if row not in consents)
    verified = _Verified(rows)
    warned = _warned(accounts, period_name)
    acts = _acknowledged(accounts, period_name)
    paused = enforcement.paused_spans(services={s for meter in meters for s in meter.services}, period=period)
    out = []
    for members, consents in groups.values():
        by_meter = {}
        for meter in members:
            facts = _facts(meter, consents, verified, warned, acts, exposure)
            by_meter[meter.key] = _in_unit(facts, consents, units[meter.key])
        stopped = {
            one: tuple(Span(*spell) for spell in _merged(paused[one]))
            for one in dict.fromkeys(s for m in members for s in m.services)
            if paused.get(one)
        }
        out.append(Group(tuple(members), by_meter, _caps(members, by_account, verified, units), stopped))
    return out


def _scope(row: ConsentRow) -> tuple[object, ...]:
    return (row.account, row.scope, row.service, row.pool, row.group, row.charge)


def _caps(
    members: Iterable[MeterRef],
    by_account: dict[int, list[ConsentRow]],
    verified: "_Verified",
    units: dict[str, str],
) -> dict[int, tuple[CoreConsent, ...]]:
    out: dict[int, tuple[CoreConsent, ...]] = {}
    for meter in members:
        if not meter.pool:
            continue
        for row in by_account.get(meter.account, ()):
            if row.scope == "service" and row.service in meter.services and not row.charge:
                cap = _core(row, verified)
                cap = replace(cap, limit=limit_in(cap.limit, row.unit, units[meter.key]))
                out[row.service] = (*out.get(row.service, ()), cap)
    return out


def _facts(
    meter: MeterRef,
    consents: Sequence[ConsentRow],
    verified: "_Verified",
    warned: dict[tuple[int, str], list[_Spell]],
    acts: dict[tuple[int, str], list[tuple[datetime, str]]],
    exposure: Money | None,
) -> Facts:
    # Of those who share a limit each needs its own warning, and answers for its own exposure.
    acted = sorted(acts.get((meter.account, meter.key), ()))
    # Who acts on a warning has it; who pays knows what ran up, and may have read nothing.
    read = [at for at, how in acted if how != "payment"]
    told = _merged([*warned.get((meter.account, meter.key), ()), *_lasting(read)])
    return Facts(
        consents=tuple(_core(row, verified) for row in _ordered(consents)),
        warned=tuple(Span(*spell) for spell in told),
        acknowledged=tuple(at for at, _how in acted[:1]),
        exposure=exposure,
    )


def _ordered(consents: Sequence[ConsentRow]) -> list[ConsentRow]:
    # Of two that hold at once the later in the list counts: a period's own word after a standing one.
    return sorted(consents, key=lambda row: (row.period_name != "", row.in_force_from, row.id))


def _in_unit(facts: Facts, consents: Sequence[ConsentRow], name: str) -> Facts:
    """The same facts, with limits' quantities in a unit."""
    turned = [
        replace(one, limit=limit_in(one.limit, row.unit, name))
        for one, row in zip(facts.consents, _ordered(consents), strict=True)
    ]
    return replace(facts, consents=tuple(turned))


def _lasting(instants: Iterable[datetime]) -> list[_Spell]:
    return [(instant, None) for instant in instants]


def _core(row: ConsentRow, verified: "_Verified") -> CoreConsent:
    span = row.span
    assert span is not None
    return CoreConsent(
        ref=row.ref,
        in_force=span,
        limit=row.limit,
        terms=row.terms,
        verified=verified.of(row),
        pre_acknowledged=row.pre_acknowledged,
    )


class _Verified:
    """When the contact behind each consent stood verified."""

    def __init__(self, rows: Sequence[ConsentRow]) -> None:
        self._since = notices.verified_since({row.account for row in rows}) if rows else {}
        self._dead = notices.dead_spans({row.address for row in rows}) if rows else {}

    def of(self, row: ConsentRow) -> tuple[Span, ...]:
        """The spans; a provisional limit counts its contact as verified from the start, until a bounce."""
        address = notices.compared(row.address)
        since = self._since.get((row.account, address))
        if row.provisional:
            since = row.given_at if since is None else min(since, row.given_at)
        if since is None:
            return ()
        out: list[Span] = []
        start: datetime | None = since
        for dead, released in self._dead.get(address, ()):
            if start is not None and dead > start:
                out.append(Span(start, dead))
            # A provisional contact is not verified again by a release: they never confirmed anything.
            start = None if released is None or row.provisional else max(released, start or released)
            if start is None:
                break
        return (*out, Span(start)) if start is not None else tuple(out)


def _warned(accounts: Iterable[int], period_name: str) -> dict[tuple[int, str], list[_Spell]]:
    rows = list(
        Warned.objects.filter(account__in=accounts, period_name=period_name, counts=True)
        .exclude(message="")
        .values_list("account_id", "meter", "message")
    )
    if not rows:
        return {}
    spells = notices.delivered_spans({message for *_, message in rows})
    out: dict[tuple[int, str], list[_Spell]] = {}
    for account, meter, message in rows:
        out.setdefault((account, meter), []).extend(spells.get(message, ()))
    return out


def _acknowledged(accounts: Iterable[int], period_name: str) -> dict[tuple[int, str], list[tuple[datetime, str]]]:
    out: dict[tuple[int, str], list[tuple[datetime, str]]] = {}
    rows = Acknowledgement.objects.filter(account__in=accounts, period_name=period_name).order_by("at")
    for account, meter, at, how in rows.values_list("account_id", "meter", "at", "how"):
        out.setdefault((account, meter), []).append((at, how))
    return out


def _merged(spells: Sequence[_Spell]) -> list[_Spell]:
    """The union, in order."""
    out: list[_Spell] = []
    for start, end in sorted(spells, key=lambda spell: spell[0]):
        if out and (out[-1][1] is None or start <= out[-1][1]):
            last = out[-1][1]
            out[-1] = (out[-1][0], None if last is None or end is None else max(last, end))
        else:
            out.append((start, end))
    return out
