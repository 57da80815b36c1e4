"""Accounts: the list, and one account with its whole story on one page."""

from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from coulance.console import story
from coulance.console.access import operators_only
from coulance.console.paging import PER_PAGE, number_asked, page
from coulance.console.views.services import listed
from coulance.contracts import tickets
from coulance.customers import listing as customers
from coulance.customers import queries
from coulance.invoicing import listing
from coulance.invoicing import queries as invoicing
from coulance.notices import queries as notices
from coulance.payments import queries as payments
from coulance.platform import audit, clock
from coulance.platform.roles import Permission
from coulance.services import listing as services


@operators_only(Permission.SEE)
def account_list(request: HttpRequest) -> HttpResponse:
    """Accounts by id, searched."""
    text = request.GET.get("q", "").strip()[:100]
    total = customers.count_accounts(text=text)
    number = number_asked(request, total)
    rows = customers.find_accounts(text=text, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
    return render(
        request,
        "console/accounts.html",
        {"here": "accounts", "page": page(request, rows, number, total), "q": text},
    )


@operators_only(Permission.SEE)
def account_detail(request: HttpRequest, external_id: str) -> HttpResponse:
    """One account."""
    try:
        account = queries.account(external_id)
    except queries.UnableToFindAccountError as fault:
        raise Http404(str(fault)) from fault
    total = services.count_services(account=account.id)
    number = number_asked(request, total)
    found = services.find_services(account=account.id, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
    statement = listing.latest_statements(accounts=[account.id]).get(account.id)
    rows = [listed(row, statement) for row in found]
    documents = listing.find_documents(account=account.id, limit=36)
    numbers = [row.number for row in documents if row.number]
    subjects = [
        f"account:{external_id}",
        *(f"invoice:{number}" for number in numbers),
        *(f"service:{row.external_id}" for row in found),
    ]
    receipts = payments.receipts(accounts=[account.id], limit=36)
    messages = notices.messages(account=account.id, limit=24)
    events = audit.find(audit.Filter(subjects=subjects), limit=50)
    asked = tickets.tickets(accounts=[account.id], most=24)
    opinions = tickets.opinions_of(account.id)
    return render(
        request,
        "console/account.html",
        {
            "here": "accounts",
            "account": account,
            "contacts": queries.contacts([account.id]),
            "page": page(request, rows, number, total),
            "balances": tuple(payments.balances(accounts=[account.id]).get(account.id, {}).values()),
            "open": payments.open_items(accounts=[account.id]).get(account.id, ()),
            "receipts": receipts,
            "sent": messages,  # `messages` is what the page tells whoever acted
            "today": clock.now().astimezone(ZoneInfo(account.zone)).date(),
            "documents": documents,
            "parked": [row for row in invoicing.parked() if row.account == account.id],
            "events": events,
            "tickets": asked,
            "opinions": opinions[:24],
            "content": f"{sum(o.score for o in opinions) / len(opinions):.1f}" if opinions else "",
            "story": story.story(
                story.of_documents(documents, account.zone),
                story.of_receipts(receipts, account.zone),
                story.of_messages(messages),
                story.of_tickets(asked, opinions[:24]),
                story.of_events(events),
            ),
        },
    )
