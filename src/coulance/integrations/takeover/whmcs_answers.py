"""WHMCS's API answers, as recorded in files: told apart by what they hold, gathered, and checked to be whole.

Shapes differ by version: ids and amounts are numbers or texts; lists stand under their singular, alone, or as an empty
text; older documentation shows keys as paths (`clients[client][0][id]`). Source: developers.whmcs.com/api-reference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from coulance.integrations.takeover.gathering import Gathered, json_of, many, unflattened
from coulance_core.taking_over import Where

Record = Mapping[str, Any]


class Placed(NamedTuple):
    """A record and where it stands."""

    where: Where
    record: Record


@dataclass(slots=True)
class Answers:
    """Everything the files hold, by kind; `details` and `invoices` by id."""

    clients: list[Placed] = field(default_factory=list)
    details: dict[str, Placed] = field(default_factory=dict)
    contacts: list[Placed] = field(default_factory=list)
    products: list[Placed] = field(default_factory=list)
    listed: list[Placed] = field(default_factory=list)
    """Invoices as lists give them: without lines and balance."""
    invoices: dict[str, Placed] = field(default_factory=dict)
    credits: dict[str, list[Placed]] = field(default_factory=dict)
    """The credit log by client."""
    paymethods: list[Placed] = field(default_factory=list)
    transactions: list[Placed] = field(default_factory=list)
    currencies: dict[str, Record] = field(default_factory=dict)
    addons: list[Placed] = field(default_factory=list)
    domains: list[Placed] = field(default_factory=list)
    promotions: dict[str, Placed] = field(default_factory=dict)
    groups: dict[str, Placed] = field(default_factory=dict)


_LISTS = (
    # plural, singular, what identifies whose list it is when it is one client's
    ("clients", "client", ""),
    ("contacts", "contact", "userid"),
    ("products", "product", "clientid"),
    ("addons", "addon", "clientid"),
    ("domains", "domain", "clientid"),
    ("promotions", "promotion", ""),
    ("groups", "group", ""),
    ("invoices", "invoice", "userid"),
    ("credits", "credit", "clientid"),
    ("paymethods", "paymethod", "clientid"),
    ("transactions", "transaction", "clientid"),
    ("currencies", "currency", ""),
)


def number_of(value: Any) -> str:
    """An id as text, whether it came as a number or a text."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()


def read_answers(paths: Sequence[Path], gathered: Gathered) -> Answers:
    """Gather the answers of these files; what is no answer, or not whole, is told."""
    out = Answers()
    pages: dict[tuple[str, str], list[tuple[int, int, int, Path]]] = {}
    for path in paths:
        value = json_of(path, gathered)
        if value is None:
            continue
        if not isinstance(value, dict):
            gathered.find("no-answer", Where(path.name), type(value).__name__, "an answer of the WHMCS API")
            continue
        if any("[" in key for key in value):
            value = unflattened(value)
        if value.get("result", "success") != "success":
            said = str(value.get("message", value["result"]))[:200]
            gathered.find("refused", Where(path.name), f"WHMCS answered: {said}", "an answer with result success")
            continue
        if not _take(value, path, out, gathered, pages):
            found = f"keys {', '.join(sorted(value))[:100]}"
            gathered.find("no-answer", Where(path.name), found, "an answer of a call that docs/take-over.md lists")
    _whole(pages, gathered)
    return out


def _take(
    value: Record,
    path: Path,
    out: Answers,
    gathered: Gathered,
    pages: dict[tuple[str, str], list[tuple[int, int, int, Path]]],
) -> bool:
    if "invoiceid" in value and "items" in value:
        key = number_of(value["invoiceid"])
        where = Where(path.name, 0, f"invoice {key}")
        if key in out.invoices:
            gathered.find("duplicate-answer", where, f"invoice {key} is in {out.invoices[key].where.file} too", "once")
        out.invoices.setdefault(key, Placed(where, value))
        return True
    if isinstance(value.get("client"), Mapping) or ("userid" in value and "currency_code" in value):
        record = value["client"] if isinstance(value.get("client"), Mapping) else value
        key = number_of(record.get("id") or record.get("userid") or record.get("client_id"))
        where = Where(path.name, 0, f"client {key}")
        if key in out.details:
            gathered.find("duplicate-answer", where, f"client {key} is in {out.details[key].where.file} too", "once")
        out.details.setdefault(key, Placed(where, record))
        return True
    for plural, singular, whose in _LISTS:
        records = many(value, plural, singular)
        if records is None:
            continue
        owner = number_of(value.get(whose)) if whose else ""
        if plural in ("contacts", "invoices") and not owner:
            owner = ""
        _keep(plural, singular, owner, records, path, out)
        _page(plural, owner, value, records, path, pages)
        return True
    return False


def _keep(plural: str, singular: str, owner: str, records: Sequence[Record], path: Path, out: Answers) -> None:
    for row, record in enumerate(records, 1):
        key = number_of(record.get("id"))
        placed = Placed(Where(path.name, row, f"{singular} {key}"), record)
        if plural == "currencies":
            out.currencies[key] = record
        elif plural in ("promotions", "groups"):
            (out.promotions if plural == "promotions" else out.groups)[key] = placed
        elif plural == "credits":
            out.credits.setdefault(owner or number_of(record.get("clientid")), []).append(placed)
        elif plural == "paymethods":
            out.paymethods.append(Placed(placed.where, {"clientid": owner, **record}))
        else:
            target = {
                "clients": out.clients,
                "contacts": out.contacts,
                "products": out.products,
                "addons": out.addons,
                "domains": out.domains,
                "invoices": out.listed,
                "transactions": out.transactions,
            }[plural]
            target.append(placed)


def _page(
    plural: str,
    owner: str,
    value: Record,
    records: Sequence[Record],
    path: Path,
    pages: dict[tuple[str, str], list[tuple[int, int, int, Path]]],
) -> None:
    total = number_of(value.get("totalresults"))
    if total.isdigit():
        start = number_of(value.get("startnumber"))
        pages.setdefault((plural, owner), []).append(
            (int(start) if start.isdigit() else 0, len(records), int(total), path)
        )


def _whole(pages: Mapping[tuple[str, str], Sequence[tuple[int, int, int, Path]]], gathered: Gathered) -> None:
    """Every list was read to its end, without a page missing between."""
    for (plural, owner), parts in pages.items():
        of = f"{plural} of client {owner}" if owner else plural
        reached = 0
        total = max(part[2] for part in parts)
        for start, count, _, path in sorted(parts, key=lambda part: part[:2]):
            if start > reached:
                found = f"{of} {reached + 1} to {start} are missing: a page was not read"
                gathered.find("page-missing", Where(path.name), found, f"all {total}")
            reached = max(reached, start + count)
        if reached < total:
            path = max(parts)[3]
            gathered.find("page-missing", Where(path.name), f"{reached} of {total} {of} are there", "all of them")
