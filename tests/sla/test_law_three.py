"""Law 3 attacked: no minute of downtime without a credit, none twice; late, doubled, contrary, killed anywhere.

The oracle is a bitmap of October's minutes: which was down by the newest of what is known, and what that is worth.
"""

import random
from contextlib import suppress
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.db import connection

from coulance.flows.promises import crediting
from coulance.sla import looks, operations
from coulance.sla import queries as sla
from coulance.sla.check import check_promises
from coulance_core.kernel import Rounding
from coulance_core.kernel.rounding import round_to
from tests.closing.world import World
from tests.sla.office import MINUTE, Office, instant

START, END = instant("2026-09-30T22:00"), instant("2026-10-31T23:00")
MINUTES = int((END - START) / MINUTE)
STEPS = ("_told", "record_payout", "record_measure", "_as_preferred", "_note")


class PowerCutError(BaseException):
    """What nobody catches."""


def owed(down: int) -> Fraction:
    """50 times the charge of so many minutes of 5.00, at most all of it."""
    return min(Fraction(5), round_to(Fraction(5) * 50 * down / MINUTES, 2, Rounding.HALF_UP))


@pytest.mark.parametrize("seed", range(2))
def test_credited_is_what_was_down_by_all_that_was_ever_known(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    office = Office(world)
    down = bytearray(MINUTES)
    for _ in range(rng.randint(0, 4)):
        first = rng.randrange(MINUTES - 400)
        length = rng.randint(1, 30)
        down[first : first + length] = b"\x01" * length
    whole = office.rows(START - 5 * MINUTE, END + 5 * MINUTE)
    for row in whole:
        at = (row[2] - crediting_micros(START)) // 60_000_000
        row[3] = not (0 <= at < MINUTES and down[at])
    batches = [whole[n : n + 5_000] for n in range(0, len(whole), 5_000)]
    rng.shuffle(batches)
    entries: dict[int, tuple[int, int]] = {}
    when = instant("2026-11-04T06:00")
    todo = batches + [rng.choice(batches) for _ in range(2)]  # doubles, in other company
    while todo or rng.random() < 0.4:
        when += timedelta(hours=2)
        act = rng.choice(["batch", "batch", "outage", "retract", "credit", "cut"])
        if act == "batch" and todo:
            office.hand_over(todo.pop(), at=when)
        elif act == "outage":
            first = rng.randrange(MINUTES - 100)
            length = rng.randint(1, 60)
            said = operations.say(
                service=office.service,
                says="outage",
                since=START + first * MINUTE,
                until=START + (first + length) * MINUTE,
                reason="seen",
                actor="operator:anna",
                at=when,
            )
            entries[said.id] = (first, first + length)
        elif act == "retract" and entries:
            entry = rng.choice(sorted(entries))
            operations.retract(entry=entry, reason="it was another", actor="operator:anna", at=when)
            del entries[entry]
        elif act == "credit":
            office.credit(when.isoformat()[:19])
        elif act == "cut":
            cut(office, when, rng.choice(STEPS), monkeypatch)
    while todo:
        office.hand_over(todo.pop(), at=when)
    office.credit((when + timedelta(hours=1)).isoformat()[:19])
    # What is known in the end, by the minute.
    for first, last in entries.values():
        down[first:last] = b"\x01" * (last - first)
    measures, total = everything(office)
    assert measures[-1][0] == sum(down) * 60_000_000
    assert Fraction(measures[-1][1], 100) == owed(sum(down))
    assert total["credited"] == max(amount for _, amount in measures), "the most that was ever owed, once"
    assert total["credited"] >= measures[-1][1], "and no less than is owed now"
    assert total["paid"] == total["credited"] == total["noted"]
    assert total["told"] == total["credits"]
    assert list(check_promises()) == []


def cut(office: Office, when: Any, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credit, and have the power go at a step, before or after it was done."""
    owner = operations if hasattr(operations, step) else crediting
    real = getattr(owner, step)

    def dies(*given: Any, **named: Any) -> Any:
        real(*given, **named)
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, dies)
        with suppress(PowerCutError):
            office.credit(when.isoformat()[:19])


def everything(office: Office) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """Every measure (downtime, amount) in order; what was credited, paid, and is in credit notes; who was told."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT downtime, amount FROM sla_measure ORDER BY no")
        measures = cursor.fetchall()
        totals = {}
        for name, statement in {
            "credited": "SELECT coalesce(sum(amount), 0)::bigint FROM sla_credit",
            "credits": "SELECT count(*) FROM sla_credit",
            "paid": "SELECT coalesce(sum(amount), 0)::bigint FROM sla_payout",
            "noted": "SELECT coalesce(-sum(net), 0)::bigint FROM invoicing_document WHERE kind = 'credit_note'",
            "told": "SELECT count(*) FROM notices_message WHERE key LIKE 'sla-credit/%%'",
        }.items():
            cursor.execute(statement.replace("%%", "%"))
            totals[name] = cursor.fetchone()[0]
    assert all(row.left.minor == 0 for row in sla.given(account=office.account))
    while looks.gather(before=instant("2027-01-01T00:00")):
        pass
    return measures, totals


def crediting_micros(at: Any) -> int:
    """Microseconds since 1970."""
    from coulance_core.sla.intervals import micros

    return micros(at)
