"""`coulance close`: settle a month and bill it."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from coulance.cli.operator import actor

if TYPE_CHECKING:
    from coulance.flows.closing.close_period import CloseReport
    from coulance.flows.closing.close_period import Progress as Tell
    from coulance_core.invoicing import NationalRate


@contextmanager
def progress_bar(console: Console, what: str) -> Iterator["Tell"]:
    """A bar of accounts done, on a terminal; silent elsewhere."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("accounts"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell


def show_report(console: Console, report: "CloseReport") -> None:
    """A report as a table, with what was parked and why."""
    from coulance.customers import queries as customers
    from coulance.flows.closing.report import rows

    what = "would be closed (nothing is written)" if report.dry_run else "is closed"
    console.print(Text(f"{report.period} {what}", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows(report):
        table.add_row(Text(name, style="dim"), Text(value))
    console.print(table)
    names = {row.id: row.external_id for row in customers.accounts([p.account for p in report.parked])}
    for parked in report.parked[:20]:
        console.print(
            Text(f"parked {names.get(parked.account, parked.account)}: ", style="yellow") + Text(parked.reason)
        )
        console.print(Text(f"    {parked.detail}", style="dim"))
    if len(report.parked) > 20:
        console.print(f"... and {len(report.parked) - 20} more: see the console's page of the run")
    if report.parked and not report.dry_run:
        console.print("Mend what parked them and run the same command again: it bills just those.")


def _month(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{4})-(\d{2})", text)
    if not found or not (1 <= int(found[2]) <= 12 and 2000 <= int(found[1]) <= 2199):
        raise click.BadParameter(f"expected a month such as 2026-10, not {text!r}", param_hint="PERIOD")
    return int(found[1]), int(found[2])


def _instant(text: str | None) -> datetime:
    from coulance.platform import clock

    if text is None:
        return clock.now()
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"expected an instant such as 2026-11-04T06:00+01:00, not {text!r}", param_hint="--at"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _rates(texts: tuple[str, ...], at: datetime) -> dict[str, "NationalRate"]:
    from coulance_core.invoicing import NationalRate

    rates: dict[str, NationalRate] = {}
    for text in texts:
        found = re.fullmatch(r"([A-Z]{3})=(\d+(?:\.\d+)?)(?:@(.+))?", text)
        if not found or not Fraction(found[2]):
            raise click.BadParameter(f"expected CUR=RATE or CUR=RATE@SOURCE, not {text!r}", param_hint="--rate")
        rates[found[1]] = NationalRate(found[1], Fraction(found[2]), at.date(), found[3] or "")
    return rates


@click.command()
@click.argument("period")
@click.option("--dry-run", is_flag=True, help="Show what would be billed, to the cent, and write nothing.")
@click.option("--at", "at_text", help="Close as of this instant instead of now (ISO, UTC without an offset).")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that compute.")
@click.option("--rate", "rates", multiple=True, help="Exchange rate for tax in another currency: PLN=4.31@NBP.")
@click.option("--no-retry", is_flag=True, help="Leave parked accounts parked.")
def close(
    period: str, dry_run: bool, at_text: str | None, workers: int, rates: tuple[str, ...], no_retry: bool
) -> None:
    """Settle a month (2026-10) and bill it: overage in arrears, base fees for the next. Ends 1 if any was parked."""
    year, month = _month(period)
    at = _instant(at_text)
    if not dry_run and at > _instant(None):
        raise click.BadParameter(f"{at.isoformat()} is yet to come: only a --dry-run can look ahead", param_hint="--at")
    from coulance.cli.session import working_database

    console = Console(highlight=False, soft_wrap=True)
    with working_database():
        from coulance.flows.closing.close_period import close_period

        national = _rates(rates, at)
        with progress_bar(Console(stderr=True), f"Closing {period}") as tell:
            report = close_period(
                year=year,
                month=month,
                at=at,
                actor=actor(),
                dry_run=dry_run,
                workers=workers,
                national=national,
                retry_parked=not no_retry,
                progress=tell,
            )
        show_report(console, report)
    if report.parked:
        sys.exit(1)
