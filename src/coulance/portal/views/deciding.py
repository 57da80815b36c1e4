"""The acts that a customer has on a charge, the same by a warning's link and in the portal."""

from dataclasses import dataclass
from hashlib import sha256

from django.http import HttpRequest
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows.overage_control import acting
from coulance.flows.overage_control.acting import Customer, Offer, UnableToActError
from coulance.flows.overage_control.judging import Judged
from coulance.platform import clock

ACTS = ("know", "preview", "allow", "withdraw", "pause", "resume")


@dataclass(slots=True)
class Result:
    """What an act came to: what to say, what went wrong, an offer to look at first, and what was typed."""

    done: str = ""
    fault: str = ""
    offer: Offer | None = None
    digest: str = ""
    amount: str = ""
    quantity: str = ""
    once: bool = False
    ahead: bool = False


def act(request: HttpRequest, *, by: Customer, judged: Judged) -> Result:
    """Do what a form asks for. Nothing is agreed to that was not shown first, to the letter."""
    at = clock.now()
    what = request.POST.get("act", "")
    out = Result(amount=request.POST.get("amount", "")[:40], quantity=request.POST.get("quantity", "")[:40])
    out.once, out.ahead = request.POST.get("once") == "yes", request.POST.get("ahead") == "yes"
    try:
        match what:
            case "know":
                acting.acknowledge(by=by, judged=judged, at=at)
                out.done = _("Thank you: we know that you know.")
            case "preview" | "allow":
                if bool(out.amount.strip()) == bool(out.quantity.strip()):
                    raise UnableToActError(_("Type an amount or a quantity, one of the two."))
                offered = acting.offer(
                    judged=judged,
                    amount=out.amount,
                    quantity=out.quantity,
                    language=translation.get_language() or "en",
                    once=out.once,
                    ahead=out.ahead,
                )
                out.digest = sha256(offered.text.encode()).hexdigest()
                if what == "preview" or request.POST.get("digest") != out.digest:
                    out.offer = offered
                    return out
                given = acting.give(by=by, judged=judged, offered=offered, at=at)
                out.done = _("Your limit is set.")
                if given.pending:
                    out.done = _("Your limit waits for our approval; we tell you. Until then nothing changes.")
                elif given.dormant:
                    out.done = _("Your limit is set, and counts once your mail address is confirmed: see Contacts.")
                out.amount = out.quantity = ""
            case "withdraw":
                number = request.POST.get("consent", "")
                acting.withdraw(by=by, judged=judged, consent=int(number) if number.isdecimal() else 0, at=at)
                out.done = _("Your limit is withdrawn: nothing that is used from now on is charged as overage.")
            case "pause":
                acting.pause(by=by, judged=judged, at=at)
                out.done = _("Its network is paused. You end that here, at any hour.")
            case "resume":
                lifted = acting.resume(by=by, judged=judged, at=at)
                out.done = _("Your pause is ended.") if lifted else _("There was no pause of yours to end.")
            case _:
                raise UnableToActError(_("Choose what to do."))
    except UnableToActError as fault:
        out.fault = str(fault)
    return out


def came_from(request: HttpRequest) -> str:
    """From where, as a consent keeps it."""
    from coulance.platform.limiting import client_address

    return f"{client_address(request)} {request.headers.get('User-Agent', '')}"[:200]
