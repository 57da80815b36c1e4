"""What the demo came to, as a person wants to see it: sums, and what became of the cases that billing gets wrong."""

from collections import defaultdict
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from coulance.flows.closing.report import KINDS, amounts
from coulance.flows.sending import status
from coulance.integrations.demo import office
from coulance.integrations.demo.fleet import fleet
from coulance.integrations.demo.story import MONTHS, SEED, ZONE, closing_instant
from coulance.invoicing import queries as invoicing
from coulance.notices import queries as sent
from coulance.services import queries as services
from coulance.usage import queries as usage
from coulance_core.kernel import Money, Quantity, round_to, show

_TITLE = {
    "flood": "flood attack",
    "runaway": "runaway server",
    "3 TB once": "3 TB once",
    "plan change": "plan changed in August",
    "starts mid-month": "started 10 July",
    "ends mid-month": "left 20 September",
    "counter reset": "counter reset",
    "32-bit counter wraps": "32-bit counter wraps",
    "late files": "files came late",
    "counted again": "log counted 8 times",
    "unknown series": "series unknown at first",
}


def totals() -> list[tuple[str, str]]:
    """Counts and sums over everything there is."""
    seen = usage.overview()
    sums: dict[str, dict[str, object]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for kind in KINDS:
        for row in invoicing.documents(kind=kind, state="issued", limit=1_000_000):
            counts[kind] += 1
            code = row.net.currency
            sums[kind][code] = sums[kind].get(code, 0) + row.net.amount  # type: ignore[operator]
    out = [
        ("services", f"{len(services.services()):,}"),
        ("readings kept", f"{seen.samples:,} of {seen.series_seen:,} series, {seen.segment_bytes / 1e6:.1f} MB sealed"),
    ]
    for kind, words in KINDS.items():
        money = "" if kind == "usage_statement" else f", {amounts(dict(sums[kind]))} net"
        out.append((words, f"{counts[kind]:,}{money}"))
    year, month = MONTHS[-1]
    now = office.standing(on=(closing_instant(year, month) + timedelta(days=30)).astimezone(ZONE).date())
    if now is not None:
        accepted = len(sent.messages(kind="document", state=["accepted", "bounced"], limit=100_000))
        back = sorted(str(one.document.number) for one in status.undelivered_documents())
        out += [
            (
                "mailed",
                f"{accepted:,}, of which {len(back)} came back: {', '.join(back)}",
            ),
            ("paid", f"{_money(now.received)}, in {now.receipts:,} payments"),
            ("open", f"{_money(now.owed)}, of which {_money(now.late)} is late at {now.late_accounts} customers"),
            ("in the bank queue", f"{now.in_queue} payments, {_money(now.queued)}, that nobody could be sure of"),
        ]
    return out


def places(home: Path) -> list[tuple[str, str]]:
    """(what, where) of what the demo left to look at beside the console."""
    return [
        ("mails", f"{home / 'mails'} (a mail program opens them); what came back: {home / 'bounces.mbox'}"),
        ("bank files", f"{home / 'bank'}; the queue: coulance bank queue, or Bank in the console"),
        ("statement of account", ", ".join(map(str, sorted((home / "statements").glob("*.pdf")))) or "none"),
        ("what is late", "coulance open-items, or Open items in the console"),
        ("not mailed yet", f"the usage statements: coulance send list {MONTHS[-1][0]}-{MONTHS[-1][1]:02d}"),
    ]


def stories() -> list[tuple[str, str]]:
    """(case, what became of it) for each of the fleet's incidents, with the documents to look at."""
    made = [service for service in fleet(SEED).services if service.incident]
    known = services.services_by_external_id([service.external_id for service in made])
    out = []
    for service in made:
        row = known.get(service.external_id)
        if row is None:
            continue
        figures = [f for f in invoicing.settled_figures(accounts=[row.account_id]) if f.service == row.id]
        used = "; ".join(
            f"{_month(f.period_name)} {_short(f.quantity, f.unit)}"
            for f in sorted(figures, key=lambda f: f.period_name)
        )
        papers = sorted(
            {
                line_document.number or ""
                for line_document in invoicing.documents(account=row.account_id, state="issued")
                if line_document.kind in ("overage_invoice", "credit_note")
                and any(line.service == row.id for line in invoicing.lines(document=line_document.id))
            }
        )
        where = f" -> {', '.join(papers)}" if papers else " (nothing to pay above the base fee)"
        out.append((_TITLE.get(service.incident, service.incident), f"{service.external_id}: {used}{where}"))
    return out


def _money(value: Money) -> str:
    return amounts({value.currency: Fraction(value.decimal())})


def _month(name: str) -> str:
    return ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[int(name[5:])]


def _short(value: object, unit: str) -> str:
    quantity = Quantity.of(value, unit)  # type: ignore[arg-type]
    return f"{show(round_to(quantity.value, 0 if quantity.value >= 100 else 1))} {unit}"
