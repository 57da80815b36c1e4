"""What a customer's word holds back, and how often: two promises of fourteen days, a plan and its one restart; day by
day through the real program. Instalments are due on days on which banks work.
"""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from coulance.arrears.errors import UnableToPlanError, UnableToPromiseError
from coulance.flows.arrears import links, people
from coulance.flows.arrears.links import Owing
from coulance.platform import clock
from coulance_core.arrears import Instalment, NotPlanned
from coulance_core.payments.direct_debit import is_target_day
from tests.arrears.street import at, eur


def _code(error: UnableToPromiseError | UnableToPlanError) -> str:
    return str(error) if error.refusal is None else error.refusal.code.name


def test_two_promises_one_plan_and_its_restart_then_no_more(street: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = street.billed()
    street.until("2026-06-24", since="2026-06-15")
    debts = street.debts()[:1]

    def promises(on: str, by: str) -> str:
        try:
            people.promise(account=street.account, pay_by=date.fromisoformat(by), actor="contact:boss",
                           at=at(on, 12), debts=debts)  # fmt: skip
        except UnableToPromiseError as error:
            return _code(error)
        return "taken"

    assert promises("2026-06-24", "2026-07-09") == NotPlanned.TOO_LONG.name
    assert promises("2026-06-24", "2026-07-08") == "taken"
    street.until("2026-07-08", since="2026-06-25")
    assert "demand" not in street.steps()  # of 1 July: it rests
    assert promises("2026-07-08", "2026-07-22") == "taken"
    street.until("2026-07-22", since="2026-07-09")
    assert "demand" not in street.steps()
    assert promises("2026-07-23", "2026-07-30") == NotPlanned.VETOES_USED.name
    street.until("2026-08-20", since="2026-07-23")
    assert "demand" in street.steps()  # broken twice, it goes on where it was

    def plans(on: str, *parts: tuple[str, str]) -> str:
        try:
            made = people.propose_plan(
                account=street.account, instalments=[Instalment(date.fromisoformat(d), eur(a)) for d, a in parts],
                actor="contact:boss", at=at(on, 12), debts=debts,
            )  # fmt: skip
        except UnableToPlanError as error:
            return _code(error)
        return made.state

    assert street.restricted() == ["pause", "throttle"]
    before = street.steps()
    first = (("2026-08-22", "60.50"), ("2026-09-22", "60.50"))  # the first is a Saturday
    assert plans("2026-08-20", *first) == "agreed"  # within bounds: at once
    street.run(at("2026-08-20", 12.1))
    assert street.restricted() == []
    street.until("2026-08-24", since="2026-08-21")
    street.pays("60.50", at("2026-08-24", 14), number)  # banks were closed until Monday: it is kept
    street.until("2026-09-21", since="2026-08-25")
    assert [step for step in street.steps()[len(before) :] if step == "resume"] == []
    told = [one.replace("\u00a0", " ") for one in street.subjects() if one.startswith("Your payment")]
    assert told == [  # each instalment is reminded of: before its day, and once it is missing
        "Your payment of €60.50 is due on 22 August 2026",
        "Your payment of €60.50 was due on 22 August 2026",
        "Your payment of €60.50 is due on 22 September 2026",
    ]
    street.until("2026-09-26", since="2026-09-22")
    assert street.steps().count("resume") == before.count("resume") + 1  # the second didn't come
    monkeypatch.setattr(clock, "now", lambda: at("2026-09-28", 12))
    page = Client().get(f"/owed/{links.make(Owing(street.account, 'boss'), at=clock.now())}").content.decode()
    assert "A payment of your plan was missed" in page
    assert "You can agree to one more plan" in page
    assert plans("2026-09-28", ("2026-10-05", "60.50")) == "agreed"  # the one restart
    street.until("2026-10-12", since="2026-09-29")
    assert street.steps().count("resume") == before.count("resume") + 2
    assert plans("2026-10-13", ("2026-10-20", "60.50")) == NotPlanned.VETOES_USED.name
    assert promises("2026-10-13", "2026-10-20") == NotPlanned.VETOES_USED.name
    assert street.audit() == []


DAYS = (date(2026, 3, 27), date(2026, 12, 18), date(2026, 5, 22), date(2027, 1, 2))
"""Before Easter, Christmas and Whitsun; a Saturday."""


def test_suggested_instalments_are_due_when_banks_work_and_within_bounds(street: Any) -> None:
    street.billed()
    found = people.bounds(account=street.account, at=at("2026-07-21"), debts=street.debts()[:1])
    for day in DAYS:
        limits = replace(found, today=day)
        assert limits.owed is not None
        for parts in range(1, limits.terms.instalments + 1):
            made = people.suggest_plan(bounds=limits, parts=parts)
            assert all(is_target_day(one.due_on) for one in made), made
            assert made[0].due_on <= day + timedelta(days=limits.terms.first_days)
            assert made[-1].due_on <= day + timedelta(days=limits.terms.days)
            assert sorted({one.due_on for one in made}) == [one.due_on for one in made]
            assert sum(one.amount.minor for one in made) == limits.owed.minor
