"""What the hot path needs of the database that Django's models cannot say.

Revisions come from a sequence. Counter pages stay inside their row, uncompressed, two versions to a block, so that an
update is one small write in place; blobs are stored beside their row as they are: samples do not compress further at
a price worth paying. The lengths are checked, for a page of another length would shift every series after it.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            CREATE SEQUENCE usage_revision AS bigint;
            ALTER TABLE usage_blob ALTER COLUMN data SET STORAGE EXTERNAL;
            ALTER TABLE usage_quarantine ALTER COLUMN data SET STORAGE EXTERNAL;
            ALTER TABLE usage_state_page ALTER COLUMN data SET STORAGE PLAIN;
            ALTER TABLE usage_day_page ALTER COLUMN data SET STORAGE PLAIN;
            ALTER TABLE usage_state_page SET (fillfactor = 50);
            ALTER TABLE usage_day_page SET (fillfactor = 50);
            ALTER TABLE usage_state_page ADD CONSTRAINT usage_state_page_length CHECK (octet_length(data) = 3200);
            ALTER TABLE usage_day_page ADD CONSTRAINT usage_day_page_length CHECK (octet_length(data) = 3840);
            CREATE INDEX usage_blob_at ON usage_blob (at_max);
            CREATE INDEX usage_counter_start_at ON usage_counter_start (at);
            """,
            """
            DROP INDEX usage_counter_start_at;
            DROP INDEX usage_blob_at;
            ALTER TABLE usage_day_page DROP CONSTRAINT usage_day_page_length;
            ALTER TABLE usage_state_page DROP CONSTRAINT usage_state_page_length;
            DROP SEQUENCE usage_revision;
            """,
        ),
    ]
