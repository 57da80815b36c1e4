"""Gapless numbers: under concurrency, under kill -9 at every step, and in an order that anybody can foretell."""

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from coulance.invoicing import numbering
from coulance.invoicing.check import check_documents
from coulance.invoicing.operations import (
    NewCarry,
    NewDocument,
    UnableToCreditError,
    UnableToFindDocumentError,
    UnableToFindRunError,
    UnableToNumberError,
    UnableToPlanError,
    UnableToSendError,
    assign_numbers,
    carry_lines,
    finish_chunk,
    issue_credit_note,
    mark_sent,
    next_chunk,
    open_run,
    park_account,
    plan_chunks,
    retry_parked,
)
from coulance.invoicing.queries import (
    billed_spans,
    chunks_left,
    closed_until,
    count_documents,
    document,
    document_by_id,
    documents,
    lines,
    parked,
    run,
    runs,
)
from coulance.ledger.check import check_ledger
from coulance.ledger.queries import balances, trial_balance
from coulance.platform import audit
from coulance_core.catalog.terms import NumberSeries, Resets
from coulance_core.invoicing import SCHEMA_NAME, CreditRequest, CreditType, DocumentKind, ServiceRef, check
from coulance_core.kernel import Money
from tests.invoicing.dying import STEPS
from tests.invoicing.paper import AT, ON, SERIES, draft, issue, line, make_accounts, make_service, open_and_write, span
from tests.support.crashing import kill_at_each

BASE, OVERAGE, STATEMENT = DocumentKind.BASE_INVOICE, DocumentKind.OVERAGE_INVOICE, DocumentKind.USAGE_STATEMENT


def sound() -> None:
    """Documents, numbers and journal agree."""
    assert [str(fault) for fault in check_documents()] == []
    assert [str(fault) for fault in check_ledger()] == []


def drafts_of_each_kind(accounts: list[tuple[int, str]]) -> list[NewDocument]:
    return [
        NewDocument(
            account, draft(ref, [] if kind is STATEMENT else [line(100 + 7 * i), line(33, tax_class="reduced")], kind)
        )
        for i, (account, ref) in enumerate(accounts)
        for kind in (OVERAGE, BASE, STATEMENT)
    ]


def test_numbers_follow_external_ids_and_restart_each_year(committed_db: Any) -> None:
    accounts = make_accounts(12)  # written in falling order of their external ids
    done = open_and_write(drafts_of_each_kind(accounts))
    numbered = assign_numbers(run=done, series=SERIES, at=AT)
    assert (numbered.documents, numbered.entries) == (36, 24)
    refs = sorted(ref for _, ref in accounts)
    for kind, letter in ((BASE, "B"), (OVERAGE, "O")):
        got = {row.buyer_ref: row.number for row in documents(kind=kind.value)}
        assert got == {ref: f"{letter}2026-{i:06d}" for i, ref in enumerate(refs, 1)}
    assert {row.number for row in documents(kind=STATEMENT.value)} == {f"U-2026-10-{ref}" for ref in refs}
    next_year = [
        NewDocument(account, draft(ref, [line(5)], period_name="2026-12", issued_on=date(2027, 1, 3)))
        for account, ref in accounts[:2]
    ]
    numbered = assign_numbers(run=open_and_write(next_year, "2026-12"), series=SERIES, at=AT)
    assert [(b.year, b.first, b.last) for b in numbered.blocks] == [(2027, 1, 2)]
    assert (closed_until(), count_documents(), count_documents(kind="base_invoice")) == ("2026-12", 38, 12)
    sound()


def test_numbering_again_finds_nothing_to_do(committed_db: Any) -> None:
    done = open_and_write(drafts_of_each_kind(make_accounts(3)))
    assign_numbers(run=done, series=SERIES, at=AT)
    before = documents(), trial_balance()
    again = assign_numbers(run=done, series=SERIES, at=AT + timedelta(days=1))
    assert (again.blocks, again.documents, again.entries) == ((), 0, 0)
    assert (documents(), trial_balance()) == before


def test_a_series_without_years_goes_on_and_a_missing_one_is_named(committed_db: Any) -> None:
    ((account, ref),) = make_accounts(1)
    series = {"overage": NumberSeries("overage", "{number:03d}/X", Resets.NEVER, start=999)}
    for period, expected in (("2026-10", "999/X"), ("2026-11", "1000/X")):
        done = open_and_write([NewDocument(account, draft(ref, [line(5)], period_name=period))], period)
        assign_numbers(run=done, series=series, at=AT)
        assert documents(period_name=period)[0].number == expected
    done = open_and_write([NewDocument(account, draft(ref, [line(5)], BASE))])
    with pytest.raises(UnableToNumberError, match="series 'base'"):
        assign_numbers(run=done, series=series, at=AT)
    assert documents(kind="base_invoice")[0].state == "draft"
    sound()


def test_runs_that_number_at_once_share_a_series_without_gaps(committed_db: Any) -> None:
    accounts = make_accounts(40)
    many = [
        open_and_write(
            [NewDocument(a, draft(ref, [line(10 + n)], period_name="2026-10")) for a, ref in accounts], purpose=f"p{n}"
        )
        for n in range(4)
    ]
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(many) + 1)

    def number(one: int) -> None:
        try:
            barrier.wait()
            assign_numbers(run=one, series=SERIES, at=AT)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def credit() -> None:
        try:
            barrier.wait()
            for n in range(5):
                issue_credit_note(
                    number=first,
                    lines=[CreditRequest(1, Money(1, "EUR"))],
                    credit_type=CreditType.PRICE_REDUCTION,
                    reason=f"reason {n}",
                    at=AT,
                    issued_on=ON,
                    actor="test",
                    series=SERIES["credit"],
                )
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    first = issue(*accounts[0], [line(1000)])
    threads = [threading.Thread(target=number, args=(one,)) for one in many] + [threading.Thread(target=credit)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    numbers = sorted(row.number or "" for row in documents(kind="overage_invoice"))
    assert numbers == [f"O2026-{n:06d}" for n in range(1, 162)]
    assert sorted(row.number or "" for row in documents(kind="credit_note")) == [f"C2026-000{n}" for n in range(1, 6)]
    sound()


@pytest.mark.parametrize("where", ["_take_block", "_book", "_book_carried", "parties_for", "post_entries"])
def test_an_error_at_any_step_leaves_everything_as_it_was(
    committed_db: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    done = open_and_write(drafts_of_each_kind(make_accounts(3)))
    real = getattr(numbering, where)

    def fails(*arguments: Any, **more: Any) -> Any:
        real(*arguments, **more)
        raise RuntimeError("power")

    with monkeypatch.context() as patched:
        patched.setattr(numbering, where, fails)
        with pytest.raises(RuntimeError, match="power"):
            assign_numbers(run=done, series=SERIES, at=AT)
    _nothing_happened()
    assign_numbers(run=done, series=SERIES, at=AT)
    assert len(documents(state="issued")) == 9
    sound()


def _nothing_happened() -> None:
    assert {row.state for row in documents()} == {"draft"}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM invoicing_number_series),"
            " (SELECT count(*) FROM invoicing_run WHERE state = 'closed')"
        )
        assert cursor.fetchone() == (0, 0, 0)


def test_kill_9_at_every_step_leaves_all_or_nothing(committed_db: Any) -> None:
    accounts = make_accounts(3)
    done = open_and_write(drafts_of_each_kind(accounts))
    with transaction.atomic():
        carry_lines(run=done, purpose="close", lines=[NewCarry(accounts[0][0], line(99), "2026-10", ON, ON)])
    kill_at_each("tests.invoicing.dying", STEPS, done, database=committed_db)
    _nothing_happened()
    numbered = assign_numbers(run=done, series=SERIES, at=AT)
    assert (numbered.documents, numbered.entries) == (9, 7)
    sound()


def test_unfinished_chunks_stop_numbering_and_parked_accounts_come_later(committed_db: Any) -> None:
    one, other, third = make_accounts(3)
    with transaction.atomic():
        opened = open_run(period="2026-10", at=AT, actor="cli:test")
        assert open_run(period="2026-10", at=AT, actor="somebody else") == opened
        assert plan_chunks(run=opened.id, chunks=[[one[0]], [other[0], one[0]]]) == 2
        assert plan_chunks(run=opened.id, chunks=[[one[0]], [other[0]]]) == 0
    with pytest.raises(UnableToNumberError, match="2 chunks to do"):
        assign_numbers(run=opened.id, series=SERIES, at=AT)
    seen = []
    for _ in range(2):
        with transaction.atomic():
            chunk = next_chunk(run=opened.id)
            assert chunk is not None
            with committed_db.connect() as elsewhere:  # another worker is given another chunk, or none
                taken = elsewhere.execute(
                    "SELECT id FROM invoicing_run_chunk WHERE done_at IS NULL ORDER BY no LIMIT 1"
                    " FOR UPDATE SKIP LOCKED"
                ).fetchone()
                assert taken is None or taken[0] != chunk.id
            for account in chunk.accounts:
                if account == other[0]:
                    park_account(run=opened.id, account=account, reason="usage_disagrees", detail="c-1: 5 GB", at=AT)
            seen.extend(chunk.accounts)
            finish_chunk(chunk=chunk.id, at=AT)
    assert seen == [one[0], other[0]]
    with transaction.atomic():
        assert next_chunk(run=opened.id) is None
    assert [(p.account, p.reason, p.account_ref) for p in parked(run=opened.id)] == [
        (other[0], "usage_disagrees", other[1])
    ]
    assign_numbers(run=opened.id, series=SERIES, at=AT)
    assert (run(period="2026-10") or opened).state == "closed"
    with transaction.atomic():
        assert retry_parked(run=opened.id, at=AT) == 1
        assert plan_chunks(run=opened.id, chunks=[[third[0], one[0]]]) == 1
    assert (run(period="2026-10") or opened).state == "open"
    assert parked() == []
    assert chunks_left(run=opened.id) == 2
    (summary,) = runs()
    assert (summary.chunks, summary.chunks_done, summary.parked) == (4, 2, 0)
    with pytest.raises(UnableToPlanError, match="done already"):
        finish_chunk(chunk=10**6, at=AT)
    with pytest.raises(UnableToFindRunError), transaction.atomic():
        plan_chunks(run=10**6, chunks=[[1]])


def test_what_is_read_back_is_what_was_issued(committed_db: Any) -> None:
    ((account, ref),) = make_accounts(1)
    service = make_service(account, "s-1")
    usage = [{"service": {"id": "s-1", "name": "web"}, "charge": "traffic", "meter": "out", "used": "5", "unit": "GB"}]
    made = draft(ref, [line(1000, service=ServiceRef("s-1", "web", service)), line(-250, "maximum_discount")])
    done = open_and_write([NewDocument(account, made, usage)])
    (written,) = documents(run=done)
    assert document_by_id(document=written.id).snapshot["number"] is None
    assign_numbers(run=done, series=SERIES, at=AT)
    stored = document(number="O2026-000001")
    check(stored.snapshot)
    assert (stored.snapshot["schema"], stored.snapshot["number"]) == (SCHEMA_NAME, "O2026-000001")
    assert stored.snapshot["usage"] == usage
    assert stored.row.gross == made.totals.gross
    first, second = lines(document=stored.row.id)
    # Tabs and backslashes in a description travel through COPY unharmed.
    assert first.description == made.lines[0].description == "Traffic\tover \\ the allowance, 1000"
    assert (first.service, first.net.minor, second.net.minor) == (service, 1000, -250)
    assert balances()[account]["EUR"] == made.totals.gross
    mark_sent(number="O2026-000001", at=AT)
    with pytest.raises(UnableToSendError):
        mark_sent(number="O2026-000001", at=AT)
    with pytest.raises(UnableToFindDocumentError, match="O2026-000002"):
        document(number="O2026-000002")
    with pytest.raises(UnableToFindDocumentError):
        document_by_id(document=10**6)


def credit(number: str, requests: list[CreditRequest] | None, kind: CreditType = CreditType.PRICE_REDUCTION) -> str:
    return issue_credit_note(
        number=number,
        lines=requests,
        credit_type=kind,
        reason="Outage on 3 October",
        at=AT,
        issued_on=ON,
        actor="operator:anna",
        series=SERIES["credit"],
    )


def test_credit_notes_from_part_to_nothing_left(committed_db: Any) -> None:
    ((account, ref),) = make_accounts(1)
    number = issue(account, ref, [line(999), line(501, tax_class="reduced")])
    first = credit(number, [CreditRequest(1, Money(333, "EUR"))])
    second = credit(number, [CreditRequest(1, Money(100, "EUR"))], CreditType.DAMAGES)
    assert (first, second) == ("C2026-0001", "C2026-0002")
    note = document(number=first)
    assert (note.row.invoice, note.row.credit_type, note.row.net.minor, note.row.tax.minor) == (
        number,
        "price_reduction",
        -333,
        -70,
    )
    assert note.snapshot["references"]["invoice"] == number
    with pytest.raises(UnableToCreditError, match=r"5\.66 EUR left to credit"):
        credit(number, [CreditRequest(1, Money(567, "EUR"))])
    with pytest.raises(UnableToCreditError, match="only invoices"):
        credit(first, None)
    with pytest.raises(UnableToFindDocumentError):
        credit("O2026-999999", None)
    credit(number, None, CreditType.CORRECTION)
    with pytest.raises(UnableToCreditError, match="nothing is left"):
        credit(number, None)
    # All net came back; of the tax, what belongs to the damages (1.00 at 21 %) stays.
    assert balances()[account]["EUR"].minor == 21
    (event, *_) = audit.events(subject=f"invoice:{number}", act="invoice.credited")
    assert (event.actor, event.reason, event.detail["credit_note"]) == (
        "operator:anna",
        "Outage on 3 October",
        "C2026-0003",
    )
    sound()


def test_a_corrected_base_line_gives_its_days_back(committed_db: Any) -> None:
    ((account, ref),) = make_accounts(1)
    service = make_service(account, "s-1")
    november = span(date(2026, 11, 1), date(2026, 12, 1))

    def bill(purpose: str) -> str:
        base = line(1000, "base", service=ServiceRef("s-1", "web", service), span=november)
        done = open_and_write([NewDocument(account, draft(ref, [base], BASE))], purpose=purpose)
        assign_numbers(run=done, series=SERIES, at=AT)
        return documents(run=done)[0].number or ""

    wrong = bill("close")
    credit(wrong, [CreditRequest(1, Money(10, "EUR"))])
    credit(wrong, None, CreditType.CORRECTION)  # less than the whole line: the days stay billed
    assert [s.credit for s in billed_spans(services=[service])[service]] == [False]
    other = make_service(account, "s-2")
    base = line(1000, "base", service=ServiceRef("s-2", "web", other), span=november)
    done = open_and_write([NewDocument(account, draft(ref, [base], BASE))], purpose="second")
    assign_numbers(run=done, series=SERIES, at=AT)
    credit(documents(run=done)[0].number or "", None, CreditType.CORRECTION)
    assert [(s.credit, s.net.minor) for s in billed_spans(services=[other])[other]] == [(False, 1000), (True, -1000)]
    base = line(900, "base", service=ServiceRef("s-2", "web", other), span=november)
    done = open_and_write([NewDocument(account, draft(ref, [base], BASE))], purpose="again")
    assign_numbers(run=done, series=SERIES, at=AT)
    sound()
