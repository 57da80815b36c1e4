"""What arrears guarantee, whoever writes to the tables.

Facts are only added, and end once. An act is of an open case; what hurts rests on notices of the same case; what
withholds data has a verified backup, or we hold none, or (deletion) it is recorded that none can be made; who ends or
deletes had the yes of two different people. And no restriction of source arrears is in the register without its act.
"""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION arrears_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: facts of arrears are only added', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;

-- Each table has the columns that may change; what was set stays, but for those in the second list.
CREATE FUNCTION arrears_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  free text[] := string_to_array(TG_ARGV[0], ',');
  again text[] := string_to_array(TG_ARGV[1], ',');
  name text;
BEGIN
  IF (to_jsonb(NEW) - free - again) IS DISTINCT FROM (to_jsonb(OLD) - free - again) THEN
    RAISE EXCEPTION 'UPDATE of % % is refused: what was recorded stays', TG_TABLE_NAME, OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  FOREACH name IN ARRAY free LOOP
    IF coalesce(to_jsonb(OLD)->>name, '') <> '' AND to_jsonb(OLD)->>name IS DISTINCT FROM to_jsonb(NEW)->>name THEN
      RAISE EXCEPTION 'UPDATE of % % is refused: % was set already', TG_TABLE_NAME, OLD.id, name
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
  END LOOP;
  RETURN NEW;
END $$;

DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['terms','case','act','refusal','promise','plan','instalment','approval','stay','backup',
                           'impossible','retrieval','task'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE DELETE OR TRUNCATE ON %I FOR EACH STATEMENT
      EXECUTE FUNCTION arrears_refuse()', t || '_stays', 'arrears_' || t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['terms','promise','instalment','impossible'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION arrears_refuse()',
      t || '_as_it_was', 'arrears_' || t);
  END LOOP;
END $$;

CREATE TRIGGER case_ends BEFORE UPDATE ON arrears_case FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('', 'closed_at,judged_at,wake');
CREATE TRIGGER act_ends BEFORE UPDATE ON arrears_act FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('undone_at,undone_by,ground,wrongful_since', '');
CREATE TRIGGER refusal_ends BEFORE UPDATE ON arrears_refusal FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('until', 'message,explanation');
CREATE TRIGGER plan_ends BEFORE UPDATE ON arrears_plan FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('agreed_at,agreed_by,ended_at,ended_by,ended_why', '');
CREATE TRIGGER approval_ends BEFORE UPDATE ON arrears_approval FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('taken_back_at,taken_back_by', '');
CREATE TRIGGER stay_ends BEFORE UPDATE ON arrears_stay FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('ended_at,ended_by', '');
CREATE TRIGGER backup_ends BEFORE UPDATE ON arrears_backup FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('verified_at,verified_how,lost_at,lost_why', '');
CREATE TRIGGER retrieval_ends BEFORE UPDATE ON arrears_retrieval FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('until', '');
CREATE TRIGGER task_ends BEFORE UPDATE ON arrears_task FOR EACH ROW
  EXECUTE FUNCTION arrears_ends_once('done_at,done_by,note', '');

CREATE FUNCTION arrears_act_may() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  c arrears_case;
  people bigint;
BEGIN
  SELECT * INTO c FROM arrears_case WHERE id = NEW.case_id FOR NO KEY UPDATE;
  IF c.id IS NULL OR c.closed_at IS NOT NULL OR NEW.at < c.opened_at THEN
    RAISE EXCEPTION 'an act is of an open case, not before it was opened' USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.undone_at IS NOT NULL THEN
    RAISE EXCEPTION 'an act is done, then undone' USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.service_id IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM services_service s WHERE s.id = NEW.service_id AND s.account_id = c.account_id) THEN
    RAISE EXCEPTION 'service % is not of the account of case %', NEW.service_id, c.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.observed THEN
    RETURN NEW;
  END IF;
  IF NEW.act IN ('charge_costs', 'charge_interest', 'block_orders', 'throttle', 'limit', 'downgrade', 'suspend',
                 'terminate', 'delete', 'not_renew', 'hand_over') THEN
    IF jsonb_array_length(NEW.rests_on) = 0 OR EXISTS (
         SELECT 1 FROM jsonb_array_elements_text(NEW.rests_on) AS r(id) WHERE NOT EXISTS (
           SELECT 1 FROM arrears_act n WHERE n.id = r.id::bigint AND n.case_id = NEW.case_id AND n.at <= NEW.at
              AND NOT n.observed AND n.messages <> '[]' AND n.debts @> ANY(
                SELECT jsonb_build_array(d) FROM jsonb_array_elements(NEW.debts) AS d))) THEN
      RAISE EXCEPTION '% rests on notices of its own case about its debts, that were sent', NEW.act
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  IF NEW.act IN ('suspend', 'terminate', 'delete') THEN
    IF NEW.service_id IS NULL OR NOT (NEW.no_data OR EXISTS (
         SELECT 1 FROM arrears_backup b WHERE b.id = NEW.backup_id AND b.service_id = NEW.service_id
            AND b.verified_at <= NEW.at AND b.lost_at IS NULL)
       OR (NEW.act = 'delete' AND EXISTS (
         SELECT 1 FROM arrears_impossible i WHERE i.id = NEW.impossible_id AND i.service_id = NEW.service_id)
           AND EXISTS (SELECT 1 FROM arrears_retrieval o WHERE o.service_id = NEW.service_id
             AND o.offered_at + interval '30 days' <= NEW.at
             AND (o.until IS NULL OR o.until >= o.offered_at + interval '30 days')))) THEN
      RAISE EXCEPTION '% withholds data: it wants a verified backup of the service', NEW.act
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  IF NEW.act IN ('terminate', 'delete') THEN
    SELECT count(DISTINCT a.by) INTO people FROM arrears_approval a
     WHERE a.case_id = NEW.case_id AND a.step = NEW.step AND a.service_id IS NOT DISTINCT FROM NEW.service_id
       AND a.taken_back_at IS NULL AND a.at <= NEW.at;
    IF people < 2 THEN
      RAISE EXCEPTION '% wants the yes of two different people; it has %', NEW.act, people
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  IF NEW.restriction IS NOT NULL AND NOT EXISTS (
       SELECT 1 FROM enforcement_restriction r WHERE r.id = NEW.restriction AND r.service_id = NEW.service_id
          AND r.source = 'arrears' AND NOT r.observe) THEN
    RAISE EXCEPTION 'restriction % is none of arrears of that service', NEW.restriction USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER act_may BEFORE INSERT ON arrears_act FOR EACH ROW EXECUTE FUNCTION arrears_act_may();

-- At commit: what the register restricts for arrears stands on an act that was not undone.
CREATE FUNCTION arrears_restriction_has_act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM arrears_act a WHERE a.restriction = NEW.id AND a.undone_at IS NULL)
     AND EXISTS (SELECT 1 FROM enforcement_restriction r WHERE r.id = NEW.id AND r.lifted_at IS NULL) THEN
    RAISE EXCEPTION 'restriction % of a service for arrears has no act behind it', NEW.id
      USING ERRCODE = 'check_violation', HINT = 'Only arrears restrict for a debt: coulance arrears';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER restriction_has_act AFTER INSERT ON enforcement_restriction
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.source = 'arrears' AND NOT NEW.observe)
  EXECUTE FUNCTION arrears_restriction_has_act();

-- A debt has two promises of fourteen days.
CREATE FUNCTION arrears_promise_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM customers_account WHERE id = NEW.account_id FOR NO KEY UPDATE;
  IF NEW.pay_by > (NEW.made_at + interval '15 days')::date THEN
    RAISE EXCEPTION 'a promise is for 14 days at most' USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM jsonb_array_elements(NEW.debts) AS d WHERE (
       SELECT count(*) FROM arrears_promise p WHERE p.account_id = NEW.account_id
          AND p.debts @> jsonb_build_array(d)) >= 2) THEN
    RAISE EXCEPTION 'two promises were made for a debt of these' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER promise_fits BEFORE INSERT ON arrears_promise FOR EACH ROW EXECUTE FUNCTION arrears_promise_fits();

-- A plan is agreed with instalments that come to its total, and one a time holds a debt.
CREATE FUNCTION arrears_plan_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.agreed_at IS NULL OR NEW.ended_at IS NOT NULL THEN
    RETURN NEW;
  END IF;
  IF (SELECT coalesce(sum(amount), 0) FROM arrears_instalment WHERE plan_id = NEW.id) <> NEW.total THEN
    RAISE EXCEPTION 'the instalments of plan % do not come to its total', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE CONSTRAINT TRIGGER plan_fits AFTER INSERT OR UPDATE ON arrears_plan
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION arrears_plan_fits();

COMMENT ON TABLE arrears_act IS 'Append-only; undone once. No act without its case, notices, backup and approvals.';
"""

BACKWARD = """
DROP TRIGGER restriction_has_act ON enforcement_restriction;
DO $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT tgname, tgrelid::regclass AS tab FROM pg_trigger
            WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'arrears\\_%' LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', r.tgname, r.tab);
  END LOOP;
END $$;
DROP FUNCTION arrears_refuse, arrears_ends_once, arrears_act_may, arrears_restriction_has_act, arrears_promise_fits,
  arrears_plan_fits;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("arrears", "0001_initial"),
        ("enforcement", "0002_guards"),
        ("invoicing", "0002_guards"),
        ("services", "0004_agreed_price"),
    ]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
