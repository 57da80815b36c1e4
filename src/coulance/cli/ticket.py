"""`coulance ticket`: tickets and their clocks: what runs, what is late, what was missed."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

TRY_LATER = 75
"""What a mail server reads as "try again later" (EX_TEMPFAIL of sysexits.h): it keeps the mail."""
EVENTS = click.Choice(["priority", "answered", "customer_wrote", "waits", "resumes", "solved", "reopened", "void"])


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


@ticket.command()
@click.argument("source")
@click.argument("number")
@click.argument("event", type=EVENTS)
@click.option("--at", "when", help="When it happened, as 2026-05-04T09:30+02:00 (now).")
@click.option("--priority", default="", help="Which, for the event priority.")
def tell(source: str, number: str, event: str, when: str | None, priority: str) -> None:
    """Tell what happened to a ticket: answered, waits, solved, reopened, void, ..."""
    with working_database():
        from coulance.contracts import ticketing as writing
        from coulance.contracts.ticketing import NewEvent
        from coulance.flows.contracts import ticketing
        from coulance.platform import clock
        from coulance_core.sla.clocks import EventKind

        at = clock.now()
        try:
            instant = datetime.fromisoformat(when) if when else at
        except ValueError as error:
            raise click.BadParameter(f"{when}: expected 2026-05-04T09:30+02:00", param_hint="--at") from error
        if instant.tzinfo is None:
            raise click.BadParameter(f"{when}: say its offset, as 2026-05-04T09:30+02:00", param_hint="--at")
        kind = EventKind(event)
        key = f"cli/{kind.value}/{instant.astimezone(UTC).isoformat()}"
        writing.ticket_id(source=source, number=number)
        told = ticketing.Incoming(source, number, events=[NewEvent(key, instant, kind, priority)])
        done = ticketing.receive(told, actor=actor(), at=at)
    click.echo(f"{source} {number}: {event}." if done.events else f"{source} {number}: {event} was there already.")


@ticket.command("mail")
@click.option(
    "--maildir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Take what is new there."
)
def mail_(maildir: Path | None) -> None:
    """Take one mail from standard input, as a mail server's pipe brings it; or all new mail of a Maildir.

    Ends with 75, "try again later", where it can't be taken now, so that the server keeps it.
    """
    from coulance.contracts.mail_reading import MOST_BYTES, MOST_HEADER_BYTES

    raw = b"" if maildir else sys.stdin.buffer.read(MOST_BYTES + MOST_HEADER_BYTES)
    try:
        with working_database():
            from coulance.flows.contracts import mailing
            from coulance.flows.contracts.maildir import take_all
            from coulance.platform import clock

            if maildir:
                click.echo(f"{take_all(maildir, clock=clock.now)} mails are taken.")
                return
            done = mailing.take(raw=raw, source="pipe", at=clock.now())
    except Exception as fault:  # whatever it is, the mail server has the mail, and keeps it
        click.echo(f"not now: {fault}", err=True)
        sys.exit(TRY_LATER)
    one = done.mail
    said = f": {one.why}" if one.why else ""
    again = "" if done.new else " (known before)"
    click.echo(f"mail {one.id}: {one.state}{said}{again}; came {one.arrived_at:%H:%M} UTC, {one.arrived_by}")


@ticket.command()
@click.argument("number", type=int, required=False)
def held(number: int | None) -> None:
    """List mail that waits for a person, or show one with its words."""
    with working_database():
        from coulance.contracts import mails

        rows = [mails.mail(number)] if number is not None else mails.held()
    for one in rows:
        click.echo(
            f"{one.id}  {one.arrived_at:%Y-%m-%d %H:%M}  {one.sender or '-'}  {one.subject}  {one.state}: {one.why}"
        )
    if number is not None:
        for file in rows[0].attached:
            click.echo(f"(attached and not kept: {file['name'] or file['kind']}, {file['size']} bytes)")
        click.echo(rows[0].words or "(its words are not kept)")
    elif not rows:
        click.echo("No mail waits.")


@ticket.command()
@click.argument("mail", type=int)
@click.option(
    "--as",
    "as_",
    type=click.Choice(["opened", "wrote", "answered", "refused"]),
    required=True,
    help="It opens a ticket, is the customer's word or our answer on one, or is refused.",
)
@click.option("--account", default="", help="Whose ticket it opens: the customer's external id.")
@click.option("--contract", default="", help="Or the contract's key.")
@click.option("--on", help="The ticket it is of, as mail/17.")
@click.option("--reason", required=True, help="Why; it is kept.")
def settle(mail: int, as_: str, account: str, contract: str, on: str | None, reason: str) -> None:  # fmt: skip
    """Say what becomes of a mail that is held. The clock begins when it came, not now."""
    with working_database():
        from coulance.contracts import ticketing as writing
        from coulance.flows.contracts import mailing
        from coulance.platform import clock

        source, _, number = (on or "").partition("/")
        ticket_ = writing.ticket_id(source=source, number=number) if on else None
        done = mailing.settle(
            mail=mail, as_=as_, account=account, contract=contract, ticket=ticket_, reason=reason, actor=actor(),
            at=clock.now(),
        )  # fmt: skip
    click.echo(f"mail {mail}: {done.state}.")
