"""The numbers of documents, many at once."""

from collections.abc import Collection

from django.db import connection


def numbers_of(documents: Collection[int]) -> dict[int, str]:
    """The numbers of these documents; those without one are left out."""
    if not documents:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, number FROM invoicing_document WHERE id = ANY(%s) AND number IS NOT NULL", [list(documents)]
        )
        return dict(cursor.fetchall())
