"""From the provider file to a backup that counts, and to one that is lost."""

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coulance.arrears import queries
from coulance.arrears.backup_terms import backup_for, judge_backups, read_backups
from coulance.arrears.ports import BackupTarget, Receipt, Verified
from coulance.flows import backing_up
from coulance.flows.backing_up import UnableToBackUpServiceError
from coulance.platform import audit, clock
from tests.backups.cheap import make_repository
from tests.closing.conftest import store_here, world  # noqa: F401 - fixtures

WEB = {"kind": "restic", "secret": "backup_web", "repository": "/srv/b", "paths": ["/srv/www/{service}"]}
VPS = {"kind": "vzdump", "secret": "proxmox", "url": "https://pve:8006", "storage": "pbs", "plans": ["vps-s"]}


def test_the_entry_that_names_a_plan_goes_before_the_one_for_the_rest() -> None:
    terms, faults = read_backups({"web": WEB, "vps": VPS})
    assert not faults
    assert backup_for({"vps-s"}, terms) is terms["vps"]
    assert backup_for({"web-s"}, terms) is terms["web"]
    assert backup_for({"web-s"}, {"vps": terms["vps"]}) is None


@pytest.mark.parametrize(
    ("table", "field", "says"),
    [
        ({"web": {**WEB, "kind": "tar"}}, "backups.web.kind", "restic"),
        ({"web": {**WEB, "paths": ["/srv/www"]}}, "backups.web.paths", "{service} in each"),
        ({"web": {**WEB, "paths": ["/srv/{service}/{x}"]}}, "backups.web.paths", "nothing in braces but"),
        ({"web": {**WEB, "verify": "verify-state"}}, "backups.web.verify", "restore or read-data"),
        ({"web": {**WEB, "colour": "red"}}, "backups.web.colour", "no such field"),
        ({"vps": {**VPS, "url": "http://pve:8006"}}, "backups.vps.url", "https"),
        ({"vps": {**VPS, "verify": "test-restore"}}, "backups.vps.scratch_vmid", "kept free"),
        ({"web": WEB, "more": WEB}, "backups.more", "web's already"),
        ({"vps": VPS, "more": VPS}, "backups.more.plans", "vps's already"),
        ([], "backups", "expected tables"),
    ],
)
def test_a_table_that_can_not_be_is_refused_by_its_field(table: Any, field: str, says: str) -> None:
    assert [(fault.field, says in fault.message) for fault in judge_backups(table)] == [(field, True)]


@pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed: apt install restic")
def test_by_command_a_service_is_backed_up_verified_and_found_gone(
    world: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from coulance.cli import service_backup as module

    monkeypatch.setattr(module, "working_database", nullcontext)
    service_backup = module.service_backup
    repository, site = tmp_path / "repository", tmp_path / "www" / "vps-1"
    make_repository(repository, "een-wachtwoord")
    site.mkdir(parents=True)
    (site / ".coulance-service").write_text("vps-1\n")
    (site / "index.html").write_text("<h1>Welkom</h1>")
    monkeypatch.setenv("COULANCE_BACKUP_WEB", "een-wachtwoord")
    table = (
        '[arrears]\nmode = "observe"\n[arrears.backups.web]\nkind = "restic"\nsecret = "backup_web"\n'
        f'repository = "{repository}"\npaths = ["{tmp_path}/www/{{service}}"]\n'
    )
    world.provider(more=table).account()
    world.service("vps-1", "vps-s", "2026-06-01", meter="traffic")
    run = CliRunner().invoke
    made = run(service_backup, ["make", "vps-1"])
    assert made.exit_code == 0, made.output
    assert "Verified: restored 2 files" in made.output
    (row,) = queries.backups(["vps-1"])
    assert row.verified_at is not None
    assert row.verified_at >= row.made_at
    assert "verified" in run(service_backup, ["list"]).output
    assert run(service_backup, ["look"]).exit_code == 0

    (site / ".coulance-service").write_text("vps-2\n")
    refused = run(service_backup, ["make", "vps-1"])
    assert isinstance(refused.exception, UnableToBackUpServiceError)
    assert "expected 'vps-1'" in str(refused.exception)

    (snapshot,) = (repository / "snapshots").iterdir()
    snapshot.unlink()
    gone = run(service_backup, ["look", "vps-1"])
    assert gone.exit_code == 1
    assert "GONE" in gone.output
    (row,) = queries.backups(["vps-1"])
    assert row.lost_at is not None
    acts = {event.act for event in audit.events(limit=20)}
    assert {"arrears.backed_up", "arrears.backup_lost"} <= acts


class _Port:
    """A store that answers what a test wants."""

    def __init__(self, *, sound: bool = True, there: bool = True) -> None:
        self.sound, self.there = sound, there

    def back_up(self, service: str, target: BackupTarget, *, key: str) -> Receipt:
        return Receipt("vps", service, target.identity, key, clock.now(), 1)

    def verify(self, receipt: Receipt) -> Verified:
        return Verified(self.sound, f"read {receipt.ref}" if self.sound else "a checksum is wrong")

    def still_there(self, receipt: Receipt) -> bool:
        return self.there


def test_one_that_proves_unsound_later_is_lost_and_one_not_verified_yet_is_not(world: Any) -> None:  # noqa: F811
    from coulance.enforcement import operations as enforcement

    table = (
        '[arrears]\nmode = "observe"\n[arrears.backups.vps]\nkind = "vzdump"\nsecret = "p"\nurl = "https://p:8006"\n'
        'storage = "pbs"\n[drivers.pve]\nkind = "proxmox"\nurl = "https://p:8006"\nsecret = "p"\n'
    )
    world.provider(more=table).account()
    world.service("vps-1", "vps-s", "2026-06-01", meter="traffic")
    asked: dict[str, Any] = {"by": "worker", "now": clock.now}
    with pytest.raises(UnableToBackUpServiceError, match="no network target with a vmid"):
        backing_up.back_up_service(service="vps-1", key="k", ways=lambda _: _Port(), **asked)
    from coulance.services import queries as services

    enforcement.set_target(
        service=services.service("vps-1").id, driver="pve", identity="101/web1", parameters={"vmid": 101},
        actor="operator:anna", at=clock.now(),
    )  # fmt: skip
    made = backing_up.back_up_service(service="vps-1", key="k", ways=lambda _: _Port(sound=False), **asked)
    (row,) = queries.backups(["vps-1"])
    assert row.verified_at is None
    assert row.receipt["identity"] == "101/web1"
    # A backup server has not looked yet: no news, so it isn't lost.
    backing_up.verify_service_backup(backup=made.backup, ways=lambda _: _Port(sound=False), **asked)
    assert queries.backups(["vps-1"], lost=False)
    assert backing_up.watch_backups(ways=lambda _: _Port(sound=False), **asked) == set()
    assert backing_up.watch_backups(ways=lambda _: _Port(), **asked) == {"vps-1"}
    (row,) = queries.backups(["vps-1"])
    assert row.verified_at is not None
    backing_up.verify_service_backup(backup=made.backup, ways=lambda _: _Port(sound=False), **asked)
    assert not queries.backups(["vps-1"], lost=False)


def test_arrears_has_a_service_backed_up_or_an_alarm_says_why(
    world: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django.conf import settings

    from coulance.flows.arrears.backing_up import back_up, watch
    from coulance.platform import alarms
    from coulance.services import queries as services

    table = (
        '[arrears]\nmode = "observe"\n[arrears.backups.vps]\nkind = "restic"\nsecret = "p"\nrepository = "/r"\n'
        'paths = ["/srv/{service}"]\n'
    )
    world.provider(more=table).account()
    world.service("vps-1", "vps-s", "2026-06-01", meter="traffic")
    account = services.service("vps-1").account_id
    monkeypatch.setattr(settings, "ARREARS_BACKUPS", "tests.backups.test_flow.unsound")
    assert back_up(account=account, service="vps-1", now=clock.now) is None
    assert ["a checksum is wrong" in one.what for one in alarms.open_alarms()] == [True]
    assert [row.verified_at for row in queries.backups(["vps-1"])] == [None]
    monkeypatch.setattr(settings, "ARREARS_BACKUPS", "tests.backups.test_flow.sound")
    assert back_up(account=account, service="vps-1", now=clock.now) is not None
    assert not alarms.open_alarms()
    monkeypatch.setattr(settings, "ARREARS_BACKUPS", "tests.backups.test_flow.gone")
    watch(now=clock.now)
    assert not queries.backups(["vps-1"], lost=False)


def sound(_terms: Any) -> _Port:
    """Everything is well."""
    return _Port()


def unsound(_terms: Any) -> _Port:
    """What it holds is broken."""
    return _Port(sound=False)


def gone(_terms: Any) -> _Port:
    """It holds nothing."""
    return _Port(there=False)
