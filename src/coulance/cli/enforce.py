"""`coulance enforce ...`: restrict a service's network by hand, see what holds, say where it is reached, run it."""

import json
import os
import signal
import socket
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from coulance.cli.operator import actor
from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance.enforcement.queries import RestrictionRow

_SOURCES = ("security", "customer", "order")
_REASON = click.option("--reason", required=True, help="Why, in words that the customer could be told.")
_SOURCE = click.option("--source", type=click.Choice(_SOURCES), default="security", show_default=True, help="For whom.")
_REF = click.option("--ref", default="", help="What caused it: the same cause restricts once.")


@click.group()
def enforce() -> None:
    """Restrict the network of services, lift it again, and see that it was done."""


def _restrict(service: str, action: str, reason: str, source: str, ref: str, **more: Any) -> None:
    with working_database():
        from coulance.flows import enforcing
        from coulance.platform import clock
        from coulance_core.enforcement.restrictions import Action, Source

        try:
            done = enforcing.restrict(
                service=service,
                action=Action(action),
                reason=reason,
                source=Source(source),
                ref=ref,
                actor=actor(),
                at=clock.now(),
                **more,
            )
        except enforcing.UnableToEnforceError as fault:
            raise click.ClickException(str(fault)) from fault
    click.echo(f"Restriction {done.restriction} {'is placed' if done.new else 'was there already'}.")
    if not done.reached:
        click.echo(f"No driver reaches {service}: it is on record only. See: coulance enforce target set", err=True)


@enforce.command()
@click.argument("service")
@_REASON
@_SOURCE
@_REF
@click.option("--observe", is_flag=True, help="Record it, and do nothing.")
def pause(service: str, reason: str, source: str, ref: str, observe: bool) -> None:
    """Pause the network of SERVICE, and nothing else of it."""
    _restrict(service, "pause", reason, source, ref, observe=observe)


@enforce.command()
@click.argument("service")
@click.argument("rate")
@_REASON
@_SOURCE
@_REF
def throttle(service: str, rate: str, reason: str, source: str, ref: str) -> None:
    """Slow the network of SERVICE down to RATE, such as "10 Mbit/s"."""
    from coulance_core.kernel import Quantity, UnitError, unit

    try:
        number, _, name = rate.strip().partition(" ")
        bits = Quantity.of(number, name).to(unit("bit/s")).value
    except (ValueError, ArithmeticError, UnitError) as fault:
        raise click.ClickException(f'{rate!r}: {fault}; expected a rate such as "10 Mbit/s"') from fault
    _restrict(service, "throttle", reason, source, ref, rate_bps=int(bits))


@enforce.command()
@click.argument("service")
@click.argument("address")
@_REASON
@_SOURCE
@_REF
def blackhole(service: str, address: str, reason: str, source: str, ref: str) -> None:
    """Drop what is sent to one ADDRESS of SERVICE, the target of an attack; its others go on."""
    _restrict(service, "blackhole", reason, source, ref, address=address)


@enforce.command()
@click.argument("service")
@_REASON
@click.option("--source", type=click.Choice(_SOURCES), help="Only what was placed for them.")
@click.option("--address", default="", help="Only this blackhole.")
def lift(service: str, reason: str, source: str | None, address: str) -> None:
    """Lift what was placed by hand on SERVICE. What its limit or a debt imposed stays."""
    with working_database():
        from coulance.enforcement import queries
        from coulance.flows import enforcing
        from coulance.platform import clock
        from coulance_core.enforcement.restrictions import Source

        try:
            lifted = enforcing.release_service(
                service=service,
                reason=reason,
                source=Source(source) if source else None,
                address=address,
                actor=actor(),
                at=clock.now(),
            )
        except enforcing.UnableToEnforceError as fault:
            raise click.ClickException(str(fault)) from fault
        left = queries.desired(lifted[0].service)
    click.echo(f"Lifted {len(lifted)}; what still holds: {left.words}.")


@enforce.command()
@click.argument("service", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def status(service: str | None, as_json: bool) -> None:
    """Show what holds (for SERVICE), what waits, and how fast it is done. Ends 1 while something failed and waits."""
    with working_database():
        from coulance.enforcement import queries
        from coulance.flows import enforcing
        from coulance.platform import clock

        now = clock.now()
        try:
            ids = [enforcing.service_id(service)] if service else None
        except enforcing.UnableToEnforceError as fault:
            raise click.ClickException(str(fault)) from fault
        found = queries.restrictions(services=ids)
        waiting = [w for w in queries.waiting() if ids is None or w.service in ids]
        speed = queries.speed(since=now - timedelta(days=1))
        running = queries.executors()
        reached = queries.unreached(services=[row.service for row in found])
    late = [w for w in waiting if w.attempts]
    if as_json:
        click.echo(
            json.dumps(
                {
                    "restrictions": [_as_json(row) for row in found],
                    "waiting": [
                        {"service": w.service_name, "since": w.since.isoformat(), "attempts": w.attempts}
                        for w in waiting
                    ],
                    "executed": speed.count,
                    "p50_s": speed.p50_s,
                    "p99_s": speed.p99_s,
                    "executors": [{"name": e.name, "beat_at": e.beat_at.isoformat()} for e in running],
                }
            )
        )
    else:
        table = Table("number", "service", "what", "source", "since", "done", "reason")
        for row in found:
            table.add_row(
                str(row.id), row.service_name, _what(row), row.restriction.source,
                f"{row.restriction.placed_at:%F %T}", _done(row, row.service in reached), row.reason,
            )  # fmt: skip
        if found:
            Console(highlight=False).print(table)
        else:
            click.echo("Nothing is restricted.")
        for w in waiting:
            click.echo(f"{w.service_name} waits since {w.since:%F %T} UTC, {w.attempts} tries")
        if speed.count:
            click.echo(f"In a day {speed.count} acts, p50 {speed.p50_s:.2f} s, p99 {speed.p99_s:.2f} s.")
        if not any(now - e.beat_at < timedelta(seconds=20) for e in running):
            click.echo("No executor runs: coulance up runs one, or coulance enforce run.", err=True)
    if late:
        raise click.exceptions.Exit(1)


def _what(row: "RestrictionRow") -> str:
    one = row.restriction
    said = {"throttle": f"throttle to {one.rate_bps} bit/s", "blackhole": f"blackhole {one.address}"}
    return said.get(one.action, str(one.action)) + (" (observed)" if one.observe else "")


def _done(row: "RestrictionRow", unreached: bool) -> str:
    if row.restriction.observe:
        return "on record"
    if row.confirmed_at is not None:
        return f"{(row.confirmed_at - row.restriction.placed_at).total_seconds():.2f} s"
    return "no driver" if unreached else "not yet"


def _as_json(row: "RestrictionRow") -> dict[str, Any]:
    one = row.restriction
    return {
        "number": row.id,
        "service": row.service_name,
        "action": one.action,
        "source": one.source,
        "ref": one.ref,
        "rate_bps": one.rate_bps,
        "address": one.address,
        "observe": one.observe,
        "reason": row.reason,
        "placed_at": one.placed_at.isoformat(),
        "placed_by": row.placed_by,
        "confirmed_at": row.confirmed_at.isoformat() if row.confirmed_at else None,
        "lifted_at": one.lifted_at.isoformat() if one.lifted_at else None,
    }


@enforce.command()
@click.argument("service")
@click.option("--most", default=20, show_default=True, type=click.IntRange(1, 1000))
def history(service: str, most: int) -> None:
    """Show what was placed, lifted and done for SERVICE, with the proof of each act."""
    with working_database():
        from coulance.enforcement import queries
        from coulance.flows import enforcing

        try:
            row = enforcing.service_id(service)
        except enforcing.UnableToEnforceError as fault:
            raise click.ClickException(str(fault)) from fault
        placed = queries.restrictions(services=[row], open_only=False, limit=most)
        acts = queries.acts(row, limit=most)
    for one in placed:
        lifted = one.restriction.lifted_at
        ended = f"; lifted {lifted:%F %T} by {one.lifted_by}: {one.lift_reason}" if lifted else ""
        click.echo(
            f"{one.restriction.placed_at:%F %T} {_what(one)} by {one.placed_by} ({one.restriction.source}): "
            f"{one.reason}{ended}"
        )
    for act in acts:
        took = (act.finished_at - act.decided_at).total_seconds()
        click.echo(f"{act.finished_at:%F %T} {act.driver}: {act.outcome}, should be {act.desired.words}, {took:.2f} s")
        for line in (act.fault or act.proof).splitlines():
            click.echo(f"    {line}")


@enforce.group("target")
def target() -> None:
    """Say where the network of a service is reached, one at a time."""


@target.command("set")
@click.argument("service")
@click.argument("driver")
@click.option("--identity", required=True, help="What must be read back there: a name, VMID/NAME.")
@click.option("--parameters", default="{}", show_default=True, help='JSON, such as {"addresses": ["192.0.2.7"]}.')
def set_(service: str, driver: str, identity: str, parameters: str) -> None:
    """Reach SERVICE by DRIVER of the provider file."""
    try:
        held = json.loads(parameters)
    except ValueError as fault:
        raise click.ClickException(f"--parameters: {fault}; expected JSON") from fault
    if not isinstance(held, dict):
        raise click.ClickException('--parameters: expected a JSON object such as {"addresses": ["192.0.2.7"]}')
    with working_database():
        from coulance.flows import enforcing
        from coulance.platform import clock

        given = enforcing.TargetGiven(service, driver, identity, held)
        try:
            enforcing.set_target(given=given, actor=actor(), at=clock.now())
        except enforcing.UnableToEnforceError as fault:
            raise click.ClickException(str(fault)) from fault
    click.echo(f"{service} is reached by {driver} as {identity}.")


@target.command()
@click.argument("service")
@click.argument("driver")
@click.option("--reason", required=True, help="Why, for the audit log.")
def remove(service: str, driver: str, reason: str) -> None:
    """Forget that SERVICE is reached by DRIVER; refused while it is restricted."""
    with working_database():
        from coulance.flows import enforcing
        from coulance.platform import clock

        try:
            enforcing.remove_target(service=service, driver=driver, reason=reason, actor=actor(), at=clock.now())
        except enforcing.UnableToEnforceError as fault:
            raise click.ClickException(str(fault)) from fault
    click.echo(f"{driver} doesn't reach {service} any more.")


@target.command("list")
@click.option("--driver", default="", help="Only targets of this driver.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def list_(driver: str, as_json: bool) -> None:
    """Show where services are reached."""
    with working_database():
        from coulance.enforcement import queries

        found = queries.all_targets(driver=driver)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {"service": t.service, "driver": t.driver, "identity": t.identity, "parameters": dict(t.parameters)}
                    for t in found
                ]
            )
        )
        return
    for t in found:
        click.echo(f"{t.service}  {t.driver}  {t.identity}  {json.dumps(dict(t.parameters))}")
    if not found:
        click.echo("No service is reached: coulance enforce targets import FILE.csv, or target set.")


@enforce.group("targets")
def targets() -> None:
    """Say where the network of services is reached, by file."""


@targets.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--apply", "apply_", is_flag=True, help="Write it. Without this it is only shown.")
def import_(file: Path, apply_: bool) -> None:
    """Read targets from CSV: service, driver, identity, parameters (JSON). Shows what changes, writes with --apply."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise click.ClickException(f"{file.name}: not UTF-8 at byte {fault.start}") from fault
    with working_database():
        from coulance.flows import enforcing
        from coulance.platform import clock

        read = enforcing.read_targets(text, name=file.name)
        if not read.faults and apply_:
            enforcing.import_targets(changed=read.changed, actor=actor(), at=clock.now())
    for line in read.faults[:100]:
        click.echo(line, err=True)
    if read.faults:
        click.echo(f"{len(read.faults)} faults; nothing is imported.", err=True)
        raise click.exceptions.Exit(1)
    for one in read.changed[:100]:
        click.echo(f"~ {one.service} at {one.driver}: {one.identity}")
    click.echo(f"{len(read.given)} targets, {len(read.changed)} new or changed.")
    if read.changed and not apply_:
        click.echo("Nothing is written yet. To write it, add --apply.")


@enforce.command()
@click.argument("service")
def look(service: str) -> None:
    """Ask the drivers of SERVICE who is there and what holds. Changes nothing."""
    with working_database():
        from coulance.catalog import queries as catalog
        from coulance.drivers import factory
        from coulance.enforcement import queries
        from coulance.enforcement.ports import DriverError
        from coulance.flows import enforcing
        from coulance.platform import clock

        try:
            row = enforcing.service_id(service)
            made = factory.drivers(catalog.catalog().drivers, now=clock.now)
        except (enforcing.UnableToEnforceError, catalog.UnableToFindCatalogError) as fault:
            raise click.ClickException(str(fault)) from fault
        wanted = queries.desired(row)
        click.echo(f"{service} should be {wanted.words}.")
        failed = False
        for one in queries.targets(row):
            try:
                if one.driver not in made:
                    raise DriverError("it is not in the provider file")
                seen = made[one.driver].read(one)
            except DriverError as fault:
                failed = True
                click.echo(f"{one.driver}: {fault}", err=True)
                continue
            fits = "" if seen.identity == one.identity else f", and {one.identity!r} was meant"
            failed = failed or bool(fits)
            click.echo(f"{one.driver}: {seen.identity!r}{fits}, {seen.state.words}{'' if seen.whole else ', in part'}")
    if failed:
        raise click.exceptions.Exit(1)


@enforce.command()
def run() -> None:
    """Execute what the register says, until stopped. `coulance up` does it too; several may run."""
    with working_database():
        from coulance.catalog import queries as catalog
        from coulance.drivers import factory
        from coulance.enforcement import executing
        from coulance.enforcement.executor import Executor
        from coulance.platform import clock
        from coulance_core.catalog.terms import Driver

        def terms() -> dict[str, Driver]:
            try:
                return dict(catalog.catalog().drivers)
            except catalog.UnableToFindCatalogError:
                return {}

        host = socket.gethostname()
        executing.bury(host=host, is_alive=_is_alive, at=clock.now())
        running = Executor(
            worker=f"{host}:{os.getpid()}",
            now=clock.now,
            terms=terms,
            build=lambda some: factory.drivers(some, now=clock.now),
        )

        def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
            running.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        running.run()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
