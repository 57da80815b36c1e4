"""What the rails guarantee, whoever writes to their tables: nothing is collected twice, and nothing agreed is edited.

Rows change only as they may: the columns named with each trigger, states in the order that core's tables say.
"""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

_TABLES = {
    "collection_run": "handed_at,handed_by,cancelled_at,cancelled_by,cancelled_why",
    "collection": "state,sequence,run_id,receipt_id,final_on,return_code,ended_on,why,changed_at",
    "claim": "ended_at",
    "stored_method": "ended_at,ended_by,ended_why",
    "gateway_payment": "state,refs,url,receipt_id,method,failure,final_on,attempts,changed_at",
    "gateway_event": "done_at,outcome,attempts",
    "gateway_refund": "ref,state",
    "gateway_dispute": "back_id",
    "gateway_payout": "",
    "agreement": "ended_at,ended_by,ended_why",
    "announcement": "payment_id,ended_at,why",
}
"""What may change of each table."""
_COLLECTIONS = (
    "planned>filed planned>cancelled filed>handed filed>planned filed>cancelled handed>collected handed>returned"
    " handed>refused collected>returned refused>collected"
).split()
# A payment is made, then perhaps a page, under way, and over; what came may still come after it seemed lost.
_PAYMENTS = (
    "made>open made>pending made>paid made>failed made>expired made>cancelled made>refused"
    " open>pending open>paid open>failed open>expired open>cancelled pending>paid pending>failed pending>expired"
    " pending>cancelled pending>open failed>paid failed>pending failed>open expired>paid cancelled>paid expired>pending"
    " refused>paid"
).split()

FORWARD = r"""
CREATE FUNCTION payments_changes_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changing text[] := string_to_array(TG_ARGV[0], ',');
BEGIN
  IF (to_jsonb(NEW) - changing) IS DISTINCT FROM (to_jsonb(OLD) - changing) THEN
    RAISE EXCEPTION 'UPDATE of % is refused: only % may change', TG_TABLE_NAME, coalesce(nullif(TG_ARGV[0], ''), 'nothing')
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
-- What ended stays ended.
CREATE FUNCTION payments_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.ended_at IS NOT NULL THEN
    RAISE EXCEPTION 'UPDATE of % is refused: it ended', TG_TABLE_NAME
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION payments_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state) = ANY (string_to_array(TG_ARGV[0], ' ')) THEN
    RAISE EXCEPTION '% % is %, and can''t become %', TG_TABLE_NAME, OLD.id, OLD.state, NEW.state
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;

-- A claim is of a debt of its account, and of no more than is open of it when it is made.
CREATE FUNCTION payments_check_claim() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  c payments_claim;
  owner bigint;
  code text;
  left_open bigint;
BEGIN
  PERFORM payments_lock(NEW.account_id);
  SELECT * INTO c FROM payments_claim WHERE id = NEW.id;
  IF c.document_id IS NOT NULL THEN
    SELECT d.account_id, d.currency INTO owner, code FROM invoicing_document d
     WHERE d.id = c.document_id AND d.state = 'issued' AND d.kind <> 'credit_note' AND d.kind <> 'usage_statement';
  ELSE
    SELECT o.account_id, o.currency INTO owner, code FROM payments_opening_item o
     WHERE o.id = c.opening_id AND (o.reversed_on IS NULL OR c.ended_at IS NOT NULL);
  END IF;
  IF (owner, code) IS DISTINCT FROM (c.account_id, c.currency) THEN
    RAISE EXCEPTION 'claim %: it is of no debt of this account in this currency', c.id USING ERRCODE = 'check_violation';
  END IF;
  IF c.ended_at IS NULL THEN
    left_open := payments_open_of(c.document_id, c.opening_id);
    IF c.amount > left_open THEN
      RAISE EXCEPTION 'claim % of % goes beyond the % that is open', c.id, c.amount, left_open
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN NULL;
END $$;
-- At once: what is paid later in the same transaction makes no claim wrong.
CREATE TRIGGER claim_is_sound AFTER INSERT ON payments_claim
  FOR EACH ROW EXECUTE FUNCTION payments_check_claim();

-- The receipt of a collection, or of a payment, is of its account and its amount.
CREATE FUNCTION payments_check_brought() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.receipt_id IS NOT NULL AND NOT EXISTS (
     SELECT 1 FROM payments_receipt r WHERE r.id = NEW.receipt_id AND r.account_id = NEW.account_id
        AND r.amount = NEW.amount AND r.currency = NEW.currency) THEN
    RAISE EXCEPTION '% %: receipt % is of another account or amount', TG_TABLE_NAME, NEW.id, NEW.receipt_id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER collection_brought AFTER INSERT OR UPDATE ON payments_collection
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_brought();
CREATE CONSTRAINT TRIGGER gateway_payment_brought AFTER INSERT OR UPDATE ON payments_gateway_payment
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_brought();

-- What a gateway paid out is in the journal of the house: what came by bank.
CREATE FUNCTION payments_check_payout() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  found_amount bigint;
BEGIN
  SELECT coalesce(sum(l.amount), 0) INTO found_amount FROM ledger_posting l JOIN ledger_entry e ON e.id = l.entry_id
   WHERE e.source = 'payout/' || NEW.id AND l.account = 'cash:' || NEW.gateway AND l.currency = NEW.currency;
  IF found_amount <> -(NEW.net + NEW.fees) THEN
    RAISE EXCEPTION 'payout % is not in the journal as it says: % against %', NEW.id, found_amount, -(NEW.net + NEW.fees)
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payout_is_booked AFTER INSERT ON payments_gateway_payout
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_payout();
"""
FORWARD += "".join(
    f"CREATE TRIGGER {table}_changes_only BEFORE UPDATE ON payments_{table}"
    f" FOR EACH ROW EXECUTE FUNCTION payments_changes_only('{columns}');\n"
    f"CREATE TRIGGER {table}_refuse BEFORE DELETE OR TRUNCATE ON payments_{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse();\n"
    for table, columns in _TABLES.items()
)
FORWARD += "".join(
    f"CREATE TRIGGER {table}_ends_once BEFORE UPDATE ON payments_{table}"
    " FOR EACH ROW EXECUTE FUNCTION payments_ends_once();\n"
    for table in ("claim", "stored_method", "agreement", "announcement")
)
FORWARD += "".join(
    f"CREATE TRIGGER {table}_follows BEFORE UPDATE ON payments_{table}"
    f" FOR EACH ROW EXECUTE FUNCTION payments_follows('{' '.join(allowed)}');\n"
    for table, allowed in (("collection", _COLLECTIONS), ("gateway_payment", _PAYMENTS))
)
BACKWARD = "".join(
    f"DROP TRIGGER {table}_{what} ON payments_{table};\n"
    for what, tables in (
        ("changes_only", _TABLES),
        ("refuse", _TABLES),
        ("ends_once", ("claim", "stored_method", "agreement", "announcement")),
        ("follows", ("collection", "gateway_payment")),
        ("brought", ("collection", "gateway_payment")),
        ("is_sound", ("claim",)),
    )
    for table in tables
)
BACKWARD += """DROP TRIGGER payout_is_booked ON payments_gateway_payout;
DROP FUNCTION payments_changes_only, payments_ends_once, payments_follows, payments_check_claim, payments_check_brought,
  payments_check_payout;
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0005_rails")]

    operations = [
        ValidateConstraint("receipt", "receipt_method"),
        ValidateConstraint("refund", "refund_method"),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
