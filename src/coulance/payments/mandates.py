"""Mandates: a customer's leave to collect from their bank account, as they signed it, until it ends.

Text and hash are kept as they were shown when it was signed; what was taken over from elsewhere may have none. A new
one for the same account ends the one before, since a customer pays from one bank account at a time.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection

from coulance.customers import queries as customers
from coulance.payments import booking
from coulance.payments.errors import UnableToCollectError, UnableToTakeOverError
from coulance.payments.taking_over import checked_iban, withdraw_mandate
from coulance.payments.undoing import external_id
from coulance.platform import audit
from coulance_core.kernel import require_aware
from coulance_core.payments import MandateSequence, Scheme
from coulance_core.payments.direct_debit import Unusable, unusable

PAPER = "paper"
PORTAL = "portal"


@dataclass(frozen=True, slots=True)
class SignedMandate:
    """A mandate with all that is known of it. `text` is what was signed, `text_hash` its SHA-256 in hex."""

    id: int
    account: int
    reference: str
    iban: str
    bic: str
    holder: str
    signed_on: date
    scheme: Scheme
    sequence: MandateSequence
    last_used_on: date | None
    withdrawn_on: date | None
    withdrawn_why: str
    how: str
    text: str
    text_hash: str
    signed_by: str

    def unusable(self, on: date) -> Unusable | None:
        """Why nothing may be collected by it on a day; None when it may."""
        return unusable(
            signed_on=self.signed_on,
            last_used_on=self.last_used_on,
            withdrawn_on=self.withdrawn_on,
            sequence=self.sequence,
            on=on,
        )

    @property
    def shown_iban(self) -> str:
        """The IBAN with its middle left out, as it is shown and mailed.

        >>> from datetime import date
        >>> SignedMandate(1, 1, "M1", "NL91ABNA0417164300", "", "A", date(2026, 1, 1), Scheme.CORE,
        ...     MandateSequence.FIRST, None, None, "", "paper", "", "", "").shown_iban
        'NL91 ABNA **** 4300'
        """
        return f"{self.iban[:4]} {self.iban[4:8]} **** {self.iban[-4:]}"


_MANDATES = (
    "SELECT id, account_id, reference, iban, bic, holder, signed_on, scheme, sequence, last_used_on, withdrawn_on,"
    " withdrawn_why, how, text, coalesce(encode(text_hash, 'hex'), ''), signed_by FROM payments_mandate"
)


def _rows(where: str, values: Sequence[Any]) -> list[SignedMandate]:
    with connection.cursor() as cursor:
        cursor.execute(f"{_MANDATES} {where}", list(values))
        found = [list(row) for row in cursor.fetchall()]
    for row in found:
        row[7], row[8] = Scheme(row[7]), MandateSequence(row[8])
    return [SignedMandate(*row) for row in found]


def mandates(*, accounts: Iterable[int]) -> list[SignedMandate]:
    """Every mandate of these accounts, the newest first."""
    return _rows("WHERE account_id = ANY(%s) ORDER BY account_id, signed_on DESC, id DESC", [list(accounts)])


def page(*, account: int | None, before: int | None, limit: int) -> list[SignedMandate]:
    """A page of mandates, the last kept first; `before` is the id that the page before ended with."""
    return _rows(
        "WHERE (%s::bigint IS NULL OR account_id = %s) AND (%s::bigint IS NULL OR id < %s) ORDER BY id DESC LIMIT %s",
        [account, account, before, before, limit],
    )


def mandate(*, mandate: int) -> SignedMandate:
    """One by its id. Raises `UnableToCollectError`."""
    found = _rows("WHERE id = %s", [mandate])
    if not found:
        raise UnableToCollectError(f"there is no mandate {mandate}")
    return found[0]


def in_force(*, on: date, accounts: Iterable[int] | None = None) -> dict[int, SignedMandate]:
    """The mandate to collect by on a day, by account: the newest that may be used. Others are left out."""
    wanted = None if accounts is None else list(accounts)
    out: dict[int, SignedMandate] = {}
    for one in _rows(
        "WHERE withdrawn_on IS NULL AND (%s::bigint[] IS NULL OR account_id = ANY(%s))"
        " ORDER BY account_id, signed_on DESC, id DESC",
        [wanted, wanted],
    ):
        if one.account not in out and one.unusable(on) is None:
            out[one.account] = one
    return out


def sign_mandate(
    *,
    account: int,
    iban: str,
    holder: str,
    scheme: Scheme,
    how: str,
    text: str,
    signed_by: str,
    signed_on: date,
    actor: str,
    at: datetime,
    bic: str = "",
) -> SignedMandate:
    """Keep a mandate that was signed; the one before it ends. The same once more is the one that is there.

    `text` is what was signed, word for word. Raises `UnableToCollectError`.
    """
    booking.require_transaction("sign_mandate")
    at = require_aware(at)
    try:
        number = checked_iban(iban, "the mandate")
    except UnableToTakeOverError as error:
        raise UnableToCollectError(str(error)) from error
    if how not in (PAPER, PORTAL):
        raise UnableToCollectError(f"a mandate is signed on {PAPER} or in the {PORTAL}, not {how!r}")
    for what, said in (("holder", holder), ("text", text), ("signed_by", signed_by)):
        if not said.strip():
            raise UnableToCollectError(f"a mandate says its {what}")
    found = customers.accounts([account])
    if not found:
        raise UnableToCollectError(f"there is no account {account}")
    if found[0].currency != "EUR":
        raise UnableToCollectError(f"SEPA collects euros; {found[0].external_id} is billed in {found[0].currency}")
    with connection.cursor() as cursor:
        # One at a time for an account: two that are signed at once must not both stand.
        cursor.execute("SELECT id FROM customers_account WHERE id = %s FOR NO KEY UPDATE", [account])
    standing = [one for one in mandates(accounts=[account]) if one.withdrawn_on is None]
    for one in standing:
        same = (one.iban, one.scheme, one.holder) == (number, scheme, holder.strip()[:140])
        if same and one.unusable(signed_on) is None:
            return one
    digest = hashlib.sha256(text.encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('payments_mandate_id_seq')")
        made = int(cursor.fetchone()[0])
        reference = f"M{made:09d}"
        cursor.execute(
            "INSERT INTO payments_mandate (id, account_id, reference, iban, bic, holder, signed_on, scheme, sequence,"
            " source_key, recorded_at, how, text, text_hash, signed_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                made,
                account,
                reference,
                number,
                bic.strip().upper(),
                holder.strip()[:140],
                signed_on,
                scheme.value,
                MandateSequence.FIRST.value,
                f"signed/{reference}",
                at,
                how,
                text,
                digest,
                signed_by.strip()[:200],
            ],
        )
    for one in standing:
        # One that is kept late may be signed before the one that it takes the place of.
        ended = max(signed_on, one.signed_on)
        withdraw_mandate(mandate=one.id, on=ended, actor=actor, reason=f"mandate {reference} took its place", at=at)
    audit.record(
        actor=actor,
        act="mandate.signed",
        subject=f"account:{external_id(account)}",
        at=at,
        detail={"mandate": made, "reference": reference, "how": how, "text": digest.hex(), "scheme": scheme.value},
    )
    return mandate(mandate=made)


def end_lapsed(*, on: date, actor: str, at: datetime) -> list[SignedMandate]:
    """End the mandates that nothing was collected by for 36 months; those that ended."""
    booking.require_transaction("end_lapsed")
    lapsed = [one for one in _rows("WHERE withdrawn_on IS NULL", []) if one.unusable(on) is Unusable.LAPSED]
    for one in lapsed:
        withdraw_mandate(mandate=one.id, on=on, actor=actor, reason="nothing was collected by it for 36 months", at=at)
    return lapsed


def mark_used(*, mandates: Iterable[int], on: date) -> None:
    """Note that these were used for a collection of that day: what they are used for next is recurring."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_mandate SET last_used_on = greatest(last_used_on, %s),"
            " sequence = CASE sequence WHEN 'first' THEN 'recurring' ELSE sequence END"
            " WHERE id = ANY(%s) AND withdrawn_on IS NULL",
            [on, list(mandates)],
        )
