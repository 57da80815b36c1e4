"""Sending over Peppol: once each, through lost answers and kills; followed to an outcome that is kept as evidence."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coulance.flows import einvoicing
from coulance.integrations import peppol
from coulance.integrations.peppol import HttpAccessPoint
from coulance.invoicing import einvoice, queries, transmissions
from coulance.invoicing.errors import UnableToFindDocumentError, UnableToSendError
from coulance.invoicing.ports import AccessPointError, Answer, Outcome, Parcel
from coulance.invoicing.restored import hold_what_was_queued
from coulance.platform import alarms, audit
from coulance_core.invoicing.en16931_codes import Identifier
from tests.einvoice.access_point import TOKEN, FakeAccessPoint

AT = datetime(2026, 11, 4, 9, tzinfo=UTC)
NUMBER = "V2026-0001"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> datetime:
        return self.now

    def later(self, **given: float) -> None:
        self.now += timedelta(**given)


def point(fake: FakeAccessPoint, token: str = TOKEN) -> HttpAccessPoint:
    return HttpAccessPoint(fake.url, token, seconds=5)


def send(number: str = NUMBER, reason: str = "asked for") -> bool:
    return einvoicing.send_einvoice(number=number, actor="cli:test", reason=reason, at=AT)


def carry_on(fake: FakeAccessPoint, clock: Callable[[], datetime], **given: Any) -> dict[str, int]:
    ours = point(fake, **given)
    try:
        return einvoicing.carry_on_due(access_point=ours, now=clock)
    finally:
        ours.close()


def state(number: str = NUMBER) -> str:
    row = transmissions.transmission(number=number)
    assert row is not None
    return row.state


def acts(number: str = NUMBER) -> list[str]:
    found = audit.events(subject=f"document:{number}")
    return sorted(one.act for one in found if one.act.startswith("einvoice."))


def test_a_document_goes_out_once_and_its_delivery_is_kept(issued: Any, fake: FakeAccessPoint) -> None:
    clock = Clock()
    assert send()
    assert not send()
    assert carry_on(fake, clock) == {"submitted": 1}
    held = fake.held[NUMBER]
    assert held.metadata == {
        "number": NUMBER,
        "sender": "iso6523-actorid-upis::0106:12345678",
        "receiver": "iso6523-actorid-upis::9944:NL004495445B01",
        "document_type": "busdox-docid-qns::urn:oasis:names:specification:ubl:schema:xsd:Invoice-2::Invoice##"
        "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0::2.1",
        "process": "cenbii-procid-ubl::urn:fdc:peppol.eu:2017:poacc:billing:01:1.0",
    }
    assert einvoice.validate(held.xml).valid
    assert carry_on(fake, clock) == {}  # asked again only after a while
    fake.settle(NUMBER, "delivered")
    clock.later(minutes=2)
    assert carry_on(fake, clock) == {"delivered": 1}
    assert not send()
    clock.later(days=9)
    assert carry_on(fake, clock) == {}
    assert acts() == ["einvoice.delivered", "einvoice.queued", "einvoice.submitted"]
    row = transmissions.transmission(number=NUMBER)
    assert row is not None
    assert (row.submission, row.receiver, len(row.sha256)) == (held.id, "9944:NL004495445B01", 64)


@pytest.mark.parametrize("failure", [500, 503, 429, 302, 401, "drop", "garbage"])
def test_what_fails_for_now_is_tried_again_and_never_doubled(
    issued: Any, fake: FakeAccessPoint, failure: int | str
) -> None:
    clock = Clock()
    send()
    fake.failures = [failure]
    assert carry_on(fake, clock) == {"queued": 1}
    assert carry_on(fake, clock) == {}
    clock.later(minutes=1)
    assert carry_on(fake, clock) == {"submitted": 1}
    assert len(fake.held) == 1


def test_killed_between_request_and_record_it_is_repeated_under_the_same_number(
    issued: Any, fake: FakeAccessPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(**given: Any) -> str:
        raise Killed

    clock = Clock()
    send()
    with monkeypatch.context() as patched:
        patched.setattr(transmissions, "record_answer", killed)
        with pytest.raises(Killed):
            carry_on(fake, clock)
    assert state() == "queued"
    assert carry_on(fake, clock) == {}
    clock.later(minutes=2)
    assert carry_on(fake, clock) == {"submitted": 1}
    assert (len(fake.held), fake.requests) == (1, ["POST /v1/documents"] * 2)


def test_a_refusal_is_final_until_sent_anew_and_raises_an_alarm(issued: Any, fake: FakeAccessPoint) -> None:
    clock = Clock()
    unknown = einvoice.Routing(endpoint=Identifier("unknown", "0106"))
    transmissions.set_routing(account="acme", routing=unknown, actor="cli:test", at=AT)
    send()
    assert carry_on(fake, clock) == {"refused": 1}
    assert "no participant receives" in transmissions.transmissions(state="refused")[0].detail
    assert [one.key for one in alarms.open_alarms()] == [f"einvoice:{NUMBER}"]
    clock.later(days=1)
    assert carry_on(fake, clock) == {}
    right = einvoice.Routing(endpoint=Identifier("87654321", "0106"), reference="PO-9")
    transmissions.set_routing(account="acme", routing=right, actor="cli:test", at=AT)
    assert send()
    assert carry_on(fake, clock) == {"submitted": 1}
    assert b"<cbc:BuyerReference>PO-9</cbc:BuyerReference>" in fake.held[NUMBER].xml
    fake.settle(NUMBER, "delivered")
    clock.later(minutes=5)
    assert carry_on(fake, clock) == {"delivered": 1}
    assert alarms.open_alarms() == []


def test_a_rejection_after_it_was_taken_counts(issued: Any, fake: FakeAccessPoint) -> None:
    clock = Clock()
    send()
    carry_on(fake, clock)
    fake.settle(NUMBER, "rejected", "the receiver says: unknown order")
    clock.later(minutes=2)
    assert carry_on(fake, clock) == {"refused": 1}
    assert transmissions.transmissions()[0].detail == "the receiver says: unknown order"


@pytest.mark.parametrize("taken_first", [False, True])
def test_without_an_answer_of_use_for_days_it_is_stuck_and_somebody_is_told(
    issued: Any, fake: FakeAccessPoint, taken_first: bool
) -> None:
    clock = Clock()
    send()
    if taken_first:
        carry_on(fake, clock)
    for _ in range(40):
        clock.later(hours=12)
        if not taken_first:
            fake.failures = [503]
        carry_on(fake, clock)
        if state() == "stuck":
            break
    assert state() == "stuck"
    assert timedelta(days=3) < clock.now - AT < timedelta(days=9)
    assert len(alarms.open_alarms()) == 1
    assert transmissions.claim_due(at=clock.now + timedelta(days=99)) is None


def test_what_waits_can_be_taken_back_and_what_left_cannot(issued: Any, fake: FakeAccessPoint) -> None:
    clock = Clock()
    send()
    with pytest.raises(UnableToSendError, match="reason"):
        transmissions.cancel(number=NUMBER, actor="cli:test", reason=" ", at=AT)
    transmissions.cancel(number=NUMBER, actor="cli:test", reason="not yet", at=AT)
    assert carry_on(fake, clock) == {}
    assert send()
    carry_on(fake, clock)
    with pytest.raises(UnableToSendError, match="can't be taken back"):
        transmissions.cancel(number=NUMBER, actor="cli:test", reason="too late", at=AT)


def test_after_a_restore_what_was_queued_waits_for_a_person_and_what_was_taken_goes_on(
    issued: Any, fake: FakeAccessPoint
) -> None:
    clock = Clock()
    send()
    assert hold_what_was_queued(why="restored from a backup", at=AT) == 1
    assert (state(), carry_on(fake, clock), fake.requests) == ("stuck", {}, [])
    assert send()  # a person asked the access point, and says so
    carry_on(fake, clock)
    assert (state(), hold_what_was_queued(why="again", at=AT)) == ("submitted", 0)


def test_without_an_access_point_documents_wait(issued: Any) -> None:
    send()
    assert einvoicing.carry_on_due(access_point=None, now=Clock()) == {}
    row = transmissions.transmission(number=NUMBER)
    assert row is not None
    assert (row.state, row.attempts) == ("queued", 0)


def test_what_cannot_be_sent_is_refused_in_words_and_nothing_is_queued(issued: Any) -> None:
    issued.account("anna", kind="consumer")
    issued.service("anna-web", "vps", account="anna", meter="traffic").use("anna-web", {"2026-11-05": 150})
    issued.close("2026-11")
    number = next(row.number for row in queries.documents(state="issued") if row.buyer_ref == "anna" and row.number)
    assert number is not None
    with pytest.raises(einvoicing.UnableToMakeEInvoiceError, match=r"buyer\.endpoint.*coulance einvoice address"):
        send(number)
    with pytest.raises(UnableToFindDocumentError):
        send("X-1")
    with pytest.raises(UnableToSendError, match="reason"):
        send(reason=" ")
    with pytest.raises(transmissions.UnableToSetAddressError, match="0106:12345678"):
        transmissions.set_routing(
            account="acme", routing=einvoice.Routing(endpoint=Identifier("x", "KvK")), actor="t", at=AT
        )
    assert transmissions.transmissions() == []


def test_what_the_rules_refuse_is_never_queued(issued: Any) -> None:
    """A Dutch customer whose address has no place: Peppol's rule for the Netherlands."""
    issued.account("zonder", vat_id="NL004495445B01", address=["Ergens"])
    issued.service("z", "vps", account="zonder")
    issued.close("2026-11")
    number = next(row.number for row in queries.documents(state="issued") if row.buyer_ref == "zonder" and row.number)
    assert number is not None
    with pytest.raises(einvoicing.UnableToMakeEInvoiceError, match="NL-R-004"):
        send(number)
    assert transmissions.transmissions() == []


def test_every_form_is_made_and_checked(issued: Any) -> None:
    for form in einvoicing.FORMATS:
        made = einvoicing.einvoice_of(number=NUMBER, form=form)
        xml = einvoice.attached(made) if form == "factur-x" else made
        assert xml is not None
        assert einvoice.validate(xml).valid
    with pytest.raises(einvoicing.UnableToMakeEInvoiceError, match="expected one of ubl"):
        einvoicing.einvoice_of(number=NUMBER, form="edifact")


def test_what_fails_the_rules_never_leaves(issued: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = einvoice.validation.Validator(("/bin/false",))
    monkeypatch.setattr(einvoice.validation, "VALIDATOR", weak)
    for form in einvoicing.FORMATS:
        with pytest.raises(einvoicing.UnableToMakeEInvoiceError, match="NOT-VALIDATED"):
            einvoicing.einvoice_of(number=NUMBER, form=form)
    with pytest.raises(einvoicing.UnableToMakeEInvoiceError):
        send()


# --- the adapter by itself ---

PARCEL = Parcel("Ü 1/2", Identifier("1", "0106"), Identifier("2", "0106"), credit_note=True, xml=b"<x/>")


def test_the_same_number_gives_the_same_submission(fake: FakeAccessPoint) -> None:
    ours = point(fake)
    first, again = ours.submit(PARCEL), ours.submit(PARCEL)
    assert first == again == Answer("ap-1", Outcome.TAKEN)
    assert "CreditNote##" in next(iter(fake.held.values())).metadata["document_type"]
    with pytest.raises(AccessPointError, match="does not know its own submission"):
        ours.status("ap-9/../1")
    ours.close()


def test_a_wrong_token_or_no_answer_is_for_later(fake: FakeAccessPoint) -> None:
    with pytest.raises(AccessPointError, match="does not take our token"):
        point(fake, "wrong").submit(PARCEL)
    fake.stop()
    with pytest.raises(AccessPointError, match="did not answer"):
        point(fake).submit(PARCEL)
    fake.server.server_close()


@pytest.mark.parametrize(
    "text",
    ["ftp://token:x@host/", "https://host/v1", "http://token:x@host/v1", "host", "https://token@host/"],
)
def test_a_secret_that_is_no_address_is_refused_without_telling_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("COULANCE_PEPPOL", text)
    with pytest.raises(peppol.UnableToReachAccessPointError, match="expected https://token:SECRET") as caught:
        peppol.access_point()
    assert "token:x" not in str(caught.value)


def test_the_secret_is_address_and_token(monkeypatch: pytest.MonkeyPatch, fake: FakeAccessPoint) -> None:
    monkeypatch.setenv("COULANCE_PEPPOL", fake.url.replace("http://", "http://token:s3cret%2Ftoken@"))
    ours = peppol.access_point()
    assert ours is not None
    assert ours.submit(PARCEL).outcome is Outcome.TAKEN
    ours.close()
