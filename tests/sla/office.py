"""A provider who promises uptime, with a service and eyes on it; looks and credits in a line each."""

from datetime import UTC, datetime, timedelta
from typing import Any

from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.flows.promises.crediting import Report, credit_period
from coulance.services import queries as services
from coulance.sla import looks, operations
from coulance.sla import queries as sla
from coulance_core.sla.intervals import micros
from tests.closing.world import World

SLA = """
[sending]
from = "billing@polder.example"

[sla]
pays = ["invoice", "wallet", "money_back"]

[[sla.terms]]
name = "gold"
from = 2026-10-01
target = "100"
plans = ["vps"]
excluded = ["force_majeure"]
evidence = { ttl = "3 min" }
maintenance = { notice = "3 days", quota = "2 h" }
caps = { period = "100 %" }

[[sla.terms.credit]]
kind = "multiple"
times = 50
"""
OPENED = datetime(2026, 9, 30, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def instant(text: str) -> datetime:
    """`2026-10-05T10:00` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Office:
    """A world whose one service `web` (5 EUR a month) is billed for October and looked at every minute."""

    def __init__(self, world: World, sla_table: str = SLA, **account: Any) -> None:
        self.world = world.provider(more=sla_table).account(**account)
        world.service("web", "vps", "2026-09-01")
        customers.put_contact(
            account="acme",
            external_id="anna",
            name="Anna",
            language="en",
            email="anna@acme.example",
            roles=["owner", "billing"],
            channels=["email"],
        )
        world.close("2026-09")
        self.service = services.service("web").id
        self.account = customer_rows.account("acme").id
        self.token = operations.add_agent(name="ams-1", actor="test", at=OPENED)
        self.check = self.add_check()
        self.seq = 0

    def add_check(self, **given: Any) -> int:
        facts: dict[str, Any] = {
            "kind": "http",
            "target": "https://web.example/",
            "every_s": 60,
            "since": OPENED,
        } | given
        return operations.add_check(service=self.service, actor="test", at=OPENED, **facts).id

    @property
    def agent(self) -> str:
        return self.token.split("_")[1]

    def rows(self, start: datetime, end: datetime, *down: tuple[datetime, datetime]) -> list[list[Any]]:
        """A look a minute of [start, end), numbered on."""
        out = []
        at = start
        while at < end:
            self.seq += 1
            out.append([self.seq, self.check, micros(at), not any(s <= at < e for s, e in down), 12, ""])
            at += MINUTE
        return out

    def hand_over(self, rows: list[list[Any]], at: datetime | None = None) -> looks.Taken:
        when = at or datetime(2026, 11, 3, tzinfo=UTC)
        return looks.take(agent=self.agent, looks=rows, sent_at=micros(when), lost=0, at=when)

    def october(self, *down: tuple[str, str]) -> None:
        """Looks at every minute of October (Amsterdam's), down where said."""
        spans = [(instant(s), instant(e)) for s, e in down]
        self.hand_over(self.rows(instant("2026-09-30T21:55"), instant("2026-10-31T23:05"), *spans))

    def credit(self, at: str = "2026-11-04T06:00") -> Report:
        return credit_period(year=2026, month=10, at=instant(at), actor="test")

    def credits(self) -> list[str]:
        """What was credited, in major units."""
        return [row.amount.decimal() for row in sla.given(account=self.account)]
