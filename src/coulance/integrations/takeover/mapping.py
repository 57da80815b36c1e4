"""The mapping: what a provider says about the system they leave, in TOML. `docs/take-over.md` explains its keys."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from coulance_core.taking_over import Finding, SeriesEnd, Where

SYSTEMS = ("whmcs", "fossbilling", "csv")
_TABLES = {
    "source",
    "products",
    "addons",
    "domains",
    "lines",
    "customers",
    "services",
    "mandates",
    "series",
    "leave_out",
}
_SOURCE = {"system", "on", "taxes", "dates", "encoding", "account", "service", "prices", "price_words"}
_MANDATE = {"iban", "reference", "signed_on", "holder", "scheme"}
_TYPES = {"billed_until": date, "price_until": date, "billing_day": int, "quantity": int}
_LEAVES = ("customer", "contact", "service", "addon", "domain", "invoice", "prepaid", "mandate")
_DATES = {"YYYY-MM-DD": "%Y-%m-%d", "DD/MM/YYYY": "%d/%m/%Y", "DD-MM-YYYY": "%d-%m-%Y", "DD.MM.YYYY": "%d.%m.%Y",
          "MM/DD/YYYY": "%m/%d/%Y"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """A product of theirs: the plan of ours by billing cycle. An empty plan says that such a service stays behind."""

    plan: str
    kind: str
    cycles: Mapping[str, str] = field(default_factory=dict)

    def plan_for(self, cycle: str, usual: str = "Monthly") -> str | None:
        """The plan for a cycle; none where the mapping doesn't say. Only the usual one goes without saying."""
        if cycle in self.cycles:
            return self.cycles[cycle]
        return self.plan if cycle == usual else None


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """Everything a mapping says. `on` is the first day here; `dates` is a strptime form."""

    file: str
    system: str
    on: date
    taxes: str = "exclusive"
    dates: str = "%d/%m/%Y"
    encoding: str = "utf-8"
    account: str = "{id}"
    service: str = "{id}"
    prices: str = "theirs"
    """Whose price a service has here where they differ: theirs, agreed for that service, or ours, its plan's."""
    price_words: str = "as agreed"
    """What prints behind a plan's name where the price is theirs."""
    products: Mapping[str, Product] = field(default_factory=dict)
    addons: Mapping[str, Product] = field(default_factory=dict)
    domains: Mapping[str, Product] = field(default_factory=dict)
    """By the ending of the name, such as nl or co.uk."""
    mandates: Mapping[str, str] = field(default_factory=dict)
    """Which field of a customer holds what of a mandate."""
    overage: tuple[str, ...] = ()
    """Patterns (`*overage*`) of the descriptions of lines that are overage."""
    customers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    series: tuple[SeriesEnd, ...] = ()
    leave_out: Mapping[str, str] = field(default_factory=dict)
    """Why a row stays behind, by `customer/9`, `invoice/1042`, `service/12`, `prepaid/9` or `contact/3`."""


def read_mapping(path: Path, findings: list[Finding]) -> SourceMapping | None:
    """The mapping of a file; what is wrong goes to `findings`. Nothing when it can't be read at all."""
    reader = _Reader(path.name, findings)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reader.fault("", f"{path}: {error.strerror or error}", "a file that can be read")
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reader.fault("", str(error), "TOML in UTF-8")
        return None
    return reader.mapping(tree)


class _Reader:
    def __init__(self, file: str, findings: list[Finding]) -> None:
        self.file, self.findings = file, findings

    def fault(self, key: str, found: str, expected: str) -> None:
        self.findings.append(Finding("bad-mapping", Where(self.file, 0, key), found, expected))

    def known(self, key: str, table: Any, names: set[str]) -> dict[str, Any]:
        if not isinstance(table, dict):
            self.fault(key, repr(table), "a table")
            return {}
        for name in table.keys() - names:
            self.fault(f"{key}.{name}".lstrip("."), "an unknown key", ", ".join(sorted(names)))
        return table

    def text(self, key: str, value: Any, words: tuple[str, ...] = ()) -> str:
        if not isinstance(value, str) or (words and value not in words):
            self.fault(key, repr(value), " or ".join(words) if words else "a text")
            return words[0] if words else ""
        return value

    def mapping(self, tree: dict[str, Any]) -> SourceMapping | None:
        self.known("", tree, _TABLES)
        source = self.known("source", tree.get("source", {}), _SOURCE)
        on = source.get("on")
        if type(on) is not date:
            self.fault("source.on", repr(on) if on else "nothing", "the first day here, as 2026-11-01")
            return None
        return SourceMapping(
            file=self.file,
            system=self.text("source.system", source.get("system", ""), SYSTEMS),
            on=on,
            taxes=self.text("source.taxes", source.get("taxes", "exclusive"), ("exclusive", "inclusive")),
            dates=_DATES[self.text("source.dates", source.get("dates", "DD/MM/YYYY"), tuple(_DATES))],
            encoding=self.text("source.encoding", source.get("encoding", "utf-8"), ("utf-8", "cp1252")),
            account=self.form("source.account", source.get("account", "{id}")),
            service=self.form("source.service", source.get("service", "{id}")),
            prices=self.text("source.prices", source.get("prices", "theirs"), ("theirs", "ours")),
            price_words=self.text("source.price_words", source.get("price_words", "as agreed")),
            products=self.products("products", tree.get("products", {})),
            addons=self.products("addons", tree.get("addons", {})),
            domains=self.products("domains", tree.get("domains", {})),
            mandates=self.fields(tree.get("mandates", {})),
            overage=self.patterns(tree.get("lines", {})),
            customers=self.overrides(
                "customers", tree.get("customers", {}),
                {"name", "kind", "country", "vat_id", "language", "zone", "tax_class", "billing_day", "currency",
                 "email"},
            ),
            services=self.overrides(
                "services", tree.get("services", {}),
                {"plan", "kind", "billed_until", "name", "quantity", "pool", "price", "price_until", "price_words"},
            ),
            series=self.series(tree.get("series", {})),
            leave_out=self.reasons(tree.get("leave_out", {})),
        )  # fmt: skip

    def form(self, key: str, value: Any) -> str:
        text = self.text(key, value)
        if text.count("{id}") != 1 or "{" in text.replace("{id}", ""):
            self.fault(key, repr(value), "a text with {id} once, such as w{id}")
            return "{id}"
        return text

    def fields(self, table: Any) -> dict[str, str]:
        rows = self.known("mandates", table, _MANDATE)
        for key, value in rows.items():
            if not isinstance(value, str | int) or isinstance(value, bool):
                self.fault(f"mandates.{key}", repr(value), 'the id or name of a field, such as 5 or "custom_1"')
        if rows and not {"iban", "reference", "signed_on"} <= rows.keys():
            self.fault("mandates", ", ".join(rows), "the fields for iban, reference and signed_on")
        return {key: str(value) for key, value in rows.items()}

    def products(self, what: str, table: Any) -> dict[str, Product]:
        out: dict[str, Product] = {}
        for name, row in self.known(what, table, set(table) if isinstance(table, dict) else set()).items():
            key = f"{what}.{name}"
            row = self.known(key, row, {"plan", "kind", "cycles", "name"})
            cycles = row.get("cycles", {})
            if not isinstance(cycles, dict) or not all(isinstance(plan, str) for plan in cycles.values()):
                self.fault(f"{key}.cycles", repr(cycles), 'a table of plans, such as { Annually = "vps-year" }')
                cycles = {}
            out[name] = Product(
                self.text(f"{key}.plan", row.get("plan", "")),
                self.text(f"{key}.kind", row.get("kind", "other")),
                cycles,
            )
        return out

    def patterns(self, table: Any) -> tuple[str, ...]:
        found = self.known("lines", table, {"overage"}).get("overage", [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.fault("lines.overage", repr(found), 'a list of patterns, such as ["*overage*"]')
            return ()
        return tuple(found)

    def overrides(self, name: str, table: Any, keys: set[str]) -> dict[str, dict[str, Any]]:
        rows = self.known(name, table, set(table) if isinstance(table, dict) else set())
        out = {key: self.known(f"{name}.{key}", row, keys) for key, row in rows.items()}
        for key, row in out.items():
            for column, value in row.items():
                wanted: type = _TYPES.get(column, str)
                if type(value) is not wanted:
                    self.fault(f"{name}.{key}.{column}", repr(value), f"a {wanted.__name__}")
        return out

    def series(self, table: Any) -> tuple[SeriesEnd, ...]:
        out: list[SeriesEnd] = []
        for name, row in self.known("series", table, set(table) if isinstance(table, dict) else set()).items():
            row = self.known(f"series.{name}", row, {"year", "last"})
            year, last = row.get("year", 0), row.get("last")
            if type(year) is not int or type(last) is not int:
                self.fault(f"series.{name}", repr(row), "{ year = 2026, last = 1042 }")
                continue
            out.append(SeriesEnd(where=Where(self.file, 0, f"series.{name}"), series=name, year=year, last=last))
        return tuple(out)

    def reasons(self, table: Any) -> dict[str, str]:
        rows = self.known("leave_out", table, set(table) if isinstance(table, dict) else set())
        for key, why in rows.items():
            if key.partition("/")[0] not in _LEAVES:
                self.fault(f"leave_out.{key}", "what it is, is not told", 'such as "invoice/1042" = "written off"')
            if not isinstance(why, str) or not why.strip():
                self.fault(f"leave_out.{key}", repr(why), "why it stays behind")
        return {key: str(why) for key, why in rows.items()}
