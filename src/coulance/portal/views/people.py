"""Coming in and going out, the language, and the contacts of an account."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from coulance.customers import queries as customers
from coulance.flows.customers import UnableToKeepError
from coulance.flows.customers import put_contact as keep_contact
from coulance.flows.overage_control import phones
from coulance.notices import hooks
from coulance.notices import queries as notices
from coulance.notices.addresses import AddressFormError, phone_number
from coulance.notices.hooks import HookRow, UnableToHookError
from coulance.notices.operations import UnableToVerifyPhoneError
from coulance.platform import clock
from coulance.portal import access, entry
from coulance.portal.access import customers_only, for_anybody, words
from coulance.portal.entry import Me


@for_anybody
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form for an address. What it answers is the same for every address."""
    if request.method == "POST":
        entry.ask(address=request.POST.get("address", "")[:254], at=clock.now())
    return render(request, "portal/sign_in.html", words(request) | {"asked": request.method == "POST"})


@for_anybody
@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest, secret: str) -> HttpResponse:
    """A link that lets in once: by pressing the button, not by whatever fetches links beforehand."""
    fault = False
    if request.method == "POST":
        try:
            me = entry.use(secret=secret, at=clock.now())
        except entry.UnableToEnterError:
            fault = True
        else:
            return access.come_in(request, me)
    return render(request, "portal/enter.html", words(request) | {"fault": fault}, status=403 if fault else 200)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    request.session.flush()
    return HttpResponseRedirect("/my/sign-in")


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Another language, kept in the browser."""
    back = request.POST.get("next", "")
    inside = url_has_allowed_host_and_scheme(back, allowed_hosts=None) and back.startswith(
        ("/my/", "/answer/", "/settle/", "/contest/", "/owed/")
    )
    answer = HttpResponseRedirect(back if inside else "/my/")
    answer.set_cookie(
        "coulance_language",
        entry.language_of(request.POST.get("language", "")),
        max_age=31_536_000,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure(),
    )
    return answer


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def contacts(request: HttpRequest, *, me: Me) -> HttpResponse:
    """Who is told, and whose address is known to reach somebody."""
    done = fault = secret = ""
    own = customers.contacts([me.account.id])
    if request.method == "POST" and request.POST.get("act") in ("phone-code", "phone-confirm"):
        try:
            done = _phone(request, me)
        except UnableToVerifyPhoneError:
            fault = _("That code is not right, too old, or was asked for too often. Ask for another in a while.")
    elif request.method == "POST" and request.POST.get("act", "").startswith("hook"):
        try:
            done, secret = _hook(request, me)
        except UnableToHookError as error:
            fault = _("That did not work: %(why)s") % {"why": error}
    elif request.method == "POST" and request.POST.get("act") == "zone":
        try:
            keep_contact(
                account=me.account.external_id, external_id=me.contact.external_id,
                given={"zone": request.POST.get("zone", "").strip()[:64]}, actor=f"contact:{me.contact.external_id}",
                at=clock.now(),
            )  # fmt: skip
            done = _("Your time zone is kept: what can wait comes in your morning.")
            own = customers.contacts([me.account.id])
        except UnableToKeepError:
            fault = _("Type a time zone such as Europe/Amsterdam.")
    elif request.method == "POST":
        chosen = next((c for c in own if c.external_id == request.POST.get("contact") and c.email), None)
        if chosen is not None:
            entry.ask(address=chosen.email, at=clock.now())
            done = _("We mailed %(address)s a link: opening it and pressing its button confirms the address.") % {
                "address": chosen.email
            }
    verified = notices.verified_addresses(account=me.account.id)
    dead = notices.dead_among([c.email for c in own if c.email])
    rows = [
        {
            "contact": c,
            "phone_verified": _number(c.phone) in verified,
            "own": c.external_id == me.contact.external_id,
            "own_phone": bool(c.phone) and c.external_id == me.contact.external_id,
            "verified": c.email.casefold() in verified and c.email.casefold() not in dead,
            "dead": c.email.casefold() in dead,
        }
        for c in own
    ]
    return render(
        request,
        "portal/contacts.html",
        words(request)
        | {
            "here": "contacts",
            "rows": rows,
            "done": done,
            "fault": fault,
            "account_zone": me.account.zone,
            "secret": secret,
            "hook": next(
                (h for h in hooks.hooks(accounts=[me.account.id]) if h.contact == me.contact.external_id), None
            ),
        },
    )


def _hook(request: HttpRequest, me: Me) -> tuple[str, str]:
    """Register, ask or end their own webhook; what to say, and a new secret, which is shown this once."""
    actor, at, account = f"contact:{me.contact.external_id}", clock.now(), me.account.id
    if request.POST["act"] == "hook-add":
        url = request.POST.get("url", "").strip()[:2001]
        _row, secret = hooks.add_hook(account=account, contact=me.contact.external_id, url=url, actor=actor, at=at)
        return _("Keep this secret now: it is shown this once. Then have your webhook answer our challenge."), secret
    mine = _own_hook(me)
    if mine is None:
        raise UnableToHookError(_("You have no webhook."))
    if request.POST["act"] == "hook-verify":
        hooks.verify_hook(hook=mine.id, account=account, actor=actor, at=at)
        return _("Your webhook answered: it is told of warnings from now on, beside mail."), ""
    hooks.end_hook(hook=mine.id, account=account, actor=actor, reason="ended by the customer", at=at)
    return _("Your webhook is told nothing any more."), ""


def _own_hook(me: Me) -> HookRow | None:
    return next((h for h in hooks.hooks(accounts=[me.account.id]) if h.contact == me.contact.external_id), None)


def _phone(request: HttpRequest, me: Me) -> str:
    """Send a code to their own telephone, or take the one they typed."""
    actor, at = f"contact:{me.contact.external_id}", clock.now()
    if request.POST["act"] == "phone-confirm":
        code = request.POST.get("code", "").strip()[:12]
        phones.confirm(account=me.account.id, contact=me.contact.external_id, code=code, at=at, actor=actor)
        return _("Your telephone is confirmed.")
    number = phones.send_code(account=me.account.id, contact=me.contact.external_id, at=at, actor=actor)
    return _("We sent a code to %(number)s. Type it below.") % {"number": number}


def _number(typed: str) -> str:
    try:
        return phone_number(typed) if typed else ""
    except AddressFormError:
        return ""
