"""`coulance ledger`: audit the books, show balances, and write the journal for accounting tools."""

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from coulance.cli.session import working_database


@click.group()
def ledger() -> None:
    """Check the books, show balances, export the journal."""


@ledger.command()
@click.option(
    "--at-most", default=20, show_default=True, type=click.IntRange(1), help="Faults to print before stopping."
)
def check(at_most: int) -> None:
    """Recompute every hash, sum, seal and number; say what is wrong, or that nothing is."""
    found = 0
    with working_database():
        from coulance.invoicing.check import check_documents
        from coulance.ledger.check import check_ledger
        from coulance.ledger.queries import size

        faults: list[Iterable[object]] = [check_ledger(), check_documents()]
        for source in faults:
            for fault in source:
                found += 1
                if found <= at_most:
                    click.echo(str(fault))
        counted = size()
    if found > at_most:
        click.echo(f"... and {found - at_most} more")
    if found:
        raise click.ClickException(f"{found} fault(s) in the books; compare with a backup before anything else")
    click.echo(
        f"The books are sound: {counted.entries} entries of {counted.parties} accounts, "
        f"{counted.sealed_days} days sealed, every issued document numbered and booked."
    )


@ledger.command()
@click.argument("account", required=False)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Count entries before this day only (trial balance).")
def balance(account: str | None, until: datetime | None) -> None:
    """Show what ACCOUNT (a customer's external id) owes; without one, the trial balance."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.ledger import queries

        if account is None:
            for row in queries.trial_balance(until=until.date() if until else None):
                click.echo(f"{row.account:<32} {row.balance.decimal():>16} {row.balance.currency}")
            return
        owed = queries.balance(account=customers.account(account).id)
        if not owed:
            click.echo(f"{account} has no entries.")
        for money in owed.values():
            click.echo(f"{account} owes {money}" if money.minor >= 0 else f"{account} is owed {-money}")


@ledger.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["beancount", "hledger", "datev", "datev-debtors", "xaf"]),
    required=True,
    help="Whose format to write.",
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; without it, standard output."
)
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="DATEV, XAF: the first day.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="DATEV, XAF: the last day.")
@click.option("--currency", default="", help="DATEV, XAF: which currency's books; default: the provider's.")
@click.option("--consultant", default=1001, show_default=True, help="DATEV: the tax adviser's number.")
@click.option("--client", default=1, show_default=True, help="DATEV: your number with them.")
@click.option("--account-length", default=4, show_default=True, help="DATEV: digits of account numbers.")
@click.option("--year-starts", default=1, show_default=True, help="DATEV: the month a fiscal year begins in.")
@click.option("--account", "accounts", multiple=True, help="DATEV: revenue:base=8400; without it SKR03's are used.")
def export(
    form: str,
    output: Path | None,
    first: datetime | None,
    last: datetime | None,
    accounts: tuple[str, ...],
    currency: str,
    **terms: int,
) -> None:
    """Write the journal: whole for beancount and hledger, some days of it for DATEV and the Dutch auditfile (XAF)."""
    if form not in ("beancount", "hledger"):
        if first is None or last is None:
            raise click.UsageError(f"{form} wants --from and --to")
        pieces = _for_accountants(form, first.date(), last.date(), currency, accounts, terms)
        if output is None:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            return
        part = output.with_name(output.name + ".part")
        try:
            with part.open("wb") as whole:
                whole.writelines(pieces)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        part.replace(output)
        click.echo(f"Wrote {output}", err=True)
        return
    with working_database():
        from coulance.ledger.exports import ExportFormat, export
        from coulance.ledger.queries import journal

        lines = export(journal(), to=ExportFormat(form))
        if output is None:
            sys.stdout.writelines(f"{line}\n" for line in lines)
            return
        # Written beside and moved into place: an export that stops half-way leaves the last one alone.
        part = output.with_name(output.name + ".part")
        with part.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        part.replace(output)
    click.echo(f"Wrote {output}", err=True)


def _for_accountants(
    form: str, first: date, last: date, currency: str, accounts: tuple[str, ...], terms: dict[str, int]
) -> Iterator[bytes]:
    with working_database():
        from coulance.flows.exports import datev, xaf
        from coulance.flows.exports.books import UnableToExportError, books
        from coulance.platform import clock

        mine = dict(datev.SKR03)
        for text in accounts:
            code, found, number = text.partition("=")
            if not found:
                raise UnableToExportError(f"--account wants CODE=NUMBER such as revenue:base=8400, not {text!r}")
            mine[code] = number
        given = books(start=first, end=last, code=currency.upper())
        if given.others:
            click.echo(f"left out: {given.others} entries in other currencies than {given.currency}", err=True)
        now = clock.now()
        if form == "xaf":
            for piece in xaf.xaf(given, created_on=now.date()):
                yield piece.encode()
            return
        set_by = datev.DatevTerms(accounts=mine, **terms)
        write = datev.buchungsstapel if form == "datev" else datev.debitoren
        yield from write(given, set_by, created_at=now)


@ledger.command()
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last UTC day to seal; default: yesterday.")
def seal(until: datetime | None) -> None:
    """Seal the days that are over: nothing more is recorded in them. Prints each day's seal, to publish or keep."""
    with working_database():
        from coulance.ledger.operations import seal_until
        from coulance.platform import clock

        now = clock.now()
        last: date = until.date() if until else now.astimezone(UTC).date() - timedelta(days=1)
        sealed = seal_until(day=last, at=now)
        for made in sealed:
            click.echo(f"{made.day.isoformat()}  {made.entries} entries  {made.seal.hex()}")
    if not sealed:
        click.echo(f"No day up to {last.isoformat()} is left to seal.")
