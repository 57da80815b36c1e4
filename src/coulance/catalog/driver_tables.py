"""What a provider file says of drivers: [drivers.KEY], one table for each kind, and how it is read."""

from ipaddress import ip_network
from typing import Any

from coulance.catalog.building import PriceBuilder
from coulance.catalog.fields import Checked, Field, Flag, Is, ListOf, Record, Table, Text, Variants, Whole
from coulance.catalog.values import Amounts
from coulance_core.catalog import terms as core
from coulance_core.kernel import Dimension, unit

_SECRET = Text("the name of a secret, such as proxmox-ams1 (coulance secret set)", r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_SPAN = Amounts((Dimension.TIME,))
_WORDS = ListOf(Text("a word of a command", most=500), 1)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


_NETWORK = 'an address or network, such as "192.0.2.0/28"'
_NETWORKS = ListOf(Checked(Text(_NETWORK, r"[0-9a-fA-F.:]+(?:/\d{1,3})?"), _is_network, _NETWORK))
_URL = Text("an address, such as https://pve1.example.net:8006", r"https?://[^\s/?#@]+(?:/[^\s#]*)?")


def _kind(kind: core.DriverKind) -> Field:
    return Field("kind", Is(kind.value), "which kind of driver this is", required=True)


_COMMON = (
    Field("timeout", _SPAN, 'how long one answer may take, at most 8 s; "5 s" unless said'),
    Field("at_once", Whole(1, 64), "how many are asked side by side"),
    Field("reconcile", _SPAN, 'how often each target is looked at again, such as "5 min"; 15 min unless said'),
)
_HTTP = (
    Field("verify", Flag(), "whether the server's certificate is checked; true unless said"),
    Field("ca_file", Text(most=300), "a file with the certificate of your own authority"),
)
DRIVER_TABLES: dict[str, Table] = {
    "nftables": Table(
        "driver: nftables on a router or host",
        (
            _kind(core.DriverKind.NFTABLES),
            Field(
                "prefix", _WORDS, 'where nft runs, such as ["ssh", "-T", "root@router"]; on this machine unless said'
            ),
            Field("nft", Text(most=200), "the program"),
            Field("table", Text(most=31), "the table that belongs to Coulance, in family inet"),
            Field("keep", _NETWORKS, "addresses and networks that stay within reach: management, portal, resolvers"),
            *_COMMON,
        ),
    ),
    "proxmox": Table(
        "driver: guests of a Proxmox VE cluster",
        (
            _kind(core.DriverKind.PROXMOX),
            Field("url", _URL, "where it is, such as https://pve1.example.net:8006", required=True),
            Field("secret", _SECRET, "the name of the secret that holds USER@REALM!TOKENID=UUID", required=True),
            *_HTTP,
            *_COMMON,
        ),
    ),
    "webhook": Table(
        "driver: a program of your own, asked by HTTP with a signature",
        (
            _kind(core.DriverKind.WEBHOOK),
            Field("url", _URL, "where what should hold is posted", required=True),
            Field("read_url", _URL, "where what holds is asked", required=True),
            Field("secret", _SECRET, "the name of the secret that holds the signing key, whsec_...", required=True),
            Field("networks", _NETWORKS, "networks of your own that it may be in; public addresses may be used anyway"),
            Field("ca_file", Text(most=300), "a file with the certificate of your own authority"),
            *_COMMON,
        ),
    ),
    "command": Table(
        "driver: a program of your own on this machine",
        (
            _kind(core.DriverKind.COMMAND),
            Field("command", _WORDS, "the program by its whole path, and its arguments; no shell", required=True),
            Field("secret", _SECRET, "the name of a secret that it gets as COULANCE_DRIVER_SECRET"),
            *_COMMON,
        ),
    ),
    "record": Table("driver: nothing is done, and the record says what should be", (_kind(core.DriverKind.RECORD),)),
}
DRIVER = Variants("kind", DRIVER_TABLES)

_SPANS = ("timeout", "reconcile")
_OURS = {f"{name}_s": name for name in _SPANS}


def driver(builder: PriceBuilder, key: str, record: Record) -> core.Driver | None:
    """Core's driver from its table; what core finds wrong goes to the line it came from."""
    values: dict[str, Any] = dict(record.values)
    kind = core.DriverKind(values.pop("kind"))
    for name in _SPANS:
        if name in values:
            seconds = values.pop(name).to(unit("s")).value
            if seconds.denominator != 1:
                builder.reading.fault(record.place(name), f"{seconds} seconds", "whole seconds")
                return None
            values[f"{name}_s"] = int(seconds)
    for name in ("prefix", "keep", "networks", "command"):
        if name in values:
            values[name] = tuple(values[name])
    if "url" in values and kind is core.DriverKind.PROXMOX:
        values["url"] = values["url"].rstrip("/")
    return builder.made(record.node, _OURS, lambda: core.Driver(key=key, kind=kind, **values))
