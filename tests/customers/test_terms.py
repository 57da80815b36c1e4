"""General terms by version and language, and who agreed to which: kept word for word, chained, shown and agreed to."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.db import DatabaseError, connection, transaction

from coulance.cli import terms as command
from coulance.customers import models, terms
from coulance.customers.terms import UnableToKeepTermsError, check_terms
from coulance.platform import clock
from tests.closing.conftest import store_here  # noqa: F401 - fixture
from tests.closing.world import World
from tests.disputes.court import people
from tests.disputes.test_portal import signed_in
from tests.overage.fair import TABLES

AT = datetime(2026, 7, 6, 10, tzinfo=UTC)
WORDS = "1. We bill what was agreed.\n\n2. <b>Nothing</b> else.\n"


def kept(version: str = "2026-01", language: str = "en", text: str = WORDS, since: date = date(2026, 1, 1)) -> Any:
    return terms.add_terms(
        version=version, language=language, title="General terms", text=text, valid_from=since, actor="cli:root", at=AT
    )


@pytest.fixture
def acme(db: Any, store_here: Path, tmp_path: Path) -> int:  # noqa: F811
    """An account with the contacts boss (owner) and desk (technical)."""
    from coulance.customers import queries

    World(tmp_path).provider(extra='email = "hulp@polder.example"\n', rest=TABLES).account()
    people("acme")
    return queries.account("acme").id


def agrees(account: int, version: str = "2026-01", **given: Any) -> terms.Accepted:
    facts: dict[str, Any] = {"language": "en", "contact": "boss", "how": "paper", "actor": "cli:root", "at": AT}
    return terms.accept_terms(account=account, version=version, **(facts | given))


def test_kept_word_for_word_and_agreed_to_in_a_chain(acme: int) -> None:
    first = kept()
    assert kept() == first  # the same again
    with pytest.raises(UnableToKeepTermsError, match="a version of its own"):
        kept(text=WORDS + "3. Or else.\n")
    with pytest.raises(UnableToKeepTermsError, match="in force from 2026-01-01"):
        kept(language="nl", since=date(2026, 2, 1))
    kept(language="nl", text="1. Wij rekenen wat is afgesproken.\n")
    second = kept("2026-07", text="1. We bill what was agreed, in full.\n", since=date(2026, 7, 1))
    assert [terms.in_force(on=day, language="nl") for day in (date(2025, 1, 1),)] == [None]
    assert terms.in_force(on=date(2026, 6, 30), language="nl") == terms.terms(version="2026-01", language="nl")
    assert terms.in_force(on=date(2026, 7, 1), language="nl") == second  # in a language that it has
    one = agrees(acme, said="folder 7")
    assert agrees(acme, language="nl") == one  # once a version
    two = agrees(acme, "2026-07", at=AT + timedelta(days=1))
    assert ([(row.seq, row.version) for row in (one, two)], one.by) == ([(1, "2026-01"), (2, "2026-07")], "boss")
    assert terms.as_accepted(account=acme, on=date(2026, 7, 6)) == one
    assert terms.as_accepted(account=acme, on=date(2026, 7, 5)) is None
    found = terms.chain_of(account=acme)
    assert [row["previous"] for row in found["acceptances"]] == [terms.GENESIS, one.hash]
    assert found["documents"][0]["text"] == WORDS
    assert list(check_terms()) == []


def test_what_is_refused(acme: int) -> None:
    for given, says in (
        ({"text": " \n"}, "a plain text"),
        ({"text": "x" * (terms.LONGEST + 1)}, "a plain text"),
        ({"language": "dutch"}, "expected a language"),
        ({"version": "one/two"}, "a version is"),
    ):
        with pytest.raises(UnableToKeepTermsError, match=says):
            kept(**given)
    kept()
    for facts, says in (
        ({"version": "2027"}, "there are no general terms"),
        ({"language": "de"}, "there are no general terms"),
        ({"sha256": "0" * 64}, "with that text"),
        ({"contact": " "}, "say who"),
        ({"recorded_at": AT - timedelta(days=1)}, "later than now"),
    ):
        with pytest.raises(UnableToKeepTermsError, match=says):
            agrees(acme, **facts)
    assert terms.accepted(account=acme) == ()


def test_nobody_rewrites_it_and_the_audit_sees_who_went_round(acme: int) -> None:
    kept()
    agrees(acme)
    other = (
        "INSERT INTO customers_terms_document (version, language, title, text, sha256, valid_from, added_at, added_by)"
        " SELECT '9', 'en', title, 'other', sha256, valid_from, added_at, added_by FROM customers_terms_document"
    )
    for act in (
        other,
        "UPDATE customers_terms_document SET text = 'other'",
        "DELETE FROM customers_terms_document",
        "UPDATE customers_terms_acceptance SET at = at - interval '1 year'",
        "DELETE FROM customers_terms_acceptance",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(act)
    # A person is erased, and the chain still holds.
    models.TermsAcceptance.objects.update(personal=None, salt=None)
    assert (list(check_terms()), terms.accepted(account=acme)[0].by) == ([], "")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE customers_terms_acceptance SET at = at - interval '1 year'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    (fault,) = check_terms()
    assert fault == "account acme, acceptance 1: its content does not give its hash"


def test_read_and_agreed_to_in_the_portal(acme: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: AT)
    client = signed_in(acme)
    assert "None are kept here." in client.get("/my/terms").content.decode()
    shown = kept()
    assert 'href="/my/terms">General terms 2026-01: please read' in client.get("/my/").content.decode()
    page = client.get("/my/terms").content.decode()
    assert "&lt;b&gt;Nothing&lt;/b&gt; else." in page  # a text, not a page of ours
    body = {"sha256": shown.sha256, "read": "en"}
    assert signed_in(acme, "desk").post("/my/terms", body).status_code == 422  # a technical contact agrees to nothing
    assert client.post("/my/terms", body | {"sha256": "0" * 64}).status_code == 422
    assert terms.accepted(account=acme) == ()
    assert client.post("/my/terms", body).status_code == 302
    (found,) = terms.accepted(account=acme)
    assert (found.how, found.by, found.sha256) == ("portal", "boss", shown.sha256)
    page = client.get("/my/terms").content.decode().replace("\u00a0", " ")
    assert ("Agreed to on 6 July 2026, here." in page, "We agree" in page) == (True, False)
    assert "please read" not in client.get("/my/").content.decode()
    assert client.get("/my/terms/2019").status_code == 404


def test_by_command(acme: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here() -> Iterator[None]:
        yield None

    monkeypatch.setattr(command, "working_database", here)
    monkeypatch.setattr(clock, "now", lambda: AT)

    def typed(*arguments: str, status: int = 0) -> str:
        answer = CliRunner().invoke(command.terms, list(arguments))
        assert answer.exit_code == status, answer.output
        return answer.output

    file = tmp_path / "terms.md"
    file.write_bytes(b"%PDF-1.7 \xe2\xe3")
    given = ["--version", "2026-01", "--language", "en", "--from", "2026-01-01"]
    assert "None are kept" in typed("list")
    assert "is no text in UTF-8" in typed("add", str(file), *given, status=1)
    file.write_text("\ufeff" + WORDS.replace("\n", "\r\n"), newline="")
    assert "General terms 2026-01 (en) from 2026-01-01" in typed("add", str(file), *given)
    assert typed("show", "2026-01") == WORDS
    assert "there are no general terms 2019" in typed("show", "2019", status=1)
    accept = ["accept", "acme", "2026-01", "--language", "en", "--contact", "boss", "--how", "paper"]
    said = typed(*accept, "--on", "2026-02-03", "--reason", "folder 7")
    assert "acme agreed to 2026-01 (en) on 2026-02-03: link 1" in said
    assert "paper by boss" in typed("of", "acme")
    assert "2026-01  en  from 2026-01-01" in typed("list")
