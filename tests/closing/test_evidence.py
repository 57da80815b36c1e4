"""A document's evidence: exported, replayed without a database, found out when forged; and documents over the API."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.test import Client

from coulance.cli.evidence import replay as replay_command
from coulance.flows.evidence import UnableToExportError, export_samples
from coulance.flows.replay import UnableToReplayError, replay
from coulance.platform import clock, tokens
from tests.closing.world import World, five_minutes
from tests.support.database import ROOT


@pytest.fixture
def billed(world: World) -> World:
    """A month with a quota that was passed, a pool, and a port on its percentile."""
    world.provider().account()
    world.service("v1", "vps", meter="traffic")
    world.service("n1", "node", meter="traffic").service("n2", "big-node", meter="traffic")
    world.service("port", "colo", meter="port")
    world.use("v1", {"2026-10-03": 120, "2026-10-31": 30}).use("n1", {"2026-10-09": 400}).use("n2", {"2026-10-09": 50})
    at = five_minutes("2026-10-01", "2026-11-01")
    world.send("port", [(t, (30_000_000 if 1000 <= i < 1500 else 4_000_000) * 300 // 8) for i, t in enumerate(at)])
    world.close("2026-10")
    return world


def rewritten(path: Path, to: Path, name: str, change: Any) -> Path:
    """A copy of an evidence file with one member changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for member in old.namelist():
            text = old.read(member).decode()
            new.writestr(member, change(text) if member == name else text)
    return to


@pytest.mark.parametrize("number", ["V2026-0001", "U-2026-10-acme"])
def test_what_is_exported_rates_to_what_was_billed(billed: World, tmp_path: Path, number: str) -> None:
    path = tmp_path / "evidence.zip"
    assert export_samples(number=number, path=path) == 4 + len(five_minutes("2026-10-01", "2026-11-01"))
    assert path.stat().st_mode & 0o777 == 0o600
    rows = replay(path)
    assert len(rows) == (3 if number[0] == "V" else 4)
    assert all(row.equal for row in rows), rows
    if number[0] == "V":
        # 50 GB x 0.10; 450 used of 410 in the pool, 40 x 0.20; 30 - 10 Mbit/s x 1.10
        assert {row.what: row.again for row in rows} == {
            "v1, out": "5.00 EUR",
            "pool fleet, fleet": "8.00 EUR",
            "port, bw": "22.00 EUR",
        }


def test_the_same_evidence_is_the_same_file(billed: World, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        export_samples(number="V2026-0001", path=folder / "evidence.zip")
    assert (one / "evidence.zip").read_bytes() == (two / "evidence.zip").read_bytes()


def test_a_forged_sample_or_price_shows(billed: World, tmp_path: Path) -> None:
    path = tmp_path / "evidence.zip"
    export_samples(number="V2026-0001", path=path)

    def dearer(text: str) -> str:
        terms = json.loads(text)
        for plan in terms["plans"]:
            for charge in plan["charges"]:
                if plan["plan"] == "vps":
                    charge["price"]["unit_price"] = "0.20"
        return json.dumps(terms)

    more = rewritten(
        path, tmp_path / "more.zip", "samples.csv", lambda text: text.replace(",0,120000000000", ",0,121000000000")
    )
    price = rewritten(path, tmp_path / "price.zip", "terms.json", dearer)
    assert {row.what: row.again for row in replay(more) if not row.equal} == {"v1, out": "5.10 EUR"}
    assert {row.what: row.again for row in replay(price) if not row.equal} == {"v1, out": "10.00 EUR"}
    told = CliRunner().invoke(replay_command, [str(price)])
    assert told.exit_code == 1
    assert "DIFFERS" in told.output


def test_replay_needs_no_database_and_no_django(billed: World, tmp_path: Path) -> None:
    path = tmp_path / "evidence.zip"
    export_samples(number="V2026-0001", path=path)
    program = (
        "import sys; sys.modules['django'] = None; sys.modules['psycopg'] = None\n"
        "from pathlib import Path; from coulance.flows.replay import replay\n"
        f"rows = replay(Path({str(path)!r})); assert len(rows) == 3 and all(r.equal for r in rows); print('equal')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("samples.csv", lambda text: text + "port,soon,1,2\n", "samples.csv line 8946: expected series,at,in,out"),
        ("services.json", lambda text: text.replace("coulance.evidence/1", "x/9"), "expected 'coulance.evidence/1'"),
        ("terms.json", lambda _: "{", "cannot be read"),
        ("terms.json", lambda text: text.replace('"unit_price"', '"unit_prize"'), "cannot be read"),
        ("services.json", lambda text: text.replace('"zone": "', '"zone": "Nowhere/'), "cannot be rated"),
        ("services.json", lambda text: text.replace('"start": "2026', '"start": "soon'), "cannot be rated"),
        ("document.json", lambda text: text.replace('"kind"', '"kinds"'), "cannot be rated"),
        ("samples.csv", lambda text: text + f"port,1,{10**30},2\n", "cannot be read"),
        ("samples.csv", lambda text: text + "port,1,1,1\n" * 4, "cannot be rated"),
    ],
)
def test_a_broken_file_says_where(billed: World, tmp_path: Path, name: str, change: Any, message: str) -> None:
    path = tmp_path / "evidence.zip"
    export_samples(number="V2026-0001", path=path)
    with pytest.raises(UnableToReplayError, match=message):
        replay(rewritten(path, tmp_path / "broken.zip", name, change))


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(
    billed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evidence.zip"
    export_samples(number="V2026-0001", path=path)
    monkeypatch.setattr("coulance.flows.replay.LARGEST", 100_000)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(UnableToReplayError, match="at most 100,000 bytes"):
        replay(path)


def test_what_is_no_evidence_file_is_refused(billed: World, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"not a zip")
    with pytest.raises(UnableToReplayError, match="not a whole evidence file"):
        replay(tmp_path / "x.zip")
    with pytest.raises(UnableToExportError, match="it rests on no samples"):
        export_samples(number="B2026-0001", path=tmp_path / "y.zip")
    assert not (tmp_path / "y.zip").exists()


@pytest.fixture
def get(billed: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """GET with a token that may read invoices."""
    now = clock.now()
    text, _ = tokens.make_token(name="books", scopes=["invoices:read"], at=now, actor="test")
    other, _ = tokens.make_token(name="meter", scopes=["usage:write"], at=now, actor="test")

    def ask(path: str, *, token: str = "good") -> Any:
        headers = {"good": {"Authorization": f"Bearer {text}"}, "other": {"Authorization": f"Bearer {other}"}}
        return Client().get(f"/api/v1/documents{path}", headers=headers.get(token, {}))

    return ask


def test_documents_over_the_api(get: Any, billed: World) -> None:
    listed = get("?account=acme&kind=overage_invoice").json()
    assert [(one["number"], one["net"]["amount"], one["period"]) for one in listed["items"]] == [
        ("V2026-0001", "35.00", "2026-10")
    ]
    assert listed["next"] is None
    assert get("?limit=1").json()["next"]
    whole = get("/V2026-0001").json()
    assert whole["totals"]["net"] == "35.00"
    why = get("/V2026-0001/explanation?line=1").json()
    assert why["lines"][0]["net"] == whole["lines"][0]["net"]
    assert "overage" in why["lines"][0]["text"]
    pdf = get("/V2026-0001/pdf")
    assert pdf["Content-Type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")


def test_an_unforeseen_fault_is_answered_as_a_problem_and_logged(
    get: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("coulance.invoicing.pdf.render", lambda snapshot: 1 / 0)
    answer = get("/V2026-0001/pdf")
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert "ZeroDivision" not in answer.content.decode()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("path", "token", "status", "word"),
    [
        ("/V2026-0001", "none", 401, "token"),
        ("/V2026-0001/pdf", "other", 403, "invoices:read"),
        ("/V2026-9999", "good", 404, "V2026-9999"),
        ("/V2026-0001/explanation?line=9", "good", 404, "lines"),
        ("?account=nobody", "good", 404, "nobody"),
        ("?limit=0", "good", 422, "limit"),
    ],
)
def test_refusals_of_the_documents_api(get: Any, path: str, token: str, status: int, word: str) -> None:
    answer = get(path, token=token)
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert word in answer.content.decode()
