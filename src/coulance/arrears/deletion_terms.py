"""How a service's data is deleted, from the provider file: `[arrears.deletion.KEY]`. Without an entry a person does it.

    [arrears.deletion.vps]
    kind = "webhook"                     # or "command" with command = ["/usr/local/bin/remove-guest"]
    plans = ["vps-s", "vps-l"]           # none named: every plan that no other entry names
    url = "https://panel.example.nl/coulance/delete"
    read_url = "https://panel.example.nl/coulance/who"
    secret = "deletion"                  # coulance secret set deletion
    networks = ["10.0.0.0/8"]            # private networks that it may be asked in

Whose data it is (the identity) and where are those of the service's network target (`coulance enforce target`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from typing import Any

from coulance_core.catalog.faults import Fault
from coulance_core.catalog.reading import Table


class DeletionKind(StrEnum):
    """What is told to delete."""

    WEBHOOK = "webhook"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class DeletionTerms:
    """One entry."""

    key: str
    kind: DeletionKind
    plans: tuple[str, ...] = ()
    url: str = ""
    read_url: str = ""
    secret: str = ""
    networks: tuple[str, ...] = ()
    ca_file: str = ""
    command: tuple[str, ...] = ()
    timeout_s: int = 60


def read_deletion(data: Mapping[str, Any]) -> tuple[dict[str, DeletionTerms], list[Fault]]:
    """The entries of `[arrears.deletion]`, and what is wrong with them, by path (`deletion.vps.url`)."""
    faults: list[Fault] = []
    found = {key: _entry(key, table) for key, table in Table(data, "deletion", faults).items()}
    named: dict[str, str] = {}
    for key, one in found.items():
        for plan in one.plans or ("",):
            if plan in named:
                said = f"plan {plan}" if plan else "every plan that no other entry names"
                faults.append(Fault(f"deletion.{key}.plans", f"{said} is {named[plan]}'s already"))
            named.setdefault(plan, key)
    return found, faults


def judge_deletion(data: Any) -> Iterable[Fault]:
    """What is wrong with `[arrears.deletion]`, by path inside `[arrears]`."""
    if not isinstance(data, Mapping):
        return [Fault("deletion", "expected tables such as [arrears.deletion.vps]")]
    return read_deletion(data)[1]


def deletion_for(plans: Collection[str], terms: Mapping[str, DeletionTerms]) -> DeletionTerms | None:
    """The entry for a service on these plans: one that names a plan of it, else the one for the rest, else none."""
    return next(
        (one for one in terms.values() if set(one.plans) & set(plans)),
        next((one for one in terms.values() if not one.plans), None),
    )


def _entry(key: str, t: Table) -> DeletionTerms:
    kind = t.choice("kind", DeletionKind)
    one = DeletionTerms(
        key,
        kind,
        t.texts("plans") if t.has("plans") else (),
        t.text("url", ""),
        t.text("read_url", ""),
        t.text("secret", ""),
        t.texts("networks") if t.has("networks") else (),
        t.text("ca_file", ""),
        t.texts("command") if t.has("command") else (),
        t.whole("timeout_s", 60),
    )
    if kind is DeletionKind.WEBHOOK:
        for name in ("url", "read_url"):
            if not getattr(one, name).startswith("https://"):
                t.fault(name, "expected https://...")
        if not one.secret:
            t.fault("secret", "expected the name of the secret that signs: coulance secret set NAME")
        for text in one.networks:
            try:
                ip_network(text)
            except ValueError:
                t.fault("networks", f"expected networks such as 10.0.0.0/8, not {text!r}")
    elif not one.command or not one.command[0].startswith("/"):
        t.fault("command", 'expected a program by its whole path, such as ["/usr/local/bin/remove-guest"]')
    t.close()
    return one
