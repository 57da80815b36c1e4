"""Money coming in: open items, receipts, and how a receipt is divided over what is owed. Pure."""

from coulance_core.catalog.paying import AllocationPolicy
from coulance_core.payments.allocation import Allocation, AllocationError, SetOff, allocate, set_off
from coulance_core.payments.flight import InFlight
from coulance_core.payments.orders import Order, order_for, read_order
from coulance_core.payments.postings import (
    allocation_entry,
    opening_entry,
    receipt_entry,
    receipt_journal,
    reclaim_entry,
    refund_entry,
)
from coulance_core.payments.statement import (
    AccountStatement,
    Ages,
    BalancedRow,
    Row,
    RowKind,
    StatementError,
    ages,
    statement_of_account,
)
from coulance_core.payments.terms import (
    Choice,
    ItemKind,
    MandateSequence,
    Method,
    OpenItem,
    Part,
    Receipt,
    ReversalKind,
    Scheme,
)

__all__ = [
    "AccountStatement",
    "Ages",
    "Allocation",
    "AllocationError",
    "AllocationPolicy",
    "BalancedRow",
    "Choice",
    "InFlight",
    "ItemKind",
    "MandateSequence",
    "Method",
    "OpenItem",
    "Order",
    "Part",
    "Receipt",
    "ReversalKind",
    "Row",
    "RowKind",
    "Scheme",
    "SetOff",
    "StatementError",
    "ages",
    "allocate",
    "allocation_entry",
    "opening_entry",
    "order_for",
    "read_order",
    "receipt_entry",
    "receipt_journal",
    "reclaim_entry",
    "refund_entry",
    "set_off",
    "statement_of_account",
]
