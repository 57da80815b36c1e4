"""Arrears at a glance: who is where, what is at risk, what is promised and planned, what is held up, and what comes."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from coulance.arrears import nights
from coulance.arrears import queries as records
from coulance.arrears.queries import PlanRow, RefusalRow, TaskRow
from coulance.console.access import operators_only
from coulance.console.acts import new_token
from coulance.console.tables import Act, Cell, Field, Row, Table
from coulance.customers import queries as customers
from coulance.flows.arrears import risk as risks
from coulance.flows.arrears import standing, wording
from coulance.flows.arrears.facts import read
from coulance.invoicing.documents.words import Words
from coulance.payments import queries as payments
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.arrears import RESUME
from coulance_core.arrears.risk import Gentler
from coulance_core.kernel import Money

MOST = 200
_EN = Words.of("en")

Names = dict[int, tuple[str, str]]


@operators_only(Permission.SEE)
@require_GET
def board(request: HttpRequest) -> HttpResponse:
    """Who is where: each case with what is owed, what was done last, and what holds it up."""
    found = records.cases(most=MOST)
    accounts = [row.account for row in found]
    names = names_of(accounts)
    last = {act.account: act for act in records.acts(cases=[row.id for row in found]) if act.undone_at is None}
    held: dict[int, RefusalRow] = {}
    for refusal in records.held_up(accounts=accounts):
        held.setdefault(refusal.account, refusal)
    owed = owed_of(accounts)
    waiting = records.approvals_wanted()
    tasks = records.tasks(most=MOST)
    rows = [
        Row([
            customer(names, row.account),
            Cell(owed.get(row.account, "–"), num=True),
            Cell(what(last[row.account].act) if row.account in last else _("nothing was done yet"),
                 small=day(last[row.account].at) if row.account in last else ""),
            Cell(why(held[row.account].code) if row.account in held else "–",
                 small=step_of(held[row.account].step) if row.account in held else ""),
            Cell(day(row.opened_at), small=row.version),
        ])
        for row in found
    ]  # fmt: skip
    table = Table(
        _("Open cases"), [_("Customer"), _("Owed"), _("Done last"), _("Held up by"), _("Since")], rows,
        _("Nobody is in arrears."),
    )  # fmt: skip
    figures = [
        (_("Open cases"), str(len(found))),
        (_("Wait for approval"), str(len(waiting))),
        (_("Plans to decide on"), str(len(records.plans(state="proposed")))),
        (_("Promises that run"), str(len(records.promises(due_from=clock.now().date())))),
        (_("Tasks"), str(len(tasks))),
    ]
    tables = [table, _tasks(request, tasks)]
    return shown(request, "arrears", _("In arrears"), tables, figures=figures)


def _tasks(request: HttpRequest, tasks: list[TaskRow]) -> Table:
    names = names_of(one.account for one in tasks)
    acts = may(request.user, Permission.SUPPORT)
    return Table(
        _("To be done by a person"),
        [_("Customer"), _("What"), _("Since"), *([_("Act")] if acts else [])],
        [
            Row(
                [customer(names, one.account), Cell(one.what, small=one.ref), Cell(day(one.since))],
                [
                    Act(_("It was done"), names[one.account][1], "/arrears/act",
                        [("number", str(one.id)), ("account", names[one.account][0])],
                        [Field("reason", _("What came of it"))], [("task", _("It was done"))])
                ] if acts else [],
            )
            for one in tasks
        ],
        _("Nothing waits for a person."),
    )  # fmt: skip


@operators_only(Permission.SEE)
@require_GET
def plans(request: HttpRequest) -> HttpResponse:
    """Plans that wait for a decision, plans and promises that run."""
    return show_plans(request)


def show_plans(request: HttpRequest, fault: str = "") -> HttpResponse:
    """The page, with what went wrong."""
    today = clock.now().date()
    asked, running = records.plans(state="proposed"), records.plans(state="agreed")
    promised = sorted(records.promises(due_from=today), key=lambda one: one.pay_by)
    names = names_of([*(one.account for one in (*asked, *running)), *(one.account for one in promised)])
    decides = may(request.user, Permission.BILLING)
    columns = [_("Customer"), _("Amount"), _("Payments"), _("Reason given"), _("Proposed")]
    tables = [
        Table(
            _("Plans to decide on"), [*columns, *([_("Act")] if decides else [])],
            [
                Row(
                    _plan(one, names),
                    [
                        Act(_("Decide"), names[one.account][1], "/arrears/decide",
                            [("number", str(one.id)), ("account", names[one.account][0]), ("back", "/arrears/plans")],
                            [Field("reason", _("Why"))],
                            [("agree-plan", _("Agree to it")), ("end-plan", _("Decline it"))])
                    ] if decides else [],
                )
                for one in asked
            ],
            _("No plan waits for a decision."),
            intro=_("A reason is one of three words that the customer chose, and never counts against them."),
        ),
        Table(_("Plans that run"), columns, [Row(_plan(one, names)) for one in running[:MOST]], _("No plan runs.")),
        Table(
            _("Promises that run"), [_("Customer"), _("To be paid by"), _("Promised"), _("By")],
            [
                Row([customer(names, one.account), Cell(day_of(one.pay_by)), Cell(day(one.made_at)), Cell(one.by)])
                for one in promised[:MOST]
            ],
            _("No promise runs."),
        ),
    ]  # fmt: skip
    return shown(request, "arrears-plans", _("Plans and promises"), tables, fault=fault)


def _plan(one: PlanRow, names: Names) -> list[Cell]:
    first, last = one.instalments[0], one.instalments[-1]
    return [
        customer(names, one.account),
        Cell(money(one.total), num=True),
        Cell(len(one.instalments), small=f"{day_of(first.due_on)} – {day_of(last.due_on)}"),
        Cell(reason_said(one.reason)),
        Cell(day(one.proposed_at), small=one.proposed_by),
    ]


def reason_said(reason: str) -> str:
    """A customer's reason in words; what an operator wrote, as it is."""
    known = {
        "": _("not said"),
        "later": _("money comes in later"),
        "less": _("less to spend for now"),
        "unexpected": _("far more than usual"),
    }
    return known.get(reason, reason)


@operators_only(Permission.SEE)
@require_GET
def held(request: HttpRequest) -> HttpResponse:
    """Steps whose time has come and that may not be taken, and by what."""
    everything = records.held_up(most=100_000)
    found = everything[:MOST]
    names = names_of(one.account for one in found)
    open_of = {
        item.ref: item.open
        for items in payments.open_items(accounts={one.account for one in found}).values() for item in items
    }  # fmt: skip
    by: dict[str, int] = {}
    for one in everything:
        by[one.code] = by.get(one.code, 0) + 1
    table = Table(
        _("Held up"), [_("Customer"), _("Step"), _("About"), _("By what"), _("Since")],
        [
            Row([
                customer(names, one.account), Cell(what(one.act), small=one.service or step_of(one.step)),
                Cell(_sum(open_of[ref] for ref in one.debts if ref in open_of), num=True),
                Cell(why(one.code), small=one.message), Cell(day(one.since)),
            ])
            for one in found
        ],
        _("Nothing is held up."),
    )  # fmt: skip
    figures = [(why(code), str(count)) for code, count in sorted(by.items(), key=lambda item: -item[1])[:5]]
    intro = _("Each of these protects a customer. What is missing can be mended, never passed over.")
    if len(everything) > MOST:
        intro += " " + _("The first %(most)s of %(count)s.") % {"most": MOST, "count": len(everything)}
    return shown(request, "arrears-held", _("Held up, and by what"), [table], figures=figures, intro=intro)


def _sum(amounts: Iterable[Money]) -> str:
    sums: dict[str, int] = {}
    for amount in amounts:
        sums[amount.currency] = sums.get(amount.currency, 0) + amount.minor
    return ", ".join(money(Money(minor, code)) for code, minor in sorted(sums.items()))


@operators_only(Permission.SEE)
@require_GET
def calendar(request: HttpRequest) -> HttpResponse:
    """What happens to whom and when, if nobody pays, speaks or objects."""
    days = request.GET.get("days", "30")
    ahead = min(max(int(days), 1), 90) if days.isdigit() else 30
    at, language = clock.now(), translation.get_language() or "en"
    # Who has a case, and who gets their first step in these days: by their own next instant.
    accounts = list(dict.fromkeys([*records.accounts_in_arrears(), *nights.waking(until=at + timedelta(days=ahead))]))
    several = accounts[:MOST]
    found = []
    for account, one in (read(several, at=at) if several else {}).items():
        found += [(item, account) for item in standing.coming(one, at, days=ahead, language=language)]
    found.sort(key=lambda pair: (pair[0].on, pair[1]))
    names = names_of(account for _item, account in found)
    rows = [
        Row([
            Cell(day_of(item.on)), customer(names, account), Cell(item.words, small=item.service or step_of(item.step)),
            Cell(money(item.amount) if item.amount is not None else "", num=True),
            Cell(item.waits_words, tag="plain") if item.waits_for else Cell(""),
        ])
        for item, account in found
    ]  # fmt: skip
    table = Table(
        _("What comes"), [_("Day"), _("Customer"), _("What"), _("Amount"), _("Waits for")], rows,
        _("Nothing comes in these days."),
    )  # fmt: skip
    intro = _("If nobody pays, speaks or objects, every notice arrives and every backup succeeds. Nobody approves.")
    if len(accounts) > MOST:
        said = {"most": MOST, "count": len(accounts)}
        intro += " " + _("The first %(most)s of %(count)s customers; coulance arrears preview has all.") % said
    return shown(request, "arrears-calendar", _("The next %(days)s days") % {"days": ahead}, [table], intro=intro)


@operators_only(Permission.SEE)
@require_GET
def risk(request: HttpRequest) -> HttpResponse:
    """Money at risk, who will probably be late and what is gentler, bills that reached nobody."""
    at = clock.now()
    found = risks.risk(at=at)
    percent = f"{float(found.everybody):.0%}"
    figures = []
    for one in found.money:
        figures += [
            (_("Open"), money(one.open)), (_("Late"), money(one.late)), (_("May never come"), money(one.expected.loss)),
            (_("Nobody received"), money(one.not_received)),
            (_("Days of sales open"), "–" if one.days_outstanding is None else str(one.days_outstanding)),
        ]  # fmt: skip
    picks = {
        Gentler.REMIND_EARLIER: _("remind before the due day"),
        Gentler.INVITE_AUTO_PAY: _("invite to pay by itself"),
        Gentler.OTHER_DAY: _("ask whether another day suits"),
        Gentler.OFFER_PLAN: _("name the plan first"),
    }
    names = (_("not due"), _("to 30 days late"), _("31 to 60"), _("61 to 90"), _("more"))
    tables = [
        Table(
            _("What is open, by age"), [_("Currency"), *names, _("May never come"), _("Days of sales open")],
            [
                Row([
                    Cell(one.open.currency), *(Cell(money(part), num=True) for part in one.expected.by_age),
                    Cell(money(one.expected.loss), num=True),
                    Cell("–" if one.days_outstanding is None else one.days_outstanding, num=True),
                ])
                for one in found.money
            ],
            _("Nothing is open."),
            intro=_("By the day each bill is due, as it was received: one that nobody received isn't late."),
        ),
        Table(
            _("Will probably pay late"), [_("Customer"), _("Chance"), _("Open"), _("What is gentler")],
            [
                Row([
                    _linked(one.account.external_id, one.account.name),
                    Cell(f"{float(one.chance):.0%}", num=True, small=_("of %(n)s bills") % {"n": one.bills}),
                    Cell(money(one.open), num=True),
                    Cell(", ".join(picks[pick] for pick in one.gentler),
                         small=_("%(days)s days before") % {"days": one.remind_days} if one.remind_days else ""),
                ])
                for one in found.likely[:MOST]
            ],
            _("Nobody who owes now."),
            intro=_("From payments alone. It picks only what is gentler: no step, fee or restriction reads it."
                    " Of everybody's bills, %(percent)s are paid late.") % {"percent": percent},
        ),
        Table(
            _("Bills that nobody is known to have received"), [_("Customer"), _("Bill"), _("Amount"), _("Printed day")],
            [
                Row([_linked(one.account.external_id, one.account.name), Cell(one.number),
                     Cell(money(one.open), num=True), Cell(day_of(one.printed_due))])
                for one in found.unreceived[:MOST]
            ],
            _("Every open bill is known to have arrived."),
            intro=_("A bill that nobody received isn't due. After some days an alarm and a task ask to reach them"
                    " another way."),
        ),
        Table(
            _("Our own errors"), [_("Customer"), _("What was wrong"), _("Since")],
            [
                Row([_linked(one.account.external_id, one.account.name), Cell(one.why), Cell(day(one.since))])
                for one in found.our_errors
            ],
            _("None."),
            intro=_("All steps rest; what was restricted was lifted, with an apology, and counts as downtime."),
        ),
    ]  # fmt: skip
    intro = (
        _("As of %(at)s UTC, when it was worked out last.") % {"at": f"{found.at:%Y-%m-%d %H:%M}"}
        if found.at is not None
        else _("Nothing was worked out yet: it is, every night at six.")
    )
    return shown(request, "arrears-risk", _("Money at risk"), tables, figures=figures, intro=intro)


def shown(request: HttpRequest, here: str, title: str, tables: list[Table], **more: Any) -> HttpResponse:
    """A page of tables."""
    values = {"here": here, "title": title, "tables": tables, "token": new_token()} | more
    return render(request, "console/table.html", values, status=422 if more.get("fault") else 200)


def names_of(accounts: Iterable[int]) -> Names:
    """External id and name of these accounts."""
    wanted = set(accounts)
    return {row.id: (row.external_id, row.name) for row in customers.accounts(wanted)} if wanted else {}


def customer(names: Names, account: int) -> Cell:
    """A customer, with the way to their case."""
    return _linked(*names.get(account, ("?", "?")))


def _linked(ref: str, name: str) -> Cell:
    return Cell(name, href=case_page(ref), small=ref)


def case_page(ref: str) -> str:
    """The address of an account's case."""
    return f"/arrears/cases/{quote(ref, safe='')}"


def owed_of(accounts: Iterable[int]) -> dict[int, str]:
    """What is open of these accounts, in words."""
    out: dict[int, str] = {}
    for account, items in payments.open_items(accounts=accounts).items():
        sums: dict[str, int] = {}
        for item in items:
            if item.open.minor > 0:
                sums[item.open.currency] = sums.get(item.open.currency, 0) + item.open.minor
        out[account] = ", ".join(money(Money(minor, code)) for code, minor in sorted(sums.items()))
    return out


def money(amount: Money) -> str:
    """An amount in words."""
    return _EN.money(amount.decimal(), amount.currency)


def day(at: Any) -> str:
    """The day of an instant."""
    return day_of(at.date())


def day_of(on: Any) -> str:
    """A day."""
    return f"{on:%Y-%m-%d}"


def what(act: Any) -> str:
    """An act in words, in the operator's language."""
    return wording.what(act, language=translation.get_language() or "en")


def why(code: str) -> str:
    """What holds a step up, in the operator's language."""
    return wording.why_held(code, language=translation.get_language() or "en")


def step_of(step: str) -> str:
    """A step's key, as the policy names it."""
    return _("steps go on") if step == RESUME else step
