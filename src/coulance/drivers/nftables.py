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
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Any

from coulance.enforcement.ports import DriverError, Observed, Reader, TargetRow, WrongTargetError
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


class _SilentError(DriverError):
    """There was no answer at all."""


@dataclass(frozen=True, slots=True)
class _Rule:
    handle: int
    comment: str
    rate_bps: int | None


class _Listing:
    """One look at the table, by address and by the name beside each element."""

    def __init__(self, items: Sequence[dict[str, Any]]) -> None:
        self.at: dict[Address, list[tuple[str, str]]] = {}
        self.of: dict[str, list[tuple[str, Address]]] = {}
        self.rules: dict[str, list[_Rule]] = {}
        for set_name, address, comment in _elements(items):
            self.at.setdefault(address, []).append((set_name, comment))
            self.of.setdefault(comment, []).append((set_name, address))
        for rule in _rules(items):
            self.rules.setdefault(rule.comment, []).append(rule)

    def read(self, target: TargetRow) -> Observed:
        """What holds for the target's addresses, and for whom each is there according to the router."""
        addresses, name = _addresses(target), _name(target)
        paused: set[Address] = set()
        holes: set[str] = set()
        others: set[str] = set()
        for address in addresses:
            for set_name, comment in self.at.get(address, ()):
                if comment != name:
                    others.add(f"{comment or 'nobody we know'} at {address}")
                elif set_name.startswith("paused"):
                    paused.add(address)
                else:
                    holes.add(str(address))
        if others:
            return Observed("; ".join(sorted(others)), Desired(), json.dumps(sorted(others)))
        rules = self.rules.get(name, [])
        rates = {rule.rate_bps for rule in rules}
        rate = rates.pop() if len(rates) == 1 and len(rules) == 2 * len(addresses) else None
        # Half a pause is no pause, half a throttle none, and what is left at addresses of before must go: any of it is
        # written again.
        strays = [address for _, address in self.of.get(name, ()) if address not in addresses]
        whole = paused in (set(), set(addresses)) and not strays and (rate is not None or not rules)
        state = Desired(paused == set(addresses), rate, frozenset(holes))
        evidence = {"paused": sorted(map(str, paused)), "rate_bps": rate, "blackholed": sorted(holes)}
        return Observed(target.identity, state, json.dumps(evidence), whole)

    def script(self, table: str, target: TargetRow, desired: Desired) -> list[str]:
        """What replaces everything that is there for this service by what is desired."""
        addresses, name = _addresses(target), _name(target)
        own = {str(a) for a in addresses}
        if stray := sorted(desired.blackholed - own):
            raise WrongTargetError(f"{', '.join(stray)} is no address of {target.service}: not blackholed")
        for address in addresses:
            for _, comment in self.at.get(address, ()):
                if comment != name:
                    raise WrongTargetError(f"{address} is there for {comment or 'nobody we know'}, not for {name}")
        lines = [
            f"delete element inet {table} {set_name} {{ {address} }}" for set_name, address in self.of.get(name, ())
        ]
        lines.extend(f"delete rule inet {table} throttled handle {rule.handle}" for rule in self.rules.get(name, ()))
        for address in addresses:
            family = "ip" if address.version == 4 else "ip6"
            element = f'{{ {address} comment "{name}" }}'
            if desired.paused:
                lines.append(f"add element inet {table} paused{address.version} {element}")
            if str(address) in desired.blackholed:
                lines.append(f"add element inet {table} blackholed{address.version} {element}")
            if desired.rate_bps is not None:
                rate = max(desired.rate_bps // 8, 1)
                burst = max(rate // 4, 1500)
                over = f'limit rate over {rate} bytes/second burst {burst} bytes drop comment "{name}"'
                lines.extend(
                    f"add rule inet {table} throttled {family} {side} {address} {over}" for side in ("saddr", "daddr")
                )
        return lines


class Nftables:
    """A router's or host's nftables. Parameters of a target: `addresses`, the service's own.

    One look serves all services of a round, and one transaction writes what differs of all of them.
    """

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
        nets = [ip_network(text) for text in keep]
        # An interval set takes no overlaps.
        self._keep: frozenset[IPv4Network | IPv6Network] = frozenset(
            (*collapse_addresses(n for n in nets if isinstance(n, IPv4Network)),
             *collapse_addresses(n for n in nets if isinstance(n, IPv6Network)))
        )  # fmt: skip
        self._timeout = timeout_s

    def prepare(self) -> None:
        """Make the table where it is not there yet, and bring `keep` up to date; done by every look too."""
        self._prepare(self._list() is not None)

    def _prepare(self, there: bool) -> None:
        lines = [] if there else [SCHEMA.format(table=self._table)]
        for family in (4, 6):
            lines.append(f"flush set inet {self._table} keep{family}")
            own = sorted(str(network) for network in self._keep if network.version == family)
            if own:
                lines.append(f"add element inet {self._table} keep{family} {{ {', '.join(own)} }}")
        self._run("\n".join(lines))

    def nearest(self, desired: Desired) -> Desired:
        """nft counts whole bytes a second."""
        if desired.rate_bps is None:
            return desired
        return Desired(desired.paused, max(desired.rate_bps // 8, 1) * 8, desired.blackholed)

    def look(self) -> _Listing:
        """Look once at the whole table, which is made where it is missing; what is kept is put right."""
        listing = self._list()
        if listing is None or _kept(listing) != self._keep:
            self._prepare(listing is not None)
            listing = self._list() or []
        return _Listing(listing)

    def read(self, target: TargetRow) -> Observed:
        """What holds for the target's addresses, and for whom each is there according to the router."""
        _addresses(target)
        return self.look().read(target)

    def write(self, target: TargetRow, desired: Desired, *, key: str) -> str:
        """Replace everything that is there for this service by what is desired, in one transaction."""
        lines = _Listing(self._list() or []).script(self._table, target, desired)
        if lines:
            self._run("\n".join(lines))
        return f"{key}: {len(lines)} changes"

    def write_many(self, seen: Reader, wanted: Sequence[tuple[TargetRow, Desired, str]]) -> list[str | DriverError]:
        """The same for many: one transaction for all of them, and where that is refused one for each."""
        listing = seen if isinstance(seen, _Listing) else self.look()
        scripts: list[list[str] | DriverError] = []
        for target, desired, _ in wanted:
            try:
                scripts.append(listing.script(self._table, target, desired))
            except DriverError as error:
                scripts.append(error)
        together = [line for script in scripts if not isinstance(script, DriverError) for line in script]
        refused = False
        if together:
            try:
                self._run("\n".join(together))
            except _SilentError:
                raise  # each by itself would only wait as long again
            except DriverError:
                refused = True
        out: list[str | DriverError] = []
        for (target, desired, key), script in zip(wanted, scripts, strict=True):
            if isinstance(script, DriverError):
                out.append(script)
            elif not refused:
                out.append(f"{key}: {len(script)} changes")
            else:
                try:
                    out.append(self.write(target, desired, key=key))
                except DriverError as error:
                    out.append(error)
        return out

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
            raise _SilentError(f"nft did not answer within {self._timeout:g} s") from error
        except OSError as error:
            raise _SilentError(f"nft cannot be run: {error}") from error


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


def _kept(listing: Sequence[dict[str, Any]]) -> set[IPv4Network | IPv6Network]:
    """The networks that pass whatever holds, as the router has them."""
    found: set[IPv4Network | IPv6Network] = set()
    for item in listing:
        held = item.get("set")
        if not held or not str(held.get("name", "")).startswith("keep"):
            continue
        for element in held.get("elem", ()):
            if isinstance(element, str):
                found.add(ip_network(element))
            elif isinstance(element, dict) and "prefix" in element:
                found.add(ip_network(f"{element['prefix']['addr']}/{element['prefix']['len']}"))
            else:
                return {ip_network("0.0.0.0/32")}  # a range that somebody else put there: to be written again
    return found
