"""`coulance operator`: the people who may sign in to the console."""

import getpass

import click

from coulance.cli.session import working_database
from coulance.platform.roles import Role


def actor() -> str:
    """How the audit log names whoever types commands here."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a user id without a name
        return "cli"


@click.group()
def operator() -> None:
    """Make and list the people who may sign in to the console."""


@operator.command()
@click.argument("name")
@click.option("--email", default="", help="Where mail for them goes.")
@click.option("--password", is_flag=True, help="Ask for a password; without one they sign in by link only.")
@click.option("--role", type=click.Choice([r.value for r in Role]), help="Default: admin for the first, then viewer.")
def create(name: str, email: str, password: bool, role: str | None) -> None:
    """Make an operator."""
    secret = click.prompt("Password", hide_input=True, confirmation_prompt=True) if password else None
    with working_database():
        from coulance.platform import clock, operators

        made = operators.make_operator(
            name=name,
            email=email,
            password=secret,
            at=clock.now(),
            actor=actor(),
            role=Role(role) if role else None,
        )
    click.echo(
        f"Made operator {made.name} ({made.role})."
        + ("" if secret else f" Let them in with: coulance operator link {name}")
    )


@operator.command("list")
def list_() -> None:
    """List the operators."""
    with working_database():
        from coulance.platform import operators

        people = operators.operators()
    if not people:
        click.echo("There are no operators yet; make one with: coulance operator create NAME")
    for person in people:
        way = "password" if person.has_password else "link only"
        way += " and second factor" if person.has_second_factor else ""
        seen = person.last_sign_in.strftime("%Y-%m-%d %H:%M UTC") if person.last_sign_in else "never"
        state = "" if person.active else "  (inactive)"
        click.echo(f"{person.name}  {person.role}  {person.email or '-'}  {way}  last signed in: {seen}{state}")


@operator.command()
@click.argument("name")
@click.argument("role", type=click.Choice([r.value for r in Role]))
@click.option("--reason", required=True, help="Why; kept in the audit log.")
def role(name: str, role: str, reason: str) -> None:
    """Say what an operator may do: viewer, support, billing, operations or admin."""
    with working_database():
        from coulance.platform import clock, operators

        operators.change_role(name=name, role=Role(role), actor=actor(), reason=reason, at=clock.now())
    click.echo(f"{name} is {role} from their next page on.")


@operator.command("require-mfa")
@click.option("--on", "choice", flag_value="on", default=True, help="Demand it of everybody (default).")
@click.option("--off", "choice", flag_value="off", help="Demand it of nobody.")
@click.option("--by-address", "choice", flag_value="auto", help="Demand it once others than this machine can get here.")
@click.option("--reason", required=True, help="Why; kept in the audit log.")
def require_mfa(choice: str, reason: str) -> None:
    """Say whether operators must have a second factor."""
    with working_database():
        from coulance.platform import clock, sign_in_policy

        wish = {"on": True, "off": False, "auto": None}[choice]
        policy = sign_in_policy.decide(second_factor=wish, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"A second factor is {'demanded of every operator' if policy.demanded else 'not demanded'}.")
    if policy.public and not policy.demanded:
        click.echo("Others can reach this console: a stolen password is enough to get in.")


@operator.command("reset-second-factor")
@click.argument("name")
@click.option("--reason", required=True, help="Why; kept in the audit log.")
def reset_second_factor(name: str, reason: str) -> None:
    """Take away an operator's second factor and recovery codes, when they lost theirs."""
    with working_database():
        from coulance.platform import clock, sign_in_policy

        had = sign_in_policy.take_second_factor(name=name, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"{name} {'has' if had else 'had'} no second factor{' any more' if had else ''}.")


@operator.command()
@click.argument("name")
@click.option("--minutes", default=30, show_default=True, type=click.IntRange(1, 24 * 60), help="How long it works.")
@click.option("--address", help="Where the console is. Default: COULANCE_URL, else the running server.")
def link(name: str, minutes: int, address: str | None) -> None:
    """Print a link that signs an operator in once."""
    from datetime import timedelta

    with working_database():
        from coulance.platform import clock, operators
        from coulance.platform.address import public

        secret = operators.make_link(name=name, at=clock.now(), actor=actor(), lasts=timedelta(minutes=minutes))
    click.echo(f"{(address or public()).rstrip('/')}/sign-in/{secret}")
