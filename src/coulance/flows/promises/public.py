"""What anybody may see: which public services are up, and what was down lately. No customer's name or number in it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from coulance.flows.promises import measuring, terms
from coulance.services import queries as services
from coulance.sla import queries as sla
from coulance_core.kernel import Period
from coulance_core.sla.evidence import Bound
from coulance_core.sla.intervals import EMPTY, micros
from coulance_core.sla.terms import Multiple, UptimeTerms
from coulance_core.sla.terms_file import Promise

_MOST = 50


@dataclass(frozen=True, slots=True)
class PublicOutage:
    """An outage as anybody may see it; `until` None: it goes on."""

    since: datetime
    until: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class PublicService:
    """A service by its public name. `percent`: of the time it was known; None: nothing is known."""

    label: str
    up: bool | None
    percent: str | None
    outages: tuple[PublicOutage, ...]
    maintenance: tuple["PublicWork", ...]


@dataclass(frozen=True, slots=True)
class PublicWork(PublicOutage):
    """Planned work, and when it was announced."""

    announced: datetime


def status(*, at: datetime, days: int = 30) -> list[tuple[str, list[PublicService]]]:
    """Every public service by its group, as it is and as it was in the last days."""
    rows = sla.shown()
    if not rows:
        return []
    start = at - timedelta(days=days)
    period = Period(start, at)
    ids = [service for service, _, _ in rows]
    known = measuring.gather(ids, start, at + timedelta(days=60))
    promises = {one.service.id: one.promise for one in terms.promised(year=at.year, month=at.month, only=ids)}
    alive = {row.id for row in services.services(ids) if row.ended_on is None or row.ended_on > at.date()}
    out: dict[str, list[PublicService]] = defaultdict(list)
    for service, group, label in rows:
        if service in alive:
            out[group].append(_one(service, label, known, promises.get(service, _PLAIN), period, at))
    return sorted(out.items())


def _one(
    service: int, label: str, known: measuring.Evidence, promise: Promise, period: Period, at: datetime
) -> PublicService:
    start, now = micros(period.start), micros(at)
    down = measuring.down_now(service, known, promise, period, at)
    seen = EMPTY
    for check in known.checks.get(service, ()):
        if check.kind == measuring.COUNTED:
            continue
        unknown = measuring.verdict_of(check, known.streams.get(check.id, ()), promise, start, now).unknown
        seen = seen | (measuring.whole(start, now) - unknown)
    said = {(e.since, e.until): e.words for e in known.entries.get(service, ()) if e.says == "outage"}
    outages = []
    for span in reversed(down.periods()):
        goes_on = micros(span.end) >= now - measuring.RECENT
        words = next((w for (since, _), w in said.items() if since == span.start), "")
        outages.append(PublicOutage(span.start, None if goes_on else span.end, words))
    planned = tuple(
        PublicWork(e.since, e.until, e.words, e.announced_at or e.at)
        for e in known.entries.get(service, ())
        if e.says == "maintenance" and (e.until is None or e.until > at)
    )
    length = (seen | down).total
    percent = None if not length else f"{int(100_000 * (1 - Fraction(down.total, length))) / 1000:.3f}"
    recent = seen.covers(measuring.instants([now - measuring.RECENT])).any() or bool(down)
    up = False if outages and outages[0].until is None else (True if recent else None)
    return PublicService(label, up, percent, tuple(outages[:_MOST]), planned)


_PLAIN = Promise(
    "plain",
    date.min,
    UptimeTerms("plain", Fraction(100), (Multiple(Fraction(1)),), bound=Bound.STEP),
    measuring.ANYBODY,
)
"""How services without a promise are judged: anybody's failure counts, silence doesn't."""
