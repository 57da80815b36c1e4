"""`coulance sla`: who looks at what, what was down, what it is worth, what terms would cost, what suppliers owe."""

from datetime import datetime
from fractions import Fraction
from typing import Any

import click

from coulance.cli import sla_feeds, sla_worth
from coulance.cli.operator import actor
from coulance.cli.sla_common import (
    INSTANT,
    instant,
    of_service,
    service_id,
    since_then,
    until_then,
    with_reason,
    working,
)


@click.group()
def sla() -> None:
    """Keep promises of uptime: checks and agents, outages, maintenance, credits; what terms would cost."""


@sla.group()
def agent() -> None:
    """Probe agents: who looks, from where."""


@agent.command("add")
@click.argument("name")
def agent_add(name: str) -> None:
    """Make an agent known; prints the token it signs in by, which can't be had again."""
    with working() as at:
        from coulance.sla import operations

        click.echo(operations.add_agent(name=name, actor=actor(), at=at))


@agent.command("list")
def agent_list() -> None:
    """Show agents and outside sources: when they were heard, and what they handed over."""
    with working():
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
    with working() as at:
        from coulance.sla import operations

        operations.retire_agent(name=name, actor=actor(), at=at)


@agent.command("distrust")
@click.argument("name")
@since_then
@until_then
@with_reason
def agent_distrust(name: str, since: str, until: str | None, reason: str) -> None:
    """Let what an agent or source said in some time not count: its token was taken, its clock was wrong."""
    with working() as at:
        from coulance.sla import operations

        operations.distrust(
            agent=name,
            since=instant(since, "--from"),
            until=instant(until, "--until") if until else None,
            reason=reason,
            actor=actor(),
            at=at,
        )


@sla.group()
def check() -> None:
    """Checks: what is looked at of a service."""


@check.command("add")
@of_service
@click.option("--kind", required=True, type=click.Choice(["http", "tcp", "icmp", "dns", "tls", "outside", "requests"]))
@click.option("--target", required=True, help="An address; for `outside` and `requests` its source's name for it.")
@click.option("--every", "every_s", type=int, help="Seconds between looks (30); of `requests` those of a slot (300).")
@click.option("--timeout", "timeout_s", default=10, show_default=True, help="Seconds until a look fails.")
@click.option("--vantage", "vantages", multiple=True, help="Only these agents look; default: all.")
@click.option("--changes-only", "holds", is_flag=True, help="The source tells of changes only (Uptime Kuma, Pingdom).")
@click.option("--from", "since", help="Watched since then: silence counts as unknown from there on. Default: now.")
def check_add(service: str, since: str | None, every_s: int | None, **given: Any) -> None:
    """Have a service looked at."""
    with working() as at:
        from coulance.sla import operations

        row = operations.add_check(
            service=service_id(service),
            every_s=every_s or (300 if given["kind"] == "requests" else 30),
            actor=actor(),
            at=at,
            since=instant(since, "--from") if since else None,
            **given,
        )
        click.echo(f"Check {row.id}: {row.kind} {row.target}, every {row.every_s} s.")


@check.command("list")
def check_list() -> None:
    """Show what is looked at, and promises that nobody watches."""
    with working() as at:
        from coulance.flows.promises import terms
        from coulance.services import queries as services
        from coulance.sla import queries

        rows = queries.checks()
        names = {s.id: s.external_id for s in services.services({row.service for row in rows})}
        for row in rows:
            where = ", ".join(row.vantages) or ("its source" if row.kind in ("outside", "requests") else "all agents")
            click.echo(f"{row.id}  {names[row.service]}  {row.kind} {row.target}  every {row.every_s} s  {where}")
        watched = queries.services_watched()
        for one in terms.promised(year=at.year, month=at.month):
            if one.service.id not in watched:
                click.echo(f"!  {one.service.external_id} has the terms {one.promise.name}, and nothing watches it")


@check.command("end")
@click.argument("number", type=int)
def check_end(number: int) -> None:
    """Look no more; what was seen stays."""
    with working() as at:
        from coulance.sla import operations

        operations.end_check(check=number, actor=actor(), at=at)


def _say(service: str, since: str, until: str | None, reason: str, **given: Any) -> None:
    with working() as at:
        from coulance.sla import operations

        row = operations.say(
            service=service_id(service),
            since=instant(since, "--from"),
            until=instant(until, "--until") if until else None,
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
@of_service
@since_then
@until_then
@with_reason
@click.option("--words", default="", help="What customers read of it.")
@click.option("--affected", default="1", show_default=True, help="The part that was affected: 1/2 or 0.5.")
@click.option("--wrongful", is_flag=True, help="We had paused it, and that was wrong: it counts all the same.")
def outage_add(
    service: str, since: str, until: str | None, reason: str, words: str, affected: str, wrongful: bool
) -> None:
    """Enter an outage; without an end it goes on."""
    from coulance.sla.operations import WRONGFUL

    kind = WRONGFUL if wrongful else ""
    _say(service, since, until, reason, says="outage", words=words, affected=Fraction(affected), kind=kind)


@outage.command("end")
@click.argument("entry", type=int)
@click.option("--until", required=True, help=INSTANT)
def outage_end(entry: int, until: str) -> None:
    """Say when an outage that went on ended."""
    with working() as at:
        from coulance.sla import operations

        operations.end_outage(entry=entry, until=instant(until, "--until"), actor=actor(), at=at)


@outage.command("list")
def outage_list() -> None:
    """Show entries that stand: outages, maintenance, exclusions, times that were up."""
    with working():
        from coulance.services import queries as services
        from coulance.sla import queries

        rows = queries.entries()
        names = {s.id: s.external_id for s in services.services({row.service for row in rows})}
        for row in rows:
            until = f"{row.until:%F %T}" if row.until else "now"
            click.echo(f"{row.id}  {names[row.service]}  {row.says}  {row.since:%F %T} - {until} UTC  {row.reason}")


@outage.command("retract")
@click.argument("entry", type=int)
@with_reason
def outage_retract(entry: int, reason: str) -> None:
    """Take an entry back, of any kind: it counts as never said."""
    with working() as at:
        from coulance.sla import operations

        operations.retract(entry=entry, reason=reason, actor=actor(), at=at)


@sla.group()
def maintenance() -> None:
    """Maintenance, announced ahead."""


@maintenance.command("add")
@of_service
@since_then
@click.option("--until", required=True, help=INSTANT)
@with_reason
@click.option("--words", default="", help="What customers read of it.")
def maintenance_add(service: str, since: str, until: str, reason: str, words: str) -> None:
    """Announce maintenance now; whether it is excused is up to the terms (notice, window, quota)."""
    _say(service, since, until, reason, says="maintenance", words=words)


@sla.command()
@of_service
@since_then
@click.option("--until", required=True, help=INSTANT)
@with_reason
@click.option("--kind", required=True, help="A kind that the terms agree to, such as force_majeure.")
@click.option("--evidence", required=True, help="Where it is shown: a file, a ticket, an address.")
def exclude(service: str, since: str, until: str, reason: str, kind: str, evidence: str) -> None:
    """Exclude time, of a kind the terms agree to, with its evidence."""
    _say(service, since, until, reason, says="exclusion", kind=kind, evidence=evidence)


@sla.command()
@of_service
@click.option("--terms", required=True, help="The name of terms in [sla]; none: an empty text.")
@click.option("--from", "since", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The first day.")
@click.option("--of", "made_of", default="", help='An application: "all of (web, one of (db-1, db-2))".')
@with_reason
def agree(service: str, terms: str, since: datetime, made_of: str, reason: str) -> None:
    """Give a service terms of its own, in place of its plan's; or an application of several, of which it is one."""
    with working() as at:
        from coulance.flows.promises import applications

        others = applications.agree(
            service=service,
            name=terms,
            valid_from=since.date(),
            made_of=made_of,
            reason=reason,
            actor=actor(),
            at=at,
        )
        if others:
            click.echo(f"{', '.join(others)}: judged as parts of it from then on, and not by themselves.")


@sla.command()
@of_service
@click.option("--group", required=True, help="The group it stands in; empty takes it off the page.")
@click.option("--label", default="", help="Its public name.")
def publish(service: str, group: str, label: str) -> None:
    """Put a service on the public status page (/status), under a name of its own."""
    with working() as at:
        from coulance.sla import operations

        operations.show_publicly(service=service_id(service), group=group, label=label, actor=actor(), at=at)


@sla.command()
@click.argument("case", type=int, required=False)
@click.option("--accept/--reject", "accepted", default=None)
@click.option("--reason", default="", help="What the customer reads.")
def cases(case: int | None, accepted: bool | None, reason: str) -> None:
    """Customers' counter-evidence: list what waits, or decide on a case."""
    with working() as at:
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


for _command in (sla_feeds.bring, sla_feeds.pull, *sla_worth.COMMANDS):
    sla.add_command(_command)
