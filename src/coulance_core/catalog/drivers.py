"""What the provider's file says of drivers: the routers, hypervisors and programs that restrict a service's network."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from coulance_core.catalog.faults import Fault, refuse

_NETWORK = re.compile(r"[0-9a-fA-F:.]{2,45}(?:/\d{1,3})?")
_URL = re.compile(r"https?://[^\s/?#@]+(?:/[^\s#]*)?")


class DriverKind(StrEnum):
    """What a driver speaks to."""

    NFTABLES = "nftables"
    PROXMOX = "proxmox"
    WEBHOOK = "webhook"
    COMMAND = "command"
    RECORD = "record"
    """Nothing is done, and the record says what would have been: a person does it, or nobody yet."""


@dataclass(frozen=True, slots=True)
class Driver:
    """One way to act on networks. `secret` is the name of a secret, never the secret.

    `prefix` is where nft runs (`ip netns exec`, `ssh`); `keep` are addresses and networks that stay within reach,
    whatever is paused. `networks` are the provider's own, that a webhook may be in. `command` is a program and its
    arguments; no shell reads it. `timeout_s` is for one answer; `at_once` how many are asked side by side;
    `reconcile_s` how often each target is looked at again.
    """

    key: str
    kind: DriverKind
    prefix: tuple[str, ...] = ()
    nft: str = "nft"
    table: str = "coulance"
    keep: tuple[str, ...] = ()
    url: str = ""
    read_url: str = ""
    secret: str = ""
    verify: bool = True
    ca_file: str = ""
    networks: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    timeout_s: int = 5
    at_once: int = 8
    reconcile_s: int = 900

    def __post_init__(self) -> None:
        refuse(f"driver {self.key!r}", self.faults())

    def faults(self) -> Iterator[Fault]:
        """Everything wrong with it."""
        for place, value, least, most in (
            ("timeout_s", self.timeout_s, 1, 8),  # a claim lasts a minute, and an act asks seven times at most
            ("at_once", self.at_once, 1, 64),
            ("reconcile_s", self.reconcile_s, 30, 86_400),
        ):
            if not least <= value <= most:
                yield Fault(place, f"expected {least} to {most}, not {value}")
        for place in ("keep", "networks"):
            for i, text in enumerate(getattr(self, place)):
                if not _NETWORK.fullmatch(text):
                    yield Fault(f"{place}[{i}]", f"{text!r}: expected an address or network, such as 192.0.2.0/28")
        if self.kind is DriverKind.NFTABLES and not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", self.table):
            yield Fault("table", f"{self.table!r}: expected small letters, digits and _, at most 31")
        if self.kind is DriverKind.COMMAND and not (self.command and self.command[0].startswith("/")):
            yield Fault("command", 'expected a program by its whole path, such as ["/usr/local/bin/restrict"]')
        if self.kind in (DriverKind.PROXMOX, DriverKind.WEBHOOK):
            for place in ("url", "read_url"):
                text = getattr(self, place)
                if place == "read_url" and self.kind is DriverKind.PROXMOX:
                    continue
                if not _URL.fullmatch(text):
                    yield Fault(place, f"expected an address such as https://restrict.example.net, not {text!r}")
            if not self.secret:
                yield Fault("secret", "expected the name of the secret it signs in with (coulance secret set NAME)")
            if self.kind is DriverKind.PROXMOX and not self.url.startswith("https:"):
                yield Fault("url", "expected https: a token that can stop networks doesn't travel in the clear")
