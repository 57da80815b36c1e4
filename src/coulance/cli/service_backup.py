"""`coulance service-backup`: backups of customers' services, which suspending and deleting wait for."""

import sys

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.group("service-backup")
def service_backup() -> None:
    """Back customers' services up, verify that, and look whether it is still there."""


@service_backup.command("make")
@click.argument("service")
def make(service: str) -> None:
    """Back SERVICE up now, and verify it. Ends 1 when it isn't sound."""
    with working_database():
        from coulance.flows.backing_up import back_up_service
        from coulance.platform import clock

        at = clock.now()
        key = f"by-hand/{service}/{at:%Y%m%dT%H%M%S}"
        made = back_up_service(service=service, key=key, by=actor(), now=clock.now)
    click.echo(f"Backup {made.backup} of {service}: {made.receipt.size:,} bytes, {made.receipt.ref}")
    _say(made.verified.sound, made.verified.how)


@service_backup.command("verify")
@click.argument("backup", type=int)
def verify(backup: int) -> None:
    """Verify a backup that was made before. Ends 1 when it isn't sound."""
    with working_database():
        from coulance.flows.backing_up import verify_service_backup
        from coulance.platform import clock

        found = verify_service_backup(backup=backup, by=actor(), now=clock.now)
    _say(found.sound, found.how)


@service_backup.command("look")
@click.argument("service", default="")
def look(service: str) -> None:
    """Look whether the backups of SERVICE, or of all, are still there. Ends 1 when one isn't, or nobody answers."""
    with working_database():
        from coulance.flows.backing_up import look_for_backups
        from coulance.platform import clock

        found = look_for_backups(service=service, by=actor(), now=clock.now)
    for one in found:
        said = one.trouble or ("there" if one.there else "GONE: recorded as lost")
        click.echo(f"{one.backup:>6}  {one.service}  {said}")
    if not found:
        click.echo("There are no backups to look for.")
    if any(not one.there for one in found):
        sys.exit(1)


@service_backup.command("list")
@click.argument("service", default="")
def list_(service: str) -> None:
    """Show the backups of SERVICE, or of all: when they were made, and whether they count."""
    with working_database():
        from coulance.arrears import queries

        rows = queries.backups([service] if service else None)
    for row in rows:
        state = "lost" if row.lost_at else f"verified {row.verified_at:%F}" if row.verified_at else "not verified"
        click.echo(
            f"{row.id:>6}  {row.service}  {row.made_at:%F %H:%M}  {row.how}  {state}  {row.verified_how}".rstrip()
        )


def _say(sound: bool, how: str) -> None:
    if sound:
        click.echo(f"Verified: {how}")
        return
    click.echo(f"NOT VERIFIED, it doesn't count: {how}", err=True)
    sys.exit(1)
