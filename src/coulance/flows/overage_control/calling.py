"""Working off the list of people to be called: nobody answered, spoken to, or nobody can be."""

from datetime import datetime

from django.db import transaction

from coulance.customers import queries as customers
from coulance.flows.overage_control import evaluating
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.overage import operations as overage
from coulance.overage import queries as records
from coulance.overage.errors import UnableToRecordError
from coulance_core.notices import EvidenceKind


def no_answer(*, task: int, outcome: str, note: str = "", actor: str, at: datetime) -> None:
    """A call that reached nobody (`no_answer`, `voicemail`, `busy`, `wrong_number`): it is due again in an hour.

    Raises `UnableToRecordError`.
    """
    overage.attempt_phone_task(task=task, outcome=outcome, note=note, actor=actor, at=at)


def reached(*, task: int, contact: str, note: str, actor: str, at: datetime) -> None:
    """A contact (external id) was spoken to: their acknowledgement and the proof that the warning reached a person.

    `note` says how they were known to be who they are. A pause for exposure ends with it. Raises
    `UnableToRecordError`.
    """
    with transaction.atomic():
        known = records.phone_task(task=task)
        if known is not None:  # the account first, as whoever looks at it does: else both would wait for each other
            evaluating.lock_account(known.account)
        row = _closed(task, "reached", note, actor, at)
        if contact not in {one.external_id for one in customers.contacts([row.account])}:
            raise UnableToRecordError(f"the account has no contact {contact!r}")
        overage.acknowledge(
            meter=meter_of(row), period_name=row.period_name, contact=contact, how="operator",
            source=f"phone-task/{row.id}", actor=actor, at=at, reason=note,
        )  # fmt: skip
        warned = records.warnings(account=row.account, period_name=row.period_name)
        for key in dict.fromkeys(one.message for one in warned if one.meter == row.meter and one.message):
            for number in sent.deliveries_of(key=key):
                found = sent.delivery(number)
                if found is not None and found.contact_ref == contact:
                    notices.record_human_act(
                        delivery=number, kind=EvidenceKind.SEEN, by=actor, at=at, source=f"phone-task/{row.id}/{number}"
                    )
        evaluating.evaluate(owners=[(row.account, row.service)], at=at, actor=actor)
        evaluating.answered(meter_of(row), at=at)


def unreachable(*, task: int, note: str, actor: str, at: datetime) -> None:
    """Nobody can be called: closed with the reason. What isn't acknowledged stays so. Raises `UnableToRecordError`."""
    _closed(task, "unreachable", note, actor, at)


def meter_of(row: records.PhoneTaskRow) -> records.MeterRef:
    """The meter that a call is about."""
    pool, _, group = row.meter.removeprefix("pool:").partition("/") if row.meter.startswith("pool:") else ("", "", "")
    return records.MeterRef(row.account, row.meter, (row.service,), "" if pool else row.charge, pool, group)


def _closed(task: int, outcome: str, note: str, actor: str, at: datetime) -> records.PhoneTaskRow:
    return overage.close_phone_task(task=task, outcome=outcome, note=note, actor=actor, at=at)
