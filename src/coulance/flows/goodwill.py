"""Goodwill on a line of an issued invoice: proposed with what it costs and whom it is for, granted as a credit note.

A grant is one transaction: the budget is locked and checked, the credit note (a price reduction on that very line) is
numbered and booked, and the grant is recorded and audited. Refused anywhere, nothing of it happened.
"""

from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import transaction

from coulance.catalog import queries as catalogs
from coulance.flows.advice import as_agreed
from coulance.flows.crediting import give_credit_note
from coulance.flows.fair_terms import goodwill_policy
from coulance.invoicing import queries as invoicing
from coulance.invoicing.crediting import creditable
from coulance.overage import ways_out
from coulance.platform import audit
from coulance.services import queries as services
from coulance_core.catalog.terms import Catalog, NotInCatalogError
from coulance_core.invoicing import CreditRequest, CreditType, DraftLine, Issued
from coulance_core.kernel import Money, Rounding
from coulance_core.overage.goodwill import (
    By,
    Cause,
    Effect,
    GoodwillError,
    GoodwillPolicy,
    Grant,
    Granted,
    History,
    PastUse,
    Proposal,
    cause_of,
    effect,
    granted,
    history,
    propose,
    within_budget,
)
from coulance_core.rating.base import UnableToPriceError

KINDS = frozenset({"overage", "late_usage", "carried", "minimum", "plan_difference"})
"""The lines that goodwill is for: usage. A base fee is lowered by an ordinary credit note."""
_LOOK_BACK = 12


class UnableToGrantError(ValueError):
    """Goodwill that can't be given: no such line, more than is left, or not within a budget."""


@dataclass(frozen=True, slots=True)
class LineProposal:
    """A line, what is left of it, what the policy proposes, and what stands beside the decision.

    `effect` is that of the proposed grant (or of giving all, where nothing is proposed); `budget_left` is None where
    nobody is bounded.
    """

    number: str
    line: int
    service: str
    description: str
    billed: Money
    left: Money
    proposal: Proposal
    history: History | None
    effect: Effect | None
    budget_left: Money | None


@dataclass(frozen=True, slots=True)
class GoodwillGiven:
    """What was given: the credit note's number, its amount before tax, and what is left of the line."""

    credit_note: str
    amount: Money
    left: Money
    effect: Effect


def propose_goodwill(
    *,
    number: str,
    at: datetime,
    line: int | None = None,
    cause: Cause | None = None,
    role: str = "admin",
    actor: str = "",
    policy: GoodwillPolicy | None = None,
) -> tuple[LineProposal, ...]:
    """What could be given on an invoice's usage lines (or one of them), and what to know before.

    Without a `cause`, the line's history suggests one. Writes nothing. Raises `UnableToGrantError` for an invoice
    without usage lines, `UnableToFindDocumentError`.
    """
    catalog = catalogs.catalog()
    policy = policy or goodwill_policy(catalog)
    with transaction.atomic():
        account, invoice, _ = creditable(number)
    return propose_on(
        account, invoice, at=at, line=line, cause=cause, role=role, actor=actor, policy=policy, catalog=catalog
    )


def propose_on(
    account: int,
    invoice: Issued,
    *,
    at: datetime,
    catalog: Catalog,
    policy: GoodwillPolicy,
    line: int | None = None,
    cause: Cause | None = None,
    role: str = "admin",
    actor: str = "",
) -> tuple[LineProposal, ...]:
    """The same for an invoice as it is at hand, issued or about to be."""
    month = _month(catalog, at)
    spent = ways_out.goodwill_spent(actor=actor, month=month, currency=invoice.currency)
    out = []
    for one in _usage_lines(invoice, line):
        left = Money(invoice.left(one), invoice.currency)
        past = _history(catalog, account, invoice, one, policy)
        why = cause or (Cause.OTHER if past is None else cause_of(past.habit))
        proposal = propose(
            why,
            line=one.net,
            left=left,
            quantity=one.quantity,
            unit=one.unit,
            policy=policy,
            rounding=catalog.provider.rounding,
        )
        given = proposal.granted
        if given is None and left.minor > 0:
            given = granted(one.net, left, Grant(By.CAP, Money(0, invoice.currency)))
        out.append(
            LineProposal(
                invoice.number,
                one.no,
                one.service.external_id if one.service else f"pool {one.pool}",
                one.description,
                one.net,
                left,
                proposal,
                past,
                None if given is None else _effect(catalog, one, given, policy, at),
                _budget_left(policy, role, spent),
            )
        )
    return tuple(out)


def grant_goodwill(
    *,
    number: str,
    grant: Grant,
    cause: Cause,
    reason: str,
    actor: str,
    at: datetime,
    role: str,
    line: int | None = None,
    policy: GoodwillPolicy | None = None,
) -> GoodwillGiven:
    """Give goodwill on a usage line of an invoice (needed where there are several); one transaction.

    `role` is that of whoever grants; their budget is by `actor` and month. Raises `UnableToGrantError`,
    `UnableToCreditError`, `UnableToFindDocumentError`, with nothing changed.
    """
    if not reason.strip():
        raise UnableToGrantError("goodwill needs a reason: the customer reads it on the credit note")
    catalog = catalogs.catalog()
    policy = policy or goodwill_policy(catalog)
    month = _month(catalog, at)
    document = invoicing.document(number=number).row
    with transaction.atomic():
        # The budget first, then the invoice: everybody locks in this order.
        spent = ways_out.goodwill_spent(actor=actor, month=month, currency=document.net.currency, lock=True)
        account, invoice, _ = creditable(number)
        lines = _usage_lines(invoice, line)
        if len(lines) > 1:
            which = ", ".join(f"{one.no} ({one.description}, {one.net})" for one in lines)
            raise UnableToGrantError(f"{number} has several usage lines: say which, of {which}")
        (one,) = lines
        left = Money(invoice.left(one), invoice.currency)
        try:
            given = granted(one.net, left, grant, rounding=catalog.provider.rounding)
        except GoodwillError as error:
            raise UnableToGrantError(f"{number} line {one.no}: {error}") from error
        refusal = within_budget(policy, role, spent=spent, amount=given.amount)
        if refusal is not None:
            raise UnableToGrantError(refusal.message)
        impact = _effect(catalog, one, given, policy, at)
        note = give_credit_note(
            number=number,
            lines=[CreditRequest(one.no, given.amount)],
            credit_type=CreditType.PRICE_REDUCTION,
            reason=reason,
            actor=actor,
            at=at,
        )
        ways_out.record_goodwill(
            account=account,
            document=document.id,
            line=one.no,
            amount=given.amount,
            cost=impact.cost,
            cause=cause.value,
            reason=reason.strip(),
            role=role,
            month=month,
            credit_note=note,
            explanation=given.explanation.to_json(),
            actor=actor,
            at=at,
        )
        audit.record(
            actor=actor,
            act="goodwill.granted",
            subject=f"invoice:{number}",
            at=at,
            reason=reason.strip(),
            detail={
                "line": one.no,
                "cause": cause.value,
                "amount": str(given.amount),
                "left": str(given.left),
                "credit_note": note,
                "role": role,
            },
        )
    return GoodwillGiven(note, given.amount, given.left, impact)


def _month(catalog: Catalog, at: datetime) -> str:
    return at.astimezone(catalog.provider.zone_info).strftime("%Y-%m")


def _budget_left(policy: GoodwillPolicy, role: str, spent: Money) -> Money | None:
    if not policy.budgets:
        return None
    budget = policy.budgets.get(role)
    if budget is None or budget.currency != spent.currency:
        return Money(0, spent.currency)
    return Money(max(budget.minor - spent.minor, 0), spent.currency)


def _usage_lines(invoice: Issued, wanted: int | None) -> list[DraftLine]:
    found = [one for one in invoice.lines if one.kind in KINDS and one.net.minor > 0]
    if wanted is not None:
        found = [one for one in found if one.no == wanted]
        if not found:
            raise UnableToGrantError(f"{invoice.number} has no usage line {wanted}")
    if not found:
        raise UnableToGrantError(f"{invoice.number} has no usage lines: a base fee is lowered with coulance credit")
    return found


def _effect(catalog: Catalog, line: DraftLine, given: Granted, policy: GoodwillPolicy, at: datetime) -> Effect:
    return effect(
        given,
        quantity=line.quantity,
        unit=line.unit,
        base_fee=_base_fee(catalog, line, at.astimezone(catalog.provider.zone_info).date()),
        terms=policy.costs,
    )


def _base_fee(catalog: Catalog, line: DraftLine, on: date) -> Money | None:
    """What the line's service pays a month anyway: its plan's fee of today, or what was agreed for it."""
    if line.service is None or line.service.id is None:
        return None
    for row in services.subscriptions([line.service.id]).get(line.service.id, ()):
        if row.valid_from <= on and (row.valid_until is None or row.valid_until > on):
            try:
                prices = services.agreed_prices([line.service.id]).get(line.service.id, ())
                version = as_agreed(catalog.plan_version(row.plan, on), prices, on)
            except (NotInCatalogError, UnableToPriceError):
                return None
            if version.base is None:
                return None
            units = row.quantity if version.base.per_unit else 1
            amount = version.base.amount * units / version.base.interval_months
            return Money.of(amount, version.currency, Rounding.DOWN)
    return None


def _history(
    catalog: Catalog, account: int, invoice: Issued, line: DraftLine, policy: GoodwillPolicy
) -> History | None:
    """The line's period beside the service's periods before it, as they were settled; none for a pool."""
    if line.service is None or line.service.id is None or not line.charge:
        return None
    zone = ZoneInfo(invoice.buyer.zone)
    subscriptions = services.subscriptions([line.service.id]).get(line.service.id, ())
    rows = []
    for row in invoicing.settled_figures(accounts=[account]):
        if row.service != line.service.id or row.charge != line.charge or row.period_name > invoice.period_name:
            continue
        included = Fraction(0)
        day = date.fromisoformat(f"{row.period_name}-01")
        if row.period_name == invoice.period_name:
            day = invoice.period.start.astimezone(zone).date()
        for subscribed in subscriptions:
            if subscribed.valid_from <= day and (subscribed.valid_until is None or subscribed.valid_until > day):
                included = _included(catalog, subscribed.plan, subscribed.quantity, line.charge, day)
        rows.append((PastUse(row.period_name, row.quantity, included), row.unit))
    rows.sort(key=lambda one: one[0].period)
    this = [one for one, _ in rows if one.period == invoice.period_name]
    if not this:
        return None
    earlier = [one for one, _ in rows if one.period < invoice.period_name][-_LOOK_BACK:]
    return history(this[0], earlier, unit=rows[-1][1], factor=policy.factor, at_least=policy.periods)


def _included(catalog: Catalog, plan: str, quantity: int, charge: str, on: date) -> Fraction:
    try:
        terms = catalog.plan_version(plan, on).charge(charge)
    except LookupError:
        return Fraction(0)
    part = terms.allowance or terms.commitment
    if part is None:
        return Fraction(0)
    included = part.quantity.to(terms.measure.unit).value
    return included * quantity if part.per_unit else included
