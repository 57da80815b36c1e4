"""What the records of overage guarantee, whoever writes to them: a word once given stays as it was given."""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION overage_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what was said and settled stays on record', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Withdraw it, or add what supersedes it.';
END $$;
CREATE TRIGGER consent_refuse BEFORE DELETE OR TRUNCATE ON overage_consent
  FOR EACH STATEMENT EXECUTE FUNCTION overage_refuse();
CREATE TRIGGER attack_refuse BEFORE DELETE OR TRUNCATE ON overage_attack
  FOR EACH STATEMENT EXECUTE FUNCTION overage_refuse();
CREATE TRIGGER acknowledgement_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON overage_acknowledgement
  FOR EACH STATEMENT EXECUTE FUNCTION overage_refuse();
CREATE TRIGGER warning_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON overage_warning
  FOR EACH STATEMENT EXECUTE FUNCTION overage_refuse();
CREATE TRIGGER settlement_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON overage_settlement
  FOR EACH STATEMENT EXECUTE FUNCTION overage_refuse();

-- A consent is decided once and ended once. Nothing else of it ever changes.
CREATE FUNCTION overage_consent_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  decision text[] := ARRAY['approved', 'decided_at', 'decided_by', 'decision_reason'];
  ending text[] := ARRAY['ended_at', 'ended_why', 'ended_by', 'end_reason'];
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.ended_at IS NOT NULL OR NEW.decided_at IS NOT NULL THEN
      RAISE EXCEPTION 'a consent is given, then decided on, then ended' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.text_hash <> encode(sha256(convert_to(NEW.text_shown, 'UTF8')), 'hex') THEN
      RAISE EXCEPTION 'the hash is not that of the text shown' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.service_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM services_service s WHERE s.id = NEW.service_id AND s.account_id = NEW.account_id) THEN
      RAISE EXCEPTION 'service % is not of account %', NEW.service_id, NEW.account_id
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.ended_at IS NOT NULL
     OR (to_jsonb(NEW) - decision - ending) IS DISTINCT FROM (to_jsonb(OLD) - decision - ending)
     OR (OLD.decided_at IS NOT NULL AND (to_jsonb(NEW) - ending) IS DISTINCT FROM (to_jsonb(OLD) - ending)) THEN
    RAISE EXCEPTION 'UPDATE of consent % is refused: it is only decided on once, and ended once', OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Give another consent: it supersedes this one.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER consent_moves BEFORE INSERT OR UPDATE ON overage_consent
  FOR EACH ROW EXECUTE FUNCTION overage_consent_moves();

CREATE FUNCTION overage_attack_moves() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  withdrawing text[] := ARRAY['withdrawn_at', 'withdrawn_by', 'withdraw_reason'];
BEGIN
  IF OLD.withdrawn_at IS NOT NULL OR (to_jsonb(NEW) - withdrawing) IS DISTINCT FROM (to_jsonb(OLD) - withdrawing) THEN
    RAISE EXCEPTION 'UPDATE of attack % is refused: it is only withdrawn, once', OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Withdraw it, and record another.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER attack_moves BEFORE UPDATE ON overage_attack
  FOR EACH ROW EXECUTE FUNCTION overage_attack_moves();
"""

BACKWARD = """
DROP TRIGGER consent_refuse ON overage_consent;
DROP TRIGGER attack_refuse ON overage_attack;
DROP TRIGGER acknowledgement_refuse ON overage_acknowledgement;
DROP TRIGGER warning_refuse ON overage_warning;
DROP TRIGGER settlement_refuse ON overage_settlement;
DROP TRIGGER consent_moves ON overage_consent;
DROP TRIGGER attack_moves ON overage_attack;
DROP FUNCTION overage_refuse, overage_consent_moves, overage_attack_moves;
"""


class Migration(migrations.Migration):
    dependencies = [("overage", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
