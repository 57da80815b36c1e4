"""What payments guarantee, whoever writes to the tables: nothing is divided twice, and every row is in the journal.

Rows are checked at commit, one account at a time: each check first locks the account's books, as the operations do, so
that two writers who each saw enough left can't both have it.
"""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION payments_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what is booked stays booked', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Undo it by reversing it.';
END $$;
CREATE TRIGGER receipt_refuse BEFORE DELETE OR TRUNCATE ON payments_receipt
  FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse();
CREATE TRIGGER allocation_refuse BEFORE DELETE OR TRUNCATE ON payments_allocation
  FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse();
CREATE TRIGGER refund_refuse BEFORE DELETE OR TRUNCATE ON payments_refund
  FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse();
CREATE TRIGGER opening_refuse BEFORE DELETE OR TRUNCATE ON payments_opening_item
  FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse();

-- A row changes in one way: it is undone, once. All but the four columns of that must stay as they are.
CREATE FUNCTION payments_only_undone() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  undoing text[] := ARRAY['reversed_on', 'reversed_at', 'reversed_kind', 'reversed_why'];
BEGIN
  IF OLD.reversed_on IS NOT NULL OR NEW.reversed_on IS NULL
     OR (to_jsonb(NEW) - undoing) IS DISTINCT FROM (to_jsonb(OLD) - undoing) THEN
    RAISE EXCEPTION 'UPDATE of % is refused: what is booked is only ever undone, once', TG_TABLE_NAME
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Undo it by reversing it.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER receipt_only_undone BEFORE UPDATE ON payments_receipt
  FOR EACH ROW EXECUTE FUNCTION payments_only_undone();
CREATE TRIGGER allocation_only_undone BEFORE UPDATE ON payments_allocation
  FOR EACH ROW EXECUTE FUNCTION payments_only_undone();
CREATE TRIGGER refund_only_undone BEFORE UPDATE ON payments_refund
  FOR EACH ROW EXECUTE FUNCTION payments_only_undone();
CREATE TRIGGER opening_only_undone BEFORE UPDATE ON payments_opening_item
  FOR EACH ROW EXECUTE FUNCTION payments_only_undone();

-- The books of an account, locked until the transaction ends. An account without books has nothing to pay with.
CREATE FUNCTION payments_lock(owner bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  party bigint;
BEGIN
  SELECT id INTO party FROM ledger_party WHERE account_id = owner FOR NO KEY UPDATE;
  IF party IS NULL THEN
    RAISE EXCEPTION 'account % has no books', owner USING ERRCODE = 'check_violation';
  END IF;
  RETURN party;
END $$;

-- An act and its entry come together: under its source, of this party, with this amount on this ledger account; and
-- its reversal exactly when it is undone.
CREATE FUNCTION payments_is_booked(party bigint, entry_source text, ledger_account text, expected bigint, code text,
                                   undone boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  entry bigint;
  found_amount bigint;
BEGIN
  SELECT id INTO entry FROM ledger_entry WHERE source = entry_source AND party_id = party AND kind <> 'reversal';
  SELECT sum(amount) INTO found_amount FROM ledger_posting
   WHERE entry_id = entry AND account = ledger_account AND currency = code;
  IF found_amount IS DISTINCT FROM expected THEN
    RAISE EXCEPTION '% is not in the journal as it should be: % on %, and there is %', entry_source, expected,
      ledger_account, coalesce(found_amount, 0) USING ERRCODE = 'check_violation';
  END IF;
  IF undone IS DISTINCT FROM EXISTS (SELECT 1 FROM ledger_entry WHERE reverses_id = entry) THEN
    RAISE EXCEPTION '% and the journal disagree on whether it is undone', entry_source
      USING ERRCODE = 'check_violation';
  END IF;
END $$;

-- A receipt: what is allocated and refunded of it is no more than it has; of one that is undone, nothing is.
CREATE FUNCTION payments_receipt_holds(receipt_id_ bigint) RETURNS void LANGUAGE plpgsql AS $$
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
  IF r.reversed_on IS NOT NULL AND users > 0 THEN
    RAISE EXCEPTION 'receipt % is undone, and % allocations or refunds of it are not', receipt_id_, users
      USING ERRCODE = 'check_violation';
  END IF;
END $$;

-- A prepaid balance is never below zero.
CREATE FUNCTION payments_prepaid_holds(owner bigint, code text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  balance bigint;
BEGIN
  SELECT coalesce((SELECT sum(amount) FROM payments_allocation WHERE account_id = owner AND currency = code
                     AND prepaid AND reversed_on IS NULL), 0)
       - coalesce((SELECT sum(amount) FROM payments_receipt WHERE account_id = owner AND currency = code
                     AND method = 'prepaid' AND reversed_on IS NULL), 0) INTO balance;
  IF balance < 0 THEN
    RAISE EXCEPTION 'account % would have drawn % more than its prepaid balance', owner, -balance
      USING ERRCODE = 'check_violation';
  END IF;
END $$;

CREATE FUNCTION payments_check_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  r payments_receipt;
  party bigint;
BEGIN
  party := payments_lock(NEW.account_id);
  SELECT * INTO r FROM payments_receipt WHERE id = NEW.id;
  IF r.method <> 'credit' THEN
    PERFORM payments_is_booked(party, 'receipt/' || r.id, 'unallocated', -r.amount, r.currency,
                               r.reversed_on IS NOT NULL);
  END IF;
  PERFORM payments_receipt_holds(r.id);
  IF r.method = 'prepaid' THEN
    PERFORM payments_prepaid_holds(r.account_id, r.currency);
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER receipt_is_sound AFTER INSERT OR UPDATE ON payments_receipt
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_receipt();

-- What is open of an item: as issued, less credit notes that name it, less what is allocated to it.
CREATE FUNCTION payments_open_of(document bigint, opening bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN document IS NOT NULL THEN
      (SELECT gross FROM invoicing_document WHERE id = document)
      + coalesce((SELECT sum(c.gross) FROM invoicing_document c
                   WHERE c.invoice_id = document AND c.state = 'issued'), 0)
      - coalesce((SELECT sum(amount) FROM payments_allocation a
                   WHERE a.document_id = document AND a.reversed_on IS NULL), 0)
    ELSE
      (SELECT o.open FROM payments_opening_item o WHERE id = opening)
      - coalesce((SELECT sum(amount) FROM payments_allocation a
                   WHERE a.opening_id = opening AND a.reversed_on IS NULL), 0)
    END
$$;

CREATE FUNCTION payments_check_allocation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  a payments_allocation;
  r payments_receipt;
  party bigint;
  earliest date;
  owner bigint;
  code text;
  left_open bigint;
BEGIN
  party := payments_lock(NEW.account_id);
  SELECT * INTO a FROM payments_allocation WHERE id = NEW.id;
  SELECT * INTO r FROM payments_receipt WHERE id = a.receipt_id;
  IF (r.account_id, r.currency) IS DISTINCT FROM (a.account_id, a.currency) THEN
    RAISE EXCEPTION 'allocation %: receipt % is of another account or currency', a.id, r.id
      USING ERRCODE = 'check_violation';
  END IF;
  IF a.amount < 0 AND r.method <> 'credit' THEN
    RAISE EXCEPTION 'allocation %: only credit that is set off frees anything', a.id USING ERRCODE = 'check_violation';
  END IF;
  IF NOT a.prepaid THEN
    IF a.document_id IS NOT NULL THEN
      SELECT d.account_id, d.currency, d.issued_on INTO owner, code, earliest FROM invoicing_document d
       WHERE d.id = a.document_id AND d.state = 'issued' AND d.kind IN ('base_invoice', 'overage_invoice');
    ELSE
      SELECT o.account_id, o.currency, o.taken_on INTO owner, code, earliest FROM payments_opening_item o
       WHERE o.id = a.opening_id AND (o.reversed_on IS NULL OR a.reversed_on IS NOT NULL);
    END IF;
    IF (owner, code) IS DISTINCT FROM (a.account_id, a.currency) THEN
      RAISE EXCEPTION 'allocation %: its target is no debt of this account in this currency', a.id
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  IF a.effective_on < greatest(r.received_on, earliest) THEN
    RAISE EXCEPTION 'allocation % counts from %, before its receipt or its debt is there', a.id, a.effective_on
      USING ERRCODE = 'check_violation';
  END IF;
  -- Whether too much goes to an item is asked when it is given, not when it is undone. A credit note on what was paid
  -- makes credit; that is nobody's fault.
  IF TG_OP = 'INSERT' AND a.reversed_on IS NULL AND NOT a.prepaid THEN
    left_open := payments_open_of(a.document_id, a.opening_id);
    IF (a.amount > 0 AND left_open < 0) OR (a.amount < 0 AND left_open > 0) THEN
      RAISE EXCEPTION 'allocation % of % goes beyond what is open: % would be left', a.id, a.amount, left_open
        USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  PERFORM payments_is_booked(party, 'allocation/' || a.id, CASE WHEN a.prepaid THEN 'prepaid' ELSE 'receivable' END,
                             -a.amount, a.currency, a.reversed_on IS NOT NULL);
  PERFORM payments_receipt_holds(a.receipt_id);
  IF a.prepaid THEN
    PERFORM payments_prepaid_holds(a.account_id, a.currency);
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER allocation_is_sound AFTER INSERT OR UPDATE ON payments_allocation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_allocation();

CREATE FUNCTION payments_check_refund() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  f payments_refund;
  r payments_receipt;
  party bigint;
BEGIN
  party := payments_lock(NEW.account_id);
  SELECT * INTO f FROM payments_refund WHERE id = NEW.id;
  SELECT * INTO r FROM payments_receipt WHERE id = f.receipt_id;
  IF (r.account_id, r.currency) IS DISTINCT FROM (f.account_id, f.currency) OR f.refunded_on < r.received_on
     OR r.method = 'write_off' THEN
    RAISE EXCEPTION 'refund %: receipt % is of another account or currency, came later, or is no money', f.id, r.id
      USING ERRCODE = 'check_violation';
  END IF;
  PERFORM payments_is_booked(party, 'refund/' || f.id, 'unallocated', f.amount, f.currency, f.reversed_on IS NOT NULL);
  PERFORM payments_receipt_holds(f.receipt_id);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refund_is_sound AFTER INSERT OR UPDATE ON payments_refund
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_refund();

CREATE FUNCTION payments_check_opening() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  o payments_opening_item;
  party bigint;
BEGIN
  party := payments_lock(NEW.account_id);
  SELECT * INTO o FROM payments_opening_item WHERE id = NEW.id;
  PERFORM payments_is_booked(party, 'opening/' || o.id, 'receivable', o.open, o.currency, o.reversed_on IS NOT NULL);
  IF o.reversed_on IS NOT NULL
     AND EXISTS (SELECT 1 FROM payments_allocation WHERE opening_id = o.id AND reversed_on IS NULL) THEN
    RAISE EXCEPTION 'opening item % is undone, and something is still allocated to it', o.id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER opening_is_sound AFTER INSERT OR UPDATE ON payments_opening_item
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_check_opening();

-- A mandate is used and withdrawn; what the customer signed stays as it is.
CREATE FUNCTION payments_mandate_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changing text[] := ARRAY['sequence', 'last_used_on', 'withdrawn_on', 'withdrawn_why'];
BEGIN
  IF (to_jsonb(NEW) - changing) IS DISTINCT FROM (to_jsonb(OLD) - changing) OR OLD.withdrawn_on IS NOT NULL THEN
    RAISE EXCEPTION 'UPDATE of mandate % is refused: what was signed stays; a withdrawn mandate is over', OLD.reference
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER mandate_stays BEFORE UPDATE ON payments_mandate
  FOR EACH ROW EXECUTE FUNCTION payments_mandate_stays();
CREATE TRIGGER mandate_refuse BEFORE DELETE OR TRUNCATE ON payments_mandate
  FOR EACH STATEMENT EXECUTE FUNCTION payments_refuse();

COMMENT ON TABLE payments_receipt IS 'Append-only; undone once. Each is in the journal as receipt/<id>.';
COMMENT ON TABLE payments_allocation IS 'Append-only; undone once. Each is in the journal as allocation/<id>.';
"""

BACKWARD = """
DROP TRIGGER receipt_refuse ON payments_receipt;
DROP TRIGGER allocation_refuse ON payments_allocation;
DROP TRIGGER refund_refuse ON payments_refund;
DROP TRIGGER opening_refuse ON payments_opening_item;
DROP TRIGGER receipt_only_undone ON payments_receipt;
DROP TRIGGER allocation_only_undone ON payments_allocation;
DROP TRIGGER refund_only_undone ON payments_refund;
DROP TRIGGER opening_only_undone ON payments_opening_item;
DROP TRIGGER receipt_is_sound ON payments_receipt;
DROP TRIGGER allocation_is_sound ON payments_allocation;
DROP TRIGGER refund_is_sound ON payments_refund;
DROP TRIGGER opening_is_sound ON payments_opening_item;
DROP TRIGGER mandate_stays ON payments_mandate;
DROP TRIGGER mandate_refuse ON payments_mandate;
DROP FUNCTION payments_refuse, payments_only_undone, payments_check_receipt, payments_check_allocation,
  payments_check_refund, payments_check_opening, payments_mandate_stays;
DROP FUNCTION payments_receipt_holds(bigint), payments_prepaid_holds(bigint, text), payments_lock(bigint),
  payments_open_of(bigint, bigint), payments_is_booked(bigint, text, text, bigint, text, boolean);
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial"), ("ledger", "0002_guards"), ("invoicing", "0002_guards")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
