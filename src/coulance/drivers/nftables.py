"""nftables on a router or host: a drop set for pauses and blackholes, and one rate limit a service.

The driver owns one table (`inet coulance`) and touches nothing else on the machine. Services are known by their
addresses; a comment beside each element says which service it is there for, and is read back as its identity. Traffic
to and from addresses in `keep` (management, portal, mail relays) passes whatever else holds.

All changes of a service are one transaction of `nft -f`: half of them is never in force. `prefix` runs nft somewhere
else: `["ip", "netns", "exec", "router"]`, or `["ssh", "-T", "root@router"]`.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from coulance.enforcement.ports import DriverError, Observed, TargetRow, WrongTargetError
from coulance_core.enforcement.restrictions import Desired

TABLE = "coulance"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
Address = IPv4Address | IPv6Address

SCHEMA = """
table inet {table} {{
  set keep4 {{ type ipv4_addr; flags interval; }}
  set keep6 {{ type ipv6_addr; flags interval; }}
  set paused4 {{ type ipv4_addr; }}
  set paused6 {{ type ipv6_addr; }}
  set blackholed4 {{ type ipv4_addr; }}
  set blackholed6 {{ type ipv6_addr; }}
  chain throttled {{ }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    ip daddr @blackholed4 counter drop
    ip6 daddr @blackholed6 counter drop
    ip saddr @keep4 accept
    ip daddr @keep4 accept
    ip6 saddr @keep6 accept
    ip6 daddr @keep6 accept
    ip saddr @paused4 counter drop
    ip daddr @paused4 counter drop
    ip6 saddr @paused6 counter drop
    ip6 daddr @paused6 counter drop
    jump throttled
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class _Rule:
    handle: int
    comment: str
    rate_bps: int | None


class Nftables:
    """A router's or host's nftables. Parameters of a target: `addresses`, the service's own."""

    def __init__(
        self,
        *,
        prefix: Sequence[str] = (),
        nft: str = "nft",
        table: str = TABLE,
        keep: Sequence[str] = (),
        timeout_s: float = 10.0,
    ) -> None:
        self._command = [*prefix, nft]
        self._table = table
        self._keep = tuple(keep)
        self._timeout = timeout_s

    def prepare(self) -> None:
        """Make the table where it is not there yet, and bring `keep` up to date; done by reading and writing too."""
        found = self._list()
        lines = [] if found is not None else [SCHEMA.format(table=self._table)]
        for family in (4, 6):
            lines.append(f"flush set inet {self._table} keep{family}")
            own = [a for a in self._keep if (":" in a) == (family == 6)]
            if own:
                lines.append(f"add element inet {self._table} keep{family} {{ {', '.join(own)} }}")
        self._run("\n".join(lines))

    def nearest(self, desired: Desired) -> Desired:
        """nft counts whole bytes a second."""
        if desired.rate_bps is None:
            return desired
        return Desired(desired.paused, max(desired.rate_bps // 8, 1) * 8, desired.blackholed)

    def read(self, target: TargetRow) -> Observed:
        """What holds for the target's addresses, and for whom each is there according to the router."""
        addresses = _addresses(target)
        listing = self._list()
        if listing is None:
            self.prepare()
            listing = self._list() or []
        name = _name(target)
        paused: set[Address] = set()
        holes: set[str] = set()
        others: set[str] = set()
        for set_name, address, comment in _elements(listing):
            if address not in addresses:
                if comment == name and set_name.startswith("paused"):
                    others.add(f"{name} also at {address}")
                continue
            if comment and comment != name:
                others.add(f"{comment} at {address}")
            elif set_name.startswith("paused"):
                paused.add(address)
            elif set_name.startswith("blackholed"):
                holes.add(str(address))
        if others:
            return Observed("; ".join(sorted(others)), Desired(), json.dumps(sorted(others)))
        if paused and paused != set(addresses):
            paused = set()  # half a pause is no pause: writing it again makes it whole
        rates = [rule.rate_bps for rule in _rules(listing) if rule.comment == name]
        rate = rates[0] if len(rates) == 2 * len(addresses) and len(set(rates)) == 1 else None
        state = Desired(bool(paused), rate, frozenset(holes))
        evidence = {"paused": sorted(map(str, paused)), "rate_bps": rate, "blackholed": sorted(holes)}
        return Observed(target.identity, state, json.dumps(evidence))

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        """Replace everything that is there for this service by what is desired, in one transaction."""
        addresses, name = _addresses(target), _name(target)
        own = {str(a) for a in addresses}
        if stray := sorted(desired.blackholed - own):
            raise WrongTargetError(f"{', '.join(stray)} is no address of {target.service}: not blackholed")
        listing = self._list() or []
        lines: list[str] = []
        for set_name, address, comment in _elements(listing):
            if set_name.startswith("keep"):
                continue
            if comment == name:
                lines.append(f"delete element inet {self._table} {set_name} {{ {address} }}")
            elif address in addresses:
                raise WrongTargetError(f"{address} is there for {comment or 'nobody we know'}, not for {name}")
        lines.extend(
            f"delete rule inet {self._table} throttled handle {rule.handle}"
            for rule in _rules(listing)
            if rule.comment == name
        )
        for address in addresses:
            family = "ip" if address.version == 4 else "ip6"
            element = f'{{ {address} comment "{name}" }}'
            if desired.paused:
                lines.append(f"add element inet {self._table} paused{address.version} {element}")
            if str(address) in desired.blackholed:
                lines.append(f"add element inet {self._table} blackholed{address.version} {element}")
            if desired.rate_bps is not None:
                rate = max(desired.rate_bps // 8, 1)
                burst = max(rate // 4, 1500)
                over = f'limit rate over {rate} bytes/second burst {burst} bytes drop comment "{name}"'
                lines.extend(
                    f"add rule inet {self._table} throttled {family} {side} {address} {over}"
                    for side in ("saddr", "daddr")
                )
        if lines:
            self._run("\n".join(lines))
        return f"{key}: {len(lines)} changes"

    def _list(self) -> list[dict[str, Any]] | None:
        done = self._call([*self._command, "-j", "list", "table", "inet", self._table], None)
        if done.returncode:
            if "No such file or directory" in done.stderr:
                return None
            raise DriverError(f"nft: {done.stderr.strip()[:500]}")
        try:
            found = json.loads(done.stdout)["nftables"]
        except (ValueError, KeyError, TypeError) as error:
            raise DriverError(f"nft answered what is no listing: {done.stdout[:200]!r}") from error
        return list(found)

    def _run(self, script: str) -> None:
        done = self._call([*self._command, "-f", "-"], script)
        if done.returncode:
            raise DriverError(f"nft refused: {done.stderr.strip()[:500]}")

    def _call(self, command: Sequence[str], given: str | None) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                list(command), input=given, capture_output=True, text=True, timeout=self._timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DriverError(f"nft did not answer within {self._timeout:g} s") from error
        except OSError as error:
            raise DriverError(f"nft cannot be run: {error}") from error


def _name(target: TargetRow) -> str:
    """The service's name as nft can hold it in a comment. It is not a shell that reads it, and still is kept plain."""
    if not _NAME.fullmatch(target.identity):
        raise WrongTargetError(
            f"{target.identity!r} can't be an identity here: expected letters, digits, '.', '_', '-', at most 60"
        )
    return target.identity


def _addresses(target: TargetRow) -> tuple[Address, ...]:
    given = target.parameters.get("addresses")
    if not isinstance(given, list) or not given:
        raise DriverError(f"{target.service}: expected addresses = [...] in the target's parameters, not {given!r}")
    try:
        return tuple(dict.fromkeys(ip_address(text) for text in given))
    except ValueError as error:
        raise DriverError(f"{target.service}: {error}") from error


def _elements(listing: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Address, str]]:
    """(set, address, comment) of every single address in the table's sets."""
    for item in listing:
        held = item.get("set")
        if not held or str(held.get("name", "")).startswith("keep"):
            continue
        for element in held.get("elem", ()):
            if isinstance(element, dict) and "elem" in element:
                value, comment = element["elem"].get("val"), str(element["elem"].get("comment", ""))
            else:
                value, comment = element, ""
            if isinstance(value, str):
                yield held["name"], ip_address(value), comment


def _rules(listing: Sequence[dict[str, Any]]) -> Iterator[_Rule]:
    for item in listing:
        rule = item.get("rule")
        if not rule or rule.get("chain") != "throttled":
            continue
        limit = next((part["limit"] for part in rule.get("expr", ()) if "limit" in part), None)
        rate = None
        if limit is not None:
            unit = {"bytes": 1, "kbytes": 1024, "mbytes": 1024**2}.get(limit.get("rate_unit", "bytes"))
            rate = None if unit is None or limit.get("per") != "second" else limit["rate"] * unit * 8
        yield _Rule(rule["handle"], str(rule.get("comment", "")), rate)
