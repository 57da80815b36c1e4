"""Reading the records of overage: consents, and the facts by which a period is settled."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from django.db.models import Q

from coulance.notices import queries as notices
from coulance.overage.calling import PhoneTaskRow, phone_task, phone_tasks
from coulance.overage.facts import Group, accounts_that_share, facts_for, groups_for
from coulance.overage.meters import MeterRef
from coulance.overage.models import Attack, Consent, Settlement, Warned
from coulance.overage.reading import ConsentRow, consent_row
from coulance.overage.standings import StandingRow, near_limit, standings_of, unreached
from coulance_core.kernel import Money, Period, exact
from coulance_core.overage.terms import Absorbed

__all__ = [
    "AttackRow",
    "ConsentRow",
    "Group",
    "MeterRef",
    "PhoneTaskRow",
    "SettlementRow",
    "StandingRow",
    "WarningRow",
    "accounts_that_share",
    "attacks",
    "budget_spent",
    "budgets_spent",
    "consent",
    "consent_in_force",
    "consents",
    "facts_for",
    "groups_for",
    "near_limit",
    "pending",
    "phone_task",
    "phone_tasks",
    "provisional",
    "settlements",
    "standing_of",
    "told_by",
    "told_of",
    "unreached",
    "warning_voided",
    "warnings",
]


@dataclass(frozen=True, slots=True)
class AttackRow:
    """Recorded traffic that was done to a service. `at_most` in `unit`; None: all of it."""

    id: int
    service: int
    start: datetime
    until: datetime
    evidence: str
    at_most: Fraction | None
    unit: str
    recorded_by: str
    reason: str
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class WarningRow:
    """A threshold that was told of."""

    meter: str
    threshold: str
    counts: bool
    used: Fraction
    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """What a meter's period came to, as its latest revision says. Amounts before tax."""

    account: int
    meter: str
    service: int | None
    pool: str
    charge: str
    period_name: str
    revision: int
    observed: bool
    unit: str
    metered: Fraction
    included: Fraction
    overage: Fraction
    billable: Fraction
    absorbed: Mapping[Absorbed, Fraction]
    cost: Money
    on_budget: Money
    settled_at: datetime
    facts: Mapping[str, Any] | None


def consents(*, account: int, open_only: bool = False) -> list[ConsentRow]:
    """An account's consents, oldest first."""
    rows = Consent.objects.filter(account=account).order_by("given_at", "id")
    if open_only:
        rows = rows.filter(ended_at__isnull=True)
    return [consent_row(row) for row in rows]


def consent(*, consent: int) -> ConsentRow | None:
    """A consent, or none."""
    row = Consent.objects.filter(pk=consent).first()
    return None if row is None else consent_row(row)


def pending() -> list[ConsentRow]:
    """Consents that wait for the provider's approval, the longest waiting first."""
    rows = Consent.objects.filter(approval_needed=True, approved__isnull=True, ended_at__isnull=True)
    return [consent_row(row) for row in rows.order_by("given_at", "id")]


def provisional(*, by: datetime | None = None) -> list[ConsentRow]:
    """Provisional limits that are in force (and lapse by then, when given), the first to lapse first."""
    rows = Consent.objects.filter(provisional=True, ended_at__isnull=True)
    if by is not None:
        rows = rows.filter(confirm_by__lte=by)
    return [consent_row(row) for row in rows.order_by("confirm_by", "id")]


def consent_in_force(*, meter: MeterRef, at: datetime, period_name: str) -> ConsentRow | None:
    """The consent that governs a meter at an instant: the one nearest to it, a period's own before a standing one."""
    rows = [
        row
        for row in map(consent_row, Consent.objects.filter(account=meter.account, period_name__in=["", period_name]))
        if row.governs(meter) and row.in_force_at(at)
    ]
    return max(rows, key=lambda row: (row.nearness, row.period_name != "", row.in_force_from, row.id), default=None)


def warnings(*, account: int, period_name: str) -> list[WarningRow]:
    """The thresholds that an account was told of in a period, oldest first."""
    rows = Warned.objects.filter(account=account, period_name=period_name).order_by("at", "id")
    return [WarningRow(r.meter, r.threshold, r.counts, exact(r.used), r.at, r.message) for r in rows]


def told_of(*, accounts: Collection[int], period_name: str) -> list[tuple[int, str, str]]:
    """(account, meter, threshold) of everything that these accounts were told of in a period; one query for many."""
    rows = Warned.objects.filter(account__in=list(accounts), period_name=period_name)
    return list(rows.values_list("account_id", "meter", "threshold"))


def told_by(*, message: str) -> list[tuple[int, str, str]]:
    """(account, meter, period's name) of what a message told of."""
    rows = Warned.objects.filter(message=message).order_by("id")
    return list(dict.fromkeys(rows.values_list("account_id", "meter", "period_name")))


def standing_of(*, account: int, meter: str) -> StandingRow | None:
    """Where an allowance stood when it was last looked at, if it was."""
    return next((row for row in standings_of(account=account) if row.meter == meter), None)


def attacks(*, services: Collection[int] | None = None, period: Period | None = None) -> list[AttackRow]:
    """Attacks on record (on these services, that touch this period, when given) that were not withdrawn."""
    rows = Attack.objects.filter(withdrawn_at__isnull=True)
    if services is not None:
        rows = rows.filter(service__in=list(services))
    if period is not None:
        rows = rows.filter(start__lt=period.end, until__gt=period.start)
    return [
        AttackRow(
            r.pk, r.service_id, r.start, r.until, r.evidence, exact(r.at_most) if r.at_most else None, r.unit,
            r.recorded_by, r.reason, r.withdrawn_at,
        )
        for r in rows.order_by("start", "id")
    ]  # fmt: skip


def settlements(
    *,
    account: int | None = None,
    period_name: str | None = None,
    limit: int = 1000,
) -> list[SettlementRow]:
    """The latest revision of each settlement, newest period first."""
    where = Q()
    if account is not None:
        where &= Q(account=account)
    if period_name is not None:
        where &= Q(period_name=period_name)
    rows = (
        Settlement.objects.filter(where)
        .order_by("-period_name", "account_id", "meter", "-revision")
        .distinct("period_name", "account_id", "meter")
    )
    return [_settlement(row) for row in rows[:limit]]


def warning_voided(*, accounts: Collection[int], since: str) -> dict[int, dict[str, frozenset[str]]]:
    """Periods that were settled by a warning which came back afterwards: meters with something billable, by account
    and period's name, from the period `since` on.

    A notice that is void was none: what was billed by it was not billable. Once a period is settled again, with what is
    known now, it is not among them.
    """
    rows = (
        Settlement.objects.filter(account__in=list(accounts), period_name__gte=since, observed=False)
        .order_by("account_id", "period_name", "meter", "-revision")
        .distinct("account_id", "period_name", "meter")
        .values_list("account_id", "period_name", "meter", "billable", "settled_at")
    )
    settled = {(a, p, m): at for a, p, m, billable, at in rows if exact(billable)}
    if not settled:
        return {}
    told = Warned.objects.filter(
        account__in={a for a, _, _ in settled}, period_name__in={p for _, p, _ in settled}, counts=True
    ).exclude(message="")
    messages = {
        (a, p, m, key)
        for a, p, m, key in told.values_list("account_id", "period_name", "meter", "message")
        if (a, p, m) in settled
    }
    came_back = notices.returned(keys={key for *_, key in messages}) if messages else {}
    out: dict[int, dict[str, set[str]]] = {}
    for account, period, meter, key in messages:
        if key in came_back and came_back[key] > settled[account, period, meter]:
            out.setdefault(account, {}).setdefault(period, set()).add(meter)
    return {a: {p: frozenset(meters) for p, meters in own.items()} for a, own in out.items()}


def budget_spent(*, account: int, at: datetime) -> Money | None:
    """What was absorbed for an account in the 12 months before an instant that draws on its budget; None: nothing.

    Our own delays and attacks never draw on it, nor what was only observed.
    """
    return budgets_spent(accounts=[account], at=at).get(account)


def budgets_spent(*, accounts: Collection[int], at: datetime) -> dict[int, Money]:
    """The same of many, by account; those of whom nothing was absorbed are not in it."""
    rows = (
        Settlement.objects.filter(
            account__in=list(accounts), settled_at__gt=at - timedelta(days=365), settled_at__lte=at, observed=False
        )
        .order_by("account_id", "period_name", "meter", "-revision")
        .distinct("account_id", "period_name", "meter")
    )
    out: dict[int, Money] = {}
    for account, amount, code in rows.values_list("account_id", "on_budget", "currency"):
        one = Money(amount, code)
        out[account] = out[account] + one if account in out else one
    return out


def _settlement(row: Settlement) -> SettlementRow:
    return SettlementRow(
        account=row.account_id,
        meter=row.meter,
        service=row.service_id,
        pool=row.pool,
        charge=row.charge,
        period_name=row.period_name,
        revision=row.revision,
        observed=row.observed,
        unit=row.unit,
        metered=exact(row.metered),
        included=exact(row.included),
        overage=exact(row.overage),
        billable=exact(row.billable),
        absorbed={Absorbed(key): exact(value) for key, value in row.absorbed.items()},
        cost=Money(row.cost, row.currency),
        on_budget=Money(row.on_budget, row.currency),
        settled_at=row.settled_at,
        facts=row.facts,
    )
