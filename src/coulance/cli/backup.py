"""`coulance backup` and `coulance restore`."""

from pathlib import Path

import click

from coulance.cli.session import working_database


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--with-secrets", is_flag=True, help="Put the instance's secrets in too; keep the file as safe as them.")
def backup(file: Path, with_secrets: bool) -> None:
    """Write database and samples to one file.

    Coulance may go on running meanwhile: the backup is of one instant. The file can be read by you alone (0600).
    """
    with working_database() as here:
        from coulance import __version__
        from coulance.platform import backup as backups
        from coulance.platform import clock

        made = backups.make_backup(
            here=here, to=file.absolute(), at=clock.now(), version=__version__, with_secrets=with_secrets
        )
    size = file.stat().st_size / 1e6
    click.echo(
        f"{file}: {sum(made.rows.values()):,} rows in {len(made.rows)} tables, {made.segments:,} segments"
        + (", secrets" if made.has_secrets else "")
        + f"; {size:,.1f} MB"
    )
    if made.segments_elsewhere:
        click.echo(f"The segments lie in {made.segments_elsewhere} and are not in the file: see to it that it is kept.")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace what this instance holds.")
@click.option("--check", is_flag=True, help="Only verify the file; touch nothing.")
@click.option("--send-waiting", is_flag=True, help="Let mail go that waited when the backup was made: it never left.")
def restore(file: Path, force: bool, check: bool, send_waiting: bool) -> None:
    """Bring a backup back, into a new instance.

    Name the new instance with COULANCE_HOME or coulance --home DIR restore FILE. The whole file is verified before
    anything is touched. Mail that waited is held back, as it may have left since the backup was made.
    """
    from coulance.platform import backup as backups
    from coulance.platform import instance, supervisor

    manifest = backups.check_backup(file)
    made = f"made {manifest.made_at[:16].replace('T', ' ')} UTC by Coulance {manifest.version}"
    if check:
        click.echo(f"{file} is whole: {made}, {sum(manifest.rows.values()):,} rows, {manifest.segments:,} segments.")
        return
    here = instance.current()
    here.prepare()
    with supervisor.sole_owner(here), working_database(migrated=False):
        backups.restore_backup(here=here, file=file, force=force)
        held, waits, rests = (0, 0, False) if send_waiting else _held_back(made)
    click.echo(f"Restored into {here.home}: {made}. Start it with: coulance up")
    if held:
        click.echo(
            f"{held:,} mails that waited are held back, since they may have left after the backup was made. "
            "Decide on each: coulance send status, coulance send resolve"
        )
    if waits:
        click.echo(
            f"{waits:,} e-invoices that waited for Peppol are held back, since they may have left after the backup was "
            "made. Ask your access point of each; send again: coulance einvoice send NUMBER"
        )
    if rests:
        click.echo(
            "Nothing is collected or charged by itself until you have looked at your bank's and your gateways' lists "
            "for what went after the backup was made, and clear the alarm: coulance alarms clear payments.restored"
        )
    from coulance.platform import secret_store

    kept = [name for name in manifest.secret_names if name not in secret_store.OWN]
    if manifest.has_secrets:
        click.echo(
            f"It brought the secrets as they were on {manifest.made_at[:10]}: set again what was replaced since"
            + (f" ({', '.join(kept)})" if kept else "")
            + ", and if others may have had the file: coulance secret rotate django-key"
        )
        return
    click.echo("It holds no secrets: everybody has to sign in again" + (", and to be set anew are:" if kept else "."))
    for name in kept:
        if name in secret_store.MADE:
            click.echo(f"  {name}: bring that file back, or second factors and secrets of webhooks can't be read")
        else:
            click.echo(f"  {name}: coulance secret set {name}")


def _held_back(made: str) -> tuple[int, int, bool]:
    from django.db import connections

    from coulance.invoicing.restored import hold_what_was_queued
    from coulance.notices.restored import hold_what_waits
    from coulance.payments.restored import rest_after_restore
    from coulance.platform import clock

    connections.close_all()  # they led to the database that was there before
    why = f"restored from a backup {made}: it waited then, and may have left since"
    at = clock.now()
    rests = rest_after_restore(why=f"Restored from a backup {made}", at=at)
    return hold_what_waits(why=why, at=at), hold_what_was_queued(why=why, at=at), rests
