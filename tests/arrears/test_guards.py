"""What the database refuses of arrears, whoever asks; the audit that finds what got past it; the provider's table."""

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.arrears import queries as records
from coulance.arrears.provider_table import judge
from coulance.catalog.reader import read_provider_file
from coulance.flows.arrears import people
from coulance.flows.arrears.running import run_arrears
from coulance.invoicing import queries as invoicing
from coulance.invoicing.check import check_documents
from coulance.invoicing.check_laws import check_charges
from coulance.notices.errors import UnableToChangeDeliveryError
from coulance.payments.check import check_payments
from tests.arrears.street import ANNA, ON, Street, at
from tests.closing.world import shown

_ACT = """
INSERT INTO arrears_act (case_id, step, route, act, debts, service_id, at, by, amount, currency, channels, messages,
  rests_on{more}) SELECT case_id, 'x', 'restrict', '{act}', debts, service_id, at + interval '1 day', 'm', 1, 'EUR',
  '[]', '[]', {rests}{values} FROM arrears_act WHERE step = 'suspend'
"""


def _act(act: str, *, rests: str = "rests_on", more: str = "", values: str = "") -> str:
    return _ACT.format(act=act, rests=rests, more=more, values=values)


MONTH = """
INSERT INTO arrears_promise (account_id, debts, pay_by, made_at, by)
SELECT account_id, debts, pay_by + 30, made_at, by FROM arrears_promise
"""
BY_HAND = """
INSERT INTO enforcement_restriction (service_id, source, ref, reason, action, placed_at, placed_by)
SELECT service_id, 'arrears', 'mine', 'because', 'pause', now(), 'mallory' FROM enforcement_restriction LIMIT 1;
SET CONSTRAINTS ALL IMMEDIATE
"""
#: What is tried, how, and what is said to it.
ATTACKS = [
    ("an act is forgotten", "DELETE FROM arrears_act", "only added"),
    ("an act is rewritten", "UPDATE arrears_act SET debts = '[1]'", "stays"),
    ("an act is undone for no reason", "UPDATE arrears_act SET undone_at = at", "arrears_act_undone_whole"),
    ("a promise is made longer", "UPDATE arrears_promise SET pay_by = pay_by + 1", "only added"),
    ("a promise of a month", MONTH, "14 days at most"),
    ("a restriction without notices", _act("throttle", rests="'[]'"), "rests on notices"),
    ("a restriction on no notice of its own", _act("throttle", rests="'[999999]'"), "rests on notices"),
    ("a suspension without a backup", _act("suspend"), "verified backup"),
    (
        "an end that nobody approved",
        _act("terminate", more=", backup_id", values=", backup_id"),
        "two different people",
    ),
    ("a deletion by itself", _act("delete", more=", no_data", values=", true"), "two different people"),
    ("a restriction in the register by hand", BY_HAND, "no act behind it"),
    ("an old backup made young", "UPDATE arrears_backup SET made_at = made_at - interval '9 days'", "stays"),
    ("the terms of a case", "UPDATE arrears_terms SET data = '{}'", "only added"),
    ("a case is moved", "UPDATE arrears_case SET account_id = account_id + 1", "stays"),
]


def test_the_database_refuses_whoever_asks(street: Street) -> None:
    street.billed()
    street.until("2026-07-27", since="2026-06-15")
    from datetime import date

    people.promise(account=street.account, pay_by=date(2026, 7, 30), actor="contact:boss", at=at("2026-07-28"))
    assert street.restricted() == ["pause", "throttle"]
    connection.check_constraints()
    for what, statement, said in ATTACKS:
        assert said in _answer(statement), what
    # What got past the guards is found by the audit: here they are off, as for a superuser.
    assert street.audit() == []
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE arrears_act SET backup_id = NULL WHERE step = 'suspend'")
        cursor.execute("UPDATE arrears_act SET rests_on = '[]' WHERE step = 'throttle'")
        cursor.execute("UPDATE arrears_act SET restriction = NULL WHERE step = 'throttle'")
        cursor.execute("SET session_replication_role = origin")
    assert sorted(fault.partition(": ")[2] for fault in street.audit()) == [
        "hurts, and for one of its debts no notice was taken by a server, posted or seen before it",
        "restricts for arrears, and no act stands behind it",
        "withholds data that we hold, without a backup that was verified before it",
    ]


def _answer(statement: str) -> str:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as refused:
        return str(refused)
    return "it went through"


def test_costs_are_a_document_of_their_own_that_the_audits_find_sound(street: Street) -> None:
    street.billed()
    street.until("2026-07-17", since="2026-06-15")
    (act,) = [row for row in records.acts(account=street.account) if row.step == "costs"]
    assert act.document is not None
    paper = invoicing.document_by_id(document=act.document)
    # NL, business: 15 % of 121.00 is 18.15, and 40.00 at least.
    assert (paper.row.kind, paper.row.gross.decimal(), paper.row.tax.decimal()) == ("fee_invoice", "40.00", "0.00")
    assert paper.snapshot["lines"][0]["description"] == "Costs of collecting B2026-0001"
    assert [str(one) for one in (*check_documents(), *check_charges(), *check_payments())] == []
    assert [item.kind.value for item in _items(street)] == ["base", "costs"]


def _bases(street: Street) -> str:
    return "\n".join(shown(row) for row in street.documents() if row.kind in ("base_invoice", "credit_note"))


def _items(street: Street) -> Any:
    from coulance.payments import queries as payments

    return payments.open_items(accounts=[street.account])[street.account]


def test_no_base_fee_after_one_suspended_period(street: Street) -> None:
    """Suspended from the 27th of July: August is its suspended period, and September is free until it is lifted."""
    street.billed()
    street.until("2026-07-03", since="2026-06-15")
    street.world.close("2026-06")
    street.until("2026-07-27", since="2026-07-04")
    for month in ("2026-07", "2026-08"):
        street.world.close(month)
    papers = _bases(street)
    assert "base vps-1 08-01..09-01" in papers
    assert "09-01..10-01" not in papers
    for item in _items(street):
        street.pays(item.open.decimal(), at("2026-09-10"), item.number)
    run_arrears(at=at("2026-09-10", 9.6), accounts=[street.account])
    assert street.restricted() == []
    street.world.close("2026-09")
    last = _bases(street)
    assert "base vps-1 09-10..10-01" in last
    assert "base vps-1 10-01..11-01" in last


def test_observed_writes_down_and_does_nothing_and_without_its_table_arrears_is_off(
    db: Any, store_here: Any, tmp_path: Any
) -> None:
    street = Street.of(tmp_path, arrears=ON.replace("enforce", "observe"))
    street.billed()
    street.until("2026-07-28", since="2026-06-15")
    assert {"demand", "throttle", "back_up"} <= set(street.steps())
    assert all(row.observed for row in records.acts(account=street.account))
    assert street.subjects() == []
    assert street.restricted() == []
    assert [row.kind for row in street.documents()] == ["base_invoice"]  # and none of costs
    street.off()
    before = street.steps()
    street.run(at("2026-09-01"))
    assert street.steps() == before


def test_a_letter_goes_by_post_when_mail_came_back(street: Street) -> None:
    """Both mailboxes refuse: the demand isn't proven, so it is printed; posted, it is the customer's in the end."""
    street.billed()
    street.until("2026-06-24", since="2026-06-15")
    street.bounces = {"boss@acme.example", "desk@acme.example"}
    street.until("2026-07-12", since="2026-06-25")
    letters = records.tasks(accounts=[street.account], kind="post")
    assert [task.what.split("'")[1] for task in letters] == ["Please pay €121.00: B2026-0001"]
    assert street.held()["block_orders"] == "notice_not_received"
    posted: dict[str, Any] = {"task": letters[0].id, "actor": ANNA, "note": "PostNL, registered 3SABC"}
    with pytest.raises(UnableToChangeDeliveryError, match="no letter goes before"):  # its days would be over at once
        people.finish_task(**posted, at=at("2026-07-12", 15), posted_on=at("2026-06-20"))
    people.finish_task(**posted, at=at("2026-07-12", 15))
    assert records.tasks(accounts=[street.account], kind="post") == []
    assert street.restricted() == []
    assert street.audit() == []


def test_the_table_names_every_fault_by_its_line(tmp_path: Any) -> None:
    path = tmp_path / "provider.toml"
    path.write_text(
        "[arrears]\nmode = 'gentle'\nfast = true\n[[arrears.policy]]\nname = 'a'\nfrom = 2026-01-01\nlaw = 'atlantis'\n"
        "[[arrears.policy.step]]\nkey = 's'\nroute = 'restrict'\nact = 'suspend'\n"
    )
    said = [str(fault) for fault in read_provider_file(path).faults]
    found = "\n".join(one for one in said if "arrears" in one)
    assert 'expected "observe" or "enforce"' in found
    assert "arrears doesn't know it" in found
    assert "hurts, and no notice with evidence comes before it" in found
    assert ":2" in found or "line 2" in found
    assert list(judge({})) == []
    assert [fault.field for fault in judge({"policy": [{"name": "a", "from": "2026-01-01", "law": "xx"}]})] == [
        "policy[0].law"
    ]


def test_a_consumer_in_the_netherlands_is_told_the_law_s_fourteen_days(db: Any, store_here: Any, tmp_path: Any) -> None:
    """The demand is the law's letter: 14 days from the day after receipt, and what collecting costs then."""
    from coulance.notices import queries as sent

    street = Street.of(tmp_path, kind="consumer", language="nl")
    street.billed()
    street.until("2026-07-02", since="2026-06-15")
    row = next(row for row in sent.messages(account=street.account) if row.subject.startswith("Please pay"))
    text = sent.text_of(message=row.message)
    assert text is not None
    assert "within 14 days, counted from the day after you receive this letter" in text.text
    assert "collection costs of €40.00" in text.text
    assert 'class="button" href="http' in text.html
    street.until("2026-07-15", since="2026-07-03")
    assert "costs" not in street.steps()  # received on the 1st: the 15th is the customer's last day
    street.until("2026-07-16", since="2026-07-16")
    assert "costs" in street.steps()
