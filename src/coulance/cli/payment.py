"""`coulance payment`: book money that came in or goes out, divide it, take it back, and check that it adds up."""

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from coulance.cli.operator import actor
from coulance.cli.session import working_database

if TYPE_CHECKING:
    from coulance_core.kernel import Money
    from coulance_core.payments import Allocation

DAY = click.DateTime(["%Y-%m-%d"])
METHODS = click.Choice(["bank", "cash", "card", "other"])
POLICIES = click.Choice(
    ["base_before_overage", "due_then_oldest", "oldest", "pro_rata", "most_onerous", "bw_6_43", "bw_6_44",
     "interest_costs_principal", "contract_then_law", "law_pack"]
)  # fmt: skip
_reason = click.option("--reason", required=True, help="Why; it stands in the audit log.")
_for = click.option(
    "--for", "named", multiple=True, help="A document number it is for, and how much if not all: B2026-17=50.00."
)


@click.group()
def payment() -> None:
    """Book money that came in or goes out, divide it over what is open, take it back."""


def _today() -> date:
    from coulance.catalog import queries as catalog
    from coulance.platform import clock

    return clock.now().astimezone(catalog.catalog().provider.zone_info).date()


def _day(given: datetime | None) -> date:
    return _today() if given is None else given.date()


def _amount(text: str, code: str, name: str) -> "Money":
    from coulance_core.kernel import Money

    try:
        return Money.of(text, code)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=name) from error


def _named(texts: tuple[str, ...], code: str) -> list[tuple[str, "Money | None"]]:
    out: list[tuple[str, Money | None]] = []
    for text in texts:
        number, _, amount = text.partition("=")
        out.append((number, _amount(amount, code, "--for") if amount else None))
    return out


def _key(given: str | None, what: str) -> str:
    """A source key: the one given, so that doing it twice does it once; else one of this moment."""
    from coulance.platform import clock

    return given or f"{what}/{clock.now().isoformat()}"


def _warn(account: int, done: "Allocation | None") -> None:
    """Say what is under way to the debts that were paid: whoever pays by hand may pay them twice."""
    from coulance.flows.rails.coming import coming
    from coulance.platform import clock

    refs = None if done is None else {part.ref for part in done.parts}
    for one in coming(account=account, on=clock.now().date(), refs=refs):
        click.echo(f"  careful: {one}", err=True)


def _show(done: "Allocation | None", explain: bool) -> None:
    if done is None:
        return
    numbers = {move.item.ref: move.item.number for move in done.moves}
    for part in done.parts:
        left = "paid" if part.left_open.minor == 0 else f"{part.left_open} still open"
        click.echo(f"  {part.amount} to {numbers[part.ref]} ({left})")
    if done.rest.minor:
        click.echo(f"  {done.rest} is not allocated: nothing is open for it")
    if explain:
        click.echo(done.explanation.render("  "))


@payment.command()
@click.argument("account")
@click.argument("amount")
@click.option("--on", type=DAY, help="The day it came in; default: today.")
@click.option("--method", type=METHODS, default="bank", show_default=True)
@_for
@click.option("--policy", type=POLICIES, help="Else as the provider file says.")
@click.option("--only", is_flag=True, help="What is left after --for stays unallocated.")
@click.option("--prepaid", is_flag=True, help="All of it goes to the prepaid balance.")
@click.option("--iban", default="", help="The payer's bank account; refunds go there.")
@click.option("--ref", default="", help="What the payer wrote.")
@click.option("--key", help="What it comes from, once: booking the same key again books nothing.")
@click.option("--explain", is_flag=True, help="Show how it was divided.")
@_reason
def book(
    account: str,
    amount: str,
    on: datetime | None,
    method: str,
    named: tuple[str, ...],
    policy: str | None,
    only: bool,
    prepaid: bool,
    iban: str,
    ref: str,
    key: str | None,
    explain: bool,
    reason: str,
) -> None:
    """Book AMOUNT that came in from ACCOUNT, and divide it over what it owes."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows import payments
        from coulance.payments.operations import NewReceipt
        from coulance.platform import clock
        from coulance_core.payments import AllocationPolicy, Method

        row = customers.account(account)
        money = _amount(amount, row.currency, "AMOUNT")
        booked = payments.book_payment(
            receipt=NewReceipt(
                account=row.id,
                amount=money,
                received_on=_day(on),
                method=Method(method),
                source_key=_key(key, "cli"),
                choice=tuple(payments.choices(account=row.id, named=_named(named, row.currency))),
                policy=AllocationPolicy(policy) if policy else None,
                beyond_choice=not only,
                prepaid=prepaid,
                payer_iban=iban.replace(" ", "").upper(),
                payer_ref=ref,
                reason=reason,
            ),
            actor=actor(),
            at=clock.now(),
        )
        if not booked.already and not prepaid:
            _warn(row.id, booked.allocation)
    if booked.already:
        click.echo(f"It was booked before, as receipt {booked.receipt}: nothing is done.")
        return
    click.echo(f"Receipt {booked.receipt}: {money} from {account}" + (" to the prepaid balance" if prepaid else ""))
    _show(booked.allocation, explain)


@payment.command()
@click.argument("receipt", type=int)
@_for
@click.option("--policy", type=POLICIES, help="Else as the provider file says.")
@click.option("--anew", is_flag=True, help="Take back where it went first, and begin again.")
@click.option("--prepaid", help="This amount of it goes to the prepaid balance instead.")
@click.option("--on", type=DAY, help="From which day it counts; default: today.")
@click.option("--explain", is_flag=True, help="Show how it was divided.")
@_reason
def allocate(
    receipt: int,
    named: tuple[str, ...],
    policy: str | None,
    anew: bool,
    prepaid: str | None,
    on: datetime | None,
    explain: bool,
    reason: str,
) -> None:
    """Divide what is left of a RECEIPT (its number): over --for, or by policy."""
    with working_database():
        from coulance.flows import payments
        from coulance.payments import queries
        from coulance.platform import clock
        from coulance_core.payments import AllocationPolicy, Choice

        found = queries.receipt(receipt=receipt)
        code = found.amount.currency
        chosen: list[Choice] = []
        for number, amount in _named(named, code):
            # With --anew its own items are open again; so a number may be of any of the account's items.
            refs = [item.ref for item in queries.items(account=found.account) if item.number == number]
            if not refs:
                raise click.BadParameter(f"the account has no document {number!r}", param_hint="--for")
            chosen.append(Choice(refs[0], amount))
        done = payments.allocate_payment(
            receipt=receipt,
            on=_day(on),
            choice=chosen,
            policy=AllocationPolicy(policy) if policy else None,
            anew=anew,
            prepaid=None if prepaid is None else _amount(prepaid, code, "--prepaid"),
            actor=actor(),
            reason=reason,
            at=clock.now(),
        )
        left = queries.receipt(receipt=receipt).left
    _show(done, explain)
    click.echo(f"{left} of receipt {receipt} is left.")


@payment.command()
@click.argument("what")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["bounced", "returned", "mistake"]),
    default="mistake",
    show_default=True,
    help="The bank took it back, it was sent back, or it never was.",
)
@click.option("--on", type=DAY, help="The day it was undone; default: today.")
@click.option("--reclaim", is_flag=True, help="What of a receipt was refunded becomes a debt of the customer.")
@_reason
def reverse(what: str, kind: str, on: datetime | None, reclaim: bool, reason: str) -> None:
    """Undo WHAT: a receipt (its number), allocation/N, refund/N or opening/N. History stays."""
    matched = re.fullmatch(r"(?:(receipt|allocation|refund|opening)/)?(\d+)", what)
    if not matched:
        raise click.BadParameter(
            f"expected a receipt's number, allocation/N, refund/N or opening/N, not {what!r}", param_hint="WHAT"
        )
    sort, number = matched[1] or "receipt", int(matched[2])
    with working_database():
        from coulance.flows import payments
        from coulance.platform import clock
        from coulance_core.payments import ReversalKind

        shared: dict[str, Any] = {"on": _day(on), "actor": actor(), "reason": reason, "at": clock.now()}
        undone = [number]
        if sort == "receipt":
            undone = payments.reverse_payment(receipt=number, kind=ReversalKind(kind), reclaim=reclaim, **shared)
        elif sort == "allocation":
            payments.reverse_allocation(allocation=number, **shared)
        elif sort == "refund":
            payments.reverse_refund(refund=number, kind=ReversalKind(kind), **shared)
        else:
            payments.reverse_opening(opening=number, **shared)
    click.echo(f"Undone: {sort}/{number}.")
    for more in undone[1:]:
        click.echo(f"Undone with it: receipt/{more}, which was drawn from the prepaid balance it had filled.")


@payment.command()
@click.argument("source")
@click.argument("amount")
@click.option("--method", type=METHODS, help="By which way; default: as it came.")
@click.option("--iban", default="", help="Where it goes; default: where it came from.")
@click.option("--on", type=DAY, help="The day it goes out; default: today.")
@click.option("--key", help="What it stands for, once: booking the same key again books nothing.")
@_reason
def refund(
    source: str, amount: str, method: str | None, iban: str, on: datetime | None, key: str | None, reason: str
) -> None:
    """Book AMOUNT paid back out of SOURCE: a receipt (its number), or an account's credit (credit:C1016).

    It records that the money goes out; your bank sends it.
    """
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows import payments
        from coulance.payments import queries
        from coulance.platform import clock
        from coulance_core.payments import Method

        shared: dict[str, Any] = {
            "refunded_on": _day(on),
            "source_key": _key(key, "cli-refund"),
            "iban": iban,
            "actor": actor(),
            "reason": reason,
            "at": clock.now(),
        }
        if source.startswith("credit:"):
            row = customers.account(source.removeprefix("credit:"))
            money = _amount(amount, row.currency, "AMOUNT")
            made = payments.refund_credit(account=row.id, amount=money, method=Method(method or "bank"), **shared)
        elif source.isdigit():
            found = queries.receipt(receipt=int(source))
            money = _amount(amount, found.amount.currency, "AMOUNT")
            made = payments.refund_payment(
                receipt=found.id, amount=money, method=None if method is None else Method(method), **shared
            )
        else:
            raise click.BadParameter(f"expected a receipt's number or credit:ACCOUNT, not {source!r}")
        to = next((row.iban for row in queries.refunds() if row.id == made), "")
    click.echo(f"Refund {made}: {money} out of {source}" + (f" to {to}" if to else ""))


@payment.command()
@click.argument("account")
@_for
@click.option("--on", type=DAY, help="From which day it counts; default: today.")
@click.option("--key", help="What it stands for, once.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@_reason
def writeoff(
    account: str, named: tuple[str, ...], on: datetime | None, key: str | None, yes: bool, reason: str
) -> None:
    """Give up what ACCOUNT owes on the documents named by --for, as a bad debt. Its tax stays as declared."""
    if not named:
        raise click.UsageError("name what is given up: --for B2026-17, or --for B2026-17=50.00 for a part")
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows import payments
        from coulance.platform import clock

        row = customers.account(account)
        items = payments.choices(account=row.id, named=_named(named, row.currency))
        if not yes and not click.confirm(f"Write off {', '.join(named)} of {row.name} ({reason})?"):
            raise click.Abort
        done = payments.write_off(
            account=row.id,
            items=items,
            on=_day(on),
            source_key=_key(key, "cli-write-off"),
            currency=row.currency,
            actor=actor(),
            reason=reason,
            at=clock.now(),
        )
    click.echo(f"Written off as receipt {done.receipt}; undo it with: coulance payment reverse {done.receipt}")
    _show(done.allocation, explain=False)


@payment.command()
@click.argument("account")
@click.argument("amount")
@_for
@click.option("--on", type=DAY, help="From which day it counts; default: today.")
@click.option("--key", help="What it stands for, once.")
@_reason
def draw(account: str, amount: str, named: tuple[str, ...], on: datetime | None, key: str | None, reason: str) -> None:
    """Pay what ACCOUNT owes out of its prepaid balance."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows import payments
        from coulance.platform import clock

        row = customers.account(account)
        booked = payments.draw_prepaid(
            account=row.id,
            amount=_amount(amount, row.currency, "AMOUNT"),
            drawn_on=_day(on),
            source_key=_key(key, "cli-draw"),
            choice=payments.choices(account=row.id, named=_named(named, row.currency)),
            actor=actor(),
            reason=reason,
            at=clock.now(),
        )
    click.echo(f"Receipt {booked.receipt}: drawn from the prepaid balance of {account}")
    _show(booked.allocation, explain=False)


@payment.command()
@click.argument("accounts", nargs=-1)
@click.option("--on", type=DAY, help="From which day it counts; default: today.")
@click.option("--reason", default="money on hand set against what is open", show_default=True)
def settle(accounts: tuple[str, ...], on: datetime | None, reason: str) -> None:
    """Use money on hand, credit and prepaid balances of ACCOUNTS (none: all that have any) for what they owe."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.flows import payments
        from coulance.payments import statements
        from coulance.platform import clock

        day = _day(on)
        aged = statements.aged_accounts(on=day)
        ids = (
            [customers.account(account).id for account in accounts]
            if accounts
            else [one.account for one in aged if one.ages.unallocated.minor > 0 or one.ages.credit.minor > 0]
        )
        done = payments.settle(accounts=ids, on=day, actor=actor(), reason=reason, at=clock.now())
        names = {row.id: row.external_id for row in customers.accounts(list(done))}
    for account, made in done.items():
        click.echo(f"{names[account]}:")
        for allocation in made:
            _show(allocation, explain=False)
    if not done:
        click.echo("Nothing to settle.")


@payment.command(name="list")
@click.argument("account", required=False)
@click.option("--left", is_flag=True, help="Only receipts with something left.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 10000))
def list_(account: str | None, left: bool, limit: int) -> None:
    """List receipts, the newest first, with where each went; of ACCOUNT, or of all."""
    with working_database():
        from coulance.customers import queries as customers
        from coulance.payments import queries

        owner = None if account is None else [customers.account(account).id]
        rows = queries.receipts(accounts=owner, with_left=left, limit=limit)
        parts = queries.allocations(receipts=[row.id for row in rows], undone=True)
        back = queries.refunds(receipts=[row.id for row in rows])
        names = {row.id: row.external_id for row in customers.accounts({row.account for row in rows})}
    for row in rows:
        undone = f"  undone {row.reversed_on}" if row.reversed_on else ""
        left_over = f"  {row.left} left" if row.left.minor else ""
        what = f"{names[row.account]:<12}  {row.method.value:<9}  {row.amount}"
        click.echo(f"{row.id:>7}  {row.received_on}  {what}{left_over}{undone}")
        for part in parts:
            if part.receipt == row.id:
                gone = f"  undone {part.reversed_on}: {part.reversed_why}" if part.reversed_on else ""
                click.echo(f"         allocation/{part.id}: {part.amount} to {part.number or part.ref}{gone}")
        for paid in back:
            if paid.receipt == row.id:
                gone = f"  undone {paid.reversed_on}" if paid.reversed_on else ""
                click.echo(
                    f"         refund/{paid.id}: {paid.amount} on {paid.refunded_on} to {paid.iban or '-'}{gone}"
                )
    if not rows:
        click.echo("No receipts.")


@payment.command()
def check() -> None:
    """Hold every receipt, allocation, refund and item taken over against the books; say what differs."""
    with working_database():
        from coulance.payments.check import check_payments

        faults = list(check_payments())
    for fault in faults[:20]:
        click.echo(str(fault))
    if faults:
        raise click.ClickException(f"{len(faults)} fault(s) in payments; compare with a backup before anything else")
    click.echo("Payments are sound: open items, money on hand and prepaid balances are the books', to the cent.")
