"""How a credit is paid out; apart from the terms, so that tables that keep it load nothing heavy."""

from enum import StrEnum


class Pays(StrEnum):
    """How a credit is paid out."""

    INVOICE = "invoice"
    """A credit note on the fee that was paid; what it leaves over pays the next invoices."""
    WALLET = "wallet"
    """The same, and what it leaves over is prepaid, for any product."""
    MONEY_BACK = "money_back"
    """The same, and what it leaves over is paid back."""
