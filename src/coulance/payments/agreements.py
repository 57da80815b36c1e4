"""Agreements to be charged by itself, and the announcements of such charges; each agreement with the text agreed to."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from coulance.payments import booking
from coulance.payments.charging import stored_method
from coulance.payments.collections import fetch
from coulance.payments.errors import UnableToChargeError
from coulance.payments.mandates import mandates
from coulance.payments.undoing import external_id
from coulance.platform import audit
from coulance_core.kernel import Money, require_aware
from coulance_core.payments.agreed import Limits

AUTO_PAY = "auto_pay"
AUTO_TOP_UP = "auto_top_up"


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """What an account agreed to, by a way to pay that is kept or by a mandate: `below` and `amount` for topping up."""

    id: int
    account: int
    kind: str
    stored: int | None
    mandate: int | None
    limits: Limits
    below: Money | None
    amount: Money | None
    text: str
    text_hash: str
    given_by: str
    given_at: datetime
    ended_at: datetime | None


_AGREEMENTS = (
    "SELECT id, account_id, kind, stored_id, mandate_id, currency, most_each, most_a_month, below, amount, text,"
    " encode(text_hash, 'hex'), given_by, given_at, ended_at FROM payments_agreement"
)


def _row(row: Sequence[Any]) -> AgreementRow:
    each, month, below, amount = (None if cents is None else Money(cents, row[5]) for cents in row[6:10])
    values = [*row[:5], Limits(each, month), below, amount, *row[10:]]
    return AgreementRow(*values)


def agreements(
    *, accounts: Iterable[int] | None = None, kind: str | None = None, ended: bool = False
) -> list[AgreementRow]:
    """Agreements in force (the ended too, on request), by account."""
    owners = None if accounts is None else list(accounts)
    return [
        _row(row)
        for row in fetch(
            _AGREEMENTS + " WHERE (%s::bigint[] IS NULL OR account_id = ANY(%s)) AND (%s::text IS NULL OR kind = %s)"
            " AND (%s OR ended_at IS NULL) ORDER BY account_id, id",
            [owners, owners, kind, kind, ended],
        )
    ]


def agree(
    *,
    account: int,
    kind: str,
    currency: str,
    limits: Limits,
    text: str,
    given_by: str,
    at: datetime,
    stored: int | None = None,
    mandate: int | None = None,
    below: Money | None = None,
    amount: Money | None = None,
) -> AgreementRow:
    """Keep an agreement by a way to pay or a mandate; the one before of its kind ends. Raises `UnableToChargeError`."""
    booking.require_transaction("agree")
    if stored is not None:
        method = stored_method(method=stored)
        if method.account != account or method.ended_at is not None or not method.method_ref:
            raise UnableToChargeError("the way to pay is not there any more")
    elif all(one.id != mandate or one.withdrawn_on is not None for one in mandates(accounts=[account])):
        raise UnableToChargeError("this mandate is not in force")
    for one in (limits.each, limits.a_month, below, amount):
        if one is not None and (one.minor <= 0 or one.currency != currency):
            raise UnableToChargeError(f"expected an amount in {currency} above nothing, not {one}")
    if amount is not None and limits.a_month is not None and amount > limits.a_month:
        raise UnableToChargeError(f"{amount} at once is more than {limits.a_month} a month")
    for before in agreements(accounts=[account], kind=kind):
        end(agreement=before.id, actor=given_by, reason="another agreement took its place", at=at)
    made = fetch(
        "INSERT INTO payments_agreement (account_id, kind, stored_id, mandate_id, currency, most_each, most_a_month,"
        " below, amount, text, text_hash, given_by, given_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            account,
            kind,
            stored,
            mandate,
            currency,
            *(None if one is None else one.minor for one in (limits.each, limits.a_month, below, amount)),
            text,
            hashlib.sha256(text.encode()).digest(),
            given_by[:100],
            require_aware(at),
        ],
    )[0][0]
    audit.record(
        actor=given_by,
        act=f"{kind}.agreed",
        subject=f"account:{external_id(account)}",
        at=at,
        detail={"agreement": made, "text": hashlib.sha256(text.encode()).hexdigest()},
    )
    return _row(fetch(_AGREEMENTS + " WHERE id = %s", [made])[0])


def invoices_by(*, mandate: int, account: int) -> AgreementRow | Literal[False] | None:
    """What the owner of a mandate says of collecting invoices by it: how, or False for not; None where they said
    nothing, and the mandate's own text counts."""
    said = [one for one in agreements(accounts=[account], kind=AUTO_PAY, ended=True) if one.mandate == mandate]
    if not said:
        return None
    standing = [one for one in said if one.ended_at is None]
    return standing[0] if standing else False


def end(*, agreement: int, actor: str, reason: str, at: datetime) -> None:
    """End an agreement, with what was announced by it. Raises `UnableToChargeError`."""
    booking.require_transaction("end")
    why = booking.require_reason(reason)
    found = fetch(
        "UPDATE payments_agreement SET ended_at = %s, ended_by = %s, ended_why = %s"
        " WHERE id = %s AND ended_at IS NULL RETURNING account_id, kind",
        [require_aware(at), actor, why, agreement],
    )
    if not found:
        raise UnableToChargeError(f"there is no agreement {agreement} in force")
    fetch(
        "UPDATE payments_announcement SET ended_at = %s, why = 'the agreement ended'"
        " WHERE agreement_id = %s AND ended_at IS NULL RETURNING id",
        [at, agreement],
    )
    audit.record(
        actor=actor,
        act=f"{found[0][1]}.ended",
        subject=f"account:{external_id(found[0][0])}",
        at=at,
        reason=why,
        detail={"agreement": agreement},
    )


@dataclass(frozen=True, slots=True)
class Announced:
    """A charge that was announced, and waits for its day."""

    id: int
    agreement: int
    ref: str
    amount: Money
    charge_on: date
    message_key: str


def announce(*, agreement: int, ref: str, amount: Money, charge_on: date, message_key: str, at: datetime) -> bool:
    """Note that a charge is announced; whether it was not before."""
    booking.require_transaction("announce")
    kind, _, number = ref.partition("/")
    return bool(
        fetch(
            "INSERT INTO payments_announcement (agreement_id, document_id, opening_id, amount, currency, charge_on,"
            " message_key, made_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
            [
                agreement,
                int(number) if kind == "document" else None,
                int(number) if kind == "opening" else None,
                amount.minor,
                amount.currency,
                charge_on,
                message_key,
                require_aware(at),
            ],
        )
    )


def announced(*, until: date | None = None, agreements: Iterable[int] | None = None) -> list[Announced]:
    """Charges that wait for their day, up to one."""
    wanted = None if agreements is None else list(agreements)
    return [
        Announced(row[0], row[1], row[2], Money(row[3], row[4]), row[5], row[6])
        for row in fetch(
            "SELECT id, agreement_id, coalesce('document/' || document_id, 'opening/' || opening_id), amount, currency,"
            " charge_on, message_key FROM payments_announcement WHERE ended_at IS NULL AND payment_id IS NULL"
            " AND (%s::date IS NULL OR charge_on <= %s) AND (%s::bigint[] IS NULL OR agreement_id = ANY(%s))"
            " ORDER BY charge_on, id",
            [until, until, wanted, wanted],
        )
    ]


def settle_announcement(*, announcement: int, at: datetime, why: str, payment: int | None = None) -> None:
    """Say what became of an announced charge: the payment that came of it, or why none did."""
    fetch(
        "UPDATE payments_announcement SET ended_at = %s, why = %s, payment_id = %s"
        " WHERE id = %s AND ended_at IS NULL RETURNING id",
        [require_aware(at), why[:200], payment, announcement],
    )
