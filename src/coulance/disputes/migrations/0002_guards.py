"""What cases guarantee, whoever writes to the tables: nothing is rewritten, and what is held is what is contested.

The hold is a row of the ledger. A case that is open has exactly one, of its amount; one that is closed has none: asked
at commit, from both sides, so that neither a case nor a hold can change alone.
"""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION disputes_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what was said in a case stays said', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Add a step.';
END $$;
CREATE TRIGGER case_refuse BEFORE DELETE OR TRUNCATE ON disputes_case
  FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse();
CREATE TRIGGER part_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes_part
  FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse();
CREATE TRIGGER step_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes_step
  FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse();
CREATE TRIGGER file_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON disputes_file
  FOR EACH STATEMENT EXECUTE FUNCTION disputes_refuse();

-- A case is of an invoice of its own account and currency, for no more than it; it changes in one way: it is closed.
CREATE FUNCTION disputes_case_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL
       OR (to_jsonb(NEW) - 'closed_at') IS DISTINCT FROM (to_jsonb(OLD) - 'closed_at') THEN
      RAISE EXCEPTION 'UPDATE of case % is refused: a case is only ever closed, once', OLD.id
        USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NEW;
  END IF;
  IF NEW.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'a case is opened, then closed' USING ERRCODE = 'check_violation';
  END IF;
  IF NOT EXISTS (SELECT 1 FROM invoicing_document d WHERE d.id = NEW.document_id AND d.account_id = NEW.account_id
                   AND d.currency = NEW.currency AND d.state = 'issued' AND d.number = NEW.number
                   AND d.kind NOT IN ('credit_note', 'usage_statement') AND d.gross >= NEW.gross) THEN
    RAISE EXCEPTION 'a case is of an issued invoice of its own account, for no more than that comes to'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER case_moves BEFORE INSERT OR UPDATE ON disputes_case
  FOR EACH ROW EXECUTE FUNCTION disputes_case_moves();

-- A line is contested in one open case at a time, and for no more than it comes to. The invoice's row queues writers.
CREATE FUNCTION disputes_part_fits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  c disputes_case;
  line_net bigint;
BEGIN
  SELECT * INTO c FROM disputes_case WHERE id = NEW.case_id;
  PERFORM 1 FROM invoicing_document WHERE id = c.document_id FOR NO KEY UPDATE;
  SELECT net INTO line_net FROM invoicing_document_line WHERE document_id = c.document_id AND no = NEW.line_no;
  IF line_net IS NULL OR NEW.net > line_net THEN
    RAISE EXCEPTION 'line % of % has % to contest, not %', NEW.line_no, c.number, coalesce(line_net, 0), NEW.net
      USING ERRCODE = 'check_violation';
  END IF;
  IF EXISTS (SELECT 1 FROM disputes_case o JOIN disputes_part p ON p.case_id = o.id
              WHERE o.document_id = c.document_id AND o.id <> c.id AND o.closed_at IS NULL
                AND p.line_no = NEW.line_no) THEN
    RAISE EXCEPTION 'line % of % is contested in another open case', NEW.line_no, c.number
      USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER part_fits BEFORE INSERT ON disputes_part
  FOR EACH ROW EXECUTE FUNCTION disputes_part_fits();

-- Steps are numbered without gaps, come in order of time, and none follows the last.
CREATE FUNCTION disputes_step_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  c disputes_case;
  last_no integer;
  last_at timestamptz;
BEGIN
  SELECT * INTO c FROM disputes_case WHERE id = NEW.case_id FOR NO KEY UPDATE;
  SELECT no, at INTO last_no, last_at FROM disputes_step WHERE case_id = NEW.case_id ORDER BY no DESC LIMIT 1;
  IF c.closed_at IS NOT NULL THEN
    RAISE EXCEPTION 'case % is closed: open another', c.id USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  IF NEW.no <> coalesce(last_no, 0) + 1 OR NEW.at < coalesce(last_at, c.opened_at)
     OR (NEW.kind = 'opened') <> (last_no IS NULL) THEN
    RAISE EXCEPTION 'step % (%) does not follow step % of case %', NEW.no, NEW.kind, coalesce(last_no, 0), c.id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER step_follows BEFORE INSERT ON disputes_step
  FOR EACH ROW EXECUTE FUNCTION disputes_step_follows();

CREATE FUNCTION disputes_file_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.sha256 <> encode(sha256(NEW.content), 'hex') OR NEW.size <> octet_length(NEW.content) THEN
    RAISE EXCEPTION 'the hash or size is not that of the content of %', NEW.name USING ERRCODE = 'check_violation';
  END IF;
  PERFORM 1 FROM disputes_case WHERE id = NEW.case_id FOR NO KEY UPDATE;
  IF (SELECT count(*) FROM disputes_file WHERE case_id = NEW.case_id) >= 20 THEN
    RAISE EXCEPTION 'case % has files enough', NEW.case_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER file_fits BEFORE INSERT ON disputes_file
  FOR EACH ROW EXECUTE FUNCTION disputes_file_fits();

-- At commit: a case is open exactly as long as its hold is, and closed by exactly one step.
CREATE FUNCTION disputes_case_holds(case_ bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c disputes_case;
  held bigint;
  strange bigint;
  closing bigint;
  opened bigint;
  parts bigint;
BEGIN
  SELECT * INTO c FROM disputes_case WHERE id = case_;
  IF c.id IS NULL THEN
    RAISE EXCEPTION 'there is no case %, and something of it', case_ USING ERRCODE = 'check_violation';
  END IF;
  SELECT count(*) FILTER (WHERE h.kind = 'dispute' AND h.amount = c.gross AND h.currency = c.currency
                            AND h.about = 'document/' || c.document_id AND p.account_id = c.account_id),
         count(*)
    INTO held, strange
    FROM ledger_hold h JOIN ledger_party p ON p.id = h.party_id
   WHERE h.source = 'dispute/' || case_ AND h.released_at IS NULL;
  SELECT count(*) FILTER (WHERE kind IN ('decided', 'withdrawn', 'lapsed')), count(*) FILTER (WHERE kind = 'opened')
    INTO closing, opened FROM disputes_step WHERE case_id = case_;
  SELECT coalesce(sum(net), 0) INTO parts FROM disputes_part WHERE case_id = case_;
  IF opened <> 1 OR parts <> c.net THEN
    RAISE EXCEPTION 'case % is not whole: % of % before tax is named, with % openings', case_, parts, c.net, opened
      USING ERRCODE = 'check_violation';
  END IF;
  IF (c.closed_at IS NULL AND (held <> 1 OR strange <> 1 OR closing <> 0))
     OR (c.closed_at IS NOT NULL AND (strange <> 0 OR closing <> 1)) THEN
    RAISE EXCEPTION 'case % and what it holds disagree: closed %, % holds, % closing steps', case_,
      c.closed_at IS NOT NULL, strange, closing USING ERRCODE = 'check_violation';
  END IF;
END $$;

CREATE FUNCTION disputes_check_case() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM disputes_case_holds(NEW.id);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER case_is_sound AFTER INSERT OR UPDATE ON disputes_case
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION disputes_check_case();

CREATE FUNCTION disputes_check_child() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM disputes_case_holds(NEW.case_id);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER step_is_sound AFTER INSERT ON disputes_step
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION disputes_check_child();
CREATE CONSTRAINT TRIGGER part_is_sound AFTER INSERT ON disputes_part
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION disputes_check_child();

CREATE FUNCTION disputes_check_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.source !~ '^dispute/[1-9][0-9]{0,17}$' THEN
    RAISE EXCEPTION 'a hold of a dispute is placed by its case, not as %', NEW.source USING ERRCODE = 'check_violation';
  END IF;
  PERFORM disputes_case_holds(split_part(NEW.source, '/', 2)::bigint);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER hold_is_of_a_case AFTER INSERT OR UPDATE ON ledger_hold
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'dispute' AND NEW.about <> '')
  EXECUTE FUNCTION disputes_check_hold();

COMMENT ON TABLE disputes_case IS 'Append-only; closed once. Held in the ledger as dispute/<id> while it is open.';
COMMENT ON TABLE disputes_step IS 'Append-only. What happened in a case, seen by both sides.';
"""

BACKWARD = """
DROP TRIGGER hold_is_of_a_case ON ledger_hold;
DROP TRIGGER case_refuse ON disputes_case;
DROP TRIGGER part_refuse ON disputes_part;
DROP TRIGGER step_refuse ON disputes_step;
DROP TRIGGER file_refuse ON disputes_file;
DROP TRIGGER case_moves ON disputes_case;
DROP TRIGGER part_fits ON disputes_part;
DROP TRIGGER step_follows ON disputes_step;
DROP TRIGGER file_fits ON disputes_file;
DROP TRIGGER case_is_sound ON disputes_case;
DROP TRIGGER step_is_sound ON disputes_step;
DROP TRIGGER part_is_sound ON disputes_part;
DROP FUNCTION disputes_refuse, disputes_case_moves, disputes_part_fits, disputes_step_follows, disputes_file_fits,
  disputes_check_case, disputes_check_child, disputes_check_hold;
DROP FUNCTION disputes_case_holds(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("disputes", "0001_initial"), ("ledger", "0003_hold_about"), ("invoicing", "0002_guards")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
