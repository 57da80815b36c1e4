"""One ticket with its history, mail and clocks; and mail to the desk that waits for a person."""

from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, new_token, once_or_back, reason_of
from coulance.console.tables import Act, Cell, Field, Row, Table
from coulance.contracts import mails, ticketing, tickets
from coulance.contracts.errors import ContractsError, UnableToFindTicketError
from coulance.contracts.mails import MailRow
from coulance.contracts.ticketing import NewEvent
from coulance.contracts.tickets import TicketRow
from coulance.customers import queries as customers
from coulance.customers.queries import UnableToFindAccountError
from coulance.flows.contracts import mailing, wording
from coulance.flows.contracts.ticketing import Incoming, receive
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.sla.clocks import EventKind
from coulance_core.sla.intervals import instant

SOURCES = ("opened", "wrote", "answered", "refused")


def _events() -> dict[EventKind, str]:
    return {
        EventKind.OPENED: _("opened"),
        EventKind.PRIORITY: _("given a priority"),
        EventKind.ANSWERED: _("we answered"),
        EventKind.CUSTOMER_WROTE: _("the customer wrote"),
        EventKind.WAITS: _("waits for the customer"),
        EventKind.RESUMES: _("waits no more"),
        EventKind.SOLVED: _("solved"),
        EventKind.REOPENED: _("opened again"),
        EventKind.VOID: _("never was a request"),
    }


def _state(row: MailRow) -> str:
    return {
        "opened": _("opened the ticket"), "answered": _("our answer"), "wrote": _("the customer's word"),
        "noted": _("changes nothing"), "held": _("waits"), "refused": _("refused"),
    }[row.state]  # fmt: skip


@operators_only(Permission.SEE)
@require_GET
def ticket_detail(request: HttpRequest, ticket: int) -> HttpResponse:
    """A ticket: what was promised and how that stands, what happened, its mail, what the customer said of it."""
    try:
        row = tickets.ticket(ticket)
    except UnableToFindTicketError as fault:
        raise Http404(str(fault)) from fault
    at = clock.now()
    (one,) = tickets.standing([row], at)
    (owner,) = customers.accounts([row.account])
    known = _events()
    clocks = [
        Row(
            [
                Cell(wording.promise(c.promise), small=c.priority),
                Cell(f"{instant(c.due):%Y-%m-%d %H:%M}"),
                Cell(wording.state(c.state), tag="warn" if c.breached else "plain"),
                Cell(c.explanation.render()),
            ]
        )
        for c in one.clocks
    ]
    history = [
        Row([Cell(f"{instant(e.at):%Y-%m-%d %H:%M}"), Cell(known[e.kind]), Cell(e.priority)]) for e in row.events
    ]
    letters = [
        Row(
            [
                Cell(f"{m.arrived_at:%Y-%m-%d %H:%M}", small=m.arrived_by),
                Cell(m.sender, small=_state(m)),
                Cell(m.words if m.words is not None else _("Its words are no longer kept.")),
            ]
        )
        for m in mails.of_tickets([row.id])
    ]
    said = [Row([Cell(f"{o.at:%Y-%m-%d}", small=o.contact), Cell(o.score, num=True), Cell(o.text)])
            for o in tickets.opinions([row.id])]  # fmt: skip
    contract = one.contract
    return render(
        request,
        "console/table.html",
        {
            "here": "promises",
            "title": f"{row.number}: {row.subject}",
            "intro": _("%(customer)s, by %(source)s. Times are UTC.") % {"customer": owner.name, "source": row.source},
            "figures": [
                (_("Customer"), owner.external_id),
                (_("Contract"), contract.key if contract is not None else "-"),
                (_("State"), _("open") if row.is_open else _("closed")),
            ],
            "tables": [
                Table(
                    _("Promises"),
                    [_("Promise"), _("Due"), _("State"), _("Why")],
                    clocks,
                    _("Nothing is promised on it."),
                ),
                Table(_("What happened"), [_("When"), _("What"), _("Priority")], history, _("None yet.")),
                Table(_("Mail"), [_("Came"), _("From"), _("Words")], letters, _("None.")),
                Table(_("What they said of it"), [_("When"), _("Of 5"), _("In words")], said, _("None yet.")),
            ],
            "new": _tell(row) if may(request.user, Permission.SUPPORT) else None,
            "token": new_token(),
        },
    )


def _tell(row: TicketRow) -> Act:
    known = _events()
    kinds = [k for k in EventKind if k not in (EventKind.OPENED, EventKind.PRIORITY)]
    return Act(
        _("Tell what happened"), row.number, f"/tickets/{row.id}/act", [],
        [Field("event", _("What happened now"), choices=[(k.value, known[k]) for k in kinds])],
        [("tell", _("Write it down"))],
    )  # fmt: skip


@operators_only(Permission.SUPPORT)
@require_POST
def ticket_act(request: HttpRequest, ticket: int) -> HttpResponse:
    """Something happened to a ticket, now."""
    return once_or_back(request, lambda: _told(request, ticket), f"/tickets/{ticket}")


def _told(request: HttpRequest, ticket: int) -> Done:
    at = clock.now()
    try:
        row = tickets.ticket(ticket)
        kind = EventKind(request.POST.get("event", ""))
        if kind in (EventKind.OPENED, EventKind.PRIORITY):
            raise UnableToActError(_("Choose one of the list."))
        event = NewEvent(f"console/{kind.value}/{at.isoformat()}", at, kind)
        receive(Incoming(row.source, row.number, events=[event]), actor=who(request), at=at)
    except (ContractsError, ValueError) as error:
        raise UnableToActError(str(error)) from error
    return Done(f"/tickets/{ticket}", _("It is written down: %(what)s.") % {"what": _events()[kind]})


@operators_only(Permission.SEE)
@require_GET
def held_mail(request: HttpRequest) -> HttpResponse:
    """Mail that can't be judged: from whom, why it waits, what it says; and what a person can make of it."""
    rows = mails.held(most=100)
    writes = may(request.user, Permission.SUPPORT)
    columns = [_("Came"), _("From"), _("Why it waits"), _("Words")]
    table = Table(
        _("Waits for you"),
        [*columns, _("Acts")] if writes and rows else columns,
        [_held(one, writes) for one in rows],
        _("No mail waits."),
        intro=_("No clock runs on it yet. Once you say what it is, its clock begins when it came."),
    )
    return render(
        request,
        "console/table.html",
        {
            "here": "tickets-held",
            "title": _("Mail that waits"),
            "intro": _("A mail is a stranger's word: it counts where its sender is a contact of the customer."),
            "tables": [table],
            "token": new_token(),
        },
    )


def _held(one: MailRow, writes: bool) -> Row:
    files = ", ".join(f"{f['name'] or f['kind']} ({f['size']})" for f in one.attached[:5])
    cells = [
        Cell(f"{one.arrived_at:%Y-%m-%d %H:%M}", small=one.arrived_by),
        Cell(one.sender or "-", small=one.subject),
        Cell(one.why),
        Cell((one.words or "")[:600], small=_("attached, not kept: %(files)s") % {"files": files} if files else ""),
    ]
    hidden = [("mail", str(one.id))]
    reason = Field("reason", _("Why"))
    return Row(
        cells,
        [
            Act(
                _("A new ticket"), str(one.id), "/tickets/held/act", hidden,
                [Field("account", _("The customer's number"), required=False),
                 Field("contract", _("or the contract"), required=False), reason],
                [("opened", _("Open a ticket"))],
            ),
            Act(
                _("Of a ticket"), str(one.id), "/tickets/held/act", hidden,
                [Field("ticket", _("The ticket, as mail/17")), reason],
                [("wrote", _("The customer's word")), ("answered", _("Our answer"))],
            ),
            Act(_("Nothing"), str(one.id), "/tickets/held/act", hidden, [reason], [("refused", _("Refuse it"))]),
        ] if writes else [],
    )  # fmt: skip


@operators_only(Permission.SUPPORT)
@require_POST
def held_act(request: HttpRequest) -> HttpResponse:
    """Say what becomes of a mail that waits."""
    return once_or_back(request, lambda: _settled(request), "/tickets/held")


def _settled(request: HttpRequest) -> Done:
    typed = {name: request.POST.get(name, "").strip()[:150] for name in ("mail", "account", "contract", "ticket", "do")}
    source, _slash, number = typed["ticket"].partition("/")
    if not typed["mail"].isdigit() or typed["do"] not in SOURCES:
        raise UnableToActError(_("Choose one of the buttons."))
    try:
        ticket = ticketing.ticket_id(source=source, number=number) if typed["ticket"] else None
        done = mailing.settle(
            mail=int(typed["mail"]), as_=typed["do"], reason=reason_of(request), account=typed["account"],
            contract=typed["contract"], ticket=ticket, actor=who(request), at=clock.now(),
        )  # fmt: skip
    except (ContractsError, UnableToFindAccountError) as error:
        raise UnableToActError(str(error)) from error
    address = f"/tickets/{done.ticket}" if done.ticket is not None else "/tickets/held"
    return Done(quote(address), _state(done))
