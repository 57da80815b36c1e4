"""`coulance secret`: what the instance must know and nobody else."""

import sys
from datetime import UTC, datetime

import click

from coulance.cli.operator import actor
from coulance.cli.session import set_django_up, working_database


@click.group()
def secret() -> None:
    """Keep, list, remove and rotate secrets: mail, gateways, keys."""


@secret.command("set")
@click.argument("name")
@click.option("--reason", default="", help="Why, for the audit log.")
def set_(name: str, reason: str) -> None:
    """Keep a secret under NAME. Its value is asked for or read from a pipe: others can see arguments."""
    if sys.stdin.isatty():
        value = str(click.prompt(f"Value of {name}", hide_input=True))
    else:
        value = sys.stdin.read()
    with working_database() as here:
        from coulance.platform import clock, secret_store

        secret_store.set_secret(name=name, value=value, actor=actor(), at=clock.now(), reason=reason, here=here)
    click.echo(f"Kept {name}.")
    import os

    if os.environ.get(secret_store.variable(name)):
        click.echo(f"{secret_store.variable(name)} is set too, and goes before it.")


@secret.command("list")
def list_() -> None:
    """List the names of the secrets, never their values."""
    import os

    set_django_up()
    from coulance.platform import instance, secret_store

    here = instance.current()
    known = secret_store.names(here=here)
    for name in known:
        changed = datetime.fromtimestamp((here.secrets_dir / name).stat().st_mtime, UTC)
        over = "  (the environment's goes before it)" if os.environ.get(secret_store.variable(name)) else ""
        click.echo(f"{name}  set {changed:%F %H:%M} UTC{over}")
    if not known:
        click.echo("None is set; set one with: coulance secret set NAME")


@secret.command()
@click.argument("name")
@click.option("--reason", default="", help="Why, for the audit log.")
def remove(name: str, reason: str) -> None:
    """Forget the secret NAME."""
    with working_database() as here:
        from coulance.platform import clock, secret_store

        secret_store.remove_secret(name=name, actor=actor(), at=clock.now(), reason=reason, here=here)
    click.echo(f"Removed {name}.")


@secret.command()
@click.argument("name", type=click.Choice(["django-key", "database-password"]))
@click.option("--reason", default="", help="Why, for the audit log.")
def rotate(name: str, reason: str) -> None:
    """Replace a secret that the instance made itself, while it runs.

    django-key signs sessions and links; those there are stay good. database-password is the embedded server's.
    Others are replaced where they come from, and then with: coulance secret set NAME.
    """
    with working_database() as here:
        from coulance.platform import clock, rotation, supervisor

        replace = rotation.rotate_django_key if name == "django-key" else rotation.rotate_database_password
        replace(here=here, actor=actor(), at=clock.now(), reason=reason)
        running = supervisor.state(here)
    click.echo(f"Replaced {name}.")
    if running is not None:
        supervisor.ask_to_reload(here)
        click.echo("Asked the running Coulance to start its parts anew, without dropping a request.")
