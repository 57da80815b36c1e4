"""Undoing what has lost its ground, at once, by its inverse, and nothing else; and telling the customer."""

import logging
from datetime import datetime

from django.utils.translation import gettext as _

from coulance.arrears import operations
from coulance.arrears import queries as records
from coulance.arrears.errors import UnableToActError
from coulance.arrears.queries import ActRow, CaseRow
from coulance.enforcement import operations as enforcement
from coulance.flows import crediting
from coulance.flows.arrears import acting, serving, wording
from coulance.flows.arrears.facts import Read
from coulance.flows.sending.wording import language_of
from coulance.invoicing import queries as documents
from coulance.invoicing.operations import UnableToCreditError
from coulance.notices import operations as notices
from coulance.platform import alarms, webhooks
from coulance_core.arrears import Act, Lift
from coulance_core.enforcement.restrictions import Source
from coulance_core.invoicing import CreditType
from coulance_core.notices import MessageKind

_log = logging.getLogger(__name__)
_TELLS = frozenset({Act.THROTTLE, Act.LIMIT, Act.DOWNGRADE, Act.SUSPEND, Act.TERMINATE, Act.BLOCK_ORDERS})
_BY_HAND = {
    Act.LIMIT: "Switch the features of {service} on again",
    Act.TERMINATE: "{service} was ended wrongly, and its contract goes on: see that it runs again",
    Act.HAND_OVER: "Tell whom the claim was handed to that it is recalled",
}
"""What a person has to do beside what the program undoes."""
_CHARGES = frozenset({Act.CHARGE_COSTS, Act.CHARGE_INTEREST})


def undo(one: Read, case: CaseRow, lift: Lift, *, at: datetime, actor: str) -> bool:
    """Undo one act, in the transaction that records it; whether it was undone now.

    The network is given back, the plan and the contract are what they were, what was charged is credited. What is left
    for a person becomes their task.
    """
    row = records.act(int(lift.done))
    undone = operations.undo_act(
        act=row.id, ground=lift.ground.value, wrongful_since=lift.wrongful_since, at=at, actor=actor
    )
    if not undone or row.observed:
        return undone
    if row.restriction is not None:
        service = one.service_id(row.service)
        assert service is not None
        enforcement.lift(
            service=service, source=Source.ARREARS, ref=f"arrears/{row.id}", actor=actor,
            reason=f"{row.step}: {lift.ground.value}", at=at,
        )  # fmt: skip
        webhooks.emit(
            event="restriction.lifted",
            data={"service": row.service, "source": "arrears", "action": lift.inverse, "ref": f"arrears/{row.id}"},
            at=at,
        )
    if row.service:
        try:
            if serving.undo(_change(one, row, at, actor), row):
                _log.info("%s is as it was before act %s", row.service, row.id)
        except UnableToActError as fault:
            # What can't be put back by the program must not keep the rest from being undone.
            operations.add_task(case=case.id, act=row.id, kind=lift.inverse, what=str(fault), at=at, ref=row.service)
    if row.document is not None and (row.act in _CHARGES or lift.wrongful_since is not None):
        credit(row.document, actor=actor, at=at)
    if row.act in _BY_HAND and not (row.act is Act.LIMIT and row.effect):
        what = _BY_HAND[row.act].format(service=row.service) + f" ({one.account.external_id}: {lift.ground.value})"
        operations.add_task(case=case.id, act=row.id, kind=lift.inverse, what=what, at=at, ref=row.service)
    if lift.wrongful_since is not None:
        alarms.raise_alarm(
            key=f"arrears-wrongful:{row.id}",
            severity="warning",
            what=f"{one.account.external_id}: {row.step} since {lift.wrongful_since:%F %R} UTC should never have been"
            f" ({lift.ground.value}); it is lifted, and counts as our outage",
            at=at,
        )
    webhooks.emit(
        event="arrears.undone",
        data={
            "account": one.account.external_id,
            "act": row.id,
            "step": row.step,
            "what": row.act.value,
            "service": row.service,
            "ground": lift.ground.value,
            "wrongful": lift.wrongful_since is not None,
        },
        at=at,
    )
    if row.act in _TELLS or row.act.value.startswith("notice_"):
        _tell(one, row.id, lift, at, actor)
    return True


def _change(one: Read, row: ActRow, at: datetime, actor: str) -> serving.Change:
    return serving.Change(one.account, one.services[row.service], f"arrears/{row.id}", at, actor)


def credit(document: int, *, actor: str, at: datetime) -> str | None:
    """Credit all that is left of a charge that never should have been; the note's number, if any is left."""
    number = documents.document_by_id(document=document).row.number
    assert number is not None
    try:
        return crediting.give_credit_note(
            number=number, lines=None, credit_type=CreditType.CORRECTION, actor=actor, at=at,
            reason=str(_("It should never have been charged. We apologise.")),
        )  # fmt: skip
    except UnableToCreditError as fault:
        _log.warning("%s: %s", number, fault)
        return None


def _tell(one: Read, act: int, lift: Lift, at: datetime, actor: str) -> None:
    to = acting.people(one.account.id, MessageKind.RESTRICTION, [lift.service] if lift.service else [])
    if not to:
        return
    mail = wording.undone(
        act=lift.act,
        ground=lift.ground,
        services=[lift.service] if lift.service else [],
        wrongful=lift.wrongful_since is not None,
        name=to[0].name if len(to) == 1 else "",
        link=acting.link(one.account.id, [person.ref for person in to], at),
        language=language_of(to[0].language),
    )
    notices.queue_message(
        key=f"arrears/undone/{act}",
        account=one.account.id,
        kind=MessageKind.RESTRICTION.value,
        to=[notices.Recipient(person.address, person.name, person.ref) for person in to],
        language=mail.language,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        at=at,
        about=f"arrears/{act}",
        actor=actor,
    )
