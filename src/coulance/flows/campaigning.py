"""Inviting existing customers to say how far overage may go: in a batch, at a pace, each with their own link.

Who is invited is settled when the campaign begins. A customer who paid for overage in two of the last three closed
periods keeps running: they get a provisional limit of the most they used, which lapses unless they confirm it. Killed
anywhere, the next look goes on where it stopped: an invitation's mail and the note of it are one transaction.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from django.core import signing
from django.db import InterfaceError, OperationalError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.customers.queries import AccountRow, ContactRow
from coulance.flows import letters
from coulance.flows.letters import Letter
from coulance.flows.overage_control import acting, whole
from coulance.flows.overage_control.everything import controlled
from coulance.flows.overage_control.judging import Judged, judge
from coulance.flows.overage_control.links import UnableToAnswerError
from coulance.flows.sending.wording import language_of
from coulance.invoicing import queries as invoicing
from coulance.invoicing.documents.words import Words
from coulance.notices import operations as notices
from coulance.overage import campaigns
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.overage.campaigns import InvitationRow
from coulance.overage.errors import UnableToConsentError
from coulance_core.kernel import Money, require_aware, show
from coulance_core.notices import MessageKind
from coulance_core.overage.limit import UnableToLimitError, amount_for

_log = logging.getLogger(__name__)

PURPOSE = "coulance.invited"
LASTS = timedelta(days=60)
LOOKED_AT, PAID_IN = 3, 2
"""Who paid for overage in so many of the last closed periods is not stopped by a migration."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a campaign came to, or would: invitations, provisional limits, and who can't be invited and why."""

    campaign: int | None
    invited: int
    provisional: int
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Invited:
    """Who may answer an invitation: a contact about a service's charge, by the message of that key.

    Of a pool the first service that draws on it; none where it is about everything.
    """

    account: int
    contact: str
    service: int | None
    charge: str
    message: str


def start(
    *,
    name: str,
    per_hour: int,
    actor: str,
    reason: str,
    at: datetime,
    accounts: Collection[str] = (),
    for_all: bool = False,
    dry_run: bool = False,
) -> Started:
    """Settle who is invited (all, or these accounts), with provisional limits where they are due. Sends nothing yet.

    About each allowance, a pool's too; with `for_all` once an account, about one limit for everything.

    Raises `UnableToRecordError`.
    """
    require_aware(at)
    catalog = catalogs.catalog()
    chosen = sorted(
        {row.id for row in customers.accounts_by_external_id(set(accounts)).values()}
        if accounts
        else customers.account_ids()
    )
    found: list[tuple[int, int | None, str, str, int | None]] = []
    left_out: list[tuple[str, str]] = []
    provisional = 0
    with transaction.atomic():
        for lot in (chosen[i : i + 200] for i in range(0, len(chosen), 200)):
            paid = _habits(lot)
            contacts: dict[int, list[ContactRow]] = {}
            for row in customers.contacts(lot):
                contacts.setdefault(row.account_id, []).append(row)
            asked: dict[int, list[Judged]] = {}
            for judged in judge(controlled(accounts=lot, catalog=catalog, at=at), catalog=catalog, at=at):
                one = judged.counted
                if records.consent_in_force(meter=judged.ref, at=at, period_name=one.period_name) is not None:
                    continue
                who = next((c for c in contacts.get(one.account.id, ()) if c.may_incur_cost and c.email), None)
                if who is None:
                    left_out.append((judged.ref.key, "nobody who may incur cost has an address"))
                    continue
                if for_all:
                    asked.setdefault(one.account.id, []).append(judged)
                    continue
                most = _past(judged, paid)
                given = _keeps_running(name, judged, who, most, actor, at, dry_run) if most > 0 else None
                provisional += given is not None
                found.append((one.account.id, one.service.id, one.charge.key, who.external_id, given))
            for account, own in asked.items():
                who = next(c for c in contacts[account] if c.may_incur_cost and c.email)
                given = _all_keeps_running(name, own, paid, who, actor, at, dry_run)
                provisional += given is not None
                found.append((account, None, "", who.external_id, given))
        if dry_run:
            return Started(None, len(found), provisional, tuple(left_out))
        number = campaigns.begin(name=name, per_hour=per_hour, invitations=found, actor=actor, reason=reason, at=at)
    return Started(number, len(found), provisional, tuple(left_out))


_Habits = dict[tuple[int, int, str], Fraction]
"""By account, service (0: a pool) and charge, or the pool as figures name it."""


def _past(judged: Judged, paid: _Habits) -> Fraction:
    """How much past the allowance was used at most, of what habitually paid for overage."""
    one = judged.counted
    key = (one.account.id, one.service.id, one.charge.key)
    if one.pool is not None:
        key = (one.account.id, 0, one.charge.key)
    return paid.get(key, Fraction(0)) - one.included


def _habits(accounts: Collection[int]) -> _Habits:
    """The most that was used in a period, of each allowance that habitually paid for overage."""
    by: dict[tuple[int, int, str], list[tuple[str, Fraction, int]]] = {}
    for row in invoicing.settled_figures(accounts=accounts):
        key = (row.account, row.service or 0, row.charge if row.service is not None else row.pool)
        by.setdefault(key, []).append((row.period_name, row.quantity, row.net.minor))
    out: _Habits = {}
    for key, rows in by.items():
        last = sorted(rows)[-LOOKED_AT:]
        if sum(net > 0 for _name, _quantity, net in last) >= PAID_IN:
            out[key] = max(quantity for _name, quantity, _net in rows)
    return out


def _keeps_running(
    name: str, judged: Judged, who: ContactRow, most: Fraction, actor: str, at: datetime, dry_run: bool
) -> int | None:
    """A provisional limit of the most they used past the allowance; none where they gave a word of their own."""
    if dry_run:
        return 0
    one = judged.counted
    try:
        offered = acting.offer(judged=judged, quantity=show(most.limit_denominator(1000)), language=who.language)
        given = overage.take_over_consent(
            new=overage.NewConsent(
                account=one.account.id,
                contact=who.external_id,
                scope=acting.scope_of(one),
                limit=offered.limit,
                unit=offered.unit,
                shown=overage.Shown(judged.terms.version, offered.rate, offered.text),
                how="import",
                came_from=f"campaign {name}",
            ),
            source_key=f"campaign/{name}/{judged.ref.key}",
            at=at,
            actor=actor,
            reason="always paid for overage: not stopped while the invitation is open",
        )
    except (UnableToConsentError, acting.UnableToActError) as fault:
        _log.warning("%s gets no provisional limit: %s", judged.ref.key, fault)
        return None
    return None if given is None else given.id


def _all_keeps_running(
    name: str, own: Sequence[Judged], paid: _Habits, who: ContactRow, actor: str, at: datetime, dry_run: bool
) -> int | None:
    """A provisional limit for everything: the sum of what each that habitually paid cost at most."""
    total: Money | None = None
    for judged in own:
        most = _past(judged, paid)
        if most > 0:
            try:
                due = amount_for(most, judged.terms)
            except UnableToLimitError as fault:
                _log.warning("%s is not in a limit for everything: %s", judged.ref.key, fault)
                continue
            total = due if total is None else total + due
    if total is None:
        return None
    if dry_run:
        return 0
    account = own[0].counted.account
    try:
        of = whole.whole(account=account.id, at=at)
        offered = whole.offer(of=of, amount=total.decimal(), language=who.language)
        given = overage.take_over_consent(
            new=overage.NewConsent(
                account=account.id,
                contact=who.external_id,
                scope=overage.Scope(),
                limit=offered.limit,
                unit="",
                shown=overage.Shown(whole.TERMS, "", offered.text),
                how="import",
                came_from=f"campaign {name}",
            ),
            source_key=f"campaign/{name}/account/{account.external_id}",
            at=at,
            actor=actor,
            reason="always paid for overage: not stopped while the invitation is open",
        )
    except (UnableToConsentError, acting.UnableToActError) as fault:
        _log.warning("%s gets no provisional limit: %s", account.external_id, fault)
        return None
    return None if given is None else given.id


def set_state(*, campaign: int, state: str, actor: str, reason: str, at: datetime) -> None:
    """Pause a campaign (`paused`), or let it go on (`running`). Raises `UnableToRecordError`."""
    with transaction.atomic():
        campaigns.set_state(campaign=campaign, state=state, actor=actor, reason=reason, at=at)


def send_due(*, at: datetime, most: int = 500) -> int:
    """Queue the invitations that their campaigns' pace allows now; how many mails that was. One transaction each."""
    require_aware(at)
    sent = 0
    for _each in range(most):
        with transaction.atomic():
            row = campaigns.next_due(at=at)
            if row is None:
                break
            try:
                with transaction.atomic():
                    message, fault = _invite(row, at)
            except (InterfaceError, OperationalError):
                raise  # the database's trouble, not the invitation's
            except Exception as error:  # it would be the next one due for ever, and nobody after it be invited
                _log.exception("invitation %s can't be sent", row.id)
                message, fault = "", f"{type(error).__name__}: {error}"[:200]
            campaigns.mark(invitation=row.id, message=message, fault=fault, at=at)
            sent += not fault
    with transaction.atomic():
        campaigns.finish()
    return sent


def _invite(row: InvitationRow, at: datetime) -> tuple[str, str]:
    """Queue one; its key, or why it can't be."""
    who = next((c for c in customers.contacts([row.account]) if c.external_id == row.contact), None)
    if who is None or not who.email:
        return "", "they are no contact any more, or have no address"
    judged = None
    try:
        if row.service is None:
            whole.whole(account=row.account, at=at)
        else:
            judged = acting.one_of(account=row.account, service=row.service, charge=row.charge, at=at)
    except acting.UnableToActError as fault:
        return "", str(fault)
    key = f"invitation/{row.id}"
    language = language_of(who.language)
    link = f"{letters.base()}/invited/{make(Invited(row.account, row.contact, row.service, row.charge, key), at=at)}"
    provisional = None if row.provisional is None else records.consent(consent=row.provisional)
    until = provisional.confirm_by if provisional else None
    (account,) = customers.accounts([row.account])
    letter = (
        _letter_for_all(account, who.name, link, until, language)
        if judged is None
        else _letter(judged, who.name, link, until, language)
    )
    mail = letters.written(letter, language=language)
    try:
        with transaction.atomic():
            notices.queue_message(
                key=key, account=row.account, kind=MessageKind.CONSENT.value,
                to=[notices.Recipient(who.email, who.name, who.external_id)], language=mail.language,
                subject=mail.subject, text=mail.text, html=mail.html, at=at, about=f"campaign/{row.campaign}",
            )  # fmt: skip
    except notices.UnableToQueueError as fault:
        return "", str(fault)
    return key, ""


def _letter(judged: Judged, name: str, link: str, until: datetime | None, language: str) -> Letter:
    words = Words.of(language)
    one = judged.counted
    with translation.override(language):
        said = {
            "service": one.service.name,
            "charge": one.charge.name,
            "included": words.amount_of(one.included, one.unit, 1),
            "until": words.day(until.astimezone(one.zone).date()) if until else "",
        }
        paragraphs = [
            _("From now on you decide how far overage of %(charge)s on %(service)s may go.") % said,
            _("%(included)s are included. Set a limit, as an amount or a quantity; nothing past it is ever charged.")
            % said,
        ]
        if until is None:
            paragraphs.append(
                _("If you set none, its network is paused when the allowance is used up. You are warned in time.")
            )
        else:
            paragraphs.append(
                _(
                    "As you often used more, what you used at most stays allowed until %(until)s. Confirm a limit "
                    "before that day, so that nothing is interrupted."
                )
                % said
            )
        return Letter(
            subject=_("You decide how far overage of %(service)s may go") % said,
            name=name,
            paragraphs=paragraphs,
            button=_("Set your limit"),
            link=link,
            care=_(
                "The link is yours. Opening it does nothing yet. Don't pass it on: whoever has it can set your limit."
            ),
        )


def _letter_for_all(account: AccountRow, name: str, link: str, until: datetime | None, language: str) -> Letter:
    with translation.override(language):
        words = Words.of(language)
        paragraphs = [
            _("From now on you decide how far overage of your services may go, all of them together."),
            _("Set one amount a period: each service counts by its own prices, and nothing past it is ever charged."),
        ]
        if until is None:
            paragraphs.append(
                _("If you set none, the network of a service is paused when its allowance is used up. You are warned.")
            )
        else:
            day = words.day(until.astimezone(ZoneInfo(account.zone)).date())
            paragraphs.append(
                _(
                    "As you often used more, what that cost at most stays allowed until %(until)s. Confirm a limit "
                    "before that day, so that nothing is interrupted."
                )
                % {"until": day}
            )
        return Letter(
            subject=_("You decide how far overage may go"),
            name=name,
            paragraphs=paragraphs,
            button=_("Set your limit"),
            link=link,
            care=_(
                "The link is yours. Opening it does nothing yet. Don't pass it on: whoever has it can set your limit."
            ),
        )


def make(who: Invited, *, at: datetime) -> str:
    """The link's token."""
    until = int((at + LASTS).timestamp())
    return signing.Signer(salt=PURPOSE).sign_object(
        [who.account, who.contact, who.service, who.charge, who.message, until], compress=True
    )


def read(token: str, *, at: datetime) -> Invited:
    """Who answers. Raises `UnableToAnswerError`."""
    try:
        account, contact, service, charge, message, until = signing.Signer(salt=PURPOSE).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise UnableToAnswerError from error
    if require_aware(at) >= datetime.fromtimestamp(until, UTC):
        raise UnableToAnswerError(expired=True)
    return Invited(account, contact, service, charge, message)
