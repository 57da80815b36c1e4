"""An index on a table that others use meanwhile, in a migration that can be stopped anywhere and run again."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class AddIndexMeanwhile(AddIndexConcurrently):
    """`AddIndexConcurrently` that waits for long transactions and begins anew after one that was stopped.

    PostgreSQL waits for every transaction that is older than the index and holds nobody up by that, so the short waits
    for locks of a migration don't hold here: they would end it again and again. What was stopped left an invalid index
    of that name; it is dropped first. The migration needs `atomic = False`.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        """Make the index."""
        self._ensure_not_in_transaction(schema_editor)
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout'), set_config('lock_timeout', '0', false)")
            before = cursor.fetchone()[0]
            try:
                name = schema_editor.quote_name(self.index.name)
                schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                super().database_forwards(app_label, schema_editor, from_state, to_state)
            finally:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])
