"""Proxmox VE: an archive of a guest by `vzdump`, on a storage of the cluster or a Proxmox Backup Server.

Parameters of a target are those of the network driver: `vmid`, `type` (qemu or lxc), `node`, or it is looked up. The
identity is VMID/NAME, or VMID/uuid=UUID of `smbios1`; it is read before a task is started.

A task runs on in the cluster when we are killed: asked again, the archive whose notes hold our key is found, or the
task is waited for. Nothing is pruned (`remove=0`), and an archive is protected, so that the storage's own pruning
leaves it (`protected=1`) until somebody takes the mark off.

Verified, by `verify`:
  * `verify-state`: a Proxmox Backup Server read every chunk and says ok. Before its verify job has run there is no
    state, and the backup isn't verified yet.
  * `test-restore`: the archive is restored as a new guest `scratch_vmid`, which is never started, its configuration is
    compared, and it is destroyed again. A number that is in use is refused: nothing is ever overwritten, also not a
    guest that an interrupted test left, which somebody removes by hand.

The token needs VM.Audit and VM.Backup on the guests, Datastore.AllocateSpace and Datastore.Audit on the storage; for
test restores also VM.Allocate on the scratch number and Datastore.AllocateSpace where its disks go.
"""

import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import httpx

from coulance.arrears.ports import BackupError, BackupTarget, Receipt, Verified, WrongServiceError

_LARGEST = 8 * 1024 * 1024
_UPID = re.compile(r"UPID:([A-Za-z0-9-]+):[0-9A-F]{8}:[0-9A-F]{8,}:([0-9A-F]{8}):([a-z0-9]+):([^:]*):[^:]+:")
_KEY = re.compile(r"[A-Za-z0-9._:/=+-]{1,200}")
_VOLUME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*:backup/[A-Za-z0-9._:/+-]+")


class Vzdump:
    """One cluster and the storage its archives go to. `token` gives USER@REALM!TOKENID=UUID when it is needed."""

    def __init__(
        self,
        *,
        url: str,
        token: Callable[[], str],
        storage: str,
        verify: Literal["verify-state", "test-restore"] = "verify-state",
        scratch_vmid: int | None = None,
        scratch_storage: str = "",
        mode: Literal["snapshot", "suspend", "stop"] = "snapshot",
        ca_file: str = "",
        timeout_s: float = 6 * 3600.0,
        poll_s: float = 2.0,
        name: str = "vzdump",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if verify == "test-restore" and not (scratch_vmid and scratch_vmid >= 100):
            raise BackupError("a test restore needs scratch_vmid: a guest's number, of 100 or more, that is not in use")
        self._token, self._storage, self._how, self._mode = token, storage, verify, mode
        self._scratch, self._scratch_storage = scratch_vmid, scratch_storage
        self._timeout, self._poll, self._name = timeout_s, poll_s, name
        context: ssl.SSLContext | bool = True
        if transport is None:
            try:
                context = ssl.create_default_context(cafile=ca_file or None)
            except (OSError, ssl.SSLError) as error:
                raise BackupError(f"ca_file {ca_file!r} can't be read: {error}") from error
        self._client = httpx.Client(
            base_url=url.rstrip("/"), timeout=30, verify=context, trust_env=False, transport=transport
        )

    def back_up(self, service: str, target: BackupTarget, *, key: str) -> Receipt:
        """An archive of the guest, or the one that was made for this key."""
        if not _KEY.fullmatch(key):
            raise BackupError(f"{key!r} can't stand in an archive's notes: expected letters, digits and .:/=+-")
        vmid, kind = _guest(target)
        node = self._node(vmid, kind)
        found = _identity(vmid, kind, self._config(node, kind, vmid), target.identity)
        if found != target.identity or not target.identity:
            raise WrongServiceError(f"guest {vmid} on {node} is {found!r}: expected {target.identity!r}")
        mark = f"coulance {key}"
        archive = self._archive_of(node, vmid, mark)
        if archive is None:
            running = self._running(node, vmid)
            task = running or self._start(
                f"/nodes/{quote(node)}/vzdump",
                {
                    "vmid": str(vmid),
                    "storage": self._storage,
                    "mode": self._mode,
                    "remove": "0",
                    "protected": "1",
                    "notes-template": mark,
                },
            )
            self._wait(node, task)
            archive = self._archive_of(node, vmid, mark)
            if archive is None and running:
                raise BackupError(f"another backup of guest {vmid} was running: ours can begin now that it is over")
        if archive is None:
            raise BackupError(f"the task ended well, but storage {self._storage} lists no archive of {vmid} for it")
        return Receipt(
            self._name,
            service,
            target.identity,
            str(archive["volid"]),
            datetime.fromtimestamp(archive["ctime"], UTC),
            archive["size"],
            "",
            {"node": node, "vmid": vmid, "type": kind, "storage": self._storage, "key": key},
        )

    def verify(self, receipt: Receipt) -> Verified:
        """Whether the archive was read whole: by the backup server's word, or by restoring it."""
        archive = self._archive(receipt)
        if archive is None:
            return Verified(False, f"storage {receipt.detail['storage']} has no archive {receipt.ref}")
        if not _same(archive, receipt):
            return Verified(False, f"{receipt.ref} is another archive than the receipt says: its size or time differs")
        if self._how == "verify-state":
            return _by_state(archive, receipt)
        return self._restored(receipt)

    def still_there(self, receipt: Receipt) -> bool:
        """Whether the storage lists the archive, of the very size and time."""
        archive = self._archive(receipt)
        return archive is not None and _same(archive, receipt)

    def _restored(self, receipt: Receipt) -> Verified:
        scratch, kind = self._scratch, str(receipt.detail["type"])
        if scratch is None:
            raise BackupError("no scratch_vmid is set")
        if any(one.get("vmid") == scratch for one in self._guests()):
            raise BackupError(f"guest {scratch} exists: it is kept free for test restores, and nothing is overwritten")
        node = str(receipt.detail["node"])
        form = {"vmid": str(scratch), "start": "0", "unique": "1"}
        form |= {"archive": receipt.ref} if kind == "qemu" else {"ostemplate": receipt.ref, "restore": "1"}
        if self._scratch_storage:
            form["storage"] = self._scratch_storage
        task = self._start(f"/nodes/{quote(node)}/{kind}", form)
        try:
            self._wait(node, task)
        except _FailedError as error:
            self._destroy(node, kind, scratch, receipt)
            return Verified(False, f"restoring {receipt.ref} failed: {error}")
        config = self._config(node, kind, scratch)
        found = _identity(int(receipt.detail["vmid"]), kind, config, receipt.identity)
        self._destroy(node, kind, scratch, receipt)
        if found != receipt.identity:
            return Verified(False, f"what was restored is {found!r}, not {receipt.identity!r}")
        disks = sorted(name for name in config if re.fullmatch(r"(scsi|virtio|ide|sata|mp)\d+|rootfs", name))
        return Verified(True, f"restored as guest {scratch} and compared, {len(disks)} disks", {"task": task})

    def _destroy(self, node: str, kind: str, scratch: int, receipt: Receipt) -> None:
        """Take the restored guest away. It was made by our task under a number that was free when it began."""
        if scratch == int(receipt.detail["vmid"]):
            raise BackupError(f"guest {scratch} is the service itself")
        if not any(one.get("vmid") == scratch for one in self._guests()):
            return
        self._wait(node, self._task("DELETE", f"/nodes/{quote(node)}/{kind}/{scratch}", {}))

    def _archive(self, receipt: Receipt) -> dict[str, Any] | None:
        detail = receipt.detail
        if not _VOLUME.fullmatch(receipt.ref):
            raise BackupError(f"{receipt.ref!r} is no archive of vzdump's")
        listed = self._listed(str(detail["node"]), str(detail["storage"]), int(detail["vmid"]))
        return next((one for one in listed if one["volid"] == receipt.ref), None)

    def _archive_of(self, node: str, vmid: int, mark: str) -> dict[str, Any] | None:
        found = [one for one in self._listed(node, self._storage, vmid) if one.get("notes", "").strip() == mark]
        return max(found, key=lambda one: int(one["ctime"]), default=None)

    def _listed(self, node: str, storage: str, vmid: int) -> list[dict[str, Any]]:
        path = f"/nodes/{quote(node)}/storage/{quote(storage)}/content"
        found = self._ask("GET", path, query={"content": "backup", "vmid": str(vmid)})
        if not isinstance(found, list):
            raise BackupError("Proxmox answered no list of archives")
        for one in found:
            if not isinstance(one, dict) or not (
                isinstance(one.get("volid"), str) and _whole(one.get("ctime")) and _whole(one.get("size"))
            ):
                raise BackupError(f"Proxmox lists an archive that can't be read: {str(one)[:200]!r}")
        return [one for one in found if one.get("vmid") == vmid]

    def _running(self, node: str, vmid: int) -> str:
        query = {"source": "active", "typefilter": "vzdump", "vmid": str(vmid)}
        found = self._ask("GET", f"/nodes/{quote(node)}/tasks", query=query)
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and isinstance(one.get("upid"), str) and _UPID.fullmatch(one["upid"]):
                return str(one["upid"])
        return ""

    def _start(self, path: str, form: dict[str, str]) -> str:
        return self._task("POST", path, form)

    def _task(self, method: str, path: str, form: dict[str, str]) -> str:
        told = self._ask(method, path, form=form)
        if not isinstance(told, str) or not _UPID.fullmatch(told):
            # vzdump answers "OK" where the guest is at another node: nothing was started then.
            raise BackupError(f"Proxmox started no task: {str(told)[:200]!r}")
        return told

    def _wait(self, node: str, task: str) -> None:
        """Until the task is over. Raises `_FailedError` for one that did not end well."""
        until = time.monotonic() + self._timeout
        while True:
            told = self._ask("GET", f"/nodes/{quote(node)}/tasks/{quote(task, safe='')}/status")
            status = told.get("status") if isinstance(told, dict) else None
            if status == "stopped":
                ended = str(told.get("exitstatus") or "without a word")
                if ended == "OK" or ended.startswith("WARNINGS"):
                    return
                raise _FailedError(f"task {task}: {ended[:300]}")
            if status != "running":
                raise BackupError(f"Proxmox answered no state of task {task}: {str(told)[:200]!r}")
            if time.monotonic() > until:
                raise BackupError(f"task {task} did not end within {self._timeout:g} s")
            time.sleep(self._poll)

    def _node(self, vmid: int, kind: str) -> str:
        for one in self._guests():
            if one.get("vmid") == vmid and one.get("type") == kind and isinstance(one.get("node"), str):
                return str(one["node"])
        raise BackupError(f"the cluster has no {kind} guest {vmid}, or the token may not see it")

    def _guests(self) -> list[dict[str, Any]]:
        found = self._ask("GET", "/cluster/resources", query={"type": "vm"})
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise BackupError("Proxmox answered no list of guests")
        return found

    def _config(self, node: str, kind: str, vmid: int) -> dict[str, Any]:
        found = self._ask("GET", f"/nodes/{quote(node)}/{kind}/{vmid}/config", query={"current": "1"})
        if not isinstance(found, dict):
            raise BackupError(f"Proxmox answered no configuration of {vmid}: {str(found)[:100]!r}")
        return found

    def _ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> Any:
        token = self._token()
        if not re.fullmatch(r"[^@!=\s]+@[^@!=\s]+![^@!=\s]+=[^\s]+", token):
            raise BackupError("the secret is no API token: expected USER@REALM!TOKENID=UUID")
        headers = {"Authorization": f"PVEAPIToken={token}", "Accept": "application/json"}
        try:
            with self._client.stream(
                method, f"/api2/json{path}", params=query, data=form or None, headers=headers
            ) as answer:
                body = bytearray()
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise BackupError(f"Proxmox answered more than {_LARGEST} bytes")
        except httpx.HTTPError as error:
            told = f"Proxmox can't be reached: {type(error).__name__}: {error}"
            raise BackupError(told.replace(token, "...")) from error
        try:
            found = json.loads(bytes(body) or b"{}")
        except ValueError:
            found = None
        if answer.status_code != 200 or not isinstance(found, dict) or "data" not in found:
            said = [str(found[n]) for n in ("message", "errors") if found.get(n)] if isinstance(found, dict) else []
            told = f"Proxmox answered {answer.status_code} to {method} {path}: {' '.join(said) or bytes(body[:100])!r}"
            raise BackupError(" ".join(told.split()).replace(token, "...")[:500])
        return found["data"]


class _FailedError(BackupError):
    """A task that ran and did not end well."""


def _same(archive: Mapping[str, Any], receipt: Receipt) -> bool:
    if archive["ctime"] != int(receipt.made_at.timestamp()):
        return False
    # A backup server writes its verify state into the archive's own index, which is counted.
    return str(archive.get("format", "")).startswith("pbs") or bool(archive["size"] == receipt.size)


def _by_state(archive: Mapping[str, Any], receipt: Receipt) -> Verified:
    verification = archive.get("verification")
    told: dict[str, Any] = verification if isinstance(verification, dict) else {}
    state = told.get("state")
    if state == "ok":
        return Verified(True, "the backup server read every chunk: ok", {"task": told.get("upid", "")})
    if state is None:
        return Verified(False, f"{receipt.ref} has no verify state yet: run or wait for the server's verify job")
    return Verified(False, f"the backup server says {state!r} of {receipt.ref}")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _guest(target: BackupTarget) -> tuple[int, str]:
    vmid, kind = target.parameters.get("vmid"), target.parameters.get("type", "qemu")
    if isinstance(vmid, str) and vmid.isdecimal():
        vmid = int(vmid)
    if not isinstance(vmid, int) or isinstance(vmid, bool) or not 100 <= vmid < 10**9:
        raise BackupError(f"expected vmid, such as 101, in the target's parameters, not {vmid!r}")
    if kind not in ("qemu", "lxc"):
        raise BackupError(f"expected type qemu or lxc in the target's parameters, not {kind!r}")
    return vmid, str(kind)


def _identity(vmid: int, kind: str, config: Mapping[str, Any], meant: str) -> str:
    if meant.partition("/")[2].startswith("uuid="):
        smbios = str(config.get("smbios1", ""))
        return f"{vmid}/uuid={next((f[5:] for f in smbios.split(',') if f.startswith('uuid=')), 'none').lower()}"
    name = config.get("hostname" if kind == "lxc" else "name")
    return f"{vmid}/{name if isinstance(name, str) and name else 'without a name'}"
