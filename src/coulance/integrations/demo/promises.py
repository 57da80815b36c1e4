"""The demo's broken promise: a server is down for a while, seen by a probe, and credited before anybody asks.

Told twice it is the same: what was credited is not credited again.
"""

import shutil
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from coulance.catalog import operations as catalog_operations
from coulance.catalog.reader import read_provider_file
from coulance.customers import queries as customers
from coulance.flows.promises import crediting, wording
from coulance.invoicing import history
from coulance.services import queries as services
from coulance.sla import looks, operations
from coulance.sla import queries as sla
from coulance.sla.queries import MeasureRow
from coulance_core.kernel import anchored_period
from coulance_core.sla.intervals import micros

_MINUTE = timedelta(minutes=1)
DOWN_FROM, DOWN_MINUTES = timedelta(days=9, hours=14, minutes=3), 62
TERMS = """
[sla]
pays = ["invoice", "wallet", "money_back"]

[[sla.terms]]
name = "promised"
from = 2026-01-01
target = "99.95"
maintenance = { notice = "3 days", quota = "2 h" }

[[sla.terms.credit]]
kind = "multiple"
times = 10
"""


@dataclass(frozen=True)
class Told:
    """What it came to, for people."""

    service: str
    minutes: int
    percent: str
    credited: str
    numbers: tuple[str, ...]
    why: str


def tell(provider_file: Path, home: Path, *, year: int, month: int, now: datetime, actor: str) -> Told | None:
    """Tell it of a closed month, or what it came to before. None where no base fee was billed for it."""
    rows = sla.measures(period_name=f"{year:04d}-{month:02d}", most=10)
    if not rows:
        external = _cast(year, month)
        if external is None:
            return None
        _apply(provider_file, home / "provider", actor, now)
        _play(external, year, month, now, actor)
        crediting.credit_period(year=year, month=month, at=now, actor=actor)
        rows = sla.measures(period_name=f"{year:04d}-{month:02d}", most=10)
    return _told(rows[0])


def _cast(year: int, month: int) -> str | None:
    """A service that was there all month and paid a base fee for it."""
    first, last = date(year, month, 1), date(year, month, 28)
    there = {row.id: row for row in services.services() if row.started_on <= first and row.ended_on is None}
    billed = {line.service for line in history.base_lines(services=there) if line.start <= first and line.end > last}
    return there[min(billed)].external_id if billed else None


def _apply(provider_file: Path, folder: Path, actor: str, at: datetime) -> None:
    """The provider's file as it is by now, with terms of uptime."""
    own = folder / provider_file.name
    if not own.is_file():
        shutil.copytree(provider_file.parent, folder, dirs_exist_ok=True)
    if "[sla]" not in own.read_text():
        own.write_text(own.read_text() + TERMS)
    file = read_provider_file(own)
    if file.faults:
        raise RuntimeError(f"{own} has faults: run coulance check {own}")
    catalog_operations.apply_catalog(
        file=file, actor=actor, at=at, closed_until=None, plans_in_use=services.plans_in_use(date(2026, 1, 1))
    )


def _play(external: str, year: int, month: int, now: datetime, actor: str) -> None:
    row = services.service(external)
    (owner,) = customers.accounts([row.account_id])
    from zoneinfo import ZoneInfo

    period = anchored_period(year, month, owner.billing_day, ZoneInfo(owner.zone))
    operations.agree(
        service=row.id, terms="promised", valid_from=date(2026, 1, 1), reason="the demo", actor=actor, at=now
    )
    token = operations.add_agent(name="demo-ams-1", actor=actor, at=now)
    check = operations.add_check(
        service=row.id, kind="http", target="https://server.demo.example/", every_s=60, since=period.start,
        actor=actor, at=now,
    )  # fmt: skip
    down = period.start + DOWN_FROM
    at, number, rows = period.start - _MINUTE, 0, []
    while at < period.end + _MINUTE:
        number += 1
        up = not down <= at < down + DOWN_MINUTES * _MINUTE
        rows.append([number, check.id, micros(at), up, 12, "" if up else "connection refused"])
        at += _MINUTE
    looks.take(agent=token.split("_")[1], looks=rows, sent_at=micros(now), lost=0, at=now)
    # Nobody looks once the story is told: else all time since would be unknown, and so count as down.
    operations.end_check(check=check.id, actor=actor, at=period.end)


def _told(row: MeasureRow) -> Told:
    (service,) = services.services([row.service])
    given = sla.given(services=[row.service], period_name=row.period_name)
    return Told(
        service.external_id,
        wording.minutes(row.downtime),
        wording.percent(row.availability),
        str(row.amount),
        tuple(number for one in given for number in one.numbers),
        row.explanation.render("          "),
    )
