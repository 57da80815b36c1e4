"""Contracts and promises of response: what is at risk now, what broke, whom a contract is unfair to; one's timer."""

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from coulance.catalog import queries as catalogs
from coulance.console.access import operators_only, who
from coulance.console.acts import Done, UnableToActError, amount_of, day_of, new_token, once_or_back, reason_of
from coulance.console.tables import Act, Cell, Field, Row, Table
from coulance.console.views.contract import TAGS, page_of
from coulance.contracts import mails, provider_table, queries, tickets, working
from coulance.contracts.errors import ContractsError
from coulance.contracts.queries import hours_text
from coulance.customers import queries as customers
from coulance.customers.queries import UnableToFindAccountError
from coulance.flows.contracts import changing, fairness, ticketing, wording
from coulance.flows.contracts.fairness import Judged
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.sla.clocks import Clock, State
from coulance_core.sla.intervals import instant


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
            [_contract_row(one, names) for one in p.contracts],
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
            [Row([Cell(c.key, href=page_of(c.key)), Cell(names[c.account].name), Cell(c.starts_on)]) for c in waiting],
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
            "figures": [(_("Your timer"), _timer(mine))] if mine else [],
            "tables": tables,
            "new": _new() if may(request.user, Permission.BILLING) else None,
            "token": new_token(),
        },
    )


def _timer(mine: queries.TimerRow) -> str:
    (row,) = queries.contracts(ids=[mine.contract])
    return _("runs on %(contract)s since %(at)s") % {"contract": row.key, "at": f"{mine.began_at:%H:%M} UTC"}


def _new() -> Act | None:
    """The form for another contract; None while no terms are written down."""
    names = provider_table.names(catalogs.table("contracts"))
    if not names:
        return None
    return Act(
        _("Agree a contract"), "", "/contract-agree", [],
        [
            Field("key", _("Its name, used once")), Field("account", _("The customer's number")),
            Field("terms", _("Terms"), choices=[(one, one) for one in names]), Field("on", _("First day")),
            Field("price", _("Price, if another than the terms'"), required=False),
            Field("seats", _("Seats"), required=False), Field("reason", _("Why")),
        ],
        [("agree", _("Agree it"))],
    )  # fmt: skip


@operators_only(Permission.BILLING, fresh=True)
@require_POST
def contract_agree(request: HttpRequest) -> HttpResponse:
    """Agree a contract with a customer."""
    return once_or_back(request, lambda: _agreed(request), "/contracts")


def _agreed(request: HttpRequest) -> Done:
    typed = {name: request.POST.get(name, "").strip()[:200] for name in ("key", "account", "terms", "on", "seats")}
    at, price = clock.now(), request.POST.get("price", "").strip()
    if not typed["on"]:
        raise UnableToActError(_("Say from which day."))
    if typed["seats"] and not (typed["seats"].isdigit() and len(typed["seats"]) <= 6):
        raise UnableToActError(_("Say how many seats."))
    try:
        owner = customers.account(typed["account"])
        made = changing.agree(
            key=typed["key"], account=typed["account"], terms=typed["terms"],
            starts_on=day_of(typed["on"], default=at.date()), price=amount_of(price, owner.currency) if price else None,
            seats=int(typed["seats"] or 1), actor=who(request), at=at, reason=reason_of(request),
        )  # fmt: skip
    except (ContractsError, UnableToFindAccountError) as error:
        raise UnableToActError(str(error)) from error
    return Done(
        page_of(made.key), _("%(contract)s is agreed on %(terms)s.") % {"contract": made.key, "terms": made.version}
    )


def _portfolio(p: fairness.Portfolio) -> str:
    said = {"amount": p.recurring, "share": round(float(p.share) * 100)}
    words = _("%(amount)s recur in a year, %(share)s %% of all.") % said
    worth = {"worth": p.worth.amount, "goes_on": round(float(p.worth.goes_on) * 100)}
    words += " " + _("On the low side that is worth %(worth)s: its margin, %(goes_on)s %% going on a year.") % worth
    if p.year is not None:
        bad = {"bad": f"{p.year.bad * 100:.0f}", "low": f"{p.year.at(0.05):.2f}", "mean": f"{p.year.mean:.2f}"}
        words += (
            " " + _("Expected profit %(mean)s; %(low)s in the bad year of twenty; a loss in %(bad)s %% of years.") % bad
        )
    return words


def _contract_row(one: Judged, names: dict[int, customers.AccountRow]) -> Row:
    row, fair = one.contract, one.fairness
    owner = names[row.account]
    return Row(
        [
            Cell(row.key, href=page_of(row.key), small=row.version),
            Cell(owner.name, href=f"/accounts/{quote(owner.external_id, safe='')}"),
            Cell(hours_text(one.left) if one.left is not None else "", num=True),
            Cell(wording.verdict(fair.verdict), tag=TAGS[fair.verdict] or "plain"),
            Cell(f"{float(fair.expected_provider):+.2f}", num=True),
            Cell(f"{float(fair.expected_customer):+.2f}", num=True),
            Cell(one.price, small=_("advised: %(price)s") % {"price": one.advice.price}, num=True),
        ]
    )


def _credited() -> Table:
    """What missed responses cost us, by contract and period, and the tickets that caused it."""
    found = queries.credits_of(most=100)
    keys = {c.id: c.key for c in queries.contracts(ids={one.contract for one in found})}
    rows = [
        Row(
            [
                Cell(keys[one.contract], href=page_of(keys[one.contract])),
                Cell(one.period_start, small=_("until %(day)s") % {"day": one.period_end}),
                Cell(one.amount, num=True),
                Cell(", ".join(one.missed[:10])),
                Cell(one.credit_note or _("waits")),
            ]
        )
        for one in found
    ]
    columns = [_("Contract"), _("Period"), _("Amount"), _("Tickets that caused it"), _("Document")]
    return Table(_("Credited for missed responses"), columns, rows, _("None."))


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
                Cell(one.ticket.number, href=f"/tickets/{one.ticket.id}", small=one.ticket.subject),
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
            "figures": [
                (_("Run"), len(running)),
                (_("Late"), sum(r.clock.state is State.LATE for r in running)),
                (_("Mail that waits for you"), mails.held_count()),
            ],
            "tables": [
                Table(_("At risk now"), columns, [row(r.standing, r.clock) for r in running], _("No promise runs.")),
                Table(_("Broken"), columns, [row(one, c) for one, c in broken[:100]], _("None.")),
                _credited(),
            ],
            "token": new_token(),
        },
    )
