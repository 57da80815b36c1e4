"""Another card, ordered by the customer in the portal: by whoever may incur cost, once, at the price they saw."""

import re
from datetime import datetime

from django.db import transaction

from coulance.contracts import operations, queries
from coulance.contracts.errors import UnableToApproveError, UnableToRecordError
from coulance.contracts.queries import ContractRow
from coulance.customers import queries as customers
from coulance.flows.contracts import billing
from coulance.platform import audit, webhooks
from coulance_core.contracts.terms import Kind
from coulance_core.contracts.terms_file import CardProduct
from coulance_core.kernel import Money


def on_offer(contract: ContractRow, at: datetime) -> tuple[CardProduct, ...]:
    """The cards that a contract's customer may order now."""
    open_ = contract.kind is Kind.CARD and contract.terms.top_up and contract.runs_on(contract.day_of(at))
    return contract.terms.cards if open_ else ()


def order(
    *, key: str, product: str, price: Money, once: str, account: int, contact: str, at: datetime
) -> str:  # fmt: skip
    """Order a card that is on offer, at the price that was shown; gives the invoice's number. `once` names the order:
    sent again it is the same. Raises `UnableToApproveError`, `UnableToRecordError`, `UnableToFindContractError`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,40}", once):
        raise UnableToRecordError("that is no order of this page")
    with transaction.atomic():
        queries.contract(key, account=account)
        contract = operations.locked(key)
        me = [c for c in customers.contacts([account]) if c.external_id == contact]
        if not (me and me[0].may_incur_cost):
            raise UnableToApproveError("only a contact who may incur cost can order")
        found = [one for one in on_offer(contract, at) if one.key == product]
        if not found or found[0].price != price:
            raise UnableToRecordError("it isn't on offer, or its price changed: look again")
        card = f"my/{contract.id}/{once}"
        number = billing.sell_card(
            key=key, product=product, card=card, from_=contract.day_of(at), actor=f"contact:{contact}", at=at
        )
        audit.record(
            actor=f"contact:{contact}", act="contract.card_ordered", subject=f"contract:{key}", at=at,
            detail={"card": card, "product": product, "price": str(price), "invoice": number},
        )  # fmt: skip
        webhooks.emit(event="contract.card_ordered", data={"contract": key, "card": card, "invoice": number}, at=at)
    return number
