"""What the record of messages guarantees, whoever writes to it: what was said and what became known never changes, and
a delivery goes from state to state only as it may; above all, what a server may have is never sent again unsaid.
"""

from django.db import migrations

FORWARD = r"""
CREATE SEQUENCE notices_claim_seq;

CREATE FUNCTION notices_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what was sent and what became known stays as it is', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Record what became known later as further evidence.';
END $$;
CREATE TRIGGER notices_message_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON notices_message
  FOR EACH STATEMENT EXECUTE FUNCTION notices_refuse();
CREATE TRIGGER notices_message_file_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON notices_message_file
  FOR EACH STATEMENT EXECUTE FUNCTION notices_refuse();
CREATE TRIGGER notices_delivery_refuse BEFORE DELETE OR TRUNCATE ON notices_delivery
  FOR EACH STATEMENT EXECUTE FUNCTION notices_refuse();
CREATE TRIGGER notices_evidence_refuse BEFORE DELETE OR TRUNCATE ON notices_evidence
  FOR EACH STATEMENT EXECUTE FUNCTION notices_refuse();
CREATE TRIGGER notices_chain_refuse BEFORE DELETE OR TRUNCATE ON notices_chain
  FOR EACH STATEMENT EXECUTE FUNCTION notices_refuse();
CREATE TRIGGER notices_verification_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON notices_verification
  FOR EACH STATEMENT EXECUTE FUNCTION notices_refuse();
CREATE TRIGGER notices_dead_address_refuse BEFORE DELETE OR TRUNCATE ON notices_dead_address
  FOR EACH STATEMENT EXECUTE FUNCTION notices_refuse();

-- A dead address changes in one way: it is released, once.
CREATE FUNCTION notices_dead_address_is_released() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  released notices_dead_address := OLD;
BEGIN
  released.released_at := NEW.released_at;
  released.released_by := NEW.released_by;
  released.release_reason := NEW.release_reason;
  IF OLD.released_at IS NOT NULL OR NEW IS DISTINCT FROM released THEN
    RAISE EXCEPTION 'UPDATE of notices_dead_address is refused: it is only ever released, once'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER notices_dead_address_is_released BEFORE UPDATE ON notices_dead_address
  FOR EACH ROW EXECUTE FUNCTION notices_dead_address_is_released();

-- A delivery keeps its message, address and Message-ID, and goes from state to state as it may.
CREATE FUNCTION notices_delivery_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.message_id, NEW.address, NEW.name, NEW.header_id, NEW.copy, NEW.resend_of_id) IS DISTINCT FROM
     (OLD.id, OLD.message_id, OLD.address, OLD.name, OLD.header_id, OLD.copy, OLD.resend_of_id) THEN
    RAISE EXCEPTION 'UPDATE of delivery % is refused: another address is another delivery', OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  IF NEW.state <> OLD.state AND NOT (OLD.state, NEW.state) IN (
       ('waiting', 'claimed'), ('waiting', 'held'), ('waiting', 'withdrawn'),
       ('claimed', 'waiting'), ('claimed', 'sending'), ('claimed', 'held'), ('claimed', 'refused'),
       ('sending', 'accepted'), ('sending', 'waiting'), ('sending', 'refused'), ('sending', 'uncertain'),
       ('accepted', 'bounced'),
       ('uncertain', 'accepted'), ('uncertain', 'bounced'), ('uncertain', 'waiting'), ('uncertain', 'withdrawn'),
       ('held', 'waiting'), ('held', 'withdrawn')) THEN
    RAISE EXCEPTION 'delivery % can''t go from % to %', OLD.id, OLD.state, NEW.state
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  IF NEW.state = 'claimed' AND OLD.state = 'claimed' AND NEW.claim <> OLD.claim THEN
    RAISE EXCEPTION 'delivery % is claimed by another sender', OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER notices_delivery_moves BEFORE UPDATE ON notices_delivery
  FOR EACH ROW EXECUTE FUNCTION notices_delivery_moves();

-- A chain grows, and its secret may be destroyed.
CREATE FUNCTION notices_chain_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.pseudonym, NEW.account_id) IS DISTINCT FROM (OLD.id, OLD.pseudonym, OLD.account_id)
     OR NEW.length < OLD.length OR (NEW.salt IS DISTINCT FROM OLD.salt AND NEW.salt IS NOT NULL) THEN
    RAISE EXCEPTION 'UPDATE of notices_chain is refused: a chain only grows'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER notices_chain_grows BEFORE UPDATE ON notices_chain
  FOR EACH ROW EXECUTE FUNCTION notices_chain_grows();

-- Evidence changes in one way: what is personal in it is erased, once the chain's salt is gone.
CREATE FUNCTION notices_evidence_may_forget() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  forgotten notices_evidence := OLD;
BEGIN
  forgotten.personal := NULL;
  IF NEW IS DISTINCT FROM forgotten
     OR NOT EXISTS (SELECT 1 FROM notices_chain c WHERE c.id = OLD.chain_id AND c.salt IS NULL) THEN
    RAISE EXCEPTION 'UPDATE of notices_evidence is refused: what became known stays as it is'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Record what became known later as further evidence.';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER notices_evidence_may_forget BEFORE UPDATE ON notices_evidence
  FOR EACH ROW EXECUTE FUNCTION notices_evidence_may_forget();

-- Each piece follows the one before it in its chain, and the chain's end is the last piece.
CREATE FUNCTION notices_evidence_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stray bigint;
BEGIN
  SELECT n.id INTO stray FROM new_rows n
    LEFT JOIN notices_evidence b ON b.chain_id = n.chain_id AND b.seq = n.seq - 1
    JOIN notices_chain c ON c.id = n.chain_id
   WHERE length(n.hash) <> 32 OR n.seq > c.length OR (n.seq = c.length AND n.hash <> c.head)
      OR n.previous_hash IS DISTINCT FROM (CASE WHEN n.seq = 1 THEN decode(repeat('00', 32), 'hex') ELSE b.hash END)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'evidence % does not follow the one before it in its chain', stray
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER notices_evidence_follows AFTER INSERT ON notices_evidence
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION notices_evidence_follows();

COMMENT ON TABLE notices_evidence IS
  'Append-only. Each account''s evidence chains by hash; see coulance_core.notices.chain.';
"""

BACKWARD = """
DROP TRIGGER notices_message_refuse ON notices_message;
DROP TRIGGER notices_message_file_refuse ON notices_message_file;
DROP TRIGGER notices_delivery_refuse ON notices_delivery;
DROP TRIGGER notices_evidence_refuse ON notices_evidence;
DROP TRIGGER notices_chain_refuse ON notices_chain;
DROP TRIGGER notices_verification_refuse ON notices_verification;
DROP TRIGGER notices_dead_address_refuse ON notices_dead_address;
DROP TRIGGER notices_dead_address_is_released ON notices_dead_address;
DROP TRIGGER notices_delivery_moves ON notices_delivery;
DROP TRIGGER notices_chain_grows ON notices_chain;
DROP TRIGGER notices_evidence_may_forget ON notices_evidence;
DROP TRIGGER notices_evidence_follows ON notices_evidence;
DROP FUNCTION notices_refuse, notices_dead_address_is_released, notices_delivery_moves, notices_chain_grows,
  notices_evidence_may_forget, notices_evidence_follows;
DROP SEQUENCE notices_claim_seq;
"""


class Migration(migrations.Migration):
    dependencies = [("notices", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
