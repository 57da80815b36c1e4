"""What the register guarantees, whoever writes to it: a restriction is lifted once and never edited; acts only add up."""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION enforcement_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what was done stays on record', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Lift the restriction, and place another.';
END $$;
CREATE TRIGGER restriction_refuse BEFORE DELETE OR TRUNCATE ON enforcement_restriction
  FOR EACH STATEMENT EXECUTE FUNCTION enforcement_refuse();
CREATE TRIGGER act_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON enforcement_act
  FOR EACH STATEMENT EXECUTE FUNCTION enforcement_refuse();

CREATE FUNCTION enforcement_only_lifted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  lifting text[] := ARRAY['lifted_at', 'lifted_by', 'lift_reason'];
BEGIN
  IF OLD.lifted_at IS NOT NULL OR NEW.lifted_at IS NULL OR NEW.lifted_at < OLD.placed_at
     OR (to_jsonb(NEW) - lifting) IS DISTINCT FROM (to_jsonb(OLD) - lifting) THEN
    RAISE EXCEPTION 'UPDATE of restriction % is refused: it is only ever lifted, once', OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Lift the restriction, and place another.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER restriction_only_lifted BEFORE UPDATE ON enforcement_restriction
  FOR EACH ROW EXECUTE FUNCTION enforcement_only_lifted();

-- Nothing is born lifted, and nobody places or lifts what the executor will not hear of.
CREATE FUNCTION enforcement_is_heard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' AND NEW.lifted_at IS NOT NULL THEN
    RAISE EXCEPTION 'a restriction is placed, and then lifted' USING ERRCODE = 'check_violation';
  END IF;
  IF NOT NEW.observe AND NOT EXISTS (SELECT 1 FROM enforcement_work w WHERE w.service_id = NEW.service_id) THEN
    RAISE EXCEPTION 'the register of service % changes without work to do it', NEW.service_id
      USING ERRCODE = 'check_violation', HINT = 'Place and lift by the operations of the room.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER restriction_is_heard BEFORE INSERT OR UPDATE ON enforcement_restriction
  FOR EACH ROW EXECUTE FUNCTION enforcement_is_heard();
"""

BACKWARD = """
DROP TRIGGER restriction_refuse ON enforcement_restriction;
DROP TRIGGER act_refuse ON enforcement_act;
DROP TRIGGER restriction_only_lifted ON enforcement_restriction;
DROP TRIGGER restriction_is_heard ON enforcement_restriction;
DROP FUNCTION enforcement_refuse, enforcement_only_lifted, enforcement_is_heard;
"""


class Migration(migrations.Migration):
    dependencies = [("enforcement", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
