"""What is disputed of an item as it is paid; and what a bank's answer to a part says of the rest."""

from dataclasses import replace
from datetime import date

import pytest

from coulance_core.kernel import Money
from coulance_core.payments import ItemKind, OpenItem
from coulance_core.payments.bank_answers import BankAnswer, OfBatch, OfPayment, judge

DAY = date(2026, 11, 1)


def eur(minor: int) -> Money:
    return Money(minor, "EUR")


@pytest.mark.parametrize(("left", "held"), [(700, 200), (200, 200), (199, 199), (0, None), (-100, None)])
def test_what_is_paid_is_the_undisputed_part_first(left: int, held: int | None) -> None:
    item = OpenItem("document/1", 1, ItemKind.BASE, "B1", DAY, DAY, eur(1000), eur(1000), eur(200))
    now = item.left(eur(left))
    assert (now.open, now.held) == (eur(left), None if held is None else eur(held))
    assert now.payable == eur(left - (held or 0))
    assert replace(item, held=None).left(eur(left)).payable == eur(left)


def test_a_batch_that_was_taken_in_part_says_nothing_of_those_it_does_not_list_and_neither_does_the_whole() -> None:
    batch = OfBatch("B1", "PART", payments=(OfPayment("A", "RJCT"),))
    for whole in ("ACCP", "RJCT", "PART"):
        report = BankAnswer("R1", None, "DD1", "pain.008.001.08", whole, batches=(batch,))
        found = {v.end_to_end_id: v.answer.value for v in judge(report, {"A": "B1", "B": "B1"}).verdicts}
        assert found == {"A": "rejected"}
