"""A Proxmox VE with guests, tasks and a storage, as strict as the real one: token, types, units, unknown fields."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx

TOKEN = "coulance@pve!backup=0f6c2f1e-0000-4000-8000-000000000002"
_VZDUMP = {"vmid", "storage", "mode", "compress", "remove", "protected", "notes-template"}
_QEMU = {"vmid", "archive", "storage", "unique", "start", "force", "pool"}
_LXC = {"vmid", "ostemplate", "restore", "storage", "unique", "start", "force", "pool"}


@dataclass
class Task:
    """A task that runs for `left` looks at it, and then does what it does."""

    upid: str
    kind: str
    vmid: int
    left: int
    does: Callable[[], str]
    ended: str = ""


@dataclass
class Cluster:
    """One node. `server`: the storage is a backup server, which knows verify states and counts its index."""

    guests: dict[int, dict[str, Any]]
    server: bool = True
    node: str = "pve1"
    archives: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    now: int = 1_780_000_000
    slow: int = 2
    fails: str = ""
    dies_after: int | None = None
    """Requests until the caller is cut off."""

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                raise httpx.ReadError("the connection broke", request=request)
        path = unquote(request.url.raw_path.decode().partition("?")[0]).removeprefix("/api2/json")
        self.requests.append((request.method, path))
        if request.headers.get("Authorization") != f"PVEAPIToken={TOKEN}":
            return httpx.Response(401, json={"data": None, "message": "authentication failure"})
        form = {k: v[0] for k, v in parse_qs(request.content.decode(), strict_parsing=bool(request.content)).items()}
        for pattern, answer in (
            (r"/cluster/resources", self._resources),
            (r"/nodes/([^/]+)/vzdump", self._vzdump),
            (r"/nodes/([^/]+)/tasks", self._active),
            (r"/nodes/([^/]+)/tasks/([^/]+)/status", self._status),
            (r"/nodes/([^/]+)/storage/([^/]+)/content", self._content),
            (r"/nodes/([^/]+)/(qemu|lxc)/(\d+)/config", self._config),
            (r"/nodes/([^/]+)/(qemu|lxc)", self._create),
            (r"/nodes/([^/]+)/(qemu|lxc)/(\d+)", self._delete),
        ):
            if found := re.fullmatch(pattern, path):
                if found.groups() and found[1] != self.node:
                    return _wrong(f"hostname lookup '{found[1]}' failed")
                return answer(request, form, *found.groups()[1:])
        raise AssertionError(f"no such path: {request.method} {path}")

    def _resources(self, request: httpx.Request, _form: dict[str, str]) -> httpx.Response:
        assert request.url.params["type"] == "vm"
        return _data([{"vmid": v, "type": g["type"], "node": self.node} for v, g in self.guests.items()])

    def _config(self, request: httpx.Request, _form: dict[str, str], kind: str, vmid: str) -> httpx.Response:
        assert request.method == "GET"
        guest = self.guests.get(int(vmid))
        if guest is None or guest["type"] != kind:
            return _wrong(f"Configuration file 'nodes/{self.node}/qemu-server/{vmid}.conf' does not exist\n")
        return _data({**guest["config"], "digest": "0" * 40})

    def _vzdump(self, request: httpx.Request, form: dict[str, str]) -> httpx.Response:
        assert request.method == "POST"
        if unknown := set(form) - _VZDUMP:
            return _refused(unknown.pop(), "property is not defined in schema")
        if form["mode"] not in ("snapshot", "suspend", "stop"):
            return _refused("mode", f"value '{form['mode']}' does not have a value in the enumeration")
        for flag in ("remove", "protected"):
            if form.get(flag, "0") not in ("0", "1"):
                return _refused(flag, f"type check ('boolean') failed - got '{form[flag]}'")
        vmid = int(form["vmid"])
        if vmid not in self.guests:
            return _data("OK")  # nothing of it at this node: nothing to do
        began = self.now
        config = {"type": self.guests[vmid]["type"], "config": dict(self.guests[vmid]["config"])}

        def archive() -> str:
            if self.fails:
                return self.fails
            volid = f"{form['storage']}:backup/vm/{vmid}/{began}"
            self.archives[volid] = {
                "volid": volid,
                "vmid": vmid,
                "ctime": began,
                "size": 34_359_738_368,
                "format": "pbs-vm" if self.server else "vma.zst",
                "notes": form["notes-template"] + ("\n" if self.server else ""),
                "protected": int(form["protected"]),
                "content": "backup",
                "subtype": "qemu",
            }
            self.held[volid] = config
            return "OK"

        return self._begin("vzdump", vmid, archive)

    def _create(self, request: httpx.Request, form: dict[str, str], kind: str) -> httpx.Response:
        assert request.method == "POST"
        if unknown := set(form) - (_QEMU if kind == "qemu" else _LXC):
            return _refused(unknown.pop(), "property is not defined in schema")
        vmid, volid = int(form["vmid"]), form["archive" if kind == "qemu" else "ostemplate"]
        if vmid in self.guests:
            return _wrong(f"unable to restore VM {vmid} - vm already exists\n")
        if volid not in self.archives:
            return _wrong(f"unable to find '{volid}'\n")
        assert form["start"] == "0", "a customer's guest must not run twice"
        assert form["unique"] == "1", "nor its hardware address be there twice"

        def restore() -> str:
            if self.fails:
                return self.fails
            self.guests[vmid] = {"type": kind, "config": dict(self.held[volid]["config"])}
            return "OK"

        return self._begin("qmrestore", vmid, restore)

    def _delete(self, request: httpx.Request, _form: dict[str, str], kind: str, vmid: str) -> httpx.Response:
        assert request.method == "DELETE"
        assert self.guests[int(vmid)]["type"] == kind

        def destroy() -> str:
            del self.guests[int(vmid)]
            return "OK"

        return self._begin("qmdestroy", int(vmid), destroy)

    def _content(self, request: httpx.Request, _form: dict[str, str], storage: str) -> httpx.Response:
        assert request.url.params["content"] == "backup"
        vmid = int(request.url.params["vmid"])
        rows = [one for one in self.archives.values() if one["vmid"] == vmid]
        return _data([one for one in rows if one["volid"].startswith(f"{storage}:")])

    def _active(self, request: httpx.Request, _form: dict[str, str]) -> httpx.Response:
        asked = request.url.params
        assert asked["source"] == "active"
        rows = [t for t in self.tasks.values() if not t.ended and t.kind == asked["typefilter"]]
        return _data([{"upid": t.upid, "id": str(t.vmid)} for t in rows if str(t.vmid) == asked["vmid"]])

    def _status(self, request: httpx.Request, _form: dict[str, str], upid: str) -> httpx.Response:
        assert request.method == "GET"
        self.tick()
        task = self.tasks[upid]
        return _data({"status": "stopped", "exitstatus": task.ended} if task.ended else {"status": "running"})

    def tick(self) -> None:
        """Time passes, and tasks go on whether or not anybody looks."""
        for task in self.tasks.values():
            if not task.ended:
                task.left -= 1
                if task.left <= 0:
                    task.ended = task.does()

    def _begin(self, kind: str, vmid: int, does: Callable[[], str]) -> httpx.Response:
        self.now += 60
        upid = f"UPID:{self.node}:0003D4B2:01A2B3C4:{self.now:08X}:{kind}:{vmid}:coulance@pve!backup:"
        self.tasks[upid] = Task(upid, kind, vmid, self.slow, does)
        return _data(upid)


def _data(value: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": value})


def _wrong(message: str) -> httpx.Response:
    return httpx.Response(500, json={"data": None, "message": message})


def _refused(name: str, why: str) -> httpx.Response:
    return httpx.Response(
        400, json={"data": None, "errors": {name: why}, "message": "Parameter verification failed.\n"}
    )
