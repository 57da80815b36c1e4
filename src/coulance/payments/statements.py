"""Statements of account, read from the journal and said in words that people know; and debts by age.

Part of the room's reading side: `queries` for whole documents.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import connection

from coulance.customers import queries as customers
from coulance.payments import queries
from coulance_core.kernel import Money
from coulance_core.ledger import RECEIVABLE, UNALLOCATED
from coulance_core.payments import AccountStatement, Ages, Method, OpenItem, Row, RowKind, ages, statement_of_account


@dataclass(frozen=True, slots=True)
class AgedAccount:
    """An account's debts by age in one currency, and the items behind them."""

    account: int
    external_id: str
    name: str
    ages: Ages
    items: tuple[OpenItem, ...]


def account_statement(*, account: int, currency: str, start: date, end: date) -> AccountStatement:
    """An account's statement of [start, end), held against the journal: see core's `statement_of_account`."""
    last = end - timedelta(days=1)
    standing = queries.balance(account=account, currency=currency, on=last)
    items = queries.open_items(accounts=[account], on=last).get(account, ())
    return statement_of_account(
        _rows(account, currency, end),
        start=start,
        end=end,
        currency=currency,
        closing=standing.due,
        prepaid=standing.prepaid,
        items=[item for item in items if item.open.currency == currency],
        on=last,
    )


def aged_accounts(*, on: date, accounts: Iterable[int] | None = None) -> list[AgedAccount]:
    """Every account with something open or on hand at the end of that day, by currency and external id."""
    wanted = None if accounts is None else sorted(set(accounts))
    open_now = queries.open_items(accounts=wanted, on=on)
    on_hand = {
        (account, code): found.unallocated
        for account, by_code in queries.balances(accounts=wanted, on=on).items()
        for code, found in by_code.items()
        if found.unallocated.minor
    }
    keys = {(account, item.open.currency) for account, items in open_now.items() for item in items} | set(on_hand)
    rows = {row.id: row for row in customers.accounts({account for account, _ in keys})}
    found = []
    for account, code in keys:
        items = tuple(item for item in open_now.get(account, ()) if item.open.currency == code)
        aged = ages(items, on=on, currency=code, unallocated=on_hand.get((account, code)))
        found.append(AgedAccount(account, rows[account].external_id, rows[account].name, aged, items))
    return sorted(found, key=lambda one: (one.ages.currency, one.external_id))


def totals(found: Iterable[AgedAccount]) -> dict[str, Ages]:
    """The sums of many accounts, by currency."""
    out: dict[str, Ages] = {}
    for one in found:
        code = one.ages.currency
        out[code] = out[code].plus(one.ages) if code in out else one.ages
    return out


def _rows(account: int, currency: str, end: date) -> list[Row]:
    entries = _fetch(
        "SELECT e.effective_on, e.kind, e.source, r.source,"
        " coalesce(sum(l.amount) FILTER (WHERE l.account = %(receivable)s), 0)::bigint,"
        " coalesce(sum(l.amount) FILTER (WHERE l.account = %(unallocated)s), 0)::bigint"
        " FROM ledger_party p JOIN ledger_entry e ON e.party_id = p.id JOIN ledger_posting l ON l.entry_id = e.id"
        " LEFT JOIN ledger_entry r ON r.id = e.reverses_id"
        " WHERE p.account_id = %(account)s AND l.currency = %(currency)s AND e.effective_on < %(end)s"
        " AND l.account IN (%(receivable)s, %(unallocated)s) GROUP BY e.id, r.source ORDER BY e.seq",
        {
            "receivable": RECEIVABLE,
            "unallocated": UNALLOCATED,
            "account": account,
            "currency": currency,
            "end": end,
        },
    )
    known = _known(account)
    rows: list[Row] = []
    for on, _, source, reverses, owed, unallocated in entries:
        told = known.get(reverses or source, _Told(RowKind.OTHER, RowKind.OTHER, source))
        effect = Money(owed + unallocated, currency)
        rows.append(
            Row(
                on=on,
                kind=told.kind if reverses is None else told.undone,
                reference=told.reference,
                # A memo changes nothing: it shows what moved from money on hand to the debt.
                amount=Money(unallocated, currency) if effect.minor == 0 else effect,
                effect=effect,
                source=source,
                about=told.about,
                due_on=told.due_on if reverses is None else None,
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Told:
    kind: RowKind
    undone: RowKind
    reference: str
    about: str = ""
    due_on: date | None = None


_DOCUMENT_KINDS = {"credit_note": RowKind.CREDIT_NOTE, "debit_note": RowKind.DEBIT_NOTE}
_RECEIPT_KINDS = {
    Method.PREPAID: (RowKind.FROM_PREPAID, RowKind.FROM_PREPAID_REVERSED),
    Method.WRITE_OFF: (RowKind.WRITE_OFF, RowKind.WRITE_OFF_REVERSED),
    Method.OPENING: (RowKind.TAKEN_OVER, RowKind.TAKEN_OVER_REVERSED),
}


def _known(account: int) -> dict[str, _Told]:
    """What each ledger source of an account is, as people know it."""
    told: dict[str, _Told] = {}
    for document, kind, number, due_on, invoice in _fetch(
        "SELECT d.id, d.kind, d.number, d.due_on, i.number FROM invoicing_document d"
        " LEFT JOIN invoicing_document i ON i.id = d.invoice_id WHERE d.account_id = %s AND d.state = 'issued'",
        [account],
    ):
        credit = kind == "credit_note"
        of_kind = _DOCUMENT_KINDS.get(kind, RowKind.INVOICE)
        told[f"document/{document}"] = _Told(of_kind, RowKind.OTHER, number, invoice or "", None if credit else due_on)
    for receipt, method, payer_ref in _fetch(
        "SELECT id, method, payer_ref FROM payments_receipt WHERE account_id = %s", [account]
    ):
        kinds = _RECEIPT_KINDS.get(Method(method), (RowKind.PAYMENT, RowKind.PAYMENT_REVERSED))
        told[f"receipt/{receipt}"] = _Told(*kinds, payer_ref or f"#{receipt}")
    for row in queries.allocations(accounts=[account], undone=True):
        if row.amount.minor < 0:
            kinds = RowKind.CREDIT_FREED, RowKind.CREDIT_FREED_REVERSED
        elif row.ref == "prepaid":
            kinds = RowKind.TO_PREPAID, RowKind.TO_PREPAID_REVERSED
        else:
            kinds = RowKind.ALLOCATED, RowKind.ALLOCATION_REVERSED
        whence = told.get(f"receipt/{row.receipt}")
        told[f"allocation/{row.id}"] = _Told(*kinds, whence.reference if whence else f"#{row.receipt}", row.number)
    for refund in queries.refunds(accounts=[account]):
        whence = told.get(f"receipt/{refund.receipt}")
        told[f"refund/{refund.id}"] = _Told(
            RowKind.REFUND, RowKind.REFUND_REVERSED, f"#{refund.id}", whence.reference if whence else ""
        )
    for opening, number, due_on, refund in _fetch(
        "SELECT id, number, due_on, refund_id FROM payments_opening_item WHERE account_id = %s", [account]
    ):
        kinds = RowKind.TAKEN_OVER, RowKind.TAKEN_OVER_REVERSED
        if refund is not None:
            kinds = RowKind.RECLAIMED, RowKind.RECLAIMED_REVERSED
        told[f"opening/{opening}"] = _Told(*kinds, number, due_on=due_on)
    return told


def _fetch(statement: str, parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Any] = cursor.fetchall()
        return rows
