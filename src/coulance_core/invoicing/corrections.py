"""Giving back: which lines of which invoices a decrease lowers, newest first, never more than is left of each."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenLine:
    """A line of an issued invoice that can still be lowered by `left` (minor units, positive)."""

    invoice: str
    line: int
    left: int


@dataclass(frozen=True, slots=True)
class Share:
    """Lower `line` of `invoice` by `amount` (minor units)."""

    invoice: str
    line: int
    amount: int


def spread_credit(amount: int, lines: Sequence[OpenLine]) -> tuple[tuple[Share, ...], int]:
    """Give back `amount` (minor units, positive) over `lines` in their order; returns shares, and what found no line.

    Give the newest line first: what was billed last is the first to be taken back.

    >>> spread_credit(70, [OpenLine("V2", 1, 50), OpenLine("V1", 3, 40)])
    ((Share(invoice='V2', line=1, amount=50), Share(invoice='V1', line=3, amount=20)), 0)
    """
    if amount < 0:
        raise ValueError(f"an amount to give back is not negative: {amount}")
    shares: list[Share] = []
    for line in lines:
        if not amount:
            break
        part = min(amount, line.left)
        if part > 0:
            shares.append(Share(line.invoice, line.line, part))
            amount -= part
    return tuple(shares), amount
