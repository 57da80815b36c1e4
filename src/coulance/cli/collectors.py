"""`coulance collectors ...`: what is collected and how it goes; asking now, by hand or for as long as Coulance runs."""

import json
import os
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance.usage.queries import CollectorHealth
    from coulance_core.catalog.collectors import Collector

_SHOWN = 20


@click.group()
def collectors() -> None:
    """Read counters from Prometheus, SNMP, LibreNMS and Proxmox: how it goes, a try, a run by hand."""


@collectors.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def list_(as_json: bool) -> None:
    """Show every collector and target: state, last success, what is behind, what went wrong."""
    with working_database():
        from coulance.integrations.collectors import runner
        from coulance.platform import clock
        from coulance.usage import queries

        now = clock.now()
        known = queries.collector_health(at=now)
        seen = {(one.collector, one.target) for one in known}
        waiting = [
            (collector.key, target, collector.kind.value)
            for collector in runner.asked_collectors().values()
            for target in runner.targets_of(collector)
            if (collector.key, target) not in seen
        ]
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in known]))
        return
    if not known and not waiting:
        click.echo("No collectors. Add [collectors.NAME] to the provider file: docs/collectors.md")
        return
    table = Table("collector", "target", "state", "last", "behind", "next")
    colours = {"ok": "green", "failing": "red", "behind": "yellow"}
    for one in known:
        state = f"[{colours[one.state]}]{one.state}[/]" if one.state in colours else one.state
        last = "never" if one.last_success is None else _span(int((now - one.last_success).total_seconds()))
        soon = "" if one.next_try is None else _span(max(int((one.next_try - now).total_seconds()), 0))
        behind = "" if one.lag_s is None else _span(one.lag_s)
        table.add_row(one.collector, one.target, state, last, behind, soon)
    for collector, target, _ in waiting:
        table.add_row(collector, target, "never asked", "", "", "")
    Console(highlight=False).print(table)
    for one in known:
        click.echo(f"{one.collector} {one.target} ({one.kind}): {one.taken:,} taken, {one.refused:,} refused")
        if one.last_error:
            click.echo(f"{one.collector} {one.target}: {one.last_error} ({one.failures} times in a row)")
        for note in one.notes:
            click.echo(f"{one.collector} {one.target}: note: {note}")


def _as_json(one: "CollectorHealth") -> dict[str, Any]:
    return {
        "collector": one.collector,
        "target": one.target,
        "kind": one.kind,
        "state": one.state,
        "last_success": None if one.last_success is None else one.last_success.isoformat(),
        "last_error": one.last_error,
        "failures": one.failures,
        "next_try": None if one.next_try is None else one.next_try.isoformat(),
        "lag_s": one.lag_s,
        "taken": one.taken,
        "refused": one.refused,
        "unpaired": one.unpaired,
        "notes": list(one.notes),
    }


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _named(name: str) -> "Collector":
    from coulance.integrations.collectors import runner

    known = runner.asked_collectors()
    if name not in known:
        shown = ", ".join(sorted(known)) or "there are none"
        raise click.ClickException(f"no collector {name!r} asks anything; expected one of: {shown}")
    return known[name]


@collectors.command()
@click.argument("name", required=False)
@click.option("--once", is_flag=True, help="Ask each target once, now, whether it is due or not.")
def run(name: str | None, once: bool) -> None:
    """Ask the targets of all collectors, or of NAME, when they are due, until stopped. `coulance up` does it too."""
    if not once:
        os.nice(5)  # who waits for a page or for ingest goes first
    with working_database():
        from coulance.integrations.collectors import runner
        from coulance.platform import clock

        if once:
            chosen = [_named(name)] if name else list(runner.asked_collectors().values())
            failed = False
            for collector in chosen:
                for target in runner.targets_of(collector):
                    done = runner.go(collector, target, clock.now)
                    failed = failed or bool(done.error)
                    if done.error:
                        click.echo(
                            f"{collector.key} {target}: {done.error}; again at {done.next_at:%F %T} UTC", err=True
                        )
                        continue
                    counts = {
                        what: sum(getattr(answer, what) for answer in done.answers)
                        for what in ("accepted", "late", "corrected", "duplicate", "quarantined", "rejected_rows")
                    }
                    told = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in counts.items() if n)
                    click.echo(f"{collector.key} {target}: {told or 'nothing new'}")
            if failed:
                raise click.exceptions.Exit(1)
            return
        if name:
            _named(name)
        running = runner.Runner(clock.now, only=name)

        def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
            running.stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        running.run()


@collectors.command()
@click.argument("name")
@click.option("--target", help="Only this one.")
def test(name: str, target: str | None) -> None:
    """Ask the targets of NAME and show what would be taken; nothing is written."""
    with working_database():
        from coulance.integrations.collectors import runner
        from coulance.integrations.collectors.harvest import UnableToCollectError
        from coulance.platform import clock
        from coulance.services import queries as services

        collector = _named(name)
        failed = False
        for one in runner.targets_of(collector):
            if target not in (None, one):
                continue
            try:
                harvest = runner.look(collector, one, clock.now)
            except UnableToCollectError as fault:
                failed = True
                click.echo(f"{one}: {fault}", err=True)
                continue
            columns = harvest.columns
            rows = [] if columns is None else list(
                zip(columns.series.tolist(), columns.v_in.tolist(), columns.v_out.tolist(), strict=True)
            )  # fmt: skip
            names = [] if columns is None else columns.keys.names
            known = services.series_refs(names)
            click.echo(f"{one}: {len(rows)} readings of {len({row[0] for row in rows})} series")
            table = Table("series", "in", "out", "counts for")
            for code, v_in, v_out in rows[:_SHOWN]:
                ref = known.get(names[code])
                place = "nobody yet: it would wait in quarantine" if ref is None else f"meter {ref.meter}"
                table.add_row(names[code], str(v_in % 2**64), str(v_out % 2**64), place)
            if rows:
                Console(highlight=False).print(table)
            if len(rows) > _SHOWN:
                click.echo(f"... and {len(rows) - _SHOWN} more")
            for note in harvest.notes:
                click.echo(f"note: {note}")
    if failed:
        raise click.exceptions.Exit(1)


@collectors.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def bills(name: str, as_json: bool) -> None:
    """Lay the closed bills of LibreNMS collector NAME beside our own figures of the same services and periods.

    A bill is ours when its reference is the id of a service. Ends 1 when a total differs by more than one per cent.
    """
    with working_database():
        from coulance.integrations.collectors import reconciling, runner
        from coulance.integrations.collectors.harvest import UnableToCollectError
        from coulance.platform import clock

        collector = _named(name)
        if collector.kind.value != "librenms":
            raise click.ClickException(f"collector {name!r} is of kind {collector.kind}: only LibreNMS has bills")
        try:
            found = reconciling.compare(collector, clock.now, runner.secrets_of(collector))
        except UnableToCollectError as fault:
            raise click.ClickException(str(fault)) from fault
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found]))
    else:
        table = Table("bill", "service", "from", "until", "theirs 95th", "ours", "theirs total", "ours", "apart")
        for one in found:
            table.add_row(
                one.bill, one.service or "(none)", f"{one.start:%F}", f"{one.end:%F}", _rate(one.their_95th),
                _rate(one.our_95th), _bytes(one.their_total), _bytes(one.our_total),
                "" if one.apart is None else f"{one.apart / 10:.1f} %",
            )  # fmt: skip
        Console(highlight=False).print(table)
        if not found:
            click.echo("LibreNMS has no closed bills.")
    if any(one.apart is not None and abs(one.apart) > 10 for one in found):
        raise click.exceptions.Exit(1)


def _rate(bits: int | None) -> str:
    return "" if bits is None else f"{bits / 1e6:,.2f} Mbit/s"


def _bytes(value: int | None) -> str:
    return "" if value is None else f"{value / 1e9:,.2f} GB"
