"""A debt that was taken over from another system, contested in whole or part though it has no lines here."""

from datetime import date
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from coulance.customers import queries as customers
from coulance.disputes import models
from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToFindCaseError, UnableToOpenError, UnableToStepError
from coulance.flows.disputing import acting, deciding, opening, working
from coulance.flows.disputing.deciding import Choice
from coulance.flows.disputing.evidence import evidence_of
from coulance.payments import operations as paying
from coulance.payments import queries as payments
from coulance.payments.errors import UnableToReverseError
from coulance.platform import clock
from coulance_core.disputes import Contest, Grounds, Outcome, Way
from coulance_core.payments import ItemKind
from tests.api.conftest import make_token
from tests.console.conftest import operator  # noqa: F401 - fixture
from tests.console.conftest import signed_in as browser_of
from tests.disputes.court import ANNA, OPENED, Court, eur, half, later, people
from tests.disputes.test_by_program import typed  # noqa: F401 - fixture
from tests.disputes.test_portal import signed_in

OLD = "2025-0817"


def taken(court: Court, open_: str = "300.00", gross: str = "400.00") -> int:
    """An invoice of last year, of which so much was open when this system took over; its id."""
    with transaction.atomic():
        paying.take_over_items(
            account=court.account,
            items=[
                paying.TakenItem(
                    source_key=f"old/{OLD}", kind=ItemKind.BASE, number=OLD, issued_on=date(2025, 3, 1),
                    due_on=date(2025, 3, 15), gross=eur(gross), open=eur(open_),
                )
            ],
            taken_on=date(2026, 6, 1), actor="cli:root", reason="taken over", at=OPENED,
        )  # fmt: skip
    item = next(one for one in payments.items(account=court.account) if one.number == OLD)
    return int(item.ref.removeprefix("opening/"))


def opens(court: Court, debt: int, *contests: Contest, actor: Any = None, at: Any = OPENED, **given: Any) -> int:
    made = opening.open_dispute(
        opening=debt, contests=contests or (Contest(0),), actor=actor or court.boss, at=at,
        **{"grounds": Grounds.PAID, "reason": "paid to the old system in April", **given},
    )  # fmt: skip
    connection.check_constraints()
    return made.case


def some(amount: str) -> Contest:
    return Contest(0, Way.AMOUNT, amount=eur(amount))


# 300.00 was open when it was taken over.
HELD: list[tuple[str, Contest, str]] = [
    ("whole", Contest(0), "300.00"),
    ("all but what is accepted", Contest(0, accepted=eur("250.00")), "50.00"),
    ("an amount, tax included", some("120.00"), "120.00"),
]
# 200.00 of it is contested.
ENDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("upheld", {}, "200.00", "100.00"),
    ("part", {"amounts": {0: eur("33.33")}}, "33.33", "266.67"),
    ("shared", {"share": half()}, "100.00", "200.00"),
    ("goodwill", {"amounts": {0: eur("20.00")}}, "20.00", "280.00"),
    ("rejected", {}, "0.00", "300.00"),
]


def test_what_is_held(court: Court) -> None:
    debt = taken(court)
    for what, contest, held in HELD:
        mark = transaction.savepoint()
        seen = opening.preview(opening=debt, contests=[contest], actor=court.boss)
        assert (seen.held.decimal(), seen.stays) == (held, eur("300.00") - eur(held)), what
        case = opens(court, debt, contest)
        assert court.stands(OLD) == f"300.00 of which {held} held", what
        (hold,) = cases.holds(accounts=[court.account])
        assert (hold.ref, hold.dispute) == (f"opening/{debt}", case)
        assert court.audit() == []
        with pytest.raises(UnableToReverseError, match="is contested: decide that first"), transaction.atomic():
            paying.reverse_opening(opening=debt, on=date(2026, 7, 7), actor="cli:root", reason="wrong", at=later(1))
        transaction.savepoint_rollback(mark)


def test_how_it_ends(court: Court) -> None:
    debt = taken(court)
    case = opens(court, debt, some("200.00"))
    for outcome, given, back, open_ in ENDS:
        mark = transaction.savepoint()
        choice = Choice(Outcome(outcome), **given)
        seen = deciding.preview_decision(case=case, choice=choice, reason="we looked", actor=ANNA, at=later(3))
        done = court.decides(case, outcome, **given)
        assert (seen.credited, seen.stays, seen.due_on) == (eur(back), eur(open_), date(2025, 3, 15)), outcome
        assert (done.figures.credited, court.stands(OLD), cases.holds()) == (eur(back), open_, ()), outcome
        assert done.credit_notes == ((f"{OLD}-D{case}",) if eur(back).minor else ()), outcome
        assert court.mails(case)[-1] == f"Case {case} on {OLD} is decided"
        assert court.audit() == []
        transaction.savepoint_rollback(mark)


def test_paid_meanwhile_it_comes_back_and_no_cent_twice(court: Court) -> None:
    debt = taken(court)
    court.pays("300.00", OLD)
    case = opens(court, debt, some("200.00"))
    assert court.stands(OLD) == "0.00"
    court.decides(case, "upheld")
    # The fees of 24.20 and the overage of 242.00 were due: the 200.00 pay the fees, and 175.80 of the overage.
    assert {one.number: one.open.decimal() for one in payments.items(account=court.account) if one.open.minor} == {
        court.number: "66.20"
    }
    again = {"at": later(5), "actor": ANNA, "reason": "more", "new_fact": "a bank statement"}
    with pytest.raises(UnableToOpenError, match=r"100\.00 EUR left to contest"):
        opens(court, debt, some("100.01"), **again)
    second = opens(court, debt, **again)
    assert cases.case(second, at=later(6)).gross == eur("100.00")
    assert court.audit() == []


def test_time_to_contest_it_runs_from_when_it_was_taken_over(court: Court) -> None:
    debt = taken(court)
    assert court.state(opens(court, debt, at=later(200))) == "open"  # sixteen months after it was issued
    with pytest.raises(UnableToOpenError, match="write to us"):
        opens(court, taken_again(court), at=later(400))


def taken_again(court: Court) -> int:
    with transaction.atomic():
        paying.take_over_items(
            account=court.account,
            items=[
                paying.TakenItem(
                    source_key="old/2", kind=ItemKind.OVERAGE, number="2025-0999", issued_on=date(2025, 4, 1),
                    due_on=date(2025, 4, 15), gross=eur("10.00"), open=eur("10.00"),
                )
            ],
            taken_on=date(2026, 6, 1), actor="cli:root", reason="taken over", at=OPENED,
        )  # fmt: skip
    item = next(one for one in payments.items(account=court.account) if one.number == "2025-0999")
    return int(item.ref.removeprefix("opening/"))


def test_what_cannot_be_says_why_and_changes_nothing(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    debt = taken(court)
    for contests, says in (
        ([Contest(1)], "has no lines here"),
        ([Contest(0), some("1.00")], "has no lines here"),
        ([Contest(0, Way.QUANTITY, quantity=half())], "no quantity and no days"),
        ([some("300.01")], r"300\.00 EUR left"),
    ):
        with pytest.raises(UnableToOpenError, match=says):
            opening.open_dispute(
                opening=debt, contests=contests, grounds=Grounds.OTHER, reason="no", actor=court.boss, at=OPENED
            )
    assert cases.holds() == ()
    case = opens(court, debt)
    with pytest.raises(UnableToOpenError, match="contested already"):
        opens(court, debt, at=later(1))
    with pytest.raises(UnableToStepError, match="it has no plan here"):
        court.decides(case, "plan_change", plan="vps-m")
    court.world.account("beta")
    people("beta")
    beta = acting.customer(account=customers.account("beta").id, contact="boss")
    with pytest.raises(UnableToFindCaseError):
        opening.contestable(opening=debt, actor=beta, at=OPENED)
    monkeypatch.setattr(clock, "now", lambda: OPENED)
    assert signed_in(customers.account("beta").id, ref="beta").get(f"/my/debts/{debt}/contest").status_code == 404


def test_the_database_refuses_what_no_flow_would_do(court: Court) -> None:
    debt = taken(court)
    case = opens(court, debt, some("100.00"))
    kept = models.Case.objects.get(pk=case)
    for changed in (
        {"gross": 30_001, "net": 30_001},
        {"document_id": court.document},
        {"tax": 100, "net": 9_900},
        {"number": "2025-0818"},
    ):
        row = models.Case(**{f.attname: getattr(kept, f.attname) for f in kept._meta.fields} | {"id": None} | changed)
        with pytest.raises(DatabaseError), transaction.atomic():
            row.save(force_insert=True)
    row = models.Case(**{f.attname: getattr(kept, f.attname) for f in kept._meta.fields} | {"id": None})
    part, mark = models.Part.objects.get(case=case), transaction.savepoint()
    row.save(force_insert=True)
    again = models.Part(case=row, line_no=0, way=part.way, named=part.named, net=part.net, explanation={})
    with pytest.raises(DatabaseError, match="another open case"), transaction.atomic():
        again.save(force_insert=True)
    transaction.savepoint_rollback(mark)
    assert court.audit() == []


def test_in_the_portal_from_the_page_of_documents_and_by_a_mails_link(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: OPENED)
    debt, client = taken(court), signed_in(court.account)
    assert f'href="/my/debts/{debt}/contest"' in client.get("/my/documents").content.decode()
    page = client.get(f"/my/debts/{debt}/contest").content.decode()
    assert 'name="line-0" value="1" checked' in page
    assert "Amounts are with tax." in page
    assert ("quantity-0" in page, "from-0" in page) == (False, False)
    body = {"line-0": "1", "amount-0": "120", "grounds": "paid", "reason": "paid in April"}
    answer = client.post(f"/my/debts/{debt}/contest", body)
    (case,) = cases.cases(accounts=[court.account], at=OPENED)
    assert (answer.headers["Location"], court.stands(OLD)) == (f"/my/cases/{case.id}", "300.00 of which 120.00 held")
    page = client.get(f"/my/cases/{case.id}").content.decode().replace("\u00a0", " ")
    for said in (OLD, "€120.00, tax included", "To be paid of 2025-0817: €180.00", "by 15 March 2025"):
        assert said in page, said
    link = court.link(case.id)
    client.post(link, {"act": "say", "text": "here is the receipt"})
    assert cases.case(case.id, at=later(1)).steps[-1].text == "here is the receipt"
    (line,) = evidence_of(case, language="nl", at=later(1)).lines
    assert line.net == "400.00"


def test_in_the_console_and_by_program(
    court: Court, operator: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(clock, "now", lambda: later(0.2))
    debt, desk = taken(court), browser_of(operator)
    assert f'href="/debts/{debt}/contest"' in desk.get("/accounts/acme").content.decode()
    assert "tax included" in desk.get(f"/debts/{debt}/contest").content.decode()
    body = {"token": "t" * 20, "line-0": "1", "amount-0": "60", "grounds": "paid", "reason": "on the phone"}
    answer = desk.post(f"/debts/{debt}/contest", body)
    case = int(answer.headers["Location"].rsplit("/", 1)[1])
    assert court.stands(OLD) == "300.00 of which 60.00 held"
    assert f'href="/accounts/acme#money">{OLD}' in desk.get(f"/disputes/{case}").content.decode()
    assert desk.get("/disputes").status_code == 200
    asked = {"token": "v" * 20, "outcome": "part", "amount-0": "20", "reason": "a part of it"}
    page = desk.post(f"/disputes/{case}/decide", asked).content.decode()
    assert "€20.00" in page
    desk.post(f"/disputes/{case}/decide", asked | {"step": "do"})
    assert (court.state(case, later(2)), court.stands(OLD)) == ("decided", "280.00")
    sent = {
        "number": OLD, "lines": [{"line": 0, "amount": "50.00"}], "grounds": "paid", "reason": "by program",
        "new_fact": "their receipt",
    }  # fmt: skip
    head = {"HTTP_AUTHORIZATION": f"Bearer {make_token('disputes:write')}", "HTTP_IDEMPOTENCY_KEY": "once"}
    made = Client().post("/api/v1/disputes", sent, content_type="application/json", **head)
    assert (made.status_code, made.json()["parts"]) == (201, [{"line": 0, "way": "amount", "net": "50.00"}])
    assert court.stands(OLD) == "280.00 of which 50.00 held"
    working.withdraw(case=made.json()["id"], reason="found it", actor=court.boss, at=later(1))
    assert court.stands(OLD) == "280.00"
    assert court.audit() == []


def test_by_command(court: Court, typed: Any) -> None:  # noqa: F811
    taken(court)
    given = ["open", OLD, "--grounds", "paid", "--reason", "paid in April"]
    assert "has no lines here" in typed(*given, "--line", "1", status=1)
    assert "there is no bill X9" in typed("open", "X9", *given[2:], "--line", "0", status=1)
    said = typed(*given, "--line", "0=amount:50.00", "--account", "acme")
    assert "50.00 EUR is contested, 50.00 EUR of it held" in said
    shown = typed("show", said.split()[1], "--explain")
    for words in (
        f"{OLD} as a whole, tax included: 400.00 billed, 50.00 EUR contested",
        "now: 250.00 EUR, due 2025-03-15",
    ):
        assert words in shown, shown
