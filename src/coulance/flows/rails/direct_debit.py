"""Direct debit from file to bank: what is announced goes in a file, once, and what changed meanwhile is called off.

Planning is in `planning`, what comes back in `returning`. Each step can be killed and done again: a file takes only
what is still planned, and a bank gets a file once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.flows.rails import by_mandate, instalments
from coulance.flows.rails.planning import NotCollected, creditor, require_may_collect
from coulance.flows.rails.planning import Planned as Planned
from coulance.flows.rails.planning import plan_due as plan_due
from coulance.flows.rails.telling import portal_link as portal_link
from coulance.flows.rails.telling import told_at
from coulance.ledger import operations as ledger
from coulance.payments import agreements, bank, collecting, collections, mandates
from coulance.payments import queries as payments
from coulance.payments.collections import CollectionRow, RunRow
from coulance.payments.errors import UnableToCollectError
from coulance.payments.mandates import SignedMandate
from coulance.payments.operations import withdraw_mandate
from coulance_core.catalog.terms import Catalog
from coulance_core.kernel import Money
from coulance_core.payments import OpenItem, Scheme
from coulance_core.payments.direct_debit import CollectionState, target_day


@dataclass(slots=True)
class Filed:
    """What filing did: files made, collections called off (the next planning announces them anew), how many wait."""

    runs: list[RunRow] = field(default_factory=list)
    cancelled: list[NotCollected] = field(default_factory=list)
    waiting: int = 0


def file_due(*, on: date, actor: str, at: datetime) -> Filed:
    """Put planned collections whose day is near in files, one a scheme, all or none of a scheme.

    A collection that was not told in time, whose debt was paid or is contested meanwhile, or whose mandate ended, is
    called off; the next planning announces what is still owed anew.
    """
    whole = catalog.catalog()
    who = creditor(whole)
    require_may_collect()
    terms = whole.payments
    out = Filed()
    by_scheme: dict[Scheme, list[CollectionRow]] = defaultdict(list)
    with transaction.atomic():
        planned = collections.collections(states=[CollectionState.PLANNED])
        signed = {one.id: one for one in mandates.mandates(accounts={row.account for row in planned})}
        items = payments.open_items(accounts={row.account for row in planned})
        for row in planned:
            last = target_day(row.collect_on, ahead=-terms.lead_days)
            mandate = signed[row.mandate]
            if (why := _off(row, mandate, items.get(row.account, ()))) is None:
                if on < last:
                    out.waiting += 1
                    continue
                why = _untold(row, whole, on, at)
            if why is not None:
                collecting.cancel_collection(row=row, on=on, actor=actor, reason=why, at=at)
                out.cancelled.append(NotCollected(row.account, row.end_to_end_id, why))
                continue
            by_scheme[mandate.scheme].append(row)
        numbers = {item.ref: item.number for own in items.values() for item in own}
        for scheme, rows in sorted(by_scheme.items()):
            out.runs.append(
                collecting.make_run(
                    rows=rows,
                    texts={row.id: _said(row, numbers) for row in rows},
                    scheme=scheme,
                    creditor=who,
                    form=terms.debit_file.value,
                    first_says_first=terms.first_says_first,
                    on=on,
                    actor=actor,
                    at=at,
                )
            )
    return out


def _said(row: CollectionRow, numbers: dict[str, str]) -> str:
    """What the file says to a payer: the numbers of what it is for, or the reference of their balance."""
    if row.tops_up:
        return bank.top_up_reference(row.account)
    return " ".join(numbers[ref] for ref, _ in row.parts)[:140]


def _off(row: CollectionRow, mandate: SignedMandate, items: Sequence[OpenItem]) -> str | None:
    """Why a collection can't be any more, whenever it is looked at."""
    if (reason := mandate.unusable(row.collect_on)) is not None:
        return f"mandate {mandate.reference} is {reason.value}"
    if row.tops_up:
        return by_mandate.top_up_off(row)
    if row.purpose == collections.INSTALMENT:
        return instalments.off(row, items)
    payable = {item.ref: item.payable for item in items}
    for ref, amount in row.parts:
        if payable.get(ref) != amount:
            now = payable.get(ref, Money(0, amount.currency))
            return f"{amount} was announced for {ref}, and {now} is asked for now"
    return None


def _untold(row: CollectionRow, whole: Catalog, on: date, at: datetime) -> str | None:
    told = told_at(row.message_key, at=at)
    if told is None:
        return "its announcement has not arrived"
    day = told.astimezone(whole.provider.zone_info).date()
    if day + timedelta(days=whole.payments.notice_days) > row.collect_on:
        return f"it was told on {day}, less than {whole.payments.notice_days} days ahead"
    if target_day(on, ahead=1) > row.collect_on:
        return f"{row.collect_on} is too near for the bank"
    return None


def hand_over(*, run: int, actor: str, at: datetime, reason: str = "") -> tuple[RunRow, bytes]:
    """Fetch a file for the bank: the first time, its collections are under way.

    What changed since it was made is looked at once more then: paid another way, contested, a mandate that ended, a day
    that is too near. Raises `UnableToCollectError`: the file is called off, and made anew without it.
    """
    with transaction.atomic():
        _still_so(run, at)
        return collecting.hand_over(run=run, actor=actor, at=at, reason=reason)


def _still_so(run: int, at: datetime) -> None:
    rows = collections.collections(run=run, states=[CollectionState.FILED])
    if not rows:
        return  # fetched or called off before: `collecting.hand_over` says which
    require_may_collect()
    ledger.lock_accounts(accounts={row.account for row in rows})
    on = at.astimezone(catalog.catalog().provider.zone_info).date()
    signed = {one.id: one for one in mandates.mandates(accounts={row.account for row in rows})}
    items = payments.open_items(accounts={row.account for row in rows})
    for row in rows:
        why = _off(row, signed[row.mandate], items.get(row.account, ()))
        if why is None and target_day(on, ahead=1) > row.collect_on:
            why = f"{row.collect_on} is too near for the bank"
        if why is not None:
            raise UnableToCollectError(
                f"{row.end_to_end_id} can't be collected any more: {why}. Call this file off, and make it anew"
            )


def cancel_run(*, run: int, actor: str, reason: str, at: datetime) -> int:
    """Call a file off before it was fetched; how many collections are planned again."""
    with transaction.atomic():
        return len(collecting.cancel_run(run=run, actor=actor, reason=reason, at=at))


def cancel(*, collection: int, on: date, actor: str, reason: str, at: datetime) -> CollectionRow:
    """Call one collection off before its file is made."""
    with transaction.atomic():
        row = collections.collection(collection=collection)
        return collecting.cancel_collection(row=row, on=on, actor=actor, reason=reason, at=at)


def end_mandate(*, mandate: int, on: date, actor: str, reason: str, at: datetime) -> None:
    """End a mandate, and call off what is planned by it. What is with the bank can't be called back here."""
    with transaction.atomic():
        withdraw_mandate(mandate=mandate, on=on, actor=actor, reason=reason, at=at)
        found = mandates.mandate(mandate=mandate)
        for agreed in agreements.agreements(accounts=[found.account]):
            if agreed.mandate == mandate:
                agreements.end(agreement=agreed.id, actor=actor, reason=f"mandate {found.reference} ended", at=at)
        for row in collections.collections(accounts=[found.account], states=[CollectionState.PLANNED]):
            if row.mandate == mandate:
                collecting.cancel_collection(
                    row=row, on=on, actor=actor, reason=f"mandate {found.reference} ended", at=at
                )
