"""Where the fair ways out meet the rest: prices with tax, words in Dutch, samples that come later, the books."""

from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from coulance.flows import crediting, prices
from coulance.flows.advice import advise
from coulance.flows.fair_wording import advice_text, offer_text
from coulance.flows.goodwill import grant_goodwill, propose_goodwill
from coulance.flows.retroactive import accept_plan, plan_offers
from coulance.invoicing.check import check_documents
from coulance.invoicing.check_laws import check_charges, check_statements
from coulance.invoicing.errors import UnableToCreditError
from coulance.overage import ways_out
from coulance.overage.errors import UnableToRecordError
from coulance_core.invoicing import CreditType
from coulance_core.kernel import Money, UnitPrice, unit
from coulance_core.overage.goodwill import By, Cause, CostTerms, GoodwillPolicy, Grant
from tests.closing.world import World, check_explained, table
from tests.overage.fair import ALWAYS, NOW, ONCE, TABLES, fair_world

GROSS = 'prices = "gross"\ntax_rounding = "sum_by_gross"'


@pytest.fixture
def folder(db: Any, store_here: Path, tmp_path: Path) -> Path:
    return tmp_path


def sound() -> None:
    """Whatever was done here: documents, numbers and the journal agree, and what may be billed was not exceeded."""
    assert [str(fault) for fault in check_documents()] == []
    assert [str(fault) for fault in (*check_charges(), *check_statements())] == []


def test_books_and_papers_agree_afterwards(folder: Path) -> None:
    world = fair_world(folder, (*ONCE[:5], 3000))
    accept_plan(number="V2026-0001", service="vps-1", plan="vps-m", reason="asked", actor="test", at=NOW)
    grant_goodwill(
        number="V2026-0002",
        grant=Grant(By.AMOUNT, Money(500, "EUR")),
        cause=Cause.FIRST_TIME,
        reason="a first time",
        actor="test",
        at=NOW,
        role="admin",
    )
    assert "C2026-0002 2026-06: -5.00 + -1.05 on V2026-0002, price_reduction" in world.papers(kinds="C")
    for number in ("V2026-0002", "C2026-0001", "C2026-0002"):
        assert check_explained(world.snapshot(number))
    sound()


@pytest.mark.parametrize("step", ["record_plan_for_period", "record_goodwill"])
def test_refused_at_the_last_step_nothing_happened(folder: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    world = fair_world(folder, ONCE)
    before = world.papers()

    def refuse(**facts: object) -> None:
        raise UnableToRecordError(step)

    monkeypatch.setattr(ways_out, step, refuse)
    grant = Grant(By.CAP, Money(0, "EUR"))
    plan: Any = {"service": "vps-1", "plan": "vps-m"}
    given: Any = {"grant": grant, "cause": Cause.ATTACK, "role": "admin"}
    act, facts = (grant_goodwill, given) if step == "record_goodwill" else (accept_plan, plan)
    with pytest.raises(UnableToRecordError):
        act(number="V2026-0001", reason="a flood", actor="test", at=NOW, **facts)
    assert world.papers() == before
    sound()


def test_prices_that_contain_their_tax(folder: Path) -> None:
    """A consumer whose prices include 21 %: 200.00 of overage becomes 15.00, of which 2.60 is tax."""
    world = World(folder).provider(GROSS, rest=TABLES).account(kind="consumer")
    world.service("vps-1", "vps-s", "2026-01-01", meter="traffic").use("vps-1", {"2026-01-15": 3000}).close("2026-01")
    (offered,) = plan_offers(number="V2026-0001")
    assert [(o.plan.plan, str(o.overage), str(o.difference)) for o in offered.offers] == [
        ("vps-m", "200.00 EUR", "15.00 EUR"),
        ("vps-xl", "200.00 EUR", "50.00 EUR"),
    ]
    accept_plan(number="V2026-0001", service="vps-1", plan="vps-m", reason="asked", actor="test", at=NOW)
    assert world.papers(kinds="VC") == table(
        """
        V2026-0001 2026-01: 165.29 + 34.71
          overage vps-1 01-01..02-01 2000 GB at 0.1: 165.29
        C2026-0001 2026-01: -165.29 + -34.71 on V2026-0001, price_reduction
          credit vps-1 01-01..02-01 1: -165.29
        V2026-0002 2026-01: 12.40 + 2.60
          plan_difference vps-1 01-01..02-01 1 at 15: 12.40
        """
    )
    sound()


def test_what_a_plan_took_the_place_of_is_not_claimed_beside_it(folder: Path) -> None:
    """Taken back, the credit note would bill the overage and the larger plan: the plan's difference goes first."""
    world = fair_world(folder, ONCE)
    taken = accept_plan(number="V2026-0001", service="vps-1", plan="vps-m", reason="asked", actor="test", at=NOW)
    back: dict[str, Any] = {"number": taken.credit_note, "reason": "they asked for it", "at": NOW}
    with pytest.raises(UnableToCreditError, match="billed as V2026-0002: credit that first"):
        crediting.preview_debit_note(**back)
    with pytest.raises(UnableToCreditError, match="billed as V2026-0002: credit that first"):
        crediting.reverse_credit_note(**back, actor="test")
    crediting.give_credit_note(
        number="V2026-0002", lines=None, credit_type=CreditType.CORRECTION, reason="not taken", actor="test", at=NOW
    )
    assert crediting.reverse_credit_note(**back, actor="test") in world.papers(kinds="C")
    sound()


def test_a_base_fee_agreed_for_the_service_is_what_it_is_compared_by(folder: Path) -> None:
    """4.00 was agreed in place of 10.00: the larger plan is 21.00 more then, and a quarter of 4.00 is the margin."""
    world = World(folder).provider(rest=TABLES).account()
    world.service("vps-1", "vps-s", "2026-01-01", meter="traffic")
    agreed: dict[str, Any] = {"words": "partner price", "actor": "test", "reason": "agreed", "at": NOW}
    prices.agree_price(service="vps-1", amount="4.00", from_date=date(2026, 1, 1), **agreed)
    for month in (1, 2):
        world.use("vps-1", {f"2026-0{month}-15": 3000}).close(f"2026-0{month}")
    world.close("2026-03")
    (offered,) = plan_offers(number="V2026-0001")
    assert [(o.plan.plan, str(o.difference)) for o in offered.offers] == [
        ("vps-m", "21.00 EUR"),
        ("vps-xl", "56.00 EUR"),
    ]
    costs = CostTerms((UnitPrice(Fraction(100), "EUR", unit("TB")),), margin=Fraction(1, 4))
    (found,) = propose_goodwill(number="V2026-0001", at=NOW, cause=Cause.ATTACK, policy=GoodwillPolicy(costs=costs))
    assert found.effect is not None
    assert (found.effect.margin, found.effect.months) == (Money(100, "EUR"), 200)
    # Where the fee changed within the period there is no one fee to compare by.
    prices.agree_price(service="vps-1", amount="5.00", from_date=date(2026, 4, 10), **agreed)
    world.use("vps-1", {"2026-04-15": 3000}).close("2026-04")
    (offered,) = plan_offers(number="V2026-0003")
    assert offered.why_none == "another base fee was agreed for it within the period"


def test_samples_that_come_after_a_plan_was_taken(folder: Path) -> None:
    """What comes later is rated on the service's own plan, and lowers nothing that is gone already."""
    world = fair_world(folder, ONCE)
    accept_plan(number="V2026-0001", service="vps-1", plan="vps-m", reason="asked", actor="test", at=NOW)
    world.use("vps-1", {"2026-06-20": 100, "2026-07-15": 400})
    world.close("2026-07")
    late = [line for line in world.papers(kinds="V").splitlines() if "late" in line]
    assert late == ["  late_usage vps-1 06-01..07-01 100 GB: 10.00"]
    sound()


def test_a_grant_after_part_was_given_takes_the_last_cent_of_tax(folder: Path) -> None:
    world = fair_world(folder, ())
    world.use("vps-1", {"2026-01-15": 1003}).close("2026-01")
    for share in ("0.10", "0.10", "0.10"):
        grant_goodwill(
            number="V2026-0001",
            grant=Grant(By.AMOUNT, Money.of(share, "EUR")),
            cause=Cause.OTHER,
            reason="to the cent",
            actor="test",
            at=NOW,
            role="admin",
        )
    notes = [world.snapshot(f"C2026-000{n}")["totals"] for n in (1, 2, 3)]
    assert [note["net"] for note in notes] == ["-0.10"] * 3
    assert sum(Money.of(note["tax"], "EUR").minor for note in notes) == -6  # 21 % of 0.30 is 0.063
    sound()


def test_words_in_both_languages(folder: Path) -> None:
    fair_world(folder, ONCE)
    offer = plan_offers(number="V2026-0001")[0].offers[0]
    assert offer_text(offer, language="en").splitlines() == [
        "You can settle this period's overage in one of two ways. Amounts are before tax.",
        "1. Pay the overage: 200.00 EUR.",
        "2. Take VPS M for this period only: 15.00 EUR, in place of the overage.",
        "From July 1, 2026 you are on VPS S again; you need not do anything for that.",
    ]
    assert offer_text(offer, language="nl").splitlines()[1:] == [
        "1. Het meerverbruik betalen: 200.00 EUR.",
        "2. Alleen voor deze periode VPS M nemen: 15.00 EUR, in plaats van het meerverbruik.",
        "Vanaf 1 juli 2026 hebt u weer VPS S; daar hoeft u niets voor te doen.",
    ]


@pytest.mark.parametrize(
    ("use", "plan", "english", "dutch"),
    [
        (ALWAYS, "vps-s", "On VPS XL you would have paid 8100.00 EUR less", "Met VPS XL had u over de laatste 6 "),
        (ALWAYS, "vps-xl", "VPS XL is the cheapest plan", "VPS XL is het goedkoopste"),
        (ONCE, "vps-s", "We advise no change: VPS M would not", "Wij raden geen verandering aan: VPS M"),
    ],
)
def test_advice_in_both_languages(folder: Path, use: tuple[int, ...], plan: str, english: str, dutch: str) -> None:
    fair_world(folder, use, plan=plan, close=False)
    found = advise(service="vps-1", at=NOW)
    name = found.comparison.present.version.name
    assert advice_text(found.advice, present=name, language="en").startswith(english)
    assert advice_text(found.advice, present=name, language="nl").startswith(dutch)
