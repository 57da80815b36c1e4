"""An account, its customer, its bank and its provider, one thing after another, in any order; with crashes between."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.core.arrears import judge
from tests.core.arrears.worlds import SHORT, Host, arrives, at, day, debt, eur, facts, lost

from coulance_core.arrears import Done, Held, InFlight, Instalment, Paid, Plan, Promise, Service, Stay, StayKind, decide

STANDING = ("throttle", "suspend", "ends", "collector")
REFS = st.sampled_from("ab")


class Account(RuleBasedStateMachine):
    """`today` only goes forward. The provider judges when it likes, and may die after any act."""

    @initialize(bounce=st.sampled_from([None, 20, 200]), kind=st.booleans())
    def begin(self, bounce: int | None, kind: bool) -> None:
        self.today = 0
        self.hour = 8
        self.bounce = bounce
        self.arrives = True
        two = (debt("a"), debt("b", 3000, due=3, services=("mail",)))
        self.host = Host(SHORT, facts(*two, services=(Service("vps"), Service("mail"))))
        self.host.evidence = lambda intent, when: (
            lost(when)
            if not self.arrives
            else arrives(when, bounced=None if self.bounce is None else when + timedelta(hours=self.bounce))
        )

    @property
    def now(self) -> object:
        return at(day(self.today), self.hour, 10)

    @rule(days=st.integers(1, 5))
    def days_go_by(self, days: int) -> None:
        self.today += days
        self.hour = 8

    @rule(count=st.integers(1, 6), hour=st.sampled_from([10, 14, 17]))
    def judged_daily(self, count: int, hour: int) -> None:
        for _ in range(count):
            self.today += 1
            self.hour = hour
            self.judged(dies_after=None)

    @precondition(lambda self: self.hour < 20)
    @rule(dies_after=st.none() | st.integers(0, 2))
    def judged(self, dies_after: int | None) -> None:
        """The provider acts, each act in a transaction of its own; it may die after some, and starts again later."""
        self.hour += 1
        when = at(day(self.today), self.hour, 20)
        decision = decide(SHORT, self.host.facts, when)
        acts = [*decision.lifts, *decision.intents]
        for act in acts if dies_after is None else acts[:dies_after]:
            before = self.host.facts
            if act in decision.lifts:
                undone = {act.done}  # type: ignore[union-attr]
                one = next(d for d in before.done if d.ref in undone)
                if one.step in STANDING:
                    assert not judge.stands(before, one, when, 500), act
                self.host.facts = replace(
                    before, done=tuple(replace(d, undone_at=when) if d.ref in undone else d for d in before.done)
                )
            else:
                wrong = judge.complaints(before, act.step, act.service, frozenset(act.debts), when, 500)  # type: ignore[union-attr]
                assert not wrong, (act, wrong)
                self.host.do(act, when)  # type: ignore[arg-type]
        if dies_after is None:
            for one in self.host.facts.done:
                if one.step in STANDING and one.undone_at is None:
                    assert judge.stands(self.host.facts, one, when, 500), one

    @rule(ref=REFS, share=st.sampled_from([1, 2, 3]))
    def pays(self, ref: str, share: int) -> None:
        one = next(d for d in self.host.facts.debts if d.ref == ref)
        self.host.change(ref, open=eur(one.open.minor - one.open.minor // share))

    @rule(ref=REFS)
    def money_comes_back(self, ref: str) -> None:
        one = next(d for d in self.host.facts.debts if d.ref == ref)
        if one.open.minor < one.gross.minor:
            self.host.change(ref, open=one.gross, came_back=(*one.came_back, self.now))

    @rule(ref=REFS, whole=st.booleans(), new=st.booleans())
    def disputes(self, ref: str, whole: bool, new: bool) -> None:
        amount = eur(9000 if whole else 1000)
        held = Held(f"h{len(self.host.facts.held)}", ref, amount, self.now, new_fact=new)  # type: ignore[arg-type]
        self.host.facts = replace(self.host.facts, held=(*self.host.facts.held, held))

    @rule()
    def disputes_are_decided(self) -> None:
        ended = tuple(replace(h, until=h.until or self.now) for h in self.host.facts.held)  # type: ignore[arg-type]
        self.host.facts = replace(self.host.facts, held=ended)

    @rule(ref=REFS, days=st.integers(0, 20))
    def promises(self, ref: str, days: int) -> None:
        known = self.host.facts
        made = Promise(f"p{len(known.promises)}", frozenset(ref), self.now, day(self.today + days))  # type: ignore[arg-type]
        self.host.facts = replace(known, promises=(*known.promises, made))

    @rule(ref=REFS, paid=st.booleans())
    def makes_a_plan(self, ref: str, paid: bool) -> None:
        known = self.host.facts
        parts = tuple(Instalment(day(self.today + 4 * n), eur(1500)) for n in (1, 2))
        came = (Paid(day(self.today), eur(3000)),) if paid else ()
        plan = Plan(f"plan{len(known.plans)}", frozenset(ref), self.now, parts, came)  # type: ignore[arg-type]
        self.host.facts = replace(known, plans=(*known.plans, plan))

    @rule(ref=REFS, days=st.integers(1, 4))
    def sends_money(self, ref: str, days: int) -> None:
        known = self.host.facts
        flight = InFlight(f"f{len(known.in_flight)}", eur(9000), self.now, day(self.today + days), ref)  # type: ignore[arg-type]
        self.host.facts = replace(known, in_flight=(*known.in_flight, flight))

    @rule(days=st.integers(1, 4), ours=st.booleans())
    def rests(self, days: int, ours: bool) -> None:
        known = self.host.facts
        kind = StayKind.OWN_ERROR if ours else StayKind.OPERATOR
        stay = Stay(f"s{len(known.stays)}", kind, self.now, at(day(self.today + days)))  # type: ignore[arg-type]
        self.host.facts = replace(known, stays=(*known.stays, stay))

    @rule(works=st.booleans(), mail=st.booleans())
    def things_break_or_work(self, works: bool, mail: bool) -> None:
        self.host.backs_up, self.arrives = works, mail

    @rule(step=st.sampled_from(["terminate", "delete"]), service=st.sampled_from(["vps", "mail"]))
    def two_approve(self, step: str, service: str) -> None:
        self.host.approves(step, service, self.now)  # type: ignore[arg-type]

    @invariant()
    def nothing_is_done_twice(self) -> None:
        """An act for a debt and service stands at most once: a crash between acts repeats none."""
        if not hasattr(self, "host"):
            return
        seen: set[tuple[str, str, str]] = set()
        for done in self.host.facts.done:
            if done.undone_at is None and done.step in judge.NOTICES:
                for ref in done.debts:
                    assert (done.step, done.service, ref) not in seen
                    seen.add((done.step, done.service, ref))

    def teardown(self) -> None:
        """Paying everything ends with no restriction, whatever came before."""
        if not hasattr(self, "host"):
            return
        for one in self.host.facts.debts:
            self.host.change(one.ref, open=eur(0))
        self.host.run(at(day(self.today + 1)))
        assert not {"throttle", "suspend"} & set(self.host.in_force())


Account.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None, derandomize=True)
TestAccount = Account.TestCase


def test_the_machine_reaches_the_end_of_the_ladder() -> None:
    """So that the invariants above are about something."""
    machine = Account()
    machine.begin(None, False)
    for _ in range(8):
        machine.judged_daily(6, 10)
        for step in ("terminate", "delete"):
            for service in ("vps", "mail"):
                machine.two_approve(step, service)
    steps = {done.step for done in machine.host.facts.done if isinstance(done, Done)}
    assert {"throttle", "suspend", "terminate", "delete", "ends", "collector"} <= steps
