"""An operator's own pages: setting up a second factor, recovery codes, proving who they are again."""

import segno
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.adapter import get_adapter as get_mfa_adapter
from allauth.mfa.base.forms import ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import TOTP, clear_totp_secret
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from coulance.console import second_factor
from coulance.console.access import next_page, operators_only, signed_in_only, who
from coulance.console.second_factor import Missing, user_of
from coulance.platform import audit, clock, sign_in_policy


@signed_in_only
@require_GET
def me(request: HttpRequest) -> HttpResponse:
    """What an operator has to sign in with, and what they can set up from here."""
    at = clock.now()
    lacks = second_factor.missing(request, at=at)
    if lacks is Missing.CODE:
        return HttpResponseRedirect("/sign-in/again?next=/me")
    return render(request, "console/me/me.html", _situation(request) | {"must": lacks is Missing.ENROLMENT})


@signed_in_only
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """Set up a second factor: scan the picture, type the code. Answers the recovery codes, once."""
    at = clock.now()
    user = user_of(request)
    if sign_in_policy.enrolled(user.pk):
        return HttpResponseRedirect("/me")
    if not second_factor.may_enrol(request, at=at):
        if sign_in_policy.policy().demanded:
            return render(request, "console/me/needs_link.html", {"here": "me"}, status=403)
        return HttpResponseRedirect("/sign-in/again?next=/me/second-factor")
    form = ActivateTOTPForm(user=user, data=request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        with transaction.atomic():
            made = TOTP.activate(user, form.secret)
            codes = RecoveryCodes.activate(user)
            clear_totp_secret(request)
            record_authentication(request, user, "mfa", id=made.instance.pk, type="totp", reauthenticated=True)
            audit.record(actor=who(request), act="operator.second_factor_set", subject=who(request), at=at)
        return _codes(request, codes)
    address = get_mfa_adapter().build_totp_url(user, form.secret)
    picture = segno.make(address, micro=False).svg_inline(border=2, scale=5, omitsize=True, dark="#000", light="#fff")
    return render(
        request,
        "console/me/enrol.html",
        {"here": "me", "form": form, "picture": picture, "secret": _in_fours(form.secret)},
    )


@operators_only(fresh=True)
@require_POST
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes, shown once; the old ones no longer work."""
    user = user_of(request)
    if not sign_in_policy.enrolled(user.pk):
        return HttpResponseRedirect("/me")
    with transaction.atomic():
        Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).delete()
        codes = RecoveryCodes.activate(user)
        audit.record(actor=who(request), act="operator.recovery_codes_made", subject=who(request), at=clock.now())
    return _codes(request, codes)


@operators_only(fresh=True)
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Give the second factor up, where none is demanded."""
    if sign_in_policy.policy().demanded:
        return render(
            request, "console/me/me.html", _situation(request) | {"fault": "A second factor is demanded here."}
        )
    sign_in_policy.take_second_factor(
        name=request.user.get_username(), actor=who(request), reason="by its owner", at=clock.now()
    )
    return HttpResponseRedirect("/me")


@signed_in_only
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def again(request: HttpRequest) -> HttpResponse:
    """Prove again who works here: with a code if they have a second factor, else with the password."""
    user = user_of(request)
    by_code = sign_in_policy.enrolled(user.pk)
    fault, status = "", 200
    if request.method == "POST" and by_code:
        form = ReauthenticateForm(user=user, data=request.POST)
        if form.is_valid():
            form.save()
            return HttpResponseRedirect(next_page(request))
        fault = " ".join(str(each) for each in form.errors.get("code", ()))
    elif request.method == "POST" and user.has_usable_password():
        try:
            if get_adapter(request).reauthenticate(user, request.POST.get("password", "")[:4096]):
                record_authentication(request, user, method="password", reauthenticated=True)
                return HttpResponseRedirect(next_page(request))
            fault = "That is not your password."
        except ValidationError:
            fault, status = "Too many tries. Wait some minutes, then try again.", 429
    by_password = not by_code and user.has_usable_password()
    values = {"by_code": by_code, "by_password": by_password, "fault": fault, "next": next_page(request)}
    return render(request, "console/me/again.html", values, status=status)


def _situation(request: HttpRequest) -> dict[str, object]:
    user = user_of(request)
    codes = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).first()
    return {
        "here": "me",
        "enrolled": sign_in_policy.enrolled(user.pk),
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else 0,
        "policy": sign_in_policy.policy(),
        "must": False,
        "fault": "",
    }


def _codes(request: HttpRequest, codes: RecoveryCodes) -> HttpResponse:
    return render(request, "console/me/codes.html", {"here": "me", "codes": codes.get_unused_codes()})


def _in_fours(text: str) -> str:
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))
