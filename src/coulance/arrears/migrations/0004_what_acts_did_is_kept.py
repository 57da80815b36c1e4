"""What is guaranteed of what acts did, whoever writes to the tables.

An order to delete is of an act that stands, and neither begins nor ends without two people's yes and the proof that
the act rests on, as both are at that moment; what was done is of who was read back. A collector's package is of a
hand-over and never changes. A plan's interest is billed once.
"""

from django.db import migrations

FORWARD = r"""
DROP TRIGGER plan_ends ON arrears_plan;
CREATE TRIGGER plan_ends BEFORE UPDATE ON arrears_plan FOR EACH ROW EXECUTE FUNCTION arrears_ends_once(
  'agreed_at,agreed_by,ended_at,ended_by,ended_why,interest_document_id,interest_settled_at', '');

DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['package','deletion','unreceived','invitation'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE DELETE OR TRUNCATE ON %I FOR EACH STATEMENT
      EXECUTE FUNCTION arrears_refuse()', t || '_stays', 'arrears_' || t);
  END LOOP;
END $$;
CREATE TRIGGER package_as_it_was BEFORE UPDATE ON arrears_package FOR EACH STATEMENT EXECUTE FUNCTION arrears_refuse();
CREATE TRIGGER unreceived_ends BEFORE UPDATE ON arrears_unreceived FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('until', '');
CREATE TRIGGER deletion_ends BEFORE UPDATE ON arrears_deletion FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('begun_at,ended_at,by,read', 'state,proof');

CREATE FUNCTION arrears_package_may() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM arrears_act a WHERE a.id = NEW.act_id AND a.act = 'hand_over' AND NOT a.observed) THEN
    RAISE EXCEPTION 'a package is of a hand-over' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER package_may BEFORE INSERT ON arrears_package FOR EACH ROW EXECUTE FUNCTION arrears_package_may();

CREATE FUNCTION arrears_deletion_may() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  a arrears_act;
  people bigint;
BEGIN
  IF NEW.state IN ('withdrawn', 'refused') OR (TG_OP = 'UPDATE' AND NEW.state = OLD.state) THEN
    RETURN NEW;
  END IF;
  SELECT * INTO a FROM arrears_act WHERE id = NEW.act_id;
  IF a.act <> 'delete' OR a.observed OR a.service_id IS DISTINCT FROM NEW.service_id THEN
    RAISE EXCEPTION 'a deletion is of an act that deletes this service' USING ERRCODE = 'check_violation';
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.state = 'done' THEN
    IF NEW.begun_at IS NULL THEN
      RAISE EXCEPTION 'a deletion is begun before it is done' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF a.undone_at IS NOT NULL THEN
    RAISE EXCEPTION 'act % was taken back: nothing is deleted by it', a.id USING ERRCODE = 'check_violation';
  END IF;
  SELECT count(DISTINCT p.by) INTO people FROM arrears_approval p
   WHERE p.case_id = a.case_id AND p.step = a.step AND p.service_id IS NOT DISTINCT FROM a.service_id
     AND p.taken_back_at IS NULL;
  IF people < 2 THEN
    RAISE EXCEPTION 'a deletion wants the yes of two different people when it is carried out; it has %', people
      USING ERRCODE = 'check_violation';
  END IF;
  IF NOT (a.no_data
       OR EXISTS (SELECT 1 FROM arrears_backup b WHERE b.service_id = a.service_id AND b.verified_at IS NOT NULL
                   AND b.lost_at IS NULL)
       OR (a.impossible_id IS NOT NULL AND EXISTS (SELECT 1 FROM arrears_retrieval o WHERE o.service_id = a.service_id
             AND o.offered_at + interval '30 days' <= a.at
             AND (o.until IS NULL OR o.until >= o.offered_at + interval '30 days')))) THEN
    RAISE EXCEPTION 'a deletion wants a verified backup that is still there when it is carried out'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER deletion_may BEFORE INSERT OR UPDATE ON arrears_deletion FOR EACH ROW
  EXECUTE FUNCTION arrears_deletion_may();

COMMENT ON TABLE arrears_deletion IS 'Orders to delete data. Never begun without two people and the proof of a backup.';
"""

BACKWARD = """
DROP TRIGGER deletion_may ON arrears_deletion;
DROP TRIGGER package_may ON arrears_package;
DROP FUNCTION arrears_deletion_may, arrears_package_may;
DROP TRIGGER deletion_ends ON arrears_deletion;
DROP TRIGGER unreceived_ends ON arrears_unreceived;
DROP TRIGGER package_as_it_was ON arrears_package;
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['package','deletion','unreceived','invitation'] LOOP
    EXECUTE format('DROP TRIGGER %I ON %I', t || '_stays', 'arrears_' || t);
  END LOOP;
END $$;
DROP TRIGGER plan_ends ON arrears_plan;
CREATE TRIGGER plan_ends BEFORE UPDATE ON arrears_plan FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('agreed_at,agreed_by,ended_at,ended_by,ended_why', '');
"""


class Migration(migrations.Migration):
    dependencies = [("arrears", "0003_what_acts_did")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
