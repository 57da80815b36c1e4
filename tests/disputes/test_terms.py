"""The provider's own terms of disputes, through the real file: pinned to a case, heard by all, and who decides."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from coulance.catalog.reader import read_provider_file
from coulance.disputes import queries as cases
from coulance.disputes.errors import UnableToStepError
from coulance.flows.arrears.facts import read
from coulance.flows.disputing import acting, working
from coulance.flows.disputing.deciding import Choice, decide_case
from coulance.notices import queries as sent
from coulance.platform import clock
from coulance.platform.models import Operator
from coulance_core.disputes import Outcome
from tests.console.conftest import signed_in as browser_of
from tests.disputes.court import ANNA, Court, later, part
from tests.disputes.test_portal import signed_in

KINDER = """
[disputes]
decide_days = 7
again_days = 2
answer_days = 30
open_days = 90
grounds = ["not_warned", "other"]
[disputes.mediation]
name = "Geschillencommissie"
url = "https://www.example.org/klacht"
about = "It costs 25 euros."
[[disputes.decider]]
role = "support"
upto = ["61.00 EUR"]
[[disputes.decider]]
role = "admin"
"""


def test_what_is_wrong_is_told_with_file_and_line(court: Court) -> None:
    path = Path(court.world.folder) / "provider.toml"
    path.write_text(path.read_text() + "\n[disputes]\ndecide_days = 90\n[[disputes.decider]]\nrole = 'boss'\n")
    lines = path.read_text().splitlines()
    told = [str(one) for one in read_provider_file(path).faults]
    assert len(told) == 2, told
    for fault, line, says in zip(told, ("decide_days = 90", "role = 'boss'"), ("1 to 60", "no role"), strict=True):
        assert f"provider.toml:{lines.index(line) + 1}" in fault, told
        assert says in fault, told


def test_a_case_keeps_the_terms_it_was_opened_by(court: Court) -> None:
    court.terms(KINDER)
    case = court.opens(part("50.00"))
    court.terms("")
    kept = cases.case(case, at=later(1)).policy
    assert (kept.decide_within.days, kept.answer_within.days, kept.version[:9]) == (7, 30, "disputes@")
    assert working.watch(at=later(8)) == 1  # a week, not two
    working.ask(case=case, text="Which host?", actor=ANNA, at=later(8))
    working.see(case=case, actor=court.boss, at=later(9))
    assert working.lapse(at=later(38)) == []
    assert working.lapse(at=later(39)) == [case]
    assert "no answer within 30 days" in cases.case(case, at=later(40)).steps[-1].text
    other = court.opens(part("10.00"), at=later(40), reason="more", new_fact="a log")
    assert cases.case(other, at=later(41)).policy.decide_within.days == 14


def test_arrears_waits_for_an_answer_as_long_as_the_case_does(court: Court) -> None:
    court.terms(KINDER + '\n[arrears]\nmode = "enforce"\n')
    case = court.opens(part("50.00"))
    working.ask(case=case, text="Which host?", actor=ANNA, at=later(1))
    working.see(case=case, actor=court.boss, at=later(2))
    from coulance_core.arrears import outlook

    for days, net in ((25, "181.50"), (33, "242.00")):
        one = read([court.account], at=later(days))[court.account]
        owed = {row.number: row.net.decimal() for row in outlook(one.policy, one.facts, later(days), law=one.law).owed}
        assert owed[court.number] == net, days


def test_the_customer_chooses_of_what_is_offered_and_hears_who_mediates(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: later(0.1))
    court.terms(KINDER)
    client, form = signed_in(court.account), f"/my/documents/{court.document}/contest"
    page = client.get(form).content.decode()
    assert ('value="not_warned"' in page, 'value="quantity"' in page) == (True, False)
    refused = client.post(form, {"line-1": "1", "grounds": "quantity", "reason": "not ours"})
    assert (refused.status_code, cases.holds()) == (422, ())
    client.post(form, {"line-1": "1", "amount-1": "50", "grounds": "other", "reason": "not ours"})
    (case,) = cases.cases(accounts=[court.account], at=later(1))
    page = client.get(f"/my/cases/{case.id}").content.decode()
    assert 'href="https://www.example.org/klacht"' in page
    assert 'href="/my/paying">Pay the rest' in page
    page = client.post(f"/my/cases/{case.id}", {"act": "mediator"}).content.decode()
    assert "We ask you to let Geschillencommissie look at this." in page
    court.decides(case.id, "rejected", at=later(2))
    (told,) = [
        row for row in sent.messages(account=court.account, about=f"dispute/{case.id}")
        if row.contact_ref == "boss" and "decided" in row.subject
    ]  # fmt: skip
    text = sent.text_of(message=told.message)
    assert text is not None
    said = (
        "If you don't agree, you can turn to Geschillencommissie (https://www.example.org/klacht). It costs 25 euros."
    )
    assert said in " ".join(text.text.split())


def test_who_may_decide_what_amounts(court: Court, monkeypatch: pytest.MonkeyPatch, db: Any) -> None:
    monkeypatch.setattr(clock, "now", lambda: later(0.2))
    small = court.opens(part("50.00"))  # 60.50 with tax
    browsers: dict[str, Client] = {}
    for role in ("support", "billing"):
        person = Operator.objects.create_user(
            role, f"{role}@example.nl", "correct horse battery", is_staff=True, role=role
        )
        browsers[role] = browser_of(person)

    def can(role: str) -> tuple[int, bool]:
        page = browsers[role].get(f"/disputes/{small}").content.decode()
        return browsers[role].get(f"/disputes/{small}/decide").status_code, f"/disputes/{small}/decide" in page

    assert (can("support"), can("billing")) == ((403, False), (200, True))  # as long as the file names nobody
    court.terms(KINDER)
    assert (can("support"), can("billing")) == ((200, True), (403, False))
    for role, says in (("billing", "billing decides no contested bills"), ("program", "program decides no")):
        with pytest.raises(UnableToStepError, match=says):
            decide_case(
                case=small, choice=Choice(Outcome.UPHELD), reason="so", at=later(1),
                actor=acting.operator(f"operator:{role}", role=role),
            )  # fmt: skip
    answer = browsers["support"].post(
        f"/disputes/{small}/decide", {"token": "v" * 20, "outcome": "rejected", "reason": "it was ours", "step": "do"}
    )
    assert (answer.status_code, court.state(small, later(2))) == (302, "decided")
    large = court.opens(at=later(1), reason="all of it", new_fact="a log", actor=ANNA)
    with pytest.raises(UnableToStepError, match=r"up to 61\.00 EUR, and 242\.00 EUR is contested: admin"):
        decide_case(
            case=large, choice=Choice(Outcome.REJECTED), reason="so", at=later(2),
            actor=acting.operator("operator:support", role="support"),
        )  # fmt: skip
    court.decides(large, "rejected", at=later(2) + timedelta(hours=1))
    assert court.audit() == []
