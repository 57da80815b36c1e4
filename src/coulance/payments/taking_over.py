"""Taking over what stood open elsewhere: invoices and credit notes, prepaid balances, mandates; idempotent by source.

Private to the room; `operations` is the way in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection
from stdnum import iban as iban_number
from stdnum.exceptions import ValidationError

from coulance.customers import queries as customers
from coulance.ledger import operations as ledger
from coulance.payments import booking
from coulance.payments.errors import UnableToTakeOverError
from coulance.payments.undoing import external_id
from coulance.platform import audit
from coulance.platform.db import copy_rows, next_ids
from coulance_core.kernel import Money, currency, require_aware
from coulance_core.payments import ItemKind, MandateSequence, Scheme, opening_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenItem:
    """An invoice, or a credit note (amounts below zero), as it stands in the system that is left.

    `open` is what is still to be paid of `gross`. `source_key` names it there, once.
    """

    source_key: str
    kind: ItemKind
    number: str
    issued_on: date
    due_on: date
    gross: Money
    open: Money


@dataclass(frozen=True, slots=True)
class TakenItems:
    """How many items were taken over now and before (with the same content), and what was open of all, by currency."""

    taken: int
    already: int
    totals: dict[str, Money]


_COLUMNS = (
    "id",
    "account_id",
    "kind",
    "number",
    "issued_on",
    "due_on",
    "gross",
    "open",
    "currency",
    "taken_on",
    "source_key",
    "reason",
    "actor",
    "recorded_at",
)


def take_over_items(
    *, account: int, items: Sequence[TakenItem], taken_on: date, actor: str, reason: str, at: datetime
) -> TakenItems:
    """Take over an account's open items from the day `taken_on`. See `operations`."""
    booking.require_transaction("take_over_items")
    why, at = booking.require_reason(reason), require_aware(at)
    _check(items, taken_on)
    party = ledger.lock_accounts(accounts=[account])[account]
    before = _known(account, items)
    fresh = [item for item in items if item.source_key not in before]
    ids = next_ids(sequence="payments_opening_item_id_seq", count=len(fresh))
    rows: list[tuple[Any, ...]] = [
        (
            opening,
            account,
            item.kind.value,
            item.number,
            item.issued_on,
            item.due_on,
            item.gross.minor,
            item.open.minor,
            item.open.currency,
            taken_on,
            item.source_key,
            why,
            actor,
            at,
        )
        for opening, item in zip(ids, fresh, strict=True)
    ]
    if rows:
        copy_rows(table="payments_opening_item", columns=_COLUMNS, rows=rows)
        ledger.post_entries(
            entries=[
                opening_entry(item.open, party=party, source=booking.opening_source(opening), on=taken_on)
                for opening, item in zip(ids, fresh, strict=True)
            ],
            at=at,
        )
    totals: dict[str, Money] = {}
    for item in items:
        code = item.open.currency
        totals[code] = totals.get(code, Money(0, code)) + item.open
    if rows:
        audit.record(
            actor=actor,
            act="opening.taken_over",
            subject=f"account:{external_id(account)}",
            at=at,
            reason=why,
            detail={"items": len(fresh), "open": {code: total.decimal() for code, total in totals.items()}},
        )
    return TakenItems(len(fresh), len(before), totals)


def _check(items: Sequence[TakenItem], taken_on: date) -> None:
    seen: set[str] = set()
    for item in items:
        what = f"{item.number or '(no number)'} ({item.source_key})"
        if not item.number.strip() or not item.source_key.strip():
            raise UnableToTakeOverError(f"{what}: an item has a number and a source")
        if item.source_key in seen:
            raise UnableToTakeOverError(f"{what} is there twice")
        seen.add(item.source_key)
        if item.gross.currency != item.open.currency:
            raise UnableToTakeOverError(f"{what}: issued in {item.gross.currency} and open in {item.open.currency}")
        currency(item.open.currency)
        whole, left = item.gross.minor, item.open.minor
        if left == 0 or (left > 0) != (whole > 0) or abs(left) > abs(whole):
            raise UnableToTakeOverError(
                f"{what}: {item.open} is open of {item.gross}; expected some of it, of the same sign"
            )
        if item.due_on < item.issued_on:
            raise UnableToTakeOverError(f"{what}: due on {item.due_on}, before it was issued on {item.issued_on}")
        if taken_on < item.issued_on:
            raise UnableToTakeOverError(f"{what}: issued on {item.issued_on}, after it is taken over on {taken_on}")


def _known(account: int, items: Sequence[TakenItem]) -> set[str]:
    wanted = {item.source_key: item for item in items}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT source_key, account_id, kind, number, issued_on, due_on, gross, open, currency, reversed_on"
            " FROM payments_opening_item WHERE source_key = ANY(%s)",
            [list(wanted)],
        )
        rows = cursor.fetchall()
    for key, owner, kind, number, issued, due, gross, left, code, undone in rows:
        item = wanted[key]
        same = TakenItem(
            source_key=key,
            kind=ItemKind(kind),
            number=number,
            issued_on=issued,
            due_on=due,
            gross=Money(gross, code),
            open=Money(left, code),
        )
        if undone is not None:
            raise UnableToTakeOverError(f"{key} was taken over and undone on {undone}: take it under a new source")
        if owner != account or same != item:
            raise UnableToTakeOverError(
                f"{key} was taken over with other content ({number}, {Money(left, code)} open): reverse it first"
            )
    return {row[0] for row in rows}


def take_over_mandate(
    *,
    account: int,
    reference: str,
    iban: str,
    holder: str,
    signed_on: date,
    scheme: Scheme,
    sequence: MandateSequence,
    source_key: str,
    last_used_on: date | None = None,
    actor: str,
    at: datetime,
) -> int:
    """Take over a mandate; its id. See `operations`."""
    booking.require_transaction("take_over_mandate")
    number = checked_iban(iban, f"mandate {reference}")
    if not reference.strip() or len(reference) > 35:
        raise UnableToTakeOverError(f"mandate {reference!r}: a reference has 1 to 35 characters")
    if not holder.strip():
        raise UnableToTakeOverError(f"mandate {reference}: it has a holder")
    if last_used_on is not None and last_used_on < signed_on:
        raise UnableToTakeOverError(f"mandate {reference}: used on {last_used_on}, before it was signed on {signed_on}")
    if not customers.accounts([account]):
        raise UnableToTakeOverError(f"mandate {reference}: there is no account {account}")
    row = (account, reference, number, holder.strip()[:140], signed_on, scheme.value)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_mandate (account_id, reference, iban, holder, signed_on, scheme, sequence,"
            " last_used_on, source_key, recorded_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING id",
            [*row, sequence.value, last_used_on, source_key, require_aware(at)],
        )
        made = cursor.fetchone()
        if made is None:
            cursor.execute(
                "SELECT id, account_id, reference, iban, holder, signed_on, scheme FROM payments_mandate"
                " WHERE source_key = %s",
                [source_key],
            )
            there = cursor.fetchone()
            if there is None:
                raise UnableToTakeOverError(f"mandate {reference} is there already, from another source")
            if tuple(there[1:]) != row:
                raise UnableToTakeOverError(f"{source_key} was taken over with other content: mandate {there[2]}")
            return int(there[0])
    audit.record(
        actor=actor,
        act="mandate.taken_over",
        subject=f"account:{external_id(account)}",
        at=at,
        detail={"mandate": int(made[0]), "reference": reference},
    )
    return int(made[0])


def withdraw_mandate(*, mandate: int, on: date, actor: str, reason: str, at: datetime) -> None:
    """End a mandate: nothing is collected by it any more. See `operations`."""
    booking.require_transaction("withdraw_mandate")
    why = booking.require_reason(reason)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_mandate SET withdrawn_on = greatest(%s, signed_on), withdrawn_why = %s"
            " WHERE id = %s AND withdrawn_on IS NULL RETURNING account_id, reference",
            [on, why, mandate],
        )
        row = cursor.fetchone()
    if row is None:
        raise UnableToTakeOverError(f"there is no mandate {mandate} in force")
    audit.record(
        actor=actor,
        act="mandate.withdrawn",
        subject=f"account:{external_id(row[0])}",
        at=at,
        reason=why,
        detail={"mandate": mandate, "reference": row[1]},
    )


def checked_iban(text: str, what: str) -> str:
    """An IBAN without spaces, its check digits right. Raises `UnableToTakeOverError` naming `what`."""
    try:
        found: str = iban_number.validate(text)
    except ValidationError as error:
        raise UnableToTakeOverError(f"{what}: {text!r} is no IBAN ({error})") from error
    return found
