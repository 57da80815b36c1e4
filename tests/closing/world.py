"""Small worlds to close: a provider's file, accounts, services and samples, each in a line; and bills as text.

Everything is written through the rooms' own operations, as the commands do it, and read from issued snapshots, as the
PDF does it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any
from zoneinfo import ZoneInfo

from coulance.catalog import operations as catalog
from coulance.catalog.reader import ProviderFile, read_provider_file
from coulance.customers import operations as customers
from coulance.customers import queries as customer_rows
from coulance.flows.closing.close_period import CloseReport, close_period
from coulance.invoicing import queries as invoicing
from coulance.invoicing.queries import DocumentRow
from coulance.services import operations as services
from coulance.usage import operations as usage
from coulance_core.invoicing import NationalRate
from coulance_core.kernel import Explanation, civil_midnight, exact
from tests.support.tables import meter, plan, pool, pooled_plan, traffic_plan

GB = 10**9
ZONE = "Europe/Amsterdam"

PROVIDER = """
[provider]
name = "Polder Hosting BV"
address = ["Dijkstraat 1", "0000 AA Nergenshuizen"]
country = "NL"
vat_id = "NL000000000B00"
currency = "EUR"
zone = "Europe/Amsterdam"
payment_days = 14
settle_after_days = 3
"""

SELLING = """
[series]
base = { format = "B{year}-{number:04d}" }
overage = { format = "V{year}-{number:04d}" }
credit = { format = "C{year}-{number:04d}" }

[[tax]]
country = "NL"
class = "standard"
rate = "21 %"
from = 2012-10-01
code = "NL21"

[[tax]]
country = "DE"
class = "standard"
rate = "19 %"
from = 2021-01-01
code = "DE19"

[[tax]]
country = "NL"
class = "exempt"
rate = "0 %"
from = 2012-10-01
code = "NL-EX"
kind = "exempt"
reason = "Exempt: article 11 Wet OB"
"""

METERS = "\n".join(
    [
        meter("traffic", "Traffic"),
        meter("port", "Port", interval="5 min"),
        meter("octets", "Octets", "counter", interval="1 h", counter_bits=64, gap="spread"),
        meter("stored", "Stored", "gauge", "GB"),
        meter("seats", "Seats in use", "gauge", "seat"),
    ]
)

PLANS = "".join(
    [
        traffic_plan("vps", "VPS", base="5.00 EUR/month", included="100 GB", price="0.10 EUR/GB"),
        traffic_plan("vps-xl", "VPS XL", base="31.00 EUR/month", included="310 GB", price="0.05 EUR/GB"),
        plan("count", "Counted", "out", label="Octets out", meter="octets", direction="out", price="0.10 EUR/GB"),
        plan(
            "colo", "Colo port", "bw", "100.00 EUR/month",
            label="Bandwidth", meter="port", aggregation="percentile", direction="greater",
            percentile={"rank": "drop_floor", "p": 95, "missing": "lowest"},
            commitment={"quantity": "10 Mbit/s", "fee": "20.00 EUR/month"},
            price="1.10 EUR/Mbit/s", on_change="end_terms",
        ),
        pool("fleet", "Fleet traffic", "0.20 EUR/GB"),
        pooled_plan("node", "Node", "100 GB"),
        pooled_plan("big-node", "Big node", "310 GB"),
        plan(
            "objects", "Objects", "stored",
            label="Stored data", meter="stored", aggregation="time_weighted", included="10 GB-month",
            price="0.02 EUR/GB-month",
        ),
        plan(
            "groupware", "Groupware", "peak", "4.50 EUR/month",
            label="Seats", meter="seats", aggregation="peak", included="3 seat", price="2.00 EUR/seat",
        ),
        traffic_plan(
            "bounded", "Bounded",
            label="Traffic", price="0.10 EUR/GB", minimum_spend="3.00 EUR", maximum_spend="8.00 EUR",
        ),
        plan("domain", "Domain", base={"price": "12.00 EUR/year", "alignment": "start_month"}),
        traffic_plan("usd", "Dollar VPS", base="7.00 USD/month", currency="USD", price="0.10 USD/GB"),
    ]
)  # fmt: skip

WITHOUT_PLANS = SELLING + METERS
REST = WITHOUT_PLANS + PLANS


_files: dict[str, ProviderFile] = {}


def _read(path: Path) -> ProviderFile:
    """A provider file without faults that includes no other; one text is read once."""
    text = path.read_text()
    if text not in _files:
        file = read_provider_file(path)
        assert not file.faults, "\n".join(map(str, file.faults))
        assert len(file.sources.texts) == 1
        _files[text] = file
    return _files[text]


@dataclass
class World:
    """A provider with customers, to be used one sentence at a time. Days are the account's own."""

    folder: Path
    meters: dict[str, str] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    batches: int = 0

    def provider(self, extra: str = "", *, more: str = "", rest: str = REST) -> "World":
        """Apply the provider file, with `extra` keys of the provider and `more` tables."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "provider.toml"
        path.write_text(PROVIDER + dedent(extra) + rest + dedent(more))
        file = _read(path)
        catalog.apply_catalog(file=file, actor="test", at=datetime(2026, 1, 1, tzinfo=UTC))
        return self

    def account(self, ref: str = "acme", **given: Any) -> "World":
        """A Dutch business unless said otherwise."""
        facts: dict[str, Any] = {
            "name": ref.title(),
            "kind": "business",
            "country": "NL",
            "currency": "EUR",
            "zone": ZONE,
            "language": "en",
            "address": ["Straat 1", "Stad"],
        }
        customers.create_account(external_id=ref, **{**facts, **given})
        self.zones[ref] = {**facts, **given}["zone"]
        return self

    def service(
        self, ref: str, plan: str, since: str = "2026-10-01", *, account: str = "acme", meter: str = "", **given: Any
    ) -> "World":
        """A service on a plan, with a series of the same name when a meter is given."""
        services.start_service(
            account=account,
            external_id=ref,
            name=ref.upper(),
            kind="vps",
            started_on=date.fromisoformat(since),
            plan=plan,
            **given,
        )
        self.zones[ref] = self.zones[account]
        if meter:
            services.assign_series(key=ref, service=ref, meter=meter)
        return self

    def change(self, ref: str, plan: str, on: str, quantity: int | None = None) -> "World":
        """Another plan, or number of it, from a day on."""
        services.change_plan(service=ref, plan=plan, from_date=date.fromisoformat(on), quantity=quantity)
        return self

    def end(self, ref: str, on: str) -> "World":
        """The first day on which it no longer runs."""
        services.end_service(service=ref, on=date.fromisoformat(on))
        return self

    def use(self, ref: str, values: Mapping[str, int], *, into: bool = False, unit: int = GB) -> "World":
        """Samples at noon of days (`2026-10-05`), or at a civil time (`2026-10-05T06:30`), in GB out unless said."""
        zone = ZoneInfo(self.zones[ref])
        rows = []
        for when, value in values.items():
            local = datetime.fromisoformat(when)
            at = (local if "T" in when else datetime.combine(local.date(), time(12))).replace(tzinfo=zone)
            rows.append((int(at.timestamp()), value * unit))
        return self.send(ref, rows, into=into)

    def send(self, ref: str, rows: Sequence[tuple[int, int]], *, into: bool = False) -> "World":
        """Samples at epoch seconds, in the meter's own unit, as a batch of their own."""
        self.batches += 1
        at, values = [r[0] for r in rows], [r[1] for r in rows]
        zeros = [0] * len(rows)
        answer = usage.ingest_batch(
            columns=usage.from_lists(
                {
                    "series": [ref] * len(rows),
                    "at": at,
                    "in": values if into else zeros,
                    "out": zeros if into else values,
                }
            ),
            source="test",
            recorded_at=datetime(2028, 1, 1, tzinfo=UTC),
            key=f"batch-{self.batches}",
        )
        assert not answer.rejected, answer
        return self

    def level(self, ref: str, values: Mapping[str, int]) -> "World":
        """Readings of a gauge at midnight, in its unit."""
        return self.use(ref, {f"{day}T00:00": value for day, value in values.items()}, into=True, unit=1)

    def close(self, month: str, at: str = "", **options: Any) -> CloseReport:
        """Close a month, at six in the morning of the fourth day of the next unless said."""
        year, number = (int(part) for part in month.split("-"))
        when = datetime.fromisoformat(at) if at else closing_instant(month)
        return close_period(
            year=year,
            month=number,
            at=when.replace(tzinfo=when.tzinfo or UTC),
            actor="test",
            **options,
        )

    def papers(self, account: str = "acme", *, kinds: str = "BVC", run: str = "") -> str:
        """An account's documents and lines as text, in the order of their numbers; statements only if asked for (U)."""
        found = [one for one in documents_of(account) if (one.number or "?")[0] in kinds]
        if run:
            wanted = invoicing.run(period=run)
            found = [one for one in found if wanted is not None and one.run == wanted.id]
        return "\n".join(shown(one) for one in found)

    def snapshot(self, number: str) -> dict[str, Any]:
        """What a document froze."""
        return invoicing.document(number=number).snapshot

    def statement(self, month: str, account: str = "acme") -> list[dict[str, Any]]:
        """The usage items of an account's statement."""
        items: list[dict[str, Any]] = self.snapshot(f"U-{month}-{account}")["usage"]
        return items


def closing_instant(month: str) -> datetime:
    """Six in the morning of the fourth day after a month."""
    year, number = (int(part) for part in month.split("-"))
    return datetime(year + number // 12, number % 12 + 1, 4, 6, tzinfo=UTC)


def documents_of(account: str) -> list[DocumentRow]:
    """An account's documents, by number."""
    row = customer_rows.account(account)
    return sorted(invoicing.documents(account=row.id), key=lambda one: (one.issued_on, one.number or ""))


def shown(row: DocumentRow) -> str:
    """A document as text: a line of its own, and one for each of its lines."""
    snapshot = invoicing.document_by_id(document=row.id).snapshot
    head = f"{row.number} {row.period_name}: {row.net.decimal()} + {row.tax.decimal()}"
    if row.invoice:
        head += f" on {row.invoice}, {row.credit_type}"
    zone = ZoneInfo(snapshot["period"]["zone"])
    return "\n".join((head, *(f"  {_line(line, zone)}" for line in snapshot["lines"])))


def _line(line: Mapping[str, Any], zone: ZoneInfo) -> str:
    of = line["service"]["id"] if line["service"] else f"pool {line['pool']}"
    ends = (datetime.fromisoformat(line["period"][end]).astimezone(zone) for end in ("start", "end"))
    days = "..".join(f"{end:%m-%d}" for end in ends)
    each = f" at {line['unit_price']}" if line["unit_price"] else ""
    unit = "" if line["unit"] == "1" else f" {line['unit']}"
    return f"{line['kind']} {of} {days} {line['quantity']}{unit}{each}: {line['net']}"


def table(text: str) -> str:
    """The expected side: an indented block."""
    return dedent(text).strip()


def check_explained(snapshot: Mapping[str, Any]) -> int:
    """Every line's explanation, and every usage item's, recomputes; a line's ends in its net. How many there were."""
    seen = 0
    for line in snapshot["lines"]:
        why = Explanation.from_json(line["explanation"])
        recompute_all(why)
        assert why.recompute()["net"] == exact(line["net"]), (line["description"], why.render())
        seen += 1
    for item in snapshot["usage"]:
        why = Explanation.from_json(item["explanation"])
        recompute_all(why)
        seen += 1
    return seen


def recompute_all(why: Explanation) -> None:
    """Recompute it and all below it: raises when a step does not give what it says."""
    why.recompute()
    for child in why.children:
        recompute_all(child)


def five_minutes(first: str, last: str, zone: str = ZONE) -> list[int]:
    """The ends of the five-minute intervals of the civil days from `first` up to `last`, without it."""
    where = ZoneInfo(zone)
    begin, end = (int(civil_midnight(date.fromisoformat(day), where).timestamp()) for day in (first, last))
    return list(range(begin + 300, end + 1, 300))


def rate(code: str, value: str, on: date = date(2026, 11, 4)) -> dict[str, NationalRate]:
    """A national exchange rate, as `--rate` gives it."""
    return {code: NationalRate(code, exact(value), on, "ECB")}


def days(first: str, count: int) -> Iterable[str]:
    """So many civil days from `first`."""
    start = date.fromisoformat(first)
    return ((start + timedelta(days=n)).isoformat() for n in range(count))
