"""Debts that were taken over from another system can be contested too: a case is of an invoice, or of such a debt."""

import django.db.models.deletion
from django.db import migrations, models

# As in 0002, with what holds of a debt that was taken over beside what holds of an invoice. The reference is the
# database's alone: payments is no room below this one.
FORWARD = r"""
ALTER TABLE disputes_case ADD CONSTRAINT case_opening_is_there
  FOREIGN KEY (opening_id) REFERENCES payments_opening_item (id) DEFERRABLE INITIALLY DEFERRED;

CREATE OR REPLACE FUNCTION disputes_case_moves() RETURNS trigger LANGUAGE plpgsql AS $$
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
  IF NEW.opening_id IS NOT NULL THEN
    IF NOT EXISTS (SELECT 1 FROM payments_opening_item o WHERE o.id = NEW.opening_id AND o.account_id = NEW.account_id
                     AND o.currency = NEW.currency AND o.number = NEW.number AND o.reversed_on IS NULL
                     AND o.open >= NEW.gross) THEN
      RAISE EXCEPTION 'a case is of a debt of its own account that stands, for no more than was taken over of it'
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF NOT EXISTS (SELECT 1 FROM invoicing_document d WHERE d.id = NEW.document_id AND d.account_id = NEW.account_id
                   AND d.currency = NEW.currency AND d.state = 'issued' AND d.number = NEW.number
                   AND d.kind NOT IN ('credit_note', 'usage_statement') AND d.gross >= NEW.gross) THEN
    RAISE EXCEPTION 'a case is of an issued invoice of its own account, for no more than that comes to'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION disputes_part_fits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  c disputes_case;
  line_net bigint;
BEGIN
  SELECT * INTO c FROM disputes_case WHERE id = NEW.case_id;
  IF c.opening_id IS NOT NULL THEN
    PERFORM 1 FROM payments_opening_item WHERE id = c.opening_id FOR NO KEY UPDATE;
    IF NEW.line_no <> 0 OR NEW.way NOT IN ('whole', 'amount') OR NEW.net <> c.net THEN
      RAISE EXCEPTION '% has no lines here: it is contested as a whole, or an amount of it', c.number
        USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM disputes_case o
                WHERE o.opening_id = c.opening_id AND o.id <> c.id AND o.closed_at IS NULL) THEN
      RAISE EXCEPTION '% is contested in another open case', c.number USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
  END IF;
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

CREATE OR REPLACE FUNCTION disputes_case_holds(case_ bigint) RETURNS void LANGUAGE plpgsql AS $$
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
                            AND h.about = coalesce('document/' || c.document_id, 'opening/' || c.opening_id) AND p.account_id = c.account_id),
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
"""

BACKWARD = r"""
ALTER TABLE disputes_case DROP CONSTRAINT case_opening_is_there;

CREATE OR REPLACE FUNCTION disputes_case_moves() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION disputes_part_fits() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION disputes_case_holds(case_ bigint) RETURNS void LANGUAGE plpgsql AS $$
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
"""


class Migration(migrations.Migration):
    dependencies = [
        ("disputes", "0002_guards"),
        ("invoicing", "0002_guards"),
        ("payments", "0002_guards"),
    ]

    operations = [
        migrations.AlterField(
            "case",
            "document",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="invoicing.document",
            ),
        ),
        migrations.AddField(
            "case",
            "opening",
            models.BigIntegerField(db_column="opening_id", db_index=True, null=True),
        ),
        migrations.AddConstraint(
            "case",
            models.CheckConstraint(
                condition=models.Q(("document__isnull", False), ("opening__isnull", True))
                | models.Q(("document__isnull", True), ("opening__isnull", False), ("tax", 0)),
                name="case_of_one_debt",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
