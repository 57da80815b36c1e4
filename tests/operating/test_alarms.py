"""Alarms: one a key while open; operators are told first, then daily, then that it is over, and never more."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coulance.flows import alarms as telling
from coulance.notices import queries as notices
from coulance.platform import alarms, audit, operators
from coulance.platform.roles import Role

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def _raise(key: str = "disk", at: datetime = AT, severity: Any = "warning", what: str = "little room") -> bool:
    return alarms.raise_alarm(key=key, severity=severity, what=what, at=at)


def test_an_alarm_is_open_once_and_the_gravest_and_latest_hold(db: Any) -> None:
    assert _raise() is True
    assert _raise(at=AT + HOUR, severity="critical", what="no room") is False
    assert _raise(at=AT + MINUTE, what="less room") is False
    (alarm,) = alarms.open_alarms()
    assert (alarm.times, alarm.severity, alarm.what) == (3, "critical", "less room")
    assert (alarm.raised_at, alarm.seen_at) == (AT, AT + HOUR)
    assert alarms.clear_alarm(key="disk", at=AT + DAY) is True
    assert alarms.clear_alarm(key="disk", at=AT + DAY) is False
    assert alarms.open_alarms() == []
    assert _raise(at=AT + 2 * DAY) is True
    assert [one.cleared_at for one in alarms.recent_alarms()] == [None, AT + DAY]


def test_the_critical_come_first_then_the_oldest(db: Any) -> None:
    _raise("b", AT + HOUR)
    _raise("a", AT + 2 * HOUR, "critical")
    _raise("c", AT)
    assert [one.key for one in alarms.open_alarms()] == ["a", "c", "b"]


@pytest.mark.parametrize(
    "given", [{"key": ""}, {"key": " x"}, {"what": "  "}, {"severity": "fatal"}, {"at": datetime(2026, 11, 1)}]
)
def test_nonsense_is_refused(db: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"alarm|zone|aware"):
        _raise(**given)
    assert alarms.open_alarms() == []


def test_a_person_who_clears_one_is_recorded_with_the_reason(db: Any) -> None:
    _raise()
    alarms.clear_alarm(key="disk", at=AT, actor="cli:anna", reason="a known test")
    (event,) = audit.events(act="alarm.cleared")
    assert (event.actor, event.subject, event.reason) == ("cli:anna", "alarm:disk", "a known test")


#: (hours since the start, what happens, what operators are then told: new / still / over)
TELLING = [
    (0, "raise", "new"),
    (1, "raise", ""),
    (23, "", ""),
    (24, "", "still"),
    (25, "", ""),
    (48, "", "still"),
    (49, "clear", "over"),
    (50, "", ""),
    (50.5, "raise", "new"),
    (50.6, "clear", "over"),
    # It comes and goes: told once an hour at most, and one that went untold is not told of as over either.
    (50.7, "raise", ""),
    (50.8, "clear", ""),
    (50.9, "raise", ""),
    (51.6, "", "new"),
    (51.7, "critical", "new"),
    (51.8, "critical", ""),
]


def test_operators_are_told_no_more_than_needed(db: Any) -> None:
    for hours, what, expected in TELLING:
        at = AT + hours * HOUR
        if what == "clear":
            alarms.clear_alarm(key="disk", at=at)
        elif what:
            _raise(at=at, severity="critical" if what == "critical" else "warning")
        due = alarms.take_due(at=at)
        told = [kind for kind in ("new", "still", "over") if getattr(due, kind)]
        assert told == [kind for kind in [expected] if kind], (hours, what)


@pytest.fixture
def people(db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """One who may operate, one who only looks, one without an address; and an applied file that says who sends."""
    from coulance.catalog import operations as catalog
    from coulance.catalog.reader import read_provider_file
    from tests.support.database import ROOT

    catalog.apply_catalog(file=read_provider_file(ROOT / "examples" / "provider.toml"), actor="test", at=AT)
    for name, email, role in (
        ("anna", "anna@example.nl", Role.OPERATIONS),
        ("vic", "vic@example.nl", Role.VIEWER),
        ("bert", "", Role.ADMIN),
    ):
        operators.make_operator(name=name, email=email, at=AT, actor="test", role=role)


def test_the_mail_names_every_alarm_and_goes_to_who_may_operate(people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COULANCE_MAIL", "smtp://127.0.0.1:2525?tls=none")
    monkeypatch.setenv("COULANCE_URL", "https://billing.example.nl/")
    _raise("disk")
    _raise("audit.ledger", severity="critical", what="the books don't balance")
    assert telling.tell_operators(at=AT) == 2
    (row,) = notices.messages()
    assert row.address == "anna@example.nl"
    text = notices.text_of(message=row.message)
    assert text is not None
    assert text.subject == "[Coulance] critical: audit.ledger and 1 more"
    assert "little room" in text.text
    assert "the books don't balance" in text.text
    assert "https://billing.example.nl/alarms" in text.text
    assert telling.tell_operators(at=AT + MINUTE) == 0
    assert len(notices.messages()) == 1


def test_without_mail_nothing_is_noted_as_told(people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _raise()
    assert telling.tell_operators(at=AT) == 0
    monkeypatch.setenv("COULANCE_MAIL", "smtp:nonsense")
    assert telling.tell_operators(at=AT + MINUTE) == 0
    monkeypatch.setenv("COULANCE_MAIL", "smtp://127.0.0.1:2525?tls=none")
    assert telling.tell_operators(at=AT + HOUR) == 1


def test_told_and_mail_are_one_transaction(people: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COULANCE_MAIL", "smtp://127.0.0.1:2525?tls=none")
    _raise()

    def stop(**_: Any) -> None:
        raise KeyboardInterrupt

    queue = telling.notices.queue_message
    monkeypatch.setattr(telling.notices, "queue_message", stop)
    with pytest.raises(KeyboardInterrupt):
        telling.tell_operators(at=AT)
    monkeypatch.setattr(telling.notices, "queue_message", queue)
    assert telling.tell_operators(at=AT) == 1
