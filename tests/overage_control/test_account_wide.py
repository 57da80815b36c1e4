"""One limit for a whole account: transfer of two servers, stored data and seats, each seen by the others as they run.

100 GB are included in a server, 0.10 each beyond; 10 GB-month stored, 0.02 each more; 3 seats, 2.00 each more.
"""

import pytest

from coulance.flows.overage_control import rounds
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance_core.kernel import exact
from tests.closing.world import days, documents_of
from tests.overage.world import consent
from tests.overage_control.town import Town, sent_accounts

CHARGES = {"s1": "out", "s2": "out", "disk": "stored", "mail": "peak"}


@pytest.fixture
def office(town: Town) -> Town:
    """Two servers, stored data and seats under one limit of 10.00, of which everybody knows."""
    town.controlled(more='exposure = "50.00 EUR"').customer().verify("boss@acme.example", "2026-09-30T09:00")
    town.service("s1", "vps", meter="traffic").service("s2", "vps", meter="traffic")
    town.service("mail", "groupware", meter="seats").service("disk", "objects", meter="stored")
    consent("2026-10-01T10:00", amount="10.00", service=None, by="boss")
    for name, charge in CHARGES.items():
        ref = records.MeterRef.of_service(sent_accounts("acme")[0], town.service_id(name), name, charge)
        overage.acknowledge(
            meter=ref, period_name="2026-10", contact="boss", how="portal", source=name, actor="t",
            at=town.at("2026-10-01T11:00"),
        )  # fmt: skip
    return town


def billed(town: Town) -> object:
    town.close("2026-10")
    papers = [town.snapshot(d.number) for d in documents_of("acme") if (d.number or "").startswith("V")]
    return sum(exact(line["net"]) for paper in papers for line in paper["lines"])


def test_what_is_stored_takes_of_what_servers_may_use(office: Town) -> None:
    """A reading of storage stops servers within its round: 400 GB stored come to 0.26 a day."""
    office.level("disk", dict.fromkeys(days("2026-10-01", 5), 400))
    assert office.uses("s1", "2026-10-05T12:00", 170).placed == 0
    for day in range(6, 14):
        office.level("disk", {f"2026-10-{day:02d}": 400})
        assert office.look(f"2026-10-{day:02d}T00:00").placed == 0
    office.level("disk", {"2026-10-14": 400})  # 3.22 by now
    assert office.look("2026-10-14T00:00").placed == 1
    # What is stored can't be stopped, and the other server has its allowance yet: there it stops.
    assert [office.restricted(name) for name in CHARGES] == [["overage"], [], [], []]
    assert office.uses("s2", "2026-10-15T12:00", 100).placed == 1
    assert billed(office) == 10


def test_seats_take_what_transfer_leaves(office: Town) -> None:
    """A peak is used up at no instant; two more seats would be 4.00, and one fits."""
    office.level("mail", {**dict.fromkeys(days("2026-10-01", 31), 3), "2026-10-03": 5})
    rounds.sweep(at=office.at("2026-10-05T13:00"))
    office.uses("s1", "2026-10-06T12:00", 170)
    assert billed(office) == 9


def test_what_one_server_used_is_gone_for_the_other_at_once(office: Town) -> None:
    """Neither of them comes near to ten by itself."""
    assert office.uses("s1", "2026-10-06T12:00", 160).placed == 0
    assert office.uses("s2", "2026-10-07T12:00", 130).placed == 0
    assert office.uses("s1", "2026-10-08T12:00", 9).placed == 0
    assert office.uses("s2", "2026-10-09T12:00", 1).placed == 2
    assert billed(office) == 10


def test_each_of_them_is_warned_and_acknowledged_by_itself(town: Town) -> None:
    """What one server was told is no word to another, and no condition of it."""
    town.controlled(more='exposure = "1.00 EUR"').customer().verify("boss@acme.example", "2026-09-30T09:00")
    town.service("s1", "vps", meter="traffic").service("s2", "vps", meter="traffic")
    consent("2026-10-01T10:00", amount="10.00", service=None, by="boss")
    ref = town.judged("s1", "2026-10-01T11:00").ref
    overage.acknowledge(
        meter=ref, period_name="2026-10", contact="boss", how="portal", source="x", actor="t",
        at=town.at("2026-10-01T11:00"),
    )  # fmt: skip
    assert town.uses("s1", "2026-10-02T12:00", 150).placed == 0
    assert town.judged("s1", "2026-10-02T13:00").standing.billable == 50
    # The other was told nothing that arrived: what it uses past its allowance is not charged, and stops at 1.00.
    town.uses("s2", "2026-10-03T12:00", 130)
    assert (town.restricted("s1"), town.restricted("s2")) == ([], ["overage"])
    assert billed(town) == 5
