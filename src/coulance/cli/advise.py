"""`coulance advise`: the cheapest plan for what a service used, and the larger plan instead of an overage bill."""

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database


@click.command()
@click.argument("service", required=False)
@click.option("--periods", type=click.IntRange(1, 36), help="How many whole periods to compare. Default: [advice].")
@click.option("--all", "everyone", is_flag=True, help="All services instead of one; with --repeat-payers.")
@click.option("--repeat-payers", is_flag=True, help="Only those who paid overage in most of their last periods.")
@click.option("--note-told", is_flag=True, help="Note that those advised are told now: not again for some periods.")
@click.option("--mail", is_flag=True, help="With --repeat-payers: mail them now, and note that they are told.")
@click.option("--instead-of", "number", help="An overage invoice: what larger plans would have cost instead.")
@click.option("--accept", "plan", help="With --instead-of and SERVICE: take this plan for that period.")
@click.option("--reason", default="", help="Who accepted it, and how; it stands in the audit log.")
@click.option("--explain", is_flag=True, help="Show the arithmetic.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def advise(
    service: str | None,
    periods: int | None,
    everyone: bool,
    repeat_payers: bool,
    note_told: bool,
    mail: bool,
    number: str | None,
    plan: str | None,
    reason: str,
    explain: bool,
    yes: bool,
) -> None:
    """Say which plan is the cheapest for what a service used, or would have been instead of a bill."""
    if number is not None and not everyone:
        return _instead(number, service, plan, reason, yes, explain)
    if plan is not None:
        raise click.UsageError("--accept takes a plan instead of an invoice: say which with --instead-of")
    if everyone != repeat_payers or (service is None) != everyone or number is not None:
        raise click.UsageError("say a SERVICE, or --all --repeat-payers, or --instead-of NUMBER")
    if mail and not repeat_payers:
        raise click.UsageError("--mail goes with --all --repeat-payers")
    with working_database():
        from coulance.flows import advice
        from coulance.flows.fair_wording import advice_text
        from coulance.platform import clock
        from coulance_core.overage.advice import Verdict

        at = clock.now()
        if service is not None:
            found = advice.advise(service=service, at=at, periods=periods)
            shown = found.comparison.ranked
            wide = max(len(record.version.plan) for record in shown)
            click.echo(
                f"{found.service.name}, the last {len(shown[0].measured)} periods to {found.through}, before tax:"
            )
            for record in shown:
                here = "  (now)" if record is found.comparison.present else ""
                ahead = "".join(f"  forecast {cost.period}: {cost.net}" for cost in record.ahead)
                click.echo(f"  {record.version.plan:<{wide}}  {record.total.decimal():>12}{here}{ahead}")
            for name, why in found.comparison.left_out:
                click.echo(f"  {name} is not compared: {why}")
            click.echo(advice_text(found.advice, present=found.comparison.present.version.name, language="en"))
            if explain:
                click.echo(found.advice.explanation.render())
            if note_told:
                advice.note_told(found, actor=actor(), at=at)
            return None
        if mail:
            from coulance.flows import advising

            done = advising.tell_repeat_payers(at=at, actor=actor(), even_if_off=True)
            for name, why in done.left_out:
                click.echo(f"{name}: not told: {why}")
            click.echo(f"Mailed: {len(done.told)}. {', '.join(done.told)}".rstrip())
            return None
        count = 0
        for one in advice.repeat_payers(at=at):
            if one.advice.verdict is Verdict.TOLD:
                click.echo(f"{one.service.external_id}: told before, not again yet")
                continue
            text = advice_text(one.advice, present=one.comparison.present.version.name, language="en")
            click.echo(f"{one.service.external_id}: {text}")
            if note_told and one.advice.verdict is Verdict.CHANGE:
                count += advice.note_told(one, actor=actor(), at=at)
        if note_told:
            click.echo(f"Noted as told: {count}.")
    return None


def _instead(number: str, service: str | None, plan: str | None, reason: str, yes: bool, explain: bool) -> None:
    with working_database():
        from coulance.flows.fair_wording import offer_text
        from coulance.flows.retroactive import accept_plan, plan_offers
        from coulance.platform import clock

        if plan is None:
            for one in plan_offers(number=number):
                if service is not None and one.service != service:
                    continue
                click.echo(f"{one.service}: {one.overage} of overage is open to choice. {one.why_none}".rstrip())
                for offer in one.offers:
                    click.echo(f"\n{offer_text(offer, language='en')}")
                    if explain:
                        click.echo(offer.explanation.render())
            return
        if service is None:
            raise click.UsageError("say for which SERVICE the plan is taken")
        if not yes and not click.confirm(f"Take {plan} for {service} instead of its overage on {number} ({reason})?"):
            raise click.Abort
        taken = accept_plan(number=number, service=service, plan=plan, reason=reason, actor=actor(), at=clock.now())
        click.echo(
            f"{taken.credit_note} gives back {taken.offer.overage}"
            + (f"; {taken.invoice} bills the difference, {taken.offer.difference}" if taken.invoice else "")
            + f". From {taken.offer.reverts_on.isoformat()} it is on {taken.offer.present.name} again."
        )
