"""Payments at gateways as rows: made before the gateway is asked, moved by what it says, ways to pay that are kept."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from coulance.payments import booking, claims
from coulance.payments.collections import fetch
from coulance.payments.errors import UnableToChargeError
from coulance.payments.undoing import external_id
from coulance.platform import audit
from coulance_core.kernel import Money, require_aware
from coulance_core.payments import Choice

LIVE = ("made", "open", "pending")


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment at a gateway as it stands. `refs` are its names there; `choice` is what it is for."""

    id: int
    account: int
    gateway: str
    purpose: str
    amount: Money
    key: str
    state: str
    refs: tuple[str, ...]
    url: str
    choice: tuple[Choice, ...]
    stored: int | None
    keep_text: str
    description: str
    receipt: int | None
    method: str
    failure: str
    final_on: date | None
    attempts: int
    made_at: datetime
    made_by: str
    changed_at: datetime

    @property
    def tops_up(self) -> bool:
        """Whether it fills the prepaid balance."""
        return self.purpose in ("top_up", "auto_top_up")

    @property
    def by_itself(self) -> bool:
        """Whether it was charged by agreement, nobody asking for it."""
        return self.purpose in ("auto_pay", "auto_top_up")


@dataclass(frozen=True, slots=True)
class StoredMethod:
    """A way to pay that may be charged, with what its owner agreed to."""

    id: int
    account: int
    gateway: str
    customer_ref: str
    method_ref: str
    label: str
    text: str
    given_by: str
    given_at: datetime
    ended_at: datetime | None
    ended_why: str


_PAYMENTS = """
SELECT id, account_id, gateway, purpose, amount, currency, key, state, refs::text, url, choice::text, stored_id,
       keep_text, description, receipt_id, method, failure, final_on, attempts, made_at, made_by, changed_at
  FROM payments_gateway_payment
"""


def _row(row: Sequence[Any]) -> PaymentRow:
    code = row[5]
    choice = tuple(Choice(ref, None if cents is None else Money(cents, code)) for ref, cents in json.loads(row[10]))
    values = [*row[:4], Money(row[4], code), row[6], row[7], tuple(json.loads(row[8])), row[9], choice, *row[11:]]
    return PaymentRow(*values)


def payment(*, payment: int, lock: bool = False) -> PaymentRow:
    """One by its id, held until the transaction ends with `lock`. Raises `UnableToChargeError`."""
    rows = fetch(_PAYMENTS + " WHERE id = %s" + (" FOR UPDATE" if lock else ""), [payment])
    if not rows:
        raise UnableToChargeError(f"there is no payment {payment} at a gateway")
    return _row(rows[0])


def known_as(*, gateway: str, refs: Iterable[str] = (), key: str = "") -> PaymentRow | None:
    """The payment that a gateway knows by one of these names, or by our key; none when it is not ours."""
    rows = fetch(
        _PAYMENTS + " WHERE gateway = %s AND (key = nullif(%s, '') OR refs ?| %s::text[]) ORDER BY id LIMIT 1",
        [gateway, key, list(refs)],
    )
    return _row(rows[0]) if rows else None


def payments(
    *,
    accounts: Iterable[int] | None = None,
    states: Iterable[str] | None = None,
    since: datetime | None = None,
    limit: int = 1000,
) -> list[PaymentRow]:
    """Payments at gateways, the newest first."""
    owners = None if accounts is None else list(accounts)
    wanted = None if states is None else list(states)
    return [
        _row(row)
        for row in fetch(
            _PAYMENTS + " WHERE (%s::bigint[] IS NULL OR account_id = ANY(%s)) AND (%s::text[] IS NULL"
            " OR state = ANY(%s)) AND (%s::timestamptz IS NULL OR made_at >= %s) ORDER BY id DESC LIMIT %s",
            [owners, owners, wanted, wanted, since, since, limit],
        )
    ]


def make_payment(
    *,
    account: int,
    gateway: str,
    purpose: str,
    amount: Money,
    key: str,
    description: str,
    actor: str,
    at: datetime,
    choice: Sequence[Choice] = (),
    claimed: Sequence[tuple[str, Money]] = (),
    stored: int | None = None,
    keep_text: str = "",
) -> PaymentRow:
    """Write a payment down before a gateway is asked for it; what is charged by itself claims its debts at once.

    Idempotent by key. Raises `UnableToChargeError`, and `UnableToCollectError` for a debt that is claimed.
    """
    booking.require_transaction("make_payment")
    if amount.minor <= 0:
        raise UnableToChargeError(f"a payment is of more than nothing, not {amount}")
    there = known_as(gateway=gateway, key=key)
    if there is not None:
        if (there.account, there.purpose, there.amount) != (account, purpose, amount):
            raise UnableToChargeError(f"payment {there.id} was made by this key, for something else")
        return there
    told = [[one.ref, None if one.amount is None else one.amount.minor] for one in choice]
    made = int(
        fetch(
            "INSERT INTO payments_gateway_payment (account_id, gateway, purpose, amount, currency, key, refs, choice,"
            " stored_id, keep_text, description, made_at, made_by, changed_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, '[]', %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                account,
                gateway,
                purpose,
                amount.minor,
                amount.currency,
                key,
                json.dumps(told),
                stored,
                keep_text,
                description[:200],
                require_aware(at),
                actor,
                at,
            ],
        )[0][0]
    )
    if claimed:
        claims.claim(account=account, parts=claimed, payment=made, at=at)
    return payment(payment=made)


def move(row: PaymentRow, *, at: datetime, **columns: Any) -> PaymentRow:
    """Change a payment as the gateway says; the database refuses what can't follow."""
    values = {"changed_at": require_aware(at), **columns}
    if "refs" in values:
        values["refs"] = json.dumps(list(dict.fromkeys((*row.refs, *values["refs"]))))
    assigned = ", ".join(f"{name} = %s" for name in values)
    fetch(
        f"UPDATE payments_gateway_payment SET {assigned} WHERE id = %s RETURNING id",  # noqa: S608 - our columns
        [*values.values(), row.id],
    )
    return payment(payment=row.id)


_STORED = (
    "SELECT id, account_id, gateway, customer_ref, method_ref, label, text, given_by, given_at, ended_at, ended_why"
    " FROM payments_stored_method"
)


def stored_methods(*, accounts: Iterable[int], ended: bool = False) -> list[StoredMethod]:
    """Ways to pay that may be charged, the newest first."""
    return [
        StoredMethod(*row)
        for row in fetch(
            _STORED + " WHERE account_id = ANY(%s) AND method_ref <> '' AND (%s OR ended_at IS NULL) ORDER BY id DESC",
            [list(accounts), ended],
        )
    ]


def stored_method(*, method: int) -> StoredMethod:
    """One by its id. Raises `UnableToChargeError`."""
    rows = fetch(_STORED + " WHERE id = %s", [method])
    if not rows:
        raise UnableToChargeError(f"there is no stored way to pay {method}")
    return StoredMethod(*rows[0])


def customer_ref(*, account: int, gateway: str) -> str:
    """How a gateway knows an account; empty when it doesn't yet."""
    rows = fetch(
        "SELECT customer_ref FROM payments_stored_method WHERE account_id = %s AND gateway = %s ORDER BY id LIMIT 1",
        [account, gateway],
    )
    return str(rows[0][0]) if rows else ""


def keep_customer(*, account: int, gateway: str, ref: str, at: datetime) -> None:
    """Remember how a gateway knows an account; the first name stays."""
    fetch(
        "INSERT INTO payments_stored_method (account_id, gateway, customer_ref, given_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING id",
        [account, gateway, ref, require_aware(at)],
    )


def keep_method(
    *, account: int, gateway: str, customer: str, method_ref: str, label: str, text: str, given_by: str, at: datetime
) -> None:
    """Keep a way to pay, with what was agreed to; one that is kept already stays as it is."""
    booking.require_transaction("keep_method")
    made = fetch(
        "INSERT INTO payments_stored_method (account_id, gateway, customer_ref, method_ref, label, text, text_hash,"
        " given_by, given_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
        [
            account,
            gateway,
            customer,
            method_ref,
            label[:100],
            text,
            hashlib.sha256(text.encode()).digest(),
            given_by[:100],
            require_aware(at),
        ],
    )
    if made:
        audit.record(
            actor=given_by,
            act="payment_method.kept",
            subject=f"account:{external_id(account)}",
            at=at,
            detail={"method": made[0][0], "gateway": gateway, "label": label},
        )


def end_method(*, method: int, actor: str, reason: str, at: datetime) -> StoredMethod:
    """Charge a way to pay no more. Raises `UnableToChargeError`."""
    booking.require_transaction("end_method")
    why = booking.require_reason(reason)
    if not fetch(
        "UPDATE payments_stored_method SET ended_at = %s, ended_by = %s, ended_why = %s"
        " WHERE id = %s AND ended_at IS NULL RETURNING id",
        [require_aware(at), actor, why, method],
    ):
        raise UnableToChargeError(f"there is no stored way to pay {method} in force")
    done = stored_method(method=method)
    audit.record(
        actor=actor,
        act="payment_method.ended",
        subject=f"account:{external_id(done.account)}",
        at=at,
        reason=why,
        detail={"method": method},
    )
    return done
