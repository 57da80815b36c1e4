"""A customer whose overage invoice of June waits, and short words for what becomes of it."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.flows.settling_first import settling
from coulance.invoicing import holding
from coulance.invoicing import queries as documents
from coulance.notices import queries as sent
from tests.closing.world import World
from tests.overage.fair import TABLES

CLOSED = datetime(2026, 7, 5, 9, tzinfo=UTC)
TERMS = """
[overage]
hold_above = "50.00 EUR"
"""


def waiting_world(folder: Path, gigabytes: Any = (400, 3000), *, more: str = TERMS, goodwill: str = "") -> World:
    """Months of use, the last of them June, which is closed as its terms say, on 5 July."""
    world = World(folder).provider(rest=TABLES).account()
    customers.put_contact(
        account="acme", external_id="boss", name="Ben Baas", email="boss@acme.example", roles=["owner", "billing"],
        may_incur_cost=True, language="en", channels=["email"],
    )  # fmt: skip
    first = 7 - len(gigabytes)
    world.service("vps-1", "vps-s", f"2026-{first:02}-01", meter="traffic")
    for month, quantity in enumerate(gigabytes[:-1], first):
        world.use("vps-1", {f"2026-{month:02}-15": quantity})
        world.close(f"2026-{month:02}")
    world.provider(extra='email = "hulp@polder.example"\n', rest=TABLES, more=more + goodwill)
    world.use("vps-1", {"2026-06-15": gigabytes[-1]})
    world.close("2026-06", CLOSED.isoformat())
    return world


def held() -> holding.HeldRow:
    """The one that waits."""
    (row,) = holding.held()
    return row


def choose(way: str, at: datetime, *, digest: str = "") -> settling.Settled:
    """The boss chooses what they see now."""
    row = held()
    found = settling.offered(account=row.account, document=row.document, at=at)
    assert found is not None
    chosen = next((one for one in found.ways if one.key == way), None)
    return settling.choose(
        account=row.account, document=row.document, way=way, digest=digest or (chosen.digest if chosen else ""),
        language="en", contact="boss", how="link", came_from="test", at=at,
    )  # fmt: skip


def paper() -> list[tuple[str, str, str, str]]:
    """Every issued document of June and July's base: number, day, due, gross."""
    account = customer_rows.account("acme").id
    rows = [
        *documents.documents(account=account, period_name="2026-06", state="issued"),
        *documents.documents(account=account, period_name="2026-07", state="issued"),
    ]
    return sorted(
        (str(r.number), r.issued_on.isoformat(), r.due_on.isoformat(), r.gross.decimal())
        for r in rows
        if r.number and not r.number.startswith("U-") and r.issued_on.isoformat() >= "2026-07-05"
    )


def link() -> str:
    """The path of the link that was mailed."""
    account = customer_rows.account("acme").id
    for mail in sent.messages(account=account):
        text = sent.text_of(message=mail.message)
        found = re.search(r"(/settle/\S+)", text.text) if text else None
        if found:
            return found[1]
    raise AssertionError("nobody was asked")


__all__ = ["CLOSED", "TERMS", "choose", "held", "link", "paper", "waiting_world"]
