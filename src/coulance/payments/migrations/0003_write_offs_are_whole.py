"""A write-off is no money: all of it stands against debts, or it is undone; nothing of it is ever left over."""

from django.db import migrations

HOLDS = """
CREATE OR REPLACE FUNCTION payments_receipt_holds(receipt_id_ bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r payments_receipt;
  used bigint;
  users bigint;
BEGIN
  SELECT * INTO r FROM payments_receipt WHERE id = receipt_id_;
  SELECT coalesce(sum(amount), 0), count(*) INTO used, users FROM (
    SELECT amount FROM payments_allocation WHERE receipt_id = receipt_id_ AND reversed_on IS NULL
    UNION ALL
    SELECT amount FROM payments_refund WHERE receipt_id = receipt_id_ AND reversed_on IS NULL) uses;
  IF used > r.amount THEN
    RAISE EXCEPTION 'receipt % has %, and % of it is given away', receipt_id_, r.amount, used
      USING ERRCODE = 'check_violation';
  END IF;
  {whole}
  IF r.reversed_on IS NOT NULL AND users > 0 THEN
    RAISE EXCEPTION 'receipt % is undone, and % allocations or refunds of it are not', receipt_id_, users
      USING ERRCODE = 'check_violation';
  END IF;
END $$;
"""
WHOLE = """IF r.method = 'write_off' AND r.reversed_on IS NULL AND used <> r.amount THEN
    RAISE EXCEPTION 'receipt % writes off %, and % of it stands against debts', receipt_id_, r.amount, used
      USING ERRCODE = 'check_violation';
  END IF;"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_guards")]

    operations = [migrations.RunSQL(HOLDS.replace("{whole}", WHOLE), HOLDS.replace("{whole}", ""))]
