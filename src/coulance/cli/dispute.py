"""`coulance dispute`: contested bills: the queue, a case with its evidence, opening, asking, deciding."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance.disputes.queries import CaseRow
    from coulance_core.disputes import Contest

GROUNDS = click.Choice(["quantity", "price", "not_agreed", "not_warned", "not_usable", "attack", "paid", "other"])
OUTCOMES = click.Choice(["upheld", "part", "rejected", "shared", "plan_change", "goodwill"])
_say = click.argument("text")


@click.group()
def dispute() -> None:
    """Work contested bills: only what is contested is held; the rest stays to be paid."""


@dispute.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too, the newest first.")
def list_(everything: bool) -> None:
    """Show open cases, what has to happen first on top."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.disputes import queries
        from coulance.platform import clock

        at = clock.now()
        rows = queries.cases(at=at) if everything else queries.queue(at=at)
        names = {one.id: one.external_id for one in customers.accounts({row.account for row in rows})}
        for row in rows:
            click.echo(f"{row.id}  {names[row.account]}  {row.number}  {row.gross}  {_stands(row, at)}")
        if not rows:
            click.echo("Nothing is contested.")


@dispute.command()
@click.argument("case", type=int)
@click.option("--explain", is_flag=True, help="Show the arithmetic of each line and of what is contested of it.")
def show(case: int, explain: bool) -> None:
    """Show a case as both sides see it."""
    with working_database():
        from coulance.flows.disputing import acting, working
        from coulance.flows.disputing.evidence import evidence_of
        from coulance.platform import clock

        at = clock.now()
        found = working.case_of(case=case, actor=acting.operator(actor()), at=at)
        seen = evidence_of(found, language="en", at=at, pictures=False)
        stays, due_on = working.to_pay(found)
        click.echo(
            f"Case {found.id} on {found.number}: {found.gross} contested ({found.grounds.value}), {_stands(found, at)}"
        )
        click.echo(f"To be paid of it now: {stays}, due {due_on}")
        for line in seen.lines:
            click.echo(
                f"Line {line.no}, {line.description}: {line.net} billed, {line.part.net} contested ({line.named})"
            )
            if explain:
                click.echo(line.why.render("  "))
                click.echo(line.part.explanation.render("  "))
        for step in found.steps:
            outcome = f" {step.outcome.value}" if step.outcome else ""
            click.echo(f"{step.at:%Y-%m-%d %H:%M} {step.kind.value}{outcome} by {step.by}: {step.text}")
        for one in seen.warnings:
            click.echo(f"Warned {one.at:%Y-%m-%d %H:%M} at {one.threshold} of {one.meter}: {one.proof or 'no mail'}")
        for consent in seen.consents:
            click.echo(f"Agreed {consent.given_at:%Y-%m-%d} by {consent.contact}: {consent.text_shown}")
        if seen.terms is not None:
            agreed = seen.terms.agreed
            click.echo(f"General terms {agreed.version} agreed {agreed.on} by {agreed.by}: {agreed.sha256}")
        for file in seen.files:
            click.echo(f"File {file.id}: {file.name}, {file.size} bytes (coulance dispute file {case} {file.id} PATH)")
        for other in seen.earlier:
            click.echo(f"Other case {other.id} on {other.number}: {other.state.value}")


@dispute.command("open")
@click.argument("number")
@click.option(
    "--line", "lines", multiple=True, required=True,
    help="A line: 2, or a part of it: 2=amount:50.00, 2=quantity:500, 2=days:2026-10-01..2026-10-15 (both included)."
    " 0, or 0=amount:50.00 with tax, is a bill that was taken over from another system.",
)  # fmt: skip
@click.option("--grounds", type=GROUNDS, required=True, help="What is wrong.")
@click.option("--reason", required=True, help="What the customer says.")
@click.option("--new-fact", default="", help="What is new, where it was contested before.")
@click.option("--contact", default="", help="Whom it is opened for, by external id.")
@click.option("--account", default="", help="Whose bill it is, where several from before have that number.")
def open_(
    number: str, lines: tuple[str, ...], grounds: str, reason: str, new_fact: str, contact: str, account: str
) -> None:
    """Open a case on an invoice, or a bill that was taken over, for a customer who called or wrote."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows.disputing import acting, debts, opening
        from coulance.platform import clock
        from coulance_core.disputes import Grounds

        found = debts.named(number, account=customers.account(account).id if account else None)
        if found is None:
            raise click.ClickException(f"there is no bill {number}, or several from before have that number: --account")
        (owner,) = customers.accounts([found.account])
        made = opening.open_dispute(
            document=found.document,
            opening=found.opening,
            contests=[_contest(line, found.currency, owner.zone) for line in lines],
            grounds=Grounds(grounds),
            reason=reason,
            new_fact=new_fact,
            contact=contact,
            actor=acting.operator(actor()),
            at=clock.now(),
        )
    click.echo(
        f"Case {made.case} is open: {made.preview.contested.gross} is contested, {made.preview.held} of it held;"
    )
    click.echo(f"{made.preview.stays} of {number} stays to be paid. Decide by {made.decide_by:%Y-%m-%d %H:%M} UTC.")


@dispute.command()
@click.argument("case", type=int)
@_say
def ask(case: int, text: str) -> None:
    """Ask the customer: our clock rests, and unanswered 14 days after they saw it the case closes."""
    _act("ask", case, text)


@dispute.command()
@click.argument("case", type=int)
@_say
def note(case: int, text: str) -> None:
    """Add something that both sides see."""
    _act("note", case, text)


@dispute.command()
@click.argument("case", type=int)
@_say
def answer(case: int, text: str) -> None:
    """Write down what the customer answered elsewhere."""
    _act("answer", case, text)


@dispute.command()
@click.argument("case", type=int)
@click.option("--reason", required=True, help="How they said it.")
def withdraw(case: int, reason: str) -> None:
    """Take a case back at the customer's word: what was held is to be paid."""
    _act("withdraw", case, reason)


@dispute.command()
@click.argument("case", type=int)
@_say
@click.option("--name", help="Who looks at it: begins a mediation.")
@click.option("--reference", help="Their reference.")
@click.option("--answer-by", type=click.DateTime(["%Y-%m-%d"]), help="When they expect to be done.")
@click.option("--done", is_flag=True, help="They are done, and said this.")
def mediate(case: int, text: str, name: str | None, reference: str | None, answer_by: Any, done: bool) -> None:
    """Let a third party look at it, or write down what they said."""
    if done == bool(name):
        raise click.UsageError("say --name and --reference to begin, or --done with what came of it")
    with working_database():
        from coulance.flows.disputing import acting, working
        from coulance.platform import clock

        who, at = acting.operator(actor()), clock.now()
        if done:
            working.end_mediation(case=case, text=text, actor=who, at=at)
        else:
            working.begin_mediation(
                case=case, name=name or "", reference=reference or "", text=text, actor=who, at=at,
                answer_by=answer_by.date() if answer_by else None,
            )  # fmt: skip
    click.echo(f"Case {case}: {'back with us' if done else f'with {name}'}.")


@dispute.command()
@click.argument("case", type=int)
@click.argument("outcome", type=OUTCOMES)
@click.option("--reason", required=True, help="What the customer reads.")
@click.option(
    "--amount", "amounts", multiple=True, help="Line and amount before tax: 1=20.00 (part, shared, goodwill)."
)
@click.option("--share", help="The share that is credited (shared): 1/2 or 0.5.")
@click.option("--plan", default="", help="The plan that takes the place of the overage (plan_change).")
@click.option("--service", default="", help="Whose plan, where the case is of several services.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def decide(
    case: int,
    outcome: str,
    reason: str,
    amounts: tuple[str, ...],
    share: str | None,
    plan: str,
    service: str,
    yes: bool,
) -> None:
    """Decide a case: shows the figures first, then credits, releases what was held, and tells the customer."""
    with working_database():
        from coulance.flows.disputing import acting, working
        from coulance.flows.disputing.deciding import Choice, decide_case, preview_decision
        from coulance.platform import clock
        from coulance_core.disputes import Outcome
        from coulance_core.kernel import exact

        who, at = acting.operator(actor()), clock.now()
        code = working.case_of(case=case, actor=who, at=at).gross.currency
        choice = Choice(
            Outcome(outcome),
            share=exact(share) if share else None,
            amounts=_amounts(amounts, code),
            plan=plan,
            service=service,
        )
        seen = preview_decision(case=case, choice=choice, reason=reason, actor=who, at=at)
        if seen.decision is not None:
            click.echo(seen.decision.explanation.render())
        click.echo(f"Credited, tax included: {seen.credited}. To be paid then: {seen.stays}, due {seen.due_on}.")
        if not yes and not click.confirm(f"Decide case {case} as {outcome} ({reason})?"):
            raise click.Abort
        done = decide_case(case=case, choice=choice, reason=reason, actor=who, at=clock.now())
    made = ", ".join([*done.credit_notes, *([done.invoice] if done.invoice else [])]) or "no document"
    click.echo(f"Case {case} is decided: {outcome}, by {made}.")


@dispute.command()
@click.argument("case", type=int)
@click.argument("number", type=int)
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def file(case: int, number: int, path: Path) -> None:
    """Write a file of a case to PATH; that it was read is kept."""
    if path.exists():
        raise click.UsageError(f"{path} is there already: give another path")
    with working_database():
        from coulance.flows.disputing import acting, working
        from coulance.platform import clock

        found = working.read_file(case=case, file=number, actor=acting.operator(actor()), at=clock.now())
    path.touch(mode=0o600)
    path.write_bytes(found.content)
    click.echo(f"{path}: {found.name}, SHA-256 {found.sha256}")


@dispute.command()
def lapse() -> None:
    """Close cases whose question stayed unanswered, as the worker does each hour; say how many wait for us too long."""
    with working_database():
        from coulance.flows.disputing import working
        from coulance.platform import clock

        at = clock.now()
        closed = working.lapse(at=at)
        late = working.watch(at=at)
    click.echo(f"Closed: {', '.join(map(str, closed)) or 'none'}. Late with us: {late}.")


def _act(name: str, case: int, text: str) -> None:
    with working_database():
        from coulance.flows.disputing import acting, working
        from coulance.platform import clock

        who, at = acting.operator(actor()), clock.now()
        if name == "withdraw":
            now = working.withdraw(case=case, reason=text, actor=who, at=at)
        else:
            act = {"ask": working.ask, "note": working.note, "answer": working.answer}[name]
            now = act(case=case, text=text, actor=who, at=at)
        click.echo(f"Case {case}: {_stands(now, at)}.")


def _stands(row: "CaseRow", at: Any) -> str:
    said = row.state.value + (f" ({row.outcome.value})" if row.outcome else "")
    if row.clock.due_at is not None:
        said += f", ours until {row.clock.due_at:%Y-%m-%d %H:%M}" + (", LATE" if row.clock.due_at <= at else "")
    if row.clock.lapses_at is not None:
        said += f", closes unanswered {row.clock.lapses_at:%Y-%m-%d %H:%M}"
    return said


def _contest(text: str, code: str, zone: str) -> "Contest":
    from datetime import date, timedelta
    from zoneinfo import ZoneInfo

    from coulance_core.disputes import Contest, Way
    from coulance_core.kernel import Money, Period, civil_midnight, exact

    number, _, part = text.partition("=")
    way, _, value = part.partition(":")
    try:
        line = int(number)
        if not part:
            return Contest(line)
        if way == "amount":
            return Contest(line, Way.AMOUNT, amount=Money.of(value, code))
        if way == "quantity":
            return Contest(line, Way.QUANTITY, quantity=exact(value))
        if way == "days":
            first, _, last = value.partition("..")
            place, after = ZoneInfo(zone), date.fromisoformat(last or first) + timedelta(days=1)
            period = Period(civil_midnight(date.fromisoformat(first), place), civil_midnight(after, place))
            return Contest(line, Way.PERIOD, period=period)
    except ValueError as error:
        raise click.BadParameter(f"{text}: {error}", param_hint="--line") from error
    raise click.BadParameter(f"{text}: expected 2, 2=amount:50.00, 2=quantity:500 or 2=days:..", param_hint="--line")


def _amounts(given: tuple[str, ...], code: str) -> "dict[int, Any] | None":
    from coulance_core.kernel import Money

    out: dict[int, Any] = {}
    for text in given:
        line, _, amount = text.partition("=")
        try:
            out[int(line)] = Money.of(amount, code)
        except ValueError as error:
            raise click.BadParameter(f"{text}: write 1=20.00", param_hint="--amount") from error
    return out or None
