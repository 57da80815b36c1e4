"""`coulance migrate`."""

import click

from coulance.cli.session import working_database


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be applied, and apply nothing.")
def migrate(only_plan: bool) -> None:
    """Bring the database to this version (up does it too).

    Coulance may go on running meanwhile, in the version before: then bring its parts to this one with coulance reload.
    """
    with working_database(migrated=False) as here:
        from coulance.platform import schema, supervisor

        if only_plan:
            for step in schema.plan():
                click.echo(
                    step.name + ("" if step.atomic else "  (in steps of its own, so that nothing is locked long)")
                )
                for line in step.does:
                    click.echo(f"  {line}")
            if not schema.pending():
                click.echo("The database is up to date.")
            return
        done = schema.migrate(say=lambda line: click.echo(f"  {line}", err=True))
        running = supervisor.state(here)
    for name in done:
        click.echo(f"  applied {name}")
    click.echo(f"{len(done)} migration(s) applied." if done else "The database is up to date.")
    if done and running is not None:
        click.echo("Coulance runs here in the version before; bring it to this one with: coulance reload")
