"""Acts: forms that change something. Each asks why, shows first what will happen, and happens once however often sent.

A form carries a token. The answer to it (where to go on) is kept in the transaction of the act, so a second click, a
reload or a resend gets that answer and does nothing again; killed in between, neither is there.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from coulance.platform import clock, idempotency
from coulance.platform.idempotency import AtWorkError, Kept, OtherRequestError
from coulance_core.kernel import Money

T = TypeVar("T")

LONGEST_REASON = 500


class UnableToActError(ValueError):
    """What was filled in won't do; the message says what is wrong, for whoever filled it in."""


def new_token() -> str:
    """A token for a form."""
    return secrets.token_urlsafe(18)


def token_of(request: HttpRequest) -> str:
    """The token that the form was sent with, or a new one for a form that is shown first."""
    return request.POST.get("token", "")[:60] or new_token()


def reason_of(request: HttpRequest) -> str:
    """Why, as it was typed. Raises `UnableToActError` when it wasn't."""
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise UnableToActError(_("Say why: the audit log keeps the reason."))
    if len(reason) > LONGEST_REASON:
        raise UnableToActError(
            _("Say it in %(longest_reason)s characters; it has %(reason)s.")
            % {"longest_reason": LONGEST_REASON, "reason": len(reason)}
        )
    return reason


def is_sure(request: HttpRequest) -> bool:
    """Whether this is the second step: the figures were shown, and the button under them was pressed."""
    return request.method == "POST" and request.POST.get("step") == "do"


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an act: where to go on, and what to say there."""

    address: str
    said: str


def once(request: HttpRequest, act: Callable[[], Done]) -> HttpResponse:
    """Do it in one transaction with the note that it was done, and go on to where its answer leads.

    Raises `UnableToActError` for a form without a token, and while the first click is still being answered.
    """
    token = request.POST.get("token", "")
    if not 10 <= len(token) <= 60:
        raise UnableToActError(_("This form has no token: open it again."))
    at, name = clock.now(), f"console:{request.user.pk}"
    body = "&".join(f"{key}={value}" for key, value in sorted(request.POST.items()) if key != "csrfmiddlewaretoken")
    same = idempotency.fingerprint("POST", request.get_full_path(), body.encode())
    try:
        with transaction.atomic():
            kept = idempotency.begin(token=name, key=token, request=same, at=at)
            if kept is None:
                done = act()
                answer = Kept(302, done.said.encode(), {"Location": done.address})
                idempotency.keep(token=name, key=token, request=same, answer=answer, at=at)
            else:
                done = Done(kept.headers["Location"], kept.body.decode())
    except AtWorkError:
        raise UnableToActError(_("This is being done already: wait a moment, then look whether it was.")) from None
    except OtherRequestError:
        raise UnableToActError(_("This form was sent before with other values: open it again.")) from None
    messages.success(request, done.said)
    return HttpResponseRedirect(done.address)


def once_or_back(request: HttpRequest, act: Callable[[], Done], back: str) -> HttpResponse:
    """The same for a single button: what won't do is said on the page `back`."""
    try:
        return once(request, act)
    except UnableToActError as fault:
        messages.error(request, str(fault))
        return HttpResponseRedirect(back)


@dataclass
class Form:
    """What a page of an act shows: what was typed, the token, what is wrong, and what would happen."""

    values: dict[str, str]
    token: str
    fault: str = ""
    preview: Any = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """422 when something typed won't do."""
        return 422 if self.fault else 200


def form_of(request: HttpRequest, *names: str, **defaults: str) -> Form:
    """The form with what was typed into `names`, or their defaults."""
    given = request.POST if request.method == "POST" else request.GET
    values = {name: given.get(name, defaults.get(name, ""))[:2000] for name in (*names, *defaults)}
    if request.method == "POST":
        values["reason"] = request.POST.get("reason", "")[: LONGEST_REASON + 1]
    return Form(values, token_of(request))


class _TakenBackError(Exception):
    """Ends the transaction of a preview."""


def previewed(act: Callable[[], T]) -> T:
    """What an act would come to: it is done in a transaction of its own, which is taken back."""
    made: list[T] = []
    try:
        with transaction.atomic():
            made.append(act())
            raise _TakenBackError
    except _TakenBackError:
        return made[0]


def amount_of(text: str, code: str) -> Money:
    """An amount above zero as it was typed, 12.50 or 12,50. Raises `UnableToActError`."""
    plain = text.strip().replace("\u00a0", "").replace(" ", "")
    if "," in plain and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        found = Money.of(Decimal(plain), code)
    except (InvalidOperation, ValueError):
        raise UnableToActError(
            _("%(strip)s is no amount in %(code)s: write 12.50.") % {"strip": repr(text.strip()), "code": code}
        ) from None
    if found.minor <= 0:
        raise UnableToActError(_("Expected an amount above zero."))
    return found


def day_of(text: str, *, default: date) -> date:
    """A day as forms send it. Raises `UnableToActError`."""
    if not text:
        return default
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise UnableToActError(_("%(text)s is no day: write 2026-11-30.") % {"text": repr(text)}) from None
    if not 1990 <= found.year <= 2199:
        raise UnableToActError(_("%(text)s is too far away.") % {"text": repr(text)})
    return found
