"""What the bank answers to a file (pain.002): refused payments are owed as before, once, in any order, told plainly."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from coulance.notices import queries as sent
from coulance.payments import bank_reports, collections, mandates
from coulance.payments import queries as payments
from coulance.payments.debit_file import batch_id
from coulance.platform.alarms import open_alarms
from coulance_core.payments import MandateSequence
from coulance_core.payments.bank import BankEntry
from tests.payments.till import Customer, faults
from tests.rails import world
from tests.rails.answers import NEW, OLD, batch, pain002, payment, reads
from tests.rails.world import Bank, at, back, credit, hands_over, of, payer, plans, signs, states

ISSUED, LAST, DUE = date(2026, 11, 4), date(2026, 11, 16), date(2026, 11, 18)
TOLD = at(date(2026, 11, 17), 12)


@pytest.fixture(autouse=True)
def _provider(db: Any, tmp_path: Path) -> None:
    world.provider(tmp_path / "provider")


def handed(*customers: Customer) -> str:
    """Each has an invoice that is with the bank; the file's message id."""
    for number, one in enumerate(customers, 1):
        one.invoice("base", 1210 * number)
        signs(one, ISSUED, iban=["NL91ABNA0417164300", "NL20INGB0001234567", "NL02RABO0123456789"][number - 1])
    plans(date(2026, 11, 9))
    hands_over(LAST)
    return collections.runs()[0].reference


def named(reference: str) -> str:
    return batch_id(reference, MandateSequence.RECURRING, DUE)


def texts(who: Customer) -> list[str]:
    found = []
    for one in sent.messages(account=who.id):
        said = sent.text_of(message=one.message)
        assert said is not None
        found.append(said.text)
    return found


@pytest.mark.parametrize("form", [OLD, NEW])
def test_one_refused_payment_is_owed_as_before_and_the_rest_is_collected(form: str, tmp_path: Path) -> None:
    anna, ben = payer(language="nl"), payer()
    file = handed(anna, ben)
    (hers,), (his,) = of(anna), of(ben)
    content = pain002(
        file, batch(named(file), "PART", payments=[payment(hers.end_to_end_id, "RJCT", "AC04", "ACCOUNT CLOSED")]),
        status="PART", form=form,
    )  # fmt: skip
    dry = reads(content, when=TOLD, apply=False)
    assert ([one.outcome for one in dry.told], states(anna)) == (["refused"], ["handed"])
    done = reads(content, when=TOLD)
    assert [(one.end_to_end_id, one.outcome, one.why) for one in done.told] == [
        (hers.end_to_end_id, "refused", "AC04: the account is closed (ACCOUNT CLOSED)")
    ]
    assert (states(anna), states(ben), anna.open()) == (["refused"], ["handed"], {hers.parts[0][0]: 1210})
    assert payments.in_flight(accounts=[anna.id]) == []
    (mandate,) = mandates.mandates(accounts=[anna.id])
    assert "AC04" in mandate.withdrawn_why
    said = "\n".join(texts(anna))
    assert "voor 18\xa0november\xa02026 niet uitgevoerd: de rekening is opgeheven (AC04)" in said
    assert "Uw machtiging is beëindigd" in said
    assert reads(content, when=TOLD).again
    # The same once more under another message id is no other news.
    assert [one.outcome for one in reads(content.replace(b">R1<", b">R2<"), when=TOLD).told] == ["known"]
    assert len(texts(anna)) == 2
    # The bank credits the batch less what it refused.
    entry = BankEntry(DUE, his.amount, value_on=DUE, batch=named(file), batch_count=2)
    assert [one.outcome for one in Bank(tmp_path).says(entry, day=DUE).judged] == ["booked"]
    assert (states(ben), ben.open(), faults()) == (["collected"], {}, [])


def test_a_refusal_and_a_return_of_the_same_entry_book_once_in_any_order(tmp_path: Path) -> None:
    anna, ben = payer(), payer()
    file = handed(anna, ben)
    (hers,), (his,) = of(anna), of(ben)
    refusal = pain002(
        file, batch(named(file), payments=[payment(one.end_to_end_id, "RJCT", "AM04") for one in (hers, his)])
    )
    bank = Bank(tmp_path)
    # Ben: the statement first, which credits all and takes back what was refused.
    bank.says(credit(his, DUE, counterparty_iban="NL20INGB0001234567"), day=DUE)
    bank.says(back(his, DUE, "AM04", counterparty_iban="NL20INGB0001234567"), day=DUE)
    told = reads(refusal, when=at(DUE, 20)).told
    assert {one.end_to_end_id: one.outcome for one in told} == {
        hers.end_to_end_id: "refused", his.end_to_end_id: "known"
    }  # fmt: skip
    # Anna: the refusal first; then the statement credits and takes back.
    bank.says(credit(hers, DUE), back(hers, DUE, "AM04"), day=date(2026, 11, 19))
    for who in (anna, ben):
        assert states(who) == ["returned", "planned"], "tried once more, announced anew"
        assert (sum(who.open().values()), who.stands()[1:]) == (of(who)[0].amount.minor, (0, 0))
        assert len(texts(who)) == 3, "announced, came back, announced anew: once each"
    assert faults() == []


def test_what_was_credited_is_left_to_the_entry_that_takes_it_back(tmp_path: Path) -> None:
    anna = payer()
    file = handed(anna)
    (row,) = of(anna)
    bank = Bank(tmp_path)
    bank.says(credit(row, DUE), day=DUE)
    (told,) = reads(
        pain002(file, batch(named(file), payments=[payment(row.end_to_end_id, "RJCT", "AC06")])), when=at(DUE, 20)
    ).told
    assert (told.outcome, states(anna), anna.open()) == ("left", ["collected"], {})
    bank.says(back(row, date(2026, 11, 19), "AC06"), day=date(2026, 11, 19))
    assert (states(anna), faults()) == (["returned"], [])


def test_a_refused_file_ends_no_mandate_and_tells_customers_that_it_is_not_their_doing() -> None:
    anna, ben = payer(language="nl"), payer()
    file = handed(anna, ben)
    # Our own account number was wrong: the same code that ends a mandate when it is said of a payment.
    done = reads(pain002(file, status="RJCT", code="AC01"), when=TOLD)
    assert done.count("refused") == 2
    for who in (anna, ben):
        assert states(who) == ["refused"]
        assert mandates.mandates(accounts=[who.id])[0].withdrawn_on is None
    assert "Dat ligt niet aan u" in texts(anna)[0]
    assert "not your doing" in texts(ben)[0]
    assert [one.key for one in open_alarms()] == [f"payments.file_refused/{file}"]
    assert plans(date(2026, 11, 20)).made == [], "a person decides"


def test_a_late_file_is_tried_again_by_itself_and_a_batch_counts_before_the_whole() -> None:
    anna = payer()
    file = handed(anna)
    done = reads(pain002(file, batch(named(file), "RJCT", "TM01"), status="ACCP"), when=TOLD)
    assert [one.outcome for one in done.told] == ["refused"]
    assert states(anna) == ["refused", "planned"]


def test_what_a_bank_accepts_or_has_not_decided_is_noted_and_later_news_stays() -> None:
    anna = payer()
    file = handed(anna)
    later = pain002(file, status="ACSP", message="R2", made="2026-11-17T09:00:00+01:00")
    earlier = pain002(file, batch(named(file), "PDNG"), message="R1", made="2026-11-16T18:00:00")
    assert [one.outcome for one in reads(later, when=TOLD).told] == ["noted"]
    assert [one.outcome for one in reads(earlier, when=TOLD).told] == ["known"]
    assert of(anna)[0].bank_says == "ACSP"
    assert states(anna) == ["handed"]
    done = reads(pain002(file, status="ZZZZ", message="R3"), when=TOLD)
    assert [(one.outcome, "ZZZZ" in one.why) for one in done.told] == [("left", True)]
    assert len(bank_reports.reports()) == 3


def test_an_answer_to_nothing_of_ours_changes_nothing_and_says_so() -> None:
    anna = payer()
    file = handed(anna)
    done = reads(pain002("SOMEBODY-1", status="RJCT", code="FF01"), when=TOLD)
    assert "SOMEBODY-1, which is no file of ours" in done.notes[0]
    done = reads(pain002(file, batch(named(file), payments=[payment("DD9999999999", "RJCT", "AM04")])), when=TOLD)
    assert (done.told, "DD9999999999 is not in" in done.notes[0]) == ([], True)
    assert states(anna) == ["handed"]
    # A file that was never fetched, and that the bank has all the same.
    ben = payer()
    ben.invoice("base", 605, on=date(2026, 11, 20))
    signs(ben, ISSUED)
    plans(date(2026, 11, 24))
    from coulance.flows.rails import direct_debit

    (run,) = direct_debit.file_due(on=date(2026, 12, 2), actor="operator:anna", at=at(date(2026, 12, 2))).runs
    (told,) = reads(pain002(run.reference, status="RJCT", code="AM05"), when=at(date(2026, 12, 3))).told
    assert (told.outcome, states(ben)) == ("left", ["filed"])
