"""Use goes on, and what follows at once: who is told, what stops, what ends it. Plan: 100 GB, then 0.10 a GB."""

from tests.overage_control.town import Town


def test_nobody_agreed_to_anything(town: Town) -> None:
    town.customer().service("web", "vps", meter="traffic")
    assert town.uses("web", "2026-10-02T12:00", 40).warned == 0
    assert town.uses("web", "2026-10-04T12:00", 45).messages == 1
    assert town.told("web") == ["50 %", "80 %"]  # one sample jumped over both: told in one mail
    assert town.restricted("web") == []
    done = town.uses("web", "2026-10-06T12:00", 30)
    assert (done.warned, done.placed, done.messages) == (1, 1, 1)
    assert town.restricted("web") == ["overage"]
    assert [one.subject for one in town.mails()] == [
        "WEB has used 85 % of its 100 GB",
        "WEB is paused: 115 GB of 100 GB used",
    ]
    # What still runs through while the pause takes effect is told of no more.
    assert town.uses("web", "2026-10-06T12:05", 3).messages == 0
    # The period turns: use may go on.
    assert town.look("2026-11-01T00:01").lifted == 1
    assert town.restricted("web") == []
