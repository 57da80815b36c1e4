"""Issued paper under attack through raw SQL, and double billing refused by the database."""

import json
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.invoicing.check import check_documents
from coulance.invoicing.operations import (
    NewCarry,
    NewDocument,
    NewFigure,
    UnableToBillTwiceError,
    UnableToWriteError,
    abandon_drafts,
    assign_numbers,
    carry_lines,
    open_run,
    record_figures,
    write_drafts,
)
from coulance.invoicing.queries import billed_spans, carried, documents, settled_figures
from coulance_core.catalog.terms import PriceBasis
from coulance_core.invoicing import DocumentKind, ServiceRef
from coulance_core.kernel import Money
from tests.invoicing.paper import (
    AT,
    ON,
    SERIES,
    draft,
    issue,
    line,
    make_accounts,
    make_service,
    open_and_write,
    span,
)

BASE = DocumentKind.BASE_INVOICE
NOV, DEC, JAN = date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)


def sql(statement: str, *parameters: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


@pytest.fixture
def issued(committed_db: Any) -> str:
    ((account, ref),) = make_accounts(1)
    return issue(account, ref, [line(1000), line(500)])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE invoicing_document SET net = net + 1, gross = gross + 1",
        "UPDATE invoicing_document SET number = 'O2026-000009'",
        "UPDATE invoicing_document SET due_on = due_on + 30",
        "UPDATE invoicing_document SET state = 'draft', number = NULL, series_no = NULL, issued_at = NULL",
        "DELETE FROM invoicing_document",
        "TRUNCATE invoicing_document CASCADE",
        "UPDATE invoicing_document_line SET net = net - 1 WHERE no = 1",
        "DELETE FROM invoicing_document_line WHERE no = 1",
        "TRUNCATE invoicing_document_line",
        """INSERT INTO invoicing_document_line
           SELECT (jsonb_populate_record(l, '{"no": 3}')).* FROM invoicing_document_line l WHERE no = 1""",
        "UPDATE invoicing_document_tax SET tax = 0",
        "DELETE FROM invoicing_document_tax",
        "UPDATE invoicing_document_body SET snapshot = '\\x00'",
        "DELETE FROM invoicing_document_body",
        "DELETE FROM invoicing_number_series",
        "UPDATE invoicing_number_series SET last = last - 1",
        "TRUNCATE invoicing_number_series",
        """INSERT INTO invoicing_document SELECT (jsonb_populate_record(
           d, '{"id": 99, "number": "O9", "series_no": 9, "purpose": "forged"}')).* FROM invoicing_document d""",
    ],
)
def test_issued_paper_never_changes(issued: str, statement: str) -> None:
    with pytest.raises(DatabaseError, match=r"refused|written as a draft"):
        sql(statement)
    assert [row.number for row in documents()] == [issued]
    assert list(check_documents()) == []


def test_sending_is_the_one_change_and_comes_once(issued: str) -> None:
    sql("UPDATE invoicing_document SET sent_at = '2026-11-05T10:00Z'")
    with pytest.raises(DatabaseError, match="refused"):
        sql("UPDATE invoicing_document SET sent_at = '2026-11-06T10:00Z'")


@pytest.mark.parametrize(
    "tamper",
    [
        """INSERT INTO invoicing_document_tax SELECT (jsonb_populate_record(t, '{"code": "extra", "tax": 1}')).*
           FROM invoicing_document_tax t""",
        "DELETE FROM invoicing_document_line WHERE no = 2",
        "DELETE FROM invoicing_document_body",
        "UPDATE invoicing_document SET net = net + 1, gross = gross + 1",
        "UPDATE invoicing_document SET net = net - 1, tax = tax + 1",
    ],
)
def test_what_does_not_add_up_is_not_issued(committed_db: Any, tamper: str) -> None:
    ((account, ref),) = make_accounts(1)
    run = open_and_write([NewDocument(account, draft(ref, [line(1000), line(500)]))])
    sql(tamper)
    with pytest.raises(DatabaseError, match="does not add up"):
        assign_numbers(run=run, series=SERIES, at=AT)
    assert [row.state for row in documents()] == ["draft"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM invoicing_number_series)")
        assert cursor.fetchone() == (0, 0)


def test_a_superusers_forgery_is_found(issued: str) -> None:
    cases = {
        "DELETE FROM invoicing_document": "gave 1 numbers",
        "UPDATE invoicing_document_line SET net = 1 WHERE no = 1": "its lines sum to",
        "UPDATE invoicing_document SET net = 1, tax = 0, gross = 1": "its snapshot says 18.15",
        "DELETE FROM ledger_entry": "is issued and not in the journal",
        "UPDATE invoicing_document_body SET amounts = amounts[1:1] || amounts[3:3] || amounts[2:2]": "something else",
        "DELETE FROM invoicing_number_series": "it gave none",
    }
    for statement, message in cases.items():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(statement)
            assert any(message in str(fault) for fault in check_documents()), statement
            transaction.set_rollback(True)
    assert list(check_documents()) == []


def _base(account: int, ref: str, service: int, *spans: Any, period: str, purpose: str = "close") -> int:
    lines = [
        line(
            one.net.minor,
            "credit" if one.credit else "base",
            service=ServiceRef(f"s-{service}", "web", service),
            span=one,
        )
        for one in spans
    ]
    return open_and_write([NewDocument(account, draft(ref, lines, BASE, period_name=period))], period, purpose)


def test_a_day_of_a_base_fee_is_billed_once_until_it_is_given_back(committed_db: Any) -> None:
    ((account, ref),) = make_accounts(1)
    service = make_service(account, "s-1")
    _base(account, ref, service, span(NOV, DEC), period="2026-11")
    for start, end in ((NOV, DEC), (date(2026, 11, 30), JAN), (date(2026, 11, 5), date(2026, 11, 6))):
        with pytest.raises(UnableToBillTwiceError, match="a day of a base fee"):
            _base(account, ref, service, span(start, end), period="2026-12")
    mid = date(2026, 11, 15)
    # A plan change: the rest of November is given back and charged anew under the other plan, on one document.
    _base(
        account,
        ref,
        service,
        span(mid, DEC, net=1500, plan="vps-m"),
        span(mid, DEC, net=-500, credit=True),
        period="2026-12",
    )
    assert [(s.start, s.end, s.plan, s.credit) for s in billed_spans(services=[service])[service]] == [
        (NOV, DEC, "vps-s", False),
        (mid, DEC, "vps-m", False),
        (mid, DEC, "vps-s", True),
    ]
    with pytest.raises(UnableToBillTwiceError):
        _base(account, ref, service, span(mid, DEC), period="2027-01")
    run = _base(account, ref, service, span(DEC, JAN), period="2027-01")
    # What a thrown-away draft charged may be charged again.
    abandon_drafts(run=run)
    _base(account, ref, service, span(DEC, JAN), period="2027-01", purpose="again")


def test_an_abandoned_credit_takes_its_days_back(committed_db: Any) -> None:
    ((account, ref),) = make_accounts(1)
    service = make_service(account, "s-1")
    _base(account, ref, service, span(NOV, DEC), period="2026-11")
    mid = date(2026, 11, 15)
    run = _base(
        account,
        ref,
        service,
        span(mid, DEC, net=1500, plan="m"),
        span(mid, DEC, credit=True, net=-500),
        period="2026-12",
    )
    abandon_drafts(run=run)
    with pytest.raises(UnableToBillTwiceError):
        _base(account, ref, service, span(mid, DEC), period="2027-01")


@pytest.mark.parametrize("kind", [DocumentKind.OVERAGE_INVOICE, BASE, DocumentKind.USAGE_STATEMENT])
def test_one_document_of_a_kind_a_period_and_purpose(committed_db: Any, kind: DocumentKind) -> None:
    ((account, ref),) = make_accounts(1)

    def write(purpose: str = "close", period: str = "2026-10") -> int:
        lines = [] if kind is DocumentKind.USAGE_STATEMENT else [line(10)]
        return open_and_write([NewDocument(account, draft(ref, lines, kind, period_name=period))], period, purpose)

    write()
    with pytest.raises(UnableToBillTwiceError, match="this kind of document"):
        write()
    run = write(purpose="late-2026-11")
    write(period="2026-11")
    abandon_drafts(run=run)
    write(purpose="late-2026-11")


def test_a_refused_document_leaves_nothing_and_the_transaction_alive(committed_db: Any) -> None:
    (one, other) = make_accounts(2)
    with transaction.atomic():
        run = open_run(period="2026-10", at=AT, actor="test")
        write_drafts(run=run.id, drafts=[NewDocument(one[0], draft(one[1], [line(10)]))])
        twice = [NewDocument(account, draft(ref, [line(10)])) for account, ref in (other, one)]
        with pytest.raises(UnableToBillTwiceError):
            write_drafts(run=run.id, drafts=twice)
        lost = NewDocument(other[0], draft(other[1], [line(10, span=span(NOV, DEC))]))
        with pytest.raises(UnableToWriteError, match="days of a service it does not name"):
            write_drafts(run=run.id, drafts=[lost])
        write_drafts(run=run.id, drafts=[twice[0]])
    assert [row.account for row in documents()] == [one[0], other[0]]


def test_carried_amounts_wait_are_billed_once_and_balance_the_books(committed_db: Any) -> None:
    ((account, ref),) = make_accounts(1)
    with transaction.atomic():
        october = open_run(period="2026-10", at=AT, actor="test").id
        new = NewCarry(account, line(150), "2026-10", ON, date(2027, 10, 1), PriceBasis.NET)
        carry_lines(run=october, purpose="close", lines=[new])
        with pytest.raises(UnableToBillTwiceError, match="carried already"):
            carry_lines(run=october, purpose="close", lines=[new])
    assert carried(accounts=[account]) == {}  # not before its run is numbered
    assert assign_numbers(run=october, series=SERIES, at=AT).entries == 1
    (waiting,) = carried(accounts=[account])[account]
    assert (waiting.line.kind, waiting.line.amount.minor, waiting.bill_by) == ("carried", 150, date(2027, 10, 1))
    assert waiting.line.explanation == line(150).explanation
    lines = [line(1000), waiting.line]
    november = open_and_write([NewDocument(account, draft(ref, lines, period_name="2026-11"))], "2026-11")
    assert carried(accounts=[account]) == {}
    with pytest.raises(UnableToBillTwiceError, match="carried amount"):
        open_and_write([NewDocument(account, draft(ref, lines, period_name="2026-12"))], "2026-12")
    abandon_drafts(run=november)
    assert len(carried(accounts=[account])[account]) == 1
    november = open_and_write([NewDocument(account, draft(ref, lines, period_name="2026-11"))], "2026-11")
    assign_numbers(run=november, series=SERIES, at=AT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT account, sum(amount)::bigint FROM ledger_posting GROUP BY 1 ORDER BY 1")
        assert dict(cursor.fetchall()) == {
            "carried": 0,
            "receivable": 1392,  # 11.50 and 21 %: 2.415, rounded up
            "revenue:overage": -1150,
            "tax:NL-21": -242,
        }
    assert list(check_documents()) == []


def test_an_abandoned_runs_carried_amounts_go_with_it(committed_db: Any) -> None:
    ((account, _),) = make_accounts(1)
    with transaction.atomic():
        run = open_run(period="2026-10", at=AT, actor="test").id
        carry_lines(run=run, purpose="close", lines=[NewCarry(account, line(150), "2026-10", ON, ON)])
        record_figures(run=run, figures=[_figure(account, 5, "a")])
    abandon_drafts(run=run)
    assign_numbers(run=run, series=SERIES, at=AT)
    assert carried(accounts=[account]) == {}
    assert settled_figures(accounts=[account]) == []


def _figure(account: int, quantity: int, watermark: str, service: int | None = None) -> NewFigure:
    return NewFigure(
        account=account,
        service=service,
        charge="traffic",
        period_name="2026-10",
        quantity=_third(quantity),
        unit="GB",
        n=8928,
        seen=8900,
        expected=8928,
        net=Money(quantity, "EUR"),
        watermark=watermark,
        pool="" if service else "pool",
        detail={"flags": {"GAP": 2}},
    )


def _third(quantity: int) -> Fraction:
    return Fraction(quantity) + Fraction(1, 3)


def test_settlements_are_revised_never_overwritten(db: Any) -> None:
    ((account, _),) = make_accounts(1)
    service = make_service(account, "s-1")
    record_figures(run=None, figures=[_figure(account, 5, "a"), _figure(account, 7, "x", service)])
    record_figures(run=None, figures=[_figure(account, 6, "b")])
    pool, own = sorted(settled_figures(accounts=[account], period_name="2026-10"), key=lambda f: f.service or 0)
    assert (pool.revision, pool.quantity, pool.watermark) == (2, _third(6), "b")
    assert (own.revision, own.service, own.detail) == (1, service, {"flags": {"GAP": 2}})
    with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
        db.cursor().execute("UPDATE invoicing_settled_figure SET quantity = '0'")


def test_a_credit_note_by_hand_cannot_take_more_than_there_was(issued: str) -> None:
    def forge(net: int) -> None:
        note = {
            "id": 500,
            "kind": "credit_note",
            "state": "draft",
            "series": "credit",
            "net": net,
            "tax": 0,
            "gross": net,
        }
        note |= {"number": None, "series_no": None, "series_year": None, "issued_at": None, "credit_type": "damages"}
        changes = {
            "document": note,
            "document_line": {"document_id": 500, "no": 1, "net": net, "tax_code": "damages", "credits_no": 1},
            "document_tax": {"document_id": 500, "code": "damages", "base": net, "tax": 0},
            "document_body": {"document_id": 500, "accounts": ["receivable", "damages"], "amounts": [net, -net]},
        }
        with transaction.atomic(), connection.cursor() as cursor:
            for table, change in changes.items():
                record = "%s::jsonb" + (" || jsonb_build_object('invoice_id', r.id)" if table == "document" else "")
                cursor.execute(
                    f"INSERT INTO invoicing_{table} SELECT (jsonb_populate_record(r, {record})).*"
                    f" FROM invoicing_{table} r LIMIT 1",
                    [json.dumps(change)],
                )
            cursor.execute(
                "UPDATE invoicing_document SET state = 'issued', number = 'C1', series_no = 1, series_year = 2026,"
                " issued_at = now() WHERE id = 500"
            )

    with pytest.raises(DatabaseError, match="takes more than its invoice has"):
        forge(-1001)
    forge(-1000)
