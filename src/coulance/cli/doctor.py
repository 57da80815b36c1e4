"""`coulance doctor`."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from coulance.platform.findings import Finding
    from coulance.platform.instance import Instance


def _findings(here: "Instance") -> Iterator["Finding"]:
    from coulance.cli.session import working_database
    from coulance.platform import clock, findings
    from coulance.platform.findings import Finding, State
    from coulance.platform.instance import InstanceError
    from coulance.platform.layout import LayoutError
    from coulance.platform.postgres import UnableToStartError

    yield from findings.machine()
    settings = list(findings.settings(here))
    yield from settings
    own = list(findings.home(here))
    yield from own
    if any(finding.state is State.FAULT for finding in settings) or not here.secrets_dir.is_dir():
        yield Finding("database", State.WARN, "not looked at, because of the above")
        return
    yield from findings.running(here)
    try:
        # Starts the embedded database for a moment when nothing else runs it: it exists, so this makes nothing new.
        with working_database(migrated=False):
            from coulance.cli.mail_findings import mail_findings
            from coulance.platform import database_findings

            yield from database_findings.database(here, at=clock.now())
            yield from _catalog()
            yield from _overage()
            yield from _work_left()
            yield from _promises(clock.now())
            yield from mail_findings(at=clock.now())
            yield from _collected()
            yield from _enforced()
    except (click.ClickException, InstanceError, LayoutError, UnableToStartError) as fault:
        text = fault.message if isinstance(fault, click.ClickException) else str(fault)
        yield Finding("database", State.FAULT, "can't be used", text)


def _catalog() -> Iterator["Finding"]:
    from django.db import DatabaseError

    from coulance.catalog import queries
    from coulance.platform.findings import Finding, State

    try:
        revision = queries.current_revision()
    except DatabaseError:
        return  # its tables are missing, and the pending migrations were reported
    if revision is None:
        yield Finding("provider file", State.WARN, "never applied", "coulance check FILE, then coulance apply FILE")
    else:
        yield Finding("provider file", State.OK, f"applied {revision.applied_at:%F %H:%M} UTC by {revision.actor}")


def _overage() -> Iterator["Finding"]:
    """Who decides how far overage may go, and what waits for the provider's decision."""
    from django.db import DatabaseError

    from coulance.catalog import queries
    from coulance.overage import queries as overage
    from coulance.platform.findings import Finding, State
    from coulance_core.catalog.overage import Control

    words = {
        Control.CONTRACT: "by contract: overage is billed as used, without a limit that the customer set",
        Control.OBSERVE: "observed: billed as by contract, and what limits would have done is on record",
        Control.ENFORCE: "enforced: nothing is billed without consent and warning",
    }
    try:
        control, waiting = queries.catalog().overage.control, overage.pending()
    except (DatabaseError, queries.UnableToFindCatalogError):
        return  # reported above
    yield Finding("overage", State.OK, words[control])
    if waiting:
        yield Finding("limits", State.WARN, f"{len(waiting)} wait for your decision", "coulance overage consents")


def _work_left() -> Iterator["Finding"]:
    """What waits for a person: samples without a series, accounts that could not be billed, samples that are gone."""
    from django.db import DatabaseError

    from coulance.invoicing import history
    from coulance.invoicing import queries as invoicing
    from coulance.platform.findings import Finding, State
    from coulance.usage import queries as usage

    try:
        store, faults = usage.overview(), usage.file_faults()
        parked, open_runs = invoicing.parked(), history.unfinished_runs(but="")
    except DatabaseError:
        return  # its tables are missing, and the pending migrations were reported
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        yield Finding("samples", State.FAULT, f"{faults[0]}{more}", "coulance usage verify tells all of them")
    else:
        yield Finding("samples", State.OK, f"{store.samples:,} kept, {store.segments} segments in place")
    if store.quarantined_rows:
        seen = f"{store.quarantined_rows:,} samples of {store.quarantined_keys} unknown series wait, and are not billed"
        yield Finding("quarantine", State.WARN, seen, "coulance usage quarantine list")
    if open_runs:
        yield Finding(
            "closing", State.WARN, f"{open_runs[0]} was begun and is not finished", f"coulance close {open_runs[0]}"
        )
    if parked:
        first = parked[0]
        more = f" (and {len(parked) - 1} more)" if len(parked) > 1 else ""
        yield Finding(
            "parked", State.WARN, f"{first.account_ref} is not billed: {first.detail}{more}",
            "mend that and close the month again; the console lists them under Runs",
        )  # fmt: skip


def _collected() -> Iterator["Finding"]:
    """Collectors that fail, and billed series that don't send."""
    from django.db import DatabaseError

    from coulance.platform import clock
    from coulance.platform.findings import Finding, State
    from coulance.usage import queries as usage
    from coulance.usage import silence

    now = clock.now()
    try:
        targets, silent = usage.collector_health(at=now), silence.silent_series(now)
    except DatabaseError:
        return  # its tables are missing, and the pending migrations were reported
    failing = [one for one in targets if one.failures]
    if failing:
        first = failing[0]
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        seen = f"{first.collector} {first.target}: {first.last_error}{more}"
        yield Finding("collectors", State.WARN, seen, "coulance collectors list")
    elif targets:
        yield Finding("collectors", State.OK, f"{len(targets)} targets answer")
    if silent:
        more = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
        seen = f"{silent[0].key} of {silent[0].service} should send and does not{more}"
        yield Finding("silent series", State.WARN, seen, "coulance usage silent lists them; mend it before the close")


def _enforced() -> Iterator["Finding"]:
    """Restrictions that wait to be done, and whether anybody does them."""
    from django.db import DatabaseError

    from coulance.enforcement import queries
    from coulance.enforcement.leases import SILENT
    from coulance.platform import clock
    from coulance.platform.findings import Finding, State

    now = clock.now()
    try:
        waiting, running = queries.waiting(limit=1000), queries.executors()
        held = queries.restrictions()
        unreached = queries.unreached(services=[row.service for row in held if not row.restriction.observe])
    except DatabaseError:
        return  # its tables are missing, and the pending migrations were reported
    late = [one for one in waiting if one.attempts or (now - one.since).total_seconds() > 60]
    alive = any(now - one.beat_at < SILENT for one in running)
    if late:
        more = f" (and {len(late) - 1} more)" if len(late) > 1 else ""
        seen = f"{late[0].service_name} is not as its register says since {late[0].since:%F %H:%M} UTC{more}"
        yield Finding("enforcement", State.FAULT, seen, "coulance enforce history SERVICE says why")
    elif waiting and not alive:
        yield Finding("enforcement", State.WARN, "work waits, and no executor runs", "coulance up runs one")
    elif held or alive:
        yield Finding("enforcement", State.OK, f"{len(held)} restrictions hold, {len(waiting)} wait to be done")
    if unreached:
        seen = f"{len(unreached)} services are restricted on record only: no driver reaches them"
        yield Finding("restrictions", State.WARN, seen, "coulance enforce target set")


def _promises(at: datetime) -> Iterator["Finding"]:
    """Open alarms, and what the audits said last."""
    from django.db import DatabaseError

    from coulance.flows import audits
    from coulance.platform import alarms, checks
    from coulance.platform.findings import Finding, State

    try:
        found, results = alarms.open_alarms(), checks.results()
    except DatabaseError:
        return  # its tables are missing, and the pending migrations were reported
    for alarm in found[:10]:
        state = State.FAULT if alarm.severity == "critical" else State.WARN
        since = f"since {alarm.raised_at:%F %H:%M} UTC: {alarm.what}"
        yield Finding(f"alarm {alarm.key}", state, since, "coulance alarms")
    if not found:
        yield Finding("alarms", State.OK, "none open")
    faulty = [result for result in results if result.faults]
    late = [result.name for result in results if at - result.ran_at > checks.OVERDUE]
    if faulty:
        yield Finding("audits", State.FAULT, f"{faulty[0].name}: {faulty[0].first}", "coulance audit")
    elif late:
        yield Finding("audits", State.WARN, f"{', '.join(late)} did not run for two nights", "coulance audit")
    elif len(results) < len(audits.AUDITS):
        yield Finding("audits", State.WARN, "not all of them ran yet", "coulance audit")
    else:
        yield Finding(
            "audits", State.OK, f"{len(results)} sound, the oldest of {min(r.ran_at for r in results):%F %H:%M}"
        )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: a list of findings.")
def doctor(as_json: bool) -> None:
    """Say what is set, what is missing, and what to do.

    Ends with status 1 when something keeps Coulance from working or endangers data; a warning doesn't.
    """
    from coulance.platform import instance
    from coulance.platform.findings import State

    found = list(_findings(instance.current()))
    faults = sum(finding.state is State.FAULT for finding in found)
    if as_json:
        rows = [{"topic": f.topic, "state": f.state.value, "seen": f.seen, "do": f.do} for f in found]
        click.echo(json.dumps({"ok": not faults, "findings": rows}, indent=1))
    else:
        colours = {State.OK: "green", State.WARN: "yellow", State.FAULT: "red"}
        for finding in found:
            click.echo(
                f"{click.style(f'{finding.state:<5}', fg=colours[finding.state])}  {finding.topic}: {finding.seen}"
            )
            if finding.do:
                click.echo(f"         -> {finding.do}")
        warnings = sum(finding.state is State.WARN for finding in found)
        click.echo(f"\n{faults} fault(s), {warnings} warning(s)")
    sys.exit(1 if faults else 0)
