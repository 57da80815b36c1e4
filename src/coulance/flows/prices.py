"""Agreeing a base fee for one service, and taking it back: for commands, screens and the API.

The catalog stays as it is. A price holds while the service is on the plan it was agreed for; a change of plan ends its
effect. Like a change of plan it can't begin before days that are billed: their difference is a credit or goodwill.
"""

from datetime import date, datetime

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.customers import FieldFault, UnableToKeepError, editing
from coulance.flows.import_customers import first_open_day
from coulance.invoicing import queries as invoicing
from coulance.platform import webhooks
from coulance.services import operations as write_services
from coulance.services import queries as services
from coulance_core.catalog.terms import NotInCatalogError
from coulance_core.kernel import Money


def agree_price(
    *,
    service: str,
    amount: str,
    from_date: date,
    until: date | None = None,
    words: str = "",
    actor: str,
    reason: str,
    at: datetime,
) -> Money:
    """Agree a base fee for a service on the plan it has that day: for a whole cycle, all units; gives the amount.

    Raises `services.UnableToFindServiceError` and `UnableToKeepError`; undone by `end_price` on the same day.
    """
    if not reason.strip():
        raise UnableToKeepError([FieldFault("reason", "say why: what is billed depends on it")])
    with editing():
        row = services.service(service)
        _open(row, from_date)
        plan = plan_on(row, from_date)
        try:
            version = catalog.catalog().plan_version(plan, from_date)
        except NotInCatalogError as error:
            raise UnableToKeepError([FieldFault("from", str(error))]) from error
        if version.base is None:
            raise UnableToKeepError([FieldFault("amount", f"plan {plan!r} has no base fee that could be another")])
        try:
            price = Money.of(amount, version.currency)
        except (ValueError, ArithmeticError) as error:
            found = f"{amount!r}: expected an amount in {version.currency}, such as 12.50"
            raise UnableToKeepError([FieldFault("amount", found)]) from error
        try:
            write_services.agree_price(
                service=service, plan=plan, amount=price, words=words, from_date=from_date, until=until,
                actor=actor, reason=reason, at=at,
            )  # fmt: skip
        except write_services.UnableToAgreePriceError as error:
            raise UnableToKeepError([FieldFault("amount", str(error))]) from error
        webhooks.emit(event="service.changed", data={"service": service}, at=at)
    return price


def end_price(*, service: str, on: date, actor: str, reason: str, at: datetime) -> bool:
    """From a day on, the plan's own price again; whether anything changed. Raises as `agree_price` does."""
    if not reason.strip():
        raise UnableToKeepError([FieldFault("reason", "say why: what is billed depends on it")])
    with editing():
        _open(services.service(service), on)
        changed = write_services.end_price(service=service, on=on, actor=actor, reason=reason, at=at)
        if changed:
            webhooks.emit(event="service.changed", data={"service": service}, at=at)
    return changed


def plan_on(row: services.ServiceRow, on: date) -> str:
    """The plan a service is on, on a day. Raises `UnableToKeepError`."""
    for span in services.subscriptions([row.id]).get(row.id, ()):
        if span.valid_from <= on and (span.valid_until is None or span.valid_until > on):
            return span.plan
    raise UnableToKeepError([FieldFault("from", f"service {row.external_id!r} is on no plan on {on}")])


def _open(row: services.ServiceRow, day: date) -> None:
    closed = invoicing.closed_until()
    if closed is None:
        return
    [owner] = customers.accounts([row.account_id])
    first = first_open_day(closed, owner.billing_day)
    if day < first:
        found = f"{day} is billed: expected {first} or later, and a credit for what is before"
        raise UnableToKeepError([FieldFault("from", found)])
