"""`coulance account` and `coulance open-items`: where customers stand, as a statement and by age."""

import csv
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance_core.payments import Ages

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def account() -> None:
    """Statements of account; contacts who lost their password or telephone."""


@account.command("forget-keys")
@click.argument("external_id")
@click.argument("contact")
@click.option("--reason", required=True, help="How you know that it is them. It stays on record.")
def forget_keys(external_id: str, contact: str, reason: str) -> None:
    """Take away a contact's password and second factor: a mailed link lets them in again."""
    with working_database():
        from coulance.cli.operator import actor
        from coulance.customers import contact_keys, queries
        from coulance.platform import clock

        number = queries.account(external_id).id
        if not contact_keys.forget(account=number, contact=contact, actor=actor(), reason=reason, at=clock.now()):
            raise click.ClickException(f"{contact} of {external_id} has neither a password nor a second factor")
    click.echo(f"{contact} of {external_id} comes in by a mailed link again")


@account.command()
@click.argument("external_id")
@click.option("--from", "since", type=_DAY, help="Its first day; default: the first of January.")
@click.option("--to", "until", type=_DAY, help="Its last day; default: today.")
@click.option("--currency", help="Default: the account's.")
@click.option("--pdf", type=click.Path(dir_okay=False, path_type=Path), help="Write it as PDF instead.")
@click.option("--language", type=click.Choice(["en", "nl"]), help="Of the PDF; default: the account's.")
def statement(
    external_id: str,
    since: datetime | None,
    until: datetime | None,
    currency: str | None,
    pdf: Path | None,
    language: str | None,
) -> None:
    """Show what an account was billed, paid and owes, each with the balance after it."""
    with working_database():
        from coulance.catalog import queries as catalog
        from coulance.customers import queries as customers
        from coulance.payments.documents.view import view
        from coulance.payments.pdf import render_statement
        from coulance.payments.statements import account_statement
        from coulance.platform import clock

        provider = catalog.catalog().provider
        row = customers.account(external_id)
        today = clock.now().astimezone(provider.zone_info).date()
        last = until.date() if until else today
        first = since.date() if since else date(last.year, 1, 1)
        if first > last:
            raise click.BadParameter(f"{first} is after {last}", param_hint="--from")
        found = account_statement(
            account=row.id, currency=currency or row.currency, start=first, end=last + timedelta(days=1)
        )
        shown = view(found, seller=provider, buyer=row, language=language or "en")
        printed = render_statement(found, seller=provider, buyer=row, language=language or "") if pdf else b""
    if pdf:
        part = pdf.with_name(pdf.name + ".part")
        part.write_bytes(printed)
        part.replace(pdf)
        click.echo(f"Wrote {pdf}")
        return
    click.echo(f"{shown['opening'][0]:<62}{shown['opening'][1]:>28}")
    for line in shown["rows"]:
        if line["memo"]:
            click.echo(f"    {line['said']}")
        else:
            click.echo(f"{line['on']:<18} {line['said'][:42]:<42} {line['amount']:>13} {line['balance']:>14}")
    click.echo(f"{shown['closing'][0]:<62}{shown['closing'][1]:>28}")
    for note in (shown["unallocated"], shown["prepaid"]):
        if note:
            click.echo(note)


@click.command("open-items")
@click.option("--on", type=_DAY, help="As of the end of this day; default: today.")
@click.option("--csv", "as_csv", is_flag=True, help="One line an item, for a spreadsheet.")
def open_items(on: datetime | None, as_csv: bool) -> None:
    """Show what customers owe by age: not late, 1-30, 31-60, 61-90 and over 90 days, by currency."""
    with working_database():
        from coulance.catalog import queries as catalog
        from coulance.payments import statements
        from coulance.platform import clock

        today = clock.now().astimezone(catalog.catalog().provider.zone_info).date()
        day = on.date() if on else today
        aged = statements.aged_accounts(on=day)
        sums = statements.totals(aged)
    if as_csv:
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow(["account", "name", "number", "kind", "issued_on", "due_on", "days_late", "currency", "open"])
        for one in aged:
            for item in one.items:
                late = max(item.days_late(day), 0) if item.open.minor > 0 else ""
                days = (item.issued_on.isoformat(), item.due_on.isoformat())
                money = (item.open.currency, item.open.decimal())
                # A spreadsheet takes a text that begins so for a formula.
                name = f"'{one.name}" if one.name[:1] in "=+-@\t\r" else one.name
                out.writerow([one.external_id, name, item.number, item.kind.value, *days, late, *money])
            if one.ages.unallocated.minor:
                code, minor = one.ages.currency, (-one.ages.unallocated).decimal()
                out.writerow([one.external_id, one.name, "", "unallocated", "", "", "", code, minor])
        return
    heads = ("not late", "1-30", "31-60", "61-90", "over 90", "disputed", "credit", "on hand", "due")
    for code, total in sums.items():
        click.echo(f"{code} on {day}" + " " * 6 + "".join(f"{head:>13}" for head in heads))
        for one in aged:
            if one.ages.currency == code:
                click.echo(f"{one.external_id[:20]:<20}" + _columns(one.ages))
        click.echo(f"{'all':<20}" + _columns(total))
    if not sums:
        click.echo("Nothing is open.")


def _columns(found: "Ages") -> str:
    amounts = (
        found.not_late,
        found.to_30,
        found.to_60,
        found.to_90,
        found.older,
        found.disputed,
        -found.credit,
        -found.unallocated,
        found.due,
    )
    return "".join(f"{amount.decimal():>13}" for amount in amounts)
