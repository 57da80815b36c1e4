"""`coulance bank`: statements in, payments matched, and the queue of those that nobody was sure of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coulance.cli.operator import actor
from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance.flows.bank_import import ImportReport
    from coulance.flows.rails.bank_answers import ReportDone
    from coulance.payments.bank import EntryRow

_OUTCOMES = {
    "booked": "booked",
    "reversed": "came back",
    "ignored": "set aside",
    "queued": "for the queue",
}


@click.group()
def bank() -> None:
    """Import bank statements, and decide on the payments that nobody was sure of."""


@bank.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--apply", "apply_", is_flag=True, help="Write it. Without this it is only shown.")
@click.option("--encoding", default="", help="How MT940 files are encoded, when the guess is wrong: cp1252, cp850.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def import_(files: tuple[Path, ...], apply_: bool, encoding: str, as_json: bool) -> None:
    """Import MT940, camt.053 and camt.054 files: shows what would be booked, books it with --apply.

    A pain.002, in which the bank answers to a file of yours, is read too. Files may be given twice and statements may
    overlap: an entry is booked once, an answer read once.
    """
    from coulance.integrations.bank.errors import UnableToReadBankFileError
    from coulance.integrations.bank.reading import read_bank_file
    from coulance.integrations.bank.status_report import is_status_report_file, read_status_report

    read = []
    answers = []
    faults: list[str] = []
    for path in files:
        try:
            if is_status_report_file(path):
                answers.append((path.name, *read_status_report(path)))
            else:
                read.append((path.name, read_bank_file(path, encoding=encoding)))
        except UnableToReadBankFileError as fault:
            faults.append(str(fault))
    if faults:
        if as_json:
            click.echo(json.dumps({"applied": False, "faults": faults}))
        else:
            for fault_ in faults:
                click.echo(fault_, err=True)
        raise click.ClickException(f"{len(faults)} of {len(files)} file(s) can't be read; nothing is imported")
    with working_database():
        from coulance.flows.bank_import import GivenFile, import_statements
        from coulance.flows.rails.bank_answers import GivenReport, read_reports
        from coulance.platform import clock

        given = [GivenFile(name, statements) for name, statements in read]
        now = clock.now()
        reports = [GivenReport(name, content, one) for name, one, content in answers]
        told = read_reports(files=reports, apply=apply_, actor=actor(), at=now)
        report = import_statements(files=given, apply=apply_, actor=actor(), at=now) if given or not told else None
    if as_json:
        click.echo(json.dumps(_as_json(report, apply_, told)))
        return
    _show_answers(told, apply_)
    if report is not None:
        _show(report, apply_)


def _show_answers(told: "list[ReportDone]", applied: bool) -> None:
    for one in told:
        click.echo(f"{one.name}: {one.message} answers to {one.of}" + (", read before" if one.again else ""))
        for each in one.told:
            click.echo(
                f"  {each.end_to_end_id}  {each.who}  {each.amount}  {each.status}  {each.outcome}  {each.why}".rstrip()
            )
        for note in one.notes:
            click.echo(f"  note: {note}")
    if told and not applied:
        click.echo("Nothing is done yet; to do it, add --apply.")


def _answer_json(one: "ReportDone") -> dict[str, Any]:
    return {
        "file": one.name,
        "message": one.message,
        "answers_to": one.of,
        "again": one.again,
        "payments": [
            {
                "end_to_end_id": each.end_to_end_id,
                "account": each.who,
                "amount": each.amount,
                "status": each.status,
                "outcome": each.outcome,
                "why": each.why,
            }
            for each in one.told
        ],
        "notes": one.notes,
    }


def _as_json(report: "ImportReport | None", applied: bool, told: "list[ReportDone]") -> dict[str, Any]:
    answers = {"answers": [_answer_json(one) for one in told]} if told else {}
    if report is None:
        return {"applied": applied, "faults": [], **answers}
    return {
        **answers,
        "applied": applied,
        "faults": [],
        "statements": [
            {
                "account": one.account,
                "number": one.number,
                "new_entries": one.fresh,
                "known_entries": one.known,
                "again": one.again,
            }
            for one in report.stored
        ],
        "entries": [
            {
                "entry": one.entry if applied else None,
                "outcome": one.outcome,
                "rule": one.rule,
                "amount": one.amount.decimal(),
                "currency": one.amount.currency,
                "booked_on": one.booked_on.isoformat(),
                "account": one.who,
                "what": one.what,
                "flags": list(one.flags),
            }
            for one in report.judged
        ],
        "notes": report.notes,
        "queue": report.waiting,
    }


def _show(report: "ImportReport", applied: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for stored in report.stored:
        state = "is there already" if stored.again else f"{stored.fresh} new, {stored.known} known"
        console.print(Text(f"{stored.account}  statement {stored.number or '-'}: {state}"))
    table = Table(box=None, pad_edge=False)
    for heading in ("day", "amount", "", "account", "for", "by", ""):
        table.add_column(heading, justify="right" if heading == "amount" else "left")
    for one in report.judged[:200]:
        flags = ", ".join(one.flags).replace("_", " ")
        table.add_row(
            one.booked_on.isoformat(),
            str(one.amount),
            _OUTCOMES[one.outcome],
            Text(one.who),
            Text(one.what[:60]),
            one.rule.replace("_", " "),
            Text(flags, style="yellow"),
        )
    if report.judged:
        console.print(table)
    if len(report.judged) > 200:
        console.print(f"... and {len(report.judged) - 200} more")
    for note in report.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    counts = ", ".join(f"{report.count(key)} {name}" for key, name in _OUTCOMES.items() if report.count(key))
    if not applied:
        console.print(f"{counts or 'Nothing new'}. Nothing is written yet; to write it, add --apply.")
    else:
        console.print(f"{counts or 'Nothing new'}.")
        if report.waiting:
            console.print(f"{report.waiting} in the queue: coulance bank queue")


@bank.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def queue(limit: int, as_json: bool) -> None:
    """Show the entries that wait for a person, the oldest first, with suggestions."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.payments import bank as room

        rows = room.entries(states=("suggested",), limit=limit)
        total = room.count(states=("suggested",))
        waiting = room.count(states=("new",))
        wanted = {one["account"] for row in rows for one in row.match.get("suggestions", ())}
        names = {found.id: found.external_id for found in customers.accounts(wanted)}
    if as_json:
        click.echo(json.dumps([_entry_json(row, names) for row in rows]))
        return
    console = Console(highlight=False, soft_wrap=True)
    for row in rows:
        entry = row.entry
        console.print(Text(f"{row.id}  {entry.booked_on}  {entry.amount}", style="bold"))
        for text in (f"{entry.counterparty_name} {entry.counterparty_iban}".strip(), entry.remittance, row.reason):
            if text:
                console.print(Text(f"    {text[:160]}"))
        for one in row.match.get("suggestions", ()):
            what = ", ".join(one["numbers"]) or "the account, nothing named"
            reasons = "; ".join(one["reasons"])
            console.print(
                Text(f"    {one['score']:>3}  {names.get(one['account'], one['account'])}: {what} ({reasons})", "green")
            )
    if not rows:
        console.print("The queue is empty.")
    elif total > len(rows):
        console.print(f"... and {total - len(rows)} more")
    if rows:
        console.print(
            "To decide: coulance bank assign ENTRY ACCOUNT|NUMBER --reason ..., or coulance bank ignore ENTRY"
        )
    if waiting:
        console.print(f"{waiting} payments of notifications wait for the statement with their batch.")


def _entry_json(row: "EntryRow", names: Mapping[int, str]) -> dict[str, Any]:
    entry = row.entry
    return {
        "entry": row.id,
        "bank_account": row.bank_account,
        "statement": row.statement,
        "booked_on": entry.booked_on.isoformat(),
        "amount": entry.amount.decimal(),
        "currency": entry.amount.currency,
        "counterparty": entry.counterparty_name,
        "iban": entry.counterparty_iban,
        "text": entry.remittance,
        "reason": row.reason,
        "suggestions": [
            {
                "account": names.get(one["account"], ""),
                "numbers": one["numbers"],
                "score": one["score"],
                "reasons": one["reasons"],
            }
            for one in row.match.get("suggestions", ())
        ],
    }


@bank.command()
@click.argument("entry", type=int)
@click.argument("targets", nargs=-1)
@click.option("--return-of", "receipt", type=int, help="The receipt that came back, for money out.")
@click.option("--refund-back", "refund", type=int, help="The refund whose money is here again, for money in.")
@click.option("--collection", default="", help="The collection by direct debit that it credits: DD0000000012.")
@click.option("--another", is_flag=True, help="It is not the money of the collection that is under way: both come.")
@click.option("--reason", required=True, help="Why; it is kept with the entry and in the audit log.")
def assign(
    entry: int,
    targets: tuple[str, ...],
    receipt: int | None,
    refund: int | None,
    collection: str,
    another: bool,
    reason: str,
) -> None:
    """Book an entry for an ACCOUNT (its external id) or invoice NUMBERs: the account's debts, or those first."""
    if not targets and receipt is None and refund is None and not collection:
        raise click.UsageError("name an account, an invoice's number, --collection, --return-of or --refund-back")
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows import bank_queue
        from coulance.platform import clock

        account, numbers = "", list(targets)
        for target in targets:
            try:
                account = customers.account(target).external_id
            except customers.UnableToFindAccountError:
                continue
            numbers.remove(target)
        done = bank_queue.assign(
            entry=entry,
            account=account,
            numbers=numbers,
            receipt=receipt,
            refund=refund,
            collection=collection,
            another=another,
            actor=actor(),
            reason=reason,
            at=clock.now(),
        )
    click.echo(
        f"{done.amount} of {done.booked_on}: {_OUTCOMES[done.outcome]} {done.who} ({done.what})".replace("  ", " ")
    )


@bank.command()
@click.argument("entry", type=int)
@click.option("--reason", required=True, help="Why it is no customer's.")
def ignore(entry: int, reason: str) -> None:
    """Set an entry aside that is no customer's."""
    with working_database():
        from coulance.flows import bank_queue
        from coulance.platform import clock

        bank_queue.ignore(entry=entry, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"Bank entry {entry} is set aside.")


@bank.command()
@click.argument("entry", type=int)
@click.option("--reason", required=True, help="What was wrong with the decision.")
def reopen(entry: int, reason: str) -> None:
    """Take back what was decided on an entry: its receipt is undone, and it waits in the queue again."""
    with working_database():
        from coulance.flows import bank_queue
        from coulance.platform import clock

        bank_queue.reopen(entry=entry, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"Bank entry {entry} waits in the queue again.")


@bank.command()
def status() -> None:
    """Show each bank account by its statements, and whether the entries known explain the balances. Ends 1 if not."""
    with working_database():
        from coulance.payments import bank as room

        accounts = room.status()
    for one in accounts:
        if one.closing is None:
            click.echo(f"{one.iban}  no statement yet")
            continue
        missing = one.missing is not None and one.missing.minor != 0
        click.echo(
            f"{one.iban}  {one.statements} statements, {one.entries} entries, {one.first_on} to {one.last_on}, "
            f"closes with {one.closing}" + (f"; {one.missing} is not explained" if missing else "; all explained")
        )
    if not accounts:
        click.echo("No statement was imported yet.")
    if any(one.missing is not None and one.missing.minor for one in accounts):
        raise click.ClickException("a statement is missing, or two payments were taken for one")
