"""Bundles: services whose base fee is in a contract's price. Bound when it is agreed, let go when they or it end."""

from collections.abc import Mapping
from datetime import date, datetime

from django.db import transaction

from coulance.contracts import operations, queries
from coulance.contracts.errors import UnableToAgreeError, UnableToChangeError
from coulance.contracts.queries import ContractRow
from coulance.platform import webhooks
from coulance.services import operations as services_
from coulance.services import queries as services
from coulance_core.contracts.bundles import Part
from coulance_core.contracts.renewal import Renews, months_later
from coulance_core.kernel import Money


def bind(contract: ContractRow, elements: Mapping[str, str], *, actor: str, at: datetime) -> None:
    """Bind services (external ids, by element) to a bundle, in the caller's transaction: their base fee is nought from
    its first day on, as long as they stay on their plan. Raises `UnableToAgreeError`.
    """
    bundle = contract.terms.bundle
    wanted = {one.key for one in bundle.elements if one.part is Part.SERVICE} if bundle is not None else set()
    if set(elements) != wanted:
        named = ", ".join(sorted(wanted)) or "none"
        raise UnableToAgreeError(f"say for each element of {contract.version} which service it is: {named}")
    if len(set(elements.values())) != len(elements):
        raise UnableToAgreeError("a service is one element, not two")
    for key, name in elements.items():
        try:
            service = services.service(name)
        except services.UnableToFindServiceError as error:
            raise UnableToAgreeError(f"there is no service {name!r}") from error
        if service.account_id != contract.account:
            raise UnableToAgreeError(f"service {name!r} is another customer's")
        for other in queries.contracts(ids={row.contract for row in queries.bound(services=[service.id])}):
            of = {row.element for row in queries.bound([other.id]) if row.service == service.id}
            if other.runs_on(contract.starts_on) and not of <= other.ended_elements(contract.starts_on):
                raise UnableToAgreeError(f"service {name!r} is in {other.key} already")
        plan = _plan(service.id, contract.starts_on)
        if plan is None:
            raise UnableToAgreeError(f"service {name!r} is on no plan on {contract.starts_on.isoformat()}")
        operations.bind(contract=contract, element=key, service=service.id, plan=plan, at=at)
        _include(contract, name, plan, contract.starts_on, actor=actor, at=at)


def _plan(service: int, day: date) -> str | None:
    rows = services.subscriptions([service]).get(service, ())
    return next((r.plan for r in rows if r.valid_from <= day and (r.valid_until is None or day < r.valid_until)), None)


def _include(contract: ContractRow, service: str, plan: str, on: date, *, actor: str, at: datetime) -> None:
    renewal = contract.terms.renewal
    ends = months_later(contract.starts_on, renewal.months) if renewal.renews is Renews.ENDS else None
    services_.agree_price(
        service=service, plan=plan, amount=Money(0, contract.currency), words=f"in {contract.terms.title}"[:120],
        from_date=on, until=ends, actor=actor, reason=f"it is in the bundle {contract.key}", at=at,
    )  # fmt: skip


def release(
    contract: ContractRow, on: date, *, element: str | None = None, actor: str, reason: str, at: datetime
) -> None:
    """From a day on, bill the base fee of a bundle's services (or of one element) by their plan again."""
    gone = contract.ended_elements(on)
    rows = [
        r for r in queries.bound([contract.id]) if r.element == element or (element is None and r.element not in gone)
    ]
    names = {row.id: row.external_id for row in services.services([r.service for r in rows])}
    for row in rows:
        services_.end_price(service=names[row.service], on=on, actor=actor, reason=reason, at=at)


def include_again(contract: ContractRow, on: date, *, element: str | None = None, actor: str, at: datetime) -> None:
    """Take a release back."""
    gone = contract.ended_elements(on)
    rows = [
        r for r in queries.bound([contract.id]) if r.element == element or (element is None and r.element not in gone)
    ]
    names = {row.id: row.external_id for row in services.services([r.service for r in rows])}
    for row in rows:
        _include(contract, names[row.service], row.plan, on, actor=actor, at=at)


def end_element(*, key: str, element: str, on: date, reason: str, actor: str, at: datetime) -> date:
    """End one element of a bundle with the first fee period that begins on a day or after it; gives that day.

    From then on its service is billed by its plan (until it ends), and what stays costs what the terms say. Taken back
    by `take_element_back`. Raises `UnableToChangeError`.
    """
    with transaction.atomic():
        contract = operations.locked(key)
        place = _place(contract, element)
        if on <= contract.day_of(at):
            raise UnableToChangeError(f"an element ends on a day that is yet to come, not {on.isoformat()}")
        first = _period_from(contract, on)
        if element in contract.ended_elements(date.max):
            raise UnableToChangeError(f"{element!r} of {key} ends already")
        operations.change(
            contract=contract, kind="element_end", on=first, value=place, actor=actor, reason=reason, at=at
        )
        release(contract, first, element=element, actor=actor, reason=f"it leaves the bundle {key}", at=at)
        webhooks.emit(
            event="contract.element_ends", data={"contract": key, "element": element, "on": first.isoformat()}, at=at
        )
    return first


def take_element_back(*, key: str, element: str, reason: str, actor: str, at: datetime) -> None:
    """Let an element go on that would have ended. Raises `UnableToChangeError` once it has."""
    with transaction.atomic():
        contract = operations.locked(key)
        place = _place(contract, element)
        if element not in contract.ended_elements(date.max) or element in contract.ended_elements(contract.day_of(at)):
            raise UnableToChangeError(f"{element!r} of {key} doesn't end on a day that is yet to come")
        on = next(c.on for c in reversed(contract.changes) if c.kind == "element_end" and c.value == place)
        operations.change(contract=contract, kind="element_on", on=on, value=place, actor=actor, reason=reason, at=at)
        include_again(contract, on, element=element, actor=actor, at=at)


def _place(contract: ContractRow, element: str) -> int:
    bundle = contract.terms.bundle
    keys = [one.key for one in bundle.elements] if bundle is not None else []
    if element not in keys or bundle is None:
        raise UnableToChangeError(f"{contract.key} has no element {element!r}: it has {', '.join(keys) or 'none'}")
    if bundle.work.key == element:
        raise UnableToChangeError("the work is the contract itself: give notice of it")
    return keys.index(element)


def _period_from(contract: ContractRow, on: date) -> date:
    """The first day of the first fee period that begins on a day or after it."""
    n = 0
    while (first := months_later(contract.starts_on, n * contract.terms.every)) < on:
        n += 1
    if not contract.runs_on(first):
        raise UnableToChangeError(f"{contract.key} ends before a fee period begins on {on.isoformat()} or later")
    return first
