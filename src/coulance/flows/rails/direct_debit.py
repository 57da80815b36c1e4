"""Direct debit from due to file: collections planned and announced, put in files, handed over, and what a return means.

Each step can be killed and done again: planning claims each debt once, a file takes only what is still planned, and a
bank gets a file once. What can't be collected is said with its reason, and stays as it was.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.rails import returns_wording, wording
from coulance.flows.rails.alone import alone
from coulance.flows.rails.telling import people_of, tell, told_at
from coulance.ledger import operations as ledger
from coulance.payments import claims, collecting, collections, mandates
from coulance.payments import queries as payments
from coulance.payments.collections import CollectionRow, RunRow
from coulance.payments.debit_file import Creditor
from coulance.payments.errors import UnableToCollectError
from coulance.payments.mandates import SignedMandate
from coulance.payments.operations import withdraw_mandate
from coulance.payments.restored import is_resting
from coulance.platform.webhooks import emit
from coulance_core.catalog.terms import Catalog
from coulance_core.kernel import Money
from coulance_core.payments import OpenItem, Scheme
from coulance_core.payments.direct_debit import (
    AfterReturn,
    CollectionState,
    after_refusal,
    collect_on,
    may_retry,
    return_reason,
    target_day,
)

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


@dataclass(slots=True)
class Filed:
    """What filing did: files made, collections called off (the next planning announces them anew), how many wait."""

    runs: list[RunRow] = field(default_factory=list)
    cancelled: list[NotCollected] = field(default_factory=list)
    waiting: int = 0


def portal_link() -> str:
    """Where customers see to how they pay."""
    import os

    return (os.environ.get("COULANCE_URL", "").rstrip("/") or "http://127.0.0.1:8000") + "/my/paying"


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
    _may_collect()
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


def _may_collect() -> None:
    if is_resting():
        raise UnableToCollectError(
            "after a restore it isn't known what the bank has been given since: look there, and clear the alarm"
            " payments.restored"
        )


def _plan(
    account: int, mandate: SignedMandate, whole: Catalog, on: date, actor: str, at: datetime, out: Planned
) -> None:
    terms = whole.payments
    taken = claims.claimed(accounts=[account])
    stuck = came_back_for_good(accounts=[account])
    soon = on + timedelta(days=terms.notice_days) + HORIZON
    by_day: dict[date, list[OpenItem]] = defaultdict(list)
    for item in payments.open_items(accounts=[account]).get(account, ()):
        if item.payable.minor <= 0 or item.open.currency != "EUR" or item.ref in taken or item.due_on > soon:
            continue
        if item.ref in stuck:
            out.left.append(NotCollected(account, item.number, f"it came back ({stuck[item.ref]}): a person decides"))
            continue
        day = collect_on(due_on=item.due_on, told_on=on, notice_days=terms.notice_days, lead_days=terms.lead_days)
        by_day[day].append(item)
    for day, items in sorted(by_day.items()):
        if (reason := mandate.unusable(day)) is not None:
            out.left += [NotCollected(account, item.number, f"the mandate is {reason.value} by then") for item in items]
            continue
        made = _announce(mandate, items, day, whole, actor, at, None)
        if made is None:
            out.left += [NotCollected(account, item.number, "there is nobody to announce it to") for item in items]
        else:
            out.made.append(made)


def _announce(
    mandate: SignedMandate,
    items: Sequence[OpenItem],
    day: date,
    whole: Catalog,
    actor: str,
    at: datetime,
    retry_of: CollectionRow | None,
) -> CollectionRow | None:
    people = people_of(mandate.account)
    if not people:
        return None
    number = collecting.next_collection()
    key = f"collection/{number}"
    made = collecting.plan_collection(
        collection=number,
        mandate=mandate,
        parts=[(item.ref, item.payable) for item in items],
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
            items=[(item.number, item.payable) for item in items],
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


def file_due(*, on: date, actor: str, at: datetime) -> Filed:
    """Put planned collections whose day is near in files, one a scheme, all or none of a scheme.

    A collection that was not told in time, whose debt was paid or is contested meanwhile, or whose mandate ended, is
    called off; the next planning announces what is still owed anew.
    """
    whole = catalog.catalog()
    who = creditor(whole)
    _may_collect()
    terms = whole.payments
    out = Filed()
    by_scheme: dict[Scheme, list[CollectionRow]] = defaultdict(list)
    with transaction.atomic():
        planned = collections.collections(states=[CollectionState.PLANNED])
        signed = {one.id: one for one in mandates.mandates(accounts={row.account for row in planned})}
        items = payments.open_items(accounts={row.account for row in planned})
        for row in planned:
            last = target_day(row.collect_on, ahead=-terms.lead_days)
            mandate = signed[row.mandate]
            if (why := _off(row, mandate, items.get(row.account, ()))) is None:
                if on < last:
                    out.waiting += 1
                    continue
                why = _untold(row, whole, on, at)
            if why is not None:
                collecting.cancel_collection(row=row, on=on, actor=actor, reason=why, at=at)
                out.cancelled.append(NotCollected(row.account, row.end_to_end_id, why))
                continue
            by_scheme[mandate.scheme].append(row)
        numbers = {item.ref: item.number for own in items.values() for item in own}
        for scheme, rows in sorted(by_scheme.items()):
            out.runs.append(
                collecting.make_run(
                    rows=rows,
                    texts={row.id: " ".join(numbers[ref] for ref, _ in row.parts)[:140] for row in rows},
                    scheme=scheme,
                    creditor=who,
                    form=terms.debit_file.value,
                    first_says_first=terms.first_says_first,
                    on=on,
                    actor=actor,
                    at=at,
                )
            )
    return out


def _off(row: CollectionRow, mandate: SignedMandate, items: Sequence[OpenItem]) -> str | None:
    """Why a collection can't be any more, whenever it is looked at."""
    if (reason := mandate.unusable(row.collect_on)) is not None:
        return f"mandate {mandate.reference} is {reason.value}"
    payable = {item.ref: item.payable for item in items}
    for ref, amount in row.parts:
        if payable.get(ref) != amount:
            now = payable.get(ref, Money(0, amount.currency))
            return f"{amount} was announced for {ref}, and {now} is asked for now"
    return None


def _untold(row: CollectionRow, whole: Catalog, on: date, at: datetime) -> str | None:
    told = told_at(row.message_key, at=at)
    if told is None:
        return "its announcement has not arrived"
    day = told.astimezone(whole.provider.zone_info).date()
    if day + timedelta(days=whole.payments.notice_days) > row.collect_on:
        return f"it was told on {day}, less than {whole.payments.notice_days} days ahead"
    if target_day(on, ahead=1) > row.collect_on:
        return f"{row.collect_on} is too near for the bank"
    return None


def hand_over(*, run: int, actor: str, at: datetime, reason: str = "") -> tuple[RunRow, bytes]:
    """Fetch a file for the bank: the first time, its collections are under way.

    What changed since it was made is looked at once more then: paid another way, contested, a mandate that ended, a day
    that is too near. Raises `UnableToCollectError`: the file is called off, and made anew without it.
    """
    with transaction.atomic():
        _still_so(run, at)
        return collecting.hand_over(run=run, actor=actor, at=at, reason=reason)


def _still_so(run: int, at: datetime) -> None:
    rows = collections.collections(run=run, states=[CollectionState.FILED])
    if not rows:
        return  # fetched or called off before: `collecting.hand_over` says which
    _may_collect()
    ledger.lock_accounts(accounts={row.account for row in rows})
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    signed = {one.id: one for one in mandates.mandates(accounts={row.account for row in rows})}
    items = payments.open_items(accounts={row.account for row in rows})
    for row in rows:
        why = _off(row, signed[row.mandate], items.get(row.account, ()))
        if why is None and target_day(on, ahead=1) > row.collect_on:
            why = f"{row.collect_on} is too near for the bank"
        if why is not None:
            raise UnableToCollectError(
                f"{row.end_to_end_id} can't be collected any more: {why}. Call this file off, and make it anew"
            )


def cancel_run(*, run: int, actor: str, reason: str, at: datetime) -> int:
    """Call a file off before it was fetched; how many collections are planned again."""
    with transaction.atomic():
        return len(collecting.cancel_run(run=run, actor=actor, reason=reason, at=at))


def cancel(*, collection: int, on: date, actor: str, reason: str, at: datetime) -> CollectionRow:
    """Call one collection off before its file is made."""
    with transaction.atomic():
        row = collections.collection(collection=collection)
        return collecting.cancel_collection(row=row, on=on, actor=actor, reason=reason, at=at)


def refuse(
    *, end_to_end_id: str, code: str, on: date, actor: str, reason: str, at: datetime, whole_file: bool = False
) -> CollectionRow:
    """Note that the bank refused a collection before its day (it said so in pain.002, or by letter)."""
    with transaction.atomic():
        row = collections.collection(end_to_end_id=end_to_end_id)
        done = collecting.bank_refused(row=row, code=code, on=on, actor=actor, reason=reason, at=at)
        after_return(done, on=on, actor=actor, at=at, whole_file=whole_file)
    return done


def collect_again(*, collection: int, on: date, actor: str, reason: str, at: datetime) -> CollectionRow:
    """Collect what came back once more, by a person's decision, by the mandate in force; announced anew."""
    if not reason.strip():
        raise UnableToCollectError("say why it is collected again")
    with transaction.atomic():
        row = collections.collection(collection=collection)
        if row.state not in (CollectionState.RETURNED, CollectionState.REFUSED):
            raise UnableToCollectError(f"collection {row.end_to_end_id} is {row.state.value}: it did not come back")
        made = _again(row, on=on, actor=actor, at=at, not_before=on)
        if made is None:
            raise UnableToCollectError(f"collection {row.end_to_end_id}: {_why_not_again(row, on)}")
    return made


def _why_not_again(row: CollectionRow, on: date) -> str:
    if mandates.in_force(on=on, accounts=[row.account]).get(row.account) is None:
        return "the account has no mandate that may be used"
    if not people_of(row.account):
        return "there is nobody to announce it to"
    return "nothing of it is open, or it is being collected"


def _again(row: CollectionRow, *, on: date, actor: str, at: datetime, not_before: date) -> CollectionRow | None:
    whole = catalog.catalog()
    mandate = mandates.in_force(on=on, accounts=[row.account]).get(row.account)
    if mandate is None:
        return None
    refs = {ref for ref, _ in row.parts} - claims.claimed(accounts=[row.account])
    items = [
        item
        for item in payments.open_items(accounts=[row.account]).get(row.account, ())
        if item.ref in refs and item.payable.minor > 0
    ]
    terms = whole.payments
    day = collect_on(due_on=not_before, told_on=on, notice_days=terms.notice_days, lead_days=terms.lead_days)
    if not items or mandate.unusable(day) is not None:
        return None
    return _announce(mandate, items, day, whole, actor, at, row)


def after_return(row: CollectionRow, *, on: date, actor: str, at: datetime, whole_file: bool = False) -> None:
    """What follows a collection that came back or was refused: another try, the end of the mandate, or a person.

    Its people hear of it in plain words. `whole_file`: the bank refused the file or a batch of it, which is not the
    customers' doing: no mandate ends by it.
    """
    whole = catalog.catalog()
    terms = whole.payments
    meant = return_reason(row.return_code)
    after = after_refusal(row.return_code, whole_file=whole_file)
    again: CollectionRow | None = None
    ended = False
    if may_retry(after, attempt=row.attempt, retries=terms.retries):
        again = _again(row, on=on, actor=actor, at=at, not_before=on + timedelta(days=terms.retry_after))
    elif after is AfterReturn.STOP:
        mandate = mandates.mandate(mandate=row.mandate)
        if mandate.withdrawn_on is None:
            end_mandate(
                mandate=mandate.id,
                on=on,
                actor=actor,
                reason=f"a collection came back: {meant.code}, {meant.means}",
                at=at,
            )
            ended = True
    refused = row.state is CollectionState.REFUSED
    (account,) = customers.accounts([row.account])
    emit(
        event="collection.refused" if refused else "collection.returned",
        data={
            "account": account.external_id,
            "collection": row.end_to_end_id,
            "amount": row.amount.decimal(),
            "currency": row.amount.currency,
            "code": meant.code,
            "means": meant.means,
            "again_on": None if again is None else again.collect_on.isoformat(),
            "mandate_ended": ended,
            "agreed_fee": None if refused or terms.return_fee is None else terms.return_fee.decimal(),
        },
        at=at,
    )
    tell(
        key=f"collection/{row.id}/{'refused' if refused else 'returned'}",
        account=row.account,
        about=f"collection/{row.id}",
        at=at,
        actor=actor,
        write=lambda language, name: returns_wording.came_back(
            amount=row.amount,
            on=row.collect_on if refused else on,
            code=meant.code,
            refused=refused,
            ours=whole_file,
            again=None if again is None else again.collect_on,
            ended=ended,
            seller=whole.provider,
            language=language,
            name=name,
        ),
    )


def end_mandate(*, mandate: int, on: date, actor: str, reason: str, at: datetime) -> None:
    """End a mandate, and call off what is planned by it. What is with the bank can't be called back here."""
    with transaction.atomic():
        withdraw_mandate(mandate=mandate, on=on, actor=actor, reason=reason, at=at)
        found = mandates.mandate(mandate=mandate)
        for row in collections.collections(accounts=[found.account], states=[CollectionState.PLANNED]):
            if row.mandate == mandate:
                collecting.cancel_collection(
                    row=row, on=on, actor=actor, reason=f"mandate {found.reference} ended", at=at
                )
