"""Archives of Proxmox guests: made once, verified by the server's word or by restoring, of the guest that is meant."""

from typing import Any

import httpx
import pytest

from coulance.arrears.ports import BackupError, BackupTarget, Receipt, WrongServiceError
from coulance.integrations.backups.vzdump import Vzdump
from tests.backups.vzdump_fake import TOKEN, Cluster

TARGET = BackupTarget("101/web1", {"vmid": 101})


def _cluster(**more: Any) -> Cluster:
    disks = {"scsi0": "local-zfs:vm-101-disk-0,size=32G", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}
    return Cluster({101: {"type": "qemu", "config": {"name": "web1", **disks}}}, **more)


def _vzdump(cluster: Cluster, **more: Any) -> Vzdump:
    return Vzdump(
        url="https://pve.example", token=lambda: TOKEN, storage="pbs", poll_s=0,
        transport=httpx.MockTransport(cluster.handle), **more,
    )  # fmt: skip


def test_an_archive_counts_once_the_backup_server_has_read_it() -> None:
    cluster = _cluster()
    vzdump = _vzdump(cluster)
    receipt = vzdump.back_up("vps-1", TARGET, key="case/1/backup")
    archive = cluster.archives[receipt.ref]
    assert archive["protected"] == 1
    assert archive["ctime"] == int(receipt.made_at.timestamp())
    assert receipt.made_at.year == 2026
    assert Receipt.from_json(receipt.to_json()) == receipt
    assert vzdump.still_there(receipt)

    waiting = vzdump.verify(receipt)
    assert not waiting.sound
    assert "no verify state yet" in waiting.how
    archive["size"] += 120  # the state is written into the archive's index
    archive["verification"] = {"state": "failed", "upid": "UPID:x"}
    assert "'failed'" in vzdump.verify(receipt).how
    archive["verification"] = {"state": "ok", "upid": "UPID:x"}
    assert vzdump.verify(receipt).sound

    archive["ctime"] += 1  # another under the same name
    assert not vzdump.verify(receipt).sound
    del cluster.archives[receipt.ref]
    assert not vzdump.still_there(receipt)
    assert "has no archive" in vzdump.verify(receipt).how


def test_cut_off_at_any_request_and_asked_again_there_is_one_archive() -> None:
    whole = _cluster()
    _vzdump(whole).back_up("vps-1", TARGET, key="k")
    for after in range(len(whole.requests)):
        cluster = _cluster(dies_after=after)
        with pytest.raises(BackupError, match="can't be reached"):
            _vzdump(cluster).back_up("vps-1", TARGET, key="k")
        cluster.dies_after = None
        receipt = _vzdump(cluster).back_up("vps-1", TARGET, key="k")
        assert list(cluster.archives) == [receipt.ref], after
        assert sum(1 for method, _ in cluster.requests if method == "POST") == 1


def test_another_guest_is_refused_before_a_task_begins() -> None:
    cluster = _cluster()
    for identity in ("101/web2", "101/uuid=0f6c2f1e-0000-4000-8000-000000000001", ""):
        with pytest.raises(WrongServiceError, match="expected"):
            _vzdump(cluster).back_up("vps-1", BackupTarget(identity, {"vmid": 101}), key="k")
    with pytest.raises(BackupError, match="no qemu guest 102"):
        _vzdump(cluster).back_up("vps-2", BackupTarget("102/x", {"vmid": 102}), key="k")
    assert {method for method, _ in cluster.requests} == {"GET"}
    assert not cluster.tasks


def test_a_task_that_fails_is_no_backup() -> None:
    cluster = _cluster(fails="job errors")
    with pytest.raises(BackupError, match="job errors"):
        _vzdump(cluster).back_up("vps-1", TARGET, key="k")
    cluster.fails = ""
    assert _vzdump(cluster).back_up("vps-1", TARGET, key="k").ref in cluster.archives


def test_a_test_restore_compares_and_leaves_nothing_behind() -> None:
    cluster = _cluster(server=False)
    vzdump = _vzdump(cluster, verify="test-restore", scratch_vmid=9999)
    receipt = vzdump.back_up("vps-1", TARGET, key="k")
    found = vzdump.verify(receipt)
    assert found.sound
    assert "1 disks" in found.how
    assert set(cluster.guests) == {101}

    cluster.held[receipt.ref]["config"]["name"] = "web7"
    assert "not '101/web1'" in vzdump.verify(receipt).how
    cluster.fails = "archive is corrupt: checksum mismatch"
    assert "checksum mismatch" in vzdump.verify(receipt).how
    assert set(cluster.guests) == {101}

    cluster.guests[9999] = {"type": "qemu", "config": {"name": "somebody's"}}
    with pytest.raises(BackupError, match="nothing is overwritten"):
        vzdump.verify(receipt)
    assert set(cluster.guests) == {101, 9999}


@pytest.mark.parametrize(
    "parameters", [{}, {"vmid": 7}, {"vmid": True}, {"vmid": "101; rm"}, {"vmid": 101, "type": "vmware"}]
)
def test_parameters_that_can_not_be_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(BackupError, match="expected"):
        _vzdump(_cluster()).back_up("vps-1", BackupTarget("101/web1", parameters), key="k")


def test_the_token_is_never_told() -> None:
    with pytest.raises(BackupError) as caught:
        Vzdump(
            url="https://pve.example", token=lambda: TOKEN[:-1] + "9", storage="pbs",
            transport=httpx.MockTransport(_cluster().handle),
        ).back_up("vps-1", TARGET, key="k")  # fmt: skip
    assert "authentication failure" in str(caught.value)
    assert TOKEN[:-1] not in str(caught.value)
