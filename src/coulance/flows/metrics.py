"""Facts of an instance as Prometheus metrics: read from the database when somebody asks, so true for all processes.

Each is one cheap query, or a sum over tables that stay small. What can't be read, because the database doesn't answer
or its tables are not there yet, is left out, and `coulance_facts_missing` says so: a gap must not look like a zero.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import psutil
from django.db import DatabaseError, transaction
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from coulance import __version__
from coulance.enforcement import queries as enforcement
from coulance.flows.closing import due
from coulance.invoicing import counts
from coulance.notices import queries as notices
from coulance.platform import alarms, backup, checks, heartbeat, jobs, supervisor
from coulance.platform.instance import Instance
from coulance.usage import queries as usage

_log = logging.getLogger(__name__)
_WITHOUT_DATABASE = ("instance", "processes")


def facts(*, here: Instance, at: datetime) -> Iterator[Metric]:
    """Every metric that is a fact of the instance, at an instant."""
    missing = GaugeMetricFamily("coulance_facts_missing", "Groups of facts that could not be read.", labels=["group"])
    groups: dict[str, Callable[[], Iterator[Metric]]] = {
        "instance": lambda: _instance(here, at),
        "samples": _samples,
        "jobs": lambda: _jobs(at),
        "alarms": _alarms,
        "enforcement": lambda: _enforcement(at),
        "audits": _audits,
        "documents": lambda: _documents(at),
        "messages": lambda: _messages(at),
        "processes": lambda: _processes(here),
    }
    for name, read in groups.items():
        try:
            with transaction.atomic() if name not in _WITHOUT_DATABASE else nullcontext():
                found = list(read())
        except (DatabaseError, OSError, psutil.Error) as fault:
            _log.warning("metrics of %s can't be read: %s", name, type(fault).__name__)
            found = []
            missing.add_metric([name], 1)
        else:
            missing.add_metric([name], 0)
        yield from found
    yield missing


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"coulance_{name}", what, value=value)


def _instance(here: Instance, at: datetime) -> Iterator[Metric]:
    info = GaugeMetricFamily("coulance_info", "The version that runs.", labels=["version"])
    info.add_metric([__version__], 1)
    yield info
    made = backup.last_backup(here)
    if made is not None:
        yield _gauge("backup_age_seconds", "Since the last backup that was made here.", (at - made).total_seconds())
    yield _gauge("backups_made", "1 once a backup was made here.", float(made is not None))
    yield _gauge("disk_free_bytes", "Free where the instance is.", shutil.disk_usage(here.home).free)


def _samples() -> Iterator[Metric]:
    store = usage.overview()
    yield CounterMetricFamily(
        "coulance_sample_batches", "Batches of samples committed, with sealing's own rewrites.", usage.revisions()
    )
    yield _gauge("samples_kept", "Samples kept.", store.samples)
    yield _gauge("samples_unsealed", "Samples that wait to be sealed into segments.", store.unsealed_rows)
    yield _gauge("segments", "Segments in place.", store.segments)
    yield _gauge("segment_bytes", "Bytes of the segments in place.", store.segment_bytes)
    yield _gauge("series_seen", "Series that have sent samples.", store.series_seen)
    yield _gauge("quarantined_samples", "Samples of unknown series.", store.quarantined_rows)
    yield _gauge("quarantined_series", "Unknown series that sent samples.", store.quarantined_keys)
    if store.last_at is not None:
        taken = store.last_at.astimezone(UTC).timestamp()
        yield _gauge("last_sample_timestamp_seconds", "When the newest sample was taken.", taken)


def _jobs(at: datetime) -> Iterator[Metric]:
    state = jobs.state(at=at)
    family = GaugeMetricFamily(
        "coulance_jobs", "Jobs by state; failed ones stay until somebody looks.", labels=["state"]
    )
    for name, number in (("waiting", state.waiting), ("running", state.running), ("failed", state.failed)):
        family.add_metric([name], number)
    yield family
    yield _gauge("job_oldest_seconds", "How long the oldest job that is due has waited.", state.oldest_s)
    seen = heartbeat.last_seen()
    if seen is not None:
        yield _gauge("worker_heartbeat_age_seconds", "Since the worker's last heartbeat.", (at - seen).total_seconds())


def _alarms() -> Iterator[Metric]:
    found = alarms.open_alarms()
    family = GaugeMetricFamily("coulance_alarms_open", "Open alarms by severity.", labels=["severity"])
    for severity in ("critical", "warning"):
        family.add_metric([severity], sum(alarm.severity == severity for alarm in found))
    yield family


def _enforcement(at: datetime) -> Iterator[Metric]:
    yield _gauge("restrictions", "Restrictions in force.", enforcement.count_open())
    yield _gauge(
        "enforcement_waiting", "Services whose network may differ from the register.", enforcement.count_waiting()
    )
    beats = [one.beat_at for one in enforcement.executors()]
    if beats:
        yield _gauge(
            "executor_heartbeat_age_seconds", "Since an executor was heard of.", (at - beats[0]).total_seconds()
        )
    speed = enforcement.speed(since=at - timedelta(hours=1))
    yield _gauge("enforcement_acts", "Restrictions and liftings executed in the last hour.", speed.count)
    if speed.p50_s is not None and speed.p99_s is not None:
        took = GaugeMetricFamily(
            "coulance_enforcement_seconds",
            "From a decision to its executed act, in the last hour.",
            labels=["quantile"],
        )
        took.add_metric(["0.5"], speed.p50_s)
        took.add_metric(["0.99"], speed.p99_s)
        yield took


def _audits() -> Iterator[Metric]:
    faults = GaugeMetricFamily("coulance_audit_faults", "Faults that the last run of an audit found.", labels=["audit"])
    ran = GaugeMetricFamily("coulance_audit_run_timestamp_seconds", "When an audit ran last.", labels=["audit"])
    for result in checks.results():
        faults.add_metric([result.name], result.faults)
        ran.add_metric([result.name], result.ran_at.timestamp())
    yield faults
    yield ran


def _documents(at: datetime) -> Iterator[Metric]:
    issued = CounterMetricFamily("coulance_documents_issued", "Numbers given to documents.", labels=["series"])
    for series, number in counts.numbers_given().items():
        issued.add_metric([series], number)
    yield issued
    yield _gauge("accounts_parked", "Accounts that could not be billed and wait for a person.", counts.parked())
    overdue = sum(month.accounts and month.due == month.accounts for month in due.months(at=at))
    yield _gauge("periods_to_close", "Months that every account is due for and that are not closed.", overdue)


def _messages(at: datetime) -> Iterator[Metric]:
    mail = notices.mail_state(at=at)
    family = GaugeMetricFamily("coulance_messages", "Mails by what is to come of them.", labels=["state"])
    for state in ("waiting", "due", "under_way", "uncertain", "held", "refused", "bounced"):
        family.add_metric([state], getattr(mail, state))
    yield family
    waits = (at - mail.oldest_due).total_seconds() if mail.oldest_due else 0
    yield _gauge("message_oldest_seconds", "How long the oldest mail that is due has waited.", max(waits, 0))


def _processes(here: Instance) -> Iterator[Metric]:
    """The parts that the supervisor runs, each with its children, so that several web processes add up."""
    memory = GaugeMetricFamily(
        "coulance_process_resident_bytes",
        "Memory in use, children too; what parts share counts in each.",
        labels=["part"],
    )
    cpu = CounterMetricFamily("coulance_process_cpu_seconds", "Processor time of live processes.", labels=["part"])
    files = GaugeMetricFamily("coulance_process_open_files", "Open file descriptors.", labels=["part"])
    known = supervisor.state(here) or {"web": str(os.getpid())}
    for part in known:
        if part in ("pid", "nursery", "reloads") or not known[part].isdigit():
            continue
        try:
            main = psutil.Process(int(known[part]))
            family = [main, *main.children(recursive=True)]
        except psutil.Error:
            continue
        seen = [one for process in family if (one := _process(process)) is not None]
        memory.add_metric([part], sum(one[0] for one in seen))
        cpu.add_metric([part], sum(one[1] for one in seen))
        files.add_metric([part], sum(one[2] for one in seen))
    yield memory
    yield cpu
    yield files


def _process(process: psutil.Process) -> tuple[int, float, int] | None:
    try:
        with process.oneshot():
            times = process.cpu_times()
            try:
                files = process.num_fds()
            except psutil.AccessDenied:
                files = 0  # the database's, when it runs as another user
            return process.memory_info().rss, times.user + times.system, files
    except psutil.Error:
        return None
