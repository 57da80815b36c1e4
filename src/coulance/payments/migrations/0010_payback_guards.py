"""What paybacks guarantee, whoever writes to their tables: what is paid back is booked so, once, as it was asked for."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

_COLLECTION = "state,sequence,run_id,receipt_id,final_on,return_code,ended_on,why,changed_at"
_TABLES = {
    "payback_run": "handed_at,handed_by,cancelled_at,cancelled_by,cancelled_why",
    "payback": "state,iban,run_id,refund_id,bank_says,ended_on,why,changed_at",
    "payback_approval": "",
    "bank_report": "",
}
_STATES = (
    "asked>approved asked>declined approved>filed approved>paid approved>failed approved>declined filed>handed"
    " filed>approved handed>paid handed>failed paid>failed"
)

FORWARD = r"""
DROP TRIGGER collection_changes_only ON payments_collection;
CREATE TRIGGER collection_changes_only BEFORE UPDATE ON payments_collection
  FOR EACH ROW EXECUTE FUNCTION payments_changes_only('@COLLECTION,bank_says,bank_said_at');

-- A payback is of a receipt of its account, and its refund is of that receipt and amount; undone exactly when it failed.
CREATE FUNCTION payments_check_payback() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  p payments_payback;
  r payments_receipt;
  f payments_refund;
BEGIN
  SELECT * INTO p FROM payments_payback WHERE id = NEW.id;
  SELECT * INTO r FROM payments_receipt WHERE id = p.receipt_id;
  IF (r.account_id, r.currency) IS DISTINCT FROM (p.account_id, p.currency) THEN
    RAISE EXCEPTION 'payback %: receipt % is of another account or currency', p.id, r.id
      USING ERRCODE = 'check_violation';
  END IF;
  IF p.refund_id IS NOT NULL THEN
    SELECT * INTO f FROM payments_refund WHERE id = p.refund_id;
    IF (f.receipt_id, f.amount, f.currency) IS DISTINCT FROM (p.receipt_id, p.amount, p.currency) THEN
      RAISE EXCEPTION 'payback %: refund % is of something else', p.id, f.id USING ERRCODE = 'check_violation';
    END IF;
    IF (p.state IN ('failed', 'declined')) IS DISTINCT FROM (f.reversed_on IS NOT NULL) THEN
      RAISE EXCEPTION 'payback % is %, and the books disagree', p.id, p.state USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER payback_is_sound AFTER INSERT OR UPDATE ON payments_payback
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_payback();
CREATE TRIGGER payback_follows BEFORE UPDATE ON payments_payback
  FOR EACH ROW EXECUTE FUNCTION payments_follows('@STATES');
"""
FORWARD = FORWARD.replace("@COLLECTION", _COLLECTION).replace("@STATES", _STATES)
FORWARD += "".join(
    f"CREATE TRIGGER {table}_changes_only BEFORE UPDATE ON payments_{table}"
    f" FOR EACH ROW EXECUTE FUNCTION payments_changes_only('{columns}');\n"
    f"CREATE TRIGGER {table}_refuse BEFORE DELETE OR TRUNCATE ON payments_{table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse();\n"
    for table, columns in _TABLES.items()
)
BACKWARD = "".join(
    f"DROP TRIGGER {table}_changes_only ON payments_{table};\nDROP TRIGGER {table}_refuse ON payments_{table};\n"
    for table in _TABLES
)
BACKWARD += f"""
DROP TRIGGER payback_follows ON payments_payback;
DROP TRIGGER payback_is_sound ON payments_payback;
DROP FUNCTION payments_check_payback;
DROP TRIGGER collection_changes_only ON payments_collection;
CREATE TRIGGER collection_changes_only BEFORE UPDATE ON payments_collection
  FOR EACH ROW EXECUTE FUNCTION payments_changes_only('{_COLLECTION}');
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0009_paybacks")]

    operations = [
        ValidateConstraint("collection", "collection_purpose"),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
