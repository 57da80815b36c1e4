"""Who may see the console: signed-in operators. By name and password, or by a link that works once."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth import login
from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from coulance.platform import clock, operators
from coulance.platform.roles import Permission, may

View = Callable[..., HttpResponse]


def operators_only(permission: Permission = Permission.SEE) -> Callable[[View], View]:
    """The view for operators who may do that; anybody else is asked to sign in, or refused (403).

    What it answers is kept in no shared cache. The permission stays readable on the view, so that a test can walk every
    address and see that none was forgotten.
    """

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = request.user
            if not (user.is_authenticated and user.is_active and getattr(user, "is_staff", False)):
                return redirect_to_login(request.get_full_path(), "/sign-in")
            if not may(user, permission):
                raise PermissionDenied(permission.value)
            answer = view(request, *args, **kwargs)
            answer.headers.setdefault("Cache-Control", "private, no-store")
            return answer

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return guard


class SignIn(LoginView):
    """The form for name and password."""

    template_name = "console/sign_in.html"
    redirect_authenticated_user = True


class SignOut(LogoutView):
    """Ends the session; POST only."""

    next_page = "/sign-in"


@never_cache
@require_http_methods(["GET", "POST"])
def sign_in_by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """A link that signs in once. It is used up by pressing the button, not by whatever fetches links beforehand."""
    if request.method != "POST":
        return render(request, "console/sign_in_link.html", {"fault": ""})
    try:
        operator = operators.use_link(secret=secret, at=clock.now())
    except operators.UnableToSignInError as fault:
        return render(request, "console/sign_in_link.html", {"fault": str(fault)}, status=403)
    login(request, operator, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect("/")
