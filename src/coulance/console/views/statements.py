"""What customers owe: an account's statement, as page and PDF, and every debt by age."""

import re
from datetime import date, timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from coulance.catalog import queries as catalog
from coulance.console.access import operators_only
from coulance.customers import queries as customers
from coulance.payments import statements
from coulance.payments.documents.view import view
from coulance.payments.pdf import render_statement
from coulance.platform import clock
from coulance.platform.roles import Permission
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.kernel import currency
from coulance_core.payments import AccountStatement


@operators_only(Permission.SEE)
def account_statement(request: HttpRequest, external_id: str) -> HttpResponse:
    """An account's statement: of this year, or of the days asked for."""
    row, found = _asked(request, external_id)
    shown = view(found, seller=_provider(), buyer=row, language="en")
    return render(
        request,
        "console/statement.html",
        {
            "here": "accounts",
            "account": row,
            "s": shown,
            "first": found.start,
            "last": found.end - timedelta(days=1),
            "currency": found.currency,
        },
    )


@operators_only(Permission.SEE)
def account_statement_pdf(request: HttpRequest, external_id: str) -> HttpResponse:
    """The same as PDF/A, in the account's language."""
    row, found = _asked(request, external_id)
    printed = render_statement(found, seller=_provider(), buyer=row)
    answer = HttpResponse(printed, content_type="application/pdf")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"statement-{row.external_id}-{found.end - timedelta(days=1)}")
    answer.headers["Content-Disposition"] = f'inline; filename="{name}.pdf"'
    return answer


@operators_only(Permission.SEE)
def open_items(request: HttpRequest) -> HttpResponse:
    """Debts by age, the sums first, then each account."""
    on = _day(request.GET.get("on", "")) or _day_here()
    aged = statements.aged_accounts(on=on)
    return render(
        request,
        "console/open_items.html",
        {
            "here": "open-items",
            "on": on,
            "totals": list(statements.totals(aged).values()),
            "rows": sorted(aged, key=lambda one: (one.ages.currency, -one.ages.due.minor, one.external_id))[:500],
            "more": max(len(aged) - 500, 0),
        },
    )


def _asked(request: HttpRequest, external_id: str) -> tuple[customers.AccountRow, AccountStatement]:
    try:
        row = customers.account(external_id)
    except customers.UnableToFindAccountError as fault:
        raise Http404(str(fault)) from fault
    last = _day(request.GET.get("to", "")) or _today()
    first = _day(request.GET.get("from", "")) or date(last.year, 1, 1)
    code = request.GET.get("currency", "") or row.currency
    try:
        currency(code)
    except ValueError as fault:
        raise Http404(str(fault)) from fault
    end = max(first, last) + timedelta(days=1)
    return row, statements.account_statement(account=row.id, currency=code, start=min(first, last), end=end)


def _day(text: str) -> date | None:
    """A day as forms send it; none for anything else, and for the ends of the calendar."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1900 < found.year < 9000 else None


def _provider() -> ProviderTerms:
    """Who bills. Before a provider file is applied nobody does, and there is no statement yet."""
    try:
        return catalog.catalog().provider
    except catalog.UnableToFindCatalogError as fault:
        raise Http404(str(fault)) from fault


def _today() -> date:
    return clock.now().astimezone(_provider().zone_info).date()


def _day_here() -> date:
    """The provider's day; before a provider file is applied nothing is owed, and any place's day will do."""
    try:
        return clock.now().astimezone(catalog.catalog().provider.zone_info).date()
    except catalog.UnableToFindCatalogError:
        return clock.now().date()
