"""`coulance usage ...`, `coulance import usage`, `coulance collect`: samples in, and the care of the sample store."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance.integrations.files.blocks import Block

_OUTCOMES = ("accepted", "duplicate", "late", "corrected", "quarantined", "rejected_rows")
_SHOWN = 20


@click.group()
def usage() -> None:
    """Look after the samples: state, quarantine, sealing, proof that nothing is lost."""


def _zone(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001 - click's
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if value is not None:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as fault:
            raise click.BadParameter(f"there is no zone {value!r}; write it like Europe/Amsterdam") from fault
    return value


@click.command("usage")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "vnstat"]),
    help="What the files are. Default: by their ending (.csv, .parquet, .json is vnStat).",
)
@click.option("--zone", callback=_zone, help="The zone of times that name none, such as Europe/Amsterdam.")
@click.option("--series", help="The series key of all rows (CSV and Parquet), or what precedes the interface (vnStat).")
@click.option(
    "--column", "columns", multiple=True, metavar="OURS=THEIRS", help="Such as at=Time or out='bytes sent'; repeatable."
)
@click.option("--delimiter", default=",", show_default=True, help="What separates the fields of a CSV.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def import_usage(
    files: tuple[Path, ...],
    form: str | None,
    zone: str | None,
    series: str | None,
    columns: tuple[str, ...],
    delimiter: str,
    as_json: bool,
) -> None:
    """Import samples from CSV, Parquet or vnStat JSON. Repeat it, interrupt it: nothing counts twice."""
    names = {}
    for pair in columns:
        ours, sign, theirs = pair.partition("=")
        if not sign:
            raise click.BadParameter(f"{pair!r}: write it as OURS=THEIRS, such as at=Time", param_hint="--column")
        names[ours] = theirs
    failed = False
    told: list[dict[str, object]] = []
    with working_database():
        from coulance.integrations.files.blocks import UnableToReadFileError

        for path in files:
            try:
                one = _import_file(path, form, zone, series, names, delimiter)
            except UnableToReadFileError as fault:
                failed = True
                one = {"file": str(path), "error": str(fault)}
            failed = failed or bool(one.get("rejected_rows")) or bool(one.get("unreadable_rows"))
            told.append(one)
            if not as_json:
                _tell(one)
    if as_json:
        click.echo(json.dumps(told))
    if failed:
        raise click.exceptions.Exit(1)


def _blocks(
    path: Path, form: str | None, zone: str | None, series: str | None, names: dict[str, str], delimiter: str
) -> "Iterator[Block]":
    from zoneinfo import ZoneInfo

    from coulance.integrations.files.tables import TableOptions, read_csv, read_parquet
    from coulance.integrations.files.vnstat import read_vnstat
    from coulance.usage import queries

    kind = form or {".parquet": "parquet", ".json": "vnstat"}.get(path.suffix.lower(), "csv")
    where = ZoneInfo(zone) if zone else None
    if kind == "vnstat":
        if where is None:
            raise click.UsageError("vnStat writes times of its machine's zone: say which with --zone")
        return read_vnstat(
            path,
            zone=where,
            prefix=series or "",
            stored=lambda key, start, end: queries.stored_instants(key=key, after=start, until=end),
        )
    options = TableOptions(names=names, series=series, zone=where, delimiter=delimiter)
    return read_csv(path, options) if kind == "csv" else read_parquet(path, options)


def _import_file(
    path: Path, form: str | None, zone: str | None, series: str | None, names: dict[str, str], delimiter: str
) -> dict[str, object]:
    from coulance.platform import clock
    from coulance.usage import operations

    totals: Counter[str] = Counter()
    left: Counter[str] = Counter()
    faults: list[dict[str, str]] = []
    for block in _blocks(path, form, zone, series, names, delimiter):
        totals["rows"] += len(block.columns) + len(block.lost)
        totals["unreadable_rows"] += len(block.lost)
        left.update(block.left_out)
        faults += [{"place": lost.place, "reason": lost.reason} for lost in block.lost]
        if not len(block.columns):
            continue
        answer = operations.ingest_batch(columns=block.columns, source=f"file:{path.name}", recorded_at=clock.now())
        if answer.resent:
            totals["rows_seen_before"] += answer.rows
            totals["rejected_rows"] += answer.rejected_rows
        else:
            for name in _OUTCOMES:
                totals[name] += getattr(answer, name)
        faults += [
            {"place": block.place(fault.row), "reason": f"{fault.field}: {fault.reason}"} for fault in answer.rejected
        ]
    return {"file": str(path), **totals, "left_out": dict(left), "faults": faults}


def _tell(one: dict[str, object]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if "error" in one:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]{one['error']}[/red]")
        return
    console.print(f"[bold]{one['file']}[/bold]: {one.get('rows', 0)} rows")
    for name in ("rows_seen_before", *_OUTCOMES, "unreadable_rows"):
        if one.get(name):
            console.print(f"  {name.replace('_', ' ')}: {one[name]}")
    left, faults = one["left_out"], one["faults"]
    assert isinstance(left, dict)
    assert isinstance(faults, list)
    for reason, count in left.items():
        console.print(f"  left out, {reason}: {count}")
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for fault in faults[:_SHOWN]:
        errors.print(f"  [red]{fault['place']}[/red]  {fault['reason']}", markup=True)
    if len(faults) > _SHOWN:
        errors.print(f"  ... and {len(faults) - _SHOWN} more (see them all with --json)")
    if one.get("quarantined"):
        console.print("  Their series are unknown: assign them, then run: coulance usage quarantine replay")


@click.command()
@click.option("--every", type=click.IntRange(1, 86_400), help="Go on, once in so many seconds; without it, once.")
@click.option("--host", help="What precedes the interface in the series key. Default: this machine's name.")
@click.option("--interface", "interfaces", multiple=True, help="Only these; repeatable. Default: no byte twice.")
def collect(every: int | None, host: str | None, interfaces: tuple[str, ...]) -> None:
    """Read this machine's own interfaces into the sample store."""
    with working_database():
        from coulance.integrations import collector
        from coulance.platform import clock
        from coulance.usage import operations

        while True:
            at = clock.now()
            try:
                columns = collector.collect(at=at, host=host, only=list(interfaces) or None)
            except LookupError as fault:
                raise click.UsageError(str(fault.args[0])) from fault
            answer = operations.ingest_batch(columns=columns, source="collector", recorded_at=at)
            keys = ", ".join(columns.keys.names)
            waits = f"; {answer.quarantined} wait for their series to be assigned" if answer.quarantined else ""
            click.echo(f"{at:%FT%TZ} {keys}: {answer.accepted} accepted{waits}")
            if every is None:
                return
            now = clock.now().timestamp()
            time.sleep(every - now % every)


@usage.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def status(as_json: bool) -> None:
    """The sample store at a glance."""
    with working_database():
        from coulance.usage import queries

        now = queries.overview()
    facts = {
        "series seen": now.series_seen,
        "newest sample": now.last_at.isoformat() if now.last_at else "none",
        "samples": now.samples,
        "not sealed yet": now.unsealed_rows,
        "segments": now.segments,
        "bytes in segments": now.segment_bytes,
        "files waiting for deletion": now.waiting_for_deletion,
        "rows in quarantine": now.quarantined_rows,
        "kept from": now.kept_from.isoformat() if now.kept_from else "the beginning",
    }
    if as_json:
        click.echo(json.dumps({name.replace(" ", "_"): value for name, value in facts.items()}))
        return
    for name, value in facts.items():
        click.echo(f"{name:28}{value}")


@usage.command()
@click.option("--quick", is_flag=True, help="Compare the sizes of segments, not their contents.")
def verify(quick: bool) -> None:
    """Count everything again from the samples, and report each difference. Exit status 1 when there is any."""
    with working_database():
        from coulance.usage import queries

        found = 0
        for fault in queries.verify(contents=not quick):
            found += 1
            click.echo(fault, err=True)
        samples = queries.overview().samples
    if found:
        click.echo(f"{found} faults. Counters can be written anew from good samples: coulance usage recount", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"Running counters agree with all {samples} samples.")


@usage.command()
def recount() -> None:
    """Write the running counters anew from the samples."""
    with working_database():
        from coulance.usage import operations

        changed = operations.recount()
    click.echo(f"{changed} pages of counters changed.")


@usage.command()
def seal() -> None:
    """Turn recent batches into segments now (the worker does it every hour)."""
    with working_database():
        from coulance.platform import clock
        from coulance.usage import operations

        done = operations.seal(now=clock.now())
    click.echo(f"{done.blobs} batches with {done.rows} samples became {done.segments} segments of {done.size} bytes.")


@usage.command()
def compact() -> None:
    """Merge segments into larger ones now (the worker does it every night)."""
    with working_database():
        from coulance.platform import clock
        from coulance.usage import operations

        done = operations.compact(now=clock.now())
    click.echo(f"{done.merged} segments of {done.months} months became {done.into}.")


@usage.command()
@click.option("--before", required=True, type=click.DateTime(["%Y-%m"]), help="The first month to keep, YYYY-MM.")
@click.confirmation_option(prompt="Samples before that month expire for good. Go on?")
def retain(before: "click.DateTime") -> None:
    """Let samples of earlier months expire. Their daily counters stay."""
    from datetime import datetime

    assert isinstance(before, datetime)
    with working_database():
        from coulance.platform import clock
        from coulance.usage import operations

        gone = operations.retain(before=before.date(), now=clock.now())
    click.echo(f"{gone} segments expired; their files go after the oldest backup that may name them.")


@usage.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def silent(as_json: bool) -> None:
    """List billed series that should send and don't, the longest silent first. Ends 1 when there are any."""
    with working_database():
        from coulance.platform import clock
        from coulance.usage import silence

        found = silence.silent_series(clock.now())
    if as_json:
        rows = [
            {
                "series": one.key, "meter": one.meter, "service": one.service, "account": one.account,
                "last_at": None if one.last_at is None else one.last_at.isoformat(), "silent_s": one.silent_s,
                "seen": one.seen, "expected": one.expected, "coverage_per_mille": one.coverage,
            }
            for one in found
        ]  # fmt: skip
        click.echo(json.dumps(rows))
    elif found:
        table = Table("series", "service", "account", "last sample", "silent for", "of this month")
        for one in found:
            last = "never" if one.last_at is None else f"{one.last_at:%F %R}"
            table.add_row(
                one.key, one.service, one.account, last, f"{one.silent_s // 3600} h", f"{one.coverage / 10:.1f} %"
            )
        Console(highlight=False).print(table)
    else:
        click.echo("Every billed series sends.")
    if found:
        raise click.exceptions.Exit(1)


@usage.group()
def quarantine() -> None:
    """Samples whose series nobody has assigned yet."""


@quarantine.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")
def list_(as_json: bool) -> None:
    """What waits, by series key."""
    with working_database():
        from coulance.usage import queries

        found = queries.quarantined()
    if as_json:
        click.echo(json.dumps([{"series": q.key, "rows": q.rows, "reason": q.note or q.reason} for q in found]))
        return
    if not found:
        click.echo("Nothing is in quarantine.")
        return
    table = Table("series", "rows", "used from", "until", "why")
    for one in found:
        table.add_row(one.key, str(one.rows), f"{one.first_at:%F %R}", f"{one.last_at:%F %R}", one.note or one.reason)
    Console(highlight=False).print(table)
    click.echo("Assign a series (coulance import customers), then: coulance usage quarantine replay")


@quarantine.command()
@click.argument("keys", nargs=-1)
def replay(keys: tuple[str, ...]) -> None:
    """Take in what waits for series that are assigned by now: all, or those of KEYS."""
    with working_database():
        from coulance.platform import clock
        from coulance.usage import operations

        done = operations.replay_quarantined(recorded_at=clock.now(), keys=list(keys) or None)
    click.echo(
        f"{done.rows} rows of {len(done.keys)} series: {done.accepted} accepted, {done.late} late,"
        f" {done.corrected} corrected, {done.duplicate} duplicate."
    )
    for key, reason in done.stuck:
        click.echo(f"{key} stays: {reason}", err=True)
    if done.stuck:
        raise click.exceptions.Exit(1)


@quarantine.command()
@click.argument("keys", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why they will not be billed; kept with them.")
def discard(keys: tuple[str, ...], reason: str) -> None:
    """Give up what waits for KEYS. The rows stay on record."""
    with working_database():
        from coulance.cli.operator import actor
        from coulance.platform import audit, clock
        from coulance.usage import operations

        now = clock.now()
        gone = operations.discard_quarantined(keys=list(keys), reason=reason, recorded_at=now)
        audit.record(actor=actor(), act="usage.discarded", subject=f"series:{','.join(keys)}", at=now, reason=reason)
    click.echo(f"{gone} rows given up.")
