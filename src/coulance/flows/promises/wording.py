"""What customers read when a promise wasn't kept: the mail, and the reason on the credit note."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

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
            length = minutes(row.downtime)
            down = _long(length)
            said.append(
                _("%(service)s was down %(down)s in %(period)s (%(terms)s)")
                % {"service": name, "down": down, "period": row.period_name, "terms": row.terms_version}
            )
        return "; ".join(dict.fromkeys(said))[:500]


def credited(
    *,
    service: str,
    row: MeasureRow,
    amount: Money,
    way: Pays,
    zone: ZoneInfo,
    seller: str,
    language: str,
    name: str,
    link: str,
) -> Written:
    """The mail: how long it was down, what is credited, when it was, and how it is paid. Nothing is to be done."""
    own = language_of(language)
    with translation.override(own):
        length = minutes(row.downtime)
        down = _long(length)
        said = {
            "name": name,
            "service": service,
            "down": down,
            "amount": Words.of(own).money(amount.decimal(), amount.currency),
            "period": row.period_name,
            "percent": percent(row.availability),
            "target": row.terms.get("target", ""),
            "seller": seller,
            "link": link,
        }
        if row.no > 1:
            subject = _("Later evidence: %(amount)s more for %(service)s") % said
            first = (
                _("We learned more about %(period)s: %(service)s was down %(down)s in all. We credit %(amount)s more.")
                % said
            )
        else:
            subject = _("%(service)s was down %(down)s; we credited %(amount)s") % said
            first = _("%(service)s was down %(down)s in %(period)s. We credited %(amount)s, before tax.") % said
        kept = _("It was there %(percent)s %% of the time we promised it; the promise is %(target)s %%.") % said
        ways = {
            Pays.INVOICE: _(
                "The credit lowers what you pay for the service; what you paid already pays your next invoice."
            ),
            Pays.WALLET: _(
                "The credit lowers what you pay for the service; what you paid already goes to your balance."
            ),
            Pays.MONEY_BACK: _(
                "The credit lowers what you pay for the service; what you paid already is paid back to you."
            ),
        }
        times = [_times(one, zone) for one in row.outages[:_MOST]]
        if len(row.outages) > _MOST:
            times.append(_("and %(n)s more") % {"n": len(row.outages) - _MOST})
        parts = [
            _("Dear %(name)s,") % said if name else _("Dear customer,"),
            first,
            kept,
            "\n".join(times),
            ways[way],
            _("You need not ask for it, and need not do anything.")
            + (" " + _("All of it: %(link)s") % said if link else ""),
            seller,
        ]
        return Written(own, subject, "\n\n".join(part for part in parts if part) + "\n", "")


def _times(one: "dict[str, str] | object", zone: ZoneInfo) -> str:
    assert isinstance(one, dict)
    since, until = (datetime.fromisoformat(one[key]).astimezone(zone) for key in ("since", "until"))
    same = since.date() == until.date()
    return f"- {since:%Y-%m-%d %H:%M:%S} - {until:{'%H:%M:%S' if same else '%Y-%m-%d %H:%M:%S'}} {since:%Z}"
