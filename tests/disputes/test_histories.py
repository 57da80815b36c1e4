"""Random histories of one bill: contested, asked, answered, decided, paid, credited in any order; always exact."""

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from coulance.disputes import queries as cases
from coulance.disputes.check import check_disputes
from coulance.disputes.errors import UnableToOpenError, UnableToStepError
from coulance.flows.crediting import give_credit_note
from coulance.flows.disputing import working
from coulance.invoicing.crediting import creditable_lines
from coulance.invoicing.errors import InvoicingError
from coulance.payments import queries as payments
from coulance.payments.errors import PaymentsError
from coulance_core.disputes import Contest, Outcome, Way
from coulance_core.invoicing import CreditRequest, CreditType
from coulance_core.kernel import Money
from tests.disputes.court import ANNA, OPENED, Court


class History(RuleBasedStateMachine):
    """One invoice of 200.00 before tax; time goes on with every act."""

    court: Court

    def __init__(self) -> None:
        super().__init__()
        self.mark = transaction.savepoint()
        self.turn = 0

    def teardown(self) -> None:
        assert self.court.audit() == []
        transaction.savepoint_rollback(self.mark)

    @property
    def now(self) -> Any:
        self.turn += 1
        return OPENED + timedelta(days=self.turn)

    def open_case(self) -> int | None:
        found = cases.cases(accounts=[self.court.account], at=OPENED + timedelta(days=400), closed=False)
        return found[0].id if found else None

    @rule(cents=st.integers(1, 25_000), customer=st.booleans())
    def contests(self, cents: int, customer: bool) -> None:
        contest = Contest(1, Way.AMOUNT, amount=Money(cents, "EUR"))
        (line,) = creditable_lines(self.court.number)
        before = self.open_case()
        try:
            self.court.opens(
                contest, at=self.now, actor=self.court.boss if customer else ANNA, reason=f"because {self.turn}",
                new_fact=f"new {self.turn}",
            )  # fmt: skip
        except UnableToOpenError as refused:
            by_rule = refused.refusal is not None
        else:
            assert before is None
            assert cents <= line.left.minor
            return
        assert by_rule or before is not None or cents > line.left.minor

    @rule(act=st.sampled_from(["ask", "note", "answer", "see", "withdraw", "lapse", "mediate", "mediated"]))
    def works(self, act: str) -> None:
        case, at = self.open_case(), self.now
        if act == "lapse":
            working.lapse(at=at + timedelta(days=20))
            self.turn += 20
        elif case is not None:
            try:
                if act == "see":
                    working.see(case=case, actor=self.court.boss, at=at)
                elif act == "withdraw":
                    working.withdraw(case=case, reason="never mind", actor=self.court.boss, at=at)
                elif act == "mediate":
                    working.begin_mediation(case=case, name="M", reference="1", text="so", actor=ANNA, at=at)
                elif act == "mediated":
                    working.end_mediation(case=case, text="so", actor=ANNA, at=at)
                else:
                    by = self.court.boss if act == "answer" else ANNA
                    getattr(working, act)(case=case, text="so", actor=by, at=at)
            except UnableToStepError:
                pass  # what may follow what is core's table; here it is that nothing moves by it

    @rule(outcome=st.sampled_from(list(Outcome)), cents=st.integers(1, 25_000), part=st.integers(1, 9))
    def decides(self, outcome: Outcome, cents: int, part: int) -> None:
        case = self.open_case()
        if case is None:
            return
        given: dict[str, Any] = {}
        if outcome in (Outcome.PART, Outcome.GOODWILL):
            given["amounts"] = {1: Money(cents, "EUR")}
        elif outcome is Outcome.SHARED:
            given["share"] = Fraction(part, 10)
        elif outcome is Outcome.PLAN_CHANGE:
            given["plan"] = "vps-m"
        try:
            self.court.decides(case, outcome.value, at=self.now, **given)
        except (UnableToStepError, InvoicingError):
            assert self.open_case() == case

    @rule(cents=st.integers(1, 30_000), named=st.booleans())
    def pays(self, cents: int, named: bool) -> None:
        held_before = self.held()
        amount = Money(cents, "EUR").decimal()
        try:
            self.court.pays(amount, *([self.court.number] if named else []))
        except PaymentsError:
            assert named  # nothing is open under it any more
            return
        if not named:
            assert self.held() == held_before, "money that names nothing left it alone"

    @rule(cents=st.integers(1, 25_000))
    def credits_by_hand(self, cents: int) -> None:
        (line,) = creditable_lines(self.court.number)
        try:
            give_credit_note(
                number=self.court.number, lines=[CreditRequest(1, Money(cents, "EUR"))],
                credit_type=CreditType.PRICE_REDUCTION, reason="by hand", actor="operator:bert", at=self.now,
            )  # fmt: skip
        except InvoicingError:
            assert cents > line.left.minor

    def held(self) -> int:
        item = next(one for one in payments.items(account=self.court.account) if one.number == self.court.number)
        return 0 if item.held is None else item.held.minor

    @invariant()
    def all_is_exact(self) -> None:
        item = next(one for one in payments.items(account=self.court.account) if one.number == self.court.number)
        found = cases.holds(accounts=[self.court.account])
        contested = sum(hold.amount.minor for hold in found)
        assert len(found) == (self.open_case() is not None)
        # Held is what is contested, and never above what is open.
        assert self.held() == max(min(contested, item.open.minor), 0)
        # No cent is credited twice: no more than the line had, tax exact to the last cent of it.
        (line,) = creditable_lines(self.court.number)
        assert 0 <= line.left.minor <= 20_000
        if line.left.minor == 0:
            assert item.open.minor <= 0
        assert list(check_disputes()) == []


def test_random_histories(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(History, "court", court, raising=False)
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=6, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
