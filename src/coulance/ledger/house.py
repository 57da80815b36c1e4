"""The provider's own books: what moves money without a customer, such as what a gateway pays out to our bank.

One party without an account; its pseudonym is the same everywhere, and it is never erased.
"""

from uuid import UUID

from django.db import connection

from coulance.ledger.operations import UnableToPostError

HOUSE = UUID("00000000-0000-4000-8000-00000000c0fe")


def house_party() -> bytes:
    """The pseudonym of the provider's own party, made when it is first needed; its books are locked until the
    transaction ends. Raises `UnableToPostError` outside one."""
    if not connection.in_atomic_block:
        raise UnableToPostError("house_party wants a transaction: call it inside transaction.atomic()")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO ledger_party (pseudonym) VALUES (%s) ON CONFLICT DO NOTHING", [HOUSE])
        cursor.execute("SELECT id FROM ledger_party WHERE pseudonym = %s FOR NO KEY UPDATE", [HOUSE])
    return HOUSE.bytes
