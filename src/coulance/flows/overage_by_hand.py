"""What an operator does about overage for a customer: quote, consent, withdraw, decide, attacks, exposure.

Each act is one transaction, and whoever was paused for want of it is looked at again in the same.
"""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.flows import deciding_consents
from coulance.flows.overage_control import acting, credit, evaluating, whole
from coulance.flows.overage_control.acting import Offer, UnableToActError
from coulance.flows.overage_control.everything import controlled
from coulance.flows.overage_control.judging import Judged, cost, judge
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.overage.operations import Given
from coulance.services import queries as services
from coulance_core.kernel import Money
from coulance_core.overage.standing import exposure_bound


def charge_of(*, service: str, charge: str = "", at: datetime) -> Judged:
    """A service's charge where it stands, by external id; its only one when none is named.

    Raises `UnableToActError`.
    """
    row = services.service(service)
    catalog = catalogs.catalog()
    mine = [
        one
        for one in judge(controlled(accounts=[row.account_id], catalog=catalog, at=at), catalog=catalog, at=at)
        if row.id in one.services and charge in ("", one.counted.charge.key)
    ]
    if len(mine) != 1:
        keys = ", ".join(one.counted.charge.key for one in mine)
        raise UnableToActError(
            f"{service} has several charges: name one of {keys}"
            if mine
            else f"{service} has no charge {charge!r} with an allowance that control could watch"
            if charge
            else f"{service} has no charge with an allowance that control could watch"
        )
    return mine[0]


def quote(*, service: str, charge: str = "", amount: str = "", quantity: str = "", at: datetime) -> Offer:
    """What an amount buys, or what a quantity costs, from the service's own prices. Raises `UnableToActError`."""
    judged = charge_of(service=service, charge=charge, at=at)
    return acting.offer(judged=judged, amount=amount, quantity=quantity, language="en")


def consent(
    *,
    service: str,
    contact: str,
    charge: str = "",
    amount: str = "",
    quantity: str = "",
    period_only: bool = False,
    ahead: bool = False,
    actor: str,
    reason: str,
    at: datetime,
) -> tuple[Offer, Given]:
    """Record a consent that a contact gave to an operator; the reason says how they were known.

    Raises `UnableToActError`, `UnableToConsentError`.
    """
    if not reason.strip():
        raise UnableToActError("say how the customer said so, and how they were known")
    judged = charge_of(service=service, charge=charge, at=at)
    offered = acting.offer(
        judged=judged, amount=amount, quantity=quantity, language="en", once=period_only, ahead=ahead
    )
    one = judged.counted
    used = judged.standing.billable
    with transaction.atomic():
        evaluating.lock_account(one.account.id)
        given = overage.give_consent(
            new=overage.NewConsent(
                account=one.account.id,
                contact=contact,
                scope=acting.scope_of(one),
                limit=offered.limit,
                unit=offered.unit,
                shown=overage.Shown(judged.terms.version, offered.rate, offered.text),
                how="operator",
                came_from=actor,
                period_name=offered.period_name,
                pre_acknowledged=offered.beforehand,
            ),
            at=at,
            actor=actor,
            reason=reason,
            used=used or None,
            used_amount=cost(used, judged.terms) if used else None,
            most=credit.bound_of(one, at=at),
        )
        evaluating.evaluate(owners=[(one.account.id, one.service.id)], at=at, actor=actor)
    return offered, given


def consent_for_all(
    *,
    account: str,
    contact: str,
    amount: str,
    period_only: bool = False,
    actor: str,
    reason: str,
    at: datetime,
) -> tuple[Offer, Given]:
    """Record one limit for everything of an account (external id), as a contact gave it to an operator.

    Raises `UnableToActError`, `UnableToFindAccountError`.
    """
    if not reason.strip():
        raise UnableToActError("say how the customer said so, and how they were known")
    row = customers.account(account)
    with transaction.atomic():
        evaluating.lock_account(row.id)
        of = whole.whole(account=row.id, at=at)
        offered = whole.offer(of=of, amount=amount, language="en")
        given = whole.consent(
            of=of, contact=contact, offered=offered, how="operator", came_from=actor, actor=actor, at=at,
            period_name=of.bound[0].counted.period_name if period_only and of.bound else "", reason=reason,
        )  # fmt: skip
        whole.look_at_all(row.id, at=at, actor=actor)
    return offered, given


def withdraw(*, consent: int, actor: str, reason: str, at: datetime) -> None:
    """End a consent on the customer's word. Raises `UnableToConsentError`."""
    with transaction.atomic():
        overage.withdraw_consent(consent=consent, actor=actor, reason=reason, at=at)
        _look_again(consent, actor, at)


def decide(*, consent: int, approve: bool, actor: str, reason: str, at: datetime) -> Given:
    """Approve or refuse a consent that waits for the provider; who set it is told. Raises `UnableToConsentError`."""
    with transaction.atomic():
        given = overage.decide_consent(consent=consent, approve=approve, actor=actor, reason=reason, at=at)
        row = records.consent(consent=consent)
        if row is not None:
            deciding_consents.tell(row=row, approved=approve, reason=reason, at=at)
        _look_again(consent, actor, at)
        return given


def attack(
    *,
    service: str,
    start: datetime,
    until: datetime,
    evidence: str,
    at_most: Fraction | None = None,
    in_unit: str = "",
    actor: str,
    reason: str,
    at: datetime,
) -> int:
    """Record that traffic was done to a service; it does not count as its use. Raises `UnableToRecordError`."""
    row = services.service(service)
    with transaction.atomic():
        number = overage.record_attack(
            service=row.id, start=start, until=until, evidence=evidence, at_most=at_most, in_unit=in_unit,
            actor=actor, reason=reason, at=at,
        )  # fmt: skip
        evaluating.evaluate(owners=[(row.account_id, row.id)], at=at, actor=actor)
        return number


def withdraw_attack(*, attack: int, actor: str, reason: str, at: datetime) -> None:
    """Take back that there was an attack. Raises `UnableToRecordError`."""
    overage.withdraw_attack(attack=attack, actor=actor, reason=reason, at=at)


@dataclass(frozen=True, slots=True)
class Exposed:
    """What the provider may have to absorb of one charge: what its line carries while a pause takes effect.

    `bound` is None where the meter does not say how fast its line is.
    """

    service: str
    charge: str
    bound: Money | None
    lag_s: int


def exposure(*, at: datetime) -> list[Exposed]:
    """What the provider stands to absorb, charge by charge, the largest first, unknown ones before all."""
    catalog = catalogs.catalog()
    lag = catalog.overage.lag_s
    out = []
    for one in judge(controlled(accounts=customers.account_ids(), catalog=catalog, at=at), catalog=catalog, at=at):
        rate = catalog.meter(one.counted.charge.measure.meter).max_rate
        scale = catalog.meter(one.counted.charge.measure.meter).scale
        bound = None
        if rate is not None:
            bound = exposure_bound(rate * 10**scale * one.counted.factor, lag, one.standing)
        out.append(Exposed(one.counted.service.external_id, one.counted.charge.key, bound, lag))
    return sorted(
        out, key=lambda e: (e.bound is not None, -(0 if e.bound is None else e.bound.minor), e.service, e.charge)
    )


def _look_again(consent: int, actor: str, at: datetime) -> None:
    row = records.consent(consent=consent)
    if row is None:
        return
    owners = (
        [(row.account, row.service)]
        if row.service is not None
        else [
            (row.account, service.id)
            for account in services.accounts_for_close([row.account])
            for service in account.services
        ]
    )
    evaluating.evaluate(owners=owners, at=at, actor=actor)
