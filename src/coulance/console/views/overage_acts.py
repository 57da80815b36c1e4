"""What is decided from the overage pages: limits, calls, invoices that wait. Each with a reason, once."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, once, reason_of
from coulance.console.views.overage_boards import show_approvals, show_unreached, show_waiting
from coulance.flows import overage_by_hand
from coulance.flows.overage_control import calling
from coulance.flows.settling_first import settling
from coulance.overage.errors import UnableToConsentError, UnableToRecordError
from coulance.platform import clock
from coulance.platform.roles import Permission


@operators_only(Permission.BILLING)
@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """Approve or refuse a limit; whoever set it is told, with the reason."""
    try:
        number, reason, approve = _number(request, "consent"), reason_of(request), _choice(request, "approve", "refuse")

        def act() -> Done:
            overage_by_hand.decide(
                consent=number, approve=approve == "approve", actor=who(request), reason=reason, at=clock.now()
            )
            said = _("The limit is approved.") if approve == "approve" else _("The limit is refused.")
            return Done("/overage/approvals", said)

        return once(request, act)
    except (UnableToActError, UnableToConsentError) as fault:
        return show_approvals(request, str(fault))


@operators_only(Permission.SUPPORT)
@require_POST
def called(request: HttpRequest) -> HttpResponse:
    """What came of a call."""
    try:
        task, reason = _number(request, "task"), reason_of(request)
        outcome = _choice(request, "reached", "no_answer", "voicemail", "busy", "wrong_number", "unreachable")

        def act() -> Done:
            at, actor = clock.now(), who(request)
            if outcome == "reached":
                contact = request.POST.get("contact", "")[:200]
                calling.reached(task=task, contact=contact, note=reason, actor=actor, at=at)
                return Done("/overage/unreached", _("They were reached: that is on record."))
            if outcome == "unreachable":
                calling.unreachable(task=task, note=reason, actor=actor, at=at)
                return Done("/overage/unreached", _("They can't be reached: that is on record."))
            calling.no_answer(task=task, outcome=outcome, note=reason, actor=actor, at=at)
            return Done("/overage/unreached", _("It is due again in an hour."))

        return once(request, act)
    except (UnableToActError, UnableToRecordError) as fault:
        return show_unreached(request, str(fault))


@operators_only(Permission.BILLING, fresh=True)
@require_POST
def release(request: HttpRequest) -> HttpResponse:
    """Issue an invoice that waits for its customer, now."""
    try:
        document, reason = _number(request, "document"), reason_of(request)

        def act() -> Done:
            done = settling.release(document=document, reason=reason, actor=who(request), at=clock.now())
            if not done.numbers:
                return Done("/overage/waiting", _("Nothing was left to issue, by what is known now."))
            return Done("/overage/waiting", _("Issued as %(numbers)s.") % {"numbers": ", ".join(done.numbers)})

        return once(request, act)
    except (UnableToActError, settling.UnableToReleaseError) as fault:
        return show_waiting(request, str(fault))


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    if not text.isdecimal() or len(text) > 18:
        raise UnableToActError(_("Which one? Open the page again."))
    return int(text)


def _choice(request: HttpRequest, *choices: str) -> str:
    chosen = request.POST.get("do", "")
    if chosen not in choices:
        raise UnableToActError(_("Choose one of the buttons."))
    return chosen
