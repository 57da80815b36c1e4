"""Booking receipts: in bulk, under the lock of each account's books, divided and posted at once.

Private to the room; `operations` is the way in.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from coulance.catalog import queries as catalog
from coulance.customers import queries as customers
from coulance.ledger import operations as ledger
from coulance.payments import queries
from coulance.payments.errors import UnableToBookError
from coulance.platform import audit
from coulance.platform.db import copy_rows, next_ids
from coulance_core.kernel import Money, require_aware
from coulance_core.ledger import Entry
from coulance_core.payments import (
    Allocation,
    AllocationError,
    AllocationPolicy,
    Choice,
    Method,
    OpenItem,
    Order,
    allocate,
    allocation_entry,
    receipt_entry,
)

DEFAULT_POLICY = AllocationPolicy.BASE_BEFORE_OVERAGE
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceipt:
    """Money that came in. `account` is the customer's database id; `source_key` names where it comes from, once.

    `choice` says what it is for; what is left goes on by `policy`, unless `beyond_choice` is false. With `prepaid` all
    of it goes to the prepaid balance. `reason` says why it is booked.
    """

    account: int
    amount: Money
    received_on: date
    method: Method
    source_key: str
    reason: str
    payer_ref: str = ""
    payer_name: str = ""
    payer_iban: str = ""
    choice: tuple[Choice | str, ...] = ()
    policy: Order | None = None
    """None: as the provider file says ([payments] allocation); flows see to it that a law pack is asked."""
    beyond_choice: bool = True
    prepaid: bool = False
    leave: Collection[str] = ()
    """Items that take no part: their money is coming another way."""


@dataclass(frozen=True, slots=True)
class Booked:
    """A receipt as booked: its id, and how it was divided. `already`: it was booked before, and nothing was done."""

    receipt: int
    allocation: Allocation | None
    already: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What an allocation goes to: an item's ref, or "prepaid"; the first day that money can count for it."""

    ref: str
    amount: Money
    since: date | None


def require_transaction(what: str) -> None:
    """Refuse to work outside a transaction, where half of an act could stay behind."""
    if not connection.in_atomic_block:
        raise UnableToBookError(f"{what} wants a transaction: call it inside transaction.atomic()")


def require_reason(reason: str) -> str:
    """The reason, stripped. Raises `UnableToBookError` without one: every act that moves money says why."""
    if not reason.strip():
        raise UnableToBookError("say why: every act that moves money has a reason")
    return reason.strip()


def book(*, receipts: Sequence[NewReceipt], actor: str, at: datetime) -> list[Booked]:
    """Book receipts in the order given, each divided over what the ones before it left open. See `operations`."""
    require_transaction("book_receipts")
    at = require_aware(at)
    if not receipts:
        return []
    _check(receipts, at)
    parties = ledger.lock_accounts(accounts={one.account for one in receipts})
    known = _booked_before(receipts)
    fresh = [one for one in receipts if one.source_key not in known]
    done = _book_fresh(fresh, parties, actor, at) if fresh else {}
    return [done.get(one.source_key) or Booked(known[one.source_key], None, already=True) for one in receipts]


def _check(receipts: Sequence[NewReceipt], at: datetime) -> None:
    # Zones: in the east of the world it is tomorrow already.
    latest = at.date() + timedelta(days=1)
    sources: set[str] = set()
    for one in receipts:
        what = f"receipt {one.source_key!r}"
        require_reason(one.reason)
        if not one.source_key.strip() or len(one.source_key) > 200:
            raise UnableToBookError(f"{what}: a source key has 1 to 200 characters")
        if one.source_key in sources:
            raise UnableToBookError(f"{what} is there twice in one batch")
        sources.add(one.source_key)
        if one.amount.minor <= 0:
            raise UnableToBookError(f"{what}: an amount is more than nothing, not {one.amount}; money out is a refund")
        if one.received_on > latest:
            raise UnableToBookError(f"{what}: {one.received_on} is still to come; book it when the money is there")
        if one.method is Method.CREDIT:
            raise UnableToBookError(f"{what}: credit is set off (apply_credit), not received")
        if one.payer_iban and not _IBAN.fullmatch(one.payer_iban):
            raise UnableToBookError(f"{what}: {one.payer_iban!r} is no IBAN; leave it out where there is none")
        if one.prepaid and one.choice:
            raise UnableToBookError(f"{what}: it is either for items or for the prepaid balance")
    rows = {row.id: row for row in customers.accounts({one.account for one in receipts})}
    for one in receipts:
        account = rows.get(one.account)
        if account is None:
            raise UnableToBookError(f"receipt {one.source_key!r}: there is no account {one.account}")
        if account.currency != one.amount.currency and one.method is not Method.OPENING:
            raise UnableToBookError(
                f"receipt {one.source_key!r}: {account.external_id} is billed in {account.currency}, and this is "
                f"{one.amount.currency}: book what the bank credited in {account.currency}"
            )


def _booked_before(receipts: Sequence[NewReceipt]) -> dict[str, int]:
    wanted = {one.source_key: one for one in receipts}
    known: dict[str, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, source_key, account_id, amount, currency, received_on, method, reversed_on"
            " FROM payments_receipt WHERE source_key = ANY(%s)",
            [list(wanted)],
        )
        for receipt, key, account, minor, code, on, method, undone in cursor.fetchall():
            one = wanted[key]
            same = (account, Money(minor, code), on, method)
            if same != (one.account, one.amount, one.received_on, one.method.value):
                raise UnableToBookError(
                    f"{key!r} was booked as receipt {receipt} with other content: reverse it, and book under a new key"
                )
            if undone is not None:
                raise UnableToBookError(
                    f"{key!r} was booked as receipt {receipt} and undone on {undone}: book it under a new key"
                )
            known[key] = receipt
    return known


def _book_fresh(fresh: Sequence[NewReceipt], parties: dict[int, bytes], actor: str, at: datetime) -> dict[str, Booked]:
    books = OpenBooks({one.account for one in fresh})
    usual = catalog.payment_terms().allocation
    ids = next_ids(sequence="payments_receipt_id_seq", count=len(fresh))
    entries: list[Entry] = []
    rows: list[tuple[Any, ...]] = []
    divided: list[tuple[int, NewReceipt, Allocation | None, list[Target]]] = []
    for receipt, one in zip(ids, fresh, strict=True):
        if one.prepaid:
            allocation, targets = None, [Target("prepaid", one.amount, None)]
        else:
            allocation, targets = books.divide(
                one.amount,
                on=one.received_on,
                account=one.account,
                choice=one.choice,
                policy=one.policy or usual,
                beyond=one.beyond_choice,
                leave=one.leave,
            )
        entry = receipt_entry(
            one.method, one.amount, party=parties[one.account], source=receipt_source(receipt), on=one.received_on
        )
        if entry is not None:
            entries.append(entry)
        rows.append(
            (
                receipt,
                one.account,
                one.amount.minor,
                one.amount.currency,
                one.received_on,
                one.method.value,
                one.source_key,
                one.payer_ref,
                one.payer_name[:200],
                one.payer_iban,
                "" if allocation is None else (one.policy or usual).value,
                one.reason.strip(),
                actor,
                at,
            )
        )
        divided.append((receipt, one, allocation, targets))
    copy_rows(table="payments_receipt", columns=_RECEIPT_COLUMNS, rows=rows)
    entries += write_allocations(
        [
            NewAllocations(receipt, one.account, one.method, one.received_on, tuple(targets))
            for receipt, one, _, targets in divided
        ],
        parties,
        actor,
        at,
    )
    ledger.post_entries(entries=entries, at=at)
    refs = {row.id: row.external_id for row in customers.accounts({one.account for one in fresh})}
    audit.record_many(
        [
            audit.Event(
                at,
                actor,
                "payment.booked",
                f"account:{refs[one.account]}",
                one.reason.strip(),
                {
                    "receipt": receipt,
                    "method": one.method.value,
                    "amount": str(one.amount),
                    "source": one.source_key,
                    "to": {target.ref: str(target.amount) for target in targets},
                },
            )
            for receipt, one, _, targets in divided
        ]
    )
    return {one.source_key: Booked(receipt, allocation) for receipt, one, allocation, _ in divided}


_RECEIPT_COLUMNS = (
    "id",
    "account_id",
    "amount",
    "currency",
    "received_on",
    "method",
    "source_key",
    "payer_ref",
    "payer_name",
    "payer_iban",
    "policy",
    "reason",
    "actor",
    "recorded_at",
)


class OpenBooks:
    """What is open of accounts, read once their books are locked, and lowered as receipts are divided over it."""

    def __init__(self, accounts: Iterable[int]) -> None:
        self._items: dict[int, dict[str, OpenItem]] = {}
        self._since: dict[str, date] = {}
        for found in queries.items_since(accounts=accounts):
            self._items.setdefault(found.item.account, {})[found.item.ref] = found.item
            self._since[found.item.ref] = found.since

    def items(self, account: int, currency: str) -> list[OpenItem]:
        """The account's open items in that currency."""
        return [item for item in self._items.get(account, {}).values() if item.open.currency == currency]

    def since(self, ref: str) -> date:
        """The first day that money can count for an item."""
        return self._since[ref]

    def divide(
        self,
        amount: Money,
        *,
        on: date,
        account: int,
        choice: Sequence[Choice | str],
        policy: Order,
        beyond: bool,
        leave: Collection[str] = (),
    ) -> tuple[Allocation, list[Target]]:
        """Divide an amount over the account's debts but those to `leave`, and remember what is left open of them."""
        try:
            done = allocate(
                amount,
                [item for item in self.items(account, amount.currency) if item.ref not in leave],
                on=on,
                choice=choice,
                policy=policy,
                beyond_choice=beyond,
            )
        except (AllocationError, ValueError) as error:
            raise UnableToBookError(str(error)) from error
        mine = self._items.get(account, {})
        for part in done.parts:
            mine[part.ref] = mine[part.ref].left(part.left_open)
        return done, [Target(part.ref, part.amount, self._since[part.ref]) for part in done.parts]


@dataclass(frozen=True, slots=True)
class NewAllocations:
    """What of one receipt goes where, counting from `on` or from the day its target is there."""

    receipt: int
    account: int
    method: Method
    on: date
    targets: tuple[Target, ...]


_ALLOCATION_COLUMNS = (
    "id",
    "receipt_id",
    "account_id",
    "document_id",
    "opening_id",
    "prepaid",
    "amount",
    "currency",
    "effective_on",
    "recorded_at",
    "actor",
)


def write_allocations(
    batches: Sequence[NewAllocations], parties: dict[int, bytes], actor: str, at: datetime
) -> list[Entry]:
    """Write the rows of allocations, and give the entries to post with them."""
    count = sum(len(batch.targets) for batch in batches)
    ids = iter(next_ids(sequence="payments_allocation_id_seq", count=count))
    rows: list[tuple[Any, ...]] = []
    entries: list[Entry] = []
    for batch in batches:
        for target in batch.targets:
            allocation = next(ids)
            kind, _, number = target.ref.partition("/")
            on = batch.on if target.since is None else max(batch.on, target.since)
            rows.append(
                (
                    allocation,
                    batch.receipt,
                    batch.account,
                    int(number) if kind == "document" else None,
                    int(number) if kind == "opening" else None,
                    kind == "prepaid",
                    target.amount.minor,
                    target.amount.currency,
                    on,
                    at,
                    actor,
                )
            )
            entries.append(
                allocation_entry(
                    batch.method,
                    target.amount,
                    prepaid=kind == "prepaid",
                    party=parties[batch.account],
                    source=allocation_source(allocation),
                    on=on,
                )
            )
    if rows:
        copy_rows(table="payments_allocation", columns=_ALLOCATION_COLUMNS, rows=rows)
    return entries


def receipt_source(receipt: int) -> str:
    """The ledger source of a receipt's entry."""
    return f"receipt/{receipt}"


def allocation_source(allocation: int) -> str:
    """The ledger source of an allocation's entry."""
    return f"allocation/{allocation}"


def refund_source(refund: int) -> str:
    """The ledger source of a refund's entry."""
    return f"refund/{refund}"


def opening_source(opening: int) -> str:
    """The ledger source of the entry of an item taken over."""
    return f"opening/{opening}"
