"""Taking over through the console: looked at first, faults named with file and row, then whole and to the cent."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from coulance.console.views import takeover
from coulance.customers import queries as customers
from coulance.platform import audit, clock
from tests.closing.conftest import store_here, world  # noqa: F401 - fixtures
from tests.console.test_acts import body
from tests.takeover.conftest import AT, folder, old, provider  # noqa: F401 - fixtures
from tests.takeover.whmcs_source import Whmcs


@pytest.fixture(autouse=True)
def _at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: AT)


def send(browser: Any, where: Path, mapping: Path, **typed: str) -> Any:
    files = [SimpleUploadedFile(path.name, path.read_bytes()) for path in sorted(where.iterdir())]
    given = {"files": files, "mapping": SimpleUploadedFile("mapping.toml", mapping.read_bytes())}
    return browser.post("/take-over", {**given, **typed})


def test_faults_are_named_then_it_is_looked_at_and_taken_over(
    provider: Any,  # noqa: F811
    browser: Any,
    old: Whmcs,  # noqa: F811
    folder: Path,  # noqa: F811
) -> None:
    total = old.invoice(5001)["total"]
    old.invoice(5001).update(total="9.99")
    page = body(send(browser, *old.write(folder), step="do", reason="we leave"))
    assert "invoice-5001.json (invoice 5001)" in page
    assert "total-not-sum" in page
    assert "nothing is taken over" in page
    assert customers.accounts() == []
    old.invoice(5001).update(total=total)
    where, mapping = old.write(folder)
    assert "Say why" in body(send(browser, where, mapping, step="do"), 422)
    seen = body(send(browser, where, mapping))
    assert "Nothing is written yet" in seen
    assert "a test account of ours" in seen
    assert customers.accounts() == []
    done = body(send(browser, where, mapping, step="do", reason="we leave"))
    assert "It is taken over." in done
    for said in ("€12.50", "−€2.42" if "−€2.42" in done else "-€2.42", "€0.00"):
        assert said in done, said
    assert len(customers.accounts()) == 39
    assert "all of it is here" in body(send(browser, where, mapping))
    assert "operator:anna" in {event.actor for event in audit.events(act="opening.taken_over")}


def test_what_is_no_source_is_refused_in_words(
    browser: Any,
    old: Whmcs,  # noqa: F811
    folder: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "Choose the files" in body(browser.post("/take-over", {}), 422)
    odd = {"files": [SimpleUploadedFile("../../etc/x.json", b"{")], "mapping": SimpleUploadedFile("m.toml", b"a = ")}
    refused = body(browser.post("/take-over", odd))
    assert "can't be read" in refused
    assert "mapping.toml" in refused
    monkeypatch.setattr(takeover, "LARGEST", 10)
    assert "64 MB" in body(send(browser, *old.write(folder)), 422)
