"""`coulance check`, `plan`, `apply` and `schema`: the provider file at the command line."""

import json
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from coulance.catalog.faults import Fault
from coulance.cli.operator import actor

if TYPE_CHECKING:
    from coulance.catalog.proposal import Change, Proposal
    from coulance.catalog.reader import ProviderFile
    from coulance.catalog.sources import Sources

_FILE = click.argument("file", type=click.Path(path_type=Path), default="provider.toml")
_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON, for editors and scripts.")


def show_faults(console: Console, sources: "Sources", faults: Iterable[Fault]) -> None:
    """Each fault with its source line and a caret under what is meant."""
    for fault in faults:
        place = fault.place
        console.print(Text(f"{place}", style="bold") + Text(f"  {fault.key}", style="dim"))
        line = sources.line(place)
        if line.strip():
            number = str(place.line)
            width = max(1, min(place.end, len(line) + 1) - place.column)
            console.print(Text(f"  {number} | ", style="dim") + Text(line))
            lead = "".join(c if c == "\t" else " " for c in line[: place.column - 1])
            console.print(Text(f"  {' ' * len(number)} | {lead}", style="dim") + Text("^" * width, style="bold red"))
        console.print(Text(f"  {fault.found}", style="red"))
        if fault.expected:
            console.print(Text(f"  expected {fault.expected}"))
        if fault.nearest:
            console.print(Text(f"  did you mean {fault.nearest!r}?", style="green"))
        console.print()


def _read(file: Path, as_json: bool) -> "ProviderFile":
    """Read a file; with faults, show them all and end with status 1."""
    from coulance.catalog.reader import read_provider_file

    read = read_provider_file(file)
    if read.faults:
        _refuse(read, read.faults, as_json)
    return read


def _refuse(read: "ProviderFile", faults: tuple[Fault, ...], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"faults": [fault.to_json() for fault in faults]}, indent=2))
    else:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        show_faults(console, read.sources, faults)
        files = len({fault.place.file for fault in faults})
        console.print(f"{len(faults)} fault{'s' * (len(faults) != 1)} in {files} file{'s' * (files != 1)}.")
    sys.exit(1)


@click.command()
@_FILE
@_JSON
def check(file: Path, as_json: bool) -> None:
    """Check a provider file: every fault at once, each with its line."""
    read = _read(file, as_json)
    assert read.catalog is not None
    if as_json:
        click.echo(json.dumps({"faults": []}))
        return
    catalog = read.catalog
    versions = sum(len(own) for own in catalog.plans.values())
    click.echo(
        f"{file} is sound: {len(catalog.plans)} plans in {versions} versions, {len(catalog.meters)} meters, "
        f"{len(catalog.pools)} pools, {len(catalog.tax.rates)} tax rates, {len(read.sources.texts)} files."
    )


@click.command()
@_FILE
@_JSON
def plan(file: Path, as_json: bool) -> None:
    """Show what applying a provider file would change, and for which services."""
    read = _read(file, as_json)
    from coulance.cli.session import working_database

    with working_database():
        from coulance.catalog.operations import propose

        closed, today = _facts(read)
        proposal = propose(file=read, closed_until=closed, plans_in_use=_in_use(today))
        if proposal.faults:
            _refuse(read, proposal.faults, as_json)
        _show(proposal, read, today, as_json)


@click.command()
@_FILE
@_JSON
@click.option("--by", help="Who applies it, for the record. Default: the user who runs this.")
def apply(file: Path, as_json: bool, by: str | None) -> None:
    """Apply a provider file: all of it, or nothing."""
    read = _read(file, as_json)
    from coulance.cli.session import working_database

    with working_database():
        from coulance.catalog.operations import UnableToApplyCatalogError, apply_catalog
        from coulance.platform import clock

        closed, today = _facts(read)
        try:
            applied = apply_catalog(
                file=read, actor=by or actor(), at=clock.now(), closed_until=closed, plans_in_use=_in_use(today)
            )
        except UnableToApplyCatalogError as refused:
            _refuse(read, refused.faults, as_json)
            return
    if as_json:
        answer = {"revision": applied.revision, "changed": applied.changed, "changes": applied.changes}
        click.echo(json.dumps(answer, indent=2))
    elif not applied.changed:
        click.echo(f"Nothing to do: revision {applied.revision} is this very file.")
    else:
        for change in applied.changes:
            click.echo(f"  {change}")
        click.echo(f"Applied as revision {applied.revision}.")


@click.command()
@click.option("--markdown", is_flag=True, help="The same as a reference for people.")
def schema(markdown: bool) -> None:
    """Print the JSON Schema of a provider file, for editors."""
    from coulance.catalog.provider_file import schema_text
    from coulance.catalog.reference import reference

    click.echo(reference() if markdown else schema_text(), nl=False)


def _facts(read: "ProviderFile") -> tuple[date | None, date]:
    """The first day that no account's closed period covers (none: nothing is closed), and today at the provider's."""
    from coulance.customers.queries import latest_billing_day
    from coulance.flows.import_customers import first_open_day
    from coulance.invoicing import queries as invoicing
    from coulance.platform import clock

    assert read.catalog is not None
    closed = invoicing.closed_until()
    until = first_open_day(closed, latest_billing_day()) if closed else None
    return until, clock.today(read.catalog.provider.zone)


def _in_use(today: date) -> dict[str, int]:
    from coulance.services.queries import plans_in_use

    return plans_in_use(today)


def _show(proposal: "Proposal", read: "ProviderFile", today: date, as_json: bool) -> None:
    told = [(change, _touched(change, read, today)) for change in proposal.changes]
    if as_json:
        changes = [
            {"change": change.what, "details": change.details, "services": names, "a_month": amount}
            for change, (names, amount) in told
        ]
        click.echo(json.dumps({"nothing_to_do": proposal.nothing_to_do, "changes": changes}, indent=2))
        return
    if proposal.nothing_to_do:
        click.echo("Nothing to do: this very file is applied.")
        return
    console = Console(highlight=False, soft_wrap=True)
    for change, (names, amount) in told:
        console.print(Text("~ " if change.plan else "+ ", style="green") + Text(change.what, style="bold"))
        for line in change.details:
            console.print(f"    {line}", markup=False)
        if change.plan:
            shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            console.print(f"    {len(names)} service(s): {shown or 'none yet'}", markup=False)
            if amount:
                console.print(f"    base fees together: {amount} a month", markup=False)
    console.print(f"{len(told)} change{'s' * (len(told) != 1)}. To make it so: coulance apply {read.sources.root}")


def _touched(change: "Change", read: "ProviderFile", today: date) -> tuple[list[str], str]:
    """The services that a change touches, and what it does to their base fees together, a month."""
    from coulance.catalog.proposal import fee_change, signed
    from coulance.services.queries import services_on_plan

    if not change.plan or change.since is None or read.catalog is None:
        return [], ""
    users = services_on_plan(change.plan, max(change.since, today))
    versions = read.catalog.plans[change.plan]
    after = next(v for v in versions if v.valid_from == change.since)
    earlier = [v for v in versions if v.valid_from < change.since]
    before = earlier[-1] if earlier else None
    units = sum(user.quantity if after.base is None or after.base.per_unit else 1 for user in users)
    together = fee_change(before, after, units)
    return [user.service for user in users], signed(together) if together is not None and together.minor else ""
