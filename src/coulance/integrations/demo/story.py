"""The demo's story: four closings of a made-up provider's first months, told step by step to whoever shows it.

Everything goes through the same operations that a real provider's commands use: apply, import, ingest, replay, seal,
close. Run again on the same data it finds everything there and changes nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from coulance.catalog import operations as catalog_operations
from coulance.catalog import queries as catalog
from coulance.catalog.faults import Faults
from coulance.catalog.reader import read_provider_file
from coulance.customers import queries as customers
from coulance.flows.closing.close_period import CloseReport, close_period
from coulance.flows.customer_file import read_files
from coulance.flows.import_customers import import_customers
from coulance.integrations.demo.feed import Batch, batches
from coulance.integrations.demo.files import unknown_series, write_files
from coulance.integrations.demo.fleet import OPENING, Fleet, fleet
from coulance.invoicing import queries as invoicing
from coulance.services import operations as services_operations
from coulance.services import queries as services
from coulance.usage import operations as usage
from coulance_core.catalog.terms import Control

SEED = 2026
ACTOR = "demo"
MONTHS = ((2026, 7), (2026, 8), (2026, 9))
ZONE = ZoneInfo("Europe/Amsterdam")
CLOSES_ON = 4
"""The day of the month on which the one before is closed: three days after its end, as the provider's file says."""

Tell = Callable[[int, int], None]


@dataclass
class Fed:
    """What the collectors' files came to."""

    files: int = 0
    rows: int = 0
    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    corrected: int = 0
    quarantined: int = 0


def closing_instant(year: int, month: int) -> datetime:
    """When the demo closes a month: six in the morning, a few days after its end."""
    year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return datetime.combine(date(year, month, CLOSES_ON), time(6), ZONE).astimezone(UTC)


def set_up(provider_file: Path, folder: Path) -> tuple[Fleet, int]:
    """Apply the provider file and import the customers' CSV files; returns the fleet, and how much was new."""
    at = datetime.combine(OPENING - timedelta(days=1), time(12), UTC)
    if _controlled():
        return fleet(SEED), 0  # the terms have moved on since: see `control`
    file = read_provider_file(provider_file)
    if file.faults:
        raise RuntimeError(f"{provider_file} has faults: run coulance check {provider_file}")
    catalog_operations.apply_catalog(
        file=file, actor=ACTOR, at=at, closed_until=None, plans_in_use=services.plans_in_use(OPENING)
    )
    made = fleet(SEED)
    if customers.account_ids():
        return made, 0  # imported before; what changed since on the customers' own days is not to be undone
    faults = Faults()
    rows = read_files(write_files(made, folder), faults)
    plan = import_customers(
        rows=rows,
        faults=faults,
        catalog=catalog.catalog(),
        sold=catalog.plans_sold(),
        apply=True,
        actor=ACTOR,
        at=at,
    )
    return made, plan.writes


def _controlled() -> bool:
    """Whether the terms of the running month (`control`) were applied."""
    try:
        return catalog.catalog().overage.control is Control.ENFORCE
    except catalog.UnableToFindCatalogError:
        return False


def files_of(made: Fleet) -> list[Batch]:
    """Every file that the collectors send, by the day it arrives."""
    last_year, last_month = MONTHS[-1]
    return batches(made, SEED, OPENING, closing_instant(last_year, last_month).date().replace(day=1), ZONE)


def feed(files: list[Batch], until: date, tell: Tell) -> Fed:
    """Ingest the files that have arrived by the end of a day, oldest first; takes them off the list."""
    ready = [batch for batch in files if batch.arrives_on <= until]
    del files[: len(ready)]
    total, fed = sum(len(batch) for batch in ready), Fed()
    for batch in ready:
        answer = usage.ingest_batch(
            columns=usage.from_arrow(_table(batch)),
            source="demo",
            key=batch.name,
            recorded_at=datetime.combine(batch.arrives_on, time(4), UTC),
        )
        fed.files += 1
        fed.rows += len(batch)
        if not answer.resent:
            fed.accepted += answer.accepted
            fed.late += answer.late
            fed.corrected += answer.corrected
            fed.quarantined += answer.quarantined
            fed.duplicate += answer.duplicate
        else:
            fed.duplicate += len(batch)
        tell(fed.rows, total)
    return fed


def _table(batch: Batch) -> pa.Table:
    keys = pa.DictionaryArray.from_arrays(pa.array(batch.series.astype(np.int32)), pa.array(batch.keys))
    return pa.table({"series": keys, "at": batch.at, "in": batch.v_in, "out": batch.v_out})


def customers_act(made: Fleet, before: date) -> None:
    """What customers do on their own days before a closing: change plan, or leave."""
    for service in made.services:
        for plan, quantity, start in service.plans[1:]:
            row = services.service(service.external_id)
            known = services.subscriptions([row.id])[row.id]
            if start < before and all(one.valid_from != start for one in known):
                services_operations.change_plan(
                    service=service.external_id, plan=plan, from_date=start, quantity=quantity
                )
        leaves = service.ended_on
        if leaves is not None and leaves < before and services.service(service.external_id).ended_on is None:
            services_operations.end_service(service=service.external_id, on=leaves)


def assign_unknown(made: Fleet, at: datetime) -> int:
    """Somebody looks at the quarantine, says whose series it is, and its samples are taken in after all."""
    known = services.series_refs([key for key, _, _ in unknown_series(made)])
    found = [row for row in unknown_series(made) if row[0] not in known]
    for key, service, meter in found:
        services_operations.assign_series(key=key, service=service, meter=meter)
    return usage.replay_quarantined(recorded_at=at).rows if found else 0


def close(year: int, month: int, at: datetime, tell: Tell, workers: int = 1) -> CloseReport:
    """Close a month as of `at`."""
    return close_period(year=year, month=month, at=at, actor=ACTOR, progress=tell, workers=workers)


def is_closed(year: int, month: int) -> bool:
    """Whether the month was closed before: then there is nothing to feed."""
    run = invoicing.run(period=f"{year:04d}-{month:02d}")
    return run is not None and run.state == "closed"


def months_with_opening() -> Iterator[tuple[int, int]]:
    """The month before the first, whose closing bills the first base fees in advance; then the months."""
    yield 2026, 6
    yield from MONTHS
