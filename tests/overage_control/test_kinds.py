"""Pools and percentile ports while they run: who is told, what stops, and what ends it.

Pool: nodes bring 100 GB each, 0.20 a GB beyond. Port: 10 Mbit/s committed, 1.10 for each above, the 95th percentile of
October's 8,940 samples (its last Sunday has 25 hours), of which 447 are dropped.
"""

from datetime import UTC, datetime, timedelta

import pytest

from coulance.enforcement import queries as register
from coulance.flows.overage_control import acting, rounds
from coulance.flows.overage_control.evaluating import Evaluated
from coulance.flows.overage_control.judging import Judged
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.services import queries as services
from tests.closing.world import five_minutes
from tests.overage.world import consent
from tests.overage_control.town import Town, sent_accounts

MBIT = 300 * 10**6 // 8
"""Bytes that 1 Mbit/s brings in five minutes."""
LAG = 2
"""Samples that a pause takes: six minutes."""


def fleet(town: Town, more: str = "") -> Town:
    town.controlled(more=more).customer()
    for name in ("n1", "n2", "n3"):
        town.service(name, "node", meter="traffic")
    return town.verify("boss@acme.example", "2026-10-01T09:00")


def told(meter: str) -> list[str]:
    rows = records.warnings(account=sent_accounts("acme")[0], period_name="2026-10")
    return [row.threshold for row in rows if row.meter == meter]


def held(town: Town, ref: str) -> list[tuple[str, int | None]]:
    rows = register.restrictions(services=[town.service_id(ref)])
    return [(row.restriction.action.value, row.restriction.rate_bps) for row in rows]


def test_a_pool_at_its_allowance_pauses_all_its_members(town: Town) -> None:
    fleet(town)
    assert town.uses("n1", "2026-10-02T12:00", 160).warned == 1  # 50 % of 300
    assert town.uses("n2", "2026-10-03T12:00", 60).placed == 0
    assert town.uses("n2", "2026-10-03T13:00", 30).warned == 1
    assert told("pool:fleet") == ["50 %", "80 %"]
    done = town.uses("n3", "2026-10-04T12:00", 60)
    assert done.placed == 3
    assert [held(town, name) for name in ("n1", "n2", "n3")] == [[("pause", None)]] * 3
    (row,) = records.near_limit(at=town.at("2026-10-04T13:00"))
    assert (row.meter, row.kind, row.used, row.stop_at, row.stopped) == ("pool:fleet", "pool", 310, 300, True)
    # A limit sits where the allowance sits, and ends the pause of every member at once.
    judged = acting.one_of(
        account=row.account, service=town.service_id("n2"), charge="pool:fleet", at=town.at("2026-10-04T14:00")
    )
    offered = acting.offer(judged=judged, amount="20", language="en")
    acting.give(by=town.boss(), judged=judged, offered=offered, at=town.at("2026-10-04T14:00"))
    assert [held(town, name) for name in ("n1", "n2", "n3")] == [[]] * 3
    town.use("n1", {"2026-10-04T14:30": 0})
    town.use("n2", {"2026-10-04T14:30": 0})
    town.use("n3", {"2026-10-04T14:30": 0})
    # 10 GB ran on before; 100 GB at 0.20 fill the limit.
    assert town.uses("n1", "2026-10-05T12:00", 99).placed == 0
    assert town.uses("n2", "2026-10-05T13:00", 1).placed == 3
    assert town.look("2026-11-01T00:01").lifted == 3


def test_a_member_at_its_own_limit_is_paused_alone(town: Town) -> None:
    fleet(town)
    consent("2026-10-01T10:00", amount="30.00", service=None, pool="fleet", by="boss", terms="pool:fleet@2025-01-01")
    consent("2026-10-01T10:00", quantity=40, service="n1", by="boss", terms="pool:fleet@2025-01-01")
    overage.acknowledge(
        meter=judged(town, "n1", "pool:fleet", "2026-10-01T11:00").ref, period_name="2026-10", contact="boss",
        how="portal", source="x", actor="t", at=town.at("2026-10-01T11:00"),
    )  # fmt: skip
    town.uses("n1", "2026-10-02T12:00", 290)
    assert town.uses("n2", "2026-10-03T12:00", 10).placed == 0  # the pool's 300 are used up
    assert town.uses("n1", "2026-10-03T13:00", 39).placed == 0
    done = town.uses("n1", "2026-10-03T14:00", 3)
    assert done.placed == 1
    assert [held(town, name) for name in ("n1", "n2", "n3")] == [[("pause", None)], [], []]
    (cause,) = [row.restriction.ref for row in register.restrictions(services=[town.service_id("n1")])]
    assert cause == "2026-10/pool:fleet/own limit"
    # The others go on to the pool's own limit: 150 GB at 0.20.
    assert town.uses("n2", "2026-10-04T12:00", 100).placed == 0
    assert town.uses("n3", "2026-10-04T13:00", 11).placed == 3


def judged(town: Town, ref: str, charge: str, when: str) -> Judged:
    return acting.one_of(
        account=sent_accounts("acme")[0], service=town.service_id(ref), charge=charge, at=town.at(when)
    )


def allows(town: Town, ref: str, charge: str, when: str, amount: str) -> None:
    one = judged(town, ref, charge, when)
    offered = acting.offer(judged=one, amount=amount, language="en")
    acting.give(by=town.boss(), judged=one, offered=offered, at=town.at(when))


def port(town: Town, more: str = "") -> list[int]:
    town.controlled(more=more).customer().verify("boss@acme.example", "2026-09-30T09:00")
    town.service("p1", "colo", meter="port")
    return five_minutes("2026-10-01", "2026-11-01")


def carries(town: Town, ends: list[int], first: int, last: int, rate: int) -> Evaluated:
    """Samples first..last at a rate in Mbit/s, and the round that follows."""
    town.send("p1", [(ends[i], rate * MBIT) for i in range(first, last)])
    return rounds.round_of(at=datetime.fromtimestamp(ends[last - 1], UTC) + timedelta(seconds=1))


@pytest.mark.parametrize(("more", "act"), [("", ("pause", None)), ('ports = "throttle"', ("throttle", 10_000_000))])
def test_a_port_stops_when_its_burst_is_gone_less_lag(town: Town, more: str, act: tuple[str, int | None]) -> None:
    ends = port(town, more)
    carries(town, ends, 0, 200, 8)
    carries(town, ends, 200, 200 + 300, 40)
    assert told("p1/bw") == ["50 %"]
    carries(town, ends, 500, 500 + 143, 40)
    assert (told("p1/bw"), held(town, "p1")) == (["50 %", "80 %"], [])
    (row,) = records.near_limit(at=town.at("2026-10-03T13:00"))
    assert (row.kind, row.minutes_left, row.used, row.included) == ("port", 20, 8, 10)
    carries(town, ends, 643, 645, 40)
    assert held(town, "p1") == [act]
    # It was held two samples early: with both of them above as well, the commit is all that is billed.
    carries(town, ends, 645, 647, 40)
    carries(town, ends, 647, 8940, 9)
    town.close("2026-10")
    assert town.papers(kinds="V") == ""


def test_a_limit_holds_a_port_to_the_rate_it_reaches_and_a_higher_one_lets_it_go(town: Town) -> None:
    ends = port(town)
    allows(town, "p1", "bw", "2026-10-01T00:10", "33")
    carries(town, ends, 0, 440, 35)  # below 40 Mbit/s, which 33.00 reach
    assert held(town, "p1") == []
    carries(town, ends, 440, 440 + 445, 90)
    assert held(town, "p1") == [("throttle", 40_000_000)]
    allows(town, "p1", "bw", "2026-10-04T12:00", "110")
    assert held(town, "p1") == []


def test_a_port_with_burst_left_is_not_read_again_with_every_batch(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = port(town)
    carries(town, ends, 0, 10, 8)
    looked = []
    whole = rounds.evaluate
    monkeypatch.setattr(rounds, "evaluate", lambda **given: looked.append(len(given["owners"])) or whole(**given))
    carries(town, ends, 10, 100, 8)
    assert looked == [0, 0]


def test_the_budget_once_spent_brings_the_pause_a_reserve_earlier(town: Town) -> None:
    town.controlled(more='budget = "5.00 EUR"\nlag = "10 min"').customer()
    town.service("web", "vps", meter="traffic")
    town.uses("web", "2026-09-02T12:00", 0)
    town.uses("web", "2026-10-02T12:00", 160)  # 60 GB ran on: 6.00 absorbed
    town.close("2026-10")
    assert services.service("web").id
    judged = town.judged("web", "2026-11-05T12:00")
    assert judged.budget_spent
