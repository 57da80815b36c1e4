"""What customers read when a promise wasn't kept: the mail, and the reason on the credit note."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows import letters
from coulance.flows.promises import picture
from coulance.flows.sending.wording import Written, language_of
from coulance.invoicing.documents.words import Words
from coulance.sla.queries import MeasureRow
from coulance_core.kernel import Money
from coulance_core.sla.paying import Pays

_MINUTE = 60_000_000
_MOST = 10


def minutes(length: int) -> int:
    """Whole minutes of a length in microseconds; a started one counts, so that an outage is never "0 minutes"."""
    return -(-length // _MINUTE)


def _long(length: int) -> str:
    return _("1 minute") if length == 1 else _("%(n)s minutes") % {"n": length}


def percent(availability: str) -> str:
    """An exact availability as people read it: never rounded up to a promise that wasn't kept.

    >>> percent("2999/30")
    '99.966'
    """
    thousandths = int(Fraction(availability) * 1000)
    return f"{thousandths / 1000:.3f}".rstrip("0").rstrip(".")


def reason(parts: Sequence[tuple[str, MeasureRow]], language: str) -> str:
    """Why a credit note is given, in the buyer's language."""
    with translation.override(language_of(language)):
        said = []
        for name, row in parts:
            facts = {
                "service": name,
                "down": _long(minutes(row.downtime)),
                "period": row.period_name,
                "terms": row.terms_version,
            }
            if row.downtime:
                said.append(_("%(service)s was down %(down)s in %(period)s (%(terms)s)") % facts)
            else:
                said.append(_("too many requests to %(service)s failed in %(period)s (%(terms)s)") % facts)
        return "; ".join(dict.fromkeys(said))[:500]


class Occasion(StrEnum):
    """Why a credit comes when it comes."""

    INCIDENT = "incident"
    """An outage is over."""
    PERIOD = "period"
    """The period is over."""
    REST = "rest"
    """The period is over, and comes to more than was credited on its incidents."""
    CORRECTION = "correction"
    """Evidence came late."""


@dataclass(frozen=True)
class Credited:
    """What a mail about a credit tells: which service, what it came to, and of which outages it is."""

    service: str
    row: MeasureRow
    amount: Money
    way: Pays
    zone: ZoneInfo
    occasion: Occasion
    outages: Sequence[Mapping[str, str]]
    """Those that are new since the customer last heard; all of the period's otherwise."""
    length: int
    """Their downtime in microseconds, as it counts."""


def credited(told: Credited, *, language: str, name: str, link: str) -> Written:
    """The mail: how long it was down, what is credited, when it was (drawn), how it is paid. Nothing is to be done."""
    own = language_of(language)
    with translation.override(own):
        return letters.written(_letter(told, own, name, link), language=own)


def _letter(told: Credited, language: str, name: str, link: str) -> letters.Letter:
    row = told.row
    money = Words.of(language)
    said = {
        "service": told.service,
        "down": _long(minutes(told.length)),
        "all": _long(minutes(row.downtime)),
        "amount": money.money(told.amount.decimal(), told.amount.currency),
        "total": money.money(row.amount.decimal(), row.amount.currency),
        "period": row.period_name,
        "percent": percent(row.availability),
        "target": row.terms.get("target", ""),
    }
    subject, first = _first(told, said)
    kept = _("It was there %(percent)s %% of the time we promised it; the promise is %(target)s %%.") % said
    if row.so_far:
        kept = _("The promise is %(target)s %%. What all of %(period)s comes to is credited when it is over.") % said
    ways = {
        Pays.INVOICE: _(
            "The credit lowers what you pay for the service; what you paid already pays your next invoice."
        ),
        Pays.WALLET: _("The credit lowers what you pay for the service; what you paid already goes to your balance."),
        Pays.MONEY_BACK: _(
            "The credit lowers what you pay for the service; what you paid already is paid back to you."
        ),
    }
    times = [_times(one, told.zone) for one in told.outages[:_MOST]]
    if len(told.outages) > _MOST:
        times.append((_("and %(n)s more") % {"n": len(told.outages) - _MOST}, ""))
    drawn = picture.strips(told.outages, told.zone)
    label = _("When it was down: ") + "; ".join(" ".join(one) for one in times)
    return letters.Letter(
        subject,
        name,
        [first] if not row.downtime else [first, kept],
        (_("Credited, before tax"), said["amount"]),
        times,
        [ways[told.way], _("You need not ask for it, and need not do anything.")],
        _("All of it") if link else "",
        link,
        picture=(picture.as_text(drawn), picture.as_html(drawn, label)),
        owes=False,
    )


def _first(told: Credited, said: Mapping[str, str]) -> tuple[str, str]:
    """The subject, and what the mail begins with."""
    if not told.row.downtime:  # terms of error rates: it answered, and not well
        return (
            _("Requests to %(service)s failed; we credited %(amount)s") % said,
            _("Too many requests to %(service)s failed in %(period)s. We credited %(amount)s, before tax.") % said,
        )
    match told.occasion:
        case Occasion.CORRECTION:
            return (
                _("Later evidence: %(amount)s more for %(service)s") % said,
                _("We learned more about %(period)s: %(service)s was down %(all)s in all. We credit %(amount)s more.")
                % said,
            )
        case Occasion.REST:
            return (
                _("%(period)s is over: %(amount)s more for %(service)s") % said,
                _(
                    "%(period)s is over: %(service)s was down %(all)s in all, which comes to %(total)s. What was "
                    "credited at the time is part of it; we credit the other %(amount)s now, before tax."
                )
                % said,
            )
        case _:
            return (
                _("%(service)s was down %(down)s; we credited %(amount)s") % said,
                _("%(service)s was down %(down)s in %(period)s. We credited %(amount)s, before tax.") % said,
            )


def _times(one: Mapping[str, str], zone: ZoneInfo) -> tuple[str, str]:
    """When, and how long."""
    since, until = (datetime.fromisoformat(one[key]).astimezone(zone) for key in ("since", "until"))
    same = since.date() == until.date()
    when = f"{since:%Y-%m-%d %H:%M:%S} - {until:{'%H:%M:%S' if same else '%Y-%m-%d %H:%M:%S'}} {since:%Z}"
    return when, _long(minutes(round((until - since).total_seconds() * 1_000_000)))
