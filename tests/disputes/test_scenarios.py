"""Bills contested in every way there is, as readable tables; and the stories of a customer and an operator."""

from datetime import date, timedelta
from fractions import Fraction as F
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToFindCaseError, UnableToOpenError, UnableToStepError
from coulance.flows.disputing import acting, opening, working
from coulance.flows.disputing.deciding import Choice, decide_case, plans_for, preview_decision
from coulance.invoicing import queries as invoicing
from coulance.payments import queries as payments
from coulance.payments import statements
from coulance.platform import alarms
from coulance_core.disputes import Contest, Grounds, OpenRefusal, Outcome, Way
from coulance_core.kernel import Period
from tests.disputes.court import ANNA, OPENED, WHY, Court, eur, half, later, part, quantity, whole

ZONE = ZoneInfo("Europe/Amsterdam")


def days(first: int, last: int) -> Contest:
    """Days of June, both included."""
    from coulance_core.kernel import civil_midnight

    start, end = (civil_midnight(date(2026, 6, 1) + timedelta(days=n), ZONE) for n in (first - 1, last))
    return Contest(1, Way.PERIOD, period=Period(start, end))


# 2000 GB at 0.10 are 200.00, with 21 % tax 242.00.
@pytest.mark.parametrize(
    ("contest", "held", "stays"),
    [
        pytest.param(whole(), "242.00", "0.00", id="refuses the overage invoice"),
        pytest.param(part("50.00"), "60.50", "181.50", id="part of a line, before tax"),
        pytest.param(quantity("500"), "60.50", "181.50", id="a quantity of the 2000"),
        pytest.param(quantity("0.5"), "0.06", "241.94", id="half a gigabyte, rounded by the cent"),
        pytest.param(days(1, 15), "121.00", "121.00", id="the first half of the month, by time"),
        pytest.param(Contest(1, accepted=eur("120.00")), "96.80", "145.20", id="all but what is accepted"),
        pytest.param(Contest(1, Way.QUANTITY, quantity=F(1500), accepted=eur("100")), "60.50", "181.50", id="both"),
    ],
)
def test_what_is_held_and_what_stays(court: Court, contest: Contest, held: str, stays: str) -> None:
    seen = opening.preview(document=court.document, contests=[contest], actor=court.boss)
    assert (seen.contested.gross.decimal(), seen.held.decimal(), seen.stays.decimal()) == (held, held, stays)
    assert court.stands() == "242.00"  # looking changes nothing
    case = court.opens(contest)
    assert court.stands() == f"242.00 of which {held} held"
    assert court.state(case) == "open"
    (hold,) = cases.holds(accounts=[court.account])
    assert (hold.amount.decimal(), hold.ref, hold.since, hold.until) == (
        held,
        f"document/{court.document}",
        OPENED,
        None,
    )
    assert court.audit() == []


# Contested is 200.00 before tax, 242.00 with it.
@pytest.mark.parametrize(
    ("outcome", "given", "credited", "open_"),
    [
        pytest.param("upheld", {}, "242.00", "0.00", id="upheld"),
        pytest.param("part", {"amounts": {1: eur("33.33")}}, "40.33", "201.67", id="part"),
        pytest.param("rejected", {}, "0.00", "242.00", id="rejected"),
        pytest.param("shared", {"share": half()}, "121.00", "121.00", id="shared half"),
        pytest.param("shared", {"share": F(1, 3)}, "80.67", "161.33", id="shared a third, rounded"),
        pytest.param("goodwill", {"amounts": {1: eur("20.00")}}, "24.20", "217.80", id="goodwill"),
        pytest.param("plan_change", {"plan": "vps-m"}, "242.00", "0.00", id="the larger plan for that month"),
    ],
)
def test_how_a_case_ends(court: Court, outcome: str, given: dict[str, Any], credited: str, open_: str) -> None:
    case = court.opens()
    choice = Choice(Outcome(outcome), **given)
    seen = preview_decision(case=case, choice=choice, reason="we looked", actor=ANNA, at=later(3))
    assert court.state(case) == "open"  # figures first, nothing done
    done = court.decides(case, outcome, **given)
    assert (seen.credited, seen.stays) == (done.figures.credited, done.figures.stays)
    assert (done.figures.credited.decimal(), court.stands()) == (credited, open_)
    assert cases.holds(accounts=[court.account]) == ()
    assert court.state(case, later(4)) == "decided"
    notes = [invoicing.document(number=number).row for number in done.credit_notes]
    assert [(one.kind, one.invoice) for one in notes] == [("credit_note", court.number)] * (credited != "0.00")
    if outcome == "plan_change":  # 25.00 instead of 10.00, and its invoice to pay
        assert done.invoice is not None
        assert (done.figures.billed.decimal(), court.stands(done.invoice)) == ("18.15", "18.15")
    assert court.mails(case)[-1] == f"Case {case} on {court.number} is decided"
    assert court.audit() == []
    with pytest.raises(UnableToStepError, match="decided twice"):
        court.decides(case, "upheld")


def test_the_rest_is_paid_alone_and_money_that_names_nothing_leaves_what_is_disputed(court: Court) -> None:
    court.opens(part("100.00"))
    assert court.stands() == "242.00 of which 121.00 held"
    base = [one for one in payments.items(account=court.account) if one.number.startswith("B")]
    owed = sum(one.open.minor for one in base)
    # All the fees and 130.00: 121.00 go to the undisputed part, 9.00 stay on hand.
    court.pays((eur("130.00") + eur("0.01") * owed).decimal())
    assert (court.stands(), court.on_hand()) == ("121.00 of which 121.00 held", "9.00")
    court.pays("10.00")
    assert (court.stands(), court.on_hand()) == ("121.00 of which 121.00 held", "19.00")
    court.pays("21.00", court.number)  # the payer says so: it is theirs to decide
    assert (court.stands(), court.on_hand()) == ("100.00 of which 100.00 held", "19.00")
    assert court.audit() == []


def test_only_what_is_disputed_stops_ageing(court: Court) -> None:
    court.opens(part("100.00"))
    (aged,) = statements.aged_accounts(on=date(2026, 9, 1), accounts=[court.account])
    assert (aged.ages.to_60.decimal(), aged.ages.disputed.decimal(), aged.ages.not_late.decimal()) == (
        "145.20",  # fees of 24.20 and the undisputed 121.00, both 45 days late
        "121.00",
        "0.00",
    )
    assert aged.ages.due.decimal() == "266.20"


def test_what_was_left_on_hand_pays_it_once_the_case_is_rejected(court: Court) -> None:
    case = court.opens(part("100.00"))
    owed = sum(one.open.minor for one in payments.items(account=court.account))
    court.pays((eur("0.01") * owed).decimal())
    assert court.on_hand() == "121.00"
    court.decides(case, "rejected")
    assert (court.stands(), court.on_hand()) == ("0.00", "0.00")
    assert court.audit() == []


def test_upheld_on_what_was_paid_is_credit_to_give_back(court: Court) -> None:
    court.pays("242.00", court.number)
    case = court.opens(part("50.00"))
    assert court.stands() == "0.00"  # nothing of it is open, so nothing is held of it
    court.decides(case, "upheld")
    found = {one.number: one.open.decimal() for one in payments.items(account=court.account)}
    assert found == {"B2026-0001": "0.00", court.number: "-36.30"}  # 60.50, of which 24.20 paid the fees
    assert court.audit() == []


def test_no_cent_is_credited_twice(court: Court) -> None:
    case = court.opens(part("150.00"))
    from coulance.flows.crediting import give_credit_note
    from coulance_core.invoicing import CreditRequest, CreditType

    give_credit_note(
        number=court.number, lines=[CreditRequest(1, eur("120.00"))], credit_type=CreditType.PRICE_REDUCTION,
        reason="by hand, meanwhile", actor="operator:bert", at=later(1),
    )  # fmt: skip
    assert court.stands() == "96.80 of which 96.80 held"  # never above what is open
    done = court.decides(case, "upheld")
    assert (done.figures.credited.decimal(), court.stands()) == ("96.80", "0.00")
    assert court.audit() == []


def test_a_second_time_needs_a_new_fact(court: Court) -> None:
    def refused(**given: Any) -> str:
        with pytest.raises(UnableToOpenError) as caught:
            court.opens(at=later(5), **given)
        assert caught.value.refusal is not None
        return caught.value.refusal.code.name

    case = court.opens(part("50.00"))
    assert refused() == OpenRefusal.OPEN_ALREADY.name
    court.decides(case, "rejected")
    assert refused(reason="again") == OpenRefusal.NEEDS_NEW_FACT.name
    assert refused(reason="again", new_fact=f"  {WHY.upper()}! ") == OpenRefusal.NEEDS_NEW_FACT.name
    second = court.opens(at=later(6), reason="again", new_fact="our host's log of 12 June")
    working.withdraw(case=second, reason="found it", actor=court.boss, at=later(7))
    assert refused(reason="more", new_fact="yet another log") == OpenRefusal.TOO_OFTEN.name
    court.opens(at=later(8), actor=ANNA, reason="they called", new_fact="a reading error of ours")  # we may
    assert court.audit() == []


def test_a_question_unanswered_closes_the_case_once_it_reached_somebody(court: Court) -> None:
    case = court.opens()
    working.ask(case=case, text="Which host was it?", actor=ANNA, at=later(2))
    assert (court.state(case, later(3)), working.lapse(at=later(60))) == ("asked", [])  # it reached nobody
    court.arrives(case, 2, later(2.1))
    assert working.lapse(at=later(60)) == []  # in a mailbox is not seen
    working.see(case=case, actor=court.boss, at=later(5))
    assert cases.case(case, at=later(6)).clock.lapses_at == later(19)
    assert working.lapse(at=later(18.9)) == []
    assert working.lapse(at=later(19)) == [case]
    assert (court.state(case, later(20)), court.stands()) == ("lapsed", "242.00")
    assert working.lapse(at=later(20)) == []
    with pytest.raises(UnableToStepError, match="is closed"):
        working.answer(case=case, text="too late", actor=court.boss, at=later(21))
    assert court.audit() == []


def test_one_case_that_cannot_be_closed_keeps_none_of_the_others(
    court: Court, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    base = next(one for one in payments.items(account=court.account) if one.number.startswith("B"))
    two = [
        court.opens(part("50.00")),
        opening.open_dispute(
            document=int(base.ref.partition("/")[2]), contests=[Contest(1)], grounds=Grounds.NOT_USABLE,
            reason="it was down", actor=court.boss, at=later(0.1),
        ).case,
    ]  # fmt: skip
    for case in two:
        working.ask(case=case, text="When?", actor=ANNA, at=later(1))
        working.see(case=case, actor=court.boss, at=later(2))
    settle = working.settle_after

    def broken(case: Any, **given: Any) -> None:
        if case.id == two[0]:
            raise RuntimeError("the books of this case can't be read")
        settle(case, **given)

    monkeypatch.setattr(working, "settle_after", broken)
    assert working.lapse(at=later(16)) == [two[1]]
    assert [court.state(case, later(17)) for case in two] == ["asked", "lapsed"]
    assert [one.key for one in alarms.open_alarms()] == [working.FAILED_ALARM]
    assert f"case {two[0]} could not be closed" in caplog.text
    monkeypatch.setattr(working, "settle_after", settle)
    assert working.lapse(at=later(17)) == [two[0]]
    assert alarms.open_alarms() == []
    assert court.audit() == []


def test_an_answer_in_time_keeps_it_open(court: Court) -> None:
    case = court.opens()
    working.ask(case=case, text="Which host was it?", actor=ANNA, at=later(2))
    with pytest.raises(UnableToStepError, match="one question at a time"):
        working.ask(case=case, text="And when?", actor=ANNA, at=later(2))
    working.see(case=case, actor=court.boss, at=later(5))
    now = working.answer(case=case, text="web-2", actor=court.boss, at=later(18))
    assert (now.state.value, working.lapse(at=later(60))) == ("open", [])
    # Two of our fourteen days went, then the question waited at them from the third day on that it was seen: five.
    assert now.clock.due_at == later(18 + 14 - 5)


def test_our_delay_stops_interest_and_never_ends_the_case(court: Court) -> None:
    case = court.opens()
    assert working.watch(at=later(13)) == 0
    assert working.watch(at=later(15)) == 1
    assert [one.key for one in alarms.open_alarms()] == [working.OVERDUE_ALARM]
    court.decides(case, "rejected", at=later(20))
    assert working.watch(at=later(20)) == 0
    assert alarms.open_alarms() == []
    (stopped,) = cases.stopped(accounts=[court.account], zone=ZONE, at=later(90))
    assert (stopped.ref, stopped.amount.decimal()) == (f"document/{court.document}", "242.00")
    assert stopped.days == ((date(2026, 7, 20), date(2026, 7, 27)),)  # opened on the 6th at noon, decided on the 26th


def test_a_third_party_stops_both_clocks(court: Court) -> None:
    case = court.opens()
    with pytest.raises(UnableToStepError, match="their reference"):
        working.begin_mediation(case=case, name="", reference="", text="go", actor=ANNA, at=later(4))
    now = working.begin_mediation(
        case=case, name="Geschillencommissie", reference="2026/118", text="as you asked", actor=ANNA, at=later(4),
        answer_by=date(2026, 9, 1),
    )  # fmt: skip
    assert (now.state.value, now.clock.due_at, now.steps[-1].detail["answer_by"]) == ("mediation", None, "2026-09-01")
    assert court.stands() == "242.00 of which 242.00 held"
    now = working.end_mediation(case=case, text="split it", actor=ANNA, at=later(60))
    assert (now.state.value, now.clock.due_at, now.clock.late) == ("open", later(70), ())
    court.decides(case, "shared", share=half(), at=later(61))
    assert court.stands() == "121.00"


def test_another_customers_case_is_not_there(court: Court) -> None:
    case = court.opens()
    court.world.account("beta")
    from coulance.customers import queries as customers

    beta = acting.customer(account=customers.account("beta").id, contact="boss")
    for act in (
        lambda: working.case_of(case=case, actor=beta, at=later(1)),
        lambda: working.answer(case=case, text="hello", actor=beta, at=later(1)),
        lambda: working.withdraw(case=case, reason="mine now", actor=beta, at=later(1)),
        lambda: working.read_file(case=case, file=1, actor=beta, at=later(1)),
        lambda: opening.contestable(document=court.document, actor=beta, at=later(1)),
        lambda: court.opens(actor=beta),
    ):
        with pytest.raises(UnableToFindCaseError):
            act()
    with pytest.raises(UnableToStepError, match="we decide"):
        decide_case(case=case, choice=Choice(Outcome.UPHELD), reason="me", actor=court.boss, at=later(1))


@pytest.mark.parametrize(
    ("contests", "says"),
    [
        ([Contest(7)], "has no line 7"),
        ([whole(), part("1.00")], "contested twice"),
        ([part("200.01")], "200.00 EUR left to contest"),
        ([quantity("2000.1")], "of 2000 GB"),
        ([Contest(1, accepted=eur("200.00"))], "all that was named is accepted"),
        ([], "say what is contested"),
    ],
)
def test_what_cannot_be_contested_says_why_and_changes_nothing(court: Court, contests: Any, says: str) -> None:
    with pytest.raises(UnableToOpenError, match=says):
        opening.open_dispute(
            document=court.document, contests=contests, grounds=Grounds.OTHER, reason=WHY, actor=court.boss, at=OPENED
        )
    assert cases.holds() == ()
    assert court.stands() == "242.00"


def test_a_plan_that_would_have_been_cheaper_is_offered_in_the_case(court: Court) -> None:
    case = court.opens()
    (offered,) = plans_for(cases.case(case, at=later(1)))
    assert [one.plan.plan for one in offered.offers] == ["vps-m", "vps-xl"]
    with pytest.raises(UnableToStepError, match="which plan"):
        court.decides(case, "plan_change")
    assert court.state(case) == "open"
