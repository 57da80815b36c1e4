"""Backups by the real restic: made, verified, corrupted, gone, of the wrong service, killed in the middle."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coulance.arrears.ports import BackupError, BackupTarget, Receipt, WrongServiceError
from coulance.integrations.backups.restic import Restic
from tests.backups.cheap import make_repository

pytestmark = pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed: apt install restic")

PASSWORD = "een-lang-wachtwoord"
IDENTITY = "klant-1/vps-1"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository without anything in it, made once."""
    repository = tmp_path_factory.mktemp("restic") / "repository"
    make_repository(repository, PASSWORD)
    return repository


@pytest.fixture
def repository(fresh: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fresh, tmp_path / "repository"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The data of a customer's site."""
    site = tmp_path / "www"
    (site / "images").mkdir(parents=True)
    (site / ".coulance-service").write_text(f"{IDENTITY}\n")
    (site / "index.html").write_text("<h1>Welkom</h1>")
    (site / "images" / "groot.bin").write_bytes(os.urandom(300_000))
    (site / "met spatie en ünicode").write_text("x")
    return site


def _restic(repository: Path, **more: object) -> Restic:
    return Restic(str(repository), password=lambda: PASSWORD, timeout_s=60, **more)  # type: ignore[arg-type]


def _target(site: Path, identity: str = IDENTITY) -> BackupTarget:
    return BackupTarget(identity, {"paths": [str(site)]})


def test_a_backup_is_restored_and_compared_and_a_corrupted_one_is_not_verified(repository: Path, site: Path) -> None:
    restic = _restic(repository)
    receipt = restic.back_up("vps-1", _target(site), key="case/1/backup")
    assert receipt.size == sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert len(receipt.ref) == 64
    assert len(receipt.digest) == 64
    assert Receipt.from_json(receipt.to_json()) == receipt
    (site / "index.html").write_text("<h1>Nieuw</h1>")  # changed since: no reason to doubt the backup
    found = restic.verify(receipt)
    assert found.sound, found.how
    assert found.evidence["files"] == 4
    assert found.evidence["compared"] == 3
    assert found.evidence["bytes"] == receipt.size
    assert restic.still_there(receipt)

    pack = max((repository / "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    held = bytearray(pack.read_bytes())
    held[len(held) // 3] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(held)
    assert not restic.verify(receipt).sound
    by_reading = _restic(repository, verify="read-data").verify(receipt)
    assert not by_reading.sound
    assert "--read-data" in by_reading.how
    assert restic.still_there(receipt), "looking is not verifying"


def test_reading_all_data_verifies_and_a_forgotten_snapshot_is_lost(repository: Path, site: Path) -> None:
    restic = _restic(repository, verify="read-data")
    receipt = restic.back_up("vps-1", _target(site), key="k")
    assert restic.verify(receipt).sound
    (snapshot,) = (repository / "snapshots").iterdir()
    snapshot.unlink()
    assert not restic.still_there(receipt)
    found = restic.verify(receipt)
    assert not found.sound
    assert "no snapshot" in found.how


def test_what_is_missing_in_it_makes_a_backup_unsound(repository: Path, site: Path) -> None:
    restic = _restic(repository)
    (site / "later.txt").write_text("written before, moved in afterwards")
    hidden = (site / "later.txt").rename(site.parent / "later.txt")
    receipt = restic.back_up("vps-1", _target(site), key="k")
    hidden.rename(site / "later.txt")  # its ctime is younger: it came later
    assert restic.verify(receipt).sound
    past = Receipt.from_json({**receipt.to_json(), "made_at": "2099-01-01T00:00:00+00:00"})
    assert "later.txt is older than the backup and not in it" in restic.verify(past).how


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda site: (site / ".coulance-service").write_text("klant-2/vps-9\n"), "klant-2/vps-9"),
        (lambda site: (site / ".coulance-service").unlink(), "nobody knows whose data"),
        (lambda site: _link(site), "leads to"),
        (lambda site: _link_identity(site), "nobody knows whose data"),
    ],
)
def test_another_service_is_refused_before_anything_is_read(
    tmp_path: Path, site: Path, change: Callable[[Path], None], says: str
) -> None:
    change(site)
    with pytest.raises(WrongServiceError, match=says):
        _restic(tmp_path / "no repository needed").back_up("vps-1", _target(site), key="k")


def _link(site: Path) -> None:
    site.rename(site.parent / "other")
    site.symlink_to(site.parent / "other")


def _link_identity(site: Path) -> None:
    (site.parent / "identity").write_text(f"{IDENTITY}\n")
    (site / ".coulance-service").unlink()
    (site / ".coulance-service").symlink_to(site.parent / "identity")


@pytest.mark.parametrize("paths", [[], "/srv", ["relative"], ["/srv/../etc"], ["/"], ["/does/not/exist"]])
def test_paths_that_can_not_be_are_refused(tmp_path: Path, paths: object) -> None:
    with pytest.raises(BackupError):
        _restic(tmp_path).back_up("vps-1", BackupTarget(IDENTITY, {"paths": paths}), key="k")


def test_trouble_is_no_answer(repository: Path, site: Path, tmp_path: Path) -> None:
    restic = _restic(repository)
    receipt = restic.back_up("vps-1", _target(site), key="k")
    shutil.move(repository, tmp_path / "elsewhere")
    for asked in (restic.still_there, restic.verify):
        with pytest.raises(BackupError, match="restic"):
            asked(receipt)
    wrong = Restic(str(tmp_path / "elsewhere"), password=lambda: "geheim-123", timeout_s=60)
    with pytest.raises(BackupError) as caught:
        wrong.still_there(receipt)
    assert "geheim-123" not in str(caught.value)
    with pytest.raises(BackupError, match="can't be run"):
        _restic(repository, program=["/no/such/restic"]).still_there(receipt)


def test_killed_in_the_middle_and_started_again(repository: Path, site: Path) -> None:
    """restic is killed with its lock in place; the next run makes a whole backup, and checking isn't locked out."""
    big = site / "zwaar.bin"
    big.write_bytes(os.urandom(24_000_000))
    environment = {"RESTIC_PASSWORD": PASSWORD, "PATH": os.environ["PATH"], "GOMAXPROCS": "1"}
    process = subprocess.Popen(
        ["restic", "-r", repository, "--no-cache", "backup", "-q", "--limit-upload", "1000", str(site)], env=environment
    )
    deadline = time.monotonic() + 20
    while not any((repository / "locks").iterdir()):  # locked: it has begun
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert any((repository / "locks").iterdir())
    assert not any((repository / "snapshots").iterdir())
    big.unlink()
    restic = _restic(repository, verify="read-data")
    receipt = restic.back_up("vps-1", _target(site), key="k")
    assert restic.verify(receipt).sound
