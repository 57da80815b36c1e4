"""The first law over the whole shell: random customers, and a judge who reads the law sample by sample.

The judge knows the instants that the history was made of, and nothing of the records or of core's settling.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

import pytest

from coulance.enforcement import operations as enforcement
from coulance.overage import operations, queries
from coulance_core.enforcement.restrictions import Action, Source
from coulance_core.kernel import exact
from tests.closing.world import World, check_explained, documents_of
from tests.overage.world import account_id, at, consent, customer, meter, verify

FIRST = at("2026-10-01T12:00")
DAY = timedelta(days=1)
INCLUDED = 100
PRICE = Fraction(1, 10)


@dataclass
class Told:
    """What happened to one service, as the judge was told."""

    use: dict[datetime, int] = field(default_factory=dict)
    late: dict[datetime, int] = field(default_factory=dict)
    consents: list[tuple[datetime, datetime | None, Fraction]] = field(default_factory=list)
    warned: datetime | None = None
    paused: list[tuple[datetime, datetime]] = field(default_factory=list)
    attacks: list[tuple[datetime, datetime]] = field(default_factory=list)


def billable_by_law(told: Told, verified: datetime | None) -> Fraction:
    """What of October's use may be charged: each sample wholly within consent, warning and limit."""
    used, total = 0, Fraction(0)
    for when, amount in sorted({**told.use, **{k: told.use.get(k, 0) + v for k, v in told.late.items()}}.items()):
        start = when - DAY
        if any(start < end and first < when for first, end in told.attacks):
            continue
        over = max(used + amount - INCLUDED, 0) - max(used - INCLUDED, 0)
        used += amount
        held = [limit for first, end, limit in told.consents if first <= start and (end is None or when <= end)]
        if not over or not held or verified is None or verified > start or told.warned is None or told.warned > start:
            continue
        if any(start < end and first < when for first, end in told.paused):
            continue
        total += min(Fraction(over), max(max(held) / PRICE - total, Fraction(0)))
    return total


def _history(world: World, dice: random.Random, names: tuple[str, ...]) -> tuple[dict[str, Told], datetime | None]:
    verified = at("2026-09-15") + DAY * dice.choice((0, 0, 20, 25)) if dice.random() < 0.85 else None
    if verified is not None:
        verify(verified.isoformat()[:16])
    told = {name: Told() for name in names}
    for name, one in told.items():
        for n in dice.sample(range(31), dice.randint(8, 24)):
            one.use[FIRST + DAY * n] = dice.randint(0, 90)
        world.use(name, {when.isoformat()[:16]: amount for when, amount in one.use.items()})
        when = at("2026-09-20T08:00")
        for _ in range(dice.choice((0, 1, 2, 3, 3))):
            amount = dice.choice(("5.00", "12.35", "20.00", "50.00"))
            given = consent(when.isoformat()[:16], amount=amount, service=name)
            if one.consents and one.consents[-1][1] is None:
                one.consents[-1] = (one.consents[-1][0], when, one.consents[-1][2])
            end = None
            if dice.random() < 0.3:
                end = when + DAY * dice.randint(1, 9)
                operations.withdraw_consent(consent=given.id, actor="customer:anna", reason="enough", at=end)
            one.consents.append((when, end, exact(amount)))
            when = (end or when) + DAY * dice.randint(1, 12)
        if dice.random() < 0.8:
            one.warned = at("2026-10-01T00:00") + timedelta(hours=dice.randint(0, 150))
            operations.acknowledge(
                meter=meter(name), period_name="2026-10", contact="anna", how="link", source=name,
                actor="customer:anna", at=one.warned,
            )  # fmt: skip
        if dice.random() < 0.4:
            first = at("2026-10-01") + timedelta(hours=dice.randint(0, 600))
            one.paused.append((first, first + timedelta(hours=dice.randint(1, 90))))
            service = meter(name).services[0]
            enforcement.place(
                service=service, source=Source.OVERAGE, ref="2026-10/out", reason="limit", action=Action.PAUSE,
                actor="worker", at=first,
            )  # fmt: skip
            enforcement.lift(service=service, source=Source.OVERAGE, actor="x", reason="raised", at=one.paused[0][1])
        if dice.random() < 0.3:
            first = at("2026-10-01") + timedelta(hours=dice.randint(0, 600))
            one.attacks.append((first, first + timedelta(hours=dice.randint(1, 60))))
            operations.record_attack(
                service=meter(name).services[0], start=first, until=one.attacks[0][1], evidence="flow", actor="x",
                reason="flood", at=at("2026-10-31"),
            )  # fmt: skip
    return told, verified


@pytest.mark.parametrize("seed", range(8))
def test_no_history_is_charged_past_the_law(world: World, seed: int) -> None:
    dice = random.Random(seed)
    names = ("s1", "s2", "s3")
    customer(world)
    for name in names:
        world.service(name, "vps", meter="traffic")
    told, verified = _history(world, dice, names)
    world.close("2026-10")
    _judged(world, told, verified)
    # Samples that come late are under October's own word.
    for name, one in told.items():
        free = [n for n in range(31) if FIRST + DAY * n not in one.use]
        for n in dice.sample(free, min(len(free), dice.randint(0, 5))):
            one.late[FIRST + DAY * n] = dice.randint(1, 90)
        if one.late:
            world.use(name, {when.isoformat()[:16]: amount for when, amount in one.late.items()})
    world.close("2026-11")
    _judged(world, told, verified)


def _judged(world: World, told: dict[str, Told], verified: datetime | None) -> None:
    rows = {row.meter: row for row in queries.settlements(account=account_id(), period_name="2026-10")}
    billed = dict.fromkeys(told, Fraction(0))
    for document in documents_of("acme"):
        if (document.number or "")[0] not in "VC":
            continue
        snapshot = world.snapshot(document.number or "")
        sign = -1 if document.kind == "credit_note" else 1
        for line in snapshot["lines"]:
            if line["kind"] in ("overage", "late_usage", "credit") and line["service"]["id"] in billed:
                billed[line["service"]["id"]] += sign * abs(exact(line["net"]))
    for name, one in told.items():
        most = billable_by_law(one, verified)
        used = sum(one.use.values()) + sum(one.late.values())
        row = rows.get(f"{name}/out")
        if row is not None:
            assert row.billable == most, (name, one)
            past = sum(row.absorbed.values(), Fraction(0)) + row.billable
            assert row.included + past == row.metered == used
        assert billed[name] <= most * PRICE, (name, billed[name], most, one)
        limits = [limit for *_, limit in one.consents]
        assert billed[name] <= max(limits, default=Fraction(0))
    check_explained(world.snapshot("U-2026-10-acme"))
