"""A refund out of a receipt that the bank took back since is reclaimed: an open item that belongs to the refund.

Of a receipt that is undone, every refund that stands is reclaimed to the cent, and nothing is allocated; of one that
stands, nothing is reclaimed.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = r"""
CREATE OR REPLACE FUNCTION payments_receipt_holds(receipt_id_ bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r payments_receipt;
  allocated bigint;
  refunded bigint;
  reclaimed bigint;
  users bigint;
  stray bigint;
  undone bigint;
BEGIN
  SELECT * INTO r FROM payments_receipt WHERE id = receipt_id_;
  SELECT coalesce(sum(amount), 0), count(*) INTO allocated, users
    FROM payments_allocation WHERE receipt_id = receipt_id_ AND reversed_on IS NULL;
  SELECT coalesce(sum(f.amount), 0), coalesce(sum(o.open), 0), min(f.id) FILTER (WHERE o.open IS DISTINCT FROM f.amount)
    INTO refunded, reclaimed, stray
    FROM payments_refund f LEFT JOIN payments_opening_item o ON o.refund_id = f.id AND o.reversed_on IS NULL
   WHERE f.receipt_id = receipt_id_ AND f.reversed_on IS NULL;
  SELECT min(o.refund_id) INTO undone FROM payments_refund f JOIN payments_opening_item o ON o.refund_id = f.id
   WHERE f.receipt_id = receipt_id_ AND f.reversed_on IS NOT NULL AND o.reversed_on IS NULL;
  IF undone IS NOT NULL THEN
    RAISE EXCEPTION 'refund % is undone, and an opening item reclaims it', undone USING ERRCODE = 'check_violation';
  END IF;
  IF r.reversed_on IS NOT NULL THEN
    IF users > 0 OR stray IS NOT NULL THEN
      RAISE EXCEPTION 'receipt % is undone, and allocations of it are not, or a refund of it is not reclaimed',
        receipt_id_ USING ERRCODE = 'check_violation';
    END IF;
    RETURN;
  END IF;
  IF reclaimed <> 0 THEN
    RAISE EXCEPTION 'receipt % stands, and what was refunded of it is reclaimed', receipt_id_
      USING ERRCODE = 'check_violation';
  END IF;
  IF allocated + refunded > r.amount THEN
    RAISE EXCEPTION 'receipt % has %, and % of it is given away', receipt_id_, r.amount, allocated + refunded
      USING ERRCODE = 'check_violation';
  END IF;
  IF r.method = 'write_off' AND allocated + refunded <> r.amount THEN
    RAISE EXCEPTION 'receipt % writes off %, and % of it stands against debts', receipt_id_, r.amount,
      allocated + refunded USING ERRCODE = 'check_violation';
  END IF;
END $$;

CREATE FUNCTION payments_check_reclaim() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  o payments_opening_item;
  f payments_refund;
BEGIN
  SELECT * INTO o FROM payments_opening_item WHERE id = NEW.id;
  SELECT * INTO f FROM payments_refund WHERE id = o.refund_id;
  IF (f.account_id, f.currency) IS DISTINCT FROM (o.account_id, o.currency) THEN
    RAISE EXCEPTION 'opening item % reclaims refund %, which is another account''s', o.id, o.refund_id
      USING ERRCODE = 'check_violation';
  END IF;
  PERFORM payments_is_booked(payments_lock(o.account_id), 'opening/' || o.id, 'unallocated', -o.open, o.currency,
                             o.reversed_on IS NOT NULL);
  PERFORM payments_receipt_holds(f.receipt_id);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER reclaim_is_sound AFTER INSERT OR UPDATE ON payments_opening_item
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.refund_id IS NOT NULL)
  EXECUTE FUNCTION payments_check_reclaim();
"""
BACKWARD = """
DROP TRIGGER reclaim_is_sound ON payments_opening_item;
DROP FUNCTION payments_check_reclaim();
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0006_rails_guards")]

    operations = [
        migrations.AddField(
            "openingitem",
            "refund",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="payments.refund"
            ),
        ),
        migrations.AddConstraint(
            "openingitem",
            models.CheckConstraint(
                condition=models.Q(refund__isnull=True) | models.Q(open__gt=0), name="opening_reclaims_a_debt"
            ),
        ),
        migrations.AddConstraint(
            "openingitem",
            models.UniqueConstraint(
                fields=["refund"], condition=models.Q(reversed_on__isnull=True), name="opening_reclaims_once"
            ),
        ),
        # Deferred checks of rows above would be in the way of what follows, were there any.
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
