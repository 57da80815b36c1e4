"""`coulance arrears`: debts that are late: judge and act, look ahead, one account, promises, plans, approvals."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coulance.cli.arrears_risk import risk
from coulance.cli.operator import actor
from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance_core.kernel import Money

_DAY = click.DateTime(["%Y-%m-%d"])
_reason = click.option("--reason", required=True, help="Why, for the record.")
_service = click.option("--service", default="", help="The service (external id); none: the account.")


@click.group()
def arrears() -> None:
    """Look after debts that are late: steps with notice, a way out and a backup; promises, plans, approvals."""


@arrears.command()
@click.option("--account", "accounts", multiple=True, help="Only these (external ids); none: everybody who owes.")
def run(accounts: tuple[str, ...]) -> None:
    """Judge and do what is to be done now, as the daily job does. Undoes first."""
    with working_database():
        from coulance.flows.arrears.facts import account_of
        from coulance.flows.arrears.running import run_arrears, run_day
        from coulance.platform import clock

        at = clock.now()
        if accounts:
            ran = run_arrears(at=at, accounts=[account_of(one).id for one in accounts], actor=actor())
        else:
            ran = run_day(at=at, actor=actor())
        click.echo(f"Arrears: {ran}.")
        for line in (*ran.refused, *ran.failed):
            click.echo(f"  {line}")
        if ran.failed:
            raise SystemExit(1)


@arrears.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 400), help="How far to look.")
@click.option("--account", "accounts", multiple=True, help="Only these (external ids).")
@click.option("--approved", is_flag=True, help="Suppose that people approve whatever wants it.")
def preview(days: int, accounts: tuple[str, ...], approved: bool) -> None:
    """Show what happens to whom and when, if nobody pays or speaks. Writes nothing."""
    with working_database():
        from coulance.flows.arrears.facts import account_of
        from coulance.flows.arrears.looking_ahead import look_ahead
        from coulance.platform import clock

        wanted = [account_of(one).id for one in accounts] or None
        rows = look_ahead(at=clock.now(), days=days, accounts=wanted, approved=approved)
        for row in rows:
            of = f" {row.coming.service}" if row.coming.service else ""
            waits = f" (waits: {row.coming.waits_words})" if row.coming.waits_for else ""
            click.echo(f"{row.coming.on}  {row.account}{of}  {row.coming.step}: {row.coming.words}{waits}")
        if not rows:
            click.echo(f"Nothing happens in the next {days} days.")


@arrears.command()
@click.argument("account")
@click.option("--explain", is_flag=True, help="Show the arithmetic of what was done.")
def show(account: str, explain: bool) -> None:
    """Show one ACCOUNT: owed and why, what was done, what comes and when, what is held up, and every way to stop it."""
    with working_database():
        from coulance.flows.arrears.facts import account_of
        from coulance.flows.arrears.standing import standing
        from coulance.platform import clock
        from coulance_core.kernel import Explanation

        page = standing(account=account_of(account).id, at=clock.now())
        if page is None:
            click.echo("Arrears is off: the provider file has no [arrears], or no policy covers this account.")
            return
        mode = ", observing only" if page.observing else ""
        click.echo(f"{account}: {page.policy}{mode}; law: {page.law or 'none'}")
        for line in page.outlook.owed:
            parts = [f"open {line.open}", *_but(line.disputed, "contested"), *_but(line.on_its_way, "on its way")]
            click.echo(
                f"  {line.number} due {line.due_on or 'never: not received'}: {', '.join(parts)}, now {line.net}"
            )
        for act in page.done:
            undone = f"; undone {act.undone_at:%F} ({act.ground})" if act.undone_at else ""
            of = f" {act.service}" if act.service else ""
            click.echo(
                f"{act.at:%F %R} {act.step}{of}: {act.amount}{', observed only' if act.observed else ''}{undone}"
            )
            if explain and act.explanation is not None:
                click.echo(Explanation.from_json(act.explanation).render("    "))
        for held in page.held_up:
            click.echo(f"Held up since {held.since:%F}: {held.step} by {held.code}: {held.message}")
        for one in page.coming:
            waits = f" (waits: {one.waits_words})" if one.waits_for else ""
            click.echo(f"Coming {one.on}: {one.step}: {one.words}{waits}")
        for plan in page.plans:
            click.echo(f"Plan {plan.id}, {plan.state}: {plan.total} in {len(plan.instalments)} parts")
        for task in page.tasks:
            click.echo(f"Task {task.id} since {task.since:%F}: {task.what}")
        ways = [f"{way.way.value}{'' if way.is_open else f' (no: {way.why_not})'}" for way in page.ways]
        click.echo(f"Ways out: {', '.join(ways)}")


@arrears.command()
@click.argument("account")
@click.option("--by", "pay_by", type=_DAY, required=True, help="The day by which it is paid: within 14 days.")
def promise(account: str, pay_by: datetime) -> None:
    """Take down that ACCOUNT promised to pay by a day: steps rest until then."""
    with working_database():
        from coulance.flows.arrears import people
        from coulance.flows.arrears.facts import account_of
        from coulance.platform import clock

        made = people.promise(account=account_of(account).id, pay_by=pay_by.date(), actor=actor(), at=clock.now())
    click.echo(f"Promise {made.id}: paid by {made.pay_by}; steps rest until then.")


@arrears.command()
@click.argument("account")
@click.option("--parts", type=click.IntRange(1, 60), required=True, help="Equal instalments, a month apart.")
@_reason
def plan(account: str, parts: int, reason: str) -> None:
    """Agree a payment plan with ACCOUNT over all that it owes."""
    with working_database():
        from coulance.flows.arrears import people
        from coulance.flows.arrears.facts import account_of
        from coulance.platform import clock

        at, number = clock.now(), account_of(account).id
        limits = people.bounds(account=number, at=at)
        instalments = people.suggest_plan(bounds=limits, parts=parts)
        made = people.propose_plan(account=number, instalments=instalments, actor=actor(), at=at, reason=reason)
        for one in made.instalments:
            click.echo(f"  {one.due_on}  {one.amount}")
        if made.interest_most is not None:
            click.echo(f"  interest at {float(made.interest_percent or 0):g} % a year: at most {made.interest_most}")
    click.echo(f"Plan {made.id} is {made.state}: {made.total}.")


@arrears.command("agree-plan")
@click.argument("number", type=int)
@_reason
def agree_plan(number: int, reason: str) -> None:
    """Agree to plan NUMBER that a customer proposed."""
    with working_database():
        from coulance.flows.arrears import people
        from coulance.platform import clock

        people.agree_plan(plan=number, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"Plan {number} is agreed.")


@arrears.command("end-plan")
@click.argument("number", type=int)
@_reason
def end_plan(number: int, reason: str) -> None:
    """End plan NUMBER, or decline one that was proposed."""
    with working_database():
        from coulance.flows.arrears import people
        from coulance.platform import clock

        found = people.end_plan(plan=number, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"Plan {number} is {found.state}.")


@arrears.command()
@click.argument("account")
@click.argument("step")
@_service
@_reason
def approve(account: str, step: str, service: str, reason: str) -> None:
    """Say yes to STEP for ACCOUNT. Ending and deleting want two people, each signed in to the console."""
    with working_database():
        from coulance.flows.arrears import people
        from coulance.flows.arrears.facts import account_of
        from coulance.platform import clock

        made = people.approve(
            account=account_of(account).id, step=step, service=service, actor=actor(), reason=reason, at=clock.now()
        )
    click.echo(f"Approval {made} of {step} by {actor()}.")


@arrears.command()
@click.argument("account")
@click.option(
    "--kind", type=click.Choice(["insolvency", "order", "own_error", "operator"]), required=True, help="Why all rests."
)
@click.option("--until", type=_DAY, help="The day on which it ends; an operator's pause needs one.")
@click.option("--debt", "debts", multiple=True, help="Only of this bill (its number), repeatable. Default: all.")
@_reason
def stay(account: str, kind: str, until: datetime | None, debts: tuple[str, ...], reason: str) -> None:
    """Let everything rest for ACCOUNT. An order or our own error lifts what was restricted; our own error credits what
    it cost the customer, and apologises."""
    with working_database():
        from zoneinfo import ZoneInfo

        from coulance.flows.arrears import people
        from coulance.flows.arrears.facts import account_of
        from coulance.platform import clock
        from coulance_core.arrears import StayKind
        from coulance_core.kernel import civil_midnight

        row = account_of(account)
        ends = None if until is None else civil_midnight(until.date() + timedelta(days=1), ZoneInfo(row.zone))
        made = people.stay(
            account=row.id, kind=StayKind(kind), why=reason, actor=actor(), at=clock.now(), until=ends,
            debts=people.refs_of(account=row.id, numbers=debts),
        )  # fmt: skip
    click.echo(f"Rest {made}: {kind}{f' until {until:%F}' if until else ''}.")


@arrears.command("end-stay")
@click.argument("number", type=int)
@_reason
def end_stay(number: int, reason: str) -> None:
    """End rest NUMBER."""
    with working_database():
        from coulance.flows.arrears import people
        from coulance.platform import clock

        people.end_stay(stay=number, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"Rest {number} is over.")


@arrears.command()
@click.argument("account")
@click.argument("service")
@click.option("--how", required=True, help="By what it was made, such as: restic, by hand.")
@click.option("--verified", required=True, help="How it was verified: test-restored, checksum read again.")
def backup(account: str, service: str, how: str, verified: str) -> None:
    """Record a backup of SERVICE of ACCOUNT that was made now and verified."""
    with working_database():
        from coulance.flows.arrears import people
        from coulance.flows.arrears.facts import account_of
        from coulance.platform import clock

        at = clock.now()
        made = people.record_backup(
            account=account_of(account).id, service=service, made_at=at, how=how, verified_how=verified, actor=actor(),
            at=at,
        )  # fmt: skip
    click.echo(f"Backup {made} of {service} is recorded.")


@arrears.command()
@click.argument("account")
@click.argument("act", type=int)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_reason
def package(account: str, act: int, file: Path, reason: str) -> None:
    """Write the package of hand-over ACT of ACCOUNT to FILE.zip, for whom it was handed to; written down."""
    with working_database():
        from coulance.flows.arrears import collectors
        from coulance.flows.arrears.facts import account_of
        from coulance.platform import clock

        content = collectors.fetch(
            account=account_of(account).id, act=act, actor=actor(), reason=reason, at=clock.now()
        )
    file.write_bytes(content)
    file.chmod(0o600)
    click.echo(f"{file}: {len(content)} bytes")


@arrears.command()
@click.argument("account")
@click.argument("act", type=int)
@_reason
def recall(account: str, act: int, reason: str) -> None:
    """Take hand-over ACT of ACCOUNT back: collecting goes on here, and doesn't hand it over again by itself."""
    with working_database():
        from coulance.flows.arrears import collectors
        from coulance.flows.arrears.facts import account_of
        from coulance.platform import clock

        collectors.recall(account=account_of(account).id, act=act, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"Act {act} is taken back. A task asks to tell whom it was handed to.")


@arrears.command()
@click.option("--done", type=int, help="Say that this task is done.")
@click.option("--note", default="", help="With --done: what was done; of a letter, how it was posted.")
def tasks(done: int | None, note: str) -> None:
    """Show what people have to do (letters to post, calls, what no driver can do), or say that one is done."""
    with working_database():
        from coulance.arrears import queries
        from coulance.flows.arrears import people
        from coulance.platform import clock

        if done is not None:
            people.finish_task(task=done, actor=actor(), note=note, at=clock.now())
            click.echo(f"Task {done} is done.")
            return
        rows = queries.tasks()
        for row in rows:
            click.echo(f"{row.id}  {row.since:%F}  {row.kind}: {row.what}")
        if not rows:
            click.echo("Nothing waits for anybody.")


def _but(amount: "Money", word: str) -> list[str]:
    return [f"{word} {amount}"] if amount.minor else []


arrears.add_command(risk)
