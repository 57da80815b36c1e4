"""The customer hears of an outage's credit from us, unasked, with the credit itself: one message a credit."""

from datetime import datetime

from coulance.flows import letters
from coulance.flows.promises import terms, wording
from coulance.flows.promises.measuring import Measured
from coulance.flows.promises.wording import Occasion
from coulance.flows.sending.wording import Written, language_of
from coulance.notices import operations as notices
from coulance.notices.errors import UnableToQueueError
from coulance.platform import alarms
from coulance.sla import queries as sla
from coulance.sla.queries import CreditRow, MeasureRow
from coulance_core.notices import MessageKind, Person


def people_of(account: int) -> tuple[Person, ...]:
    """Who of an account hears of outages and what they are worth: those who work with it, else its owner."""
    return (
        letters.recipients(account, MessageKind.OPERATIONS).recipients
        or letters.recipients(account, MessageKind.REMINDER).recipients
    )


def occasion(row: MeasureRow, before: MeasureRow | None) -> Occasion:
    """Why a credit comes when it comes, from its measure and the one before."""
    if row.so_far:
        return Occasion.INCIDENT
    if before is None:
        return Occasion.PERIOD
    return Occasion.REST if before.so_far else Occasion.CORRECTION


def tell_credit(
    made: Measured, row: MeasureRow, credit: CreditRow, *, before: MeasureRow | None, at: datetime, actor: str
) -> bool:
    """Queue the mail about a credit, inside its transaction; whether there was anybody to write to."""
    one = made.of
    people = people_of(one.account.id)
    if not people:
        return False
    known = terms.table()
    preferred = sla.preference(one.account.id)
    why = occasion(row, before)
    outages, length = list(row.outages), row.downtime
    if why is Occasion.INCIDENT and before is not None:
        heard = {(old["since"], old["until"]) for old in before.outages}
        news = [new for new in row.outages if (new["since"], new["until"]) not in heard]
        if news and row.downtime > before.downtime:
            outages, length = news, row.downtime - before.downtime
    told = wording.Credited(
        service=one.service.name,
        row=row,
        amount=credit.amount,
        way=preferred if preferred in known.pays else known.pays[0],
        zone=one.zone,
        occasion=why,
        outages=outages,
        length=length,
    )
    words = wording.credited(
        told,
        language=language_of(people[0].language),
        name=people[0].name if len(people) == 1 else "",
        link=f"{letters.base()}/my/uptime" if letters.base() else "",
    )
    key = f"sla-credit/{credit.id}"
    try:
        _queue(key, one.account.id, people, words, at, actor)
    except UnableToQueueError as error:
        # A provider who can't send mail credits all the same.
        what = f"{one.account.external_id} can't be told of a credit: {error}"
        alarms.raise_alarm(key="sla-telling", severity="warning", what=what[:500], at=at)
        return False
    return True


def _queue(key: str, account: int, people: tuple[Person, ...], words: Written, at: datetime, actor: str) -> None:
    notices.queue_message(
        key=key,
        account=account,
        kind=MessageKind.OPERATIONS.value,
        to=[notices.Recipient(p.address, p.name, p.ref) for p in people],
        language=words.language,
        subject=words.subject,
        text=words.text,
        html=words.html,
        at=at,
        about=key,
        actor=actor,
    )
