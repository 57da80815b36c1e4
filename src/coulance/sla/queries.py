"""Reading the sla room."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from coulance.sla.models import (
    Agent,
    Agreement,
    Check,
    Claimed,
    Credit,
    Distrust,
    Entry,
    Measure,
    Preference,
    Shown,
)
from coulance_core.kernel import Explanation, Money
from coulance_core.sla.paying import Pays


@dataclass(frozen=True, slots=True)
class AgentRow:
    """Who looks. `taken` looks came in; `lost` it says it had to drop."""

    name: str
    source: str
    last_at: datetime | None
    retired_at: datetime | None
    taken: int
    lost: int


@dataclass(frozen=True, slots=True)
class CheckRow:
    """What is looked at of a service."""

    id: int
    service: int
    kind: str
    target: str
    every_s: int
    timeout_s: int
    expect: Mapping[str, Any]
    vantages: tuple[str, ...]
    holds: bool
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """What an operator said of a service's time, and still says."""

    id: int
    service: int
    says: str
    since: datetime
    until: datetime | None
    announced_at: datetime | None
    reported_at: datetime | None
    kind: str
    affected: str
    words: str
    evidence: str
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class CaseRow:
    """Counter-evidence of a customer; `accepted` is None while it waits."""

    id: int
    service: int
    account: int
    since: datetime
    until: datetime
    words: str
    at: datetime
    by: str
    accepted: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """What a service's period came to."""

    id: int
    service: int
    account: int
    period_name: str
    start: datetime
    end: datetime
    no: int
    terms_version: str
    terms: Mapping[str, Any]
    downtime: int
    unknown: int
    availability: str
    outages: tuple[Mapping[str, Any], ...]
    fee: Money
    amount: Money
    explanation: Explanation
    at: datetime
    so_far: bool = False


@dataclass(frozen=True, slots=True)
class CreditRow:
    """A credit. `paid` of it is in credit notes (`numbers`), by `ways`."""

    id: int
    measure: int
    service: int
    account: int
    period_name: str
    terms_version: str
    amount: Money
    paid: Money
    numbers: tuple[str, ...]
    ways: tuple[str, ...]
    at: datetime

    @property
    def left(self) -> Money:
        """What isn't paid yet."""
        return self.amount - self.paid


def agents() -> list[AgentRow]:
    """Every agent and outside source."""
    rows = Agent.objects.order_by("name")
    return [AgentRow(a.name, a.source, a.last_at, a.retired_at, sum(h - w for w, h in a.taken), a.lost) for a in rows]


def agent_of(prefix: str) -> str | None:
    """The name of the agent that signs in by a token."""
    return Agent.objects.filter(token_prefix=prefix, retired_at__isnull=True).values_list("name", flat=True).first()


def check_row(row: Check) -> CheckRow:
    """A check as others see it."""
    return CheckRow(
        row.pk,
        row.service_id,
        row.kind,
        row.target,
        row.every_s,
        row.timeout_s,
        row.expect,
        tuple(row.vantages),
        row.holds,
        row.since,
        row.until,
    )


def checks(
    *, services: Collection[int] | None = None, live: bool = True, outside: bool | None = None
) -> list[CheckRow]:
    """Checks of these services, or of all; `outside`: only such, or none such."""
    rows = Check.objects.order_by("service_id", "pk")
    if services is not None:
        rows = rows.filter(service_id__in=list(services))
    if live:
        rows = rows.filter(until__isnull=True)
    if outside is not None:
        fed = ["outside", "requests"]
        rows = rows.filter(kind__in=fed) if outside else rows.exclude(kind__in=fed)
    return [check_row(row) for row in rows]


def checks_for(agent: str) -> list[CheckRow]:
    """What an agent is to look at."""
    return [row for row in checks(outside=False) if not row.vantages or agent in row.vantages]


def outside_check(target: str, *, kind: str = "outside") -> CheckRow | None:
    """The check that an outside source knows by that name; of kind `requests` for one that counts."""
    row = Check.objects.filter(kind=kind, target=target, until__isnull=True).order_by("pk").first()
    return check_row(row) if row else None


def entry_row(row: Entry) -> EntryRow:
    """An entry as others see it."""
    return EntryRow(
        row.pk,
        row.service_id,
        row.says,
        row.since,
        row.until,
        row.announced_at,
        row.reported_at,
        row.kind,
        row.affected,
        row.words,
        row.evidence,
        row.reason,
        row.at,
        row.by,
    )


def entries(
    *,
    services: Collection[int] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    says: str | None = None,
    entered_since: datetime | None = None,
    most: int = 10_000,
) -> list[EntryRow]:
    """Entries that stand (not taken back, not said over again), that touch [start, end), oldest first."""
    rows = Entry.objects.exclude(says="retracted").order_by("since", "pk")
    rows = rows.exclude(pk__in=Entry.objects.filter(retracts__isnull=False).values("retracts_id"))
    rows = rows.exclude(pk__in=Entry.objects.filter(ends__isnull=False).values("ends_id"))
    if services is not None:
        rows = rows.filter(service_id__in=list(services))
    if says is not None:
        rows = rows.filter(says=says)
    if end is not None:
        rows = rows.filter(since__lt=end)
    if start is not None:
        rows = rows.filter(Q(until__isnull=True) | Q(until__gt=start))
    if entered_since is not None:
        rows = rows.filter(at__gte=entered_since)
    return [entry_row(row) for row in rows[:most]]


def cases(*, account: int | None = None, waiting: bool = False, most: int = 500) -> list[CaseRow]:
    """Counter-evidence, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, c.service_id, c.account_id, c.since, c.until, c.words, c.at, c.by, d.accepted,"
            " coalesce(d.reason, '') FROM sla_counter c LEFT JOIN sla_decision d ON d.counter_id = c.id"
            " WHERE (%s::bigint IS NULL OR c.account_id = %s) AND (NOT %s OR d.id IS NULL) ORDER BY c.id DESC LIMIT %s",
            [account, account, waiting, most],
        )
        return [CaseRow(*row) for row in cursor.fetchall()]


def agreements(services: Collection[int], on: date) -> dict[int, tuple[str, str]]:
    """The terms that services have of their own on a day, by service, and what the application is made of that they are
    for; no terms: agreed to have none."""
    rows = Agreement.objects.filter(service_id__in=list(services), valid_from__lte=on).order_by("valid_from", "pk")
    return {service: (terms, made_of) for service, terms, made_of in rows.values_list("service_id", "terms", "made_of")}


def applications(on: date) -> dict[int, str]:
    """What each application is made of on a day, by the service that its agreement stands with."""
    with_one = Agreement.objects.exclude(made_of="").values_list("service_id", flat=True).distinct()
    return {service: made_of for service, (terms, made_of) in agreements(with_one, on).items() if terms and made_of}


@dataclass(frozen=True, slots=True)
class DistrustRow:
    """What of an agent or source doesn't count, and why."""

    agent_id: int
    agent: str
    since: datetime
    until: datetime | None
    reason: str
    at: datetime
    by: str


def distrusted(*, start: datetime | None = None, end: datetime | None = None) -> list[DistrustRow]:
    """What doesn't count that touches [start, end), oldest first."""
    rows = Distrust.objects.order_by("pk")
    if end is not None:
        rows = rows.filter(since__lt=end)
    if start is not None:
        rows = rows.filter(Q(until__isnull=True) | Q(until__gt=start))
    return [
        DistrustRow(*row) for row in rows.values_list("agent_id", "agent__name", "since", "until", "reason", "at", "by")
    ]


def claimed(supplier: str, terms: str, period_name: str) -> tuple[Money, str, datetime] | None:
    """What was claimed of a supplier for a month, with its reference and when; None: nothing yet."""
    row = Claimed.objects.filter(supplier=supplier, terms=terms, period_name=period_name).first()
    return (Money(row.amount, row.currency), row.reference, row.at) if row else None


def shown() -> list[tuple[int, str, str]]:
    """(service, group, public name) of what stands on the status page, in order."""
    return list(Shown.objects.order_by("group", "label").values_list("service_id", "group", "label"))


def preference(account: int) -> Pays | None:
    """How an account wants to be paid; None: it never said."""
    found = Preference.objects.filter(account_id=account).order_by("-pk").values_list("way", flat=True).first()
    return Pays(found) if found else None


def measure_row(row: Measure) -> MeasureRow:
    """A measure as others see it."""
    return MeasureRow(
        row.pk,
        row.service_id,
        row.account_id,
        row.period_name,
        row.start,
        row.end,
        row.no,
        row.terms_version,
        row.terms,
        row.downtime,
        row.unknown,
        row.availability,
        tuple(row.outages),
        Money(row.fee, row.currency),
        Money(row.amount, row.currency),
        Explanation.from_json(row.explanation),
        row.at,
        row.so_far,
    )


def measures(
    *,
    services: Collection[int] | None = None,
    account: int | None = None,
    period_name: str | None = None,
    most: int = 1000,
) -> list[MeasureRow]:
    """The newest measure of each service's period, the newest period first."""
    rows = Measure.objects.order_by("-period_name", "service_id", "-no").distinct("period_name", "service_id")
    if services is not None:
        rows = rows.filter(service_id__in=list(services))
    if account is not None:
        rows = rows.filter(account_id=account)
    if period_name is not None:
        rows = rows.filter(period_name=period_name)
    return [measure_row(row) for row in rows[:most]]


def measures_by_id(ids: Collection[int]) -> list[MeasureRow]:
    """These measures."""
    return [measure_row(row) for row in Measure.objects.filter(pk__in=list(ids))]


_CREDITS = (
    "SELECT c.id, c.measure_id, m.service_id, m.account_id, m.period_name, m.terms_version, c.amount, m.currency,"
    " coalesce(sum(p.amount), 0), coalesce(array_agg(p.number ORDER BY p.id) FILTER (WHERE p.id IS NOT NULL), '{}'),"
    " coalesce(array_agg(p.way ORDER BY p.id) FILTER (WHERE p.id IS NOT NULL), '{}'), c.at"
    " FROM sla_credit c JOIN sla_measure m ON m.id = c.measure_id LEFT JOIN sla_payout p ON p.credit_id = c.id"
)


def given(
    *,
    account: int | None = None,
    services: Collection[int] | None = None,
    period_name: str | None = None,
    unpaid: bool = False,
    most: int = 100_000,
) -> list[CreditRow]:
    """Credits, oldest first."""
    having = " HAVING coalesce(sum(p.amount), 0) < c.amount" if unpaid else ""
    with connection.cursor() as cursor:
        cursor.execute(
            _CREDITS + " WHERE (%s::bigint IS NULL OR m.account_id = %s) AND (%s::bigint[] IS NULL OR"
            " m.service_id = ANY(%s)) AND (%s::text IS NULL OR m.period_name = %s)"
            " GROUP BY c.id, m.id" + having + " ORDER BY c.id LIMIT %s",
            [account, account, _list(services), _list(services), period_name, period_name, most],
        )
        return [_credit(row) for row in cursor.fetchall()]


def _credit(row: Sequence[Any]) -> CreditRow:
    code = row[7]
    amount, paid = Money(row[6], code), Money(int(row[8]), code)
    return CreditRow(
        row[0], row[1], row[2], row[3], row[4], row[5], amount, paid, tuple(row[9]), tuple(row[10]), row[11]
    )


def _list(values: Collection[int] | None) -> list[int] | None:
    return None if values is None else list(values)


def credit_row(row: Credit) -> CreditRow:
    """A credit that was just made."""
    m = row.measure
    amount = Money(row.amount, m.currency)
    zero = Money(0, m.currency)
    return CreditRow(
        row.pk, m.pk, m.service_id, m.account_id, m.period_name, m.terms_version, amount, zero, (), (), row.at
    )


def credited_since(service: int, start: str, before: str) -> int:
    """What was credited of a service for periods named in [start, before), in minor units."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(c.amount), 0)::bigint FROM sla_credit c JOIN sla_measure m ON m.id = c.measure_id"
            " WHERE m.service_id = %s AND m.period_name >= %s AND m.period_name < %s",
            [service, start, before],
        )
        found: int = cursor.fetchone()[0]
        return found


def pinned_fee(service: int, period_name: str) -> Money | None:
    """The fee that judges a service's period: that of its first measure as a whole; None where it had none yet."""
    rows = Measure.objects.filter(service_id=service, period_name=period_name, so_far=False, fee__gt=0).order_by("no")
    row = rows.values_list("fee", "currency").first()
    return Money(*row) if row else None


def pinned_terms(period_name: str, services: Collection[int]) -> dict[int, Mapping[str, Any]]:
    """The terms that judge these services' period since it was measured first, by service."""
    rows = Measure.objects.filter(period_name=period_name, no=1, service_id__in=list(services))
    return dict(rows.values_list("service_id", "terms"))


def anything_measured() -> bool:
    """Whether there ever was a promise that judged something."""
    return Measure.objects.exists()


def newest_measure(service: int, period_name: str) -> MeasureRow | None:
    """What a service's period came to by what is known of it."""
    row = Measure.objects.filter(service_id=service, period_name=period_name).order_by("-no").first()
    return measure_row(row) if row else None


def judged_whole(period_name: str) -> set[int]:
    """Services whose period of that name was judged whole."""
    return set(Measure.objects.filter(period_name=period_name, so_far=False).values_list("service_id", flat=True))


def credited_of(service: int, period_name: str) -> int:
    """What was credited of a service's period, in minor units."""
    return sum(row.amount.minor for row in given(services=[service], period_name=period_name))


def services_watched() -> set[int]:
    """Services that have a check, an entry or terms of their own, ever."""
    return {
        *Check.objects.values_list("service_id", flat=True).distinct(),
        *Entry.objects.values_list("service_id", flat=True).distinct(),
        *Agreement.objects.values_list("service_id", flat=True).distinct(),
    }
