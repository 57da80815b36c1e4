"""Importing customers: what the rows of the files would create and change, and doing it, all of it or nothing.

Everything is known by its external id, so the same files again change nothing. What the files don't mention stays; a
column that a file doesn't have leaves what is there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import transaction

from coulance.catalog.faults import Fault, Faults, listed, nearest
from coulance.customers import checks
from coulance.customers import operations as write_customers
from coulance.customers import queries as customers
from coulance.customers.kinds import Role
from coulance.flows.customer_file import Row
from coulance.platform import audit, webhooks
from coulance.platform.db import advisory_lock
from coulance.services import operations as write_services
from coulance.services import queries as services
from coulance_core.catalog.terms import Catalog
from coulance_core.kernel import anchored_date
from coulance_core.kernel.period import add_months

Span = tuple[str, int, date, date | None]


_LONG_AGO_DAYS = 62
"""A service that started longer ago than this was probably billed somewhere before."""


class UnableToImportCustomersError(ValueError):
    """The files have faults. `faults` has them all; nothing was written."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__(f"nothing is imported, for {len(faults)} reason(s):\n" + "\n".join(f"  {f}" for f in faults))


@dataclass(frozen=True, slots=True)
class Item:
    """One thing the files are about: what it is, its external id, and what becomes of it."""

    record: str
    external_id: str
    action: str
    """created, changed or unchanged"""
    details: tuple[str, ...] = ()


@dataclass(slots=True)
class ImportPlan:
    """What an import would do. `notes` are things that are allowed and probably not meant."""

    items: list[Item] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: tuple[Fault, ...] = ()

    def count(self, record: str, action: str) -> int:
        """How many of a kind are created, changed or unchanged."""
        return sum(item.record == record and item.action == action for item in self.items)

    @property
    def writes(self) -> int:
        """How many things it would create or change."""
        return sum(item.action != "unchanged" for item in self.items)


def import_customers(
    *,
    rows: Sequence[Row],
    faults: Faults,
    catalog: Catalog,
    sold: Iterable[str],
    apply: bool,
    actor: str,
    at: datetime,
    closed_period: str | None = None,
) -> ImportPlan:
    """Compare the rows with what is there, and with `apply` write them in one transaction.

    `faults` are those of reading the files; with any, nothing is written: a plan that is only shown carries them, and
    applying raises `UnableToImportCustomersError`. Days of `closed_period` (the newest, such as 2026-10) and before
    are billed: which plan a service had then can't change.
    """
    with transaction.atomic():
        if apply:
            advisory_lock("customers", "import")
        planning = _Planning(rows, faults, catalog, frozenset(sold), closed_period, at.date())
        plan = planning.plan()
        if apply:
            if plan.faults:
                raise UnableToImportCustomersError(plan.faults)
            planning.write()
            if plan.writes:
                counts = Counter(f"{item.record} {item.action}" for item in plan.items)
                audit.record(actor=actor, act="customers.imported", subject="customers", at=at, detail=dict(counts))
                _tell(plan, at)
    return plan


def _tell(plan: ImportPlan, at: datetime) -> None:
    """Tell endpoints of what came to be and what changed; a contact's change is its account's."""
    told: dict[tuple[str, str], str] = {}
    for item in plan.items:
        if item.action == "unchanged" or item.record == "series":
            continue
        record = "service" if item.record == "service" else "account"
        name = item.external_id.partition("/")[0] if item.record == "contact" else item.external_id
        action = "changed" if item.record == "contact" else item.action
        told.setdefault((record, name), action)
    for record in ("account", "service"):
        for action in ("created", "changed"):
            names = [name for (kind, name), done in told.items() if (kind, done) == (record, action)]
            if names:
                webhooks.emit_many(event=f"{record}.{action}", data=({record: name} for name in names), at=at)


def first_open_day(closed_period: str, billing_day: int) -> date:
    """The first day after a billing period: of 2026-10 with billing day 15, the 15th of November."""
    year, month = map(int, closed_period.split("-"))
    return anchored_date(*add_months(year, month, 1), billing_day)


class _Planning:
    def __init__(
        self,
        rows: Sequence[Row],
        faults: Faults,
        catalog: Catalog,
        sold: frozenset[str],
        closed_period: str | None,
        today: date,
    ) -> None:
        self.faults, self.catalog, self.sold, self.closed_period = faults, catalog, sold, closed_period
        self.today = today
        self.old: list[str] = []
        self.result = ImportPlan()
        self.index: dict[tuple[str, str], int] = {}
        self.accounts = self._unique(rows, "account", lambda row: row.values["account"])
        self.contacts = self._unique(rows, "contact", lambda row: f"{row.values['account']}/{row.values['contact']}")
        self.services = self._unique(rows, "service", lambda row: row.values["service"])
        self.series = self._unique(rows, "series", lambda row: row.values["series"])
        self.spans: dict[str, list[Row]] = {}
        for row in rows:
            if row.record == "subscription":
                self.spans.setdefault(row.values["service"], []).append(row)
        self.write_accounts: list[dict[str, Any]] = []
        self.write_contacts: list[tuple[str, dict[str, Any]]] = []
        self.write_services: list[tuple[str, dict[str, Any]]] = []
        self.write_spans: dict[str, list[Span]] = {}
        self.write_series: list[tuple[str, str, str]] = []

    def _unique(self, rows: Sequence[Row], record: str, key: Callable[[Row], str]) -> dict[str, Row]:
        out: dict[str, Row] = {}
        for row in rows:
            if row.record != record:
                continue
            name = key(row)
            if name in out:
                first = out[name]
                found = f"{record} {name!r} is there twice, first at {first.file}:{first.line}"
                row.fault(self.faults, record, found, "one row for each")
            else:
                out[name] = row
        return out

    def plan(self) -> ImportPlan:
        """Everything that would happen, and everything at fault."""
        named = {row.values["account"] for row in [*self.contacts.values(), *self.services.values()]}
        self.have_accounts = customers.accounts_by_external_id({*self.accounts, *named})
        listed_services = {
            *self.services, *self.spans, *(row.values["service"] for row in self.series.values()),
            *(row.values["mailbox_service"] for row in self.contacts.values()),
        }  # fmt: skip
        self.have_services = services.services_by_external_id(listed_services - {""})
        self._plan_accounts()
        self._plan_contacts()
        self._plan_services()
        if self.old:
            more = f", and {len(self.old) - 1} more that long ago" if len(self.old) > 1 else ""
            self.result.notes.append(
                f"{self.old[0]}{more}: base fees are billed from then on; give billed_until if they were billed "
                "elsewhere up to some day"
            )
        self._plan_series()
        self.result.faults = self.faults.sorted()
        return self.result

    # accounts and contacts

    def _plan_accounts(self) -> None:
        provider = self.catalog.provider
        defaults = {"currency": provider.currency, "zone": provider.zone, "language": provider.language}
        classes = self.catalog.tax.classes()
        for name, row in self.accounts.items():
            before = self.have_accounts.get(name)
            values = dict(row.values, external_id=name)
            del values["account"]
            for column, default in defaults.items():
                values[column] = values[column] or default
            if before is not None:
                for column in values.keys() - {"external_id"}:
                    if column not in row.given or (column in defaults and not row.values[column]):
                        values[column] = getattr(before, column)
            if values["vat_id"] and (expected := checks.vat_id(values["vat_id"], values["country"])):
                row.fault(self.faults, "vat_id", repr(values["vat_id"]), expected)
            if values["vat_id"] and values["kind"] == "consumer":
                row.fault(self.faults, "vat_id", "a consumer with a VAT number", "an empty cell, or kind business")
            if values["tax_class"] and values["tax_class"] not in classes:
                close = nearest(values["tax_class"], classes)
                row.fault(self.faults, "tax_class", repr(values["tax_class"]), listed(classes), close)
            if before is not None and before.currency != values["currency"]:
                found = f"account {name!r} is kept in {before.currency}"
                row.fault(self.faults, "currency", found, before.currency)
            for column in ("billing_day", "zone"):
                if before is not None and self.closed_period and getattr(before, column) != values[column]:
                    found = f"account {name!r} was billed to {self.closed_period} by {getattr(before, column)}"
                    expected = f"{getattr(before, column)}: another would bill days twice, or not at all"
                    row.fault(self.faults, column, found, expected)
            self._item("account", name, before, values)
            self.write_accounts.append(values)

    def _plan_contacts(self) -> None:
        have: dict[str, dict[str, Any]] = {}
        names = {account.id: account.external_id for account in self.have_accounts.values()}
        for contact in customers.contacts(list(names)):
            have[f"{names[contact.account_id]}/{contact.external_id}"] = contact._asdict()
        payers: dict[str, bool] = {}
        for name, row in self.contacts.items():
            owner = row.values["account"]
            if not self._known_account(row, owner):
                continue
            before = have.get(name)
            values = dict(row.values, external_id=row.values["contact"])
            del values["account"], values["contact"]
            given = self.accounts.get(owner)
            language = (given.values["language"] if given else "") or (
                self.have_accounts[owner].language if owner in self.have_accounts else self.catalog.provider.language
            )
            values["language"] = values["language"] or (before["language"] if before else language)
            if before is not None:
                values |= {c: before[c] for c in values if c not in row.given and c != "external_id"}
            if "email" in values["channels"] and not values["email"]:
                row.fault(self.faults, "email", "an empty cell", "an address, since channels has email")
            if "sms" in values["channels"] and not values["phone"]:
                row.fault(self.faults, "phone", "an empty cell", "a number, since channels has sms")
            mailbox = values["mailbox_service"]
            if mailbox and mailbox not in self.services and mailbox not in self.have_services:
                close = nearest(mailbox, self.services)
                row.fault(self.faults, "mailbox_service", f"no service {mailbox!r}", "a service's external id", close)
            payers[owner] = payers.get(owner, False) or Role.BILLING in values["roles"]
            self._item("contact", name, before, values)
            self.write_contacts.append((owner, values))
        for owner, found in payers.items():
            if not found and not any(
                Role.BILLING in contact["roles"] for key, contact in have.items() if key.startswith(f"{owner}/")
            ):
                self.result.notes.append(f"account {owner!r} has no contact with the role billing")

    def _known_account(self, row: Row, name: str) -> bool:
        if name in self.accounts or name in self.have_accounts:
            return True
        close = nearest(name, self.accounts)
        row.fault(self.faults, "account", f"no account {name!r}", "one of these files, or one that is there", close)
        return False

    # services

    def _plan_services(self) -> None:
        have_spans = services.subscriptions([service.id for service in self.have_services.values()])
        owners = {account.id: account.external_id for account in self.have_accounts.values()}
        for name, row in self.services.items():
            owner = row.values["account"]
            if not self._known_account(row, owner):
                continue
            before = self.have_services.get(name)
            values = {c: row.values[c] for c in ("name", "kind", "started_on", "ended_on", "pool", "billed_until")}
            values["external_id"] = name
            if before is not None:
                if "pool" not in row.given:
                    values["pool"] = before.pool
                if values["billed_until"] is None:
                    values["billed_until"] = before.billed_until
                elif values["billed_until"] != before.billed_until and self.closed_period:
                    found = f"{values['billed_until']} where {before.billed_until or 'nothing'} holds"
                    row.fault(self.faults, "billed_until", found, "what it was: months were billed by it since")
                if values["ended_on"] is None:  # nobody brings an ended service back by leaving a cell empty
                    values["ended_on"] = before.ended_on
                if owners.get(before.account_id) != owner:
                    found = f"service {name!r} belongs to another account"
                    row.fault(self.faults, "account", found, "the account it is with; end it, and start one")
            else:
                self._note_old(name, values)
            if values["ended_on"] is not None and values["ended_on"] <= values["started_on"]:
                found = f"it ends on {values['ended_on']} and starts on {values['started_on']}"
                row.fault(self.faults, "ended_on", found, "a later day: the first on which it no longer runs")
                continue
            self._item("service", name, before, values)
            self.write_services.append((owner, values))
            spans = self._wanted(name, row, values)
            if spans is None and before is None and name not in self.spans:
                row.fault(self.faults, "plan", "an empty cell", "the plan it is on, or rows for its subscriptions")
            if spans is not None:
                self._subscribed(name, row, spans, have_spans.get(before.id, ()) if before else (), owner)
        for name, rows in self.spans.items():
            if name in self.services:
                continue
            known = self.have_services.get(name)
            if known is None:
                close = nearest(name, self.services)
                for row in rows:
                    row.fault(
                        self.faults,
                        "service",
                        f"no service {name!r}",
                        "one of these files, or one that is there",
                        close,
                    )
                continue
            wanted = self._wanted(name, rows[0], {"started_on": known.started_on, "ended_on": known.ended_on})
            if wanted is not None:
                if known.account_id not in owners:
                    [account] = customers.accounts([known.account_id])
                    self.have_accounts[account.external_id] = account
                    owners[account.id] = account.external_id
                owner = owners[known.account_id]
                self._subscribed(name, rows[0], wanted, have_spans.get(known.id, ()), owner)

    def _note_old(self, name: str, values: Mapping[str, Any]) -> None:
        """Warn of a service that has run for long: its whole past would be on the first invoice."""
        if values["billed_until"] is None and (self.today - values["started_on"]).days > _LONG_AGO_DAYS:
            self.old.append(f"service {name!r} started on {values['started_on']}")

    def _wanted(self, name: str, row: Row, service: Mapping[str, Any]) -> list[tuple[Row, Span]] | None:
        """The subscriptions the files give a service; none when they say nothing of them."""
        rows = self.spans.get(name, [])
        start, end = service["started_on"], service["ended_on"]
        if row.record == "service" and row.values["plan"]:
            if rows:
                found = f"service {name!r} has a plan here, and rows for subscriptions at {rows[0].file}:{rows[0].line}"
                row.fault(self.faults, "plan", found, "one of the two")
                return None
            return [(row, (row.values["plan"], row.values["quantity"], start, end))]
        if not rows:
            return None
        ordered = sorted(rows, key=lambda r: r.values["from"])
        spans: list[tuple[Row, Span]] = []
        for i, each in enumerate(ordered):
            since, until = each.values["from"], each.values["until"]
            following = ordered[i + 1].values["from"] if i + 1 < len(ordered) else None
            if until is None:
                until = following if following is not None else end
            if until is not None and until <= since:
                each.fault(self.faults, "until", f"it ends on {until} and starts on {since}", "a later day")
                return None
            if following is not None and until > following:
                other = ordered[i + 1]
                found = f"it overlaps the one from {following} ({other.file}:{other.line})"
                each.fault(self.faults, "until", found, "one plan a day for a service")
                return None
            if since < start or (end is not None and (until is None or until > end)):
                found = f"{since} to {until or 'no end'}"
                each.fault(self.faults, "from", found, f"days on which the service runs: {start} to {end or 'no end'}")
                return None
            spans.append((each, (each.values["plan"], each.values["quantity"], since, until)))
        return spans

    def _subscribed(
        self, name: str, row: Row, wanted: list[tuple[Row, Span]], have: Sequence[services.SubscriptionRow], owner: str
    ) -> None:
        currency = self._currency_of(owner)
        sound = True
        for each, (plan, _, since, _until) in wanted:
            known = [(s.plan, s.valid_from) for s in have]
            versions = self.catalog.plans.get(plan)
            if versions is None or (plan not in self.sold and (plan, since) not in known):
                close = nearest(plan, self.sold)
                each.fault(self.faults, "plan", f"unknown plan {plan!r}", listed(sorted(self.sold), 40), close)
                sound = False
            elif versions[0].valid_from > since:
                column = "from" if each.record == "subscription" else "started_on"
                found = f"plan {plan!r} begins on {versions[0].valid_from}, after {since}"
                each.fault(self.faults, column, found, f"a day from {versions[0].valid_from} on")
                sound = False
            elif any(version.currency != currency for version in versions):
                found = f"plan {plan!r} is in {versions[-1].currency}, and account {owner!r} in {currency}"
                each.fault(self.faults, "plan", found, f"a plan in {currency}")
                sound = False
        after = [span for _, span in wanted]
        before = [tuple(span) for span in have]
        if not sound or after == before:
            return
        if have and self.closed_period is not None:
            closed = first_open_day(self.closed_period, self._billing_day(owner))
            if _until_day(before, closed) != _until_day(after, closed):
                found = f"it would change which plan service {name!r} had before {closed}, which is billed"
                row.fault(self.faults, "plan", found, f"changes from {closed} on")
                return
        if have:
            details = (f"plan: {_spans(before)} -> {_spans(after)}",)
            self._changed("service", name, details)
        self.write_spans[name] = after

    def _currency_of(self, owner: str) -> str:
        row = self.accounts.get(owner)
        if row is not None and row.values["currency"]:
            return str(row.values["currency"])
        have = self.have_accounts.get(owner)
        return have.currency if have else self.catalog.provider.currency

    def _billing_day(self, owner: str) -> int:
        """The day its closed periods were billed by: the one that is there, not the one the file gives."""
        have = self.have_accounts.get(owner)
        return have.billing_day if have else 1

    def _plan_series(self) -> None:
        have = services.series_refs(list(self.series))
        names = {service.id: external_id for external_id, service in self.have_services.items()}
        for key, row in self.series.items():
            service, meter = row.values["service"], row.values["meter"]
            if meter not in self.catalog.meters:
                close = nearest(meter, self.catalog.meters)
                row.fault(self.faults, "meter", f"unknown meter {meter!r}", listed(self.catalog.meters, 40), close)
            if service not in self.services and service not in self.have_services:
                close = nearest(service, self.services)
                found = f"no service {service!r}"
                row.fault(self.faults, "service", found, "one of these files, or one that is there", close)
                continue
            before = have.get(key)
            if before is None:
                self._put(Item("series", key, "created"))
                plans = {span[0] for span in self.write_spans.get(service, ())}
                if plans and not any(self._measures(plan, meter) for plan in plans):
                    named = listed(sorted(plans))
                    self.result.notes.append(f"series {key!r} counts {meter}, which {named} does not charge for")
                self.write_series.append((key, service, meter))
            elif (names.get(before.service_id), before.meter) != (service, meter):
                found = f"series {key!r} counts for another service or meter already"
                row.fault(self.faults, "series", found, "a new key for new samples: its past stays where it is")
            else:
                self._put(Item("series", key, "unchanged"))

    def _measures(self, plan: str, meter: str) -> bool:
        versions = self.catalog.plans.get(plan, ())
        return any(charge.measure.meter == meter for version in versions for charge in version.charges)

    # what comes of it

    def _item(self, record: str, name: str, before: Any, values: Mapping[str, Any]) -> None:
        if before is None:
            self._put(Item(record, name, "created"))
            return
        old = before if isinstance(before, dict) else before._asdict()
        details = tuple(
            f"{column}: {_shown(old[column])} -> {_shown(value)}"
            for column, value in values.items()
            if old[column] != value
        )
        self._put(Item(record, name, "changed" if details else "unchanged", details))

    def _changed(self, record: str, name: str, details: tuple[str, ...]) -> None:
        have = self.index.get((record, name))
        if have is None:
            self._put(Item(record, name, "changed", details))
        else:
            item = self.result.items[have]
            self.result.items[have] = Item(record, name, "changed", item.details + details)

    def _put(self, item: Item) -> None:
        self.index[item.record, item.external_id] = len(self.result.items)
        self.result.items.append(item)

    def write(self) -> None:
        """Write what was planned, in the transaction it was planned in."""
        ids = {name: account.id for name, account in self.have_accounts.items()}
        changed = {(item.record, item.external_id) for item in self.result.items if item.action != "unchanged"}
        ids |= write_customers.write_accounts(
            rows=[values for values in self.write_accounts if ("account", values["external_id"]) in changed]
        )
        write_customers.write_contacts(
            rows=[
                (ids[owner], values)
                for owner, values in self.write_contacts
                if ("contact", f"{owner}/{values['external_id']}") in changed
            ]
        )
        service_ids = {name: service.id for name, service in self.have_services.items()}
        service_ids |= write_services.write_services(
            rows=[
                (ids[owner], values)
                for owner, values in self.write_services
                if ("service", values["external_id"]) in changed
            ]
        )
        write_services.replace_subscriptions(
            rows={service_ids[name]: spans for name, spans in self.write_spans.items()}
        )
        write_services.write_series(
            rows=[(key, service_ids[service], meter) for key, service, meter in self.write_series]
        )


def _until_day(spans: Iterable[Any], day: date) -> list[tuple[str, int, date, date]]:
    """The part of subscriptions that lies before a day."""
    return [(plan, quantity, since, min(until or day, day)) for plan, quantity, since, until in spans if since < day]


def _spans(spans: Iterable[Any]) -> str:
    return ", ".join(
        f"{plan}{f' x{quantity}' if quantity != 1 else ''} from {since}{f' until {until}' if until else ''}"
        for plan, quantity, since, until in spans
    )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " | ".join(map(str, value)) or "(none)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "(none)" if value in ("", None) else str(value)
