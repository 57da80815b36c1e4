"""Bank entries by a person's word: whose payment one is, what came back, what is nobody's; and taking that back.

What rules could not decide waits in the queue with suggestions (`bank_import`); each act here says why.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from coulance.customers import queries as customers
from coulance.flows import payments as money
from coulance.flows.bank_import import Judged, source_key
from coulance.flows.rails import coming, paying_back, settling
from coulance.payments import bank, collections
from coulance.payments import queries as payments
from coulance.payments.bank import EntryRow
from coulance.payments.collections import CollectionRow
from coulance.payments.operations import NewReceipt, PaymentsError
from coulance.platform import audit
from coulance_core.payments import Method, ReversalKind
from coulance_core.payments.bank import StatementKind
from coulance_core.payments.direct_debit import CollectionState
from coulance_core.payments.payers import pays_for_many


class UnableToAssignEntryError(Exception):
    """An entry can't be assigned, ignored or reopened as asked; nothing was changed."""


def assign(
    *,
    entry: int,
    actor: str,
    reason: str,
    at: datetime,
    account: str = "",
    numbers: Sequence[str] = (),
    receipt: int | None = None,
    refund: int | None = None,
    collection: str = "",
    another: bool = False,
) -> Judged:
    """Say what an entry is: an account's payment (for documents, or what its policy makes of it), or a return.

    `account` is the customer's external id; with `numbers` alone it is theirs. `receipt` is the one that came back,
    `refund` the one whose money did. Where a collection with the bank may be what the entry credits, somebody says so:
    `collection` is its end-to-end id, which is collected by it; `another` that this is other money, and both come. The
    IBAN is remembered as the account's. Raises `UnableToAssignEntryError`.
    """
    if not reason.strip():
        raise UnableToAssignEntryError("say why: every act that moves money has a reason")
    with transaction.atomic():
        row = _open_entry(entry)
        if receipt is not None:
            _require_of_statement(row)
            return _assign_return(row, receipt, actor, reason, at)
        if refund is not None:
            _require_of_statement(row)
            return _assign_sent_back(row, refund, actor, reason, at)
        if row.entry.amount.minor <= 0:
            raise UnableToAssignEntryError(
                f"bank entry {entry} is money out ({row.entry.amount}): name the receipt that came back, or ignore it"
            )
        _require_of_statement(row)
        credits_ = _collection(row, collection) if collection else None
        refs: list[str] = []
        if credits_ is not None and not numbers and not account:
            (owner,) = customers.accounts([credits_.account])
        else:
            owner, refs = _target(account, numbers)
        credits_ = _credited(row, owner, refs, credits_, another)
        if credits_ is not None:
            refs = [ref for ref, _ in credits_.parts]
        try:
            money.book_payment(
                receipt=NewReceipt(
                    account=owner.id,
                    amount=row.entry.amount,
                    received_on=row.entry.booked_on,
                    method=Method.BANK,
                    source_key=source_key(row.id, bank.receipts_of(entry=row.id) + 1),
                    reason=reason,
                    payer_ref=row.entry.remittance,
                    payer_name=row.entry.counterparty_name,
                    payer_iban=bank.iban_or_none(row.entry.counterparty_iban),
                    choice=tuple(refs),
                    beyond_choice=credits_ is None or not credits_.tops_up,
                ),
                actor=actor,
                at=at,
            )
        except PaymentsError as error:
            raise UnableToAssignEntryError(str(error)) from error
        made = payments.receipt_by_source(source_key=source_key(row.id, bank.receipts_of(entry=row.id)))
        assert made is not None
        kept = {**_kept(row), "outcome": "assigned", "numbers": list(numbers)}
        if credits_ is not None:
            settling.credited(collection=credits_.id, receipt=made.id, on=row.entry.booked_on, at=at)
            kept["collections"] = [credits_.id]
        bank.decide(
            entry=row.id,
            state="booked",
            actor=actor,
            at=at,
            reason=reason.strip(),
            match=kept,
            account=owner.id,
            receipt=made.id,
        )
        if not pays_for_many(row.entry.counterparty_name):
            bank.learn_ibans(learnt=[(owner.id, row.entry.counterparty_iban, f"bank_entry/{row.id}")], at=at)
    what = ", ".join(numbers) or "by the account's policy"
    return Judged(row.id, "booked", "assigned", row.entry.amount, row.entry.booked_on, owner.external_id, what)


def _collection(row: EntryRow, name: str) -> CollectionRow:
    try:
        found = collections.collection(end_to_end_id=name.strip().upper())
    except PaymentsError as error:
        raise UnableToAssignEntryError(str(error)) from error
    if found.state not in (CollectionState.HANDED, CollectionState.REFUSED):
        raise UnableToAssignEntryError(f"collection {found.end_to_end_id} is {found.state.value}, not with the bank")
    if found.amount != row.entry.amount:
        raise UnableToAssignEntryError(
            f"collection {found.end_to_end_id} is of {found.amount}, and bank entry {row.id} of {row.entry.amount}: a"
            " bank credits what it collects, whole"
        )
    return found


def _credited(
    row: EntryRow,
    owner: customers.AccountRow,
    refs: Sequence[str],
    said: CollectionRow | None,
    another: bool,
) -> CollectionRow | None:
    """The collection that an entry credits, by what was said or by its own id; raises where it isn't clear."""
    if said is not None:
        if said.account != owner.id:
            raise UnableToAssignEntryError(f"collection {said.end_to_end_id} is not of {owner.external_id}")
        return said
    if another:
        return None
    near = coming.may_be_of(account=owner.id, amount=row.entry.amount, refs=refs)
    text = f"{row.entry.end_to_end_id} {row.entry.remittance}".upper()
    for one in near:
        if one.end_to_end_id in text and one.amount == row.entry.amount:
            return one
    if near:
        names = " and ".join(f"{one.end_to_end_id} of {one.amount}" for one in near)
        raise UnableToAssignEntryError(
            f"{names}, with the bank, is for this too: say whether this is its money (--collection"
            f" {near[0].end_to_end_id}) or another payment (--another); otherwise it would be paid twice"
        )
    return None


def _assign_sent_back(row: EntryRow, refund: int, actor: str, reason: str, at: datetime) -> Judged:
    """Money of a refund that is here again."""
    try:
        found = payments.refund(refund=refund)
        if found.amount != row.entry.amount:
            raise UnableToAssignEntryError(
                f"refund {refund} is of {found.amount}, and bank entry {row.id} of {row.entry.amount}: not that one"
            )
        paying_back.came_back(refund=refund, why=reason.strip(), on=row.entry.booked_on, actor=actor, at=at)
    except PaymentsError as error:
        raise UnableToAssignEntryError(str(error)) from error
    bank.decide(
        entry=row.id,
        state="booked",
        actor=actor,
        at=at,
        reason=reason.strip(),
        match={**_kept(row), "outcome": "assigned", "brings_back": refund},
        account=found.account,
    )
    return Judged(row.id, "reversed", "assigned", row.entry.amount, row.entry.booked_on, "", f"refund {refund}")


def _assign_return(row: EntryRow, receipt: int, actor: str, reason: str, at: datetime) -> Judged:
    if row.entry.amount.minor >= 0:
        raise UnableToAssignEntryError(f"bank entry {row.id} is money in ({row.entry.amount}), and takes nothing back")
    try:
        found = payments.receipt(receipt=receipt)
        if found.method is not Method.BANK:
            raise UnableToAssignEntryError(
                f"receipt {receipt} came by {found.method.value}, not by bank: a bank entry can't take it back"
            )
        if found.amount != -row.entry.amount:
            raise UnableToAssignEntryError(
                f"receipt {receipt} is {found.amount}, bank entry {row.id} takes {-row.entry.amount} back: not that one"
            )
        money.reverse_payment(
            receipt=receipt,
            kind=ReversalKind.BOUNCED,
            on=row.entry.booked_on,
            actor=actor,
            reason=reason,
            at=at,
            reclaim=True,
            by_hand=False,
        )
        # Of a collection it means more: it came back, is perhaps tried again, or its mandate ends.
        settling.returned(receipt=receipt, code=row.entry.return_reason, on=row.entry.booked_on, actor=actor, at=at)
    except PaymentsError as error:
        raise UnableToAssignEntryError(str(error)) from error
    bank.decide(
        entry=row.id,
        state="booked",
        actor=actor,
        at=at,
        reason=reason.strip(),
        match={**_kept(row), "outcome": "assigned", "undoes": receipt},
        account=found.account,
    )
    return Judged(row.id, "reversed", "assigned", row.entry.amount, row.entry.booked_on, "", f"receipt {receipt}")


def _open_entry(entry: int) -> EntryRow:
    try:
        row = bank.entry(entry=entry, lock=True)
    except PaymentsError as error:
        raise UnableToAssignEntryError(str(error)) from error
    if row.state not in ("suggested", "new"):
        raise UnableToAssignEntryError(
            f"bank entry {entry} is {row.state} ({row.reason}): reopen it first (coulance bank reopen {entry})"
        )
    return row


def _require_of_statement(row: EntryRow) -> None:
    """What a notification tells, a statement tells too: booked here as well, it would be booked twice."""
    if row.kind is StatementKind.NOTIFICATION and "explains" not in row.match:
        raise UnableToAssignEntryError(
            f"bank entry {row.id} was told by a notification: its statement has it too, import that one and assign it"
        )


def _kept(row: EntryRow) -> dict[str, Any]:
    """What was suggested stays beside what was decided."""
    return {key: value for key, value in row.match.items() if key in ("explanation", "suggestions", "flags")}


def _target(account: str, numbers: Sequence[str]) -> tuple[customers.AccountRow, list[str]]:
    found = payments.items_by_number(numbers=numbers)
    refs: list[str] = []
    owners: set[int] = set()
    wanted: int | None = None
    if account:
        try:
            wanted = customers.account(account).id
        except customers.UnableToFindAccountError as error:
            raise UnableToAssignEntryError(str(error)) from error
    for number in numbers:
        items = [item for item in found.get(number, ()) if wanted in (None, item.account)]
        if not items:
            raise UnableToAssignEntryError(
                f"there is no invoice {number!r}" + (f" of account {account!r}" if account else "")
            )
        if len({item.account for item in items}) > 1:
            raise UnableToAssignEntryError(f"several accounts have an invoice {number!r}: name the account too")
        owners.add(items[0].account)
        refs += [item.ref for item in items]
    if wanted is not None:
        owners.add(wanted)
    if len(owners) != 1:
        raise UnableToAssignEntryError(
            "name an account or an invoice's number"
            if not owners
            else "these invoices are of several accounts: one entry is one account's payment"
        )
    (row,) = customers.accounts(owners)
    return row, refs


def ignore(*, entry: int, actor: str, reason: str, at: datetime) -> None:
    """Set an entry aside: it is no customer's. Raises `UnableToAssignEntryError`."""
    if not reason.strip():
        raise UnableToAssignEntryError("say why it is no customer's")
    with transaction.atomic():
        row = _open_entry(entry)
        bank.decide(
            entry=row.id,
            state="ignored",
            actor=actor,
            at=at,
            reason=reason.strip(),
            match={**_kept(row), "outcome": "ignored"},
        )
        audit.record(actor=actor, act="bank.ignored", subject=f"bank_entry:{entry}", at=at, reason=reason.strip())


def reopen(*, entry: int, actor: str, reason: str, at: datetime) -> None:
    """Take back what was decided on an entry: its receipt is undone, and it waits in the queue again.

    A return that undid a receipt can't be taken back here, nor a payment that a return undid. Raises
    `UnableToAssignEntryError`.
    """
    if not reason.strip():
        raise UnableToAssignEntryError("say why: every act that moves money has a reason")
    with transaction.atomic():
        try:
            row = bank.entry(entry=entry, lock=True)
        except PaymentsError as error:
            raise UnableToAssignEntryError(str(error)) from error
        if row.state not in ("booked", "ignored"):
            raise UnableToAssignEntryError(f"bank entry {entry} is in the queue already")
        if "undoes" in row.match:
            raise UnableToAssignEntryError(
                f"bank entry {entry} undid receipt {row.match['undoes']}: book the payment anew instead"
            )
        if "collections" in row.match:
            raise UnableToAssignEntryError(
                f"bank entry {entry} credits a collection of ours: what a bank takes back is an entry of its own"
            )
        if "brings_back" in row.match:
            raise UnableToAssignEntryError(
                f"bank entry {entry} brought refund {row.match['brings_back']} back: book a refund anew instead"
            )
        if "refund" in row.match and paying_back.is_paid(refund=int(row.match["refund"])):
            raise UnableToAssignEntryError(
                f"bank entry {entry} shows refund {row.match['refund']} leaving, which was a payback: what sends it"
                " back is an entry of its own"
            )
        if "parts" in row.match:
            raise UnableToAssignEntryError(
                f"bank entry {entry} is a batch whose payments came by notification: reopen those "
                f"({', '.join(map(str, row.match['parts']))})"
            )
        if row.receipt is not None:
            receipt = payments.receipt(receipt=row.receipt)
            by = bank.taken_back_by(receipt=row.receipt)
            if by is not None:
                raise UnableToAssignEntryError(
                    f"the bank took this money back by entry {by}: booking it again would book what is not there"
                )
            if receipt.reversed_on is None:
                try:
                    money.reverse_payment(
                        receipt=row.receipt,
                        kind=ReversalKind.MISTAKE,
                        on=row.entry.booked_on,
                        actor=actor,
                        reason=reason,
                        at=at,
                    )
                except PaymentsError as error:
                    raise UnableToAssignEntryError(str(error)) from error
        bank.decide(
            entry=row.id,
            state="suggested",
            actor=actor,
            at=at,
            reason=f"reopened: {reason.strip()}",
            match=_kept(row),
        )
        audit.record(actor=actor, act="bank.reopened", subject=f"bank_entry:{entry}", at=at, reason=reason.strip())
