"""Who may see the console: operators with the permission, their second factor, and for money a recent proof of both."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.decorators import login_stage_required
from allauth.account.internal.flows.login import perform_login, perform_password_login
from allauth.account.internal.stagekit import clear_login
from allauth.account.models import Login
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.stages import AuthenticateStage
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from coulance.console import second_factor, speaking
from coulance.console.second_factor import Missing
from coulance.platform import clock, operators
from coulance.platform.roles import Permission, may

View = Callable[..., HttpResponse]

SIGNED_IN = "signed in"
"""What the pages ask for that an operator needs before the second factor is in order."""


def operators_only(permission: Permission = Permission.SEE, *, fresh: bool = False) -> Callable[[View], View]:
    """The view for operators who may do that; anybody else is asked to sign in, or refused (403).

    `fresh` is for acts that move money: who proved themselves too long ago proves it again first. What the view answers
    is kept in no shared cache. The permission stays readable on the view, so that a test can walk every address and see
    that none was forgotten.
    """

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not _is_operator(request):
                return redirect_to_login(request.get_full_path(), "/sign-in")
            at = clock.now()
            lacks = second_factor.missing(request, at=at)
            if lacks is Missing.ENROLMENT:
                return HttpResponseRedirect("/me")
            if lacks is Missing.CODE:
                return _again(request)
            if not may(request.user, permission):
                raise PermissionDenied(permission.value)
            if fresh and not second_factor.is_fresh(request, at=at):
                return _again(request)
            with translation.override(speaking.language(request)):
                return _private(view(request, *args, **kwargs))

        guarded.permission = permission.value  # type: ignore[attr-defined]
        guarded.fresh = fresh  # type: ignore[attr-defined]
        return guarded

    return guard


def signed_in_only(view: View) -> View:
    """The view for operators who signed in, whatever second factor is still missing."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not _is_operator(request):
            return redirect_to_login(request.get_full_path(), "/sign-in")
        with translation.override(speaking.language(request)):
            return _private(view(request, *args, **kwargs))

    guarded.permission = SIGNED_IN  # type: ignore[attr-defined]
    return guarded


def who(request: HttpRequest) -> str:
    """How the audit log names the operator who asks."""
    return f"operator:{request.user.get_username()}"


def next_page(request: HttpRequest) -> str:
    """Where `next` leads, if that is a page of ours; else the first page."""
    asked = str(request.POST.get("next") or request.GET.get("next") or "")
    inside = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and asked.startswith("/")
    return asked if inside else "/"


def _is_operator(request: HttpRequest) -> bool:
    user = request.user
    return bool(user.is_authenticated and user.is_active and getattr(user, "is_staff", False))


def _private(answer: HttpResponse) -> HttpResponse:
    answer.headers.setdefault("Cache-Control", "private, no-store")
    return answer


def _again(request: HttpRequest) -> HttpResponse:
    # A form's answer can't be repeated for them: they come back to the form.
    return HttpResponseRedirect("/sign-in/again?" + urlencode({"next": request.get_full_path()}))


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@speaking.spoken
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form for name and password. Tries are limited, by address and by name."""
    if _is_operator(request):
        return HttpResponseRedirect(next_page(request))
    fault, status = "", 200
    if request.method == "POST":
        name, password = request.POST.get("username", "")[:150], request.POST.get("password", "")[:4096]
        try:
            user = get_adapter(request).authenticate(request, username=name, password=password)
        except ValidationError:
            fault, status = _("Too many tries. Wait some minutes, then try again."), 429
        else:
            if user is not None and getattr(user, "is_staff", False):
                login = Login(user=user, redirect_url=next_page(request))
                return _answer(perform_password_login(request, {"username": name}, login))
            fault = _("That name and password do not fit together.")
    return render(request, "console/sign_in.html", {"fault": fault, "next": next_page(request)}, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
@speaking.spoken
def sign_in_by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """A link that signs in once. It is used up by pressing the button, not by whatever fetches links beforehand."""
    if request.method != "POST":
        return render(request, "console/sign_in_link.html", {"fault": ""})
    try:
        operator = operators.use_link(secret=secret, at=clock.now())
    except operators.UnableToSignInError as fault:
        return render(request, "console/sign_in_link.html", {"fault": str(fault)}, status=403)
    if request.user.is_authenticated:
        logout(request)
    clear_login(request)
    second_factor.record_link(request, operator)
    return _answer(perform_login(request, Login(user=operator, redirect_url="/")))


@login_stage_required(stage=AuthenticateStage.key, redirect_urlname="account_login")  # type: ignore[untyped-decorator]
@require_http_methods(["GET", "POST"])
@speaking.spoken
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """The second step of signing in: a code from the telephone, or a recovery code."""
    stage = request._login_stage  # type: ignore[attr-defined]
    form = AuthenticateForm(user=stage.login.user, data=request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        form.save()
        return _answer(stage.exit())
    return render(request, "console/sign_in_code.html", {"form": form})


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return HttpResponseRedirect("/sign-in")


def _answer(answer: Any) -> HttpResponse:
    assert isinstance(answer, HttpResponse)
    return answer
