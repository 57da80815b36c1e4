"""Contracts and promises of response: what is at risk now, what broke, whom a contract is unfair to; one's timer."""

from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, new_token, once_or_back
from coulance.console.tables import Act, Cell, Field, Row, Table
from coulance.contracts import queries, tickets, working
from coulance.contracts.errors import ContractsError, UnableToFindContractError
from coulance.contracts.hours import hours
from coulance.contracts.queries import ContractRow, hours_text
from coulance.customers import queries as customers
from coulance.flows.contracts import asking, fairness, ticketing, wording
from coulance.flows.contracts.fairness import Judged
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.contracts.fairness import Verdict
from coulance_core.contracts.terms import Work
from coulance_core.sla.clocks import Clock, State
from coulance_core.sla.intervals import instant

_TAGS = {
    Verdict.FAIR: "good",
    Verdict.COSTS_PROVIDER: "warn",
    Verdict.COSTS_CUSTOMER: "warn",
    Verdict.TOO_EARLY: "plain",
}


@operators_only(Permission.SEE)
@require_GET
def contract_list(request: HttpRequest) -> HttpResponse:
    """Contracts by what we expect to lose on them, with the hours left and one's own timer."""
    at = clock.now()
    portfolios = fairness.judge_all(at=at, years=500)
    begun = {one.contract.key for p in portfolios for one in p.contracts}
    names = {one.id: one for one in customers.accounts()}
    columns = [
        _("Contract"),
        _("Customer"),
        _("Hours left"),
        _("Verdict"),
        _("We, a year"),
        _("They, a year"),
        _("Price"),
    ]
    tables = [
        Table(
            _("Contracts in %(currency)s") % {"currency": p.currency},
            columns,
            [_contract_row(request, one, names) for one in p.contracts],
            _("None yet."),
            intro=_portfolio(p),
        )
        for p in portfolios
    ]
    waiting = [c for c in queries.contracts() if c.key not in begun]
    tables.append(
        Table(
            _("Not begun yet"),
            [_("Contract"), _("Customer"), _("From")],
            [Row([Cell(c.key), Cell(names[c.account].name), Cell(c.starts_on)]) for c in waiting],
            _("None."),
        )
    )
    mine = working.timer_of(who(request))
    return render(
        request,
        "console/table.html",
        {
            "here": "contracts",
            "title": _("Service contracts"),
            "intro": _(
                "A quiet year isn't unfair: standing by and the bad year have a price. One quarter tips nothing."
            ),
            "figures": [(_("Your timer"), _("runs since %(at)s") % {"at": f"{mine.began_at:%H:%M} UTC"})]
            if mine
            else [],
            "tables": tables,
            "token": new_token(),
        },
    )


def _portfolio(p: fairness.Portfolio) -> str:
    said = {"amount": p.recurring, "share": round(float(p.share) * 100)}
    words = _("%(amount)s recur in a year, %(share)s %% of all.") % said
    if p.year is not None:
        bad = {"bad": f"{p.year.bad * 100:.0f}", "low": f"{p.year.at(0.05):.2f}", "mean": f"{p.year.mean:.2f}"}
        words += (
            " " + _("Expected profit %(mean)s; %(low)s in the bad year of twenty; a loss in %(bad)s %% of years.") % bad
        )
    return words


def _contract_row(request: HttpRequest, one: Judged, names: dict[int, customers.AccountRow]) -> Row:
    row, fair = one.contract, one.fairness
    left = hours(row, queries.facts([row.id])[row.id], clock.now()).left
    owner = names[row.account]
    return Row(
        [
            Cell(row.key, href=f"/contracts/{quote(row.key, safe='')}", small=row.version),
            Cell(owner.name, href=f"/accounts/{quote(owner.external_id, safe='')}"),
            Cell(hours_text(left) if left is not None else "", num=True),
            Cell(wording.verdict(fair.verdict), tag=_TAGS[fair.verdict]),
            Cell(f"{float(fair.expected_provider):+.2f}", num=True),
            Cell(f"{float(fair.expected_customer):+.2f}", num=True),
            Cell(one.price, small=_("advised: %(price)s") % {"price": one.advice.price}, num=True),
        ],
        _acts(request, row),
    )


def _acts(request: HttpRequest, row: ContractRow) -> list[Act]:
    """The timer, and asking for leave."""
    if not may(request.user, Permission.SUPPORT):
        return []
    hidden = [("contract", row.key)]
    works = [(w.value, wording.work(w)) for w in Work]
    runs = working.timer_of(who(request))
    timer = (
        Act(_("Stop the timer"), row.key, "/contracts/act", hidden, [], [("stop", _("Stop and write down"))])
        if runs is not None and runs.contract == row.id
        else Act(
            _("Start the timer"), row.key, "/contracts/act", hidden,
            [Field("text", _("What you do")), Field("work", _("Class of work"), choices=works)],
            [("start", _("Start"))],
        )
    )  # fmt: skip
    ask = Act(
        _("Ask for leave"), row.key, "/contracts/act", hidden,
        [Field("text", _("What work it is")), Field("minutes", _("Minutes, at most"))],
        [("ask", _("Ask the customer"))],
    )  # fmt: skip
    return [timer, ask]


@operators_only(Permission.SUPPORT)
@require_POST
def contract_act(request: HttpRequest) -> HttpResponse:
    """Start or stop one's timer, or ask a customer for leave."""
    return once_or_back(request, lambda: _acted(request), "/contracts")


def _acted(request: HttpRequest) -> Done:
    at, me, text = clock.now(), who(request), request.POST.get("text", "").strip()
    try:
        match request.POST.get("do", ""):
            case "start":
                row = queries.contract(request.POST.get("contract", ""))
                work = Work(request.POST.get("work", Work.CORRECTIVE.value))
                working.start_timer(contract=row.id, who=me, work=work, text=text, at=at)
                said = _("Your timer runs on %(contract)s.") % {"contract": row.key}
            case "stop":
                done = working.stop_timer(who=me, actor=me, at=at)
                said = _("%(time)s are written down.") % {"time": hours_text(done.seconds)}
            case "ask":
                minutes = request.POST.get("minutes", "").strip()
                if not minutes.isdigit():
                    raise UnableToActError(_("Say how many minutes it may take."))
                key = request.POST.get("contract", "")
                asked = asking.ask(key=key, seconds=int(minutes) * 60, text=text, actor=me, at=at)
                said = _("%(told)s are asked. Begin when they approve it.") % {"told": asked.told}
            case _other:
                raise UnableToActError(_("Choose one of the buttons."))
    except (ContractsError, ValueError) as error:
        raise UnableToActError(str(error)) from error
    return Done("/contracts", said)


@operators_only(Permission.SEE)
@require_GET
def contract_detail(request: HttpRequest, key: str) -> HttpResponse:
    """A contract: every minute and what paid for it, leave, charges and credits."""
    try:
        row = queries.contract(key)
    except UnableToFindContractError as fault:
        raise Http404 from fault
    at = clock.now()
    facts = queries.facts([row.id])[row.id]
    found = hours(row, facts, at)
    work = [
        Row(
            [
                Cell(f"{one.entry.began_at:%Y-%m-%d %H:%M}", small=one.who),
                Cell(one.text or wording.work(one.entry.work), small=wording.work(one.entry.work)),
                Cell(hours_text(sum(d.seconds for d in found.of(one.entry.key))), num=True),
                Cell("; ".join(f"{hours_text(d.seconds)} {wording.paid_by(d.by)}" for d in found.of(one.entry.key))),
            ]
        )
        for one in reversed(facts.work)
    ]
    leave = [
        Row(
            [
                Cell(one.key, small=one.text),
                Cell(hours_text(one.seconds), num=True),
                Cell(one.rate, num=True),
                Cell({None: _("waits"), True: _("approved"), False: _("refused")}[one.approved]),
            ]
        )
        for one in reversed(facts.leave)
    ]
    money = [
        Row([Cell(one.starts_on), Cell(one.kind), Cell(one.amount, num=True), Cell(one.invoice or _("waits"))])
        for one in reversed(queries.charges([row.id]))
    ] + [
        Row([Cell(one.period_start), Cell(_("missed responses")), Cell(-one.amount, num=True),
             Cell(one.credit_note or _("waits"), small=", ".join(one.missed))])
        for one in queries.credits_of([row.id])
    ]  # fmt: skip
    return render(
        request,
        "console/table.html",
        {
            "here": "contracts",
            "title": f"{row.terms.title} ({row.key})",
            "intro": _("%(kind)s, %(version)s, since %(day)s")
            % {"kind": wording.kind(row.kind), "version": row.version, "day": row.starts_on},
            "tables": [
                Table(_("Work"), [_("When"), _("What"), _("Counted"), _("Paid by")], work, _("None yet.")),
                Table(_("Leave"), [_("Leave"), _("Time"), _("An hour"), _("State")], leave, _("None yet.")),
                Table(_("Money"), [_("Day"), _("What"), _("Amount"), _("Document")], money, _("None yet.")),
            ],
            "token": new_token(),
        },
    )


@operators_only(Permission.SEE)
@require_GET
def promise_board(request: HttpRequest) -> HttpResponse:
    """Promises of response at risk now, and those that broke."""
    at = clock.now()
    names = {one.id: one for one in customers.accounts()}
    running = ticketing.at_risk(at=at)
    broken = [(one, c) for one in tickets.standing(tickets.tickets(most=500), at) for c in one.breached]
    columns = [_("Ticket"), _("Customer"), _("Promise"), _("Due"), _("State")]

    def row(one: tickets.Standing, found: Clock) -> Row:
        owner = names[one.ticket.account]
        return Row(
            [
                Cell(one.ticket.number, small=one.ticket.subject),
                Cell(owner.name, href=f"/accounts/{quote(owner.external_id, safe='')}"),
                Cell(wording.promise(found.promise), small=found.priority),
                Cell(f"{instant(found.due):%Y-%m-%d %H:%M}"),
                Cell(wording.state(found.state), tag="warn" if found.breached else "plain"),
            ]
        )

    return render(
        request,
        "console/table.html",
        {
            "here": "promises",
            "title": _("Promises of response"),
            "intro": _("What is missed is credited unasked, by the contract's own terms. Times are UTC."),
            "figures": [(_("Run"), len(running)), (_("Late"), sum(r.clock.state is State.LATE for r in running))],
            "tables": [
                Table(_("At risk now"), columns, [row(r.standing, r.clock) for r in running], _("No promise runs.")),
                Table(_("Broken"), columns, [row(one, c) for one, c in broken[:100]], _("None.")),
            ],
            "token": new_token(),
        },
    )
