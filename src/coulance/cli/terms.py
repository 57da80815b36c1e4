"""`coulance terms`: the general terms by version and language, and which customer agreed to which."""

from pathlib import Path
from typing import Any

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def terms() -> None:
    """Keep the general terms by version, and who agreed to which, chained; what the portal shows."""


@terms.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--version", required=True, help="Its name, such as 2026-01. A text that changed is another version.")
@click.option("--language", required=True, help="Of this file, such as nl. Add a file a language.")
@click.option("--from", "valid_from", type=_DAY, required=True, help="From which day on they are in force.")
@click.option("--title", default="General terms", show_default=True, help="As the portal calls them.")
def add(file: Path, version: str, language: str, valid_from: Any, title: str) -> None:
    """Keep FILE, a plain text or Markdown in UTF-8, as the general terms of a version in a language."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise click.ClickException(
            f"{file} is no text in UTF-8 (byte {fault.start}): save it as text; a PDF has to be made one first"
        ) from fault
    with working_database():
        from coulance.customers import terms as kept
        from coulance.platform import clock

        try:
            made = kept.add_terms(
                version=version, language=language, title=title, text=text, valid_from=valid_from.date(),
                actor=actor(), at=clock.now(),
            )  # fmt: skip
        except kept.UnableToKeepTermsError as fault:
            raise click.ClickException(str(fault)) from fault
    click.echo(f"{made.title} {made.version} ({made.language}) from {made.valid_from}, SHA-256 {made.sha256}")


@terms.command("list")
def list_() -> None:
    """Show every version in every language, the newest first."""
    with working_database():
        from coulance.customers import terms as kept

        found = kept.all_terms()
    for one in found:
        click.echo(f"{one.version}  {one.language}  from {one.valid_from}  {one.title}  {one.sha256}")
    if not found:
        click.echo("None are kept. Add them with: coulance terms add FILE --version ... --language ... --from ...")


@terms.command()
@click.argument("version")
@click.option("--language", default="", help="In this language, where it is there.")
def show(version: str, language: str) -> None:
    """Print a version word for word."""
    with working_database():
        from coulance.customers import terms as kept

        try:
            click.echo(kept.terms(version=version, language=language).text, nl=False)
        except kept.UnableToKeepTermsError as fault:
            raise click.ClickException(str(fault)) from fault


@terms.command()
@click.argument("account")
@click.argument("version")
@click.option("--language", required=True, help="In which language they read them.")
@click.option("--contact", required=True, help="Who agreed, by external id or name.")
@click.option("--how", type=click.Choice(["order", "paper", "taken_over"]), required=True, help="How they said so.")
@click.option("--on", type=_DAY, required=True, help="The day on which they agreed.")
@click.option("--reason", required=True, help="How you know: where the paper or the order is.")
def accept(account: str, version: str, language: str, contact: str, how: Any, on: Any, reason: str) -> None:
    """Write down that ACCOUNT agreed to VERSION: on paper, with an order, or in the system before this one."""
    with working_database():
        from zoneinfo import ZoneInfo

        from coulance.customers import queries
        from coulance.customers import terms as kept
        from coulance.platform import clock

        now = clock.now()
        row = queries.account(account)
        try:
            made = kept.accept_terms(
                account=row.id, version=version, language=language, contact=contact, how=how, actor=actor(),
                at=on.replace(tzinfo=ZoneInfo(row.zone)), recorded_at=now, said=reason,
            )  # fmt: skip
        except kept.UnableToKeepTermsError as fault:
            raise click.ClickException(str(fault)) from fault
    click.echo(f"{account} agreed to {made.version} ({made.language}) on {made.on}: link {made.seq}, {made.hash}")


@terms.command("of")
@click.argument("account")
def of_(account: str) -> None:
    """Show what ACCOUNT agreed to, and when."""
    with working_database():
        from coulance.customers import queries
        from coulance.customers import terms as kept

        found = kept.accepted(account=queries.account(account).id)
    for one in found:
        click.echo(f"{one.seq}  {one.version} ({one.language})  {one.on}  {one.how} by {one.by}  {one.hash}")
    if not found:
        click.echo("Nothing is written down.")
