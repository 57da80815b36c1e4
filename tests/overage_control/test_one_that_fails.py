"""An account that can't be judged stops nobody else's pause, and is said aloud; so is a watcher that can't work."""

from typing import Any

import pytest

from coulance.flows.overage_control import evaluating, rounds, watcher
from coulance.platform import alarms
from tests.overage_control.town import Town, sent_accounts


def test_others_are_paused_when_one_account_can_not_be_judged(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    for ref in ("acme", "bolt", "corp"):
        town.customer(ref).service(f"{ref}-web", "vps", meter="traffic", account=ref)
    (bad,) = sent_accounts("bolt")
    judge = evaluating.judge

    def breaks(found: Any, **given: Any) -> Any:
        if any(one.account.id == bad for one in found):
            raise KeyError("a row nobody thought of")
        return judge(found, **given)

    monkeypatch.setattr(evaluating, "judge", breaks)
    town.look("2026-10-02T11:00")
    for ref in ("acme", "bolt", "corp"):
        town.use(f"{ref}-web", {"2026-10-02T12:00": 120})
    rounds.round_of(at=town.at("2026-10-02T12:01"))
    assert {ref: town.restricted(f"{ref}-web") for ref in ("acme", "bolt", "corp")} == {
        "acme": ["overage"],
        "bolt": [],
        "corp": ["overage"],
    }
    assert [one.key for one in alarms.open_alarms()] == [f"overage.unjudged/{bad}"]
    monkeypatch.setattr(evaluating, "judge", judge)
    rounds.sweep(at=town.at("2026-10-02T13:00"))  # by the hour, once it is mended
    assert (town.restricted("bolt-web"), alarms.open_alarms()) == (["overage"], [])


def test_letters_of_budgets_that_fail_keep_nobody_from_being_looked_at(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.customer().service("web", "vps", meter="traffic")

    def breaks(**_: Any) -> Any:
        raise KeyError("a row nobody thought of")

    monkeypatch.setattr(rounds, "tell_of_budgets", breaks)
    town.use("web", {"2026-10-02T12:00": 120})
    rounds.sweep(at=town.at("2026-10-02T12:01"))
    assert (town.restricted("web"), [one.key for one in alarms.open_alarms()]) == (["overage"], ["overage.budgets"])


def test_a_watcher_goes_on_trying_and_says_so(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    one = watcher.Watcher(now=lambda: town.at("2026-10-02T12:01"))

    def breaks(**given: Any) -> Any:
        tries.append(given)
        if len(tries) < 3:
            raise KeyError("a row nobody thought of")
        assert [alarm.key for alarm in alarms.open_alarms()] == [watcher.ALARM]
        one.stop()
        return evaluating.Evaluated()

    monkeypatch.setattr(watcher, "round_of", breaks)
    monkeypatch.setattr(watcher.Watcher, "_listen", lambda _self: None)
    monkeypatch.setattr(watcher.Watcher, "_sleep", lambda _self, _most: None)
    monkeypatch.setattr(watcher.Watcher, "_disconnect", lambda _self: None)
    monkeypatch.setattr(one._stopping, "wait", lambda _seconds: None)
    one.run()
    assert (len(tries), alarms.open_alarms()) == (3, [])
