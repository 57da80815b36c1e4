"""A stamp that is new whenever a series, or the zone it is read in, has changed: it tells caches that they are old."""

from django.db import migrations

FORWARD = """
CREATE TABLE services_series_stamp (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    stamp uuid NOT NULL
);
CREATE FUNCTION services_stamp_series() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO services_series_stamp (stamp) VALUES (gen_random_uuid())
        ON CONFLICT (one) DO UPDATE SET stamp = excluded.stamp;
    RETURN NULL;
END $$;
CREATE TRIGGER series_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON services_series
    FOR EACH STATEMENT EXECUTE FUNCTION services_stamp_series();
CREATE TRIGGER service_moved AFTER UPDATE OF account_id ON services_service
    FOR EACH STATEMENT EXECUTE FUNCTION services_stamp_series();
CREATE TRIGGER account_zone_changed AFTER UPDATE OF zone ON customers_account
    FOR EACH STATEMENT EXECUTE FUNCTION services_stamp_series();
"""

BACKWARD = """
DROP TRIGGER account_zone_changed ON customers_account;
DROP TRIGGER service_moved ON services_service;
DROP TRIGGER series_changed ON services_series;
DROP FUNCTION services_stamp_series();
DROP TABLE services_series_stamp;
"""


class Migration(migrations.Migration):
    dependencies = [("services", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
