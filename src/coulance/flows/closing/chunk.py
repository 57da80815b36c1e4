"""A chunk of accounts, from facts to drafts: reads, asks core, and writes nothing.

A dry run calls the same function and throws the drafts away, so what it shows is what the run then bills. One account
that cannot be billed does not stop the others: it comes back as `Parked`, with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from coulance.customers.queries import AccountRow
from coulance.flows.closing.controlled import UNCONTROLLED, Controlled, control
from coulance.flows.closing.corrections import credit_notes
from coulance.flows.closing.items import items_of
from coulance.flows.closing.late import Late, late_usage
from coulance.flows.closing.measuring import Proof, Request, measure
from coulance.flows.closing.paper import buyer_of
from coulance.flows.closing.standing_still import Days, still_days
from coulance.flows.closing.terms import Closing
from coulance.invoicing import holding
from coulance.invoicing import queries as invoicing
from coulance.invoicing.holding import HeldRow
from coulance.invoicing.queries import OpenCarry
from coulance.invoicing.writing import NewCarry, NewDocument, NewFigure
from coulance.overage.operations import NewSettlement
from coulance.services import queries as services
from coulance.services.queries import AccountForClose, ServiceForClose
from coulance_core.catalog.terms import NotInCatalogError
from coulance_core.invoicing import (
    BillLine,
    DocumentDraft,
    DocumentError,
    DocumentKind,
    NationalRate,
    Seller,
    ServiceRef,
    TaxTerms,
    assemble,
)
from coulance_core.invoicing.carry import decide_carry
from coulance_core.invoicing.closing import (
    AccountClosing,
    PartUse,
    ServiceFacts,
    close_account,
    wanted,
)
from coulance_core.kernel import Money, Period, anchored_date
from coulance_core.kernel.period import add_months
from coulance_core.rating.base import BilledSpan
from coulance_core.rating.lines import PricedLine

MOST_KNOWN = 20_000
"""Base fees that are remembered: enough for every plan, start and history that is common."""


class Parked(NamedTuple):
    """An account that could not be billed: a short code, and what to know about it."""

    account: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class AccountDrafts:
    """What one account's closing wants written."""

    account: int
    documents: tuple[NewDocument, ...]
    carried: tuple[NewCarry, ...]
    figures: tuple[NewFigure, ...]
    overage: tuple[NewSettlement, ...]
    samples: int
    seen: int
    expected: int
    services: int


def draft_chunk(run: Closing, accounts: Sequence[int]) -> tuple[list[AccountDrafts], list[Parked]]:
    """Everything these accounts are due, computed but not written. Order of accounts is kept."""
    # What a period before billed must be issued: corrections go on issued invoices only.
    unsettled = holding.waiting_accounts(accounts=accounts, but=run.name)
    rows = services.accounts_for_close([account for account in accounts if account not in unsettled])
    by_calendar: dict[tuple[str, int], list[AccountForClose]] = {}
    for row in rows:
        by_calendar.setdefault((row.account.zone, row.account.billing_day), []).append(row)
    owned = [service.id for row in rows for service in row.services]
    # A month more than base fees look back: periods of an early billing day begin in the month before.
    oldest = anchored_date(*add_months(run.year, run.month, -14), 1)
    billed = invoicing.billed_spans(services=owned, since=oldest)
    waiting = invoicing.carried(accounts=[row.account.id for row in rows])
    drafts: list[AccountDrafts] = []
    parked = [_waits(held) for held in unsettled.values()]
    for (zone_name, billing_day), group in by_calendar.items():
        zone = ZoneInfo(zone_name)
        done, left = _draft_group(run, group, run.period(billing_day, zone), zone, billing_day, billed, waiting)
        drafts.extend(done)
        parked.extend(left)
    place = {account: i for i, account in enumerate(accounts)}
    return sorted(drafts, key=lambda d: place[d.account]), sorted(parked, key=lambda p: place[p.account])


def _waits(held: HeldRow) -> Parked:
    until = f"until {held.until:%F %H:%M} UTC" if held.until else "and nobody was asked yet"
    detail = (
        f"its overage invoice of {held.period_name} waits for the customer's choice {until}: close again after that, "
        f"or issue it with coulance overage release {held.document}"
    )
    return Parked(held.account, "overage_waits", detail)


def _draft_group(
    run: Closing,
    group: Sequence[AccountForClose],
    period: Period,
    zone: ZoneInfo,
    billing_day: int,
    billed: Mapping[int, Sequence[BilledSpan]],
    waiting: Mapping[int, Sequence[OpenCarry]],
) -> tuple[list[AccountDrafts], list[Parked]]:
    """Accounts of one zone and billing day: they have the same period, so their samples are reduced together."""
    parked: dict[int, Parked] = {}
    facts: dict[int, list[ServiceFacts]] = {}
    requests: list[Request] = []
    asked: list[tuple[int, str]] = []
    still = still_days(
        [service.id for row in group for service in row.services], through=period, billing_day=billing_day, zone=zone
    )
    for row in group:
        own = [facts_of(service, billed.get(service.id, ()), still.get(service.id, ())) for service in row.services]
        try:
            parts = [
                (service, wanted(run.catalog, fact, period, zone))
                for service, fact in zip(row.services, own, strict=True)
            ]
        except NotInCatalogError as error:
            parked[row.account.id] = Parked(row.account.id, "terms_missing", str(error))
            continue
        facts[row.account.id] = own
        for service, found in parts:
            for part in found:
                series = tuple(s.id for s in service.series if s.meter == part.charge.measure.meter)
                requests.append(Request(part, series))
                asked.append((row.account.id, service.external_id))
    uses: dict[int, dict[str, list[PartUse]]] = {}
    charts: dict[int, Mapping[str, Any] | None] = {}
    proof = Proof(period)
    measured = measure(requests, run.catalog, zone, proof=proof)
    for account, problem in _counters_disagree(group, proof).items():
        parked.setdefault(account, problem)
        facts.pop(account, None)
    for (account, name), request, got in zip(asked, requests, measured, strict=True):
        uses.setdefault(account, {}).setdefault(name, []).append(PartUse(request.part, got.figure))
        charts[id(got.figure)] = got.chart
    drafts: list[AccountDrafts] = []
    if len(run.base_known) > MOST_KNOWN:
        run.base_known.clear()
    controlled, unsettled = control(run.catalog, group, facts, uses, period=period, period_name=run.name, zone=zone)
    for account, why in unsettled.items():
        parked.setdefault(account, Parked(account, type(why).__name__, str(why)))
    late = late_usage(run, group, facts, zone)
    since = anchored_date(*add_months(period.start.astimezone(zone).year, period.start.astimezone(zone).month, -13), 1)
    for row in group:
        if row.account.id in parked:
            continue
        used = uses.get(row.account.id, {})
        bounded = controlled.get(row.account.id, UNCONTROLLED)
        try:
            closing = close_account(
                run.catalog,
                facts[row.account.id],
                bounded.bound(used),
                period=period,
                zone=zone,
                billing_day=billing_day,
                base_since=since,
                known=run.base_known,
                allowed=bounded.pools,
            )
            drafts.append(
                _documents(
                    run,
                    row,
                    closing,
                    late.get(row.account.id, Late()),
                    bounded,
                    charts,
                    period,
                    zone,
                    waiting.get(row.account.id, ()),
                )
            )
        except (DocumentError, LookupError, ValueError) as error:
            parked[row.account.id] = Parked(row.account.id, type(error).__name__, str(error))
    return drafts, list(parked.values())


def _counters_disagree(group: Sequence[AccountForClose], proof: Proof) -> dict[int, Parked]:
    """Accounts with a series whose running counters are not what its samples say: billed only once somebody looked."""
    owner = {series.id: row.account.id for row in group for service in row.services for series in service.series}
    proof.rest(owner)
    out: dict[int, Parked] = {}
    for fault in sorted(proof.faults, key=lambda fault: (fault.series, fault.day or "")):
        account = owner[fault.series]
        out.setdefault(account, Parked(account, "counters_disagree", str(fault)))
    return out


def facts_of(service: ServiceForClose, billed: Sequence[BilledSpan], still: Days) -> ServiceFacts:
    """A service as core closes it; `billed` are the days of its base fee, and `still` those it stood still."""
    return ServiceFacts(
        ServiceRef(service.external_id, service.name, service.id),
        service.spans(),
        tuple(billed),
        service.pool,
        service.billed_until,
        still,
    )


def national_rate(run: Closing, account: AccountRow) -> NationalRate | None:
    """The rate for tax in a second currency, where the customer or the provider asks for one.

    Raises `DocumentError` when one is asked for and none was given.
    """
    code = account.national_tax_currency or run.provider.national_currency
    if not code or code == account.currency:
        return None
    if code not in run.national:
        raise DocumentError(
            f"tax in {code} is asked for, and no rate is given: run again with --rate {code}=RATE, the rate of 1 "
            f"{account.currency} on {run.issued_on.isoformat()}"
        )
    return run.national[code]


def _documents(
    run: Closing,
    row: AccountForClose,
    closing: AccountClosing,
    late: Late,
    bounded: Controlled,
    charts: Mapping[int, Mapping[str, Any] | None],
    period: Period,
    zone: ZoneInfo,
    waiting: Sequence[OpenCarry],
) -> AccountDrafts:
    account = row.account
    _same_currency(account, (*closing.base, *closing.overage, *late.lines), [due.line for _, due in closing.credits])
    seller, buyer = Seller.of(run.provider), buyer_of(account)
    tax = TaxTerms(run.catalog.tax, run.provider.prices, run.provider.tax_rounding, run.provider.rounding)

    def document(
        kind: DocumentKind, lines: Sequence[BillLine], of: Period, name: str, tax_point: date
    ) -> DocumentDraft:
        return assemble(
            kind=kind,
            period_name=name,
            period=of,
            seller=seller,
            buyer=buyer,
            lines=lines,
            terms=tax,
            issued_on=run.issued_on,
            tax_point=tax_point,
            payment_days=run.provider.payment_days,
            # A statement has no tax to state: whoever owes nothing is not held up by a rate.
            national=None if kind is DocumentKind.USAGE_STATEMENT else national_rate(run, account),
        )

    # Credit notes first: what they give back may be charged again, on other terms, by what follows.
    notes, less = credit_notes(run, account.id, base=closing.credits, decreases=late.decreases, waits=waiting)
    out: list[NewDocument] = list(notes)
    if closing.base:
        following = run.next_period(account.billing_day, zone)
        # Paid for in advance: the tax point is the day the period begins, or the invoice's when that is earlier.
        point = min(following.start.astimezone(zone).date(), run.issued_on)
        draft = document(DocumentKind.BASE_INVOICE, closing.base, following, run.next_name, point)
        out.append(NewDocument(account=account.id, draft=draft))
    last_day = period.end.astimezone(zone).date() - timedelta(days=1)
    lines = (*closing.overage, *late.lines, *less)
    overage, carried = _overage(run, account, lines, waiting, active=_goes_on(row, period, zone))
    if overage:
        billed_for = {(line.service.external_id, line.charge) for line in overage if line.service is not None}
        billed_for |= {(line.settled, "") for line in overage if line.pool}
        items = items_of(closing.services, closing.pools, charts, only=billed_for, absorbed=bounded.absorbed)
        draft = document(DocumentKind.OVERAGE_INVOICE, overage, period, run.name, last_day)
        out.append(NewDocument(account=account.id, draft=draft, usage=items))
    everything = items_of(closing.services, closing.pools, charts, absorbed=bounded.absorbed)
    if everything:
        draft = document(DocumentKind.USAGE_STATEMENT, (), period, run.name, last_day)
        out.append(NewDocument(account=account.id, draft=draft, usage=everything))
    settled_now = tuple(
        NewFigure(
            account=account.id,
            service=settled.service.id if settled.service else None,
            pool=settled.key if settled.service is None else "",
            charge=settled.key if settled.service is not None else "",
            period_name=run.name,
            quantity=settled.used,
            unit=settled.unit,
            n=settled.n,
            expected=settled.expected,
            seen=settled.seen,
            net=settled.net,
            watermark=str(run.fence),
        )
        for settled in closing.settlements
    )
    return AccountDrafts(
        account=account.id,
        documents=tuple(out),
        carried=carried,
        figures=(*settled_now, *late.figures),
        overage=(*bounded.settlements, *late.overage),
        samples=sum(f.n for f in settled_now if f.charge),
        seen=sum(f.seen for f in settled_now),
        expected=sum(f.expected for f in settled_now),
        services=len(closing.services),
    )


def _same_currency(account: AccountRow, lines: Sequence[BillLine], given_back: Sequence[PricedLine]) -> None:
    """Refuse lines in another currency than the account's, before their amounts are added up."""
    for what, code, terms in (
        *((line.description, line.amount.currency, line.plan_version) for line in lines),
        *((line.description, line.net.currency, line.terms) for line in given_back),
    ):
        if code != account.currency:
            raise DocumentError(
                f"{what!r} is priced in {code} ({terms}), and the account's currency is {account.currency}: "
                f"move the service to a plan in {account.currency}, or to an account in {code}"
            )


def _goes_on(row: AccountForClose, period: Period, zone: ZoneInfo) -> bool:
    """Whether anything of the account still runs after the period: if not, nothing small can wait for later."""
    end = period.end.astimezone(zone).date()
    return any(service.ended_on is None or service.ended_on > end for service in row.services)


def _overage(
    run: Closing,
    account: AccountRow,
    lines: Sequence[BillLine],
    waiting: Sequence[OpenCarry],
    *,
    active: bool,
) -> tuple[list[BillLine], tuple[NewCarry, ...]]:
    """Lines to invoice now, and lines to carry forward: all of one or all of the other."""
    if not lines and not waiting:
        return [], ()
    old = [one.line for one in waiting]
    total = Money(sum(line.amount.minor for line in (*lines, *old)), account.currency)
    if not total.minor and not old:
        return [], ()  # lines that come to nothing are on the statement; an invoice over 0.00 helps nobody
    below = run.provider.carry_forward_below
    decision = decide_carry(
        total,
        below=below if below is not None and below.currency == account.currency else None,
        on=run.issued_on,
        bill_by=min((one.bill_by for one in waiting), default=None),
        closing=not active,
    )
    if not decision.carry and total.minor >= 0:
        return [*lines, *old], ()
    bill_by = anchored_date(*add_months(run.year, run.month, 12), 1)
    return [], tuple(
        NewCarry(
            account=account.id,
            line=line,
            period_name=run.name,
            on=run.issued_on,
            bill_by=bill_by,
            prices=run.provider.prices,
        )
        for line in lines
    )
