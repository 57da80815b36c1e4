"""One limit for a whole account: an amount that all its allowances share which have no limit of their own.

What each of them costs is its own prices' matter, so such a limit has no quantity. Acts are as those on one allowance:
one transaction, and everything that it binds is looked at again in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalog_room
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow
from coulance.flows.overage_control import credit, evaluating
from coulance.flows.overage_control.acting import Customer, Offer, UnableToActError, number
from coulance.flows.overage_control.everything import controlled
from coulance.flows.overage_control.judging import Judged, cost, judge
from coulance.flows.sending.wording import language_of
from coulance.invoicing.documents.words import Words
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.overage.errors import UnableToConsentError
from coulance.overage.reading import ConsentRow
from coulance.services import queries as services
from coulance_core.invoicing import BuyerKind
from coulance_core.kernel import Money
from coulance_core.notices import EvidenceKind
from coulance_core.overage.terms import Limit

TERMS = "account"
"""What a limit on everything was given under: no one plan's terms. It has no quantity that a price could change."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Whole:
    """An account's allowances that its own limit binds, or would: those without a limit of their own.

    `apart` have one, nearer. `spent` is payable for the former so far in the period, within the limit or without one.
    """

    account: AccountRow
    bound: tuple[Judged, ...]
    apart: tuple[Judged, ...]
    consent: ConsentRow | None
    spent: Money


def whole(*, account: int, at: datetime) -> Whole:
    """Where an account stands as a whole. Raises `UnableToActError` where nothing of it has an allowance."""
    catalog = catalog_room.catalog()
    found = judge(controlled(accounts=[account], catalog=catalog, at=at), catalog=catalog, at=at)
    if not found:
        raise UnableToActError(_("No service of yours has an allowance that is counted."))
    (row,) = customers.accounts([account])
    bound, apart, mine = [], [], None
    for one in found:
        word = records.consent_in_force(meter=one.ref, at=at, period_name=one.counted.period_name)
        if word is not None and word.scope != "account":
            apart.append(one)
            continue
        mine = mine or word
        bound.append(one)
    spent = Money(0, row.currency)
    for one in bound:
        if one.standing.billable and one.terms.currency == row.currency:
            spent += cost(one.standing.billable, one.terms)
    return Whole(row, tuple(bound), tuple(apart), mine, spent)


def offer(*, of: Whole, amount: str, language: str) -> Offer:
    """What a typed amount would allow, and the text of the agreement. Raises `UnableToActError`."""
    with translation.override(language_of(language)):
        try:
            money = Money.of(number(amount), of.account.currency)
        except ValueError as error:
            raise UnableToActError(_("An amount has no more than its cents.")) from error
        words = Words.of(language_of(language))
        said = {"amount": words.money(money.decimal(), money.currency), "name": of.account.name}
        if of.account.kind == BuyerKind.CONSUMER:
            first = _("I allow overage of all services of %(name)s together up to %(amount)s a period, tax included.")
        else:
            first = _("I allow overage of all services of %(name)s together up to %(amount)s a period, before tax.")
        parts = [first % said, _("Each counts by its own prices; one with a limit of its own keeps that.")]
        parts.append(_("At the limit the network of each that is past its allowance is paused."))
        parts.append(_("I can change or withdraw this at any time."))
        return Offer(Limit(money, None), "", " ".join(parts), "")


def give(*, by: Customer, offered: Offer, at: datetime) -> overage.Given:
    """Allow overage of everything together, from now on, each period. Raises `UnableToActError` with the reason."""

    def act() -> overage.Given:
        return consent(of=whole(account=by.account, at=at), contact=by.contact.external_id, offered=offered,
                       how=by.how, came_from=by.came_from, actor=by.actor, at=at)  # fmt: skip

    return _act(by, at, act)


def consent(
    *,
    of: Whole,
    contact: str,
    offered: Offer,
    how: str,
    came_from: str,
    actor: str,
    at: datetime,
    period_name: str = "",
    reason: str = "",
) -> overage.Given:
    """Record the word of a contact, in the caller's transaction. Raises `UnableToActError` with the reason."""
    bounds = [bound for one in of.bound if (bound := credit.bound_of(one.counted, at=at)) is not None]
    try:
        return overage.give_consent(
            new=overage.NewConsent(
                account=of.account.id,
                contact=contact,
                scope=overage.Scope(),
                limit=offered.limit,
                unit="",
                shown=overage.Shown(TERMS, offered.rate, offered.text),
                how=how,
                came_from=came_from,
                period_name=period_name,
            ),
            at=at,
            actor=actor,
            reason=reason,
            used_amount=of.spent if of.spent.minor else None,
            most=min(bounds, key=lambda one: one.minor, default=None),
        )
    except UnableToConsentError as error:
        raise UnableToActError(str(error)) from error


def withdraw(*, by: Customer, consent: int, at: datetime) -> None:
    """End the account's own limit. Raises `UnableToActError`."""
    row = records.consent(consent=consent)
    if row is None or row.account != by.account or row.scope != "account":
        raise UnableToActError(_("There is no such limit."))

    def act() -> None:
        try:
            overage.withdraw_consent(consent=consent, actor=by.actor, reason="withdrawn by the customer", at=at)
        except UnableToConsentError as error:
            raise UnableToActError(str(error)) from error

    _act(by, at, act)


def look_at_all(account: int, *, at: datetime, actor: str) -> None:
    """Look at everything of an account again, in the caller's transaction: its limit binds all of it."""
    owners = [(row.account.id, one.id) for row in services.accounts_for_close([account]) for one in row.services]
    evaluating.evaluate(owners=owners, at=at, actor=actor)


def _act(by: Customer, at: datetime, act: Callable[[], _T]) -> _T:
    with transaction.atomic():
        evaluating.lock_account(by.account)
        for delivery in sent.deliveries_of(key=by.message) if by.message else ():
            notices.record_human_act(
                delivery=delivery, kind=EvidenceKind.ACKNOWLEDGED, by=by.actor, at=at, source=f"answer/{delivery}"
            )
        done = act()  # after the evidence: it proves the address that a consent stands on
        for one in whole(account=by.account, at=at).bound:
            if one.counted.used >= one.counted.included:  # they see how each stands as they decide
                overage.acknowledge(
                    meter=one.ref, period_name=one.counted.period_name, contact=by.contact.external_id, how=by.how,
                    source=f"{by.how}/{by.account}/{one.ref.key}/{one.counted.period_name}/whole/{at.isoformat()}"[:200],
                    actor=by.actor, at=at,
                )  # fmt: skip
                evaluating.answered(one.ref, at=at)
        look_at_all(by.account, at=at, actor=by.actor)
    return done
