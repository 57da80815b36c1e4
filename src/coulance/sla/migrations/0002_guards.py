"""What promises guarantee, whoever writes to the tables: what was seen, said and credited stays; none is paid twice.

Credits of a service and period together never exceed what its measure says; what is paid of a credit never exceeds it;
a service's period is judged by one version of terms.
"""

from django.db import migrations

ADDED_ONLY = ("entry", "counter", "decision", "agreement", "preference", "measure", "credit", "payout")
FUNCTION = r"""
CREATE FUNCTION sla_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what was seen, said and credited stays', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Add an entry that corrects it.';
END $$;
"""
REFUSE = "".join(
    f"CREATE TRIGGER sla_{table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON sla_{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION sla_refuse();"
    for table in ADDED_ONLY
)
ALLOW = "".join(f"DROP TRIGGER sla_{table}_refuse ON sla_{table};" for table in ADDED_ONLY)
FORWARD = r"""
-- Measures of a service's period are numbered without gaps, belong to its own account, and keep the first one's terms.
CREATE FUNCTION sla_measure_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before sla_measure;
BEGIN
  PERFORM 1 FROM services_service WHERE id = NEW.service_id AND account_id = NEW.account_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'service % is not of account %', NEW.service_id, NEW.account_id USING ERRCODE = 'check_violation';
  END IF;
  SELECT * INTO before FROM sla_measure WHERE service_id = NEW.service_id AND period_name = NEW.period_name
   ORDER BY no DESC LIMIT 1;
  IF NEW.no <> coalesce(before.no, 0) + 1 THEN
    RAISE EXCEPTION 'measure % does not follow %', NEW.no, coalesce(before.no, 0) USING ERRCODE = 'check_violation';
  END IF;
  IF before.no IS NOT NULL AND (before.terms IS DISTINCT FROM NEW.terms OR before.currency <> NEW.currency
      OR before.start <> NEW.start OR before."end" <> NEW."end") THEN
    RAISE EXCEPTION 'a period is judged by the terms it was judged by before' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER sla_measure_follows BEFORE INSERT ON sla_measure
  FOR EACH ROW EXECUTE FUNCTION sla_measure_follows();

-- No minute is credited twice: together never more than the measure it rests on.
CREATE FUNCTION sla_credit_fits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  m sla_measure;
  given bigint;
BEGIN
  SELECT * INTO m FROM sla_measure WHERE id = NEW.measure_id;
  PERFORM 1 FROM services_service WHERE id = m.service_id FOR NO KEY UPDATE;
  SELECT coalesce(sum(c.amount), 0) INTO given FROM sla_credit c JOIN sla_measure o ON o.id = c.measure_id
   WHERE o.service_id = m.service_id AND o.period_name = m.period_name;
  IF given + NEW.amount > m.amount THEN
    RAISE EXCEPTION 'service % is owed % for %, and % was credited: not % more', m.service_id, m.amount,
      m.period_name, given, NEW.amount USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER sla_credit_fits BEFORE INSERT ON sla_credit
  FOR EACH ROW EXECUTE FUNCTION sla_credit_fits();

-- No promise is broken without a credit: at commit, the newest measure's amount is credited.
CREATE FUNCTION sla_measure_is_credited() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  given bigint;
BEGIN
  SELECT coalesce(sum(c.amount), 0) INTO given FROM sla_credit c JOIN sla_measure o ON o.id = c.measure_id
   WHERE o.service_id = NEW.service_id AND o.period_name = NEW.period_name;
  IF given < NEW.amount THEN
    RAISE EXCEPTION 'service % is owed % for %, and only % is credited', NEW.service_id, NEW.amount,
      NEW.period_name, given USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER sla_measure_is_credited AFTER INSERT ON sla_measure
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sla_measure_is_credited();

CREATE FUNCTION sla_payout_fits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  owed bigint;
  paid bigint;
BEGIN
  SELECT amount INTO owed FROM sla_credit WHERE id = NEW.credit_id FOR NO KEY UPDATE;
  SELECT coalesce(sum(amount), 0) INTO paid FROM sla_payout WHERE credit_id = NEW.credit_id;
  IF paid + NEW.amount > owed THEN
    RAISE EXCEPTION 'credit % is %, and % of it is paid: not % more', NEW.credit_id, owed, paid, NEW.amount
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER sla_payout_fits BEFORE INSERT ON sla_payout
  FOR EACH ROW EXECUTE FUNCTION sla_payout_fits();

-- A check ends once; what it looks at doesn't change under the looks it has.
CREATE FUNCTION sla_check_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.until IS NOT NULL OR (to_jsonb(NEW) - 'until') IS DISTINCT FROM (to_jsonb(OLD) - 'until') THEN
    RAISE EXCEPTION 'UPDATE of check % is refused: a check only ends, once', OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'End it, and add another.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER sla_check_ends BEFORE UPDATE ON sla_check FOR EACH ROW EXECUTE FUNCTION sla_check_ends();
"""
BACKWARD = """
DROP TRIGGER sla_measure_follows ON sla_measure; DROP FUNCTION sla_measure_follows();
DROP TRIGGER sla_measure_is_credited ON sla_measure; DROP FUNCTION sla_measure_is_credited();
DROP TRIGGER sla_credit_fits ON sla_credit; DROP FUNCTION sla_credit_fits();
DROP TRIGGER sla_payout_fits ON sla_payout; DROP FUNCTION sla_payout_fits();
DROP TRIGGER sla_check_ends ON sla_check; DROP FUNCTION sla_check_ends();
"""


class Migration(migrations.Migration):
    dependencies = [("sla", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION sla_refuse();"),
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
