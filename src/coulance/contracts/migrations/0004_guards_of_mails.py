"""A mail stays as it came: one that is held is settled once, its words go once. Earnings and bundles are only added to."""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION contracts_mail_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  settling text[] := '{state,ticket_id,settled_at,settled_by,settled_why}';
BEGIN
  IF NEW.words IS NULL AND (to_jsonb(NEW) - 'words') = (to_jsonb(OLD) - 'words') THEN
    RETURN NEW;
  END IF;
  IF OLD.state = 'held' AND OLD.settled_at IS NULL AND NEW.settled_at IS NOT NULL
     AND (to_jsonb(NEW) - settling) = (to_jsonb(OLD) - settling) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'UPDATE of mail % is refused: one that is held is settled once, its words go once', OLD.id
    USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;
CREATE TRIGGER mail_changes BEFORE UPDATE ON contracts_mail
  FOR EACH ROW EXECUTE FUNCTION contracts_mail_changes();
CREATE TRIGGER mail_refuse BEFORE DELETE OR TRUNCATE ON contracts_mail
  FOR EACH STATEMENT EXECUTE FUNCTION contracts_refuse();
CREATE TRIGGER earning_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON contracts_earning
  FOR EACH STATEMENT EXECUTE FUNCTION contracts_refuse();
CREATE TRIGGER bound_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON contracts_bound
  FOR EACH STATEMENT EXECUTE FUNCTION contracts_refuse();
"""

BACKWARD = """
DROP TRIGGER mail_changes ON contracts_mail;
DROP TRIGGER mail_refuse ON contracts_mail;
DROP TRIGGER earning_refuse ON contracts_earning;
DROP TRIGGER bound_refuse ON contracts_bound;
DROP FUNCTION contracts_mail_changes;
"""


class Migration(migrations.Migration):
    dependencies = [("contracts", "0003_mails_bundles_earnings")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
