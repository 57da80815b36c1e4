"""What the database refuses, whoever asks: a past that is changed, and a mail that is sent again unsaid."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.notices.check import check_evidence
from tests.notices.post import only, queue, send
from tests.support.mail_server import MailServer

REFUSED = """
UPDATE notices_message SET subject = 'else'
DELETE FROM notices_message
TRUNCATE notices_evidence CASCADE
DELETE FROM notices_evidence
UPDATE notices_evidence SET kind = 'delivered'
UPDATE notices_evidence SET personal = NULL
UPDATE notices_chain SET length = 0
UPDATE notices_chain SET pseudonym = gen_random_uuid()
DELETE FROM notices_delivery
UPDATE notices_delivery SET address = 'eve@else.example'
UPDATE notices_delivery SET header_id = '<new@host.example>'
UPDATE notices_delivery SET state = 'waiting'
UPDATE notices_delivery SET state = 'uncertain'
"""


@pytest.mark.parametrize("statement", REFUSED.strip().splitlines(), ids=lambda s: s[:60])
def test_the_database_refuses(statement: str, server: MailServer, account: int) -> None:
    queue(account, "anna@shop.example", key="m")
    send(server)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert list(check_evidence()) == []


@pytest.mark.parametrize(("seq", "previous"), [(9, "hash"), (4, "previous_hash")])
def test_a_foreign_piece_has_no_place_in_a_chain(seq: int, previous: str, server: MailServer, account: int) -> None:
    queue(account, "anna@shop.example", key="m")
    send(server)
    columns = "chain_id, message_id, kind, at, recorded_at, fact, personal_hash, hash"
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO notices_evidence ({columns}, seq, previous_hash)"
            f" SELECT {columns}, {seq}, {previous} FROM notices_evidence WHERE seq = 3"
        )


def test_a_change_past_the_guards_is_found(server: MailServer, account: int) -> None:
    queue(account, "anna@shop.example", key="m")
    send(server)
    tampering = {
        "UPDATE notices_evidence SET at = at - interval '1 day' WHERE seq = 2": "hash does not fit",
        'UPDATE notices_evidence SET personal = \'{"to": "eve@else.example"}\' WHERE seq = 2': "personal",
        "UPDATE notices_evidence SET hash = previous_hash WHERE seq = 2": "does not follow",
        "DELETE FROM notices_evidence WHERE seq = 2": "missing",
        "DELETE FROM notices_evidence WHERE seq = 3": "ends at",
    }
    for statement, said in tampering.items():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(statement)
            assert any(said in str(fault) for fault in check_evidence()), statement
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
            transaction.set_rollback(True)
    assert list(check_evidence()) == []


def test_a_person_can_be_erased_and_the_chain_still_holds(server: MailServer, account: int, db: Any) -> None:
    queue(account, "anna@shop.example", key="m")
    send(server)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notices_chain SET salt = NULL")
        cursor.execute("UPDATE notices_evidence SET personal = NULL")
    assert list(check_evidence()) == []
    assert only().state == "accepted"
