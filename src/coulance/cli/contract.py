"""`coulance contract`: service contracts: agreed, worked, approved, billed, judged for both sides."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

WORK = click.Choice(["corrective", "adaptive", "perfective", "preventive"])
_DAY = click.DateTime(["%Y-%m-%d"])
_key = click.argument("key")
_reason = click.option("--reason", required=True, help="Why; it is kept.")


@click.group()
def contract() -> None:
    """Look after service contracts: hour cards, retainers, work, leave, fairness."""


@contract.command("list")
def list_() -> None:
    """Show contracts, the hours they have left, and when their term ends."""
    with working_database():
        from coulance.contracts import queries
        from coulance.contracts.hours import hours
        from coulance.customers import queries as customers
        from coulance.platform import clock

        at = clock.now()
        rows = queries.contracts()
        names = {one.id: one.external_id for one in customers.accounts({row.account for row in rows})}
        facts = queries.facts([row.id for row in rows])
        for row in rows:
            left = hours(row, facts[row.id], at).left
            term = row.term_on(row.day_of(at))
            said = f"{queries.hours_text(left)} left" if left is not None else row.kind.value
            until = f"ends {row.ends_on}" if row.ends_on else f"term until {term.end}" if term else "ended"
            click.echo(f"{row.key}  {names[row.account]}  {row.version}  {row.fee_on(row.day_of(at))}  {said}  {until}")
        if not rows:
            click.echo("No contracts. Terms go into [[contracts.terms]]; then: coulance contract agree")


@contract.command()
@_key
def show(key: str) -> None:
    """Show a contract: every minute and what paid for it, leave, charges, credits."""
    with working_database():
        from coulance.contracts import queries
        from coulance.contracts.hours import hours
        from coulance.platform import clock

        at = clock.now()
        row = queries.contract(key)
        facts = queries.facts([row.id])[row.id]
        found = hours(row, facts, at)
        click.echo(f"{row.key}: {row.terms.title} ({row.version}), {row.kind.value}, since {row.starts_on}")
        for state in found.cards.cards if found.cards else ():
            until = f" until {state.card.until:%Y-%m-%d}" if state.card.until else ""
            left, used = queries.hours_text(state.left), queries.hours_text(state.used)
            click.echo(
                f"Card {state.card.key}: {left} left, {used} used, {queries.hours_text(state.lapsed)} lapsed{until}"
            )
        for period in found.pool.periods if found.pool else ():
            carried, used = queries.hours_text(period.carried_in), queries.hours_text(period.used)
            click.echo(f"From {period.period.start:%Y-%m-%d}: {used} used, {carried} carried in")
        for one in facts.work:
            paid = ", ".join(f"{queries.hours_text(d.seconds)} {d.by.value}" for d in found.of(one.entry.key))
            click.echo(f"{one.entry.began_at:%Y-%m-%d %H:%M} {one.who}: {one.text or one.entry.work.value}: {paid}")
        for leave in facts.leave:
            stands = {None: "waits", True: "approved", False: "refused"}[leave.approved]
            click.echo(
                f"Leave {leave.key}: {queries.hours_text(leave.seconds)} at {leave.rate}, {stands}: {leave.text}"
            )
        for charge in queries.charges([row.id]):
            click.echo(f"Charge {charge.kind} {charge.starts_on}: {charge.amount} {charge.invoice or 'waits'}")
        for credit in queries.credits_of([row.id]):
            click.echo(f"Credit {credit.period_start}: {credit.amount} {credit.credit_note or 'waits'}")


@contract.command()
@_key
@click.option("--account", required=True, help="The customer's external id.")
@click.option("--terms", required=True, help="The name of [[contracts.terms]].")
@click.option("--from", "starts_on", type=_DAY, required=True, help="Its first day.")
@click.option("--price", help="In place of the terms' own: 80.00.")
@click.option("--seats", type=int, default=1, help="Seats, for a contract per seat.")
@click.option("--element", "elements", multiple=True, help="Of a bundle, which service an element is: hosting=vps-17.")
@click.option("--reason", default="", help="Why the price is another.")
def agree(
    key: str, account: str, terms: str, starts_on: datetime, price: str | None, seats: int, elements: tuple[str, ...],
    reason: str,
) -> None:  # fmt: skip
    """Agree contract KEY with a customer, on the terms in force on its first day."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows.contracts import changing
        from coulance.platform import clock

        made = changing.agree(
            key=key, account=account, terms=terms, starts_on=starts_on.date(),
            price=_money(price, customers.account(account).currency) if price else None, seats=seats, actor=actor(),
            elements=dict(_element(one) for one in elements), at=clock.now(), reason=reason,
        )  # fmt: skip
    click.echo(f"{key}: {made.version} for {account}, from {made.starts_on}.")


@contract.command()
@_key
@click.argument("product")
@click.option("--name", required=True, help="What names this card once: an order's number.")
@click.option("--from", "from_", type=_DAY, help="Usable from this day (today).")
def card(key: str, product: str, name: str, from_: datetime | None) -> None:
    """Sell a card of the contract's terms, and invoice it at once. A top-up is another card."""
    with working_database():
        from coulance.contracts import queries
        from coulance.flows.contracts import billing
        from coulance.platform import clock

        at = clock.now()
        day = from_.date() if from_ else queries.contract(key).day_of(at)
        number = billing.sell_card(key=key, product=product, card=name, from_=day, actor=actor(), at=at)
    click.echo(f"Card {name} on {key}: invoice {number or 'none, it costs nothing'}.")


@contract.command("card-back")
@_key
@click.argument("name")
@_reason
def card_back(key: str, name: str, reason: str) -> None:
    """Take back a card that nothing was drawn on, and credit it whole."""
    with working_database():
        from coulance.flows.contracts import billing
        from coulance.platform import clock

        number = billing.take_card_back(key=key, card=name, reason=reason, actor=actor(), at=clock.now())
    click.echo(f"Card {name} is taken back: credit note {number or 'none'}.")


@contract.command()
@_key
@click.argument("minutes", type=click.IntRange(0))
@click.option("--began", required=True, help="When it began: 2026-05-04T09:30+02:00.")
@click.option("--who", required=True, help="Who did it.")
@click.option("--work", type=WORK, default="corrective", help="Its class: decides what covers it.")
@click.option("--text", default="", help="What was done; the customer reads it.")
@click.option("--free", is_flag=True, help="Given away: logged, shown, draws nothing.")
@click.option("--name", help="What names the entry once (who and when it began).")
@click.option("--reason", default="", help="Why, for a correction of an entry that is there.")
def work(
    key: str, minutes: int, began: str, who: str, work: str, text: str, free: bool, name: str | None, reason: str
) -> None:
    """Write down MINUTES of work on a contract, or correct an entry by its name."""
    with working_database():
        from coulance.contracts import queries, working
        from coulance.contracts.working import NewWork
        from coulance.platform import clock
        from coulance_core.contracts.terms import Work

        at = clock.now()
        row = queries.contract(key)
        try:
            instant = datetime.fromisoformat(began)
        except ValueError as error:
            raise click.BadParameter(f"{began}: expected 2026-05-04T09:30+02:00", param_hint="--began") from error
        if instant.tzinfo is None:
            raise click.BadParameter(f"{began}: say its offset, as 2026-05-04T09:30+02:00", param_hint="--began")
        one = NewWork(
            row.id, name or f"cli/{who}/{instant.isoformat()}", instant, minutes * 60, who, Work(work), free, text
        )
        done = working.record_work(work=[one], actor=actor(), at=at, reason=reason)
        click.echo(f"{one.key}: {'new' if done.new else 'corrected' if done.corrected else 'there already'}.")


@contract.command("work-out")
@click.argument("name")
@_reason
def work_out(name: str, reason: str) -> None:
    """Take an entry out of what counts; its history stays."""
    with working_database():
        from coulance.contracts import working
        from coulance.platform import clock

        working.remove_work(key=name, actor=actor(), reason=reason, at=clock.now())
    click.echo(f"{name} counts no more.")


@contract.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--form", type=click.Choice(["plain", "kimai", "toggl"]), default="plain", help="Whose export it is.")
@click.option(
    "--contract", "key", default="", help="Whose all lines are; else each names it (contract, project, client)."
)
@click.option("--work", type=WORK, default="corrective", help="The class where a line names none.")
@click.option("--zone", help="The zone of local times (the provider's).")
@click.option("--reason", default="", help="Why, where lines correct entries that are there.")
def import_(path: Path, form: str, key: str, work: str, zone: str | None, reason: str) -> None:
    """Write down time entries from a CSV file: all of it, or nothing and every fault with its line."""
    with working_database():
        from coulance.catalog import queries as catalogs
        from coulance.flows.contracts import importing
        from coulance.platform import clock
        from coulance_core.contracts.terms import Work

        try:
            done = importing.import_work(
                text=path.read_text("utf-8-sig"), form=form, contract=key, work=Work(work),
                zone=zone or catalogs.catalog().provider.zone, actor=actor(), at=clock.now(), reason=reason,
            )  # fmt: skip
        except importing.UnableToImportError as error:
            for line, what in error.faults:
                click.echo(f"{path}:{line}: {what}", err=True)
            raise click.ClickException(f"{len(error.faults)} faults: nothing was written") from error
    click.echo(f"{done.new} new, {done.corrected} corrected, {done.known} there already.")


@contract.command()
@_key
@click.argument("minutes", type=click.IntRange(1))
@click.argument("text")
@click.option("--rate", help="Of an hour, in place of the contract's: 95.00.")
@click.option("--days", type=click.IntRange(1, 366), help="How long it may be answered and used.")
def ask(key: str, minutes: int, text: str, rate: str | None, days: int | None) -> None:
    """Ask the customer for leave for work beyond cover, by one link: before it begins, or it isn't charged."""
    with working_database():
        from coulance.contracts import queries
        from coulance.flows.contracts import asking
        from coulance.platform import clock

        money = _money(rate, queries.contract(key).currency) if rate else None
        asked = asking.ask(
            key=key, seconds=minutes * 60, text=text, rate=money, days=days, actor=actor(), at=clock.now()
        )
    click.echo(
        f"Leave {asked.leave.key} is asked of {asked.told}; it can be answered until {asked.leave.until:%Y-%m-%d}."
    )


@contract.command()
@_key
@click.argument("before")
@click.argument("now")
@click.option("--from", "on", type=_DAY, required=True, help="The first day of the new price.")
@_reason
@click.option("--yes", is_flag=True, help="Don't ask.")
def index(key: str, before: str, now: str, on: datetime, reason: str, yes: bool) -> None:
    """Index a contract's price by how an index moved from BEFORE to NOW; shows the arithmetic first."""
    with working_database():
        from coulance.flows.contracts import changing
        from coulance.platform import clock
        from coulance_core.kernel import exact

        seen = changing.indexation(key=key, before=exact(before), now=exact(now))
        click.echo(seen.explanation.render())
        if not yes and not click.confirm(f"{key} costs {seen.price} from {on:%Y-%m-%d}?"):
            raise click.Abort
        changing.index_price(
            key=key, before=exact(before), now=exact(now), on=on.date(), reason=reason, actor=actor(), at=clock.now()
        )
    click.echo(f"{key} costs {seen.price} from {on:%Y-%m-%d}.")


@contract.command()
@_key
@click.argument("price")
@click.option("--from", "on", type=_DAY, required=True, help="The first day of the new price.")
@_reason
def price(key: str, price: str, on: datetime, reason: str) -> None:
    """Agree another price from a day on, or take an indexation back."""
    with working_database():
        from coulance.contracts import queries
        from coulance.flows.contracts import changing
        from coulance.platform import clock

        money = _money(price, queries.contract(key).currency)
        changing.set_price(key=key, price=money, on=on.date(), reason=reason, actor=actor(), at=clock.now())
    click.echo(f"{key} costs {money} from {on:%Y-%m-%d}.")


@contract.command()
@_key
@_reason
@click.option("--early", type=_DAY, help="End on this day, for the fee its terms say.")
@click.option("--back", is_flag=True, help="Take the notice back: it goes on.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def end(key: str, reason: str, early: datetime | None, back: bool, yes: bool) -> None:
    """Write down notice that came in: says when it ends by its terms."""
    with working_database():
        from coulance.contracts import queries
        from coulance.flows.contracts import changing
        from coulance.platform import clock

        at = clock.now()
        if back:
            changing.take_notice_back(key=key, reason=reason, actor=actor(), at=at)
            said = "goes on"
        elif early:
            fee = changing.early_end(queries.contract(key), early.date())
            if not yes and not click.confirm(f"{key} ends on {early:%Y-%m-%d}, for {fee}?"):
                raise click.Abort
            changing.end_early(key=key, leaves=early.date(), reason=reason, actor=actor(), at=at)
            said = f"ends on {early:%Y-%m-%d}; {fee} are charged"
        else:
            said = f"ends on {changing.give_notice(key=key, reason=reason, actor=actor(), at=at)}"
    click.echo(f"{key} {said}.")


@contract.command("element-end")
@_key
@click.argument("element")
@click.option("--on", type=_DAY, help="It ends with the first fee period from this day on.")
@click.option("--back", is_flag=True, help="Take it back: it goes on.")
@_reason
def element_end(key: str, element: str, on: datetime | None, back: bool, reason: str) -> None:
    """End one ELEMENT of a bundle; its service is billed by its plan from then on."""
    if back == bool(on):
        raise click.UsageError("say --on a day, or --back")
    with working_database():
        from coulance.contracts import queries
        from coulance.flows.contracts import bundling
        from coulance.platform import clock

        at = clock.now()
        if on is None:
            bundling.take_element_back(key=key, element=element, reason=reason, actor=actor(), at=at)
            click.echo(f"{element} of {key} goes on.")
            return
        first = bundling.end_element(key=key, element=element, on=on.date(), reason=reason, actor=actor(), at=at)
        click.echo(
            f"{element} of {key} ends on {first}; from then on {key} costs {queries.contract(key).fee_on(first)}."
        )


@contract.command()
@_key
@click.argument("number", type=click.IntRange(1))
@click.option("--from", "on", type=_DAY, required=True, help="From this day; fees of periods that began stay.")
@_reason
def seats(key: str, number: int, on: datetime, reason: str) -> None:
    """Agree another NUMBER of seats."""
    with working_database():
        from coulance.flows.contracts import changing
        from coulance.platform import clock

        changing.set_seats(key=key, seats=number, on=on.date(), reason=reason, actor=actor(), at=clock.now())
    click.echo(f"{key} has {number} seats from {on:%Y-%m-%d}.")


@contract.command()
def run() -> None:
    """Do today's round as the worker does: charge, invoice, credit missed responses, warn, ask."""
    with working_database():
        from coulance.flows.contracts import running
        from coulance.platform import clock

        done = running.run(at=clock.now(), actor=actor())
    click.echo(
        f"{done.contracts} contracts: {done.invoices} invoices, {done.credits} credits, {done.mails} mails, "
        f"{done.failed} failed."
    )
    if done.failed:
        raise SystemExit(1)


@contract.command()
def unearned() -> None:
    """Show what is owed in work on hour cards, by contract, beside the journal; fails where the two differ."""
    with working_database():
        from coulance.contracts.queries import hours_text
        from coulance.flows.contracts import earning
        from coulance.platform import clock

        rows = earning.outstanding(at=clock.now())
        totals: dict[str, Any] = {}
        for one in rows:
            waits = "" if one.booked else "  (not all is booked yet: coulance contract run)"
            click.echo(
                f"{one.contract}  {hours_text(one.seconds)} left  owed {one.owed}  used {one.used}  "
                f"lapsed {one.lapsed}{waits}"
            )
            totals[one.owed.currency] = (
                totals[one.owed.currency] + one.owed if one.owed.currency in totals else one.owed
            )
        for total in totals.values():
            click.echo(f"In all {total} are owed in hours.")
        faults = [str(fault) for fault in earning.check_hours()]
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise click.ClickException("the journal owes something else than the cards say")
    click.echo(
        "The journal owes what was booked of the cards." if rows else "No cards that are booked as owed in work."
    )


@contract.command()
@click.argument("key", required=False)
@click.option("--all", "everything", is_flag=True, help="Every contract, and the portfolio's bad year.")
@click.option("--seed", type=int, default=1, help="Names the draws of the bad year, so that they can be drawn again.")
@click.option("--worth", is_flag=True, help="With --all: the arithmetic of what the recurring revenue is worth.")
def fairness(key: str | None, everything: bool, seed: int, worth: bool) -> None:
    """Say whether a contract is fair, and to whom not: what was paid, used, and is expected; and a price for a year."""
    if bool(key) == everything:
        raise click.UsageError("name a contract, or say --all")
    with working_database():
        from coulance.flows.contracts import by_period
        from coulance.flows.contracts import fairness as judging
        from coulance.platform import clock

        at = clock.now()
        if key:
            one = judging.judge_one(key, at=at)
            _judged(one)
            click.echo(one.fairness.explanation.render("  "))
            click.echo(one.advice.explanation.render("  "))
            for q in by_period.quarters(one.contract, at=at):
                figures = ", ".join(
                    f"{name} {float(value):.2f}"
                    for name, value in (
                        ("paid", q.paid), ("hours", q.hours), ("free", q.free), ("lapsed", q.lapsed),
                        ("by the hour", q.by_hour), ("cost", q.cost), ("we", q.we), ("they", q.they),
                    )
                )  # fmt: skip
                click.echo(f"{q.start} to {q.end}: {figures}")
            return
        for portfolio in judging.judge_all(at=at, seed=seed):
            for one in portfolio.contracts:
                _judged(one)
            share = round(float(portfolio.share) * 100)
            click.echo(f"{portfolio.currency}: {portfolio.recurring} recur in a year, {share} % of all.")
            goes_on = round(float(portfolio.worth.goes_on) * 100)
            click.echo(
                f"That is worth {portfolio.worth.amount}: its margin, {goes_on} % going on another year. Why: --worth"
            )
            if worth:
                click.echo(portfolio.worth.explanation.render("  "))
            if portfolio.year is not None:
                year = portfolio.year
                click.echo(
                    f"A year's profit: {year.mean:.2f} expected; {year.at(0.05):.2f} in the bad year of twenty; "
                    f"a loss in {year.bad * 100:.1f} % of years."
                )


def _judged(one: Any) -> None:
    from django.utils import translation

    from coulance.flows.contracts import wording

    with translation.override("en"):
        verdict = wording.verdict(one.fairness.verdict)
    fair = one.fairness
    code = one.contract.currency
    click.echo(
        f"{one.contract.key}: {verdict}. So far we are at {float(fair.provider):+.2f} {code}, they at "
        f"{float(fair.customer):+.2f}; expected of a year {float(fair.expected_provider):+.2f} and "
        f"{float(fair.expected_customer):+.2f} (credibility {float(one.expected.credibility):.2f}). "
        f"Price {one.price}, advised {one.advice.price}."
    )


def _element(text: str) -> tuple[str, str]:
    key, equals, service = text.partition("=")
    if not equals or not key or not service:
        raise click.BadParameter(f"{text}: expected element=service, such as hosting=vps-17", param_hint="--element")
    return key, service


def _money(text: str, code: str) -> Any:
    from coulance_core.kernel import Money

    try:
        return Money.of(text, code)
    except ValueError as error:
        raise click.BadParameter(f"{text}: expected an amount such as 95.00") from error
