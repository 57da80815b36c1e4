"""The page of an invitation to have bills paid by themselves: how it works, where to set it up, and a button for no."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from coulance.flows.arrears import inviting
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.flows.rails import mandates, paying
from coulance.platform import clock
from coulance.portal import access, entry
from coulance.portal.access import words
from coulance.portal.views.answers import safe


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Opening it does nothing; pressing the button says no for good."""
    try:
        who = inviting.read(token, at=clock.now())
    except UnableToAnswerError as fault:
        status = 410 if fault.expired else 404
        return safe(
            render(request, "portal/answer_gone.html", words(request) | {"expired": fault.expired}, status=status)
        )
    me = entry.find(account=who.account, contact=who.contact) if who.contact else None
    done = request.method == "POST"
    if done:
        inviting.decline(account=who.account, by=f"link:{who.contact or 'several'}", at=clock.now())
    with translation.override(access.language(request, me.contact.language if me else "")):
        shown = words(request) | {
            "done": done, "debit": mandates.offered(), "gateways": [name.capitalize() for name in paying.offered()],
        }  # fmt: skip
        return safe(render(request, "portal/by_itself.html", shown))
