"""`coulance overage waiting|release`: invoices that wait for their customer's choice before they are issued."""

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.command()
@click.option("--settled", is_flag=True, help="Those that were settled, and how.")
def waiting(settled: bool) -> None:
    """Overage invoices that wait for their customers, until when, and who was asked."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.invoicing import holding

        rows = holding.held(ended=settled)
        names = {row.id: row.external_id for row in customers.accounts({row.account for row in rows})} if rows else {}
        for row in rows:
            if row.ended_at is not None:
                came = ", ".join(row.made) or "nothing to pay"
                end = f"{row.way} by {row.ended_by} {row.ended_at:%Y-%m-%d %H:%M} UTC: {came}"
            elif row.until is None:
                end = "not asked yet"
            else:
                asked = f"{row.told} asked by mail" if row.told else "nobody could be asked by mail"
                end = f"until {row.until:%Y-%m-%d %H:%M} UTC, {asked}"
            click.echo(f"{row.document}  {names[row.account]}  {row.period_name}  {row.gross}  {end}")
        if not rows:
            click.echo("none")


@click.command()
@click.argument("document", type=int)
@click.option("--reason", required=True, help="Why it doesn't wait for the customer. It stays on record.")
def release(document: int, reason: str) -> None:
    """Issue an invoice that waits, now; DOCUMENT is its number in `coulance overage waiting`."""
    with working_database():
        from coulance.flows.settling_first import settling
        from coulance.platform import clock

        done = settling.release(document=document, reason=reason, actor=actor(), at=clock.now())
        if done.numbers:
            click.echo(f"issued as {', '.join(done.numbers)}")
        else:
            click.echo("nothing was left to issue, by what is known now: see coulance overage waiting --settled")
