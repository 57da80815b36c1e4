"""Applications: promises about several services together, and the real figure of what they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from fractions import Fraction

from coulance.flows.promises import measuring, terms
from coulance.services import queries as services
from coulance.sla import operations
from coulance.sla import queries as sla
from coulance.sla.errors import SlaError
from coulance_core.sla.composite import Composite, Quote, quote, read_composite
from coulance_core.sla.downtime import downtime
from coulance_core.sla.evidence import Bound
from coulance_core.sla.intervals import Spans
from coulance_core.sla.terms import Multiple, UptimeTerms
from coulance_core.sla.terms_file import Promise

ONE = Fraction(1)


class UnableToAgreeError(SlaError):
    """There are no such terms, or no such application."""


def agree(
    *, service: str, name: str, valid_from: date, reason: str, actor: str, at: datetime, made_of: str = ""
) -> tuple[str, ...]:
    """Give a service terms of its own from a day on; `made_of`: for an application of several services, of which it is
    one. Returns the services that aren't judged by themselves any more. Raises `SlaError`, `UnableToFindServiceError`.
    """
    row = services.service(service)
    if name and terms.table().promise(name, valid_from) is None:
        raise UnableToAgreeError(f"[sla] has no terms {name!r} on {valid_from:%F}")
    others: tuple[str, ...] = ()
    if made_of:
        if not name:
            raise UnableToAgreeError("an application needs terms")
        try:
            whole, parts = terms.application(made_of, row)
        except ValueError as error:
            raise UnableToAgreeError(str(error)) from error
        made_of = str(whole)
        others = tuple(part for part in parts if part != service)
        mine = sla.applications(valid_from)
        mine.pop(row.id, None)
        taken = {part for text in mine.values() for part in read_composite(text).names()} & set(parts)
        if taken:
            raise UnableToAgreeError(f"{min(taken)} is part of another application: its minutes would count twice")
    operations.agree(
        service=row.id, terms=name, valid_from=valid_from, reason=reason, actor=actor, at=at, made_of=made_of
    )
    return others


@dataclass(frozen=True)
class Real:
    """What an application really was in a month: availabilities in percent of its parts and of the whole, when it was
    down, what its parts' figures would have promised (`quote`), and when nothing was known of a part.
    """

    made_of: Composite
    parts: Mapping[str, Fraction]
    whole: Fraction
    down: Spans
    unknown: Mapping[str, int]
    quote: Quote


def real(*, text: str, year: int, month: int, at: datetime) -> Real:
    """The real figure of several services, by union and intersection of their outages. Time that nothing is known of
    counts as up here, and is told. Raises `UnableToAgreeError`, `UnableToFindServiceError`.
    """
    try:
        whole = read_composite(text)
        names = tuple(dict.fromkeys(whole.names()))
        rows = {name: services.service(name) for name in names}
    except ValueError as error:
        raise UnableToAgreeError(str(error)) from error
    found = {
        one.service.external_id: one
        for one in terms.promised(year=year, month=month, only=[row.id for row in rows.values()], own=_PLAIN)
    }
    if set(found) != set(names):
        raise UnableToAgreeError(f"{min(set(names) - set(found))} wasn't there in that month")
    known = measuring.gather_for(list(found.values()))
    facts = {name: measuring.facts_of(one, known, at) for name, one in found.items()}
    counted = {name: downtime(_PLAIN.terms, one) for name, one in facts.items()}
    first = found[names[0]]
    made = replace(first, made_of=whole, parts=rows)
    together = downtime(_PLAIN.terms, measuring.facts_of(made, known, at))
    each = {name: one.availability for name, one in counted.items()}
    return Real(
        whole,
        each,
        together.availability,
        together.spans,
        {name: (one.unknown - one.shown_up).total for name, one in facts.items()},
        quote(whole, {name: share / 100 for name, share in each.items()}),
    )


_PLAIN = Promise(
    "plain",
    date.min,
    UptimeTerms("plain", Fraction(100), (Multiple(ONE),), bound=Bound.STEP, unknown=False),
    measuring.ANYBODY,
)
