"""What is collected by mandates, from when on: planned, claimed and announced, each account by itself.

Killed and done again each debt is claimed once. What can't be collected is said with its reason, and stays as it was.
A debt in a payment plan is collected by its instalments, never beyond them; what is contested is not collected.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.flows import payments as money
from coulance.flows.rails import instalments, wording
from coulance.flows.rails.alone import alone
from coulance.flows.rails.telling import people_of, portal_link, tell
from coulance.payments import agreements, claims, collecting, collections, mandates
from coulance.payments import queries as payments
from coulance.payments.agreements import AgreementRow
from coulance.payments.collections import CollectionRow
from coulance.payments.debit_file import Creditor
from coulance.payments.errors import UnableToCollectError
from coulance.payments.mandates import SignedMandate
from coulance.payments.restored import is_resting
from coulance_core.catalog.terms import Catalog
from coulance_core.kernel import Money
from coulance_core.payments import OpenItem
from coulance_core.payments.agreed import ChargeRefusal
from coulance_core.payments.direct_debit import CollectionState, collect_on

HORIZON = timedelta(days=7)
"""How long before its announcement must go out a debt is planned: what comes nearer waits for no second look."""


@dataclass(frozen=True, slots=True)
class NotCollected:
    """What can't be collected by itself, and why."""

    account: int
    what: str
    why: str


@dataclass(slots=True)
class Planned:
    """What planning did: collections made, and what was left."""

    made: list[CollectionRow] = field(default_factory=list)
    left: list[NotCollected] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Line:
    """What a collection brings so much for: a debt and its number; neither for the balance."""

    ref: str
    number: str
    amount: Money


def creditor(whole: Catalog) -> Creditor:
    """Who collects. Raises `UnableToCollectError` where the provider file doesn't say."""
    found = whole.provider
    if not whole.payments.creditor_id or not found.iban:
        raise UnableToCollectError(
            "to collect, the provider file says [payments] creditor_id and [provider] iban (and bic, for older banks)"
        )
    return Creditor(
        found.name, "".join(found.iban.split()), "".join((found.bic or "").split()), whole.payments.creditor_id
    )


def plan_due(*, on: date, actor: str, at: datetime, accounts: Iterable[int] | None = None) -> Planned:
    """Plan and announce what falls due soon of accounts with a mandate, each account in its own transaction.

    Money on hand is allocated first. What is disputed, claimed already, or came back and waits for a person is left.
    """
    whole = catalog.catalog()
    creditor(whole)
    require_may_collect()
    out = Planned()
    with transaction.atomic():
        mandates.end_lapsed(on=on, actor=actor, at=at)
    by_account = mandates.in_force(on=on, accounts=accounts)
    for account in sorted(by_account):
        with alone(f"collecting from account {account}", at=at), transaction.atomic():
            money.settle(
                accounts=[account],
                on=on,
                actor=actor,
                reason="money on hand goes before a collection",
                at=at,
                policy=whole.payments.allocation,
            )
            _plan(account, by_account[account], whole, on, actor, at, out)
    return out


def require_may_collect() -> None:
    """Refuse to collect after a restore. Raises `UnableToCollectError`."""
    if is_resting():
        raise UnableToCollectError(
            "after a restore it isn't known what the bank has been given since: look there, and clear the alarm"
            " payments.restored"
        )


def _plan(
    account: int, mandate: SignedMandate, whole: Catalog, on: date, actor: str, at: datetime, out: Planned
) -> None:
    terms = whole.payments
    word = agreements.invoices_by(mandate=mandate.id, account=account)
    if word is False:
        return  # they pay their invoices themselves, and let us collect what fills their balance
    taken = claims.claimed(accounts=[account])
    stuck = came_back_for_good(accounts=[account])
    soon = on + timedelta(days=terms.notice_days) + HORIZON
    items = payments.open_items(accounts=[account]).get(account, ())
    planned = instalments.wanted(account=account, items=items, on=on)
    in_plans = {ref for one in planned for ref in one.debts}
    by_day: dict[date, list[OpenItem]] = defaultdict(list)
    for item in items:
        if item.payable.minor <= 0 or item.open.currency != "EUR" or item.ref in taken or item.due_on > soon:
            continue
        if item.ref in in_plans:
            continue
        if item.ref in stuck:
            out.left.append(NotCollected(account, item.number, f"it came back ({stuck[item.ref]}): a person decides"))
            continue
        day = collect_on(due_on=item.due_on, told_on=on, notice_days=terms.notice_days, lead_days=terms.lead_days)
        by_day[day].append(item)
    numbers = {item.ref: item.number for item in items}
    for day, due in sorted(by_day.items()):
        fitting = _within(word, mandate, due, day, out)
        lines = [Line(item.ref, item.number, item.payable) for item in fitting]
        _collect(mandate, lines, day, whole, actor, at, out)
    for one in planned:
        if one.amount.minor <= 0 or one.due_on > soon or taken & one.debts:
            continue
        if caught := [ref for ref, _ in one.parts if ref in stuck]:
            why = f"it came back ({stuck[caught[0]]}): a person decides"
            out.left.append(NotCollected(account, numbers[caught[0]], why))
            continue
        day = collect_on(due_on=one.due_on, told_on=on, notice_days=terms.notice_days, lead_days=terms.lead_days)
        lines = [Line(ref, numbers[ref], part) for ref, part in one.parts]
        _collect(mandate, lines, day, whole, actor, at, out, purpose=collections.INSTALMENT, basis=one.basis)


def _within(
    word: AgreementRow | None, mandate: SignedMandate, items: Sequence[OpenItem], day: date, out: Planned
) -> list[OpenItem]:
    """What of these the customer's own limits let us collect together, in the order it falls due."""
    if word is None:
        return list(items)
    fitting: list[OpenItem] = []
    total = Money(0, "EUR")
    month = collections.collected_in_month(mandate=mandate.id, month=day)
    for item in items:
        refusal = word.limits.refuses(total + item.payable, month)
        if refusal is not None:
            said = {ChargeRefusal.ABOVE_EACH: "at once", ChargeRefusal.ABOVE_MONTH: "in a month"}[refusal]
            out.left.append(NotCollected(item.account, item.number, f"it is more than they let us collect {said}"))
            continue
        fitting.append(item)
        total += item.payable
    return fitting


def _collect(
    mandate: SignedMandate,
    lines: Sequence[Line],
    day: date,
    whole: Catalog,
    actor: str,
    at: datetime,
    out: Planned,
    **more: str,
) -> None:
    if not lines:
        return
    if (reason := mandate.unusable(day)) is not None:
        out.left += [
            NotCollected(mandate.account, line.number, f"the mandate is {reason.value} by then") for line in lines
        ]
        return
    made = announce(mandate, lines, day, whole, actor, at, None, **more)
    if made is None:
        out.left += [NotCollected(mandate.account, line.number, "there is nobody to announce it to") for line in lines]
    else:
        out.made.append(made)


def announce(
    mandate: SignedMandate,
    lines: Sequence[Line],
    day: date,
    whole: Catalog,
    actor: str,
    at: datetime,
    retry_of: CollectionRow | None,
    purpose: str = collections.DEBTS,
    basis: str = "",
) -> CollectionRow | None:
    """Plan a collection of these lines and tell its people; none where there is nobody to tell."""
    people = people_of(mandate.account)
    if not people:
        return None
    number = collecting.next_collection()
    key = f"collection/{number}"
    made = collecting.plan_collection(
        collection=number,
        mandate=mandate,
        parts=[(line.ref, line.amount) for line in lines if line.ref],
        amount=sum((line.amount for line in lines), Money(0, "EUR")),
        purpose=purpose,
        basis=basis,
        collect_on=day,
        message_key=key,
        actor=actor,
        at=at,
        retry_of=retry_of,
    )
    tell(
        key=key,
        account=mandate.account,
        about=key,
        to=people,
        at=at,
        actor=actor,
        write=lambda language, name: wording.announcement(
            mandate=mandate,
            items=[(line.number, line.amount) for line in lines],
            on=day,
            seller=whole.provider,
            creditor_id=whole.payments.creditor_id,
            language=language,
            name=name,
            again=retry_of is not None,
            link=portal_link(),
        ),
    )
    return made


def came_back_for_good(*, accounts: Collection[int]) -> dict[str, str]:
    """Debts whose last collection came back so that no other is made by itself: refs, with the bank's reason."""
    found = collections.collections(
        accounts=accounts,
        states=[CollectionState.RETURNED, CollectionState.REFUSED, CollectionState.COLLECTED, CollectionState.PLANNED],
    )
    out: dict[str, str] = {}
    for row in sorted(found, key=lambda row: row.id):
        for ref, _ in row.parts:
            if row.state in (CollectionState.RETURNED, CollectionState.REFUSED):
                out[ref] = f"{row.return_code}: {row.why}"
            else:
                out.pop(ref, None)
    return out
