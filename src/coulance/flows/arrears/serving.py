"""Acts that change a service in the books, and their inverses: a smaller plan, the end of a contract, no renewal.

Each is the very change that a person makes by API or file, in the transaction that records the act; the act keeps what
it was before, so that it can be undone. A change that somebody made since is theirs, and stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from coulance.arrears.errors import UnableToActError
from coulance.arrears.queries import ActRow
from coulance.customers.queries import AccountRow
from coulance.flows import customers as books
from coulance.invoicing import queries as documents
from coulance.services import queries as services
from coulance.services.queries import ServiceForClose
from coulance_core.arrears import Act
from coulance_core.kernel import anchored_date
from coulance_core.kernel.period import add_months

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Change:
    """A service to be changed, in whose account, by which act (`arrears/17`), when and by whom."""

    account: AccountRow
    service: ServiceForClose
    ref: str
    at: datetime
    actor: str

    @property
    def today(self) -> date:
        """The civil day where the customer is."""
        return self.at.astimezone(ZoneInfo(self.account.zone)).date()


def put_on_plan(change: Change, plan: str) -> Mapping[str, Any]:
    """From tomorrow on, that plan: a day has one. What it was before is in the effect; empty where it was on it.

    Raises `UnableToActError` where the service can't be on that plan.
    """
    now = _plan_on(change.service.external_id, change.today)
    if now is None or now[0] == plan:
        return {}
    from_date = change.today + DAY
    ends = services.service(change.service.external_id).ended_on
    if ends is not None and ends <= from_date:
        return {}
    try:
        books.change_plan(
            service=change.service.external_id, plan=plan, quantity=None, from_date=from_date, actor=change.actor,
            at=change.at, reason=change.ref, restores=True,
        )  # fmt: skip
    except books.UnableToKeepError as fault:
        raise UnableToActError(f"{change.service.external_id} can't go on plan {plan}: {fault}") from fault
    return {"plan": plan, "before": now[0], "quantity": now[1], "from": from_date.isoformat()}


def put_back(change: Change, effect: Mapping[str, Any]) -> bool:
    """The plan it was on, from today; whether it was put back. Where somebody chose another since, that stays."""
    if not effect:
        return False
    own = change.service.external_id
    since = date.fromisoformat(effect["from"])
    from_date = max(change.today, since)
    now = _plan_on(own, from_date)
    if now is None or now[0] != effect["plan"]:
        return False
    try:
        books.change_plan(
            service=own, plan=effect["before"], quantity=effect["quantity"], from_date=from_date, actor=change.actor,
            at=change.at, reason=f"{change.ref} is undone", restores=True,
        )  # fmt: skip
    except books.UnableToKeepError as fault:
        raise UnableToActError(f"{own} can't go back on plan {effect['before']}: {fault}") from fault
    return True


def end(change: Change) -> Mapping[str, Any]:
    """The contract ends today, which is not before the day that its notice named; base fees stop with it, and what
    was billed beyond is given back by the next close. The debt stays. Raises `UnableToActError`."""
    return _end(change, change.today)


def end_with_term(change: Change) -> Mapping[str, Any]:
    """The contract ends when what was billed, or the running month, is over; nothing where it ends sooner already."""
    spans = documents.billed_spans(services=[change.service.id]).get(change.service.id, ())
    billed = max((span.end for span in spans), default=change.today)
    return _end(change, max(billed, _next(change.today, change.account.billing_day)))


def reinstate(change: Change, effect: Mapping[str, Any]) -> bool:
    """Take an end back, where it is the one that the act set; whether it was taken back."""
    own = services.service(change.service.external_id)
    if not effect or own.ended_on is None or own.ended_on.isoformat() != effect["ends"]:
        return False
    was = date.fromisoformat(effect["before"]) if effect["before"] else None
    try:
        books.reinstate_service(
            service=own.external_id, ended_on=was, actor=change.actor, at=change.at, reason=f"{change.ref} is undone"
        )
    except books.UnableToKeepError as fault:
        raise UnableToActError(f"{own.external_id} can't be reinstated: {fault}") from fault
    return True


def undo(change: Change, act: ActRow) -> bool:
    """Undo what an act changed of a service; whether anything was changed back."""
    if act.act in (Act.LIMIT, Act.DOWNGRADE):
        return put_back(change, act.effect)
    if act.act is Act.NOT_RENEW and act.effect and date.fromisoformat(act.effect["ends"]) <= change.today:
        return False  # its term is over: it ended, and nothing is left to renew
    if act.act in (Act.TERMINATE, Act.NOT_RENEW):
        return reinstate(change, act.effect)
    return False


def _end(change: Change, on: date) -> Mapping[str, Any]:
    own = services.service(change.service.external_id)
    on = max(on, own.started_on + DAY)
    if own.ended_on is not None and own.ended_on <= on:
        return {}
    before = own.ended_on.isoformat() if own.ended_on else ""
    try:
        books.end_service(
            service=own.external_id, on=on, actor=change.actor, at=change.at, reason=f"unpaid: {change.ref}"
        )
    except books.UnableToKeepError as fault:
        raise UnableToActError(f"{own.external_id} can't be ended: {fault}") from fault
    return {"ends": on.isoformat(), "before": before}


def _plan_on(service: str, day: date) -> tuple[str, int] | None:
    row = services.service(service)
    for span in services.subscriptions([row.id]).get(row.id, ()):
        if span.valid_from <= day and (span.valid_until is None or span.valid_until > day):
            return span.plan, span.quantity
    return None


def _next(day: date, billing_day: int) -> date:
    """The first billing day after a day."""
    here = anchored_date(day.year, day.month, billing_day)
    return here if here > day else anchored_date(*add_months(day.year, day.month, 1), billing_day)
