"""Use goes on, and what follows at once: who is told, what stops, what ends it. Plan: 100 GB, then 0.10 a GB."""

from datetime import date

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from coulance.flows.customers import change_plan
from coulance.flows.overage_control import acting, paying, rounds
from coulance.flows.overage_control.evaluating import Evaluated
from coulance.flows.payments import book_payment
from coulance.overage import queries as records
from coulance.payments.booking import NewReceipt
from coulance.platform import alarms
from coulance_core.kernel import Money
from coulance_core.payments.terms import Method
from tests.overage.world import consent
from tests.overage_control.town import Town, sent_accounts


def test_nobody_agreed_to_anything(town: Town) -> None:
    town.customer().service("web", "vps", meter="traffic")
    assert town.uses("web", "2026-10-02T12:00", 40).warned == 0
    assert town.uses("web", "2026-10-04T12:00", 45).messages == 1
    assert town.told("web") == ["50 %", "80 %"]  # one sample jumped over both: told in one mail
    assert town.restricted("web") == []
    done = town.uses("web", "2026-10-06T12:00", 30)
    assert (done.warned, done.placed, done.messages) == (1, 1, 1)
    assert town.restricted("web") == ["overage"]
    assert [one.subject for one in town.mails()] == [
        "WEB has used 85 % of its 100 GB",
        "WEB is paused: 115 GB of 100 GB used",
    ]
    # What still runs through while the pause takes effect is told of no more.
    assert town.uses("web", "2026-10-06T12:05", 3).messages == 0
    # The period turns: use may go on.
    assert town.look("2026-11-01T00:01").lifted == 1
    assert town.restricted("web") == []


def test_the_warning_bounced_and_a_person_was_reached_on_day_five(town: Town) -> None:
    town.customer(contacts=2).service("web", "vps", meter="traffic").verify("boss@acme.example", "2026-10-01T09:00")
    town.allows("web", "2026-10-01T10:00", amount="50")
    town.uses("web", "2026-10-02T12:00", 110)
    assert town.restricted("web") == []  # there is a consent: what runs past it unwarned is ours, and is absorbed
    judged = town.judged("web", "2026-10-02T13:00")
    assert not judged.standing.warned
    assert judged.standing.billable == 0
    town.uses("web", "2026-10-05T12:00", 20)
    acting.acknowledge(by=town.boss(), judged=judged, at=town.at("2026-10-05T15:00"))
    town.use("web", {"2026-10-05T15:30": 0})  # a sample that spans the instant is not charged
    town.uses("web", "2026-10-06T12:00", 10)
    assert town.judged("web", "2026-10-06T17:00").standing.billable == 10


def test_a_limit_raised_in_mid_period_and_withdrawn_later(town: Town) -> None:
    town.customer().service("web", "vps", meter="traffic").verify("boss@acme.example", "2026-10-01T09:00")
    town.uses("web", "2026-10-02T12:00", 100)
    assert town.restricted("web") == ["overage"]
    town.allows("web", "2026-10-02T14:00", amount="5.00")
    assert town.restricted("web") == []  # resumed at once
    town.use("web", {"2026-10-02T14:30": 0})
    town.uses("web", "2026-10-03T13:00", 60)
    assert town.restricted("web") == ["overage"]
    assert town.told("web") == ["50 %", "80 %", "100 %", "80 % of limit"]
    town.allows("web", "2026-10-03T16:00", quantity="200")
    assert town.restricted("web") == []
    town.use("web", {"2026-10-03T16:30": 0})
    town.uses("web", "2026-10-04T12:00", 30)
    assert town.judged("web", "2026-10-04T18:00").standing.billable == 80
    judged = town.judged("web", "2026-10-04T18:00")
    consent = records.consent_in_force(meter=judged.ref, at=town.at("2026-10-04T18:00"), period_name="2026-10")
    assert consent is not None
    acting.withdraw(by=town.boss(), judged=judged, consent=consent.id, at=town.at("2026-10-04T19:00"))
    assert town.restricted("web") == ["overage"]
    assert town.judged("web", "2026-10-05T17:00").standing.billable == 80


def test_who_always_uses_much_and_says_so_is_never_interrupted(town: Town) -> None:
    town.customer().service("web", "vps", meter="traffic").verify("boss@acme.example", "2026-10-01T09:00")
    town.allows("web", "2026-10-01T10:00", amount="200")
    for day in range(2, 31):
        town.uses("web", f"2026-10-{day:02d}T12:00", 50)
        assert town.restricted("web") == []
    assert town.judged("web", "2026-10-31T12:00").counted.used == 1450


def test_observing_records_and_tells_nobody(town: Town) -> None:
    town.controlled("observe").customer().service("web", "vps", meter="traffic")
    done = town.uses("web", "2026-10-02T12:00", 130)
    assert (done.warned, done.placed, done.messages) == (3, 1, 0)
    assert town.restricted("web") == ["overage observed"]
    assert town.mails() == []


def test_by_contract_nothing_is_looked_at(town: Town) -> None:
    town.controlled("contract").customer().service("web", "vps", meter="traffic")
    assert town.uses("web", "2026-10-02T12:00", 130) == Evaluated()
    assert town.told("web") == []


def test_many_crossings_in_a_day_are_told_each_once_and_replays_tell_nothing(town: Town) -> None:
    town.customer().service("web", "vps", meter="traffic")
    for hour, gb in enumerate([30, 15, 10, 20, 10, 20, 1, 1]):
        town.uses("web", f"2026-10-02T{10 + hour}:00", gb)
    assert town.told("web") == ["50 %", "80 %", "100 %"]
    assert len(town.mails()) == 3
    for hour in (19, 20):
        assert rounds.sweep(at=town.at(f"2026-10-02T{hour}:00")).warned == 0
    assert len(town.mails()) == 3


def test_use_corrected_downwards_lets_go_on_and_is_not_told_twice(town: Town) -> None:
    town.customer().service("web", "vps", meter="traffic")
    town.uses("web", "2026-10-02T12:00", 101)
    assert town.restricted("web") == ["overage"]
    town.use("web", {"2026-10-02T12:00": 60})
    # Nothing was passed upwards, so it is the hourly look that finds it.
    assert rounds.sweep(at=town.at("2026-10-02T13:00")).lifted == 1
    town.uses("web", "2026-10-03T12:00", 41)
    assert town.restricted("web") == ["overage"]
    assert town.told("web") == ["50 %", "80 %", "100 %"]


def test_nobody_who_could_be_told(town: Town) -> None:
    town.account().service("web", "vps", meter="traffic")
    done = town.uses("web", "2026-10-02T12:00", 81)
    assert (done.warned, done.messages, done.unreached) == (2, 0, 1)
    (alarm,) = alarms.open_alarms()
    assert alarm.key == "overage-unreached:web/out"


def test_what_nobody_answers_is_told_to_others_and_then_to_an_operator(town: Town) -> None:
    town.customer(contacts=2).service("web", "vps", meter="traffic")
    town.uses("web", "2026-10-02T12:00", 120)
    first = {mail.address for mail in town.mails()}
    assert first == {"boss@acme.example", "desk@acme.example"}
    assert rounds.sweep(at=town.at("2026-10-03T11:00")).messages == 0  # not yet a day
    assert rounds.sweep(at=town.at("2026-10-03T13:00")).messages == 2
    assert alarms.open_alarms() == []
    assert rounds.sweep(at=town.at("2026-10-04T14:00")).messages == 2
    assert [alarm.key for alarm in alarms.open_alarms()] == ["overage-unanswered:web/out"]
    acting.acknowledge(by=town.boss(), judged=town.judged("web", "2026-10-04T15:00"), at=town.at("2026-10-04T15:00"))
    assert alarms.open_alarms() == []
    assert rounds.sweep(at=town.at("2026-10-05T16:00")).messages == 0


def test_a_larger_plan_lets_go_on_at_once(town: Town) -> None:
    town.controlled().customer().service("web", "vps", "2026-09-01", meter="traffic")
    assert town.uses("web", "2026-10-05T12:00", 101).placed == 1
    change_plan(
        service="web", plan="vps-xl", quantity=None, from_date=date(2026, 10, 6), actor="operator:eva",
        at=town.at("2026-10-06T09:00"), reason="upgraded",
    )  # fmt: skip
    (job,) = ProcrastinateJob.objects.filter(task_name="coulance.flows.tasks.overage_control.look")
    assert rounds.look_at(accounts=job.args["accounts"], at=town.at("2026-10-06T09:00")).lifted == 1
    assert town.restricted("web") == []


def test_what_ran_up_unanswered_stops_until_somebody_answers_or_said_so_beforehand(town: Town) -> None:
    town.controlled(more='exposure = "5.00 EUR"').customer().verify("boss@acme.example", "2026-10-01T09:00")
    for name in ("web", "free"):
        town.service(name, "vps", "2026-09-01", meter="traffic")
        judged = town.judged(name, "2026-10-02T10:00")
        offered = acting.offer(judged=judged, amount="50", language="en", ahead=name == "free")
        assert ("nothing stops for my answer" in offered.text) is (name == "free")
        acting.give(by=town.boss(), judged=judged, offered=offered, at=town.at("2026-10-02T10:00"))
    assert town.uses("web", "2026-10-05T12:00", 149).placed == 0
    assert town.uses("web", "2026-10-05T13:00", 1).placed == 1
    assert town.uses("free", "2026-10-05T13:00", 590).placed == 0
    assert town.uses("free", "2026-10-05T14:00", 10).placed == 1  # the limit holds
    acting.acknowledge(by=town.boss(), judged=town.judged("web", "2026-10-06T09:00"), at=town.at("2026-10-06T09:00"))
    assert (town.restricted("web"), town.restricted("free")) == ([], ["overage"])


@pytest.mark.parametrize("action", ["absorb", "warn"])
def test_a_provider_may_absorb_or_only_warn(town: Town, action: str) -> None:
    """Nothing is paused; and nothing is charged that nobody agreed to, all the same."""
    town.controlled(more=f'action = "{action}"').customer().service("web", "vps", meter="traffic")
    done = town.uses("web", "2026-10-05T12:00", 300)
    assert (done.placed, done.warned, town.restricted("web")) == (0, 3, [])
    town.close("2026-10")
    assert town.papers(kinds="V") == ""


def test_a_budget_that_is_nearly_spent_and_spent_is_told_of_once_each(town: Town) -> None:
    town.controlled(more='budget = "10.00 EUR"').customer().service("web", "vps", "2026-09-01", meter="traffic")

    def told() -> list[str]:
        return [mail.subject for mail in town.mails() if mail.key.startswith("overage-budget/")]

    town.use("web", {"2026-10-10": 185}).close("2026-10")  # 8.50 absorbed
    for when in ("2026-11-05T10:00", "2026-11-06T10:00"):
        rounds.sweep(at=town.at(when))
        assert told() == ["Soon pauses will come a little earlier"]
    town.use("web", {"2026-11-10": 120}).close("2026-11")
    for when in ("2026-12-05T10:00", "2026-12-06T10:00"):
        rounds.sweep(at=town.at(when))
        assert told() == ["Soon pauses will come a little earlier", "From now on pauses come a little earlier"]


@pytest.mark.parametrize(("agreed", "lifted"), [(True, 1), (False, 0)])
def test_paying_what_ran_up_ends_a_pause_that_waits_for_an_answer_where_that_is_agreed(
    town: Town, agreed: bool, lifted: int
) -> None:
    """Exposure 5.00, tax not counted for a business: 51 GB past the allowance ran up 5.10."""
    more = 'exposure = "5.00 EUR"' + ("\npaying_resumes = true" if agreed else "")
    town.controlled(more=more).customer().verify("boss@acme.example", "2026-10-01T09:00")
    town.service("web", "vps", "2026-09-01", meter="traffic")
    consent("2026-10-02T10:00", amount="50.00", service="web", by="boss")
    assert town.uses("web", "2026-10-05T12:00", 151).placed == 1
    account, at = sent_accounts("acme")[0], town.at("2026-10-06T09:00")

    def pays(amount: str, key: str) -> None:
        book_payment(
            receipt=NewReceipt(
                account=account, amount=Money.of(amount, "EUR"), received_on=at.date(), method=Method.BANK,
                source_key=key, reason="paid in",
            ),
            actor="t", at=at,
        )  # fmt: skip

    pays("5.09", "one")
    pays("5.10", "two")
    jobs = ProcrastinateJob.objects.filter(task_name="coulance.flows.tasks.overage_control.paid").order_by("id")
    assert len(jobs) == (2 if agreed else 0)
    done = [
        paying.paid(
            account=account, amount=Money(job.args["minor"], job.args["currency"]), source=job.args["source"], at=at
        )
        for job in jobs
    ]
    assert done == ([0, 1] if agreed else [])
    assert town.restricted("web") == ([] if lifted else ["overage"])
    # It raises no limit, and is no proof that a warning was read: nothing is charged by it.
    assert town.judged("web", "2026-10-06T10:00").standing.billable == 0


def test_a_customers_own_pause_is_theirs_to_end_and_no_other(town: Town) -> None:
    town.customer().service("web", "vps", meter="traffic")
    town.uses("web", "2026-10-02T12:00", 120)
    when = town.at("2026-10-02T13:00")
    judged = town.judged("web", "2026-10-02T13:00")
    acting.pause(by=town.boss(), judged=judged, at=when)
    assert town.restricted("web") == ["customer", "overage"]
    assert acting.resume(by=town.boss(), judged=judged, at=when) == 1
    assert town.restricted("web") == ["overage"]
    assert acting.resume(by=town.boss(), judged=judged, at=when) == 0
