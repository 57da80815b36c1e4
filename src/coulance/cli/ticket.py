"""`coulance ticket`: tickets and their clocks: what runs, what is late, what was missed."""

from pathlib import Path

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.group()
def ticket() -> None:
    """Look after promises of response: tickets, their clocks, what is about to break."""


@ticket.command("list")
@click.option("--missed", is_flag=True, help="Those that broke a promise, open or not.")
def list_(missed: bool) -> None:
    """Show open tickets' promises, what is due first on top."""
    with working_database():
        from coulance.contracts import tickets
        from coulance.flows.contracts import ticketing
        from coulance.platform import clock
        from coulance_core.sla.intervals import instant

        at = clock.now()
        if missed:
            for one in tickets.standing(tickets.tickets(), at):
                for late in one.breached:
                    due = f"{instant(late.due):%Y-%m-%d %H:%M}"
                    said = f"{late.promise.value} was due {due}, {late.state.value}"
                    click.echo(f"{one.ticket.source} {one.ticket.number}: {said}")
            return
        rows = ticketing.at_risk(at=at)
        for risk in rows:
            of, clock_ = risk.standing.ticket, risk.clock
            said = f"{clock_.promise.value} due {risk.due:%Y-%m-%d %H:%M} UTC ({clock_.state.value})"
            click.echo(f"{of.source} {of.number}: {said}: {of.subject}")
        if not rows:
            click.echo("No promise runs.")


@ticket.command()
@click.argument("source")
@click.argument("number")
def show(source: str, number: str) -> None:
    """Show a ticket's history, and each of its clocks with the arithmetic."""
    with working_database():
        from coulance.contracts import ticketing, tickets
        from coulance.platform import clock
        from coulance_core.sla.intervals import instant

        row = tickets.ticket(ticketing.ticket_id(source=source, number=number))
        (one,) = tickets.standing([row], clock.now())
        click.echo(f"{source} {number}: {row.subject}")
        for event in row.events:
            click.echo(f"{instant(event.at):%Y-%m-%d %H:%M} {event.kind.value} {event.priority}".rstrip())
        for found in one.clocks:
            click.echo(f"{found.promise.value}: {found.state.value}, due {instant(found.due):%Y-%m-%d %H:%M} UTC")
            click.echo(found.explanation.render("  "))
        if not one.clocks:
            click.echo("Nothing is promised on it.")


@ticket.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, help="The name of the desk they come from.")
@click.option("--zone", help="The zone of local times (the provider's).")
def import_(path: Path, source: str, zone: str | None) -> None:
    """Write down tickets' events from CSV: all of it, or nothing and every fault with its line."""
    with working_database():
        from coulance.catalog import queries as catalogs
        from coulance.flows.contracts import importing
        from coulance.platform import clock

        try:
            opened, events = importing.import_tickets(
                text=path.read_text("utf-8-sig"), source=source, zone=zone or catalogs.catalog().provider.zone,
                actor=actor(), at=clock.now(),
            )  # fmt: skip
        except importing.UnableToImportError as error:
            for line, what in error.faults:
                click.echo(f"{path}:{line}: {what}", err=True)
            raise click.ClickException(f"{len(error.faults)} faults: nothing was written") from error
    click.echo(f"{opened} tickets are new, {events} further events.")


@ticket.command()
def watch() -> None:
    """Warn before promises break, as the worker does each minute; say how many are near, and late."""
    with working_database():
        from coulance.flows.contracts import ticketing
        from coulance.platform import clock

        near, late = ticketing.watch(at=clock.now())
    click.echo(f"{near} near their deadline, {late} late.")
