"""Contracts agreed and changed: indexed, given notice of, ended early, and each of that taken back."""

from collections.abc import Mapping
from datetime import date, datetime
from fractions import Fraction

from django.db import transaction

from coulance.contracts import operations, queries
from coulance.contracts.errors import UnableToAgreeError, UnableToChangeError
from coulance.contracts.queries import ContractRow
from coulance.customers import queries as customers
from coulance.flows.arrears import ordering
from coulance.flows.contracts import billing, bundling
from coulance.platform import webhooks
from coulance_core.contracts.renewal import Indexed, early_fee, ends_by_notice, index
from coulance_core.contracts.terms import ContractError, Kind
from coulance_core.kernel import Explanation, Money


def agree(
    *, key: str, account: str, terms: str, starts_on: date, price: Money | None = None, seats: int = 1,
    service: int | None = None, elements: Mapping[str, str] | None = None, actor: str, at: datetime, reason: str = "",
) -> ContractRow:  # fmt: skip
    """Agree a contract; its first fee is charged by the next round. `elements`: of a bundle, which service (external
    id) each is. Raises `UnableToAgreeError`."""
    with transaction.atomic():
        found = customers.accounts_by_external_id([account]).get(account)
        if found is not None and (no := ordering.blocked(found.id)) is not None:
            raise UnableToAgreeError(no.words)
        made = operations.agree(
            key=key, account=account, terms=terms, starts_on=starts_on, price=price, seats=seats, service=service,
            actor=actor, at=at, reason=reason,
        )  # fmt: skip
        bundling.bind(made, elements or {}, actor=actor, at=at)
        webhooks.emit(event="contract.agreed", data={"contract": key, "account": account, "terms": terms}, at=at)
    return made


def indexation(*, key: str, before: Fraction, now: Fraction) -> Indexed:
    """What indexing would make of a contract's price, with nothing written. Raises `UnableToChangeError`."""
    return _indexed(queries.contract(key), before, now, None)


def _indexed(contract: ContractRow, before: Fraction, now: Fraction, on: date | None) -> Indexed:
    if contract.terms.indexation is None:
        raise UnableToChangeError(f"{contract.version} says nothing of indexation: the price stays")
    try:
        price = contract.price_on(on or date.max)
        return index(price, before, now, contract.terms.indexation)
    except ContractError as error:
        raise UnableToChangeError(str(error)) from error


def index_price(
    *, key: str, before: Fraction, now: Fraction, on: date, reason: str, actor: str, at: datetime
) -> Indexed:
    """Index a contract's price from a day that is yet to come. Once a term. Raises `UnableToChangeError`.

    Taken back by `set_price`, with the price before.
    """
    with transaction.atomic():
        contract = operations.locked(key)
        term = contract.term_on(on)
        if on <= contract.day_of(at) or term is None:
            raise UnableToChangeError(f"a price changes from a day on that is yet to come, not {on.isoformat()}")
        if any(c.kind == "price" and term.start <= c.on < term.end for c in contract.changes):
            raise UnableToChangeError(f"the price of the term from {term.start.isoformat()} was changed already")
        found = _indexed(contract, before, now, on)
        operations.change(
            contract=contract, kind="price", on=on, value=found.price.minor, explanation=found.explanation,
            actor=actor, reason=reason, at=at,
        )  # fmt: skip
    return found


def set_price(*, key: str, price: Money, on: date, reason: str, actor: str, at: datetime) -> None:
    """Agree another price, or take an indexation back, from a day that is yet to come."""
    with transaction.atomic():
        contract = operations.locked(key)
        if price.currency != contract.currency or price.minor < 0:
            raise UnableToChangeError(f"{key} is in {contract.currency}, of zero or more")
        if on <= contract.day_of(at):
            raise UnableToChangeError(f"a price changes from a day on that is yet to come, not {on.isoformat()}")
        operations.change(contract=contract, kind="price", on=on, value=price.minor, actor=actor, reason=reason, at=at)


def set_seats(*, key: str, seats: int, on: date, reason: str, actor: str, at: datetime) -> None:
    """Another number of seats from a day on; fees of periods that begin by then stay."""
    with transaction.atomic():
        contract = operations.locked(key)
        if contract.kind is not Kind.PER_SEAT or seats < 1:
            raise UnableToChangeError(f"{key} is of kind {contract.kind.value}, or {seats} is no number of seats")
        if seats > contract.seats_on(on) and (no := ordering.blocked(contract.account)) is not None:
            raise UnableToChangeError(no.words)
        operations.change(contract=contract, kind="seats", on=on, value=seats, actor=actor, reason=reason, at=at)


def give_notice(*, key: str, reason: str, actor: str, at: datetime) -> date:
    """Notice, received now: the day it ends by its own terms. Taken back by `take_notice_back`."""
    with transaction.atomic():
        contract = operations.locked(key)
        today = contract.day_of(at)
        if contract.ends_on is not None:
            raise UnableToChangeError(f"{key} ends on {contract.ends_on.isoformat()} already")
        ends = ends_by_notice(contract.starts_on, contract.terms.renewal, max(today, contract.starts_on))
        if ends is None:
            raise UnableToChangeError(f"{key} has ended")
        operations.change(contract=contract, kind="end", on=ends, value=0, actor=actor, reason=reason, at=at)
        bundling.release(contract, ends, actor=actor, reason=f"{key} ends", at=at)
        webhooks.emit(event="contract.ends", data={"contract": key, "on": ends.isoformat()}, at=at)
    return ends


def early_end(contract: ContractRow, leaves: date) -> Money:
    """What leaving on a day, before the term's end, costs. Raises `UnableToChangeError` where that can't be."""
    term = contract.term_on(leaves)
    if term is None:
        raise UnableToChangeError(f"{contract.key} has ended")
    try:
        return early_fee(term, contract.terms.renewal, contract.fee_on(leaves), contract.terms.every, leaves)
    except ContractError as error:
        raise UnableToChangeError(str(error)) from error


def end_early(*, key: str, leaves: date, reason: str, actor: str, at: datetime) -> Money:
    """End a contract before its term does, for the fee its terms say, which is charged; gives the fee."""
    with transaction.atomic():
        contract = operations.locked(key)
        if leaves < contract.day_of(at):
            raise UnableToChangeError(f"{leaves.isoformat()} is past")
        fee = early_end(contract, leaves)
        operations.change(contract=contract, kind="end", on=leaves, value=fee.minor, actor=actor, reason=reason, at=at)
        bundling.release(contract, leaves, actor=actor, reason=f"{key} ends", at=at)
        if fee.minor:
            e = Explanation.build("contracts.early_end", terms=contract.version)
            e.fact("net", fee.amount, fee.currency, "the share of what is left of the term")
            operations.record_charge(
                contract=contract, key=f"early/{contract.id}/{leaves.isoformat()}", kind=billing.EARLY,
                starts_on=leaves, ends_on=leaves, amount=fee, explanation=e.freeze(), actor=actor, at=at,
            )  # fmt: skip
    return fee


def take_notice_back(*, key: str, reason: str, actor: str, at: datetime) -> None:
    """Let a contract go on that would have ended. An early end that was charged is credited by hand."""
    with transaction.atomic():
        contract = operations.locked(key)
        ends = contract.ends_on
        if ends is None or ends <= contract.day_of(at):
            raise UnableToChangeError(f"{key} doesn't end on a day that is yet to come")
        operations.change(contract=contract, kind="go_on", on=ends, value=0, actor=actor, reason=reason, at=at)
        bundling.include_again(contract, ends, actor=actor, at=at)
