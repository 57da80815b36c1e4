"""Expected but silent: which series should have sent, the alarm, and that it ends."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from coulance.platform import alarms
from coulance.services import operations as services
from coulance.usage import operations, silence, store
from tests.collectors.fakes import Answer, FakeProxmox
from tests.collectors.test_asking import PROXMOX
from tests.collectors.world import NOW, T0, house

SERIES = {"talks": "port", "stopped": "port", "never": "port", "uncharged": "disk"}


@pytest.fixture
def quiet(db: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Four series: one that talks, one that fell silent three hours ago, one that never sent, one nobody bills."""
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "segments"))
    house(tmp_path, "", SERIES)
    services.start_service(
        account="c1", external_id="s2", name="old", kind="colo", started_on=date(2026, 1, 1), plan="colo"
    )
    services.assign_series(key="ended", service="s2", meter="port")
    services.end_service(service="s2", on=date(2026, 11, 5))
    send("talks", T0, T0 + 12 * 3600)
    send("stopped", T0, T0 + 9 * 3600)


def send(key: str, begin: int, end: int) -> None:
    at = list(range(begin, end + 1, 300))
    columns = operations.from_lists({"series": [key] * len(at), "at": at, "in": at, "out": at})
    operations.ingest_batch(columns=columns, source="test", recorded_at=NOW + timedelta(days=30))


def test_what_should_send_and_does_not(quiet: None) -> None:
    never, stopped = silence.silent_series(NOW)
    assert (never.key, never.last_at, never.service, never.account, never.coverage) == ("never", None, "s1", "c1", 0)
    assert (stopped.key, stopped.silent_s, stopped.after_s) == ("stopped", 3 * 3600, 3600)
    assert (stopped.seen, stopped.expected) == (9 * 12 + 1, (9 * 24 + 12) * 12), "of November so far"
    assert stopped.coverage == 1000 * 109 // 2736


@pytest.mark.parametrize(("minutes", "silent"), [(59, False), (60, False), (61, True)])
def test_the_meters_own_patience(quiet: None, minutes: int, silent: bool) -> None:
    found = silence.silent_series(NOW + timedelta(minutes=minutes))
    assert ("talks" in {one.key for one in found}) is silent


def test_the_alarm_is_raised_once_and_ends(quiet: None) -> None:
    silence.watch(at=NOW)
    silence.watch(at=NOW + timedelta(minutes=30))
    (alarm,) = alarms.open_alarms()
    assert (alarm.key, alarm.times) == (silence.ALARM, 2)
    assert "2 billed series are silent: never (never sent), stopped (since 2026-11-10 09:00 UTC)" in alarm.what
    later = NOW + timedelta(hours=1)
    send("stopped", T0 + 9 * 3600 + 300, T0 + 13 * 3600)
    send("never", T0, T0 + 13 * 3600)
    send("talks", T0 + 12 * 3600 + 300, T0 + 13 * 3600)
    assert silence.watch(at=later) == []
    assert alarms.open_alarms() == []


def test_a_service_that_just_began_is_given_its_time(quiet: None) -> None:
    services.start_service(
        account="c1", external_id="s3", name="new", kind="colo", started_on=date(2026, 11, 10), plan="colo"
    )
    services.assign_series(key="young", service="s3", meter="port")
    young = next(one for one in silence.silent_series(NOW) if one.key == "young")
    assert (young.silent_s, young.expected) == (12 * 3600, 144), "since its service began, at midnight"
    assert "young" not in {one.key for one in silence.silent_series(NOW - timedelta(hours=11, minutes=30))}


@pytest.fixture
def proxmox() -> Iterator[FakeProxmox]:
    fake = FakeProxmox()
    with fake.serving():
        yield fake


def test_collectors_that_fail_for_an_hour_raise_an_alarm(asking: Callable[..., Any], proxmox: FakeProxmox) -> None:
    ask = asking(PROXMOX.replace("URL", proxmox.url), pve=proxmox.token)
    ask.go()
    proxmox.instead = lambda _: Answer(b"", 500)
    ask.go(300)
    assert silence.watch_collectors(at=ask.at) == 0, "one failure is no alarm"
    ask.go(3600)
    assert silence.watch_collectors(at=ask.at) == 1
    assert "status 500" in alarms.open_alarms()[0].what
    proxmox.instead = None
    ask.go(60)
    assert silence.watch_collectors(at=ask.at) == 0
    assert alarms.open_alarms() == []
