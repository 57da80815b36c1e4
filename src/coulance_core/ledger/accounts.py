"""The chart of accounts: typed text codes, each with the class that accountants file it under.

A code is `family` or `family:detail`, such as `revenue:overage` and `tax:NL-21`. `receivable` needs no detail: an
entry belongs to one customer account, and its receivable is theirs.
"""

import re
from enum import StrEnum

RECEIVABLE = "receivable"
"""What the entry's customer owes for issued documents."""
CARRIED = "carried"
"""Earned, but too small to invoice yet: carried forward to a later invoice of the same customer."""
ROUNDING = "rounding"
"""Differences that a named tax rounding leaves between lines and totals."""
DAMAGES = "damages"
"""Compensation paid by credit note: a cost, not a lower price, so no tax is reversed for it."""
CASH = "cash"
"""Money received or paid back; payments say where by a detail."""
UNALLOCATED = "unallocated"
"""Customers' money that is not allocated to a debt yet: ours to give back until it is."""
PREPAID = "prepaid"
"""Customers' balances paid in advance, to be drawn on."""
DEFERRED = "deferred"
"""Paid for and not delivered yet: owed in work, so no income before its time. A detail says what: `deferred:hours`."""
BAD_DEBT = "bad_debt"
"""Debts given up: a cost. The tax in them stays as declared until the law of the place lets it be reclaimed."""
FEES = "fees"
"""What those who carry payments keep of them: a cost. A detail says who."""
OPENING = "equity:opening"
"""The other side of what is taken over from the system that was left."""

_CODE = re.compile(r"[a-z][a-z_]*(:[A-Za-z0-9][A-Za-z0-9._-]*)*")
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]")


class AccountClass(StrEnum):
    """The five classes of bookkeeping; exports use their names."""

    ASSETS = "Assets"
    LIABILITIES = "Liabilities"
    EQUITY = "Equity"
    INCOME = "Income"
    EXPENSES = "Expenses"


_CLASS = {
    RECEIVABLE: AccountClass.ASSETS,
    CARRIED: AccountClass.ASSETS,
    CASH: AccountClass.ASSETS,
    "revenue": AccountClass.INCOME,
    "tax": AccountClass.LIABILITIES,
    "equity": AccountClass.EQUITY,
    ROUNDING: AccountClass.EXPENSES,
    DAMAGES: AccountClass.EXPENSES,
    UNALLOCATED: AccountClass.LIABILITIES,
    PREPAID: AccountClass.LIABILITIES,
    DEFERRED: AccountClass.LIABILITIES,
    BAD_DEBT: AccountClass.EXPENSES,
    FEES: AccountClass.EXPENSES,
}


class AccountCodeError(ValueError):
    """A code that is malformed or of no known family."""


def revenue(detail: str) -> str:
    """The income account of a kind of line: `revenue:base`, `revenue:overage`."""
    return check_code(f"revenue:{_safe(detail)}")


def tax(code: str) -> str:
    """The liability to the tax office under a tax code. Characters that a code cannot hold are spelt as hex.

    >>> tax("NL-21"), tax("reverse charge")
    ('tax:NL-21', 'tax:reverse_20charge')
    """
    return check_code(f"tax:{_safe(code)}")


def cash(detail: str) -> str:
    """The asset account of a way that money comes in by: `cash:bank`.

    >>> cash("bank")
    'cash:bank'
    """
    return check_code(f"{CASH}:{_safe(detail)}")


def fees(detail: str) -> str:
    """The expense account of what a carrier of payments keeps: `fees:stripe`.

    >>> fees("stripe")
    'fees:stripe'
    """
    return check_code(f"{FEES}:{_safe(detail)}")


def deferred(detail: str) -> str:
    """The liability for what is paid for and not delivered yet: `deferred:hours`.

    >>> deferred("hours")
    'deferred:hours'
    """
    return check_code(f"{DEFERRED}:{_safe(detail)}")


def check_code(code: str) -> str:
    """`code` itself; raises `AccountCodeError` when it is malformed, too long or of an unknown family."""
    if len(code) > 64 or not _CODE.fullmatch(code):
        raise AccountCodeError(
            f"malformed account code {code!r}: expected family:detail of letters, digits, '.', '_' and '-', at most 64"
        )
    account_class(code)
    return code


def account_class(code: str) -> AccountClass:
    """The class an account belongs to.

    >>> account_class("revenue:base").value
    'Income'
    """
    family = code.partition(":")[0]
    try:
        return _CLASS[family]
    except KeyError:
        raise AccountCodeError(f"unknown account family {family!r}: expected one of {', '.join(_CLASS)}") from None


def _safe(detail: str) -> str:
    text = _UNSAFE.sub(lambda m: "_" + m.group().encode().hex(), detail)
    # A code starts with a letter or digit; "x__" cannot come from anything else, as an underscore is itself spelt _5f.
    return text if text[:1].isalnum() else f"x__{text}"
