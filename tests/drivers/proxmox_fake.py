"""A Proxmox VE that keeps state and is as strict as the real one: token, types, units, digest, unknown fields."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import httpx

TOKEN = "coulance@pve!driver=0f6c2f1e-0000-4000-8000-000000000001"
FLAGS = ("link_down", "firewall")
MODELS = ("virtio", "e1000", "rtl8139", "vmxnet3")
QEMU_FIELDS = {*MODELS, "bridge", "firewall", "link_down", "macaddr", "model", "mtu", "queues", "rate", "tag", "trunks"}
LXC_FIELDS = {
    "name", "bridge", "firewall", "gw", "gw6", "hwaddr", "ip", "ip6", "link_down", "mtu", "rate", "tag", "trunks",
    "type",
}  # fmt: skip


@dataclass
class Guest:
    """A guest's configuration, and what is in force: without hotplug a change waits for the next start."""

    node: str
    kind: str
    config: dict[str, Any]
    hotplug: bool = True
    running: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.running = dict(self.config)

    @property
    def digest(self) -> str:
        return hashlib.sha1(json.dumps(self.config, sort_keys=True).encode()).hexdigest()

    def policed_bytes(self, net: str) -> int | None:
        """Bytes a second that the kernel polices, as the hypervisor computes it: MiB times 1024 * 1024."""
        found = re.search(r"(?:^|,)rate=([0-9.]+)", self.running[net])
        return int(float(found[1]) * 1024 * 1024) if found else None


@dataclass
class Cluster:
    """Guests by vmid; `puts` are the forms that were taken, `wrong` answers instead where a test wants it."""

    guests: dict[int, Guest]
    puts: list[dict[str, str]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    wrong: Any = None
    meanwhile: Any = None
    """Called before a PUT is judged: somebody else changes something."""

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        if self.wrong is not None:
            answer = self.wrong(request)
            if answer is not None:
                return answer  # type: ignore[no-any-return]
        if request.headers.get("Authorization") != f"PVEAPIToken={TOKEN}":
            return httpx.Response(401, json={"data": None, "message": "authentication failure"})
        if request.url.path == "/api2/json/cluster/resources":
            rows = [
                {"vmid": vmid, "type": guest.kind, "node": guest.node, "status": "running"}
                for vmid, guest in self.guests.items()
            ]
            return httpx.Response(200, json={"data": rows})
        found = re.fullmatch(r"/api2/json/nodes/([^/]+)/(qemu|lxc)/(\d+)/config", request.url.path)
        assert found, f"no such path: {request.url.path}"
        guest = self.guests.get(int(found[3]))
        if guest is None or (guest.node, guest.kind) != (found[1], found[2]):
            where = f"nodes/{found[1]}/{'qemu-server' if found[2] == 'qemu' else 'lxc'}/{found[3]}.conf"
            return httpx.Response(500, json={"data": None, "message": f"Configuration file '{where}' does not exist\n"})
        if request.method == "GET":
            assert request.url.params.get("current") == "1", "without it pending changes look as if they held"
            return httpx.Response(200, json={"data": {**guest.running, "digest": guest.digest}})
        assert request.method == "PUT"
        assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = {name: values[0] for name, values in parse_qs(request.content.decode(), strict_parsing=True).items()}
        if self.meanwhile is not None:
            self.meanwhile(guest)
        return self._set(guest, form)

    def _set(self, guest: Guest, form: dict[str, str]) -> httpx.Response:
        digest = form.pop("digest", None)
        assert digest, "the driver sends what it read"
        if digest != guest.digest:
            said = "detected modified configuration - file changed by other user? Try again.\n"
            return httpx.Response(500, json={"data": None, "message": said})
        for name, text in form.items():
            if fault := _fault(guest.kind, name, text):
                return httpx.Response(
                    400, json={"data": None, "errors": {name: fault}, "message": "Parameter verification failed.\n"}
                )
        self.puts.append(form)
        guest.config.update(form)
        if guest.hotplug:
            guest.running.update(form)
        return httpx.Response(200, json={"data": None})


def _fault(kind: str, name: str, text: str) -> str:
    if not re.fullmatch(r"net\d+", name):
        return "property is not defined in schema and the schema does not allow additional properties"
    for part in text.split(","):
        key, _, value = part.partition("=")
        if key not in (QEMU_FIELDS if kind == "qemu" else LXC_FIELDS):
            return f"invalid format - format error\n{name}.{key}: property is not defined in schema"
        if key in FLAGS and value not in ("0", "1"):
            return f"invalid format - {name}.{key}: type check ('boolean') failed - got '{value}'"
        if key == "rate" and not re.fullmatch(r"\d+(\.\d+)?", value):
            return f"invalid format - {name}.{key}: type check ('number') failed - got '{value}'"
        if key in ("tag", "mtu", "queues") and not value.isdecimal():
            return f"invalid format - {name}.{key}: type check ('integer') failed - got '{value}'"
    return ""
