"""kill -9 in the middle of taking in and of crediting: done again, everything is there, once."""

from datetime import timedelta
from itertools import chain
from typing import Any

from django.db import connection

from coulance.payments import queries as paid
from coulance.sla import looks, operations, rates
from coulance.sla import queries as sla
from coulance_core.kernel import Money
from coulance_core.sla.intervals import micros
from coulance_core.sla.paying import Pays
from tests.closing.world import World
from tests.sla.dying import CREDITING, INTAKE, credit, take_in
from tests.sla.office import MINUTE, Office, instant
from tests.sla.test_credits import pay_invoices
from tests.support.crashing import kill_at_each
from tests.support.database import WorkerDatabase

CAME = instant("2026-11-03T00:00")
START, END = instant("2026-09-30T21:55"), instant("2026-10-31T23:05")
SLOTS = [("shop", instant("2026-10-05T10:00") + timedelta(minutes=5 * n), 10, n % 2) for n in range(20)]


def rows_of_october() -> list[list[Any]]:
    """A look a minute, down for an hour; of the first check there is."""
    (check, *_) = sla.checks(outside=False)
    down = instant("2026-10-05T10:00"), instant("2026-10-05T11:00")
    return [
        [n, check.id, micros(START + n * MINUTE), not down[0] <= START + n * MINUTE < down[1], 1, ""]
        for n in range(int((END - START) / MINUTE))
    ]


def test_killed_anywhere_nothing_is_lost_and_nothing_twice(lasting: World, committed_db: WorkerDatabase) -> None:
    office = Office(lasting)
    counts = office.add_check(kind="requests", target="shop", every_s=300)
    operations.prefer(account=office.account, way=Pays.WALLET, by="contact:anna", at=instant("2026-10-01T00:00"))
    pay_invoices(office)
    at = instant("2026-11-04T06:00")
    kill_at_each("tests.sla.dying", [*INTAKE, *chain(*CREDITING)], office.agent, at.isoformat(), database=committed_db)
    take_in(office.agent)
    rows = len(rows_of_october())
    assert sla.agents()[0].taken == rows
    (stream,) = looks.streams(checks=[office.check], start=START, end=END)
    assert (stream.at.size, int((~stream.up).sum())) == (rows, 60)
    (counted,) = rates.rates(checks=[counts], start=START, end=END)
    assert (counted.at.size, int(counted.errors.sum())) == (20, 10)
    credit(at)
    credit(at + timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM sla_measure), (SELECT sum(amount)::int FROM sla_credit),"
            " (SELECT sum(amount)::int FROM sla_payout),"
            " (SELECT -sum(net)::int FROM invoicing_document WHERE kind = 'credit_note'),"
            " (SELECT count(*) FROM notices_message WHERE key LIKE 'sla-credit/%')"
        )
        assert cursor.fetchone() == (1, 34, 34, 34, 1)
    assert paid.prepaid(account=office.account, currency="EUR") == Money(41, "EUR")  # 0.34 and its tax
