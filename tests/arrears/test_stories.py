"""Twelve stories of a debt, through the real flow: what was done, what was held up and by what, what was lifted."""

from typing import Any


def test_forgot_to_pay(street: Any) -> None:
    street.billed()
    street.until("2026-06-24", since="2026-06-10")
    print(street.story(), street.held(), street.subjects())
    street.until("2026-08-15", since="2026-06-25")
    print(street.story(), street.held(), street.subjects())
    assert street.audit() == []
