"""A customer who may consent, and short words for what happens to them."""

from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.notices import operations as notices
from coulance.overage import operations as overage
from coulance.overage.operations import Given, MeterRef, NewConsent, Scope, Shown
from coulance.services import queries as services
from coulance_core.kernel import Money
from coulance_core.overage.terms import Limit
from tests.closing.world import ZONE, World

ANNA = "anna@bakery.example"


def at(text: str) -> datetime:
    """A civil time in Amsterdam."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE))


def account_id(ref: str = "acme") -> int:
    """An account's id."""
    return customer_rows.account(ref).id


def meter(service: str = "s1", charge: str = "out") -> MeterRef:
    """A service's charge."""
    row = services.service(service)
    return MeterRef.of_service(row.account_id, row.id, service, charge)


def contact(ref: str = "anna", *, account: str = "acme", may: bool = True, email: str = ANNA) -> None:
    """Somebody of the account."""
    customers.put_contact(
        account=account, external_id=ref, name=ref.title(), email=email, roles=["billing"], may_incur_cost=may,
        language="en", channels=["email"],
    )  # fmt: skip


def verify(when: str, *, account: str = "acme", email: str = ANNA) -> None:
    """Their address reaches them."""
    notices.verify_address(account=account_id(account), address=email, how="link", actor="test", at=at(when))


def consent(
    when: str,
    *,
    amount: str | None = None,
    quantity: int | None = None,
    unit: str = "GB",
    service: str | None = "s1",
    account: str = "acme",
    by: str = "anna",
    terms: str = "vps@2025-01-01",
    pool: str = "",
    period: str = "",
    charge: str = "",
    beforehand: str | None = None,
    **more: Any,
) -> Given:
    """A consent given in the portal."""
    scope = Scope(services.service(service).id, charge=charge) if service and not pool else Scope(pool=pool)
    limit = Limit(
        None if amount is None else Money.of(amount, "EUR"),
        None if quantity is None else Fraction(quantity),
        "amount" if amount is not None else "quantity",
    )
    return overage.give_consent(
        new=NewConsent(
            account=account_id(account),
            contact=by,
            scope=scope,
            limit=limit,
            unit=unit,
            shown=Shown(terms, "0.10 EUR/GB", "You allow overage."),
            how="portal",
            came_from="192.0.2.7",
            period_name=period,
            pre_acknowledged=None if beforehand is None else Money.of(beforehand, "EUR"),
        ),
        at=at(when),
        actor="customer:anna",
        **more,
    )


def acknowledge(
    when: str, *, service: str = "s1", charge: str = "out", how: str = "portal", period: str = "2026-10"
) -> None:
    """They acted on the warning of the period."""
    overage.acknowledge(
        meter=meter(service, charge), period_name=period, contact="anna", how=how, source=f"{service}:{when}",
        actor="customer:anna", at=at(when), reason="spoke to Anna, who gave the customer number",
    )  # fmt: skip


def customer(world: World, *, control: str = "enforce", more: str = "", rest: str | None = None) -> World:
    """A provider who lets customers decide, and one who may."""
    terms = f'\n[overage]\ncontrol = "{control}"\n' + more
    if rest is None:
        world.provider(more=terms)
    else:
        world.provider(more=terms, rest=rest)
    world.account()
    contact()
    return world
