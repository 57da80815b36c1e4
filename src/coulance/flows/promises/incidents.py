"""Credits on the incident, for terms that say so: an outage that is over and settled is credited before the period is.

What is owed is what the period comes to by what is over so far, less what was given for it. So the close, which judges
the period whole, gives what is missing of it and no more; whatever falls between two runs, or into a night without a
worker, the next one finds.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from coulance.catalog import queries as catalog
from coulance.flows.promises import crediting, measuring, terms
from coulance.flows.promises.crediting import Report
from coulance.flows.promises.terms import Promised
from coulance.sla import queries as sla
from coulance_core.kernel.period import add_months
from coulance_core.sla.intervals import instant
from coulance_core.sla.terms import Credited

_BACK = timedelta(hours=26)
"""How far back a run looks for outages that ended; the whole of the running periods is looked at every night."""


def credit_incidents(*, at: datetime, actor: str, all_of_it: bool = False) -> Report:
    """Credit outages that are over in periods that aren't, or aren't settled; pay what that gives. Outside a
    transaction; each service is one of its own.

    `all_of_it`: judge every service anew, not only those with an outage or an entry of the last day.
    """
    report = Report()
    rows = _running(at)
    for chunk in crediting.chunks(rows):
        some = chunk if all_of_it else _with_news(chunk, at)
        if some:
            crediting.credit_chunk(some, at, actor, report, only_over=True)
    if report.credited:
        names = {name for name, _ in report.credited}
        accounts = {one.account.id for one in rows if one.service.external_id in names}
        crediting.pay_out(accounts=accounts, at=at, actor=actor, report=report)
    return report


def _running(at: datetime) -> list[Promised]:
    """Services whose terms credit on the incident, in periods that began and aren't judged whole."""
    provider = catalog.catalog().provider
    if not any(one.terms.credited is Credited.INCIDENT for one in terms.table().promises):
        return []
    watched = sla.services_watched()
    settle = timedelta(days=provider.settle_after_days)
    today = at.astimezone(provider.zone_info).date()
    out = []
    for back in (2, 1, 0):
        year, month = add_months(today.year, today.month, -back)
        if back == 2 and date(*add_months(year, month, 1), 28) + settle < today:
            continue  # the latest period of that name is settled
        done = sla.judged_whole(f"{year:04d}-{month:02d}")
        out += [
            one
            for one in terms.promised(year=year, month=month, only=watched)
            if one.promise.terms.credited is Credited.INCIDENT
            and one.period.start < at < one.period.end + settle
            and one.service.id not in done
            and not one.fault  # which the close tells of
        ]
    return out


def _with_news(chunk: Sequence[Promised], at: datetime) -> list[Promised]:
    """Those of which an outage ended lately, or something was entered."""
    longest = max(one.promise.terms.settles for one in chunk)
    since = at - _BACK - timedelta(microseconds=longest)
    known = measuring.gather_for(chunk, start=since)
    entered = {row.service for row in sla.entries(entered_since=since, most=1_000_000)}
    out = []
    for one in chunk:
        outages = measuring.facts_of(one, known, at, only_over=True).outages
        ended = any(instant(int(outage.spans.end[-1])) >= since for outage in outages if outage.spans)
        if ended or entered & {row.id for row in one.members}:
            out.append(one)
    return out
