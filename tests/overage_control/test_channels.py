"""By mail, by text message, by a call: in which order, at which hour, and when it was heard."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import transaction

from coulance.customers import operations as customers
from coulance.flows.customers import UnableToKeepError, put_contact
from coulance.flows.overage_control import calling, phones, rounds
from coulance.notices import operations as notices
from coulance.notices import outcomes, texting
from coulance.notices import queries as sent
from coulance.overage import queries as records
from coulance.overage.errors import UnableToRecordError
from tests.overage_control.town import Town, sent_accounts

PHONE = "+31612345678"


class Gateway:
    """A stand-in that speaks as much of Twilio's Messages API as is asked of it, and checks what it is told."""

    def __init__(self) -> None:
        self.taken: dict[str, dict[str, str]] = {}
        self.answer: tuple[int, dict[str, Any]] | None = None
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                assert self.path == "/2010-04-01/Accounts/AC1/Messages.json"
                assert self.headers["Authorization"].startswith("Basic ")
                status, said = gateway.answer or (201, {})
                if status == 201:
                    sid = f"SM{len(gateway.taken)}"
                    gateway.taken[sid] = {name: body[name][0] for name in ("To", "From", "Body")} | {"status": "sent"}
                    said = {"sid": sid, "status": "queued"}
                self._say(status, said)

            def do_GET(self) -> None:
                sid = self.path.rpartition("/")[2].removesuffix(".json")
                self._say(200, {"sid": sid, "status": gateway.taken[sid]["status"]})

            def _say(self, status: int, said: dict[str, Any]) -> None:
                data = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *given: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def way(self) -> texting.Gateway:
        return texting.read_gateway(
            f"twilio+http://AC1:key@127.0.0.1:{self.server.server_address[1]}?from=%2B31201112233"
        )

    def texts(self) -> list[str]:
        return [one["Body"] for one in self.taken.values()]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.server.shutdown()
    made.server.server_close()


def with_phone(town: Town, more: str = "", language: str = "en") -> Town:
    town.controlled(more=more).customer(contacts=2).service("web", "vps", meter="traffic")
    customers.put_contact(
        account="acme", external_id="boss", name="Ben Baas", email="boss@acme.example", phone=PHONE, roles=["owner"],
        may_incur_cost=True, language=language, channels=["email", "sms"],
    )  # fmt: skip
    return town


def send(town: Town, gateway: Gateway, when: str) -> list[str]:
    texting.send_texts_due(gateway=gateway.way, clock=lambda: town.at(when))
    return gateway.texts()


def test_a_pause_is_texted_at_once_and_a_mere_threshold_is_not(town: Town, gateway: Gateway) -> None:
    with_phone(town, language="nl")
    town.uses("web", "2026-10-02T12:00", 85)
    assert send(town, gateway, "2026-10-02T12:01") == []
    town.uses("web", "2026-10-03T12:00", 20)
    (text,) = send(town, gateway, "2026-10-03T12:01")
    assert text.startswith("Polder Hosting BV: WEB is gepauzeerd: 105 GB van 100 GB verbruikt. Antwoord: https://")
    assert gateway.taken["SM0"]["To"] == PHONE
    assert len(text) < 1000


def test_what_the_network_says_is_evidence(town: Town, gateway: Gateway) -> None:
    with_phone(town)
    town.verify(PHONE, "2026-10-01T09:00")
    town.uses("web", "2026-10-03T12:00", 105)
    send(town, gateway, "2026-10-03T12:01")
    (key,) = {mail.key for mail in town.mails() if mail.address == PHONE}
    kinds = [row.kind for row in sent.evidence(key)]
    assert [kind.value for kind in kinds] == ["queued", "attempted", "accepted"]
    assert sent.delivered_spans([key])[key] == [(town.at("2026-10-03T12:01"), None)]
    gateway.taken["SM0"]["status"] = "undelivered"
    assert texting.ask_after(gateway=gateway.way, at=town.at("2026-10-03T13:00")) == 1
    assert sent.delivered_spans([key])[key] == []
    assert texting.ask_after(gateway=gateway.way, at=town.at("2026-10-03T14:00")) == 0


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((503, {}), "waiting"),
        ((500, {}), "uncertain"),
        ((400, {"code": 21610, "message": "unsubscribed"}), "refused"),
        ((401, {}), "waiting"),
    ],
)
def test_what_a_gateway_may_have_is_never_sent_twice(
    town: Town, gateway: Gateway, answer: tuple[int, dict[str, Any]], state: str
) -> None:
    with_phone(town)
    town.uses("web", "2026-10-03T12:00", 105)
    gateway.answer = answer
    send(town, gateway, "2026-10-03T12:01")
    assert {mail.state.value for mail in town.mails() if mail.address == PHONE} == {state}
    gateway.answer = None
    assert len(send(town, gateway, "2026-10-03T14:00")) == (1 if state == "waiting" else 0)


def test_mail_then_text_then_a_call_until_somebody_answers(town: Town, gateway: Gateway) -> None:
    with_phone(town, 'remind_hours = 4\nquiet = "22:00-07:00"')
    town.uses("web", "2026-10-02T17:00", 105)
    assert len(send(town, gateway, "2026-10-02T17:01")) == 1
    assert rounds.sweep(at=town.at("2026-10-02T20:30")).messages == 0
    assert rounds.sweep(at=town.at("2026-10-02T21:30")).messages == 3  # two mails and a text
    assert len(send(town, gateway, "2026-10-02T21:31")) == 2
    # In the night what is repeated waits for the morning, and so does the call.
    assert rounds.sweep(at=town.at("2026-10-03T02:00")).messages == 3
    assert len(send(town, gateway, "2026-10-03T06:59")) == 2
    (task,) = records.phone_tasks()
    assert (task.why, task.due_at) == ("unanswered", town.at("2026-10-03T07:00"))
    assert len(send(town, gateway, "2026-10-03T07:01")) == 3
    account = sent_accounts("acme")[0]
    calling.no_answer(task=task.id, outcome="voicemail", actor="operator:eva", at=town.at("2026-10-03T08:00"))
    assert records.phone_tasks(due=town.at("2026-10-03T08:59")) == []
    with pytest.raises(UnableToRecordError, match="whom you spoke"):
        calling.reached(task=task.id, contact="boss", note=" ", actor="operator:eva", at=town.at("2026-10-03T09:00"))
    calling.reached(
        task=task.id, contact="boss", note="Ben, by the number of his contract", actor="operator:eva",
        at=town.at("2026-10-03T09:01"),
    )  # fmt: skip
    judged = town.judged("web", "2026-10-03T09:02")
    assert judged.standing.acknowledged
    assert judged.standing.warned
    assert records.phone_tasks(account=account) == []
    assert rounds.sweep(at=town.at("2026-10-04T12:00")).messages == 0


def test_each_sleeps_where_they_are(town: Town, gateway: Gateway) -> None:
    """What is repeated waits for the morning of each reader: the desk sits in New York, where it is evening."""
    with_phone(town, 'remind_hours = 4\nquiet = "22:00-07:00"')
    put_contact(
        account="acme",
        external_id="desk",
        given={"zone": "America/New_York"},
        actor="t",
        at=town.at("2026-10-01T09:00"),
    )
    town.uses("web", "2026-10-02T21:00", 105)
    send(town, gateway, "2026-10-02T21:01")
    assert rounds.sweep(at=town.at("2026-10-03T02:00")).messages == 3
    waits = {
        mail.address: mail.next_attempt_at
        for mail in town.mails()
        if "again 1" in mail.key and mail.state.value == "waiting"
    }
    morning, now = town.at("2026-10-03T07:00"), town.at("2026-10-03T02:00")
    assert waits == {"boss@acme.example": morning, "desk@acme.example": now, PHONE: morning}
    with pytest.raises(UnableToKeepError):
        put_contact(account="acme", external_id="desk", given={"zone": "Mars/Olympus"}, actor="t", at=now)


def test_a_warning_that_overage_needs_is_told_at_night(town: Town, gateway: Gateway) -> None:
    with_phone(town, 'quiet = "22:00-07:00"')
    town.uses("web", "2026-10-02T23:30", 55)  # 50 %: at or before the whole allowance
    (one,) = {mail.message for mail in town.mails() if mail.address == "boss@acme.example"}
    assert sent.mail_state(at=town.at("2026-10-02T23:31")).due == 2
    del one


def test_resuming_is_told(town: Town) -> None:
    with_phone(town)
    town.verify("boss@acme.example", "2026-10-01T09:00")
    town.uses("web", "2026-10-03T12:00", 105)
    town.allows("web", "2026-10-03T13:00", amount="20")
    assert [mail.subject for mail in town.mails()][-1] == "WEB runs again"


def test_a_mailbox_on_the_service_itself_is_never_the_only_way(town: Town, gateway: Gateway) -> None:
    town.controlled().customer().service("web", "vps", meter="traffic")
    customers.put_contact(
        account="acme", external_id="boss", name="Ben Baas", email="boss@acme.example", phone=PHONE, roles=["owner"],
        may_incur_cost=True, language="en", channels=["email", "sms"], mailbox_service="web",
    )  # fmt: skip
    town.uses("web", "2026-10-02T12:00", 85)
    assert len(send(town, gateway, "2026-10-02T12:01")) == 1
    assert [task.why for task in records.phone_tasks()] == ["unreached"]


def test_a_telephone_is_verified_by_its_code(town: Town, gateway: Gateway) -> None:
    with_phone(town)
    account = sent_accounts("acme")[0]
    when = town.at("2026-10-02T12:00")
    phones.send_code(account=account, contact="boss", at=when, actor="t")
    (text,) = send(town, gateway, "2026-10-02T12:01")
    code = text.removeprefix("Polder Hosting BV: your code is ")[:6]
    asked = {"account": account, "phone": "+31 6 1234 5678", "language": "en", "text": "Code: {code}", "actor": "t"}
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    with pytest.raises(notices.UnableToVerifyPhoneError, match="not the code"):
        notices.confirm_phone(account=account, phone=PHONE, code=wrong, at=when, actor="t")
    with pytest.raises(notices.UnableToVerifyPhoneError, match="too old"):
        notices.confirm_phone(account=account, phone=PHONE, code=code, at=when + timedelta(minutes=15), actor="t")
    phones.confirm(account=account, contact="boss", code=code, at=when + timedelta(minutes=5), actor="t")
    assert PHONE in sent.verified_addresses(account=account)
    with pytest.raises(notices.UnableToVerifyPhoneError, match="too old"):
        notices.confirm_phone(account=account, phone=PHONE, code=code, at=when + timedelta(minutes=6), actor="t")
    # Five tries of the next one, and three codes an hour.
    notices.send_phone_code(at=when, **asked)
    for _ in range(5):
        with pytest.raises(notices.UnableToVerifyPhoneError, match="not the code"):
            notices.confirm_phone(account=account, phone=PHONE, code="x", at=when, actor="t")
    with pytest.raises(notices.UnableToVerifyPhoneError, match="tried too often"):
        notices.confirm_phone(account=account, phone=PHONE, code="x", at=when, actor="t")
    notices.send_phone_code(at=when, **asked)
    with pytest.raises(notices.UnableToVerifyPhoneError, match="within the hour"):
        notices.send_phone_code(at=when, **asked)
    with pytest.raises(notices.UnableToVerifyPhoneError, match="expected a telephone number"):
        notices.send_phone_code(at=when, **(asked | {"phone": "0612345678"}))


def foretelling(town: Town, warn_at: str) -> None:
    town.provider(
        extra='email = "hulp@polder.example"\n', more=f'[overage]\ncontrol = "enforce"\nwarn_at = [{warn_at}]\n'
    )


def test_the_pace_is_told_before_the_allowance_is_passed(town: Town) -> None:
    foretelling(town, '"100 % at this pace", "unusual", "100 %"')
    town.customer().service("web", "vps", "2026-09-01", meter="traffic")
    town.use("web", {f"2026-10-{day:02d}T12:00": 2 for day in range(1, 9)})
    rounds.sweep(at=town.at("2026-10-08T13:00"))
    assert town.told("web") == []  # 2 GB a day are 62 by its end
    town.use("web", {f"2026-10-{day:02d}T12:00": 6 for day in range(9, 12)})
    rounds.sweep(at=town.at("2026-10-11T13:00"))
    assert town.told("web") == ["100 % at this pace"]
    (mail,) = town.mails()
    assert mail.subject.startswith("WEB will have used its 100 GB on ")
    rounds.sweep(at=town.at("2026-10-11T14:00"))
    assert len(town.mails()) == 1


def test_unlike_this_service_is_told_once_a_week(town: Town) -> None:
    town.provider(
        extra='email = "hulp@polder.example"\n', more='[overage]\ncontrol = "enforce"\nwarn_at = ["unusual", "100 %"]\n'
    )
    town.customer().service("web", "vps", "2026-09-01", meter="traffic")
    first = town.at("2026-09-10T01:00")
    hours = [first + timedelta(hours=n) for n in range(24 * 25)]
    town.send("web", [(int(h.timestamp()), 10**8 if 8 <= h.hour < 18 else 10**7) for h in hours])
    quiet, busy = hours[-1], hours[-1] + timedelta(hours=1)
    rounds.sweep(at=quiet + timedelta(minutes=1))
    assert town.told("web") == []
    town.send("web", [(int(busy.timestamp()), 4 * 10**9)])
    rounds.sweep(at=busy + timedelta(minutes=1))
    assert town.told("web") == [f"unusual {datetime(2026, 10, 5, tzinfo=UTC).date()}"]
    assert town.mails()[-1].subject == "WEB uses more than it usually does"
    town.send("web", [(int(busy.timestamp()) + 3600, 4 * 10**9)])
    rounds.sweep(at=busy + timedelta(hours=1, minutes=1))
    assert len(town.mails()) == 1


def test_a_warning_that_comes_back_and_leaves_nobody_told_is_a_call(town: Town) -> None:
    town.controlled().customer(contacts=2).service("web", "vps", meter="traffic")
    town.uses("web", "2026-10-02T12:00", 85)
    for number, mail in enumerate(town.mails()):
        with transaction.atomic():
            (of,) = outcomes.known([mail.id], lock=True)
            outcomes.hold(of, why="the server will never take it", at=town.at("2026-10-02T12:05"))
        assert len(records.phone_tasks()) == number  # the second one leaves nobody
    (task,) = records.phone_tasks()
    assert (task.meter, task.why, task.charge) == ("web/out", "unreached", "out")
