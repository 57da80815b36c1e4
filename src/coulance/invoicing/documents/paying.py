"""The square that a banking app reads: a SEPA transfer filled in (EPC069-12, version 002).

Only for euros to an IBAN whose check digits are right, since a code that pays the wrong account is worse than none.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from coulance.invoicing.documents import qr
from coulance_core.invoicing.en16931 import is_iban, payment_reference
from coulance_core.invoicing.references import creditor_reference_if_any

_MOST = Decimal("999999999.99")
_WHITE = np.array([255, 0])
"""The grey of a light module, and of a dark one."""
_LATEST = 13
"""The largest version that the standard allows."""


def reference_of(number: str) -> str:
    """The reference to give, as people read it: an RF in groups of four, else the number.

    >>> reference_of("B2026-000017")
    'RF92 B202 6000 017'
    """
    reference = creditor_reference_if_any(number)
    return " ".join(reference[i : i + 4] for i in range(0, len(reference), 4)) if reference else number


def transfer_text(seller: Mapping[str, Any], *, amount: str, currency: str, number: str) -> str | None:
    """What the square says, or none where it can say nothing: not euros, no valid IBAN, nothing to pay."""
    iban = "".join(str(seller.get("iban") or "").split()).upper()
    name = " ".join(str(seller.get("name") or "").split())[:70]
    bic = "".join(str(seller.get("bic") or "").split()).upper()
    if currency != "EUR" or not name or not is_iban(iban) or not Decimal("0.01") <= Decimal(amount) <= _MOST:
        return None
    if not (bic.isascii() and bic.isalnum() and len(bic) in (8, 11)):
        bic = ""
    reference = payment_reference(number)
    structured, words = (reference, "") if creditor_reference_if_any(number) else ("", number[:140])
    lines = ("BCD", "002", "1", bic, name, iban, f"EUR{Decimal(amount):f}", "", structured, words)
    return "\n".join(lines).rstrip("\n")


def square(text: str) -> dict[str, Any] | None:
    """The text as a QR code of error correction M: its size in modules and their greys, row by row; none when too long.

    Greys rather than lines: typst sets a small picture in a third of the time of as many strokes.
    """
    try:
        made = qr.modules(text, largest=_LATEST)
    except qr.TooLongError:
        return None
    return {"size": len(made), "pixels": _WHITE[made].ravel().tolist()}
