"""The console's way to a dossier: who may, what for, and that it is kept."""

import io
import zipfile
from typing import Any

import pypdf
import pytest

from coulance.platform import audit, clock
from tests.console.conftest import operator  # noqa: F401 - fixture
from tests.console.conftest import signed_in as browser_of
from tests.disputes.court import Court
from tests.dossier.making import AT


def test_a_dossier_is_made_for_a_reason(
    history: Court,
    operator: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "now", lambda: AT)
    desk = browser_of(operator)
    assert 'href="/dossiers/acme"' in desk.get("/accounts/acme").content.decode()
    page = desk.get("/dossiers/acme").content.decode()
    for said in ("V2026-0001", "B2026-0001", "€222.00"):
        assert said in page
    asked = {"debt": [history.number], "kind": "dossier", "language": "en", "reason": "their lawyer asked"}
    for change, says in (
        ({"reason": " "}, "Say why"),
        ({"debt": []}, "at least one debt"),
        ({"debt": ["X1"]}, "nothing open on X1"),
        ({"kind": "gift"}, "Choose what to make"),
    ):
        answer = desk.post("/dossiers/acme", {**asked, **change})
        assert (answer.status_code, says in answer.content.decode()) == (422, True), change
    assert not audit.events(act="dossier.made")
    answer = desk.post("/dossiers/acme", asked)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="dossier-acme-2026-09-20.pdf"'
    assert "claim.json" in pypdf.PdfReader(io.BytesIO(answer.content)).attachments
    (event,) = audit.events(act="dossier.made")
    assert (event.subject, event.reason, event.detail["debts"]) == ("account:acme", asked["reason"], [history.number])
    assert event.actor.startswith("operator:")
    answer = desk.post("/dossiers/acme", {**asked, "kind": "mediation"})
    assert "contested.csv" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert desk.get("/dossiers/nobody").status_code == 404
    for role, status in (("viewer", 403), ("support", 403), ("billing", 200)):
        operator.role = role
        operator.save()
        assert desk.get("/dossiers/acme").status_code == status, role
