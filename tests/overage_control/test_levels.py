"""Levels under the first law: stored data (10 GB-month included, 730 hours each) and seats (3, 2.00 each more)."""

from coulance.flows.overage_control import acting, rounds
from coulance.flows.overage_control.judging import Judged
from coulance.overage import operations as overage
from coulance.overage import queries as records
from tests.closing.world import days, table
from tests.overage_control.town import Town, sent_accounts


def _judged(town: Town, ref: str, charge: str, when: str) -> Judged:
    return acting.one_of(
        account=sent_accounts("acme")[0], service=town.service_id(ref), charge=charge, at=town.at(when)
    )


def _agree(town: Town, ref: str, charge: str, when: str) -> None:
    judged = _judged(town, ref, charge, when)
    offered = acting.offer(judged=judged, amount="50", language="en")
    acting.give(by=town.boss(), judged=judged, offered=offered, at=town.at(when))


def _told(meter: str) -> list[str]:
    rows = records.warnings(account=sent_accounts("acme")[0], period_name="2026-10")
    return [row.threshold for row in rows if row.meter == meter]


def _levels(town: Town) -> Town:
    town.controlled().customer().verify("boss@acme.example", "2026-09-30T09:00")
    return town.service("disk", "objects", meter="stored").service("mail", "groupware", meter="seats")


def test_without_a_word_levels_are_absorbed_and_nothing_is_paused(town: Town) -> None:
    _levels(town)
    town.level("disk", dict.fromkeys(days("2026-10-01", 31), 40))
    town.level("mail", dict.fromkeys(days("2026-10-01", 31), 5))
    rounds.sweep(at=town.at("2026-10-05T01:00"))
    # 4 of 31 days at 40 GB: half of the 10 GB-month; the fifth seat was there from the first day.
    assert (_told("disk/stored"), _told("mail/peak")) == (["50 %"], ["50 %", "80 %", "100 %"])
    rounds.sweep(at=town.at("2026-10-10T01:00"))
    assert _told("disk/stored") == ["50 %", "80 %", "100 %"]
    assert (town.restricted("disk"), town.restricted("mail")) == ([], [])
    (mail,) = [one for one in town.mails() if one.subject.startswith("DISK has used 1")]
    assert "118" in mail.subject
    kinds = {row.meter: (row.kind, row.stopped) for row in records.near_limit(at=town.at("2026-10-10T02:00"))}
    assert kinds == {"disk/stored": ("level", False), "mail/peak": ("level", False)}
    town.close("2026-10")
    assert town.papers(kinds="V") == ""


def test_with_a_word_what_comes_after_the_warning_is_billed(town: Town) -> None:
    _levels(town)
    for ref, charge in (("disk", "stored"), ("mail", "peak")):
        _agree(town, ref, charge, "2026-10-02T10:00")
        overage.acknowledge(
            meter=_judged(town, ref, charge, "2026-10-02T11:00").ref, period_name="2026-10", contact="boss",
            how="portal", source=ref, actor="t", at=town.at("2026-10-02T11:00"),
        )  # fmt: skip
    town.level("disk", dict.fromkeys(days("2026-10-01", 31), 40))
    # Seven seats on the first day, before the word; five from then on.
    town.level("mail", {**dict.fromkeys(days("2026-10-01", 31), 5), "2026-10-01": 7})
    rounds.sweep(at=town.at("2026-10-20T01:00"))
    seats = _judged(town, "mail", "peak", "2026-10-20T01:00")
    assert (seats.counted.used, seats.standing.billable) == (7, 2)
    town.close("2026-10")
    assert town.papers(kinds="V") == table(
        """
        V2026-0001 2026-10: 4.62 + 0.97
          overage disk 10-01..11-01 2250/73 GB-month at 0.02: 0.62
          overage mail 10-01..11-01 2 seat at 2: 4.00
        """
    )
