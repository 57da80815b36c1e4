"""What becomes of an invoice that waits: the customer's choice, an operator's release, or silence; whichever is first.

Each is one transaction: the wait is locked, the document is issued (or replaced), and what came of it is kept. Two at
once: the second is told that it was settled before.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from coulance.flows import letters
from coulance.flows.sending import queueing
from coulance.flows.settling_first import rejudging, waiting
from coulance.flows.settling_first.waiting import Waiting
from coulance.flows.settling_first.ways import Chosen, UnableToChooseError, Way, issue, source_of, ways
from coulance.invoicing import holding
from coulance.invoicing import operations as invoicing
from coulance.invoicing import queries as documents
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.platform import alarms, audit
from coulance_core.kernel import require_aware
from coulance_core.notices import EvidenceKind, Person

_log = logging.getLogger(__name__)

SILENCE = "silence"
RELEASED = "released"


class UnableToReleaseError(ValueError):
    """It does not wait, or no reason was given; the message says which."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it: the way, and the numbers of what was issued (none where a plan replaced it for nothing)."""

    way: str
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    """An invoice with what may be chosen for it; `ways` is empty once it is settled."""

    of: Waiting
    ways: tuple[Way, ...]


def offered(*, account: int, document: int, at: datetime) -> Offered | None:
    """What an account's invoice offers now, in the language in force; none where it isn't theirs or never waited."""
    of = waiting.one(document=document)
    if of is None or of.row.account != account:
        return None
    if of.row.ended_at is not None or of.snapshot is None:
        return Offered(of, ())
    with transaction.atomic():
        return Offered(of, tuple(ways(of, at=at)))


def may_choose(person: Person | None) -> bool:
    """Whether this contact may settle an invoice: the owner, one for billing, or one who may incur cost."""
    return person is not None and (person.may_incur_cost or bool({"owner", "billing"} & set(person.roles)))


def choose(
    *,
    account: int,
    document: int,
    way: str,
    digest: str,
    language: str,
    contact: str,
    how: str,
    came_from: str,
    message: str = "",
    at: datetime,
) -> Settled:
    """A contact's choice, as they saw it (`digest`, in their `language`).

    Raises `UnableToChooseError` when it is settled already, no longer on offer, or says something else than was shown.
    """
    require_aware(at)
    actor = f"contact:{contact}"
    _by_what_is_known_now(document, account, at)
    if not may_choose(next((one for one in letters.people_of(account) if one.ref == contact), None)):
        with translation.override(language):
            raise UnableToChooseError(_("Only the owner, a contact for billing or one who may incur cost can choose."))
    with translation.override(language), transaction.atomic():
        try:
            row = invoicing.lock_held(document=document)
        except invoicing.UnableToSettleHeldError as fault:
            raise UnableToChooseError(_("This was settled already.")) from fault
        of = waiting.one(document=document)
        if of is None or row.account != account:
            raise UnableToChooseError(_("This was settled already."))
        chosen = next((one for one in ways(of, at=at) if one.key == way), None)
        if chosen is None:
            raise UnableToChooseError(_("Choose one of the ways that are shown."))
        if chosen.digest != digest:
            raise UnableToChooseError(_("This has changed since you looked. Look again, and choose."))
        for delivery in sent.deliveries_of(key=message) if message else ():
            notices.record_human_act(
                delivery=delivery, kind=EvidenceKind.ACKNOWLEDGED, by=actor, at=at, source=f"settle/{delivery}"
            )
        by = Chosen(actor, f"chosen by the customer ({how}): {chosen.title}", at)
        made = source_of(way).take(of, way, by)
        return _end(
            of, way, made, by, detail={"shown": chosen.digest, "came_from": came_from, "text": list(chosen.sentences)}
        )


def _by_what_is_known_now(document: int, account: int, at: datetime) -> None:
    """Before anybody chooses it is judged again, in a transaction of its own: whoever saw more is shown less first."""
    row = next(iter(holding.held(document=document)), None)
    if row is not None and row.account == account:
        with suppress(invoicing.UnableToSettleHeldError):
            rejudging.rejudge(document=document, at=at)


def look_again(*, at: datetime) -> int:
    """Lower what waits and rests on a warning that came back; how many. One that fails raises an alarm."""
    done = 0
    for document in rejudging.whose_warning_came_back():
        try:
            done += rejudging.rejudge(document=document, at=at) is not None
        except invoicing.UnableToSettleHeldError:
            continue  # settled by somebody else in this moment
        except Exception as error:
            _stuck(document, "judged again", error, at)
    return done


def release(*, document: int, reason: str, actor: str, at: datetime) -> Settled:
    """Issue it now, without waiting. Raises `UnableToReleaseError`."""
    if not reason.strip():
        raise UnableToReleaseError("say why it is issued without waiting for the customer")
    with transaction.atomic():
        return _issue(document, RELEASED, actor, reason.strip(), at)


def issue_lapsed(*, at: datetime) -> list[Settled]:
    """Issue what nobody chose for in time. One transaction each; one that fails raises an alarm and stops no other."""
    out = []
    failed: set[int] = set()
    while rows := [row for row in holding.lapsed(at=at) if row.document not in failed]:
        for row in rows:
            try:
                with transaction.atomic():
                    out.append(_issue(row.document, SILENCE, "worker", "nobody chose in time", at))
            except UnableToReleaseError:
                failed.add(row.document)  # settled by somebody else in this moment
            except Exception as error:
                failed.add(row.document)
                _stuck(row.document, "issued", error, at)
    return out


def _stuck(document: int, done: str, error: Exception, at: datetime) -> None:
    _log.exception("document %s waits and can't be %s", document, done)
    alarms.raise_alarm(
        key=f"settle-first-stuck:{document}",
        severity="critical",
        what=f"The overage invoice {document} waited and can't be {done}: {error}",
        at=at,
    )


def _issue(document: int, way: str, actor: str, reason: str, at: datetime) -> Settled:
    """As it is by what is known now: less than it was asked for, or nothing at all, and never more."""
    try:
        found = rejudging.rejudge(document=document, at=at)
    except invoicing.UnableToSettleHeldError as fault:
        raise UnableToReleaseError(str(fault)) from fault
    if found is not None and found.gone:
        _clear_alarms(document, at)
        return Settled(rejudging.NOTHING, ())
    of = waiting.one(document=document)
    if of is None or of.snapshot is None:
        raise UnableToReleaseError(f"document {document} is not there any more")
    by = Chosen(actor, reason, at)
    return _end(of, way, [issue(of, by)], by)


def _end(of: Waiting, way: str, made: Sequence[str], by: Chosen, *, detail: dict[str, object] | None = None) -> Settled:
    numbers = tuple(made)
    invoicing.end_hold(document=of.row.document, way=way, made=numbers, actor=by.actor, reason=by.reason, at=by.at)
    audit.record(
        actor=by.actor,
        act="overage_invoice.settled",
        subject=f"document:{of.row.document}",
        at=by.at,
        reason=by.reason,
        detail={"way": way, "issued": list(numbers), **(detail or {})},
    )
    _clear_alarms(of.row.document, by.at)
    _send(of, numbers, by)
    return Settled(way, numbers)


def _clear_alarms(document: int, at: datetime) -> None:
    for name in ("unasked", "stuck"):
        alarms.clear_alarm(key=f"settle-first-{name}:{document}", at=at)


def _send(of: Waiting, numbers: tuple[str, ...], by: Chosen) -> None:
    """Mail what was issued where the rest of its close was let go already; else it waits for that, as all do."""
    if not numbers:
        return
    run = documents.document(number=numbers[0]).row.run
    others = [] if run is None else documents.documents(account=of.row.account, run=run, state="issued")
    let_go = any(
        row.sent_at is not None or sent.about_known([f"document/{row.id}"])
        for row in others
        if row.number not in numbers
    )
    if not let_go:
        return
    try:
        with transaction.atomic():
            queueing.approve(numbers=numbers, actor="worker", at=by.at, reason="settled before the bill")
    except queueing.UnableToSendDocumentsError as fault:
        _log.warning("%s is issued and not sent: %s", ", ".join(numbers), fault)
