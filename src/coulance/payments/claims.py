"""What claims a debt: while a collection or a charge of it may bring money, nothing else collects it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import connection

from coulance.ledger import operations as ledger
from coulance.payments import booking
from coulance.payments.collections import fetch
from coulance.payments.errors import UnableToCollectError
from coulance_core.kernel import Money, require_aware
from coulance_core.ledger import HoldKind


def claimed(*, accounts: Iterable[int] | None = None) -> set[str]:
    """The debts that a collection or charge is about to bring: refs."""
    owners = None if accounts is None else list(accounts)
    return {
        ref
        for (ref,) in fetch(
            "SELECT coalesce('document/' || document_id, 'opening/' || opening_id) FROM payments_claim"
            " WHERE ended_at IS NULL AND (%s::bigint[] IS NULL OR account_id = ANY(%s))",
            [owners, owners],
        )
    }


def under_way(*, account: int) -> frozenset[str]:
    """The debts of an account whose money may be coming now: in a file for the bank, or asked of a gateway; refs.

    What is only planned is none: it is called off when the debt is paid another way.
    """
    return frozenset(
        ref
        for (ref,) in fetch(
            "SELECT coalesce('document/' || c.document_id, 'opening/' || c.opening_id) FROM payments_claim c"
            " LEFT JOIN payments_collection d ON d.id = c.collection_id"
            " WHERE c.account_id = %s AND c.ended_at IS NULL AND (d.id IS NULL OR d.state IN ('filed', 'handed'))",
            [account],
        )
    )


def claim(
    *,
    account: int,
    parts: Sequence[tuple[str, Money]],
    at: datetime,
    collection: int | None = None,
    payment: int | None = None,
) -> list[int]:
    """Claim debts for a collection or a payment; their ids. Raises `UnableToCollectError` where one is claimed."""
    booking.require_transaction("claim")
    ledger.lock_accounts(accounts=[account])
    made: list[int] = []
    with connection.cursor() as cursor:
        for ref, amount in parts:
            kind, _, number = ref.partition("/")
            cursor.execute(
                "INSERT INTO payments_claim (account_id, document_id, opening_id, amount, currency, collection_id,"
                " payment_id, since) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
                [
                    account,
                    int(number) if kind == "document" else None,
                    int(number) if kind == "opening" else None,
                    amount.minor,
                    amount.currency,
                    collection,
                    payment,
                    require_aware(at),
                ],
            )
            row = cursor.fetchone()
            if row is None:
                raise UnableToCollectError(f"{ref} is being collected already")
            made.append(row[0])
    return made


def end_claims(*, at: datetime, why: str, collection: int | None = None, payment: int | None = None) -> None:
    """End what a collection or payment claims; holds in the ledger are released with them."""
    for (number,) in fetch(
        "UPDATE payments_claim SET ended_at = %s WHERE ended_at IS NULL AND (collection_id = %s OR payment_id = %s)"
        " RETURNING id",
        [require_aware(at), collection, payment],
    ):
        if fetch("SELECT 1 FROM ledger_hold WHERE source = %s AND released_at IS NULL", [_hold(number)]):
            ledger.release_hold(source=_hold(number), at=at, why=why[:200])


def hold_claims(*, at: datetime, collection: int | None = None, payment: int | None = None) -> None:
    """Set what is claimed aside in the ledger as under way, once."""
    for number, account, amount, code in fetch(
        "SELECT id, account_id, amount, currency FROM payments_claim WHERE ended_at IS NULL"
        " AND (collection_id = %s OR payment_id = %s) ORDER BY id",
        [collection, payment],
    ):
        ledger.place_hold(
            account=account, kind=HoldKind.IN_FLIGHT, amount=Money(amount, code), source=_hold(number), at=at
        )


def _hold(claim: int) -> str:
    return f"claim/{claim}"
