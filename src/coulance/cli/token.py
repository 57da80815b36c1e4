"""`coulance token`: keys to the API."""

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.group()
def token() -> None:
    """Make, list and revoke keys to the API."""


@token.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, help="What it may do, such as usage:write; repeatable."
)
@click.option("--days", type=click.IntRange(1), help="How long it works; without it until revoked.")
@click.option("--quiet", "-q", is_flag=True, help="Print the token only, for scripts.")
def create(name: str, scopes: tuple[str, ...], days: int | None, quiet: bool) -> None:
    """Make a token for NAME (who holds it). It is shown this once."""
    from datetime import timedelta

    with working_database():
        from coulance.platform import clock, tokens

        at = clock.now()
        ends = at + timedelta(days=days) if days else None
        text, made = tokens.make_token(name=name, scopes=scopes, at=at, actor=actor(), expires_at=ends)
    if quiet:
        click.echo(text)
        return
    click.echo(
        f"Token {made.prefix} for {made.name}: {', '.join(made.scopes)}" + (f", until {ends:%F}" if ends else "")
    )
    click.echo(f"\n    {text}\n\nKeep it now: it can't be shown again. Send it as: Authorization: Bearer {text[:6]}...")


@token.command("list")
def list_() -> None:
    """List the tokens, the newest first."""
    with working_database():
        from coulance.platform import clock, tokens

        at, known = clock.now(), tokens.tokens()
    if not known:
        click.echo("There are no tokens yet; make one with: coulance token create NAME --scope usage:write")
    for each in known:
        used = f"{each.last_used_at:%F %H:%M} UTC" if each.last_used_at else "never"
        click.echo(f"{each.prefix}  {each.state(at):<8} {each.name}  {' '.join(each.scopes)}  last used: {used}")


@token.command()
@click.argument("prefix")
@click.option("--reason", default="", help="Why, for the audit log.")
def revoke(prefix: str, reason: str) -> None:
    """Revoke the token with this PREFIX at once."""
    with working_database():
        from coulance.platform import clock, tokens

        gone = tokens.revoke_token(prefix=prefix, at=clock.now(), actor=actor(), reason=reason)
    click.echo(f"Token {gone.prefix} ({gone.name}) no longer works.")
