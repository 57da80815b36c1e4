"""`coulance dossier` and `coulance hand-over`: what a claim rests on, for whoever has to judge or collect it."""

from pathlib import Path
from typing import Any

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

_debts = click.option("--debt", "debts", multiple=True, help="An invoice's number, repeatable. Default: all open.")
_language = click.option("--language", type=click.Choice(["en", "nl"]), help="Default: the customer's.")
_reason = click.option("--reason", required=True, help="Why it is made; kept in the audit log with its seal.")


@click.command()
@click.argument("account")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_debts
@_language
@_reason
def dossier(account: str, file: Path, debts: tuple[str, ...], language: str | None, reason: str) -> None:
    """Write the dossier of a claim on ACCOUNT to FILE.pdf, with all it rests on and a program to check it."""
    with working_database():
        from coulance.flows.dossier.making import make_dossier

        made = make_dossier(**_asked(account, debts, language, reason))
    _write(file, made.pdf)
    click.echo(f"{file}: {made.claim.total} on {len(made.claim.debts)} debts, {len(made.parts)} parts attached")
    click.echo(f"Seal {made.seal}")


@click.command("hand-over")
@click.argument("account")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--to", type=click.Choice(["collection", "mediation"]), default="collection", show_default=True)
@_debts
@_language
@_reason
def hand_over(account: str, file: Path, to: str, debts: tuple[str, ...], language: str | None, reason: str) -> None:
    """Write what a collector or mediator needs to FILE.zip: tables, e-invoices, the dossier. Sends nothing."""
    with working_database():
        from coulance.flows.dossier.handing_over import To, package

        made = package(to=To(to), **_asked(account, debts, language, reason))
    _write(file, made.content)
    click.echo(f"{file}: {made.dossier.claim.total} for {to}, {len(made.names)} files")
    click.echo(f"Seal {made.dossier.seal}")


def _asked(account: str, debts: tuple[str, ...], language: str | None, reason: str) -> dict[str, Any]:
    from coulance.platform import clock

    return {
        "account": account,
        "numbers": debts,
        "language": language or "",
        "actor": actor(),
        "reason": reason,
        "at": clock.now(),
    }


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    part = file.with_name(file.name + ".part")
    part.touch(mode=0o600)
    part.write_bytes(data)
    part.replace(file)
