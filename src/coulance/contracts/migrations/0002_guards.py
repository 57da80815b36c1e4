"""What contracts guarantee, whoever writes to the tables: what was agreed, worked and told stays as it was.

Corrections are rows more. Four tables change in one way each, once: a card is taken back, leave is answered, a charge
gets its invoice and a credit its credit note.
"""

from django.db import migrations

_FIXED = ("contract", "change", "entry", "ticket", "ticket_event", "lapse", "opinion")
_ONCE = {
    "card": ("taken_back_at", ["taken_back_at", "taken_back_by", "taken_back_why"]),
    "leave": ("answered_at", ["answered_at", "approved", "answered_by"]),
    "charge": ("line", ["invoice", "line"]),
}

FORWARD = r"""
CREATE FUNCTION contracts_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% of % is refused: what was agreed and done stays written', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Add a correction.';
END $$;

-- The first argument is the column that says it was done; the others are what may change with it.
CREATE FUNCTION contracts_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  may text[] := TG_ARGV[1]::text[];
BEGIN
  IF to_jsonb(OLD) ->> TG_ARGV[0] IS NOT NULL OR to_jsonb(NEW) ->> TG_ARGV[0] IS NULL
     OR (to_jsonb(NEW) - may) IS DISTINCT FROM (to_jsonb(OLD) - may) THEN
    RAISE EXCEPTION 'UPDATE of % % is refused: only % change, once', TG_TABLE_NAME, OLD.id, TG_ARGV[1]
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION contracts_credit_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.credit_note <> '' OR NEW.credit_note = ''
     OR (to_jsonb(NEW) - 'credit_note') IS DISTINCT FROM (to_jsonb(OLD) - 'credit_note') THEN
    RAISE EXCEPTION 'UPDATE of credit % is refused: it gets its credit note, once', OLD.id
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER credit_once BEFORE UPDATE ON contracts_credit FOR EACH ROW EXECUTE FUNCTION contracts_credit_once();
CREATE TRIGGER credit_refuse BEFORE DELETE OR TRUNCATE ON contracts_credit
  FOR EACH STATEMENT EXECUTE FUNCTION contracts_refuse();

-- Revisions of an entry follow each other without gaps, on one contract: nothing is paid from two.
CREATE FUNCTION contracts_entry_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last contracts_entry;
BEGIN
  PERFORM 1 FROM contracts_contract WHERE id = NEW.contract_id FOR NO KEY UPDATE;
  SELECT * INTO last FROM contracts_entry WHERE source_key = NEW.source_key ORDER BY revision DESC LIMIT 1;
  IF NEW.revision <> coalesce(last.revision, 0) + 1 OR (last.id IS NOT NULL AND last.contract_id <> NEW.contract_id) THEN
    RAISE EXCEPTION 'entry % revision % does not follow revision % of contract %', NEW.source_key, NEW.revision,
      coalesce(last.revision, 0), last.contract_id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER entry_follows BEFORE INSERT ON contracts_entry
  FOR EACH ROW EXECUTE FUNCTION contracts_entry_follows();

-- A ticket counts on a contract of its own account.
CREATE FUNCTION contracts_ticket_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.contract_id IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM contracts_contract c WHERE c.id = NEW.contract_id AND c.account_id = NEW.account_id) THEN
    RAISE EXCEPTION 'ticket % is of another account than its contract', NEW.number USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ticket_fits BEFORE INSERT ON contracts_ticket
  FOR EACH ROW EXECUTE FUNCTION contracts_ticket_fits();

-- Leave is asked for before it is answered: nobody writes both at once.
CREATE FUNCTION contracts_leave_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.answered_at IS NOT NULL THEN
    RAISE EXCEPTION 'leave is asked for, then answered' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER leave_begins BEFORE INSERT ON contracts_leave
  FOR EACH ROW EXECUTE FUNCTION contracts_leave_begins();
"""

BACKWARD = """
DROP TRIGGER credit_once ON contracts_credit;
DROP TRIGGER credit_refuse ON contracts_credit;
DROP TRIGGER entry_follows ON contracts_entry;
DROP TRIGGER ticket_fits ON contracts_ticket;
DROP TRIGGER leave_begins ON contracts_leave;
"""

_FUNCTIONS = (
    "DROP FUNCTION contracts_refuse, contracts_once, contracts_credit_once, contracts_entry_follows,"
    " contracts_ticket_fits, contracts_leave_begins;"
)


def _triggers() -> tuple[str, str]:
    forward, backward = [], []
    for table in _FIXED:
        forward.append(
            f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON contracts_{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION contracts_refuse();"
        )
        backward.append(f"DROP TRIGGER {table}_refuse ON contracts_{table};")
    for table, (done, columns) in _ONCE.items():
        forward.append(
            f"CREATE TRIGGER {table}_once BEFORE UPDATE ON contracts_{table} FOR EACH ROW"
            f" EXECUTE FUNCTION contracts_once('{done}', '{{{','.join(columns)}}}');"
            f"CREATE TRIGGER {table}_refuse BEFORE DELETE OR TRUNCATE ON contracts_{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION contracts_refuse();"
        )
        backward.append(
            f"DROP TRIGGER {table}_once ON contracts_{table}; DROP TRIGGER {table}_refuse ON contracts_{table};"
        )
    return FORWARD + "\n".join(forward), BACKWARD + "\n".join(backward) + _FUNCTIONS


class Migration(migrations.Migration):
    dependencies = [("contracts", "0001_initial")]

    operations = [migrations.RunSQL(*_triggers())]
