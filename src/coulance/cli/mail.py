"""`coulance mail`: try the mail server, send what is due now, read bounces, look after addresses."""

from pathlib import Path

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

_MISSING = (
    "no mail server is set: coulance secret set mail, and type an address such as smtp://user:password@mail.example:587"
)


@click.group()
def mail() -> None:
    """Try the mail server, send what is due, read bounces, look after addresses."""


@mail.command()
@click.argument("address")
def test(address: str) -> None:
    """Send one test mail to ADDRESS now, and say what the server answered."""
    with working_database():
        from coulance.notices import operations, queries, transport
        from coulance.notices.operations import Recipient
        from coulance.platform import clock

        way = transport.configured()
        if way is None:
            raise click.ClickException(_MISSING)
        at = clock.now()
        key = f"test/{address}/{at.isoformat()}"[:160]
        operations.queue_message(
            key=key,
            account=None,
            kind="operations",
            to=[Recipient(address)],
            language="en",
            subject="A test mail of Coulance",
            text=f"This is a test. It was sent by way of {way.shown}.\n",
            at=at,
            actor=actor(),
        )
        done = operations.send_due(transport=way, clock=clock.now, only=key)
        if done.stopped:
            raise click.ClickException(done.stopped)
        for row in queries.messages(text=address, limit=20):
            if row.key == key:
                click.echo(f"{row.state}: {row.answer}")
                if row.state != "accepted":
                    raise SystemExit(1)


@mail.command()
def flush() -> None:
    """Send what is due now, in this process, and say what came of it."""
    with working_database():
        from coulance.notices import operations, transport
        from coulance.platform import clock

        way = transport.configured()
        if way is None:
            raise click.ClickException(_MISSING)
        done = operations.send_due(transport=way, clock=clock.now)
    for state, count in sorted(done.states.items()):
        click.echo(f"{count} {state}")
    if done.stopped:
        raise click.ClickException(done.stopped)
    if not done.states:
        click.echo("Nothing was due.")


@mail.command()
@click.argument("mailbox", type=click.Path(exists=True, path_type=Path))
def bounces(mailbox: Path) -> None:
    """Read delivery reports from an mbox file, a Maildir or one mail; reading again records nothing twice."""
    with working_database():
        from coulance.notices import operations
        from coulance.platform import clock

        read = operations.read_bounces(path=mailbox, at=clock.now())
    for line in read.lines:
        click.echo(line)
    click.echo(
        f"{read.bounced} came back, {read.delayed} delayed, {read.delivered} delivered; "
        f"{read.known_before} known before, {read.not_ours} of mail that isn't ours, {read.no_reports} no reports."
    )


@mail.command()
@click.option("--release", "address", help="Write to this address again.")
@click.option("--reason", default="", help="Why it takes mail again.")
def dead(address: str | None, reason: str) -> None:
    """List the addresses that refuse mail; or release one."""
    with working_database():
        from coulance.notices import operations, queries
        from coulance.platform import clock

        if address is not None:
            count = operations.release_address(address=address, actor=actor(), reason=reason, at=clock.now())
            click.echo(f"{address} is written to again; {count} held messages are due.")
            return
        rows = queries.dead_addresses()
    for row in rows:
        click.echo(f"{row.address}  since {row.since:%Y-%m-%d}: {row.why}")
    if not rows:
        click.echo("Every address takes mail, as far as is known.")


@mail.command()
@click.argument("account")
@click.argument("address")
@click.option("--how", required=True, help="How it is known that the address reaches somebody there.")
def verify(account: str, address: str, how: str) -> None:
    """Note that ADDRESS reaches somebody at ACCOUNT: what it accepts counts as delivered from then on."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.notices import operations
        from coulance.platform import clock

        new = operations.verify_address(
            account=customers.account(account).id, address=address, how=how, actor=actor(), at=clock.now()
        )
    click.echo(f"{address} is verified for {account}." if new else f"{address} was verified for {account} before.")


@mail.command()
def check() -> None:
    """Recompute the chains of evidence; say what is wrong, or that nothing is."""
    with working_database():
        from coulance.notices.check import check_evidence

        faults = [str(fault) for fault in check_evidence()]
    for fault in faults[:20]:
        click.echo(fault)
    if faults:
        raise click.ClickException(
            f"{len(faults)} fault(s) in the evidence; compare with a backup before anything else"
        )
    click.echo("The evidence is whole.")
