"""A customer's contracts in plain words, with every minute explained; tickets with clocks; questions by one link."""

import secrets
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from coulance.contracts import judgements, queries, ticketing, tickets
from coulance.contracts.errors import ContractsError, UnableToFindContractError, UnableToFindTicketError
from coulance.contracts.hours import hours
from coulance.contracts.queries import ContractRow, LeaveRow, hours_text
from coulance.flows.contracts import asking, links, ordering, wording
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.invoicing.documents.words import Words
from coulance.platform import clock
from coulance.portal import access, entry
from coulance.portal.access import customers_only, words
from coulance.portal.entry import Me
from coulance.portal.views.answers import safe
from coulance_core.contracts.renewal import Renews
from coulance_core.contracts.terms import HOUR, Kind, Work
from coulance_core.kernel import Money
from coulance_core.sla.calendars import WEEKDAYS
from coulance_core.sla.intervals import instant


@customers_only
@require_safe
def contract_list(request: HttpRequest, *, me: Me) -> HttpResponse:
    """The account's contracts, with the hours that are left."""
    at = clock.now()
    rows = queries.contracts(accounts=[me.account.id])
    facts = queries.facts([row.id for row in rows])
    shown = []
    for row in rows:
        left = hours(row, facts[row.id], at).left
        waiting = any(one.approved is None and at < one.until for one in facts[row.id].leave)
        shown.append(
            {
                "row": row,
                "title": row.terms.title,
                "kind": wording.kind(row.kind),
                "left": hours_text(left) if left is not None else "",
                "waiting": waiting,
            }
        )
    return render(request, "portal/contracts.html", words(request) | {"here": "contracts", "rows": shown})


@customers_only
@require_http_methods(["GET", "HEAD", "POST"])
def contract(request: HttpRequest, key: str, *, me: Me) -> HttpResponse:
    """A contract in plain words: what it costs, covers and promises, and where each minute went."""
    try:
        row = queries.contract(key, account=me.account.id)
    except UnableToFindContractError as error:
        raise Http404 from error
    fault = ""
    if request.method == "POST":
        ordered = "card" in request.POST
        fault = _ordered(request, row, me) if ordered else _answer(request, request.POST.get("leave", ""), me, "portal")
        if not fault:
            return HttpResponseRedirect(request.path)
    at, says = clock.now(), Words.of(translation.get_language())
    facts = queries.facts([row.id])[row.id]
    found = hours(row, facts, at)
    zone = ZoneInfo(row.zone)
    context = {
        "here": "contracts",
        "row": row,
        "title": row.terms.title,
        "sentences": _sentences(row, says),
        "fair": wording.fair_to_them(said, says) if (said := judgements.newest([row.id]).get(row.id)) else (),
        "cover": [(wording.work(w), wording.cover(row.terms.work.cover_of(w))) for w in Work],
        "promises": _promises(row),
        "asks": row.responses.asks if row.responses else (),
        "cards": [
            {
                "card": one.card.key,
                "left": hours_text(one.left),
                "used": hours_text(one.used),
                "lapsed": hours_text(one.lapsed) if one.lapsed else "",
                "until": says.day(one.card.until.astimezone(zone).date()) if one.card.until else "",
            }
            for one in (found.cards.cards if found.cards else ())
        ],
        "left": hours_text(found.left) if found.left is not None else "",
        "work": [
            {
                "on": f"{one.entry.began_at.astimezone(zone):%Y-%m-%d %H:%M}",
                "who": one.who,
                "text": one.text or wording.work(one.entry.work),
                "took": hours_text(one.entry.seconds),
                "paid": [(hours_text(d.seconds), wording.paid_by(d.by)) for d in found.of(one.entry.key)],
                "corrected": one.revision > 1,
            }
            for one in reversed(facts.work)
        ],
        "leave": [_leave(one, says) for one in facts.leave if one.approved is None and at < one.until],
        "offer": [
            {
                "key": one.key,
                "time": hours_text(one.seconds),
                "price": says.money(one.price.decimal(), one.price.currency),
                "minor": one.price.minor,
                "months": one.months,
            }
            for one in ordering.on_offer(row, at)
        ],
        "once": secrets.token_urlsafe(18),
        "may": me.contact.may_incur_cost,
        "fault": fault,
    }
    return render(request, "portal/contract.html", words(request) | context, status=422 if fault else 200)


@customers_only
@require_safe
def ticket_list(request: HttpRequest, *, me: Me) -> HttpResponse:
    """The account's tickets, each with its promises and how they stand."""
    at, zone = clock.now(), ZoneInfo(me.account.zone)
    shown = [
        {
            "ticket": one.ticket,
            "opened": f"{one.ticket.opened_at.astimezone(zone):%Y-%m-%d %H:%M}",
            "clocks": [
                {
                    "promise": wording.promise(c.promise),
                    "due": f"{instant(c.due).astimezone(zone):%Y-%m-%d %H:%M}",
                    "state": wording.state(c.state),
                    "why": c.explanation.render(),
                }
                for c in one.clocks
            ],
        }
        for one in tickets.standing(tickets.tickets(accounts=[me.account.id], most=200), at)
    ]
    says = Words.of(translation.get_language())
    rows = queries.contracts(accounts=[me.account.id])
    credits_ = [
        {
            "amount": says.money(c.amount.decimal(), c.amount.currency),
            "on": says.day(c.period_start),
            "number": c.credit_note,
            "why": c.explanation.render(),
        }
        for c in queries.credits_of([row.id for row in rows])
    ]
    context = {"here": "tickets", "rows": shown, "credits": credits_, "zone": me.account.zone}
    return render(request, "portal/tickets.html", words(request) | context)


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def leave_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Leave for work, by the link of its mail. Only pressing a button answers it."""
    try:
        holder, me = _holder(token, "leave")
        leave = queries.leave(holder.ref, account=holder.account)
    except (UnableToAnswerError, UnableToFindContractError) as error:
        return _gone(request, error)
    with translation.override(access.language(request, me.contact.language)):
        fault = _answer(request, leave.key, me, "link") if request.method == "POST" else ""
        leave = queries.leave(leave.key)
        (row,) = queries.contracts(ids=[leave.contract])
        context = words(request) | {
            "leave": _leave(leave, Words.of(translation.get_language())),
            "title": row.terms.title,
            "name": me.contact.name,
            "may": me.contact.may_incur_cost,
            "answered": leave.approved,
            "is_answered": leave.approved is not None,
            "fault": fault,
        }
        return safe(render(request, "portal/leave.html", context, status=422 if fault else 200))


@access.for_anybody
@sensitive_variables("token")
@require_http_methods(["GET", "HEAD", "POST"])
def opinion_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """How a solved case went: one to five, and words if they like."""
    try:
        holder, me = _holder(token, "opinion")
        ticket = tickets.ticket(int(holder.ref), account=holder.account)
    except (UnableToAnswerError, UnableToFindTicketError) as error:
        return _gone(request, error)
    with translation.override(access.language(request, me.contact.language)):
        done, fault, score = False, "", request.POST.get("score", "")
        if request.method == "POST":
            if score in ("1", "2", "3", "4", "5"):
                ticketing.record_opinion(
                    ticket=ticket.id, score=int(score), text=request.POST.get("text", ""),
                    contact=me.contact.external_id, at=clock.now(),
                )  # fmt: skip
                done = True
            else:
                fault = _("Choose one to five.")
        scores = [(1, _("not at all")), (2, _("hardly")), (3, _("so-so")), (4, _("content")), (5, _("very content"))]
        context = words(request) | {"subject": ticket.subject, "done": done, "fault": fault, "scores": scores}
        return safe(render(request, "portal/opinion.html", context, status=422 if fault else 200))


def _holder(token: str, what: str) -> tuple[links.Holder, Me]:
    holder = links.read(token, at=clock.now())
    me = entry.find(account=holder.account, contact=holder.contact)
    if holder.what != what or me is None:
        raise UnableToAnswerError
    return holder, me


def _gone(request: HttpRequest, fault: Exception) -> HttpResponse:
    expired = isinstance(fault, UnableToAnswerError) and fault.expired
    page = render(
        request, "portal/answer_gone.html", words(request) | {"expired": expired}, status=410 if expired else 404
    )
    return safe(page)


def _answer(request: HttpRequest, leave: str, me: Me, how: str) -> str:
    """Answer leave; what is wrong, if anything."""
    said = request.POST.get("answer", "")
    if said not in ("yes", "no"):
        return _("Choose one of the buttons.")
    try:
        asking.answer(
            leave=leave, approved=said == "yes", account=me.account.id, contact=me.contact.external_id, how=how,
            at=clock.now(),
        )  # fmt: skip
    except ContractsError:
        return _("It can't be answered any more, or by you: it was answered, is too old, or wants who may incur cost.")
    return ""


def _ordered(request: HttpRequest, row: ContractRow, me: Me) -> str:
    """Order a card; what is wrong, if anything."""
    minor = request.POST.get("minor", "")
    try:
        ordering.order(
            key=row.key, product=request.POST.get("card", ""), once=request.POST.get("once", ""),
            price=Money(int(minor) if minor.isdecimal() and len(minor) < 15 else -1, row.currency),
            account=me.account.id, contact=me.contact.external_id, at=clock.now(),
        )  # fmt: skip
    except ContractsError:
        return _("It can't be ordered so: look at the price again, or let somebody order who may incur cost.")
    return ""


def _leave(one: LeaveRow, says: Words) -> dict[str, Any]:
    most = Money(-(-one.rate.minor * one.seconds // 3600), one.rate.currency)
    return {
        "key": one.key,
        "text": one.text,
        "time": hours_text(one.seconds),
        "rate": says.money(one.rate.decimal(), one.rate.currency),
        "most": says.money(most.decimal(), most.currency),
        "until": says.day(one.until.date()),
    }


def _sentences(row: ContractRow, says: Words) -> list[str]:
    """The contract in plain words."""
    terms, today = row.terms, max(row.day_of(clock.now()), row.starts_on)
    fee = row.fee_on(today)
    said = [_("It is a contract of the kind: %(kind)s.") % {"kind": wording.kind(row.kind)}]
    if fee.minor:
        said.append(
            _("It costs %(fee)s for %(months)s months, tax not counted.")
            % {"fee": says.money(fee.decimal(), fee.currency), "months": terms.every}
        )
    if row.kind is Kind.PER_SEAT:
        said.append(_("That is for %(seats)s seats.") % {"seats": row.seats_on(today)})
    if terms.retainer is not None:
        said.append(
            _("It has %(hours)s hours in each of these periods.") % {"hours": hours_text(terms.retainer.seconds)}
        )
    bundled = row.allocated_on(today)
    if bundled is not None and terms.bundle is not None:
        parts = [
            f"{terms.bundle.element(key).title} {says.money(part.decimal(), part.currency)}"
            for key, part in bundled.parts.items()
        ]
        said.append(_("That pays for: %(parts)s.") % {"parts": ", ".join(parts)})
    if terms.stop is not None:
        said.append(
            _("In a year, counted from its first day, the fee includes at most %(hours)s hours.")
            % {"hours": hours_text(int(terms.stop * HOUR))}
        )
    if terms.rate is not None:
        said.append(
            _("Work beyond it costs %(rate)s an hour, only after your approval. What you didn't approve is free.")
            % {"rate": says.money(terms.rate.decimal(), terms.rate.currency)}
        )
    if terms.work.rounding.unit > 1:
        said.append(_("Time is counted in units of %(unit)s hours.") % {"unit": hours_text(terms.work.rounding.unit)})
    term = row.term_on(today)
    if row.ends_on is not None:
        said.append(_("It ends on %(day)s.") % {"day": says.day(row.ends_on)})
    elif term is not None:
        dates = {"end": says.day(term.end), "by": says.day(term.notice_by)}
        if terms.renewal.renews is Renews.ENDS:
            said.append(_("It ends on %(end)s by itself.") % dates)
        else:
            said.append(_("Its term runs until %(end)s; to end it then, give notice by %(by)s.") % dates)
    return said


def _promises(row: ContractRow) -> list[tuple[str, str]]:
    """What is promised in response: words, and within which time."""
    if row.responses is None:
        return []
    terms = row.responses.terms
    week = [
        f"{day} {', '.join(map(str, hours_))}"
        for day, hours_ in zip(WEEKDAYS, terms.calendar.week, strict=True)
        if hours_
    ]
    found = [
        (wording.promise(promise) + (f" ({priority})" if priority else ""), str(target))
        for (promise, priority), target in terms.targets.items()
    ]
    return [*found, (_("hours that count"), f"{'; '.join(week)} ({terms.calendar.zone})")]
