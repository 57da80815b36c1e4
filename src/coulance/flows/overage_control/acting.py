"""What a customer does about overage, by the link of a warning or in the portal: know, allow, withdraw, pause, resume.

Each act is one transaction: the record, the evidence that it reached a person, and the look at the service that
follows at once, so that a pause which the act ends is lifted with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TypeVar

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalog_room
from coulance.customers import queries as customers
from coulance.customers.queries import ContactRow
from coulance.enforcement import operations as enforcement
from coulance.enforcement import queries as register
from coulance.flows.overage_control import credit, evaluating
from coulance.flows.overage_control.counted import Counted
from coulance.flows.overage_control.everything import controlled
from coulance.flows.overage_control.judging import Judged, cost, judge
from coulance.flows.overage_control.outlook import Outlook, outlook
from coulance.flows.overage_control.telling import short_hash
from coulance.flows.sending.wording import language_of
from coulance.invoicing.documents.words import Words
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.overage.errors import UnableToConsentError
from coulance.overage.reading import ConsentRow
from coulance.services import queries as services
from coulance_core.enforcement.restrictions import Action, Source
from coulance_core.kernel import Money, exact
from coulance_core.notices import EvidenceKind
from coulance_core.overage.limit import UnableToLimitError, amount_for, quantity_for
from coulance_core.overage.terms import Limit
from coulance_core.rating.words import price_words

_MOST = 10**12
_T = TypeVar("_T")


class UnableToActError(ValueError):
    """What a customer asked for can't be done; the text says why, in their language."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who acts: a contact of an account, by `link` (with the key of the message it came in) or in the `portal`."""

    account: int
    contact: ContactRow
    how: str
    came_from: str = ""
    message: str = ""

    @property
    def actor(self) -> str:
        """How the audit log names them."""
        return f"contact:{self.contact.external_id}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A limit as it would be given: both sides of it, and the text that is agreed to; of one period, or (empty) of
    each."""

    limit: Limit
    unit: str
    text: str
    rate: str
    period_name: str = ""
    beforehand: Money | None = None
    """What may run up without anybody being asked again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A service's charge as a page shows it. `paused_by` are the sources that pause or throttle it now."""

    judged: Judged
    outlook: Outlook
    consent: ConsentRow | None
    paused_by: frozenset[Source]
    controlled: bool


def seen(*, account: int, at: datetime, service: int | None = None) -> list[Seen]:
    """Every charge with an allowance of an account (of one service), by service and charge."""
    catalog = catalog_room.catalog()
    found = judge(controlled(accounts=[account], catalog=catalog, at=at), catalog=catalog, at=at)
    mine = [one for one in found if service is None or service in one.services]
    held = register.restrictions(services=sorted({number for one in mine for number in one.services}))
    out = []
    for one in mine:
        sources = frozenset(
            row.restriction.source for row in held if row.service in one.services and not row.restriction.observe
        )
        out.append(
            Seen(
                one,
                outlook(one, catalog=catalog, at=at),
                records.consent_in_force(meter=one.ref, at=at, period_name=one.counted.period_name),
                sources,
                evaluating.is_on(),
            )
        )
    return out


def one_of(*, account: int, service: int, charge: str, at: datetime) -> Judged:
    """One charge where it stands. Raises `UnableToActError` when there is none."""
    catalog = catalog_room.catalog()
    found = judge(controlled(accounts=[account], catalog=catalog, at=at), catalog=catalog, at=at)
    for one in found:
        if service in one.services and one.counted.charge.key == charge:
            return one
    raise UnableToActError(_("This service has no such allowance now."))


def customer_of(*, account: int, contact: str, how: str, came_from: str = "", message: str = "") -> Customer:
    """A contact as who acts. Raises `UnableToActError` when they are no contact of it any more."""
    for row in customers.contacts([account]):
        if row.external_id == contact:
            return Customer(account, row, how, came_from, message)
    raise UnableToActError(_("You are no contact of this account any more."))


def offer(
    *, judged: Judged, amount: str = "", quantity: str = "", language: str, once: bool = False, ahead: bool = False
) -> Offer:
    """What a typed amount or quantity comes to, and the text of the agreement; with `once` for this period only.

    With `ahead` they need not be asked again, up to the limit, where the provider would stop for an answer.

    Raises `UnableToActError`.
    """
    with translation.override(language_of(language)):
        typed = "quantity" if quantity.strip() else "amount"
        terms, unit = judged.terms, judged.counted.unit
        value = number(quantity if typed == "quantity" else amount)
        try:
            if typed == "amount":
                try:
                    money = Money.of(value, terms.currency)
                except ValueError as error:
                    raise UnableToActError(_("An amount has no more than its cents.")) from error
                limit = Limit(money, quantity_for(money, terms), "amount")
            else:
                limit = Limit(amount_for(value, terms), value, "quantity")
        except UnableToLimitError as error:
            if typed == "amount":
                raise UnableToActError(_("This price depends on single events: type a quantity.")) from error
            limit = Limit(None, value, "quantity")
        code = judged.counted.part.version.currency
        rate = price_words(judged.counted.charge.price, unit, code)
        beforehand = limit.amount if ahead else None
        text = _agreement(judged, limit, Words.of(language_of(language)), once=once, ahead=beforehand is not None)
        return Offer(limit, unit, text, rate, judged.counted.period_name if once else "", beforehand)


def number(text: str) -> Fraction:
    """What was typed, in either notation. Raises `UnableToActError`."""
    plain = text.strip().replace("\u00a0", "").replace(" ", "").lstrip("€")
    if "," in plain and "." not in plain:
        plain = plain.replace(",", ".")
    try:
        value = Decimal(plain)
    except InvalidOperation as error:
        raise UnableToActError(_("Type a number, such as 50 or 49.95.")) from error
    if not value.is_finite() or not 0 <= value <= _MOST or -int(value.as_tuple().exponent) > 9:
        raise UnableToActError(_("Type a number from 0 up, such as 50 or 49.95."))
    return exact(value)


def _agreement(judged: Judged, limit: Limit, words: Words, *, once: bool, ahead: bool) -> str:
    one = judged.counted
    said = {
        "service": one.service.name,
        "charge": one.charge.name,
        "included": words.amount_of(one.included, one.unit),
        "amount": words.money(limit.amount.decimal(), limit.amount.currency) if limit.amount is not None else "–",
        "quantity": words.amount_of(limit.quantity, one.unit) if limit.quantity is not None else "–",
        "terms": judged.terms.version,
    }
    parts = []
    if limit.typed == "amount" and judged.terms.tax_included:
        parts.append(_("I allow overage of %(charge)s on %(service)s up to %(amount)s a period, tax included.") % said)
    elif limit.typed == "amount":
        parts.append(_("I allow overage of %(charge)s on %(service)s up to %(amount)s a period, before tax.") % said)
    else:
        parts.append(_("I allow overage of %(charge)s on %(service)s up to %(quantity)s a period.") % said)
    if limit.quantity is not None and limit.amount is not None:
        parts.append(
            _("By the prices of %(terms)s that is %(quantity)s past the %(included)s included, for at most %(amount)s.")
            % said
        )
    if ahead:
        parts.append(_("Up to that nothing stops for my answer: I know what I run up."))
    if once:
        parts.append(_("It is for %(month)s only.") % {"month": words.month(one.period_name)})
    parts.append(
        _("At the limit the network of %(service)s is paused. I can change or withdraw this at any time.") % said
    )
    return " ".join(parts)


def give(*, by: Customer, judged: Judged, offered: Offer, at: datetime) -> overage.Given:
    """Allow overage up to a limit, from now on, each period. It also says that they know.

    Raises `UnableToActError` with the reason.
    """
    one = judged.counted

    def act() -> overage.Given:
        fresh = one_of(account=by.account, service=one.service.id, charge=one.charge.key, at=at)
        try:
            return overage.give_consent(
                new=overage.NewConsent(
                    account=by.account,
                    contact=by.contact.external_id,
                    scope=scope_of(one),
                    limit=offered.limit,
                    unit=offered.unit,
                    shown=overage.Shown(judged.terms.version, offered.rate, offered.text),
                    how=by.how,
                    came_from=by.came_from,
                    period_name=offered.period_name,
                    pre_acknowledged=offered.beforehand,
                ),
                at=at,
                actor=by.actor,
                used=fresh.standing.billable or None,
                used_amount=cost(fresh.standing.billable, fresh.terms) if fresh.standing.billable else None,
                most=credit.bound_of(one, at=at),
            )
        except UnableToConsentError as error:
            raise UnableToActError(_refusal(error)) from error

    return _act(by, judged, at, act)


def scope_of(one: Counted) -> overage.Scope:
    """Consent sits where the allowance sits."""
    if one.pool is not None:
        return overage.Scope(pool=one.pool.key, group=one.group)
    return overage.Scope(service=one.service.id, charge=one.charge.key)


def acknowledge(*, by: Customer, judged: Judged, at: datetime) -> None:
    """Say that they know."""
    _act(by, judged, at, lambda: None)


def withdraw(*, by: Customer, judged: Judged, consent: int, at: datetime) -> None:
    """End a consent: what is used from now on is not charged. Raises `UnableToActError`."""
    row = records.consent(consent=consent)
    if row is None or row.account != by.account or not row.governs(judged.ref):
        raise UnableToActError(_("There is no such limit."))

    def act() -> None:
        try:
            overage.withdraw_consent(consent=consent, actor=by.actor, reason="withdrawn by the customer", at=at)
        except UnableToConsentError as error:
            raise UnableToActError(_refusal(error)) from error

    _act(by, judged, at, act, everything=row.service is None and not row.pool)


def pause(*, by: Customer, judged: Judged, at: datetime) -> None:
    """Pause the network of their own service, whatever its limit."""

    def act() -> None:
        for service in judged.services:
            enforcement.place(
                service=service,
                source=Source.CUSTOMER,
                ref="customer",
                reason="asked for by the customer",
                action=Action.PAUSE,
                actor=by.actor,
                at=at,
            )

    _act(by, judged, at, act)


def resume(*, by: Customer, judged: Judged, at: datetime) -> int:
    """End the pause that they asked for, and no other; how many were lifted."""

    def act() -> int:
        return sum(
            enforcement.lift(
                service=service,
                source=Source.CUSTOMER,
                ref="customer",
                actor=by.actor,
                reason="asked for by the customer",
                at=at,
            )
            for service in judged.services
        )

    return _act(by, judged, at, act)


def _act(by: Customer, judged: Judged, at: datetime, act: Callable[[], _T], *, everything: bool = False) -> _T:
    """Do it, record that a person acted, and look at the service (at `everything` of theirs) again, all in one."""
    one = judged.counted
    with transaction.atomic():
        evaluating.lock_account(by.account)
        for delivery in _told_them(by, judged):
            notices.record_human_act(
                delivery=delivery,
                kind=EvidenceKind.ACKNOWLEDGED,
                by=by.actor,
                at=at,
                source=f"answer/{delivery}",
            )
        done = act()  # after the evidence: it proves the address that a consent stands on
        if one.used >= one.included:  # what is known beforehand acknowledges no overage yet
            overage.acknowledge(
                meter=judged.ref,
                period_name=one.period_name,
                contact=by.contact.external_id,
                how=by.how,
                source=_source(by, judged),
                actor=by.actor,
                at=at,
            )
        own = [one.service.id]
        if everything:
            own = [s.id for row in services.accounts_for_close([by.account]) for s in row.services]
        evaluating.evaluate(owners=[(by.account, service) for service in own], at=at, actor=by.actor)
        evaluating.answered(judged.ref, at=at)
    return done


def _told_them(by: Customer, judged: Judged) -> list[int]:
    """The deliveries that the act is evidence for: of the link's message, or of this period's warnings to them."""
    if by.message:
        return sent.deliveries_of(key=by.message)
    one = judged.counted
    warned = records.warnings(account=by.account, period_name=one.period_name)
    keys = [row.message for row in warned if row.meter == judged.ref.key and row.message]
    found = [sent.delivery(number) for key in dict.fromkeys(keys) for number in sent.deliveries_of(key=key)]
    return [row.id for row in found if row is not None and row.contact_ref == by.contact.external_id]


def _source(by: Customer, judged: Judged) -> str:
    whole = f"{by.how}/{by.account}/{judged.ref.key}/{judged.counted.period_name}/{by.contact.external_id}/{by.message}"
    return whole if len(whole) <= 200 else whole[:150] + short_hash(whole)


def _refusal(error: UnableToConsentError) -> str:
    return str(error)
