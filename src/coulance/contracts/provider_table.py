"""The `[contracts]` table: terms of contracts (read by core.contracts) and promises of response (by core.sla) in one.

[[contracts.terms]]       # what a kind of contract says: fee, hours, cover, rate, renewal
[[contracts.response]]    # how soon tickets are answered and solved, and what a miss costs
[contracts.mail]          # how mail to the desk is taken
[contracts.worth]         # how what recurs is valued
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from coulance_core.catalog.faults import Fault
from coulance_core.contracts.mail_terms import read_mail
from coulance_core.contracts.terms_file import ServiceTerms, parse_terms, read_contracts
from coulance_core.sla.response_file import Responses, parse_responses, read_responses


def judge(data: Mapping[str, Any]) -> Iterable[Fault]:
    """Every fault of the table, by its field."""
    terms, faults = read_contracts(data)
    responses, more = read_responses(data)
    yield from faults
    yield from more
    yield from read_mail(data)[1]
    known = {one.name for one in responses}
    for n, row in enumerate(data.get("terms", [])):
        name = row.get("response", "") if isinstance(row, dict) else ""
        if name and not more and name not in known:
            yield Fault(f"terms[{n}].response", f"there are no [[contracts.response]] of the name {name!r}")
    if faults or more:
        return
    for n, one in enumerate(terms):
        begun = [r for r in responses if r.name == one.response and r.valid_from <= one.valid_from]
        if one.response and one.response in known and not begun:
            yield Fault(
                f"terms[{n}].response", f"{one.version} begins before the first promises called {one.response!r}"
            )


@dataclass(frozen=True)
class Agreed:
    """What a contract was agreed on: its terms and promises, pinned as they stood then."""

    terms: ServiceTerms
    responses: Responses | None

    @classmethod
    def of(cls, pinned: Mapping[str, Any]) -> "Agreed":
        """From what a contract keeps."""
        response = pinned.get("response")
        return cls(parse_terms(pinned["terms"]), parse_responses(response) if response else None)


def pin(data: Mapping[str, Any], name: str, on: date) -> dict[str, Any] | None:
    """The tables of the version of named terms in force on a day, to be kept with a contract; None: no such."""
    row = _version(data.get("terms", []), name, on)
    if row is None:
        return None
    pinned: dict[str, Any] = {"terms": row}
    if row.get("response"):
        pinned["response"] = _version(data.get("response", []), row["response"], on)
    return pinned


def names(data: Mapping[str, Any]) -> list[str]:
    """The names of all terms."""
    return sorted({row["name"] for row in data.get("terms", [])})


def _version(rows: Iterable[dict[str, Any]], name: str, on: date) -> dict[str, Any] | None:
    found = [row for row in rows if row["name"] == name and date.fromisoformat(str(row["from"])) <= on]
    return max(found, key=lambda row: str(row["from"]), default=None)
