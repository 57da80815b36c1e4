"""The register by scenarios: who restricts, who may lift, what is done and proven, and what goes wrong on the way."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from coulance.enforcement import executing, operations, queries
from coulance.enforcement.operations import UnableToRestrictError
from coulance.platform import alarms, audit
from coulance_core.enforcement.restrictions import FREE, Action, Desired, Source
from coulance_core.kernel import Period
from tests.enforcement.world import ACTOR, T0, Clock, Network, make_services, reach

PAUSED = Desired(paused=True)


def place(service: int, source: Source = Source.OVERAGE, ref: str = "2026-10", **more: Any) -> operations.Placed:
    known: dict[str, Any] = {"action": Action.PAUSE, "reason": "the limit is reached", "actor": "worker", "at": T0}
    return operations.place(service=service, source=source, ref=ref, **(known | more))


def lift(service: int, source: Source, at: Any = T0, **more: Any) -> int:
    return operations.lift(service=service, source=source, actor=ACTOR, reason="as agreed", at=at, **more)


def settle(network: Network, clock: Clock, rounds: int = 3) -> int:
    return sum(executing.round_of({"router": network}, worker="w1", now=clock) for _ in range(rounds))


def test_a_restriction_is_executed_and_proven(db: Any) -> None:
    services = make_services("vps-1", "vps-2")
    network, clock = Network(), Clock()
    reach(services)
    settle(network, clock)
    placed = place(services["vps-1"], at=clock.tick())
    clock.tick(0.4)
    assert settle(network, clock) == 1
    assert network.states == {"vps-1": PAUSED}
    act = queries.acts(services["vps-1"])[0]
    assert (act.outcome, act.before, act.after, act.identity) == ("done", FREE, PAUSED, "vps-1")
    assert queries.latencies(since=T0) == [0.4]
    assert queries.waiting() == []
    (row,) = queries.restrictions()
    assert (row.id, row.confirmed_at) == (placed.id, clock.at)
    assert audit.events(subject=f"service:{services['vps-1']}")[0].act == "restriction.placed"


def test_each_source_lifts_only_its_own(db: Any) -> None:
    services = make_services("vps-1")
    (vps,) = services.values()
    network, clock = Network(), Clock()
    reach(services)
    place(vps)
    place(vps, Source.ARREARS, "case-7", reason="invoice V1 is open")
    place(vps, Source.SECURITY, "abuse-3", reason="it sends spam")
    settle(network, clock)
    assert lift(vps, Source.ARREARS) == 1  # the customer pays
    settle(network, clock)
    assert network.states["vps-1"] == PAUSED
    assert lift(vps, Source.OVERAGE) == 1  # and raises the limit
    settle(network, clock)
    assert network.states["vps-1"] == PAUSED, "the security pause is an operator's to lift"
    assert lift(vps, Source.SECURITY) == 1
    settle(network, clock)
    assert network.states["vps-1"] == FREE


def test_one_cause_places_once_and_again_after_it_was_lifted(db: Any) -> None:
    (vps,) = make_services("vps-1").values()
    first, second = place(vps), place(vps)
    assert (first.new, second.new, first.id == second.id) == (True, False, True)
    lift(vps, Source.OVERAGE)
    assert place(vps).new
    assert len(queries.restrictions(open_only=False)) == 2


def test_observing_records_and_does_nothing(db: Any) -> None:
    services = make_services("vps-1")
    network, clock = Network(), Clock()
    reach(services)
    settle(network, clock)
    place(services["vps-1"], observe=True)
    assert settle(network, clock) == 0
    assert (network.writes, queries.desired(services["vps-1"])) == ([], FREE)
    assert queries.restrictions()[0].restriction.observe


def test_a_router_that_is_down_is_tried_again_and_somebody_hears_of_it(db: Any) -> None:
    services = make_services("vps-1")
    network, clock = Network(), Clock()
    reach(services)
    settle(network, clock)
    place(services["vps-1"])
    network.down = True
    for _ in range(4):
        settle(network, clock, 1)
        clock.tick(400)
    assert queries.waiting()[0].attempts == 4
    (alarm,) = [a for a in alarms.open_alarms() if a.key == "enforcement:vps-1"]
    assert "does not answer" in alarm.what
    network.down = False
    settle(network, clock)
    assert network.states == {"vps-1": PAUSED}
    assert not [a for a in alarms.open_alarms() if a.key == "enforcement:vps-1"]


def test_the_pauses_between_tries_grow(db: Any) -> None:
    services = make_services("vps-1")
    network, clock = Network(down=True), Clock()
    reach(services)
    waits = []
    for _ in range(10):
        assert settle(network, clock, 1) == 1
        wait = queries.due_in(clock.at)
        assert wait is not None
        waits.append(round(wait))
        clock.tick(wait)
    assert waits == [1, 2, 5, 15, 30, 60, 120, 300, 300, 300]


def test_another_service_at_the_target_is_left_alone(db: Any) -> None:
    services = make_services("vps-1")
    network, clock = Network(identities={"vps-1": "vm of somebody else"}), Clock()
    reach(services)
    place(services["vps-1"])
    settle(network, clock, 1)
    assert network.writes == []
    assert queries.acts(services["vps-1"])[0].outcome == "refused"
    assert [a.severity for a in alarms.open_alarms() if a.key == "enforcement:vps-1"] == ["critical"]


def test_a_target_that_takes_orders_and_does_nothing_is_not_believed(db: Any) -> None:
    services = make_services("vps-1")
    network, clock = Network(deaf=True), Clock()
    reach(services)
    settle(network, clock)
    place(services["vps-1"])
    settle(network, clock, 1)
    act = queries.acts(services["vps-1"])[0]
    assert act.outcome == "failed"
    assert "shows free where paused" in act.fault
    assert len(queries.waiting()) == 1


def test_a_rebooted_host_and_a_manual_change_are_found_and_mended(db: Any) -> None:
    services = make_services("vps-1", "vps-2")
    network, clock = Network(), Clock()
    reach(services)
    place(services["vps-1"])
    settle(network, clock)
    network.states = {"vps-2": PAUSED}  # the one came up free, and somebody paused the other by hand
    assert operations.look_again(services=queries.reached_services(), at=clock.tick()) == 2
    settle(network, clock)
    assert network.states == {"vps-1": PAUSED, "vps-2": FREE}
    # A look that finds what should be leaves no record.
    before = len(queries.acts(services["vps-1"]))
    operations.look_again(services=queries.reached_services(), at=clock.tick())
    settle(network, clock)
    assert len(queries.acts(services["vps-1"])) == before


def test_a_change_while_one_acts_is_not_lost(db: Any) -> None:
    services = make_services("vps-1")
    (vps,) = services.values()
    network, clock = Network(), Clock()
    reach(services)
    settle(network, clock)
    place(vps)
    (claimed,) = executing.claim(most=10, worker="w1", at=clock())
    lift(vps, Source.OVERAGE)  # while the driver is at work
    outcome = executing.act_on(claimed.targets[0], network, claimed.desired, "k", clock)
    assert executing.finish(claimed, [outcome], worker="w1", at=clock())
    assert network.states["vps-1"] == PAUSED
    assert settle(network, clock) == 1
    assert network.states["vps-1"] == FREE


def test_a_dead_executors_claim_runs_out(db: Any) -> None:
    services = make_services("vps-1")
    network, clock = Network(), Clock()
    reach(services)
    assert len(executing.claim(most=10, worker="dies", at=clock())) == 1
    assert executing.claim(most=10, worker="w1", at=clock()) == []
    clock.tick(61)
    assert settle(network, clock) == 1


def test_paused_spans_run_from_the_decision_to_the_confirmed_release(db: Any) -> None:
    services = make_services("vps-1", "bare")
    vps, bare = services["vps-1"], services["bare"]
    network, clock = Network(), Clock()
    reach({"vps-1": vps})
    settle(network, clock)
    place(vps)
    place(bare)
    clock.tick(30)
    settle(network, clock)
    lifted = clock.tick(3600)
    lift(vps, Source.OVERAGE, at=lifted)
    lift(bare, Source.OVERAGE, at=lifted)
    october = Period(T0 - timedelta(days=1), T0 + timedelta(days=20))
    assert queries.paused_spans(services=[vps, bare], period=october) == {vps: [(T0, None)], bare: [(T0, lifted)]}
    network.down = True
    settle(network, clock, 1)
    clock.tick(90)
    network.down = False
    settle(network, clock)
    assert queries.paused_spans(services=[vps], period=october) == {vps: [(T0, clock.at)]}
    later = Period(T0 + timedelta(days=2), T0 + timedelta(days=20))
    assert queries.paused_spans(services=[vps], period=later) == {}


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"action": Action.THROTTLE}, "rate"),
        ({"action": Action.BLACKHOLE, "address": "10.0.0.999"}, "IP address"),
        ({"reason": "  "}, "reason"),
        ({"ref": ""}, "ref"),
    ],
)
def test_restrictions_that_cannot_be(db: Any, more: dict[str, Any], fault: str) -> None:
    (vps,) = make_services("vps-1").values()
    with pytest.raises(UnableToRestrictError, match=fault):
        place(vps, **more)
    assert queries.restrictions() == []


def test_a_target_is_not_forgotten_while_its_service_is_restricted(db: Any) -> None:
    services = make_services("vps-1")
    (vps,) = services.values()
    reach(services)
    place(vps)
    with pytest.raises(UnableToRestrictError, match="lift them"):
        operations.remove_target(service=vps, driver="router", actor=ACTOR, reason="moved", at=T0)
    lift(vps, Source.OVERAGE)
    assert operations.remove_target(service=vps, driver="router", actor=ACTOR, reason="moved", at=T0)


ATTACKS = [
    "UPDATE enforcement_restriction SET source = 'arrears'",
    "UPDATE enforcement_restriction SET lifted_at = now()",
    "UPDATE enforcement_restriction SET lifted_at = placed_at - interval '1 day', lifted_by = 'x', lift_reason = 'y'",
    "DELETE FROM enforcement_restriction",
    "TRUNCATE enforcement_restriction CASCADE",
    """INSERT INTO enforcement_restriction (service_id, source, ref, reason, action, observe, placed_at, placed_by)
       SELECT service_id, source, ref, reason, action, observe, placed_at, placed_by FROM enforcement_restriction""",
    """INSERT INTO enforcement_restriction (service_id, source, ref, reason, action, observe, placed_at, placed_by,
                                            lifted_at, lifted_by, lift_reason)
       SELECT service_id, source, 'other', reason, action, observe, placed_at, placed_by, placed_at, 'x', 'y'
         FROM enforcement_restriction""",
    "UPDATE enforcement_act SET outcome = 'done'",
    "DELETE FROM enforcement_act",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_database_refuses(db: Any, attack: str) -> None:
    services = make_services("vps-1")
    network, clock = Network(), Clock()
    reach(services)
    place(services["vps-1"])
    settle(network, clock)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(attack)


def test_a_restriction_without_work_is_refused(db: Any) -> None:
    (vps,) = make_services("vps-1").values()
    with pytest.raises(DatabaseError, match="without work"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO enforcement_restriction"
            " (service_id, source, ref, reason, action, observe, placed_at, placed_by)"
            " VALUES (%s, 'overage', 'r', 'why', 'pause', false, now(), 'x')",
            [vps],
        )
