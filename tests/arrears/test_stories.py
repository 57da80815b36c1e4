"""Twelve stories of a debt, through the real flow: what was done, what was held up and by what, what was lifted.

The customer is a Dutch business with one server of 121.00 a month. The invoice of June is issued, mailed and received
on the 4th and due on the 18th. Each morning at half past nine somebody looks. docs/arrears-stories.md tells the same.
"""

from datetime import date
from typing import Any

import pytest

from coulance.arrears import queries as records
from coulance.enforcement.ports import TargetRow, WrongTargetError
from coulance.flows.arrears import people
from coulance.flows.arrears.running import run_arrears
from coulance.flows.arrears.standing import standing
from coulance.flows.disputing import acting, deciding, opening
from coulance.flows.disputing.deciding import Choice
from coulance.platform.alarms import open_alarms
from coulance.services import queries as services
from coulance.sla import queries as sla
from coulance_core.arrears import StayKind
from coulance_core.disputes import Contest, Grounds, Outcome
from tests.arrears.street import ANNA, BEN, at, eur

TO_SUSPENSION = [
    "06-15 before", "06-23 reminder", "07-01 demand", "07-09 block_orders", "07-12 call", "07-12 suspension_notice",
    "07-16 costs", "07-20 throttle", "07-25 back_up", "07-27 suspend",
]  # fmt: skip


def test_1_forgot_to_pay(street: Any) -> None:
    """A reminder beforehand, one after; the bank transfer comes, and nothing else ever does."""
    street.billed()
    street.until("2026-06-24", since="2026-06-15")
    assert street.story() == ["06-15 before", "06-23 reminder"]
    assert street.subjects() == ["Soon due: B2026-0001", "Reminder: B2026-0001 is not paid yet"]
    street.pays("121.00", at("2026-06-25"), "B2026-0001")
    street.until("2026-08-15", since="2026-06-25")
    assert street.story() == ["06-15 before", "06-23 reminder"]
    assert records.case(street.account) is None
    assert street.audit() == []


def test_2_never_got_the_bill(street: Any) -> None:
    """A bill that nobody received isn't due: no reminder, no clock. One that comes back later stops what had begun."""
    number = street.billed(mailed=False)
    street.until("2026-07-20", since="2026-06-15")
    assert street.story() == []
    assert set(street.held().values()) == {"bill_not_delivered"}
    assert number == "B2026-0001"
    assert street.audit() == []


def test_3_cannot_pay_now(street: Any) -> None:
    """A promise, then a plan: the throttle is lifted when the plan is agreed, and steps rest while it is kept."""
    street.billed()
    street.until("2026-07-21", since="2026-06-15")
    assert street.restricted() == ["throttle"]
    people.promise(account=street.account, pay_by=date(2026, 7, 31), actor="contact:boss", at=at("2026-07-21", 11))
    street.run(at("2026-07-21", 12))
    assert street.restricted() == ["throttle"]  # a promise undoes nothing, and keeps further steps back
    street.until("2026-07-29", since="2026-07-22")
    assert street.held()["back_up"] == "promise_live"
    limits = people.bounds(account=street.account, at=at("2026-07-29", 11), debts=street.debts()[:1])
    plan = people.propose_plan(
        account=street.account, instalments=people.suggest_plan(bounds=limits, parts=3), actor="contact:boss",
        at=at("2026-07-23", 11), debts=street.debts()[:1],
    )  # fmt: skip
    assert plan.state == "agreed"  # 121.00 is below what the policy asks an operator about
    street.run(at("2026-07-29", 11.1))
    assert street.restricted() == []
    assert "07-20 throttle; lifted 07-29 planned" in street.story()
    assert street.audit() == []


def test_4_refuses_the_overage_invoice(street: Any) -> None:
    """Unpaid overage alone is claimed, and never restricts the base service that was paid."""
    street.billed()
    street.pays("121.00", at("2026-06-10"), "B2026-0001")
    street.world.use("vps-1", {"2026-06-20": 3100})
    street.world.close("2026-06")
    from coulance.flows.sending import queueing

    numbers = [row.number for row in street.documents() if row.number in ("B2026-0002", "V2026-0001")]
    queueing.approve(numbers=numbers, actor=ANNA, at=at("2026-07-04", 10))
    street.mail(at("2026-07-04", 10))
    street.pays("121.00", at("2026-07-05"), "B2026-0002")
    street.until("2026-09-20", since="2026-07-06")
    assert "costs" in street.steps()
    assert street.restricted() == []
    assert not {"throttle", "suspend", "block_orders"} & set(street.steps())
    assert street.held()["block_orders"] == "overage_alone"
    assert street.audit() == []


def test_5_disputes_one_line(street: Any) -> None:
    """What is contested rests and what isn't stays due; the answer makes the rest due again, with its own notice."""
    number = street.billed()
    street.until("2026-07-21", since="2026-06-15")
    assert street.restricted() == ["throttle"]
    document = next(row.id for row in street.documents() if row.number == number)
    boss = acting.customer(account=street.account, contact="boss")
    case = opening.open_dispute(
        document=document, contests=[Contest(1)], grounds=Grounds.NOT_USABLE, reason="it was down all June",
        actor=boss, at=at("2026-07-21", 11),
    ).case  # fmt: skip
    street.run(at("2026-07-21", 11.01))
    assert street.restricted() == []  # seconds later: nothing undisputed is left
    assert "07-20 throttle; lifted 07-21 disputed" in street.story()
    deciding.decide_case(
        case=case, choice=Choice(Outcome.REJECTED), reason="our probes saw it up", actor=acting.operator(ANNA),
        at=at("2026-07-24", 11),
    )  # fmt: skip
    street.until("2026-08-04", since="2026-07-25")
    assert [one for one in street.story() if "resume" in one] == ["07-25 resume"]
    assert street.restricted() == ["throttle"]  # again, after "steps go on" and its days
    assert street.audit() == []


def test_6_chargeback(street: Any) -> None:
    """Paid and lifted; the bank takes it back; the case goes on where it stood, after the notice that it does."""
    street.billed()
    street.until("2026-07-21", since="2026-06-15")
    receipt = street.pays("121.00", at("2026-07-21", 11), "B2026-0001")
    street.run(at("2026-07-21", 11.01))
    assert street.restricted() == []
    street.returned(receipt, at("2026-07-23", 9))
    street.until("2026-07-24", since="2026-07-23")
    assert street.story()[-1].endswith("resume")
    assert street.restricted() == []
    street.until("2026-08-03", since="2026-07-25")
    assert street.restricted() == ["throttle"]
    assert street.audit() == []


def test_7_bankrupt(street: Any) -> None:
    """Insolvency: every step rests, nothing is added, and what stood stays as it was until the curator speaks."""
    street.billed()
    street.until("2026-07-12", since="2026-06-15")
    before = street.steps()
    people.stay(
        account=street.account, kind=StayKind.INSOLVENCY, why="declared bankrupt, F.10/26/123", actor=ANNA,
        at=at("2026-07-13"),
    )  # fmt: skip
    street.until("2026-09-01", since="2026-07-13")
    assert street.steps() == before
    assert set(street.held().values()) == {"stayed"}
    assert street.audit() == []


def test_8_plan_broken_in_month_3(street: Any) -> None:
    """Two instalments come, the third doesn't: after its grace the notice that steps go on, and the same step."""
    street.billed()
    street.until("2026-07-21", since="2026-06-15")
    street.pays("41.00", at("2026-07-21", 10), "B2026-0001")  # before the plan, which is for the rest
    limits = people.bounds(account=street.account, at=at("2026-07-21", 11), debts=street.debts()[:1])
    plan = people.propose_plan(
        account=street.account, instalments=people.suggest_plan(bounds=limits, parts=4), actor="contact:boss",
        at=at("2026-07-21", 11), debts=street.debts()[:1],
    )  # fmt: skip
    days = [one.due_on for one in plan.instalments]
    street.until(days[0].isoformat(), since="2026-07-22")
    assert "instalment" in street.steps()
    for day in days[:2]:
        street.pays("20.00", at(day.isoformat(), 12), "B2026-0001")
    street.until("2026-10-15", since=days[0].isoformat())
    broke = [one for one in street.story() if "resume" in one]
    assert len(broke) == 1
    assert broke[0] > f"{days[2]:%m-%d}"
    assert street.restricted() == ["throttle"] or "suspend" in street.steps()
    assert street.audit() == []


def test_9_paid_on_friday_at_five_to_six(street: Any) -> None:
    """Suspension would come on Monday; money booked on Friday at 17:55 lifts the throttle within the minute."""
    street.billed()
    (bill,) = street.debts()
    street.until("2026-07-24", since="2026-06-15")
    assert street.restricted() == ["throttle"]
    street.pays("121.00", at("2026-07-24", 17 + 55 / 60), "B2026-0001")
    from procrastinate.contrib.django.models import ProcrastinateJob

    job = ProcrastinateJob.objects.filter(task_name="coulance.flows.tasks.arrears.look").latest("id")
    assert job.args == {"accounts": [street.account]}
    run_arrears(at=at("2026-07-24", 17.95), accounts=job.args["accounts"])
    assert street.restricted() == []
    assert "The restriction of vps-1 is lifted" in street.subjects()
    street.until("2026-07-28", since="2026-07-27")
    assert "suspend" not in street.steps()
    assert street.audit() == []
    # In August it turns out that the bill was wrong by our fault: what was over by then is our outage too.
    error: Any = {"account": street.account, "kind": StayKind.OWN_ERROR, "why": "billed twice", "actor": ANNA}
    people.stay(**error, at=at("2026-08-04"), debts=["document/9999"])
    vps = services.service("vps-1").id
    assert sla.entries(services=[vps]) == []  # another debt's error is none of this one's
    people.stay(**error, at=at("2026-08-05"), debts=[bill])
    (row,) = [row for row in records.acts(account=street.account) if row.restriction is not None]
    (found,) = sla.entries(services=[vps], says="outage")
    assert (found.since, found.until, found.kind) == (row.at, row.undone_at, "wrongful")


def test_10_wrong_service_named_to_a_driver(street: Any) -> None:
    """The driver reads back who is there: another's machine is refused, and nothing of theirs changes."""
    from coulance.enforcement import executing, operations
    from coulance.enforcement import queries as register
    from coulance.services import queries as services

    street.billed()
    vps = services.service("vps-1").id
    operations.set_target(
        service=vps, driver="fake", identity="uuid-of-acme", parameters={}, actor=ANNA, at=at("2026-07-01")
    )
    street.until("2026-07-21", since="2026-06-15")
    touched: list[Any] = []

    class Mistaken:
        """A driver that finds somebody else at the target."""

        def nearest(self, desired: Any) -> Any:
            return desired

        def read(self, target: TargetRow) -> Any:
            raise WrongTargetError(f"{target.identity} was expected, and uuid-of-another answered")

        def write(self, target: TargetRow, desired: Any, *, key: str) -> str:
            touched.append((target, desired, key))
            return ""

    executing.round_of({"fake": Mistaken()}, worker="t", now=lambda: at("2026-07-21", 10))
    (act, *_) = register.acts(vps)
    assert act.outcome == "refused"
    assert "uuid-of-another" in act.fault
    assert touched == []


def test_11_our_own_error(street: Any) -> None:
    """The bill was wrong by our fault: everything is lifted at once as wrongful, and counts as our outage."""
    street.billed()
    street.until("2026-07-28", since="2026-06-15")
    assert street.restricted() == ["pause", "throttle"]
    people.stay(
        account=street.account, kind=StayKind.OWN_ERROR, why="it was paid to our old account", actor=ANNA,
        at=at("2026-07-28", 14),
    )  # fmt: skip
    street.run(at("2026-07-28", 14.01))
    assert street.restricted() == []
    wrong = [row for row in records.acts(account=street.account) if row.wrongful_since is not None]
    assert {row.step for row in wrong} >= {"throttle", "suspend"}
    vps = services.service("vps-1").id
    assert len(records.wrongful([vps])[vps]) == 2
    assert any(alarm.key.startswith("arrears-wrongful") for alarm in open_alarms())
    assert street.audit() == []


def test_12_holiday_eve(street: Any) -> None:
    """What would fall on a Friday, a weekend or a holiday's eve waits for the next day on which somebody is there."""
    number = street.billed("2026-10")  # issued on the 4th of November, due on the 18th
    assert number
    street.until("2026-12-31", since="2026-11-15")
    closed = {"12-24", "12-25", "12-26", "12-31"}
    for row in records.acts(account=street.account):
        if row.restriction is not None:
            assert f"{row.at:%m-%d}" not in closed
            assert row.at.weekday() < 4
    assert street.restricted() == ["pause", "throttle"]
    assert street.audit() == []


def test_the_page_says_what_is_owed_what_comes_and_every_way_out(street: Any) -> None:
    street.billed()
    street.until("2026-07-02", since="2026-06-15")
    page = standing(account=street.account, at=at("2026-07-02", 12))
    assert page is not None
    assert [line.number for line in page.outlook.owed] == ["B2026-0001"]
    assert page.outlook.to_restore == (eur("121.00"),)
    comes = [(f"{one.on:%m-%d}", one.step) for one in page.coming if not one.waits_for]
    assert comes[:3] == [("07-09", "block_orders"), ("07-12", "call"), ("07-12", "suspension_notice")]
    assert {way.way.value for way in page.ways if way.is_open} == {
        "pay", "pay_part", "plan", "promise", "dispute", "smaller_plan", "talk",
    }  # fmt: skip


def test_two_different_people_and_a_proven_notice_before_the_end(street: Any) -> None:
    """Termination waits for a notice that reached somebody and for two people; one person twice is one."""
    street.billed()
    street.until("2026-07-27", since="2026-06-15")
    assert [one for one in street.story() if one[6:] in {s[6:] for s in TO_SUSPENSION}] == TO_SUSPENSION
    street.until("2026-08-12", since="2026-07-28")
    notice = next(row for row in records.acts(account=street.account) if row.step == "termination_notice")
    from coulance.notices import operations as notices
    from coulance.notices import queries as sent
    from coulance.services import queries as services
    from coulance_core.notices import EvidenceKind

    (number, *_) = sent.deliveries_of(key=notice.messages[0])
    notices.record_human_act(
        delivery=number, kind=EvidenceKind.ACKNOWLEDGED, by="contact:boss", at=at("2026-08-12", 12), source="t"
    )
    street.until("2026-08-31", since="2026-08-13")
    assert street.held()["terminate"] in ("needs_approval", "no_verified_backup")
    street.approved("terminate", at("2026-08-31", 10), ANNA)
    with pytest.raises(people.UnableToActError, match="another person"):
        street.approved("terminate", at("2026-08-31", 10), ANNA)
    street.until("2026-09-03", since="2026-09-01")
    assert "terminate" not in street.steps()
    street.approved("terminate", at("2026-09-03", 11), BEN)
    street.until("2026-09-10", since="2026-09-04")
    assert "terminate" in street.steps()
    (ended,) = [row for row in records.acts(account=street.account) if row.step == "terminate"]
    assert services.service("vps-1").ended_on == ended.at.date()
    assert street.owed() != "0.00"
    assert street.audit() == []
