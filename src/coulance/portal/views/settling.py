"""Choosing what becomes of an overage invoice before it is issued: by the mailed link, or signed in."""

from datetime import datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from coulance.flows import letters
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.flows.settling_first import links, settling
from coulance.flows.settling_first.settling import Offered
from coulance.flows.settling_first.ways import UnableToChooseError
from coulance.flows.settling_first.wording import moment
from coulance.invoicing.documents.words import Words
from coulance.platform import clock
from coulance.portal import access, entry
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance.portal.views.answers import safe
from coulance.portal.views.deciding import came_from
from coulance_core.kernel import Explanation
from coulance_core.notices import Person


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def settle(request: HttpRequest, token: str) -> HttpResponse:
    """The page of the mailed link. Opening it does nothing."""
    try:
        who = links.read(token, at=clock.now())
    except UnableToAnswerError as fault:
        status = 410 if fault.expired else 404
        said = words(request) | {"expired": fault.expired}
        return safe(render(request, "portal/answer_gone.html", said, status=status))
    me = entry.find(account=who.account, contact=who.contact)
    if me is None:
        return safe(render(request, "portal/answer_gone.html", words(request) | {"expired": False}, status=404))
    with translation.override(access.language(request, me.contact.language)):
        return safe(_page(request, me, who.document, how="link", message=who.message))


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def waiting(request: HttpRequest, document: int, *, me: Me) -> HttpResponse:
    """The same for who is signed in."""
    return _page(request, me, document, how="portal", message="")


def _page(request: HttpRequest, me: Me, document: int, *, how: str, message: str) -> HttpResponse:
    at = clock.now()
    done = fault = ""
    if request.method == "POST":
        try:
            settling.choose(
                account=me.account.id,
                document=document,
                way=request.POST.get("way", "")[:120],
                digest=request.POST.get("digest", "")[:64],
                language=translation.get_language() or "en",
                contact=me.contact.external_id,
                how=how,
                came_from=came_from(request),
                message=message,
                at=at,
            )
            done = "yes"
        except UnableToChooseError as error:
            fault = str(error)
    found = settling.offered(account=me.account.id, document=document, at=at)
    if found is None:
        raise Http404
    return render(
        request,
        "portal/settle.html",
        words(request)
        | {
            "here": "documents" if how == "portal" else "",
            "name": me.contact.name,
            "done": done,
            "fault": fault,
            "may": settling.may_choose(person_of(me)),
        }
        | _shown(found, at),
        status=422 if fault else 200,
    )


def person_of(me: Me) -> Person | None:
    """Who is signed in, as flows know them."""
    return next((one for one in letters.people_of(me.account.id) if one.ref == me.contact.external_id), None)


def _shown(found: Offered, at: datetime) -> dict[str, object]:
    row, snapshot = found.of.row, found.of.snapshot
    says = Words.of(translation.get_language())
    lines = []
    zone = "UTC"
    if snapshot is not None:
        zone = snapshot["period"]["zone"]
        lines = [
            {
                "said": line["description"],
                "net": says.money(line["net"], snapshot["currency"]),
                "why": Explanation.from_json(line["explanation"]).render(),
            }
            for line in snapshot["lines"]
        ]
    return {
        "month": says.month(row.period_name),
        "total": says.money(row.gross.decimal(), row.gross.currency),
        "until": moment(row.until, zone) if row.until is not None else "",
        "over": row.until is not None and row.until <= at,
        "settled": row.ended_at is not None,
        "made": row.made,
        "lines": lines,
        "notes": snapshot["notes"] if snapshot is not None else [],
        "ways": [
            {
                "key": way.key,
                "title": way.title,
                "sentences": way.sentences,
                "button": way.button,
                "digest": way.digest,
                "total": says.money(way.total.decimal(), way.total.currency) if way.total is not None else "",
            }
            for way in found.ways
        ],
    }
