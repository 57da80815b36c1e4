"""Our own error, put right at once: what it cost the customer is credited, and they get an apology, once.

What was restricted is lifted seconds later by the ordinary judgement, as wrongful; that mail says so by itself.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from coulance.arrears import queries as records
from coulance.flows.arrears import acting, undoing, wording
from coulance.flows.arrears.facts import read
from coulance.flows.sending.wording import language_of
from coulance.invoicing import queries as documents
from coulance.notices import operations as notices
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
    _apologise(account, stay, debts, credited, actor, at)
    return notes


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
