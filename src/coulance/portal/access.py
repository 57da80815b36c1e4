"""Who sees a page of the portal: a contact who came in by a link, and only what is their account's."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.platform import clock
from coulance.portal import entry, keys
from coulance.portal.entry import Me

View = Callable[..., HttpResponse]
KEY = "portal"
HALF = "portal.half"
STAYS = timedelta(hours=12)
HALF_LASTS = timedelta(minutes=10)
FRESH = timedelta(minutes=30)


def customers_only(view: View) -> View:
    """The view for a contact who is signed in, handed to it as `me`; others are asked to sign in."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        me = who(request)
        if me is None:
            return HttpResponseRedirect("/my/sign-in")
        with translation.override(language(request, me.contact.language)):
            answer = view(request, *args, me=me, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    guarded.for_customers = True  # type: ignore[attr-defined]
    return guarded


def for_anybody(view: View) -> View:
    """A view that needs no sign-in, in the language that was chosen, else the browser's."""

    @wraps(view)
    def open_(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with translation.override(language(request, translation.get_language_from_request(request))):
            answer = view(request, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "private, no-store")
        return answer

    open_.for_customers = False  # type: ignore[attr-defined]
    return open_


def who(request: HttpRequest) -> Me | None:
    """Who is signed in, if they still are a contact, with the address they came in by."""
    kept = request.session.get(KEY)
    if not isinstance(kept, dict):
        return None
    if clock.now() - datetime.fromisoformat(kept["at"]) > STAYS:
        return None
    changed = keys.changed_at(account=kept["account"], contact=kept["contact"])
    if changed is not None and datetime.fromisoformat(kept["at"]) < changed:
        return None  # another browser's, from before the password or the second factor changed
    me = entry.find(account=kept["account"], contact=kept["contact"])
    return me if me is not None and me.contact.email.casefold() == kept["address"] else None


def come_in(request: HttpRequest, me: Me) -> HttpResponse:
    """Go on to the pages, or to the second step of who has one."""
    if not keys.wants_code(me):
        begin(request, me)
        return HttpResponseRedirect("/my/")
    request.session.flush()
    request.session[HALF] = {
        "account": me.account.id, "contact": me.contact.external_id, "at": clock.now().isoformat()
    }  # fmt: skip
    return HttpResponseRedirect("/my/code")


def half_in(request: HttpRequest) -> Me | None:
    """Who has done the first step lately."""
    kept = request.session.get(HALF)
    if not isinstance(kept, dict) or clock.now() - datetime.fromisoformat(kept["at"]) > HALF_LASTS:
        return None
    return entry.find(account=kept["account"], contact=kept["contact"])


def is_fresh(request: HttpRequest) -> bool:
    """Whether they came in lately: what lets in is changed by nobody who found a browser open."""
    kept = request.session.get(KEY)
    if not isinstance(kept, dict):
        return False
    came_in = str(kept.get("in") or kept["at"])
    return clock.now() - datetime.fromisoformat(came_in) <= FRESH


def go_on(request: HttpRequest) -> None:
    """Keep this session over a change that ends all others."""
    kept = dict(request.session[KEY])
    kept.setdefault("in", kept["at"])
    request.session.cycle_key()
    request.session[KEY] = kept | {"at": clock.now().isoformat()}


def begin(request: HttpRequest, me: Me) -> None:
    """A new session, of nobody else."""
    request.session.flush()
    request.session[KEY] = {
        "account": me.account.id,
        "contact": me.contact.external_id,
        "address": me.contact.email.casefold(),
        "at": clock.now().isoformat(),
    }


def language(request: HttpRequest, own: str) -> str:
    """What they chose by the switch, else their own."""
    return entry.language_of(request.COOKIES.get("coulance_language") or own)


def words(request: HttpRequest) -> dict[str, Any]:
    """What every page says: menu, footer, language."""
    from coulance.catalog import queries as catalog

    try:
        seller = catalog.catalog().provider.name
    except catalog.UnableToFindCatalogError:
        seller = "Coulance"
    return {
        "language": translation.get_language() or "en",
        "seller": seller,
        "me": who(request),
        "menu": [
            ("overview", "/my/", _("Services")),
            ("documents", "/my/documents", _("Documents")),
            ("statement", "/my/statement", _("Statement")),
            ("owing", "/my/arrears", _("What you owe")),
            ("paying", "/my/paying", _("Paying")),
            ("uptime", "/my/uptime", _("Uptime")),
            ("contracts", "/my/contracts", _("Contracts")),
            ("tickets", "/my/tickets", _("Tickets")),
            ("cases", "/my/cases", _("Cases")),
            ("contacts", "/my/contacts", _("Contacts")),
        ],
    }
