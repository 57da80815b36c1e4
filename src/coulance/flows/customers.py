"""Accounts, contacts and services, one at a time: for the API and screens, by the very rules that files are judged by.

What is given becomes rows as a file would have them, and goes through `import_customers`; so a rule stands once.
Everything is known by its external id, and doing the same again changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from django.db import transaction

from coulance.catalog import queries as catalog
from coulance.catalog.faults import Fault, Faults
from coulance.customers import queries as customers
from coulance.flows.arrears import ordering
from coulance.flows.customer_file import RECORDS, Row, UnreadableCellError
from coulance.flows.import_customers import ImportPlan, UnableToImportCustomersError, import_customers
from coulance.flows.overage_control.soon import look_soon
from coulance.invoicing import queries as invoicing
from coulance.platform import audit, webhooks
from coulance.platform.db import advisory_lock
from coulance.services import operations as write_services
from coulance.services import queries as services
from coulance_core.kernel import require_aware

_ASKED = "request"


@dataclass(frozen=True, slots=True)
class FieldFault:
    """What is wrong with one field that was given."""

    field: str
    message: str


class UnableToKeepError(ValueError):
    """What was given can't be kept; `faults` has everything that is wrong with it. Nothing was written."""

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{one.field}: {one.message}" for one in faults))


@contextmanager
def editing() -> Iterator[None]:
    """A transaction in which nobody else changes customers or services: to read, judge and write as one."""
    with transaction.atomic():
        advisory_lock("customers", "import")
        yield


def put_account(*, external_id: str, given: Mapping[str, Any], actor: str, at: datetime) -> str:
    """Make an account, or change what is given of it; says created, changed or unchanged.

    Raises `UnableToKeepError`, also for a new account that lacks name, kind or country.
    """
    with editing():
        before = customers.accounts_by_external_id([external_id]).get(external_id)
        known = {} if before is None else {name: getattr(before, name) for name in ("name", "kind", "country")}
        return _put("account", external_id, {"account": external_id, **known, **given}, given, actor, at)


def put_contact(*, account: str, external_id: str, given: Mapping[str, Any], actor: str, at: datetime) -> str:
    """Make a contact of an account, or change what is given of it. Raises `UnableToKeepError`."""
    with editing():
        owner = customers.accounts_by_external_id([account]).get(account)
        known: dict[str, Any] = {}
        for one in customers.contacts([owner.id]) if owner else ():
            if one.external_id == external_id:
                known = {"name": one.name}
        values = {"account": account, "contact": external_id, **known, **given}
        return _put("contact", f"{account}/{external_id}", values, given, actor, at)


def put_service(*, external_id: str, given: Mapping[str, Any], actor: str, at: datetime) -> str:
    """Start a service, or change its name, kind or pool.

    A service that is there keeps its account, first day and first plan: the same values again are no change, others
    are refused with what to do instead. Raises `UnableToKeepError`.
    """
    with editing():
        before = services.services_by_external_id([external_id]).get(external_id)
        if before is None:
            _may_order(str(given.get("account", "")))
        values = {"service": external_id, **given}
        if before is not None:
            [owner] = customers.accounts([before.account_id])
            spans = services.subscriptions([before.id]).get(before.id, ())
            first = spans[0] if spans else None
            fixed = {
                "account": (owner.external_id, "it stays with its account: end it, and start one"),
                "started_on": (before.started_on, "a service that runs keeps its first day"),
                "plan": (first.plan if first else "", "change it with a plan change, from a day on"),
                "quantity": (first.quantity if first else 1, "change it with a plan change, from a day on"),
                "billed_until": (before.billed_until, "it was taken over, and billed by that since"),
            }
            faults = [
                FieldFault(name, f"it is {was}, not {given[name]}; {why}")
                for name, (was, why) in fixed.items()
                if name in given and given[name] != was
            ]
            if faults:
                raise UnableToKeepError(faults)
            values |= {"account": owner.external_id, "started_on": before.started_on}
            values |= {name: getattr(before, name) for name in ("name", "kind") if name not in given}
            for name in ("plan", "quantity", "billed_until"):
                values.pop(name, None)
        return _put("service", external_id, values, given, actor, at)


def change_plan(
    *,
    service: str,
    plan: str,
    quantity: int | None,
    from_date: date,
    actor: str,
    at: datetime,
    reason: str = "",
    restores: bool = False,
) -> str:
    """From a day on, another plan or number of it; what was planned for later days is dropped.

    Days that are billed can't change. More than before is refused where the account can order nothing new, unless it
    only `restores` what was taken. Raises `services.UnableToFindServiceError` and `UnableToKeepError`.
    """
    with editing():
        row = services.service(service)
        spans = services.subscriptions([row.id]).get(row.id, ())
        before = [span for span in spans if span.valid_from < from_date]
        number = quantity or (before[-1].quantity if before else spans[0].quantity if spans else 1)
        if before and (before[-1].plan, before[-1].quantity, before[-1].valid_until) == (plan, number, row.ended_on):
            return "unchanged"
        now = next((span for span in reversed(spans) if span.valid_from <= from_date), None)
        if now is not None and not restores and _is_more(now.plan, now.quantity, plan, number, from_date):
            [owner] = customers.accounts([row.account_id])
            _may_order(owner.external_id)
        since = from_date
        if before and (before[-1].plan, before[-1].quantity, before[-1].valid_until) == (plan, number, from_date):
            since = before.pop().valid_from  # it goes on, rather than to begin anew
        rows = [
            _row(
                "subscription",
                {"service": service, "plan": span.plan, "quantity": span.quantity, "from": span.valid_from,
                 "until": min(span.valid_until or from_date, from_date)},
                number_,
            )
            for number_, span in enumerate(before, 1)
        ]  # fmt: skip
        new = {"service": service, "plan": plan, "quantity": number, "from": since, "until": row.ended_on}
        rows.append(_row("subscription", new, len(rows) + 1))
        result = _import(rows, actor, at)
        done = next((item.action for item in result.items if item.external_id == service), "unchanged")
        if done != "unchanged":
            detail = {"plan": plan, "quantity": number, "from": from_date.isoformat()}
            _record("service.plan_changed", f"service:{service}", actor, at, reason, detail)
            look_soon([row.account_id])  # a larger plan ends a pause at once, not by the hour
        return done


def end_service(*, service: str, on: date, actor: str, at: datetime, reason: str) -> None:
    """End a service: `on` is the first day on which it no longer runs. What was billed beyond it is given back.

    Raises `services.UnableToFindServiceError` and `UnableToKeepError`.
    """
    if not reason.strip():
        raise UnableToKeepError([FieldFault("reason", "say why: what is billed depends on it")])
    with editing():
        row = services.service(service)
        if row.ended_on == on:
            return
        try:
            write_services.end_service(service=service, on=on)
        except write_services.UnableToEndServiceError as fault:
            raise UnableToKeepError([FieldFault("on", str(fault))]) from fault
        _record("service.ended", f"service:{service}", actor, at, reason, {"on": on.isoformat()})
        webhooks.emit(event="service.ended", data={"service": service, "on": on.isoformat()}, at=at)


def reinstate_service(*, service: str, ended_on: date | None, actor: str, at: datetime, reason: str) -> None:
    """Take an end back: it runs as it did, until the end that it had before, if it had one.

    Raises `services.UnableToFindServiceError` and `UnableToKeepError`.
    """
    with editing():
        services.service(service)
        try:
            write_services.reinstate_service(service=service, ended_on=ended_on)
        except write_services.UnableToEndServiceError as fault:
            raise UnableToKeepError([FieldFault("on", str(fault))]) from fault
        on = ended_on.isoformat() if ended_on else ""
        _record("service.reinstated", f"service:{service}", actor, at, reason, {"on": on})
        webhooks.emit(event="service.changed", data={"service": service}, at=at)


def _may_order(account: str) -> None:
    """Raises `UnableToKeepError` where an account can order nothing new, with what ends that."""
    row = customers.accounts_by_external_id([account]).get(account)
    found = None if row is None else ordering.blocked(row.id)
    if found is not None:
        raise UnableToKeepError([FieldFault("account", found.words)])


def _is_more(plan: str, quantity: int, wanted: str, number: int, on: date) -> bool:
    """Whether another plan or number of it comes to a higher base fee a month."""

    def fee(key: str, count: int) -> Fraction:
        versions = [one for one in catalog.catalog().plans.get(key, ()) if one.valid_from <= on]
        base = max(versions, key=lambda one: one.valid_from).base if versions else None
        return Fraction(0) if base is None else base.amount * (count if base.per_unit else 1) / base.interval_months

    return fee(wanted, number) > fee(plan, quantity)


def assign_series(*, key: str, service: str, meter: str, actor: str, at: datetime) -> str:
    """Say which service and meter a series counts for. Raises `UnableToKeepError`."""
    with editing():
        return _put("series", key, {"series": key, "service": service, "meter": meter}, {}, actor, at)


def _put(record: str, name: str, values: Mapping[str, Any], given: Mapping[str, Any], actor: str, at: datetime) -> str:
    row = _row(record, values, 1)
    result = _import([row], actor, at)
    done = next((item for item in result.items if (item.record, item.external_id) == (record, name)), None)
    if done is None or done.action == "unchanged":
        return "unchanged"
    _record(f"{record}.{done.action}", f"{record}:{name}", actor, at, "", {"fields": sorted(given)})
    return done.action


def _import(rows: Sequence[Row], actor: str, at: datetime) -> ImportPlan:
    try:
        return import_customers(
            rows=rows,
            faults=Faults(),
            catalog=catalog.catalog(),
            sold=catalog.plans_sold(),
            apply=True,
            actor=actor,
            at=require_aware(at),
            closed_period=invoicing.closed_until(),
        )
    except UnableToImportCustomersError as error:
        raise UnableToKeepError([_said(fault) for fault in error.faults]) from error


def _said(fault: Fault) -> FieldFault:
    parts = [fault.found]
    if fault.expected:
        parts.append("expected " + fault.expected.replace("one of these files, or one that is there", "one there is"))
    if fault.nearest:
        parts.append(f"did you mean {fault.nearest!r}?")
    return FieldFault(fault.key, "; ".join(parts))


def _row(record: str, values: Mapping[str, Any], number: int) -> Row:
    """A row as a file would have it: texts are read by the column's own rule, the rest is what it is already."""
    columns = RECORDS[record]
    out: dict[str, Any] = {name: column.default for name, column in columns.items()}
    faults: list[FieldFault] = []
    for name, value in values.items():
        if value is None or value == "":
            continue
        try:
            out[name] = columns[name].read(value) if isinstance(value, str) else value
        except UnreadableCellError as error:
            close = f"; did you mean {error.close!r}?" if error.close else ""
            faults.append(FieldFault(name, f"{value!r}; expected {error}{close}"))
    for name, column in columns.items():
        if column.required and values.get(name) in (None, "") and all(one.field != name for one in faults):
            faults.append(FieldFault(name, f"nothing is given; expected the {name} of this {record}"))
    if faults:
        raise UnableToKeepError(faults)
    return Row(record, out, frozenset(values), _ASKED, number, number, {})


def _record(act: str, subject: str, actor: str, at: datetime, reason: str, detail: Mapping[str, Any]) -> None:
    audit.record(actor=actor, act=act, subject=subject, at=at, reason=reason.strip(), detail=detail)
