"""`coulance takeover`: leave another system: fetch what it holds, see what would come, take it over, reconcile."""

import csv
import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coulance.cli.operator import actor

if TYPE_CHECKING:
    from coulance.flows.take_over.applying import Outcome
    from coulance_core.taking_over import Reconciliation

_SHOWN = 200
_PAID_DAYS = 400
"""Paid invoices of the last twelve months tell what overage was paid; a month more, for those who fetch early."""
_source = click.argument("source", type=click.Path(path_type=Path))
_mapping = click.option(
    "--mapping", required=True, type=click.Path(path_type=Path), help="What is what: docs/take-over.md."
)
_json = click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")


@click.group()
def takeover() -> None:
    """Take over customers, balances and numbers from the system you leave."""


@takeover.command()
@click.argument("url")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pause", default=0.2, show_default=True, help="Seconds between two calls.")
def fetch(url: str, folder: Path, pause: float) -> None:
    """Fetch a WHMCS at URL into a new FOLDER, by calls that only read.

    Its credentials are the secrets whmcs-identifier and whmcs-secret (and whmcs-access-key, where it wants one).
    """
    from coulance.integrations.takeover.whmcs_api import UnableToFetchError, WhmcsApi
    from coulance.integrations.takeover.whmcs_api import fetch as fetch_all
    from coulance.platform import clock
    from coulance.platform.secret_store import secret

    identifier, key = secret("whmcs-identifier"), secret("whmcs-secret")
    if not identifier or not key:
        raise click.ClickException("say: coulance secret set whmcs-identifier, and: coulance secret set whmcs-secret")
    try:
        with WhmcsApi(
            url,
            identifier=identifier,
            secret=key,
            access_key=secret("whmcs-access-key") or "",
            pause=lambda: time.sleep(max(pause, 0.0)),
        ) as api:
            since = (clock.now() - timedelta(days=_PAID_DAYS)).date().isoformat()
            done = fetch_all(api, folder, paid_since=since)
    except UnableToFetchError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{done.files} answers in {folder}, by {done.calls} calls. Nothing was written there.")


@takeover.command()
@_source
@_mapping
@_json
def plan(source: Path, mapping: Path, as_json: bool) -> None:
    """Show what taking SOURCE over would do: everything is tried, and taken back."""
    outcome = _run(source, mapping, apply=False, reason="")
    _tell(outcome, as_json)
    if outcome.stopped:
        sys.exit(1)


@takeover.command()
@_source
@_mapping
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@_json
def apply(source: Path, mapping: Path, reason: str, as_json: bool) -> None:
    """Take SOURCE over, whole or not at all; again, it changes nothing."""
    outcome = _run(source, mapping, apply=True, reason=reason)
    _tell(outcome, as_json)
    if outcome.stopped:
        sys.exit(1)


@takeover.command()
@_source
@_mapping
@click.option("--csv", "to", type=click.Path(path_type=Path), help="Write the reconciliation to this file.")
@_json
def report(source: Path, mapping: Path, to: Path | None, as_json: bool) -> None:
    """Set what SOURCE says beside what was taken over: totals, counts, and each row that differs."""
    from coulance.cli.session import working_database

    with working_database():
        from coulance.flows.take_over.applying import compare
        from coulance.integrations.takeover.reading import read_source

        read = read_source(source, mapping)
        if read.book is None:
            _refuse([str(one) for one in read.findings])
        assert read.book is not None
        outcome = compare(book=read.book, findings=read.findings)
    assert outcome.reconciliation is not None
    if to is not None:
        with to.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows_of(outcome.reconciliation))
    _tell(outcome, as_json, reporting=True)
    if not outcome.reconciliation.agrees:
        sys.exit(1)


def _run(source: Path, mapping: Path, *, apply: bool, reason: str) -> "Outcome":
    from coulance.cli.session import working_database

    with working_database():
        from coulance.flows.take_over.applying import UnableToTakeOverError, take_over
        from coulance.integrations.takeover.reading import read_source
        from coulance.platform import clock

        read = read_source(source, mapping)
        if read.book is None:
            _refuse([str(one) for one in read.findings])
        assert read.book is not None
        try:
            return take_over(
                book=read.book, findings=read.findings, apply=apply, actor=actor(), reason=reason, at=clock.now()
            )
        except UnableToTakeOverError as error:
            return error.outcome


def _refuse(lines: list[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
    click.echo("Nothing can be taken over from this.", err=True)
    sys.exit(1)


def rows_of(done: "Reconciliation") -> list[list[str]]:
    """The reconciliation as rows of a CSV. No cell is one that a spreadsheet would compute."""
    from coulance_core.kernel import Money
    from coulance_core.taking_over import Figures

    rows = [["what", "name", "field", "currency", "before", "after", "difference", "where"]]
    for account, code in sorted({*done.before, *done.after}):
        was, now = (side.get((account, code), Figures()) for side in (done.before, done.after))
        for name in ("receivables", "credits", "prepaid"):
            left, right = Money(getattr(was, name), code), Money(getattr(now, name), code)
            if left.minor or right.minor:
                gap = (right - left).decimal()
                rows.append(["total", account, name, code, left.decimal(), right.decimal(), gap, ""])
    for code, (was, now) in done.totals().items():
        for name in ("receivables", "credits", "prepaid"):
            left, right = Money(getattr(was, name), code), Money(getattr(now, name), code)
            gap = (right - left).decimal()
            rows.append(["total", "(all)", name, code, left.decimal(), right.decimal(), gap, ""])
    for record, (there, here) in done.counts.items():
        rows.append(["count", record, "", "", str(there), str(here), str(here - there), ""])
    rows += [
        [f"difference: {one.record}", one.name, one.field, "", one.before, one.after, "", str(one.where)]
        for one in done.differences
    ]
    return [[_inert(cell) for cell in row] for row in rows]


def _inert(cell: str) -> str:
    """A cell that a spreadsheet shows and does not compute; amounts stay numbers."""
    number = cell.lstrip("-").replace(".", "", 1).isdigit()
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not number else cell


def _tell(outcome: "Outcome", as_json: bool, *, reporting: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(outcome)))
        return
    console = Console(highlight=False, soft_wrap=True)
    for stops, style in ((False, "yellow"), (True, "red")):
        found = [one for one in outcome.findings if one.stops is stops]
        for one in found[:_SHOWN]:
            console.print(Text(f"{one.where}  ", style="bold") + Text(one.code, style=style))
            console.print(Text(f"  {one.found}" + (f"; expected {one.expected}" if one.expected else "")))
        if len(found) > _SHOWN:
            console.print(f"... and {len(found) - _SHOWN} more: --json has them all")
    differences = outcome.differences
    if reporting and outcome.reconciliation is not None:
        differences = outcome.reconciliation.differences
    for difference in differences[:_SHOWN]:
        console.print(Text(str(difference), style="red"))
    _tables(console, outcome)
    unsound = sum(one.stops for one in outcome.findings) + len(outcome.differences)
    if reporting:
        console.print(f"{len(differences)} difference(s)." if differences else "All of it is here, to the cent.")
    elif unsound:
        console.print(f"{unsound} to mend, or to leave out with a reason; nothing is taken over.")
    elif outcome.applied:
        console.print("Taken over." if any(outcome.fresh.values()) else "Nothing to do: all of it is here.")
    elif any(outcome.fresh.values()):
        console.print("Nothing is written: this is what it would come to.")


def _tables(console: Console, outcome: "Outcome") -> None:
    counts = Table(box=None, pad_edge=False)
    for heading in ("", "new", "here before"):
        counts.add_column(heading, justify="left" if not heading else "right")
    for record, fresh in outcome.fresh.items():
        known = outcome.known.get(record, 0)
        if fresh or known:
            counts.add_row(record, str(fresh or "-"), str(known or "-"))
    console.print(counts)
    left: dict[str, int] = {}
    for row in outcome.book.left_out:
        left[row.why.value] = left.get(row.why.value, 0) + 1
        if row.reason:
            amount = f", {row.open} open" if row.open is not None else ""
            console.print(Text(f"left out: {row.what}{amount}: {row.reason}", style="dim"))
    if left:
        console.print("left out: " + ", ".join(f"{count} {why}" for why, count in sorted(left.items())))
    if outcome.reconciliation is None:
        return
    from coulance_core.kernel import Money

    totals = Table(box=None, pad_edge=False)
    for heading in ("", "before", "after", "difference"):
        totals.add_column(heading, justify="left" if not heading else "right")
    for code, (was, now) in outcome.reconciliation.totals().items():
        for name in ("receivables", "credits", "prepaid"):
            before, after = Money(getattr(was, name), code), Money(getattr(now, name), code)
            totals.add_row(f"{name} {code}", before.decimal(), after.decimal(), (after - before).decimal())
    console.print(totals)


def _as_json(outcome: "Outcome") -> dict[str, object]:
    done = outcome.reconciliation
    return {
        "applied": outcome.applied,
        "findings": [
            {"code": one.code, "where": str(one.where), "found": one.found, "expected": one.expected,
             "stops": one.stops} for one in outcome.findings
        ],
        "differences": [str(one) for one in (outcome.differences or (done.differences if done else ()))],
        "new": outcome.fresh,
        "known": outcome.known,
        "left_out": [
            {"what": row.what, "why": row.why.value, "reason": row.reason, "where": str(row.where)}
            for row in outcome.book.left_out
        ],
        "reconciliation": [] if done is None else rows_of(done),
    }  # fmt: skip
