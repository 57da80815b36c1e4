"""From looks to credits: what wasn't kept is credited to the cent, once, whatever comes late, twice or otherwise."""

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.notices import queries as sent
from coulance.payments import queries as paid
from coulance.sla import looks, operations
from coulance.sla import queries as sla
from coulance.sla.check import check_promises
from coulance.sla.errors import SlaError, UnableToTakeLooksError
from coulance_core.kernel import Money
from coulance_core.sla.paying import Pays
from tests.closing.world import World, recompute_all, table
from tests.sla.office import SLA, Office, instant


def test_fourteen_minutes_down_are_credited_told_and_paid(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T10:14"))
    report = office.credit()
    # 14 of 44,700 minutes of October in Amsterdam, 50 times, of 5.00: 0.0783 -> 0.08.
    assert [str(amount) for _, amount in report.credited] == ["0.08 EUR"]
    (measure,) = sla.measures()
    assert (measure.downtime, measure.unknown) == (14 * 60_000_000, 0)
    assert [(one["since"], one["until"]) for one in measure.outages] == [
        ("2026-10-05T10:00:00+00:00", "2026-10-05T10:14:00+00:00")
    ]
    recompute_all(measure.explanation)
    assert world.papers(kinds="C") == table("""
        C2026-0001 2026-10: -0.08 + -0.02 on B2026-0001, price_reduction
          credit web 10-01..11-01 1: -0.08
    """)
    (message,) = sent.messages(account=office.account)
    assert message.subject == "WEB was down 14 minutes; we credited €0.08"
    again = office.credit("2026-11-05T06:00")
    assert (again.credited, again.notes) == ([], [])
    assert office.credits() == ["0.08"]


def test_closing_credits_before_it_bills_and_only_with_promises(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T11:00"))
    world.close("2026-10")
    assert office.credits() == ["0.34"]
    assert "C2026-0001" in world.papers()


def test_late_evidence_is_a_correction_and_what_was_credited_stays(world: World) -> None:
    office = Office(world)
    kept = office.rows(instant("2026-10-31T20:00"), instant("2026-10-31T23:05"))
    office.hand_over(office.rows(instant("2026-09-30T21:55"), instant("2026-10-31T20:00")))
    office.credit()
    # The last three hours but the two minutes that a look still holds are unknown: credited unasked.
    (first,) = office.credits()
    assert sla.measures()[0].unknown > 0
    office.hand_over(kept, at=instant("2026-11-05T00:00"))
    office.credit("2026-11-05T06:00")
    assert office.credits() == [first], "given in good faith"
    # An operator finds that it was down for half a day: the rest is credited, and no more.
    operations.say(
        service=office.service,
        says="outage",
        since=instant("2026-10-10T00:00"),
        until=instant("2026-10-10T12:00"),
        reason="the switch's log",
        actor="operator:anna",
        at=instant("2026-11-06T00:00"),
    )
    office.credit("2026-11-06T06:00")
    # 720 of 44,700 minutes x 50 x 5.00 = 4.0268 in all.
    assert sum(round(float(one) * 100) for one in office.credits()) == 403
    assert len(sent.messages(account=office.account)) == 2


def test_maintenance_exclusions_and_restrictions_by_their_terms(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T13:00"), ("2026-10-06T10:00", "2026-10-06T11:00"))
    at = instant("2026-10-01T00:00")
    operations.say(
        service=office.service,
        says="maintenance",
        since=instant("2026-10-05T10:00"),
        until=instant("2026-10-05T13:00"),
        reason="new switch",
        actor="operator:anna",
        at=at,
    )
    operations.say(
        service=office.service,
        says="exclusion",
        since=instant("2026-10-06T10:00"),
        until=instant("2026-10-06T11:00"),
        kind="force_majeure",
        evidence="the city's notice of 6 October",
        reason="flood",
        actor="operator:anna",
        at=instant("2026-10-07T00:00"),
    )
    office.credit()
    (measure,) = sla.measures()
    # Two of three hours are within the quota; the flood is excluded.
    assert measure.downtime == 60 * 60_000_000
    assert "past the quota" in measure.explanation.render()
    with pytest.raises(SlaError, match="hindsight"):
        operations.say(
            service=office.service,
            says="maintenance",
            since=instant("2026-11-05T10:00"),
            until=instant("2026-11-05T13:00"),
            announced_at=at,
            reason="x",
            actor="operator:anna",
            at=instant("2026-11-04T00:00"),
        )


def test_wallet_and_carried_cents(world: World) -> None:
    office = Office(world, SLA.replace("pays =", 'carry_below = ["0.10 EUR"]\npays ='))
    operations.prefer(account=office.account, way=Pays.WALLET, by="contact:anna", at=instant("2026-10-01T00:00"))
    pay_invoices(office)
    office.october(("2026-10-05T10:00", "2026-10-05T10:14"))
    report = office.credit()
    assert report.notes == []
    assert [(str(money), why) for _, money, why in report.carried] == [("0.08 EUR", "carried until it is enough")]
    # A later report makes it enough: one credit note for both, and what was paid goes to the balance.
    case = operations.contest(
        service=office.service,
        account=office.account,
        since=instant("2026-10-07T00:00"),
        until=instant("2026-10-07T01:00"),
        words="our shop was gone",
        by="contact:anna",
        at=instant("2026-11-05T00:00"),
    )
    operations.decide(
        counter=case, accepted=True, reason="our router restarted", actor="operator:bo", at=instant("2026-11-05T01:00")
    )
    report = office.credit("2026-11-05T06:00")
    assert report.notes == ["C2026-0001"]
    assert office.credits() == ["0.08", "0.33"]
    assert paid.prepaid(account=office.account, currency="EUR") == Money(50, "EUR")  # 0.41 and 21 % of it
    assert all(row.left.minor == 0 for row in sla.given())


def pay_invoices(office: Office) -> None:
    from coulance.flows import payments
    from coulance.payments.operations import NewReceipt
    from coulance_core.payments import Method

    owed = sum((item.open for item in paid.open_items(accounts=[office.account])[office.account]), Money(0, "EUR"))
    payments.book_payment(
        receipt=NewReceipt(
            account=office.account,
            amount=owed,
            received_on=instant("2026-10-05T00:00").date(),
            method=Method.BANK,
            source_key="test",
            reason="paid",
        ),
        actor="test",
        at=instant("2026-10-05T12:00"),
    )


def test_the_same_looks_again_are_known_and_a_clock_ahead_is_put_right(world: World) -> None:
    office = Office(world)
    rows = office.rows(instant("2026-10-05T10:00"), instant("2026-10-05T11:00"))
    assert office.hand_over(rows) == looks.Taken(60, 0, 0)
    assert office.hand_over(rows[30:] + office.rows(instant("2026-10-05T11:00"), instant("2026-10-05T11:10"))) == (
        looks.Taken(10, 30, 0)
    )
    while looks.gather(before=instant("2026-12-01T00:00")):
        pass
    assert office.hand_over(rows) == looks.Taken(0, 60, 0)
    (agent,) = sla.agents()
    assert agent.taken == 70
    (stream,) = looks.streams(checks=[office.check], start=instant("2026-10-05T00:00"), end=instant("2026-10-06T00:00"))
    assert stream.at.size == 70
    now = instant("2026-10-06T00:00")
    ahead = office.rows(instant("2026-10-06T00:05"), instant("2026-10-06T00:08"))
    office.hand_over(ahead, at=now)
    (stream,) = looks.streams(checks=[office.check], start=now, end=instant("2026-10-07T00:00"))
    assert stream.at[-1] == 1_791_244_800_000_000, "the last of them is of when it came in"
    unknown = [[10_000, 987_654, rows[0][2], True, 0, ""]]
    assert office.hand_over(unknown) == looks.Taken(0, 0, 1)
    with pytest.raises(UnableToTakeLooksError, match=r"looks\[0\]"):
        office.hand_over([[1, 2, "now", True]])


COLUMNS = (
    'service_id, account_id, period_name, start, "end", no, terms_version, terms, downtime, unknown, availability,'
    " outages, fee, amount, currency, explanation, so_far, at"
)


def next_measure(**changes: str) -> str:
    """SQL that writes the measure again as the next one, with some columns otherwise."""
    columns = [one.strip() for one in COLUMNS.split(",")]
    values = ", ".join(({"no": "2"} | changes).get(one, one) for one in columns)
    return f"INSERT INTO sla_measure ({COLUMNS}) SELECT {values} FROM sla_measure"


GUARDED: dict[str, tuple[str, str]] = {
    "credited twice": (
        (
            f"{next_measure()}; INSERT INTO sla_credit (measure_id, amount, at, by)"
            " SELECT max(id), 1, now(), 'x' FROM sla_measure"
        ),
        "was credited: not 1 more",
    ),
    "owed and not credited": (f"{next_measure(amount='amount + 1')}; SET CONSTRAINTS ALL IMMEDIATE", "only 8 is"),
    "other terms": (next_measure(terms="'{}'"), "judged by the terms"),
    "paid twice": (
        (
            "INSERT INTO sla_payout (credit_id, number, amount, way, at, by)"
            " SELECT id, 'C9', 1, 'wallet', now(), 'x' FROM sla_credit"
        ),
        "not 1 more",
    ),
    "rewritten": ("UPDATE sla_credit SET amount = 1", "stays"),
    "forgotten": ("DELETE FROM sla_entry", "stays"),
    "a check that looks elsewhere": ("UPDATE sla_check SET target = 'https://elsewhere/'", "only ends"),
}


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_database_refuses_what_law_three_refuses(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T10:14"))
    office.credit()
    for statement, refusal in GUARDED.values():
        with pytest.raises(DatabaseError, match=refusal):
            execute(statement)


def test_the_audit_finds_what_the_guards_would_have_refused(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T10:14"))
    office.credit()
    assert list(check_promises()) == []
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("measure", "credit", "payout"):
            cursor.execute(f"ALTER TABLE sla_{table} DISABLE TRIGGER USER")
        cursor.execute("UPDATE sla_payout SET amount = 9")
        cursor.execute("UPDATE sla_credit SET amount = 7")
        cursor.execute("UPDATE sla_measure SET amount = 9")
    arithmetic, missing, paid_twice = check_promises()
    assert arithmetic.endswith("it says 0.09 EUR, and its arithmetic 0.08 EUR")
    assert missing.endswith("7 was credited; 9 is owed, and 9 was at most")
    assert paid_twice.endswith("is 7, and 9 of it was paid")


def test_nobody_to_write_to_stops_no_credit(world: World) -> None:
    office = Office(world)
    office.october(("2026-10-05T10:00", "2026-10-05T10:14"))
    from coulance.customers.models import Contact

    Contact.objects.all().delete()
    assert office.credit().credited
    assert not sent.messages(account=office.account)
