"""What was published stays as it was: the database refuses to change or remove revisions and versions."""

from django.db import migrations

TABLES = ("catalog_revision", "catalog_planversion", "catalog_poolversion")

FORWARD = """
CREATE FUNCTION catalog_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is published: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'object_not_in_prerequisite_state',
              HINT = 'A change is a new revision, with a new version from a later day.';
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {table}_is_published BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION catalog_refuse_change();
CREATE TRIGGER {table}_is_not_emptied BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_refuse_change();
"""
    for table in TABLES
)

BACKWARD = (
    "".join(
        f"DROP TRIGGER {table}_is_not_emptied ON {table}; DROP TRIGGER {table}_is_published ON {table};"
        for table in TABLES
    )
    + "DROP FUNCTION catalog_refuse_change();"
)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
