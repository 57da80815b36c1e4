"""Collections that came back or were refused: what follows of it, for the debt, the mandate and the people."""

from datetime import date, datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.flows.rails import by_mandate, returns_wording
from coulance.flows.rails.direct_debit import end_mandate
from coulance.flows.rails.planning import Line, announce
from coulance.flows.rails.telling import people_of, tell
from coulance.payments import claims, collecting, collections, mandates
from coulance.payments import queries as payments
from coulance.payments.collections import CollectionRow
from coulance.payments.errors import UnableToCollectError
from coulance.platform.webhooks import emit
from coulance_core.payments.direct_debit import (
    AfterReturn,
    CollectionState,
    after_refusal,
    collect_on,
    may_retry,
    return_reason,
)


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
    # Of an instalment no more than it was for: the plan decides what else is wanted.
    most = dict(row.parts) if row.purpose == collections.INSTALMENT else {}
    lines = [
        Line(item.ref, item.number, min(item.payable, most.get(item.ref, item.payable)))
        for item in payments.open_items(accounts=[row.account]).get(row.account, ())
        if item.ref in refs and item.payable.minor > 0
    ]
    terms = whole.payments
    day = collect_on(due_on=not_before, told_on=on, notice_days=terms.notice_days, lead_days=terms.lead_days)
    if not lines or mandate.unusable(day) is not None:
        return None
    return announce(mandate, lines, day, whole, actor, at, row, purpose=row.purpose, basis=row.basis)


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
    if row.tops_up:
        by_mandate.top_up_failed(row, why=f"{meant.code}, {meant.means}", actor=actor, at=at)
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
            top_up=row.tops_up,
            seller=whole.provider,
            language=language,
            name=name,
        ),
    )
