"""`[contracts.mail]`: the desk's address, which servers are our own, who answers for us, what is held for a person."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coulance_core.catalog.faults import Fault, TermsError
from coulance_core.catalog.reading import Table

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,189}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class MailTerms:
    """How mail to the desk is taken.

    `address` is the desk's. `hosts` are our mail servers as they call themselves behind `by` in `Received`, and `hops`
    how many such lines each mail carries when it comes here: then the clock begins where the first of them took it.
    `authenticated_by` is the server that writes `Authentication-Results`; with `authenticated` mail that it didn't find
    genuine is held. `agents` (addresses, or `@host` for all of one) answer for us, and only where found genuine.
    """

    address: str
    hosts: tuple[str, ...] = ()
    hops: int = 1
    authenticated_by: str = ""
    authenticated: bool = False
    agents: tuple[str, ...] = ()
    priority: str = ""
    acknowledge: bool = True
    reopen_days: int = 14
    most_new: int = 20
    keep_days: int = 90

    def is_agent(self, address: str) -> bool:
        """Whether an address answers for us."""
        low = address.casefold()
        return any(low == a.casefold() or (a.startswith("@") and low.endswith(a.casefold())) for a in self.agents)


def read_mail_terms(t: Table) -> MailTerms | None:
    """The table's terms; None with faults in it when they can't be."""
    before = len(t.faults)
    address, hosts, agents = t.text("address"), t.texts("hosts"), t.texts("agents")
    by = t.text("authenticated_by", "")
    hops = t.whole("hops", 1)
    found = MailTerms(
        address, hosts, hops, by, t.flag("authenticated", False), agents, t.text("priority", ""),
        t.flag("acknowledge", True), t.whole("reopen_days", 14), t.whole("most_new", 20), t.whole("keep_days", 90),
    )  # fmt: skip
    if not _ADDRESS.fullmatch(address) or "+" in address:
        t.fault("address", f"{address!r}: expected the desk's address, such as help@host.example, without a +")
    for n, host in enumerate(hosts):
        if not _HOST.fullmatch(host):
            t.fault(f"hosts[{n}]", f"{host!r}: expected a server's name, such as mx1.host.example")
    for n, agent in enumerate(agents):
        if not _ADDRESS.fullmatch("x" + agent if agent.startswith("@") else agent):
            t.fault(f"agents[{n}]", f"{agent!r}: expected an address, or @host.example for all of one")
    if not 1 <= hops <= 10:
        t.fault("hops", f"{hops}: expected 1 to 10")
    if by and not _HOST.fullmatch(by):
        t.fault("authenticated_by", f"{by!r}: expected a server's name")
    if (agents or found.authenticated) and not by:
        t.fault("authenticated_by", "is missing: without it nobody can be told from who writes their name")
    for name, value, most in (
        ("reopen_days", found.reopen_days, 366), ("most_new", found.most_new, 10_000),
        ("keep_days", found.keep_days, 3660),
    ):  # fmt: skip
        if not 1 <= value <= most:
            t.fault(name, f"{value}: expected 1 to {most}")
    t.close()
    return found if len(t.faults) == before else None


def read_mail(data: Mapping[str, Any]) -> tuple[MailTerms | None, list[Fault]]:
    """The terms of mail in the `[contracts]` table, if there are any, and every fault."""
    t = Table(data)
    if not t.has("mail"):
        return None, []
    return read_mail_terms(t.table("mail")), t.faults


def parse_mail_terms(data: Mapping[str, Any]) -> MailTerms | None:
    """The terms of mail of a table that was judged; None where it has none. Raises `TermsError`."""
    found, faults = read_mail(data)
    if faults:
        raise TermsError("contracts.mail", faults)
    return found
