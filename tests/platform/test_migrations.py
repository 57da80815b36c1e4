"""Migrations go forward while the version before still works: each is judged, and what breaks the rules is refused.

The rules (expand, then contract a version later; no long locks on tables that grow) and why are in docs/operating.md
and ADR 21. What breaks one for a reason is listed here with the reason.
"""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

from coulance.platform import schema
from coulance.platform.concurrently import AddIndexMeanwhile
from coulance.platform.db import lock_key

#: Tables that grow with use: nobody may lock one for as long as it takes to read it. By model, in small letters.
GROWING = {
    "usage": {"batch", "blob", "daypage", "statepage", "segment", "quarantined"},
    "ledger": {"entry", "posting", "party"},
    "invoicing": {
        "document", "documentbody", "documentline", "documenttax", "billedspan", "billeddays", "carriedline",
        "settledfigure",
    },
    "platform": {"auditevent"},
    "customers": {"account", "contact"},
    "services": {"service", "subscription", "series"},
    "payments": {"receipt", "allocation", "bankentry", "statement", "bankstatement"},
    "notices": {"message", "delivery", "evidence", "chain"},
}  # fmt: skip

#: Migrations that break a rule, and why each may. All but the last group came before there was anything to upgrade.
ALLOWED = {
    "arrears.0004_what_acts_did_is_kept": "triggers on tables made just before, and one exchanged for a wider one",
    "arrears.0005_received_late": "exchanges a trigger for one that allows more",
    "catalog.0002_published_is_published": "before the first release: triggers on tables made just before",
    "contracts.0004_guards_of_mails": "triggers on tables made just before",
    "customers.0004_terms": "triggers on tables made just before",
    "disputes.0003_taken_over_debts": "a column that may be empty rewrites nothing; only the new version leaves it so",
    "invoicing.0006_held": "a trigger on a table made just before",
    "invoicing.0007_debit_notes": "constraints unchecked first, then checked; a trigger: each a moment, by itself",
    "invoicing.0008_fees": "exchanges a check for a wider one, unchecked, and checks what is there while others work",
    "overage.0003_armed": "before the first release: an index on a table made just before",
    "overage.0004_ways_out": "before the first release: triggers on tables made just before",
    "overage.0006_running": "a column with a default and a wider text, which rewrite nothing; the rest are new tables",
    "overage.0007_plan_before_the_bill": "exchanges the unique constraint of a table of some rows a month: plans taken",
    "overage.0009_invited_for_all": "a column that may be empty rewrites nothing; only the new version leaves it so",
    "payments.0006_rails_guards": "triggers on tables made just before",
    "payments.0007_reclaims": "a trigger on a table of what was taken over, written once",
    "payments.0009_paybacks": "a column that may be empty rewrites nothing; only the new version leaves it so",
    "payments.0010_payback_guards": "triggers on tables made just before, and one exchanged for a wider one",
    "platform.0002_audit_append_only": "before the first release: triggers on a table made just before",
    "platform.0003_operator_role": "a table of some dozens of rows: operators",
    "platform.0006_sign_in_policy": "makes a table of its own, and its index on it while it is empty",
    "platform.0007_checks_and_limits": "makes a new table unlogged while it is empty",
    "services.0002_series_stamp": "before the first release",
    "sla.0003_incidents": "triggers on new tables, and one that refuses what only the new version writes",
    "usage.0002_pages_and_revisions": "before the first release: the tables hold nothing yet",
}

_HARMS = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN)|RENAME|SET\s+NOT\s+NULL|ALTER\s+COLUMN|ALTER\s+TABLE|CREATE\s+(UNIQUE\s+)?INDEX"
    r"(?!\s+CONCURRENTLY)|UPDATE\s+\w+\s+SET|DELETE\s+FROM|TRUNCATE\s+\w|LOCK\s+TABLE|CREATE\s+(CONSTRAINT\s+)?TRIGGER|"
    r"VACUUM\s+FULL|CLUSTER\s)",
    re.IGNORECASE,
)


def breaches(migration: migrations.Migration) -> Iterator[str]:
    """What in this migration would break the version before, or hold up who works meanwhile."""
    made: set[str] = set()
    guards = migration.name == _GUARDS and (migration.app_label, "0001_initial") in migration.dependencies
    for operation in migration.operations:
        if isinstance(operation, migrations.CreateModel):
            made.add(operation.name.lower())
            continue
        name = getattr(operation, "model_name", getattr(operation, "name", "")).lower()
        if name in made:
            continue
        grows = name in GROWING.get(migration.app_label, set())
        yield from (f"{type(operation).__name__} {name}: {why}" for why in _breaches(operation, grows, guards=guards))


def _breaches(operation: Any, grows: bool, *, guards: bool = False) -> Iterator[str]:
    if isinstance(operation, migrations.RemoveField | migrations.DeleteModel):
        yield "the version before still reads it; remove it a version after nothing uses it"
    elif isinstance(operation, migrations.RenameField | migrations.RenameModel | migrations.AlterModelTable):
        yield "the version before knows the old name; add the new one beside it"
    elif isinstance(operation, migrations.AddField):
        field = operation.field
        if not field.null and field.db_default is NOT_PROVIDED and not field.many_to_many:
            yield "the version before doesn't fill it; make it nullable or give it a db_default"
        if grows and (field.is_relation or getattr(field, "unique", False) or field.db_index):
            yield "its index or foreign key locks a growing table; add the index concurrently, the key not valid first"
    elif isinstance(operation, migrations.AlterField):
        yield "may rewrite the table, or demand what the version before doesn't give"
    elif isinstance(operation, migrations.AddConstraint) and not isinstance(operation, AddConstraintNotValid) and grows:
        yield "reads a growing table under a lock; use AddConstraintNotValid, then ValidateConstraint"
    elif isinstance(operation, migrations.AddIndex) and not isinstance(operation, AddIndexConcurrently) and grows:
        yield "locks a growing table while it is built; use AddIndexConcurrently in a migration with atomic = False"
    elif isinstance(operation, migrations.RunPython):
        yield "can do anything; say why it may"
    elif isinstance(operation, migrations.RunSQL):
        text = operation.sql if isinstance(operation.sql, str) else " ".join(map(str, operation.sql))
        if not guards and (found := _HARMS.search(text)):
            yield f"{' '.join(found[0].split())}: say why it may"
    elif isinstance(operation, migrations.SeparateDatabaseAndState):
        for inner in operation.database_operations:
            yield from _breaches(inner, grows)


_GUARDS = "0002_guards"
"""A room's guards come right after its tables: its triggers are put on what is empty still."""


def _ours() -> dict[str, migrations.Migration]:
    found = MigrationLoader(None, ignore_no_migrations=True).disk_migrations.values()
    return {f"{one.app_label}.{one.name}": one for one in found if one.__module__.startswith("coulance.")}


def test_every_migration_lets_the_version_before_work_on() -> None:
    ours = _ours()
    assert len(ours) > 20
    wrong = {name: list(breaches(one)) for name, one in ours.items() if name not in ALLOWED}
    assert {name: found for name, found in wrong.items() if found} == {}
    assert ALLOWED.keys() <= ours.keys(), "listed, and gone"
    assert [name for name in ALLOWED if not list(breaches(ours[name]))] == [], "listed without need"


def _migration(*operations: Any, app: str = "invoicing") -> migrations.Migration:
    planted = migrations.Migration("0099_planted", app)
    planted.operations = list(operations)
    return planted


NUMBER = models.IntegerField
#: What is planted, and whether it is refused.
JUDGED: list[tuple[str, Any, bool]] = [
    ("removing a field", migrations.RemoveField("document", "number"), True),
    ("removing a table", migrations.DeleteModel("Document"), True),
    ("renaming a field", migrations.RenameField("document", "number", "no"), True),
    ("renaming a table", migrations.RenameModel("Document", "Paper"), True),
    ("a field that must be given", migrations.AddField("document", "x", NUMBER(default=1)), True),
    ("a field with a default in the database", migrations.AddField("document", "x", NUMBER(db_default=1)), False),
    ("a field that may be empty", migrations.AddField("document", "x", NUMBER(null=True)), False),
    ("an indexed field", migrations.AddField("document", "x", NUMBER(null=True, db_index=True)), True),
    ("changing a field", migrations.AlterField("document", "number", models.TextField()), True),
    ("an index", migrations.AddIndex("document", models.Index(fields=["number"], name="i")), True),
    ("an index made aside", AddIndexConcurrently("document", models.Index(fields=["number"], name="i")), False),
    ("an index of a small table", migrations.AddIndex("billingrun", models.Index(fields=["state"], name="i")), False),
    ("a check", migrations.AddConstraint("document", models.CheckConstraint(condition=models.Q(), name="c")), True),
    (
        "a check for what is to come",
        AddConstraintNotValid("document", models.CheckConstraint(condition=models.Q(), name="c")),
        False,
    ),
    ("a program", migrations.RunPython(migrations.RunPython.noop), True),
    ("an update", migrations.RunSQL("UPDATE invoicing_document SET number = ''"), True),
    ("an index in SQL", migrations.RunSQL("create index i on invoicing_document (number)"), True),
    (
        "an index in SQL made aside",
        migrations.RunSQL("CREATE INDEX CONCURRENTLY i ON invoicing_document (number)"),
        False,
    ),
    ("a view", migrations.RunSQL("CREATE VIEW v AS SELECT 1"), False),
    (
        "the same kept from Django's eyes",
        migrations.SeparateDatabaseAndState([migrations.RemoveField("document", "number")]),
        True,
    ),
    (
        "a new table with all it wants",
        migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True))]),
        False,
    ),
]


@pytest.mark.parametrize(("operation", "refused"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED])
def test_what_is_planted_is_judged(operation: Any, refused: bool) -> None:
    assert bool(list(breaches(_migration(operation)))) is refused


def test_a_table_in_use_is_waited_for_a_second_at_a_time(committed_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection
    from django.db.utils import OperationalError

    tries: list[str] = []

    def change(*_: Any, **__: Any) -> None:
        tries.append("x")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE platform_alarm ADD COLUMN planted int")

    monkeypatch.setattr(schema, "call_command", change)
    monkeypatch.setattr(schema, "pending", lambda **_: ["planted.0001_x"])
    monkeypatch.setattr(schema, "_LOCK_WAIT_MS", 60)
    monkeypatch.setattr(schema, "_LET_THROUGH_S", 0.02)
    said: list[str] = []
    with committed_db.connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM platform_alarm")
        with pytest.raises(schema.UnableToMigrateError, match=r"planted\.0001_x needs a table that others have used"):
            schema.migrate(patience_s=0.2)
        assert 2 <= len(tries) <= 6
        threading.Timer(0.3, lambda: other.execute("ROLLBACK")).start()
        assert schema.migrate(say=said.append) == ["planted.0001_x"]
    assert said
    assert said[0].startswith("planted.0001_x waits for others to finish")
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)

    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("something else")

    monkeypatch.setattr(schema, "call_command", broken)
    with pytest.raises(OperationalError, match="something else"):
        schema.migrate()


def test_an_index_is_made_while_others_work_and_after_one_that_was_stopped(committed_db: Any) -> None:
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.state import ModelState, ProjectState

    state = ProjectState()
    state.add_model(ModelState.from_model(apps.get_model("platform", "Alarm")))
    made = AddIndexMeanwhile("alarm", models.Index(fields=["severity"], name="planted_by_severity"))
    table = "platform_alarm"
    with committed_db.connect() as other, connection.cursor() as cursor:
        # What a stopped one leaves behind: an index of that name.
        cursor.execute(f"CREATE INDEX planted_by_severity ON {table} (key)")
        cursor.execute("SET lock_timeout = '50ms'")
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE false")
        timer = threading.Timer(0.4, lambda: other.execute("COMMIT"))
        timer.start()
        try:
            with connection.schema_editor(atomic=False) as editor:
                made.database_forwards("platform", editor, state, state)
            cursor.execute(
                "SELECT i.indisvalid, pg_get_indexdef(i.indexrelid) FROM pg_index i"
                " WHERE i.indexrelid = 'planted_by_severity'::regclass"
            )
            valid, definition = cursor.fetchone()
            assert valid
            assert definition.endswith("(severity)")
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("50ms",)
        finally:
            timer.join()
            cursor.execute("SET lock_timeout = 0")
            cursor.execute("DROP INDEX IF EXISTS planted_by_severity")


def test_who_waits_for_another_migrator_holds_no_index_up(committed_db: Any) -> None:
    from django.db import connection

    asked = threading.Event()

    def second() -> None:
        asked.set()
        try:
            assert schema.migrate() == []
        finally:
            connection.close()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [lock_key("coulance", "migrate")])
        waiting = threading.Thread(target=second)
        waiting.start()
        asked.wait(5)
        try:
            for _ in range(5):
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'")
                assert cursor.fetchone() == (0,)
                waiting.join(0.05)
            assert waiting.is_alive()
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [lock_key("coulance", "migrate")])
            waiting.join(10)
    assert not waiting.is_alive()


def test_the_plan_tells_and_changes_nothing(committed_db: Any) -> None:
    from tests.support.instances import coulance, new_home

    with new_home() as home:
        assert (
            coulance(home, "migrate", "--plan", DATABASE_URL=committed_db.url).stdout == "The database is up to date.\n"
        )
        with committed_db.connect() as direct:
            direct.execute("DELETE FROM django_migrations WHERE app = 'platform' AND name >= '0007'")
        told = coulance(home, "migrate", "--plan", DATABASE_URL=committed_db.url).stdout
        assert "platform.0007_checks_and_limits\n  Create model CheckResult\n" in told
        assert "  SQL: ALTER TABLE platform_rate_limit SET UNLOGGED\n" in told
        with committed_db.connect() as direct:
            assert direct.execute("SELECT count(*) FROM django_migrations WHERE name LIKE '0007_ch%%'").fetchone() == (
                0,
            )
