"""The general terms: what is in force, word for word, what was agreed to, and agreeing."""

from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from coulance.customers import terms as kept
from coulance.customers.terms import Accepted, Terms, UnableToKeepTermsError
from coulance.invoicing.documents.words import Words
from coulance.platform import clock
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance.portal.views.paying import MAY


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, version: str = "", *, me: Me) -> HttpResponse:
    """The version in force, or another one that this customer agreed to or is kept."""
    at, language = clock.now(), translation.get_language() or "en"
    try:
        shown = kept.terms(version=version, language=language) if version else _in_force(me, language)
    except UnableToKeepTermsError as error:
        raise Http404 from error
    agreed = kept.accepted(account=me.account.id)
    may, fault = bool(MAY & set(me.contact.roles)), ""
    if request.method == "POST" and shown is not None:
        if not may:
            fault = _("Only a billing contact or an owner decides this.")
        else:
            try:
                kept.accept_terms(
                    account=me.account.id, version=shown.version, language=request.POST.get("read", "")[:5],
                    contact=me.contact.external_id, how="portal", actor=f"contact:{me.contact.external_id}", at=at,
                    sha256=request.POST.get("sha256", ""),
                )  # fmt: skip
                return HttpResponseRedirect(request.path)
            except UnableToKeepTermsError:
                fault = _("These terms were changed while you read. Please read them again.")
    says = Words.of(language)
    own = next((one for one in agreed if shown is not None and one.version == shown.version), None)
    return render(
        request,
        "portal/terms.html",
        words(request)
        | {
            "here": "terms",
            "shown": shown,
            "since": says.day(shown.valid_from) if shown else "",
            "own": _row(own, says) if own else None,
            "agreed": [_row(one, says) for one in agreed],
            "may": may,
            "fault": fault,
        },
        status=422 if fault else 200,
    )


def _in_force(me: Me, language: str) -> Terms | None:
    today = clock.now().astimezone(ZoneInfo(me.account.zone)).date()
    return kept.in_force(on=today, language=language)


def to_agree(me: Me, language: str) -> Terms | None:
    """The version in force, where this customer has not agreed to it; none where they have, or none is kept."""
    shown = _in_force(me, language)
    if shown is None or any(one.version == shown.version for one in kept.accepted(account=me.account.id)):
        return None
    return shown


def _row(one: Accepted, says: Words) -> dict[str, Any]:
    how = {
        "portal": _("here"),
        "order": _("with an order"),
        "paper": _("on paper"),
        "taken_over": _("before you came to this portal"),
    }
    return {"of": one, "on": says.day(one.on), "how": how[one.how]}
