"""Money coming in: open items, receipts, and how a receipt is divided over what is owed. Pure."""

from coulance_core.payments.terms import (
    Choice,
    ItemKind,
    Method,
    OpenItem,
    Part,
    Receipt,
    ReversalKind,
    Scheme,
    Sequence,
)

__all__ = [
    "Choice",
    "ItemKind",
    "Method",
    "OpenItem",
    "Part",
    "Receipt",
    "ReversalKind",
    "Scheme",
    "Sequence",
]
