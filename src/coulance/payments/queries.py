"""Reading payments: what is open, what came in and where it went, balances, the ages of debts.

What is open is derived, never kept: an invoice as issued, less the credit notes that name it, less what is allocated.
Everything asks for many accounts at once in one statement; `on` gives the state at the end of that civil day.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection

from coulance.payments import items_sql
from coulance.payments.errors import UnableToFindPaymentError
from coulance.payments.flights import came_back as came_back
from coulance.payments.flights import in_flight as in_flight
from coulance_core.kernel import Money
from coulance_core.ledger import PREPAID, RECEIVABLE, UNALLOCATED
from coulance_core.payments import ItemKind, MandateSequence, Method, OpenItem, Receipt, Scheme


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """What of a receipt goes to an item (`number` as people know it) or to the prepaid balance (`ref` "prepaid")."""

    id: int
    receipt: int
    account: int
    ref: str
    number: str
    amount: Money
    effective_on: date
    reversed_on: date | None
    reversed_why: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class RefundRow:
    """Money paid back out of a receipt."""

    id: int
    receipt: int
    account: int
    amount: Money
    refunded_on: date
    method: Method
    iban: str
    source_key: str
    reason: str
    reversed_on: date | None


@dataclass(frozen=True, slots=True)
class Balance:
    """Where an account stands in one currency: what it owes, what of its money is not allocated, what it has prepaid.

    `due` is what it owes less money of its own on hand: below zero we owe it. Prepaid money is apart.
    """

    owed: Money
    unallocated: Money
    prepaid: Money

    @property
    def due(self) -> Money:
        """What is to be paid after money on hand."""
        return self.owed - self.unallocated


@dataclass(frozen=True, slots=True)
class MandateRow:
    """Leave to collect, as taken over or signed."""

    id: int
    account: int
    reference: str
    iban: str
    holder: str
    signed_on: date
    scheme: Scheme
    sequence: MandateSequence
    last_used_on: date | None
    withdrawn_on: date | None


def _fetch(statement: str, parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows


@dataclass(frozen=True, slots=True)
class ItemSince:
    """An open item, and the first day that money can count for it."""

    item: OpenItem
    since: date


def items_since(*, accounts: Iterable[int] | None, on: date | None = None, settled: bool = False) -> list[ItemSince]:
    """Open items with the day from which they count; those with nothing open too, when `settled`."""
    wanted = None if accounts is None else sorted(set(accounts))
    if wanted == []:
        return []
    return [
        ItemSince(
            OpenItem(
                ref,
                account,
                ItemKind(kind),
                number,
                issued,
                due,
                Money(gross, code),
                Money(left, code),
                Money(held, code) if held is not None and held > 0 else None,
            ),
            since,
        )
        for ref, account, kind, number, issued, due, gross, code, left, since, held in _fetch(
            items_sql.OF_ALL if wanted is None else items_sql.OF_ACCOUNTS,
            {"accounts": wanted, "on": on, "all": settled},
        )
    ]


def open_items(*, accounts: Iterable[int] | None = None, on: date | None = None) -> dict[int, tuple[OpenItem, ...]]:
    """What is open of these accounts (none: of all), by account, in the order it falls due.

    Debts are above zero. An item below zero is credit: a credit note on what was paid, or one taken over. `held` is
    what open disputes hold of an item (the ledger's holds about it), never more than is open. `on` gives the items as
    they stood at the end of that day. Accounts with nothing open are left out.
    """
    out: dict[int, list[OpenItem]] = {}
    for found in items_since(accounts=accounts, on=on):
        out.setdefault(found.item.account, []).append(found.item)
    return {account: tuple(items) for account, items in out.items()}


def items(*, account: int, on: date | None = None) -> tuple[OpenItem, ...]:
    """Every item of an account, the settled ones too, in the order they fall due."""
    return tuple(found.item for found in items_since(accounts=[account], on=on, settled=True))


def items_by_number(*, numbers: Iterable[str]) -> dict[str, tuple[OpenItem, ...]]:
    """The items (settled too) of these document numbers, of whatever account; a number taken over may be several's."""
    wanted = sorted(set(numbers))
    owners = {
        account
        for (account,) in _fetch(
            "SELECT account_id FROM invoicing_document WHERE number = ANY(%s)"
            " UNION SELECT account_id FROM payments_opening_item WHERE number = ANY(%s) AND reversed_on IS NULL",
            [wanted, wanted],
        )
    }
    out: dict[str, list[OpenItem]] = {}
    for found in items_since(accounts=owners, settled=True):
        if found.item.number in wanted:
            out.setdefault(found.item.number, []).append(found.item)
    return {number: tuple(found) for number, found in out.items()}


def balances(*, accounts: Iterable[int] | None = None, on: date | None = None) -> dict[int, dict[str, Balance]]:
    """Where accounts stand, by account and currency, from the journal; accounts without entries are left out."""
    wanted = None if accounts is None else sorted(set(accounts))
    out: dict[int, dict[str, Balance]] = {}
    for account, code, owed, unallocated, prepaid in _fetch(
        "SELECT p.account_id, l.currency,"
        " coalesce(sum(l.amount) FILTER (WHERE l.account = %(receivable)s), 0)::bigint,"
        " coalesce(-sum(l.amount) FILTER (WHERE l.account = %(unallocated)s), 0)::bigint,"
        " coalesce(-sum(l.amount) FILTER (WHERE l.account = %(prepaid)s), 0)::bigint"
        " FROM ledger_party p JOIN ledger_entry e ON e.party_id = p.id JOIN ledger_posting l ON l.entry_id = e.id"
        " WHERE l.account IN (%(receivable)s, %(unallocated)s, %(prepaid)s) AND p.account_id IS NOT NULL"
        " AND (%(accounts)s::bigint[] IS NULL OR p.account_id = ANY(%(accounts)s))"
        " AND (%(on)s::date IS NULL OR e.effective_on <= %(on)s)"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        {
            "receivable": RECEIVABLE,
            "unallocated": UNALLOCATED,
            "prepaid": PREPAID,
            "accounts": wanted,
            "on": on,
        },
    ):
        out.setdefault(account, {})[code] = Balance(Money(owed, code), Money(unallocated, code), Money(prepaid, code))
    return out


def balance(*, account: int, currency: str, on: date | None = None) -> Balance:
    """Where an account stands in one currency; zeros when nothing was ever booked."""
    zero = Money(0, currency)
    return balances(accounts=[account], on=on).get(account, {}).get(currency, Balance(zero, zero, zero))


def with_means(*, accounts: Iterable[int] | None = None) -> list[int]:
    """Accounts that owe something payable and have something to pay it with: money left over, credit, or prepaid."""
    wanted = None if accounts is None else sorted(set(accounts))
    found = _fetch(
        "SELECT account_id FROM ("
        " SELECT account_id, currency, amount FROM payments_receipt WHERE reversed_on IS NULL AND method <> 'prepaid'"
        " UNION ALL SELECT account_id, currency, -amount FROM payments_allocation"
        "  WHERE reversed_on IS NULL AND NOT prepaid"
        " UNION ALL SELECT f.account_id, f.currency, -f.amount FROM payments_refund f"
        "  JOIN payments_receipt r ON r.id = f.receipt_id WHERE f.reversed_on IS NULL AND r.reversed_on IS NULL) rows"
        " WHERE %(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s)"
        " GROUP BY account_id, currency HAVING sum(amount) > 0"
        " UNION SELECT account_id FROM invoicing_document WHERE kind = 'credit_note' AND state = 'issued'"
        "  AND (%(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s))"
        " UNION SELECT account_id FROM payments_opening_item WHERE open < 0 AND reversed_on IS NULL"
        "  AND (%(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s))",
        {"accounts": wanted},
    )
    listed = open_items(accounts=[account for (account,) in found])
    owed = {
        account: {item.open.currency for item in items if item.payable.minor > 0} for account, items in listed.items()
    }
    standing = balances(accounts=[account for account, codes in owed.items() if codes])
    return sorted(
        account
        for account, codes in owed.items()
        if codes & {item.open.currency for item in listed[account] if item.open.minor < 0}
        or any(
            one.unallocated.minor > 0 or one.prepaid.minor > 0
            for code, one in standing.get(account, {}).items()
            if code in codes
        )
    )


def unallocated(*, account: int, currency: str) -> Money:
    """The account's money that is allocated to nothing yet."""
    return balance(account=account, currency=currency).unallocated


def prepaid(*, account: int, currency: str) -> Money:
    """The account's prepaid balance."""
    return balance(account=account, currency=currency).prepaid


_RECEIPTS = """
SELECT r.id, r.account_id, r.amount, r.currency, r.received_on, r.method, r.source_key, r.payer_ref, r.payer_iban,
       r.reversed_on, uses.unused
  FROM payments_receipt r CROSS JOIN LATERAL (
    SELECT CASE WHEN r.reversed_on IS NOT NULL THEN 0 ELSE r.amount
            - coalesce((SELECT sum(a.amount) FROM payments_allocation a
                         WHERE a.receipt_id = r.id AND a.reversed_on IS NULL), 0)
            - coalesce((SELECT sum(f.amount) FROM payments_refund f
                         WHERE f.receipt_id = r.id AND f.reversed_on IS NULL), 0) END::bigint AS unused) uses
"""


def _receipt(row: Sequence[Any]) -> Receipt:
    return Receipt(
        id=row[0],
        account=row[1],
        amount=Money(row[2], row[3]),
        left=Money(row[10], row[3]),
        received_on=row[4],
        method=Method(row[5]),
        source_key=row[6],
        payer_ref=row[7],
        payer_iban=row[8],
        reversed_on=row[9],
    )


def receipt(*, receipt: int) -> Receipt:
    """A receipt by its id. Raises `UnableToFindPaymentError`."""
    rows = _fetch(_RECEIPTS + " WHERE r.id = %s", [receipt])
    if not rows:
        raise UnableToFindPaymentError(f"there is no receipt {receipt}")
    return _receipt(rows[0])


def booked_elsewhere(*, account: int, source: str, actor: str, refunds: bool = False) -> int | None:
    """The receipt (or refund) of an account that somebody else than `actor` booked by the API under that source."""
    table = "payments_refund" if refunds else "payments_receipt"
    rows = _fetch(
        f"SELECT id FROM {table} WHERE account_id = %s AND actor <> %s AND source_key LIKE 'api:%%'"  # noqa: S608
        " AND substr(source_key, strpos(substr(source_key, 5), ':') + 5) = %s ORDER BY id LIMIT 1",
        [account, actor, source],
    )
    return rows[0][0] if rows else None


def is_source_used(*, source_key: str, refunds: bool = False) -> bool:
    """Whether a receipt (or refund) of exactly that source is booked."""
    table = "payments_refund" if refunds else "payments_receipt"
    return bool(_fetch(f"SELECT 1 FROM {table} WHERE source_key = %s", [source_key]))  # noqa: S608


def receipt_by_source(*, source_key: str) -> Receipt | None:
    """The receipt booked from that source, undone or not; none when there is none."""
    rows = _fetch(_RECEIPTS + " WHERE r.source_key = %s", [source_key])
    return _receipt(rows[0]) if rows else None


def receipts(
    *,
    accounts: Iterable[int] | None = None,
    with_left: bool = False,
    since: date | None = None,
    until: date | None = None,
    before: tuple[date, int] | None = None,
    limit: int = 1000,
    offset: int = 0,
) -> list[Receipt]:
    """Receipts, the newest first: of these accounts, with something left, received in [since, until).

    `before` is where a page of them ended: the day of receipt and id of its last.
    """
    wanted = None if accounts is None else sorted(set(accounts))
    return [
        _receipt(row)
        for row in _fetch(
            _RECEIPTS + " WHERE (%(accounts)s::bigint[] IS NULL OR r.account_id = ANY(%(accounts)s))"
            " AND (%(since)s::date IS NULL OR r.received_on >= %(since)s)"
            " AND (%(until)s::date IS NULL OR r.received_on < %(until)s)"
            " AND (NOT %(left)s OR uses.unused > 0)"
            " AND (%(before_on)s::date IS NULL OR (r.received_on, r.id) < (%(before_on)s, %(before_id)s))"
            " ORDER BY r.received_on DESC, r.id DESC LIMIT %(limit)s OFFSET %(offset)s",
            {
                "accounts": wanted,
                "since": since,
                "until": until,
                "left": with_left,
                "before_on": before[0] if before else None,
                "before_id": before[1] if before else 0,
                "limit": limit,
                "offset": offset,
            },
        )
    ]


_ALLOCATIONS = """
SELECT a.id, a.receipt_id, a.account_id,
       coalesce('document/' || a.document_id, 'opening/' || a.opening_id, 'prepaid'),
       coalesce(d.number, o.number, ''), a.amount, a.currency, a.effective_on, a.reversed_on, a.reversed_why,
       a.recorded_at
  FROM payments_allocation a LEFT JOIN invoicing_document d ON d.id = a.document_id
  LEFT JOIN payments_opening_item o ON o.id = a.opening_id
"""


def allocations(
    *,
    receipts: Iterable[int] | None = None,
    refs: Iterable[str] | None = None,
    accounts: Iterable[int] | None = None,
    undone: bool = False,
) -> list[AllocationRow]:
    """Allocations in the order they were made: of receipts, to items (refs), or of accounts; the undone on request."""
    named = None if refs is None else list(refs)
    return [
        AllocationRow(row[0], row[1], row[2], row[3], row[4], Money(row[5], row[6]), row[7], row[8], row[9], row[10])
        for row in _fetch(
            _ALLOCATIONS + " WHERE (%(receipts)s::bigint[] IS NULL OR a.receipt_id = ANY(%(receipts)s))"
            " AND (%(accounts)s::bigint[] IS NULL OR a.account_id = ANY(%(accounts)s))"
            " AND (%(documents)s::bigint[] IS NULL OR a.document_id = ANY(%(documents)s)"
            "      OR a.opening_id = ANY(%(openings)s))"
            " AND (%(undone)s OR a.reversed_on IS NULL) ORDER BY a.id",
            {
                "receipts": None if receipts is None else list(receipts),
                "accounts": None if accounts is None else list(accounts),
                "documents": None if named is None else _ids(named, "document"),
                "openings": None if named is None else _ids(named, "opening"),
                "undone": undone,
            },
        )
    ]


def _ids(refs: Iterable[str], kind: str) -> list[int]:
    return [int(ref.removeprefix(f"{kind}/")) for ref in refs if ref.startswith(f"{kind}/")]


def refund(*, refund: int) -> RefundRow:
    """A refund by its id. Raises `UnableToFindPaymentError`."""
    found = refunds(only=refund)
    if not found:
        raise UnableToFindPaymentError(f"there is no refund {refund}")
    return found[0]


def refunds(
    *, receipts: Iterable[int] | None = None, accounts: Iterable[int] | None = None, only: int | None = None
) -> list[RefundRow]:
    """Refunds in the order they were made, the undone too: out of these receipts, of these accounts, or only one."""
    return [
        RefundRow(
            row[0], row[1], row[2], Money(row[3], row[4]), row[5], Method(row[6]), row[7], row[8], row[9], row[10]
        )
        for row in _fetch(
            "SELECT id, receipt_id, account_id, amount, currency, refunded_on, method, iban, source_key, reason,"
            " reversed_on FROM payments_refund WHERE (%(receipts)s::bigint[] IS NULL OR receipt_id = ANY(%(receipts)s))"
            " AND (%(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s))"
            " AND (%(only)s::bigint IS NULL OR id = %(only)s) ORDER BY id",
            {
                "receipts": None if receipts is None else list(receipts),
                "accounts": None if accounts is None else list(accounts),
                "only": only,
            },
        )
    ]


def mandates(*, accounts: Iterable[int]) -> list[MandateRow]:
    """Mandates of these accounts, withdrawn ones too, the newest signature first."""
    return [
        MandateRow(
            row[0], row[1], row[2], row[3], row[4], row[5], Scheme(row[6]), MandateSequence(row[7]), row[8], row[9]
        )
        for row in _fetch(
            "SELECT id, account_id, reference, iban, holder, signed_on, scheme, sequence, last_used_on, withdrawn_on"
            " FROM payments_mandate WHERE account_id = ANY(%s) ORDER BY account_id, signed_on DESC, id DESC",
            [list(accounts)],
        )
    ]


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was taken over of an account in one currency and stands: to compare with the system that was left."""

    account: int
    debts: Money
    credits: Money
    items: int
    prepaid: Money
    mandates: int


def taken_over(*, accounts: Iterable[int] | None = None) -> list[TakenOver]:
    """By account and currency: debts and credits as taken over (not what is open of them now), prepaid, mandates."""
    wanted = None if accounts is None else sorted(set(accounts))
    return [
        TakenOver(account, Money(debts, code), Money(credits_, code), count, Money(balance_, code), mandates_)
        for account, code, debts, credits_, count, balance_, mandates_ in _fetch(
            "WITH rows AS ("
            " SELECT account_id, currency, open, 1 AS n, 0 AS prepaid FROM payments_opening_item"
            "  WHERE reversed_on IS NULL"
            " UNION ALL SELECT account_id, currency, 0, 0, amount FROM payments_receipt"
            "  WHERE method = 'opening' AND reversed_on IS NULL)"
            " SELECT account_id, currency, coalesce(sum(open) FILTER (WHERE open > 0), 0)::bigint,"
            " coalesce(sum(open) FILTER (WHERE open < 0), 0)::bigint, sum(n)::bigint, sum(prepaid)::bigint,"
            " (SELECT count(*) FROM payments_mandate m WHERE m.account_id = rows.account_id AND withdrawn_on IS NULL)"
            " FROM rows WHERE %(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s)"
            " GROUP BY account_id, currency ORDER BY account_id, currency",
            {"accounts": wanted},
        )
    ]


@dataclass(frozen=True, slots=True)
class KnownIban:
    """A bank account that a customer has paid from."""

    account: int
    iban: str
    learnt_at: datetime
    learnt_from: str


def known_ibans(*, ibans: Iterable[str] | None = None, accounts: Iterable[int] | None = None) -> list[KnownIban]:
    """Bank accounts learnt, by IBAN; of these IBANs or accounts."""
    return [
        KnownIban(*row)
        for row in _fetch(
            "SELECT account_id, iban, learnt_at, learnt_from FROM payments_known_iban"
            " WHERE (%(ibans)s::text[] IS NULL OR iban = ANY(%(ibans)s))"
            " AND (%(accounts)s::bigint[] IS NULL OR account_id = ANY(%(accounts)s)) ORDER BY iban, account_id",
            {
                "ibans": None if ibans is None else list(ibans),
                "accounts": None if accounts is None else list(accounts),
            },
        )
    ]
