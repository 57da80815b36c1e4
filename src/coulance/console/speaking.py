"""The language of the console's pages: what an operator chose, kept in the browser; English until then.

Pages that speak Dutch say so by the block `spoken`; the others stay English and are marked as such, so that a screen
reader reads each in its own language.
"""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

COOKIE = "coulance_console_language"
LANGUAGES = ("en", "nl")


def language(request: HttpRequest) -> str:
    """What they chose."""
    chosen = request.COOKIES.get(COOKIE, "")
    return chosen if chosen in LANGUAGES else "en"


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
