"""Both sides of a case see the same evidence: each fact on the customer's page is on the operator's page too."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from coulance.customers import queries as customers
from coulance.customers import terms
from coulance.disputes import queries as cases
from coulance.flows.disputing import acting, opening, wording
from coulance.flows.disputing.evidence import evidence_of
from coulance.invoicing import queries as invoicing
from coulance.platform import clock
from coulance.portal import access
from coulance_core.disputes import Contest, Grounds
from tests.closing.conftest import store_here  # noqa: F401 - fixture
from tests.console.conftest import operator  # noqa: F401 - fixture
from tests.console.conftest import signed_in as browser_of
from tests.overage_control.conftest import town  # noqa: F401 - fixture
from tests.overage_control.town import Town

WORDS = "1. What is used above the limit you set is not billed.\n"


def text_of(page: bytes) -> str:
    """The evidence that a page shows, as plain text."""
    found = page.decode()
    found = found[found.index("What both sides see") :]
    found = html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", " <PICTURE> ", found, flags=re.S)))
    return re.sub(r"\s+", " ", found.replace("\u00a0", " "))


def test_the_same_for_the_customer_and_the_operator(
    town: Town, operator: Any, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    town.customer().service("web", "vps", meter="traffic").verify("boss@acme.example", "2026-10-01T00:00")
    account = customers.account("acme").id
    terms.add_terms(
        version="2026-01", language="en", title="General terms", text=WORDS, actor="cli:root",
        valid_from=town.at("2026-01-01T00:00").date(), at=town.at("2026-01-01T00:00"),
    )  # fmt: skip
    terms.accept_terms(
        account=account, version="2026-01", language="en", contact="boss", how="order", actor="cli:root",
        at=town.at("2026-10-01T00:00"),
    )  # fmt: skip
    town.uses("web", "2026-10-02T12:00", 85)
    town.allows("web", "2026-10-03T12:00", amount="20")
    town.uses("web", "2026-10-06T12:00", 60)
    town.uses("web", "2026-10-20T12:00", 100)
    moment = town.at("2026-11-05T10:00")
    town.close("2026-10", moment.isoformat())
    (bill,) = invoicing.documents(kind="overage_invoice", state="issued")
    monkeypatch.setattr(clock, "now", lambda: moment)
    boss = acting.customer(account=account, contact="boss")
    about = {"grounds": Grounds.QUANTITY, "reason": "not ours", "actor": boss, "at": moment}
    (base, *_) = invoicing.documents(kind="base_invoice", state="issued")
    other = opening.open_dispute(document=base.id, contests=[Contest(1)], **about)  # type: ignore[arg-type]
    case = opening.open_dispute(document=bill.id, contests=[Contest(1)], **about).case  # type: ignore[arg-type]

    client = Client()
    session = client.session
    session[access.KEY] = {
        "account": account, "contact": "boss", "address": "boss@acme.example", "at": moment.isoformat()
    }  # fmt: skip
    session.save()
    theirs, ours = (text_of(one.get(to).content) for one, to in (
        (client, f"/my/cases/{case}"), (browser_of(operator), f"/disputes/{case}")
    ))  # fmt: skip
    seen = evidence_of(cases.case(case, at=moment), language="en", at=moment)
    assert seen.warnings
    assert seen.consents
    assert seen.payments
    assert seen.terms is not None
    facts = {
        "the line": seen.lines[0].description,
        "its terms": seen.lines[0].terms,
        "what is contested": f"€{seen.lines[0].part.net.decimal()}",
        "its arithmetic": "round",
        **{f"warning {one.threshold}": f"{one.meter}, {one.threshold}" for one in seen.warnings},
        "proof of the warning": wording.rung(seen.warnings[0].proof),
        "consent": " ".join(seen.consents[0].text_shown.split()),
        "terms as accepted": seen.terms.agreed.sha256,
        "their words": WORDS.strip(),
        **{f"{n}. payment": row.row.reference for n, row in enumerate(seen.payments)},
        "another case": str(other.case),
    }
    for what, said in facts.items():
        assert said, what
        assert said in theirs, f"the customer does not see {what}: {said}"
        assert said in ours, f"the operator does not see {what}: {said}"
    for count in ("<PICTURE>", "€"):
        assert theirs.count(count) == ours.count(count), f"{count}: one side sees more than the other"
    for use in seen.use:
        for said in (use["charge"], use["used"], use["included"]):
            assert said in theirs
            assert said in ours
