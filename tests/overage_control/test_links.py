"""The link of a warning: opening it does nothing, and it is good for one contact, warning and period only."""

import re
from typing import Any

import pytest
from django.test import Client

from coulance.flows.overage_control import links
from coulance.flows.overage_control.links import Answerer, UnableToAnswerError
from coulance.notices import queries as sent
from coulance.overage import queries as records
from coulance.platform import clock
from coulance_core.notices import EvidenceKind
from tests.overage_control.town import Town, sent_accounts


@pytest.fixture
def warned(town: Town, monkeypatch: pytest.MonkeyPatch) -> Town:
    """All is used up, the warning is queued, the network is paused; it is an hour later."""
    town.customer(contacts=2).service("web", "vps", meter="traffic").service("db", "vps", meter="traffic")
    town.uses("web", "2026-10-06T12:00", 120)
    monkeypatch.setattr(clock, "now", lambda: town.at("2026-10-06T13:00"))
    assert town.restricted("web") == ["overage"]
    return town


def _boss(town: Town) -> str:
    place = [mail.address for mail in town.mails()].index("boss@acme.example")
    return town.link(place)


def _post(path: str, **fields: str) -> Any:
    return Client().post(path, {"charge": "out", **fields})


def _acknowledged(town: Town) -> bool:
    return bool(town.judged("web", "2026-10-06T13:30").facts.acknowledged)


def test_whatever_fetches_links_acknowledges_nothing(warned: Town) -> None:
    for method in ("get", "head", "options"):
        for _ in range(3):
            answer = getattr(Client(), method)(_boss(warned))
            assert answer.status_code in (200, 405)
    assert not _acknowledged(warned)
    assert warned.restricted("web") == ["overage"]
    kinds = {row.kind for mail in warned.mails() for row in sent.evidence(mail.key)}
    assert kinds == {EvidenceKind.QUEUED}


def test_a_limit_by_the_link_resumes_at_once_and_is_evidence(warned: Town) -> None:
    path = _boss(warned)
    seen = _post(path, act="preview", amount="25").content.decode()
    assert "up to €25.00 a period" in seen
    assert records.consents(account=sent_accounts("acme")[0]) == []  # nothing is agreed to by looking
    digest = re.search(r'name="digest" value="(\w+)"', seen)
    assert digest is not None
    assert _post(path, act="allow", amount="25", digest="0" * 64).status_code == 200
    assert records.consents(account=sent_accounts("acme")[0]) == []  # another text than was shown
    done = _post(path, act="allow", amount="25", digest=digest[1])
    assert "Your limit is set." in done.content.decode()
    assert warned.restricted("web") == []
    (consent,) = records.consents(account=sent_accounts("acme")[0])
    assert (consent.contact, consent.how, str(consent.limit.amount)) == ("boss", "link", "25.00 EUR")
    assert consent.came_from.startswith("127.0.0.1")
    place = [mail.address for mail in warned.mails()].index("boss@acme.example")
    assert EvidenceKind.ACKNOWLEDGED in {row.kind for row in sent.evidence(warned.mails()[place].key)}
    assert "boss@acme.example" in sent.verified_addresses(account=sent_accounts("acme")[0])
    assert _acknowledged(warned)


def test_a_limit_for_this_period_only_is_over_with_it(warned: Town) -> None:
    path = _boss(warned)
    seen = _post(path, act="preview", amount="25", once="yes").content.decode()
    assert "It is for October 2026 only." in seen.replace("\u00a0", " ").replace("&nbsp;", " ")
    digest = re.search(r'name="digest" value="(\w+)"', seen)
    assert digest is not None
    # Without the tick it is another text, which was not shown.
    _post(path, act="allow", amount="25", digest=digest[1])
    assert records.consents(account=sent_accounts("acme")[0]) == []
    _post(path, act="allow", amount="25", digest=digest[1], once="yes")
    (consent,) = records.consents(account=sent_accounts("acme")[0])
    assert consent.period_name == "2026-10"
    meter = warned.judged("web", "2026-10-20T12:00").ref
    found = [
        records.consent_in_force(meter=meter, at=warned.at(f"{month}-20T12:00"), period_name=month)
        for month in ("2026-10", "2026-11")
    ]
    assert [one is not None for one in found] == [True, False]


def test_who_may_not_incur_cost_may_know_and_pause_but_not_allow(warned: Town) -> None:
    place = [mail.address for mail in warned.mails()].index("desk@acme.example")
    path = warned.link(place)
    assert 'name="amount"' not in Client().get(path).content.decode()
    seen = _post(path, act="preview", amount="25").content.decode()
    digest = re.search(r'name="digest" value="(\w+)"', seen)
    assert digest is not None
    refused = _post(path, act="allow", amount="25", digest=digest[1])
    assert refused.status_code == 422
    assert "may not incur cost" in refused.content.decode()
    assert _post(path, act="know").status_code == 200
    assert _acknowledged(warned)
    assert _post(path, act="pause").status_code == 200
    assert warned.restricted("web") == ["customer", "overage"]


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-1], lambda t: "x" + t, lambda t: t.replace(":", "", 1), lambda t: ":"]
)
def test_a_changed_link_opens_nothing(warned: Town, damage: Any) -> None:
    token = _boss(warned).removeprefix("/answer/")
    assert Client().get(f"/answer/{damage(token)}").status_code == 404
    assert _post(f"/answer/{damage(token)}", act="know").status_code == 404
    assert not _acknowledged(warned)


def test_a_link_for_another_purpose_or_past_its_time_opens_nothing(
    warned: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.core import signing

    account = sent_accounts("acme")[0]
    body = [account, "boss", warned.service_id("web"), "out", "2026-10", "", 2_000_000_000]
    other = signing.Signer(salt="coulance.elsewhere").sign_object(body)
    assert _post(f"/answer/{other}", act="know").status_code == 404
    answerer = Answerer(account, "boss", warned.service_id("web"), "out", "2026-10", "")
    late = links.make(answerer, until=warned.at("2026-10-06T13:00"))
    with pytest.raises(UnableToAnswerError):
        links.read(late, at=warned.at("2026-10-06T13:00"))
    assert _post(f"/answer/{late}", act="know").status_code == 410
    path = _boss(warned)
    monkeypatch.setattr(clock, "now", lambda: warned.at("2026-11-02T13:00"))
    assert _post(path, act="know").status_code == 410  # another period: nothing to answer for it any more
    assert not _acknowledged(warned)


def test_a_link_acts_on_its_own_service_whatever_the_form_says(warned: Town) -> None:
    db = warned.service_id("db")
    answer = Client().post(_boss(warned), {"act": "pause", "charge": "out", "service": str(db)})
    assert answer.status_code == 200
    assert warned.restricted("db") == []
    assert "customer" in warned.restricted("web")


def test_a_page_of_a_link_tells_no_other_site_and_no_index_and_needs_the_form(warned: Town) -> None:
    path = _boss(warned)
    answer = Client().get(path)
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in answer.headers["Cache-Control"]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert Client(enforce_csrf_checks=True).post(path, {"act": "know"}).status_code == 403


def test_no_log_holds_the_link() -> None:
    from coulance.platform import logs

    token = links.make(Answerer(1, "boss", 2, "out", "2026-10", "k"), until=clock.now())
    said = logs.hide(f"GET /answer/{token} and /my/enter/abcdefghijklmnopqrstuvwxyz")
    assert token not in said
    assert token.rpartition(":")[2] not in said
    assert "abcdefghijklmnop" not in said
