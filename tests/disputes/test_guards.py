"""Disputes under attack by raw SQL, by two at once, and by the power going: what is held is what is contested."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from coulance.disputes import queries as cases
from coulance.disputes.errors import DisputesError
from coulance.invoicing import queries as invoicing
from coulance.ledger import operations as ledger
from coulance.ledger import queries as books
from coulance.payments import queries as payments
from coulance_core.kernel import Money
from coulance_core.ledger import HoldKind
from tests.disputes.court import OPENED, Court, part
from tests.disputes.dying import STEPS, decide, open_it
from tests.support.crashing import kill_at_each


def sql(statement: str, **parameters: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


STEP = "INSERT INTO disputes_step (case_id, no, kind, at, by, text, outcome, detail, messages) VALUES "
CASE = (
    "INSERT INTO disputes_case (account_id, document_id, number, currency, net, tax, gross, grounds, reason, contact,"
    " policy, opened_at, opened_by) SELECT account_id, document_id, number, currency, net, tax, gross, grounds, reason,"
    " contact, policy, opened_at, opened_by FROM disputes_case WHERE id = %(case)s"
)
FILE = (
    "INSERT INTO disputes_file (case_id, step_no, name, media_type, size, sha256, content, added_at, added_by)"
    " VALUES (%(case)s, 1, {name}, 'text/plain', 1, {hash}, 'x', now(), 'x')"
)
HASH = "encode(sha256('x'), 'hex')"


ATTACKS = [
    "UPDATE disputes_case SET gross = 1, net = 1, tax = 0 WHERE id = %(case)s",
    "UPDATE disputes_case SET reason = 'nothing' WHERE id = %(case)s",
    "UPDATE disputes_case SET closed_at = now() WHERE id = %(case)s",
    "DELETE FROM disputes_case WHERE id = %(case)s",
    "TRUNCATE disputes_case CASCADE",
    "UPDATE disputes_part SET net = 1 WHERE case_id = %(case)s",
    "DELETE FROM disputes_part WHERE case_id = %(case)s",
    "UPDATE disputes_step SET text = 'you said nothing' WHERE case_id = %(case)s",
    "DELETE FROM disputes_step WHERE case_id = %(case)s",
    "UPDATE disputes_file SET name = 'x'",
    "UPDATE ledger_hold SET released_at = now(), released_why = 'attack' WHERE source = 'dispute/' || %(case)s",
    "UPDATE ledger_hold SET about = 'document/1' WHERE source = 'dispute/' || %(case)s",
    STEP + "(%(case)s, 3, 'noted', now(), 'x', 'a gap', '', '{}', '[]')",
    STEP + "(%(case)s, 2, 'noted', '2020-01-01', 'x', 'before', '', '{}', '[]')",
    STEP + "(%(case)s, 2, 'opened', now(), 'x', 'again', '', '{}', '[]')",
    STEP + "(%(case)s, 2, 'decided', now(), 'x', 'no outcome', '', '{}', '[]')",
    STEP + "(%(case)s, 2, 'decided', now(), 'x', 'and still held', 'rejected', '{}', '[]')",
    CASE,
    CASE.replace("account_id, document_id, number, currency, net, tax, gross, grounds, reason, contact, policy,"
                 " opened_at, opened_by FROM", "account_id, 0, number, currency, net, tax, gross, grounds, reason,"
                 " contact, policy, opened_at, opened_by FROM"),
    FILE.format(name="'../x'", hash=HASH),
    FILE.format(name="'x.txt'", hash="repeat('0', 64)"),
]  # fmt: skip


def test_raw_sql_is_refused(court: Court) -> None:
    case = court.opens(part("50.00"))
    for statement in ATTACKS:
        with pytest.raises(DatabaseError):
            sql(statement, case=case)
    assert court.stands() == "242.00 of which 60.50 held"
    assert court.audit() == []


def test_a_hold_without_a_case_is_refused(court: Court) -> None:
    def place(source: str) -> None:
        with transaction.atomic():
            ledger.place_hold(
                account=court.account, kind=HoldKind.DISPUTE, amount=Money(1, "EUR"), source=source, at=OPENED,
                about=f"document/{court.document}",
            )  # fmt: skip
            connection.check_constraints()

    for source in ("dispute/999999", "dispute/0", "attack"):
        with pytest.raises(DatabaseError):
            place(source)
    assert books.open_holds() == ()


@pytest.fixture
def lasting_court(committed_db: Any, store_here: Path, tmp_path: Path) -> Court:
    return Court.of(tmp_path)


def together(*acts: Callable[[], Any]) -> list[str]:
    """Do these at once, each by its own connection; how each ended."""
    ends: list[str] = [""] * len(acts)
    ready = threading.Barrier(len(acts))

    def run(n: int, act: Callable[[], Any]) -> None:
        ready.wait()
        try:
            act()
            ends[n] = "done"
        except (DisputesError, DatabaseError) as fault:
            ends[n] = type(fault).__name__
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(n, act)) for n, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(ends)


def test_two_at_once_and_killed_at_every_step(lasting_court: Court, committed_db: Any) -> None:
    court = lasting_court
    base = next(row.id for row in invoicing.documents(account=court.account) if row.kind == "base_invoice")
    case = open_it(court.document, court.account)
    connections.close_all()
    # Killed while a case on the base invoice is opened, and while the other is decided: nothing happened.
    kill_at_each("tests.disputes.dying", STEPS, base, court.account, case, database=committed_db)
    assert [hold.dispute for hold in cases.holds()] == [case]
    assert (court.state(case), court.stands()) == ("open", "242.00 of which 242.00 held")
    assert [row.number for row in invoicing.documents(account=court.account) if row.kind == "credit_note"] == []
    # The same line contested by two at once: one case. Decided by two at once: one credit note.
    ends = together(*[lambda: open_it(base, court.account)] * 3)
    assert ends == ["UnableToOpenError", "UnableToOpenError", "done"]
    ends = together(*[lambda: decide(case)] * 3)
    assert ends == ["UnableToStepError", "UnableToStepError", "done"]
    assert court.stands() == "0.00"
    assert [row.number for row in invoicing.documents(account=court.account) if row.kind == "credit_note"] == [
        "C2026-0001"
    ]
    assert [str(one) for one in court.audit()] == []
    assert payments.unallocated(account=court.account, currency="EUR").minor == 0
