"""`coulance overage webhook ...`: customers' own webhooks, registered for them."""

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.group()
def webhook() -> None:
    """Customers' own webhooks that are told of warnings: register, verify, list, end."""


@webhook.command()
@click.argument("account")
@click.argument("contact")
@click.argument("url")
def add(account: str, contact: str, url: str) -> None:
    """Register one for a CONTACT of an ACCOUNT; prints its secret, this once. It counts once it is verified."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.notices import hooks
        from coulance.platform import clock

        row = customers.account(account)
        if contact not in {one.external_id for one in customers.contacts([row.id])}:
            raise click.UsageError(f"{account} has no contact {contact!r}")
        hook, secret = hooks.add_hook(account=row.id, contact=contact, url=url, actor=actor(), at=clock.now())
        click.echo(f"webhook {hook.id} at {hook.host}; its secret: {secret}")
        click.echo(f"When it is ready: coulance overage webhook verify {account} {hook.id}")


@webhook.command()
@click.argument("account")
@click.argument("number", type=int)
def verify(account: str, number: int) -> None:
    """Send it a challenge; it must answer as a holder of its secret."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.notices import hooks
        from coulance.platform import clock

        hooks.verify_hook(hook=number, account=customers.account(account).id, actor=actor(), at=clock.now())
        click.echo("it answered: it is told of warnings from now on")


@webhook.command("list")
@click.argument("account")
def show(account: str) -> None:
    """The webhooks of an ACCOUNT."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.notices import hooks

        rows = hooks.hooks(accounts=[customers.account(account).id])
        for row in rows:
            state = f"verified {row.verified_at:%F %H:%M} UTC" if row.verified_at else "not verified: told nothing"
            click.echo(f"{row.id}  {row.contact}  {row.host}  {state}")
        if not rows:
            click.echo("none")


@webhook.command()
@click.argument("account")
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why. It stays on record.")
def end(account: str, number: int, reason: str) -> None:
    """Tell it nothing any more."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.notices import hooks
        from coulance.platform import clock

        hooks.end_hook(hook=number, account=customers.account(account).id, actor=actor(), reason=reason, at=clock.now())
        click.echo(f"webhook {number} ended")
