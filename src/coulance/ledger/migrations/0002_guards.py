"""What the journal guarantees, whoever writes to it: triggers that prove each entry and refuse every change.

Cheap in bulk: one deferred check an entry, and one set-based check a statement for postings.
"""

from django.db import migrations

FORWARD = r"""
-- The top-level transaction that made an entry. Postings come in that transaction or never.
ALTER TABLE ledger_entry ADD COLUMN xact xid8 NOT NULL DEFAULT pg_current_xact_id();

CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what is booked stays booked', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Correct an entry by reversing it.';
END $$;

CREATE TRIGGER ledger_entry_refuse BEFORE DELETE OR TRUNCATE ON ledger_entry
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_posting_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_posting
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_party_refuse BEFORE DELETE OR TRUNCATE ON ledger_party
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_hold_refuse BEFORE DELETE OR TRUNCATE ON ledger_hold
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();
CREATE TRIGGER ledger_day_seal_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_day_seal
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- An entry changes in one way: its source is forgotten, once its party is erased.
CREATE FUNCTION ledger_entry_may_forget() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  forgotten ledger_entry := OLD;
BEGIN
  forgotten.source := NULL;
  IF NEW IS DISTINCT FROM forgotten
     OR NOT EXISTS (SELECT 1 FROM ledger_party p WHERE p.id = OLD.party_id AND p.erased_at IS NOT NULL) THEN
    RAISE EXCEPTION 'UPDATE of ledger_entry is refused: what is booked stays booked'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Correct an entry by reversing it.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_entry_may_forget BEFORE UPDATE ON ledger_entry
  FOR EACH ROW EXECUTE FUNCTION ledger_entry_may_forget();

-- A party changes in one way: it is erased, for good.
CREATE FUNCTION ledger_party_may_be_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.pseudonym) IS DISTINCT FROM (OLD.id, OLD.pseudonym)
     OR OLD.erased_at IS NOT NULL OR NEW.erased_at IS NULL OR NEW.salt IS NOT NULL OR NEW.account_id IS NOT NULL THEN
    RAISE EXCEPTION 'UPDATE of ledger_party is refused: a party is only ever erased, once'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_party_may_be_erased BEFORE UPDATE ON ledger_party
  FOR EACH ROW EXECUTE FUNCTION ledger_party_may_be_erased();

-- A hold changes in one way: it is released, once.
CREATE FUNCTION ledger_hold_may_be_released() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  released ledger_hold := OLD;
BEGIN
  released.released_at := NEW.released_at;
  released.released_why := NEW.released_why;
  IF OLD.released_at IS NOT NULL OR NEW.released_at IS NULL OR NEW IS DISTINCT FROM released THEN
    RAISE EXCEPTION 'UPDATE of ledger_hold is refused: a hold is only ever released, once'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_hold_may_be_released BEFORE UPDATE ON ledger_hold
  FOR EACH ROW EXECUTE FUNCTION ledger_hold_may_be_released();

-- Entries are not recorded in a day that is sealed. (Sealing takes a lock that waits for writers; see operations.)
CREATE FUNCTION ledger_entry_day_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  sealed date := (SELECT max(day) FROM ledger_day_seal);
BEGIN
  IF sealed IS NOT NULL AND EXISTS (SELECT 1 FROM new_rows WHERE (recorded_at AT TIME ZONE 'UTC')::date <= sealed) THEN
    RAISE EXCEPTION 'the journal is sealed up to %: nothing more is recorded in it', sealed
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_entry_day_is_open AFTER INSERT ON ledger_entry
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION ledger_entry_day_is_open();

-- Postings come in their entry's own transaction and fill its places 1 to n. With the primary key (entry, no) that
-- means: once the places are full, no leg can be added, not even later in the same transaction.
CREATE FUNCTION ledger_posting_has_place() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stray bigint;
BEGIN
  SELECT n.entry_id INTO stray FROM new_rows n LEFT JOIN ledger_entry e ON e.id = n.entry_id
   WHERE e.id IS NULL OR e.xact <> pg_current_xact_id() OR n.no > e.postings LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'a posting has no place in entry %: postings come with their entry, in its transaction', stray
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_posting_has_place AFTER INSERT ON ledger_posting
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION ledger_posting_has_place();

-- Proven once for each entry, at commit: all its places are filled, each currency sums to zero, it follows its party's
-- last entry by sequence and hash, and a reversal mirrors what it reverses.
CREATE FUNCTION ledger_entry_is_proven() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  filled bigint;
  balanced boolean;
  before bytea;
BEGIN
  SELECT sum(n), bool_and(left_over = 0) INTO filled, balanced FROM (
    SELECT count(*) AS n, sum(amount) AS left_over FROM ledger_posting WHERE entry_id = NEW.id GROUP BY currency) legs;
  IF filled IS DISTINCT FROM NEW.postings THEN
    RAISE EXCEPTION 'entry % says it has % postings and has %', NEW.id, NEW.postings, coalesce(filled, 0)
      USING ERRCODE = 'check_violation';
  END IF;
  IF NOT balanced THEN
    RAISE EXCEPTION 'entry % does not sum to zero in every currency', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.xact <> pg_current_xact_id() THEN
    RAISE EXCEPTION 'entry % claims another transaction', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.seq = 1 THEN
    before := decode(repeat('00', 32), 'hex');
  ELSE
    SELECT hash INTO before FROM ledger_entry WHERE party_id = NEW.party_id AND seq = NEW.seq - 1;
  END IF;
  IF before IS DISTINCT FROM NEW.previous_hash OR length(NEW.hash) <> 32 THEN
    RAISE EXCEPTION 'entry % does not follow entry % of its party', NEW.id, NEW.seq - 1
      USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.reverses_id IS NOT NULL AND (
    NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.id = NEW.reverses_id AND e.party_id = NEW.party_id
                   AND e.kind <> 'reversal' AND e.postings = NEW.postings)
    OR EXISTS (SELECT 1 FROM ledger_posting m
                 LEFT JOIN ledger_posting o ON o.entry_id = NEW.reverses_id AND o.no = m.no
                WHERE m.entry_id = NEW.id
                  AND (o.account, o.currency, o.amount) IS DISTINCT FROM (m.account, m.currency, -m.amount))) THEN
    RAISE EXCEPTION 'entry % does not mirror the entry it reverses', NEW.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_entry_is_proven AFTER INSERT ON ledger_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_is_proven();

-- Seals follow each other in time and by hash.
CREATE FUNCTION ledger_day_seal_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  latest ledger_day_seal;
BEGIN
  SELECT * INTO latest FROM ledger_day_seal ORDER BY day DESC LIMIT 1;
  IF NEW.previous IS DISTINCT FROM coalesce(latest.seal, decode(repeat('00', 32), 'hex')) OR NEW.day <= latest.day THEN
    RAISE EXCEPTION 'the seal of % does not follow the last one', NEW.day USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_day_seal_follows BEFORE INSERT ON ledger_day_seal
  FOR EACH ROW EXECUTE FUNCTION ledger_day_seal_follows();

COMMENT ON TABLE ledger_entry IS 'Append-only. Each party''s entries chain by hash; see coulance_core.ledger.chain.';
COMMENT ON TABLE ledger_posting IS 'Append-only. Minor units, debit positive; an entry sums to zero in each currency.';
"""

BACKWARD = """
DROP TRIGGER ledger_entry_refuse ON ledger_entry;
DROP TRIGGER ledger_posting_refuse ON ledger_posting;
DROP TRIGGER ledger_party_refuse ON ledger_party;
DROP TRIGGER ledger_hold_refuse ON ledger_hold;
DROP TRIGGER ledger_day_seal_refuse ON ledger_day_seal;
DROP TRIGGER ledger_entry_may_forget ON ledger_entry;
DROP TRIGGER ledger_party_may_be_erased ON ledger_party;
DROP TRIGGER ledger_hold_may_be_released ON ledger_hold;
DROP TRIGGER ledger_entry_day_is_open ON ledger_entry;
DROP TRIGGER ledger_posting_has_place ON ledger_posting;
DROP TRIGGER ledger_entry_is_proven ON ledger_entry;
DROP TRIGGER ledger_day_seal_follows ON ledger_day_seal;
DROP FUNCTION ledger_refuse, ledger_entry_may_forget, ledger_party_may_be_erased, ledger_hold_may_be_released,
  ledger_entry_day_is_open, ledger_posting_has_place, ledger_entry_is_proven, ledger_day_seal_follows;
ALTER TABLE ledger_entry DROP COLUMN xact;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
