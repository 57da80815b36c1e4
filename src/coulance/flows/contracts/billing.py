"""From contracts to invoices: fees in advance, cards when they are sold, approved hours when their period is over.

What is charged is written first, once by its key; then all of a contract's charges become one invoice. Approved hours
are charged as the difference to what was charged before, so that late and corrected entries settle themselves: more
becomes a charge, less a credit note.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from coulance.catalog import queries as catalogs
from coulance.contracts import operations, queries
from coulance.contracts.errors import ContractsError, UnableToRecordError
from coulance.contracts.hours import approved_charge, hours
from coulance.contracts.queries import ChargeRow, ContractRow
from coulance.customers import queries as customers
from coulance.flows import payments
from coulance.flows.arrears import ordering
from coulance.flows.closing.paper import buyer_of
from coulance.flows.crediting import give_credit_note
from coulance.invoicing import crediting
from coulance.invoicing.numbering import issue_documents
from coulance.invoicing.writing import NewDocument, write_drafts
from coulance_core.contracts.bundles import Allocated, Lines
from coulance_core.contracts.hours import From, breakage
from coulance_core.contracts.terms import HOUR, Kind
from coulance_core.invoicing import (
    CARD_KIND,
    BillLine,
    CreditRequest,
    CreditType,
    DocumentKind,
    Seller,
    TaxTerms,
    assemble,
)
from coulance_core.kernel import Explanation, Money, Period

FEE, CARD, HOURS, BACK, EARLY = "fee", "card", "hours", "hours_back", "early"


class UnableToInvoiceError(ContractsError):
    """Charges that can't become an invoice now, and why; they stay written, and wait."""


def sell_card(*, key: str, product: str, card: str, from_: date, actor: str, at: datetime) -> str:
    """Sell an hour card (`card` names it once) on a contract, and invoice it at once; gives the invoice's number.

    A top-up is another card. Sold again by the same name nothing happens, and the number is given again.
    """
    with transaction.atomic():
        contract = operations.locked(key)
        if contract.kind is not Kind.CARD:
            raise UnableToRecordError(f"{key} is a contract of kind {contract.kind.value}: it has no cards")
        if (no := ordering.blocked(contract.account)) is not None:
            raise UnableToRecordError(no.words)
        if operations.buy_card(contract=contract, product=product, key=card, actor=actor, at=at, from_=from_):
            sold = contract.terms.card(product)
            until = contract.terms.card(product).months
            e = Explanation.build("contracts.card", terms=contract.version)
            e.fact("hours", Fraction(sold.seconds, HOUR), "h").fact("price", sold.price.amount, sold.price.currency)
            e.step("an hour", "divide", "price", "hours", unit=f"{sold.price.currency}/h")
            e.note(f"valid from {from_.isoformat()}" + (f" for {until} months" if until else ""))
            operations.record_charge(
                contract=contract, key=f"card/{card}", kind=CARD, starts_on=from_, ends_on=from_, amount=sold.price,
                explanation=e.freeze(), actor=actor, at=at,
            )  # fmt: skip
            invoice_charges(contract, actor=actor, at=at)
        (charge,) = [c for c in queries.charges([contract.id]) if c.key == f"card/{card}"]
    return charge.invoice


def take_card_back(*, key: str, card: str, reason: str, actor: str, at: datetime) -> str:
    """Take back a card that nothing was drawn on: credited whole; gives the credit note's number.

    Raises `UnableToRecordError` where hours of it were used.
    """
    with transaction.atomic():
        contract = operations.locked(key)
        found = hours(contract, queries.facts([contract.id])[contract.id], at)
        state = [c for c in (found.cards.cards if found.cards else ()) if c.card.key == card]
        if state and (state[0].used or state[0].lapsed):
            raise UnableToRecordError(f"{queries.hours_text(state[0].used)} of {card} are used: credit a part by hand")
        operations.take_card_back(contract=contract, key=card, actor=actor, reason=reason, at=at)
        (charge,) = [c for c in queries.charges([contract.id]) if c.key == f"card/{card}"]
        if charge.line is None or not charge.amount.minor:
            return ""
        return give_credit_note(
            number=charge.invoice, lines=[CreditRequest(charge.line, charge.amount)],
            credit_type=CreditType.CORRECTION, reason=reason, actor=actor, at=at,
        )  # fmt: skip


def charge_due(contract: ContractRow, *, actor: str, at: datetime) -> None:
    """Write what a contract owes by an instant: fees of periods that began, approved hours of those that ended."""
    periods = contract.periods(at)
    for period in periods:
        first, after = contract.day_of(period.start), contract.day_of(period.end)
        fee = contract.fee_on(first)
        if not contract.bills(period) or not fee.minor:
            continue
        bundled = contract.allocated_on(first)
        if bundled is not None:
            _charge_bundle(contract, bundled, first, after, actor=actor, at=at)
            continue
        e = Explanation.build("contracts.fee", terms=contract.version)
        e.fact("price", contract.price_on(first).amount, contract.currency).fact("seats", contract.seats_on(first))
        e.step("net", "multiply", "price", "seats", unit=contract.currency)
        operations.record_charge(
            contract=contract, key=f"fee/{contract.id}/{first.isoformat()}", kind=FEE, starts_on=first, ends_on=after,
            amount=fee, explanation=e.freeze(), actor=actor, at=at,
        )  # fmt: skip
    over = [p.end for p in periods if p.end <= at]
    if contract.ends_on is not None and contract.midnight(contract.ends_on) <= at:
        over.append(at)
    if over:
        _charge_hours(contract, over[-1], actor=actor, at=at)


def _charge_bundle(
    contract: ContractRow, bundled: Allocated, first: date, after: date, *, actor: str, at: datetime
) -> None:  # fmt: skip
    """A charge for each element of a bundle, its part of the price; the work's part may bring a card."""
    bundle = contract.terms.bundle
    for key, part in bundled.parts.items():
        element = bundle.element(key) if bundle is not None else None
        if element is None or not part.minor:
            continue
        e = Explanation.build("contracts.bundle_part", terms=contract.version).fact("net", part.amount, part.currency)
        why = e.note(f"{element.title}: its part of the bundle's price").child(bundled.explanation).freeze()
        kind, named = FEE, f"fee/{contract.id}/{first.isoformat()}/{key}"
        if element.card:
            card = f"bundle/{contract.id}/{first.isoformat()}"
            operations.buy_card(
                contract=contract, product=element.card, key=card, actor=actor, at=at, from_=first, price=part
            )
            kind, named = CARD, f"card/{card}"
        operations.record_charge(
            contract=contract, key=named, kind=kind, starts_on=first, ends_on=after, amount=part, explanation=why,
            actor=actor, at=at, element=key,
        )  # fmt: skip


def _charge_hours(contract: ContractRow, until: datetime, *, actor: str, at: datetime) -> None:
    facts = queries.facts([contract.id])[contract.id]
    total = approved_charge(contract, facts, hours(contract, facts, until))
    before = [c for c in queries.charges([contract.id]) if c.kind in (HOURS, BACK)]
    code = contract.currency
    billed = sum((c.amount if c.kind == HOURS else -c.amount for c in before), Money(0, code))
    change = total.amount - billed
    if not change.minor:
        return
    kind = HOURS if change.minor > 0 else BACK
    e = Explanation.build("contracts.hours_due", terms=contract.version)
    e.fact("all so far", total.amount.amount, code).fact("charged before", billed.amount, code)
    e.step("change", "subtract", "all so far", "charged before", unit=code).child(total.explanation)
    first = contract.day_of(before[-1].made_at) if before else contract.starts_on
    last = contract.day_of(until)
    made = operations.record_charge(
        contract=contract, key=f"hours/{contract.id}/{len(before) + 1}", kind=kind, starts_on=min(first, last),
        ends_on=last, amount=change if change.minor > 0 else -change, explanation=e.freeze(), actor=actor, at=at,
    )  # fmt: skip
    if made and kind == BACK:
        _give_back(contract, actor=actor, at=at)


def _give_back(contract: ContractRow, *, actor: str, at: datetime) -> None:
    """Credit hours that were charged and are no longer approved work, on the newest invoices first."""
    rows = queries.charges([contract.id])
    (back,) = [c for c in rows if c.kind == BACK and c.line is None]
    rest, note = back.amount, ""
    for charge in reversed([c for c in rows if c.kind == HOURS and c.line is not None]):
        left = next(one.left for one in crediting.creditable_lines(charge.invoice) if one.no == charge.line)
        part = min(rest, left)
        if part.minor and charge.line is not None:
            note = give_credit_note(
                number=charge.invoice, lines=[CreditRequest(charge.line, part)], credit_type=CreditType.CORRECTION,
                reason="work that was charged was corrected since", actor=actor, at=at,
            )  # fmt: skip
            rest = rest - part
        if not rest.minor:
            break
    if rest.minor:
        raise UnableToInvoiceError(f"{contract.key}: {rest} are to be given back, and no invoice has so much left")
    operations.put_on_invoice(charges=[(back.id, 1)], invoice=note)


def invoice_charges(contract: ContractRow, *, actor: str, at: datetime) -> str | None:
    """Make one invoice of a contract's charges that wait, numbered and booked; its number, or None for nothing to do.

    Raises `UnableToInvoiceError` where tax in another currency wants a rate: then they wait, and it is said.
    """
    waiting = [c for c in queries.charges([contract.id], waiting=True) if c.kind != BACK and c.amount.minor]
    if not waiting:
        return None
    catalog = catalogs.catalog()
    provider = catalog.provider
    (account,) = customers.accounts([contract.account])
    national = account.national_tax_currency or provider.national_currency
    if national and national != account.currency:
        raise UnableToInvoiceError(f"{contract.key}: tax in {national} wants an exchange rate, which nobody gave")
    today = at.astimezone(provider.zone_info).date()
    lines = _lines(contract, waiting)
    with transaction.atomic():
        draft = assemble(
            kind=DocumentKind.BASE_INVOICE,
            period_name=f"{today:%Y-%m}",
            period=_spanned(contract, waiting),
            seller=Seller.of(provider),
            buyer=buyer_of(account),
            lines=[_line(contract, rows) for rows in lines],
            terms=TaxTerms(catalog.tax, provider.prices, provider.tax_rounding, provider.rounding),
            issued_on=today,
            tax_point=min([today, *(one.starts_on for one in waiting if one.kind == FEE)]),
            payment_days=provider.payment_days,
        )
        (document,) = write_drafts(
            run=None, drafts=[NewDocument(account.id, draft)], purpose=f"contract/{contract.id}/{waiting[0].id}"
        )
        series = catalog.series["base"]
        issue_documents(ids=[document], series={series.key: series}, at=at)
        with connection.cursor() as cursor:
            cursor.execute("SELECT number FROM invoicing_document WHERE id = %s", [document])
            number: str = cursor.fetchone()[0]
        charges = [(one.id, no) for no, rows in enumerate(lines, 1) for one in rows]
        operations.put_on_invoice(charges=charges, invoice=number)
        payments.apply_on_hand(accounts=[account.id], actor=actor, reason=f"{number} was issued", at=at)
    return number


def _spanned(contract: ContractRow, rows: Sequence[ChargeRow]) -> Period:
    first = min(one.starts_on for one in rows)
    after = max(max(one.ends_on for one in rows), first + timedelta(days=1))
    return Period(contract.midnight(first), contract.midnight(after))


def _lines(contract: ContractRow, rows: Sequence[ChargeRow]) -> list[list[ChargeRow]]:
    """Charges by the line that they become: each its own, but a bundle's of one period where it prints as one."""
    bundle, found = contract.terms.bundle, dict[object, list[ChargeRow]]()
    for one in rows:
        joined = bundle is not None and bundle.lines is Lines.ONE and one.element
        found.setdefault(one.starts_on if joined else one.id, []).append(one)
    return list(found.values())


def _line(contract: ContractRow, rows: Sequence[ChargeRow]) -> BillLine:
    one, terms = rows[0], contract.terms
    element = terms.bundle.element(one.element) if terms.bundle is not None and one.element else None
    seats = contract.seats_on(one.starts_on) if one.kind == FEE and element is None else 1
    amount = sum((row.amount for row in rows), Money(0, contract.currency))
    words = {
        FEE: terms.title,
        CARD: f"{terms.title}: hour card",
        HOURS: f"{terms.title}: approved work until {one.ends_on.isoformat()}",
        EARLY: f"{terms.title}: early end",
    }[one.kind]
    if element is not None and len(rows) == 1:
        words = f"{terms.title}: {element.title}"
    return BillLine(
        kind=CARD_KIND if one.kind == CARD else "base",
        description=words,
        period=_spanned(contract, rows),
        quantity=Fraction(seats),
        unit="seat" if contract.kind is Kind.PER_SEAT and one.kind == FEE else "",
        unit_price=amount.amount / seats,
        amount=amount,
        tax_class=element.tax_class if element is not None and element.tax_class else terms.tax_class,
        explanation=_comes_to(rows, amount),
        plan_version=contract.version,
    )


def _comes_to(rows: Sequence[ChargeRow], amount: Money) -> Explanation:
    """Why a line is what it is: the charge's own explanation where it comes to a net, else how it does."""
    if len(rows) == 1 and "net" in rows[0].explanation.recompute():
        return rows[0].explanation
    e = Explanation.build("contracts.charge")
    for n, row in enumerate(rows, 1):
        e.fact(f"charge {n}", row.amount.amount, row.amount.currency, row.element).child(row.explanation)
    return e.step("net", "add", *(f"charge {n}" for n in range(1, len(rows) + 1)), unit=amount.currency).freeze()


def record_lapses(contract: ContractRow, *, at: datetime) -> int:
    """Write down hours of cards that ended unused, and what was paid for them; how many cards."""
    found = hours(contract, queries.facts([contract.id])[contract.id], at)
    made = 0
    for state in found.cards.cards if found.cards else ():
        if state.lapsed and state.card.until is not None:
            made += operations.record_lapse(
                card=state.card.key, seconds=state.lapsed, amount=breakage(state),
                on=state.card.until.astimezone(ZoneInfo(contract.zone)).date(), at=at,
            )  # fmt: skip
    return made


def absorbed(contract: ContractRow, at: datetime) -> int:
    """Seconds of work that nobody approved before it began: ours."""
    return hours(contract, queries.facts([contract.id])[contract.id], at).by(From.ABSORBED)
