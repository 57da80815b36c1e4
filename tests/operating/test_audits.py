"""Audits: each sort of damage, planted past the guards, is found, kept, alarmed about and shown; mended, it is over."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from coulance.flows import audits
from coulance.invoicing.writing import pack, unpack
from coulance.platform import alarms, checks
from tests.closing.conftest import store_here, world  # noqa: F401 - fixtures

AT = datetime(2026, 11, 5, 4, 3, tzinfo=UTC)


@pytest.fixture
def billed(world: Any) -> Any:  # noqa: F811 - the fixture
    """Two accounts, one over its allowance, October closed."""
    world.provider()
    for ref, used in (("acme", 1400), ("beta", 10)):
        world.account(ref).service(f"{ref}-vps", "vps", account=ref, meter="traffic")
        world.use(f"{ref}-vps", {"2026-10-02": used})
    world.close("2026-10")
    return world


def _sql(statement: str, *values: Any) -> list[Any]:
    """Change something behind the guards' back, as somebody with psql and ill will would."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, values)
        rows = cursor.fetchall() if cursor.description else []
        cursor.execute("SET session_replication_role = origin")
    return rows


def _spoil_snapshot(change: Callable[[dict[str, Any]], None]) -> None:
    ((document, number, stored),) = _sql(
        "SELECT d.id, d.number, b.snapshot FROM invoicing_document d JOIN invoicing_document_body b"
        " ON b.document_id = d.id WHERE d.kind = 'overage_invoice' LIMIT 1"
    )
    snapshot = unpack(bytes(stored), number)
    change(snapshot)
    _sql("UPDATE invoicing_document_body SET snapshot = %s WHERE document_id = %s", pack(snapshot), document)


def _dearer(snapshot: dict[str, Any]) -> None:
    snapshot["lines"][0]["net"] = "999.00"


def _another_fact(snapshot: dict[str, Any]) -> None:
    explanation = snapshot["lines"][0]["explanation"]
    while explanation.get("children"):
        explanation = explanation["children"][0]
    explanation["steps"][-1][3] = "12345"  # [name, operation, operands, result, unit]


def _count_more() -> None:
    from coulance.usage import pages

    for page, day, data in _sql("SELECT page, day, data FROM usage_day_page"):
        records = pages.join([bytes(data)], pages.DAY)
        records["n"][records["n"] != 0] += 1
        _sql("UPDATE usage_day_page SET data = %s WHERE page = %s AND day = %s", records.tobytes(), page, day)


#: What is planted -> the audit that finds it, and what it says.
PLANTED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "an entry that doesn't balance": (
        lambda: _sql(
            "UPDATE ledger_posting SET amount = amount + 1 WHERE no = 1 AND entry_id ="
            " (SELECT min(entry_id) FROM ledger_posting)"
        ),
        "ledger",
        "entry",
    ),
    "an entry that is gone": (
        lambda: _sql("DELETE FROM ledger_entry WHERE id = (SELECT max(id) FROM ledger_entry)"),
        "ledger",
        "postings of it are left",
    ),
    "a counter that is too high": (
        lambda: _count_more(),
        "samples",
        "",
    ),
    "a number that nobody has": (
        lambda: _sql("UPDATE invoicing_number_series SET last = last + 1 WHERE last IS NOT NULL"),
        "documents",
        "the first missing is",
    ),
    "an issued document that the journal doesn't know": (
        lambda: _sql(
            "UPDATE invoicing_document_body SET amounts = coalesce("
            " (SELECT array_agg(a * 2) FROM unnest(amounts) a), amounts)"
        ),
        "documents",
        "the journal booked something else",
    ),
    "a charge dearer than its explanation": (
        lambda: _spoil_snapshot(_dearer),
        "charges",
        "charges 999.00, and its explanation comes to",
    ),
    "arithmetic that was altered": (
        lambda: _spoil_snapshot(_another_fact),
        "charges",
        "does not recompute",
    ),
    "a statement that is gone": (
        lambda: _sql(
            "UPDATE invoicing_document SET period_name = '2020-01' WHERE kind = 'usage_statement' AND account_id ="
            " (SELECT id FROM customers_account WHERE external_id = 'beta')"
        ),
        "statements",
        "account beta, 2026-10",
    ),
}


def test_a_sound_house_is_sound(billed: Any) -> None:
    for each in audits.AUDITS:
        assert audits.run_audit(each.name, at=AT).faults == (), each.name
    assert alarms.open_alarms() == []
    assert {result.name for result in checks.results()} == {each.name for each in audits.AUDITS}
    assert all(result.sound_at == AT for result in checks.results())


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_found(billed: Any, planted: str) -> None:
    spoil, name, says = PLANTED[planted]
    audits.run_audit(name, at=AT)
    later = AT + timedelta(days=1)
    with transaction.atomic():
        spoil()
        found = audits.run_audit(name, at=later)
        assert found.faults
        assert any(says in fault for fault in found.faults), found.faults
        (result,) = [one for one in checks.results() if one.name == name]
        assert (result.faults, result.ran_at, result.sound_at) == (len(found.faults), later, AT)
        (alarm,) = alarms.open_alarms()
        assert (alarm.key, alarm.severity) == (f"audit.{name}", "critical")
        assert found.faults[0] in alarm.what
        transaction.set_rollback(True)  # what is issued here must be sound when the test ends


def test_payments_and_evidence_are_looked_at(billed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Their own tests plant what they find; here it is that they are asked, and that what breaks is no sound result.
    for name, function in (("payments", "check_payments"), ("evidence", "check_evidence")):
        assert audits.audit(name).look.__name__ == function
    spoilt = [
        audits.Audit(each.name, each.what, lambda: (_ for _ in ()).throw(RuntimeError("disk")))
        for each in audits.AUDITS
    ]
    monkeypatch.setattr(audits, "AUDITS", tuple(spoilt))
    for each in spoilt:
        found = audits.run_audit(each.name, at=AT)
        assert found.faults == ("the audit could not be finished: RuntimeError: disk",)


def test_mended_it_is_over(billed: Any) -> None:
    _sql("UPDATE invoicing_number_series SET last = last + 1 WHERE last IS NOT NULL")
    audits.run_audit("documents", at=AT)
    assert len(alarms.open_alarms()) == 1
    _sql("UPDATE invoicing_number_series SET last = last - 1 WHERE last IS NOT NULL")
    assert audits.run_audit("documents", at=AT + timedelta(days=1)).faults == ()
    assert alarms.open_alarms() == []


def test_the_night_runs_them_all_one_after_another(billed: Any) -> None:
    from coulance.flows.tasks import audits as tasks

    tasks.begin(0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT args, lock FROM procrastinate_jobs WHERE task_name LIKE '%%audits.run' ORDER BY id")
        rows = [(json.loads(args) if isinstance(args, str) else args, lock) for args, lock in cursor.fetchall()]
    assert rows == [({"name": each.name}, "flows.audits") for each in audits.AUDITS]
    for args, _ in rows:
        tasks.run(**args)
    assert len(checks.results()) == len(audits.AUDITS)


def test_an_unknown_audit_is_refused(db: Any) -> None:
    with pytest.raises(audits.UnableToAuditError, match="there is no audit leger; there are ledger, samples"):
        audits.audit("leger")


def test_the_commands_print_each_and_end_1_on_a_fault(committed_db: Any) -> None:
    from tests.support.instances import coulance_many, new_home

    with committed_db.connect() as direct:
        direct.execute("INSERT INTO invoicing_number_series (series, year, first, last) VALUES ('base', 2026, 1, 4)")
    with new_home() as home:
        all_, last, open_, cleared, none, unknown = coulance_many(
            home,
            ("audit",),
            ("audit", "--last", "--json"),
            ("alarms",),
            ("alarms", "clear", "audit.documents", "--reason", "a test"),
            ("alarms",),
            ("alarms", "clear", "x", "--reason", "y"),
            DATABASE_URL=committed_db.url,
        )
    states = {
        line.split()[1]: line.split()[0] for line in all_[1].splitlines() if line.split()[0] in {"sound", "FAULT"}
    }
    expected = {f"{each.name}:": "FAULT" if each.name == "documents" else "sound" for each in audits.AUDITS}
    assert (all_[0], states) == (1, expected)
    assert "series base 2026: gave 4 numbers from 1 on, and 0 are in use; the first missing is 1" in all_[1]
    assert {row["audit"]: row["faults"] for row in json.loads(last[1])}["documents"] == 1
    assert (open_[0], open_[1].split()[:2]) == (1, ["critical", "audit.documents"])
    assert cleared[:2] == (0, "Cleared audit.documents.\n")
    assert none[:2] == (0, "No alarm is open.\n")
    assert unknown[0] == 1
    assert unknown[2].startswith("Error: no alarm x is open")
