"""After which day interest runs: the day it was due, or only once the law's notice or letter came first."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from tests.core.arrears.worlds import DEFAULT, Host, at, day, debt, eur, facts, pack

from coulance_core.arrears import Debtor, LawPack, Policy, unmet
from coulance_core.arrears.costs import reminder_fee
from coulance_core.arrears.judging import Judging
from coulance_core.arrears.packs import Begins, InterestRule
from coulance_core.catalog.faults import TermsError

# By the default policy the reminder is received on day 5, the demand on day 13, the last demand 28 days later.


def began(name: str, debtor: Debtor, policy: Policy = DEFAULT) -> int | None:
    """After which day, counted from the day it was due, interest ran on day 45; None: it doesn't."""
    host = Host(policy, facts(debt(amount=1_000_000), debtor=debtor), pack(name))
    host.days(range(46))
    j = Judging(policy, host.facts, at(day(45)), host.law)
    rule = j.interest_rule(j.debts["a"])
    assert rule is not None
    begins = j.interest_begins(rule, j.debts["a"])
    found = j.interest(j.debts["a"])
    if begins is None:
        assert found is None
        return None
    assert found is not None
    assert found.stretches[0].start == begins
    nights = (day(45) - begins).days
    assert found.exact == 10_000 * found.stretches[0].percent * nights / 36500
    return (begins - day(0)).days


@pytest.mark.parametrize(
    ("name", "debtor", "days"),
    [
        ("nl", Debtor.CONSUMER, 13 + 14),  # the letter is received on day 13, and 14 days from the day after
        ("nl", Debtor.BUSINESS, 0),
        ("eu_b2b", Debtor.BUSINESS, 0),
        ("de", Debtor.BUSINESS, 0),
        ("de", Debtor.CONSUMER, 5),  # by the reminder
        ("be", Debtor.BUSINESS, 0),
        ("be", Debtor.CONSUMER, 5 + 14),  # mailed on day 5, and 14 days from the day after
    ],
)
def test_interest_begins_where_the_law_lets_it(name: str, debtor: Debtor, days: int) -> None:
    assert began(name, debtor) == days


def test_without_the_laws_letter_there_is_no_interest_and_it_is_said() -> None:
    table = [step for step in DEFAULT.steps if step.letter != "first_reminder"]
    bare = replace(DEFAULT, steps=tuple(replace(s, after="due", days=5) if s.after == "reminder" else s for s in table))
    assert began("be", Debtor.CONSUMER, bare) is None
    said = unmet(bare, pack("be"))
    assert "interest: be wants the letter first_reminder before; no step is it" in said
    assert not any("letter first_reminder" in one for one in unmet(DEFAULT, pack("be")))


def test_a_notice_that_nobody_received_begins_nothing() -> None:
    host = Host(DEFAULT, facts(debt(), debtor=Debtor.CONSUMER), pack("de"))
    j = Judging(DEFAULT, host.facts, at(day(45)), host.law)
    assert j.interest(j.debts["a"]) is None


@pytest.mark.parametrize(
    ("begins", "letter", "said"),
    [(Begins.LETTER, "", "names it"), (Begins.DUE, "x", "names it"), (Begins.LETTER, "x", "no letter of this pack")],
)
def test_a_pack_names_the_letter_that_interest_begins_with(begins: Begins, letter: str, said: str) -> None:
    rule = InterestRule(frozenset(Debtor), date(2020, 1, 1), Fraction(5), begins=begins, letter=letter)
    with pytest.raises(TermsError, match=said):
        LawPack("xx", "X", frozenset(), "EUR", date(2026, 1, 1), interest=(rule,))


def test_a_dutch_consumer_pays_nothing_for_being_reminded() -> None:
    law = pack("nl")
    rule = law.fees_for(Debtor.CONSUMER, day(0))
    assert [reminder_fee(law, rule, eur(1000), before=n).amount for n in (0, 1, 5)] == [eur(0)] * 3
    assert law.fees_for(Debtor.BUSINESS, day(0)) is None


def test_a_german_consumer_pays_paper_and_postage_from_the_second_reminder_on() -> None:
    law = pack("de")
    rule = law.fees_for(Debtor.CONSUMER, day(0))
    assert [reminder_fee(law, rule, eur(1000), before=n).amount for n in (0, 1)] == [eur(0), eur(76)]
