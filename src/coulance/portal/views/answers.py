"""The page where a warning is answered, by its link, without signing in. Opening it does nothing."""

from collections.abc import Callable
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from coulance.flows import campaigning
from coulance.flows.campaigning import Invited
from coulance.flows.overage_control import acting, links
from coulance.flows.overage_control.acting import UnableToActError
from coulance.flows.overage_control.links import Answerer
from coulance.platform import clock
from coulance.portal import access
from coulance.portal.shown import shown
from coulance.portal.views import whole
from coulance.portal.views.deciding import Result, act, came_from


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, token: str) -> HttpResponse:
    """What the warning is about, and what can be done. Only pressing a button does it."""
    return _page(request, lambda at: links.read(token, at=at))


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def invited(request: HttpRequest, token: str) -> HttpResponse:
    """The same by an invitation, which is good over several periods."""
    return _page(request, lambda at: campaigning.read(token, at=at))


def _page(request: HttpRequest, read: Callable[[datetime], Answerer | Invited]) -> HttpResponse:
    at = clock.now()
    try:
        of = read(at)
        by = acting.customer_of(
            account=of.account, contact=of.contact, how="link", came_from=came_from(request), message=of.message
        )
        if isinstance(of, Invited) and of.service is None:
            with translation.override(access.language(request, by.contact.language)):
                return safe(whole.shown(request, by=by, here=""))
        judged = acting.one_of(account=of.account, service=of.service or 0, charge=of.charge, at=at)
        if isinstance(of, Answerer) and judged.counted.period_name != of.period_name:
            raise links.UnableToAnswerError(expired=True)
    except (links.UnableToAnswerError, UnableToActError) as fault:
        expired = isinstance(fault, links.UnableToAnswerError) and fault.expired
        return safe(
            render(
                request,
                "portal/answer_gone.html",
                access.words(request) | {"expired": expired},
                status=410 if expired else 404,
            )
        )
    with translation.override(access.language(request, by.contact.language)):
        result = act(request, by=by, judged=judged) if request.method == "POST" else Result()
        (seen,) = [
            one
            for one in acting.seen(account=of.account, service=of.service, at=clock.now())
            if one.judged.counted.charge.key == of.charge
        ]
        return safe(
            render(
                request,
                "portal/answer.html",
                access.words(request)
                | {
                    "c": shown(seen, at=at, picture=True),
                    "result": result,
                    "name": by.contact.name,
                    "may_allow": by.contact.may_incur_cost,
                },
                status=422 if result.fault else 200,
            )
        )


def safe(page: HttpResponse) -> HttpResponse:
    """A page that is opened by a link alone."""
    # The address is the key to it: it goes to no other site, and into no index.
    page.headers["Referrer-Policy"] = "same-origin"
    page.headers["X-Robots-Tag"] = "noindex, nofollow"
    page.headers["Cache-Control"] = "private, no-store"
    return page
