"""A password and a second factor: to come in by, and setting them up. Neither is needed: a link always works."""

from datetime import datetime
from urllib.parse import quote

import segno
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from coulance.platform import clock
from coulance.portal import access, keys
from coulance.portal.access import customers_only, for_anybody, words
from coulance.portal.entry import Me

BEING_SET = "portal.totp"
"""Where a session keeps a second factor that is being set up."""


@for_anybody
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def by_password(request: HttpRequest) -> HttpResponse:
    """The form for address and password."""
    fault = ""
    if request.method == "POST":
        try:
            me = keys.by_password(
                address=request.POST.get("address", "")[:254],
                password=request.POST.get("password", "")[:4096],
                at=clock.now(),
            )
        except keys.UnableToUseKeyError as error:
            fault = str(error)
        else:
            return access.come_in(request, me)
    page = words(request) | {"fault": fault, "address": request.POST.get("address", "")[:254]}
    return render(request, "portal/by_password.html", page, status=403 if fault else 200)


@for_anybody
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step, for who has one."""
    me = access.half_in(request)
    if me is None:
        return HttpResponseRedirect("/my/sign-in")
    fault = ""
    if request.method == "POST":
        try:
            keys.check_code(me, code=request.POST.get("code", "")[:20], at=clock.now())
        except keys.UnableToUseKeyError as error:
            fault = str(error)
        else:
            access.begin(request, me)
            return HttpResponseRedirect("/my/")
    return render(request, "portal/code.html", words(request) | {"fault": fault}, status=403 if fault else 200)


@customers_only
@sensitive_post_parameters("password", "again", "code")
@require_http_methods(["GET", "HEAD", "POST"])
def security(request: HttpRequest, *, me: Me) -> HttpResponse:
    """Set, change or remove a password and a second factor; only shortly after coming in."""
    at = clock.now()
    done = fault = ""
    fresh = access.is_fresh(request)
    if request.method == "POST":
        if not fresh:
            fault = _("You came in a while ago. Sign in again, then change this within half an hour.")
        else:
            try:
                done = _act(request, me, at)
            except (keys.UnableToSetKeyError, keys.UnableToUseKeyError) as error:
                fault = str(error)
    wants = keys.wants_code(me)
    secret = picture = ""
    if not wants and fresh:
        secret = request.session.setdefault(BEING_SET, keys.new_secret())
        picture = segno.make(_address(request, me, secret), micro=False).svg_inline(
            border=2, scale=4, omitsize=True, dark="#000", light="#fff", title=_("Code to scan with the app")
        )
    values = {
        "here": "contacts", "done": done, "fault": fault, "has": keys.has_password(me), "wants": wants,
        "secret": secret, "fresh": fresh,
        "picture": mark_safe(picture),  # noqa: S308 - drawn by segno
    }  # fmt: skip
    return render(request, "portal/security.html", words(request) | values, status=422 if fault else 200)


def _act(request: HttpRequest, me: Me, at: datetime) -> str:
    match request.POST.get("act", ""):
        case "password":
            keys.set_password(
                me,
                password=request.POST.get("password", "")[:4096],
                again=request.POST.get("again", "")[:4096],
                code=request.POST.get("code", "")[:20],
                at=at,
            )
            said = _("Your password is set. Other browsers that were signed in are out.")
        case "no-password":
            keys.remove_password(me, code=request.POST.get("code", "")[:20], at=at)
            said = _("Your password is removed: you come in by mailed links.")
        case "second":
            keys.set_second_factor(
                me, secret=request.session.get(BEING_SET, ""), code=request.POST.get("code", "")[:20], at=at
            )
            request.session.pop(BEING_SET, None)
            said = _("From now on you are asked for a code, however you come in.")
        case "no-second":
            keys.check_code(me, code=request.POST.get("code", "")[:20], at=at)
            keys.remove_second_factor(me, at=at)
            said = _("You are asked for no code any more.")
        case _:
            raise keys.UnableToSetKeyError(_("Choose what to do."))
    access.go_on(request)
    return said


def _address(request: HttpRequest, me: Me, secret: str) -> str:
    issuer = quote(str(words(request)["seller"]))
    return f"otpauth://totp/{issuer}:{quote(me.contact.email)}?secret={secret}&issuer={issuer}"
