"""`coulance sla`: who looks at what, what was down, what it is worth, what terms would cost, what suppliers owe."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

INSTANT = "An instant with its offset: 2026-10-05T10:00+02:00."
_service = click.option("--service", "service", required=True, help="The service, by its external id.")
_since = click.option("--from", "since", required=True, help=INSTANT)
_until = click.option("--until", help=INSTANT)
_reason = click.option("--reason", required=True, help="Why: it stays in the record.")


class _Period(click.ParamType[tuple[int, int]]):
    name = "month"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        try:
            found = datetime.fromisoformat(f"{value}-01")
        except ValueError:
            self.fail(f"{value!r} is no month: expected one such as 2026-10", param, ctx)
        return found.year, found.month


@click.group()
def sla() -> None:
    """Keep promises of uptime: checks and agents, outages, maintenance, credits; what terms would cost."""


@contextmanager
def _working() -> Iterator[datetime]:
    """A database, and now; refusals as messages."""
    with working_database():
        from coulance.platform import clock
        from coulance.services.queries import UnableToFindServiceError
        from coulance.sla.errors import SlaError

        try:
            yield clock.now()
        except (SlaError, UnableToFindServiceError) as error:
            raise click.ClickException(str(error)) from error


def _at(text: str | None, what: str) -> datetime:
    try:
        found = datetime.fromisoformat(text or "")
        if found.tzinfo is None:
            raise ValueError
    except ValueError:
        raise click.BadParameter(f"{text!r} is no instant: {INSTANT}", param_hint=what) from None
    return found


def _id(external: str) -> int:
    from coulance.services import queries as services

    return services.service(external).id


@sla.group()
def agent() -> None:
    """Probe agents: who looks, from where."""


@agent.command("add")
@click.argument("name")
def agent_add(name: str) -> None:
    """Make an agent known; prints the token it signs in by, which can't be had again."""
    with _working() as at:
        from coulance.sla import operations

        click.echo(operations.add_agent(name=name, actor=actor(), at=at))


@agent.command("list")
def agent_list() -> None:
    """Show agents and outside sources: when they were heard, and what they handed over."""
    with _working():
        from coulance.sla import queries

        for row in queries.agents():
            heard = f"heard {row.last_at:%F %T} UTC" if row.last_at else "never heard"
            lost = f", {row.lost} lost" if row.lost else ""
            gone = ", taken out" if row.retired_at else ""
            click.echo(f"{row.name}  {row.source}  {heard}, {row.taken} looks{lost}{gone}")


@agent.command("remove")
@click.argument("name")
def agent_remove(name: str) -> None:
    """Take an agent out and revoke its token; what it saw stays."""
    with _working() as at:
        from coulance.sla import operations

        operations.retire_agent(name=name, actor=actor(), at=at)


@sla.group()
def check() -> None:
    """Checks: what is looked at of a service."""


@check.command("add")
@_service
@click.option("--kind", required=True, type=click.Choice(["http", "tcp", "icmp", "dns", "tls", "outside"]))
@click.option("--target", required=True, help="An address; for `outside` the name its source has for it.")
@click.option("--every", "every_s", default=30, show_default=True, help="Seconds between looks.")
@click.option("--timeout", "timeout_s", default=10, show_default=True, help="Seconds until a look fails.")
@click.option("--vantage", "vantages", multiple=True, help="Only these agents look; default: all.")
@click.option("--changes-only", "holds", is_flag=True, help="The source tells of changes only (Uptime Kuma, Pingdom).")
@click.option("--from", "since", help="Watched since then: silence counts as unknown from there on. Default: now.")
def check_add(service: str, since: str | None, **given: Any) -> None:
    """Have a service looked at."""
    with _working() as at:
        from coulance.sla import operations

        row = operations.add_check(
            service=_id(service), actor=actor(), at=at, since=_at(since, "--from") if since else None, **given
        )
        click.echo(f"Check {row.id}: {row.kind} {row.target}, every {row.every_s} s.")


@check.command("list")
def check_list() -> None:
    """Show what is looked at, and promises that nobody watches."""
    with _working() as at:
        from coulance.flows.promises import terms
        from coulance.services import queries as services
        from coulance.sla import queries

        rows = queries.checks()
        names = {s.id: s.external_id for s in services.services({row.service for row in rows})}
        for row in rows:
            where = ", ".join(row.vantages) or ("its source" if row.kind == "outside" else "all agents")
            click.echo(f"{row.id}  {names[row.service]}  {row.kind} {row.target}  every {row.every_s} s  {where}")
        watched = queries.services_watched()
        for one in terms.promised(year=at.year, month=at.month):
            if one.service.id not in watched:
                click.echo(f"!  {one.service.external_id} has the terms {one.promise.name}, and nothing watches it")


@check.command("end")
@click.argument("number", type=int)
def check_end(number: int) -> None:
    """Look no more; what was seen stays."""
    with _working() as at:
        from coulance.sla import operations

        operations.end_check(check=number, actor=actor(), at=at)


def _say(service: str, since: str, until: str | None, reason: str, **given: Any) -> None:
    with _working() as at:
        from coulance.sla import operations

        row = operations.say(
            service=_id(service),
            since=_at(since, "--from"),
            until=_at(until, "--until") if until else None,
            reason=reason,
            actor=actor(),
            at=at,
            **given,
        )
        click.echo(f"Entry {row.id}: {row.says} from {row.since.isoformat()}.")


@sla.group()
def outage() -> None:
    """Outages that people know of, beside what probes see."""


@outage.command("add")
@_service
@_since
@_until
@_reason
@click.option("--words", default="", help="What customers read of it.")
@click.option("--affected", default="1", show_default=True, help="The part that was affected: 1/2 or 0.5.")
def outage_add(service: str, since: str, until: str | None, reason: str, words: str, affected: str) -> None:
    """Enter an outage; without an end it goes on."""
    _say(service, since, until, reason, says="outage", words=words, affected=Fraction(affected))


@outage.command("end")
@click.argument("entry", type=int)
@click.option("--until", required=True, help=INSTANT)
def outage_end(entry: int, until: str) -> None:
    """Say when an outage that went on ended."""
    with _working() as at:
        from coulance.sla import operations

        operations.end_outage(entry=entry, until=_at(until, "--until"), actor=actor(), at=at)


@outage.command("list")
def outage_list() -> None:
    """Show entries that stand: outages, maintenance, exclusions, times that were up."""
    with _working():
        from coulance.services import queries as services
        from coulance.sla import queries

        rows = queries.entries()
        names = {s.id: s.external_id for s in services.services({row.service for row in rows})}
        for row in rows:
            until = f"{row.until:%F %T}" if row.until else "now"
            click.echo(f"{row.id}  {names[row.service]}  {row.says}  {row.since:%F %T} - {until} UTC  {row.reason}")


@outage.command("retract")
@click.argument("entry", type=int)
@_reason
def outage_retract(entry: int, reason: str) -> None:
    """Take an entry back, of any kind: it counts as never said."""
    with _working() as at:
        from coulance.sla import operations

        operations.retract(entry=entry, reason=reason, actor=actor(), at=at)


@sla.group()
def maintenance() -> None:
    """Maintenance, announced ahead."""


@maintenance.command("add")
@_service
@_since
@click.option("--until", required=True, help=INSTANT)
@_reason
@click.option("--words", default="", help="What customers read of it.")
def maintenance_add(service: str, since: str, until: str, reason: str, words: str) -> None:
    """Announce maintenance now; whether it is excused is up to the terms (notice, window, quota)."""
    _say(service, since, until, reason, says="maintenance", words=words)


@sla.command()
@_service
@_since
@click.option("--until", required=True, help=INSTANT)
@_reason
@click.option("--kind", required=True, help="A kind that the terms agree to, such as force_majeure.")
@click.option("--evidence", required=True, help="Where it is shown: a file, a ticket, an address.")
def exclude(service: str, since: str, until: str, reason: str, kind: str, evidence: str) -> None:
    """Exclude time, of a kind the terms agree to, with its evidence."""
    _say(service, since, until, reason, says="exclusion", kind=kind, evidence=evidence)


@sla.command()
@_service
@click.option("--terms", required=True, help="The name of terms in [sla]; none: an empty text.")
@click.option("--from", "since", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The first day.")
@_reason
def agree(service: str, terms: str, since: datetime, reason: str) -> None:
    """Give a service terms of its own, in place of its plan's."""
    with _working() as at:
        from coulance.flows.promises import terms as promises
        from coulance.sla import operations

        known = promises.table()
        if terms and known.promise(terms, since.date()) is None:
            raise click.ClickException(f"[sla] has no terms {terms!r} on {since:%F}")
        operations.agree(
            service=_id(service), terms=terms, valid_from=since.date(), reason=reason, actor=actor(), at=at
        )


@sla.command()
@_service
@click.option("--group", required=True, help="The group it stands in; empty takes it off the page.")
@click.option("--label", default="", help="Its public name.")
def publish(service: str, group: str, label: str) -> None:
    """Put a service on the public status page (/status), under a name of its own."""
    with _working() as at:
        from coulance.sla import operations

        operations.show_publicly(service=_id(service), group=group, label=label, actor=actor(), at=at)


@sla.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", default="main", show_default=True, help="Which source it is of.")
@click.option("--upptime", default="", help="FILE is `git log --format='%cI %s'` of an Upptime site of that name.")
def bring(file: Path, source: str, upptime: str) -> None:
    """Bring in what other monitoring saw: CSV with name, at and up; or the history of an Upptime site."""
    with _working() as at:
        from coulance.flows.promises import intake
        from coulance.integrations.uptime import reading

        try:
            text = file.read_text(encoding="utf-8-sig")
            seen = reading.upptime(upptime, reading.git_log(text)) if upptime else reading.table(text)
        except (reading.UnableToReadUptimeError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{file}: {error}") from error
        kind = "upptime" if upptime else "csv"
        done = intake.bring(source=f"{kind}:{source}", seen=seen, at=at, actor=actor())
        click.echo(f"{done.accepted} looks taken, {done.doubles} known already.")
        for name in done.unknown:
            click.echo(f"!  no check of kind outside is called {name!r}", err=True)


@sla.command()
@click.option("--period", type=_Period(), help="A month: 2026-10. Default: the last three, for late evidence.")
@click.option("--explain", is_flag=True, help="Show the arithmetic.")
def credit(period: tuple[int, int] | None, explain: bool) -> None:
    """Measure and credit what wasn't kept. Safe to do again: nothing is credited twice. `close` does it too."""
    with _working() as at:
        from coulance.flows.promises import crediting
        from coulance.sla import queries

        if period is None:
            report = crediting.credit_again(at=at, actor=actor())
        else:
            report = crediting.credit_period(year=period[0], month=period[1], at=at, actor=actor())
        for service, amount in report.credited:
            click.echo(f"{service}: {amount} credited")
        for number in report.notes:
            click.echo(f"{number} given")
        for _, amount, why in report.carried:
            click.echo(f"{amount} waits: {why}")
        for what, why in report.failed:
            click.echo(f"!  {what}: {why}", err=True)
        click.echo(f"{report.measured} measured, {report.not_yet} not over yet.")
        if explain and period is not None:
            for row in queries.measures(period_name=f"{period[0]:04d}-{period[1]:02d}"):
                click.echo(row.explanation.render())
        if report.failed:
            raise click.exceptions.Exit(1)


@sla.command()
@click.option("--terms", "name", required=True, help="The name of the terms.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A provider file with them.")
@click.option("--months", default=24, show_default=True, type=click.IntRange(1, 120))
@click.option("--service", "services", multiple=True, help="Only these; default: all that were watched.")
def plan(name: str, file: Path | None, months: int, services: tuple[str, ...]) -> None:
    """What terms would have cost on the real outages of the last months."""
    with _working() as at:
        from coulance.flows.promises import outlook

        promise = _proposed(name, file)
        try:
            found = outlook.what_it_would_cost(
                promise=promise, months=months, at=at, only=[_id(one) for one in services] or None
            )
        except outlook.UnableToPlanError as error:
            raise click.ClickException(str(error)) from error
        for one in found[:50]:
            worst = one.plan.worst
            click.echo(
                f"{one.service}: {one.plan.total} in {len(one.plan.months)} months ({one.plan.missed} missed), "
                f"{outlook.show_share(one.plan.share)} of its fees; worst {worst.start:%Y-%m}: {worst.credit.amount}"
            )
        for code in sorted({one.plan.total.currency for one in found}):
            from coulance_core.kernel import Money

            own = [one.plan.total for one in found if one.plan.total.currency == code]
            click.echo(f"In all: {sum(own, Money(0, code))} for {len(own)} services.")


def _proposed(name: str, file: Path | None) -> Any:
    from coulance.flows.promises import terms
    from coulance_core.sla.terms_file import parse_sla

    known = terms.table()
    if file is not None:
        from coulance.catalog.reader import read_provider_file

        read = read_provider_file(file)
        if read.faults or read.catalog is None:
            raise click.ClickException("\n".join(map(str, read.faults)))
        known = parse_sla(read.catalog.tables.get("sla", {}))
    found = max((p for p in known.promises if p.name == name), key=lambda p: p.valid_from, default=None)
    if found is None:
        raise click.ClickException(f"there are no terms {name!r}; there is {', '.join(p.name for p in known.promises)}")
    return found


@sla.command()
@click.argument("name")
def quote(name: str) -> None:
    """What a composite of [sla.composite] may promise: at worst, if parts fail independently, at best."""
    with _working():
        from coulance.flows.promises import terms
        from coulance_core.sla.composite import quote as quoted

        sold = terms.table().composites.get(name)
        if sold is None:
            raise click.ClickException(f"[sla.composite] has no {name!r}")
        found = quoted(sold.whole, dict(sold.availability))
        click.echo(str(sold.whole))
        numbers = (found.worst, found.independent, found.best)
        for word, share, down in zip(("worst", "independent", "best"), numbers, found.minutes(43_200), strict=True):
            click.echo(f"{word:>12}: {float(100 * share):.4f} %, {float(down):.1f} minutes in 30 days")


@sla.command()
@click.option("--period", required=True, type=_Period(), help="A month: 2026-10.")
def upstream(period: tuple[int, int]) -> None:
    """What suppliers owe us for a month, by when to claim it, and the text to claim it with."""
    with _working() as at:
        from coulance.flows.promises import outlook

        found = outlook.claims(year=period[0], month=period[1], at=at)
        for one in found:
            what = one.upstream
            by = f"claim by {what.by.isoformat()}" if what.by else "credited unasked"
            click.echo(f"{what.supplier}: {what.amount} of {what.owed} owed to customers ({by}); {what.short} is ours")
            if what.amount.minor:
                click.echo(one.text)
        if not found:
            click.echo("No terms of suppliers name services of ours.")


@sla.command()
@click.argument("case", type=int, required=False)
@click.option("--accept/--reject", "accepted", default=None)
@click.option("--reason", default="", help="What the customer reads.")
def cases(case: int | None, accepted: bool | None, reason: str) -> None:
    """Customers' counter-evidence: list what waits, or decide on a case."""
    with _working() as at:
        from coulance.services import queries as services
        from coulance.sla import operations, queries

        if case is not None:
            if accepted is None:
                raise click.UsageError("say --accept or --reject, and --reason")
            operations.decide(counter=case, accepted=accepted, reason=reason, actor=actor(), at=at)
            return
        rows = queries.cases(waiting=True)
        names = {s.id: s.external_id for s in services.services({row.service for row in rows})}
        for row in rows:
            click.echo(f"{row.id}  {names[row.service]}  {row.since:%F %T} - {row.until:%F %T} UTC  {row.words}")
        if not rows:
            click.echo("No customer's report waits.")


@sla.command()
@click.option("--url", required=True, help="The Prometheus server: http://prometheus:9090.")
@click.option("--query", default="probe_success", show_default=True, help="An expression of 0 and 1.")
@click.option("--label", default="instance", show_default=True, help="The label that names what is watched.")
@click.option("--hours", default=24, show_default=True, type=click.IntRange(1, 24 * 60))
@click.option("--step", default=30, show_default=True, help="Seconds between values.")
@click.option("--source", default="main", show_default=True, help="Which Prometheus it is.")
def pull(url: str, query: str, label: str, hours: int, step: int, source: str) -> None:
    """Read what a Prometheus server saw (probe_success, up) in the last hours; safe to do again."""
    with _working() as at:
        from coulance.flows.promises import intake
        from coulance.integrations.uptime import asking, reading

        try:
            seen = asking.ask_prometheus(
                url, query=query, label=label, since=at - timedelta(hours=hours), until=at, step=step
            )
        except reading.UnableToReadUptimeError as error:
            raise click.ClickException(str(error)) from error
        done = intake.bring(source=f"prometheus:{source}", seen=seen, at=at, actor=actor())
        click.echo(f"{done.accepted} looks taken, {done.doubles} known already.")
        for name in done.unknown:
            click.echo(f"!  no check of kind outside is called {name!r}", err=True)
