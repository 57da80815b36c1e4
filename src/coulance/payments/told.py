"""What gateways told (events), asked refunds, chargebacks and payouts, as rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, LiteralString

from coulance.ledger import operations as ledger
from coulance.ledger.house import house_party
from coulance.payments import booking
from coulance.payments.collections import fetch
from coulance.payments.errors import UnableToChargeError
from coulance.payments.ports import EventSeen, PayoutSeen, SeenDispute
from coulance_core.kernel import Money, require_aware
from coulance_core.ledger import Entry, EntryKind, cash, combine, fees


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it came, and what came of it."""

    id: int
    gateway: str
    event_id: str
    kind: str
    refs: tuple[str, ...]
    received_at: datetime
    done_at: datetime | None
    outcome: str
    attempts: int


_EVENTS = """
SELECT id, gateway, event_id, kind, refs::text, received_at, done_at, outcome, attempts
  FROM payments_gateway_event
"""


def _event(row: Sequence[Any]) -> EventRow:
    values = [*row[:4], tuple(json.loads(row[4])), *row[5:]]
    return EventRow(*values)


def keep_event(*, gateway: str, event: EventSeen, body: bytes, at: datetime) -> int | None:
    """Keep an event as it came; its id, or none when it came before."""
    made = fetch(
        "INSERT INTO payments_gateway_event (gateway, event_id, kind, refs, body, received_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
        [gateway, event.id[:200], event.kind[:100], json.dumps(list(event.refs)), body, require_aware(at)],
    )
    return int(made[0][0]) if made else None


def event(*, event: int) -> EventRow:
    """One by its id. Raises `UnableToChargeError`."""
    rows = fetch(_EVENTS + " WHERE id = %s", [event])
    if not rows:
        raise UnableToChargeError(f"there is no event {event}")
    return _event(rows[0])


def events(*, open_only: bool = False, limit: int = 200) -> list[EventRow]:
    """Events, the newest first; with `open_only` those that nothing came of yet, the oldest first."""
    where = " WHERE done_at IS NULL ORDER BY id" if open_only else " ORDER BY id DESC"
    return [_event(row) for row in fetch(_EVENTS + where + " LIMIT %s", [limit])]


def event_done(*, event: int, outcome: str, at: datetime) -> None:
    """Say what came of an event; done again, it says what came of it then."""
    fetch(
        "UPDATE payments_gateway_event SET done_at = %s, outcome = %s, attempts = attempts + 1"
        " WHERE id = %s RETURNING id",
        [require_aware(at), outcome[:300], event],
    )


def event_failed(*, event: int, why: str) -> None:
    """Say why nothing came of an event yet."""
    fetch(
        "UPDATE payments_gateway_event SET outcome = %s, attempts = attempts + 1 WHERE id = %s RETURNING id",
        [why[:300], event],
    )


@dataclass(frozen=True, slots=True)
class AskedRefund:
    """A refund asked of a gateway; booked here as `refund`."""

    id: int
    payment: int
    amount: Money
    key: str
    ref: str
    refund: int
    state: str
    reason: str


def _asked(where: LiteralString, values: Sequence[Any]) -> list[AskedRefund]:
    return [
        AskedRefund(row[0], row[1], Money(row[2], row[3]), *row[4:])
        for row in fetch(
            "SELECT id, payment_id, amount, currency, key, ref, refund_id, state, reason"  # noqa: S608 - LiteralString
            " FROM payments_gateway_refund WHERE " + where,
            values,
        )
    ]


def refunds_of(*, payment: int) -> list[AskedRefund]:
    """The refunds of a payment."""
    return _asked("payment_id = %s ORDER BY id", [payment])


def refund_asked(*, refund: int) -> AskedRefund | None:
    """What a gateway was asked of a refund of ours; none for one that went another way."""
    rows = _asked("refund_id = %s", [refund])
    return rows[0] if rows else None


def refunds_open() -> list[AskedRefund]:
    """Refunds whose answer was never read."""
    return _asked("state = 'made' ORDER BY id", [])


def keep_refund(
    *, payment: int, amount: Money, key: str, refund: int, reason: str, actor: str, at: datetime, ref: str = ""
) -> int:
    """Write a refund down before it is asked for (with `ref`: one that was made at the gateway)."""
    return int(
        fetch(
            "INSERT INTO payments_gateway_refund (payment_id, amount, currency, key, refund_id, reason, made_at,"
            " made_by, ref, state) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                payment,
                amount.minor,
                amount.currency,
                key,
                refund,
                reason,
                require_aware(at),
                actor,
                ref,
                "done" if ref else "made",
            ],
        )[0][0]
    )


def refund_answered(*, asked: int, state: str, ref: str = "") -> None:
    """Say what a gateway made of a refund."""
    fetch(
        "UPDATE payments_gateway_refund SET state = %s, ref = coalesce(nullif(%s, ''), ref) WHERE id = %s RETURNING id",
        [state, ref, asked],
    )


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """A chargeback as it was followed."""

    id: int
    payment: int
    ref: str
    amount: Money
    happened_on: date
    reason: str
    undone: int
    rest: int | None
    back: int | None


def disputes_of(*, payment: int) -> list[DisputeRow]:
    """The chargebacks of a payment."""
    return [
        DisputeRow(row[0], row[1], row[2], Money(row[3], row[4]), *row[5:])
        for row in fetch(
            "SELECT id, payment_id, ref, amount, currency, happened_on, reason, undone_id, rest_id, back_id"
            " FROM payments_gateway_dispute WHERE payment_id = %s ORDER BY id",
            [payment],
        )
    ]


def keep_dispute(*, payment: int, seen: SeenDispute, undone: int, rest: int | None, at: datetime) -> None:
    """Write down how a chargeback was followed."""
    fetch(
        "INSERT INTO payments_gateway_dispute (payment_id, ref, amount, currency, happened_on, reason, undone_id,"
        " rest_id, recorded_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            payment,
            seen.ref,
            seen.amount.minor,
            seen.amount.currency,
            seen.on,
            seen.reason[:200],
            undone,
            rest,
            require_aware(at),
        ],
    )


def dispute_won(*, dispute: int, receipt: int) -> None:
    """Say by which receipt a chargeback was given back to us."""
    fetch("UPDATE payments_gateway_dispute SET back_id = %s WHERE id = %s RETURNING id", [receipt, dispute])


@dataclass(frozen=True, slots=True)
class PayoutRow:
    """What a gateway paid out. `strange` are names in it that no payment, refund or chargeback here has."""

    id: int
    gateway: str
    ref: str
    net: Money
    fees: Money
    arrived_on: date
    bank_reference: str
    strange: tuple[str, ...]


def payouts(*, limit: int = 200) -> list[PayoutRow]:
    """Payouts, the newest first."""
    out = []
    for row in fetch(
        "SELECT id, gateway, ref, net, fees, currency, arrived_on, bank_reference, strange::text"
        " FROM payments_gateway_payout ORDER BY arrived_on DESC, id DESC LIMIT %s",
        [limit],
    ):
        net, kept = (Money(cents, row[5]) for cents in row[3:5])
        out.append(PayoutRow(row[0], row[1], row[2], net, kept, row[6], row[7], tuple(json.loads(row[8]))))
    return out


def book_payout(*, gateway: str, seen: PayoutSeen, at: datetime) -> tuple[str, ...] | None:
    """Book a payout: by bank what came, as a cost what was kept, out of what the gateway held for us.

    Gives what in it nothing here knows; none when it was booked before. Raises `UnableToChargeError` where its lines
    don't sum to it: then something of it was not read, and nothing is booked.
    """
    booking.require_transaction("book_payout")
    code = seen.net.currency
    gross = seen.net + seen.fees
    said = sum((line.gross for line in seen.lines), Money(0, code))
    if said != gross:
        raise UnableToChargeError(
            f"payout {seen.ref}: its lines come to {said}, and it says {seen.net} + {seen.fees} kept"
        )
    party = house_party()
    if fetch("SELECT 1 FROM payments_gateway_payout WHERE gateway = %s AND ref = %s", [gateway, seen.ref]):
        return None
    names = {line.ref for line in seen.lines}
    known = {
        name
        for (name,) in fetch(
            "SELECT jsonb_array_elements_text(refs) FROM payments_gateway_payment"
            "  WHERE gateway = %s AND refs ?| %s::text[]"
            " UNION SELECT r.ref FROM payments_gateway_refund r JOIN payments_gateway_payment p ON p.id = r.payment_id"
            "  WHERE p.gateway = %s AND r.ref = ANY(%s)"
            " UNION SELECT d.ref FROM payments_gateway_dispute d JOIN payments_gateway_payment p ON p.id = d.payment_id"
            "  WHERE p.gateway = %s AND d.ref = ANY(%s)",
            [gateway, list(names), gateway, list(names), gateway, list(names)],
        )
    }
    strange = tuple(sorted(names - known))
    made = fetch(
        "INSERT INTO payments_gateway_payout (gateway, ref, net, fees, currency, arrived_on, bank_reference, lines,"
        " strange, recorded_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [
            gateway,
            seen.ref,
            seen.net.minor,
            seen.fees.minor,
            code,
            seen.arrived_on,
            seen.bank_reference[:140],
            json.dumps([[line.ref, line.kind, line.gross.minor, line.fee.minor] for line in seen.lines]),
            json.dumps(list(strange)),
            require_aware(at),
        ],
    )[0][0]
    legs = combine(
        [
            (cash("bank"), seen.net.minor, code),
            (fees(gateway), seen.fees.minor, code),
            (cash(gateway), -gross.minor, code),
        ]
    )
    if legs:
        ledger.post_entries(
            entries=[Entry(party, EntryKind.ADJUSTMENT, f"payout/{made}", seen.arrived_on, legs)], at=at
        )
    return strange
