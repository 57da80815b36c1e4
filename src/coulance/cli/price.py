"""`coulance price`: base fees agreed for one service."""

from datetime import datetime

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

_DAY = click.DateTime(["%Y-%m-%d"])
_reason = click.option("--reason", required=True, help="Why; it is kept in the audit log.")


@click.group()
def price() -> None:
    """Agree a base fee for one service, in place of its plan's, and take it back. Plans stay as they are."""


@price.command()
@click.argument("service")
@click.argument("amount")
@click.option("--from", "since", type=_DAY, required=True, help="The first day it holds.")
@click.option("--until", type=_DAY, help="The first day it no longer holds; default: as long as the plan does.")
@click.option("--words", default="", help='Printed behind the plan\'s name on invoices, such as "as agreed".')
@_reason
def agree(service: str, amount: str, since: datetime, until: datetime | None, words: str, reason: str) -> None:
    """Agree AMOUNT (12.50) for SERVICE: for a whole cycle of its plan and all units, before tax as the catalog is."""
    with working_database():
        from coulance.flows.customers import UnableToKeepError
        from coulance.flows.prices import agree_price
        from coulance.platform import clock

        try:
            agreed = agree_price(
                service=service,
                amount=amount,
                from_date=since.date(),
                until=until.date() if until else None,
                words=words,
                actor=actor(),
                reason=reason,
                at=clock.now(),
            )
        except (UnableToKeepError, LookupError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(
        f"Agreed {agreed} for {service} from {since.date()}. Undo: coulance price end {service} --on {since.date()}"
    )


@price.command()
@click.argument("service")
@click.option("--on", type=_DAY, required=True, help="The first day on which the plan's own price holds again.")
@_reason
def end(service: str, on: datetime, reason: str) -> None:
    """From a day on, the plan's own price for SERVICE again; nothing agreed for later stays."""
    with working_database():
        from coulance.flows.customers import UnableToKeepError
        from coulance.flows.prices import end_price
        from coulance.platform import clock

        try:
            changed = end_price(service=service, on=on.date(), actor=actor(), reason=reason, at=clock.now())
        except (UnableToKeepError, LookupError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{service}: its plan's price from {on.date()}." if changed else "No price was agreed: nothing changed.")


@price.command("list")
def list_() -> None:
    """List every price that was agreed, by service."""
    with working_database():
        from coulance.services import queries

        names = {row.id: row.external_id for row in queries.services()}
        found = queries.agreed_prices(list(names))
    for service in sorted(found, key=lambda one: names[one]):
        for row in found[service]:
            days = f"{row.start} to {row.end or 'no end'}"
            click.echo(f"{names[service]:<24} {row.plan:<16} {row.amount!s:>14}  {days}  {row.words}".rstrip())
    if not found:
        click.echo("No price was agreed: every service is billed by its plan.")
