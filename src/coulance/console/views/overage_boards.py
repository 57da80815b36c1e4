"""Overage at a glance: who nears a limit, who was not reached, what waits, what was agreed, paused and given."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from coulance.catalog.queries import UnableToFindCatalogError
from coulance.console.access import operators_only
from coulance.console.acts import new_token
from coulance.console.tables import Act, Cell, Field, Row, Table
from coulance.customers import queries as customers
from coulance.enforcement import queries as register
from coulance.flows import overage_by_hand
from coulance.invoicing import holding
from coulance.invoicing.documents.words import Words
from coulance.overage import queries as overage
from coulance.overage import ways_out
from coulance.overage.queries import ConsentRow, StandingRow
from coulance.platform import clock
from coulance.platform.roles import Permission, may
from coulance_core.enforcement.restrictions import Source
from coulance_core.kernel import Money

_EN = Words.of("en")
MOST = 200


@operators_only(Permission.SEE)
@require_GET
def near(request: HttpRequest) -> HttpResponse:
    """Allowances on their way to where use must stop; those that are there first."""
    at = clock.now()
    rows = overage.near_limit(at=at, limit=MOST)
    names = _names(row.account for row in rows)
    stopped = sum(row.stopped for row in rows)
    table = Table(
        _("Allowances of the running periods"),
        [_("Allowance"), _("Customer"), _("Used"), _("Stops at"), _("There"),
         _("Cost so far"), _("State")],
        [
            Row([
                Cell(row.meter, href=_service_page(row)),
                _customer(names, row.account),
                Cell(_quantity(row.used, row.unit), num=True, small=_of(row)),
                Cell(_quantity(row.stop_at, row.unit) if row.stop_at is not None else _("nowhere"), num=True,
                     small=_why(row.stop_why)),
                Cell(f"{_EN.number(row.share * 100, 0)}\u00a0%", num=True),
                Cell(_money(row.cost), num=True),
                _state(row),
            ])
            for row in rows
        ],
        _("No allowance is near its limit."),
    )  # fmt: skip
    figures = [(_("Near or past"), str(len(rows))), (_("Stopped now"), str(stopped))]
    return _shown(request, "overage", _("Near their limits"), [table], figures=figures,
                  intro=_("As last looked at, at least once an hour. From four fifths of the way on."))  # fmt: skip


@operators_only(Permission.SEE)
@require_GET
def unreached(request: HttpRequest) -> HttpResponse:
    """Who used up an allowance and was not reached; whom to call; and how everybody else was reached."""
    return show_unreached(request)


def show_unreached(request: HttpRequest, fault: str = "") -> HttpResponse:
    """The page, with what went wrong."""
    at = clock.now()
    rows = overage.unreached(at=at, limit=MOST)
    tasks = overage.phone_tasks(limit=MOST)
    others = [row for row in overage.near_limit(at=at, limit=MOST) if row.told]
    names = _names([*(row.account for row in rows), *(one.account for one in tasks), *(row.account for row in others)])
    calls = may(request.user, Permission.SUPPORT)
    tables = [
        Table(
            _("People to call"),
            [_("Customer"), _("About"), _("Why"), _("Due"), _("Tries"),
             *([_("Act")] if calls else [])],
            [
                Row(
                    [
                        _customer(names, one.account), Cell(one.meter, small=one.period_name),
                        Cell(_("nobody could be told") if one.why == "unreached" else _("nobody answered"),
                             small=one.note),
                        Cell(_EN.day(one.due_at.date()), small=f"{one.due_at:%H:%M} UTC"),
                        Cell(one.attempts, num=True, small=_outcome(one.outcome)),
                    ],
                    [_call(one.id, names[one.account][1], one.account)] if calls else [],
                )
                for one in tasks
            ],
            _("Nobody needs to be called."),
        ),
        Table(
            _("Used up, and nobody known to be reached"),
            [_("Allowance"), _("Customer"), _("Used"), _("Cost so far"),
             _("Written to")],
            [
                Row([
                    Cell(row.meter, href=_service_page(row)), _customer(names, row.account),
                    Cell(_quantity(row.used, row.unit), num=True, small=_of(row)), Cell(_money(row.cost), num=True),
                    Cell(_("written to, not known to have arrived") if row.told else _("nobody could be written to"),
                         tag="warn"),
                ])
                for row in rows
            ],
            _("Everybody who used up an allowance is known to be reached."),
        ),
        Table(
            _("Who was reached, and how"),
            [_("Allowance"), _("Customer"), _("How")],
            [
                Row([
                    Cell(row.meter, href=_service_page(row)), _customer(names, row.account),
                    Cell(_("a person answered"), tag="good") if row.acknowledged
                    else Cell(_("delivered to a known address"), tag="good") if row.delivered
                    else Cell(_("sent"), tag="plain"),
                ])
                for row in others
            ],
            _("Nobody was warned in the running periods."),
        ),
    ]  # fmt: skip
    return _shown(request, "unreached", _("Reached and not reached"), tables, fault=fault)


def _call(task: int, name: str, account: int) -> Act:
    people = [(one.external_id, f"{one.name} {one.phone}".strip()) for one in customers.contacts([account])]
    return Act(
        _("Called"), name, "/overage/unreached/called", [("task", str(task))],
        [Field("contact", _("Who was spoken to"), choices=people),
         Field("reason", _("How they were known, or what came of it"))],
        [("reached", _("They were reached")), ("no_answer", _("No answer")), ("voicemail", _("Voicemail")),
         ("unreachable", _("Can't be reached"))],
    )  # fmt: skip


@operators_only(Permission.SEE)
@require_GET
def approvals(request: HttpRequest) -> HttpResponse:
    """Limits that are high enough to wait for a decision."""
    return show_approvals(request)


def show_approvals(request: HttpRequest, fault: str = "") -> HttpResponse:
    """The page, with what went wrong."""
    rows = overage.pending()
    names = _names(row.account for row in rows)
    decides = may(request.user, Permission.BILLING)
    table = Table(
        _("Limits that wait for a decision"),
        [_("Customer"), _("Limit"), _("For"), _("Given"), _("What they agreed to"),
         *([_("Act")] if decides else [])],
        [
            Row(
                [
                    _customer(names, row.account), Cell(_limit(row), num=True, small=row.period_name or _("standing")),
                    Cell(_scope(row)), Cell(_EN.day(row.given_at.date()), small=f"{row.contact}, {row.how}"),
                    Cell(row.text_shown, small=_history(row)),
                ],
                [
                    Act(_("Decide"), names[row.account][1], "/overage/approvals/decide", [("consent", str(row.id))],
                        [Field("reason", _("Why; the customer is told"))],
                        [("approve", _("Approve it")), ("refuse", _("Refuse it"))])
                ] if decides else [],
            )
            for row in rows
        ],
        _("Nothing waits for a decision."),
    )  # fmt: skip
    return _shown(request, "approvals", _("Approvals"), [table], fault=fault)


@operators_only(Permission.SEE)
@require_GET
def consents(request: HttpRequest) -> HttpResponse:
    """What a customer agreed to, with its history; without one, provisional limits, the first to lapse first."""
    asked = request.GET.get("account", "").strip()[:200]
    fault = ""
    rows: list[ConsentRow] = []
    heading = _("Provisional limits, until they are confirmed or lapse")
    if asked:
        try:
            rows = overage.consents(account=customers.account(asked).id)[::-1]
            heading = _("All that %(account)s agreed to, the newest first") % {"account": asked}
        except customers.UnableToFindAccountError:
            fault = _("There is no account %(account)s.") % {"account": asked}
    else:
        rows = overage.provisional()
    names = _names(row.account for row in rows)
    table = Table(
        heading,
        [_("Number"), _("Customer"), _("Limit"), _("For"), _("Given"),
         _("Text and hash"), _("State")],
        [
            Row([
                Cell(row.id), _customer(names, row.account),
                Cell(_limit(row), num=True, small=row.period_name or _("standing")), Cell(_scope(row)),
                Cell(_EN.day(row.given_at.date()), small=f"{row.contact}, {row.how}, {row.came_from}"[:120]),
                Cell(row.text_shown, small=f"{row.terms} {row.text_hash[:12]}"), _consent_state(row),
            ])
            for row in rows[:MOST]
        ],
        _("None."),
    )  # fmt: skip
    search = {"label": _("Account"), "name": "account", "value": asked}
    return _shown(request, "consents", _("Consents"), [table], fault=fault, search=search)


@operators_only(Permission.SEE)
@require_GET
def pauses(request: HttpRequest) -> HttpResponse:
    """Pauses at limits and by customers: why, since when, and how long each took from its decision."""
    at = clock.now()
    rows = [
        row
        for row in register.restrictions(open_only=False, limit=2 * MOST)
        if row.restriction.source in (Source.OVERAGE, Source.CUSTOMER)
    ]
    speed = register.speed(since=at - timedelta(days=30))
    figures = [
        (_("Paused now"), str(sum(row.restriction.lifted_at is None for row in rows))),
        (_("Acts in 30 days"), _EN.number(speed.count, 0)),
    ]
    if speed.p50_s is not None and speed.p99_s is not None:
        figures += [
            (_("Half within"), f"{speed.p50_s:.2f} s"),
            (_("99 of 100 within"), f"{speed.p99_s:.2f} s"),
        ]
    table = Table(
        _("Pauses, the newest first"),
        [_("Service"), _("By"), _("Why"), _("Since"), _("Took"), _("Until")],
        [
            Row([
                Cell(row.service_name, href=f"/services/{_quoted(row.service_name)}"),
                Cell(_("its limit") if row.restriction.source is Source.OVERAGE else _("the customer"),
                     small=_("only observed") if row.restriction.observe else ""),
                Cell(row.reason), Cell(f"{row.restriction.placed_at:%Y-%m-%d %H:%M} UTC"),
                Cell("–" if row.confirmed_at is None
                     else f"{(row.confirmed_at - row.restriction.placed_at).total_seconds():.2f}\u00a0s", num=True),
                Cell(f"{row.restriction.lifted_at:%Y-%m-%d %H:%M} UTC", small=row.lifted_by)
                if row.restriction.lifted_at else Cell(_("holds"), tag="warn"),
            ])
            for row in rows[:MOST]
        ],
        _("Nothing was paused yet."),
    )  # fmt: skip
    return _shown(request, "pauses", _("Pauses"), [table], figures=figures)


@operators_only(Permission.SEE)
@require_GET
def exposure(request: HttpRequest) -> HttpResponse:
    """What the provider stands to absorb while pauses take effect."""
    try:
        rows = overage_by_hand.exposure(at=clock.now())
    except UnableToFindCatalogError:
        rows = []
    sums: dict[str, int] = {}
    for row in rows:
        if row.bound is not None:
            sums[row.bound.currency] = sums.get(row.bound.currency, 0) + row.bound.minor
    figures = [(_("In all at most"), _money(Money(minor, code))) for code, minor in sums.items()]
    unknown = sum(row.bound is None for row in rows)
    figures.append((_("Lines of unknown rate"), str(unknown)))
    if rows:
        figures.append((_("From a sample's start to the pause"), f"{rows[0].lag_s} s"))
    table = Table(
        _("By service, the unknown first, then the largest"),
        [_("Service"), _("Charge"), _("At most")],
        [
            Row([
                Cell(row.service, href=f"/services/{_quoted(row.service)}"), Cell(row.charge),
                Cell(_money(row.bound), num=True) if row.bound is not None
                else Cell(_("unknown: the meter has no max_rate"), tag="warn"),
            ])
            for row in rows[:MOST]
        ],
        _("No service has an allowance that is watched."),
    )  # fmt: skip
    return _shown(request, "exposure", _("Exposure"), [table], figures=figures,
                  intro=_("What a line carries while a pause takes effect, at its price; "
                          "nothing past a limit is billed."))  # fmt: skip


@operators_only(Permission.SEE)
@require_GET
def goodwill(request: HttpRequest) -> HttpResponse:
    """What was given, to whom, why and by whom; the sums by giver of this month."""
    month = f"{clock.now():%Y-%m}"
    rows = ways_out.goodwill(limit=MOST)
    sums: dict[tuple[str, str], int] = {}
    for given in ways_out.goodwill(month=month):
        if given.taken_back:
            continue
        key = given.granted_by, given.amount.currency
        sums[key] = sums.get(key, 0) + given.amount.minor
    tables = [
        Table(
            _("Given this month"), [_("By"), _("Amount")],
            [
                Row([Cell(who), Cell(_money(Money(minor, code)), num=True)])
                for (who, code), minor in sorted(sums.items())
            ],
            _("Nothing yet."),
        ),
        Table(
            _("The latest"),
            [_("Credit note"), _("Amount"), _("Cause"), _("Reason"), _("By")],
            [
                Row([
                    Cell(row.credit_note, href=f"/documents/{row.document}",
                         small=_("taken back") if row.taken_back else ""),
                    Cell(_money(row.amount), num=True),
                    Cell(row.cause.replace("_", " ")), Cell(row.reason),
                    Cell(row.granted_by, small=f"{row.granted_at:%Y-%m-%d}"),
                ])
                for row in rows
            ],
            _("None yet."),
        ),
    ]  # fmt: skip
    return _shown(request, "goodwill", _("Goodwill"), tables)


@operators_only(Permission.SEE)
@require_GET
def waiting(request: HttpRequest) -> HttpResponse:
    """Overage invoices that wait for their customers, and what became of the last ones."""
    return show_waiting(request)


def show_waiting(request: HttpRequest, fault: str = "") -> HttpResponse:
    """The page, with what went wrong."""
    rows, before = holding.held(limit=MOST), holding.held(ended=True, limit=50)
    names = _names(row.account for row in [*rows, *before])
    releases = may(request.user, Permission.BILLING)
    tables = [
        Table(
            _("Waiting for their customers"),
            [_("Customer"), _("Period"), _("Amount"), _("Until"), _("Asked"),
             *([_("Act")] if releases else [])],
            [
                Row(
                    [
                        _customer(names, row.account), Cell(row.period_name), Cell(_money(row.gross), num=True),
                        Cell(f"{row.until:%Y-%m-%d %H:%M} UTC" if row.until else _("not asked yet"), small=row.why),
                        Cell(_("%(number)s by mail") % {"number": row.told}) if row.told
                        else Cell(_("nobody could be asked"), tag="warn"),
                    ],
                    [
                        Act(_("Issue it now"), names[row.account][1], "/overage/waiting/release",
                            [("document", str(row.document))], [Field("reason", _("Why it doesn't wait"))],
                            [("release", _("Issue it"))])
                    ] if releases else [],
                )
                for row in rows
            ],
            _("Nothing waits."),
            intro=_("Unnumbered until the customer chooses, or the time is over. Base invoices never wait."),
        ),
        Table(
            _("What became of the last ones"),
            [_("Customer"), _("Period"), _("Amount"), _("Way"), _("Issued")],
            [
                Row([
                    _customer(names, row.account), Cell(row.period_name), Cell(_money(row.gross), num=True),
                    Cell(row.way, small=f"{row.ended_by}: {row.reason}"[:200]),
                    Cell(", ".join(row.made) or _("nothing to pay")),
                ])
                for row in before
            ],
            _("None yet."),
        ),
    ]  # fmt: skip
    return _shown(request, "waiting", _("Settled before the bill"), tables, fault=fault)


def _shown(request: HttpRequest, here: str, title: str, tables: list[Table], **more: Any) -> HttpResponse:
    values = {"here": here, "title": title, "tables": tables, "token": new_token()} | more
    return render(request, "console/table.html", values, status=422 if more.get("fault") else 200)


def _names(accounts: Iterable[int]) -> dict[int, tuple[str, str]]:
    wanted = set(accounts)
    return {row.id: (row.external_id, row.name) for row in customers.accounts(wanted)} if wanted else {}


def _customer(names: dict[int, tuple[str, str]], account: int) -> Cell:
    ref, name = names.get(account, ("?", "?"))
    return Cell(name, href=f"/accounts/{_quoted(ref)}", small=ref)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _service_page(row: StandingRow) -> str:
    return "" if row.meter.startswith("pool:") else f"/services/{_quoted(row.meter.rpartition('/')[0])}"


def _quantity(value: Any, unit: str) -> str:
    return _EN.amount_of(value, unit, 1)


def _of(row: StandingRow) -> str:
    if row.minutes_left is not None:
        return _("%(minutes)s burst minutes left") % {"minutes": row.minutes_left}
    return _("of %(included)s") % {"included": _quantity(row.included, row.unit)}


def _money(amount: Money) -> str:
    return _EN.money(amount.decimal(), amount.currency)


def _limit(row: ConsentRow) -> str:
    amount = "" if row.limit.amount is None else _money(row.limit.amount)
    quantity = "" if row.limit.quantity is None else _quantity(row.limit.quantity, row.unit)
    return " = ".join(part for part in (amount, quantity) if part) or "–"


def _scope(row: ConsentRow) -> str:
    if row.service is not None:
        named = register.service_names([row.service]).get(row.service, "?")
        return f"{named}/{row.charge}" if row.charge else named
    return _("pool %(name)s") % {"name": row.pool} if row.pool else _("the account")


def _why(code: str) -> str:
    return {
        "allowance": _("the allowance"),
        "dormant": _("nobody verified"),
        "limit": _("their limit"),
        "exposure": _("nobody answered"),
    }.get(code, "")


def _outcome(code: str) -> str:
    return {
        "no_answer": _("no answer"),
        "voicemail": _("voicemail"),
        "busy": _("busy"),
        "wrong_number": _("wrong number"),
    }.get(code, code)


def _state(row: StandingRow) -> Cell:
    if row.stopped:
        return Cell(_("stopped"), tag="warn")
    if row.acknowledged:
        return Cell(_("they know"), tag="good")
    if row.delivered:
        return Cell(_("warned, delivered"), tag="good")
    return (
        Cell(_("warned, not known to have arrived"), tag="warn") if row.told else Cell(_("not warned yet"), tag="plain")
    )


def _consent_state(row: ConsentRow) -> Cell:
    if row.ended_at is not None:
        return Cell(row.ended_why.replace("_", " "), tag="plain", small=f"{row.ended_at:%Y-%m-%d}")
    if row.pending:
        return Cell(_("waits for approval"), tag="warn")
    if row.confirm_by is not None:
        return Cell(_("provisional"), tag="warn", small=_("until %(day)s") % {"day": f"{row.confirm_by:%Y-%m-%d}"})
    return Cell(_("in force"), tag="good", small=_history(row))


def _history(row: ConsentRow) -> str:
    if row.decided_by:
        return f"{row.decided_by}: {row.decision_reason}"
    return row.reason
