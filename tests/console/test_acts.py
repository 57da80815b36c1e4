"""Acts: each asks why, shows the figures first, happens once however often it is sent, and is written down."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from coulance.console import second_factor
from coulance.invoicing import queries as invoicing
from coulance.platform import alarms, audit, clock, errands, operators
from coulance.platform.roles import Role
from coulance.usage import queries as usage
from tests.closing.conftest import store_here, world  # noqa: F401 - fixtures
from tests.closing.world import World
from tests.console.conftest import signed_in

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def billed(world: World) -> World:  # noqa: F811
    """October is closed: acme has a base invoice over 5.00 and an overage invoice over 4.00, without tax."""
    world.provider().account().service("web", "vps", meter="traffic").use("web", {"2026-10-05": 140})
    world.close("2026-10")
    return world


def body(answer: Any, status: int = 200) -> str:
    faults = re.findall(rb'role="alert">([^<]*)', answer.content)
    assert answer.status_code == status, (answer.status_code, faults, answer.content[-500:])
    return str(answer.content.decode()).replace("\u00a0", " ").replace("&#x27;", "'")


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the page's act."""
    form = next(form for form in re.findall(r"<form.*?</form>", page, re.S) if 'name="token"' in form)
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form))


def overage() -> Any:
    return invoicing.document(number="V2026-0001").row


# Credit notes


def test_a_credit_note_shows_what_comes_back_then_is_given_once(browser: Any, billed: World) -> None:
    address = f"/documents/{overage().id}/credit"
    assert 'href="' + address + '"' in body(browser.get(f"/documents/{overage().id}"))
    first = fields(body(browser.get(address)))
    asked = {**first, "credit_type": "correction", "what": "all", "reason": "The meter was wrong"}
    shown = body(browser.post(address, asked))
    for said in ("€4.84", "€4.00", "€0.84", "“The meter was wrong”", "Give the credit note"):
        assert said in shown, said
    assert invoicing.count_documents(kind="credit_note") == 0
    sure = fields(shown)
    answers = [browser.post(address, sure) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {302}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert invoicing.count_documents(kind="credit_note") == 1
    given = invoicing.document(number="C2026-0001")
    assert given.row.gross.decimal() == "-4.84"
    assert "C2026-0001 is issued: it lowers V2026-0001." in body(browser.get(answers[0].headers["Location"]))
    (event,) = audit.events(act="invoice.credited")
    assert (event.actor, event.reason) == ("operator:anna", "The meter was wrong")


def test_a_credit_note_is_taken_back_after_a_look_and_once(browser: Any, billed: World) -> None:
    sure = {"step": "do", "credit_type": "correction", "what": "all", "reason": "wrong"}
    token = fields(body(browser.get(f"/documents/{overage().id}/credit")))["token"]
    browser.post(f"/documents/{overage().id}/credit", {**sure, "token": token})
    note = invoicing.document(number="C2026-0001").row.id
    address = f"/documents/{note}/debit"
    assert f'href="{address}"' in body(browser.get(f"/documents/{note}"))
    first = fields(body(browser.get(address)))
    assert "Say why" in body(browser.post(address, {**first, "reason": ""}), 422)
    shown = body(browser.post(address, {**first, "reason": "Meant for another"}))
    for said in ("€4.84", "“Meant for another”", "Give the debit note"):
        assert said in shown, said
    answers = [browser.post(address, fields(shown)) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {
        f"/documents/{invoicing.document(number='C2026-0002').row.id}"
    }
    page = body(browser.get(f"/documents/{note}"))
    assert "Taken back by" in page
    assert f'href="{address}"' not in page
    assert "taken back by C2026-0002 already" in body(
        browser.post(address, {**fields(body(browser.get(address))), "reason": "again"}), 422
    )
    assert browser.get(f"/documents/{overage().id}/debit").status_code == 404


def test_lines_are_credited_by_their_amounts_and_never_beyond_what_is_left(browser: Any, billed: World) -> None:
    address = f"/documents/{overage().id}/credit"
    token = fields(body(browser.get(address)))

    def asked(amount: str, **more: str) -> dict[str, str]:
        chosen = {"what": "lines", "credit_type": "price_reduction", "reason": "As agreed", "line-1": "1"}
        return {**token, **chosen, "amount-1": amount, **more}

    shown = body(browser.post(address, asked("1,50")))
    assert "€1.82" in shown  # 1.50 and 21 %
    assert browser.post(address, fields(shown)).status_code == 302
    assert "€2.50" in body(browser.get(address))  # what is left of 4.00
    for amount, said in (("2.51", "left"), ("x", "is no amount in EUR"), ("1.234", "is no amount in EUR")):
        assert said in body(browser.post(address, asked(amount)), 422), amount
    for more, said in (
        ({"reason": " "}, "Say why"),
        ({"reason": "x" * 501}, "500 characters"),
        ({"credit_type": "gift"}, "Choose why"),
        ({"line-1": "1", "what": "lines", "line-9": "1"}, "line 9"),
    ):
        assert said in body(browser.post(address, asked("1.00", **more)), 422), said
    assert invoicing.count_documents(kind="credit_note") == 1


def test_a_form_without_its_token_or_with_other_values_does_nothing(browser: Any, billed: World) -> None:
    address = f"/documents/{overage().id}/credit"
    sure = {"step": "do", "credit_type": "correction", "what": "all", "reason": "once"}
    assert "has no token" in body(browser.post(address, sure), 422)
    token = fields(body(browser.get(address)))["token"]
    sent = {**sure, "token": token}
    assert browser.post(address, {**sent, "what": "lines", "line-1": "1", "amount-1": "1.00"}).status_code == 302
    assert "sent before with other values" in body(browser.post(address, sent), 422)
    assert invoicing.count_documents(kind="credit_note") == 1


def test_a_statement_and_a_credit_note_are_not_credited(browser: Any, billed: World) -> None:
    statement = invoicing.document(number="U-2026-10-acme").row.id
    assert browser.get(f"/documents/{statement}/credit").status_code == 404
    assert f"/documents/{statement}/credit" not in body(browser.get(f"/documents/{statement}"))


def test_who_proved_themselves_too_long_ago_proves_it_again_before_money_moves(
    browser: Any, billed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/documents/{overage().id}/credit"
    assert browser.get(address).status_code == 200
    monkeypatch.setattr(second_factor, "FRESH", timedelta(days=-3650))
    for answer in (browser.get(address), browser.post(address, {"step": "do"})):
        assert answer.status_code == 302
        assert answer.headers["Location"] == f"/sign-in/again?next={quote(address, safe='')}"
    assert browser.get(f"/documents/{overage().id}").status_code == 200


# Periods


def test_a_preview_says_to_the_cent_what_a_close_would_do_and_writes_nothing(
    browser: Any, operator: Any, billed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    billed.use("web", {"2026-11-05": 200})
    monthly = "/periods/2026-11"
    assert "Due now" not in body(browser.get(monthly))
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 12, 5, 9, tzinfo=UTC))
    monkeypatch.setattr(second_factor, "FRESH", timedelta(days=3650))
    browser = signed_in(operator)
    assert "Due now for 1 of 1 accounts" in body(browser.get(monthly))
    asked = browser.post(f"{monthly}/try")
    assert asked.status_code == 302
    place = asked.headers["Location"]
    assert browser.post(f"{monthly}/try").headers["Location"] == place  # under way already: the same is shown
    waiting = body(browser.get(place))
    assert "Waiting for the worker" in waiting
    assert '<noscript><meta http-equiv="refresh"' in waiting
    assert browser.get(f"{place}/state").json() == {"state": "waiting", "done": 0, "total": 0}
    before = invoicing.count_documents()
    work(place)
    done = body(browser.get(place))
    for said in (
        "Nothing is written",
        "€10.00",
        "Who pays something else than last time",
        "Acme",
        "€15.00",
        "€14.00",
        "€1.00",
    ):
        assert said in done, said
    assert invoicing.count_documents() == before
    assert "http-equiv" not in done
    assert "€10.00" in body(browser.get(f"{monthly}/close"))


def test_closing_wants_a_reason_and_happens_once(browser: Any, world: World) -> None:  # noqa: F811
    world.provider().account().service("web", "vps", meter="traffic").use("web", {"2026-10-05": 140})
    address = "/periods/2026-10/close"
    page = body(browser.get(address))
    assert "Nobody has previewed this month" in page
    assert "say why" in body(browser.post(address, fields(page)), 422).lower()
    sure = fields(page) | {"reason": "All samples are in"}
    answers = [browser.post(address, sure) for _ in range(2)]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert invoicing.count_documents() == 0
    place = answers[0].headers["Location"]
    work(place)
    assert "October 2026 is closed" in body(browser.get(place))
    assert invoicing.document(number="V2026-0001").row.net.decimal() == "4.00"
    assert "closed" in body(browser.get("/periods/2026-10"))
    (event,) = audit.events(act="period.close.asked")
    assert (event.actor, event.reason) == ("operator:anna", "All samples are in")


def test_a_close_that_can_not_be_says_why(browser: Any, world: World) -> None:  # noqa: F811
    world.provider().account()
    address = "/periods/2027-03/close"
    sure = fields(body(browser.get(address))) | {"reason": "early"}
    place = browser.post(address, sure).headers["Location"]
    work(place)
    assert "can't be closed on" in body(browser.get(place))


@pytest.mark.parametrize("period", ["2026-13", "2026-1", "x", "1999-01"])
def test_what_is_no_month_is_404(browser: Any, world: World, period: str) -> None:  # noqa: F811
    assert browser.get(f"/periods/{period}").status_code == 404


def test_a_parked_account_shows_and_is_billed_by_closing_again(browser: Any, world: World) -> None:  # noqa: F811
    world.provider().account().service("web", "vps").account("other").service("gone", "nothing", account="other")
    world.close("2026-10")
    page = body(browser.get("/periods/2026-10"))
    assert "Bill those left out" in page
    assert "nothing" in page
    assert "Left out of" in body(browser.get("/accounts/other"))
    assert "Parked accounts" in body(browser.get("/"))


def work(place: str) -> None:
    """What the worker does with the errand that this page shows."""
    from coulance.flows import background_close

    background_close.run(errand=place.rsplit("/", 1)[1], now=clock.now)
    assert errands.errand(place.rsplit("/", 1)[1]).state in errands.DONE


# Quarantine


@pytest.fixture
def stray(world: World) -> str:  # noqa: F811
    """A series with a hostile key that nobody knows, and two samples of it."""
    key = "sw1/ge-0?x=<b>&y"
    world.provider().account().service("web", "vps")
    world.send(key, [(1_793_000_000, 5 * 10**9), (1_793_086_400, 7 * 10**9)])
    return key


def test_a_stray_series_is_given_to_a_service_after_a_look(browser: Any, stray: str) -> None:
    assert "sw1/ge-0?x=&lt;b&gt;&amp;y" in body(browser.get("/quarantine"))
    address = f"/quarantine/series?key={quote(stray, safe='')}"
    first = fields(body(browser.get(address)))
    asked = {**first, "service": "web", "meter": "traffic", "reason": "New port of web"}
    for wrong, said in (
        ({"service": "none"}, "There is no service"),
        ({"reason": ""}, "Say why"),
    ):
        assert said in body(browser.post(address, {**asked, **wrong}), 422)
    shown = body(browser.post(address, asked))
    for said in ("2 samples", "WEB", "Acme", "billed to them"):
        assert said in shown, said
    assert len(usage.quarantined()) == 1
    answers = [browser.post(address, fields(shown)) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {"/services/web"}
    assert usage.quarantined() == []
    assert "2 samples of 1 series count now" in body(browser.get("/services/web"))
    (event,) = audit.events(act="usage.assigned")
    assert (event.actor, event.reason, event.detail["rows"]) == ("operator:anna", "New port of web", 2)


def test_an_unknown_meter_is_refused_in_words(browser: Any, stray: str) -> None:
    address = f"/quarantine/series?key={quote(stray, safe='')}"
    asked = fields(body(browser.get(address))) | {"service": "web", "meter": "none", "reason": "why", "step": "do"}
    assert "none" in body(browser.post(address, asked), 422)
    assert len(usage.quarantined()) == 1


def test_samples_are_given_up_for_a_reason(browser: Any, stray: str) -> None:
    address = f"/quarantine/series?key={quote(stray, safe='')}"
    asked = fields(body(browser.get(address))) | {"what": "discard", "reason": "A test switch"}
    assert browser.post(address, asked).headers["Location"] == "/quarantine"
    assert "will not be billed" in body(browser.get("/quarantine"))
    assert usage.quarantined() == []
    assert browser.get(address).status_code == 404


def test_replaying_without_a_token_says_so(browser: Any, stray: str) -> None:
    assert browser.post("/quarantine/replay").headers["Location"] == "/quarantine"
    assert "has no token" in body(browser.get("/quarantine"))
    token = re.search(r'action="/quarantine/replay".*?name="token" value="([^"]+)"', body(browser.get("/quarantine")))
    assert token
    browser.post("/quarantine/replay", {"token": token.group(1)})
    assert "0 samples of 0 series count now" in body(browser.get("/quarantine"))


# People


def test_an_admin_lets_somebody_in_and_changes_what_they_may_do(browser: Any) -> None:
    page = body(browser.get("/operators"))
    asked = fields(page) | {"name": "bert", "email": "bert@example.nl", "role": "support"}
    assert browser.post("/operators", asked).headers["Location"] == "/operators/bert"
    page = body(browser.get("/operators/bert"))
    change = fields(page) | {"act": "role", "role": "billing"}
    assert "Say why" in body(browser.post("/operators/bert", change), 422)
    assert browser.post("/operators/bert", change | {"reason": "Does the closing"}).status_code == 302
    assert operators.operator("bert").role is Role.BILLING
    shown = body(browser.post("/operators/bert", {"act": "link"}))
    link = re.search(r"<code>http://testserver(/sign-in/[^<]+)</code>", shown)
    assert link
    from django.test import Client

    visitor = Client()
    assert visitor.post(link.group(1)).status_code == 302
    assert visitor.get("/periods").status_code == 200
    assert visitor.get("/operators").status_code == 403
    out = fields(body(browser.get("/operators/bert"))) | {"act": "shut-out", "reason": "Left us"}
    assert browser.post("/operators/bert", out).status_code == 302
    assert visitor.get("/periods").status_code == 302
    assert [event.reason for event in audit.events(act="operator.shut_out")] == ["Left us"]


def test_the_last_admin_can_not_step_down_here_either(browser: Any) -> None:
    asked = fields(body(browser.get("/operators/anna"))) | {"act": "role", "role": "viewer", "reason": "tired"}
    assert "last active admin" in body(browser.post("/operators/anna", asked), 422)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": "anna"}, "already an operator"),
        ({"name": "a b"}, "valid username"),
        ({"role": "king"}, "no such role"),
    ],
)
def test_an_operator_that_can_not_be_is_refused_in_words(browser: Any, typed: dict[str, str], said: str) -> None:
    asked = fields(body(browser.get("/operators"))) | {"name": "cees", "email": "", "role": "viewer"} | typed
    assert said in body(browser.post("/operators", asked), 422)


# Alarms and the audit trail


def test_an_alarm_shows_everywhere_and_is_cleared_for_a_reason(browser: Any) -> None:
    alarms.raise_alarm(key="disk", severity="critical", what="The disk is <full>.", at=NOW)
    for address in ("/", "/documents"):
        assert "The disk is &lt;full&gt;." in body(browser.get(address))
    page = body(browser.get("/alarms"))
    asked = fields(page)
    assert "Say why" in body(browser.post("/alarms/clear", asked), 422)
    assert browser.post("/alarms/clear", asked | {"reason": "Made room"}).status_code == 302
    assert alarms.open_alarms() == []
    assert "Made room" in body(browser.get("/audit?act=alarm.cleared"))


def test_alarms_are_not_told_to_who_lacks_their_second_factor(operator: Any) -> None:
    from coulance.platform import sign_in_policy

    alarms.raise_alarm(key="disk", severity="critical", what="The disk is full.", at=NOW)
    sign_in_policy.decide(second_factor=True, actor="test", reason="a test", at=NOW)
    visitor = signed_in(operator)
    assert "The disk" not in body(visitor.get("/me"))
    assert "The disk" not in body(visitor.get("/me/second-factor"))


def test_the_audit_trail_is_filtered_by_who_what_words_and_days(browser: Any, db: Any) -> None:
    days = [datetime(2026, 3, day, 23, 59, tzinfo=UTC) for day in (1, 2, 3)]
    for number, at in enumerate(days):
        audit.record(
            actor=f"operator:p{number}", act=f"thing.done{number}", subject=f"thing:{number}", at=at,
            reason=f"because {number}%", detail={"n": number},
        )  # fmt: skip

    def rows(query: str) -> list[str]:
        return re.findall(r'<td class="code">thing\.done(\d)</td>', body(browser.get(f"/audit?{query}")))

    assert rows("") == ["2", "1", "0"]
    assert rows("actor=operator:p1") == ["1"]
    assert rows("act=thing.done2") == ["2"]
    assert rows("subject=thing:0") == ["0"]
    assert rows("q=because 1%25") == ["1"]
    assert rows("from=2026-03-02&to=2026-03-02") == ["1"]
    assert rows("from=2026-03-02") == ["2", "1"]
    assert rows("from=nonsense&to=9999-12-31") == ["2", "1", "0"]
    assert rows("actor=nobody") == []


def test_an_account_tells_its_story_by_time(browser: Any, billed: World, tmp_path: Path) -> None:
    audit.record(actor="operator:anna", act="account.changed", subject="account:acme", at=NOW, reason="moved house")
    page = body(browser.get("/accounts/acme"))
    story = page.partition('<ol class="story">')[2].partition("</ol>")[0]
    found = re.findall(r"Overage invoice V2026-0001 over €4\.84|Account changed by operator:anna|moved house", story)
    assert found == ["Account changed by operator:anna", "moved house", "Overage invoice V2026-0001 over €4.84"]


def test_an_account_lists_its_messages_and_takes_none_of_them_for_its_own_words(browser: Any, billed: World) -> None:
    from coulance.customers import queries as customers
    from tests.notices.post import queue

    queue(customers.account("acme").id, "anna@shop.example", key="m", at=NOW)
    page = body(browser.get("/accounts/acme"))
    listed = page.partition('<h2 id="messages">')[2].partition("</section>")[0]
    assert "anna@shop.example" in listed
    assert 'role="status"' not in page
    assert "DeliveryRow" not in page
