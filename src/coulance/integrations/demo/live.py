"""This very machine as a service of the demo: its own interfaces, metered live."""

import socket
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psutil

from coulance.customers import operations as customers_operations
from coulance.customers import queries as customers
from coulance.integrations import collector
from coulance.services import operations as services_operations
from coulance.services import queries as services
from coulance.usage import operations as usage
from coulance.usage import queries as usage_queries
from coulance_core.kernel import Period

ACCOUNT = "THIS"
SERVICE = "this-machine"
_ZONE = "Europe/Amsterdam"


def register(at: datetime) -> None:
    """Make the account and the service, once, and assign every interface that was seen to it."""
    today = at.astimezone(ZoneInfo(_ZONE)).date()
    if not any(row.external_id == ACCOUNT for row in customers.accounts()):
        customers_operations.create_account(
            external_id=ACCOUNT,
            name="This very machine",
            kind="business",
            country="NL",
            currency="EUR",
            zone=_ZONE,
            language="en",
        )
        services_operations.start_service(
            account=ACCOUNT,
            external_id=SERVICE,
            name="This machine's interfaces, live",
            kind="vps",
            started_on=today,
            plan="vps-s",
        )
    known = services.series_index()
    for one in collector.readings(_interfaces()):
        key = _key(one.interface)
        if key not in known:
            services_operations.assign_series(key=key, service=SERVICE, meter="traffic")


def read(at: datetime) -> list[str]:
    """One reading of every interface; returns the series that were read."""
    columns = collector.collect(at=at, only=_interfaces())
    usage.ingest_batch(columns=columns, source="collector", recorded_at=at)
    return list(columns.keys.names)


def told(at: datetime) -> list[str]:
    """What each interface did while the demo looked."""
    own = {ref.id: key for key, ref in services.series_index().items() if key.startswith(_key(""))}
    if not own:
        return []
    period = Period(at - timedelta(hours=12), at + timedelta(seconds=1))
    block = usage_queries.series_samples(series=sorted(own), period=period)
    out = []
    for i, series in enumerate(block.series.tolist()):
        low, high = int(block.samples.offsets[i]), int(block.samples.offsets[i + 1])
        if high - low < 2:
            continue
        seconds = int(block.samples.at[high - 1] - block.samples.at[low])
        received, sent = (int(v[high - 1] - v[low]) for v in (block.samples.v_in, block.samples.v_out))
        out.append(
            f"this machine, live: {own[series].partition(':')[2]} received {received:,} and sent {sent:,} bytes "
            f"in the last {seconds} s ({high - low} readings)"
        )
    return out


def _interfaces() -> list[str] | None:
    """The collector's own choice; the loopback where there is nothing else, so that there is something to see."""
    names = list(psutil.net_io_counters(pernic=True))
    return None if collector.chosen(names) else [name for name in names if name == "lo"]


def _key(interface: str) -> str:
    return f"{socket.gethostname()}:{interface}"  # as the collector of `coulance up` names it
