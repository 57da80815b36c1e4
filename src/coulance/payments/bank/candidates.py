"""What entries could be about, as the tables have it: debts, receipts, refunds, IBANs."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from django.db import connection

from coulance.payments.bank.reading import fetch, iban_or_none
from coulance.payments.booking import require_transaction
from coulance_core.invoicing.references import creditor_reference
from coulance_core.kernel import Money
from coulance_core.payments import ItemKind, MandateSequence, OpenItem
from coulance_core.payments.decisions import EarlierReceipt, Expected, ExpectedPayout, Refund
from coulance_core.payments.direct_debit import SEQUENCE_CODES

LOOK_BACK = timedelta(days=400)
"""How long a settled invoice, a receipt or a refund can be what an entry is about."""


def learn_ibans(*, learnt: Iterable[tuple[int, str, str]], at: datetime) -> None:
    """Remember that accounts pay from IBANs: (account, IBAN, what it was learnt from). Known ones stay as they are."""
    require_transaction("learn_ibans")
    rows = [(account, iban, source) for account, iban, source in learnt if iban_or_none(iban)]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_known_iban (account_id, iban, learnt_at, learnt_from)"
            " SELECT n.account, n.iban, %s, n.source FROM unnest(%s::bigint[], %s::text[], %s::text[])"
            " WITH ORDINALITY AS n (account, iban, source, no) ORDER BY n.no ON CONFLICT (account_id, iban) DO NOTHING",
            [at, *(list(column) for column in zip(*rows, strict=True))],
        )


def own_ibans() -> frozenset[str]:
    """The provider's own accounts, as statements named them."""
    return frozenset(iban for (iban,) in fetch("SELECT iban FROM payments_bank_account", []))


def settled_items(*, since: date) -> list[OpenItem]:
    """Invoices issued since that day, open or not, as items with nothing open: a late or double payment names them."""
    return [
        OpenItem(ref, account, ItemKind.OTHER, number, issued, due, Money(gross, code), Money(0, code))
        for ref, account, number, issued, due, gross, code in fetch(
            "SELECT 'document/' || id, account_id, number, issued_on, due_on, gross, currency FROM invoicing_document"
            " WHERE state = 'issued' AND kind IN ('base_invoice', 'overage_invoice', 'debit_note',"
            "  'fee_invoice', 'interest_invoice') AND issued_on >= %s"
            " UNION ALL SELECT 'opening/' || id, account_id, number, issued_on, due_on, gross, currency"
            " FROM payments_opening_item WHERE reversed_on IS NULL AND issued_on >= %s AND open > 0",
            [since, since],
        )
    ]


def earlier_receipts(*, since: date | None = None, entries: Sequence[int] | None = None) -> list[EarlierReceipt]:
    """Bank receipts since that day (or of these entries) that stand, with what their entries said of themselves."""
    if entries is not None and not entries:
        return []
    return [
        EarlierReceipt(receipt, account, Money(amount, code), e2e or "", ref or "", iban or "")
        for receipt, account, amount, code, e2e, ref, iban in fetch(
            "SELECT r.id, r.account_id, r.amount, r.currency, coalesce(nullif(e.end_to_end_id, ''), c.end_to_end_id),"
            " e.bank_ref, coalesce(nullif(e.counterparty_iban, ''), r.payer_iban)"
            " FROM payments_receipt r LEFT JOIN payments_bank_entry e ON e.receipt_id = r.id AND e.amount > 0"
            " LEFT JOIN payments_collection c ON c.receipt_id = r.id"
            " WHERE r.method = 'bank' AND r.reversed_on IS NULL AND (%s::date IS NULL OR r.received_on >= %s)"
            " AND (%s::bigint[] IS NULL OR e.id = ANY(%s) OR (r.source_key LIKE %s"
            "  AND split_part(r.source_key, '/', 2) = ANY(%s))) ORDER BY r.received_on, r.id",
            [since, since, entries, entries, "bank_entry/%/dd/%", [str(one) for one in entries or ()]],
        )
    ]


def taken_back_by(*, receipt: int) -> int | None:
    """The bank entry that undid this receipt, because the bank took the money back; None: no entry did."""
    rows = fetch("SELECT id FROM payments_bank_entry WHERE match->>'undoes' = %s LIMIT 1", [str(receipt)])
    return rows[0][0] if rows else None


def refunds_expected(*, since: date) -> list[Refund]:
    """Refunds by bank since that day that no entry showed yet."""
    return [
        Refund(number, account, Money(amount, code), iban, key)
        for number, account, amount, code, iban, key in fetch(
            "SELECT f.id, f.account_id, f.amount, f.currency, f.iban, f.source_key FROM payments_refund f"
            " WHERE f.method = 'bank' AND f.reversed_on IS NULL AND f.refunded_on >= %s AND NOT EXISTS ("
            "  SELECT 1 FROM payments_bank_entry e WHERE e.match->>'refund' = f.id::text)"
            " ORDER BY f.refunded_on, f.id",
            [since],
        )
    ]


def refunds_gone(*, since: date) -> list[Refund]:
    """Refunds by bank since that day that left (an entry showed it, or their file went), and may be sent back."""
    return [
        Refund(number, account, Money(amount, code), iban, key)
        for number, account, amount, code, iban, key in fetch(
            "SELECT f.id, f.account_id, f.amount, f.currency, f.iban, f.source_key FROM payments_refund f"
            " WHERE f.method = 'bank' AND f.reversed_on IS NULL AND f.refunded_on >= %s AND (EXISTS ("
            "  SELECT 1 FROM payments_bank_entry e WHERE e.match->>'refund' = f.id::text) OR EXISTS ("
            "  SELECT 1 FROM payments_payback p WHERE p.refund_id = f.id AND p.state IN ('handed', 'paid')))"
            " ORDER BY f.refunded_on, f.id",
            [since],
        )
    ]


def collections_expected(*, balance_at_once: bool = False) -> list[Expected]:
    """Collections that the bank may credit: handed over and not credited yet, and refused ones, in spite of that.

    `balance_at_once`: one that fills a balance goes there as soon as it is credited.
    """
    return [
        Expected(
            number,
            account,
            Money(amount, code),
            e2e,
            f"{reference}-{SEQUENCE_CODES[MandateSequence(sequence)]}-{on:%m%d}",
            tuple(refs),
            state == "refused",
            purpose == "top_up",
            purpose == "top_up" and balance_at_once,
        )
        for number, account, amount, code, e2e, reference, sequence, on, state, purpose, refs in fetch(
            "SELECT d.id, d.account_id, d.amount, d.currency, d.end_to_end_id, r.reference, d.sequence, d.collect_on,"
            " d.state, d.purpose,"
            " ARRAY(SELECT coalesce('document/' || c.document_id, 'opening/' || c.opening_id) FROM payments_claim c"
            "  WHERE c.collection_id = d.id ORDER BY c.id)"
            " FROM payments_collection d JOIN payments_collection_run r ON r.id = d.run_id"
            " WHERE d.state IN ('handed', 'refused') ORDER BY d.id",
            [],
        )
    ]


def payouts_expected(*, since: date) -> list[ExpectedPayout]:
    """What gateways paid out since a day."""
    return [
        ExpectedPayout(number, gateway, Money(net, code), reference)
        for number, gateway, net, code, reference in fetch(
            "SELECT id, gateway, net, currency, coalesce(nullif(bank_reference, ''), ref) FROM payments_gateway_payout"
            " WHERE arrived_on >= %s AND net > 0 ORDER BY id",
            [since],
        )
    ]


def top_up_reference(account: int) -> str:
    """The creditor reference by which an account fills its prepaid balance: the same for good.

    >>> top_up_reference(17)
    'RF39TOPUP000017'
    """
    return creditor_reference(f"TOPUP{account:06d}")


def top_up_payloads(accounts: Iterable[int]) -> dict[str, int]:
    """Accounts by the payload of their reference."""
    return {f"TOPUP{account:06d}": account for account in accounts}
