"""The running month of a few customers who decide how far overage goes: warned, answered, paused, reached by nobody.

The months before were billed by contract and stay so. From this month on the provider's terms say `enforce`, and ten
new customers use what the story has for them, from the month's first minute until now. Everything goes as in real
life: samples, rounds of the watcher, mails (to a directory), answers, an executor with a driver that records.
Told again, nothing is made up anew.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from coulance.catalog import operations as catalog_operations
from coulance.catalog.reader import read_provider_file
from coulance.customers import operations as customers_operations
from coulance.customers import queries as customers
from coulance.enforcement import queries as register
from coulance.flows import enforcing
from coulance.flows.overage_control import acting, rounds
from coulance.flows.overage_control.acting import Seen
from coulance.integrations.demo.office import report_of
from coulance.notices import operations as notices
from coulance.notices import queries as sent
from coulance.notices.transport import read_transport
from coulance.overage import queries as overage
from coulance.services import operations as services_operations
from coulance.services import queries as services
from coulance.usage import operations as usage
from coulance_core.kernel import Quantity, round_to, show

ZONE = ZoneInfo("Europe/Amsterdam")
TERMS = """
[overage]
control = "enforce"
warn_at = ["50 %", "80 %", "100 %", "80 % of limit"]

[drivers.paper]
kind = "record"
"""
STEPS = 30
"""In how many pieces the month so far is told, at most."""
SHORTEST = timedelta(hours=1)
"""A month that has run for less has no story yet."""
_GB = 10**9


@dataclass(frozen=True, slots=True)
class Part:
    """A customer of the story: what they would use of their 1000 GB by now, and what they do when warned."""

    ref: str
    name: str
    share: float
    limit: str = ""
    """The amount they allow, once they are warned."""
    bounces: bool = False
    """Their mails come back."""


CAST = (
    Part("KORENAAR", "Bakkerij De Korenaar", 0.31),
    Part("VLIETLAND", "Huisartsen Vlietland", 0.44),
    Part("ZILVER", "Juwelier Zilver", 0.58),
    Part("FIETSEN", "Fietsen van Dam", 0.72),
    Part("LEEUW", "Drukkerij De Leeuw", 0.86),
    Part("DUINZICHT", "Hotel Duinzicht", 0.93),
    Part("HAVENFOTO", "Havenfoto", 1.9, limit="25.00"),
    Part("STREAMERS", "De Streamers", 2.6, limit="5.00"),
    Part("BACKUPS", "Backups & Zo", 1.7),
    Part("VERHUISD", "Verhuisd BV", 1.5, bounces=True),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the story came to. Quantities in GB; `absorbed` ran past what may be charged, `charged` may be."""

    watched: int
    warned: int
    reached: int
    answered: int
    paused: int
    to_call: int
    absorbed: str
    charged: str
    page: str
    """The path of the page to open, without signing in: the customer who is at their limit."""
    whose: str


def tell(
    provider_file: Path, home: Path, *, now: datetime, actor: str, execute: Callable[[datetime], int]
) -> Told | None:
    """Tell it, or what it came to when it was told before. None where the month has only just begun.

    `execute` has restrictions executed as of an instant: drivers are wired by whoever shows the demo.
    """
    local = now.astimezone(ZONE)
    begin = datetime(local.year, local.month, 1, tzinfo=ZONE).astimezone(UTC)
    if not any(row.external_id == CAST[0].ref for row in customers.accounts()):
        if now - begin < SHORTEST:
            return None
        _set_up(provider_file, home / "provider", begin, actor)
        _play(home / "warnings", begin, now, execute)
    return _told(now)


def _set_up(provider_file: Path, folder: Path, begin: datetime, actor: str) -> None:
    """The provider's file with the new terms, beside the old one; the customers, and where their networks are."""
    shutil.copytree(provider_file.parent, folder, dirs_exist_ok=True)
    own = folder / provider_file.name
    own.write_text(provider_file.read_text() + TERMS)
    file = read_provider_file(own)
    if file.faults:
        raise RuntimeError(f"{own} has faults: run coulance check {own}")
    before = begin - timedelta(hours=1)
    catalog_operations.apply_catalog(
        file=file, actor=actor, at=before, closed_until=None, plans_in_use=services.plans_in_use(date(2026, 1, 1))
    )
    first = begin.astimezone(ZONE).date()
    for part in CAST:
        customers_operations.create_account(
            external_id=part.ref, name=part.name, kind="business", country="NL", currency="EUR",
            zone="Europe/Amsterdam", language="nl" if part.ref == "VERHUISD" else "en",
        )  # fmt: skip
        customers_operations.put_contact(
            account=part.ref, external_id="owner", name=f"The owner of {part.name}", roles=["owner", "billing"],
            email=f"owner@{part.ref.lower()}.example", phone="+31 10 555 0100", may_incur_cost=True, language="en",
            channels=["email"],
        )  # fmt: skip
        service = _service(part)
        services_operations.start_service(
            account=part.ref, external_id=service, name=f"Server of {part.name}", kind="vps", started_on=first,
            plan="vps-s",
        )  # fmt: skip
        services_operations.assign_series(key=f"story:{service}", service=service, meter="traffic")
        enforcing.set_target(
            given=enforcing.TargetGiven(service, "paper", f"port of {service}", {}), actor=actor, at=before
        )
        if not part.bounces:
            notices.verify_address(
                account=customers.account(part.ref).id, address=f"owner@{part.ref.lower()}.example",
                how="confirmed when they ordered", actor=actor, at=before,
            )  # fmt: skip


def _play(mails: Path, begin: datetime, now: datetime, execute: Callable[[datetime], int]) -> None:
    """The month so far, a piece at a time: use, a round, mails, what came back, answers, execution."""
    totals = {part.ref: 10**12 for part in CAST}  # counters don't begin at nothing
    ids = {part.ref: services.service(_service(part)).id for part in CAST}
    way = read_transport(f"file://{mails}?connections=1")
    steps = min(STEPS, (now - begin) // timedelta(minutes=5))
    ends = [begin + (now - begin) * n / steps for n in range(steps + 1)]
    _feed(begin, begin, totals, dict.fromkeys(totals, 0))
    for start, end in pairwise(ends):
        paused = {
            row.service for row in register.restrictions(services=list(ids.values())) if not row.restriction.observe
        }
        amounts = {part.ref: 0 if ids[part.ref] in paused else int(part.share * 1000 * _GB / steps) for part in CAST}
        _feed(start, end, totals, amounts)
        rounds.round_of(at=end)
        notices.send_due(transport=way, clock=lambda end=end: end)  # type: ignore[misc]
        _come_back(mails, end)
        for part in CAST:
            if part.limit:
                _answer(part, end)
        execute(end)
    rounds.sweep(at=now)
    execute(now)


def _feed(start: datetime, end: datetime, totals: dict[str, int], amounts: dict[str, int]) -> None:
    """A reading of every counter each five minutes of [start, end)."""
    first, last = int(start.timestamp()), int(end.timestamp())
    at = np.arange(first + 300 - first % 300, last, 300, dtype=np.int64)
    if not len(at):
        if start != end:
            return
        at = np.array([first], dtype=np.int64)
    keys = [f"story:{_service(part)}" for part in CAST]
    series = np.repeat(np.arange(len(CAST), dtype=np.int32), len(at))
    out = []
    for part in CAST:
        steps = totals[part.ref] + amounts[part.ref] * np.arange(1, len(at) + 1, dtype=object) // len(at)
        totals[part.ref] = int(steps[-1])
        out.append(np.array([int(v) for v in steps], dtype=np.int64))
    sent_out = np.concatenate(out)
    table = pa.table(
        {
            "series": pa.DictionaryArray.from_arrays(pa.array(series), pa.array(keys)),
            "at": np.tile(at, len(CAST)),
            "in": sent_out // 9,
            "out": sent_out,
        }
    )
    usage.ingest_batch(columns=usage.from_arrow(table), source="demo", key=f"story/{first}/{last}", recorded_at=end)


def _come_back(mails: Path, at: datetime) -> None:
    """What was sent to who moved away comes back a moment later."""
    moved = {customers.account(part.ref).id for part in CAST if part.bounces}
    rows = [row for row in sent.messages(state=["accepted"], limit=1000) if row.account in moved]
    if rows:
        box = mails.with_name("warnings-back.mbox")
        said = "550 5.1.1 no such user here"
        box.write_bytes(b"".join(b"From MAILER-DAEMON\n" + report_of(row, "5.1.1", said, at) + b"\n" for row in rows))
        notices.read_bounces(path=box, at=at)


def _answer(part: Part, at: datetime) -> None:
    """Once they are warned that little is left they allow so much, by the link in the mail."""
    row = services.service(_service(part))
    judged = acting.one_of(account=row.account_id, service=row.id, charge="transfer", at=at)
    if judged.counted.used < judged.counted.included * 4 / 5:
        return
    if overage.consent_in_force(meter=judged.ref, at=at, period_name=judged.counted.period_name) is not None:
        return
    warned = [one.message for one in overage.warnings(account=row.account_id, period_name=judged.counted.period_name)]
    if not warned:
        return
    by = acting.customer_of(account=row.account_id, contact="owner", how="link", came_from="demo", message=warned[-1])
    acting.give(by=by, judged=judged, offered=acting.offer(judged=judged, amount=part.limit, language="en"), at=at)


def _told(now: datetime) -> Told:
    found: list[tuple[Part, Seen]] = []
    for part in CAST:
        row = services.service(_service(part))
        found += [(part, one) for one in acting.seen(account=row.account_id, service=row.id, at=now)]
    warned = reached = answered = 0
    page, whose = "", ""
    for part, one in found:
        account = one.judged.counted.account.id
        told = overage.warnings(account=account, period_name=one.judged.counted.period_name)
        warned += bool(told)
        if told:
            states = {row.state for row in sent.messages(account=account, limit=100)}
            reached += "bounced" not in states
        answered += one.consent is not None
        if part.limit and one.paused_by:
            whose = part.name
            page = _page(told[-1].message)
    standing = [one.judged.standing for _, one in found]
    past = (one.judged.counted.used - one.judged.counted.included for _, one in found)
    over = sum((amount for amount in past if amount > 0), start=Fraction(0))
    charged = sum((one.billable for one in standing), start=Fraction(0))
    return Told(
        watched=len(found),
        warned=warned,
        reached=reached,
        answered=answered,
        paused=sum(bool(one.paused_by) for _, one in found),
        to_call=len(overage.phone_tasks()),
        absorbed=_gb(over - charged),
        charged=_gb(charged),
        page=page,
        whose=whose,
    )


def _page(message: str) -> str:
    """The path of the link in a mail."""
    for number in sent.deliveries_of(key=message):
        row = sent.delivery(number)
        text = sent.text_of(message=row.message) if row else None
        if text is not None and "/answer/" in text.text:
            return "/answer/" + text.text.split("/answer/")[1].split()[0]
    return ""


def _service(part: Part) -> str:
    return f"{part.ref.lower()}-1"


def _gb(amount: Fraction) -> str:
    quantity = Quantity.of(amount, "GB")
    return f"{show(round_to(quantity.value, 0))} GB"
