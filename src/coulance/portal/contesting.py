"""The form of a contest, read: which lines, what part of each, why, and what goes along.

Of each line at most one part is named: an amount, a quantity, or days. Faults are said in the reader's language.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils.translation import gettext as _

from coulance.disputes.errors import DisputesError, UnableToKeepFileError, UnableToOpenError
from coulance.disputes.files import ENDINGS, MOST_BYTES, MOST_FILES, Upload
from coulance.flows.disputing.opening import Contestable, Line
from coulance_core.disputes import Contest, Grounds, OpenRefusal, Way
from coulance_core.kernel import Money, Period, civil_midnight, exact


class UnableToReadFormError(ValueError):
    """What was filled in won't do; the text says what is wrong, to whoever filled it in."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A line's fields as they were typed."""

    line: Line
    chosen: bool
    amount: str
    quantity: str
    first: str
    last: str
    accepted: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks for."""

    contests: tuple[Contest, ...]
    grounds: Grounds
    reason: str
    new_fact: str
    files: tuple[Upload, ...]


def typed(request: HttpRequest, of: Contestable) -> list[Typed]:
    """What was typed of each line; the only line there is is chosen beforehand."""
    free = [line for line in of.lines if line.can_be]
    only = request.method != "POST" and len(free) == 1

    def given(name: str, line: Line) -> str:
        return request.POST.get(f"{name}-{line.no}", "").strip()[:40]

    return [
        Typed(
            line,
            only or bool(request.POST.get(f"line-{line.no}")),
            given("amount", line),
            given("quantity", line),
            given("from", line),
            given("until", line),
            given("accepted", line),
        )
        for line in free
    ]


def asked(request: HttpRequest, of: Contestable, *, zone: str) -> Asked:
    """The form, read. Raises `UnableToReadFormError`, `UnableToKeepFileError`."""
    contests = tuple(
        _contest(one, of, ZoneInfo(zone))
        for one in typed(request, of)
        if one.chosen or one.amount or one.quantity or one.first or one.last
    )
    if not contests:
        raise UnableToReadFormError(_("Choose what is not right: a line of the invoice."))
    try:
        grounds = Grounds(request.POST.get("grounds", ""))
    except ValueError:
        raise UnableToReadFormError(_("Choose what is wrong.")) from None
    if grounds not in of.grounds:
        raise UnableToReadFormError(_("Choose what is wrong."))
    reason = request.POST.get("reason", "").strip()
    if not reason:
        raise UnableToReadFormError(_("Say in a few words what is wrong."))
    return Asked(contests, grounds, reason[:4000], request.POST.get("new_fact", "").strip()[:4000], uploads(request))


def uploads(request: HttpRequest) -> tuple[Upload, ...]:
    """The files that came along; their size is known before they are read. Raises `UnableToKeepFileError`."""
    found = request.FILES.getlist("files")
    if len(found) > MOST_FILES:
        raise UnableToKeepFileError(_("A case holds %(most)s files.") % {"most": MOST_FILES})
    out = []
    for one in found:
        if (one.size or 0) > MOST_BYTES:
            said = {"name": one.name, "most": MOST_BYTES // 1024 // 1024}
            raise UnableToKeepFileError(_("%(name)s is larger than %(most)s MB.") % said)
        out.append(Upload(one.name or "file", one.read()))
    return tuple(out)


def said(fault: DisputesError | UnableToReadFormError) -> str:
    """A fault as the customer reads it."""
    if isinstance(fault, UnableToOpenError) and fault.refusal is not None:
        words = {
            OpenRefusal.NO_REASON: _("Say in a few words what is wrong."),
            OpenRefusal.TOO_LATE: _("This invoice is too old to contest here: write to us, and we look at it."),
            OpenRefusal.OPEN_ALREADY: _("You contest this already: add to that case."),
            OpenRefusal.TOO_OFTEN: _("You contested this before, more than once: write to us if there is more to say."),
            OpenRefusal.NEEDS_NEW_FACT: _("You contested this before: say what is new, that was not said then."),
        }
        return words[OpenRefusal(fault.refusal.code)]
    if isinstance(fault, UnableToKeepFileError):
        return _("%(what)s. We take %(endings)s.") % {"what": str(fault).rstrip("."), "endings": ", ".join(ENDINGS)}
    return str(fault)


def _contest(one: Typed, of: Contestable, zone: ZoneInfo) -> Contest:
    named = [bool(one.amount), bool(one.quantity), bool(one.first or one.last)]
    code = of.open.currency
    what = {"line": one.line.description}
    if sum(named) > 1:
        raise UnableToReadFormError(_("%(line)s: name a part by one of amount, quantity or days.") % what)
    accepted = None
    if one.accepted:
        accepted = _money(one.accepted, code, what, least=0)
    if one.amount:
        amount = _money(one.amount, code, what)
        if amount > one.line.left:
            raise UnableToReadFormError(_("%(line)s: that is more than was billed and not credited yet.") % what)
        return Contest(one.line.no, Way.AMOUNT, amount=amount, accepted=accepted)
    if one.quantity:
        try:
            quantity = exact(_plain(one.quantity))
        except ValueError:
            raise UnableToReadFormError(_("%(line)s: write a quantity as a number.") % what) from None
        if not 0 < quantity <= one.line.quantity:
            raise UnableToReadFormError(_("%(line)s: the quantity is more than was billed, or nothing.") % what)
        return Contest(one.line.no, Way.QUANTITY, quantity=quantity, accepted=accepted)
    if one.first or one.last:
        try:
            first = date.fromisoformat(one.first) if one.first else one.line.first_day
            last = date.fromisoformat(one.last) if one.last else one.line.last_day
        except ValueError:
            raise UnableToReadFormError(_("%(line)s: write days as 2026-10-31.") % what) from None
        if not one.line.first_day <= first <= last <= one.line.last_day:
            raise UnableToReadFormError(_("%(line)s: those days are outside what was billed.") % what)
        period = Period(civil_midnight(first, zone), civil_midnight(date.fromordinal(last.toordinal() + 1), zone))
        return Contest(one.line.no, Way.PERIOD, period=period, accepted=accepted)
    return Contest(one.line.no, accepted=accepted)


def _plain(text: str) -> str:
    plain = text.replace("\u00a0", "").replace(" ", "")
    return plain.replace(",", ".") if "," in plain and "." not in plain else plain


def _money(text: str, code: str, what: dict[str, str], *, least: int = 1) -> Money:
    try:
        found = Money.of(Decimal(_plain(text)), code)
    except (InvalidOperation, ValueError):
        raise UnableToReadFormError(_("%(line)s: write an amount such as 12.50.") % what) from None
    if found.minor < least:
        raise UnableToReadFormError(_("%(line)s: write an amount such as 12.50.") % what)
    return found
