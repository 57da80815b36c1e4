"""Handing a file over to the bank: whole, the one that was made, and a second time only for a reason.

A bank takes one message once. What was fetched twice may be paid or collected twice.
"""

import hashlib
from datetime import datetime
from typing import Protocol


class BankFile(Protocol):
    """What is known of a file for the bank."""

    @property
    def reference(self) -> str: ...
    @property
    def file_hash(self) -> str: ...
    @property
    def cancelled_at(self) -> datetime | None: ...
    @property
    def cancelled_why(self) -> str: ...
    @property
    def handed_at(self) -> datetime | None: ...
    @property
    def handed_by(self) -> str: ...


def is_fetched_again(row: BankFile, file: bytes, *, named: str, risk: str, reason: str, error: type[Exception]) -> bool:
    """Whether it was fetched before, and is again for `reason`.

    Raises `error` for a file that was called off, that isn't the one that was made, or that is fetched again without
    a reason. `named` is what messages call it, `risk` what may happen twice ("collected", "paid").
    """
    if row.cancelled_at is not None:
        raise error(f"{named} was called off: {row.cancelled_why}")
    if hashlib.sha256(file).hexdigest() != row.file_hash:
        raise error(f"{named}: its file is not the one that was made; it is not handed over")
    if row.handed_at is None:
        return False
    if not reason.strip():
        raise error(
            f"{named} was fetched by {row.handed_by} at {row.handed_at:%Y-%m-%d %H:%M} UTC: handed to the bank twice it"
            f" may be {risk} twice. Say why it is fetched again"
        )
    return True
