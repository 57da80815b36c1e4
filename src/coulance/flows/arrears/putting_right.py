"""Our own error, put right at once: what it cost the customer is credited, and they get an apology, once.

What is restricted is lifted seconds later by the ordinary judgement, as wrongful; that mail says so by itself. What was
lifted before, as it was paid say, is entered as an outage that we caused: it is credited as one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from coulance.arrears import queries as records
from coulance.flows.arrears import acting, undoing, wording
from coulance.flows.arrears.facts import read
from coulance.flows.sending.wording import language_of
from coulance.invoicing import queries as documents
from coulance.notices import operations as notices
from coulance.services import queries as services
from coulance.sla import operations as sla
from coulance_core.kernel import Money
from coulance_core.notices import MessageKind


def put_right(*, account: int, stay: int, debts: Collection[str], actor: str, at: datetime) -> list[str]:
    """Credit every fee, cost and interest that these debts (none named: any) caused, and apologise; the credit notes.

    In the transaction that records the error. A charge that was for other debts too stays: it had another cause.
    """
    charged = [
        row for row in records.acts(account=account)
        if row.document is not None and (not debts or set(row.debts) <= set(debts))
    ]  # fmt: skip
    credited: list[tuple[str, Money]] = []
    notes = []
    for row in charged:
        assert row.document is not None
        paper = documents.row_of(document=row.document)
        note = undoing.credit(row.document, actor=actor, at=at)
        if note is not None:
            notes.append(note)
            credited.append((paper.number or "", paper.gross))
    _enter_outages(account, stay, debts, actor, at)
    _apologise(account, stay, debts, credited, actor, at)
    return notes


def _enter_outages(account: int, stay: int, debts: Collection[str], actor: str, at: datetime) -> None:
    """The restrictions of these debts (none named: of the open case) that were over before the error was found."""
    case = records.case(account)
    for row in records.acts(account=account):
        if row.restriction is None or row.observed or row.undone_at is None or row.wrongful_since is not None:
            continue
        caused = set(row.debts) <= set(debts) if debts else case is not None and row.case == case.id
        if caused and row.undone_at > row.at:
            sla.say(
                service=services.service(row.service).id, says="outage", kind=sla.WRONGFUL, since=row.at,
                until=row.undone_at, reason=f"{row.step} (arrears/{row.id}) was an error of ours (stay {stay})",
                actor=actor, at=at,
            )  # fmt: skip


def _apologise(
    account: int, stay: int, debts: Collection[str], credited: Sequence[tuple[str, Money]], actor: str, at: datetime
) -> None:
    one = read([account], at=at).get(account)
    to = acting.people(account, MessageKind.RESTRICTION, [])
    if one is None or not to:
        return
    numbers = [item.number for ref, item in one.debts.items() if not debts or ref in debts]
    mail = wording.apology(
        numbers=numbers,
        credited=credited,
        name=to[0].name if len(to) == 1 else "",
        link=acting.link(account, [person.ref for person in to], at),
        language=language_of(to[0].language),
    )
    notices.queue_message(
        key=f"arrears/error/{stay}",
        account=account,
        kind=MessageKind.RESTRICTION.value,
        to=[notices.Recipient(person.address, person.name, person.ref) for person in to],
        language=mail.language,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        at=at,
        about=f"arrears/error/{stay}",
        actor=actor,
    )
