"""The language of the console's pages: what an operator chose, kept in the browser; English until then.

A page in another language than that (a customer's document) says so by `lang`, so that a screen reader reads each in
its own.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

COOKIE = "coulance_console_language"
LANGUAGES = ("en", "nl")


def language(request: HttpRequest) -> str:
    """What they chose."""
    chosen = request.COOKIES.get(COOKIE, "")
    return chosen if chosen in LANGUAGES else "en"


def spoken(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view in their language; for pages that nobody signed in for yet."""

    @wraps(view)
    def speaks(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with translation.override(language(request)):
            return view(request, *args, **kwargs)

    return speaks


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Another language; back to the page they were on."""
    back = request.POST.get("next", "")
    inside = url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith("/")
    answer = HttpResponseRedirect(back if inside else "/")
    asked = request.POST.get("language", "")
    answer.set_cookie(
        COOKIE, asked if asked in LANGUAGES else "en", max_age=31_536_000, httponly=True, samesite="Lax",
        secure=request.is_secure(),
    )  # fmt: skip
    return answer
