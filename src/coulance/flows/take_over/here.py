"""What is here of a book already, as a book: the other side of every comparison."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.take_over.prices import plan_of
from coulance.invoicing import operations as invoicing
from coulance.overage import queries as overage
from coulance.payments import openings
from coulance.services import queries as services
from coulance_core.catalog.provider import ProviderTerms
from coulance_core.catalog.terms import Catalog
from coulance_core.taking_over import (
    Book,
    SeriesEnd,
    TakenClause,
    TakenContact,
    TakenCustomer,
    TakenMandate,
    TakenOpenItem,
    TakenPrepaid,
    TakenPrice,
    TakenService,
    Where,
)

HERE = Where("(here)")


def with_defaults(book: Book, provider: ProviderTerms) -> Book:
    """The book with the provider's currency, zone and language where it says nothing, as they will be kept."""
    kept = tuple(
        replace(
            row,
            currency=row.currency or provider.currency,
            zone=row.zone or provider.zone,
            language=row.language or provider.language,
        )
        for row in book.customers
    )
    spoken = {row.account: row.language for row in kept}
    contacts = tuple(
        replace(row, language=row.language or spoken.get(row.account, provider.language)) for row in book.contacts
    )
    return replace(book, customers=kept, contacts=contacts)


def here_of(book: Book) -> Book:
    """What is here of the rows of a book, and whatever else was taken over of its source.

    Customers, contacts and services are those of the book's ids; money, mandates and clauses those of its source.
    """
    source = f"{book.source}/"
    wanted = {row.account for row in book.customers}
    accounts = customers.accounts_by_external_id(wanted)
    names = {row.id: row.external_id for row in accounts.values()}
    return Book(
        book.source,
        book.on,
        customers=tuple(_customer(row) for row in accounts.values()),
        contacts=tuple(_contacts(book, names)),
        services=tuple(_services(book)),
        items=tuple(_item(row) for row in openings.items(source=source)),
        prepaid=tuple(
            TakenPrepaid(where=HERE, key=row.source_key, account=row.account, amount=row.amount)
            for row in openings.balances(source=source)
        ),
        mandates=tuple(_mandate(row) for row in openings.mandates(source=source)),
        series=tuple(_series(book)),
        clauses=tuple(_clauses(book, source, names)),
    )


def _customer(row: customers.AccountRow) -> TakenCustomer:
    return TakenCustomer(
        where=HERE,
        account=row.external_id,
        name=row.name,
        kind=row.kind,
        country=row.country,
        currency=row.currency,
        vat_id=row.vat_id,
        address=tuple(row.address),
        language=row.language,
        zone=row.zone,
        tax_class=row.tax_class,
        billing_day=row.billing_day,
    )


def _contacts(book: Book, names: dict[int, str]) -> Iterable[TakenContact]:
    wanted = {(row.account, row.contact) for row in book.contacts}
    for row in customers.contacts(list(names)):
        account = names[row.account_id]
        if (account, row.external_id) in wanted:  # others were added here since
            yield TakenContact(
                where=HERE,
                account=account,
                contact=row.external_id,
                name=row.name,
                email=row.email,
                phone=row.phone,
                roles=tuple(row.roles),
                may_incur_cost=row.may_incur_cost,
                language=row.language,
                channels=tuple(row.channels),
            )


def _services(book: Book) -> Iterable[TakenService]:
    known = services.services_by_external_id({row.service for row in book.services})
    spans = services.subscriptions([row.id for row in known.values()])
    owners = {row.id: row.external_id for row in customers.accounts({row.account_id for row in known.values()})}
    priced = services.agreed_prices([row.id for row in known.values()])
    since = {row.service: row.subscribed_from for row in book.services}
    terms = catalog.catalog()
    for row in known.values():
        held = spans.get(row.id, ())
        first = held[0] if held else services.SubscriptionRow("", 1, row.started_on, None)
        taken = TakenService(
            where=HERE,
            account=owners[row.account_id],
            service=row.external_id,
            name=row.name,
            kind=row.kind,
            plan=first.plan,
            quantity=first.quantity,
            started_on=row.started_on,
            subscribed_from=first.valid_from,
            billed_until=row.billed_until or date.min,
            pool=row.pool,
            ended_on=row.ended_on,
        )
        yield replace(taken, price=_price(taken, priced.get(row.id, ()), since[row.external_id], terms))


def _price(row: TakenService, agreed: Sequence[services.PriceRow], since: date, terms: Catalog) -> TakenPrice | None:
    """The price it was taken over with: one that was agreed here for later days is no part of that."""
    for one in agreed:
        if one.start <= since:
            version = plan_of(row, terms)
            months = version.base.interval_months if version is not None and version.base is not None else 0
            return TakenPrice(one.amount, months, one.words, None if one.end == row.ended_on else one.end)
    return None


def _item(row: openings.OpeningRow) -> TakenOpenItem:
    return TakenOpenItem(
        where=HERE,
        key=row.source_key,
        account=row.account,
        number=row.number,
        kind=row.kind,
        issued_on=row.issued_on,
        due_on=row.due_on,
        gross=row.gross,
        paid=row.gross - row.open,
        open=row.open,
    )


def _mandate(row: openings.OpeningMandate) -> TakenMandate:
    return TakenMandate(
        where=HERE,
        key=row.source_key,
        account=row.account,
        reference=row.reference,
        iban=row.iban,
        holder=row.holder,
        signed_on=row.signed_on,
        scheme=row.scheme,
        sequence=row.sequence,
        last_used_on=row.last_used_on,
    )


def _series(book: Book) -> Iterable[SeriesEnd]:
    known = catalog.catalog().series
    for row in book.series:
        if row.series in known:
            last = invoicing.continued_after(key=row.series, year=row.year)
            if last is not None:
                yield SeriesEnd(where=HERE, series=row.series, year=row.year, last=last)


def _clauses(book: Book, source: str, names: dict[int, str]) -> Iterable[TakenClause]:
    named = {row.account for row in book.clauses}
    asked = {account for account, name in names.items() if name in named}
    asked |= {row.account for row in overage.provisional() if row.account in names}
    if not asked:
        return
    run = {row.id: row.external_id for row in services.services()}
    for account in sorted(asked):
        name = names[account]
        for row in overage.consents(account=account):
            amount = row.limit.amount
            if amount is not None and row.came_from.startswith(source):
                yield TakenClause(
                    where=HERE,
                    key=row.came_from,
                    account=name,
                    contact=row.contact,
                    limit=amount,
                    agreed_on=row.given_at.date(),
                    service=run.get(row.service, "") if row.service is not None else "",
                    charge=row.charge,
                )
