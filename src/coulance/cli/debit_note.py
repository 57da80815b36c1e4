"""`coulance debit-note`: take an issued credit note back, the one way there is."""

import click

from coulance.cli.operator import actor


@click.command("debit-note")
@click.argument("number")
@click.option("--reason", required=True, help="What the customer reads on the debit note.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def debit_note(number: str, reason: str, yes: bool) -> None:
    """Take credit note NUMBER back whole, by a debit note that names it; asks before it does."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.flows import crediting
        from coulance.platform import clock

        found = crediting.preview_debit_note(number=number, reason=reason, at=clock.now())
        if not yes and not click.confirm(f"Take {number} back: {found.gross} is owed again ({reason})?"):
            raise click.Abort
        given = crediting.reverse_credit_note(number=number, reason=reason, actor=actor(), at=clock.now())
    click.echo(f"{given} takes {number} back: {found.gross} is owed again ({found.net} without tax).")
