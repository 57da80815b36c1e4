"""An invitation to have bills paid by themselves: once, to who forgets, when they have just paid one late again.

Not while anything is late, in a case, contested or resting: nobody in trouble is asked for a mandate. One link, to a
page that says how it works and has a button for no; whoever says no is never asked again, nor is who doesn't answer.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.core import signing
from django.db import transaction

from coulance.arrears import nights
from coulance.arrears import queries as records
from coulance.catalog import queries as catalogs
from coulance.flows import letters
from coulance.flows.arrears import acting, risk, wording
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.flows.rails import mandates, paying
from coulance.flows.sending.wording import language_of
from coulance.notices import operations as notices
from coulance.payments import queries as payments
from coulance.platform import audit
from coulance_core.arrears.risk import Gentler
from coulance_core.kernel import require_aware
from coulance_core.notices import MessageKind

PURPOSE = "coulance.auto-pay"
LASTS = timedelta(days=60)
LATELY = timedelta(days=14)
"""How fresh the late payment must be: then it is in their mind."""
MOST = 200
"""How many a night, so that a first night doesn't write to everybody at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked: a contact (external id; empty where the mail went to several) of an account."""

    account: int
    contact: str


def invite(*, at: datetime, most: int = MOST) -> list[int]:
    """Invite those for whom it is the moment; their accounts. Nobody, where no way to pay by itself is offered."""
    if not (mandates.offered() or paying.offered()):
        return []
    out = []
    for account in _fit(at)[:most]:
        with transaction.atomic():
            key = f"arrears/auto-pay/{account}"
            to = acting.people(account, MessageKind.REMINDER, [])
            if not to or not nights.note_invited(account=account, message=key, at=at):
                continue
            mail = wording.invitation(
                name=to[0].name if len(to) == 1 else "",
                link=url(Asked(account, to[0].ref if len(to) == 1 else ""), at=at),
                language=language_of(to[0].language),
            )
            notices.queue_message(
                key=key,
                account=account,
                kind=MessageKind.REMINDER.value,
                to=[notices.Recipient(person.address, person.name, person.ref) for person in to],
                language=mail.language,
                subject=mail.subject,
                text=mail.text,
                html=mail.html,
                at=at,
                about=key,
            )
            audit.record(actor="worker", act="arrears.invited", subject=f"account:{account}", at=at)
            out.append(account)
    return out


def decline(*, account: int, by: str, at: datetime) -> None:
    """They don't want it, and are not asked again."""
    with transaction.atomic():
        nights.decline(account=account, by=by, at=at)
        audit.record(actor=by, act="arrears.not_invited_again", subject=f"account:{account}", at=at)


def url(who: Asked, *, at: datetime) -> str:
    """The whole address of an invitation, as its mail has it."""
    good = int((require_aware(at) + LASTS).timestamp())
    token = signing.Signer(salt=PURPOSE).sign_object([who.account, who.contact, good], compress=True)
    return f"{letters.base()}/by-itself/{token}"


def read(token: str, *, at: datetime) -> Asked:
    """Who was asked. Raises `UnableToAnswerError`."""
    try:
        account, contact, until = signing.Signer(salt=PURPOSE).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise UnableToAnswerError from error
    if require_aware(at) >= datetime.fromtimestamp(until, UTC):
        raise UnableToAnswerError(expired=True)
    return Asked(account, contact)


def _fit(at: datetime) -> list[int]:
    """Who forgets, has just paid a bill late, owes nothing that is late, and was never asked."""
    on = at.astimezone(catalogs.catalog().provider.zone_info).date()
    habits = [one.account for one in nights.habits(late=True) if Gentler.INVITE_AUTO_PAY.value in one.gentler]
    asked = nights.invited(habits)
    wanted = [account for account in habits if account not in asked]
    if not wanted:
        return []
    in_trouble = {row.account for row in records.stays(accounts=wanted)} | set(records.accounts_in_arrears(wanted))
    wanted = [account for account in wanted if account not in in_trouble]
    means = risk.by_themselves(wanted, on=on) if wanted else frozenset()
    late = _late_now(wanted, on)
    lately = _paid_late(wanted, on)
    return [account for account in wanted if account not in means and account not in late and account in lately]


def _late_now(accounts: Collection[int], on: date) -> set[int]:
    if not accounts:
        return set()
    nobody_has = {row.ref for row in nights.unreceived(accounts=accounts)}
    return {
        account for account, items in payments.open_items(accounts=accounts).items()
        if any(
            item.open.minor > 0 and item.ref not in nobody_has and (item.due_on < on or item.held is not None)
            for item in items
        )
    }  # fmt: skip


def _paid_late(accounts: Iterable[int], on: date) -> set[int]:
    """Who paid a bill after its day, and lately."""
    return {
        account for account, history in risk.histories(list(accounts)).items()
        if any(one.paid_on is not None and on - LATELY <= one.paid_on and one.paid_on > one.due_on for one in history)
    }  # fmt: skip
