"""The audit log can't be changed, not even through SQL; operators come in by a link that works once."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from coulance.platform import audit, operators
from coulance.platform.operators import UnableToMakeLinkError, UnableToMakeOperatorError, UnableToSignInError
from tests.support.database import WorkerDatabase

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _record(**changes: Any) -> None:
    audit.record(**{"actor": "cli:anna", "act": "plan.applied", "subject": "catalog", "at": AT, **changes})


def test_events_say_who_what_and_why(db: Any) -> None:
    _record(reason="new prices", detail={"version": 3})
    _record(subject="account:1", at=AT + timedelta(hours=1))
    newest, oldest = audit.events()
    assert newest.subject == "account:1"
    assert oldest == audit.Event(AT, "cli:anna", "plan.applied", "catalog", "new prices", {"version": 3})
    assert audit.events(act="plan.applied", limit=1) == [newest]
    assert audit.events(subject="catalog") == [oldest]


def test_many_events_are_each_as_one_would_be(db: Any) -> None:
    odd = audit.Event(AT, "cli:anna", "plan.applied", "account:1\t\\N", "why\nnot", {"é": [1, None, "\\"]})
    with transaction.atomic():
        audit.record_many([odd, audit.Event(AT, "cli:ben", "plan.applied", "catalog", "", {})])
    assert audit.events(subject=odd.subject) == [odd]
    assert [one.actor for one in audit.events()] == ["cli:ben", "cli:anna"]
    with pytest.raises(IntegrityError), transaction.atomic():
        audit.record_many([audit.Event(AT, "", "plan.applied", "catalog", "", {})])


@pytest.mark.parametrize("missing", ["actor", "act", "subject"])
def test_an_event_without_who_or_what_is_refused(db: Any, missing: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        _record(**{missing: ""})


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE platform_audit_event SET actor = 'cli:bert'",
        "UPDATE platform_audit_event SET detail = '{}' WHERE id = (SELECT max(id) FROM platform_audit_event)",
        "DELETE FROM platform_audit_event",
        "TRUNCATE platform_audit_event",
        "TRUNCATE platform_audit_event CASCADE",
        (
            "INSERT INTO platform_audit_event (id, at, actor, act, subject, reason, detail)"
            " SELECT id, at, 'cli:bert', act, subject, reason, detail FROM platform_audit_event"
            " ON CONFLICT (id) DO UPDATE SET actor = excluded.actor"
        ),
        "MERGE INTO platform_audit_event a USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_the_log_refuses_to_be_changed(db: Any, attack: str) -> None:
    _record()
    before = audit.events()
    with pytest.raises(OperationalError, match="is append-only") as fault, transaction.atomic():
        connection.cursor().execute(attack)
    assert isinstance(fault.value.__cause__, psycopg.errors.ObjectNotInPrerequisiteState)
    assert audit.events() == before


def _make(name: str = "anna", **changes: Any) -> operators.Person:
    return operators.make_operator(name=name, email="anna@example.nl", at=AT, actor="cli:root", **changes)


def test_operators_are_made_and_listed(db: Any) -> None:
    assert not _make().has_password
    assert _make("bert", password="correct horse battery").has_password
    assert [person.name for person in operators.operators()] == ["anna", "bert"]
    assert [event.act for event in audit.events(subject="operator:bert")] == ["operator.made"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "no spaces"}, "valid username"),
        ({"email": "nowhere"}, "valid email"),
        ({"password": "short"}, "at least 12"),
        ({"password": "1q2w3e4r5t6y"}, "too common"),
        ({"password": "anna@example.nl", "email": "anna@example.nl"}, "too similar"),
    ],
)
def test_operators_that_wont_do_are_refused(db: Any, given: dict[str, str], said: str) -> None:
    with pytest.raises(UnableToMakeOperatorError, match=said):
        operators.make_operator(**{"name": "anna", "email": "", "at": AT, "actor": "cli:root", **given})
    assert operators.operators() == []


def test_a_taken_name_is_refused(db: Any) -> None:
    _make()
    with pytest.raises(UnableToMakeOperatorError, match="already an operator anna"):
        _make()


def test_a_link_works_once_and_not_for_long(db: Any) -> None:
    _make()
    secret = operators.make_link(name="anna", at=AT, actor="cli:root")
    assert operators.use_link(secret=secret, at=AT + timedelta(minutes=29)).username == "anna"
    with pytest.raises(UnableToSignInError, match="used already"):
        operators.use_link(secret=secret, at=AT + timedelta(minutes=29))
    late = operators.make_link(name="anna", at=AT, actor="cli:root", lasts=timedelta(minutes=1))
    for wrong, at in ((late, AT + timedelta(minutes=1)), ("guess", AT), ("", AT)):
        with pytest.raises(UnableToSignInError):
            operators.use_link(secret=wrong, at=at)
    acts = [event.act for event in audit.events(subject="operator:anna")]
    assert acts.count("operator.signed_in_by_link") == 1


def test_a_link_of_somebody_who_may_not_sign_in_is_worth_nothing(db: Any) -> None:
    _make()
    secret = operators.make_link(name="anna", at=AT, actor="cli:root")
    connection.cursor().execute("UPDATE platform_operator SET is_active = false")
    with pytest.raises(UnableToSignInError):
        operators.use_link(secret=secret, at=AT)
    with pytest.raises(UnableToMakeLinkError, match="no active operator anna"):
        operators.make_link(name="anna", at=AT, actor="cli:root")


def test_two_uses_at_once_let_one_in(committed_db: WorkerDatabase) -> None:
    _make()
    secret = operators.make_link(name="anna", at=AT, actor="cli:root")
    start = threading.Barrier(4)
    answers: list[bool] = []

    def use() -> None:
        start.wait()
        try:
            operators.use_link(secret=secret, at=AT)
        except UnableToSignInError:
            answers.append(False)
        else:
            answers.append(True)
        finally:
            connection.close()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
