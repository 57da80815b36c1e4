"""Proxmox VE: the network link of a guest, and its rate, in the guest's own configuration.

A pause sets `link_down=1` on the guest's interfaces, a throttle their `rate`; everything else of an interface stays as
it is, field by field, and the configuration's digest is sent along, so that somebody else's change in between makes
ours fail rather than be lost. The guest itself, its disks and its console are not touched.

Units: the hypervisor multiplies `rate` by 1024 * 1024 and polices that many bytes a second (pve-common,
`PVE::Network::tap_rate_limit`), so "megabytes" are MiB. We write steps of 1 KiB a second, which are exact both ways.

Parameters of a target: `vmid`; `type`, qemu (default) or lxc; `node`, or it is looked up, as guests migrate;
`interfaces`, such as ["net0"], all of them unless said; `usual_rate`, what `rate` is when nobody throttles, as the
configuration has it ("12.5", or "none"). Without `usual_rate` rates are left alone, and a throttle is refused: nobody
could say what to go back to. The identity is VMID/NAME (a container's hostname), or VMID/uuid=UUID of `smbios1`.
"""

import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx

from coulance.enforcement.ports import DriverError, Observed, TargetRow, WrongTargetError
from coulance_core.enforcement.restrictions import Desired

STEP_BPS = 8 * 1024
"""1 KiB a second, in bits."""
_LARGEST = 1024 * 1024
_NET = re.compile(r"net(\d{1,2})")
_NUMBER = re.compile(r"\d{1,7}(\.\d{1,12})?")
_FIELD = re.compile(r"[A-Za-z0-9_-]+=[^,=]*(=[^,]*)?|[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class _Guest:
    vmid: int
    kind: str
    node: str
    interfaces: tuple[str, ...]
    usual: str | None
    """What `rate` is when nobody throttles; empty: none; None: rates are not ours."""


@dataclass(frozen=True, slots=True)
class _Config:
    where: str
    digest: str
    identity: str
    nets: dict[str, str]


def parse_net(text: str) -> list[tuple[str, str | None]]:
    """An interface's fields in their order: (name, value), a bare word without one. Raises `DriverError`.

    >>> parse_net("virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=12.5")
    [('virtio', 'BC:24:11:00:00:01'), ('bridge', 'vmbr0'), ('rate', '12.5')]
    """
    fields: list[tuple[str, str | None]] = []
    for part in text.split(","):
        if not _FIELD.fullmatch(part):
            raise DriverError(f"Proxmox shows an interface that can't be read: {text[:200]!r}")
        name, equals, value = part.partition("=")
        if any(name == known for known, _ in fields):
            raise DriverError(f"Proxmox shows an interface that says {name} twice: {text[:200]!r}")
        fields.append((name, value if equals else None))
    return fields


def with_fields(text: str, **changed: str | None) -> str:
    """The interface with these fields set, or taken out where None; all others stay as and where they are.

    >>> with_fields("virtio=BC:24:11:00:00:01,bridge=vmbr0,rate=12.5,tag=7", rate=None, link_down="1")
    'virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=7,link_down=1'
    """
    out: list[tuple[str, str | None]] = []
    left = dict(changed)
    for name, value in parse_net(text):
        if name not in left:
            out.append((name, value))
        elif (new := left.pop(name)) is not None:
            out.append((name, new))
    out.extend((name, value) for name, value in left.items() if value is not None)
    return ",".join(name if value is None else f"{name}={value}" for name, value in out)


def rate_text(rate_bps: int) -> str:
    """Bits a second as Proxmox writes them: MiB a second, in decimals.

    >>> rate_text(8 * 1024 * 1024), rate_text(10_002_432)
    ('1', '1.1923828125')
    """
    text = f"{Decimal(rate_bps) / Decimal(8 * 1024 * 1024):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rate_bps(text: str) -> int:
    """The other way round, rounded down to whole bits a second. Raises `DriverError`."""
    if not _NUMBER.fullmatch(text):
        raise DriverError(f"Proxmox shows a rate that can't be read: {text[:40]!r}")
    return int(Decimal(text) * 8 * 1024 * 1024)


class Proxmox:
    """One cluster, by whichever of its nodes `url` names; `token` gives USER@REALM!TOKENID=UUID when it is needed."""

    def __init__(
        self,
        *,
        url: str,
        token: Callable[[], str],
        verify: bool = True,
        ca_file: str = "",
        timeout_s: float = 5.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url, self._token, self._timeout = url.rstrip("/"), token, timeout_s
        context: ssl.SSLContext | bool = True
        if transport is None:
            try:
                context = ssl.create_default_context(cafile=ca_file or None)
            except (OSError, ssl.SSLError) as error:
                raise DriverError(f"ca_file {ca_file!r} can't be read: {error}") from error
            if not verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
        self._client = httpx.Client(
            base_url=self._url,
            timeout=timeout_s,
            verify=context,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    def nearest(self, desired: Desired) -> Desired:
        """Rates in steps of 1 KiB a second; no blackholes: those are a router's."""
        rate = desired.rate_bps
        return Desired(desired.paused, None if rate is None else max(rate // STEP_BPS, 1) * STEP_BPS)

    def read(self, target: TargetRow) -> Observed:
        """What the guest's interfaces are set to, now and not only after its next start."""
        guest = _guest(target)
        config = self._config(guest, target)
        state, whole = _state(guest, config)
        evidence = json.dumps({"at": config.where, "digest": config.digest, **config.nets})
        return Observed(config.identity, state, evidence, whole)

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        """Set the interfaces, all in one request that holds only for the configuration that was read."""
        guest = _guest(target)
        if desired.blackholed:
            raise DriverError("Proxmox can't blackhole an address: give the service a target at a router (nftables)")
        if desired.rate_bps is not None and guest.usual is None:
            raise DriverError(
                f"{target.service}: without usual_rate in the target's parameters nobody knows what to go back to: "
                'expected what the guest has when nobody throttles, such as "12.5" or "none"'
            )
        config = self._config(guest, target)
        if config.identity != target.identity:
            raise WrongTargetError(f"Proxmox shows {config.identity!r} where {target.identity!r} was meant")
        changed: dict[str, str | None] = {"link_down": "1" if desired.paused else None}
        if guest.usual is not None:
            changed["rate"] = (guest.usual or None) if desired.rate_bps is None else rate_text(desired.rate_bps)
        form = {name: with_fields(text, **changed) for name, text in config.nets.items()}
        form = {name: text for name, text in form.items() if text != config.nets[name]}
        if form:
            self._ask("PUT", config.where, form={**form, "digest": config.digest})
        return f"{key}: {', '.join(sorted(form)) or 'nothing'} set at {config.where}"

    def _config(self, guest: _Guest, target: TargetRow) -> _Config:
        node = guest.node
        if node:
            try:
                return self._config_at(node, guest, target)
            except _NotThereError:
                pass  # it may have migrated
        return self._config_at(self._find(guest), guest, target)

    def _config_at(self, node: str, guest: _Guest, target: TargetRow) -> _Config:
        where = f"/api2/json/nodes/{quote(node, safe='')}/{guest.kind}/{guest.vmid}/config"
        data = self._ask("GET", where, query={"current": "1"})
        if not isinstance(data, dict):
            raise DriverError(f"Proxmox answered no configuration of {guest.vmid}: {str(data)[:100]!r}")
        digest = data.get("digest")
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{40,64}", digest):
            raise DriverError(f"Proxmox answered a configuration without a digest: {str(digest)[:100]!r}")
        nets = {name: text for name, text in data.items() if _NET.fullmatch(name)}
        if guest.interfaces:
            if missing := sorted(set(guest.interfaces) - set(nets)):
                raise DriverError(f"guest {guest.vmid} has no {', '.join(missing)}: it has {', '.join(sorted(nets))}")
            nets = {name: nets[name] for name in guest.interfaces}
        if not nets:
            raise DriverError(f"guest {guest.vmid} has no network interface")
        for name, text in nets.items():
            if not isinstance(text, str):
                raise DriverError(f"Proxmox answered {name} as no text: {str(text)[:100]!r}")
        return _Config(where, digest, _identity(guest, data, target.identity), dict(sorted(nets.items())))

    def _find(self, guest: _Guest) -> str:
        found = self._ask("GET", "/api2/json/cluster/resources", query={"type": "vm"})
        if not isinstance(found, list):
            raise DriverError("Proxmox answered no list of guests")
        for one in found:
            if isinstance(one, dict) and one.get("vmid") == guest.vmid and one.get("type") == guest.kind:
                node = one.get("node")
                if isinstance(node, str) and node:
                    return node
        raise DriverError(f"the cluster has no {guest.kind} guest {guest.vmid}, or the token may not see it")

    def _ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> Any:
        token = self._token()
        if not re.fullmatch(r"[^@!=\s]+@[^@!=\s]+![^@!=\s]+=[^\s]+", token):
            raise DriverError("the secret is no API token: expected USER@REALM!TOKENID=UUID")
        headers = {"Authorization": f"PVEAPIToken={token}", "Accept": "application/json"}
        try:
            with self._client.stream(method, path, params=query, data=form, headers=headers) as answer:
                body = bytearray()
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise DriverError(f"Proxmox answered more than {_LARGEST} bytes")
        except httpx.TimeoutException as error:
            raise DriverError(f"Proxmox did not answer within {self._timeout:g} s") from error
        except httpx.HTTPError as error:
            raise DriverError(
                f"Proxmox can't be reached: {type(error).__name__}: {error}".replace(token, "...")
            ) from error
        return _judged(answer, bytes(body), path, token)


class _NotThereError(DriverError):
    """The guest's configuration is not at that node."""


def _judged(answer: httpx.Response, body: bytes, path: str, token: str) -> Any:
    told = f"{answer.reason_phrase} {_message(body)}".strip().replace(token, "...")[:300]
    if answer.status_code in (401, 403):
        raise DriverError(f"Proxmox refuses the token for {path}: {told}; it needs VM.Audit and VM.Config.Network")
    if answer.status_code == 500 and "does not exist" in told:
        raise _NotThereError(f"Proxmox: {told}")
    if answer.status_code != 200:
        raise DriverError(f"Proxmox answered {answer.status_code} to {path}: {told}")
    try:
        found = json.loads(body)
    except (ValueError, UnicodeDecodeError) as error:
        raise DriverError(f"Proxmox answered what is no JSON: {body[:100]!r}") from error
    if not isinstance(found, dict) or "data" not in found:
        raise DriverError(f"Proxmox answered no data: {body[:100]!r}")
    if found.get("errors"):
        raise DriverError(f"Proxmox refused: {str(found['errors'])[:300]}")
    return found["data"]


def _message(body: bytes) -> str:
    try:
        found = json.loads(body)
    except (ValueError, UnicodeDecodeError):
        return ""
    if not isinstance(found, dict):
        return ""
    return " ".join(str(found[name]).strip() for name in ("message", "errors") if found.get(name))


def _guest(target: TargetRow) -> _Guest:
    given = target.parameters
    vmid, kind, node = given.get("vmid"), given.get("type", "qemu"), given.get("node", "")
    if isinstance(vmid, str) and vmid.isdecimal():
        vmid = int(vmid)
    if not isinstance(vmid, int) or isinstance(vmid, bool) or not 100 <= vmid < 10**9:
        raise DriverError(f"{target.service}: expected vmid, such as 101, in the target's parameters, not {vmid!r}")
    if kind not in ("qemu", "lxc"):
        raise DriverError(f"{target.service}: expected type qemu or lxc in the target's parameters, not {kind!r}")
    if not isinstance(node, str):
        raise DriverError(f"{target.service}: expected node as a text in the target's parameters, not {node!r}")
    named = given.get("interfaces", [])
    if not isinstance(named, list) or not all(isinstance(n, str) and _NET.fullmatch(n) for n in named):
        raise DriverError(f'{target.service}: expected interfaces such as ["net0"], not {named!r}')
    usual = given.get("usual_rate")
    if usual is not None:
        usual = "" if str(usual) == "none" else str(usual)
        if usual and not _NUMBER.fullmatch(usual):
            raise DriverError(f'{target.service}: expected usual_rate such as "12.5" or "none", not {usual!r}')
    return _Guest(vmid, kind, node, tuple(dict.fromkeys(named)), usual)


def _identity(guest: _Guest, data: Mapping[str, Any], meant: str) -> str:
    if meant.partition("/")[2].startswith("uuid="):
        smbios = str(data.get("smbios1", ""))
        found = next((f[5:] for f in smbios.split(",") if f.startswith("uuid=")), "none")
        return f"{guest.vmid}/uuid={found.lower()}"
    name = data.get("hostname" if guest.kind == "lxc" else "name")
    return f"{guest.vmid}/{name if isinstance(name, str) and name else 'without a name'}"


def _state(guest: _Guest, config: _Config) -> tuple[Desired, bool]:
    """What holds, and whether it holds for all interfaces alike."""
    fields = [dict(parse_net(text)) for text in config.nets.values()]
    for one in fields:
        if one.get("link_down", "0") not in ("0", "1"):
            raise DriverError(f"Proxmox shows link_down={one['link_down']!r}: expected 0 or 1")
    down = {one.get("link_down", "0") == "1" for one in fields}
    if guest.usual is None:
        return Desired(down == {True}), len(down) == 1
    rates = {rate_bps(one["rate"] or "") if "rate" in one else None for one in fields}
    usual = rate_bps(guest.usual) if guest.usual else None
    held = next(iter(rates)) if len(rates) == 1 else usual
    if held is None and usual is not None:
        # The usual rate is gone: that is a change by hand, to be written again.
        return Desired(down == {True}), False
    return Desired(down == {True}, None if held == usual else held), len(down) == 1 and len(rates) == 1
