"""Contracts as they go: cards, leave, retainers, tickets and what they cost us; each beside figures made by hand."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.contracts import queries, tickets
from coulance.contracts.errors import (
    UnableToAgreeError,
    UnableToApproveError,
    UnableToChangeError,
    UnableToRecordError,
)
from coulance.contracts.models import EVENTS
from coulance.flows.contracts import billing, changing, earning, penalties, ticketing
from coulance.flows.crediting import give_credit_note
from coulance.invoicing import queries as invoicing
from coulance.invoicing.check import check_documents
from coulance.invoicing.check_laws import check_charges
from coulance.ledger import queries as ledger
from coulance.ledger.check import check_ledger
from coulance.platform import alarms
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Money
from coulance_core.sla.clocks import EventKind
from tests.contracts.desk import ACTOR, CONTRACTS, Desk, later

GAP = (
    "INSERT INTO contracts_entry (contract_id, source_key, revision, began_at, seconds, work, who, text, ticket,"
    " recorded_at, by, reason) SELECT contract_id, source_key, 3, began_at, 1, work, who, '', '', now(), 'x', 'y'"
    " FROM contracts_entry"
)
"""A revision that follows none."""


def test_a_card_pays_started_quarters_and_what_is_beyond_waits_for_leave(desk: Desk) -> None:
    number = desk.agrees("k1", "strips").sells("k1")
    assert invoicing.document(number=number).row.gross == Money(108_900, "EUR")
    assert desk.sells("k1") == number, "sold again by the same name: the same card"
    desk.works("k1", "e1", later(1), 20)
    assert desk.hours("k1", later(3)).left == 9.5 * 3600
    desk.works("k1", "e2", later(24), 9 * 60)
    # Half an hour is left: the rest of this was approved by nobody before it began.
    desk.works("k1", "e3", later(48), 60)
    assert desk.went("k1", later(50)) == {"card": 600, "absorbed": 30}
    leave = desk.asks("k1", 60, later(51))
    desk.works("k1", "e4", later(52), 30)
    desk.approves(leave, later(53))
    desk.works("k1", "e5", later(54), 45)
    assert desk.went("k1", later(60)) == {"card": 600, "absorbed": 60, "approved": 45}
    desk.runs(datetime(2026, 6, 3, tzinfo=UTC))
    (hours_,) = [c for c in queries.charges([desk.id("k1")]) if c.kind == "hours"]
    assert hours_.amount == Money(7125, "EUR")  # 0.75 h of 95.00
    # The work was shorter than it was written: the difference is given back.
    desk.works("k1", "e5", later(54), 30, at=datetime(2026, 6, 10, tzinfo=UTC), why="the timer ran on")
    desk.runs(datetime(2026, 7, 3, tzinfo=UTC))
    (back,) = [c for c in queries.charges([desk.id("k1")]) if c.kind == "hours_back"]
    assert (back.amount, invoicing.document(number=back.invoice).row.net) == (Money(2375, "EUR"), Money(-2375, "EUR"))
    assert desk.runs(datetime(2026, 7, 4, tzinfo=UTC)).invoices == 0
    assert list(check_documents()) == []
    assert list(check_charges()) == []
    assert list(check_ledger()) == []


def test_who_may_not_incur_cost_approves_nothing_and_answers_stand(desk: Desk) -> None:
    leave = desk.agrees("k1", "strips").asks("k1", 60, later(1))
    with pytest.raises(UnableToApproveError, match="incur cost"):
        desk.approves(leave, later(2), contact="dev")
    desk.approves(leave, later(2), approved=False)
    with pytest.raises(UnableToApproveError, match="answered already"):
        desk.approves(leave, later(3))
    desk.works("k1", "e1", later(4), 30)
    assert desk.went("k1", later(6)) == {"absorbed": 30}
    assert desk.subjects("leave/" + leave) == ["Hour card: mogen we dit werk doen?"]


def test_hours_sold_are_owed_until_they_are_used_or_lapse(desk: Desk) -> None:
    """900.00 for ten hours: each sum by hand. A correction takes income back, a credit note what is owed."""
    desk.agrees("k1", "strips").sells("k1")
    assert _books() == {"deferred:hours": -90_000}
    desk.works("k1", "e1", later(1), 120)
    assert [str(f) for f in earning.check_hours()] == []
    (waits,) = earning.outstanding(at=later(30))
    assert (waits.seconds, waits.owed, waits.booked) == (8 * 3600, Money(72_000, "EUR"), False)
    desk.runs(later(30))
    desk.runs(later(31))  # again, and nothing is booked again
    assert _books() == {"deferred:hours": -72_000, "revenue:hours": -18_000}
    desk.works("k1", "e1", later(1), 60, at=later(40), why="the timer ran on")
    desk.runs(later(41))
    assert _books() == {"deferred:hours": -81_000, "revenue:hours": -9_000}
    # Half of what was paid is given back: what was earned of it, too.
    credit_by_hand(desk, "c1", Money(45_000, "EUR"), later(42))
    assert [str(f) for f in earning.check_hours()] == []
    desk.runs(later(43))
    assert _books() == {"deferred:hours": -40_500, "revenue:hours": -4_500}
    end = datetime(2027, 5, 2, tzinfo=UTC)
    desk.runs(end)
    assert _books() == {"revenue:hours": -4_500, "revenue:breakage": -40_500}
    desk.sells("k1", "c2", on="2027-05-03", at=end)
    billing.take_card_back(key="k1", card="c2", reason="ordered twice", actor=ACTOR, at=end)
    assert _books() == {"revenue:hours": -4_500, "revenue:breakage": -40_500}
    assert [str(f) for f in earning.check_hours()] == []
    assert list(check_ledger()) == []
    with connection.cursor() as cursor:  # a card that says more than was booked is found
        cursor.execute("INSERT INTO contracts_earning (card_id, no, used, lapsed, booked_at, by)"
                       " SELECT card_id, 99, 1, 0, now(), 'x' FROM contracts_earning LIMIT 1")  # fmt: skip
    assert "the journal owes 0.00 EUR in hours, the cards say 449.99 EUR" in str(next(earning.check_hours()))


def _books() -> dict[str, int]:
    """What stands on the accounts of hours, by a sum over the journal; zeros are left out."""
    rows = [
        row for row in ledger.trial_balance() if row.account in ("deferred:hours", "revenue:hours", "revenue:breakage")
    ]
    return {row.account: row.balance.minor for row in rows if row.balance.minor}


def credit_by_hand(desk: Desk, card: str, amount: Money, at: datetime) -> None:
    """A credit note on a card's invoice, as an operator gives it."""
    (charge,) = [c for c in queries.charges([desk.id("k1")]) if c.key == f"card/{card}"]
    give_credit_note(
        number=charge.invoice, lines=[CreditRequest(charge.line or 0, amount)], credit_type=CreditType.PRICE_REDUCTION,
        reason="goodwill", actor=ACTOR, at=at,
    )  # fmt: skip


def test_holders_are_warned_once_of_few_hours_and_of_their_end_and_lapsed_hours_are_written(desk: Desk) -> None:
    desk.agrees("k1", "strips").sells("k1")
    desk.works("k1", "e1", later(1), 8 * 60)
    desk.runs(later(30))
    desk.runs(later(54))
    assert sorted(desk.subjects("contract/k1")) == ["Hour card: 2:00 hours left", "Hour card: nog 2:00 uur over"]
    desk.runs(datetime(2027, 4, 20, tzinfo=UTC))
    desk.runs(datetime(2027, 5, 2, tzinfo=UTC))
    assert queries.lapsed([desk.id("k1")]) == {"c1": (7200, Money(18_000, "EUR"))}


def test_a_card_that_nothing_was_drawn_on_is_taken_back_whole(desk: Desk) -> None:
    number = desk.agrees("k1", "strips").sells("k1")
    note = billing.take_card_back(key="k1", card="c1", reason="ordered twice", actor=ACTOR, at=later(1))
    assert invoicing.document(number=note).row.gross == -invoicing.document(number=number).row.gross
    desk.sells("k1", "c2")
    desk.works("k1", "e1", later(2), 10)
    with pytest.raises(UnableToRecordError, match="used"):
        billing.take_card_back(key="k1", card="c2", reason="no longer wanted", actor=ACTOR, at=later(4))


def test_a_missed_answer_is_credited_unasked_once_and_late_events_add_the_difference(desk: Desk) -> None:
    desk.agrees("k1", "care")
    desk.runs(later(0))
    fee = queries.charges([desk.id("k1")])[0]
    assert (fee.kind, fee.amount) == ("fee", Money(10_000, "EUR"))
    # Monday 9:00; Tuesday is a holiday of the contract.
    desk.tells("1", ("opened", later(7)), ("answered", later(49)))  # an hour on Monday, then on Wednesday at 10: kept
    desk.tells("2", ("opened", later(7)), ("answered", later(50.5)))  # missed by half an hour
    desk.tells("3", ("opened", later(48)), ("answered", later(48.5)))
    june = datetime(2026, 6, 4, 12, tzinfo=UTC)
    assert desk.runs(june - timedelta(days=2)).credits == 0  # late events have their time
    assert desk.runs(june).credits == 1
    (credit,) = queries.credits_of([desk.id("k1")])
    assert (credit.amount, credit.missed) == (Money(500, "EUR"), ("2",))
    assert credit.explanation.recompute()["rounded"] == 5
    assert invoicing.document(number=credit.credit_note).row.net == Money(-500, "EUR")
    assert "We antwoordden te laat; we crediteerden € 5,00" in [s.replace("\u00a0", " ") for s in desk.subjects()]
    assert desk.runs(june + timedelta(days=1)).credits == 0
    desk.tells("4", ("opened", later(96)), ("answered", later(105)), contract="k1")
    assert desk.runs(june + timedelta(days=2)).credits == 1
    assert [c.amount.minor for c in queries.credits_of([desk.id("k1")])] == [500, 500]
    assert not penalties.unposted(queries.contract("k1"))


MORE = """
[[contracts.terms]]
name = "seats"
from = 2026-01-01
kind = "per_seat"
title = "Desks"
price = "10.00 EUR"
response = "mostly"
renewal = { months = 12, notice_days = 30, renews = "term" }

[[contracts.response]]
name = "mostly"
from = 2026-01-01
calendar = { zone = "Europe/Amsterdam", always = true }
target = [{ promise = "first_response", within = "1 h" }]
[[contracts.response.penalty]]
kind = "attainment"
promise = "first_response"
tiers = [{ below = "95 %", credit = "10 %" }, { below = "70 %", credit = "25 %" }]
"""


def test_seats_an_attainment_that_was_promised_and_a_review_before_the_last_day_for_notice(desk: Desk) -> None:
    """Three of four answered in time are 75 %: below 95, not below 70: a tenth of the period's fee."""
    desk.world.provider(extra='email = "hulp@polder.example"\n', more=CONTRACTS + MORE)
    desk.agrees("k1", "seats", seats=4)
    changing.set_seats(key="k1", seats=6, on=date(2026, 6, 1), reason="two more", actor=ACTOR, at=later(1))
    desk.runs(later(1))
    for n in range(4):
        desk.tells(str(n), ("opened", later(2)), ("answered", later(2.5 if n else 4)))
    june = datetime(2026, 6, 4, 12, tzinfo=UTC)
    desk.runs(june)
    assert [c.amount.minor for c in queries.charges([desk.id("k1")])] == [4_000, 6_000]
    (credit,) = queries.credits_of([desk.id("k1")])
    assert (credit.amount, credit.missed) == (Money(400, "EUR"), ("0",))
    # Notice is possible until 1 April; a review is offered 45 days before, once, and not once notice was given.
    offered = []
    for day in (14, 16, 17):
        desk.runs(datetime(2027, 2, day, tzinfo=UTC))
        offered.append(desk.subjects("contract/k1").count("Desks: zullen we er samen naar kijken?"))
    assert offered == [0, 1, 1]
    ends = changing.give_notice(key="k1", reason="they leave", actor=ACTOR, at=datetime(2027, 4, 5, tzinfo=UTC))
    assert ends == date(2028, 5, 1), "some days too late is a term too late"
    desk.runs(datetime(2028, 2, 20, tzinfo=UTC))
    assert desk.subjects("contract/k1").count("Desks: zullen we er samen naar kijken?") == 1


def test_those_who_can_prevent_a_breach_are_warned_before_it(desk: Desk) -> None:
    desk.agrees("k1", "care")
    desk.tells("7", ("opened", later(0)))
    assert ticketing.watch(at=later(1)) == (0, 0)
    assert ticketing.watch(at=later(1.6)) == (1, 0)
    assert [a.key for a in alarms.open_alarms()] == ["tickets.risk:zammad/7/first_response/0"]
    assert ticketing.watch(at=later(3)) == (0, 1)
    desk.tells("7", ("opened", later(0)), ("answered", later(4)))
    assert ticketing.watch(at=later(4)) == (0, 0)
    assert [a.key for a in alarms.open_alarms()] == []
    (one,) = tickets.standing(tickets.tickets(), later(4))
    assert [c.state.value for c in one.breached] == ["missed"]


def test_a_retainer_carries_hours_and_notice_indexation_and_early_end_follow_its_terms(desk: Desk) -> None:
    desk.agrees("k1", "pool").agrees("k2", "care")
    desk.works("k1", "e1", later(1), 60)
    june = datetime(2026, 6, 2, 9, tzinfo=UTC)
    pool = desk.hours("k1", june).pool
    assert pool is not None
    assert [(p.carried_in, p.used, p.lapsed) for p in pool.periods] == [(0, 3600, 7200), (7200, 0, 18_000)]
    on = date(2026, 7, 1)
    found = changing.index_price(
        key="k2", before=Fraction(100), now=Fraction(105), on=on, reason="CPI", actor=ACTOR, at=june
    )
    assert found.price == Money(10_300, "EUR")
    with pytest.raises(UnableToChangeError, match="changed already"):
        changing.index_price(
            key="k2", before=Fraction(100), now=Fraction(105), on=on, reason="CPI", actor=ACTOR, at=june
        )
    assert queries.contract("k2").fee_on(date(2026, 7, 1)) == Money(10_300, "EUR")
    assert changing.give_notice(key="k2", reason="they said so", actor=ACTOR, at=june) == date(2027, 5, 1)
    changing.take_notice_back(key="k2", reason="they changed their mind", actor=ACTOR, at=june)
    fee = changing.end_early(key="k2", leaves=date(2026, 11, 1), reason="moved", actor=ACTOR, at=june)
    assert fee == Money(30_646, "EUR")  # 12 x 103.00, half of 181 of 365 days, rounded down
    assert not queries.contract("k2").runs_on(date(2026, 11, 1))


def test_what_is_written_stays_written(desk: Desk) -> None:
    assert set(EVENTS) == {kind.value for kind in EventKind}
    desk.agrees("k1", "strips").sells("k1")
    desk.works("k1", "e1", later(1), 10)
    assert desk.works("k1", "e1", later(1), 10).known == 1
    with pytest.raises(UnableToRecordError, match="needs a reason"):
        desk.works("k1", "e1", later(1), 20)
    with pytest.raises(UnableToAgreeError, match="already"):
        desk.agrees("k1", "strips")
    with pytest.raises(UnableToAgreeError, match="there are care, pool, strips"):
        desk.agrees("k9", "gold")
    desk.asks("k1", 60, later(1))
    desk.tells("1", ("opened", later(1)), account="acme")
    for statement in (
        "UPDATE contracts_entry SET seconds = 1",
        "DELETE FROM contracts_contract",
        "UPDATE contracts_ticket_event SET at = now()",
        "UPDATE contracts_card SET price = 1",
        "UPDATE contracts_leave SET rate = 1, answered_at = asked_at, approved = true, answered_by = 'x'",
        "UPDATE contracts_charge SET amount = 1, invoice = 'x', line = 1",
        GAP,
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
