"""`coulance migrate`."""

import click

from coulance.cli.session import working_database


@click.command()
def migrate() -> None:
    """Bring the database to this version (up does it too)."""
    with working_database(migrated=False):
        from coulance.platform import schema

        done = schema.migrate()
    for name in done:
        click.echo(f"  applied {name}")
    click.echo(f"{len(done)} migration(s) applied." if done else "The database is up to date.")
